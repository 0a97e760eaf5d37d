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
#include <linux/string.h>
#include <linux/xarray.h>

/* Who restores, releases or attaches; outside of gmem_pool.lock. */
DEFINE_MUTEX(gmem_left_lock);

/* Slots without an object, by number, and what they are */
DEFINE_XARRAY(gmem_left);

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
bool gmem_left_is(u32 id, const void *kind)
{
	return xa_load(&gmem_left, id) == kind;
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
	int err = xa_err(xa_store(&gmem_left, id, GMEM_LEFT_PENDING, GFP_KERNEL));

	if (err)
		return err;
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
	if (gmem_slot(id)->list.phys)
		xa_erase(&gmem_left_lists, id);
	xa_erase(&gmem_left, id);
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
	/* The entry is there. */
	xa_store(&gmem_left, id, GMEM_LEFT_REFUSED, GFP_KERNEL);
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
	xa_erase(&gmem_left, id);
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
	struct gmem_range *list = gmem_left_list(id);
	int err;

	if (!slot->list.phys || !gmem_slot_sealed(slot))
		return 0;
	/* By an attempt before, if not now */
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
