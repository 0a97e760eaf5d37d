// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of unknown contents, and the operator's word for it.
 */

/**
 * DOC: quarantine
 *
 * Quarantined is what the record keeps and no good slot has: because an object was refused, or
 * the record told nothing of it. It is in no table, but derived from them
 * (gmem_quarantine_fill()), and so are the bytes that sysfs tells. It only becomes less.
 */
#include "internal.h"

#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>

static void gmem_quarantine_count(const struct gmem_ranges *x, bool more)
{
	unsigned int i;

	for (i = 0; i < x->nr; i++)
		gmem_pool_count_quarantined(x->r[i].base, x->r[i].size, more);
}

/**
 * gmem_quarantine_fill - find out what is quarantined
 * @owned: what objects have, by granule; NULL: they have nothing
 *
 * Context: process context; nobody releases anything; takes gmem_pool.lock.
 * Return: 0, or with nothing changed -ENOMEM.
 */
int gmem_quarantine_fill(const unsigned long *owned)
{
	struct gmem_ranges set = {};
	struct gmem_range part = {};
	u64 at = 0;

	for (; gmem_arena_next_kept(&gmem_pool.arena, owned, at, &part);
	     at = gmem_range_end(&part)) {
		/* One more than there are, for a release in the middle */
		if (gmem_ranges_reserve(&set, 2)) {
			kvfree(set.r);
			return -ENOMEM;
		}
		gmem_ranges_append(&set, part.base, part.size);
	}
	scoped_guard(spinlock, &gmem_pool.lock) {
		swap(gmem_pool.quarantined, set);
		gmem_quarantine_count(&set, false);
		gmem_quarantine_count(&gmem_pool.quarantined, true);
	}
	kvfree(set.r);
	return 0;
}

/* A copy of what is quarantined, with room for more; nobody else changes it meanwhile. */
static int gmem_quarantine_copy(struct gmem_ranges *set, unsigned int extra)
{
	*set = (struct gmem_ranges){};
	if (gmem_ranges_reserve(set, gmem_pool.quarantined.nr + extra))
		return -ENOMEM;
	set->nr = gmem_pool.quarantined.nr;
	memcpy(set->r, gmem_pool.quarantined.r, set->nr * sizeof(*set->r));
	return 0;
}

/**
 * gmem_quarantine_make_room - room for one range more, which a release in the middle leaves
 *
 * Context: process context; takes gmem_pool.lock; under gmem_left_lock.
 * Return: 0 or -ENOMEM.
 */
int gmem_quarantine_make_room(void)
{
	struct gmem_ranges set;
	int err;

	if (gmem_pool.quarantined.nr < gmem_pool.quarantined.cap)
		return 0;
	err = gmem_quarantine_copy(&set, 1);
	if (err)
		return err;
	scoped_guard(spinlock, &gmem_pool.lock)
		swap(gmem_pool.quarantined, set);
	kvfree(set.r);
	return 0;
}

/**
 * gmem_quarantine_without - what is quarantined, but for some of it
 * @out: what it shall be without: a list of ranges
 * @rest: set to the rest: gmem_pool.quarantined, once @out is somebody's
 *
 * Nothing changes yet, and nobody else may change anything before that.
 *
 * Context: process context.
 * Return: 0, with @rest.r to be freed with kvfree(); -ENOENT (not all of @out is quarantined, or
 * some of it is named twice), -ENOMEM.
 */
int gmem_quarantine_without(const struct gmem_ranges *out, struct gmem_ranges *rest)
{
	unsigned int i;
	int err;

	err = gmem_quarantine_copy(rest, out->nr);
	for (i = 0; i < out->nr && !err; i++)
		err = gmem_ranges_remove(rest, out->r[i].base, out->r[i].size);
	if (err)
		kvfree(rest->r);
	return err;
}

static int gmem_quarantine_release_range(u64 base, u64 size)
{
	int err;

	scoped_guard(spinlock, &gmem_pool.lock) {
		if (gmem_pool.holders)
			return -EBUSY;
		err = gmem_ranges_remove(&gmem_pool.quarantined, base, size);
		if (err)
			return err;
		gmem_pool_count_quarantined(base, size, false);
		WARN_ON(gmem_arena_free(&gmem_pool.arena, base, size, true));
		gmem_badpages_retire(base, size);
	}
	gmem_stop_here("quarantine-released");
	pr_info("[mem %#018llx-%#018llx] released from quarantine\n", base, base + size - 1);
	return 0;
}

static int gmem_quarantine_release_all(void)
{
	struct gmem_range r;
	int err;

	while (gmem_pool.quarantined.nr) {
		/* Only we take something out. From the end: nothing is moved then. */
		r = gmem_pool.quarantined.r[gmem_pool.quarantined.nr - 1];
		err = gmem_quarantine_release_range(r.base, r.size);
		if (err)
			return err;
	}
	return 0;
}

/**
 * gmem_quarantine_release - give memory of unknown contents free
 * @base: first byte, or 0 with @size 0: all that is quarantined
 * @size: length in bytes; there is room, by gmem_quarantine_make_room()
 *
 * Context: process context; takes gmem_pool.lock; called by gmem_refused_release() only.
 * Return: 0, -ENOENT (not all of it is quarantined), -EBUSY (the pool is frozen).
 */
int gmem_quarantine_release(u64 base, u64 size)
{
	int err;

	err = size ? gmem_quarantine_release_range(base, size) : gmem_quarantine_release_all();
	gmem_clean_kick();
	return err;
}
