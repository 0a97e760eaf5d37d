/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_GMEM_PERSIST_RANGES_H
#define _MM_GMEM_PERSIST_RANGES_H

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
 * struct gmem_ranges - a list of ranges in an array that the caller owns
 * @r: the ranges
 * @nr: how many there are
 * @cap: how many @r has room for
 *
 * Used in two ways: as a *set*, where the ranges are sorted, disjoint and never
 * adjacent, and as a plain *list* in whatever order they were appended (an
 * object's memory, in the order of its offsets).
 */
struct gmem_ranges {
	struct gmem_range *r;
	unsigned int nr;
	unsigned int cap;
};

/**
 * struct gmem_cursor - where somebody is who goes through a list of ranges
 * @i: at which range
 * @offset: how much of that is done, in bytes
 */
struct gmem_cursor {
	unsigned int i;
	u64 offset;
};

static inline u64 gmem_range_end(const struct gmem_range *r)
{
	return r->base + r->size;
}

u64 gmem_ranges_bytes(const struct gmem_ranges *x);
bool gmem_ranges_equal(const struct gmem_ranges *a,
		       const struct gmem_ranges *b);
bool gmem_ranges_contain(const struct gmem_ranges *set, u64 base, u64 size);
bool gmem_ranges_overlap(const struct gmem_ranges *set, u64 base, u64 size,
			 struct gmem_range *part);
int gmem_ranges_add(struct gmem_ranges *set, u64 base, u64 size);
int gmem_ranges_remove(struct gmem_ranges *set, u64 base, u64 size);
int gmem_ranges_append(struct gmem_ranges *list, u64 base, u64 size);
bool gmem_ranges_next(const struct gmem_ranges *list, struct gmem_cursor *c, u64 most,
		      struct gmem_range *piece);

#endif /* _MM_GMEM_PERSIST_RANGES_H */
