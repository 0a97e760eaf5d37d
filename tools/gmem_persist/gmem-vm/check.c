// SPDX-License-Identifier: GPL-2.0
/*
 * Would a kexec now lose a guest? To be asked while all of them run.
 */
#include <dirent.h>
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm.h"

/* For how many seconds somebody who makes an object is waited for */
#define PATIENCE	60

/**
 * check_host - does nothing of the host itself keep guests from going on under its next kernel
 * @patience: for how many seconds a moment's trouble may last
 * @line: is set to what does
 */
bool check_host(int patience, char line[HANDOVER_MAX])
{
	if (!host_can_hand_over(patience, line))
		return false;
	/* It would be handed over, but nothing can be saved any more. */
	if (!host_number("frozen"))
		return true;
	snprintf(line, HANDOVER_MAX, "the pool is frozen, so no guest can be saved; gmemctl thaw");
	return false;
}

/* By a process of its own, as if somebody had named it */
static bool check_one(const char *name)
{
	const char *words[4] = { "gmem-vm", "check", name, NULL };
	int status, error;
	pid_t pid;

	error = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, (char **)words, environ);
	if (error) {
		fprintf(stderr, "gmem-vm: %s: cannot be asked: %s\n", name, strerror(error));
		return false;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return !status;
}

/* One of which there is a pidfile, if a QEMU holds it */
static bool check_vm(const char *path, const char *name)
{
	struct vm vm = { .name = name, .pidfile = (char *)path, .lock_fd = -1 };
	struct why why;
	const pid_t pid = qemu_pid(&vm, &why);

	if (pid < 0)
		complain(&vm, "%s", why.text);
	return !pid || (pid > 0 && check_one(name));
}

/* A guest that is saved, by its mark */
static bool check_mark(const char *path, const char *name)
{
	char *file = file_of_mark(path);
	const bool lost = file && memory_is_lost(file);

	if (lost)
		fprintf(stderr,
			"gmem-vm: a kexec now would lose a guest that is saved: %s is not on gmemfs or a disk\n",
			file);
	free(file);
	return !lost;
}

/* Each file of a folder with that ending. Tenants have other folders, and look themselves. */
static bool check_each(const char *folder, const char *ending,
		       bool (*what)(const char *path, const char *name))
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	bool fine = true;

	while (dir && (errno = 0, entry = readdir(dir))) {
		const size_t length = strlen(entry->d_name), tail = strlen(ending);
		char *path, *name;

		if (length <= tail || strcmp(entry->d_name + length - tail, ending))
			continue;
		path = text("%s/%s", folder, entry->d_name);
		name = text("%.*s", (int)(length - tail), entry->d_name);
		fine = what(path, name) && fine;
		free(path);
		free(name);
	}
	if (errno && errno != ENOENT) {
		fprintf(stderr, "gmem-vm: cannot read %s: %m\n", folder);
		fine = false;
	}
	if (dir)
		closedir(dir);
	return fine;
}

/**
 * check_all - would a kexec now lose anything
 * @run: where the pidfiles of the caller's VMs are
 * @memory: where marks are
 *
 * Return: an exit status. Each reason has been said, in a line.
 */
int check_all(const char *run, const char *memory)
{
	bool fine;
	char line[HANDOVER_MAX];

	if (!host_number("used_bytes") && !host_number("quarantined_bytes"))
		return STATUS_OK;
	if (!check_host(PATIENCE, line)) {
		fprintf(stderr, "gmem-vm: a kexec now would lose guest memory: %s\n", line);
		return STATUS_FAILED;
	}
	fine = check_each(memory, ".saved", check_mark);
	return check_each(run, ".pid", check_vm) && fine ? STATUS_OK : STATUS_FAILED;
}
