// SPDX-License-Identifier: GPL-2.0
/*
 * Tell QEMU to do something, by QMP.
 *
 *   gmem-qmp SOCKET COMMAND...
 *
 * A command is its name, or all of it as JSON; "wait-migrate" waits for the event that a migration is
 * over, and "wait-end", the last one, for the end of its process. Prints the answers, a line each. Exit status 2: QEMU has refused one, or the migration failed.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Send it, and print the answer, unless @quiet */
static int do_command(FILE *qemu, const char *command, int quiet)
{
	static char line[1 << 20];

	if (fprintf(qemu, *command == '{' ? "%s\n" : "{\"execute\":\"%s\"}\n", command) < 0 ||
	    fflush(qemu))
		err(1, "%s", command);
	while (fgets(line, sizeof(line), qemu)) {
		if (strncmp(line, "{\"return\"", 9) && strncmp(line, "{\"error\"", 8))
			continue;
		if (!quiet)
			fputs(line, stdout);
		return line[2] == 'e' ? 2 : 0;
	}
	errx(1, "QEMU is gone at %s", command);
}

static int wait_migrate(FILE *qemu)
{
	static char line[1 << 16];

	while (fgets(line, sizeof(line), qemu)) {
		if (!strstr(line, "\"MIGRATION\""))
			continue;
		if (strstr(line, "\"completed\""))
			return 0;
		if (strstr(line, "\"failed\""))
			return 2;
	}
	errx(1, "QEMU is gone while it migrates");
}

/* Its last words come before its memory is given back. */
static int wait_end(int fd)
{
	struct pollfd process = { .events = POLLIN };
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		err(1, "SO_PEERCRED");
	process.fd = syscall(SYS_pidfd_open, peer.pid, 0);
	if (process.fd < 0 && errno == ESRCH)
		return 0;
	if (process.fd < 0 || poll(&process, 1, -1) != 1)
		err(1, "process %d", (int)peer.pid);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), status;
	FILE *qemu;

	if (argc < 3 || strlen(argv[1]) >= sizeof(address.sun_path))
		errx(1, "usage: gmem-qmp SOCKET COMMAND...");
	memcpy(address.sun_path, argv[1], strlen(argv[1]) + 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		err(1, "%s", argv[1]);
	qemu = fdopen(fd, "r+");
	if (!qemu)
		err(1, "fdopen");
	status = do_command(qemu, "qmp_capabilities", 1);
	for (argv += 2; *argv && !status; argv++)
		status = !strcmp(*argv, "wait-migrate") ? wait_migrate(qemu) :
			 !strcmp(*argv, "wait-end") ? wait_end(fd) : do_command(qemu, *argv, 0);
	return status;
}
