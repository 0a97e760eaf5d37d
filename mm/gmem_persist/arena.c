// SPDX-License-Identifier: GPL-2.0
/*
 * Which memory of the pool is free, which of it is clean, and who gets which.
 */

/**
 * DOC: arena
 *
 * The pool consists of aligned *blocks* of 1 GiB. A block has a bit for each of
 * its 512 granules of 2 MiB that says whether it is free, and one that says whether
 * it is dirty. All of that, 168 bytes per GiB, is there from boot on: freeing
 * cannot fail, needs no room, and nothing is allocated here.
 *
 * Blocks with free memory stand in trees, sorted by how much it is, so that every
 * decision is one descent: O(log blocks) for each block that a call touches. Blocks
 * in which all free memory is clean are in a tree of their own.
 *
 * Nothing moves an object, so the choice of memory decides how much will be left in
 * granules of 1 GiB. Of a node's memory
 *
 * - 1 GiB granules get whole blocks, and so do the whole GiB of an object with
 *   2 MiB granules, as long as there are such blocks;
 * - the rest of that object gets the block in use with the least free memory that
 *   holds all of it; if none does, it is spread over those with most free memory;
 * - only when that is not enough, another whole block is broken.
 *
 * Of blocks that are as good, a clean one is taken, then the one with the lowest
 * address. "make frag" tells how good that is: lives of half a year on a pool of
 * 1 TiB, 60 to 95 % of it in use. It counts the blocks that are free as a whole, out
 * of those that the free memory would make in one piece: the mean, the worst hour,
 * and how many ranges an object with 2 MiB granules has on average::
 *
 *	                            many sizes          micro VMs
 *	this policy                 0.975  0.864  3.1   0.777  0.000  1.6
 *	by address                  0.831  0.218  5.1   0.542  0.000  4.3
 *	2 MiB from the other end    0.824  0.162  8.4   0.532  0.000  4.7
 *	all in blocks in use first  0.884  0.333  5.9   0.681  0.000  2.2
 *	rest not spread             0.959  0.769  2.9   0.719  0.000  1.4
 *	rest spread, fullest first  0.975  0.852  3.1   0.766  0.039  1.8
 *	rest in the oldest block    0.974  0.852  3.2   0.797  0.018  1.9
 *
 * VMs that all have whole GiB leave 1.000 under any of them. The last one would need
 * another tree for what it gains where hundreds of micro VMs share the pool; what
 * helps those hosts is a size for each that divides 1 GiB.
 *
 * This file is pure logic over integers: no page, no lock. The same file is compiled
 * in user space by tools/testing/gmem_persist/.
 */
#include <linux/align.h>
#include <linux/bitmap.h>
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/numa.h>
#include <linux/overflow.h>
#include <linux/rbtree.h>
#include <linux/sizes.h>

#include "arena.h"

#define GRANULES	GMEM_BLOCK_GRANULES

#define to_block(n)	rb_entry_safe(n, struct gmem_block, node)

/*
 * Blocks
 */

/* Index of the first block that ends behind @addr; nr_blocks if there is none. */
static unsigned int first_block(const struct gmem_arena *arena, u64 addr)
{
	unsigned int lo = 0, hi = arena->nr_blocks;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (arena->blocks[mid].base >= ALIGN_DOWN(addr, SZ_1G))
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/**
 * struct walk - through the blocks of a range
 * @b: the block that has been reached
 * @at: the first granule of it that is in the range
 * @nr: how many of its granules are in the range
 * @next: the block after it; NULL if the range is not whole granules of the arena
 * @base: where the range goes on
 * @left: how many bytes of it are left
 */
struct walk {
	struct gmem_block *b;
	unsigned int at;
	unsigned int nr;
	struct gmem_block *next;
	u64 base;
	u64 left;
};

static struct walk walk_range(const struct gmem_arena *arena, u64 base, u64 size)
{
	unsigned int first = first_block(arena, base);
	struct walk w = { .base = base, .left = size };
	u64 last, more;

	if (!size || !IS_ALIGNED(base | size, SZ_2M) ||
	    check_add_overflow(base, size - 1, &last))
		return w;

	/* Bases ascend in steps of 1 GiB or more: two such tell of all between. */
	more = last / SZ_1G - base / SZ_1G;
	if (first < arena->nr_blocks && more < arena->nr_blocks - first &&
	    arena->blocks[first].base == ALIGN_DOWN(base, SZ_1G) &&
	    arena->blocks[first + more].base == ALIGN_DOWN(last, SZ_1G))
		w.next = &arena->blocks[first];
	return w;
}

static bool walk_next(struct walk *w)
{
	u64 here;

	if (!w->next || !w->left)
		return false;

	w->b = w->next++;
	here = min(w->left, w->b->base + SZ_1G - w->base);
	w->at = (w->base - w->b->base) / SZ_2M;
	w->nr = here / SZ_2M;
	w->base += here;
	w->left -= here;
	return true;
}

static bool block_less(struct rb_node *x, const struct rb_node *y)
{
	const struct gmem_block *a = to_block(x), *b = to_block(y);

	if (a->nr_free != b->nr_free)
		return a->nr_free < b->nr_free;
	return a->base < b->base;
}

/* Every change of a block happens between hide() and show(). */
static void hide(struct gmem_arena *arena, struct gmem_block *b)
{
	struct gmem_arena_node *node = gmem_arena_node(arena, b->nid);

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

static void show(struct gmem_arena *arena, struct gmem_block *b)
{
	struct gmem_arena_node *node = gmem_arena_node(arena, b->nid);
	DECLARE_BITMAP(both, GRANULES);

	bitmap_and(both, b->free, b->dirty, GRANULES);
	b->nr_free = bitmap_weight(b->free, GRANULES);
	b->nr_dirty = bitmap_weight(both, GRANULES);
	if (!b->nr_free)
		return;
	rb_add(&b->node, &node->by_free[!!b->nr_dirty], block_less);
	node->free += (u64)b->nr_free * SZ_2M;
	node->free_dirty += (u64)b->nr_dirty * SZ_2M;
	if (b->nr_free == GRANULES) {
		node->free_1g += SZ_1G;
		if (!b->nr_dirty)
			node->free_1g_clean += SZ_1G;
	}
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
 * @base: first byte, a multiple of 1 GiB and behind all other blocks
 * @nid: its NUMA node; may be %NUMA_NO_NODE
 *
 * Nothing of it is free yet, and all of it is dirty: see gmem_arena_free() and
 * gmem_arena_set_clean().
 *
 * Return: 0, or with nothing changed -EINVAL (@base), -ENOSPC (no room in an array).
 */
int gmem_arena_add_block(struct gmem_arena *arena, u64 base, int nid)
{
	struct gmem_arena_node *node = gmem_arena_node(arena, nid);
	unsigned int nr = arena->nr_blocks;
	struct gmem_block *b = &arena->blocks[nr];

	if (!IS_ALIGNED(base, SZ_1G) || base > U64_MAX - SZ_1G ||
	    (nr && base <= arena->blocks[nr - 1].base))
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

	*b = (struct gmem_block){ .base = base, .nid = nid };
	bitmap_set(b->dirty, 0, GRANULES);
	arena->nr_blocks++;
	return 0;
}

/*
 * Questions
 */

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

/**
 * gmem_arena_nid - where an address is
 * @arena: the arena
 * @addr: the address
 *
 * Return: the NUMA node, or %NUMA_NO_NODE, also if the address is not in the arena.
 */
int gmem_arena_nid(const struct gmem_arena *arena, u64 addr)
{
	struct walk w = walk_range(arena, ALIGN_DOWN(addr, SZ_2M), SZ_2M);

	return w.next ? w.next->nid : NUMA_NO_NODE;
}

/**
 * gmem_arena_capacity - how much memory a node can give
 * @arena: the arena
 * @nid: the node
 * @granule: %SZ_2M or %SZ_1G
 *
 * Return: bytes that gmem_arena_alloc() could take, in O(1).
 */
u64 gmem_arena_capacity(const struct gmem_arena *arena, int nid, u64 granule)
{
	const struct gmem_arena_node *node = gmem_arena_node(arena, nid);

	if (!node)
		return 0;
	return granule == SZ_1G ? node->free_1g : node->free;
}

/**
 * gmem_arena_node_bytes - how much of a list of ranges is on a node
 * @arena: the arena
 * @list: ranges in whole granules, all of it in the arena
 * @nid: the node
 *
 * Return: bytes.
 */
u64 gmem_arena_node_bytes(const struct gmem_arena *arena,
			  const struct gmem_extents *list, int nid)
{
	unsigned int i;
	u64 bytes = 0;

	for (i = 0; i < list->nr; i++) {
		struct walk w = walk_range(arena, list->r[i].base, list->r[i].size);

		while (walk_next(&w))
			if (w.b->nid == nid)
				bytes += (u64)w.nr * SZ_2M;
	}
	return bytes;
}

/*
 * Taking
 */

/* The first block of a tree, in its order, with so much free. */
static struct gmem_block *first_with(const struct rb_root *tree,
				     unsigned int nr_free)
{
	struct rb_node *n = tree->rb_node;
	struct gmem_block *found = NULL;

	while (n) {
		struct gmem_block *b = to_block(n);

		if (b->nr_free >= nr_free) {
			found = b;
			n = n->rb_left;
		} else {
			n = n->rb_right;
		}
	}
	return found;
}

/*
 * Take @nr whole blocks, clean ones as long as there are any. By ascending address,
 * so that neighbours become one range.
 */
static u64 take_whole(struct gmem_arena *arena, struct gmem_arena_node *node,
		      u64 nr, struct gmem_extents *out)
{
	u64 left[2], taken = 0;
	struct gmem_block *next[2];
	unsigned int i;

	left[0] = min(nr, node->free_1g_clean / SZ_1G);
	left[1] = nr - left[0];
	for (i = 0; i < 2; i++)
		next[i] = first_with(&node->by_free[i], GRANULES);

	while (left[0] || left[1]) {
		struct gmem_block *b;

		i = !left[0] || (left[1] && next[1]->base < next[0]->base);
		b = next[i];
		if (gmem_extents_append(out, b->base, SZ_1G))
			break;
		next[i] = to_block(rb_next(&b->node));
		left[i]--;
		taken += SZ_1G;

		hide(arena, b);
		bitmap_clear(b->free, 0, GRANULES);
		show(arena, b);
	}
	return taken;
}

/* The run of set bits that begins at or behind *@at: its length, or 0. */
static unsigned int next_run(const unsigned long *map, unsigned int *at)
{
	*at = find_next_bit(map, GRANULES, *at);
	return find_next_zero_bit(map, GRANULES, *at) - *at;
}

/* Where to take @n granules of @b from: the smallest run that holds them, or 0. */
static unsigned int choose_run(const struct gmem_block *b, unsigned int n)
{
	unsigned int at = 0, len, best = 0, best_len = GRANULES + 1;

	while ((len = next_run(b->free, &at))) {
		if (len >= n && len < best_len) {
			best = at;
			best_len = len;
		}
		at += len;
	}
	return best;
}

/* Take up to @n granules of a block. */
static u64 take_some(struct gmem_arena *arena, struct gmem_block *b, u64 n,
		     struct gmem_extents *out)
{
	unsigned int at = choose_run(b, min(n, b->nr_free)), len;
	u64 taken = 0;

	hide(arena, b);
	while (n && (len = next_run(b->free, &at))) {
		len = min(len, n);
		if (gmem_extents_append(out, b->base + (u64)at * SZ_2M,
					(u64)len * SZ_2M))
			break;
		bitmap_clear(b->free, at, len);
		n -= len;
		taken += (u64)len * SZ_2M;
	}
	show(arena, b);
	return taken;
}

/* The block of a tree with most free memory that is not free as a whole. */
static struct gmem_block *emptiest_partial(const struct rb_root *tree)
{
	struct gmem_block *whole = first_with(tree, GRANULES);

	return to_block(whole ? rb_prev(&whole->node) : rb_last(tree));
}

/*
 * The block to take up to @n granules from: see the policy at the head of this file.
 * Of two that are as good, the clean one; NULL if nothing is free.
 */
static struct gmem_block *choose_block(const struct gmem_arena_node *node, u64 n)
{
	struct gmem_block *clean, *dirty, *fit, *most;

	n = min(n, GRANULES);
	clean = first_with(&node->by_free[0], n);
	dirty = first_with(&node->by_free[1], n);
	fit = !clean || (dirty && dirty->nr_free < clean->nr_free) ? dirty : clean;
	if (fit && fit->nr_free < GRANULES)
		return fit;

	clean = emptiest_partial(&node->by_free[0]);
	dirty = emptiest_partial(&node->by_free[1]);
	most = !clean || (dirty && dirty->nr_free > clean->nr_free) ? dirty : clean;
	return most ?: fit;
}

/**
 * gmem_arena_alloc - choose memory and take it
 * @arena: the arena
 * @nid: the NUMA node that it shall come from
 * @size: bytes wanted, a multiple of @granule
 * @granule: %SZ_2M or %SZ_1G
 * @out: list that the ranges are appended to, in the order in which an object should
 *	use them: those that are aligned to 1 GiB come first and so are aligned in
 *	the object as well. Room for @size / @granule more entries always suffices
 *
 * What does not fit into @out is not taken.
 *
 * Return: bytes taken: @size, or less if the node does not have as much.
 */
u64 gmem_arena_alloc(struct gmem_arena *arena, int nid, u64 size, u64 granule,
		     struct gmem_extents *out)
{
	struct gmem_arena_node *node = gmem_arena_node(arena, nid);
	struct gmem_block *b;
	u64 taken, some;

	if (!node || (granule != SZ_2M && granule != SZ_1G) ||
	    !IS_ALIGNED(size, granule))
		return 0;

	taken = take_whole(arena, node, min(size, node->free_1g) / SZ_1G, out);
	while (granule == SZ_2M && taken < size) {
		b = choose_block(node, (size - taken) / SZ_2M);
		some = b ? take_some(arena, b, (size - taken) / SZ_2M, out) : 0;
		if (!some)
			break;
		taken += some;
	}
	return taken;
}

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
	struct walk w = walk_range(arena, base, size);

	if (!w.next)
		return -ENOENT;
	while (walk_next(&w))
		if (find_next_zero_bit(w.b->free, w.at + w.nr, w.at) < w.at + w.nr)
			return -ENOENT;

	w = walk_range(arena, base, size);
	while (walk_next(&w)) {
		hide(arena, w.b);
		bitmap_clear(w.b->free, w.at, w.nr);
		show(arena, w.b);
	}
	return 0;
}

/**
 * gmem_arena_free - give memory back
 * @arena: the arena
 * @base: first byte, a multiple of 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 * @dirty: all of it may have been written; else it is as dirty as it was
 *
 * Return: 0, or with nothing changed -ENOENT (not all of it is granules of the
 * arena), -EEXIST (some of it is free already).
 */
int gmem_arena_free(struct gmem_arena *arena, u64 base, u64 size, bool dirty)
{
	struct walk w = walk_range(arena, base, size);

	if (!w.next)
		return -ENOENT;
	while (walk_next(&w))
		if (find_next_bit(w.b->free, w.at + w.nr, w.at) < w.at + w.nr)
			return -EEXIST;

	w = walk_range(arena, base, size);
	while (walk_next(&w)) {
		hide(arena, w.b);
		bitmap_set(w.b->free, w.at, w.nr);
		if (dirty)
			bitmap_set(w.b->dirty, w.at, w.nr);
		show(arena, w.b);
	}
	return 0;
}

/*
 * Clean and dirty
 */

/**
 * gmem_arena_next_dirty - the first part of a range that is dirty
 * @arena: the arena
 * @base: first byte, a multiple of 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 * @part: where to put it; it is no larger than 1 GiB
 *
 * Whether the memory is free does not matter. The search begins at @base each time.
 *
 * Return: true if there is such a part.
 */
bool gmem_arena_next_dirty(const struct gmem_arena *arena, u64 base, u64 size,
			   struct gmem_range *part)
{
	struct walk w = walk_range(arena, base, size);

	while (walk_next(&w)) {
		unsigned int at = w.at, end = w.at + w.nr;
		unsigned int len = next_run(w.b->dirty, &at);

		if (at >= end)
			continue;
		part->base = w.b->base + (u64)at * SZ_2M;
		part->size = (u64)min(len, end - at) * SZ_2M;
		return true;
	}
	return false;
}

/**
 * gmem_arena_next_free - walk the free memory
 * @arena: the arena
 * @from: look at or above this address
 * @dirty: look for memory that is dirty, or for memory that is clean
 * @part: where to put the next run of such memory; it may span blocks
 *
 * Return: true if there is any.
 */
bool gmem_arena_next_free(const struct gmem_arena *arena, u64 from, bool dirty,
			  struct gmem_range *part)
{
	unsigned int i, at, len;
	DECLARE_BITMAP(map, GRANULES);

	*part = (struct gmem_range){};
	for (i = first_block(arena, from); i < arena->nr_blocks; i++) {
		const struct gmem_block *b = &arena->blocks[i];

		if (part->size && gmem_range_end(part) != b->base)
			break;
		if (dirty)
			bitmap_and(map, b->free, b->dirty, GRANULES);
		else
			bitmap_andnot(map, b->free, b->dirty, GRANULES);

		at = from > b->base ? DIV_ROUND_UP(from - b->base, SZ_2M) : 0;
		len = next_run(map, &at);
		if (part->size && at)
			break;
		if (!len)
			continue;
		if (!part->size)
			part->base = b->base + (u64)at * SZ_2M;
		part->size += (u64)len * SZ_2M;
		if (at + len < GRANULES)
			break;
	}
	return part->size;
}

/**
 * gmem_arena_find_dirty - find free memory that should be cleaned
 * @arena: the arena
 * @nid: the NUMA node that it shall come from
 * @max: bytes wanted at most
 * @part: where to put it; it is no larger than 1 GiB
 *
 * It stays free: whoever clears it must see to it that nobody gets it meanwhile. The
 * block with most free memory comes first: that is where the next large object
 * will be.
 *
 * Return: true if there was any.
 */
bool gmem_arena_find_dirty(const struct gmem_arena *arena, int nid, u64 max,
			   struct gmem_range *part)
{
	struct gmem_arena_node *node = gmem_arena_node(arena, nid);
	struct gmem_block *b;
	DECLARE_BITMAP(both, GRANULES);
	unsigned int at = 0;
	u64 len;

	b = node ? to_block(rb_last(&node->by_free[1])) : NULL;
	if (!b || max < SZ_2M)
		return false;

	bitmap_and(both, b->free, b->dirty, GRANULES);
	len = next_run(both, &at);
	len = min(len, max / SZ_2M);
	part->base = b->base + (u64)at * SZ_2M;
	part->size = len * SZ_2M;
	return true;
}

/**
 * gmem_arena_set_clean - memory is known to be zero
 * @arena: the arena
 * @base: first byte, a multiple of 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 *
 * Whether it is free does not matter.
 */
void gmem_arena_set_clean(struct gmem_arena *arena, u64 base, u64 size)
{
	struct walk w = walk_range(arena, base, size);

	while (walk_next(&w)) {
		hide(arena, w.b);
		bitmap_clear(w.b->dirty, w.at, w.nr);
		show(arena, w.b);
	}
}

/**
 * gmem_arena_set_dirty - memory is not known to be zero any more
 * @arena: the arena
 * @base: first byte, a multiple of 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 *
 * Whether it is free does not matter.
 */
void gmem_arena_set_dirty(struct gmem_arena *arena, u64 base, u64 size)
{
	struct walk w = walk_range(arena, base, size);

	while (walk_next(&w)) {
		hide(arena, w.b);
		bitmap_set(w.b->dirty, w.at, w.nr);
		show(arena, w.b);
	}
}
