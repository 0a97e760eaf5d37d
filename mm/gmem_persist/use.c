// SPDX-License-Identifier: GPL-2.0
/*
 * Who uses an object: a VM, or an open file of gmemfs.
 */
#include "internal.h"

#include <linux/fs.h>
#include <linux/kvm_types.h>
#include <linux/timekeeping.h>

#include <trace/events/gmem_persist.h>

/**
 * gmem_use_check_handle - does either a name or a handle say which object is meant
 * @params: what an object shall be
 * @claim: it is there already, so one of the two is needed
 *
 * Return: 0, -EINVAL (it does not), -EBADF (the handle is no file of gmemfs that is open for
 * reading and writing).
 */
int gmem_use_check_handle(const struct gmem_object_params *params, bool claim)
{
	if (!params->handle)
		return claim && (!params->name || !params->name[0]) ? -EINVAL : 0;
	if (params->name && params->name[0])
		return -EINVAL;
	return gmem_fs_object(params->handle) ? 0 : -EBADF;
}

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
 * @params: which, and what the caller takes it to be; has been checked
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: the object, with a reference, or an error of gmem_object_claim().
 */
struct gmem_object *gmem_use_claim(const struct gmem_object_params *params)
{
	struct gmem_object *obj;

	guard(spinlock)(&gmem_pool.lock);

	obj = params->handle ? gmem_fs_object(params->handle) :
			       gmem_object_find(NULL, params->name);
	/* It may be one that has not been restored. */
	if (!obj)
		return ERR_PTR(gmem_restore_pending() ? -EBUSY : -ENOENT);
	if (obj->vm_view || gmem_pool.holders)
		return ERR_PTR(-EBUSY);
	if (params->handle) {
		if (!obj->ranges.nr)
			return ERR_PTR(-ENOENT);
	} else if (obj->state != GMEM_LIVE || obj->exclusive) {
		return ERR_PTR(-EBUSY);
	}
	if (!obj->ranges.nr || gmem_object_is_data(obj) || !gmem_use_matches(obj, params))
		return ERR_PTR(-EINVAL);

	obj->vm_view = true;
	ihold(obj->inode);
	return obj;
}

/**
 * gmem_object_claim - claim the VM view of a parked object
 * @params: its name or a handle, and what the caller takes it to be
 *
 * The memory is charged to the caller's dmem cgroup from now on, be it beyond the
 * limits of that.
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: the object, to be given back with gmem_object_release(), or an
 * ERR_PTR(): -EINVAL (a malformed argument, or the object is not what the caller
 * takes it to be), -EBADF (the handle is no file of gmemfs that is open for reading and
 * writing), -ENOENT (no object has this name, or the handle's has no memory), -EBUSY
 * (another VM has the view, a handle has the object exclusively, it is being created or
 * discarded, or the pool is frozen), -ENODEV (there is no pool).
 */
struct gmem_object *gmem_object_claim(const struct gmem_object_params *params)
{
	const u64 start = ktime_get_ns();
	struct gmem_object *obj;
	int err;

	if (!gmem_persist_enabled())
		return ERR_PTR(-ENODEV);
	err = gmem_use_check_handle(params, true);
	if (err)
		return ERR_PTR(err);
	err = gmem_object_check_params(params, true);
	if (err)
		return ERR_PTR(err);

	obj = gmem_use_claim(params);
	err = PTR_ERR_OR_ZERO(obj);
	if (err) {
		trace_gmem_claim(params->name ?: "", params->size, params->granule,
				 ktime_get_ns() - start, err);
		return obj;
	}
	gmem_charge_move(obj);
	trace_gmem_claim(obj->ser->name, obj->ser->size, obj->ser->granule,
			 ktime_get_ns() - start, 0);
	return obj;
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_claim);

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
 * gmem_object_undo - give back a VM view that nobody has used
 * @obj: the object; the caller's reference goes with the view
 * @created: it comes from gmem_object_create() by a name, not from gmem_object_claim()
 *
 * A new object is gone, and an old one is parked, as it is. So is a new one if the pool was
 * frozen since. One that was claimed stays charged to the cgroup of the one who claimed it.
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_object_undo(struct gmem_object *obj, bool created)
{
	bool gone = false;

	scoped_guard(spinlock, &gmem_pool.lock) {
		/* Files of gmemfs may show it meanwhile. */
		gone = created && gmem_object_named(obj) && !obj->handles &&
		       !gmem_pool.holders;
		if (gone)
			gmem_object_end(obj);
	}

	if (!gone) {
		gmem_object_release(obj);
		return;
	}
	gmem_object_remove(obj);
	gmem_object_put(obj);
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_undo);

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
 * uses it and @exclusive is asked for; or the pool is frozen and @write is asked for).
 */
int gmem_object_open(struct gmem_object *obj, bool write, bool exclusive)
{
	const u64 start = ktime_get_ns();
	bool claims, alone;

	scoped_guard(spinlock, &gmem_pool.lock) {
		if (obj->state != GMEM_LIVE)
			return -ESTALE;
		if (obj->exclusive || (exclusive && gmem_object_has_views(obj)) ||
		    (write && gmem_pool.holders))
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
