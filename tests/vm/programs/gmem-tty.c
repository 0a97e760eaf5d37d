// SPDX-License-Identifier: GPL-2.0
/*
 * Run a program as if somebody sat before it.
 *
 *   gmem-tty PROGRAM [ARGUMENT...]
 *
 * It has a terminal of its own; what it says there comes on standard output. Its exit status is ours.
 */
#include <err.h>
#include <pty.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char buffer[4096];
	int fd, status;
	ssize_t got;
	pid_t pid;

	if (argc < 2)
		errx(1, "usage: gmem-tty PROGRAM [ARGUMENT...]");
	pid = forkpty(&fd, NULL, NULL, NULL);
	if (pid < 0)
		err(1, "forkpty");
	if (!pid) {
		execvp(argv[1], argv + 1);
		err(127, "%s", argv[1]);
	}
	/* It fails when nobody has the other end any more. */
	while ((got = read(fd, buffer, sizeof(buffer))) > 0)
		if (write(STDOUT_FILENO, buffer, got) != got)
			err(1, "write");
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
