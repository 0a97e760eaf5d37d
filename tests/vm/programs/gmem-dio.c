// SPDX-License-Identifier: GPL-2.0
/*
 * Direct I/O between a file, or block device, and memory of the pool, compared byte for byte
 * with what ordinary memory gives.
 *
 *   gmem-dio TARGET MEMORY ACTION...
 *
 * TARGET is a file or block device of 16 MiB or more, which is overwritten; MEMORY a file of
 * gmemfs of 16 MiB or more, which is mapped. Actions, in the order given:
 *   random=N        N transfers of random vectors, whose segments are in the pool, in ordinary
 *                   memory or in both, at random alignments; by preadv2() and pwritev2(), by
 *                   libaio and by io_uring, also by a ring that polls (IORING_SETUP_IOPOLL), if
 *                   TARGET is a disk that can; as they are, or with RWF_DSYNC, RWF_SYNC or RWF_HIPRI. Each is
 *                   done with ordinary memory only, too: the results must be the same, but that
 *                   it may work where ordinary memory must be aligned
 *   large           transfers of more than what is bounced at a time
 *   errors          bad addresses, memory that may not be written to, the end of the file, what
 *                   is cut off; buffers that are registered; what would wait with RWF_NOWAIT
 *   polled          TARGET is polled
 *   sync            a write with RWF_DSYNC, or by a file that is open with O_DSYNC, flushes the
 *                   cache of a disk, as with ordinary memory
 *   append          two processes append 4 MiB at a time to TARGET, a file: none of that is torn
 *   atomic          a write that must not be torn (RWF_ATOMIC) is refused; prints what becomes
 *                   of it with ordinary memory
 *   unmapped        memory that is mapped no more when a read ends
 *   eio             TARGET gives EIO for each write
 *   faults=CONTROL  TARGET is a null_blk with memory of its own, which CONTROL gives bad sectors
 *                   (configfs: badblocks): results, the file's position, and which bytes change
 *   bounded         TARGET is slow: no more is in flight than 2 % of memory, but about that much,
 *                   also when that has ended; what else is refused then, or waited for
 *   full=PROCS      TARGET is slow, and has memory of its own; the rest is done in a cgroup, by its
 *                   cgroup.procs, which may have less memory than is in flight then
 *   stale           TARGET does not fill what it reads: nobody sees what was last written
 *   stream          read from TARGET into the pool without an end
 *   cost            print what transfers of 1 MiB and 4 KiB cost, in ns, in either memory; with -
 *                   for MEMORY, in ordinary memory only, by a process that never had any other
 *   seed=N          of what is random
 *
 * Exit status: 0; 1 if something is not as it should be, which is said; 2 for a usage error.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KIB		1024UL
#define MIB		(1024 * KIB)
#define AREA		(16 * MIB)
#define SECTOR		512UL
/* In leaf 7 of CPUID */
#define bit_ERMS	(1U << 9)
/* Of random vectors: where segments begin, and what is filled */
#define USED		(4 * MIB)
#define FILLED		(USED + 2 * MIB)
#define MAX_SEGMENTS	24

enum way { SYNC, AIO, URING, POLLED, NR_WAYS };

static const char * const way_name[] = { "preadv/pwritev", "libaio", "io_uring", "IOPOLL" };
/* One less if TARGET cannot be polled */
static enum way nr_ways = NR_WAYS;

/* One transfer: each segment is at an offset of the pool's area, or of the ordinary one. */
struct transfer {
	bool write;
	int flags;
	off_t at;
	size_t size;
	int nr;
	size_t offset[MAX_SEGMENTS];
	size_t len[MAX_SEGMENTS];
	bool pool[MAX_SEGMENTS];
};

static int target;
static int memory;
static char *pool, *plain, *oracle, *wanted, *found;
/* Where random contents come from: to compute them each time would take longer than all else. */
static char *noise;
static aio_context_t aio;
static struct ring {
	int fd;
	unsigned int *sq_tail, *cq_head, *cq_tail, *sq_array, mask, cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
} rings[NR_WAYS];

/* RWF_... of all transfers */
static int rw_flags;

static uint64_t seed = 1;

static uint64_t random_number(uint64_t below)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (seed >> 33) % below;
}

static void fill(char *at, size_t size)
{
	for (size_t i = 0; i + 8 <= size; i += 8) {
		const uint64_t word = random_number(1UL << 31) * 0x9e3779b97f4a7c15UL;

		memcpy(at + i, &word, 8);
	}
}

/*
 * The ways
 */

static void open_ring(struct ring *ring, unsigned int flags)
{
	struct io_uring_params p = { .flags = flags };
	char *sq, *cq;

	ring->fd = syscall(SYS_io_uring_setup, 4, &p);
	if (ring->fd < 0)
		err(1, "io_uring_setup");
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*ring->cqes),
		  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
		  IORING_OFF_CQ_RING);
	ring->sqes = mmap(NULL, p.sq_entries * sizeof(*ring->sqes), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || ring->sqes == MAP_FAILED)
		err(1, "mmap of io_uring");
	ring->sq_tail = (void *)(sq + p.sq_off.tail);
	ring->mask = *(unsigned int *)(sq + p.sq_off.ring_mask);
	ring->sq_array = (void *)(sq + p.sq_off.array);
	ring->cq_head = (void *)(cq + p.cq_off.head);
	ring->cq_tail = (void *)(cq + p.cq_off.tail);
	ring->cq_mask = *(unsigned int *)(cq + p.cq_off.ring_mask);
	ring->cqes = (void *)(cq + p.cq_off.cqes);
}

static void uring_submit(enum way way, bool write, const struct iovec *iov, int nr, off_t at)
{
	struct ring *ring = &rings[way];
	const unsigned int tail = *ring->sq_tail, index = tail & ring->mask;

	ring->sqes[index] = (struct io_uring_sqe) {
		.opcode = write ? IORING_OP_WRITEV : IORING_OP_READV,
		.fd = target, .addr = (uintptr_t)iov, .len = nr, .off = at,
		.rw_flags = rw_flags,
	};
	ring->sq_array[index] = index;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0) != 1)
		err(1, "io_uring_enter");
}

static long uring_wait(enum way way)
{
	struct ring *ring = &rings[way];
	const unsigned int head = *ring->cq_head;
	long res;

	while (__atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) == head)
		syscall(SYS_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	res = ring->cqes[head & ring->cq_mask].res;
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	return res;
}

/* Returns false if that has failed already, with errno. */
static bool aio_submit(bool write, const struct iovec *iov, int nr, off_t at)
{
	struct iocb cb = {
		.aio_lio_opcode = write ? IOCB_CMD_PWRITEV : IOCB_CMD_PREADV,
		.aio_fildes = target, .aio_buf = (uintptr_t)iov, .aio_nbytes = nr,
		.aio_offset = at, .aio_rw_flags = rw_flags,
	}, *list = &cb;

	return syscall(SYS_io_submit, aio, 1L, &list) == 1;
}

static long aio_wait(void)
{
	struct io_event event;

	if (syscall(SYS_io_getevents, aio, 1L, 1L, &event, NULL) != 1)
		err(1, "io_getevents");
	return event.res;
}

/* Returns how many bytes, or -errno. */
static long transfer(enum way way, bool write, const struct iovec *iov, int nr, off_t at)
{
	long r;

	switch (way) {
	case AIO:
		return aio_submit(write, iov, nr, at) ? aio_wait() : -errno;
	case URING:
	case POLLED:
		uring_submit(way, write, iov, nr, at);
		return uring_wait(way);
	default:
		r = write ? pwritev2(target, iov, nr, at, rw_flags) :
			    preadv2(target, iov, nr, at, rw_flags);
		return r < 0 ? -errno : r;
	}
}

/*
 * Random vectors
 */

/* Cut @size into segments: of sectors, of words, or of bytes. */
static void make_transfer(struct transfer *t)
{
	static const size_t units[] = { 4096, 512, 512, 4, 1 };
	static const int flags[] = { 0, 0, 0, RWF_DSYNC, RWF_SYNC, RWF_HIPRI };
	const size_t unit = units[random_number(5)];
	const int kind = random_number(3);
	size_t left;

	t->write = random_number(2);
	t->flags = flags[random_number(6)];
	t->size = (1 + random_number(random_number(8) ? 64 : 2048)) * SECTOR;
	t->at = random_number((AREA - t->size) / SECTOR) * SECTOR;
	left = t->size;
	for (t->nr = 0; left; t->nr++) {
		size_t len = (1 + random_number(left / unit + 1)) * unit;

		if (len > left || t->nr == MAX_SEGMENTS - 1)
			len = left;
		t->len[t->nr] = len;
		/* No two of them overlap: what would be read there is undefined. */
		t->offset[t->nr] = ((t->size - left) * 2 + random_number(len / unit + 1) * unit +
				    random_number(2) * 2 * MIB) % USED;
		t->pool[t->nr] = kind == 0 || (kind == 1 && random_number(2));
		left -= len;
	}
}

static bool overlapping(const struct transfer *t)
{
	for (int i = 0; i < t->nr; i++)
		for (int j = 0; j < i; j++)
			if (t->offset[i] < t->offset[j] + t->len[j] &&
			    t->offset[j] < t->offset[i] + t->len[i])
				return true;
	return false;
}

static void make_vector(const struct transfer *t, struct iovec *iov, bool ordinary)
{
	for (int i = 0; i < t->nr; i++) {
		char *base = ordinary ? oracle : t->pool[i] ? pool : plain;

		iov[i] = (struct iovec) { base + t->offset[i], t->len[i] };
	}
}

static int complain(const struct transfer *t, enum way by, const char *what, long r, long r0)
{
	printf("%s: %s of %zu at %lld by %s, flags %#x: %ld, ordinary memory %ld\n", what,
	       t->write ? "write" : "read", t->size, (long long)t->at, way_name[by], t->flags, r,
	       r0);
	for (int i = 0; i < t->nr; i++)
		printf("  %s %#zx + %zu\n", t->pool[i] ? "pool" : "plain", t->offset[i],
		       t->len[i]);
	return 1;
}

static void look(char *at, const struct transfer *t)
{
	if (pread(target, at, t->size, t->at) != (ssize_t)t->size)
		err(1, "pread");
}

/* What was read must be in the segments, and nothing beside them may have changed. */
static bool as_read(const struct transfer *t, bool in_pool)
{
	memcpy(found, wanted, FILLED);
	for (int i = 0; i < t->nr; i++)
		if (t->pool[i] == in_pool)
			memcpy(found + t->offset[i], oracle + t->offset[i], t->len[i]);
	return !memcmp(found, in_pool ? pool : plain, FILLED);
}

static int one_random(void)
{
	struct iovec iov[MAX_SEGMENTS], ref[MAX_SEGMENTS];
	const enum way way = random_number(nr_ways);
	struct transfer t;
	long r0, r;

	do
		make_transfer(&t);
	while (overlapping(&t));
	memcpy(oracle, noise + random_number(MIB), FILLED);
	memcpy(pool, oracle, FILLED);
	memcpy(plain, oracle, FILLED);
	memcpy(wanted, oracle, FILLED);
	make_vector(&t, iov, false);
	make_vector(&t, ref, true);

	/* Who has not said that he polls may not, by io_uring. */
	rw_flags = way == URING && t.flags == RWF_HIPRI ? 0 : t.flags;
	r0 = transfer(way, t.write, ref, t.nr, t.at);
	if (t.write && r0 > 0) {
		look(wanted, &t);
		/* Something else, that this must overwrite */
		memcpy(found, noise + random_number(MIB), t.size);
		if (pwrite(target, found, t.size, t.at) != (ssize_t)t.size)
			err(1, "pwrite");
	}
	r = transfer(way, t.write, iov, t.nr, t.at);
	rw_flags = 0;
	if (r != r0 && !(r0 == -EINVAL && r == (long)t.size))
		return complain(&t, way, "result", r, r0);
	if (r <= 0 || r0 <= 0)
		return 0;
	if (!t.write)
		return as_read(&t, true) && as_read(&t, false) ? 0 :
		       complain(&t, way, "contents", r, r0);
	look(found, &t);
	return memcmp(wanted, found, t.size) ? complain(&t, way, "contents", r, r0) : 0;
}

static int random_transfers(unsigned long n)
{
	int bad = 0;

	noise = malloc(FILLED + MIB);
	if (!noise)
		err(1, "malloc");
	fill(noise, FILLED + MIB);
	while (n-- && !bad)
		bad = one_random();
	return bad;
}

/*
 * What is special
 */

static int expect(const char *what, enum way way, long r, long want)
{
	if (r == want)
		return 0;
	printf("%s by %s: %ld, not %ld\n", what, way_name[way], r, want);
	return 1;
}

static int try_large(void)
{
	static const size_t sizes[] = { MIB, 3 * MIB + SECTOR, 4 * MIB, 4 * MIB + SECTOR,
					9 * MIB + 4096 };
	int bad = 0;

	for (enum way way = SYNC; way < nr_ways; way++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			const size_t size = sizes[i];
			struct iovec in = { pool + 4096, size }, out = { pool + 4096, size };

			fill(pool + 4096, size);
			memcpy(oracle, pool + 4096, size);
			bad += expect("a large write", way, transfer(way, true, &out, 1, 0), size);
			memset(pool + 4096, 0, size);
			bad += expect("a large read", way, transfer(way, false, &in, 1, 0), size);
			if (memcmp(oracle, pool + 4096, size))
				bad += expect("contents of a large read", way, 0, 1);
		}
	}
	return bad;
}

/* What ordinary memory gives */
static int as_ordinary(const char *what, enum way way, size_t size, off_t at)
{
	struct iovec iov = { pool, size }, ref = { plain, size };

	return expect(what, way, transfer(way, false, &iov, 1, at),
		      transfer(way, false, &ref, 1, at));
}

/* A write across the end of a disk, or across an odd limit of files */
static long write_cut_off(enum way way, char *from, size_t size, off_t at)
{
	const struct rlimit no = { RLIM_INFINITY, RLIM_INFINITY };
	const struct rlimit low = { at + 3 * MIB / 2 + 100, RLIM_INFINITY };
	struct iovec iov = { from, size };
	long r;

	setrlimit(RLIMIT_FSIZE, &low);
	r = transfer(way, true, &iov, 1, at);
	setrlimit(RLIMIT_FSIZE, &no);
	return r;
}

/*
 * What is cut off counts with what is left of it, as with ordinary memory. If that is refused, nothing
 * is changed; xfs has written a part of ordinary memory by then.
 */
static int try_cut_off(enum way way, off_t end)
{
	const size_t odd = 5 * MIB + 100;
	struct iovec old = { oracle, 2 * MIB }, now = { found, 2 * MIB };
	struct iovec then = { wanted, 2 * MIB };
	size_t size = 5 * MIB, looked_at = 2 * MIB;
	struct stat st;
	off_t at = 0;
	long want;
	int bad;

	if (fstat(target, &st))
		err(1, "fstat");
	if (S_ISBLK(st.st_mode)) {
		size = odd;
		looked_at = MIB;
		at = end - MIB;
	}
	fill(pool, odd);
	memcpy(plain, pool, odd);
	transfer(SYNC, false, &old, 1, at);
	want = write_cut_off(way, plain, size, at);
	transfer(SYNC, false, &then, 1, at);
	transfer(SYNC, true, &old, 1, at);
	bad = expect("a write that is cut off", way, write_cut_off(way, pool, size, at), want);
	transfer(SYNC, false, &now, 1, at);
	bad += expect("what it has changed", way, !!memcmp(want < 0 ? oracle : wanted, found, looked_at), 0);
	return bad + as_ordinary("an odd read across the end", way, odd, end - MIB);
}

/* What takes no asynchronous read would be waited for, which is refused; ordinary memory waits. */
static int try_nowait(enum way way)
{
	struct iovec large = { pool, 4 * MIB + 4096 }, small = { pool, 8192 };
	struct iovec both[] = { { pool, 4096 }, { plain, 4096 } }, ref = { plain, 8192 };
	int bad = 0;

	bad += expect("a large read", way, transfer(way, false, &large, 1, 0), large.iov_len);
	bad += expect("a read to memory of both kinds", way, transfer(way, false, both, 2, 0), 8192);
	rw_flags = RWF_NOWAIT;
	bad += expect("a small read that may not wait", way, transfer(way, false, &small, 1, 0),
		      transfer(way, false, &ref, 1, 0));
	if (way != SYNC) {
		bad += expect("a large one", way, transfer(way, false, &large, 1, 0), -EAGAIN);
		bad += expect("one to memory of both kinds", way, transfer(way, false, both, 2, 0),
			      -EAGAIN);
	}
	rw_flags = 0;
	return bad;
}

static int errors(void)
{
	char *no = mmap(NULL, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *ro = mmap(NULL, 4 * MIB, PROT_READ, MAP_SHARED, memory, 0);
	struct iovec partly[] = { { pool, 4096 }, { no, 4096 } };
	struct iovec only = { ro, 4096 }, good = { pool, 8192 };
	struct iovec empty[] = { { pool, 0 }, { pool + 4096, 0 } };
	const off_t end = lseek(target, 0, SEEK_END);
	long r;
	int bad = 0;

	if (no == MAP_FAILED || ro == MAP_FAILED)
		err(1, "mmap");
	for (enum way way = SYNC; way < nr_ways; way++) {
		bad += expect("a read to nowhere", way, transfer(way, false, partly, 2, 0), -EFAULT);
		bad += expect("a write from nowhere", way, transfer(way, true, partly, 2, 0),
			      -EFAULT);
		bad += expect("a read to a read-only mapping", way,
			      transfer(way, false, &only, 1, 0), -EFAULT);
		bad += expect("a write from one", way, transfer(way, true, &only, 1, 0), 4096);
		bad += as_ordinary("a read at an odd place", way, 8192, 7);
		bad += as_ordinary("a read of an odd size", way, 4097, 0);
		bad += as_ordinary("a large read of an odd size", way, 5 * MIB + 100, 0);
		bad += try_cut_off(way, end);
		bad += as_ordinary("a read across the end", way, 8192, end - 4096);
		bad += as_ordinary("a read at the end", way, 8192, end);
		bad += as_ordinary("a read of nothing", way, 0, 0);
		bad += expect("two empty segments", way, transfer(way, false, empty, 2, 0), 0);
		bad += expect("no segment", way, transfer(way, false, empty, 0, 0), 0);
		bad += try_nowait(way);
	}
	r = syscall(SYS_io_uring_register, rings[URING].fd, IORING_REGISTER_BUFFERS, &good, 1);
	bad += expect("registering a buffer", URING, r < 0 ? -errno : r, -EFAULT);
	munmap(ro, 4 * MIB);
	return bad;
}

/* The mapping goes while the disk is at work; what is read is in the file all the same. */
static int try_unmapped(void)
{
	const size_t size = 2 * MIB;
	struct iovec iov = { NULL, size };
	int bad = 0;

	fill(oracle, size);
	if (pwrite(target, oracle, size, 0) != (ssize_t)size)
		err(1, "pwrite");
	for (enum way way = AIO; way < nr_ways; way++) {
		memset(pool, 0, size);
		iov.iov_base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
		if (iov.iov_base == MAP_FAILED)
			err(1, "mmap");
		if (way != AIO)
			uring_submit(way, false, &iov, 1, 0);
		else if (!aio_submit(false, &iov, 1, 0))
			err(1, "io_submit");
		munmap(iov.iov_base, size);
		bad += expect("a read to what was unmapped", way,
			      way != AIO ? uring_wait(way) : aio_wait(), size);
		if (memcmp(oracle, pool, size))
			bad += expect("contents of that", way, 0, 1);
	}
	return bad;
}

#define APPENDED	(4 * MIB)
#define APPENDS		8

/* Who begins alone may be done before the other one comes. */
static void append_when_told(const char *path, int told, char *from, char with)
{
	const int fd = open(path, O_RDWR | O_APPEND | O_DIRECT);

	memset(from, with, APPENDED);
	if (read(told, &with, 1))
		err(1, "read");
	for (int n = 0; n < APPENDS; n++)
		if (write(fd, from, APPENDED) != APPENDED)
			err(1, "append");
	exit(0);
}

/* Each of two fills blocks with a byte of his own. */
static int try_append(const char *path)
{
	const off_t start = lseek(target, 0, SEEK_END);
	const off_t end = start + 2 * APPENDS * APPENDED;
	int bad = 0, status, tell[2];

	if (pipe(tell))
		err(1, "pipe");
	for (int i = 0; i < 2; i++) {
		if (fork())
			continue;
		close(tell[1]);
		append_when_told(path, tell[0], pool + i * APPENDED, 'a' + i);
	}
	close(tell[1]);
	close(tell[0]);
	while (wait(&status) > 0)
		bad += !!status;
	for (off_t at = start; at < end; at += APPENDED) {
		if (pread(target, oracle, APPENDED, at) != APPENDED)
			err(1, "pread");
		bad += expect("4 MiB that were appended, in one piece", SYNC,
			      !memcmp(oracle, oracle + 1, APPENDED - 1), 1);
	}
	if (lseek(target, 0, SEEK_END) != end || ftruncate(target, start))
		bad += expect("the size", SYNC, lseek(target, 0, SEEK_END), end);
	return bad;
}

/* How often all disks have been told to flush their caches: the 16th number of their statistics */
static unsigned long flushes(void)
{
	unsigned long sum = 0, n;
	glob_t disks;
	FILE *f;

	if (glob("/sys/block/*/stat", 0, NULL, &disks))
		errx(1, "no disks");
	for (size_t i = 0; i < disks.gl_pathc; i++) {
		f = fopen(disks.gl_pathv[i], "r");
		if (!f)
			err(1, "%s", disks.gl_pathv[i]);
		if (fscanf(f, "%*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %lu",
			   &n) == 1)
			sum += n;
		fclose(f);
	}
	globfree(&disks);
	return sum;
}

static int flushing(const char *what, enum way way)
{
	struct iovec iov = { pool, 8192 }, ref = { plain, 8192 };
	unsigned long before = flushes(), between;
	int bad = 0;

	bad += expect(what, way, transfer(way, true, &ref, 1, 0), 8192);
	between = flushes();
	bad += expect("with ordinary memory, it flushes", way, between > before, 1);
	bad += expect(what, way, transfer(way, true, &iov, 1, 0), 8192);
	bad += expect("with the pool's, it flushes", way, flushes() > between, 1);
	return bad;
}

static int try_sync(void)
{
	const int plain_target = target;
	char path[32];
	int bad = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", target);
	for (enum way way = SYNC; way < nr_ways; way++) {
		rw_flags = RWF_DSYNC;
		bad += flushing("one with RWF_DSYNC", way);
		rw_flags = 0;
		target = open(path, O_RDWR | O_DIRECT | O_DSYNC);
		if (target < 0)
			err(1, "%s", path);
		bad += flushing("one with O_DSYNC", way);
		close(target);
		target = plain_target;
	}
	return bad;
}

static long write_atomic(char *from)
{
	struct iovec iov = { from, 4096 };
	const long r = pwritev2(target, &iov, 1, 0, RWF_ATOMIC);

	return r < 0 ? -errno : r;
}

static int try_atomic(void)
{
	const long ordinary = write_atomic(plain);

	printf("atomic=%ld\n", ordinary);
	return expect("a write that must not be torn", SYNC, write_atomic(pool),
		      ordinary < 0 ? ordinary : -EINVAL);
}

static int eio(void)
{
	struct iovec iov = { pool, 8192 };
	int bad = 0;

	for (enum way way = SYNC; way < nr_ways; way++) {
		bad += expect("a read", way, transfer(way, false, &iov, 1, 0), 8192);
		bad += expect("a write of bad sectors", way, transfer(way, true, &iov, 1, 0), -EIO);
	}
	return bad;
}

/*
 * A disk with bad sectors
 */

#define FAULT_AREA	(8 * MIB)
#define BAD_AT		(3 * MIB)
#define BAD_SIZE	4096UL
/* What is looked at beside a transfer, in memory and on the disk */
#define BESIDE		(64UL << 10)

static const struct fault {
	size_t at;
	size_t size;
	bool fails;
} faults[] = {
	{ BAD_AT - 8192, 8192, false },
	{ BAD_AT + BAD_SIZE, 8192, false },
	{ BAD_AT, BAD_SIZE, true },
	{ BAD_AT - 4096, 8192, true },
	{ BAD_AT + BAD_SIZE - SECTOR, 1024, true },
	{ BAD_AT - MIB / 2, MIB, true },
	/* The third piece of four; what is asynchronous has no pieces */
	{ MIB, 4 * MIB, true },
	/* The second one, which is the last */
	{ BAD_AT - MIB, MIB + BAD_SIZE, true },
	/* More than what is asynchronous: the first piece, the fourth, and the last one */
	{ BAD_AT, 5 * MIB, true },
	{ 0, 5 * MIB, true },
	{ 0, BAD_AT, false },
	{ BAD_AT + BAD_SIZE, 9 * MIB / 2, false },
};

static size_t disk_from(const struct fault *f)
{
	return f->at - (f->at < BESIDE ? f->at : BESIDE);
}

static void set_bad(const char *control, char sign)
{
	const int fd = open(control, O_WRONLY);

	if (fd < 0 || dprintf(fd, "%c%lu-%lu", sign, BAD_AT / SECTOR,
			      (BAD_AT + BAD_SIZE) / SECTOR - 1) < 0)
		err(1, "%s", control);
	close(fd);
}

/* Of what is read, nothing comes of the piece that fails, and nothing of those behind it. */
static bool read_is_right(const struct fault *f, long r, char *const *half, bool bounced)
{
	const size_t piece = f->at < BAD_AT ? (BAD_AT - f->at) / MIB * MIB : 0;

	for (size_t i = 0; i < f->size + BESIDE; i += SECTOR) {
		const bool second = i >= f->size / 2;
		const char *at = half[second] + i, *beside = half[!second] + i;
		const bool old = !memcmp(at, oracle + i, SECTOR);
		const bool new = i < f->size && !memcmp(at, wanted + f->at + i, SECTOR);

		if (i >= f->size || (r < 0 && bounced && i >= piece) ? !old :
		    r < 0 ? !old && !new : !new)
			return false;
		if (beside != at && memcmp(beside, oracle + i, SECTOR))
			return false;
	}
	return true;
}

/* Nothing is written to pieces behind the one that fails, and memory stays what it was. */
static bool write_is_right(const struct fault *f, long r, char *const *half, bool pieces)
{
	const size_t piece = f->at < BAD_AT ? (BAD_AT - f->at) / MIB * MIB : 0;
	const size_t from = disk_from(f), to = f->at + f->size + BESIDE;

	if (memcmp(half[0], oracle, f->size + BESIDE) || memcmp(half[1], oracle, f->size + BESIDE))
		return false;
	if (pread(target, found + from, to - from, from) != (ssize_t)(to - from))
		err(1, "pread");
	for (size_t at = from; at < to; at += SECTOR) {
		const bool in = at >= f->at && at < f->at + f->size;
		const bool bad = at >= BAD_AT && at < BAD_AT + BAD_SIZE;
		const bool behind = pieces && in && at - f->at >= piece + MIB;
		const bool old = !memcmp(found + at, wanted + at, SECTOR);
		const bool new = in && !memcmp(found + at, oracle + at - f->at, SECTOR);

		if (!in || (r < 0 && (bad || behind)) ? !old : r < 0 ? !old && !new : !new)
			return false;
	}
	return true;
}

/* By readv() and writev(), it is also a matter of the position, which is returned. */
static long at_position(bool write, const struct iovec *iov, int nr, off_t at, long *r)
{
	if (lseek(target, at, SEEK_SET) != at)
		err(1, "lseek");
	*r = write ? writev(target, iov, nr) : readv(target, iov, nr);
	*r = *r < 0 ? -errno : *r;
	return lseek(target, 0, SEEK_CUR);
}

/* Once with both halves of the buffer in ordinary memory, then with one or both in the pool */
static int one_fault(const char *control, const struct fault *f, enum way how, bool write,
		     bool mixed)
{
	const bool pieces = how == SYNC || f->size > 4 * MIB;
	const size_t from = disk_from(f), on_disk = f->at + f->size + BESIDE - from;
	long r[2], again[2], position[2];
	bool right = true;

	for (int pooled = 0; pooled < 2; pooled++) {
		char *half[2] = { pooled ? pool : plain, pooled && !mixed ? pool : plain };
		struct iovec iov[] = { { half[0], f->size / 2 },
				       { half[1] + f->size / 2, f->size / 2 } };

		memcpy(half[0], oracle, f->size + BESIDE);
		memcpy(half[1], oracle, f->size + BESIDE);
		if (write && pwrite(target, wanted + from, on_disk, from) != (ssize_t)on_disk)
			err(1, "pwrite");
		set_bad(control, '+');
		r[pooled] = transfer(how, write, iov, 2, f->at);
		set_bad(control, '-');
		right &= write ? write_is_right(f, r[pooled], half, pieces && pooled) :
				 read_is_right(f, r[pooled], half, pooled);
		set_bad(control, '+');
		if (how == SYNC)
			position[pooled] = at_position(write, iov, 2, f->at, &again[pooled]);
		set_bad(control, '-');
	}
	right &= r[0] == r[1] && r[0] == (f->fails ? -EIO : (long)f->size);
	if (how == SYNC)
		right &= again[0] == again[1] && position[0] == position[1];
	if (right)
		return 0;
	printf("%s of %zu at %zu by %s, %s memory: %ld, ordinary memory %ld, or its bytes\n",
	       write ? "write" : "read", f->size, f->at, way_name[how], mixed ? "mixed" : "the pool's",
	       r[1], r[0]);
	return 1;
}

static int try_faults(const char *control)
{
	int bad = 0;

	fill(wanted, FAULT_AREA);
	fill(oracle, FAULT_AREA);
	for (int write = 0; write < 2; write++) {
		if (pwrite(target, wanted, FAULT_AREA, 0) != (ssize_t)FAULT_AREA)
			err(1, "pwrite");
		for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
			for (enum way way = SYNC; way < nr_ways; way++)
				for (int mixed = 0; mixed < 2; mixed++)
					bad += one_fault(control, &faults[i], way, write, mixed);
	}
	return bad;
}

/* A page that is written, then one that the disk does not fill; both on the same CPU, mostly */
static int try_stale(void)
{
	struct iovec iov = { pool, 4096 };
	int bad = 0;

	for (int i = 0; i < 8; i++) {
		fill(pool, 4096);
		memcpy(oracle, pool, 4096);
		bad += expect("a write", SYNC, transfer(SYNC, true, &iov, 1, 0), 4096);
		memset(pool, 0, 4096);
		bad += expect("a read", SYNC, transfer(SYNC, false, &iov, 1, 0), 4096);
		bad += expect("it gives what was written", SYNC, !memcmp(pool, oracle, 4096), 0);
	}
	return bad;
}

/*
 * Many in flight, on a disk that takes long
 */

#define MANY		256

static aio_context_t many;

static void submit(struct iocb *cb)
{
	if (syscall(SYS_io_submit, many, 1L, &cb) != 1)
		err(1, "io_submit");
}

static void submit_one(struct iocb *cb, bool write, int flags, size_t offset, size_t size,
		       uint64_t number)
{
	*cb = (struct iocb) {
		.aio_data = number,
		.aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_fildes = target, .aio_buf = (uintptr_t)pool + offset, .aio_nbytes = size,
		.aio_offset = offset, .aio_rw_flags = flags,
	};
	submit(cb);
}

/* All of the area at once, in transfers of @size: each of them must be complete. */
static int all_at_once(bool write, size_t size)
{
	static struct iocb cbs[MANY];
	static struct io_event events[MANY];
	const long nr = AREA / size;
	int bad = 0;

	for (long i = 0; i < nr; i++)
		submit_one(&cbs[i], write, 0, i * size, size, i);
	if (syscall(SYS_io_getevents, many, nr, nr, events, NULL) != nr)
		err(1, "io_getevents");
	for (long i = 0; i < nr; i++)
		bad += expect("one of many", AIO, events[i].res, size);
	return bad;
}

/*
 * Beyond the limit, io_submit() waits: that one has ended when it returns. If others have, and it
 * has not, then the machine is too slow for this disk, and nothing is known of the limit.
 */
static int up_to_the_limit(bool write, bool *told)
{
	const size_t size = 4 * MIB;
	const long most = sysconf(_SC_PHYS_PAGES) / 50 * sysconf(_SC_PAGESIZE) / size;
	struct timespec now = { };
	struct io_event events[MANY];
	struct iocb cb;
	long ended, n = 0;
	int bad = 0;

	do {
		submit_one(&cb, write, 0, n % 4 * size, size, n);
		n++;
		ended = syscall(SYS_io_getevents, many, 0L, (long)MANY, events, &now);
	} while (!ended && n < MANY);
	*told = !ended;
	for (long i = 0; i < ended; i++)
		*told |= events[i].data == (uint64_t)n - 1;
	if (*told && (n - 1 > most || n - 1 < most / 4)) {
		printf("%ld of 4 MiB were in flight, the limit is %ld\n", n - 1, most);
		bad = 1;
	}
	if (ended < n && syscall(SYS_io_getevents, many, n - ended, n - ended, events + ended,
				 NULL) != n - ended)
		err(1, "io_getevents");
	for (long i = 0; i < n; i++)
		bad += expect("one of many", AIO, events[i].res, size);
	return bad;
}

/*
 * What is refused for its length is refused before anything is written, also if the limit has been
 * reached, as who must not wait is told, and there is room for small pieces only.
 */
static int refused_at_the_limit(bool *told)
{
	const size_t odd = MIB - SECTOR + 7;
	struct io_event events[MANY];
	struct timespec now = { };
	struct iocb cb;
	long ended, more, n = 0;
	int bad = 0;

	if (pread(target, oracle, MIB, 0) != (ssize_t)MIB)
		err(1, "pread");
	fill(pool + 4 * MIB, odd);
	do {
		submit_one(&cb, false, RWF_NOWAIT, n % 4 * MIB, MIB, n);
		n++;
		ended = syscall(SYS_io_getevents, many, 0L, (long)MANY, events, &now);
	} while (!ended && n < MANY);
	*told = ended == 1 && events[0].res == -EAGAIN;
	bad += expect("a write of an odd size", SYNC,
		      pwrite(target, pool + 4 * MIB, odd, 0) < 0 ? errno : 0, EINVAL);
	/* If others have ended by now, there was room again. */
	more = syscall(SYS_io_getevents, many, 0L, n - ended, events, &now);
	*told &= !more;
	ended += more;
	if (syscall(SYS_io_getevents, many, n - ended, n - ended, events, NULL) != n - ended)
		err(1, "io_getevents");
	if (pread(target, found, MIB, 0) != (ssize_t)MIB)
		err(1, "pread");
	return bad + expect("nothing was written", SYNC, !memcmp(found, oracle, MIB), 1);
}

/* A read whose buffer is in many more parts than it has pages is waited for. */
static int try_parts(void)
{
	static struct iovec iov[1024];
	int bad = 0;

	for (size_t nr = 16; nr <= 1024; nr *= 64) {
		struct iocb cb = {
			.aio_lio_opcode = IOCB_CMD_PREADV, .aio_fildes = target,
			.aio_buf = (uintptr_t)iov, .aio_nbytes = nr, .aio_rw_flags = RWF_NOWAIT,
		};
		struct io_event event;

		for (size_t i = 0; i < nr; i++)
			iov[i] = (struct iovec) { pool + 1024 / nr * i, 1024 / nr };
		submit(&cb);
		if (syscall(SYS_io_getevents, many, 1L, 1L, &event, NULL) != 1)
			err(1, "io_getevents");
		bad += expect("one in parts", AIO, event.res, nr == 16 ? 1024 : -EAGAIN);
	}
	return bad;
}

/* More rounds than it takes to use up the limit, were not all of it given back */
static int try_bounded(void)
{
	int bad = 0, rounds = 0;
	bool refused;

	if (syscall(SYS_io_setup, MANY, &many))
		err(1, "io_setup");
	for (int i = 0; i < 6; i++) {
		bool told;

		bad += up_to_the_limit(i % 2, &told);
		rounds += told;
	}
	bad += refused_at_the_limit(&refused);
	if (!rounds || !refused)
		printf("too slow to tell\n");
	return bad + try_parts();
}

/* All other memory is there before, so that what is in flight would be all but little of it. */
static int try_full(const char *procs)
{
	static const size_t sizes[] = { 64 * KIB, MIB };
	const int fd = open(procs, O_WRONLY);
	int bad = 0;

	if (mlockall(MCL_CURRENT))
		err(1, "mlockall");
	if (syscall(SYS_io_setup, MANY, &many))
		err(1, "io_setup");
	if (fd < 0 || write(fd, "0", 1) != 1)
		err(1, "%s", procs);
	for (int i = 0; i < 2; i++) {
		fill(pool, AREA);
		memcpy(oracle, pool, AREA);
		bad += all_at_once(true, sizes[i]);
		if (pread(target, found, AREA, 0) != (ssize_t)AREA)
			err(1, "pread");
		bad += expect("what was written", AIO, !memcmp(found, oracle, AREA), 1);
		memset(pool, 0, AREA);
		bad += all_at_once(false, sizes[i]);
		bad += expect("what was read", AIO, !memcmp(pool, oracle, AREA), 1);
	}
	return bad;
}

/* Reads in flight, for who ends the process in the middle of it */
static int stream(void)
{
	struct iovec iov[] = { { pool, MIB }, { pool + 2 * MIB, MIB } };

	printf("streaming\n");
	fflush(stdout);
	while (aio_submit(false, &iov[0], 1, 0)) {
		uring_submit(URING, false, &iov[1], 1, MIB);
		aio_wait();
		uring_wait(URING);
	}
	return 1;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000UL + t.tv_nsec;
}

/* One transfer: the least of some, as the first ones find things missing */
static uint64_t cost_of(char *at, bool write, size_t size)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < 16; i++) {
		const uint64_t start = now_ns();
		const ssize_t done = write ? pwrite(target, at, size, 0) :
					     pread(target, at, size, 0);
		const uint64_t took = now_ns() - start;

		if (done != (ssize_t)size)
			err(1, "%s", write ? "pwrite" : "pread");
		least = took < least ? took : least;
	}
	return least;
}

/* As the kernel does it on this CPU: by bytes where "rep movsb" is fast (ERMS), or by words */
static uint64_t cost_of_copy(void)
{
	unsigned int a, b = 0, c, d;
	char *to = oracle, *from = plain;
	size_t size = MIB, words = MIB / 8;
	uint64_t start;

	__get_cpuid_count(7, 0, &a, &b, &c, &d);
	start = now_ns();
	if (b & bit_ERMS)
		asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
	else
		asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
	return now_ns() - start;
}

static int cost(void)
{
	static const struct { const char *name; size_t size; } sizes[] = {
		{ "1m", MIB }, { "4k", 4096 }
	};

	/* The same wherever it lies, and what costs ordinary memory least */
	if (madvise(plain, AREA, MADV_HUGEPAGE) || madvise(oracle, AREA, MADV_HUGEPAGE))
		err(1, "MADV_HUGEPAGE");
	memset(plain, 1, MIB);
	memset(oracle, 1, MIB);
	for (int pooled = 0; pooled <= !!pool; pooled++)
		for (int write = 0; write < 2; write++)
			for (int i = 0; i < 2; i++)
				printf("%s_%s_%s=%llu\n", pooled ? "pool" : "plain",
				       write ? "write" : "read", sizes[i].name,
				       (unsigned long long)cost_of(pooled ? pool : plain, write,
								   sizes[i].size));
	printf("copy_1m=%llu\n", (unsigned long long)cost_of_copy());
	return 0;
}

static int act(const char *path, const char *action)
{
	if (!strncmp(action, "seed=", 5)) {
		seed = strtoull(action + 5, NULL, 0);
		return 0;
	}
	if (!strncmp(action, "random=", 7))
		return random_transfers(strtoul(action + 7, NULL, 0));
	if (!strcmp(action, "large"))
		return try_large();
	if (!strcmp(action, "errors"))
		return errors();
	if (!strcmp(action, "polled"))
		return expect("a read", POLLED, nr_ways, NR_WAYS);
	if (!strcmp(action, "sync"))
		return try_sync();
	if (!strcmp(action, "unmapped"))
		return try_unmapped();
	if (!strcmp(action, "append"))
		return try_append(path);
	if (!strcmp(action, "atomic"))
		return try_atomic();
	if (!strcmp(action, "eio"))
		return eio();
	if (!strncmp(action, "faults=", 7))
		return try_faults(action + 7);
	if (!strcmp(action, "stale"))
		return try_stale();
	if (!strcmp(action, "bounded"))
		return try_bounded();
	if (!strncmp(action, "full=", 5))
		return try_full(action + 5);
	if (!strcmp(action, "cost"))
		return cost();
	if (!strcmp(action, "stream"))
		return stream();
	errx(2, "no such action: %s", action);
}

static char *anonymous(void)
{
	char *p = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

static void map_pool(const char *path)
{
	memory = open(path, O_RDWR);
	if (memory < 0)
		err(1, "%s", path);
	pool = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (pool == MAP_FAILED)
		err(1, "mmap of %s", path);
}

int main(int argc, char **argv)
{
	struct stat status;
	int bad = 0;

	if (argc < 4)
		errx(2, "usage: %s TARGET MEMORY ACTION...", argv[0]);
	target = open(argv[1], O_RDWR | O_DIRECT);
	if (target < 0)
		err(1, "%s", argv[1]);
	if (strcmp(argv[2], "-"))
		map_pool(argv[2]);
	plain = anonymous();
	oracle = anonymous();
	wanted = anonymous();
	found = anonymous();
	if (syscall(SYS_io_setup, 8, &aio))
		err(1, "io_setup");
	open_ring(&rings[URING], 0);
	open_ring(&rings[POLLED], IORING_SETUP_IOPOLL);
	/* A file system was seen to wait for ever for a ring that polls, with ordinary memory. */
	if (fstat(target, &status) || !S_ISBLK(status.st_mode) ||
	    transfer(POLLED, false, &(struct iovec){ plain, 4096 }, 1, 0) == -EOPNOTSUPP)
		nr_ways = POLLED;
	for (int i = 3; i < argc && !bad; i++)
		bad = act(argv[1], argv[i]);
	return !!bad;
}
