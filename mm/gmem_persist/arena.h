/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_GMEM_PERSIST_ARENA_H
#define _MM_GMEM_PERSIST_ARENA_H

#include <linux/bitmap.h>
#include <linux/rbtree.h>
#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/kho/abi/gmem_persist.h>

#include "ranges.h"

#define GMEM_BLOCK_GRANULES	(SZ_1G / SZ_2M)

/* The bits of a block for the bitmap functions, by which they are only read. */
#define gmem_bits(map)		((const unsigned long *)(map))

#define gmem_to_block(n)	rb_entry_safe(n, struct gmem_block, node)

/**
 * struct gmem_block - an aligned GiB of the pool, in granules of 2 MiB
 * @node: in one of gmem_arena_node.by_free, if anything is free
 * @ser: base, NUMA node and the bits of the granules, in the record
 * @nr_free: how many granules are free
 * @nr_dirty: how many of them are dirty
 */
struct gmem_block {
	struct rb_node node;
	struct gmem_block_ser *ser;
	u16 nr_free;
	u16 nr_dirty;
};

/**
 * struct gmem_arena_node - the memory of one NUMA node; sizes in bytes
 * @nid: the node
 * @by_free: blocks with free memory by (nr_free, base): [0] those in which all of
 *	it is clean, [1] the others
 * @total: all memory
 * @free: free memory
 * @free_dirty: the part of @free that is dirty
 * @free_1g: the part of @free that is in blocks which are free as a whole
 * @free_1g_clean: the part of @free_1g that is in blocks which are clean as a whole
 */
struct gmem_arena_node {
	int nid;
	struct rb_root by_free[2];
	u64 total;
	u64 free;
	u64 free_dirty;
	u64 free_1g;
	u64 free_1g_clean;
};

/**
 * struct gmem_arena - which memory of the pool is free, and which is clean
 * @blocks: all memory, by ascending address; constant once it is filled
 * @nr_blocks: how many there are
 * @max_blocks: how many @blocks has room for
 * @nodes: the NUMA nodes that have any of it, in the order they were met
 * @nr_nodes: how many there are
 * @max_nodes: how many @nodes has room for
 */
struct gmem_arena {
	struct gmem_block *blocks;
	unsigned int nr_blocks;
	unsigned int max_blocks;
	struct gmem_arena_node *nodes;
	unsigned int nr_nodes;
	unsigned int max_nodes;
};

/**
 * struct gmem_walk - through the blocks of a range
 * @b: the block that has been reached
 * @at: the first granule of it that is in the range
 * @nr: how many of its granules are in the range
 * @mask: those granules
 * @next: the block after it; NULL if the range is not whole granules of the arena
 * @base: where the range goes on
 * @left: how many bytes of it are left
 */
struct gmem_walk {
	struct gmem_block *b;
	unsigned int at;
	unsigned int nr;
	DECLARE_BITMAP(mask, GMEM_BLOCK_GRANULES);
	struct gmem_block *next;
	u64 base;
	u64 left;
};

/* The run of set bits of a block that begins at or behind *@at: its length, or 0. */
static inline unsigned int gmem_arena_next_run(const unsigned long *map, unsigned int *at)
{
	*at = find_next_bit(map, GMEM_BLOCK_GRANULES, *at);
	return find_next_zero_bit(map, GMEM_BLOCK_GRANULES, *at) - *at;
}

void gmem_arena_init(struct gmem_arena *arena,
		     struct gmem_block *blocks, unsigned int max_blocks,
		     struct gmem_arena_node *nodes, unsigned int max_nodes);
int gmem_arena_add_block(struct gmem_arena *arena, struct gmem_block_ser *ser, u64 base,
			 int nid);
void gmem_arena_settle(struct gmem_arena *arena);

struct gmem_arena_node *gmem_arena_node(const struct gmem_arena *arena, int nid);
int gmem_arena_nid(const struct gmem_arena *arena, u64 addr);
u64 gmem_arena_capacity(const struct gmem_arena *arena, int nid, u64 granule);
u64 gmem_arena_node_bytes(const struct gmem_arena *arena,
			  const struct gmem_ranges *list, int nid);

u64 gmem_arena_alloc(struct gmem_arena *arena, int nid, u64 size, u64 granule,
		     struct gmem_ranges *out);
int gmem_arena_take(struct gmem_arena *arena, u64 base, u64 size);
int gmem_arena_free(struct gmem_arena *arena, u64 base, u64 size, bool dirty);

bool gmem_arena_next_dirty(const struct gmem_arena *arena, u64 base, u64 size,
			   struct gmem_range *part);
bool gmem_arena_next_free(const struct gmem_arena *arena, u64 from, bool dirty,
			  struct gmem_range *part);
bool gmem_arena_find_dirty(const struct gmem_arena *arena, int nid, u64 max,
			   struct gmem_range *part);
void gmem_arena_set_clean(struct gmem_arena *arena, u64 base, u64 size);
void gmem_arena_set_dirty(struct gmem_arena *arena, u64 base, u64 size);

void gmem_arena_set_kept(struct gmem_arena *arena, u64 base, u64 size, bool kept);
bool gmem_arena_is_kept(const struct gmem_arena *arena, u64 base, u64 size);
bool gmem_arena_next_kept(const struct gmem_arena *arena, const unsigned long *owned,
			  u64 from, struct gmem_range *part);
bool gmem_arena_mark(const struct gmem_arena *arena, unsigned long *map, u64 base, u64 size);
bool gmem_arena_marked(const struct gmem_arena *arena, const unsigned long *map, u64 base,
		       u64 size);

/* For arena.c, arena_find.c and place.c alone */
unsigned int gmem_arena_first_block(const struct gmem_arena *arena, u64 addr);
struct gmem_walk gmem_arena_walk(const struct gmem_arena *arena, u64 base, u64 size);
bool gmem_arena_step(struct gmem_walk *w);
void gmem_arena_seize(struct gmem_arena *arena, struct gmem_block *b,
		      const unsigned long *mask);

#endif /* _MM_GMEM_PERSIST_ARENA_H */
