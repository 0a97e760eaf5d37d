// SPDX-License-Identifier: GPL-2.0
/*
 * The first and only process of a Linux guest: a workload that notices when its
 * memory is not what it was. Words of the guest's command line:
 *
 *   set=MIB      the working set (default 16)
 *
 * Each tenth of a second it takes the next pages of the working set, and the next
 * block of a file in its tmpfs, compares all words of them with what it wrote there
 * before, and writes others. Then it says so on its console:
 *
 *   tick N up=SECONDS sweeps=N disks=N mem=MIB bad=N
 *
 * up is CLOCK_BOOTTIME, disks how many disks (/dev/vda and so on) it has, of which it overwrites
 * and compares the first 4 MiB, by direct I/O; mem is all memory that its kernel has. All of the working set was compared once more when sweeps has
 * gone up by two. What is found wrong is said in lines "bad: ...", and what the guest's
 * kernel has to complain about (warnings and worse, after the first tick) in lines
 * "log: ...".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "pattern.h"

#define PAGE		4096UL
#define FILE_PAGES	64
#define MAX_DISKS	4
#define DISK_BLOCKS	64
#define BLOCK_PAGES	16
#define TICK_NS		100000000
/* Of the working set, at each tick */
#define TICKS_PER_SWEEP	16
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

static void open_disks(void)
{
	char path[] = "/dev/vda";

	while (nr_disks < MAX_DISKS) {
		path[sizeof(path) - 2] = 'a' + nr_disks;
		disks[nr_disks].fd = open(path, O_RDWR | O_DIRECT);
		if (disks[nr_disks].fd < 0)
			break;
		nr_disks++;
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

static unsigned long mib_of_memory(void)
{
	struct sysinfo info;

	return sysinfo(&info) ? 0 : info.totalram * info.mem_unit >> 20;
}

static unsigned long mib_of_cmdline(void)
{
	char line[4096] = "", *word;
	FILE *file = fopen("/proc/cmdline", "r");

	if (!file || !fgets(line, sizeof(line), file))
		printf("bad: no command line\n");
	word = strstr(line, " set=");
	return word ? strtoul(word + strlen(" set="), NULL, 10) : 16;
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

int main(void)
{
	static uint64_t block[PAGE / sizeof(uint64_t)];
	uint32_t file_version[FILE_PAGES] = { 0 };
	unsigned long pages, next = 0, sweeps = 0;
	uint32_t *version;
	int log, file;
	char *set;

	mkdir("/proc", 0555);
	mkdir("/tmp", 0777);
	mkdir("/dev", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL) ||
	    mount("tmpfs", "/tmp", "tmpfs", 0, NULL) ||
	    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL))
		printf("bad: mount: %m\n");
	log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	file = open("/tmp/file", O_RDWR | O_CREAT, 0600);
	pages = mib_of_cmdline() * 256;
	set = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	version = calloc(pages, sizeof(*version));
	open_disks();
	if (log < 0 || file < 0 || set == MAP_FAILED || !version) {
		printf("bad: start: %m\n");
		pause();
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned long i = 0; i < pages; i++)
		fill((uint64_t *)(set + i * PAGE), i, version[i]);
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

		for (unsigned long n = 0; n < pages / TICKS_PER_SWEEP; n++) {
			uint64_t *page = (uint64_t *)(set + next * PAGE);

			compare("memory", page, next, version[next]);
			fill(page, next, ++version[next]);
			if (++next == pages) {
				next = 0;
				sweeps++;
			}
		}
		if (pread(file, block, PAGE, i * PAGE) != PAGE)
			printf("bad: read: %m\n");
		compare("file", block, i, file_version[i]);
		fill(block, i, ++file_version[i]);
		if (pwrite(file, block, PAGE, i * PAGE) != PAGE)
			printf("bad: write: %m\n");

		use_disks(tick);

		tell_log(log, 0);
		clock_gettime(CLOCK_BOOTTIME, &up);
		printf("tick %lu up=%ld.%03ld sweeps=%lu disks=%u mem=%lu bad=%lu\n", tick,
		       (long)up.tv_sec, up.tv_nsec / 1000000, sweeps, nr_disks,
		       mib_of_memory(), bad);
		nanosleep(&wait, NULL);
	}
}
