// SPDX-License-Identifier: GPL-2.0
/*
 * Direct I/O between a disk and a file of the pool, by preadv() and pwritev(), libaio and io_uring,
 * while that is punched, loses pages to memory errors and its leaves to MADV_DONTNEED, is unmapped,
 * unlinked and frozen, and its process dies. A discard of it is refused.
 *
 *   gmem-dio-race TARGET FOLDER ROUNDS SEED
 *
 * TARGET is a file or block device of 8 MiB or more, which is overwritten; FOLDER is in gmemfs.
 * The pool has little more free memory than a round needs, so that what is freed is given out again.
 *
 * What is at an offset is known: a page of the file begins with its own pattern there, may be
 * punched to zeros, and is read from the same offset of TARGET, which has another pattern. It is
 * written to that offset of the second half of TARGET. So each byte can have three values.
 *
 * What io_uring leaves to a worker may come when its buffer is mapped no more, and fail by that.
 *
 * Exit status: 0; 1 if something is not as it should be, which is said; 2 for a usage error.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/gmem_persist.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE		(4UL << 20)
#define PAGE		4096UL
#define SECTOR		512UL
#define MAX_TRANSFER	(512UL << 10)
#define IN_FLIGHT	64
/* Each takes a granule of the pool for good. */
#define MAX_ERRORS	4
/* For what comes at once */
#define PATIENCE_S	100

enum end { NOT_YET, WAIT, LET_GO, DIE, NR_ENDS };
enum way { AIO, URING, SYNC, NR_WAYS };
enum deed { PUNCH, DONTNEED, UNMAP, UNLINK, FREEZE, DISCARD, HIT, NR_DEEDS };

/* What both processes see */
static struct {
	atomic_ulong transfers;	/* so many have begun */
	atomic_bool excused;	/* bad addresses may be met */
	atomic_int wish;	/* what the one with the mapping shall do */
	atomic_int stop;	/* how to end: enum end */
	atomic_ulong outlived;	/* so many transfers were in flight when the file was closed */
	atomic_ulong late;	/* so many came when their buffer was mapped no more */
	atomic_ulong by[NR_WAYS];	/* so many have ended well, by each way */
} *shared;

static const char * const way_name[] = { "libaio", "io_uring", "preadv or pwritev" };

static int target;
static char path[256];
static uint64_t seed, outlived, late, by[NR_WAYS], tally[NR_DEEDS];
static unsigned int errors;

static uint64_t random_number(uint64_t below)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (seed >> 33) % below;
}

/* None of their bytes is zero. */
static uint64_t file_word(uint64_t offset)
{
	return (offset * 0x9e3779b97f4a7c15UL) | 0x0101010101010101UL;
}

static uint64_t disk_word(uint64_t offset)
{
	return (~offset * 0xc2b2ae3d27d4eb4fUL) | 0x8080808080808080UL;
}

static void fill(char *at, uint64_t (*word)(uint64_t))
{
	for (uint64_t i = 0; i < SIZE; i += 8)
		*(uint64_t *)(at + i) = word(i);
}

/* Bytes may have been copied one by one. */
static bool could_be(uint64_t found, uint64_t offset)
{
	const uint64_t file = file_word(offset), disk = disk_word(offset);

	if (found == file || found == disk || !found)
		return true;
	for (int shift = 0; shift < 64; shift += 8) {
		const uint8_t byte = found >> shift;

		if (byte && byte != (uint8_t)(file >> shift) && byte != (uint8_t)(disk >> shift))
			return false;
	}
	return true;
}

static sigjmp_buf at_error;

static void on_bus_error(int sig)
{
	siglongjmp(at_error, 1);
}

/* All but what has a memory error: zeros only, or what was said above */
static int look(const char *what, const char *at, size_t size, bool zeros)
{
	for (uint64_t page = 0; page < size; page += PAGE) {
		if (sigsetjmp(at_error, 1))
			continue;
		for (uint64_t i = page; i < page + PAGE; i += 8) {
			const uint64_t found = *(volatile const uint64_t *)(at + i);

			if (zeros ? !found : could_be(found, i))
				continue;
			printf("%s: %#lx at %#lx\n", what, found, i);
			return 1;
		}
	}
	return 0;
}

static char *map(int fd, size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0),
		       fd, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

/*
 * Who does the I/O
 */

struct ring {
	int fd;
	unsigned int *sq_tail, *sq_array, sq_mask, *cq_head, *cq_tail, cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

/* What one way has in flight */
struct queue {
	int in_flight;
	size_t size[IN_FLIGHT];
	bool busy[IN_FLIGHT];
	bool unmapped[IN_FLIGHT];	/* perhaps a part of its buffer */
};

struct worker {
	aio_context_t aio;
	struct ring ring;
	struct queue queue[SYNC];
	int fd;
	char *first, *second;
};

static void open_ring(struct ring *ring)
{
	struct io_uring_params p = { };
	char *sq, *cq;

	ring->fd = syscall(SYS_io_uring_setup, IN_FLIGHT, &p);
	if (ring->fd < 0)
		err(1, "io_uring_setup");
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(*ring->sq_array),
		  PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*ring->cqes),
		  PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_CQ_RING);
	ring->sqes = mmap(NULL, p.sq_entries * sizeof(*ring->sqes), PROT_READ | PROT_WRITE,
			  MAP_SHARED, ring->fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || ring->sqes == MAP_FAILED)
		err(1, "mmap of io_uring");
	ring->sq_tail = (void *)(sq + p.sq_off.tail);
	ring->sq_array = (void *)(sq + p.sq_off.array);
	ring->sq_mask = *(unsigned int *)(sq + p.sq_off.ring_mask);
	ring->cq_head = (void *)(cq + p.cq_off.head);
	ring->cq_tail = (void *)(cq + p.cq_off.tail);
	ring->cq_mask = *(unsigned int *)(cq + p.cq_off.ring_mask);
	ring->cqes = (void *)(cq + p.cq_off.cqes);
}

static void judge(enum way way, long r, size_t size, bool unmapped)
{
	if (r == (long)size) {
		atomic_fetch_add(&shared->by[way], 1);
		return;
	}
	if (r == -EFAULT && way == URING && unmapped) {
		atomic_fetch_add(&shared->late, 1);
		return;
	}
	if (r == -EFAULT && atomic_load(&shared->excused))
		return;
	printf("a transfer of %zu by %s: %ld\n", size, way_name[way], r);
	exit(1);
}

/* One range of the file, of which parts are addressed by either mapping */
static int make_vector(struct worker *w, struct iovec *iov, size_t at, size_t size)
{
	int nr;

	for (nr = 0; size; nr++) {
		size_t len = (1 + random_number(size / SECTOR)) * SECTOR;

		if (nr == 3)
			len = size;
		iov[nr] = (struct iovec) { (random_number(2) ? w->first : w->second) + at, len };
		at += len;
		size -= len;
	}
	return nr;
}

static void ended(struct worker *w, enum way how, int i, long r)
{
	struct queue *q = &w->queue[how];

	judge(how, r, q->size[i], q->unmapped[i]);
	q->busy[i] = false;
	q->in_flight--;
}

static void reap_aio(struct worker *w, long at_least)
{
	struct io_event events[IN_FLIGHT];
	const long got = syscall(SYS_io_getevents, w->aio, at_least, IN_FLIGHT, events, NULL);

	/* A transfer of io_uring has ended. */
	if (got < 0 && errno == EINTR)
		return;
	if (got < 0)
		err(1, "io_getevents");
	for (long i = 0; i < got; i++)
		ended(w, AIO, events[i].data, events[i].res);
}

static void reap_uring(struct worker *w, long at_least)
{
	struct ring *ring = &w->ring;
	unsigned int head = *ring->cq_head;

	if (syscall(SYS_io_uring_enter, ring->fd, 0, at_least, IORING_ENTER_GETEVENTS, NULL,
		    0) < 0 && errno != EINTR)
		err(1, "io_uring_enter");
	for (; head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE); head++) {
		const struct io_uring_cqe *cqe = &ring->cqes[head & ring->cq_mask];

		ended(w, URING, cqe->user_data, cqe->res);
	}
	__atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
}

/* It may be none, after all: who waits for one asks again. */
static void reap(struct worker *w, enum way how, long at_least)
{
	if (how == AIO)
		reap_aio(w, at_least);
	else
		reap_uring(w, at_least);
}

static void reap_all(struct worker *w)
{
	for (enum way way = 0; way < SYNC; way++)
		while (w->queue[way].in_flight)
			reap(w, way, 1);
}

static long submit_aio(struct worker *w, bool write, struct iovec *iov, int nr, off_t at, int i)
{
	struct iocb cb = {
		.aio_lio_opcode = write ? IOCB_CMD_PWRITEV : IOCB_CMD_PREADV,
		.aio_fildes = target, .aio_buf = (uintptr_t)iov, .aio_nbytes = nr,
		.aio_offset = at, .aio_data = i,
	}, *list = &cb;

	return syscall(SYS_io_submit, w->aio, 1L, &list) == 1 ? 0 : -errno;
}

static long submit_uring(struct worker *w, bool write, struct iovec *iov, int nr, off_t at, int i)
{
	struct ring *ring = &w->ring;
	const unsigned int tail = *ring->sq_tail, index = tail & ring->sq_mask;

	ring->sqes[index] = (struct io_uring_sqe) {
		.opcode = write ? IORING_OP_WRITEV : IORING_OP_READV,
		.fd = target, .addr = (uintptr_t)iov, .len = nr, .off = at, .user_data = i,
	};
	ring->sq_array[index] = index;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0) != 1)
		err(1, "io_uring_enter");
	return 0;
}

static void submit(struct worker *w, enum way how, bool write, struct iovec *iov, int nr, size_t at,
		   size_t size)
{
	struct queue *q = &w->queue[how];
	const off_t there = write ? SIZE + at : at;
	int i = 0;
	long r;

	while (q->in_flight == IN_FLIGHT)
		reap(w, how, 1);
	while (q->busy[i])
		i++;
	r = how == AIO ? submit_aio(w, write, iov, nr, there, i) :
			 submit_uring(w, write, iov, nr, there, i);
	if (r) {
		judge(how, r, size, false);
		return;
	}
	q->size[i] = size;
	q->busy[i] = true;
	q->unmapped[i] = false;
	q->in_flight++;
}

static void transfer(struct worker *w)
{
	const size_t size = (1 + random_number(random_number(4) ? 16 : MAX_TRANSFER / SECTOR)) * SECTOR;
	const size_t at = random_number((SIZE - size) / SECTOR + 1) * SECTOR;
	const enum way way = random_number(NR_WAYS);
	const bool write = random_number(2);
	struct iovec iov[4];
	const int nr = make_vector(w, iov, at, size);
	long r;

	if (way != SYNC) {
		submit(w, way, write, iov, nr, at, size);
		return;
	}
	r = write ? pwritev(target, iov, nr, SIZE + at) : preadv(target, iov, nr, at);
	judge(SYNC, r < 0 ? -errno : r, size, false);
}

/* A worker of io_uring may not have looked at the buffers of these. */
static void unmap(struct worker *w, char *at)
{
	struct queue *q = &w->queue[URING];

	memcpy(q->unmapped, q->busy, sizeof(q->unmapped));
	munmap(at, SIZE);
}

/* What only a process with the mapping can do, in the middle of its transfers */
static void fulfil(struct worker *w, int wish)
{
	const size_t at = random_number(SIZE / PAGE) * PAGE;

	if (wish == DONTNEED) {
		if (madvise(w->first + at, SIZE - at, MADV_DONTNEED))
			err(1, "MADV_DONTNEED");
	} else if (wish == UNMAP) {
		unmap(w, w->second);
		w->second = map(w->fd, SIZE);
	}
}

/* With reads in flight, which keep the memory what it is, and nothing else does */
static void let_go(struct worker *w)
{
	const enum way way = random_number(SYNC);

	for (int i = 0; i < IN_FLIGHT; i++) {
		const size_t at = i * MAX_TRANSFER % SIZE;
		struct iovec iov = { w->first + at, MAX_TRANSFER };

		submit(w, way, false, &iov, 1, at, MAX_TRANSFER);
	}
	unmap(w, w->first);
	unmap(w, w->second);
	close(w->fd);
	reap(w, way, 0);
	atomic_fetch_add(&shared->outlived, w->queue[way].in_flight);
}

static void work(int fd)
{
	struct worker w = { .fd = fd, .first = map(fd, SIZE),
			    .second = map(fd, SIZE) };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGBUS, SIG_DFL);
	if (syscall(SYS_io_setup, IN_FLIGHT, &w.aio))
		err(1, "io_setup");
	open_ring(&w.ring);
	while (!atomic_load(&shared->stop)) {
		transfer(&w);
		atomic_fetch_add(&shared->transfers, 1);
		fulfil(&w, atomic_exchange(&shared->wish, NR_DEEDS));
		if (!random_number(4))
			reap(&w, random_number(SYNC), 0);
	}
	if (atomic_load(&shared->stop) == LET_GO)
		let_go(&w);
	reap_all(&w);
	exit(0);
}

/*
 * Who disturbs it
 */

static void write_text(const char *to, const char *text)
{
	int fd = open(to, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "%s to %s", text, to);
	close(fd);
}

/* It is in use, or has no name any more. */
static void try_discard(void)
{
	int fd = open("/sys/kernel/mm/gmem_persist/discard", O_WRONLY);
	const char *name = strrchr(path, '/') + 1;

	if (fd < 0)
		err(1, "discard");
	if (write(fd, name, strlen(name)) >= 0 ||
	    errno != (access(path, F_OK) ? ENOENT : EBUSY))
		err(1, "a discard of what is in use");
	close(fd);
}

static void hit(int fd, uint64_t offset)
{
	struct gmem_persist_range_entry ranges[4];
	struct gmem_persist_list list = { .entries = (uintptr_t)ranges, .nr = 4 };
	char text[32];
	int i = 0;

	if (ioctl(fd, GMEM_PERSIST_GET_RANGES, &list))
		err(1, "GMEM_PERSIST_GET_RANGES");
	while (offset - ranges[i].offset >= ranges[i].size)
		i++;
	snprintf(text, sizeof(text), "%#llx",
		 (unsigned long long)(ranges[i].base + offset - ranges[i].offset));
	write_text("/sys/devices/system/memory/hard_offline_page", text);
}

static void disturb(int fd, enum deed deed)
{
	const uint64_t at = random_number(SIZE / PAGE) * PAGE;
	const uint64_t len = (1 + random_number((SIZE - at) / PAGE)) * PAGE;

	tally[deed]++;
	switch (deed) {
	case PUNCH:
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len))
			err(1, "punch");
		break;
	case UNLINK:
		if (unlink(path) && errno != ENOENT)
			err(1, "unlink");
		break;
	case FREEZE:
		write_text("/sys/kernel/mm/gmem_persist/frozen", "1");
		write_text("/sys/kernel/mm/gmem_persist/frozen", "0");
		break;
	case DISCARD:
		try_discard();
		break;
	case HIT:
		if (errors == MAX_ERRORS)
			break;
		errors++;
		atomic_store(&shared->excused, true);
		hit(fd, at);
		break;
	default:
		atomic_store(&shared->wish, deed);
	}
}

static uint64_t pool_bytes(const char *what)
{
	char name[64], text[32] = "";
	int fd;

	snprintf(name, sizeof(name), "/sys/kernel/mm/gmem_persist/%s_bytes", what);
	fd = open(name, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		err(1, "%s", name);
	close(fd);
	return strtoull(text, NULL, 0);
}

static int make(void)
{
	const int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

/* Wait for some more transfers, or for the end of who does them. */
static bool more_transfers(pid_t pid, int *status)
{
	const unsigned long until = atomic_load(&shared->transfers) + random_number(8);

	while (atomic_load(&shared->transfers) < until) {
		if (waitpid(pid, status, WNOHANG))
			return false;
		sched_yield();
	}
	return true;
}

/* What is free before a round */
struct room {
	uint64_t free;
	uint64_t poisoned;
};

/*
 * Another file gets all that was free before the round, and so what the first one had, of which
 * the last transfer may not be at its end.
 */
static int inherit(const struct room *room)
{
	const time_t end = time(NULL) + PATIENCE_S;
	int fd = make(), bad;
	uint64_t size;
	int status;
	char *at;

	for (;;) {
		size = room->free - (pool_bytes("poisoned") - room->poisoned);
		if (!ftruncate(fd, size))
			break;
		if (errno != ENOSPC || time(NULL) > end)
			err(1, "making another file of %lu", size);
		sched_yield();
	}
	at = map(fd, size);
	bad = look("memory that was freed", at, size, true);
	/* A transfer of the dead would come in the meantime. */
	while (wait(&status) > 0)
		bad += WIFEXITED(status) && WEXITSTATUS(status);
	bad += look("memory that was freed, later", at, size, true);
	munmap(at, size);
	close(fd);
	unlink(path);
	return bad;
}

static int one_round(char *buffer)
{
	const struct room room = { pool_bytes("clean") + pool_bytes("dirty"),
				   pool_bytes("poisoned") };
	int fd = make(), status = 0, bad = 0;
	bool alive = true;
	enum end end;
	pid_t pid;
	char *at;

	if (ftruncate(fd, SIZE))
		err(1, "%s", path);
	at = map(fd, SIZE);
	fill(at, file_word);
	memset(shared, 0, sizeof(*shared));
	atomic_store(&shared->wish, NR_DEEDS);
	pid = fork();
	if (!pid) {
		munmap(at, SIZE);
		work(fd);
	}
	for (int i = 4 + random_number(24); i && alive; i--) {
		enum deed deed = random_number(NR_DEEDS);

		/* Less often */
		if (deed == HIT && random_number(8))
			deed = PUNCH;
		alive = more_transfers(pid, &status);
		disturb(fd, deed);
	}
	end = WAIT + random_number(NR_ENDS - WAIT);
	if (alive && end == WAIT) {
		atomic_store(&shared->stop, end);
		waitpid(pid, &status, 0);
	}
	/* Who meets a memory error may die of it. */
	if (status && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS &&
			atomic_load(&shared->excused))) {
		printf("who does the transfers ended with status %#x\n", status);
		bad = 1;
	}
	bad += look("the file", at, SIZE, false);
	munmap(at, SIZE);
	close(fd);
	disturb(-1, UNLINK);
	/* From here on it alone has the file. */
	atomic_store(&shared->stop, end);
	if (alive && end == DIE)
		kill(pid, SIGKILL);
	bad += inherit(&room);
	outlived += atomic_load(&shared->outlived);
	late += atomic_load(&shared->late);
	for (enum way way = 0; way < NR_WAYS; way++)
		by[way] += atomic_load(&shared->by[way]);
	if (pread(target, buffer, SIZE, SIZE) != (ssize_t)SIZE)
		err(1, "pread");
	return bad + look("the disk", buffer, SIZE, false);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_bus_error };
	char *buffer;
	int rounds, bad = 0;

	if (argc != 5)
		errx(2, "usage: %s TARGET FOLDER ROUNDS SEED", argv[0]);
	target = open(argv[1], O_RDWR | O_DIRECT);
	if (target < 0)
		err(1, "%s", argv[1]);
	snprintf(path, sizeof(path), "%s/race", argv[2]);
	rounds = atoi(argv[3]);
	seed = strtoull(argv[4], NULL, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	buffer = map(-1, SIZE);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	sigaction(SIGBUS, &action, NULL);
	fill(buffer, disk_word);
	if (pwrite(target, buffer, SIZE, 0) != (ssize_t)SIZE)
		err(1, "pwrite");
	memset(buffer, 0, SIZE);
	if (pwrite(target, buffer, SIZE, SIZE) != (ssize_t)SIZE)
		err(1, "pwrite");
	for (int i = 0; i < rounds && !bad; i++)
		bad = one_round(buffer);
	printf("libaio %lu, io_uring %lu and %lu late, preadv or pwritev %lu\n", by[AIO], by[URING],
	       late, by[SYNC]);
	printf("punched %lu, dropped %lu, unmapped %lu, unlinked %lu, frozen %lu, kept %lu, errors %u, outlived %lu\n",
	       tally[PUNCH], tally[DONTNEED], tally[UNMAP], tally[UNLINK], tally[FREEZE], tally[DISCARD],
	       errors, outlived);
	for (enum way way = 0; way < NR_WAYS && rounds && !bad; way++) {
		if (!by[way]) {
			printf("no transfer has ended well by %s\n", way_name[way]);
			bad = 1;
		}
	}
	return !!bad;
}
