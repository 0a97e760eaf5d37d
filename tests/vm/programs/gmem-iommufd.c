// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of gmemfs that a device can reach by iommufd.
 *
 *   gmem-iommufd DEVICE PATH ACTION...
 *
 * DEVICE is "mock", the one of iommufd's own tests, whose page table can be looked at, or the
 * PCI address of QEMU's edu device, bound to vfio-pci, which copies between its own buffer and
 * the addresses that it is told; of these it reaches 28 bits. PATH is opened for reading and
 * writing, and mapped.
 *
 * Actions, in the order given. IOVA, OFFSET and SIZE are bytes, with K, M or G behind them;
 * OFFSET is that of the file.
 *   attach                      let the device use what is mapped, now and from now on
 *   detach                      no more
 *   file=IOVA:OFFSET:SIZE       map it for the device, by the file
 *   addr=IOVA:OFFSET:SIZE       by the address where it is mapped here
 *   ro                          from now on, for reading only
 *   readonly=PATH               have another file, open and mapped for reading only
 *   other=PATH                  have another file
 *   guest_memfd                 have the guest_memfd of a VM of its own in place of the file, whose
 *                               memory it is, and which stays mapped
 *   page=IOVA                   map a page of ordinary memory for it
 *   mixed=IOVA                  two pages, of which the second one is ordinary memory
 *   swapped=IOVA                two pages, of the file, but not in a row
 *   unmap=IOVA:SIZE             take it away; all: everything
 *   copy=IOVA:SIZE              have it in a second page table, too, which is the one that is
 *                               looked at from now on (mock); drop: not any more
 *   process                     IOMMU_IOAS_CHANGE_PROCESS
 *   same=IOVA:OFFSET:SIZE       what the device reaches at IOVA is what is mapped here at OFFSET
 *   reach=IOVA                  the device writes there and reads what it wrote (edu); or
 *                               something is mapped (mock)
 *   noreach=IOVA                the opposite
 *   access=IOVA                 let the kernel read there, as for a mediated device (mock)
 *   tables                      print tables=, the number of pages for page tables of IOMMUs,
 *                               more than the last time
 *   cost                        print what it costs to map and unmap 1 GiB, at 1 GiB, in ns: of the
 *                               file, of ordinary memory in pages of 4 KiB, of one hugetlb page
 *   close                       close the file and unmap it here; unmapped: unmap alone
 *   unlink                      take the name away
 *   bad=OFFSET                  a memory error in that page
 *   stream=IOVA:SIZE            print "waiting", and have the device write to pages there at random
 *                               until this process is killed, whatever it reaches (edu). SIGUSR1
 *                               drops its leaves here (MADV_DONTNEED), SIGUSR2 closes and unmaps the
 *                               file; it says "done" then
 *   streamed                    all that is mapped here is zero, or from such a stream
 *   idle                        wait until it writes no more of what another process told it (edu)
 *   wait=PATH                   print "waiting" and wait until there is such a file
 *
 * Exit status: 0; 1 if something is not so; 2 for a usage error; 3 if an action failed, and
 * "errno=NAME" and "failed=ACTION" are printed.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gmem_persist.h>
#include <linux/iommufd.h>
#include <linux/kvm.h>
#include <linux/vfio.h>
#include <signal.h>
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

#include "edu.h"
#include "iommufd_test.h"
#include "vfio.h"

#define PAGE		4096UL
#define GIB		(1UL << 30)

/* Where a page of ordinary memory is for the device, through which it is told what to write */
#define SCRATCH		0x1800000UL

/* Of what a stream writes */
#define STREAM_BYTE	0xed

static bool mock;
static int iommu, cdev, file;
static const char *path;
static uint32_t ioas, ioas2, stdev, hwpt;
static uint32_t access_mode = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
static volatile uint64_t *edu;
static uint8_t *scratch, *mem;
static uint64_t mem_size;

static const char *action;

static void must(int result)
{
	if (result >= 0)
		return;
	printf("errno=%s\nfailed=%s\n", strerrorname_np(errno), action);
	exit(3);
}

static void complain(const char *what)
{
	printf("wrong=%s: %s\n", action, what);
	exit(1);
}

static uint64_t number(char **at)
{
	uint64_t n = strtoull(*at, at, 0);

	switch (**at) {
	case 'G':
		n <<= 10;
		/* fallthrough */
	case 'M':
		n <<= 10;
		/* fallthrough */
	case 'K':
		n <<= 10;
		++*at;
	}
	if (**at == ':')
		++*at;
	return n;
}

static void *anonymous(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "memory");
	memset(p, 0, size);
	return p;
}

static void have_file(const char *name, bool write)
{
	struct stat st;

	path = name;
	file = open(path, write ? O_RDWR : O_RDONLY);
	must(file);
	if (fstat(file, &st))
		err(1, "%s", path);
	mem_size = st.st_size;
	/* What is private cannot be mapped here, either. */
	mem = mmap(NULL, mem_size ?: PAGE, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, file, 0);
}

static void have_guest_memfd(void)
{
	const int vm = ioctl(open("/dev/kvm", O_RDWR), KVM_CREATE_VM, 0UL);
	struct kvm_create_guest_memfd args = {
		.size = mem_size,
		.flags = GUEST_MEMFD_FLAG_USE_RESOURCE | GUEST_MEMFD_FLAG_MMAP |
			 GUEST_MEMFD_FLAG_INIT_SHARED,
		.resource_fd = file,
	};

	if (vm < 0)
		err(1, "KVM_CREATE_VM");
	file = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);
	if (file < 0)
		err(1, "KVM_CREATE_GUEST_MEMFD");
}

static uint8_t *memory(uint64_t offset)
{
	if (mem == MAP_FAILED)
		errx(1, "%s is not mapped", path);
	return mem + offset;
}

/* Devices */

static struct iommu_test_cmd mock_cmd(uint32_t op, uint32_t id)
{
	return (struct iommu_test_cmd){ .size = sizeof(struct iommu_test_cmd), .op = op, .id = id };
}

static int mock_do(struct iommu_test_cmd *cmd)
{
	return ioctl(iommu, _IO(IOMMUFD_TYPE, IOMMUFD_CMD_BASE + 32), cmd);
}

static uint32_t new_ioas(void)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	if (ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc))
		err(1, "IOMMU_IOAS_ALLOC");
	return alloc.out_ioas_id;
}

static void destroy(uint32_t id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	must(ioctl(iommu, IOMMU_DESTROY, &cmd));
}

static void mock_attach(uint32_t to, uint32_t *id, uint32_t *table)
{
	struct iommu_test_cmd cmd = mock_cmd(IOMMU_TEST_OP_MOCK_DOMAIN, to);

	must(mock_do(&cmd));
	*id = cmd.mock_domain.out_stdev_id;
	*table = cmd.mock_domain.out_hwpt_id;
}

static int open_cdev(const char *bdf)
{
	char name[512];
	struct dirent *entry;
	int fd = -1;
	DIR *dir;

	snprintf(name, sizeof(name), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	dir = opendir(name);
	if (!dir)
		err(1, "%s", name);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "/dev/vfio/devices/%s", entry->d_name);
		fd = open(name, O_RDWR);
	}
	if (fd < 0)
		err(1, "the device's file in /dev/vfio/devices");
	return fd;
}

static void open_edu(const char *bdf)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommu };

	cdev = open_cdev(bdf);
	if (ioctl(cdev, VFIO_DEVICE_BIND_IOMMUFD, &bind))
		err(1, "VFIO_DEVICE_BIND_IOMMUFD");
	edu = vfio_enable(cdev);
}

static void attach(void)
{
	struct vfio_device_attach_iommufd_pt cmd = { .argsz = sizeof(cmd), .pt_id = ioas };

	if (mock)
		mock_attach(ioas, &stdev, &hwpt);
	else
		must(ioctl(cdev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd));
}

static void detach(void)
{
	struct vfio_device_detach_iommufd_pt cmd = { .argsz = sizeof(cmd) };

	if (mock)
		destroy(stdev);
	else
		must(ioctl(cdev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd));
}

/* What the device reads at an address, or nothing, is in the scratch page then. */
static void read_by_device(uint64_t iova)
{
	edu_copy(edu, iova, EDU_BUFFER, PAGE, 0);
	edu_copy(edu, EDU_BUFFER, SCRATCH, PAGE, EDU_DMA_TO_RAM);
}

static void write_by_device(uint64_t iova)
{
	edu_copy(edu, SCRATCH, EDU_BUFFER, PAGE, 0);
	edu_copy(edu, EDU_BUFFER, iova, PAGE, EDU_DMA_TO_RAM);
}

static bool edu_reaches(uint64_t iova)
{
	static uint8_t seed;
	uint8_t wrote[PAGE];
	unsigned int i;

	seed += 17;
	for (i = 0; i < PAGE; i++)
		wrote[i] = i * 7 + seed;
	memcpy(scratch, wrote, PAGE);
	write_by_device(iova);
	/* Its buffer must not be what it has just written. */
	memset(scratch, 0, PAGE);
	edu_copy(edu, SCRATCH, EDU_BUFFER, PAGE, 0);
	read_by_device(iova);
	return !memcmp(scratch, wrote, PAGE);
}

/* Has the mock device's page table what is mapped, and has been touched, at an address here? */
static bool mock_is(uint64_t iova, const void *addr, uint64_t size)
{
	struct iommu_test_cmd cmd = mock_cmd(IOMMU_TEST_OP_MD_CHECK_MAP, hwpt);

	cmd.check_map.iova = iova;
	cmd.check_map.uptr = (uintptr_t)addr;
	cmd.check_map.length = size;
	if (!mock_do(&cmd))
		return true;
	if (errno != EINVAL)
		err(1, "looking into the page table");
	return false;
}

/* Actions */

static int map_user(uint64_t iova, const void *addr, uint64_t size)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = access_mode | IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = ioas,
		.user_va = (uintptr_t)addr,
		.length = size,
		.iova = iova,
	};

	return ioctl(iommu, IOMMU_IOAS_MAP, &map);
}

static int map_file(uint64_t iova, uint64_t offset, uint64_t size)
{
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = access_mode | IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = ioas,
		.fd = file,
		.start = offset,
		.length = size,
		.iova = iova,
	};

	return ioctl(iommu, IOMMU_IOAS_MAP_FILE, &map);
}

static int unmap(uint64_t iova, uint64_t size)
{
	struct iommu_ioas_unmap cmd = {
		.size = sizeof(cmd),
		.ioas_id = ioas,
		.iova = iova,
		.length = size,
	};

	return ioctl(iommu, IOMMU_IOAS_UNMAP, &cmd);
}

static int copy(uint64_t iova, uint64_t size)
{
	struct iommu_ioas_copy cmd = {
		.size = sizeof(cmd),
		.flags = access_mode | IOMMU_IOAS_MAP_FIXED_IOVA,
		.src_ioas_id = ioas,
		.length = size,
		.src_iova = iova,
		.dst_iova = iova,
	};
	uint32_t id;

	ioas2 = new_ioas();
	if (mock)
		mock_attach(ioas2, &id, &hwpt);
	cmd.dst_ioas_id = ioas2;
	return ioctl(iommu, IOMMU_IOAS_COPY, &cmd);
}

static int drop(void)
{
	struct iommu_ioas_unmap cmd = {
		.size = sizeof(cmd),
		.ioas_id = ioas2,
		.length = UINT64_MAX,
	};

	return ioctl(iommu, IOMMU_IOAS_UNMAP, &cmd);
}

static int map_mixed(uint64_t iova)
{
	uint8_t *p = anonymous(2 * PAGE);

	if (mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED)
		err(1, "mixed memory");
	return map_user(iova, p, 2 * PAGE);
}

static int map_swapped(uint64_t iova)
{
	uint8_t *p = anonymous(2 * PAGE);

	if (mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, PAGE) == MAP_FAILED ||
	    mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) ==
	    MAP_FAILED)
		err(1, "swapped memory");
	return map_user(iova, p, 2 * PAGE);
}

/* The kernel's own access, as of a mediated device */
static int access_by_kernel(uint64_t iova)
{
	struct iommu_test_cmd create = mock_cmd(IOMMU_TEST_OP_CREATE_ACCESS, ioas);
	struct iommu_test_cmd rw = mock_cmd(IOMMU_TEST_OP_ACCESS_RW, 0);
	uint8_t buffer[16];

	must(mock_do(&create));
	rw.id = create.create_access.out_access_fd;
	rw.access_rw.iova = iova;
	rw.access_rw.length = sizeof(buffer);
	rw.access_rw.uptr = (uintptr_t)buffer;
	return mock_do(&rw);
}

static void same(uint64_t iova, uint64_t offset, uint64_t size)
{
	uint64_t at;

	for (at = 0; at < size; at += PAGE) {
		uint64_t part = size - at < PAGE ? size - at : PAGE;
		uint8_t *here = memory(offset + at);

		/* There is an entry in our page table then. */
		*(volatile uint8_t *)here += 1;
		if (mock && !mock_is(iova + at, here, part))
			complain("it is something else");
		if (!mock && (!edu_reaches(iova + at) || memcmp(here, scratch, PAGE)))
			complain("the device reached something else");
	}
}

static void reach(uint64_t iova, bool yes)
{
	bool does;

	/* What the mock device's table is compared with: the first page, which it is about */
	if (mock)
		*(volatile uint8_t *)memory(0);
	does = mock ? mock_is(iova, memory(0), PAGE) : edu_reaches(iova);

	if (does != yes)
		complain(does ? "the device reaches it" : "the device does not reach it");
}

static long table_pages(void)
{
	static long last;
	long now = -1, more;
	char line[128];
	FILE *f = fopen("/proc/sys/vm/stat_refresh", "w");

	/* Each CPU has some that are not in the sum yet. */
	if (!f || fputs("1", f) < 0 || fclose(f))
		err(1, "stat_refresh");
	f = fopen("/proc/vmstat", "r");
	if (!f)
		err(1, "vmstat");
	while (fgets(line, sizeof(line), f))
		sscanf(line, "nr_iommu_pages %ld", &now);
	fclose(f);
	if (now < 0)
		errx(1, "no nr_iommu_pages");
	more = now - last;
	last = now;
	return more;
}

static void make_bad(uint64_t offset)
{
	struct gmem_persist_range_entry range;
	struct gmem_persist_list args = {
		.start = offset,
		.nr = 1,
		.entries = (uintptr_t)&range,
	};
	int fd = open("/sys/devices/system/memory/hard_offline_page", O_WRONLY);
	char text[32];

	if (ioctl(file, GMEM_PERSIST_GET_RANGES, &args) || args.nr != 1)
		err(1, "where the page is");
	snprintf(text, sizeof(text), "0x%llx", range.base + (offset - range.offset));
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "hard_offline_page");
	close(fd);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void wait_for(const char *name)
{
	printf("waiting\n");
	fflush(stdout);
	while (access(name, F_OK))
		usleep(10000);
}

/* A punch may come in the middle of a page. */
static void streamed(void)
{
	uint64_t i;

	for (i = 0; i < mem_size; i++)
		if (mem[i] && mem[i] != STREAM_BYTE)
			complain("something else is there");
}

static void unmap_here(void)
{
	if (mem != MAP_FAILED)
		munmap(mem, mem_size);
	mem = MAP_FAILED;
}

static void unmap_and_close(void)
{
	unmap_here();
	close(file);
}

/* In the middle of a stream */
static void on_user_signal(int sig)
{
	static const char done[] = "done\n";

	if (sig == SIGUSR2)
		unmap_and_close();
	else if (madvise(mem, mem_size, MADV_DONTNEED))
		_exit(1);
	if (write(STDOUT_FILENO, done, sizeof(done) - 1) < 0)
		_exit(1);
}

static void stream(uint64_t iova, uint64_t size)
{
	memset(scratch, STREAM_BYTE, PAGE);
	edu_copy(edu, SCRATCH, EDU_BUFFER, PAGE, 0);
	signal(SIGUSR1, on_user_signal);
	signal(SIGUSR2, on_user_signal);
	printf("waiting\n");
	fflush(stdout);
	srandom(now_ns());
	for (;;)
		edu_copy(edu, EDU_BUFFER, iova + random() % (size / PAGE) * PAGE, PAGE,
			 EDU_DMA_TO_RAM);
}

/* 1 GiB of such memory that is there, to be mapped and unmapped once before that counts */
static void cost_of(const char *key, void *addr)
{
	uint64_t start = 0;
	int i;

	for (i = 0; i < 2; i++) {
		start = now_ns();
		must(addr ? map_user(GIB, addr, GIB) : map_file(GIB, 0, GIB));
		must(unmap(GIB, GIB));
	}
	printf("%s=%lu\n", key, now_ns() - start);
}

static void cost(void)
{
	uint8_t *plain = mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *huge = mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
			     MAP_HUGETLB | 30 << MAP_HUGE_SHIFT, -1, 0);

	if (plain == MAP_FAILED || huge == MAP_FAILED || madvise(plain, GIB, MADV_NOHUGEPAGE))
		err(1, "memory");
	memset(plain, 1, GIB);
	huge[0] = 1;
	cost_of("iommufd_pool", NULL);
	cost_of("iommufd_4k", plain);
	cost_of("iommufd_hugetlb_1g", huge);
}

static bool do_ranges(const char *verb, char *args)
{
	uint64_t iova = number(&args), offset = number(&args), size = number(&args);

	if (!strcmp(verb, "file"))
		must(map_file(iova, offset, size));
	else if (!strcmp(verb, "addr"))
		must(map_user(iova, memory(offset), size));
	else if (!strcmp(verb, "same"))
		same(iova, offset, size);
	else if (!strcmp(verb, "unmap"))
		must(unmap(iova, offset));
	else if (!strcmp(verb, "copy"))
		must(copy(iova, offset));
	else if (!strcmp(verb, "page"))
		must(map_user(iova, anonymous(PAGE), PAGE));
	else if (!strcmp(verb, "mixed"))
		must(map_mixed(iova));
	else if (!strcmp(verb, "swapped"))
		must(map_swapped(iova));
	else if (!strcmp(verb, "reach") || !strcmp(verb, "noreach"))
		reach(iova, *verb == 'r');
	else if (!strcmp(verb, "access"))
		must(access_by_kernel(iova));
	else if (!strcmp(verb, "bad"))
		make_bad(iova);
	else if (!strcmp(verb, "stream"))
		stream(iova, offset);
	else
		return false;
	return true;
}

static bool do_plain(const char *verb)
{
	struct iommu_ioas_change_process process = { .size = sizeof(process) };

	if (!strcmp(verb, "attach"))
		attach();
	else if (!strcmp(verb, "detach"))
		detach();
	else if (!strcmp(verb, "ro"))
		access_mode = IOMMU_IOAS_MAP_READABLE;
	else if (!strcmp(verb, "guest_memfd"))
		have_guest_memfd();
	else if (!strcmp(verb, "all"))
		must(unmap(0, UINT64_MAX));
	else if (!strcmp(verb, "drop"))
		must(drop());
	else if (!strcmp(verb, "process"))
		must(ioctl(iommu, IOMMU_IOAS_CHANGE_PROCESS, &process));
	else if (!strcmp(verb, "tables"))
		printf("tables=%ld\n", table_pages());
	else if (!strcmp(verb, "cost"))
		cost();
	else if (!strcmp(verb, "unmapped"))
		unmap_here();
	else if (!strcmp(verb, "idle"))
		edu_wait(edu);
	else if (!strcmp(verb, "streamed"))
		streamed();
	else if (!strcmp(verb, "unlink"))
		must(unlink(path));
	else
		return false;
	return true;
}

static bool do_action(char *words)
{
	char verb[16] = "", *args = strchr(words, '=');

	if (!strcmp(words, "close")) {
		unmap_and_close();
		return true;
	}
	if (!args)
		return do_plain(words);
	snprintf(verb, sizeof(verb), "%.*s", (int)(args - words), words);
	args++;
	if (!strcmp(verb, "readonly") || !strcmp(verb, "other"))
		have_file(args, *verb == 'o');
	else if (!strcmp(verb, "wait"))
		wait_for(args);
	else
		return do_ranges(verb, args);
	return true;
}

int main(int argc, char **argv)
{
	int i;

	if (argc < 4)
		errx(2, "usage: gmem-iommufd mock|BUS:DEVICE.FUNCTION PATH ACTION...");
	iommu = open("/dev/iommu", O_RDWR);
	if (iommu < 0)
		err(1, "/dev/iommu");
	mock = !strcmp(argv[1], "mock");
	if (!mock)
		open_edu(argv[1]);
	ioas = new_ioas();
	action = "open";
	have_file(argv[2], true);
	if (!mock) {
		scratch = anonymous(PAGE);
		if (map_user(SCRATCH, scratch, PAGE))
			err(1, "the scratch page");
	}
	for (i = 3; i < argc; i++) {
		action = argv[i];
		if (!do_action(argv[i]))
			errx(2, "no such action: %s", argv[i]);
	}
	return 0;
}
