// SPDX-License-Identifier: GPL-2.0
/*
 * A tenant who takes many of one kind.
 *
 *   gmem-hoard KIND COUNT FILE
 *
 * FILE is a file in the root of gmemfs, with 2 MiB of memory. Makes COUNT of KIND and says "holding";
 * for each line that it reads, the same once more. Keeps them until it is ended. KIND is
 *   names           files beside it, FILE.0 and so on, which are not open; these stay
 *   directories     likewise
 *   memory          likewise, each with 2 MiB
 *   handles         it is open so often
 *   nameless        files of 2 MiB without a name
 *   mappings        it is mapped so often, and never used
 *   large           mapped 1 GiB apart, and read: each by a leaf of 2 MiB
 *   small           mapped 1 GiB apart, not aligned, and read: each by a leaf of 4 KiB
 *   claims          nameless ones, each the memory of a guest_memfd of one VM
 *   devices         it is mapped by iommufd so often
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "vmm.h"

#define GRANULE		(2UL << 20)
#define GIB		(1UL << 30)

static const char *file;
static char folder[PATH_MAX];

static void name(unsigned int n, bool directory, uint64_t size)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s.%u", file, n);
	fd = directory ? mkdir(path, 0700) : open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || (size && ftruncate(fd, size)))
		err(1, "%s", path);
	if (!directory)
		close(fd);
}

static int handle(bool nameless)
{
	int fd = nameless ? open(folder, O_TMPFILE | O_RDWR, 0600) : open(file, O_RDWR);

	if (fd < 0 || (nameless && ftruncate(fd, GRANULE)))
		err(1, "opening %s", nameless ? folder : file);
	return fd;
}

static void map(int fd, size_t distance, size_t shift, bool read)
{
	static char *at;
	char *here;

	if (!at) {
		at = mmap(NULL, 1UL << 45, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (at == MAP_FAILED)
			err(1, "mmap");
		at = (char *)(((uintptr_t)at + GIB - 1) & -GIB);
	}
	here = mmap(at + shift, GRANULE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	if (here == MAP_FAILED)
		err(1, "mmap");
	if (read)
		(void)*(volatile char *)here;
	at += distance;
}

static void claim(void)
{
	static int vm = -1;
	struct kvm_create_guest_memfd gmem = {
		.size = GRANULE,
		.flags = GUEST_MEMFD_FLAG_USE_RESOURCE | GUEST_MEMFD_FLAG_MMAP |
			 GUEST_MEMFD_FLAG_INIT_SHARED,
		.resource_fd = handle(true),
	};

	if (vm < 0)
		vm = create_vm(open_kvm(), KVM_X86_DEFAULT_VM);
	if (ioctl(vm, KVM_CREATE_GUEST_MEMFD, &gmem) < 0)
		err(1, "KVM_CREATE_GUEST_MEMFD");
	close(gmem.resource_fd);
}

static void device(int fd, unsigned int n)
{
	static struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_ioas_map_file cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
		.fd = fd,
		.length = GRANULE,
		.iova = (n + 1) * GRANULE,
	};
	static int iommu = -1;

	if (iommu < 0) {
		iommu = open("/dev/iommu", O_RDWR);
		if (iommu < 0 || ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc))
			err(1, "/dev/iommu");
	}
	cmd.ioas_id = alloc.out_ioas_id;
	if (ioctl(iommu, IOMMU_IOAS_MAP_FILE, &cmd))
		err(1, "IOMMU_IOAS_MAP_FILE");
}

int main(int argc, char **argv)
{
	const char *kind = argv[1];
	unsigned int count, n;
	int fd, c;

	if (argc != 4)
		errx(2, "usage: gmem-hoard KIND COUNT FILE");
	count = atoi(argv[2]);
	file = argv[3];
	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(file, '/') - file), file);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit) { 1 << 16, 1 << 16 });
	fd = handle(false);
	for (n = 0; ; n++) {
		if (n && n % count == 0) {
			printf("holding\n");
			fflush(stdout);
			while ((c = getchar()) != '\n')
				if (c == EOF)
					pause();
		}
		if (!strcmp(kind, "names"))
			name(n, false, 0);
		else if (!strcmp(kind, "directories"))
			name(n, true, 0);
		else if (!strcmp(kind, "memory"))
			name(n, false, GRANULE);
		else if (!strcmp(kind, "handles"))
			handle(false);
		else if (!strcmp(kind, "nameless"))
			handle(true);
		else if (!strcmp(kind, "mappings"))
			map(fd, GRANULE + 4096, 0, false);
		else if (!strcmp(kind, "large"))
			map(fd, GIB, 0, true);
		else if (!strcmp(kind, "small"))
			map(fd, GIB, 4096, true);
		else if (!strcmp(kind, "claims"))
			claim();
		else if (!strcmp(kind, "devices"))
			device(fd, n);
		else
			errx(2, "%s: no such kind", kind);
	}
}
