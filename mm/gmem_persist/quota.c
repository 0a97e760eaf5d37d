// SPDX-License-Identifier: GPL-2.0
/*
 * How much is used below each directory, and how much may be.
 *
 * Pure logic, under gmem_pool.lock. It is compiled in user space, too.
 */

/**
 * DOC: quota
 *
 * Root can limit the *bytes* and the *names* below a directory, however deep below. The limits
 * stand in the directory's slot of the record, and so are the same in each further kernel;
 * what is used is not recorded, but added up anew from the objects that a kernel takes over.
 *
 * An object counts in the directory that it is in, and in all directories above that, each of
 * which may have limits:
 *
 * - as one name, for as long as it has a slot of the record: that is, also without its name,
 *   while somebody has it open. A directory does not count in itself;
 * - with the bytes of its memory, in whole granules, and with those that it is about to get:
 *   they count before the memory is taken, so that who may not have it never stands in the way
 *   of others.
 *
 * Memory without a name that is made through a directory counts there until it ends.
 *
 * What would exceed a limit fails with EDQUOT and changes nothing: a new name, new memory, a
 * rename() from where the limit does not hold. A limit may be set below what is used: that
 * takes nothing from anybody, and refuses what is new. What ends, shrinks, or moves to where
 * the same limits hold never fails.
 *
 * Each directory adds up what is below it, whether it is limited or not, so that a limit can
 * be set, and a directory with all that is in it moved, without looking at what is in there.
 * All this costs as much as directories are in each other, which is at most
 * GMEM_QUOTA_MAX_LEVELS. The sums of a directory that has been removed stay until all that
 * counts there has ended.
 */
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "quota.h"

/**
 * gmem_quota_init - begin with a directory in which there is nothing
 * @q: its quota
 * @max: how much may be below it
 */
void gmem_quota_init(struct gmem_quota *q, struct gmem_usage max)
{
	*q = (struct gmem_quota){ .max = max, .levels = 1 };
}

/* What an object is, with all that is below it */
static struct gmem_usage gmem_quota_usage(const struct gmem_quota_item *item)
{
	struct gmem_usage use = { .bytes = item->bytes, .names = 1 };

	if (item->own) {
		use.bytes += item->own->used.bytes;
		use.names += item->own->used.names;
	}
	return use;
}

/* What comes goes beyond @max, and is more than what leaves. */
static bool gmem_quota_exceeds(u64 max, u64 used, u64 comes, u64 leaves)
{
	if (!max || comes <= leaves)
		return false;
	return used - leaves > max || comes > max - (used - leaves);
}

/* May @comes come into @q, and all above it up to @end, for @leaves? */
static int gmem_quota_check(const struct gmem_quota *q, const struct gmem_quota *end,
			    struct gmem_usage comes, struct gmem_usage leaves)
{
	for (; q != end; q = q->up)
		if (gmem_quota_exceeds(q->max.bytes, q->used.bytes, comes.bytes, leaves.bytes) ||
		    gmem_quota_exceeds(q->max.names, q->used.names, comes.names, leaves.names))
			return -EDQUOT;
	return 0;
}

static void gmem_quota_change(struct gmem_quota *q, const struct gmem_quota *end,
			      struct gmem_usage comes, struct gmem_usage leaves)
{
	struct gmem_quota *up;

	for (; q != end; q = up) {
		up = q->up;
		q->used.bytes += comes.bytes - leaves.bytes;
		q->used.names += comes.names - leaves.names;
		if (q->used.names)
			continue;
		q->levels = 1;
		/* Nobody knows it any more: the directory went before. */
		if (q->gone)
			kfree(q);
	}
}

static unsigned int gmem_quota_depth(const struct gmem_quota *q)
{
	unsigned int depth = 0;

	for (; q; q = q->up)
		depth++;
	return depth;
}

/* May so many levels of directories come into @in? */
static int gmem_quota_check_levels(const struct gmem_quota *in, unsigned int levels)
{
	return gmem_quota_depth(in) + levels > GMEM_QUOTA_MAX_LEVELS ? -ENAMETOOLONG : 0;
}

/* What counts in one of the two, and where; a directory takes what is below it along. */
static void gmem_quota_put(struct gmem_quota_item *item, struct gmem_quota *in)
{
	struct gmem_quota *q = item->own;

	item->in = in;
	if (!q)
		return;
	for (q->up = in; q->up && q->up->levels <= q->levels; q = q->up)
		q->up->levels = q->levels + 1;
}

/**
 * gmem_quota_may_add - may a new object come into a directory
 * @in: what is below that; NULL: it is the root
 * @dir: it is a directory
 *
 * Return: 0, -EDQUOT (there are too many names), -ENAMETOOLONG (it would be too deep).
 */
int gmem_quota_may_add(const struct gmem_quota *in, bool dir)
{
	if (dir && gmem_quota_check_levels(in, 1))
		return -ENAMETOOLONG;
	return gmem_quota_check(in, NULL, (struct gmem_usage){ .names = 1 },
				(struct gmem_usage){});
}

/**
 * gmem_quota_add - let an object count in a directory, whatever may be there
 * @item: the object; in a directory there is nothing yet
 * @in: what is below that; NULL: it is the root
 */
void gmem_quota_add(struct gmem_quota_item *item, struct gmem_quota *in)
{
	gmem_quota_change(in, NULL, gmem_quota_usage(item), (struct gmem_usage){});
	gmem_quota_put(item, in);
}

/**
 * gmem_quota_remove - let an object that has ended count nowhere
 * @item: the object; in a directory may still count what has lost its name there
 */
void gmem_quota_remove(struct gmem_quota_item *item)
{
	struct gmem_usage use = { .bytes = item->bytes, .names = 1 };

	gmem_quota_change(item->in, NULL, (struct gmem_usage){}, use);
	if (item->own && item->own->used.names)
		item->own->gone = true;
	else
		kfree(item->own);
	*item = (struct gmem_quota_item){};
}

/**
 * gmem_quota_take - an object is about to get memory
 * @item: the object
 * @bytes: how much, in bytes
 *
 * Return: 0, or with nothing changed -EDQUOT.
 */
int gmem_quota_take(struct gmem_quota_item *item, u64 bytes)
{
	const struct gmem_usage comes = { .bytes = bytes };
	int err = gmem_quota_check(item->in, NULL, comes, (struct gmem_usage){});

	if (err)
		return err;
	gmem_quota_change(item->in, NULL, comes, (struct gmem_usage){});
	item->bytes += bytes;
	return 0;
}

/**
 * gmem_quota_give - an object has lost memory, or has not got it
 * @item: the object
 * @bytes: how much, in bytes
 */
void gmem_quota_give(struct gmem_quota_item *item, u64 bytes)
{
	gmem_quota_change(item->in, NULL, (struct gmem_usage){},
			  (struct gmem_usage){ .bytes = bytes });
	item->bytes -= bytes;
}

/* The lowest directory that has both below it, or is one of them; NULL: only the root */
static struct gmem_quota *gmem_quota_common(struct gmem_quota *a, struct gmem_quota *b)
{
	unsigned int depth_a = gmem_quota_depth(a), depth_b = gmem_quota_depth(b);

	for (; depth_a > depth_b; depth_a--)
		a = a->up;
	for (; depth_b > depth_a; depth_b--)
		b = b->up;
	while (a != b) {
		a = a->up;
		b = b->up;
	}
	return a;
}

/**
 * gmem_quota_move - let an object, with all that is below it, count in another directory
 * @item: the object
 * @to: what is below that directory, which is not below @item; NULL: it is the root
 * @other: an object in there that shall count where @item did; NULL: none
 *
 * Limits of directories that both are in do not matter, as nothing changes there.
 *
 * Return: 0, or with nothing changed -EDQUOT, -ENAMETOOLONG (a directory would be too deep).
 */
int gmem_quota_move(struct gmem_quota_item *item, struct gmem_quota *to,
		    struct gmem_quota_item *other)
{
	const struct gmem_usage use = gmem_quota_usage(item);
	struct gmem_quota *from = item->in, *common;
	struct gmem_usage back = {};

	if (from == to)
		return 0;
	common = gmem_quota_common(from, to);
	if (other)
		back = gmem_quota_usage(other);
	if ((item->own && gmem_quota_check_levels(to, item->own->levels)) ||
	    (other && other->own && gmem_quota_check_levels(from, other->own->levels)))
		return -ENAMETOOLONG;
	if (gmem_quota_check(to, common, use, back) ||
	    gmem_quota_check(from, common, back, use))
		return -EDQUOT;

	gmem_quota_change(from, common, back, use);
	gmem_quota_change(to, common, use, back);
	gmem_quota_put(item, to);
	if (other)
		gmem_quota_put(other, from);
	return 0;
}

static void gmem_quota_narrow(u64 max, u64 used, u64 *most, u64 *left)
{
	if (!max)
		return;
	*most = min(*most, max);
	*left = min(*left, used < max ? max - used : 0);
}

/**
 * gmem_quota_room - how much may be used in a directory, and how much of that is left
 * @q: what is below it
 * @max: without quotas; lowered to the narrowest limit of it and all above it
 * @left: without quotas; lowered to what these leave, whoever uses the rest
 */
void gmem_quota_room(const struct gmem_quota *q, struct gmem_usage *max,
		     struct gmem_usage *left)
{
	for (; q; q = q->up) {
		gmem_quota_narrow(q->max.bytes, q->used.bytes, &max->bytes, &left->bytes);
		gmem_quota_narrow(q->max.names, q->used.names, &max->names, &left->names);
	}
}

/*
 * Invariant: what a directory has added up is the sum of what counts there. It is checked by
 * gmem_quota_forget() for all objects, then gmem_quota_count() for all, then
 * gmem_quota_agrees() for all.
 */

/**
 * gmem_quota_forget - begin to add up once more
 * @item: an object
 */
void gmem_quota_forget(struct gmem_quota_item *item)
{
	struct gmem_quota *q;

	for (q = item->own ?: item->in; q; q = q->up)
		q->seen = (struct gmem_usage){};
}

/**
 * gmem_quota_count - add an object up once more
 * @item: the object
 */
void gmem_quota_count(struct gmem_quota_item *item)
{
	struct gmem_quota *q;

	for (q = item->in; q; q = q->up) {
		q->seen.bytes += item->bytes;
		q->seen.names++;
	}
}

/**
 * gmem_quota_agrees - is it the same as before
 * @item: an object
 *
 * Return: true if what it counts in, and what counts in it, has added up what was seen.
 */
bool gmem_quota_agrees(const struct gmem_quota_item *item)
{
	const struct gmem_quota *q;

	if (item->own && item->own->up != item->in)
		return false;
	for (q = item->own ?: item->in; q; q = q->up)
		if (q->seen.bytes != q->used.bytes || q->seen.names != q->used.names)
			return false;
	return true;
}
