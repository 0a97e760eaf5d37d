// SPDX-License-Identifier: GPL-2.0
/*
 * Handing the pool to the next kernel.
 */

/**
 * DOC: handover
 *
 * The record is there and right at all times (tables.c), but a next kernel believes it only
 * if it is *sealed*: then nothing has changed since its checksums were made. The way into
 * kexec (leave.c) does that, after what others had begun is undone (keep.c).
 *
 * The record is sealed while somebody holds the pool *frozen*: the operator, or the kernel
 * itself once a kexec is under way. Who would change the record then is told -EBUSY, and what
 * ends meanwhile, as the last view of an object without a name, ends with the thaw. The last
 * holder to let go thaws the pool and opens the record. What is in the memory may change all
 * the time.
 */
#include "internal.h"

#include <linux/kexec_handover.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>

#include <trace/events/gmem_persist.h>

/**
 * gmem_handover_check - would a kexec now hand over all that has a name
 *
 * Context: any. Without gmem_pool.lock the answer is a hint.
 * Return: 0, -EOPNOTSUPP (KHO is off, nothing can be handed over), -ENOMEM (there was no memory
 * to let the next kernel find the record), -ENOEXEC (the kernel loaded for kexec gets no
 * handover), -EAGAIN (root is creating an object), -ENOENT (no kernel is loaded for kexec).
 */
int gmem_handover_check(void)
{
	const int image = READ_ONCE(gmem_pool.image);

	if (!gmem_tables_published())
		return kho_is_enabled() ? -ENOMEM : -EOPNOTSUPP;
	if (image == -ENOEXEC)
		return image;
	return READ_ONCE(gmem_pool.nr_awaited) ? -EAGAIN : image;
}

/* From now on nobody begins anything. */
static int gmem_handover_hold(enum gmem_holder holder, bool anyway)
{
	int err;

	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders & BIT(holder))
		return -EALREADY;

	err = gmem_handover_check();
	/* An image may still be loaded. */
	if (err && err != -ENOENT && !anyway)
		return err;

	WRITE_ONCE(gmem_pool.holders, gmem_pool.holders | BIT(holder));
	return 0;
}

/*
 * Take a step of what others had begun, or seal the record if nothing of it is left. Returns
 * true if there is more to do. Somebody else may seal it, too, or let go meanwhile.
 */
static bool gmem_handover_seal_some(enum gmem_holder holder)
{
	guard(spinlock)(&gmem_pool.lock);

	if (!(gmem_pool.holders & BIT(holder)))
		return false;
	if (gmem_keep_stop_any())
		return true;
	/* Once: who seals it again vouches for what has been damaged meanwhile. */
	if (gmem_pool.sealed)
		return false;
	gmem_stop_here("before-seal");	/* gmem_pool.lock is held */
	gmem_tables_set_state(GMEM_PERSIST_STATE_SEALED);
	gmem_pool.sealed = true;
	return false;
}

static int gmem_handover_do_freeze(enum gmem_holder holder, bool anyway)
{
	int err = gmem_handover_hold(holder, anyway);

	if (err)
		return err;
	while (gmem_handover_seal_some(holder)) {
		gmem_stop_here("freeze-step");
		cond_resched();
	}
	return 0;
}

/**
 * gmem_handover_freeze - hold the layout of the pool still and seal the record
 * @holder: on whose behalf
 * @anyway: whatever is lost by that; only -EALREADY is an error then
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, -EALREADY (@holder holds it already), -EOPNOTSUPP (KHO is off, nothing
 * can be handed over), -ENOMEM (likewise, for lack of memory at boot), -EAGAIN (root is
 * creating an object), -ENOEXEC (the kernel loaded for kexec gets no handover).
 */
int gmem_handover_freeze(enum gmem_holder holder, bool anyway)
{
	const u64 start = ktime_get_ns();
	int err = gmem_handover_do_freeze(holder, anyway);

	trace_gmem_freeze(holder, ktime_get_ns() - start, err);
	return err;
}

/* Returns true, if it is to be repeated: what a freeze has begun is done first. */
static bool gmem_handover_thaw_some(enum gmem_holder holder, int *err)
{
	guard(spinlock)(&gmem_pool.lock);

	*err = gmem_pool.holders & BIT(holder) ? 0 : -EINVAL;
	if (*err)
		return false;
	if (gmem_keep_stop_any())
		return true;
	WRITE_ONCE(gmem_pool.holders, gmem_pool.holders & ~BIT(holder));
	if (gmem_pool.holders)
		return false;
	gmem_pool.sealed = false;
	gmem_tables_set_state(GMEM_PERSIST_STATE_OPEN);
	if (gmem_pool.retire_later)
		gmem_badpages_retire_all();
	return false;
}

static int gmem_handover_do_thaw(enum gmem_holder holder)
{
	int err;

	while (gmem_handover_thaw_some(holder, &err))
		cond_resched();
	return err;
}

/**
 * gmem_handover_thaw - let go of the pool
 * @holder: on whose behalf
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, or -EINVAL (@holder does not hold it).
 */
int gmem_handover_thaw(enum gmem_holder holder)
{
	const u64 start = ktime_get_ns();
	int err = gmem_handover_do_thaw(holder);

	if (!err) {
		gmem_backing_reap();
		gmem_object_reap();
		gmem_clean_kick();
	}
	trace_gmem_thaw(holder, ktime_get_ns() - start, err);
	return err;
}

/**
 * gmem_handover_init - let the next kernel find the record
 *
 * Context: process context, once the tables are there.
 * Return: 0, also if KHO is off; or -ENOMEM: it may be tried again.
 */
int gmem_handover_init(void)
{
	int err = gmem_tables_publish();

	if (err == -ENOMEM)
		return err;
	if (err)
		pr_warn("KHO is not available (%pe): objects will not survive a kexec\n",
			ERR_PTR(err));
	return 0;
}
