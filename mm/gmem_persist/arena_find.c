// SPDX-License-Identifier: GPL-2.0
/*
 * Questions about the memory of the pool: what is where, and in which state.
 */
#include <linux/align.h>
#include <linux/bitmap.h>
#include <linux/bits.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/numa.h>
#include <linux/rbtree.h>
#include <linux/sizes.h>

#include "arena.h"

#define GRANULES	GMEM_BLOCK_GRANULES

/**
 * gmem_arena_nid - where an address is
 * @arena: the arena
 * @addr: the address
 *
 * Return: the NUMA node, or %NUMA_NO_NODE, also if the address is not in the arena.
 */
int gmem_arena_nid(const struct gmem_arena *arena, u64 addr)
{
	struct gmem_walk w = gmem_arena_walk(arena, ALIGN_DOWN(addr, SZ_2M), SZ_2M);

	return w.next ? (int)w.next->ser->nid : NUMA_NO_NODE;
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
			  const struct gmem_ranges *list, int nid)
{
	unsigned int i;
	u64 bytes = 0;

	for (i = 0; i < list->nr; i++) {
		const struct gmem_range *r = &list->r[i];
		struct gmem_walk w = gmem_arena_walk(arena, r->base, r->size);

		while (gmem_arena_step(&w))
			if ((int)w.b->ser->nid == nid)
				bytes += (u64)w.nr * SZ_2M;
	}
	return bytes;
}

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
	struct gmem_walk w = gmem_arena_walk(arena, base, size);

	while (gmem_arena_step(&w)) {
		unsigned int at = w.at, end = w.at + w.nr;
		unsigned int len = gmem_arena_next_run(gmem_bits(w.b->ser->dirty), &at);

		if (at >= end)
			continue;
		part->base = w.b->ser->base + (u64)at * SZ_2M;
		part->size = (u64)min(len, end - at) * SZ_2M;
		return true;
	}
	return false;
}

/* Granules that gmem_arena_find_next() looks for */
enum gmem_arena_what {
	GMEM_ARENA_CLEAN,	/* free, and known to be zero */
	GMEM_ARENA_DIRTY,	/* free, and not known to be zero */
	GMEM_ARENA_KEPT,
};

/* Those of a block */
static void gmem_arena_find_in(const struct gmem_block *b, enum gmem_arena_what what,
			       unsigned long *map)
{
	const unsigned long *free = gmem_bits(b->ser->free);
	const unsigned long *dirty = gmem_bits(b->ser->dirty);

	switch (what) {
	case GMEM_ARENA_CLEAN:
		bitmap_andnot(map, free, dirty, GRANULES);
		break;
	case GMEM_ARENA_DIRTY:
		bitmap_and(map, free, dirty, GRANULES);
		break;
	case GMEM_ARENA_KEPT:
		bitmap_copy(map, gmem_bits(b->ser->kept), GRANULES);
		break;
	}
}

/* Where the bits of a block begin in a map of all granules, in words */
static size_t gmem_arena_find_word(const struct gmem_arena *arena,
				   const struct gmem_block *b)
{
	return (b - arena->blocks) * BITS_TO_LONGS(GRANULES);
}

/* The next run of such granules, without those in @but, at or above @from */
static bool gmem_arena_find_next(const struct gmem_arena *arena,
				 enum gmem_arena_what what, const unsigned long *but,
				 u64 from, struct gmem_range *part)
{
	unsigned int i, at, len;
	DECLARE_BITMAP(map, GRANULES);

	*part = (struct gmem_range){};
	for (i = gmem_arena_first_block(arena, from); i < arena->nr_blocks; i++) {
		const struct gmem_block *b = &arena->blocks[i];
		u64 base = b->ser->base;

		if (part->size && gmem_range_end(part) != base)
			break;
		gmem_arena_find_in(b, what, map);
		if (but)
			bitmap_andnot(map, map, but + gmem_arena_find_word(arena, b),
				      GRANULES);
		at = from > base ? DIV_ROUND_UP(from - base, SZ_2M) : 0;
		len = gmem_arena_next_run(map, &at);
		if (part->size && at)
			break;
		if (!len)
			continue;
		if (!part->size)
			part->base = base + (u64)at * SZ_2M;
		part->size += (u64)len * SZ_2M;
		if (at + len < GRANULES)
			break;
	}
	return part->size;
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
	return gmem_arena_find_next(arena, dirty ? GMEM_ARENA_DIRTY : GMEM_ARENA_CLEAN,
				    NULL, from, part);
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
	DECLARE_BITMAP(map, GRANULES);
	unsigned int at = 0;
	u64 len;

	b = node ? gmem_to_block(rb_last(&node->by_free[1])) : NULL;
	if (!b || max < SZ_2M)
		return false;

	gmem_arena_find_in(b, GMEM_ARENA_DIRTY, map);
	len = gmem_arena_next_run(map, &at);
	len = min(len, max / SZ_2M);
	part->base = b->ser->base + (u64)at * SZ_2M;
	part->size = len * SZ_2M;
	return true;
}

/**
 * gmem_arena_is_kept - whether all of a range is kept
 * @arena: the arena
 * @base: first byte, a multiple of 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 *
 * Return: true if all of it is in the arena and kept.
 */
bool gmem_arena_is_kept(const struct gmem_arena *arena, u64 base, u64 size)
{
	struct gmem_walk w = gmem_arena_walk(arena, base, size);

	if (!w.next)
		return false;
	while (gmem_arena_step(&w))
		if (!bitmap_subset(w.mask, gmem_bits(w.b->ser->kept), GRANULES))
			return false;
	return true;
}

/**
 * gmem_arena_next_kept - walk the memory that is kept and nobody's
 * @arena: the arena
 * @owned: a map of all granules, see gmem_arena_mark(): those that somebody has; NULL if
 *	nobody has any
 * @from: look at or above this address
 * @part: where to put the next run of such memory; it may span blocks
 *
 * Return: true if there is any.
 */
bool gmem_arena_next_kept(const struct gmem_arena *arena, const unsigned long *owned,
			  u64 from, struct gmem_range *part)
{
	return gmem_arena_find_next(arena, GMEM_ARENA_KEPT, owned, from, part);
}

/* Where the bits of a range are in a map of all granules; false if it is not in the arena. */
static bool gmem_arena_find_bits(const struct gmem_arena *arena, u64 base, u64 size,
				 unsigned int *first, unsigned int *end)
{
	struct gmem_walk w = gmem_arena_walk(arena, base, size);

	if (!w.next)
		return false;
	*first = (w.next - arena->blocks) * GRANULES + (base - w.next->ser->base) / SZ_2M;
	*end = *first + size / SZ_2M;
	return true;
}

/**
 * gmem_arena_mark - set the bits of a range in a map of all granules
 * @arena: the arena
 * @map: a bit for each granule: of the first block, of the second, and so on, with
 *	%GMEM_BLOCK_GRANULES for each
 * @base: first byte, a multiple of 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 *
 * Nothing happens if not all of the range is in the arena.
 *
 * Return: true if one of them was set before.
 */
bool gmem_arena_mark(const struct gmem_arena *arena, unsigned long *map, u64 base, u64 size)
{
	unsigned int first, end;
	bool was_set;

	if (!gmem_arena_find_bits(arena, base, size, &first, &end))
		return false;
	was_set = find_next_bit(map, end, first) < end;
	bitmap_set(map, first, end - first);
	return was_set;
}

/**
 * gmem_arena_marked - whether a bit of a range is set in a map of all granules
 * @arena: the arena
 * @map: see gmem_arena_mark()
 * @base: first byte, a multiple of 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 *
 * Return: true if all of the range is in the arena and one of its bits is set.
 */
bool gmem_arena_marked(const struct gmem_arena *arena, const unsigned long *map, u64 base,
		       u64 size)
{
	unsigned int first, end;

	return gmem_arena_find_bits(arena, base, size, &first, &end) &&
	       find_next_bit(map, end, first) < end;
}
