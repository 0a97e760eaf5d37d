// SPDX-License-Identifier: GPL-2.0
/*
 * Direct I/O into and out of memory without struct page, beside what ordinary memory gives.
 *
 *   pageless_dio [FILE]
 *
 * FILE is a file or block device of 8 MiB or more, which is overwritten; otherwise one is made in
 * the working folder, which must be where there is direct I/O. Needs CONFIG_TEST_PAGELESS.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "../../../../lib/test_pageless_uapi.h"

#define DEVICE		"/dev/test_pageless"
#define MADE		"pageless_dio.tmp"

#define SECTOR		4096UL
#define MIB		(1UL << 20)
#define AREA		(8 * MIB)

static const char *path = MADE;
static bool given;

FIXTURE(dio) {
	int dev;
	int file;
	aio_context_t aio;
	char *mem;	/* without struct page */
	char *plain;	/* ordinary memory */
	char *other;	/* likewise */
};

FIXTURE_VARIANT(dio) {
	bool async;
};

FIXTURE_VARIANT_ADD(dio, sync) { .async = false };
FIXTURE_VARIANT_ADD(dio, aio) { .async = true };

static char *map(int fd, int prot)
{
	return mmap(NULL, AREA, prot, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
}

/* Something else each time */
static void fill(char *at, size_t size)
{
	static uint32_t state = 1;
	size_t i;

	for (i = 0; i < size; i++) {
		state = state * 1664525 + 1013904223;
		at[i] = state >> 24;
	}
}

FIXTURE_SETUP(dio)
{
	self->dev = open(DEVICE, O_RDWR);
	self->file = open(path, O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->dev);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, syscall(SYS_io_setup, 1, &self->aio));
	self->mem = map(self->dev, PROT_READ | PROT_WRITE);
	self->plain = map(-1, PROT_READ | PROT_WRITE);
	self->other = map(-1, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_NE(MAP_FAILED, self->plain);
	ASSERT_NE(MAP_FAILED, self->other);
}

FIXTURE_TEARDOWN(dio)
{
	syscall(SYS_io_destroy, self->aio);
	close(self->file);
	close(self->dev);
}

static long submit(struct _test_data_dio *self, bool write, const struct iovec *iov, int nr, off_t at)
{
	struct iocb cb = {
		.aio_lio_opcode = write ? IOCB_CMD_PWRITEV : IOCB_CMD_PREADV,
		.aio_fildes = self->file, .aio_buf = (uintptr_t)iov, .aio_nbytes = nr,
		.aio_offset = at,
	}, *list = &cb;

	return syscall(SYS_io_submit, self->aio, 1L, &list) == 1 ? 0 : -errno;
}

static long end(struct _test_data_dio *self)
{
	struct io_event event;

	return syscall(SYS_io_getevents, self->aio, 1L, 1L, &event, NULL) == 1 ? event.res : -errno;
}

/* Returns how many bytes, or -errno. */
static long transfer(struct _test_data_dio *self, bool async, bool write, const struct iovec *iov,
		     int nr, off_t at)
{
	long r;

	if (async)
		return submit(self, write, iov, nr, at) ?: end(self);
	r = write ? pwritev(self->file, iov, nr, at) : preadv(self->file, iov, nr, at);
	return r < 0 ? -errno : r;
}

static long transfer_one(struct _test_data_dio *self, bool async, bool write, void *base, size_t size,
			 off_t at)
{
	struct iovec iov = { base, size };

	return transfer(self, async, write, &iov, 1, at);
}

/* All of it is in this memory, at any alignment, of one and of several pieces. */
TEST_F(dio, whole)
{
	static const size_t sizes[] = { SECTOR, 3 * SECTOR, MIB, 3 * MIB, 5 * MIB };
	static const size_t skews[] = { 0, 512, 4, 1 };
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (j = 0; j < ARRAY_SIZE(skews); j++) {
			const size_t size = sizes[i], skew = skews[j];

			fill(self->mem, AREA);
			memcpy(self->other, self->mem, AREA);
			EXPECT_EQ(size, transfer_one(self, variant->async, true, self->mem + skew,
						     size, SECTOR));
			ASSERT_EQ(size, pread(self->file, self->plain, size, SECTOR));
			EXPECT_EQ(0, memcmp(self->plain, self->mem + skew, size));
			EXPECT_EQ(0, memcmp(self->other, self->mem, AREA));

			fill(self->plain, size);
			ASSERT_EQ(size, pwrite(self->file, self->plain, size, SECTOR));
			memcpy(self->other + skew, self->plain, size);
			EXPECT_EQ(size, transfer_one(self, variant->async, false,
						     self->mem + skew, size, SECTOR));
			EXPECT_EQ(0, memcmp(self->other, self->mem, AREA));
		}
	}
}

/* Every second segment is in ordinary memory. */
TEST_F(dio, mixed)
{
	static const size_t lens[] = { SECTOR, 2 * SECTOR, 0, MIB, MIB + SECTOR, SECTOR };
	const int nr = ARRAY_SIZE(lens);
	struct iovec iov[ARRAY_SIZE(lens)];
	size_t size = 0;
	int i;

	fill(self->mem, AREA);
	fill(self->plain, AREA);
	for (i = 0; i < nr; i++) {
		iov[i] = (struct iovec) { (i % 2 ? self->plain : self->mem) + size, lens[i] };
		size += lens[i];
	}
	EXPECT_EQ(size, transfer(self, variant->async, true, iov, nr, 0));
	ASSERT_EQ(size, pread(self->file, self->other, size, 0));
	for (i = 0, size = 0; i < nr; size += lens[i++])
		EXPECT_EQ(0, memcmp(self->other + size, iov[i].iov_base, lens[i]));

	fill(self->other, size);
	ASSERT_EQ(size, pwrite(self->file, self->other, size, 0));
	EXPECT_EQ(size, transfer(self, variant->async, false, iov, nr, 0));
	for (i = 0, size = 0; i < nr; size += lens[i++])
		EXPECT_EQ(0, memcmp(self->other + size, iov[i].iov_base, lens[i]));
}

/* What is wrong about the file gives what it gives with ordinary memory. */
TEST_F(dio, as_ordinary)
{
	const off_t last = lseek(self->file, 0, SEEK_END);
	const struct { size_t size; off_t at; } cases[] = {
		{ 2 * SECTOR, 7 }, { SECTOR + 1, 0 }, { 2 * SECTOR, last - SECTOR },
		{ 2 * SECTOR, last }, { 0, 0 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		EXPECT_EQ(transfer_one(self, variant->async, false, self->plain, cases[i].size,
				       cases[i].at),
			  transfer_one(self, variant->async, false, self->mem, cases[i].size,
				       cases[i].at));
}

/* What is wrong about the memory does so, too. */
TEST_F(dio, bad_address)
{
	char *none = map(-1, PROT_NONE), *readable = map(self->dev, PROT_READ);
	struct iovec partly[] = { { self->mem, SECTOR }, { none, SECTOR } };

	ASSERT_NE(MAP_FAILED, readable);
	EXPECT_EQ(-EFAULT, transfer(self, variant->async, false, partly, 2, 0));
	EXPECT_EQ(-EFAULT, transfer(self, variant->async, true, partly, 2, 0));
	EXPECT_EQ(-EFAULT, transfer_one(self, variant->async, false, readable, SECTOR, 0));
	EXPECT_EQ(SECTOR, transfer_one(self, variant->async, true, readable, SECTOR, 0));
}

/* A page with a memory error */
TEST_F(dio, poison)
{
	__u64 offset = MIB;

	memset(self->mem, 1, 2 * MIB);
	ASSERT_EQ(0, ioctl(self->dev, TEST_PAGELESS_POISON, &offset));
	EXPECT_EQ(-EFAULT, transfer_one(self, variant->async, false, self->mem + MIB - SECTOR,
					4 * SECTOR, 0));
	EXPECT_EQ(-EFAULT, transfer_one(self, variant->async, true, self->mem + MIB, SECTOR, 0));
	EXPECT_EQ(SECTOR, transfer_one(self, variant->async, true, self->mem + MIB - SECTOR,
				       SECTOR, 0));
}

/* The mapping may be gone when a read ends: it is held. */
TEST_F(dio, unmapped)
{
	struct iovec iov = { map(self->dev, PROT_READ | PROT_WRITE), 2 * MIB };

	if (!variant->async)
		SKIP(return, "only what is asynchronous");
	ASSERT_NE(MAP_FAILED, iov.iov_base);
	fill(self->plain, 2 * MIB);
	ASSERT_EQ(2 * MIB, pwrite(self->file, self->plain, 2 * MIB, 0));
	ASSERT_EQ(0, submit(self, false, &iov, 1, 0));
	ASSERT_EQ(0, munmap(iov.iov_base, AREA));
	EXPECT_EQ(2 * MIB, end(self));
	EXPECT_EQ(0, memcmp(self->plain, self->mem, 2 * MIB));
}

/* Is there direct I/O, and is this file large enough? */
static const char *unfit(void)
{
	struct statx info;
	int fd;

	if (access(DEVICE, R_OK | W_OK))
		return "no " DEVICE;
	fd = open(path, O_RDWR | O_DIRECT | (given ? 0 : O_CREAT), 0600);
	if (fd < 0)
		return errno == EINVAL ? "no direct I/O here" : "no file";
	if (!given && ftruncate(fd, AREA))
		return "no room for a file";
	if (lseek(fd, 0, SEEK_END) < (off_t)AREA)
		return "the file is too small";
	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) ||
	    !(info.stx_mask & STATX_DIOALIGN) || !info.stx_dio_mem_align)
		return "the file has no direct I/O of its own";
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	const char *reason;
	int ret;

	if (argc > 1 && argv[1][0] != '-') {
		path = argv[1];
		given = true;
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	reason = unfit();
	if (reason) {
		ksft_print_header();
		if (!given)
			unlink(path);
		ksft_exit_skip("%s\n", reason);
	}
	ret = test_harness_run(argc, argv);
	if (!given)
		unlink(path);
	return ret;
}
