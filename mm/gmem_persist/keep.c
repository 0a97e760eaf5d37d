// SPDX-License-Identifier: GPL-2.0
/*
 * What is done to much memory, or to memory in many pieces, step by step.
 */

/**
 * DOC: steps
 *
 * However large an object is, and in however many pieces, gmem_pool.lock is held for some
 * pieces of it at a time only. Three things take several steps:
 *
 * - memory that an object gets is *kept*, bit by bit, before the object has it in the record
 *   (gmem_backing_ready()), or has a name there (gmem_keep_all());
 * - memory that an object had is kept no more after its slot was hidden
 *   (gmem_keep_stop());
 * - and is freed then (gmem_keep_free_some()).
 *
 * Between the first step and the last of the first two, there is memory that is kept and that
 * no valid slot has, which the next kernel would quarantine. So it is noted in
 * gmem_pool.keeping. The record is believed only if it was sealed, and a freeze takes all steps
 * that are left before it seals (gmem_keep_stop_any()): what is noted there is kept no more,
 * so that for the next kernel an object has all of its memory or never was. Whoever was in the
 * middle finds that out and begins again, if the pool is not frozen any more.
 */
#include "internal.h"

#include <linux/sched.h>
#include <linux/sizes.h>

/* So large is a piece at most. */
#define GMEM_KEEP_PIECE_SIZE	((u64)SZ_1G * 4)

/**
 * gmem_keep_next - the next piece of a list of ranges
 * @c: where somebody is in it, and is moved on; all 0 at its beginning
 * @x: the list
 * @piece: set to a range, or to a part of one
 *
 * Return: true if there was one.
 */
bool gmem_keep_next(struct gmem_cursor *c, const struct gmem_ranges *x,
		    struct gmem_range *piece)
{
	/* A list of data may have become shorter. */
	return gmem_ranges_next(x, c, GMEM_KEEP_PIECE_SIZE, piece);
}

/**
 * gmem_keep_init - there is memory that may be kept one day
 * @k: what tells of it
 * @x: the memory
 */
void gmem_keep_init(struct gmem_keeping *k, const struct gmem_ranges *x)
{
	INIT_LIST_HEAD(&k->node);
	k->ranges = x;
}

/**
 * gmem_keep_begin - memory is kept that no valid slot has
 * @k: the memory
 *
 * Context: gmem_pool.lock is held; the pool is not frozen.
 */
void gmem_keep_begin(struct gmem_keeping *k)
{
	lockdep_assert_held(&gmem_pool.lock);

	k->at = (struct gmem_cursor){};
	if (list_empty(&k->node))
		list_add(&k->node, &gmem_pool.keeping);
}

/**
 * gmem_keep_done - it is kept no more, or a valid slot has it
 * @k: the memory
 *
 * Context: gmem_pool.lock is held.
 */
void gmem_keep_done(struct gmem_keeping *k)
{
	lockdep_assert_held(&gmem_pool.lock);

	list_del_init(&k->node);
}

/**
 * gmem_keep_is_begun - is memory kept that no valid slot has
 * @k: the memory
 *
 * Context: gmem_pool.lock is held.
 * Return: true if so; false after a freeze.
 */
bool gmem_keep_is_begun(const struct gmem_keeping *k)
{
	lockdep_assert_held(&gmem_pool.lock);

	return !list_empty(&k->node);
}

/* Returns how much is left, 1 or 0, or -EBUSY. */
static int gmem_keep_some(struct gmem_keeping *k, struct gmem_cursor *c)
{
	unsigned int pieces = GMEM_KEEP_PIECES;
	struct gmem_range piece;

	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	/* Frozen and thawed since: from the beginning */
	if (!gmem_keep_is_begun(k)) {
		*c = (struct gmem_cursor){};
		gmem_keep_begin(k);
	}
	for (; pieces; pieces--) {
		if (!gmem_keep_next(c, k->ranges, &piece))
			return 0;
		gmem_arena_set_kept(&gmem_pool.arena, piece.base, piece.size, true);
	}
	return c->i < k->ranges->nr;
}

/**
 * gmem_keep_all - keep all memory of an object that the record shall tell of
 * @k: the memory, which nobody adds to or takes from
 *
 * If gmem_keep_is_begun() under gmem_pool.lock, the slot may become valid, and
 * gmem_keep_done() is called.
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, -EBUSY (the pool is frozen).
 */
int gmem_keep_all(struct gmem_keeping *k)
{
	struct gmem_cursor c = {};
	int more;

	do {
		more = gmem_keep_some(k, &c);
		if (more > 0)
			gmem_stop_here("ready-step");
		cond_resched();
	} while (more > 0);
	return more;
}

/* True if something is left. */
static bool gmem_keep_stop_some(struct gmem_keeping *k, unsigned int pieces)
{
	struct gmem_range piece;

	lockdep_assert_held(&gmem_pool.lock);

	if (list_empty(&k->node))
		return false;
	for (; pieces; pieces--) {
		if (!gmem_keep_next(&k->at, k->ranges, &piece)) {
			gmem_keep_done(k);
			return false;
		}
		gmem_arena_set_kept(&gmem_pool.arena, piece.base, piece.size, false);
	}
	return true;
}

/**
 * gmem_keep_stop - keep memory no more
 * @k: the memory, after gmem_keep_begin(); otherwise nothing happens
 *
 * Several may do this at a time.
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_keep_stop(struct gmem_keeping *k)
{
	bool more = true;

	while (more) {
		scoped_guard(spinlock, &gmem_pool.lock)
			more = gmem_keep_stop_some(k, GMEM_KEEP_PIECES);
		if (more)
			gmem_stop_here("keep-step");
		cond_resched();
	}
}

/**
 * gmem_keep_stop_any - keep some memory no more that no valid slot has
 *
 * Repeated until nothing is left, it costs what others had begun.
 *
 * Context: gmem_pool.lock is held; the pool is frozen, so nobody begins anything.
 * Return: true if something may be left.
 */
bool gmem_keep_stop_any(void)
{
	struct gmem_keeping *k;

	lockdep_assert_held(&gmem_pool.lock);

	k = list_first_entry_or_null(&gmem_pool.keeping, struct gmem_keeping, node);
	if (k)
		gmem_keep_stop_some(k, GMEM_KEEP_PIECES);
	return k;
}

/**
 * gmem_keep_free_range - give memory back to the pool
 * @r: a range, which is no object's in the record any more
 * @all_dirty: somebody may have written to it; else what has been cleaned of it is clean
 *
 * The caller calls gmem_clean_kick() when he has given all back.
 *
 * Context: gmem_pool.lock is held; the pool is not frozen.
 */
void gmem_keep_free_range(const struct gmem_range *r, bool all_dirty)
{
	lockdep_assert_held(&gmem_pool.lock);

	WARN_ON(gmem_arena_free(&gmem_pool.arena, r->base, r->size, all_dirty));
	gmem_badpages_retire(r->base, r->size);
}

/**
 * gmem_keep_free_some - give some memory back to the pool
 * @x: the memory, which is no valid slot's
 * @c: how far it has been given back; the caller begins with all 0, and repeats this
 * @all_dirty: somebody may have written to it; else what has been cleaned of it is clean
 *
 * Context: gmem_pool.lock is held; the pool is not frozen.
 * Return: true if something is left.
 */
bool gmem_keep_free_some(const struct gmem_ranges *x, struct gmem_cursor *c, bool all_dirty)
{
	unsigned int pieces = GMEM_KEEP_PIECES;
	struct gmem_range piece;

	for (; pieces; pieces--) {
		if (!gmem_keep_next(c, x, &piece))
			break;
		gmem_keep_free_range(&piece, all_dirty);
	}
	gmem_clean_kick();
	return c->i < x->nr;
}
