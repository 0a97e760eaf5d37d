// SPDX-License-Identifier: GPL-2.0
/*
 * Which of the free memory to take.
 */

/**
 * DOC: placement
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
 * address. "make frag" in tools/testing/gmem_persist/ compares this with other policies
 * over long lives of hosts. One does a little better where hundreds of tiny VMs share
 * the pool, by means of another tree; what helps those hosts more is a size for each
 * that divides 1 GiB.
 */
#include <linux/align.h>
#include <linux/bitmap.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/rbtree.h>
#include <linux/sizes.h>

#include "arena.h"

#define GRANULES	GMEM_BLOCK_GRANULES

/* The first block of a tree, in its order, with so much free. */
static struct gmem_block *gmem_place_first_with(const struct rb_root *tree,
						unsigned int nr_free)
{
	struct rb_node *n = tree->rb_node;
	struct gmem_block *found = NULL;

	while (n) {
		struct gmem_block *b = gmem_to_block(n);

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
static u64 gmem_place_whole(struct gmem_arena *arena, struct gmem_arena_node *node,
			    u64 nr, struct gmem_ranges *out)
{
	u64 left[2], taken = 0;
	struct gmem_block *next[2];
	DECLARE_BITMAP(mask, GRANULES);
	unsigned int i;

	bitmap_fill(mask, GRANULES);
	left[0] = min(nr, node->free_1g_clean / SZ_1G);
	left[1] = nr - left[0];
	for (i = 0; i < 2; i++)
		next[i] = gmem_place_first_with(&node->by_free[i], GRANULES);

	while (left[0] || left[1]) {
		struct gmem_block *b;

		i = !left[0] || (left[1] && next[1]->ser->base < next[0]->ser->base);
		b = next[i];
		if (gmem_ranges_append(out, b->ser->base, SZ_1G))
			break;
		next[i] = gmem_to_block(rb_next(&b->node));
		left[i]--;
		taken += SZ_1G;
		gmem_arena_seize(arena, b, mask);
	}
	return taken;
}

/* Where to take @n granules of @b from: the smallest run that holds them, or 0. */
static unsigned int gmem_place_choose_run(const struct gmem_block *b, unsigned int n)
{
	unsigned int at = 0, len, best = 0, best_len = U32_MAX;

	/* All that there is, from the first run on */
	if (n == b->nr_free)
		return 0;
	while ((len = gmem_arena_next_run(gmem_bits(b->ser->free), &at))) {
		if (len >= n && len < best_len) {
			best = at;
			best_len = len;
		}
		at += len;
	}
	return best;
}

/* Take up to @n granules of a block. */
static u64 gmem_place_some(struct gmem_arena *arena, struct gmem_block *b, u64 n,
			   struct gmem_ranges *out)
{
	unsigned int at = gmem_place_choose_run(b, min(n, b->nr_free)), len;
	DECLARE_BITMAP(mask, GRANULES);
	u64 taken = 0;

	bitmap_zero(mask, GRANULES);
	while (n && (len = gmem_arena_next_run(gmem_bits(b->ser->free), &at))) {
		len = min(len, n);
		if (gmem_ranges_append(out, b->ser->base + (u64)at * SZ_2M,
				       (u64)len * SZ_2M))
			break;
		bitmap_set(mask, at, len);
		at += len;
		n -= len;
		taken += (u64)len * SZ_2M;
	}
	gmem_arena_seize(arena, b, mask);
	return taken;
}

/* The block of a tree with most free memory that is not free as a whole. */
static struct gmem_block *gmem_place_emptiest_partial(const struct rb_root *tree)
{
	struct gmem_block *whole = gmem_place_first_with(tree, GRANULES);

	return gmem_to_block(whole ? rb_prev(&whole->node) : rb_last(tree));
}

/*
 * The block to take up to @n granules from: see the policy at the head of this file.
 * Of two that are as good, the clean one; NULL if nothing is free.
 */
static struct gmem_block *gmem_place_choose_block(const struct gmem_arena_node *node, u64 n)
{
	struct gmem_block *clean, *dirty, *fit, *most;

	n = min(n, GRANULES);
	clean = gmem_place_first_with(&node->by_free[0], n);
	dirty = gmem_place_first_with(&node->by_free[1], n);
	fit = !clean || (dirty && dirty->nr_free < clean->nr_free) ? dirty : clean;
	if (fit && fit->nr_free < GRANULES)
		return fit;

	clean = gmem_place_emptiest_partial(&node->by_free[0]);
	dirty = gmem_place_emptiest_partial(&node->by_free[1]);
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
 * What does not fit into @out is not taken. What is taken is free no more in the record
 * before this returns: the caller may write to what is clean, and clear what is dirty.
 *
 * Return: bytes taken: @size, or less if the node does not have as much.
 */
u64 gmem_arena_alloc(struct gmem_arena *arena, int nid, u64 size, u64 granule,
		     struct gmem_ranges *out)
{
	struct gmem_arena_node *node = gmem_arena_node(arena, nid);
	struct gmem_block *b;
	u64 taken, some;

	if (!node || (granule != SZ_2M && granule != SZ_1G) ||
	    !IS_ALIGNED(size, granule))
		return 0;

	taken = gmem_place_whole(arena, node, min(size, node->free_1g) / SZ_1G, out);
	while (granule == SZ_2M && taken < size) {
		b = gmem_place_choose_block(node, (size - taken) / SZ_2M);
		if (!b)
			break;
		some = gmem_place_some(arena, b, (size - taken) / SZ_2M, out);
		if (!some)
			break;
		taken += some;
	}
	return taken;
}
