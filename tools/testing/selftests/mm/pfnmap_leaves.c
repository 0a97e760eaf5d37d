// SPDX-License-Identifier: GPL-2.0
/*
 * Large leaves of VM_PFNMAP mappings, as drivers make them: what core mm does with them when a
 * mapping is cut, moved or protected. Needs CONFIG_TEST_PFNMAP, and contiguous memory for a leaf.
 *
 * How large a leaf is tells the number of page faults by which it is there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm_util.h"

#define DEVICE		"/dev/test_pfnmap"

/* A leaf is that many of the next smaller size. */
#define NR_PARTS	512

/* Reads that are not optimised away */
#define touch(_addr)	(*(volatile uint32_t *)(_addr))

FIXTURE(leaf) {
	int fd;
	size_t page;
	size_t part;
	size_t size;
	char *mem;
};

FIXTURE_VARIANT(leaf) {
	bool pud;
};

FIXTURE_VARIANT_ADD(leaf, pmd) { .pud = false };
FIXTURE_VARIANT_ADD(leaf, pud) { .pud = true };

static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt;
}

/* An area of twice that size, at a multiple of it, for others to take */
static char *reserve(size_t size)
{
	char *area = mmap(NULL, 3 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			  -1, 0);

	return area == MAP_FAILED ? NULL : area + (-(uintptr_t)area & (size - 1));
}

/* Map all of it, and say how many faults it takes to look into each part. */
static long map_and_touch(struct _test_data_leaf *self, char *at)
{
	long before;
	size_t i;

	if (mmap(at, self->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, self->fd, 0) != at)
		return -1;
	before = faults();
	for (i = 0; i < self->size; i += self->part)
		touch(at + i);
	return faults() - before;
}

/* How many parts of @size bytes from @offset on are not what was written */
static size_t wrong(struct _test_data_leaf *self, char *at, size_t offset, size_t size)
{
	size_t i, nr = 0;

	for (i = offset; i < offset + size; i += self->part)
		nr += touch(at + i - offset) != i / self->part + 1;
	return nr;
}

/*
 * How many faults it takes to look at all of it; -1: something is not what was written. Counted
 * here, as the caller's next call may be the first one on a page of the stack.
 */
static long look(struct _test_data_leaf *self, char *at)
{
	const long before = faults();
	size_t i, nr = 0;

	for (i = 0; i < self->size; i += self->part)
		nr += touch(at + i) != i / self->part + 1;
	return nr ? -1 : faults() - before;
}

FIXTURE_SETUP(leaf)
{
	long nr;
	size_t i;

	self->page = sysconf(_SC_PAGESIZE);
	self->size = read_pmd_pagesize();
	if (!self->size)
		SKIP(return, "no transparent huge pages");
	self->part = self->size / NR_PARTS;
	if (variant->pud) {
		self->part = self->size;
		self->size *= NR_PARTS;
	}
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_LE(0, self->fd);
	self->mem = reserve(self->size);
	ASSERT_NE(NULL, self->mem);
	nr = map_and_touch(self, self->mem);
	if (nr == -1 && errno == ENOMEM)
		SKIP(return, "no contiguous memory");
	ASSERT_NE(-1, nr);
	if (nr == NR_PARTS)
		SKIP(return, "no such leaves");
	ASSERT_EQ(1, nr);
	for (i = 0; i < self->size; i += self->part)
		touch(self->mem + i) = i / self->part + 1;
}

FIXTURE_TEARDOWN(leaf)
{
	close(self->fd);
}

/* A page goes in the middle of it, which is a part if parts are pages. */
TEST_F(leaf, munmap)
{
	const size_t at = self->part + self->page, behind = at + self->part;

	ASSERT_EQ(0, munmap(self->mem + at, self->page));
	if (variant->pud) {
		EXPECT_EQ(0, wrong(self, self->mem, 0, self->size));
	} else {
		EXPECT_EQ(0, wrong(self, self->mem, 0, at));
		EXPECT_EQ(0, wrong(self, self->mem + behind, behind, self->size - behind));
	}
}

/* A part is another mapping then, and so is what is before and behind it. */
TEST_F(leaf, mprotect_part)
{
	ASSERT_EQ(0, mprotect(self->mem + self->part, self->part, PROT_READ));
	EXPECT_EQ(0, wrong(self, self->mem, 0, self->size));
	touch(self->mem) = 1;
	touch(self->mem + 2 * self->part) = 3;
	EXPECT_EQ(0, wrong(self, self->mem, 0, self->size));
}

TEST_F(leaf, madvise_part)
{
	ASSERT_EQ(0, madvise(self->mem + self->size / 2, self->part, MADV_DONTFORK));
	EXPECT_EQ(0, wrong(self, self->mem, 0, self->size));
}

/* Out of reach for a time, and there again without a fault */
TEST_F(leaf, mprotect_none)
{
	ASSERT_EQ(0, mprotect(self->mem, self->size, PROT_NONE));
	ASSERT_EQ(0, mprotect(self->mem, self->size, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, look(self, self->mem));
}

/* It moves as a whole, without a fault. */
TEST_F(leaf, mremap)
{
	char *to = reserve(self->size);

	ASSERT_NE(NULL, to);
	ASSERT_EQ(to, mremap(self->mem, self->size, self->size, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(0, look(self, to));
}

/* To where it does not fit, and back to where smaller ones were meanwhile */
TEST_F(leaf, mremap_unaligned)
{
	char *to = reserve(self->size) + self->page;

	ASSERT_EQ(to, mremap(self->mem, self->size, self->size, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(0, wrong(self, to, 0, self->size));
	ASSERT_EQ(self->mem, mremap(to, self->size, self->size, MREMAP_MAYMOVE | MREMAP_FIXED,
				    self->mem));
	EXPECT_EQ(0, wrong(self, self->mem, 0, self->size));
}

/* Half of it */
TEST_F(leaf, mremap_part)
{
	const size_t half = self->size / 2;
	char *to = reserve(self->size) + half;

	ASSERT_EQ(to, mremap(self->mem + half, half, half, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(0, wrong(self, self->mem, 0, half));
	EXPECT_EQ(0, wrong(self, to, half, half));
}

/* Whoever is asked what memory a process has leaves it as it is. */
TEST_F(leaf, smaps)
{
	static const char *const files[] = { "smaps", "smaps_rollup", "numa_maps" };
	char path[32], text[4096];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int fd;

		snprintf(path, sizeof(path), "/proc/self/%s", files[i]);
		fd = open(path, O_RDONLY);
		if (fd < 0 && errno == ENOENT)
			continue;
		ASSERT_LE(0, fd);
		while (read(fd, text, sizeof(text)) > 0)
			;
		close(fd);
		EXPECT_EQ(0, look(self, self->mem))
			TH_LOG("%s", path);
	}
}

/* There is no huge page that a process could do without. */
TEST_F(leaf, thp_disabled)
{
	ASSERT_EQ(0, prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	EXPECT_EQ(1, map_and_touch(self, self->mem));
	EXPECT_EQ(0, wrong(self, self->mem, 0, self->size));
}

/* But it may want small leaves in a mapping. */
TEST_F(leaf, nohugepage)
{
	ASSERT_EQ(0, munmap(self->mem, self->size));
	ASSERT_EQ(self->mem, mmap(self->mem, self->size, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_FIXED, self->fd, 0));
	ASSERT_EQ(0, madvise(self->mem, self->size, MADV_NOHUGEPAGE));
	EXPECT_EQ(NR_PARTS, look(self, self->mem));
}

int main(int argc, char **argv)
{
	if (access(DEVICE, R_OK | W_OK)) {
		ksft_print_header();
		ksft_exit_skip("no %s\n", DEVICE);
	}
	return test_harness_run(argc, argv);
}
