// SPDX-License-Identifier: GPL-2.0
/*
 * Two who do at the same moment what must not meet.
 *
 *   gmem-race pay FILE COUNT GROUP...     a process in each cgroup opens the file, which then pays
 *                                         for it, and makes its data longer or shorter
 *   gmem-race poison FILE COUNT           the last file of an object is closed while a page of it
 *                                         has a memory error
 *   gmem-race again FILE COUNT            write 1 to the file by so many processes at once
 *
 * Each does so COUNT times; when they begin is left to chance, and so is who is first. Exit status:
 * 0; 1 for an error. "again" prints how many of them succeeded, as done=N, and the errnos of the
 * others.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gmem_persist.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define GRANULE	(2 << 20)

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "%s to %s", text, path);
	close(fd);
}

static void change_length(const char *path, int count)
{
	int fd;

	while (count--) {
		fd = open(path, O_RDWR);
		if (fd < 0 || ftruncate(fd, 1 + random() % (6 * GRANULE)))
			err(1, "%s", path);
		close(fd);
	}
}

/* It is data, of one byte, first. */
static void pay(const char *path, int count, char **groups)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600), status, failed = 0;
	char *procs;

	if (fd < 0 || pwrite(fd, "x", 1, 0) != 1)
		err(1, "%s", path);
	close(fd);
	for (int i = 0; groups[i]; i++) {
		if (fork())
			continue;
		if (asprintf(&procs, "%s/cgroup.procs", groups[i]) < 0)
			err(1, "%s", groups[i]);
		write_text(procs, "0");
		srandom(i);
		change_length(path, count);
		exit(0);
	}
	while (wait(&status) > 0)
		failed |= status;
	if (failed)
		errx(1, "one of them failed");
}

/* Both wait for the other one here. */
struct meeting {
	atomic_int here;
	char page[32];
};

static void meet(struct meeting *m)
{
	atomic_fetch_add(&m->here, 1);
	while (atomic_load(&m->here) < 2)
		;
}

/* Some microseconds, so that either may be first */
static void linger(void)
{
	for (int i = random() % 3000; i > 0; i--)
		asm volatile("" ::: "memory");
}

static void *damage(void *arg)
{
	struct meeting *m = arg;

	meet(m);
	linger();
	write_text("/sys/devices/system/memory/hard_offline_page", m->page);
	return NULL;
}

static void poison(const char *path, int count)
{
	struct gmem_persist_range_entry range;
	pthread_t other;
	int fd;

	while (count--) {
		struct gmem_persist_list list = { .entries = (uintptr_t)&range, .nr = 1 };
		struct meeting m = {};

		fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
		if (fd < 0 || ftruncate(fd, GRANULE) || unlink(path) ||
		    ioctl(fd, GMEM_PERSIST_GET_RANGES, &list))
			err(1, "%s", path);
		snprintf(m.page, sizeof(m.page), "%#llx", (unsigned long long)range.base + 0x7000);
		if (pthread_create(&other, NULL, damage, &m))
			err(1, "a thread");
		meet(&m);
		linger();
		close(fd);
		pthread_join(other, NULL);
	}
}

static void again(const char *path, int count)
{
	atomic_int *go = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			      -1, 0);
	int i, fd, status, done = 0;

	if (go == MAP_FAILED)
		err(1, "memory");
	for (i = 0; i < count; i++) {
		if (fork())
			continue;
		fd = open(path, O_WRONLY);
		atomic_fetch_add(go, 1);
		while (atomic_load(go) < count)
			sched_yield();
		exit(fd < 0 || write(fd, "1", 1) < 0 ? errno : 0);
	}
	while (wait(&status) > 0) {
		done += !status;
		if (status)
			printf("errno=%s\n", strerrorname_np(WEXITSTATUS(status)));
	}
	printf("done=%d\n", done);
}

int main(int argc, char **argv)
{
	if (argc > 4 && !strcmp(argv[1], "pay"))
		pay(argv[2], atoi(argv[3]), argv + 4);
	else if (argc == 4 && !strcmp(argv[1], "poison"))
		poison(argv[2], atoi(argv[3]));
	else if (argc == 4 && !strcmp(argv[1], "again"))
		again(argv[2], atoi(argv[3]));
	else
		errx(1, "usage: gmem-race pay FILE COUNT GROUP..., or poison|again FILE COUNT");
	return 0;
}
