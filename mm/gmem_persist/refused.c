// SPDX-License-Identifier: GPL-2.0
/*
 * What becomes of memory of unknown contents, by the operator's word: it is released, or a file
 * gets it (attach.c).
 */
#include "fs.h"

#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sizes.h>

/* Nothing of what was refused will be needed any more. */
static void gmem_refused_forget_all(void)
{
	u32 id;

	for (id = 0; gmem_left_next(&id, GMEM_LEFT_REFUSED); id++)
		/* While the record stands still, they are left to another time. */
		if (gmem_left_forget(id))
			return;
}

/*
 * Is all of it quarantined? gmem_left_lock keeps all others from that. It is asked before anybody
 * is charged for memory, or looks for its node, which may be none of the pool's.
 */
static int gmem_refused_check(const struct gmem_ranges *going)
{
	unsigned int i;

	for (i = 0; i < going->nr; i++)
		if (!gmem_ranges_contain(&gmem_pool.quarantined, going->r[i].base,
					 going->r[i].size))
			return -ENOENT;
	return 0;
}

/*
 * Some of their memory goes: no kernel may take them for good again, or of two that want the same
 * it would believe neither. It is the last step before that, as there is no way back.
 */
static int gmem_refused_mark_all(void)
{
	int err = 0;
	u32 id;

	for (id = 0; !err && gmem_left_next(&id, GMEM_LEFT_REFUSED); id++)
		if (gmem_slot_sealed(gmem_slot(id)))
			err = gmem_left_mark(gmem_slot(id));
	return err;
}

/* May memory leave the quarantine? A hint, as far as freezing is concerned */
static int gmem_refused_may_take(void)
{
	lockdep_assert_held(&gmem_left_lock);

	if (gmem_pool_frozen())
		return -EBUSY;
	if (!gmem_persist_enabled() || (gmem_left_pending() && !gmem_left_judged))
		return -EAGAIN;
	return 0;
}

/**
 * gmem_refused_release - give memory of unknown contents free
 * @base: first byte, or 0 with @size 0: all that is quarantined
 * @size: length in bytes
 *
 * The memory becomes free and dirty, but for granules with bad pages, which are
 * retired. What was in it is lost. With all of it, what the record still says of objects
 * that were refused goes first.
 *
 * Context: process context; takes a mutex and gmem_pool.lock.
 * Return: 0, -EINVAL (not aligned to 2 MiB), -ENOENT (not all of it is
 * quarantined), -EBUSY (the pool is frozen; with all, it may have become so in between),
 * -EAGAIN (which of it is whose is not known yet: restore first), -ENOMEM.
 */
int gmem_refused_release(u64 base, u64 size)
{
	struct gmem_range range = { base, size };
	const struct gmem_ranges going = { .r = &range, .nr = 1 };
	int err;

	if (!IS_ALIGNED(base | size, SZ_2M))
		return -EINVAL;

	guard(mutex)(&gmem_left_lock);

	err = gmem_refused_may_take();
	if (err)
		return err;
	if (size)
		err = gmem_refused_check(&going) ?: gmem_quarantine_make_room() ?:
		      gmem_refused_mark_all();
	else
		gmem_refused_forget_all();
	if (err)
		return err;
	gmem_stop_here("release-marked");
	return gmem_quarantine_release(base, size);
}

/**
 * gmem_refused_attach - let a file have memory that is quarantined
 * @attach: see gmem_object_attach_memory()
 * @slot: number of a slot that was refused and told of it, plus 1: it is given up; 0: none
 *
 * Context: process context; takes a mutex, then the locks of gmem_object_attach_memory().
 * Return: 0, -ENXIO (that slot is none that was refused), -ENOENT (not all of the memory is
 * quarantined), -EBUSY (the pool is frozen), -EAGAIN
 * (which memory is whose is not known yet: restore first), or an error of
 * gmem_object_attach_memory().
 */
int gmem_refused_attach(struct gmem_attach *attach, u64 slot)
{
	int err;

	guard(mutex)(&gmem_left_lock);

	err = gmem_refused_may_take();
	if (!err && slot &&
	    (slot > gmem_slot_count() || !gmem_left_is(slot - 1, GMEM_LEFT_REFUSED)))
		err = -ENXIO;
	if (!err)
		err = gmem_refused_check(&attach->ranges);
	if (err) {
		kvfree(attach->ranges.r);
		return err;
	}
	attach->ready = gmem_refused_mark_all;
	err = gmem_object_attach_memory(attach);
	if (err)
		return err;
	gmem_stop_here("attach-recorded");
	/* In a pool that has just been frozen it stays, and is refused again. */
	if (slot)
		gmem_left_forget(slot - 1);
	gmem_stop_here("attach-ended");
	return 0;
}
