// SPDX-License-Identifier: GPL-2.0
/*
 * Pieces of persistent memory: their lives. How they come to be is in create.c, who uses them
 * in use.c.
 */

/**
 * DOC: life of an object
 *
 * 1. Creation takes a slot of the record, where the object is *hidden* from the next
 *    kernel (state *allocating*), and memory from the pool (backing.c). All memory is there
 *    from then on (state *live*) and stays where it is; nobody has to wait for memory, or to
 *    be told that there is none, later. At last the object gets its name (name.c): one
 *    store makes the slot *valid*. One that gets none stays hidden, unless a session of LUO
 *    *holds* it (luo.c).
 * 2. A *view* is a use of the object. A VM view is claimed by one VM at a time and
 *    goes when the VM's guest_memfd is closed for the last time. Whoever writes gives
 *    the object another *token*, see view.c: a VMM that saved state beside the memory
 *    can tell whether somebody else has changed it since.
 * 3. A named object without views is *parked*: it keeps its contents, over the
 *    death of the VMM and over a kexec. It can be claimed again, by a caller that
 *    asks for what was recorded.
 * 4. A parked object is freed by an explicit *discard*, or when its file is unlinked in
 *    gmemfs, and by nothing else. It loses its name, so its slot is hidden again, and then its
 *    memory becomes dirty and free. An object without a name is freed with its last view.
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
#include "fs.h"

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include <trace/events/gmem_persist.h>

/* Ended for good while the pool was frozen, but for their slots; under gmem_pool.lock. */
static LIST_HEAD(gmem_object_dead);

/* Which are kept only since the record stood still when a session let go; under gmem_pool.lock. */
static LIST_HEAD(gmem_object_unsettled);

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
			list_del(&obj->ended);
			gmem_quota_remove(&obj->quota);
		}
		gmem_slot_free(obj->id, obj->payer);
	}
	kfree(obj->quota.own);
	if (list)
		gmem_list_free(list);
	xa_destroy(&obj->bad_pages);
	kvfree(obj->start);
	kfree(obj);
}

/**
 * gmem_object_put - let go of an object
 * @obj: the object, which may be gone with the caller's reference
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_object_put(struct gmem_object *obj)
{
	iput(obj->inode);
}

/* What is below a directory, which is nothing yet; true if there was memory for it. */
static bool gmem_object_alloc_quota(struct gmem_object *obj, const struct gmem_object_ser *ser)
{
	const struct gmem_usage max = { .bytes = ser->quota_bytes, .names = ser->quota_names };

	if (ser->kind != GMEM_PERSIST_KIND_DIRECTORY)
		return true;
	obj->quota.own = kmalloc_obj(*obj->quota.own, GFP_KERNEL_ACCOUNT);
	if (!obj->quota.own)
		return false;
	gmem_quota_init(obj->quota.own, max);
	return true;
}

/* An object in a slot, with one reference; @ser is what the slot says, or will say. */
static struct gmem_object *gmem_object_alloc(u32 id, const struct gmem_object_ser *ser)
{
	struct gmem_object *obj = kzalloc_obj(*obj, GFP_KERNEL_ACCOUNT);
	struct inode *inode;

	if (!obj)
		return NULL;

	INIT_LIST_HEAD(&obj->deferred);
	gmem_keep_init(&obj->keeping, &obj->ranges);
	INIT_LIST_HEAD(&obj->ended);
	INIT_LIST_HEAD(&obj->unsettled);
	INIT_LIST_HEAD(&obj->consumers);
	mutex_init(&obj->watches_lock);
	INIT_LIST_HEAD(&obj->watches);
	mutex_init(&obj->writers_lock);
	INIT_LIST_HEAD(&obj->writers);
	gmem_poison_init_object(obj);
	mutex_init(&obj->charge_lock);
	obj->id = id;
	obj->state = GMEM_ALLOCATING;

	inode = gmem_object_alloc_quota(obj, ser) ? gmem_inode_new(obj, ser) : NULL;
	if (!inode) {
		kfree(obj->quota.own);
		kfree(obj);
		return NULL;
	}
	/* 1 is the root directory. */
	inode->i_ino = id + 2;
	obj->inode = inode;
	return obj;
}

/* Let @obj be known by its slot. */
static void gmem_object_insert(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	/* Room for it has been made. */
	WARN_ON(xa_is_err(xa_store(&gmem_pool.objects, obj->id, obj, GFP_ATOMIC)));
	gmem_quota_add(&obj->quota, gmem_object_quota(obj->parent));
}

static void gmem_object_delete(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	xa_erase(&gmem_pool.objects, obj->id);
	list_add(&obj->ended, &gmem_pool.ended);
	gmem_pool.nr_named -= obj->named;
}

/* Put a new object, hidden, into its slot. */
static int gmem_object_enter(struct gmem_object *obj, const struct gmem_object_ser *ser,
			     bool awaited)
{
	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	obj->ser = gmem_slot(obj->id);
	*obj->ser = *ser;
	obj->ser->state = GMEM_PERSIST_SLOT_HIDDEN;
	obj->ser->born = gmem_pool.generation;
	gmem_slot_draw_token(obj->ser);
	gmem_slot_seal(obj->ser);
	obj->ranges.r = (struct gmem_range *)obj->ser->ranges;
	obj->ranges.cap = GMEM_PERSIST_INLINE_RANGES;
	obj->awaited = awaited;
	gmem_pool.nr_awaited += awaited;
	gmem_object_insert(obj);
	return 0;
}

/**
 * gmem_object_not_awaited - a freeze need not wait for an object any more
 * @obj: the object
 *
 * Context: gmem_pool.lock is held.
 */
void gmem_object_not_awaited(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	gmem_pool.nr_awaited -= obj->awaited;
	obj->awaited = false;
}

/* Who holds it finds it by its uuid. */
static void gmem_object_write_held(struct gmem_object *obj)
{
	obj->ser->state = GMEM_PERSIST_SLOT_HELD;
	obj->ser->holds = obj->sessions;
	obj->ser->held_in = (u32)gmem_pool.generation;
	obj->ser->parent = 0;
	memset(obj->ser->name, 0, sizeof(obj->ser->name));
}

static void gmem_object_write_not_held(struct gmem_object *obj, bool kept)
{
	obj->ser->state = kept ? GMEM_PERSIST_SLOT_REFUSED : GMEM_PERSIST_SLOT_HIDDEN;
	obj->ser->holds = 0;
	obj->ser->held_in = 0;
}

/**
 * gmem_object_hide - let the next kernel not learn of an object, if no session holds it
 * @obj: the object, which has no name; the caller lets go of the lock and calls
 *	gmem_keep_stop(). If a session holds it, its memory is kept
 *
 * What a session of the last kernel held, and nobody has taken back, is quarantined by the next
 * kernel.
 *
 * Context: gmem_pool.lock is held; the pool is not frozen.
 */
void gmem_object_hide(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	list_del_init(&obj->unsettled);
	if (obj->ser->state == GMEM_PERSIST_SLOT_HIDDEN && !obj->sessions)
		return;
	if (obj->sessions)
		gmem_object_write_held(obj);
	else
		gmem_object_write_not_held(obj, obj->awaiting);
	/* For the next kernel it is dirty then. */
	if (!gmem_object_kept(obj))
		gmem_keep_begin(&obj->keeping);
	gmem_slot_seal(obj->ser);
}

/**
 * gmem_object_note_holds - let the record say who holds an object
 * @obj: the object, of which there are more or fewer holds; the caller lets go of the lock and
 *	calls gmem_keep_stop(). If a session holds it, its memory is kept
 *
 * What has a name needs nobody who holds it. In a frozen pool there are never more, and what is
 * held no more stays kept until the thaw: the next kernel waits for nobody, and quarantines it.
 *
 * Context: gmem_pool.lock is held.
 */
void gmem_object_note_holds(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	if (gmem_object_named(obj))
		return;
	if (!gmem_pool.holders) {
		gmem_object_hide(obj);
		return;
	}
	if (obj->sessions)
		gmem_object_write_held(obj);
	else
		gmem_object_write_not_held(obj, true);
	gmem_slot_seal(obj->ser);
	if (list_empty(&obj->unsettled))
		list_add(&obj->unsettled, &gmem_object_unsettled);
}

/* One at a time, for there may be many. What is kept then, the next freeze keeps no more. */
static bool gmem_object_settle(void)
{
	struct gmem_object *obj;

	guard(spinlock)(&gmem_pool.lock);

	obj = list_first_entry_or_null(&gmem_object_unsettled, struct gmem_object, unsettled);
	if (!obj || gmem_pool.holders)
		return false;
	gmem_object_hide(obj);
	return true;
}

/**
 * gmem_object_unhide - let the next kernel learn of an object
 * @obj: the object, all of whose memory is there, zero or written, and kept
 *
 * Context: gmem_pool.lock is held; the pool is not frozen.
 */
void gmem_object_unhide(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	obj->ser->state = GMEM_PERSIST_SLOT_VALID;
	gmem_slot_seal(obj->ser);
}

/**
 * gmem_object_count_name - count an object that has come to have a name
 * @obj: the object, whose slot and parent say so
 *
 * Context: gmem_pool.lock is held.
 */
void gmem_object_count_name(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	if (obj->parent)
		obj->parent->nr_below++;
	gmem_object_count_held(obj);
}

/**
 * gmem_object_count_held - count an object that would be lost without the record
 * @obj: the object, which a session holds
 *
 * Context: gmem_pool.lock is held.
 */
void gmem_object_count_held(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	gmem_pool.nr_named += !obj->named;
	obj->named = true;
}

/* In a frozen pool a session may have let go of it, or a kernel not have taken it back. */
static bool gmem_object_hide_ended(struct gmem_object *obj)
{
	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders) {
		list_add(&obj->deferred, &gmem_pool.deferred);
		return false;
	}
	gmem_object_hide(obj);
	return true;
}

/**
 * gmem_object_remove - free an object that has come to its end
 * @obj: the object, which nobody finds, uses or holds; the pool's reference goes
 *
 * In a frozen pool that is done later. What it says of its memory stays for those who ask, as
 * long as the object is there.
 *
 * Context: process context; takes gmem_pool.lock, and waits for nobody who looks at the object.
 */
void gmem_object_remove(struct gmem_object *obj)
{
	const u64 size = obj->ser->size;
	bool more = true;

	if (!gmem_object_hide_ended(obj))
		return;
	gmem_keep_stop(&obj->keeping);
	while (more) {
		scoped_guard(spinlock, &gmem_pool.lock) {
			if (gmem_pool.holders) {
				list_add(&obj->deferred, &gmem_pool.deferred);
				return;
			}
			more = gmem_keep_free_some(&obj->ranges, &obj->freed, true);
			/* Its name counts until its slot is free. */
			if (!more)
				gmem_quota_give(&obj->quota, obj->quota.bytes);
		}
		if (more)
			gmem_stop_here("free-step");
		cond_resched();
	}
	if (size)
		trace_gmem_free(obj->ser->name, size, obj->ser->granule);
	gmem_uncharge(obj->charges);
	obj->charges = NULL;

	scoped_guard(spinlock, &gmem_pool.lock) {
		/* Who takes its name away may be about that, too. */
		clear_nlink(obj->inode);
		gmem_object_delete(obj);
	}
	gmem_object_put(obj);
}

/**
 * gmem_object_reap - do what had to wait while the pool was frozen: free what ended, and note
 *	what sessions hold no more
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_object_reap(void)
{
	struct gmem_object *obj, *next;
	LIST_HEAD(dead);
	LIST_HEAD(list);

	while (gmem_object_settle())
		cond_resched();
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

/**
 * gmem_object_new - make an object without memory, which nobody sees yet
 * @ser: what the record will say of it; uuid and times are filled in
 * @awaited: a freeze is refused until gmem_object_not_awaited()
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: the object, hidden and with one reference, or an ERR_PTR(): -EBUSY (the pool is
 * frozen), -ENOSPC (no more objects are possible), -ENOMEM.
 */
struct gmem_object *gmem_object_new(struct gmem_object_ser *ser, bool awaited)
{
	struct obj_cgroup *payer;
	struct gmem_object *obj;
	u32 id;
	int err;

	/* Better now than when all has been made. */
	if (gmem_pool_frozen())
		return ERR_PTR(-EBUSY);
	err = gmem_slot_take(&id, &payer);
	if (err)
		return ERR_PTR(err);

	/* The clock of inodes */
	ser->ctime = ktime_get_coarse_real_ns();
	ser->mtime = ser->ctime;
	generate_random_uuid(ser->uuid);
	obj = gmem_object_alloc(id, ser);
	if (!obj) {
		gmem_slot_free(id, payer);
		return ERR_PTR(-ENOMEM);
	}
	obj->payer = payer;
	err = xa_reserve(&gmem_pool.objects, id, GFP_KERNEL_ACCOUNT);
	if (!err) {
		err = gmem_object_enter(obj, ser, awaited);
		if (err)
			xa_release(&gmem_pool.objects, id);
	}
	if (err) {
		/* The slot has not become its. */
		gmem_slot_free(id, payer);
		gmem_object_put(obj);
		return ERR_PTR(err);
	}
	return obj;
}

/**
 * gmem_object_go_live - a new object is complete
 * @obj: the object, all of whose memory is there and zero
 *
 * Context: gmem_pool.lock is held.
 */
void gmem_object_go_live(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	obj->state = GMEM_LIVE;
	obj->untouched = true;
}

/**
 * gmem_object_give_up - give everything back that an object has taken which nobody has seen
 * @obj: the object, from gmem_object_new(), whose reference goes
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_object_give_up(struct gmem_object *obj)
{
	scoped_guard(spinlock, &gmem_pool.lock) {
		/* A view that failed was its last one. */
		if (obj->state == GMEM_DISCARDING)
			return;
		obj->state = GMEM_DISCARDING;
		gmem_object_not_awaited(obj);
		if (!gmem_pool.holders)
			gmem_object_hide(obj);
	}
	gmem_object_remove(obj);
}

/**
 * gmem_object_end_unused - let an object end that nobody wants any more
 * @obj: the object, which has just lost its name or a view
 *
 * Context: gmem_pool.lock is held.
 * Return: true if it has neither name nor views, and no session brought it here: the caller lets
 * go of the lock and calls gmem_object_remove().
 */
bool gmem_object_end_unused(struct gmem_object *obj)
{
	lockdep_assert_held(&gmem_pool.lock);

	if (gmem_object_named(obj) || gmem_object_has_views(obj) || obj->awaiting ||
	    obj->state != GMEM_LIVE)
		return false;
	gmem_object_not_awaited(obj);
	obj->state = GMEM_DISCARDING;
	return true;
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
	return gmem_badpages_mark(obj, &obj->ranges);
}

/* What it says of its name, or of who holds it, becomes true before anybody finds it. */
static void gmem_object_restore_place(struct gmem_object *obj)
{
	guard(spinlock)(&gmem_pool.lock);

	gmem_object_insert(obj);
	if (gmem_object_named(obj)) {
		gmem_object_count_name(obj);
		return;
	}
	obj->awaiting = obj->ser->holds;
	clear_nlink(obj->inode);
	gmem_object_count_held(obj);
	/* Sessions come here once: a further kernel is not to wait for them. */
	gmem_object_note_holds(obj);
}

/**
 * gmem_object_restore - bring an object back from the record
 * @id: the number of its slot
 * @ser: its slot, which has been checked
 * @list: its ranges, if they are not in the slot
 * @parent: the directory that it is in; NULL: the root
 *
 * Context: process context.
 * Return: the object, or ERR_PTR(-ENOMEM): nothing has changed.
 */
struct gmem_object *gmem_object_restore(u32 id, struct gmem_object_ser *ser,
					struct gmem_range *list, struct gmem_object *parent)
{
	struct gmem_object *obj = gmem_object_alloc(id, ser);
	int err;

	if (!obj)
		return ERR_PTR(-ENOMEM);

	/* Not before it cannot fail any more: with the object, its slot goes. */
	obj->ser = ser;
	obj->parent = parent;
	obj->quota.bytes = ser->size;
	obj->state = GMEM_LIVE;
	if (gmem_object_is_data(obj))
		i_size_write(obj->inode, ser->bytes);
	err = gmem_object_restore_memory(obj, list);
	if (!err)
		/* To the root group, which has no limit. */
		err = gmem_charge_object(obj);
	if (!err)
		err = xa_reserve(&gmem_pool.objects, id, GFP_KERNEL);
	if (err) {
		gmem_uncharge(obj->charges);
		obj->ser = NULL;
		gmem_object_put(obj);
		return ERR_PTR(err);
	}
	gmem_object_restore_place(obj);
	gmem_poison_look_again(obj);
	return obj;
}
