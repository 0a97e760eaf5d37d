// SPDX-License-Identifier: GPL-2.0
/*
 * What one operation costs beside many parked objects, and what the objects cost.
 *
 *   gmem-scale fill COUNT SECONDS       make the objects n0, n1, ... of 2 MiB that are not
 *                                       there yet, until there are COUNT of them
 *   gmem-scale operations COUNT TIMES   time each operation so often beside COUNT of them,
 *                                       which are there again at the end
 *   gmem-scale storm COUNT SECONDS      COUNT VMMs, one after the other, each reclaim another
 *   gmem-scale memory                   how much memory nobody has, after caches are dropped
 *
 * The file system of the pool is mounted at /gmem. Prints key=value lines, times in ns:
 *
 *   create_ns_COUNT, reclaim_ns_COUNT   the ioctl, on the fd of a VM that has nothing yet
 *   unlink_ns_COUNT                     unlink() of a file that nobody uses
 *   stat_ns_COUNT                       stat() of a file that nobody uses
 *   ls_ns_COUNT                         reading the directory, by how many names are in it
 *   freeze_ns_COUNT                     writing 1 to "frozen"; needs a loaded kernel
 *   storm_ns_COUNT, storm_done_COUNT    the sum of the ioctls by which so many reclaimed
 *   fill_ns_COUNT, fill_done_COUNT      all of making so many
 *   free_bytes                          of Linux's memory
 *
 * Those of the first five lines are medians, of creation and of reading the directory from a
 * quarter of TIMES. Creation leaves the others beside each until all are done. It gets clean
 * memory, if the pool was clean.
 * Making and ending a VM, and closing what it got, is in none of the times but that of fill,
 * which needs one VM. A fill, or a storm, that takes longer than SECONDS stops there.
 *
 * Exit status: 0; 3 if fewer objects could be made (why=NAME, or why=time); 1 with a message.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vmm.h"

#define POOL		"/sys/kernel/mm/gmem_persist/"
#define FS		"/gmem/"
#define SIZE		(2UL << 20)
#define PAGE		4096UL
#define MAX_TIMES	1000

static int kvm;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000UL + t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void print_median(const char *what, unsigned int count, uint64_t *ns, unsigned int times)
{
	qsort(ns, times, sizeof(*ns), by_value);
	printf("%s_ns_%u=%lu\n", what, count, ns[times / 2]);
	fflush(stdout);
}

/* An object by its name: the fd of its memory, or -1 and errno */
static int persist(int vm, uint32_t op, char prefix, unsigned int i)
{
	struct kvm_gmem_persist gmem = {
		.op = op,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
		.size = SIZE,
	};

	snprintf((char *)gmem.name, sizeof(gmem.name), "%c%u", prefix, i);
	return ioctl(vm, KVM_GMEM_PERSIST, &gmem);
}

/* One VMM's life. Returns how long it takes to get the memory. */
static uint64_t vmm(uint32_t op, char prefix, unsigned int i)
{
	const int vm = create_vm(kvm, KVM_X86_DEFAULT_VM);
	const uint64_t start = now();
	const int fd = persist(vm, op, prefix, i);
	const uint64_t ns = now() - start;

	if (fd < 0)
		err(1, "%s %c%u", op == KVM_GMEM_PERSIST_CREATE ? "create" : "reclaim", prefix, i);
	close(fd);
	close(vm);
	return ns;
}

static uint64_t take_name(char prefix, unsigned int i)
{
	char path[64];
	uint64_t start;

	snprintf(path, sizeof(path), FS "%c%u", prefix, i);
	start = now();
	if (unlink(path))
		err(1, "unlink %s", path);
	return now() - start;
}

static uint64_t stat_name(char prefix, unsigned int i)
{
	char path[64];
	struct stat st;
	uint64_t start;

	snprintf(path, sizeof(path), FS "%c%u", prefix, i);
	start = now();
	if (stat(path, &st))
		err(1, "stat %s", path);
	return now() - start;
}

/* What one name costs of reading all, without any stat() */
static uint64_t list_names(void)
{
	const uint64_t start = now();
	DIR *dir = opendir(FS);
	unsigned int names = 0;

	if (!dir)
		err(1, FS);
	while (readdir(dir))
		names++;
	closedir(dir);
	return (now() - start) / names;
}

static int fill(unsigned int count, uint64_t seconds)
{
	const int vm = create_vm(kvm, KVM_X86_DEFAULT_VM);
	const uint64_t start = now();
	const char *why = NULL;
	unsigned int i, made = 0;

	for (i = 0; i < count; i++) {
		int fd = persist(vm, KVM_GMEM_PERSIST_CREATE, 'n', i);

		if (fd < 0 && errno == EEXIST)
			continue;
		if (fd < 0) {
			why = strerrorname_np(errno);
			break;
		}
		close(fd);
		made++;
		if (now() - start > seconds * 1000000000) {
			why = "time";
			break;
		}
	}
	printf("fill_ns_%u=%lu\nfill_done_%u=%u\n", count, now() - start, count, made);
	if (why)
		printf("why=%s\n", why);
	return why ? 3 : 0;
}

static void write_frozen(int fd, const char *text)
{
	if (pwrite(fd, text, 1, 0) != 1)
		err(1, "frozen: %s", text);
}

static int operations(unsigned int count, unsigned int times)
{
	const int frozen = open(POOL "frozen", O_WRONLY);
	const unsigned int creations = (times + 3) / 4;
	uint64_t ns[MAX_TIMES];
	unsigned int i;

	if (frozen < 0)
		err(1, "frozen");

	/*
	 * More than there are, but few, and they stay until the last is made: the place that an
	 * object leaves is the first to be used again, and is not clean.
	 */
	for (i = 0; i < creations; i++)
		ns[i] = vmm(KVM_GMEM_PERSIST_CREATE, 'x', i);
	print_median("create", count, ns, creations);
	for (i = 0; i < creations; i++)
		take_name('x', i);

	/* From all over the objects, old and new */
	for (i = 0; i < times; i++)
		ns[i] = vmm(KVM_GMEM_PERSIST_RECLAIM, 'n', (uint64_t)i * count / times);
	print_median("reclaim", count, ns, times);

	for (i = 0; i < times; i++)
		ns[i] = stat_name('n', (uint64_t)i * count / times);
	print_median("stat", count, ns, times);
	for (i = 0; i < creations; i++)
		ns[i] = list_names();
	print_median("ls", count, ns, creations);

	for (i = 0; i < times; i++) {
		const unsigned int n = (uint64_t)i * count / times;

		ns[i] = take_name('n', n);
		vmm(KVM_GMEM_PERSIST_CREATE, 'n', n);
	}
	print_median("unlink", count, ns, times);

	for (i = 0; i < times; i++) {
		const uint64_t start = now();

		write_frozen(frozen, "1");
		ns[i] = now() - start;
		write_frozen(frozen, "0");
	}
	print_median("freeze", count, ns, times);
	return 0;
}

static int storm(unsigned int count, uint64_t seconds)
{
	/* A prime: the order has nothing to do with that of their making, nor a part of it. */
	const uint64_t step = 7919;
	uint64_t ns = 0;
	unsigned int i;

	for (i = 0; i < count && ns <= seconds * 1000000000; i++)
		ns += vmm(KVM_GMEM_PERSIST_RECLAIM, 'n', i * step % count);
	printf("storm_ns_%u=%lu\nstorm_done_%u=%u\n", count, ns, count, i);
	return 0;
}

/* Pages that are free: what zones have, and what CPUs keep at hand, which MemFree leaves out */
static uint64_t free_bytes(void)
{
	uint64_t pages = 0, n;
	char line[128];
	FILE *file = fopen("/proc/zoneinfo", "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, " pages free %lu", &n) == 1 || sscanf(line, " count: %lu", &n) == 1)
			pages += n;
	if (!pages)
		errx(1, "no pages in /proc/zoneinfo");
	fclose(file);
	return pages * PAGE;
}

static int memory(void)
{
	uint64_t before, found = 0;
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (fd < 0)
		err(1, "drop_caches");
	/* As long as that helps: much is freed a grace period later. */
	do {
		before = found;
		if (pwrite(fd, "3", 1, 0) != 1)
			err(1, "drop_caches");
		found = free_bytes();
	} while (found > before);
	printf("free_bytes=%lu\n", found);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	const unsigned int count = argc == 4 ? atoi(argv[2]) : 0;
	const unsigned int n = argc == 4 ? atoi(argv[3]) : 0;

	kvm = open_kvm();
	if (argc == 2 && !strcmp(what, "memory"))
		return memory();
	if (count && !strcmp(what, "fill"))
		return fill(count, n);
	if (count && n && n <= MAX_TIMES && !strcmp(what, "operations"))
		return operations(count, n);
	if (count && !strcmp(what, "storm"))
		return storm(count, n);
	errx(1, "usage: gmem-scale fill|storm COUNT SECONDS | operations COUNT TIMES | memory");
}
