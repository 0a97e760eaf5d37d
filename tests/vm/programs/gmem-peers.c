// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to take a guest's memory to the next kernel, by the ways of others and by ours.
 *
 *   gmem-peers preserve SESSION LEAF MIB...   a memfd of each size, full, in a session of the live
 *                                             update orchestrator; then print "holding", and stay
 *   gmem-peers retrieve SESSION LEAF MIB...   have them back, under the next kernel
 *   gmem-peers save KIND FILE MIB             memory of that kind and size, full, is written to a file
 *   gmem-peers load KIND FILE MIB             new memory of that kind is read from it
 *   gmem-peers freeze                         freeze the pool
 *   gmem-peers reclaim NAME                   have an object of it back, under the next kernel
 *   gmem-peers now                            the time, which goes on over a kexec, in ns
 *
 * KIND is anon (private memory, in huge pages where there are any), hugetlb (pages of 1 GiB) or gmem
 * (today's guest_memfd). LEAF is 4k or 2m, of which the memfds must consist. FILE is there before
 * and as long as it will be, or the time to make room for it would be counted, too.
 *
 * Prints key=value lines, times in ns:
 *
 *   preserve_ns_MIB, retrieve_ns_MIB   the ioctl
 *   save_ns_MIB                        all write()
 *   load_ns_MIB                        making the memory, and all read()
 *   freeze_ns                          writing 1 to "frozen"
 *   reclaim_ns                         the ioctl of KVM
 *   map_ns, map_ns_MIB                 until all of it is mapped: a read in each leaf
 *
 * What comes back is compared, a word of each page. Exit status: 0, or 1 with a message.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/liveupdate.h>
#include <linux/memfd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "pattern.h"
#include "vmm.h"

#define PAGE	4096UL
#define MIB	(1UL << 20)
#define GIB	(1UL << 30)
#define FROZEN	"/sys/kernel/mm/gmem_persist/frozen"

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000UL + t.tv_nsec;
}

static void print_ns(const char *what, uint64_t mib, uint64_t ns)
{
	printf("%s_ns_%lu=%lu\n", what, mib, ns);
	fflush(stdout);
}

/* An address at which leaves of any size can be */
static void *map(int fd, uint64_t size, int flags)
{
	char *p = mmap(NULL, size + GIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	if (p == MAP_FAILED)
		err(1, "no address space");
	p = (char *)(((uintptr_t)p + GIB - 1) & -GIB);
	p = mmap(p, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

static void fill(char *p, uint64_t size)
{
	for (uint64_t off = 0; off < size; off += PAGE)
		*(uint64_t *)(p + off) = pattern(off, size);
}

static void compare(const char *p, uint64_t size)
{
	for (uint64_t off = 0; off < size; off += PAGE)
		if (*(const uint64_t *)(p + off) != pattern(off, size))
			errx(1, "another word at %#lx of %#lx", off, size);
}

static uint64_t read_each(const char *p, uint64_t size, uint64_t leaf)
{
	const uint64_t start = now();

	for (uint64_t off = 0; off < size; off += leaf)
		(void)*(const volatile char *)(p + off);
	return now() - start;
}

/* How much of what this process has mapped is by leaves of 2 MiB */
static uint64_t mapped_huge(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	uint64_t kib = 0, n;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "ShmemPmdMapped: %lu", &n) == 1)
			kib += n;
	if (!file)
		err(1, "smaps_rollup");
	fclose(file);
	return kib << 10;
}

static void expect_leaves(uint64_t size, uint64_t leaf)
{
	const uint64_t huge = mapped_huge();

	if (huge != (leaf > PAGE ? size : 0))
		errx(1, "%#lx of %#lx are mapped by leaves of 2 MiB", huge, size);
}

/* Sessions of LUO */

static int open_luo(void)
{
	int luo = open("/dev/liveupdate", O_RDWR | O_CLOEXEC);

	if (luo < 0)
		err(1, "/dev/liveupdate");
	return luo;
}

static int preserve(const char *name, uint64_t leaf, int nr, char **mibs)
{
	struct liveupdate_ioctl_create_session session = { .size = sizeof(session) };
	const int luo = open_luo();

	snprintf((char *)session.name, sizeof(session.name), "%s", name);
	if (ioctl(luo, LIVEUPDATE_IOCTL_CREATE_SESSION, &session))
		err(1, "create session");
	for (int i = 0; i < nr; i++) {
		const uint64_t mib = strtoul(mibs[i], NULL, 0), size = mib * MIB;
		struct liveupdate_session_preserve_fd arg = { .size = sizeof(arg), .token = mib };
		uint64_t start;
		char *p;

		arg.fd = memfd_create("guest", 0);
		if (arg.fd < 0 || ftruncate(arg.fd, size))
			err(1, "memfd");
		p = map(arg.fd, size, MAP_SHARED);
		fill(p, size);
		expect_leaves(size, leaf);
		munmap(p, size);
		start = now();
		if (ioctl(session.fd, LIVEUPDATE_SESSION_PRESERVE_FD, &arg))
			err(1, "%lu MiB are not preserved", mib);
		print_ns("preserve", mib, now() - start);
	}
	for (puts("holding"), fflush(stdout);;)
		pause();
}

static int retrieve(const char *name, uint64_t leaf, int nr, char **mibs)
{
	struct liveupdate_ioctl_retrieve_session session = { .size = sizeof(session) };
	struct liveupdate_session_finish finish = { .size = sizeof(finish) };
	const int luo = open_luo();

	snprintf((char *)session.name, sizeof(session.name), "%s", name);
	if (ioctl(luo, LIVEUPDATE_IOCTL_RETRIEVE_SESSION, &session))
		err(1, "no session %s", name);
	for (int i = 0; i < nr; i++) {
		const uint64_t mib = strtoul(mibs[i], NULL, 0), size = mib * MIB;
		struct liveupdate_session_retrieve_fd arg = { .size = sizeof(arg), .token = mib };
		const uint64_t start = now();
		char *p;

		if (ioctl(session.fd, LIVEUPDATE_SESSION_RETRIEVE_FD, &arg))
			err(1, "%lu MiB are not there", mib);
		print_ns("retrieve", mib, now() - start);
		p = map(arg.fd, size, MAP_SHARED);
		print_ns("map", mib, read_each(p, size, leaf));
		expect_leaves(size, leaf);
		compare(p, size);
		munmap(p, size);
	}
	if (ioctl(session.fd, LIVEUPDATE_SESSION_FINISH, &finish))
		err(1, "finish");
	return 0;
}

/* Copies */

static char *make(const char *kind, uint64_t size)
{
	struct kvm_create_guest_memfd gmem = {
		.size = size,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	};
	int fd = -1, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *p;

	if (!strcmp(kind, "hugetlb")) {
		fd = memfd_create("guest", MFD_HUGETLB | MFD_HUGE_1GB);
		flags = MAP_SHARED;
		if (fd < 0 || ftruncate(fd, size))
			err(1, "hugetlb");
	} else if (!strcmp(kind, "gmem")) {
		fd = ioctl(create_vm(open_kvm(), KVM_X86_DEFAULT_VM), KVM_CREATE_GUEST_MEMFD,
			   &gmem);
		flags = MAP_SHARED;
		if (fd < 0)
			err(1, "KVM_CREATE_GUEST_MEMFD");
	} else if (strcmp(kind, "anon")) {
		errx(1, "no such kind: %s", kind);
	}
	p = map(fd, size, flags);
	if (!strcmp(kind, "anon") && madvise(p, size, MADV_HUGEPAGE))
		err(1, "MADV_HUGEPAGE");
	return p;
}

static int open_as_long(const char *path, int flags, uint64_t size)
{
	const int fd = open(path, flags);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", path);
	if ((uint64_t)st.st_size != size)
		errx(1, "%s has %ld bytes", path, st.st_size);
	return fd;
}

static void save(const char *kind, const char *path, uint64_t mib)
{
	const uint64_t size = mib * MIB;
	const int fd = open_as_long(path, O_WRONLY, size);
	char *p = make(kind, size);
	uint64_t start;

	fill(p, size);
	start = now();
	for (uint64_t off = 0; off < size; off += MIB)
		if (write(fd, p + off, MIB) != MIB)
			err(1, "write %s", path);
	print_ns("save", mib, now() - start);
}

static void load(const char *kind, const char *path, uint64_t mib)
{
	const uint64_t size = mib * MIB;
	const int fd = open_as_long(path, O_RDONLY, size);
	const uint64_t start = now();
	char *p = make(kind, size);

	for (uint64_t off = 0; off < size; off += MIB)
		if (read(fd, p + off, MIB) != MIB)
			err(1, "read %s", path);
	print_ns("load", mib, now() - start);
	compare(p, size);
}

/* Ours */

static void freeze(void)
{
	const int fd = open(FROZEN, O_WRONLY);
	uint64_t start;

	if (fd < 0)
		err(1, FROZEN);
	start = now();
	if (write(fd, "1", 1) != 1)
		err(1, "freeze");
	printf("freeze_ns=%lu\n", now() - start);
}

static void reclaim(const char *name)
{
	struct kvm_gmem_persist gmem = {
		.op = KVM_GMEM_PERSIST_RECLAIM,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	};
	const int vm = create_vm(open_kvm(), KVM_X86_DEFAULT_VM);
	struct stat st;
	uint64_t start;
	int fd;

	snprintf((char *)gmem.name, sizeof(gmem.name), "%s", name);
	start = now();
	fd = ioctl(vm, KVM_GMEM_PERSIST, &gmem);
	printf("reclaim_ns=%lu\n", now() - start);
	if (fd < 0 || fstat(fd, &st))
		err(1, "%s is not there", name);
	printf("map_ns=%lu\n", read_each(map(fd, st.st_size, MAP_SHARED), st.st_size, GIB));
}

/* The VM's TSC has 1 GHz. */
static void print_time(void)
{
	printf("%llu\n", __rdtsc());
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (argc > 4 && (!strcmp(what, "preserve") || !strcmp(what, "retrieve"))) {
		const uint64_t leaf = strcmp(argv[3], "2m") ? PAGE : 2 * MIB;

		return (*what == 'p' ? preserve : retrieve)(argv[2], leaf, argc - 4, argv + 4);
	}
	if (argc == 5 && !strcmp(what, "save"))
		save(argv[2], argv[3], strtoul(argv[4], NULL, 0));
	else if (argc == 5 && !strcmp(what, "load"))
		load(argv[2], argv[3], strtoul(argv[4], NULL, 0));
	else if (argc == 2 && !strcmp(what, "freeze"))
		freeze();
	else if (argc == 3 && !strcmp(what, "reclaim"))
		reclaim(argv[2]);
	else if (argc == 2 && !strcmp(what, "now"))
		print_time();
	else
		errx(1, "usage: see the head of gmem-peers.c");
	return 0;
}
