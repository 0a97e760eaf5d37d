// SPDX-License-Identifier: GPL-2.0
/*
 * Look at physical memory by the ways that a host has, past the pool's own.
 *
 *   gmem-look read|write|mmap FIRST SIZE   try it on /dev/mem
 *   gmem-look verify SEED RANGE...   compare what an object's ranges contain, in the
 *                                    order of its offsets, with gmem-payload's pattern
 *   gmem-look stamped SEED RANGE...  the same, but of each page one word only, as gmem-file
 *                                    stamps them
 *   gmem-look copy RANGE...          what they contain, to standard output
 *   gmem-look elf FILE RANGE...      no PT_LOAD of /proc/kcore or /proc/vmcore has
 *                                    any of these
 *   gmem-look kcore RANGE...         nor can /proc/kcore be read where they would be
 *                                    in the direct mapping
 *
 * A RANGE is 0xfirst-0xlast. Exit status: 0; 1 if it is not so, or cannot be told;
 * 2 for a usage error; 3 and "errno=NAME" if /dev/mem refuses.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pattern.h"

#define PAGE	4096UL
#define WINDOW	(2UL << 20)

struct range {
	uint64_t first, last;
};

static struct range parse_range(const char *text)
{
	struct range r;
	char end;

	if (sscanf(text, "%lx-%lx%c", &r.first, &r.last, &end) != 2 || r.last < r.first)
		errx(2, "%s is no range", text);
	return r;
}

static int xopen(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static int refused(void)
{
	printf("errno=%s\n", strerrorname_np(errno));
	return 3;
}

static int try(const char *how, uint64_t first, uint64_t size)
{
	int mem = xopen("/dev/mem", O_RDWR);
	char *buffer = calloc(1, size);
	void *p;

	if (!buffer)
		err(1, "calloc");
	if (!strcmp(how, "read"))
		return pread(mem, buffer, size, first) == (ssize_t)size ? 0 : refused();
	if (!strcmp(how, "write"))
		return pwrite(mem, buffer, size, first) == (ssize_t)size ? 0 : refused();
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, mem, first);
	return p != MAP_FAILED ? 0 : refused();
}

/* A word each so many bytes */
static int verify(uint64_t seed, uint64_t step, char **ranges)
{
	uint64_t offset = 0, compared = 0, different = 0;
	int mem = xopen("/dev/mem", O_RDONLY);

	for (; *ranges; ranges++) {
		struct range r = parse_range(*ranges);

		for (uint64_t at = r.first; at < r.last; at += WINDOW) {
			uint64_t *word = mmap(NULL, WINDOW, PROT_READ, MAP_SHARED, mem, at);

			if (word == MAP_FAILED)
				return refused();
			for (uint64_t i = 0; i < WINDOW; i += step, offset += step) {
				/* The first page is gmem-payload's. */
				if (offset < PAGE)
					continue;
				compared += 8;
				if (word[i / 8] != pattern(offset, seed))
					different += 8;
			}
			munmap(word, WINDOW);
		}
	}
	printf("look_compared=%lu\nlook_different=%lu\n", compared, different);
	return !compared || different;
}

static int copy(char **ranges)
{
	int mem = xopen("/dev/mem", O_RDONLY);

	for (; *ranges; ranges++) {
		struct range r = parse_range(*ranges);

		for (uint64_t at = r.first; at < r.last; at += WINDOW) {
			void *p = mmap(NULL, WINDOW, PROT_READ, MAP_SHARED, mem, at);

			if (p == MAP_FAILED)
				return refused();
			if (fwrite(p, WINDOW, 1, stdout) != 1)
				err(1, "standard output");
			munmap(p, WINDOW);
		}
	}
	return 0;
}

/* Calls @each for every PT_LOAD; says how many there were. */
static int visit_loads(int fd, int (*each)(const struct elf64_phdr *load, void *arg), void *arg,
		       int *bad)
{
	struct elf64_hdr header;
	struct elf64_phdr load;
	int loads = 0;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG))
		errx(1, "no ELF header");
	for (int i = 0; i < header.e_phnum; i++) {
		if (pread(fd, &load, sizeof(load), header.e_phoff + i * sizeof(load)) !=
		    sizeof(load))
			err(1, "program header %d", i);
		if (load.p_type != PT_LOAD)
			continue;
		loads++;
		*bad += each(&load, arg);
	}
	return loads;
}

static int overlaps(const struct elf64_phdr *load, void *arg)
{
	const struct range *r = arg;

	/* /proc/kcore says so of what is no memory, such as vmalloc's. */
	if (load->p_paddr == (uint64_t)-1 || !load->p_memsz)
		return 0;
	if (load->p_paddr > r->last || load->p_paddr + load->p_memsz - 1 < r->first)
		return 0;
	printf("0x%llx-0x%llx is in it\n", load->p_paddr, load->p_paddr + load->p_memsz - 1);
	return 1;
}

/* The largest part of kcore that is memory, and so in the direct mapping. */
static int largest(const struct elf64_phdr *load, void *arg)
{
	struct elf64_phdr *best = arg;

	if (load->p_paddr != (uint64_t)-1 && load->p_paddr >= 1UL << 20 &&
	    load->p_vaddr < 0xffffffff80000000UL && load->p_memsz > best->p_memsz)
		*best = *load;
	return 0;
}

static int elf(const char *file, char **ranges)
{
	int fd = xopen(file, O_RDONLY), bad = 0, loads = 0;

	for (; *ranges; ranges++) {
		struct range r = parse_range(*ranges);

		loads = visit_loads(fd, overlaps, &r, &bad);
	}
	printf("loads=%d\n", loads);
	return bad || !loads;
}

static int read_kcore(char **ranges)
{
	int fd = xopen("/proc/kcore", O_RDONLY), bad = 0;
	struct elf64_phdr best = {};
	uint64_t word;

	visit_loads(fd, largest, &best, &bad);
	if (!best.p_memsz)
		errx(1, "no memory in it");
	for (; *ranges; ranges++) {
		struct range r = parse_range(*ranges);

		for (uint64_t at = r.first; at < r.last; at += PAGE) {
			/* The last word of a page: gmem-payload's own ones are in front. */
			off_t where = best.p_offset + (at - best.p_paddr) + PAGE - 8;

			if (pread(fd, &word, 8, where) == 8 && word)
				bad++;
		}
	}
	printf("kcore_words=%d\n", bad);
	return !!bad;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (argc == 4 && (!strcmp(what, "read") || !strcmp(what, "write") ||
			  !strcmp(what, "mmap")))
		return try(what, strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0));
	if (argc > 3 && !strcmp(what, "verify"))
		return verify(strtoull(argv[2], NULL, 0), 8, argv + 3);
	if (argc > 3 && !strcmp(what, "stamped"))
		return verify(strtoull(argv[2], NULL, 0), PAGE, argv + 3);
	if (argc > 2 && !strcmp(what, "copy"))
		return copy(argv + 2);
	if (argc > 3 && !strcmp(what, "elf"))
		return elf(argv[2], argv + 3);
	if (argc > 2 && !strcmp(what, "kcore"))
		return read_kcore(argv + 2);
	errx(2, "usage: gmem-look read|write|mmap FIRST SIZE, or verify|stamped SEED RANGE..., or copy RANGE..., or elf FILE RANGE..., or kcore RANGE...");
}
