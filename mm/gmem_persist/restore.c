// SPDX-License-Identifier: GPL-2.0
/*
 * Taking over what is in the record of the last kernel.
 */

/**
 * DOC: restore
 *
 * gmem_tables_find() has made the tables of the last kernel ours. What they say of objects is
 * looked at here, slot by slot, and nothing of it is believed:
 *
 * 1. A slot that is hidden is cleared: its object was not finished, or had no name. All others
 *    keep their numbers.
 * 2. These are judged together: checksum, name, directory, and whether the memory is theirs
 *    alone (gmem_record_judge()).
 * 3. Each good one becomes an object.
 *
 * A slot that is not good is marked as *refused*, so that it stands in nobody's way later, and
 * stays until the operator releases all that is quarantined. All memory that the record keeps
 * and that no good slot has is quarantined, and so never cleared, handed out or given to the
 * page allocator without the operator's word. Memory that is neither free nor kept is free and
 * dirty.
 *
 * Without memory for step 2 or 3 slots are *pending*: they stay in the record as they are, for
 * another attempt (gmem_restore_again()) or for another kernel. Until then nobody gets a name,
 * since it may be theirs, and without step 2 nothing is released.
 */
#include "internal.h"

#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include <trace/events/gmem_persist.h>

/* How many slots are pending; under restore_lock, read without */
static unsigned int pending;

/* Step 2 has been done: which slots are good is known. */
static bool judged;

/* Slots without an object, by number, and what they are */
static DEFINE_XARRAY(left);
#define LEFT_REFUSED	xa_mk_value(1)
#define LEFT_PENDING	xa_mk_value(2)

/* The lists of ranges that were taken over for slots without an object, by number */
static DEFINE_XARRAY(lists);

/* Good directories, each behind the one that it is in, as long as something is pending */
struct gmem_restore_dir {
	u32 depth;
	u32 id;
};

static struct gmem_restore_dir *dirs;
static unsigned int nr_dirs;

/* Who restores, and who releases; outside of gmem_pool.lock. */
static DEFINE_MUTEX(restore_lock);

/* What it takes to judge all slots */
struct gmem_restore {
	struct gmem_found *found;
	unsigned int nr;
	unsigned long *owned;
};

static int gmem_restore_alloc(struct gmem_restore *r)
{
	const size_t bits = (size_t)gmem_pool.arena.nr_blocks * GMEM_BLOCK_GRANULES;

	r->found = kvcalloc(gmem_slot_count(), sizeof(*r->found), GFP_KERNEL);
	r->owned = kvcalloc(BITS_TO_LONGS(bits), sizeof(long), GFP_KERNEL);
	return r->found && r->owned ? 0 : -ENOMEM;
}

static void gmem_restore_free(struct gmem_restore *r)
{
	kvfree(r->found);
	kvfree(r->owned);
}

/*
 * Step 1
 */

static bool gmem_restore_is_unused(const struct gmem_object_ser *slot)
{
	return slot->state == GMEM_PERSIST_SLOT_UNUSED && !memchr_inv(slot, 0, sizeof(*slot));
}

/*
 * Take the list of a slot over, so that the next kernel finds it whatever becomes of the object
 * here. A list that is lost is missed when the slot is judged.
 */
static int __init gmem_restore_adopt_list(u32 id, const struct gmem_object_ser *slot)
{
	struct gmem_range *list;
	int err;

	if (!slot->list.phys || !gmem_slot_sealed(slot))
		return 0;
	err = xa_reserve(&lists, id, GFP_KERNEL);
	if (err)
		return err;
	list = gmem_list_adopt(&slot->list);
	if (list)
		xa_store(&lists, id, list, GFP_KERNEL);
	else
		xa_release(&lists, id);
	return 0;
}

/* Its object was not finished, or had no name. */
static void __init gmem_restore_clear(u32 id, struct gmem_object_ser *slot)
{
	struct gmem_range *list = xa_erase(&lists, id);

	if (list)
		gmem_list_free(list);
	memset(slot, 0, sizeof(*slot));
}

static int __init gmem_restore_prepare_slot(u32 id)
{
	struct gmem_object_ser *slot = gmem_slot(id);
	int err;

	if (gmem_restore_is_unused(slot))
		return 0;
	err = gmem_restore_adopt_list(id, slot);
	if (err)
		return err;
	if (slot->state == GMEM_PERSIST_SLOT_HIDDEN && gmem_slot_sealed(slot)) {
		gmem_restore_clear(id, slot);
		return 0;
	}
	err = gmem_slot_reserve(id);
	if (err)
		return err;
	err = xa_err(xa_store(&left, id, LEFT_PENDING, GFP_KERNEL));
	if (!err)
		pending++;
	return err;
}

/**
 * gmem_restore_prepare - look which slots of the last kernel are in use
 *
 * Context: boot; the tables are those of the last kernel.
 * Return: 0, -ENOMEM (this is not known: nothing may be created).
 */
int __init gmem_restore_prepare(void)
{
	u32 id;
	int err;

	for (id = 0; id < gmem_slot_count(); id++) {
		err = gmem_restore_prepare_slot(id);
		if (err)
			return err;
	}
	return 0;
}

/*
 * Step 2
 */

static void gmem_restore_look(struct gmem_restore *r, u32 id)
{
	struct gmem_object_ser *slot = gmem_slot(id);
	struct gmem_found *found = &r->found[r->nr++];

	*found = (struct gmem_found){ .slot = slot, .id = id };
	found->bad = gmem_slot_check(slot);
	if (found->bad || !slot->nr_ranges)
		return;
	found->ranges = slot->list.phys ? xa_load(&lists, id) : slot->ranges;
	if (found->ranges)
		found->bad = gmem_slot_check_ranges(slot, found->ranges, &gmem_pool.ranges);
	else
		found->bad = "the pages of its ranges are lost";
}

/* Directories come before what is in them. */
static int gmem_restore_by_depth(const void *a, const void *b)
{
	const struct gmem_restore_dir *x = a, *y = b;

	return x->depth < y->depth ? -1 : x->depth > y->depth;
}

static int gmem_restore_list_dirs(const struct gmem_restore *r)
{
	unsigned int i, nr = 0;

	for (i = 0; i < r->nr; i++)
		nr += !r->found[i].bad && r->found[i].slot->kind == GMEM_PERSIST_KIND_DIRECTORY;
	dirs = kvmalloc_array(nr, sizeof(*dirs), GFP_KERNEL);
	if (!dirs)
		return -ENOMEM;
	for (i = 0; i < r->nr; i++)
		if (!r->found[i].bad && r->found[i].slot->kind == GMEM_PERSIST_KIND_DIRECTORY)
			dirs[nr_dirs++] = (struct gmem_restore_dir){
				.depth = r->found[i].depth, .id = r->found[i].id,
			};
	sort(dirs, nr_dirs, sizeof(*dirs), gmem_restore_by_depth, NULL);
	return 0;
}

/* A name that cannot be believed is not shown. */
static const char *gmem_restore_name(const struct gmem_object_ser *slot)
{
	return gmem_name_valid(slot->name) ? slot->name : "";
}

/* It stands in nobody's way from now on. */
static void gmem_restore_mark(struct gmem_object_ser *slot)
{
	guard(spinlock)(&gmem_pool.lock);

	slot->state = GMEM_PERSIST_SLOT_REFUSED;
	gmem_slot_seal(slot);
}

static void gmem_restore_refuse(const struct gmem_found *found)
{
	const char *name = gmem_restore_name(found->slot);

	trace_gmem_restore(name, found->slot->size, found->slot->granule, 0, -EINVAL);
	pr_err("object %s: %s: its memory is quarantined\n", name[0] ? name : "(without name)",
	       found->bad);
	/* Another kernel may know what this one does not. */
	if (!gmem_slot_check(found->slot))
		gmem_restore_mark(found->slot);
	/* The entry is there. */
	xa_store(&left, found->id, LEFT_REFUSED, GFP_KERNEL);
	pending--;
}

static int gmem_restore_judge(struct gmem_restore *r)
{
	unsigned long id;
	unsigned int i;
	void *entry;
	int err;

	xa_for_each(&left, id, entry)
		gmem_restore_look(r, id);
	err = gmem_record_judge(r->found, r->nr, &gmem_pool.arena, r->owned);
	if (err)
		return err;
	err = gmem_restore_list_dirs(r);
	if (err)
		return err;
	for (i = 0; i < r->nr; i++)
		if (r->found[i].bad)
			gmem_restore_refuse(&r->found[i]);
	judged = true;
	/* What is pending is not quarantined: its memory is somebody's. */
	gmem_quarantine_fill(r->owned);
	return 0;
}

/*
 * Step 3
 */

static int gmem_restore_object(u32 id)
{
	struct gmem_object_ser *slot = gmem_slot(id);
	const u64 start = ktime_get_ns();
	struct gmem_object *parent = NULL, *obj;
	int err;

	if (slot->parent) {
		parent = xa_load(&gmem_pool.objects, slot->parent - 1);
		/* There was no memory for it. */
		if (!parent)
			return -ENOMEM;
	}
	/* Nobody knows who has written to it: no saved state is fresh. */
	if (!gmem_slot_token_good(slot)) {
		scoped_guard(spinlock, &gmem_pool.lock)
			gmem_slot_draw_token(slot);
	}
	obj = gmem_object_restore(id, xa_load(&lists, id), parent);
	err = PTR_ERR_OR_ZERO(obj);
	trace_gmem_restore(slot->name, slot->size, slot->granule, ktime_get_ns() - start, err);
	if (err)
		return err;
	xa_erase(&lists, id);
	xa_erase(&left, id);
	pending--;
	return 0;
}

static void gmem_restore_objects(void)
{
	const unsigned int before = pending;
	unsigned long id;
	unsigned int i;
	void *entry;

	/* All others find their directories then. */
	for (i = 0; i < nr_dirs; i++)
		if (xa_load(&left, dirs[i].id) == LEFT_PENDING)
			gmem_restore_object(dirs[i].id);
	xa_for_each(&left, id, entry)
		if (entry == LEFT_PENDING)
			gmem_restore_object(id);
	pr_info("%u objects taken over, generation %llu\n", before - pending,
		gmem_pool.generation);
	if (pending) {
		pr_err("no memory to take %u objects over: they stay in the record, write 1 to restore\n",
		       pending);
		return;
	}
	kvfree(dirs);
	dirs = NULL;
	nr_dirs = 0;
}

static int gmem_restore_try(void)
{
	struct gmem_restore r = {};
	int err = 0;

	if (!judged) {
		err = gmem_restore_alloc(&r);
		if (!err)
			err = gmem_restore_judge(&r);
		gmem_restore_free(&r);
	}
	if (err)
		pr_err("no memory to read the record: %u objects stay in it, write 1 to restore\n",
		       pending);
	else
		gmem_restore_objects();
	return pending ? -ENOMEM : 0;
}

/**
 * gmem_restore - take over the objects of the last kernel
 *
 * Context: boot; gmem_restore_prepare() was called, and free memory is known.
 */
void __init gmem_restore(void)
{
	guard(mutex)(&restore_lock);

	gmem_restore_try();
	if (!judged)
		gmem_quarantine_fill(NULL);
}

static void gmem_restore_work(struct work_struct *work)
{
	guard(mutex)(&restore_lock);
	gmem_restore_try();
}

/**
 * gmem_restore_again - take over objects that there was no memory for before
 *
 * As at boot, the root group of the dmem cgroup pays, not the caller's.
 *
 * Context: process context; takes a mutex and gmem_pool.lock.
 * Return: 0, -ENODEV (there is no pool), -EBUSY (it is frozen), -ENOENT (there are none),
 * -ENOMEM (some are still left).
 */
int gmem_restore_again(void)
{
	struct work_struct work;

	if (!gmem_persist_enabled())
		return -ENODEV;
	if (gmem_pool_frozen())
		return -EBUSY;

	if (!gmem_restore_pending())
		return -ENOENT;
	INIT_WORK_ONSTACK(&work, gmem_restore_work);
	schedule_work(&work);
	flush_work(&work);
	destroy_work_on_stack(&work);
	return gmem_restore_pending() ? -ENOMEM : 0;
}

/**
 * gmem_restore_pending - how many objects there was no memory for
 *
 * Return: the number; they are in the record.
 */
unsigned int gmem_restore_pending(void)
{
	return READ_ONCE(pending);
}

/* Nothing of what was refused will be needed any more. */
static void gmem_restore_forget(void)
{
	struct gmem_range *list;
	unsigned long id;
	void *entry;

	xa_for_each(&left, id, entry) {
		if (entry != LEFT_REFUSED)
			continue;
		scoped_guard(spinlock, &gmem_pool.lock) {
			/* The record stands still: the slot is left to another time. */
			if (gmem_pool.holders)
				return;
			memset(gmem_slot(id), 0, sizeof(struct gmem_object_ser));
		}
		xa_erase(&left, id);
		list = xa_erase(&lists, id);
		if (list)
			gmem_list_free(list);
		gmem_slot_free(id);
	}
}

/* Some of their memory goes: no kernel may take them for good again. */
static void gmem_restore_mark_all(void)
{
	unsigned long id;
	void *entry;

	xa_for_each(&left, id, entry)
		if (entry == LEFT_REFUSED && gmem_slot_sealed(gmem_slot(id)))
			gmem_restore_mark(gmem_slot(id));
}

/**
 * gmem_restore_release - give memory of unknown contents free
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
int gmem_restore_release(u64 base, u64 size)
{
	if (!IS_ALIGNED(base | size, SZ_2M))
		return -EINVAL;

	guard(mutex)(&restore_lock);

	if (gmem_pool_frozen())
		return -EBUSY;
	if (gmem_restore_pending() && !judged)
		return -EAGAIN;
	if (size)
		gmem_restore_mark_all();
	else
		gmem_restore_forget();
	return gmem_quarantine_release(base, size);
}
