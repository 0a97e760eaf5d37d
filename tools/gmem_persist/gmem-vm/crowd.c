// SPDX-License-Identifier: GPL-2.0
/*
 * All VMs of a host are saved at once, and go on at once: how many of them at a time, in which
 * order, and how many of them have got there. They are those of one caller, who has the same
 * $GMEM_RUN: so nobody keeps another owner's guests waiting.
 *
 * Those who work on a VM have a slot, and the others wait for one, in the order of their VMs' names:
 * who was saved first goes on first, and none is away for the time that it takes to save all and to
 * let all go on. Each slot and each who waits is a file in a folder, which is locked for so long:
 * so nothing has to be done if somebody is killed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm.h"

#define SLOTS_MAX	1024

/* Ours; -1: none */
static int slot = -1;

/* As many as there are CPUs: more would only keep each guest away for longer. */
static long nr_slots(const struct vm *vm)
{
	const char *set = getenv("GMEM_PARALLEL");
	static long nr;
	char *end;

	if (!nr && set && *set) {
		nr = strtol(set, &end, 10);
		if (*end || nr < 1) {
			complain(vm, "GMEM_PARALLEL=%s is no number of VMs", set);
			nr = 0;
		}
	}
	if (nr < 1)
		nr = sysconf(_SC_NPROCESSORS_ONLN);
	if (nr < 1)
		nr = 1;
	return nr < SLOTS_MAX ? nr : SLOTS_MAX;
}

/* Lock such a file, or -1. To close it is no news to who waits. */
static int take(const char *path, int how)
{
	int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || !flock(fd, how))
		return fd;
	close(fd);
	return -1;
}

static bool take_slot(const struct vm *vm, const char *folder)
{
	const long nr = nr_slots(vm);

	/* No VM's name begins with a dot. */
	for (long i = 0; i < nr && slot < 0; i++) {
		char *path = text("%s/.%ld", folder, i);

		slot = take(path, LOCK_EX | LOCK_NB);
		free(path);
	}
	return slot >= 0;
}

/* Of those who wait, the last one before us: the file that he has locked, or -1 */
static int one_before(const char *folder, const char *name)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	char last[256] = "";
	int found = -1;

	while (dir && (entry = readdir(dir))) {
		const char *other = entry->d_name;
		int fd;

		if (other[0] == '.' || strcmp(other, name) >= 0 || strcmp(other, last) < 0)
			continue;
		fd = openat(dirfd(dir), other, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB)) {
			snprintf(last, sizeof(last), "%s", other);
			if (found >= 0)
				close(found);
			found = fd;
		} else if (fd >= 0) {
			close(fd);
		}
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Until he has a slot, or a second has passed */
static void wait_for(int before)
{
	wake_each_second(true);
	flock(before, LOCK_SH);
	wake_each_second(false);
	close(before);
}

/* Until somebody gives a slot back. One who was killed does not say so: look again soon. */
static void wait_for_slot(int notify)
{
	struct pollfd poll_fd = { .fd = notify, .events = POLLIN };
	char events[4096];

	poll(&poll_fd, 1, notify < 0 ? 50 : 1000);
	while (read(notify, events, sizeof(events)) > 0)
		;
}

static void queue(const struct vm *vm, const char *folder)
{
	const int64_t deadline = now_ms() + vm->conf.patience * 1000LL;
	int notify = -1, before;

	while (!interrupted && now_ms() < deadline) {
		before = one_before(folder, vm->name);
		if (before >= 0) {
			wait_for(before);
			continue;
		}
		if (take_slot(vm, folder))
			break;
		if (notify < 0) {
			/* One may have been given back before we listen. */
			notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
			if (notify >= 0 && inotify_add_watch(notify, folder, IN_ATTRIB) >= 0)
				continue;
		}
		wait_for_slot(notify);
	}
	if (notify >= 0)
		close(notify);
}

/**
 * crowd_enter - wait until few enough others save or start a guest
 * @vm: the VM; after its PATIENCE there is one more than there should be
 *
 * Also over when a signal has come. A slot is held until crowd_leave(), or until we end.
 */
void crowd_enter(const struct vm *vm)
{
	char *folder = text("%s/.crowd", vm->run), *path = text("%s/%s", folder, vm->name);
	int place = -1;

	if (slot < 0 && (!mkdir(folder, 0700) || errno == EEXIST)) {
		place = take(path, LOCK_EX);
		queue(vm, folder);
	}
	if (place >= 0) {
		unlink(path);
		close(place);
	}
	free(path);
	free(folder);
}

/**
 * crowd_leave - let somebody else save or start a guest
 */
void crowd_leave(void)
{
	if (slot < 0)
		return;
	flock(slot, LOCK_UN);
	futimens(slot, NULL);
	close(slot);
	slot = -1;
}

/* How many files in a folder have a name with that ending; with QEMUs: whose QEMU runs */
static int count(const char *path, const char *ending, bool qemus)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int nr = 0;

	while (dir && (entry = readdir(dir))) {
		const size_t length = strlen(entry->d_name), tail = strlen(ending);
		struct vm vm = { .lock_fd = -1 };
		struct why why;

		if (length <= tail || strcmp(entry->d_name + length - tail, ending))
			continue;
		vm.pidfile = text("%s/%s", path, entry->d_name);
		nr += !qemus || qemu_pid(&vm, &why) > 0;
		free(vm.pidfile);
	}
	if (dir)
		closedir(dir);
	return nr;
}

/**
 * crowd_report - one more is saved: tell how many of how many
 * @vm: which one
 * @since: when it was asked for, which is when the others were: a time of now_ms()
 */
void crowd_report(const struct vm *vm, int64_t since)
{
	char *states = text("%s", vm->state);
	const int64_t ms = now_ms() - since;
	int saved, running;

	*strrchr(states, '/') = '\0';
	saved = count(states, ".state", false);
	running = count(vm->run, ".pid", true);
	say(vm, "%d of %d saved, %d.%d s", saved, saved + running, (int)(ms / 1000),
	    (int)(ms % 1000 / 100));
	free(states);
}
