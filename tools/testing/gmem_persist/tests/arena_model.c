// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations on an arena, next to a model that has a plain array of granules.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/types.h>

#include <linux/numa.h>

#include "arena.h"
#include "test.h"

#define BLOCKS		14
#define NODES		3
#define PER_BLOCK	512
#define GRANULES	(BLOCKS * PER_BLOCK)
#define OBJECTS		40
#define G1		((u64)SZ_1G)
#define M2		((u64)SZ_2M)

/* Where the blocks are: neighbours, gaps, nodes that alternate, one without */
static const struct {
	u64 gib;
	int nid;
} layout[BLOCKS] = {
	{ 4, 0 }, { 5, 0 }, { 6, 0 }, { 8, 0 }, { 9, 1 }, { 10, 1 }, { 11, 0 },
	{ 12, 1 }, { 64, NUMA_NO_NODE }, { 65, NUMA_NO_NODE }, { 66, 1 },
	{ 1024, 1 }, { 1025, 1 }, { 1026, 0 },
};

static const int nids[NODES] = { 0, 1, NUMA_NO_NODE };

static struct gmem_block blocks[BLOCKS];
static struct gmem_arena_node nodes[NODES];
static struct gmem_arena arena;

static struct {
	bool free, dirty;
} model[GRANULES];

/* What has been taken: lists of ranges, as objects would have them */
static struct gmem_extents object[OBJECTS];

static u64 addr_of(unsigned int g)
{
	return layout[g / PER_BLOCK].gib * G1 + g % PER_BLOCK * M2;
}

static int nid_of(unsigned int g)
{
	return layout[g / PER_BLOCK].nid;
}

/* Index of the granule at an address; -1 if there is none */
static int granule_at(u64 addr)
{
	unsigned int i;

	for (i = 0; i < BLOCKS; i++)
		if (addr / G1 == layout[i].gib)
			return i * PER_BLOCK + addr % G1 / M2;
	return -1;
}

static bool is(unsigned int g, bool free, bool dirty)
{
	return model[g].free == free && model[g].dirty == dirty;
}

/* Every tree is sorted and has the blocks that it should have. */
static void check_trees(void)
{
	unsigned int i, t, found = 0, expected = 0;

	for (i = 0; i < arena.nr_nodes; i++) {
		for (t = 0; t < 2; t++) {
			const struct gmem_block *b, *before = NULL;
			struct rb_node *n;

			for (n = rb_first(&nodes[i].by_free[t]); n; n = rb_next(n)) {
				b = rb_entry(n, struct gmem_block, node);
				CHECK_EQ(b->nid, nodes[i].nid);
				CHECK_EQ(!!b->nr_dirty, t);
				CHECK(b->nr_free);
				CHECK(!before || before->nr_free < b->nr_free ||
				      (before->nr_free == b->nr_free &&
				       before->base < b->base));
				before = b;
				found++;
			}
		}
	}
	for (i = 0; i < BLOCKS; i++)
		expected += !!blocks[i].nr_free;
	CHECK_EQ(found, expected);
}

static void check_blocks(void)
{
	unsigned int i, g;

	for (i = 0; i < BLOCKS; i++) {
		unsigned int nr_free = 0, nr_dirty = 0;

		for (g = i * PER_BLOCK; g < (i + 1) * PER_BLOCK; g++) {
			nr_free += model[g].free;
			nr_dirty += is(g, true, true);
		}
		CHECK_EQ(blocks[i].nr_free, nr_free);
		CHECK_EQ(blocks[i].nr_dirty, nr_dirty);
	}
}

static void check_sums(void)
{
	unsigned int i, n;

	for (n = 0; n < NODES; n++) {
		const struct gmem_arena_node *node = gmem_arena_node(&arena, nids[n]);
		struct gmem_arena_node sum = {};

		for (i = 0; i < BLOCKS; i++) {
			if (layout[i].nid != nids[n])
				continue;
			sum.total += G1;
			sum.free += blocks[i].nr_free * M2;
			sum.free_dirty += blocks[i].nr_dirty * M2;
			if (blocks[i].nr_free != PER_BLOCK)
				continue;
			sum.free_1g += G1;
			if (!blocks[i].nr_dirty)
				sum.free_1g_clean += G1;
		}
		CHECK(node);
		CHECK_EQ(node->total, sum.total);
		CHECK_EQ(node->free, sum.free);
		CHECK_EQ(node->free_dirty, sum.free_dirty);
		CHECK_EQ(node->free_1g, sum.free_1g);
		CHECK_EQ(node->free_1g_clean, sum.free_1g_clean);
		CHECK_EQ(gmem_arena_capacity(&arena, nids[n], SZ_2M), sum.free);
		CHECK_EQ(gmem_arena_capacity(&arena, nids[n], SZ_1G), sum.free_1g);
	}
}

/* The walk over free memory of one state gives the model's, in as few runs. */
static void check_walk(bool dirty)
{
	struct gmem_range part;
	unsigned int g = 0;
	u64 from = 0;

	while (gmem_arena_next_free(&arena, from, dirty, &part)) {
		while (g < GRANULES && !is(g, true, dirty))
			g++;
		CHECK(g < GRANULES);
		CHECK_EQ(part.base, addr_of(g));
		for (from = part.base; from < gmem_range_end(&part); from += M2, g++) {
			CHECK(g < GRANULES && is(g, true, dirty));
			CHECK_EQ(from, addr_of(g));
		}
		CHECK(g == GRANULES || addr_of(g) != from || !is(g, true, dirty));
	}
	for (; g < GRANULES; g++)
		CHECK(!is(g, true, dirty));
}

/* ... and from anywhere, also from the middle of a granule. */
static void check_walk_from(u64 from, bool dirty)
{
	struct gmem_range part;
	unsigned int g = 0;

	while (g < GRANULES && (addr_of(g) < from || !is(g, true, dirty)))
		g++;
	CHECK_EQ(gmem_arena_next_free(&arena, from, dirty, &part), g < GRANULES);
	if (g < GRANULES)
		CHECK_EQ(part.base, addr_of(g));
}

static void check_all(void)
{
	check_blocks();
	check_sums();
	check_trees();
	check_walk(false);
	check_walk(true);
	check_walk_from(random_below(1030 * G1), random_below(2));
}

/* A random address: in the arena mostly, at its edges, far away */
static u64 random_addr(void)
{
	u64 addr = addr_of(random_below(GRANULES));

	switch (random_below(16)) {
	case 0:
		return addr / G1 * G1 - (random_below(2) ? M2 : 0);
	case 1:
		return addr / G1 * G1 + G1;
	case 2:
		return addr + SZ_4K;
	case 3:
		return random_next();
	case 4:
		return ~(M2 - 1) - random_below(3) * M2;
	default:
		return addr;
	}
}

static u64 random_size(void)
{
	switch (random_below(20)) {
	case 0:
		return random_below(2) ? 0 : SZ_4K;
	case 1:
		return random_next() & ~(M2 - 1);
	case 2:
	case 3:
		return (1 + random_below(4)) * G1;
	case 4:
	case 5:
		return (1 + random_below(3 * PER_BLOCK)) * M2;
	default:
		return (1 + random_below(40)) * M2;
	}
}

/* Is the range whole granules of the arena? */
static bool covered(u64 base, u64 size)
{
	u64 at;

	if (!size || base % M2 || size % M2 || base + size < base)
		return false;
	if (size > GRANULES * M2)
		return false;
	for (at = base; at < base + size; at += M2)
		if (granule_at(at) < 0)
			return false;
	return true;
}

/* How many granules of a range that is covered are free */
static unsigned int count_free(u64 base, u64 size)
{
	unsigned int nr = 0;
	u64 at;

	for (at = base; at < base + size; at += M2)
		nr += model[granule_at(at)].free;
	return nr;
}

static void set_free(u64 base, u64 size, bool free)
{
	u64 at;

	for (at = base; at < base + size; at += M2) {
		CHECK(model[granule_at(at)].free != free);
		model[granule_at(at)].free = free;
	}
}

static void set_dirty(u64 base, u64 size, bool dirty)
{
	u64 at;

	for (at = base; at < base + size; at += M2)
		model[granule_at(at)].dirty = dirty;
}

static void do_alloc(void)
{
	struct gmem_extents *obj = &object[random_below(OBJECTS)];
	int nid = nids[random_below(NODES)];
	bool giant = !random_below(3), ragged = false;
	u64 granule = giant ? G1 : M2;
	u64 size = giant ? (1 + random_below(3)) * G1 : random_size() & ~(M2 - 1);
	u64 capacity = gmem_arena_capacity(&arena, nid, granule);
	u64 taken;
	unsigned int i;

	if (obj->nr || size > 16 * G1)
		return;
	obj->cap = size / granule;
	obj->r = xmalloc(obj->cap * sizeof(*obj->r));
	taken = gmem_arena_alloc(&arena, nid, size, granule, obj);
	CHECK_EQ(taken, min(size, capacity));
	CHECK_EQ(gmem_extents_bytes(obj), taken);
	CHECK_EQ(gmem_arena_node_bytes(&arena, obj, nid), taken);
	for (i = 0; i < obj->nr; i++) {
		const struct gmem_range *r = &obj->r[i];

		CHECK(covered(r->base, r->size));
		CHECK_EQ(r->base % granule, 0);
		CHECK_EQ(r->size % granule, 0);
		CHECK(!i || gmem_range_end(r - 1) != r->base);
		/* Whole blocks come first. */
		CHECK(!ragged || r->base % G1 || r->size < G1);
		ragged |= r->base % G1 || r->size % G1;
		set_free(r->base, r->size, false);
	}
	if (!obj->nr) {
		free(obj->r);
		obj->r = NULL;
	}
}

static void free_one(u64 base, u64 size, bool dirty)
{
	CHECK_EQ(gmem_arena_free(&arena, base, size, dirty), 0);
	set_free(base, size, true);
	if (dirty)
		set_dirty(base, size, true);
}

static void do_free(void)
{
	struct gmem_extents *obj = &object[random_below(OBJECTS)];
	bool dirty = random_below(4);
	unsigned int i;

	for (i = 0; i < obj->nr; i++)
		free_one(obj->r[i].base, obj->r[i].size, dirty);
	free(obj->r);
	*obj = (struct gmem_extents){};
}

/* Give some range back: nobody's, somebody's, or what is free. */
static void do_free_any(void)
{
	u64 base = random_addr(), size = random_size();
	unsigned int i, j;

	if (!covered(base, size)) {
		CHECK_EQ(gmem_arena_free(&arena, base, size, random_below(2)), -ENOENT);
		return;
	}
	if (count_free(base, size)) {
		CHECK_EQ(gmem_arena_free(&arena, base, size, random_below(2)), -EEXIST);
		return;
	}
	for (i = 0; i < OBJECTS; i++)
		for (j = 0; j < object[i].nr; j++)
			if (object[i].r[j].base < base + size &&
			    gmem_range_end(&object[i].r[j]) > base)
				return;
	free_one(base, size, random_below(2));
}

static void do_take(void)
{
	u64 base = random_addr(), size = random_size();

	if (!covered(base, size) || count_free(base, size) < size / M2) {
		CHECK_EQ(gmem_arena_take(&arena, base, size), -ENOENT);
		return;
	}
	CHECK_EQ(gmem_arena_take(&arena, base, size), 0);
	set_free(base, size, false);
}

static void do_mark(void)
{
	u64 base = random_addr(), size = random_size();
	bool dirty = random_below(2);

	(dirty ? gmem_arena_set_dirty : gmem_arena_set_clean)(&arena, base, size);
	if (covered(base, size))
		set_dirty(base, size, dirty);
}

static void do_clean(void)
{
	int nid = nids[random_below(NODES)];
	u64 max = random_size(), at;
	struct gmem_range part;

	if (!gmem_arena_find_dirty(&arena, nid, max, &part)) {
		CHECK(max < M2 || !gmem_arena_node(&arena, nid)->free_dirty);
		return;
	}
	CHECK(part.size && part.size <= max);
	CHECK(covered(part.base, part.size));
	for (at = part.base; at < gmem_range_end(&part); at += M2) {
		CHECK(is(granule_at(at), true, true));
		CHECK_EQ(nid_of(granule_at(at)), nid);
	}
	if (random_below(4)) {
		gmem_arena_set_clean(&arena, part.base, part.size);
		set_dirty(part.base, part.size, false);
	}
}

static void do_next_dirty(void)
{
	u64 base = random_addr(), size = random_size(), at;
	struct gmem_range part;

	if (!covered(base, size)) {
		CHECK(!gmem_arena_next_dirty(&arena, base, size, &part));
		return;
	}
	for (at = base; at < base + size; at += M2)
		if (model[granule_at(at)].dirty)
			break;
	CHECK_EQ(gmem_arena_next_dirty(&arena, base, size, &part), at < base + size);
	if (at == base + size)
		return;
	CHECK_EQ(part.base, at);
	/* It ends where the dirty memory, the range or the block does. */
	for (; at < base + size; at += M2)
		if (!model[granule_at(at)].dirty ||
		    (at % G1 == 0 && at != part.base))
			break;
	CHECK_EQ(gmem_range_end(&part), at);
}

static void do_ask(void)
{
	u64 addr = random_addr() + random_below(M2);
	int g = granule_at(addr);

	CHECK_EQ(gmem_arena_nid(&arena, addr), g < 0 ? NUMA_NO_NODE : nid_of(g));
}

static void start(void)
{
	unsigned int i;

	memset(model, 0, sizeof(model));
	gmem_arena_init(&arena, blocks, BLOCKS, nodes, NODES);
	for (i = 0; i < BLOCKS; i++)
		CHECK_EQ(gmem_arena_add_block(&arena, layout[i].gib * G1,
					      layout[i].nid), 0);
	for (i = 0; i < GRANULES; i++)
		model[i].dirty = true;
	check_all();
	for (i = 0; i < BLOCKS; i++)
		if (random_below(8))
			free_one(layout[i].gib * G1, G1, false);
	check_all();
}

static void random_life(void)
{
	unsigned int i;

	random_start(0xa7e4a);
	start();
	for (; where->step < random_rounds(15000); where->step++) {
		switch (random_below(12)) {
		case 0:
		case 1:
		case 2:
			do_alloc();
			break;
		case 3:
		case 4:
			do_free();
			break;
		case 5:
			do_free_any();
			break;
		case 6:
			if (!random_below(4))
				do_take();
			break;
		case 7:
			do_mark();
			break;
		case 8:
		case 9:
			do_clean();
			break;
		case 10:
			do_next_dirty();
			break;
		case 11:
			do_ask();
			break;
		}
		check_all();
	}
	for (i = 0; i < OBJECTS; i++) {
		free(object[i].r);
		object[i] = (struct gmem_extents){};
	}
}

const struct test arena_model_tests[] = {
	TEST(random_life),
	{}
};
