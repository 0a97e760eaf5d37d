// SPDX-License-Identifier: GPL-2.0
/*
 * All VMs of a host are saved at once, and go on at once: how many of them at a time, and how many
 * of them have got there. They are those of one caller, who has the same $GMEM_RUN: so nobody
 * keeps another owner's guests waiting.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "vm.h"

#define SLOTS_MAX	1024

/* As many as there are CPUs: more would only keep each guest away for longer. */
static long nr_slots(void)
{
	const char *set = getenv("GMEM_PARALLEL");
	long nr = set && *set ? strtol(set, NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);

	if (nr < 1)
		return 1;
	return nr < SLOTS_MAX ? nr : SLOTS_MAX;
}

static void wake(int signal)
{
}

/* True: it is ours now, until we end. */
static bool take(const char *run, long nr, int how)
{
	char *path = text("%s/.slot-%ld", run, nr);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	free(path);
	if (fd >= 0 && !flock(fd, how))
		return true;
	if (fd >= 0)
		close(fd);
	return false;
}

/**
 * crowd_wait - wait until few enough others save or start a guest
 * @run: where the slots are, as files to be locked
 * @patience: for how many seconds at most; then there is one more than there should be
 *
 * Also over when a signal has come. What has been taken is held until we end.
 */
void crowd_wait(const char *run, int patience)
{
	const struct sigaction action = { .sa_handler = wake };
	const int64_t deadline = now_ms() + patience * 1000LL;
	const long nr = nr_slots();
	bool taken = false;

	sigaction(SIGALRM, &action, NULL);
	for (;;) {
		for (long i = 0; i < nr && !taken; i++)
			taken = take(run, i, LOCK_EX | LOCK_NB);
		if (taken || interrupted || now_ms() >= deadline)
			return;
		/* Any other one may be free sooner, and a signal may have come: look again soon. */
		alarm(1);
		taken = take(run, getpid() % nr, LOCK_EX);
		alarm(0);
	}
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

		if (length <= tail || strcmp(entry->d_name + length - tail, ending))
			continue;
		vm.pidfile = text("%s/%s", path, entry->d_name);
		nr += !qemus || qemu_pid(&vm);
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
