// SPDX-License-Identifier: GPL-2.0
/*
 * Slots of the record that have no object: they are pending until there is memory to take them
 * over (restore.c), or were refused.
 *
 * The entries are changed under gmem_left_lock. How many are pending can be read without, and
 * whether nobody gets a name because of them is asked under gmem_pool.lock (name.c).
 */
#include "internal.h"

#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/xarray.h>

/* Who restores, releases or attaches; outside of gmem_pool.lock. */
DEFINE_MUTEX(gmem_left_lock);

/* What each slot is, by number; those behind the end have an object, or are not used. */
static u8 *gmem_left_kinds;
static u32 gmem_left_end;

/* The lists of ranges that were taken over for them, by number */
DEFINE_XARRAY(gmem_left_lists);

/* Which of them are good is known; under gmem_left_lock. */
bool gmem_left_judged;

/* How many are pending; under gmem_left_lock, read without */
static unsigned int gmem_left_nr;

/**
 * gmem_left_pending - how many objects there was no memory for
 *
 * Return: the number; they are in the record.
 */
unsigned int gmem_left_pending(void)
{
	return READ_ONCE(gmem_left_nr);
}

/**
 * gmem_left_is - whether a slot without an object is of one kind
 * @id: number of the slot
 * @kind: GMEM_LEFT_PENDING or GMEM_LEFT_REFUSED
 *
 * Context: under gmem_left_lock.
 * Return: true if it is.
 */
bool gmem_left_is(u32 id, enum gmem_left kind)
{
	return id < gmem_left_end && gmem_left_kinds[id] == kind;
}

/**
 * gmem_left_next - find a slot without an object
 * @id: number of the first slot to look at; set to that of the one that is found
 * @kind: GMEM_LEFT_PENDING or GMEM_LEFT_REFUSED
 *
 * Context: under gmem_left_lock.
 * Return: true if there is one.
 */
bool gmem_left_next(u32 *id, enum gmem_left kind)
{
	for (; *id < gmem_left_end; ++*id)
		if (gmem_left_kinds[*id] == kind)
			return true;
	return false;
}

/* For all slots that there are now, so it is seldom done */
static int gmem_left_make_room(u32 id)
{
	const u32 end = gmem_slot_count();
	u8 *kinds;

	if (id < gmem_left_end)
		return 0;
	kinds = kvrealloc(gmem_left_kinds, end, GFP_KERNEL | __GFP_ZERO);
	if (!kinds)
		return -ENOMEM;
	gmem_left_kinds = kinds;
	gmem_left_end = end;
	return 0;
}

/**
 * gmem_left_add - a slot is pending from now on
 * @id: number of the slot
 *
 * Context: process context, under gmem_left_lock.
 * Return: 0 or -ENOMEM.
 */
int gmem_left_add(u32 id)
{
	int err = gmem_left_make_room(id);

	if (err)
		return err;
	gmem_left_kinds[id] = GMEM_LEFT_PENDING;
	WRITE_ONCE(gmem_left_nr, gmem_left_nr + 1);
	return 0;
}

/**
 * gmem_left_taken - a slot that was pending is so no more: what it has is an object's
 * @id: number of the slot
 *
 * Context: process context, under gmem_left_lock.
 */
void gmem_left_taken(u32 id)
{
	if (!xa_empty(&gmem_left_lists))
		xa_erase(&gmem_left_lists, id);
	gmem_left_kinds[id] = GMEM_LEFT_NONE;
	WRITE_ONCE(gmem_left_nr, gmem_left_nr - 1);
}

/**
 * gmem_left_refuse - a slot that was pending is refused from now on
 * @id: number of the slot
 *
 * Context: process context, under gmem_left_lock; allocates nothing.
 */
void gmem_left_refuse(u32 id)
{
	gmem_left_kinds[id] = GMEM_LEFT_REFUSED;
	WRITE_ONCE(gmem_left_nr, gmem_left_nr - 1);
}

/**
 * gmem_left_mark - a slot that was refused stands in nobody's way from now on
 * @slot: the slot
 *
 * Context: process context, under gmem_left_lock; takes gmem_pool.lock.
 * Return: 0; -EBUSY: the record stands still.
 */
int gmem_left_mark(struct gmem_object_ser *slot)
{
	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	slot->state = GMEM_PERSIST_SLOT_REFUSED;
	gmem_slot_seal(slot);
	return 0;
}

/**
 * gmem_left_forget - give a slot up that was refused, with its list
 * @id: number of the slot
 *
 * Context: process context, under gmem_left_lock; takes gmem_pool.lock.
 * Return: 0; -EBUSY: the record stands still.
 */
int gmem_left_forget(u32 id)
{
	scoped_guard(spinlock, &gmem_pool.lock) {
		if (gmem_pool.holders)
			return -EBUSY;
		memset(gmem_slot(id), 0, sizeof(struct gmem_object_ser));
	}
	gmem_left_kinds[id] = GMEM_LEFT_NONE;
	gmem_left_drop_list(id);
	gmem_slot_free(id, NULL);
	return 0;
}

/**
 * gmem_left_adopt_list - take the list of a slot over
 * @id: number of the slot
 * @slot: the slot
 *
 * So the next kernel finds it whatever becomes of the object here. A list that is lost is
 * missed when the slot is judged.
 *
 * Context: process context, under gmem_left_lock.
 * Return: 0 or -ENOMEM.
 */
int gmem_left_adopt_list(u32 id, const struct gmem_object_ser *slot)
{
	struct gmem_range *list;
	int err;

	if (!slot->list.phys || !gmem_slot_sealed(slot))
		return 0;
	/* By an attempt before, if not now */
	list = gmem_left_list(id);
	if (!list) {
		err = xa_reserve(&gmem_left_lists, id, GFP_KERNEL);
		if (err)
			return err;
		list = gmem_list_adopt(&slot->list);
		if (list)
			xa_store(&gmem_left_lists, id, list, GFP_KERNEL);
		else
			xa_release(&gmem_left_lists, id);
	}
	return gmem_tables_preserve(list);
}

/**
 * gmem_left_list - the list of ranges that was taken over for a slot without an object
 * @id: number of the slot
 *
 * Context: under gmem_left_lock.
 * Return: the list, or NULL if there is none.
 */
struct gmem_range *gmem_left_list(u32 id)
{
	return xa_load(&gmem_left_lists, id);
}

/**
 * gmem_left_drop_list - free it, if there is one
 * @id: number of the slot
 *
 * Context: process context, under gmem_left_lock.
 */
void gmem_left_drop_list(u32 id)
{
	struct gmem_range *list = xa_erase(&gmem_left_lists, id);

	if (list)
		gmem_list_free(list);
}
