// SPDX-License-Identifier: GPL-2.0
/*
 * Who uses an object: a VM, or an open file of gmemfs.
 */
#include "internal.h"

#include <linux/fs.h>
#include <linux/kvm_types.h>
#include <linux/timekeeping.h>

#include <trace/events/gmem_persist.h>

static bool gmem_use_matches(const struct gmem_object *obj,
			     const struct gmem_object_params *params)
{
	return (!params->size || params->size == obj->ser->size) &&
	       (!params->granule || params->granule == obj->ser->granule) &&
	       params->flags == obj->ser->flags &&
	       params->vm_class == obj->ser->vm_class;
}

/**
 * gmem_use_claim - claim the VM view of an object, without paying for it
 * @obj: the object
 * @params: what the caller takes it to be, and the handle, if he has one; has been checked
 *
 * Context: process context; takes gmem_pool.lock. The caller holds a reference.
 * Return: 0, with one more reference, or an error of gmem_object_claim().
 */
int gmem_use_claim(struct gmem_object *obj, const struct gmem_object_params *params)
{
	guard(spinlock)(&gmem_pool.lock);

	/* Its name has been taken away since it was found. */
	if (obj->state != GMEM_LIVE)
		return -ENOENT;
	if (obj->vm_view || gmem_pool.holders || (obj->exclusive && !params->handle))
		return -EBUSY;
	if (!obj->ranges.nr && params->handle)
		return -ENOENT;
	if (!obj->ranges.nr || gmem_object_is_data(obj) || !gmem_use_matches(obj, params))
		return -EINVAL;

	obj->vm_view = true;
	ihold(obj->inode);
	return 0;
}

/* A use ends: that of a VM, or of a handle. */
static void gmem_use_drop(struct gmem_object *obj, bool vm)
{
	bool last;

	scoped_guard(spinlock, &gmem_pool.lock) {
		if (vm)
			obj->vm_view = false;
		else
			obj->handles--;
		if (!obj->handles)
			obj->exclusive = false;	/* it was the only one */
		last = gmem_object_end_unused(obj);
	}
	if (!last)
		return;
	gmem_stop_here("last-use-freed");
	gmem_object_remove(obj);
}

/**
 * gmem_object_release - give a VM view back
 * @obj: the object; the caller's reference goes with the view
 *
 * A named object is parked, if it has no other view. One without a name is freed.
 *
 * Context: process context; takes gmem_pool.lock. Nothing maps the object any
 * more on behalf of this view.
 */
void gmem_object_release(struct gmem_object *obj)
{
	gmem_use_drop(obj, true);
	gmem_object_put(obj);
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_release);

/**
 * gmem_object_open - begin to use an object by a file
 * @obj: the object
 * @write: to change its contents
 * @exclusive: nobody else may use it meanwhile
 *
 * Whoever opens an object for writing that nobody else uses pays for it from now on.
 *
 * Context: process context; takes gmem_pool.lock. The caller holds a reference.
 * Return: 0, -ESTALE (it is being discarded), -EBUSY (somebody uses it exclusively, or
 * uses it and @exclusive is asked for; or the pool is frozen and @write is asked for, but not on
 * behalf of a session of the last kernel that holds the object).
 */
int gmem_object_open(struct gmem_object *obj, bool write, bool exclusive)
{
	const u64 start = ktime_get_ns();
	bool claims, alone;

	scoped_guard(spinlock, &gmem_pool.lock) {
		if (obj->state != GMEM_LIVE)
			return -ESTALE;
		if (obj->exclusive || (exclusive && gmem_object_has_views(obj)))
			return -EBUSY;
		/* A session can ask for its handle once, and the record does not change by it. */
		if (write && gmem_pool.holders && !obj->awaiting)
			return -EBUSY;
		claims = write && obj->ranges.nr;
		alone = claims && !gmem_object_has_views(obj);
		obj->handles++;
		obj->exclusive = exclusive;
	}
	if (alone)
		gmem_charge_move(obj);
	if (claims)
		trace_gmem_claim(obj->ser->name, obj->ser->size, obj->ser->granule,
				 ktime_get_ns() - start, 0);
	return 0;
}

/**
 * gmem_object_close - a file that showed an object is gone
 * @obj: the object
 *
 * Context: process context; takes gmem_pool.lock. The caller holds a reference.
 */
void gmem_object_close(struct gmem_object *obj)
{
	gmem_use_drop(obj, false);
}

/**
 * gmem_object_get_info - what is this object
 * @obj: the object
 * @info: the answer
 *
 * Context: the caller holds a view.
 */
void gmem_object_get_info(struct gmem_object *obj,
			  struct gmem_object_info *info)
{
	guard(spinlock)(&gmem_pool.lock);

	*info = (struct gmem_object_info){
		.size = obj->ser->size,
		.granule = obj->ser->granule,
		.generation = gmem_pool.generation - obj->ser->born,
	};
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_get_info);

/**
 * gmem_object_inode - the inode whose mapping a view must use
 * @obj: the object
 *
 * Context: the caller holds a view.
 * Return: the inode, valid as long as the view is.
 */
struct inode *gmem_object_inode(struct gmem_object *obj)
{
	return obj->inode;
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_inode);
