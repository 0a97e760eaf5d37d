/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_GMEM_PERSIST_EXTENT_H
#define _MM_GMEM_PERSIST_EXTENT_H

#include <linux/types.h>

/**
 * struct gmem_range - a physically contiguous run of memory
 * @base: first byte
 * @size: length in bytes, never 0 inside a set
 */
struct gmem_range {
	u64 base;
	u64 size;
};

/**
 * struct gmem_extents - a list of ranges in an array that the caller owns
 * @r: the ranges
 * @nr: how many there are
 * @cap: how many @r has room for
 *
 * Used in two ways: as a *set*, where the ranges are sorted, disjoint and never
 * adjacent, and as a plain *list* in whatever order they were appended (an
 * object's memory, in the order of its offsets).
 */
struct gmem_extents {
	struct gmem_range *r;
	unsigned int nr;
	unsigned int cap;
};

static inline u64 gmem_range_end(const struct gmem_range *r)
{
	return r->base + r->size;
}

u64 gmem_extents_bytes(const struct gmem_extents *x);
bool gmem_extents_equal(const struct gmem_extents *a,
			const struct gmem_extents *b);
bool gmem_extents_contain(const struct gmem_extents *set, u64 base, u64 size);
bool gmem_extents_overlap(const struct gmem_extents *set, u64 base, u64 size,
			  struct gmem_range *part);
int gmem_extents_add(struct gmem_extents *set, u64 base, u64 size);
int gmem_extents_remove(struct gmem_extents *set, u64 base, u64 size);
int gmem_extents_append(struct gmem_extents *list, u64 base, u64 size);

#endif /* _MM_GMEM_PERSIST_EXTENT_H */
