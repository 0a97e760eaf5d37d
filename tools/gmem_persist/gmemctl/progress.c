// SPDX-License-Identifier: GPL-2.0
/*
 * How far the kernel is, for who waits at a terminal.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gmemctl.h"

#define INTERVAL_MS	250

/* What creations have still to clear; 0 also if the kernel does not say */
static unsigned long long bytes_ahead(void)
{
	FILE *file = fopen(POOL "/clearing_bytes", "re");
	unsigned long long bytes = 0;

	if (file && fscanf(file, "%llu", &bytes) != 1)
		bytes = 0;
	if (file)
		fclose(file);
	return bytes;
}

/* Half of a line that says it is no message: it goes when there is one. */
static void wipe(void)
{
	fputs("\r\033[K", stderr);
}

/**
 * progress - do something in a process of its own, which is told of at a terminal
 * @name: what is created
 *
 * Who calls has the work before it, and goes on with it in that process. Without a terminal on
 * standard error, there is none, nor a word. This one ends with it, with its exit status.
 */
void progress(const char *name)
{
	const pid_t pid = isatty(STDERR_FILENO) ? fork() : 0;
	struct pollfd process = { .events = POLLIN };
	int status;

	if (pid <= 0)
		return;
	/* The terminal sends it to the other one, too, who says what has become of it. */
	signal(SIGINT, SIG_IGN);
	/* By number: libc has it since 2.36. */
	process.fd = syscall(SYS_pidfd_open, pid, 0);
	while (process.fd >= 0 && poll(&process, 1, INTERVAL_MS) == 0) {
		const unsigned long long bytes = bytes_ahead();

		wipe();
		if (bytes)
			fprintf(stderr, "%s: %.1f GiB to be cleared", name, bytes / 0x1p30);
	}
	wipe();
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		_exit(STATUS_FAILED);
	_exit(WEXITSTATUS(status));
}
