// SPDX-License-Identifier: GPL-2.0
/*
 * Pieces of persistent memory: their lives, and who uses them.
 */

/**
 * DOC: life of an object
 *
 * 1. Creation takes a slot of the record, where the object is *hidden* from the next
 *    kernel, and its name (state *allocating*), takes memory from the pool (backing.c),
 *    makes the slot *valid* and only then shows the object to anybody (state *live*). All
 *    memory is there from then on and stays where it is; nobody has to wait for memory, or
 *    to be told that there is none, later.
 * 2. A *view* is a use of the object. A VM view is claimed by one VM at a time and
 *    goes when the VM's guest_memfd is closed for the last time. Whoever writes gives
 *    the object another *token*, see view.c: a VMM that saved state beside the memory
 *    can tell whether somebody else has changed it since.
 * 3. A named object without views is *parked*: it keeps its contents, over the
 *    death of the VMM and over a kexec. It can be claimed again, by a caller that
 *    asks for what was recorded.
 * 4. A parked object is freed by an explicit *discard*, or when its file is unlinked in
 *    gmemfs, and by nothing else. Its slot is hidden again first, then its memory becomes
 *    dirty and free. An object without a name is freed with its last view.
 *
 * Unhappy paths: creation that is interrupted, runs out of memory or meets a
 * freeze gives everything back. A creation in the middle of which the host is
 * replaced never was: its slot is hidden, its memory is nobody's. What ends while the pool is
 * frozen, when the record stands still, is *deferred*: it keeps slot and memory until the
 * thaw.
 *
 * Only creation and growth allocate. All else changes the slot, and cannot fail for memory.
 *
 * The object owns one inode, and so the one address_space that all mappings of
 * the memory hang on; a view borrows it.
 */
#include "internal.h"

#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/kvm_types.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uidgid.h>

#include <trace/events/gmem_persist.h>

/* Ended for good while the pool was frozen, but for their slots; under gmem_pool.lock. */
static LIST_HEAD(gmem_object_dead);

/**
 * gmem_object_free - the inode of an object is gone
 * @obj: the object
 *
 * In a frozen pool its slot stays until the thaw.
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_object_free(struct gmem_object *obj)
{
	struct gmem_range *list = NULL;

	if (obj->ser) {
		scoped_guard(spinlock, &gmem_pool.lock) {
			if (gmem_pool.holders) {
				list_add(&obj->deferred, &gmem_object_dead);
				return;
			}
			if (obj->ser->list.phys)
				list = obj->ranges.r;
			memset(obj->ser, 0, sizeof(*obj->ser));
		}
		gmem_slot_free(obj->id);
	}
	if (list)
		gmem_list_free(list);
	xa_destroy(&obj->bad_pages);
	kvfree(obj->start);
	kfree(obj);
}

static void gmem_object_put(struct gmem_object *obj)
{
	iput(obj->inode);
}

static bool gmem_object_has_views(const struct gmem_object *obj)
{
	return obj->vm_view || obj->handles;
}

/* An object in a slot, with one reference; @ser is what the slot says, or will say. */
static struct gmem_object *gmem_object_alloc(u32 id, const struct gmem_object_ser *ser)
{
	struct gmem_object *obj = kzalloc_obj(*obj, GFP_KERNEL_ACCOUNT);
	struct inode *inode;

	if (!obj)
		return NULL;

	INIT_HLIST_NODE(&obj->hash);
	INIT_LIST_HEAD(&obj->deferred);
	INIT_LIST_HEAD(&obj->consumers);
	mutex_init(&obj->writers_lock);
	INIT_LIST_HEAD(&obj->writers);
	xa_init(&obj->bad_pages);
	mutex_init(&obj->charge_lock);
	obj->id = id;
	obj->state = GMEM_ALLOCATING;

	inode = gmem_fs_new_inode(obj, ser);
	if (!inode) {
		kfree(obj);
		return NULL;
	}
	/* 1 is the root directory. */
	inode->i_ino = id + 2;
	obj->inode = inode;
	return obj;
}

/* Let @obj be known by its slot and its name. */
static void gmem_object_insert(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	/* Room for it has been made. */
	WARN_ON(xa_is_err(xa_store(&gmem_pool.objects, obj->id, obj, GFP_ATOMIC)));
	obj->named = obj->ser->name[0];
	gmem_pool.nr_named += obj->named;
	if (obj->named)
		gmem_name_insert(obj);
}

static void gmem_object_delete(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	xa_erase(&gmem_pool.objects, obj->id);
	gmem_name_remove(obj);
	gmem_pool.nr_named -= obj->named;
}

/* May an object come into the pool now, under its name? */
static int gmem_object_may_enter(const struct gmem_object *dir, const char *name)
{
	lockdep_assert_held(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	if (!name[0])
		return 0;
	/* It may be the name of an object that has not been restored. */
	if (gmem_restore_pending())
		return -EBUSY;
	return gmem_object_find(dir, name) ? -EEXIST : 0;
}

/* Put a new object, hidden, into its slot. */
static int gmem_object_enter(struct gmem_object *obj, const struct gmem_object_ser *ser,
			     struct gmem_object *dir, bool awaited)
{
	int err;

	guard(spinlock)(&gmem_pool.lock);

	err = gmem_object_may_enter(dir, ser->name);
	if (err)
		return err;
	obj->ser = gmem_slot(obj->id);
	*obj->ser = *ser;
	obj->ser->state = GMEM_PERSIST_SLOT_HIDDEN;
	obj->ser->parent = dir ? dir->id + 1 : 0;
	obj->ser->born = gmem_pool.generation;
	gmem_slot_draw_token(obj->ser);
	gmem_slot_seal(obj->ser);
	obj->ranges.r = (struct gmem_range *)obj->ser->ranges;
	obj->ranges.cap = GMEM_PERSIST_INLINE_RANGES;
	obj->parent = dir;
	obj->awaited = awaited;
	gmem_pool.nr_awaited += awaited;
	gmem_object_insert(obj);
	return 0;
}

static void gmem_object_not_awaited(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	gmem_pool.nr_awaited -= obj->awaited;
	obj->awaited = false;
}

/**
 * gmem_object_hide - let the next kernel not learn of an object
 * @obj: the object
 *
 * Context: gmem_pool.lock is held; the pool is not frozen.
 */
void gmem_object_hide(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	if (obj->ser->state != GMEM_PERSIST_SLOT_VALID)
		return;
	obj->ser->state = GMEM_PERSIST_SLOT_HIDDEN;
	gmem_slot_seal(obj->ser);
	/* From now on it is dirty for the next kernel. */
	gmem_backing_keep_ranges(&obj->ranges, false);
}

/* Let the next kernel learn of an object, all of whose memory is there and zero, or written. */
static void gmem_object_unhide(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	gmem_backing_keep_ranges(&obj->ranges, true);
	obj->ser->state = GMEM_PERSIST_SLOT_VALID;
	gmem_slot_seal(obj->ser);
}

/**
 * gmem_object_remove - free an object that has come to its end
 * @obj: the object, which is hidden and which nobody finds or uses; the pool's reference goes
 *
 * In a frozen pool that is done later.
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_object_remove(struct gmem_object *obj)
{
	struct address_space *mapping = obj->inode->i_mapping;
	const u64 size = obj->ser->size;
	bool frozen;

	/* memory_failure() may be looking for a page of it. */
	filemap_invalidate_lock(mapping);
	scoped_guard(spinlock, &gmem_pool.lock) {
		frozen = gmem_pool.holders;
		if (frozen) {
			list_add(&obj->deferred, &gmem_pool.deferred);
			break;
		}
		gmem_backing_free_ranges(obj->ranges.r, obj->ranges.nr, true);
		obj->ranges.nr = 0;
	}
	filemap_invalidate_unlock(mapping);
	if (frozen)
		return;
	if (size)
		trace_gmem_free(obj->ser->name, size, obj->ser->granule);
	gmem_uncharge(obj->charges);
	obj->charges = NULL;
	clear_nlink(obj->inode);

	scoped_guard(spinlock, &gmem_pool.lock)
		gmem_object_delete(obj);
	gmem_object_put(obj);
}

/**
 * gmem_object_reap - free what ended while the pool was frozen
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_object_reap(void)
{
	struct gmem_object *obj, *next;
	LIST_HEAD(dead);
	LIST_HEAD(list);

	scoped_guard(spinlock, &gmem_pool.lock) {
		list_splice_init(&gmem_pool.deferred, &list);
		list_splice_init(&gmem_object_dead, &dead);
	}
	/* Frozen again meanwhile, they go back where they were. */
	list_for_each_entry_safe(obj, next, &list, deferred)
		gmem_object_remove(obj);
	list_for_each_entry_safe(obj, next, &dead, deferred)
		gmem_object_free(obj);
}

/**
 * gmem_object_check_params - are these possible
 * @params: what an object shall be
 * @claim: it is there already: a size need not be given
 *
 * Return: 0 or -EINVAL (name, size, granule or nodes).
 */
int gmem_object_check_params(const struct gmem_object_params *params, bool claim)
{
	const u64 granule = params->granule ?: SZ_2M;

	if (params->name && params->name[0] && !gmem_name_valid(params->name))
		return -EINVAL;
	if (granule != SZ_2M && granule != SZ_1G)
		return -EINVAL;
	if ((!params->size && !claim) || !IS_ALIGNED(params->size, granule) ||
	    params->size > MAX_LFS_FILESIZE)
		return -EINVAL;
	if (params->nodes && nodes_empty(*params->nodes))
		return -EINVAL;
	return 0;
}

/* A new object without memory, hidden, that has its name and one reference. */
static struct gmem_object *gmem_object_new(struct gmem_object *dir, const char *name,
					   struct gmem_object_ser *ser, bool awaited)
{
	struct gmem_object *obj;
	u32 id;
	int err;

	/* Better now than when all has been made. */
	scoped_guard(spinlock, &gmem_pool.lock)
		err = gmem_object_may_enter(dir, name);
	if (err)
		return ERR_PTR(err);
	err = gmem_slot_take(&id);
	if (err)
		return ERR_PTR(err);

	strscpy(ser->name, name);
	ser->ctime = ktime_get_real_ns();
	ser->mtime = ser->ctime;
	generate_random_uuid(ser->uuid);
	obj = gmem_object_alloc(id, ser);
	if (!obj) {
		gmem_slot_free(id);
		return ERR_PTR(-ENOMEM);
	}
	err = xa_reserve(&gmem_pool.objects, id, GFP_KERNEL);
	if (!err) {
		err = gmem_object_enter(obj, ser, dir, awaited);
		if (err)
			xa_release(&gmem_pool.objects, id);
	}
	if (err) {
		/* The slot has not become its. */
		gmem_slot_free(id);
		gmem_object_put(obj);
		return ERR_PTR(err);
	}
	return obj;
}

/* Give everything back that an object has taken which nobody has seen. */
static void gmem_object_give_up(struct gmem_object *obj)
{
	scoped_guard(spinlock, &gmem_pool.lock) {
		obj->state = GMEM_DISCARDING;
		gmem_object_not_awaited(obj);
		if (!gmem_pool.holders)
			gmem_object_hide(obj);
	}
	gmem_object_remove(obj);
}

static void gmem_object_own(struct gmem_object_ser *ser, umode_t mode)
{
	ser->uid = from_kuid(&init_user_ns, current_fsuid());
	ser->gid = from_kgid(&init_user_ns, current_fsgid());
	ser->mode = mode;
}

/* Give a new object its memory and show it to the world; its first view is the caller's. */
static int gmem_object_publish(struct gmem_object *obj, struct gmem_backing *b,
			       struct gmem_room *room)
{
	int err;

	guard(spinlock)(&gmem_pool.lock);

	err = gmem_backing_check(b);
	if (err)
		return err;

	gmem_backing_attach(b, obj, room);
	if (obj->ser->name[0])
		gmem_object_unhide(obj);
	else
		gmem_slot_seal(obj->ser);
	obj->state = GMEM_LIVE;
	obj->vm_view = true;
	gmem_object_not_awaited(obj);
	return 0;
}

static int gmem_object_fill(struct gmem_object *obj, const struct gmem_object_params *params)
{
	struct gmem_backing *b;
	struct gmem_room room;
	int err;

	b = gmem_backing_take(params->size, params->granule ?: SZ_2M, params->nodes, false);
	if (IS_ERR(b))
		return PTR_ERR(b);
	gmem_stop_here("object-cleared");
	err = gmem_backing_make_room(b, obj, &room);
	if (!err) {
		err = gmem_object_publish(obj, b, &room);
		gmem_room_free(&room);
	}
	gmem_stop_here("object-recorded");
	if (err)
		gmem_backing_give_back(b);
	else
		gmem_backing_done(b, obj);
	return err;
}

static struct gmem_object *gmem_object_create_by_name(const struct gmem_object_params *params)
{
	struct gmem_object_ser ser = {
		.granule = params->granule ?: SZ_2M,
		.flags = params->flags,
		.vm_class = params->vm_class,
	};
	struct gmem_object *obj;
	int err;

	gmem_object_own(&ser, S_IFREG | 0600);
	obj = gmem_object_new(NULL, params->name ?: "", &ser, true);
	if (IS_ERR(obj))
		return obj;
	/* One reference is the pool's, one the view's. */
	ihold(obj->inode);
	i_size_write(obj->inode, params->size);
	inode_set_bytes(obj->inode, params->size);
	err = gmem_object_fill(obj, params);
	if (err) {
		gmem_object_give_up(obj);
		gmem_object_put(obj);
		return ERR_PTR(err);
	}
	return obj;
}

static struct gmem_object *gmem_object_do_claim(const struct gmem_object_params *params);

static struct gmem_object *gmem_object_create_by_handle(const struct gmem_object_params *params)
{
	struct gmem_object *obj = gmem_fs_object(params->handle);
	int err;

	inode_lock(obj->inode);
	err = gmem_object_populate(obj, params);
	inode_unlock(obj->inode);
	return err ? ERR_PTR(err) : gmem_object_do_claim(params);
}

/* Either a name or a handle says which object is meant. */
static int gmem_object_check_handle(const struct gmem_object_params *params, bool claim)
{
	if (!params->handle)
		return claim && (!params->name || !params->name[0]) ? -EINVAL : 0;
	if (params->name && params->name[0])
		return -EINVAL;
	return gmem_fs_object(params->handle) ? 0 : -EBADF;
}

/**
 * gmem_object_create - make a new object and claim its VM view
 * @params: what it shall be; without a name it dies with its last view. With a
 *	handle, the memory is for the object that it shows, which has none.
 *
 * The memory is zero, and is charged to the caller's dmem cgroup.
 *
 * Context: process context; takes gmem_pool.lock, clears memory and may take
 * seconds.
 * Return: the object, to be given back with gmem_object_release(), or an
 * ERR_PTR(): -EINVAL (name, size, granule or nodes), -EBADF (the handle is no file of
 * gmemfs that is open for reading and writing), -EEXIST (the name is taken, or the
 * handle's object has memory), -ENOENT (the handle's object has been discarded),
 * -ENOSPC (not enough free memory in this granule on these nodes, or no more
 * objects are possible), -EDQUOT (a limit of the caller's dmem cgroup,
 * or of one above it, would be exceeded), -EBUSY (the pool is frozen), -EINTR (a
 * signal), -EHWPOISON (a memory error hit the memory meanwhile; there is other),
 * -ENODEV (there is no pool), -ENOMEM (no kernel memory for the bookkeeping), -EIO (a
 * bug of the kernel, with a warning: not all of the memory was cleared).
 */
struct gmem_object *gmem_object_create(const struct gmem_object_params *params)
{
	const u64 start = ktime_get_ns();
	struct gmem_object *obj;
	int err;

	if (!gmem_persist_enabled())
		return ERR_PTR(-ENODEV);
	err = gmem_object_check_handle(params, false);
	if (err)
		return ERR_PTR(err);
	err = gmem_object_check_params(params, false);
	if (err)
		return ERR_PTR(err);

	obj = params->handle ? gmem_object_create_by_handle(params) :
			       gmem_object_create_by_name(params);
	trace_gmem_create(params->name ?: "", params->size, params->granule ?: SZ_2M,
			  ktime_get_ns() - start, PTR_ERR_OR_ZERO(obj));
	return obj;
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_create);

static bool gmem_object_matches(const struct gmem_object *obj,
				const struct gmem_object_params *params)
{
	return (!params->size || params->size == obj->ser->size) &&
	       (!params->granule || params->granule == obj->ser->granule) &&
	       params->flags == obj->ser->flags &&
	       params->vm_class == obj->ser->vm_class;
}

static struct gmem_object *gmem_object_do_claim(const struct gmem_object_params *params)
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
	if (!obj->ranges.nr || gmem_object_is_data(obj) || !gmem_object_matches(obj, params))
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
	err = gmem_object_check_handle(params, true);
	if (err)
		return ERR_PTR(err);
	err = gmem_object_check_params(params, true);
	if (err)
		return ERR_PTR(err);

	obj = gmem_object_do_claim(params);
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

/**
 * gmem_object_end_unused - let an object end that nobody wants any more
 * @obj: the object, which has just lost its name or a view
 *
 * Context: gmem_pool.lock is held.
 * Return: true if it has neither name nor views: the caller lets go of the lock and calls
 * gmem_object_remove().
 */
bool gmem_object_end_unused(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	if (gmem_object_named(obj) || gmem_object_has_views(obj) || obj->state != GMEM_LIVE)
		return false;
	obj->state = GMEM_DISCARDING;
	return true;
}

/* A use ends: that of a VM, or of a handle. */
static void gmem_object_drop_use(struct gmem_object *obj, bool vm)
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
	gmem_object_drop_use(obj, true);
	gmem_object_put(obj);
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_release);

/* A live object ends; the caller removes it. */
static void gmem_object_end(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	obj->state = GMEM_DISCARDING;
	gmem_object_hide(obj);
	gmem_stop_here("discard-recorded");	/* gmem_pool.lock is held */
}

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
 * gmem_object_discard - free a parked object
 * @name: its name
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, -EINVAL (no such name is possible), -ENOENT (no object has it),
 * -EISDIR (it is a directory), -EBUSY (the object has views, is being created or
 * discarded, or the pool is frozen).
 */
int gmem_object_discard(const char *name)
{
	struct gmem_object *obj;

	if (!gmem_name_valid(name))
		return -EINVAL;

	scoped_guard(spinlock, &gmem_pool.lock) {
		obj = gmem_object_find(NULL, name);
		if (!obj)
			return -ENOENT;
		if (gmem_object_is_dir(obj))
			return -EISDIR;
		if (obj->state != GMEM_LIVE || gmem_object_has_views(obj) || gmem_pool.holders)
			return -EBUSY;
		gmem_object_end(obj);
	}
	gmem_stop_here("discard-freed");
	gmem_object_remove(obj);
	return 0;
}

/* Show a file or directory, which has no memory. */
static int gmem_object_publish_file(struct gmem_object *obj, struct dentry *dentry)
{
	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	obj->state = GMEM_LIVE;
	gmem_object_unhide(obj);
	/* Under the lock: see gmem_object_shown(). */
	d_instantiate(dentry, obj->inode);
	return 0;
}

/* The name was free when it was looked up. */
static int gmem_object_name_taken(const struct gmem_object *dir, const char *name)
{
	guard(spinlock)(&gmem_pool.lock);

	/* What can be seen is found by the next look, which -ESTALE asks for. */
	return gmem_object_visible(gmem_object_find(dir, name)) ? -ESTALE : -EBUSY;
}

/* As prescribed by the directory, if that has a say in the group */
static void gmem_object_init_owner(struct gmem_object_ser *ser, struct inode *dir,
				   umode_t mode)
{
	gmem_object_own(ser, mode);
	if (!(dir->i_mode & S_ISGID))
		return;
	ser->gid = from_kgid(&init_user_ns, dir->i_gid);
	if (S_ISDIR(mode))
		ser->mode |= S_ISGID;
}

/**
 * gmem_object_create_file - make a new object without memory: a file, or a directory
 * @dir: the inode of the directory that it will be in
 * @dentry: its name; gets its inode
 * @mode: its file type and permissions; the caller owns it
 *
 * Context: process context; takes gmem_pool.lock; the lock of @dir is held.
 * Return: 0, -EINVAL (no such name is possible), -ESTALE (it is taken by now), -EBUSY (an
 * object of that name is being created or discarded, or the pool is frozen), -ENOSPC (no more
 * objects are possible), -ENOMEM.
 */
int gmem_object_create_file(struct inode *dir, struct dentry *dentry, umode_t mode)
{
	const char *name = (const char *)dentry->d_name.name;
	struct gmem_object *parent = gmem_fs_inode_object(dir);
	struct gmem_object_ser ser = {
		.kind = S_ISDIR(mode) ? GMEM_PERSIST_KIND_DIRECTORY :
					GMEM_PERSIST_KIND_MEMORY,
		.granule = S_ISDIR(mode) ? 0 : SZ_2M,
	};
	struct gmem_object *obj;
	int err;

	if (!gmem_name_valid(name))
		return -EINVAL;
	gmem_object_init_owner(&ser, dir, mode);
	obj = gmem_object_new(parent, name, &ser, false);
	if (IS_ERR(obj))
		return PTR_ERR(obj) == -EEXIST ? gmem_object_name_taken(parent, name) :
						 PTR_ERR(obj);
	/* The pool has one reference, the dentry another. */
	ihold(obj->inode);
	err = gmem_object_publish_file(obj, dentry);
	if (err) {
		gmem_object_give_up(obj);
		gmem_object_put(obj);
	}
	return err;
}

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
	gmem_object_drop_use(obj, false);
}

static int gmem_object_restore_memory(struct gmem_object *obj, struct gmem_range *list)
{
	obj->ranges.nr = obj->ser->nr_ranges;
	obj->ranges.cap = GMEM_PERSIST_INLINE_RANGES;
	obj->ranges.r = (struct gmem_range *)obj->ser->ranges;
	if (list) {
		obj->ranges.r = list;
		obj->ranges.cap = (PAGE_SIZE << obj->ser->list.order) / sizeof(*list);
	}
	if (!obj->ranges.nr)
		return 0;
	obj->start = kvmalloc_array(obj->ranges.nr, sizeof(*obj->start), GFP_KERNEL);
	if (!obj->start)
		return -ENOMEM;
	gmem_backing_index_ranges(&obj->ranges, obj->start);
	return gmem_poison_restore_object(obj);
}

/**
 * gmem_object_restore - bring an object back from the record
 * @id: the number of its slot, which has been checked
 * @list: its ranges, if they are not in the slot
 * @parent: the directory that it is in; NULL: the root
 *
 * Context: process context.
 * Return: the object, or ERR_PTR(-ENOMEM): nothing has changed.
 */
struct gmem_object *gmem_object_restore(u32 id, struct gmem_range *list,
					struct gmem_object *parent)
{
	struct gmem_object_ser *ser = gmem_slot(id);
	struct gmem_object *obj = gmem_object_alloc(id, ser);
	int err;

	if (!obj)
		return ERR_PTR(-ENOMEM);

	/* Not before it cannot fail any more: with the object, its slot goes. */
	obj->ser = ser;
	obj->parent = parent;
	obj->state = GMEM_LIVE;
	if (gmem_object_is_data(obj))
		i_size_write(obj->inode, ser->bytes);
	inode_set_mtime_to_ts(obj->inode, ns_to_timespec64(ser->mtime));
	err = gmem_object_restore_memory(obj, list);
	if (!err)
		/* To the root group, which has no limit. */
		err = gmem_charge_object(obj);
	if (!err)
		err = xa_reserve(&gmem_pool.objects, id, GFP_KERNEL);
	if (!err) {
		scoped_guard(spinlock, &gmem_pool.lock)
			gmem_object_insert(obj);
	}
	if (err) {
		gmem_uncharge(obj->charges);
		obj->ser = NULL;
		gmem_object_put(obj);
		return ERR_PTR(err);
	}
	return obj;
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
