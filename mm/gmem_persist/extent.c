// SPDX-License-Identifier: GPL-2.0
/*
 * Which ranges of physical memory are in a set: free, dirty, quarantined.
 */

/**
 * DOC: extents
 *
 * All bookkeeping of the pool is sets of ranges. A set is a sorted array of
 * disjoint, never adjacent ranges, so that there is exactly one way to write a
 * given set down, looking something up is a binary search, and the number of
 * entries follows fragmentation and not the amount of memory: 1 TiB in one
 * piece is one entry of 16 bytes.
 *
 * This file is pure logic over integers. It knows no page and no lock, and it
 * never allocates: a call that needs more room than the caller gave fails with
 * -ENOMEM before it changes anything. The room that a call may need is part of
 * its description, so a caller can make room first and then rely on it. The same
 * file is compiled in user space by tools/testing/gmem_persist/.
 *
 * Adding to a set costs a memmove() of the entries behind, allocating walks all
 * entries.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "extent.h"

/* Index of the first range that ends behind @addr; @set->nr if there is none. */
static unsigned int first_ending_after(const struct gmem_extents *set, u64 addr)
{
	unsigned int lo = 0, hi = set->nr;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (gmem_range_end(&set->r[mid]) > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* Replace @del entries from @at on by the @add entries in @with. */
static void splice(struct gmem_extents *set, unsigned int at, unsigned int del,
		   const struct gmem_range *with, unsigned int add)
{
	memmove(&set->r[at + add], &set->r[at + del],
		(set->nr - at - del) * sizeof(*set->r));
	if (add)
		memcpy(&set->r[at], with, add * sizeof(*with));
	set->nr += add;
	set->nr -= del;
}

/**
 * gmem_extents_bytes - how much memory a set or list covers
 * @x: the set or list
 *
 * Return: the sum of the sizes in bytes.
 */
u64 gmem_extents_bytes(const struct gmem_extents *x)
{
	u64 bytes = 0;
	unsigned int i;

	for (i = 0; i < x->nr; i++)
		bytes += x->r[i].size;
	return bytes;
}

/* The part of @r that consists of whole, aligned granules; size 0 if none. */
static struct gmem_range aligned_core(const struct gmem_range *r, u64 granule)
{
	u64 base = ALIGN(r->base, granule);
	u64 end = ALIGN_DOWN(gmem_range_end(r), granule);

	if (base >= end)
		return (struct gmem_range){ .base = r->base };
	return (struct gmem_range){ .base = base, .size = end - base };
}

/**
 * gmem_extents_capacity - how much memory a set can give in a granule
 * @set: the set
 * @granule: a power of two, in bytes
 *
 * Return: bytes in whole granules that are aligned to @granule.
 */
u64 gmem_extents_capacity(const struct gmem_extents *set, u64 granule)
{
	u64 bytes = 0;
	unsigned int i;

	for (i = 0; i < set->nr; i++)
		bytes += aligned_core(&set->r[i], granule).size;
	return bytes;
}

/**
 * gmem_extents_equal - do two sets cover the same memory
 * @a: one set
 * @b: the other
 *
 * Return: true if they do.
 */
bool gmem_extents_equal(const struct gmem_extents *a,
			const struct gmem_extents *b)
{
	return a->nr == b->nr &&
	       (!a->nr || !memcmp(a->r, b->r, a->nr * sizeof(*a->r)));
}

/**
 * gmem_extents_contain - does a set cover all of a range
 * @set: the set
 * @base: first byte of the range
 * @size: its length in bytes, not 0
 *
 * Return: true if it does; false also for a range that wraps around.
 */
bool gmem_extents_contain(const struct gmem_extents *set, u64 base, u64 size)
{
	unsigned int i = first_ending_after(set, base);

	/* The entry that ends behind @base holds it all, or nothing does. */
	return i < set->nr && set->r[i].base <= base && size &&
	       size <= gmem_range_end(&set->r[i]) - base;
}

/**
 * gmem_extents_overlap - the first part of a range that is in a set
 * @set: the set
 * @base: first byte of the range
 * @size: its length in bytes, not 0; @base + @size must not wrap around
 * @part: where to put the part; may be NULL
 *
 * Return: true if there is such a part.
 */
bool gmem_extents_overlap(const struct gmem_extents *set, u64 base, u64 size,
			  struct gmem_range *part)
{
	unsigned int i = first_ending_after(set, base);
	u64 start, end;

	if (i == set->nr || set->r[i].base >= base + size)
		return false;

	start = max(base, set->r[i].base);
	end = min(base + size, gmem_range_end(&set->r[i]));
	if (part)
		*part = (struct gmem_range){ .base = start, .size = end - start };
	return true;
}

/**
 * gmem_extents_add - put a range into a set
 * @set: the set; grows by at most one entry
 * @base: first byte of the range
 * @size: its length in bytes
 *
 * Return: 0, or with nothing changed -EINVAL (empty, or it wraps around),
 * -EEXIST (part of it is in the set already), -ENOMEM (no room in the array).
 */
int gmem_extents_add(struct gmem_extents *set, u64 base, u64 size)
{
	unsigned int i = first_ending_after(set, base);
	struct gmem_range new = { .base = base, .size = size };
	unsigned int at = i, del = 0;

	if (!size || base + size < base)
		return -EINVAL;
	if (i < set->nr && set->r[i].base < base + size)
		return -EEXIST;

	if (i && gmem_range_end(&set->r[i - 1]) == base) {
		new.base = set->r[i - 1].base;
		new.size += set->r[i - 1].size;
		at--;
		del++;
	}
	if (i < set->nr && set->r[i].base == base + size) {
		new.size += set->r[i].size;
		del++;
	}
	if (!del && set->nr == set->cap)
		return -ENOMEM;

	splice(set, at, del, &new, 1);
	return 0;
}

/**
 * gmem_extents_remove - take a range out of a set
 * @set: the set; grows by at most one entry (a hole in the middle of one)
 * @base: first byte of the range
 * @size: its length in bytes
 *
 * Return: 0, or with nothing changed -ENOENT (not all of it is in the set),
 * -ENOMEM (no room in the array).
 */
int gmem_extents_remove(struct gmem_extents *set, u64 base, u64 size)
{
	unsigned int i = first_ending_after(set, base);
	struct gmem_range old, rest[2];
	unsigned int add = 0;

	if (!gmem_extents_contain(set, base, size))
		return -ENOENT;

	old = set->r[i];
	if (old.base < base)
		rest[add++] = (struct gmem_range){
			.base = old.base, .size = base - old.base };
	if (base + size < gmem_range_end(&old))
		rest[add++] = (struct gmem_range){
			.base = base + size,
			.size = gmem_range_end(&old) - (base + size) };
	if (add == 2 && set->nr == set->cap)
		return -ENOMEM;

	splice(set, i, 1, rest, add);
	return 0;
}

/**
 * gmem_extents_append - put a range at the end of a list
 * @list: the list; grows by at most one entry
 * @base: first byte of the range
 * @size: its length in bytes, not 0
 *
 * A range that begins where the last one ends makes that one longer.
 *
 * Return: 0, or with nothing changed -ENOMEM (no room in the array).
 */
int gmem_extents_append(struct gmem_extents *list, u64 base, u64 size)
{
	struct gmem_range *last = list->nr ? &list->r[list->nr - 1] : NULL;

	if (last && gmem_range_end(last) == base) {
		last->size += size;
		return 0;
	}
	if (list->nr == list->cap)
		return -ENOMEM;
	list->r[list->nr++] = (struct gmem_range){ .base = base, .size = size };
	return 0;
}

/*
 * Choose @need bytes from the aligned parts of @set: the smallest one that holds
 * it all, so that large runs stay whole; if none does, by ascending address.
 */
static void choose_cores(const struct gmem_extents *set, u64 need, u64 granule,
			 struct gmem_extents *out)
{
	struct gmem_range core, best = {};
	unsigned int i;

	if (!need)
		return;

	for (i = 0; i < set->nr; i++) {
		core = aligned_core(&set->r[i], granule);
		if (core.size >= need && (!best.size || core.size < best.size))
			best = core;
	}
	if (best.size) {
		gmem_extents_append(out, best.base, need);
		return;
	}

	for (i = 0; i < set->nr && need; i++) {
		core = aligned_core(&set->r[i], granule);
		core.size = min(core.size, need);
		if (!core.size)
			continue;
		gmem_extents_append(out, core.base, core.size);
		need -= core.size;
	}
}

/* Choose @need bytes from what lies around the 1 GiB-aligned parts of @set. */
static void choose_ragged(const struct gmem_extents *set, u64 need,
			  struct gmem_extents *out)
{
	unsigned int i;

	for (i = 0; i < set->nr && need; i++) {
		const struct gmem_range *r = &set->r[i];
		struct gmem_range core = aligned_core(r, SZ_1G);
		u64 head = core.size ? core.base - r->base : r->size;
		u64 tail = r->size - core.size - head;
		u64 take = min(head, need);

		if (take)
			gmem_extents_append(out, r->base, take);
		need -= take;

		take = min(tail, need);
		if (take)
			gmem_extents_append(out, gmem_range_end(r) - tail, take);
		need -= take;
	}
}

/**
 * gmem_extents_alloc - choose memory and take it out of a set
 * @set: the set of free memory, all of it in whole 2 MiB granules; room for
 *	@set->nr more entries must be there
 * @size: bytes wanted, a multiple of @granule
 * @granule: %SZ_2M or %SZ_1G
 * @out: an empty list that gets the ranges, in the order in which an object
 *	should use them; room for 3 * @set->nr entries must be there
 *
 * 2 MiB granules come from the ragged ends around 1 GiB-aligned parts as long as
 * there are any, so that small objects do not use up the memory that only
 * 1 GiB granules can be made of. Whole aligned parts come first in @out: they are
 * then aligned in the object as well and can be mapped by large leaves.
 *
 * Return: 0, or with nothing changed -EINVAL (size or granule), -ENOSPC (not
 * enough memory in this granule), -ENOMEM (no room in an array).
 */
int gmem_extents_alloc(struct gmem_extents *set, u64 size, u64 granule,
		       struct gmem_extents *out)
{
	u64 ragged = 0;
	unsigned int i;

	if ((granule != SZ_2M && granule != SZ_1G) || !size ||
	    !IS_ALIGNED(size, granule) || out->nr)
		return -EINVAL;
	if (gmem_extents_capacity(set, granule) < size)
		return -ENOSPC;
	if (set->cap - set->nr < set->nr || out->cap / 3 < set->nr)
		return -ENOMEM;

	if (granule == SZ_2M)
		ragged = min(size, gmem_extents_bytes(set) -
				   gmem_extents_capacity(set, SZ_1G));
	choose_cores(set, size - ragged, SZ_1G, out);
	choose_ragged(set, ragged, out);

	for (i = 0; i < out->nr; i++)
		gmem_extents_remove(set, out->r[i].base, out->r[i].size);
	return 0;
}
