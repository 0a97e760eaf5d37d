// SPDX-License-Identifier: GPL-2.0
/*
 * The first and only process of a Linux guest: a workload that notices when its
 * memory is not what it was. Words of the guest's command line:
 *
 *   set=MIB      the working set (default 16)
 *   hold=N       keep memory that was plugged for N sweeps (default: for ever)
 *   spare=MIB    have all free memory but so much, from the fifth sweep on (default: none of it)
 *
 * Each tenth of a second it takes the next pages of the working set, and the next
 * block of a file in its tmpfs, compares all words of them with what it wrote there
 * before, and writes others. Then it says so on its console:
 *
 *   tick N up=SECONDS sweeps=N disks=N mem=MIB nvme=MIB edu=N more=MIB net=N had=MIB bad=N
 *
 * up is CLOCK_BOOTTIME, disks how many disks (/dev/vda, /dev/sda and so on) it has, of which it
 * overwrites and compares the first 4 MiB, by direct I/O; mem is all memory that its kernel has.
 * All of the working set was compared once more when sweeps has gone up by two. What is found wrong
 * is said in lines "bad: ...", and what the guest's kernel has to complain about (warnings and
 * worse, after the first tick) in lines "log: ...".
 *
 * Devices that may come and go: while there is a /dev/nvme0n1, as large as the working set, each
 * page goes there and comes back to where it was at the next sweep; nvme is how much came back
 * right, since the disk has come, and what is on the disk outlives its absence. With an edu device
 * of QEMU's, edu is how many pages that has copied, also since it has come, up to EDU_PAGES; after
 * these nobody uses it. Of memory that is plugged, three quarters are used like the working set;
 * more is how much of that was compared, from the first plug on. If there is an eth0, frames go out
 * by it, and net is how many came back as they were, from whoever answers there (gmem-echo).
 *
 * Of the memory that spare= is about, had in MiB, a word of each page is written at each sweep, so that
 * it is mapped. It takes what a balloon gives back, and makes room for one.
 *
 * The guest's kernel may be one that has drivers as modules: those in /modules are loaded.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <linux/module.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "edu.h"
#include "frame.h"

#define PAGE		4096UL
#define FILE_PAGES	64
#define MAX_DISKS	64
#define DISK_BLOCKS	64
#define BLOCK_PAGES	16
#define TICK_NS		100000000
/* Of the working set, at each tick */
#define TICKS_PER_SWEEP	16
/* Pages that go to a disk, and come back, at once */
#define CHUNK		16
/* A device that goes fails before its name is gone. */
#define TICKS_OF_GRACE	100
/* Memory that has come is all there when there has not been more for so many ticks. */
#define STEADY		10
#define NVME		"/dev/nvme0n1"
#define EDU_PAGES	16
/* So much is taken or given back at once. */
#define HAD_SIZE	(4UL << 20)
#define MAX_HAD		1024
/* A record of the kernel's log is no longer. */
#define LOG_RECORD	8192
#define LOG_WARNING	4

static unsigned long bad;

/* Each version of each page is another one, and says where it belongs. */
static uint64_t word(uint64_t page, unsigned int i, uint32_t version)
{
	return pattern(page * PAGE + i * sizeof(uint64_t), (uint64_t)version << 40);
}

static void fill(uint64_t *page, uint64_t index, uint32_t version)
{
	for (unsigned int i = 0; i < PAGE / sizeof(*page); i++)
		page[i] = word(index, i, version);
}

static void compare(const char *what, const uint64_t *page, uint64_t index,
		    uint32_t version)
{
	for (unsigned int i = 0; i < PAGE / sizeof(*page); i++) {
		uint64_t want = word(index, i, version);

		if (page[i] == want)
			continue;
		bad++;
		printf("bad: %s page %llu word %u is %#llx, not %#llx\n", what,
		       (unsigned long long)index, i, (unsigned long long)page[i],
		       (unsigned long long)want);
		return;
	}
}

struct disk {
	int fd;
	uint32_t version[DISK_BLOCKS];
};

static struct disk disks[MAX_DISKS];
static unsigned int nr_disks;

/* Those that have come since the last call, too: a kernel looks for some of them for a while. */
static void open_disks(void)
{
	static struct {
		const char *names;
		char next;
	} kinds[] = { { "/dev/vd%c", 'a' }, { "/dev/sd%c", 'a' } };
	char path[16];
	int fd;

	for (unsigned int i = 0; i < 2; i++) {
		while (nr_disks < MAX_DISKS) {
			snprintf(path, sizeof(path), kinds[i].names, kinds[i].next);
			fd = open(path, O_RDWR | O_DIRECT);
			if (fd < 0)
				break;
			disks[nr_disks++].fd = fd;
			kinds[i].next++;
		}
	}
}

/* The next block of each disk: what was written to it before, and something else */
static void use_disks(unsigned long tick)
{
	static _Alignas(PAGE) uint64_t data[BLOCK_PAGES][PAGE / sizeof(uint64_t)];
	const unsigned long block = tick % DISK_BLOCKS;
	const off_t at = block * sizeof(data);

	for (unsigned int n = 0; n < nr_disks; n++) {
		struct disk *disk = &disks[n];
		uint32_t *version = &disk->version[block];
		ssize_t size = sizeof(data);

		if (*version)
			size = pread(disk->fd, data, sizeof(data), at);
		for (unsigned int i = 0; i < BLOCK_PAGES; i++) {
			if (*version)
				compare("disk", data[i], block * BLOCK_PAGES + i, *version);
			fill(data[i], block * BLOCK_PAGES + i, *version + 1);
		}
		(*version)++;
		if (size != sizeof(data) || pwrite(disk->fd, data, sizeof(data), at) != size) {
			bad++;
			printf("bad: disk %u: %m\n", n);
		}
	}
}

/* Memory in use: what each page has, and what the disk has of each chunk; 0: nothing yet */
struct set {
	char *memory;
	unsigned long pages;
	unsigned long next;
	unsigned long sweeps;
	uint32_t *version;
	uint32_t *on_disk;
};

static struct {
	int fd;
	unsigned long pages;
	unsigned int failing;
} nvme = { .fd = -1 };

/* Is it there? One that has failed, but stays, is broken. */
static void look_for_nvme(void)
{
	int there = !access(NVME, F_OK);

	if (nvme.fd < 0 && there && !nvme.failing)
		nvme.fd = open(NVME, O_RDWR | O_DIRECT);
	if (!there)
		nvme.failing = 0;
	else if (nvme.failing && ++nvme.failing == TICKS_OF_GRACE) {
		bad++;
		printf("bad: nvme: it fails\n");
	}
}

static void nvme_failed(void)
{
	close(nvme.fd);
	nvme.fd = -1;
	nvme.pages = 0;
	nvme.failing = 1;
}

/* What the disk has of a chunk comes into the chunk's own pages. */
static void from_nvme(struct set *set, unsigned long first)
{
	const off_t at = first * PAGE;
	const uint32_t version = set->on_disk ? set->on_disk[first / CHUNK] : 0;

	if (nvme.fd < 0 || !version)
		return;
	memset(set->memory + at, 0, CHUNK * PAGE);
	if (pread(nvme.fd, set->memory + at, CHUNK * PAGE, at) != CHUNK * PAGE) {
		nvme_failed();
		return;
	}
	for (unsigned int i = 0; i < CHUNK; i++)
		compare("nvme", (uint64_t *)(set->memory + at + i * PAGE), first + i, version);
	nvme.pages += CHUNK;
}

static void to_nvme(struct set *set, unsigned long first)
{
	const off_t at = first * PAGE;
	uint32_t *version;

	if (nvme.fd < 0 || !set->on_disk)
		return;
	version = &set->on_disk[first / CHUNK];
	*version = set->version[first];
	if (pwrite(nvme.fd, set->memory + at, CHUNK * PAGE, at) != CHUNK * PAGE) {
		/* Nobody knows what it has. */
		*version = 0;
		nvme_failed();
	}
}

/* The next chunk: compared, and overwritten */
static void use_set(struct set *set)
{
	const unsigned long first = set->next;

	for (unsigned long i = first; i < first + CHUNK; i++)
		compare("memory", (uint64_t *)(set->memory + i * PAGE), i, set->version[i]);
	from_nvme(set, first);
	for (unsigned long i = first; i < first + CHUNK; i++)
		fill((uint64_t *)(set->memory + i * PAGE), i, ++set->version[i]);
	to_nvme(set, first);
	set->next += CHUNK;
	if (set->next == set->pages) {
		set->next = 0;
		set->sweeps++;
	}
}

static unsigned int edu_pages;

/* Read from or write to a device's file of that name */
static int device_file(const char *device, const char *name, void *data, size_t size, off_t at,
		       int write)
{
	char path[256];
	ssize_t done;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", device, name);
	fd = open(path, write ? O_WRONLY : O_RDONLY);
	done = write ? pwrite(fd, data, size, at) : pread(fd, data, size, at);
	close(fd);
	return done;
}

static int is_edu(const char *device)
{
	char id[16] = "";

	return device_file(device, "vendor", id, 7, 0, 0) == 7 &&
	       device_file(device, "device", id + 7, 7, 0, 0) == 7 && !strcmp(id, EDU_ID);
}

/* Its registers, or NULL; it may access memory, and be accessed. */
static volatile uint64_t *map_edu(const char *device)
{
	char path[256];
	uint16_t command;
	void *registers;
	int fd;

	if (device_file(device, "config", &command, 2, 4, 0) != 2)
		return NULL;
	command |= 6;
	if (device_file(device, "config", &command, 2, 4, 1) != 2)
		return NULL;
	snprintf(path, sizeof(path), "%s/resource0", device);
	fd = open(path, O_RDWR);
	registers = mmap(NULL, EDU_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return registers == MAP_FAILED ? NULL : registers;
}

static uint64_t guest_physical(void *page)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (pread(fd, &entry, sizeof(entry), (uintptr_t)page / PAGE * sizeof(entry)) < 0)
		entry = 0;
	close(fd);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

/* Pages from all over the working set go through the device's buffer to another page. */
static void use_edu(const char *device, const struct set *set)
{
	static _Alignas(PAGE) uint64_t copy[PAGE / sizeof(uint64_t)];
	volatile uint64_t *edu = map_edu(device);

	while (edu && edu_pages < EDU_PAGES) {
		char *page = set->memory + set->pages / EDU_PAGES * edu_pages * PAGE;

		memset(copy, 0, sizeof(copy));
		edu_copy(edu, guest_physical(page), EDU_BUFFER, PAGE, 0);
		edu_copy(edu, EDU_BUFFER, guest_physical(copy), PAGE, EDU_DMA_TO_RAM);
		edu_pages++;
		if (memcmp(copy, page, PAGE)) {
			bad++;
			printf("bad: edu copied something else\n");
		}
	}
	if (edu)
		munmap((void *)edu, EDU_SIZE);
}

/* It is used once, when it has come. */
static void look_for_edu(const struct set *set)
{
	int there = 0;
	glob_t found;

	if (glob("/sys/bus/pci/devices/*", 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		if (!is_edu(found.gl_pathv[i]))
			continue;
		there = 1;
		if (!edu_pages)
			use_edu(found.gl_pathv[i], set);
	}
	globfree(&found);
	if (!there)
		edu_pages = 0;
}

static unsigned long mib_of_memory(void)
{
	struct sysinfo info;

	return sysinfo(&info) ? 0 : info.totalram * info.mem_unit >> 20;
}

/* The number behind a word of the command line */
static unsigned long number_of(const char *name, unsigned long otherwise)
{
	char line[4096] = "", *word;
	FILE *file = fopen("/proc/cmdline", "r");

	if (!file || !fgets(line, sizeof(line), file))
		printf("bad: no command line\n");
	if (file)
		fclose(file);
	word = strstr(line, name);
	return word ? strtoul(word + strlen(name), NULL, 10) : otherwise;
}

/* Memory for it, with something in each page */
static int make_set(struct set *set, unsigned long mib)
{
	set->pages = mib * 256;
	set->memory = mmap(NULL, set->pages * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	set->version = calloc(set->pages, sizeof(*set->version));
	if (set->memory == MAP_FAILED || !set->version)
		return -1;
	for (unsigned long i = 0; i < set->pages; i++)
		fill((uint64_t *)(set->memory + i * PAGE), i, 0);
	return 0;
}

static struct set more;
static unsigned long more_pages;

/* Memory that has come is used when no more of it comes, and given back before it has to go. */
static void look_for_memory(unsigned long hold)
{
	static unsigned long had, before;
	static unsigned int steady;
	const unsigned long now = mib_of_memory();

	steady = now == before ? steady + 1 : 0;
	before = now;

	if (more.memory) {
		for (unsigned long n = 0; n < more.pages / TICKS_PER_SWEEP; n += CHUNK)
			use_set(&more);
		more_pages += more.pages / TICKS_PER_SWEEP;
		if (!hold || more.sweeps < hold)
			return;
		munmap(more.memory, more.pages * PAGE);
		free(more.version);
		more = (struct set){ 0 };
		had = now;
	} else if (!had || now < had) {
		had = now;
	} else if (now > had + 16 && steady >= STEADY && make_set(&more, (now - had) / 4 * 3)) {
		bad++;
		printf("bad: memory that has come: %m\n");
	}
}

static unsigned int nr_had;

static void set_vm(const char *name, const char *value)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
	file = fopen(path, "w");
	if (!file || fputs(value, file) < 0 || fclose(file))
		printf("bad: %s: %m\n", path);
}

/*
 * With huge pages its kernel would keep up to 5 % free, and what a balloon gives back would be in the
 * lists of a CPU, from which it does not come back when all other memory is in use.
 */
static void need_little(void)
{
	set_vm("min_free_kbytes", "4096");
	set_vm("percpu_pagelist_high_fraction", "1000");
}

/* All memory that is free, but for that, in whole huge pages */
static void have_memory(unsigned long spare, int touch)
{
	static char *had;
	struct sysinfo info;

	if (!had) {
		had = mmap(NULL, (MAX_HAD + 1) * HAD_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (had == MAP_FAILED) {
			bad++;
			printf("bad: spare memory: %m\n");
		}
		had += HAD_SIZE - (uintptr_t)had % HAD_SIZE;
	}
	while (!sysinfo(&info) && info.freeram >= (spare << 20) + HAD_SIZE && nr_had < MAX_HAD) {
		if (madvise(had + nr_had * HAD_SIZE, HAD_SIZE, MADV_POPULATE_WRITE))
			break;
		nr_had++;
	}
	while (!sysinfo(&info) && info.freeram < spare << 20 && nr_had)
		madvise(had + --nr_had * HAD_SIZE, HAD_SIZE, MADV_DONTNEED);
	for (unsigned long at = 0; touch && at < nr_had * HAD_SIZE; at += PAGE)
		*(volatile unsigned long *)(had + at) = at;
}

/* An interface that is up, and a socket at it */
static int open_net(struct sockaddr_ll *address)
{
	struct ifreq eth = { .ifr_name = "eth0" };
	int fd = socket(AF_PACKET, SOCK_DGRAM, htons(FRAME_TYPE));

	if (fd < 0)
		return -1;
	if (ioctl(fd, SIOCGIFINDEX, &eth)) {
		close(fd);
		return -1;
	}
	*address = (struct sockaddr_ll){ .sll_family = AF_PACKET, .sll_protocol = htons(FRAME_TYPE),
		.sll_ifindex = eth.ifr_ifindex, .sll_halen = 6,
		.sll_addr = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
	eth.ifr_flags = IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &eth) || bind(fd, (void *)address, sizeof(*address))) {
		bad++;
		printf("bad: eth0: %m\n");
	}
	return fd;
}

static unsigned long net_frames;

/* Send frames, and look at those that have come back. One may get lost. */
static void use_net(unsigned long tick)
{
	static int fd = -2;
	static struct sockaddr_ll address;
	uint64_t frame[FRAME_WORDS], want[FRAME_WORDS];
	struct pollfd answer;

	if (fd == -2)
		fd = open_net(&address);
	if (fd < 0)
		return;
	for (unsigned int n = 0; n < FRAMES; n++) {
		fill_frame(frame, tick * FRAMES + n);
		sendto(fd, frame, sizeof(frame), 0, (void *)&address, sizeof(address));
	}
	answer = (struct pollfd){ .fd = fd, .events = POLLIN };
	while (poll(&answer, 1, 100) > 0) {
		if (recv(fd, frame, sizeof(frame), 0) != sizeof(frame))
			continue;
		/* Which one it is, it says itself. */
		fill_frame(want, frame[0]);
		if (memcmp(frame, want, sizeof(frame))) {
			bad++;
			printf("bad: frame %llu\n", (unsigned long long)frame[0]);
		}
		if (++net_frames % FRAMES == 0)
			break;
	}
}

/* What the kernel complained about since the last call */
static void tell_log(int fd, int quiet)
{
	static char record[LOG_RECORD + 1];
	ssize_t size;

	while ((size = read(fd, record, LOG_RECORD)) > 0) {
		char *text;

		record[size] = '\0';
		text = strchr(record, ';');
		if (!text || quiet || (strtoul(record, NULL, 10) & 7) > LOG_WARNING)
			continue;
		printf("log: %.*s\n", (int)strcspn(text + 1, "\n"), text + 1);
	}
}

static void load_modules(void)
{
	glob_t found;

	if (glob("/modules/*", 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *path = found.gl_pathv[i];
		int flags = strstr(path, ".ko.") ? MODULE_INIT_COMPRESSED_FILE : 0;
		int fd = open(path, O_RDONLY);

		if (syscall(SYS_finit_module, fd, "", flags))
			printf("bad: %s: %m\n", path);
		close(fd);
	}
	globfree(&found);
}

/* What the guest begins with; on failure it waits for ever. */
static void prepare(struct set *set)
{
	mkdir("/proc", 0555);
	mkdir("/sys", 0555);
	mkdir("/tmp", 0777);
	mkdir("/dev", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL) ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL) ||
	    mount("tmpfs", "/tmp", "tmpfs", 0, NULL) ||
	    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL))
		printf("bad: mount: %m\n");
	load_modules();
	set->on_disk = calloc(number_of(" set=", 16) * 256 / CHUNK, sizeof(*set->on_disk));
	if (number_of(" spare=", 0))
		need_little();
	if (make_set(set, number_of(" set=", 16)) || !set->on_disk) {
		printf("bad: start: %m\n");
		pause();
	}
}

int main(void)
{
	static uint64_t block[PAGE / sizeof(uint64_t)];
	uint32_t file_version[FILE_PAGES] = { 0 };
	struct set set = { 0 };
	unsigned long hold, spare;
	int log, file;

	prepare(&set);
	spare = number_of(" spare=", 0);
	hold = number_of(" hold=", 0);
	log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	file = open("/tmp/file", O_RDWR | O_CREAT, 0600);
	if (log < 0 || file < 0) {
		printf("bad: start: %m\n");
		pause();
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned long i = 0; i < FILE_PAGES; i++) {
		fill(block, i, 0);
		if (pwrite(file, block, PAGE, i * PAGE) != PAGE)
			printf("bad: write: %m\n");
	}
	tell_log(log, 1);

	for (unsigned long tick = 1;; tick++) {
		const struct timespec wait = { .tv_nsec = TICK_NS };
		unsigned long i = tick % FILE_PAGES;
		struct timespec up;

		look_for_nvme();
		for (unsigned long n = 0; n < set.pages / TICKS_PER_SWEEP; n += CHUNK)
			use_set(&set);
		if (pread(file, block, PAGE, i * PAGE) != PAGE)
			printf("bad: read: %m\n");
		compare("file", block, i, file_version[i]);
		fill(block, i, ++file_version[i]);
		if (pwrite(file, block, PAGE, i * PAGE) != PAGE)
			printf("bad: write: %m\n");

		open_disks();
		use_disks(tick);
		use_net(tick);
		look_for_edu(&set);
		/* To that, what a balloon gives back would be memory that has been plugged. */
		if (!spare)
			look_for_memory(hold);
		else if (set.sweeps >= 4)
			have_memory(spare, tick % TICKS_PER_SWEEP == 0);

		tell_log(log, 0);
		clock_gettime(CLOCK_BOOTTIME, &up);
		printf("tick %lu up=%ld.%03ld sweeps=%lu disks=%u mem=%lu nvme=%lu edu=%u more=%lu net=%lu had=%lu bad=%lu\n",
		       tick, (long)up.tv_sec, up.tv_nsec / 1000000, set.sweeps, nr_disks,
		       mib_of_memory(), nvme.pages / 256, edu_pages, more_pages / 256,
		       net_frames, nr_had * (HAD_SIZE >> 20), bad);
		nanosleep(&wait, NULL);
	}
}
