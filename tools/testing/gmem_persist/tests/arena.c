// SPDX-License-Identifier: GPL-2.0
/*
 * The arena: each function at its edges, and each rule of who gets which memory.
 */
#include <string.h>

#include <linux/errno.h>
#include <linux/types.h>

#include <linux/numa.h>

#include "arena.h"
#include "stores.h"
#include "test.h"

#define BLOCKS	12
#define NODES	2
#define G1	((u64)SZ_1G)
#define M2	((u64)SZ_2M)

static struct gmem_block_ser sers[BLOCKS];
static struct gmem_block blocks[BLOCKS];
static struct gmem_arena_node nodes[NODES];
static struct gmem_arena arena;

static struct gmem_range ranges[600];
static struct gmem_ranges out = { .r = ranges, .cap = ARRAY_SIZE(ranges) };

/* Add a block that is free and dirty, or nobody's. */
static int add(u64 base, int nid, bool free)
{
	struct gmem_block_ser *ser = &sers[arena.nr_blocks % BLOCKS];

	memset(ser, 0, sizeof(*ser));
	memset(ser->free, free ? 0xff : 0, sizeof(ser->free));
	memset(ser->dirty, 0xff, sizeof(ser->dirty));
	return gmem_arena_add_block(&arena, ser, base, nid);
}

/* @nr blocks on node 0 that begin at 4 GiB; all of it free and dirty */
static void start(unsigned int nr)
{
	unsigned int i;

	out.nr = 0;
	gmem_arena_init(&arena, blocks, BLOCKS, nodes, NODES);
	for (i = 0; i < nr; i++)
		CHECK_EQ(add((4 + i) * G1, 0, true), 0);
}

/* Leave so many granules of a block free, at its end. */
static void leave(unsigned int gib, unsigned int nr)
{
	CHECK_EQ(gmem_arena_take(&arena, gib * G1, G1 - nr * M2), 0);
}

static u64 alloc(u64 size, u64 granule)
{
	out.nr = 0;
	return gmem_arena_alloc(&arena, 0, size, granule, &out);
}

static void check_range(unsigned int i, u64 base, u64 size)
{
	CHECK(i < out.nr);
	CHECK_EQ(out.r[i].base, base);
	CHECK_EQ(out.r[i].size, size);
}

static void check_node(u64 free, u64 dirty, u64 free_1g, u64 clean_1g)
{
	const struct gmem_arena_node *node = gmem_arena_node(&arena, 0);

	CHECK_EQ(node->free, free);
	CHECK_EQ(node->free_dirty, dirty);
	CHECK_EQ(node->free_1g, free_1g);
	CHECK_EQ(node->free_1g_clean, clean_1g);
}

static void empty(void)
{
	struct gmem_range part;

	start(0);
	CHECK(!gmem_arena_node(&arena, 0));
	CHECK_EQ(gmem_arena_nid(&arena, 4 * G1), NUMA_NO_NODE);
	CHECK_EQ(gmem_arena_capacity(&arena, 0, SZ_2M), 0);
	CHECK_EQ(alloc(M2, M2), 0);
	CHECK_EQ(gmem_arena_take(&arena, 0, M2), -ENOENT);
	CHECK_EQ(gmem_arena_free(&arena, 0, M2, true), -ENOENT);
	CHECK(!gmem_arena_next_dirty(&arena, 0, M2, &part));
	CHECK(!gmem_arena_next_free(&arena, 0, true, &part));
	CHECK(!gmem_arena_find_dirty(&arena, 0, G1, &part));
	CHECK(!gmem_arena_next_kept(&arena, NULL, 0, &part));
	CHECK(!gmem_arena_is_kept(&arena, 0, M2));
	CHECK(!gmem_arena_mark(&arena, NULL, 0, M2));
	CHECK(!gmem_arena_marked(&arena, NULL, 0, M2));
	gmem_arena_set_clean(&arena, 0, M2);
	gmem_arena_set_dirty(&arena, 0, M2);
	gmem_arena_set_kept(&arena, 0, M2, true);
	gmem_arena_settle(&arena);
}

static void add_block(void)
{
	struct gmem_block_ser none = { .base = 5, .nid = 5, .free = { 1 }, .kept = { 1 } };
	struct gmem_block_ser same = none;
	unsigned int i;

	start(0);
	CHECK_EQ(gmem_arena_add_block(&arena, &none, 4 * G1 + M2, 0), -EINVAL);
	CHECK_EQ(gmem_arena_add_block(&arena, &none, -G1, 0), -EINVAL);
	CHECK_EQ(arena.nr_nodes, 0);
	CHECK_EQ(add(4 * G1, 0, false), 0);
	CHECK_EQ(gmem_arena_add_block(&arena, &none, 4 * G1, 0), -EINVAL);
	CHECK_EQ(gmem_arena_add_block(&arena, &none, 3 * G1, 0), -EINVAL);
	CHECK_EQ(add(8 * G1, 7, false), 0);
	CHECK_EQ(gmem_arena_add_block(&arena, &none, 9 * G1, 8), -ENOSPC);
	for (i = 2; i < BLOCKS; i++)
		CHECK_EQ(add((8 + i) * G1, 7, false), 0);
	CHECK_EQ(gmem_arena_add_block(&arena, &none, 100 * G1, 7), -ENOSPC);
	/* What is not added is not changed. */
	CHECK(!memcmp(&none, &same, sizeof(none)));

	CHECK_EQ(arena.nr_blocks, BLOCKS);
	CHECK_EQ(arena.nr_nodes, 2);
	CHECK_EQ(gmem_arena_node(&arena, 0)->total, G1);
	CHECK_EQ(gmem_arena_node(&arena, 7)->total, (BLOCKS - 1) * G1);
	check_node(0, 0, 0, 0);
}

/* The last block that an address can have */
static void add_last(void)
{
	start(0);
	CHECK_EQ(add(-2 * G1, 0, true), 0);
	CHECK_EQ(add(-G1, 0, true), -EINVAL);
	CHECK_EQ(gmem_arena_nid(&arena, -G1 - 1), 0);
	CHECK_EQ(gmem_arena_take(&arena, -2 * G1, G1), 0);
	CHECK_EQ(gmem_arena_take(&arena, -2 * G1, 2 * G1), -ENOENT);
}

/* The bits count as they are; where "free" and "kept" are both set, "kept" does. */
static void add_block_as_it_is(void)
{
	static struct gmem_block_ser ser;
	struct gmem_range part;

	start(0);
	ser = (struct gmem_block_ser){
		.base = 77, .nid = 77,
		.free = { 0xff0f, 0, 0, 0, 0, 0, 0, 1ULL << 63 },
		.kept = { 0x00f1, 0, 0, 0, 0, 0, 0, 1 },
		.dirty = { 0xf0ff },
	};
	CHECK_EQ(gmem_arena_add_block(&arena, &ser, 4 * G1, NUMA_NO_NODE), 0);
	CHECK_EQ(ser.base, 4 * G1);
	CHECK_EQ(ser.nid, ~0U);
	CHECK_EQ(ser.free[0], 0xff0e);
	CHECK_EQ(ser.free[7], 1ULL << 63);
	CHECK_EQ(ser.kept[0], 0x00f1);
	CHECK_EQ(ser.dirty[0], 0xf0ff);
	CHECK_EQ(gmem_arena_nid(&arena, 4 * G1), NUMA_NO_NODE);
	CHECK_EQ(gmem_arena_capacity(&arena, NUMA_NO_NODE, SZ_2M), 12 * M2);
	CHECK_EQ(gmem_arena_node(&arena, NUMA_NO_NODE)->free_dirty, 7 * M2);
	CHECK(gmem_arena_find_dirty(&arena, NUMA_NO_NODE, G1, &part));
	CHECK_EQ(part.base, 4 * G1 + M2);
	CHECK_EQ(part.size, 3 * M2);
	CHECK_EQ(gmem_arena_take(&arena, 4 * G1, M2), -ENOENT);
}

static void where_it_is(void)
{
	start(2);
	CHECK_EQ(add(7 * G1, 5, false), 0);
	CHECK_EQ(gmem_arena_nid(&arena, 4 * G1 - 1), NUMA_NO_NODE);
	CHECK_EQ(gmem_arena_nid(&arena, 4 * G1), 0);
	CHECK_EQ(gmem_arena_nid(&arena, 6 * G1 - 1), 0);
	CHECK_EQ(gmem_arena_nid(&arena, 6 * G1), NUMA_NO_NODE);
	CHECK_EQ(gmem_arena_nid(&arena, 8 * G1 - 1), 5);
	CHECK_EQ(gmem_arena_nid(&arena, 8 * G1), NUMA_NO_NODE);
	CHECK_EQ(gmem_arena_nid(&arena, ~0ULL), NUMA_NO_NODE);
	CHECK_EQ(gmem_arena_capacity(&arena, 0, SZ_2M), 2 * G1);
	CHECK_EQ(gmem_arena_capacity(&arena, 0, SZ_1G), 2 * G1);
	CHECK_EQ(gmem_arena_capacity(&arena, 5, SZ_1G), 0);
	CHECK_EQ(gmem_arena_capacity(&arena, 1, SZ_1G), 0);

	gmem_ranges_append(&out, 7 * G1 + M2, M2);
	gmem_ranges_append(&out, 5 * G1 - M2, 2 * M2);
	gmem_ranges_append(&out, 7 * G1 + 3 * M2, 2 * M2);
	CHECK_EQ(gmem_arena_node_bytes(&arena, &out, 0), 2 * M2);
	CHECK_EQ(gmem_arena_node_bytes(&arena, &out, 5), 3 * M2);
	CHECK_EQ(gmem_arena_node_bytes(&arena, &out, 1), 0);
}

static void alloc_malformed(void)
{
	start(2);
	CHECK_EQ(alloc(0, SZ_2M), 0);
	CHECK_EQ(alloc(G1, SZ_4K), 0);
	CHECK_EQ(alloc(SZ_4K, SZ_2M), 0);
	CHECK_EQ(alloc(G1 + M2, SZ_1G), 0);
	CHECK_EQ(gmem_arena_alloc(&arena, 1, G1, SZ_1G, &out), 0);
	CHECK_EQ(out.nr, 0);
	check_node(2 * G1, 2 * G1, 2 * G1, 0);
}

static void alloc_whole(void)
{
	start(6);
	leave(6, 511);
	CHECK_EQ(alloc(3 * G1, SZ_1G), 3 * G1);
	CHECK_EQ(out.nr, 2);
	check_range(0, 4 * G1, 2 * G1);
	check_range(1, 7 * G1, G1);
	CHECK_EQ(alloc(3 * G1, SZ_1G), 2 * G1);
	check_range(0, 8 * G1, 2 * G1);
	CHECK_EQ(alloc(G1, SZ_1G), 0);
	check_node(511 * M2, 511 * M2, 0, 0);
}

/* Clean blocks first; but in the order of their addresses, whatever they are. */
static void alloc_whole_clean(void)
{
	start(8);
	gmem_arena_set_clean(&arena, 5 * G1, G1);
	gmem_arena_set_clean(&arena, 7 * G1, 2 * G1);
	gmem_arena_set_clean(&arena, 10 * G1, G1 - M2);
	check_node(8 * G1, 4 * G1 + M2, 8 * G1, 3 * G1);
	CHECK_EQ(alloc(2 * G1, SZ_1G), 2 * G1);
	CHECK_EQ(out.nr, 2);
	check_range(0, 5 * G1, G1);
	check_range(1, 7 * G1, G1);
	CHECK_EQ(alloc(4 * G1, SZ_1G), 4 * G1);
	CHECK_EQ(out.nr, 3);
	check_range(0, 4 * G1, G1);
	check_range(1, 6 * G1, G1);
	check_range(2, 8 * G1, 2 * G1);
	check_node(2 * G1, G1 + M2, 2 * G1, 0);
}

/* The whole GiB of it come from whole blocks, and first. */
static void alloc_whole_first(void)
{
	start(4);
	leave(4, 300);
	CHECK_EQ(alloc(2 * G1 + 299 * M2, SZ_2M), 2 * G1 + 299 * M2);
	CHECK_EQ(out.nr, 2);
	check_range(0, 5 * G1, 2 * G1);
	check_range(1, 5 * G1 - 300 * M2, 299 * M2);
	/* What there are no whole blocks for comes from others. */
	leave(7, 300);
	CHECK_EQ(alloc(G1, SZ_2M), 301 * M2);
	CHECK_EQ(out.nr, 2);
	check_range(0, 8 * G1 - 300 * M2, 300 * M2);
	check_range(1, 5 * G1 - M2, M2);
}

/* The rest: where it fits best */
static void alloc_fit(void)
{
	start(6);
	leave(4, 100);
	leave(5, 30);
	leave(6, 40);
	leave(7, 29);
	CHECK_EQ(alloc(30 * M2, SZ_2M), 30 * M2);
	check_range(0, 6 * G1 - 30 * M2, 30 * M2);
	CHECK_EQ(alloc(30 * M2, SZ_2M), 30 * M2);
	check_range(0, 7 * G1 - 40 * M2, 30 * M2);
	CHECK_EQ(alloc(30 * M2, SZ_2M), 30 * M2);
	check_range(0, 5 * G1 - 100 * M2, 30 * M2);
	check_node(2 * G1 + 109 * M2, 2 * G1 + 109 * M2, 2 * G1, 0);
}

/* Of two that fit as well, the clean one; a better fit is better, though dirty */
static void alloc_fit_clean(void)
{
	start(5);
	leave(4, 50);
	leave(5, 50);
	leave(6, 40);
	gmem_arena_set_clean(&arena, 6 * G1 - 50 * M2, 50 * M2);
	CHECK_EQ(alloc(50 * M2, SZ_2M), 50 * M2);
	check_range(0, 6 * G1 - 50 * M2, 50 * M2);
	gmem_arena_set_clean(&arena, 5 * G1 - 50 * M2, 50 * M2);
	CHECK_EQ(alloc(39 * M2, SZ_2M), 39 * M2);
	check_range(0, 7 * G1 - 40 * M2, 39 * M2);
	/* Of two that could be broken, the clean one */
	gmem_arena_set_clean(&arena, 8 * G1, G1);
	CHECK_EQ(alloc(51 * M2, SZ_2M), 51 * M2);
	CHECK_EQ(alloc(M2, SZ_2M), M2);
	check_range(0, 8 * G1, M2);
}

/* What fits nowhere is spread over blocks in use, emptiest first ... */
static void alloc_spread(void)
{
	start(5);
	leave(4, 20);
	leave(5, 30);
	leave(6, 30);
	leave(7, 10);
	gmem_arena_set_clean(&arena, 6 * G1 - 30 * M2, 30 * M2);
	CHECK_EQ(alloc(65 * M2, SZ_2M), 65 * M2);
	CHECK_EQ(out.nr, 3);
	check_range(0, 6 * G1 - 30 * M2, 30 * M2);
	check_range(1, 7 * G1 - 30 * M2, 30 * M2);
	check_range(2, 8 * G1 - 10 * M2, 5 * M2);
	/* ... and only what is left then breaks a whole one. */
	CHECK_EQ(alloc(30 * M2, SZ_2M), 30 * M2);
	CHECK_EQ(out.nr, 2);
	check_range(0, 5 * G1 - 20 * M2, 20 * M2);
	check_range(1, 8 * G1 - 5 * M2, 10 * M2);
	check_node(507 * M2, 507 * M2, 0, 0);
}

/* Inside of a block: the smallest run that holds it all, else from its low end on */
static void alloc_run(void)
{
	const u64 g4 = 4 * G1;

	start(1);
	CHECK_EQ(gmem_arena_take(&arena, g4, G1), 0);
	CHECK_EQ(gmem_arena_free(&arena, g4, 10 * M2, true), 0);
	CHECK_EQ(gmem_arena_free(&arena, g4 + 20 * M2, 6 * M2, true), 0);
	CHECK_EQ(gmem_arena_free(&arena, g4 + 30 * M2, 5 * M2, true), 0);
	CHECK_EQ(gmem_arena_free(&arena, g4 + 511 * M2, M2, true), 0);
	CHECK_EQ(alloc(5 * M2, SZ_2M), 5 * M2);
	check_range(0, g4 + 30 * M2, 5 * M2);
	CHECK_EQ(alloc(5 * M2, SZ_2M), 5 * M2);
	check_range(0, g4 + 20 * M2, 5 * M2);
	CHECK_EQ(alloc(11 * M2, SZ_2M), 11 * M2);
	CHECK_EQ(out.nr, 2);
	check_range(0, g4, 10 * M2);
	check_range(1, g4 + 25 * M2, M2);
	CHECK_EQ(alloc(5 * M2, SZ_2M), M2);
	check_range(0, g4 + 511 * M2, M2);

	/* Of two that are as small, the first */
	CHECK_EQ(gmem_arena_free(&arena, g4 + M2, 4 * M2, true), 0);
	CHECK_EQ(gmem_arena_free(&arena, g4 + 40 * M2, 3 * M2, true), 0);
	CHECK_EQ(gmem_arena_free(&arena, g4 + 50 * M2, 3 * M2, true), 0);
	CHECK_EQ(alloc(2 * M2, SZ_2M), 2 * M2);
	check_range(0, g4 + 40 * M2, 2 * M2);
}

/* What the caller's list has no room for stays where it is. */
static void alloc_no_room(void)
{
	struct gmem_ranges small = { .r = ranges, .cap = 1 };

	start(5);
	leave(5, 8);
	leave(6, 0);
	CHECK_EQ(gmem_arena_alloc(&arena, 0, 3 * G1, SZ_1G, &small), G1);
	check_node(2 * G1 + 8 * M2, 2 * G1 + 8 * M2, 2 * G1, 0);
	CHECK_EQ(gmem_arena_alloc(&arena, 0, G1, SZ_1G, &small), 0);
	CHECK_EQ(gmem_arena_alloc(&arena, 0, M2, SZ_2M, &small), 0);
	small.nr = 0;
	CHECK_EQ(gmem_arena_alloc(&arena, 0, 9 * M2, SZ_2M, &small), 8 * M2);
	check_node(2 * G1, 2 * G1, 2 * G1, 0);
}

static void take_and_free(void)
{
	start(3);
	CHECK_EQ(add(8 * G1, 0, true), 0);

	/* not whole granules, nothing, around the edges, over a gap, over the top */
	CHECK_EQ(gmem_arena_take(&arena, 4 * G1, SZ_4K), -ENOENT);
	CHECK_EQ(gmem_arena_take(&arena, 4 * G1 + SZ_4K, M2), -ENOENT);
	CHECK_EQ(gmem_arena_take(&arena, 4 * G1, 0), -ENOENT);
	CHECK_EQ(gmem_arena_take(&arena, 4 * G1 - M2, 2 * M2), -ENOENT);
	CHECK_EQ(gmem_arena_take(&arena, 7 * G1 - M2, 2 * M2), -ENOENT);
	CHECK_EQ(gmem_arena_take(&arena, 6 * G1, 3 * G1), -ENOENT);
	CHECK_EQ(gmem_arena_take(&arena, 9 * G1 - M2, 2 * M2), -ENOENT);
	CHECK_EQ(gmem_arena_take(&arena, 4 * G1, -4 * G1), -ENOENT);
	CHECK_EQ(gmem_arena_take(&arena, 4 * G1, -M2), -ENOENT);
	CHECK_EQ(gmem_arena_free(&arena, 6 * G1, 3 * G1, true), -ENOENT);
	CHECK_EQ(gmem_arena_free(&arena, 0, M2, true), -ENOENT);

	CHECK_EQ(gmem_arena_take(&arena, 5 * G1 - M2, G1 + 2 * M2), 0);
	check_node(3 * G1 - 2 * M2, 3 * G1 - 2 * M2, G1, 0);
	CHECK_EQ(gmem_arena_take(&arena, 5 * G1 - 2 * M2, 2 * M2), -ENOENT);
	CHECK_EQ(gmem_arena_take(&arena, 6 * G1, 2 * M2), -ENOENT);

	CHECK_EQ(gmem_arena_free(&arena, 5 * G1 - 2 * M2, 2 * M2, true), -EEXIST);
	CHECK_EQ(gmem_arena_free(&arena, 6 * G1, 2 * M2, true), -EEXIST);
	check_node(3 * G1 - 2 * M2, 3 * G1 - 2 * M2, G1, 0);
	CHECK_EQ(gmem_arena_free(&arena, 5 * G1 - M2, G1 + 2 * M2, true), 0);
	check_node(4 * G1, 4 * G1, 4 * G1, 0);
}

/* What is freed is as dirty as it was, or all dirty. */
static void free_dirty(void)
{
	start(1);
	CHECK_EQ(gmem_arena_take(&arena, 4 * G1, 8 * M2), 0);
	gmem_arena_set_clean(&arena, 4 * G1, 6 * M2);
	gmem_arena_set_dirty(&arena, 4 * G1 + M2, M2);
	CHECK_EQ(gmem_arena_free(&arena, 4 * G1, 4 * M2, false), 0);
	CHECK_EQ(gmem_arena_free(&arena, 4 * G1 + 4 * M2, 4 * M2, true), 0);
	check_node(G1, G1 - 3 * M2, G1, 0);
	gmem_arena_set_clean(&arena, 4 * G1, G1);
	check_node(G1, 0, G1, G1);
	gmem_arena_set_dirty(&arena, 5 * G1 - M2, M2);
	check_node(G1, M2, G1, 0);
	/* Not all of it is in the arena: nothing happens. */
	gmem_arena_set_clean(&arena, 5 * G1 - M2, 2 * M2);
	check_node(G1, M2, G1, 0);
}

static void check_next_dirty(u64 base, u64 size, u64 part_base, u64 part_size)
{
	struct gmem_range part;

	CHECK(gmem_arena_next_dirty(&arena, base, size, &part));
	CHECK_EQ(part.base, part_base);
	CHECK_EQ(part.size, part_size);
}

static void next_dirty(void)
{
	struct gmem_range part;

	start(3);
	leave(5, 100);
	gmem_arena_set_clean(&arena, 4 * G1, 2 * G1 - 3 * M2);
	CHECK(!gmem_arena_next_dirty(&arena, 4 * G1, 2 * G1 - 3 * M2, &part));
	check_next_dirty(4 * G1, 3 * G1, 6 * G1 - 3 * M2, 3 * M2);
	check_next_dirty(4 * G1, 2 * G1 - M2, 6 * G1 - 3 * M2, 2 * M2);
	check_next_dirty(6 * G1 - M2, 2 * M2, 6 * G1 - M2, M2);
	check_next_dirty(6 * G1, G1, 6 * G1, G1);
	CHECK(!gmem_arena_next_dirty(&arena, 6 * G1, 2 * G1, &part));
}

static void check_next_free(u64 from, bool dirty, u64 base, u64 size)
{
	struct gmem_range part;

	CHECK(gmem_arena_next_free(&arena, from, dirty, &part));
	CHECK_EQ(part.base, base);
	CHECK_EQ(part.size, size);
}

static void next_free(void)
{
	struct gmem_range part;

	start(4);
	CHECK_EQ(add(9 * G1, 0, true), 0);
	check_next_free(0, true, 4 * G1, 4 * G1);
	check_next_free(4 * G1 + 1, true, 4 * G1 + M2, 4 * G1 - M2);
	check_next_free(8 * G1, true, 9 * G1, G1);
	CHECK(!gmem_arena_next_free(&arena, 0, false, &part));
	CHECK(!gmem_arena_next_free(&arena, 10 * G1, true, &part));
	CHECK(!gmem_arena_next_free(&arena, 10 * G1 - M2 + 1, true, &part));

	/* A run ends at the first granule of another block, or inside of one. */
	gmem_arena_set_clean(&arena, 5 * G1, G1 + M2);
	check_next_free(0, true, 4 * G1, G1);
	check_next_free(0, false, 5 * G1, G1 + M2);
	check_next_free(5 * G1, true, 6 * G1 + M2, 2 * G1 - M2);
	CHECK_EQ(gmem_arena_take(&arena, 5 * G1, G1), 0);
	check_next_free(0, false, 6 * G1, M2);
	CHECK_EQ(gmem_arena_take(&arena, 7 * G1, G1), 0);
	check_next_free(6 * G1 + 2 * M2, true, 6 * G1 + 2 * M2, G1 - 2 * M2);
}

static void check_find_dirty(u64 max, u64 base, u64 size)
{
	struct gmem_range part;

	CHECK(gmem_arena_find_dirty(&arena, 0, max, &part));
	CHECK_EQ(part.base, base);
	CHECK_EQ(part.size, size);
}

static void find_dirty(void)
{
	struct gmem_range part;

	start(4);
	leave(7, 9);
	gmem_arena_set_clean(&arena, 4 * G1, 2 * G1 - 3 * M2);
	CHECK(!gmem_arena_find_dirty(&arena, 1, G1, &part));
	CHECK(!gmem_arena_find_dirty(&arena, 0, M2 - 1, &part));
	/* The block with most free memory; of such, the last */
	check_find_dirty(G1, 6 * G1, G1);
	check_find_dirty(2 * M2, 6 * G1, 2 * M2);
	gmem_arena_set_clean(&arena, 6 * G1, G1);
	check_find_dirty(2 * M2 + SZ_4K, 6 * G1 - 3 * M2, 2 * M2);
	gmem_arena_set_clean(&arena, 6 * G1 - 3 * M2, 2 * M2);
	check_find_dirty(G1, 6 * G1 - M2, M2);
	/* Memory that is not free is somebody else's to clean. */
	CHECK_EQ(gmem_arena_take(&arena, 6 * G1 - M2, M2), 0);
	check_find_dirty(G1, 8 * G1 - 9 * M2, 9 * M2);
	gmem_arena_set_clean(&arena, 7 * G1, G1);
	CHECK(!gmem_arena_find_dirty(&arena, 0, G1, &part));
	check_node(3 * G1 + 8 * M2, 0, 2 * G1, 2 * G1);
}

static void check_next_kept(const unsigned long *owned, u64 from, u64 base, u64 size)
{
	struct gmem_range part;

	CHECK(gmem_arena_next_kept(&arena, owned, from, &part));
	CHECK_EQ(part.base, base);
	CHECK_EQ(part.size, size);
}

static void kept(void)
{
	struct gmem_range part;

	start(3);
	/* What is free is not kept. */
	gmem_arena_set_kept(&arena, 4 * G1, 3 * G1, true);
	CHECK(!gmem_arena_next_kept(&arena, NULL, 0, &part));
	CHECK(!gmem_arena_is_kept(&arena, 4 * G1, M2));

	CHECK_EQ(gmem_arena_take(&arena, 5 * G1 - M2, 3 * M2), 0);
	CHECK(!gmem_arena_is_kept(&arena, 5 * G1, M2));
	gmem_arena_set_kept(&arena, 5 * G1 - 2 * M2, 6 * M2, true);
	CHECK(gmem_arena_is_kept(&arena, 5 * G1 - M2, 3 * M2));
	CHECK(!gmem_arena_is_kept(&arena, 5 * G1 - 2 * M2, 4 * M2));
	CHECK(!gmem_arena_is_kept(&arena, 5 * G1 - M2, 4 * M2));
	CHECK(!gmem_arena_is_kept(&arena, 5 * G1 - M2, 0));
	CHECK(!gmem_arena_is_kept(&arena, 5 * G1 - M2, SZ_4K));
	check_next_kept(NULL, 0, 5 * G1 - M2, 3 * M2);

	/* Around the edges: nothing happens. */
	gmem_arena_set_kept(&arena, 5 * G1, 3 * G1, false);
	CHECK(gmem_arena_is_kept(&arena, 5 * G1 - M2, 3 * M2));
	gmem_arena_set_kept(&arena, 5 * G1, M2, false);
	check_next_kept(NULL, 0, 5 * G1 - M2, M2);
	check_next_kept(NULL, 5 * G1 - M2 + 1, 5 * G1 + M2, M2);

	/* What is freed is kept no longer. */
	CHECK_EQ(gmem_arena_free(&arena, 5 * G1 - M2, 3 * M2, false), 0);
	CHECK_EQ(sers[0].kept[7] | sers[1].kept[0], 0);
	check_node(3 * G1, 3 * G1, 3 * G1, 0);
}

static void owned(void)
{
	static unsigned long map[BLOCKS * GMEM_BLOCK_GRANULES / 64];
	struct gmem_range part;

	start(2);
	CHECK_EQ(add(8 * G1, 0, true), 0);
	CHECK_EQ(gmem_arena_take(&arena, 4 * G1, 2 * G1), 0);
	CHECK_EQ(gmem_arena_take(&arena, 8 * G1, G1), 0);
	gmem_arena_set_kept(&arena, 4 * G1, 2 * G1, true);
	gmem_arena_set_kept(&arena, 8 * G1, G1, true);

	CHECK(!gmem_arena_marked(&arena, map, 4 * G1, 2 * G1));
	CHECK(!gmem_arena_mark(&arena, map, 5 * G1 - M2, 2 * M2));
	CHECK_EQ(map[7], 1UL << 63);
	CHECK_EQ(map[8], 1);
	CHECK(gmem_arena_marked(&arena, map, 4 * G1, 2 * G1));
	CHECK(gmem_arena_marked(&arena, map, 5 * G1 - M2, M2));
	CHECK(gmem_arena_marked(&arena, map, 5 * G1, M2));
	CHECK(!gmem_arena_marked(&arena, map, 4 * G1, G1 - M2));
	CHECK(!gmem_arena_marked(&arena, map, 5 * G1 + M2, G1 - M2));
	/* All of it is marked, whatever was before. */
	CHECK(gmem_arena_mark(&arena, map, 5 * G1 - 2 * M2, 4 * M2));
	CHECK_EQ(map[7], 3UL << 62);
	CHECK_EQ(map[8], 3);
	/* The third block follows the second. */
	CHECK(!gmem_arena_mark(&arena, map, 8 * G1, M2));
	CHECK_EQ(map[16], 1);
	/* Not in the arena */
	CHECK(!gmem_arena_mark(&arena, map, 6 * G1 - M2, 2 * M2));
	CHECK(!gmem_arena_marked(&arena, map, 5 * G1, 3 * G1));
	CHECK_EQ(map[15], 0);

	check_next_kept(map, 0, 4 * G1, G1 - 2 * M2);
	check_next_kept(map, 5 * G1 - 2 * M2, 5 * G1 + 2 * M2, G1 - 2 * M2);
	check_next_kept(map, 6 * G1, 8 * G1 + M2, G1 - M2);
	check_next_kept(NULL, 0, 4 * G1, 2 * G1);
	CHECK(!gmem_arena_next_kept(&arena, map, 9 * G1, &part));
}

static void settle(void)
{
	start(3);
	gmem_arena_set_clean(&arena, 4 * G1, 3 * G1);
	/* in use and known to be zero; in use; kept */
	CHECK_EQ(gmem_arena_take(&arena, 5 * G1 - 2 * M2, 4 * M2), 0);
	gmem_arena_set_dirty(&arena, 5 * G1 - M2, M2);
	gmem_arena_set_kept(&arena, 5 * G1 + M2, M2, true);
	check_node(3 * G1 - 4 * M2, 0, G1, G1);
	gmem_arena_settle(&arena);
	check_node(3 * G1 - M2, 3 * M2, 2 * G1, G1);
	CHECK(gmem_arena_is_kept(&arena, 5 * G1 + M2, M2));
	check_next_free(0, true, 5 * G1 - 2 * M2, 3 * M2);
	gmem_arena_settle(&arena);
	check_node(3 * G1 - M2, 3 * M2, 2 * G1, G1);
}

/*
 * The order of stores, as text: f, k and d for stores to a map of free, kept and dirty
 * granules, | for a barrier
 */
static char seen[64];

static void saw(char event)
{
	size_t len = strlen(seen);

	/* Of many stores to one map, one counts. */
	if (event != '|' && len && seen[len - 1] == event)
		return;
	CHECK(len + 1 < sizeof(seen));
	seen[len] = event;
}

static void saw_store(const void *at)
{
	size_t offset = (char *)at - (char *)sers;

	CHECK(offset < sizeof(sers));
	offset %= sizeof(sers[0]);
	if (offset >= offsetof(struct gmem_block_ser, dirty))
		saw('d');
	else if (offset >= offsetof(struct gmem_block_ser, kept))
		saw('k');
	else
		saw('f');
}

static void saw_barrier(void)
{
	saw('|');
}

static void check_order(const char *order)
{
	CHECK_TEXT(seen, order);
	memset(seen, 0, sizeof(seen));
}

static void order(void)
{
	const u64 g4 = 4 * G1;

	on_store = saw_store;
	on_barrier = saw_barrier;
	start(1);
	check_order("|f|");
	CHECK_EQ(alloc(M2, SZ_2M), M2);
	check_order("|f|");
	CHECK_EQ(gmem_arena_take(&arena, g4 + M2, M2), 0);
	check_order("|f|");
	gmem_arena_set_clean(&arena, g4, M2);
	check_order("|d|");
	gmem_arena_set_dirty(&arena, g4, M2);
	check_order("|d|");
	gmem_arena_set_kept(&arena, g4, M2, true);
	check_order("|k|");
	gmem_arena_set_kept(&arena, g4, M2, false);
	check_order("|k|");
	CHECK_EQ(gmem_arena_free(&arena, g4, M2, true), 0);
	check_order("|d||k||f|");
	CHECK_EQ(gmem_arena_free(&arena, g4 + M2, M2, false), 0);
	check_order("|k||f|");
	CHECK_EQ(alloc(G1, SZ_1G), G1);
	check_order("|f|");
	gmem_arena_settle(&arena);
	check_order("|d||k||f|");
	on_store = NULL;
	on_barrier = NULL;
}

const struct test arena_tests[] = {
	TEST(empty),
	TEST(add_block),
	TEST(add_last),
	TEST(add_block_as_it_is),
	TEST(where_it_is),
	TEST(alloc_malformed),
	TEST(alloc_whole),
	TEST(alloc_whole_clean),
	TEST(alloc_whole_first),
	TEST(alloc_fit),
	TEST(alloc_fit_clean),
	TEST(alloc_spread),
	TEST(alloc_run),
	TEST(alloc_no_room),
	TEST(take_and_free),
	TEST(free_dirty),
	TEST(next_dirty),
	TEST(next_free),
	TEST(find_dirty),
	TEST(kept),
	TEST(owned),
	TEST(settle),
	TEST(order),
	{}
};
