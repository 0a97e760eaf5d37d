// SPDX-License-Identifier: GPL-2.0
/*
 * Which memory of the pool is free, which of it is clean, and which must be kept.
 */

/**
 * DOC: arena
 *
 * The pool consists of aligned *blocks* of 1 GiB. A block has three bits for each of its
 * 512 granules of 2 MiB: "free", "kept" and "dirty". What they mean together is part of
 * the contract with the next kernel, see the DOC block of
 * include/linux/kho/abi/gmem_persist.h, because they lie in the record: the next kernel
 * goes on with them as they are. Beside them there is only what follows from them, which
 * is counted anew after each boot: how much of a block is free, and trees of the blocks.
 * All of it is there from boot on: freeing cannot fail, needs no room, and nothing is
 * allocated here.
 *
 * A kernel may be stopped anywhere and the next one find the bits half changed, so they
 * change in an order in which each step is true:
 *
 * - what the bits call free and clean is zero at all times. "Free" goes before anybody
 *   learns that he has the memory, "dirty" comes before "free" does, and goes after the
 *   memory has been cleared;
 * - a granule that is neither free nor kept is free and dirty for the next kernel, so
 *   "kept" may be missing only while nobody has anything in the granule that must live,
 *   and is never seen beside "free".
 *
 * gmem_arena_change() alone stores to the bits; every change is seen after all that its
 * caller did before it, and before all that he does after it. gmem_arena_give() alone
 * makes memory free.
 *
 * Blocks with free memory stand in trees, sorted by how much it is, so that every
 * decision is one descent: O(log blocks) for each block that a call touches. Blocks
 * in which all free memory is clean are in a tree of their own. arena_find.c answers
 * questions about all of that, place.c chooses what to take.
 *
 * These files are pure logic over integers: no page, no lock. They are compiled in user
 * space as they are by tools/testing/gmem_persist/.
 */
#include <linux/align.h>
#include <linux/bitmap.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/numa.h>
#include <linux/overflow.h>
#include <linux/rbtree.h>
#include <linux/sizes.h>
#include <asm/barrier.h>
#include <asm/rwonce.h>

#include "arena.h"

#define GRANULES	GMEM_BLOCK_GRANULES

static_assert(BITS_PER_LONG == 64);
static_assert(BITS_TO_LONGS(GRANULES) == GMEM_PERSIST_BLOCK_WORDS);

/*
 * Blocks
 */

/**
 * gmem_arena_first_block - find a block by address
 * @arena: the arena
 * @addr: the address
 *
 * Return: index of the first block that ends behind @addr; nr_blocks if there is none.
 */
unsigned int gmem_arena_first_block(const struct gmem_arena *arena, u64 addr)
{
	const u64 base = ALIGN_DOWN(addr, SZ_1G);
	unsigned int lo = 0, hi = arena->nr_blocks;
	u64 first, below, holes;

	if (!hi || base <= arena->blocks[0].ser->base)
		return 0;
	/* There are no more blocks below than GiBs, and fewer only by the holes in between. */
	first = arena->blocks[0].ser->base;
	below = (base - first) / SZ_1G;
	holes = (arena->blocks[hi - 1].ser->base - first) / SZ_1G + 1 - hi;
	lo = below > holes ? min(below - holes, hi) : 0;
	hi = min(below, hi);

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (arena->blocks[mid].ser->base >= base)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/**
 * gmem_arena_walk - begin a walk through the blocks of a range
 * @arena: the arena
 * @base: first byte, a multiple of 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 *
 * Return: the walk, with %NULL as @next if not all of the range is granules of the arena.
 */
struct gmem_walk gmem_arena_walk(const struct gmem_arena *arena, u64 base, u64 size)
{
	unsigned int first = gmem_arena_first_block(arena, base);
	struct gmem_walk w = { .base = base, .left = size };
	u64 last, more;

	if (!size || !IS_ALIGNED(base | size, SZ_2M) ||
	    check_add_overflow(base, size - 1, &last))
		return w;

	/* Bases ascend in steps of 1 GiB or more: two such tell of all between. */
	more = last / SZ_1G - base / SZ_1G;
	if (first < arena->nr_blocks && more < arena->nr_blocks - first &&
	    arena->blocks[first].ser->base == ALIGN_DOWN(base, SZ_1G) &&
	    arena->blocks[first + more].ser->base == ALIGN_DOWN(last, SZ_1G))
		w.next = &arena->blocks[first];
	return w;
}

/**
 * gmem_arena_step - go to the next block
 * @w: the walk
 *
 * Return: true if there was one, and @w tells of it.
 */
bool gmem_arena_step(struct gmem_walk *w)
{
	u64 here;

	if (!w->next || !w->left)
		return false;

	w->b = w->next++;
	here = min(w->left, w->b->ser->base + SZ_1G - w->base);
	w->at = (w->base - w->b->ser->base) / SZ_2M;
	w->nr = here / SZ_2M;
	bitmap_zero(w->mask, GRANULES);
	bitmap_set(w->mask, w->at, w->nr);
	w->base += here;
	w->left -= here;
	return true;
}

/**
 * gmem_arena_node - the memory of a NUMA node
 * @arena: the arena
 * @nid: the node
 *
 * Return: the node, or NULL if none of the memory is there.
 */
struct gmem_arena_node *gmem_arena_node(const struct gmem_arena *arena, int nid)
{
	unsigned int i;

	for (i = 0; i < arena->nr_nodes; i++)
		if (arena->nodes[i].nid == nid)
			return &arena->nodes[i];
	return NULL;
}

static bool gmem_arena_block_less(struct rb_node *x, const struct rb_node *y)
{
	const struct gmem_block *a = gmem_to_block(x), *b = gmem_to_block(y);

	if (a->nr_free != b->nr_free)
		return a->nr_free < b->nr_free;
	return a->ser->base < b->ser->base;
}

/* Every change of what is free or dirty in a block happens between hide() and show(). */
static void gmem_arena_hide(struct gmem_arena *arena, struct gmem_block *b)
{
	struct gmem_arena_node *node = gmem_arena_node(arena, b->ser->nid);

	if (!b->nr_free)
		return;
	rb_erase(&b->node, &node->by_free[!!b->nr_dirty]);
	node->free -= (u64)b->nr_free * SZ_2M;
	node->free_dirty -= (u64)b->nr_dirty * SZ_2M;
	if (b->nr_free == GRANULES) {
		node->free_1g -= SZ_1G;
		if (!b->nr_dirty)
			node->free_1g_clean -= SZ_1G;
	}
}

static void gmem_arena_show(struct gmem_arena *arena, struct gmem_block *b)
{
	struct gmem_arena_node *node = gmem_arena_node(arena, b->ser->nid);
	DECLARE_BITMAP(both, GRANULES);

	bitmap_and(both, gmem_bits(b->ser->free), gmem_bits(b->ser->dirty), GRANULES);
	b->nr_free = bitmap_weight(gmem_bits(b->ser->free), GRANULES);
	b->nr_dirty = bitmap_weight(both, GRANULES);
	if (!b->nr_free)
		return;
	rb_add(&b->node, &node->by_free[!!b->nr_dirty], gmem_arena_block_less);
	node->free += (u64)b->nr_free * SZ_2M;
	node->free_dirty += (u64)b->nr_dirty * SZ_2M;
	if (b->nr_free == GRANULES) {
		node->free_1g += SZ_1G;
		if (!b->nr_dirty)
			node->free_1g_clean += SZ_1G;
	}
}

/*
 * Set or clear the bits of a block that are in @mask. The next kernel sees the changes in
 * the order of the calls, and in order with what else is stored to the memory and to its
 * owner's entry in the record.
 */
static void gmem_arena_change(u64 *map, const unsigned long *mask, bool set)
{
	unsigned int i;

	/* After what the caller did to the memory, and after the change before this */
	smp_wmb();
	for (i = 0; i < GMEM_PERSIST_BLOCK_WORDS; i++)
		WRITE_ONCE(map[i], set ? map[i] | mask[i] : map[i] & ~mask[i]);
	/* Before what anybody does to the memory from now on */
	smp_wmb();
}

/**
 * gmem_arena_seize - take granules of a block
 * @arena: the arena
 * @b: the block
 * @mask: the granules, which are free
 */
void gmem_arena_seize(struct gmem_arena *arena, struct gmem_block *b,
		      const unsigned long *mask)
{
	gmem_arena_hide(arena, b);
	gmem_arena_change(b->ser->free, mask, false);
	gmem_arena_show(arena, b);
}

/*
 * Nobody has the granules of a block that are in @mask any more. After each step they
 * are, for the next kernel, either as before or free and as dirty as they have to be.
 */
static void gmem_arena_give(struct gmem_arena *arena, struct gmem_block *b,
			    const unsigned long *mask, bool dirty)
{
	gmem_arena_hide(arena, b);
	if (dirty)
		gmem_arena_change(b->ser->dirty, mask, true);
	gmem_arena_change(b->ser->kept, mask, false);
	gmem_arena_change(b->ser->free, mask, true);
	gmem_arena_show(arena, b);
}

/**
 * gmem_arena_init - begin with an empty arena
 * @arena: the arena
 * @blocks: array for the blocks
 * @max_blocks: how many it has room for
 * @nodes: array for the NUMA nodes
 * @max_nodes: how many it has room for
 */
void gmem_arena_init(struct gmem_arena *arena,
		     struct gmem_block *blocks, unsigned int max_blocks,
		     struct gmem_arena_node *nodes, unsigned int max_nodes)
{
	*arena = (struct gmem_arena){
		.blocks = blocks, .max_blocks = max_blocks,
		.nodes = nodes, .max_nodes = max_nodes,
	};
}

/**
 * gmem_arena_add_block - add 1 GiB to the arena
 * @arena: the arena
 * @ser: its bits, as they shall be or as an earlier kernel left them; the arena changes
 *	them from now on
 * @base: first byte, a multiple of 1 GiB and behind all other blocks
 * @nid: its NUMA node; may be %NUMA_NO_NODE
 *
 * Granules that are said to be both free and kept are taken for kept.
 *
 * Return: 0, or with nothing changed -EINVAL (@base), -ENOSPC (no room in an array).
 */
int gmem_arena_add_block(struct gmem_arena *arena, struct gmem_block_ser *ser, u64 base,
			 int nid)
{
	struct gmem_arena_node *node = gmem_arena_node(arena, nid);
	unsigned int nr = arena->nr_blocks;
	struct gmem_block *b = &arena->blocks[nr];

	if (!IS_ALIGNED(base, SZ_1G) || base > U64_MAX - SZ_1G ||
	    (nr && base <= arena->blocks[nr - 1].ser->base))
		return -EINVAL;
	if (nr == arena->max_blocks ||
	    (!node && arena->nr_nodes == arena->max_nodes))
		return -ENOSPC;

	if (!node) {
		node = &arena->nodes[arena->nr_nodes++];
		*node = (struct gmem_arena_node){
			.nid = nid, .by_free = { RB_ROOT, RB_ROOT },
		};
	}
	node->total += SZ_1G;
	arena->nr_blocks++;

	ser->base = base;
	ser->nid = nid;
	gmem_arena_change(ser->free, gmem_bits(ser->kept), false);
	*b = (struct gmem_block){ .ser = ser };
	gmem_arena_show(arena, b);
	return 0;
}

/**
 * gmem_arena_settle - nobody has what nobody is known to have
 * @arena: the arena
 *
 * What is neither free nor kept becomes free and dirty: the last kernel had it in use,
 * and nobody goes on with it. To be called before anything is taken.
 */
void gmem_arena_settle(struct gmem_arena *arena)
{
	DECLARE_BITMAP(mask, GRANULES);
	unsigned int i;

	for (i = 0; i < arena->nr_blocks; i++) {
		struct gmem_block *b = &arena->blocks[i];

		bitmap_fill(mask, GRANULES);
		bitmap_andnot(mask, mask, gmem_bits(b->ser->free), GRANULES);
		bitmap_andnot(mask, mask, gmem_bits(b->ser->kept), GRANULES);
		gmem_arena_give(arena, b, mask, true);
	}
}

/*
 * Taking and freeing
 */

/**
 * gmem_arena_take - take that very memory
 * @arena: the arena
 * @base: first byte, a multiple of 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 *
 * Return: 0, or with nothing changed -ENOENT (not all of it is free memory of the
 * arena).
 */
int gmem_arena_take(struct gmem_arena *arena, u64 base, u64 size)
{
	struct gmem_walk w = gmem_arena_walk(arena, base, size);

	if (!w.next)
		return -ENOENT;
	while (gmem_arena_step(&w))
		if (!bitmap_subset(w.mask, gmem_bits(w.b->ser->free), GRANULES))
			return -ENOENT;

	w = gmem_arena_walk(arena, base, size);
	while (gmem_arena_step(&w))
		gmem_arena_seize(arena, w.b, w.mask);
	return 0;
}

/**
 * gmem_arena_free - give memory back
 * @arena: the arena
 * @base: first byte, a multiple of 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 * @dirty: all of it may have been written; else it is as dirty as it was
 *
 * It is kept no longer. No entry of the record may say that somebody has it.
 *
 * Return: 0, or with nothing changed -ENOENT (not all of it is granules of the
 * arena), -EEXIST (some of it is free already).
 */
int gmem_arena_free(struct gmem_arena *arena, u64 base, u64 size, bool dirty)
{
	struct gmem_walk w = gmem_arena_walk(arena, base, size);

	if (!w.next)
		return -ENOENT;
	while (gmem_arena_step(&w))
		if (bitmap_intersects(w.mask, gmem_bits(w.b->ser->free), GRANULES))
			return -EEXIST;

	w = gmem_arena_walk(arena, base, size);
	while (gmem_arena_step(&w))
		gmem_arena_give(arena, w.b, w.mask, dirty);
	return 0;
}

/*
 * Dirty and kept
 */

/* Set or clear "dirty" of a range; nothing happens unless all of it is in the arena. */
static void gmem_arena_change_dirty(struct gmem_arena *arena, u64 base, u64 size, bool dirty)
{
	struct gmem_walk w = gmem_arena_walk(arena, base, size);

	while (gmem_arena_step(&w)) {
		gmem_arena_hide(arena, w.b);
		gmem_arena_change(w.b->ser->dirty, w.mask, dirty);
		gmem_arena_show(arena, w.b);
	}
}

/**
 * gmem_arena_set_clean - memory is known to be zero
 * @arena: the arena
 * @base: first byte, a multiple of 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 *
 * Whether it is free does not matter. Who cleared it by stores that need a fence of their
 * own has seen to that. Nothing happens if not all of it is in the arena.
 */
void gmem_arena_set_clean(struct gmem_arena *arena, u64 base, u64 size)
{
	gmem_arena_change_dirty(arena, base, size, false);
}

/**
 * gmem_arena_set_dirty - memory is not known to be zero any more
 * @arena: the arena
 * @base: first byte, a multiple of 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 *
 * Whether it is free does not matter. Nothing happens if not all of it is in the arena.
 */
void gmem_arena_set_dirty(struct gmem_arena *arena, u64 base, u64 size)
{
	gmem_arena_change_dirty(arena, base, size, true);
}

/**
 * gmem_arena_set_kept - whether the next kernel has to keep the contents of memory
 * @arena: the arena
 * @base: first byte, a multiple of 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 * @kept: it has to; else it finds the memory free and dirty
 *
 * What is free has no contents to keep and stays as it is. Nothing happens if not all
 * of it is in the arena.
 */
void gmem_arena_set_kept(struct gmem_arena *arena, u64 base, u64 size, bool kept)
{
	struct gmem_walk w = gmem_arena_walk(arena, base, size);

	while (gmem_arena_step(&w)) {
		bitmap_andnot(w.mask, w.mask, gmem_bits(w.b->ser->free), GRANULES);
		gmem_arena_change(w.b->ser->kept, w.mask, kept);
	}
}
