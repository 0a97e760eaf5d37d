// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that a device may access, and memory that it may not: VFIO type1, what iommufd offers
 * in its place, and QEMU's edu device, which copies between its own buffer and the addresses it
 * is told. See gmem-iommufd.c for more of iommufd.
 *
 *   gmem-vfio BUS:DEVICE.FUNCTION COMMAND...
 *
 *   dma       the device copies ordinary memory, by way of its buffer
 *   pool SIZE map SIZE bytes of persistent memory; prints the errno's name
 *   file PATH map 2 MiB of that file; prints the errno's name
 *   mixed     map a page of ordinary memory with one of persistent memory behind it;
 *             prints the errno's name. Then map the first one alone, at the same
 *             address for the device: nothing may be there any more.
 *   compat    with /dev/iommu for a container: the device copies persistent memory
 *
 * The device is bound to vfio-pci. Exit status: 0, or 1 for an error.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/kvm.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edu.h"
#include "vfio.h"
#include "vmm.h"

#define PAGE		4096ULL
#define GRANULE		(2ULL << 20)

/* The device reaches 28 bits of addresses. */
#define IOVA		0x100000ULL

static int container, device;
static volatile uint64_t *edu;

static void open_device(const char *bdf, const char *container_path)
{
	char path[256], link[256] = "";
	int group;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	if (readlink(path, link, sizeof(link) - 1) < 0)
		err(1, "%s", path);
	snprintf(path, sizeof(path), "/dev/vfio/%s", basename(link));

	container = open(container_path, O_RDWR);
	if (container < 0)
		err(1, "%s", container_path);
	group = open(path, O_RDWR);
	if (group < 0)
		err(1, "%s", path);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		err(1, "VFIO_GROUP_SET_CONTAINER");
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		err(1, "VFIO_SET_IOMMU");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (device < 0)
		err(1, "VFIO_GROUP_GET_DEVICE_FD");
	edu = vfio_enable(device);
}

/* 0 or -1 and errno */
static int map_dma(void *mem, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)mem,
		.iova = iova,
		.size = size,
	};

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

static void *anonymous(uint64_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		err(1, "memory");
	return mem;
}

/* A guest_memfd of persistent memory without a name */
static int pool_fd(uint64_t size)
{
	struct kvm_create_guest_memfd gmem = {
		.size = size,
		.flags = GUEST_MEMFD_FLAG_PERSIST | GUEST_MEMFD_FLAG_MMAP |
			 GUEST_MEMFD_FLAG_INIT_SHARED,
	};
	int vm = create_vm(open_kvm(), KVM_X86_DEFAULT_VM);
	int fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &gmem);

	if (fd < 0)
		err(1, "KVM_CREATE_GUEST_MEMFD");
	return fd;
}

static void dma(uint8_t *mem)
{
	unsigned int i;

	for (i = 0; i < PAGE; i++)
		mem[i] = i * 7 + 1;
	if (map_dma(mem, IOVA, 2 * PAGE))
		err(1, "VFIO_IOMMU_MAP_DMA");
	edu_copy(edu, IOVA, EDU_BUFFER, PAGE, 0);
	edu_copy(edu, EDU_BUFFER, IOVA + PAGE, PAGE, EDU_DMA_TO_RAM);
	if (memcmp(mem, mem + PAGE, PAGE))
		errx(1, "the device copied something else");
}

static void print_outcome(int result)
{
	printf("%s\n", result ? strerrorname_np(errno) : "mapped");
}

static void pool(uint64_t size)
{
	/* With room to align it, so that the largest leaves are tried. */
	uint64_t room = size + (1ULL << 30);
	char *space = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			   -1, 0);
	char *mem;

	if (space == MAP_FAILED)
		err(1, "address space");
	mem = (char *)(((uintptr_t)space + (1ULL << 30) - 1) & ~((1ULL << 30) - 1));
	if (mmap(mem, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, pool_fd(size),
		 0) == MAP_FAILED)
		err(1, "persistent memory");
	print_outcome(map_dma(mem, IOVA, PAGE));
	memset(mem, 1, size);
	print_outcome(map_dma(mem, 1ULL << 30, size));
}

static void mixed(void)
{
	char *mem = anonymous(2 * PAGE);

	mem[0] = 1;
	if (mmap(mem + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 pool_fd(GRANULE), 0) == MAP_FAILED)
		err(1, "persistent memory");
	mem[PAGE] = 2;
	print_outcome(map_dma(mem, IOVA, 2 * PAGE));
	if (map_dma(mem, IOVA, PAGE))
		err(1, "what was refused left something behind");
}

static uint8_t *map_file(uint64_t size, int fd)
{
	uint8_t *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mem == MAP_FAILED)
		err(1, "persistent memory");
	return mem;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		errx(1, "usage: gmem-vfio BUS:DEVICE.FUNCTION dma|pool SIZE|file PATH|mixed|compat");
	open_device(argv[1], strcmp(argv[2], "compat") ? "/dev/vfio/vfio" : "/dev/iommu");
	if (!strcmp(argv[2], "dma"))
		dma(anonymous(2 * PAGE));
	else if (!strcmp(argv[2], "compat"))
		dma(map_file(GRANULE, pool_fd(GRANULE)));
	else if (!strcmp(argv[2], "file") && argc == 4)
		print_outcome(map_dma(map_file(GRANULE, open(argv[3], O_RDWR)), IOVA, GRANULE));
	else if (!strcmp(argv[2], "pool") && argc == 4)
		pool(strtoull(argv[3], NULL, 0));
	else if (!strcmp(argv[2], "mixed"))
		mixed();
	else
		errx(1, "unknown command: %s", argv[2]);
	return 0;
}
