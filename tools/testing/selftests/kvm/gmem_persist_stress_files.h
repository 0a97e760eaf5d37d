/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files of gmemfs in random order, for gmem_persist_stress.c: each VMM has a directory, with data
 * in it and in a directory below, and limits.
 *
 * What is there, and what it contains, is in a model that outlives the VMM. All is compared with
 * what it wrote; of what was being written when the pool was frozen, nothing is known.
 */
#ifndef SELFTEST_KVM_GMEM_PERSIST_STRESS_FILES_H
#define SELFTEST_KVM_GMEM_PERSIST_STRESS_FILES_H

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <linux/gmem_persist.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "gmem_persist_util.h"

/* Where gmemfs is mounted */
#define FILES_FS	"/tmp/gmem_persist_stress/"
#define FILES_DIR	FILES_FS PREFIX "files%d"

/* A file consists of blocks, and has up to three granules. The last places are in "sub". */
#define FILE_BLOCK	((u64)SZ_64K)
#define FILE_BLOCKS	80
#define FILE_PLACES	5
#define FILE_SUB	3

/* Of a block: seeds are odd, and 0 is zero. */
#define FILE_UNKNOWN	2

/**
 * struct file_model - what is in a place
 * @exists: there is a file
 * @nr_blocks: its length
 * @seed: of the pattern in each block, 0 if it is zero, as it is behind the end
 */
struct file_model {
	bool exists;
	unsigned int nr_blocks;
	u64 seed[FILE_BLOCKS];
};

/**
 * struct files - the directory of a VMM
 * @number: whose it is
 * @at: what is in it
 * @sub: there is a directory in it
 * @unsure: the VMM died in the middle of changing something; as when it begins
 * @refused: how often the pool was frozen, or a limit was in the way
 * @compared: how many bytes were as they should be
 */
struct files {
	int number;
	struct file_model at[FILE_PLACES];
	bool sub;
	bool unsure;
	u64 refused;
	u64 compared;
};

/* What is done in one step */
enum file_op {
	FILE_WRITE,
	FILE_TRUNCATE,
	FILE_CHECK,
	FILE_RENAME,
	FILE_EXCHANGE,
	FILE_UNLINK,
	FILE_CHANGE_DIR,
	FILE_LIMIT,
	FILE_UNNAMED,
	NR_FILE_OPS,
};

#define FILE_OP_NAMES "file_write", "file_truncate", "file_check", "file_rename", \
	"file_exchange", "file_unlink", "file_dir", "file_limit", "file_unnamed"

/* Not in the program, all of which is in each guest, too */
#define FILE_BUFFER_SIZE	(FILE_BLOCKS * FILE_BLOCK)
static char *file_buffer;

/* In seconds, what nothing takes that goes on at all */
#define LONG_TIME	60

static u64 random_u64(u64 *state)
{
	/* Marsaglia, Xorshift RNGs, 2003 */
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static const char *file_path(const struct files *f, int place)
{
	static char paths[2][96];
	static int last;
	char *path = paths[last ^= 1];

	snprintf(path, sizeof(paths[0]), FILES_DIR "/%sfile%d", f->number,
		 place < FILE_SUB ? "" : "sub/", place);
	return path;
}

static const char *file_dir(const struct files *f, const char *below)
{
	static char path[96];

	snprintf(path, sizeof(path), FILES_DIR "%s", f->number, below);
	return path;
}

/* What changes something may be refused, and has changed nothing then, unless it says so. */
static bool file_refused(struct files *f, long r, const char *what)
{
	if (r >= 0)
		return false;
	TEST_ASSERT(errno == EBUSY || errno == EDQUOT || errno == ENOSPC, "%s %d: errno %d (%s)",
		    what, f->number, errno, strerror(errno));
	f->refused++;
	return true;
}

/* For what must be done: whether to try it again. Nobody leaves the pool frozen for long. */
static bool try_again(int r, const char *what, time_t end)
{
	if (!r || errno != EBUSY)
		return false;
	TEST_ASSERT(time(NULL) < end, "%s is EBUSY for %d seconds", what, LONG_TIME);
	sched_yield();
	return true;
}

static bool file_can_be(const struct files *f, int place)
{
	return place < FILE_SUB || f->sub;
}

static void file_check_blocks(const struct file_model *m)
{
	u64 i, off;

	for (i = 0; i < m->nr_blocks; i++) {
		off = i * FILE_BLOCK;
		if (!m->seed[i])
			gmem_check_zero(file_buffer, off, FILE_BLOCK);
		else if (m->seed[i] != FILE_UNKNOWN)
			gmem_check(file_buffer, off, FILE_BLOCK, SZ_4K, m->seed[i]);
	}
}

static void file_check(struct files *f, int place)
{
	const struct file_model *m = &f->at[place];
	const u64 length = m->nr_blocks * FILE_BLOCK;
	int fd = open(file_path(f, place), O_RDONLY);
	struct stat st;

	TEST_ASSERT(fd >= 0 && !fstat(fd, &st), "file %d: errno %d", place, errno);
	TEST_ASSERT(st.st_size == length, "file %d has %lu bytes, not %lu", place, st.st_size,
		    length);
	TEST_ASSERT(pread(fd, file_buffer, FILE_BUFFER_SIZE, 0) == length,
		    "reading file %d: errno %d", place, errno);
	close(fd);
	file_check_blocks(m);
	f->compared += length;
}

static bool file_write_blocks(struct files *f, int place, int fd, unsigned int first,
			      unsigned int nr, u64 seed)
{
	struct file_model *m = &f->at[place];
	const u64 off = first * FILE_BLOCK, size = nr * FILE_BLOCK;
	unsigned int whole;
	ssize_t r;
	u64 i;

	gmem_fill(file_buffer, off, size, SZ_4K, seed);
	r = pwrite(fd, file_buffer + off, size, off);
	if (file_refused(f, r, "writing"))
		return false;
	/* Frozen in the middle of it, what has taken the place of other data is written. */
	TEST_ASSERT(r == size || (r && off + r <= m->nr_blocks * FILE_BLOCK),
		    "%ld bytes were written, not %lu", r, size);
	whole = first + r / FILE_BLOCK;
	for (i = first; i < whole; i++)
		m->seed[i] = seed;
	if (r % FILE_BLOCK)
		m->seed[whole] = FILE_UNKNOWN;
	m->nr_blocks = max(m->nr_blocks, whole);
	return r == size;
}

static bool file_write(struct files *f, int place, u64 random)
{
	const unsigned int first = random % FILE_BLOCKS;
	const unsigned int nr = 1 + (random >> 16) % (FILE_BLOCKS - first);
	int fd = open(file_path(f, place), O_RDWR | O_CREAT, 0600);
	bool done;

	if (file_refused(f, fd, "creating a file"))
		return false;
	f->at[place].exists = true;
	done = file_write_blocks(f, place, fd, first, nr, random | 1);
	close(fd);
	file_check(f, place);
	return done;
}

static bool file_truncate(struct files *f, int place, u64 random)
{
	struct file_model *m = &f->at[place];
	const unsigned int nr = random % (FILE_BLOCKS + 1);
	int fd = open(file_path(f, place), O_RDWR);
	bool refused;
	u64 i;

	if (file_refused(f, fd, "opening a file"))
		return false;
	refused = file_refused(f, ftruncate(fd, nr * FILE_BLOCK), "truncating");
	close(fd);
	if (!refused) {
		for (i = nr; i < FILE_BLOCKS; i++)
			m->seed[i] = 0;
		m->nr_blocks = nr;
	}
	file_check(f, place);
	return !refused;
}

static bool file_unlink(struct files *f, int place)
{
	if (file_refused(f, unlink(file_path(f, place)), "unlinking"))
		return false;
	f->at[place] = (struct file_model){};
	return true;
}

/* What is there already is replaced, or takes the other place. */
static bool file_rename(struct files *f, int from, int to, bool exchange)
{
	struct file_model moved = f->at[from];
	int r = renameat2(AT_FDCWD, file_path(f, from), AT_FDCWD, file_path(f, to),
			  exchange ? RENAME_EXCHANGE : 0);

	if (file_refused(f, r, "renaming"))
		return false;
	f->at[from] = exchange ? f->at[to] : (struct file_model){};
	f->at[to] = moved;
	if (f->at[from].exists)
		file_check(f, from);
	file_check(f, to);
	return true;
}

static unsigned int files_below(const struct files *f, int first)
{
	unsigned int i, nr = 0;

	for (i = first; i < FILE_PLACES; i++)
		nr += f->at[i].exists;
	return nr;
}

static bool file_change_sub(struct files *f)
{
	const char *path = file_dir(f, "/sub");
	int r = f->sub ? rmdir(path) : mkdir(path, 0700);

	if (f->sub && files_below(f, FILE_SUB)) {
		/* The VFS looks whether it is empty after the pool might have refused it. */
		TEST_ASSERT(r && (errno == ENOTEMPTY || errno == EBUSY), "rmdir: errno %d", errno);
		return false;
	}
	if (file_refused(f, r, "a directory"))
		return false;
	f->sub = !f->sub;
	return true;
}

static void file_count_entries(const char *path, unsigned int wanted)
{
	unsigned int nr = 0;
	struct dirent *entry;
	DIR *dir = opendir(path);

	TEST_ASSERT(dir, "%s: errno %d", path, errno);
	while ((entry = readdir(dir)))
		nr += entry->d_name[0] != '.';
	closedir(dir);
	TEST_ASSERT(nr == wanted, "%s has %u entries, not %u", path, nr, wanted);
}

/* In a frozen pool, what has ended counts until the thaw, which comes soon. */
static bool file_quota_is_right(const struct files *f, const struct gmem_persist_quota *q)
{
	const unsigned int names = files_below(f, 0) + f->sub;
	u64 bytes = 0;
	int i;

	for (i = 0; i < FILE_PLACES; i++)
		bytes += round_up(f->at[i].nr_blocks * FILE_BLOCK, SZ_2M);
	TEST_ASSERT(q->used_names >= names && q->used_bytes >= bytes && !(q->used_bytes % SZ_2M),
		    "directory %d has %llu names and %llu bytes, not %u and %lu or more", f->number,
		    q->used_names, q->used_bytes, names, bytes);
	return q->used_names == names && (names || !q->used_bytes);
}

/* New limits, and whether what counts for them is what is there */
static bool file_limit(struct files *f, u64 random)
{
	struct gmem_persist_quota q = {
		.max_bytes = random % 2 ? (4 + (random >> 8) % 20) * SZ_2M : 0,
		.max_names = random % 3 ? 0 : 2 + (random >> 16) % 5,
	};
	int fd = open(file_dir(f, ""), O_RDONLY | O_DIRECTORY);
	const time_t end = time(NULL) + LONG_TIME;
	bool refused;

	TEST_ASSERT(fd >= 0, "opening the directory: errno %d", errno);
	refused = file_refused(f, ioctl(fd, GMEM_PERSIST_SET_QUOTA, &q), "setting limits");
	for (;;) {
		memset(&q, 0, sizeof(q));
		TEST_ASSERT(!ioctl(fd, GMEM_PERSIST_GET_QUOTA, &q), "asking for limits");
		if (file_quota_is_right(f, &q))
			break;
		TEST_ASSERT(time(NULL) < end, "directory %d has %llu names and %llu bytes",
			    f->number, q.used_names, q.used_bytes);
		sched_yield();
	}
	close(fd);
	file_count_entries(file_dir(f, ""), files_below(f, 0) - files_below(f, FILE_SUB) + f->sub);
	if (f->sub)
		file_count_entries(file_dir(f, "/sub"), files_below(f, FILE_SUB));
	return !refused;
}

/* A guest's memory, or data, that has no name; gone again */
static bool file_unnamed(struct files *f, u64 random)
{
	const u64 size = (1 + (random >> 8) % 2) * SZ_2M;
	int fd = open(FILES_FS, O_RDWR | O_TMPFILE, 0600);
	bool done = true;
	void *mem;

	if (file_refused(f, fd, "a file without a name"))
		return false;
	if (random % 2) {
		gmem_fill(file_buffer, 0, size, SZ_4K, random | 1);
		done = !file_refused(f, pwrite(fd, file_buffer, size, 0), "writing");
		if (done) {
			memset(file_buffer, 0, size);
			TEST_ASSERT(pread(fd, file_buffer, size, 0) == size, "reading");
			gmem_check(file_buffer, 0, size, SZ_4K, random | 1);
		}
	} else if (file_refused(f, ftruncate(fd, size), "memory")) {
		done = false;
	} else {
		mem = gmem_map(fd, size);
		gmem_check_zero(mem, 0, size);
		gmem_fill(mem, 0, size, SZ_4K, random | 1);
		gmem_check(mem, 0, size, SZ_4K, random | 1);
		kvm_munmap(mem, size);
	}
	close(fd);
	return done;
}

/*
 * Direct I/O between a guest's memory and a disk, or a file of gmemfs
 */

static int file_open_direct(struct files *f, bool on_disk)
{
	int fd = on_disk ? gmem_open_disk() : -1;

	/* Each VMM has its place. */
	if (fd >= 0) {
		TEST_ASSERT(lseek(fd, f->number * FILE_BUFFER_SIZE, SEEK_SET) >= 0, "lseek");
		return fd;
	}
	fd = open(FILES_FS, O_RDWR | O_TMPFILE | O_DIRECT, 0600);
	file_refused(f, fd, "a file without a name");
	return fd;
}

/* From where the file is. Frozen between two pieces, only some of it is there. */
static bool file_direct_refused(struct files *f, int fd, const void *from, u64 size)
{
	const off_t at = lseek(fd, 0, SEEK_CUR);
	ssize_t r = pwrite(fd, from, size, at);

	if (file_refused(f, r, "direct I/O"))
		return true;
	f->refused += r < size;
	return r < size;
}

/* @start: where the memory is in its object */
static bool file_read_direct(struct files *f, int fd, void *mem, u64 start, u64 size, u64 seed)
{
	u64 off;

	for (off = 0; off < size; off += SZ_4K)
		*(u64 *)(file_buffer + off) = gmem_pattern(start + off, seed);
	if (file_direct_refused(f, fd, file_buffer, size))
		return false;
	TEST_ASSERT(read(fd, mem, size) == size, "direct I/O: errno %d", errno);
	TEST_ASSERT(!memcmp(file_buffer, mem, size), "other bytes were read");
	return true;
}

static bool file_write_direct(struct files *f, int fd, void *mem, u64 size)
{
	if (file_direct_refused(f, fd, mem, size))
		return false;
	TEST_ASSERT(read(fd, file_buffer, size) == size, "direct I/O: errno %d", errno);
	TEST_ASSERT(!memcmp(file_buffer, mem, size), "other bytes were written");
	return true;
}

/*
 * Steps
 */

static bool file_makes_sense(const struct files *f, enum file_op op, int place, int other)
{
	switch (op) {
	case FILE_WRITE:
		return file_can_be(f, place);
	case FILE_TRUNCATE:
		/* What is empty would become a guest's memory. */
		return f->at[place].nr_blocks;
	case FILE_CHECK:
	case FILE_UNLINK:
		return f->at[place].exists;
	case FILE_RENAME:
		return f->at[place].exists && place != other && file_can_be(f, other);
	case FILE_EXCHANGE:
		return f->at[place].exists && place != other && f->at[other].exists;
	default:
		return true;
	}
}

static bool file_do(struct files *f, enum file_op what, int place, int other, u64 random)
{
	switch (what) {
	case FILE_WRITE:
		return file_write(f, place, random);
	case FILE_TRUNCATE:
		return file_truncate(f, place, random);
	case FILE_RENAME:
	case FILE_EXCHANGE:
		return file_rename(f, place, other, what == FILE_EXCHANGE);
	case FILE_UNLINK:
		return file_unlink(f, place);
	case FILE_CHANGE_DIR:
		return file_change_sub(f);
	case FILE_LIMIT:
		return file_limit(f, random);
	case FILE_UNNAMED:
		return file_unnamed(f, random);
	default:
		file_check(f, place);
		return true;
	}
}

static bool file_step(struct files *f, enum file_op op, u64 *random)
{
	const int place = random_u64(random) % FILE_PLACES;
	const int other = random_u64(random) % FILE_PLACES;
	bool done;

	if (!file_makes_sense(f, op, place, other))
		return false;
	f->unsure = op != FILE_CHECK;
	done = file_do(f, op, place, other, random_u64(random));
	f->unsure = false;
	return done;
}

static int file_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const time_t end = time(NULL) + LONG_TIME;

	while (try_again(remove(path), path, end))
		;
	return 0;
}

static void files_remove(struct files *f)
{
	nftw(file_dir(f, ""), file_remove, 8, FTW_PHYS | FTW_DEPTH);
	TEST_ASSERT(access(file_dir(f, ""), F_OK), "%s is still there", file_dir(f, ""));
	memset(f->at, 0, sizeof(f->at));
	f->sub = false;
}

/* All of it is right; or nobody knows enough of it, and it is made anew. */
static void files_begin(struct files *f, int number)
{
	const time_t end = time(NULL) + LONG_TIME;
	int i, r;

	f->number = number;
	if (f->unsure || access(file_dir(f, ""), F_OK)) {
		files_remove(f);
		do {
			r = mkdir(file_dir(f, ""), 0700);
		} while (try_again(r, "mkdir", end));
		TEST_ASSERT(!r, "mkdir: errno %d", errno);
		f->unsure = false;
	}
	for (i = 0; i < FILE_PLACES; i++)
		if (f->at[i].exists)
			file_check(f, i);
}

static void files_mount(void)
{
	file_buffer = kvm_mmap(FILE_BUFFER_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1);
	TEST_ASSERT(!mkdir(FILES_FS, 0700) || errno == EEXIST, "mkdir " FILES_FS);
	TEST_ASSERT(!mount("none", FILES_FS, "gmemfs", 0, NULL), "mounting gmemfs");
}

#endif /* SELFTEST_KVM_GMEM_PERSIST_STRESS_FILES_H */
