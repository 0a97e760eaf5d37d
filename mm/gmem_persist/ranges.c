// SPDX-License-Identifier: GPL-2.0
/*
 * Which ranges of physical memory are in a set: the pool, what is quarantined.
 */

/**
 * DOC: sets and lists of ranges
 *
 * The memory of an object is a list of ranges, in the order of its offsets. The pool, what
 * is quarantined or retired, and the bad pages are sets of ranges. A set is a sorted array of
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
 * Adding and removing cost a memmove() of the entries behind. What is free or dirty,
 * which changes all the time, is kept by arena.c instead.
 */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "ranges.h"

/* Index of the first range that ends behind @addr; @set->nr if there is none. */
static unsigned int gmem_ranges_first_ending_after(const struct gmem_ranges *set, u64 addr)
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
static void gmem_ranges_splice(struct gmem_ranges *set, unsigned int at, unsigned int del,
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
 * gmem_ranges_bytes - how much memory a set or list covers
 * @x: the set or list
 *
 * Return: the sum of the sizes in bytes.
 */
u64 gmem_ranges_bytes(const struct gmem_ranges *x)
{
	u64 bytes = 0;
	unsigned int i;

	for (i = 0; i < x->nr; i++)
		bytes += x->r[i].size;
	return bytes;
}

/**
 * gmem_ranges_equal - do two sets cover the same memory
 * @a: one set
 * @b: the other
 *
 * Return: true if they do.
 */
bool gmem_ranges_equal(const struct gmem_ranges *a,
		       const struct gmem_ranges *b)
{
	return a->nr == b->nr &&
	       (!a->nr || !memcmp(a->r, b->r, a->nr * sizeof(*a->r)));
}

/**
 * gmem_ranges_contain - does a set cover all of a range
 * @set: the set
 * @base: first byte of the range
 * @size: its length in bytes, not 0
 *
 * Return: true if it does; false also for a range that wraps around.
 */
bool gmem_ranges_contain(const struct gmem_ranges *set, u64 base, u64 size)
{
	unsigned int i = gmem_ranges_first_ending_after(set, base);

	/* The entry that ends behind @base holds it all, or nothing does. */
	return i < set->nr && set->r[i].base <= base && size &&
	       size <= gmem_range_end(&set->r[i]) - base;
}

/**
 * gmem_ranges_overlap - the first part of a range that is in a set
 * @set: the set
 * @base: first byte of the range
 * @size: its length in bytes, not 0; @base + @size must not wrap around
 * @part: where to put the part; may be NULL
 *
 * Return: true if there is such a part.
 */
bool gmem_ranges_overlap(const struct gmem_ranges *set, u64 base, u64 size,
			 struct gmem_range *part)
{
	unsigned int i = gmem_ranges_first_ending_after(set, base);
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
 * gmem_ranges_add - put a range into a set
 * @set: the set; grows by at most one entry
 * @base: first byte of the range
 * @size: its length in bytes
 *
 * Return: 0, or with nothing changed -EINVAL (empty, or it wraps around),
 * -EEXIST (part of it is in the set already), -ENOMEM (no room in the array).
 */
int gmem_ranges_add(struct gmem_ranges *set, u64 base, u64 size)
{
	unsigned int i = gmem_ranges_first_ending_after(set, base);
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

	gmem_ranges_splice(set, at, del, &new, 1);
	return 0;
}

/**
 * gmem_ranges_remove - take a range out of a set
 * @set: the set; grows by at most one entry (a hole in the middle of one)
 * @base: first byte of the range
 * @size: its length in bytes
 *
 * Return: 0, or with nothing changed -ENOENT (not all of it is in the set),
 * -ENOMEM (no room in the array).
 */
int gmem_ranges_remove(struct gmem_ranges *set, u64 base, u64 size)
{
	unsigned int i = gmem_ranges_first_ending_after(set, base);
	struct gmem_range old, rest[2];
	unsigned int add = 0;

	if (!gmem_ranges_contain(set, base, size))
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

	gmem_ranges_splice(set, i, 1, rest, add);
	return 0;
}

/**
 * gmem_ranges_append - put a range at the end of a list
 * @list: the list; grows by at most one entry
 * @base: first byte of the range
 * @size: its length in bytes, not 0
 *
 * A range that begins where the last one ends makes that one longer.
 *
 * Return: 0, or with nothing changed -ENOMEM (no room in the array).
 */
int gmem_ranges_append(struct gmem_ranges *list, u64 base, u64 size)
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

/**
 * gmem_ranges_next - the next piece of a list
 * @list: the list
 * @c: where somebody is in it, and is moved on; all 0 at its beginning
 * @most: a piece is no larger than this, in bytes; not 0
 * @piece: set to a range, or to a part of one, unless there is none
 *
 * Between two pieces the list may lose its end, be it in the middle of a range, and may grow.
 *
 * Return: true if there was one.
 */
bool gmem_ranges_next(const struct gmem_ranges *list, struct gmem_cursor *c, u64 most,
		      struct gmem_range *piece)
{
	const struct gmem_range *r;

	/* What was left of this range may be gone. */
	if (c->i < list->nr && c->offset >= list->r[c->i].size)
		*c = (struct gmem_cursor){ .i = c->i + 1 };
	if (c->i >= list->nr)
		return false;
	r = &list->r[c->i];
	piece->base = r->base + c->offset;
	piece->size = min(r->size - c->offset, most);
	c->offset += piece->size;
	if (c->offset == r->size)
		*c = (struct gmem_cursor){ .i = c->i + 1 };
	return true;
}
