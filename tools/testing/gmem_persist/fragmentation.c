// SPDX-License-Identifier: GPL-2.0
/*
 * How much 1 GiB capacity is left after months of VMs coming and going?
 *
 * fragmentation		all policies, all fleets: a table
 * fragmentation --json		the kernel's policy, the first fleet: JSON
 * fragmentation --test		the kernel's policy is as good as it was: KTAP
 *
 * A host with 1 TiB of pool on two nodes, and VMs of a fleet. Each hour some VMs
 * end, and others are created as long as less of the pool is in use than should be,
 * which wanders between 60 and 95 %. A VM's memory comes from the node it runs on,
 * else from the other, else from both. A fleet is given several lives of half a
 * year. No clock decides anything, so every run gives the same figures.
 *
 * All policies keep their books in a gmem_arena. "arena" lets gmem_arena_alloc()
 * choose; the others choose here, by looking at all blocks, and take what they chose.
 *
 * The figures, over all hours of all lives:
 *
 *	mean, worst	blocks that are free as a whole, out of those that the node's
 *			free memory would make if it were in one piece
 *	failed/giant	VMs that wanted 1 GiB granules and got none, though there
 *			was memory for that many; out of all that wanted them
 *	ranges, most	physically contiguous pieces of a VM with 2 MiB granules
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/types.h>

#include "arena.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define LIVES		8
#define HOURS		(180 * 24)
#define NODES		2
#define BLOCKS		1024
#define PER_BLOCK	GMEM_BLOCK_GRANULES
#define MAX_VMS		8192
#define G1		((u64)SZ_1G)
#define M2		((u64)SZ_2M)
#define POOL		(BLOCKS * G1)

/* Memory of VMs as clouds sell them: size in MiB, and how many have it */
struct size {
	unsigned int mib, weight;
};

/*
 * A VM with 4 GiB or more in whole GiB may have 1 GiB granules; @giant: so many per
 * cent of them do. @least: what --test asks of the mean.
 */
struct fleet {
	const char *name;
	unsigned int giant;
	double least;
	struct size sizes[24];
};

static const struct fleet fleets[] = {
	/* A fleet with a long history of sizes */
	{ "general", 50, 0.95, {
		{ 512, 20 }, { 768, 30 }, { 1024, 80 }, { 1792, 100 },
		{ 2048, 140 }, { 3584, 90 }, { 3840, 40 }, { 4096, 150 },
		{ 7168, 50 }, { 7680, 30 }, { 8192, 100 }, { 14336, 25 },
		{ 15616, 15 }, { 16384, 60 }, { 31232, 10 }, { 32768, 30 },
		{ 62464, 4 }, { 65536, 15 }, { 131072, 8 }, { 262144, 3 },
		{ 524288, 1 },
	} },
	/* Functions and sandboxes, beside a few large VMs */
	{ "micro", 80, 0.70, {
		{ 128, 350 }, { 256, 250 }, { 514, 200 }, { 1026, 80 },
		{ 2050, 40 }, { 4096, 30 }, { 8192, 20 }, { 16384, 15 },
		{ 65536, 10 }, { 131072, 5 },
	} },
	/* Nothing but whole GiB */
	{ "whole", 50, 1.0, {
		{ 1024, 150 }, { 2048, 200 }, { 4096, 250 }, { 8192, 180 },
		{ 16384, 120 }, { 32768, 60 }, { 65536, 25 }, { 131072, 11 },
		{ 262144, 3 }, { 524288, 1 },
	} },
};

static struct gmem_block_ser sers[BLOCKS];
static struct gmem_block blocks[BLOCKS];
static struct gmem_arena_node nodes[NODES];
static struct gmem_arena arena;

/* When each block was broken last, as a number that grows */
static u64 broken[BLOCKS], nr_broken;

static struct vm {
	u64 end;
	struct gmem_ranges ranges;
} vms[MAX_VMS];
static unsigned int nr_vms;

static u64 random_state;

static u64 random_below(u64 limit)
{
	u64 x;

	/* splitmix64 */
	random_state += 0x9e3779b97f4a7c15;
	x = random_state;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return (x ^ x >> 31) % limit;
}

/*
 * Policies
 */

struct policy {
	const char *name;
	u64 (*alloc)(const struct policy *policy, int nid, u64 size, u64 granule,
		     struct gmem_ranges *out);
	/* Which block in use is best for all that is wanted, or for a part of it */
	s64 (*fit)(const struct gmem_block *b);
	s64 (*part)(const struct gmem_block *b);
	/* The whole GiB of each object come from whole blocks. */
	bool whole_first;
	/* Between two VMs, some memory is cleaned. */
	bool clean;
};

static u64 alloc_arena(const struct policy *policy, int nid, u64 size, u64 granule,
		       struct gmem_ranges *out)
{
	return gmem_arena_alloc(&arena, nid, size, granule, out);
}

/* Take up to @size from a block, from its low end on. */
static u64 take_from(struct gmem_block *b, u64 size, struct gmem_ranges *out)
{
	unsigned int at = 0, end;
	u64 taken = 0, some;

	if (b->nr_free == PER_BLOCK)
		broken[b - blocks] = ++nr_broken;
	for (; taken < size && b->nr_free; at = end) {
		at = find_next_bit(gmem_bits(b->ser->free), PER_BLOCK, at);
		end = find_next_zero_bit(gmem_bits(b->ser->free), PER_BLOCK, at);
		some = (end - at) * M2;
		if (some > size - taken)
			some = size - taken;
		if (gmem_arena_take(&arena, b->ser->base + at * M2, some))
			abort();
		gmem_ranges_append(out, b->ser->base + at * M2, some);
		taken += some;
	}
	return taken;
}

/* Take what blocks that are free as a whole have, by ascending address. */
static u64 take_whole(int nid, u64 size, struct gmem_ranges *out)
{
	u64 taken = 0;
	unsigned int i;

	for (i = 0; i < BLOCKS && taken < size; i++)
		if (blocks[i].ser->nid == nid && blocks[i].nr_free == PER_BLOCK)
			taken += take_from(&blocks[i],
					   size - taken < G1 ? size - taken : G1, out);
	return taken;
}

static u64 by_address(const struct policy *policy, int nid, u64 size, u64 granule,
		      struct gmem_ranges *out)
{
	u64 taken = 0;
	unsigned int i;

	if (granule == SZ_1G)
		return take_whole(nid, size, out);
	for (i = 0; i < BLOCKS && taken < size; i++)
		if (blocks[i].ser->nid == nid)
			taken += take_from(&blocks[i], size - taken, out);
	return taken;
}

/* As by_address(), but 2 MiB granules come from the node's other end. */
static u64 two_ends(const struct policy *policy, int nid, u64 size, u64 granule,
		    struct gmem_ranges *out)
{
	u64 taken = 0;
	int i;

	if (granule == SZ_1G)
		return take_whole(nid, size, out);
	for (i = BLOCKS - 1; i >= 0 && taken < size; i--)
		if (blocks[i].ser->nid == nid)
			taken += take_from(&blocks[i], size - taken, out);
	return taken;
}

/* Least free memory first, most first, lowest address first, broken longest ago first */
static s64 fullest(const struct gmem_block *b)
{
	return b->nr_free;
}

static s64 emptiest(const struct gmem_block *b)
{
	return -b->nr_free;
}

static s64 lowest(const struct gmem_block *b)
{
	return b->ser->base;
}

static s64 oldest(const struct gmem_block *b)
{
	return broken[b - blocks];
}

/* The block in use, with @least free granules or more, for which @key is least */
static struct gmem_block *choose(int nid, u64 least,
				 s64 (*key)(const struct gmem_block *b))
{
	struct gmem_block *b, *best = NULL;

	for (b = blocks; key && b < blocks + BLOCKS; b++)
		if (b->ser->nid == nid && b->nr_free && b->nr_free < PER_BLOCK &&
		    b->nr_free >= least && (!best || key(b) < key(best)))
			best = b;
	return best;
}

static u64 by_block(const struct policy *policy, int nid, u64 size, u64 granule,
		    struct gmem_ranges *out)
{
	struct gmem_block *b;
	u64 taken = 0;

	if (granule == SZ_1G)
		return take_whole(nid, size, out);
	if (policy->whole_first)
		taken = take_whole(nid, size / G1 * G1, out);
	while (taken < size) {
		b = choose(nid, (size - taken) / M2, policy->fit) ?:
			choose(nid, 1, policy->part);
		if (!b)
			break;
		taken += take_from(b, size - taken, out);
	}
	taken += take_whole(nid, size - taken, out);
	/* Last resort of those that do not want it */
	return taken + by_address(policy, nid, size - taken, granule, out);
}

static const struct policy policies[] = {
	{ "arena", alloc_arena },
	{ "arena, cleaning", alloc_arena, .clean = true },
	{ "by address", by_address },
	{ "two ends", two_ends },
	/* All of an object into blocks in use, then whole blocks */
	{ "all: lowest", by_block, .part = lowest },
	{ "all: fullest", by_block, .part = fullest },
	{ "all: fit, emptiest", by_block, fullest, emptiest },
	/* What is left of it after its whole GiB; not spread, then spread */
	{ "rest: fit", by_block, fullest, .whole_first = true },
	{ "rest: fullest", by_block, .part = fullest, .whole_first = true },
	{ "rest: fit, fullest", by_block, fullest, fullest, .whole_first = true },
	{ "rest: fit, emptiest", by_block, fullest, emptiest, .whole_first = true },
	{ "rest: lowest fit", by_block, lowest, emptiest, .whole_first = true },
	{ "rest: oldest fit", by_block, oldest, emptiest, .whole_first = true },
};

/*
 * Lives
 */

struct figures {
	u64 hours;
	double sum, worst;
	u64 giants, failed;
	u64 others, ranges, most;
};

/* Bytes that are free in a granule, on all nodes */
static u64 capacity(u64 granule)
{
	u64 sum = 0;
	int nid;

	for (nid = 0; nid < NODES; nid++)
		sum += gmem_arena_capacity(&arena, nid, granule);
	return sum;
}

/* What there could be in 1 GiB granules, with the same amount of free memory */
static u64 ideal(void)
{
	u64 sum = 0;
	int nid;

	for (nid = 0; nid < NODES; nid++)
		sum += gmem_arena_capacity(&arena, nid, SZ_2M) / G1 * G1;
	return sum;
}

/* Hours: each doubling is less likely than the one before, up to a year */
static u64 random_lifetime(void)
{
	u64 hours = 1;

	while (hours < 4096 && random_below(100) < 72)
		hours *= 2;
	return hours + random_below(hours);
}

static u64 random_size(const struct fleet *fleet)
{
	unsigned int i, sum = 0;
	u64 pick;

	for (i = 0; i < ARRAY_SIZE(fleet->sizes); i++)
		sum += fleet->sizes[i].weight;
	pick = random_below(sum);
	for (i = 0; pick >= fleet->sizes[i].weight; i++)
		pick -= fleet->sizes[i].weight;
	return fleet->sizes[i].mib * (u64)SZ_1M;
}

/* Create a VM; false if the pool has no memory for it. */
static bool create(const struct fleet *fleet, const struct policy *policy, u64 now,
		   struct figures *f)
{
	struct vm *vm = &vms[nr_vms];
	u64 size = random_size(fleet), taken = 0;
	bool giant = size >= 4 * G1 && size % G1 == 0 &&
		     random_below(100) < fleet->giant;
	u64 granule = giant ? SZ_1G : SZ_2M;
	int nid = random_below(NODES);

	vm->end = now + random_lifetime();
	/* The operator keeps 5 % free. */
	if (ideal() < size + POOL / 20)
		return false;
	f->giants += giant;
	if (capacity(granule) < size) {
		f->failed++;
		return false;
	}

	vm->ranges = (struct gmem_ranges){ .cap = size / granule };
	vm->ranges.r = calloc(vm->ranges.cap, sizeof(*vm->ranges.r));
	if (!vm->ranges.r)
		abort();
	if (gmem_arena_capacity(&arena, nid, granule) < size &&
	    gmem_arena_capacity(&arena, !nid, granule) >= size)
		nid = !nid;
	taken = policy->alloc(policy, nid, size, granule, &vm->ranges);
	taken += policy->alloc(policy, !nid, size - taken, granule, &vm->ranges);
	if (taken != size)
		abort();

	if (!giant) {
		f->others++;
		f->ranges += vm->ranges.nr;
		if (vm->ranges.nr > f->most)
			f->most = vm->ranges.nr;
	}
	nr_vms++;
	return true;
}

static void end(unsigned int i)
{
	struct gmem_ranges *x = &vms[i].ranges;
	unsigned int j;

	for (j = 0; j < x->nr; j++)
		if (gmem_arena_free(&arena, x->r[j].base, x->r[j].size, true))
			abort();
	free(x->r);
	vms[i] = vms[--nr_vms];
}

static void clean(void)
{
	struct gmem_range part;
	u64 i;

	for (i = random_below(200); i; i--)
		if (gmem_arena_find_dirty(&arena, i % NODES, SZ_1G, &part))
			gmem_arena_set_clean(&arena, part.base, part.size);
}

static void note(struct figures *f)
{
	double part = (double)capacity(SZ_1G) / ideal();

	f->sum += part;
	if (!f->hours++ || part < f->worst)
		f->worst = part;
}

static void live(const struct fleet *fleet, const struct policy *policy, u64 seed,
		 struct figures *f)
{
	/* Per mille of the pool that should be in use, and which way that goes */
	int target = 600, step = 5;
	unsigned int i;
	u64 now;

	random_state = seed;
	gmem_arena_init(&arena, blocks, BLOCKS, nodes, NODES);
	for (i = 0; i < BLOCKS; i++) {
		memset(sers[i].free, 0xff, sizeof(sers[i].free));
		memset(sers[i].dirty, 0xff, sizeof(sers[i].dirty));
		if (gmem_arena_add_block(&arena, &sers[i], (4 + i) * G1,
					 i * NODES / BLOCKS))
			abort();
	}

	for (now = 0; now < HOURS; now++) {
		for (i = nr_vms; i--; )
			if (vms[i].end <= now)
				end(i);
		if (!random_below(24))
			step = -step;
		if (target + step < 600 || target + step > 950)
			step = -step;
		target += step;

		while (nr_vms < MAX_VMS &&
		       POOL - capacity(SZ_2M) < POOL / 1000 * target &&
		       create(fleet, policy, now, f))
			if (policy->clean)
				clean();
		note(f);
	}
	while (nr_vms)
		end(nr_vms - 1);
}

static struct figures judge(const struct fleet *fleet, const struct policy *policy)
{
	struct figures f = {};
	u64 seed;

	for (seed = 1; seed <= LIVES; seed++)
		live(fleet, policy, seed, &f);
	return f;
}

static void print_table(void)
{
	struct figures f;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(fleets); i++) {
		printf("%-20s   mean  worst  failed/giant  ranges  most\n",
		       fleets[i].name);
		for (j = 0; j < ARRAY_SIZE(policies); j++) {
			f = judge(&fleets[i], &policies[j]);
			printf("  %-18s %.4f %.4f  %5llu/%-6llu  %6.1f %5llu\n",
			       policies[j].name, f.sum / f.hours, f.worst, f.failed,
			       f.giants, (double)f.ranges / f.others, f.most);
			fflush(stdout);
		}
	}
}

static void print_json(void)
{
	struct figures f = judge(&fleets[0], &policies[0]);

	printf("{\"fragmentation\": %.4f, \"fragmentation_worst\": %.4f, ",
	       f.sum / f.hours, f.worst);
	printf("\"giant_failed\": %llu, \"giant_wanted\": %llu, ", f.failed, f.giants);
	printf("\"ranges_mean\": %.1f, \"ranges_most\": %llu}\n",
	       (double)f.ranges / f.others, f.most);
}

static int test(void)
{
	unsigned int i, failed = 0;

	printf("KTAP version 1\n1..%zu\n", ARRAY_SIZE(fleets));
	for (i = 0; i < ARRAY_SIZE(fleets); i++) {
		struct figures f = judge(&fleets[i], &policies[0]);
		bool ok = f.sum / f.hours >= fleets[i].least;

		failed += !ok;
		printf("# %.4f of the ideal, at least %.4f expected\n",
		       f.sum / f.hours, fleets[i].least);
		printf("%s %u - fragmentation.%s\n", ok ? "ok" : "not ok", i + 1,
		       fleets[i].name);
		fflush(stdout);
	}
	return !!failed;
}

int main(int argc, char **argv)
{
	if (argc == 1)
		print_table();
	else if (!strcmp(argv[1], "--json"))
		print_json();
	else if (!strcmp(argv[1], "--test"))
		return test();
	else
		return 2;
	return 0;
}
