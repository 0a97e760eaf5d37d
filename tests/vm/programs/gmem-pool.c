// SPDX-License-Identifier: GPL-2.0
/*
 * The pool under load: random lives of objects, and how long things take.
 *
 *   gmem-pool random OPERATIONS SEED    create, reclaim, discard, ... at random; after
 *                                       each operation the books must be right
 *   gmem-pool clear GIBIBYTES           time creation from dirty memory, on one CPU and on
 *                                       two, and a memset() of the same size
 *   gmem-pool create GIBIBYTES GRANULE  time creation from clean memory
 *
 * Prints key=value lines. Exit status 0, or 1 with a message.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vmm.h"

#define POOL		"/sys/kernel/mm/gmem_persist/"
#define MIB		(1UL << 20)
#define GIB		(1UL << 30)
#define PAGE		4096UL
#define MAX_OBJECTS	64

static int vm;

static int file_write(const char *name, const char *text)
{
	char path[256];
	int fd, error = 0;

	snprintf(path, sizeof(path), POOL "%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		err(1, "%s", path);
	if (write(fd, text, strlen(text)) < 0)
		error = errno;
	close(fd);
	return error;
}

static int create(const char *name, uint32_t op, uint64_t size, uint64_t granule)
{
	struct kvm_gmem_persist gmem = {
		.op = op,
		.size = size,
		.granule = granule,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	};
	struct kvm_create_guest_memfd unnamed = {
		.size = size,
		.flags = gmem.flags | GUEST_MEMFD_FLAG_PERSIST,
	};

	if (!name)
		return ioctl(vm, KVM_CREATE_GUEST_MEMFD, &unnamed);
	memcpy(gmem.name, name, strlen(name));
	return ioctl(vm, KVM_GMEM_PERSIST, &gmem);
}

struct stat_file {
	uint64_t pool, clean, dirty, used, quarantined, poisoned;
};

static void read_stat(const char *path, struct stat_file *s)
{
	FILE *file = fopen(path, "r");

	if (!file || fscanf(file, "pool %lu clean %lu dirty %lu used %lu quarantined %lu poisoned %lu",
			    &s->pool, &s->clean, &s->dirty, &s->used, &s->quarantined,
			    &s->poisoned) != 6)
		errx(1, "%s cannot be read", path);
	fclose(file);
	if (s->pool != s->clean + s->dirty + s->used + s->quarantined + s->poisoned)
		errx(1, "%s does not add up: %lu is not %lu + %lu + %lu + %lu + %lu", path,
		     s->pool, s->clean, s->dirty, s->used, s->quarantined, s->poisoned);
}

/* All of the pool is somewhere, on each node and in all; @used of it with objects. */
static void check_books(uint64_t used)
{
	struct stat_file all, node, sum = {};
	glob_t nodes;

	read_stat(POOL "stat", &all);
	if (all.used != used)
		errx(1, "%lu bytes are said to be used, and %lu are", all.used, used);
	if (glob(POOL "node*/stat", 0, NULL, &nodes))
		errx(1, "no nodes");
	for (size_t i = 0; i < nodes.gl_pathc; i++) {
		read_stat(nodes.gl_pathv[i], &node);
		sum.pool += node.pool;
		sum.used += node.used;
		sum.quarantined += node.quarantined;
	}
	globfree(&nodes);
	if (sum.pool != all.pool || sum.used != all.used ||
	    sum.quarantined != all.quarantined)
		errx(1, "the nodes do not add up to the pool");
}

static uint64_t random_state;

/* xorshift64*: the same numbers on every machine */
static uint64_t next_random(uint64_t below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * 0x2545f4914f6cdd1dUL >> 16) % below;
}

struct object {
	char name[16];
	uint64_t size;
	uint64_t mark;
};

/* A word in every page, of a large object in every eighth: is it @want? Make it @set. */
static void visit(int fd, uint64_t size, uint64_t want, uint64_t set, const char *who)
{
	const uint64_t step = size < GIB ? PAGE : 8 * PAGE;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		err(1, "mmap of %s", who);
	for (uint64_t off = 0; off < size; off += step) {
		uint64_t *word = (uint64_t *)(p + off + off / PAGE % 512 * 8);

		if (*word != want)
			errx(1, "%s: %#lx at %#lx is not %#lx", who, *word, off, want);
		*word = set;
	}
	munmap(p, size);
}

static struct object objects[MAX_OBJECTS];
static unsigned int nr_objects;
static uint64_t used;

static const char *do_create(unsigned int serial)
{
	struct object *o = &objects[nr_objects];
	bool large = !next_random(1000);
	int fd;

	if (nr_objects == MAX_OBJECTS)
		return "full";
	o->size = large ? GIB : (1 + next_random(4)) * 2 * MIB;
	o->mark = serial + 1;
	snprintf(o->name, sizeof(o->name), "r%u", serial);
	fd = create(o->name, KVM_GMEM_PERSIST_CREATE, o->size, large ? GIB : 0);
	if (fd < 0 && errno == ENOSPC)
		return "full";
	if (fd < 0)
		err(1, "create %s", o->name);
	visit(fd, o->size, 0, o->mark, o->name);
	close(fd);
	used += o->size;
	nr_objects++;
	return "create";
}

static const char *do_unnamed(void)
{
	uint64_t size = (1 + next_random(16)) * 2 * MIB;
	int fd = create(NULL, 0, size, 0);

	if (fd < 0 && errno == ENOSPC)
		return "full";
	if (fd < 0)
		err(1, "create without a name");
	check_books(used + size);
	visit(fd, size, 0, ~0UL, "the one without a name");
	close(fd);
	return "unnamed";
}

static const char *do_reclaim(void)
{
	struct object *o = &objects[next_random(nr_objects)];
	int fd = create(o->name, KVM_GMEM_PERSIST_RECLAIM, 0, 0);

	if (fd < 0)
		err(1, "reclaim %s", o->name);
	visit(fd, o->size, o->mark, o->mark, o->name);
	if (file_write("discard", o->name) != EBUSY)
		errx(1, "%s has a view and was discarded", o->name);
	close(fd);
	return "reclaim";
}

static const char *do_discard(void)
{
	unsigned int i = next_random(nr_objects);
	int error = file_write("discard", objects[i].name);

	if (error)
		errx(1, "discard %s: %s", objects[i].name, strerror(error));
	used -= objects[i].size;
	objects[i] = objects[--nr_objects];
	return "discard";
}

static const char *do_switch(void)
{
	static const char * const rates[] = { "0", "20", "200", "2000" };

	file_write("clean_background", next_random(3) ? "1" : "0");
	file_write("clean_rate", rates[next_random(4)]);
	file_write("clean_threads", next_random(2) ? "0" : "1");
	return "switch";
}

static const char *do_freeze(void)
{
	int error = file_write("frozen", "1");

	if (error)
		errx(1, "freeze: %s", strerror(error));
	if (create("x", KVM_GMEM_PERSIST_CREATE, 2 * MIB, 0) >= 0 || errno != EBUSY)
		errx(1, "an object was created in a frozen pool");
	check_books(used);
	error = file_write("frozen", "0");
	if (error)
		errx(1, "thaw: %s", strerror(error));
	return "freeze";
}

static int run_random(unsigned int operations, uint64_t seed)
{
	unsigned int done = 0, full = 0;

	random_state = seed * 2 + 1;
	check_books(0);
	for (unsigned int i = 0; i < operations; i++) {
		uint64_t dice = next_random(100);
		const char *what;

		if (dice < 38 || !nr_objects)
			what = do_create(i);
		else if (dice < 48)
			what = do_unnamed();
		else if (dice < 64)
			what = do_reclaim();
		else if (dice < 96)
			what = do_discard();
		else if (dice < 98)
			what = do_switch();
		else
			what = do_freeze();
		check_books(used);
		full += !strcmp(what, "full");
		if (!(++done % 1000)) {
			printf("# %u operations\n", done);
			fflush(stdout);
		}
	}
	while (nr_objects)
		do_discard();
	check_books(0);
	printf("operations=%u\nfull=%u\n", done, full);
	return 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Create and discard. Returns the seconds that creation took. */
static double timed_create(uint64_t size, uint64_t granule, double *memset_seconds)
{
	double start = now(), seconds;
	int fd = create("bench", KVM_GMEM_PERSIST_CREATE, size, granule);
	char *p;

	seconds = now() - start;
	if (fd < 0)
		err(1, "create");
	if (memset_seconds) {
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			err(1, "mmap");
		for (uint64_t off = 0; off < size; off += PAGE)
			*(volatile char *)(p + off) = 1;
		start = now();
		memset(p, 0, size);
		asm volatile("" : : "r"(p) : "memory");
		*memset_seconds = now() - start;
		munmap(p, size);
	}
	close(fd);
	if (file_write("discard", "bench"))
		errx(1, "discard");
	return seconds;
}

static double best_clear(uint64_t size, const char *threads)
{
	double best = 0;

	file_write("clean_threads", threads);
	for (int i = 0; i < 5; i++) {
		double seconds = timed_create(size, GIB, NULL);

		if (!best || seconds < best)
			best = seconds;
	}
	return best;
}

/* Needs a pool of that size, all dirty, and no cleaning in the background. */
static int run_clear(uint64_t size)
{
	double one, two, set, best_set = 0;

	/* Under an emulator the host's memory is real only after the first time. */
	timed_create(size, GIB, NULL);
	one = best_clear(size, "1");
	two = best_clear(size, "2");
	for (int i = 0; i < 5; i++) {
		timed_create(size, GIB, &set);
		if (!best_set || set < best_set)
			best_set = set;
	}
	printf("clear_1cpu_us=%.0f\nclear_2cpu_us=%.0f\nmemset_us=%.0f\n",
	       one * 1e6, two * 1e6, best_set * 1e6);
	return 0;
}

static int run_create(uint64_t size, uint64_t granule)
{
	struct stat_file s;

	read_stat(POOL "stat", &s);
	if (s.clean < size)
		errx(1, "not enough clean memory");
	printf("create_clean_us=%.3f\n", timed_create(size, granule, NULL) * 1e6);
	return 0;
}

int main(int argc, char **argv)
{
	vm = create_vm(open_kvm(), KVM_X86_DEFAULT_VM);
	if (argc == 4 && !strcmp(argv[1], "random"))
		return run_random(atoi(argv[2]), strtoull(argv[3], NULL, 0));
	if (argc == 3 && !strcmp(argv[1], "clear"))
		return run_clear(strtoull(argv[2], NULL, 0) * GIB);
	if (argc == 4 && !strcmp(argv[1], "create"))
		return run_create(strtoull(argv[2], NULL, 0) * GIB,
				  strtoull(argv[3], NULL, 0) * MIB);
	errx(1, "usage: gmem-pool random OPERATIONS SEED | clear GIBIBYTES | create GIBIBYTES MEBIBYTES");
}
