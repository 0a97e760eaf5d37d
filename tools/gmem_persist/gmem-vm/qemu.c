// SPDX-License-Identifier: GPL-2.0
/*
 * QEMU as a process.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm.h"

/* By number: libc has it since 2.36. */
static int open_process(pid_t pid)
{
	return syscall(SYS_pidfd_open, pid, 0);
}

/**
 * qemu_pid - the process that runs the VM
 * @vm: the VM
 * @why: a sentence, if that cannot be told
 *
 * QEMU locks its pidfile before it touches memory, and until it ends; the kernel tells who has
 * locked it. So this is never another process that has got the number since.
 *
 * Return: its number; 0: there is none; -1: that cannot be told.
 */
pid_t qemu_pid(const struct vm *vm, struct why *why)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(vm->pidfile, O_RDWR | O_CLOEXEC);
	bool told = fd >= 0 ? !fcntl(fd, F_GETLK, &lock) : errno == ENOENT;

	if (!told)
		WHY(why, "whether there is a QEMU cannot be told: %s: %m", vm->pidfile);
	if (fd >= 0)
		close(fd);
	if (fd < 0 || !told || lock.l_type == F_UNLCK)
		return told ? 0 : -1;
	/* A lock of an open file's, as QEMU has none, or of a process of another container's */
	if (lock.l_pid > 1)
		return lock.l_pid;
	WHY(why, "whether there is a QEMU cannot be told: who has locked %s is none", vm->pidfile);
	return -1;
}

/* The words of QEMU's command line, by which it starts and waits */
static char **command_line(const struct vm *vm, const char *machine, bool incoming)
{
	const struct conf *conf = &vm->conf;
	const char *fixed[19] = {
		conf->qemu, "-name", text("guest=%s", vm->name), "-daemonize", "-pidfile", vm->pidfile,
		"-accel", "kvm", "-cpu", conf->cpu, "-m", conf->memory,
		"-machine", text("%s,memory-backend=ram0", machine),
		"-object", text("memory-backend-file,id=ram0,size=%s,mem-path=%s,share=on,align=%s",
				conf->memory, vm->memory, conf->granule),
		"-qmp", text("unix:path=%s,server=on,wait=off", vm->socket), "-S",
	};
	const size_t nr = sizeof(fixed) / sizeof(*fixed);
	const char **words = calloc(nr + conf->nr_args + 3, sizeof(*words));
	size_t at = nr;

	if (!words)
		return NULL;
	memcpy(words, fixed, sizeof(fixed));
	if (incoming) {
		words[at++] = "-incoming";
		words[at++] = "defer";
	}
	memcpy(words + at, conf->args, conf->nr_args * sizeof(*words));
	return (char **)words;
}

/* Nothing of the guest has run, and nothing shall: QEMU ends, and who waits for it. */
static void stop_child(const struct vm *vm, pid_t pid)
{
	struct why why;
	const pid_t qemu = qemu_pid(vm, &why);

	if (qemu > 0)
		kill(qemu, SIGKILL);
	kill(pid, SIGTERM);
}

/*
 * The exit status of a process that we have started, 1 if a signal has ended it. A signal to us
 * lets it end: it may hang.
 */
static int wait_for_child(const struct vm *vm, pid_t pid)
{
	struct pollfd poll_fd = { .fd = open_process(pid), .events = POLLIN };
	int status;

	/* A signal may come just before: look again soon. */
	while (poll_fd.fd >= 0 && poll(&poll_fd, 1, 1000) <= 0)
		if (interrupted)
			stop_child(vm, pid);
	close(poll_fd.fd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/*
 * Start QEMU and wait until it is up, in a process of its own, which keeps the lock for so long,
 * also if we are killed meanwhile: nobody shall start a second QEMU while one comes up.
 */
static void __attribute__((noreturn)) launcher(struct vm *vm, char **words)
{
	pid_t pid = fork();

	if (!pid) {
		signal(SIGPIPE, SIG_DFL);
		/* To ask systemd for time is ours. */
		unsetenv("NOTIFY_SOCKET");
		execvp(words[0], words);
		complain(vm, "%s: %m", words[0]);
		_exit(127);
	}
	/* Nobody shall wait for the end of what we say. */
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	_exit(pid < 0 ? 1 : wait_for_child(vm, pid));
}

/**
 * qemu_launch - start QEMU, with a guest that does not run yet
 * @vm: the VM, whose lock is held
 * @machine: which machine it is, with its settings
 * @incoming: it waits for what was saved
 *
 * QEMU says on our standard error what is wrong.
 *
 * Return: its exit status, 0 if it is up.
 */
int qemu_launch(struct vm *vm, const char *machine, bool incoming)
{
	char **words = command_line(vm, machine, incoming);
	pid_t pid = words ? fork() : -1;

	if (!pid)
		launcher(vm, words);
	free(words);
	return pid < 0 ? 1 : wait_for_child(vm, pid);
}

/**
 * qemu_may_have_assigned - may a device of the host's be assigned to its guest
 * @pid: its process
 *
 * By its files, of which the kernel tells faster than QEMU of its devices: each such device has
 * one of VFIO's or iommufd's open.
 *
 * Return: true also if they cannot be read.
 */
bool qemu_may_have_assigned(pid_t pid)
{
	char *path = text("/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	bool may = !dir;
	struct dirent *entry;

	while (!may && (entry = readdir(dir))) {
		char link[256] = "";

		may = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1) > 0 &&
		      (strstr(link, "vfio") || strstr(link, "iommu"));
	}
	if (dir)
		closedir(dir);
	free(path);
	return may;
}

/**
 * qemu_is_to_wait - shall its guest, which has not run yet, wait until somebody lets it run
 * @pid: its process
 *
 * It has -S from us. With -S of QEMU_ARGS a new guest waits, and with -incoming one that waited when
 * it was saved. The settings may be others by now.
 *
 * Return: true also if that cannot be told.
 */
bool qemu_is_to_wait(pid_t pid)
{
	char *path = text("/proc/%d/cmdline", (int)pid), *word = NULL;
	FILE *file = fopen(path, "re");
	size_t size = 0;
	int nr = 0;

	while (file && getdelim(&word, &size, '\0', file) >= 0)
		nr += !strcmp(word, "-S") || !strcmp(word, "-incoming");
	if (file)
		fclose(file);
	free(word);
	free(path);
	return nr != 1;
}

/**
 * qemu_ends_early - will systemd end it before its guest is saved, when the host goes down
 * @pid: its process
 *
 * So it is with the session, or any other scope, of who has started it. What a service does when it
 * stops cannot be known: that of gmem-vm@.service saves.
 */
bool qemu_ends_early(pid_t pid)
{
	char *path = text("/proc/%d/cgroup", (int)pid), groups[4096] = "";
	int fd = access(host_systemd, F_OK) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	const bool told = fd >= 0 && read(fd, groups, sizeof(groups) - 1) > 0;

	if (fd >= 0)
		close(fd);
	free(path);
	return told && (!fnmatch("*.scope*", groups, 0) || !fnmatch("*/user@*.service*", groups, 0));
}

/**
 * qemu_wait - wait for the end of a process
 * @pid: its number, which qemu_pid() has just told
 * @seconds: at most so long
 *
 * Return: false: it is still there.
 */
bool qemu_wait(pid_t pid, int seconds)
{
	struct pollfd poll_fd = { .fd = open_process(pid), .events = POLLIN };
	const int64_t deadline = now_ms() + seconds * 1000LL;
	int64_t left;
	int nr = 0;

	if (poll_fd.fd < 0)
		return errno == ESRCH;
	while ((left = deadline - now_ms()) > 0) {
		nr = poll(&poll_fd, 1, left);
		if (nr > 0 || (nr < 0 && errno != EINTR))
			break;
	}
	close(poll_fd.fd);
	return nr > 0;
}

/**
 * qemu_end - let QEMU end, whose guest does not run, or shall not
 * @vm: the VM
 * @qmp: the session with it
 * @pid: its process
 *
 * Return: false: it is still there.
 */
bool qemu_end(struct vm *vm, struct qmp *qmp, pid_t pid)
{
	struct why why;
	pid_t now;

	qmp->interruptible = false;
	if (qmp_do(qmp, "quit", NULL) && qemu_wait(pid, vm->conf.patience))
		return true;
	now = qemu_pid(vm, &why);
	if (now < 0)
		complain(vm, "%s", why.text);
	if (now != pid)
		return now >= 0;
	complain(vm, "QEMU does not end by itself and is killed");
	kill(pid, SIGKILL);
	return qemu_wait(pid, vm->conf.patience);
}
