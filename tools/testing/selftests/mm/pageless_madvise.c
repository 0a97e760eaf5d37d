// SPDX-License-Identifier: GPL-2.0
/*
 * MADV_DONTNEED of memory without struct page: leaves go, and come back by page faults with what
 * was there. Needs CONFIG_TEST_PAGELESS.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm_util.h"

#define DEVICE		"/dev/test_pageless"
/* Of memory that nobody can hold */
#define OTHER_DEVICE	"/dev/test_pfnmap"

FIXTURE(dontneed) {
	int fd;
	size_t page;
	size_t size;
	long nr_leaves;
	char *mem;
};

FIXTURE_VARIANT(dontneed) {
	bool large;
};

FIXTURE_VARIANT_ADD(dontneed, pages) { .large = false };
FIXTURE_VARIANT_ADD(dontneed, leaf) { .large = true };

/* All is as it was written; returns how many page faults it took to see that, or -1. */
static long look(struct _test_data_dontneed *self)
{
	struct rusage before, after;
	size_t i;

	getrusage(RUSAGE_THREAD, &before);
	for (i = 0; i < self->size; i += self->page)
		if (*(volatile uint32_t *)(self->mem + i) != i + 1)
			return -1;
	getrusage(RUSAGE_THREAD, &after);
	return after.ru_minflt - before.ru_minflt;
}

FIXTURE_SETUP(dontneed)
{
	char *area;
	size_t i;

	self->page = sysconf(_SC_PAGESIZE);
	self->size = read_pmd_pagesize();
	if (!self->size)
		SKIP(return, "no transparent huge pages");
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_LE(0, self->fd);
	area = mmap(NULL, 3 * self->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	ASSERT_NE(MAP_FAILED, area);
	area += -(uintptr_t)area & (self->size - 1);
	/* Where a large leaf fits, or where it does not */
	self->mem = mmap(variant->large ? area : area + self->page, self->size,
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	for (i = 0; i < self->size; i += self->page)
		*(volatile uint32_t *)(self->mem + i) = i + 1;

	/* Another mapping, in which nothing is mapped yet */
	ASSERT_EQ(self->mem, mmap(self->mem, self->size, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_FIXED, self->fd, 0));
	self->nr_leaves = look(self);
	if (variant->large && self->nr_leaves != 1)
		SKIP(return, "no large leaves");
	ASSERT_EQ(variant->large ? 1 : self->size / self->page, self->nr_leaves);
	ASSERT_EQ(0, look(self));
}

FIXTURE_TEARDOWN(dontneed)
{
	close(self->fd);
}

TEST_F(dontneed, all)
{
	ASSERT_EQ(0, madvise(self->mem, self->size, MADV_DONTNEED));
	EXPECT_EQ(self->nr_leaves, look(self));
}

/* Two pages in the middle take the leaf along that they are in. */
TEST_F(dontneed, part)
{
	ASSERT_EQ(0, madvise(self->mem + self->size / 2, 2 * self->page, MADV_DONTNEED));
	EXPECT_EQ(variant->large ? 1 : 2, look(self));
}

/* The contents are the file's. */
TEST_F(dontneed, written_meanwhile)
{
	char *other = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);

	ASSERT_NE(MAP_FAILED, other);
	ASSERT_EQ(0, madvise(self->mem, self->size, MADV_DONTNEED));
	*(volatile uint32_t *)other = 77;
	EXPECT_EQ(77, *(volatile uint32_t *)self->mem);
}

/* What would lose them is refused. */
TEST_F(dontneed, madv_free)
{
	EXPECT_EQ(-1, madvise(self->mem, self->size, MADV_FREE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, look(self));
}

/* A mapping of VM_PFNMAP whose owner does not say that it comes back */
TEST_F(dontneed, other_device)
{
	int fd = open(OTHER_DEVICE, O_RDWR);
	char *mem = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(-1, madvise(mem, self->size, MADV_DONTNEED));
	EXPECT_EQ(EINVAL, errno);
}

/* A large leaf that other threads bring back while a page of it is dropped */
FIXTURE(beside) {
	int fd;
	int log;
	size_t size;
	char *mem;
	bool done;
};

FIXTURE_VARIANT(beside) {
	size_t nr_parts;
};

FIXTURE_VARIANT_ADD(beside, pmd) { .nr_parts = 1 };
FIXTURE_VARIANT_ADD(beside, pud) { .nr_parts = 512 };

FIXTURE_SETUP(beside)
{
	struct rusage before, after;
	char *area;
	size_t i;

	self->size = read_pmd_pagesize() * variant->nr_parts;
	if (!self->size)
		SKIP(return, "no transparent huge pages");
	self->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	ASSERT_LE(0, self->log);
	ASSERT_EQ(0, lseek(self->log, 0, SEEK_END));
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_LE(0, self->fd);
	area = mmap(NULL, 2 * self->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	ASSERT_NE(MAP_FAILED, area);
	self->mem = mmap(area + (-(uintptr_t)area & (self->size - 1)), self->size,
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, self->fd, 0);
	if (self->mem == MAP_FAILED && errno == ENOMEM)
		SKIP(return, "no contiguous memory");
	ASSERT_NE(MAP_FAILED, self->mem);
	getrusage(RUSAGE_THREAD, &before);
	for (i = 0; i < self->size; i += self->size / 512)
		*(volatile uint32_t *)(self->mem + i);
	getrusage(RUSAGE_THREAD, &after);
	if (after.ru_minflt - before.ru_minflt >= 512)
		SKIP(return, "no such leaves");
}

FIXTURE_TEARDOWN(beside)
{
	close(self->fd);
	close(self->log);
}

static void *bring_back(void *arg)
{
	struct _test_data_beside *self = arg;

	while (!__atomic_load_n(&self->done, __ATOMIC_RELAXED))
		*(volatile uint32_t *)self->mem;
	return NULL;
}

/* The kernel has met an entry in a page table that it takes for a bad one. */
static bool bad_entry(int log)
{
	char record[8192];
	ssize_t length;

	while ((length = read(log, record, sizeof(record) - 1)) > 0) {
		record[length] = '\0';
		if (strstr(record, "bad pud") || strstr(record, "bad pmd"))
			return true;
	}
	return false;
}

TEST_F(beside, dropped)
{
	pthread_t others[3];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(others); i++)
		ASSERT_EQ(0, pthread_create(&others[i], NULL, bring_back, self));
	for (i = 0; i < 5000; i++)
		EXPECT_EQ(0, madvise(self->mem + self->size / 2, sysconf(_SC_PAGESIZE),
				     MADV_DONTNEED));
	__atomic_store_n(&self->done, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(others); i++)
		ASSERT_EQ(0, pthread_join(others[i], NULL));
	EXPECT_FALSE(bad_entry(self->log));
}

/* Small leaves, of which others want some while all of a page table's are dropped */
struct small {
	char *mem;
	size_t size;
	bool done;
};

/* Has the kernel write there; returns NULL, or where that failed. */
static void *write_to(void *arg)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	const int fd = open("/dev/zero", O_RDONLY);
	struct small *small = arg;
	char *failed = NULL;
	size_t at = 0;

	while (!failed && !__atomic_load_n(&small->done, __ATOMIC_RELAXED)) {
		if (read(fd, small->mem + at, page) != (ssize_t)page)
			failed = small->mem + at;
		at = (at + 7 * page) % small->size;
	}
	close(fd);
	return failed;
}

TEST(tables_that_go)
{
	const size_t page = sysconf(_SC_PAGESIZE), table = read_pmd_pagesize();
	struct small small = { .size = 2 * table };
	pthread_t others[3];
	void *failed;
	char *area;
	size_t i;
	int fd;

	if (!table)
		SKIP(return, "no transparent huge pages");
	fd = open(DEVICE, O_RDWR);
	ASSERT_LE(0, fd);
	area = mmap(NULL, 4 * table, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	ASSERT_NE(MAP_FAILED, area);
	/* At no place for a large leaf, with all of a table */
	area += (-(uintptr_t)area & (table - 1)) + page;
	small.mem = mmap(area, small.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	ASSERT_NE(MAP_FAILED, small.mem);
	for (i = 0; i < ARRAY_SIZE(others); i++)
		ASSERT_EQ(0, pthread_create(&others[i], NULL, write_to, &small));
	for (i = 0; i < 5000; i++)
		EXPECT_EQ(0, madvise(small.mem, small.size, MADV_DONTNEED));
	__atomic_store_n(&small.done, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		ASSERT_EQ(0, pthread_join(others[i], &failed));
		EXPECT_EQ(NULL, failed);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	if (access(DEVICE, R_OK | W_OK)) {
		ksft_print_header();
		ksft_exit_skip("no %s\n", DEVICE);
	}
	return test_harness_run(argc, argv);
}
