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
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "../../../../lib/test_pageless_uapi.h"
#include "../../../include/io_uring/mini_liburing.h"

#define DEVICE		"/dev/test_pageless"
#define MADE		"pageless_dio.tmp"

#define SECTOR		4096UL
#define MIB		(1UL << 20)
#define AREA		(8 * MIB)
#define LIMIT		(3 * MIB)

enum way { SYNC, AIO, URING };

static const char *path = MADE;
static bool given;
static volatile sig_atomic_t nr_signals;

FIXTURE(dio) {
	int dev;
	int file;
	aio_context_t aio;
	struct io_uring ring;
	char *mem;	/* without struct page */
	char *plain;	/* ordinary memory */
	char *other;	/* likewise */
};

FIXTURE_VARIANT(dio) {
	enum way way;
};

FIXTURE_VARIANT_ADD(dio, sync) { .way = SYNC };
FIXTURE_VARIANT_ADD(dio, aio) { .way = AIO };
FIXTURE_VARIANT_ADD(dio, io_uring) { .way = URING };

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
	if (variant->way == URING && io_uring_queue_init(1, &self->ring, 0))
		SKIP(return, "no io_uring");
	self->mem = map(self->dev, PROT_READ | PROT_WRITE);
	self->plain = map(-1, PROT_READ | PROT_WRITE);
	self->other = map(-1, PROT_READ | PROT_WRITE);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_NE(MAP_FAILED, self->plain);
	ASSERT_NE(MAP_FAILED, self->other);
}

FIXTURE_TEARDOWN(dio)
{
	if (variant->way == URING)
		io_uring_queue_exit(&self->ring);
	syscall(SYS_io_destroy, self->aio);
	close(self->file);
	close(self->dev);
}

static long aio_submit(struct _test_data_dio *self, bool write, const struct iovec *iov, int nr,
		       off_t at)
{
	struct iocb cb = {
		.aio_lio_opcode = write ? IOCB_CMD_PWRITEV : IOCB_CMD_PREADV,
		.aio_fildes = self->file, .aio_buf = (uintptr_t)iov, .aio_nbytes = nr,
		.aio_offset = at,
	}, *list = &cb;

	return syscall(SYS_io_submit, self->aio, 1L, &list) == 1 ? 0 : -errno;
}

static long uring_submit_sqe(struct io_uring *ring, const struct io_uring_sqe *from)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe)
		return -EBUSY;
	*sqe = *from;
	return io_uring_submit(ring) == 1 ? 0 : -EBUSY;
}

/* One segment has operations of its own. */
static long uring_submit(struct _test_data_dio *self, bool write, const struct iovec *iov, int nr,
			 off_t at)
{
	struct io_uring_sqe sqe = { .fd = self->file, .off = at };

	if (nr == 1) {
		sqe.opcode = write ? IORING_OP_WRITE : IORING_OP_READ;
		sqe.addr = (uintptr_t)iov->iov_base;
		sqe.len = iov->iov_len;
	} else {
		sqe.opcode = write ? IORING_OP_WRITEV : IORING_OP_READV;
		sqe.addr = (uintptr_t)iov;
		sqe.len = nr;
	}
	return uring_submit_sqe(&self->ring, &sqe);
}

static long uring_end(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	long r = io_uring_wait_cqe(ring, &cqe);

	if (r)
		return r;
	r = cqe->res;
	io_uring_cqe_seen(ring);
	return r;
}

static long submit(struct _test_data_dio *self, enum way way, bool write, const struct iovec *iov,
		   int nr, off_t at)
{
	return way == AIO ? aio_submit(self, write, iov, nr, at) :
			    uring_submit(self, write, iov, nr, at);
}

static long end(struct _test_data_dio *self, enum way way)
{
	struct io_event event;

	if (way == URING)
		return uring_end(&self->ring);
	return syscall(SYS_io_getevents, self->aio, 1L, 1L, &event, NULL) == 1 ? event.res : -errno;
}

/* Returns how many bytes, or -errno. */
static long transfer(struct _test_data_dio *self, enum way way, bool write, const struct iovec *iov,
		     int nr, off_t at)
{
	long r;

	if (way != SYNC)
		return submit(self, way, write, iov, nr, at) ?: end(self, way);
	r = write ? pwritev(self->file, iov, nr, at) : preadv(self->file, iov, nr, at);
	return r < 0 ? -errno : r;
}

static long transfer_one(struct _test_data_dio *self, enum way way, bool write, void *base,
			 size_t size, off_t at)
{
	struct iovec iov = { base, size };

	return transfer(self, way, write, &iov, 1, at);
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
			EXPECT_EQ(size, transfer_one(self, variant->way, true, self->mem + skew,
						     size, SECTOR));
			ASSERT_EQ(size, pread(self->file, self->plain, size, SECTOR));
			EXPECT_EQ(0, memcmp(self->plain, self->mem + skew, size));
			EXPECT_EQ(0, memcmp(self->other, self->mem, AREA));

			fill(self->plain, size);
			ASSERT_EQ(size, pwrite(self->file, self->plain, size, SECTOR));
			memcpy(self->other + skew, self->plain, size);
			EXPECT_EQ(size, transfer_one(self, variant->way, false,
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
	EXPECT_EQ(size, transfer(self, variant->way, true, iov, nr, 0));
	ASSERT_EQ(size, pread(self->file, self->other, size, 0));
	for (i = 0, size = 0; i < nr; size += lens[i++])
		EXPECT_EQ(0, memcmp(self->other + size, iov[i].iov_base, lens[i]));

	fill(self->other, size);
	ASSERT_EQ(size, pwrite(self->file, self->other, size, 0));
	EXPECT_EQ(size, transfer(self, variant->way, false, iov, nr, 0));
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
		EXPECT_EQ(transfer_one(self, variant->way, false, self->plain, cases[i].size,
				       cases[i].at),
			  transfer_one(self, variant->way, false, self->mem, cases[i].size,
				       cases[i].at));
}

/* What is wrong about the memory does so, too. */
TEST_F(dio, bad_address)
{
	char *none = map(-1, PROT_NONE), *readable = map(self->dev, PROT_READ);
	struct iovec partly[] = { { self->mem, SECTOR }, { none, SECTOR } };
	struct iovec late[] = { { self->mem, 2 * MIB }, { none, SECTOR } };

	ASSERT_NE(MAP_FAILED, readable);
	EXPECT_EQ(-EFAULT, transfer(self, variant->way, false, partly, 2, 0));
	EXPECT_EQ(-EFAULT, transfer(self, variant->way, true, partly, 2, 0));
	EXPECT_EQ(-EFAULT, transfer(self, variant->way, false, late, 2, 0));
	EXPECT_EQ(-EFAULT, transfer(self, variant->way, true, late, 2, 0));
	EXPECT_EQ(-EFAULT, transfer_one(self, variant->way, false, readable, SECTOR, 0));
	EXPECT_EQ(SECTOR, transfer_one(self, variant->way, true, readable, SECTOR, 0));
}

/* A page with a memory error */
TEST_F(dio, poison)
{
	__u64 offset = MIB;

	memset(self->mem, 1, 2 * MIB);
	ASSERT_EQ(0, ioctl(self->dev, TEST_PAGELESS_POISON, &offset));
	EXPECT_EQ(-EFAULT, transfer_one(self, variant->way, false, self->mem + MIB - SECTOR,
					4 * SECTOR, 0));
	EXPECT_EQ(-EFAULT, transfer_one(self, variant->way, true, self->mem + MIB, SECTOR, 0));
	EXPECT_EQ(SECTOR, transfer_one(self, variant->way, true, self->mem + MIB - SECTOR,
				       SECTOR, 0));
}

/* The mapping may be gone when a read ends: it is held. */
TEST_F(dio, unmapped)
{
	struct iovec iov = { map(self->dev, PROT_READ | PROT_WRITE), 2 * MIB };
	long r;

	if (variant->way == SYNC)
		SKIP(return, "only what is asynchronous");
	ASSERT_NE(MAP_FAILED, iov.iov_base);
	fill(self->plain, 2 * MIB);
	ASSERT_EQ(2 * MIB, pwrite(self->file, self->plain, 2 * MIB, 0));
	ASSERT_EQ(0, submit(self, variant->way, false, &iov, 1, 0));
	ASSERT_EQ(0, munmap(iov.iov_base, AREA));
	r = end(self, variant->way);
	if (variant->way == URING && r == -EFAULT)
		SKIP(return, "this file makes io_uring read from a worker, which came later");
	EXPECT_EQ(2 * MIB, r);
	EXPECT_EQ(0, memcmp(self->plain, self->mem, 2 * MIB));
}

static void on_limit(int signal)
{
	nr_signals++;
}

/* Write up to a limit of the size of files, and across it. */
static long transfer_at_limit(struct _test_data_dio *self, enum way way, void *from, size_t size,
			      off_t at)
{
	struct rlimit old, low;
	long r;

	getrlimit(RLIMIT_FSIZE, &old);
	low = (struct rlimit) { LIMIT, old.rlim_max };
	setrlimit(RLIMIT_FSIZE, &low);
	nr_signals = 0;
	r = transfer_one(self, way, true, from, size, at);
	setrlimit(RLIMIT_FSIZE, &old);
	return r;
}

/*
 * What ends at the limit is written; what goes on behind it is short, without a signal, also if a
 * piece ends there; what begins there has a signal and fails.
 */
TEST_F(dio, size_limit)
{
	static const struct { size_t size; off_t at; long done; } cases[] = {
		{ SECTOR, LIMIT - SECTOR, SECTOR },
		{ 2 * SECTOR, LIMIT - SECTOR, SECTOR },
		{ MIB, LIMIT - MIB, MIB },
		{ 2 * MIB, LIMIT - MIB, MIB },
		{ 3 * MIB, LIMIT - MIB - SECTOR, MIB + SECTOR },
		{ 5 * MIB, LIMIT - 2 * MIB, 2 * MIB },
		{ SECTOR, LIMIT, -EFBIG },
		{ 2 * MIB, LIMIT + MIB, -EFBIG },
	};
	int pageless, signals[2];
	struct stat info;
	size_t i;

	ASSERT_EQ(0, fstat(self->file, &info));
	if (!S_ISREG(info.st_mode))
		SKIP(return, "only a file has a limit");
	signal(SIGXFSZ, on_limit);
	fill(self->other, AREA);
	ASSERT_EQ(AREA, pwrite(self->file, self->other, AREA, 0));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const size_t size = cases[i].size;
		const off_t at = cases[i].at;

		for (pageless = 0; pageless < 2; pageless++) {
			char *from = pageless ? self->mem : self->plain;

			fill(from, size);
			EXPECT_EQ(cases[i].done,
				  transfer_at_limit(self, variant->way, from, size, at));
			signals[pageless] = nr_signals;
			if (cases[i].done > 0)
				memcpy(self->other + at, from, cases[i].done);
			ASSERT_EQ(AREA, pread(self->file, self->plain, AREA, 0));
			EXPECT_EQ(0, memcmp(self->plain, self->other, AREA));
		}
		EXPECT_EQ(signals[0], signals[1]);
		/* A worker of io_uring gets none. */
		if (variant->way != URING)
			EXPECT_EQ(cases[i].done < 0, signals[1]);
	}
}

/* Registered buffers are pinned for long, so that these cannot be: they stay what they were. */
TEST_F(dio, registered)
{
	struct iovec good = { self->plain, MIB }, bad = { self->mem, MIB };
	struct iovec both[] = { good, bad };
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_READ_FIXED, .fd = self->file,
		.addr = (uintptr_t)self->mem, .len = SECTOR,
	};
	struct io_uring_rsrc_update2 update = { .data = (uintptr_t)&bad, .nr = 1 };
	struct io_uring *ring = &self->ring;

	if (variant->way != URING)
		SKIP(return, "only io_uring");
	EXPECT_EQ(-EFAULT, io_uring_register_buffers(ring, &bad, 1));
	EXPECT_EQ(-EFAULT, io_uring_register_buffers(ring, both, 2));
	ASSERT_EQ(0, uring_submit_sqe(ring, &sqe));
	EXPECT_EQ(-EFAULT, uring_end(ring));

	/* One of ordinary memory, which cannot become one of the other */
	ASSERT_EQ(0, io_uring_register_buffers(ring, &good, 1));
	EXPECT_EQ(-1, syscall(__NR_io_uring_register, ring->ring_fd, IORING_REGISTER_BUFFERS_UPDATE,
			      &update, sizeof(update)));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, uring_submit_sqe(ring, &sqe));
	EXPECT_EQ(-EFAULT, uring_end(ring));
	sqe.addr = (uintptr_t)self->plain;
	fill(self->other, SECTOR);
	ASSERT_EQ(SECTOR, pwrite(self->file, self->other, SECTOR, 0));
	ASSERT_EQ(0, uring_submit_sqe(ring, &sqe));
	EXPECT_EQ(SECTOR, uring_end(ring));
	EXPECT_EQ(0, memcmp(self->plain, self->other, SECTOR));
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
