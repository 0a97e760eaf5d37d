// SPDX-License-Identifier: GPL-2.0
/*
 * What will become of the host, and with it of memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "parse.h"
#include "vm.h"

#define POOL		"/sys/kernel/mm/gmem_persist/"
#define HANDOVER	POOL "handover"
/* So long may "systemctl" take to tell its jobs. */
#define SYSTEMCTL_SECONDS	10
/* So long may a host that boots take to have KVM. */
#define KVM_SECONDS		10

const char *host_systemd = "/run/systemd/system";

/**
 * host_handover - would a kexec now hand over all memory
 * @line: is set to what the kernel says, or to the path of what cannot be read
 *
 * Return: false: it would not; true also if there is no such file: in a container.
 */
bool host_handover(char line[HANDOVER_MAX])
{
	FILE *file = fopen(HANDOVER, "re");
	bool told = file && fgets(line, HANDOVER_MAX, file);

	if (!told)
		snprintf(line, HANDOVER_MAX, "%s", !file && errno == ENOENT ? "ok" : HANDOVER);
	if (file)
		fclose(file);
	line[strcspn(line, "\n")] = '\0';
	return !strcmp(line, "ok");
}

/**
 * host_number - a number that the kernel shows of the pool
 * @name: of the file
 *
 * Return: the number; 0 also if there is no such file, and the largest if it cannot be read.
 */
unsigned long long host_number(const char *name)
{
	char *path = text(POOL "%s", name);
	FILE *file = fopen(path, "re");
	unsigned long long number = file || errno != ENOENT ? ULLONG_MAX : 0;

	if (file) {
		if (fscanf(file, "%llu", &number) != 1)
			number = ULLONG_MAX;
		fclose(file);
	}
	free(path);
	return number;
}

/**
 * host_can_hand_over - would a kexec now hand over all memory, or within a moment
 * @patience: for how many seconds a moment's trouble may last
 * @line: is set to why not
 */
bool host_can_hand_over(int patience, char line[HANDOVER_MAX])
{
	const struct timespec moment = { .tv_nsec = 100 * 1000 * 1000 };
	const int64_t deadline = now_ms() + patience * 1000LL;

	while (!host_handover(line)) {
		/* Somebody makes an object, which passes. */
		if (strncmp(line, "creating", 8) || now_ms() > deadline)
			return false;
		nanosleep(&moment, NULL);
	}
	return true;
}

/**
 * host_wait_for_kvm - wait until KVM is there, and the caller's, or a signal has come
 *
 * Of all that a host starts guests are the first, and nobody else waits for its modules. If it
 * does not come, QEMU says why.
 */
void host_wait_for_kvm(void)
{
	const struct timespec moment = { .tv_nsec = 20 * 1000 * 1000 };
	const int64_t deadline = now_ms() + KVM_SECONDS * 1000;
	int fd;

	while ((fd = open("/dev/kvm", O_RDWR | O_CLOEXEC)) < 0 && !interrupted &&
	       now_ms() < deadline)
		nanosleep(&moment, NULL);
	if (fd >= 0)
		close(fd);
}

/**
 * host_extend - let systemd wait for us, who get on, beyond the time that our unit has
 * @seconds: for so long from now on
 *
 * This is the protocol of sd_notify(3), without its library, which is no static one. Nothing
 * happens where there is no unit, or one that does not listen (NotifyAccess=).
 */
void host_extend(int seconds)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	const size_t length = path ? strlen(path) : 0;
	char *word;
	int fd;

	if (!length || length >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, length);
	/* One without a file */
	if (*path == '@')
		address.sun_path[0] = '\0';
	word = text("EXTEND_TIMEOUT_USEC=%lld", seconds * 1000000LL);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	sendto(fd, word, strlen(word), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
	       offsetof(struct sockaddr_un, sun_path) + length);
	if (fd >= 0)
		close(fd);
	free(word);
}

/* As somebody who may ask systemd has written it down, for a tenant's unit. False: nobody has. */
static bool read_jobs(char *jobs, size_t size)
{
	const char *path = getenv("GMEM_JOBS");
	FILE *file = path && *path ? fopen(path, "re") : NULL;
	bool read;

	if (!file)
		return false;
	jobs[fread(jobs, 1, size - 1, file)] = '\0';
	read = !ferror(file);
	fclose(file);
	return read;
}

/* All that a process writes, as text. False: it is too much, or takes too long. */
static bool read_end(int fd, char *text, size_t size)
{
	const int64_t deadline = now_ms() + SYSTEMCTL_SECONDS * 1000;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	size_t length = 0;
	ssize_t got = -1;

	while (got && length + 1 < size && now_ms() < deadline) {
		if (poll(&poll_fd, 1, 1000) <= 0)
			continue;
		got = read(fd, text + length, size - length - 1);
		if (got < 0 && errno != EINTR)
			break;
		length += got > 0 ? got : 0;
	}
	text[length] = '\0';
	return !got;
}

/*
 * What systemd has to do of what ends the host, in lines. There may be very many jobs of which that
 * is no one. False: it does not say.
 */
static bool list_jobs(char *jobs, size_t size)
{
	const char *words[8] = {
		"systemctl", "list-jobs", "--no-legend", "reboot.target", "poweroff.target",
		"halt.target", "kexec.target", NULL,
	};
	posix_spawn_file_actions_t actions;
	int out[2], error, status = -1;
	bool whole;
	pid_t pid;

	if (read_jobs(jobs, size))
		return true;
	*jobs = '\0';
	if (pipe2(out, O_CLOEXEC))
		return false;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	error = posix_spawnp(&pid, words[0], &actions, NULL, (char **)words, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	whole = !error && read_end(out[0], jobs, size);
	close(out[0]);
	if (error)
		return false;
	if (!whole)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return whole && !status;
}

/*
 * The same; one that does not say is asked again each second, for as long as @patience says. Without
 * systemd nobody can say, and nothing is about to be done.
 */
static bool ask_jobs(int patience, char *jobs, size_t size)
{
	const struct timespec second = { .tv_sec = 1 };
	const int64_t deadline = now_ms() + patience * 1000LL;

	while (!list_jobs(jobs, size)) {
		*jobs = '\0';
		if (access(host_systemd, F_OK))
			return true;
		if (interrupted || now_ms() > deadline)
			return false;
		nanosleep(&second, NULL);
	}
	return true;
}

/**
 * host_memory_ends - the host goes down, and memory does not survive that
 * @vm: whose; for its PATIENCE= a moment's trouble may last
 * @lost: why the guest does not survive a kexec, whatever memory does; or ""
 * @line: why not
 *
 * If systemd does not say what it is about to do, that counts as a kexec. A guest that is saved into
 * a reboot is lost, and one that is shut down is not: so it is saved only if a kexec now would keep
 * it. Somebody has loaded a kernel for that then.
 *
 * Return: false: it does, or the host does not go down.
 */
bool host_memory_ends(const struct vm *vm, const char *lost, char line[HANDOVER_MAX])
{
	static const char * const ends[] = { "reboot.target", "poweroff.target", "halt.target" };
	char jobs[65536];
	const bool told = ask_jobs(vm->conf.patience, jobs, sizeof(jobs));

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		if (parse_starts(jobs, ends[i])) {
			snprintf(line, HANDOVER_MAX, "%s", ends[i]);
			return true;
		}
	}
	if (!told)
		complain(vm, "systemd does not tell what it is about to do: as before a kexec");
	else if (!parse_starts(jobs, "kexec.target"))
		return false;
	snprintf(line, HANDOVER_MAX, "%s", lost);
	return *lost || !host_can_hand_over(vm->conf.patience, line);
}
