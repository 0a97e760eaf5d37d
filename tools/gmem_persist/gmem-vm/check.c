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

/* Each VM of which there is a pidfile there that a QEMU holds */
static bool check_vms(const char *run)
{
	static const char ending[] = ".pid";
	DIR *dir = opendir(run);
	struct dirent *entry;
	bool fine = true;

	while (dir && (entry = readdir(dir))) {
		const size_t length = strlen(entry->d_name);
		struct vm vm = { .lock_fd = -1 };
		char *name;

		if (length < sizeof(ending) ||
		    strcmp(entry->d_name + length - strlen(ending), ending))
			continue;
		vm.pidfile = text("%s/%s", run, entry->d_name);
		name = text("%.*s", (int)(length - strlen(ending)), entry->d_name);
		if (qemu_pid(&vm))
			fine = check_one(name) && fine;
		free(vm.pidfile);
		free(name);
	}
	if (dir)
		closedir(dir);
	return fine;
}

/* Each guest that is saved, by its mark in that folder. Tenants have others, and look themselves. */
static bool check_marks(const char *folder)
{
	static const char ending[] = ".saved";
	DIR *dir = opendir(folder);
	struct dirent *entry;
	bool fine = true;

	while (dir && (entry = readdir(dir))) {
		char *path = text("%s/%s", folder, entry->d_name), *file = NULL;
		const size_t length = strlen(entry->d_name);

		if (length > strlen(ending) &&
		    !strcmp(entry->d_name + length - strlen(ending), ending))
			file = file_of_mark(path);
		if (file && memory_is_lost(file)) {
			fprintf(stderr,
				"gmem-vm: a kexec now would lose a guest that is saved: %s is not on gmemfs or a disk\n",
				file);
			fine = false;
		}
		free(file);
		free(path);
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
	fine = check_marks(memory);
	return check_vms(run) && fine ? STATUS_OK : STATUS_FAILED;
}
