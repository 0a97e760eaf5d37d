// SPDX-License-Identifier: GPL-2.0
/*
 * Pieces of the record for objects: a slot for each, and lists of ranges.
 */
#include "internal.h"

#include <linux/idr.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/random.h>

/* The first chunk of slots; each next one is twice as large, up to the largest. */
#define FIRST_SLOT_ORDER	3

static DEFINE_IDA(slot_ids);

/*
 * One more chunk, as large as can be had, so that there is a slot @id. Who needs one allocates
 * one, and waits for nobody who does the same; the first who has one adds it.
 */
static int gmem_slots_grow(u32 id)
{
	const unsigned int nr = gmem_chunks_count();
	unsigned int order = min(FIRST_SLOT_ORDER + nr, GMEM_PERSIST_MAX_CHUNK_ORDER);
	bool needed;
	void *slots;
	int err = 0;

	if (nr == GMEM_PERSIST_MAX_SLOT_CHUNKS)
		return -ENOSPC;
	/* Smaller ones would use the header's room for chunks up too soon. */
	do {
		slots = gmem_tables_alloc(order, __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
	} while (!slots && order-- > FIRST_SLOT_ORDER);
	if (!slots)
		return -ENOMEM;

	scoped_guard(spinlock, &gmem_pool.lock) {
		needed = id >= gmem_slot_count();
		if (needed)
			err = gmem_tables_add_slots(slots, order);
		if (needed && !err)
			gmem_chunks_add(slots, order);
	}
	if (err || !needed)
		gmem_tables_free(slots);
	return err;
}

/*
 * Chunks are everybody's, and so not charged to who happens to need the next one: each pays for
 * the slots that he has.
 */
#ifdef CONFIG_MEMCG
static int gmem_slot_charge(struct obj_cgroup **payer)
{
	struct obj_cgroup *objcg = memcg_kmem_online() ? current_obj_cgroup() : NULL;

	*payer = NULL;
	if (!objcg || obj_cgroup_is_root(objcg))
		return 0;
	if (obj_cgroup_charge(objcg, GFP_KERNEL, sizeof(struct gmem_object_ser)))
		return -ENOMEM;
	obj_cgroup_get(objcg);
	*payer = objcg;
	return 0;
}

static void gmem_slot_uncharge(struct obj_cgroup *payer)
{
	if (!payer)
		return;
	obj_cgroup_uncharge(payer, sizeof(struct gmem_object_ser));
	obj_cgroup_put(payer);
}
#else
static int gmem_slot_charge(struct obj_cgroup **payer)
{
	*payer = NULL;
	return 0;
}

static void gmem_slot_uncharge(struct obj_cgroup *payer)
{
}
#endif

/**
 * gmem_slot_take - get a slot for a new object
 * @id: its number
 * @payer: set to who pays for it: the caller's memory cgroup, for gmem_slot_free()
 *
 * Context: process context, may allocate; takes gmem_pool.lock.
 * Return: 0, -ENOSPC (no more objects are possible), -EBUSY (the pool is frozen), -ENOMEM.
 */
int gmem_slot_take(u32 *id, struct obj_cgroup **payer)
{
	int err = gmem_slot_charge(payer);
	int ret;

	if (err)
		return err;
	ret = ida_alloc(&slot_ids, GFP_KERNEL);
	if (ret < 0) {
		gmem_slot_uncharge(*payer);
		return ret;
	}

	while (!err && ret >= gmem_slot_count())
		err = gmem_slots_grow(ret);
	if (err) {
		gmem_slot_free(ret, *payer);
		return err;
	}
	*id = ret;
	return 0;
}

/**
 * gmem_slot_reserve - a slot of the last kernel is in use
 * @id: its number
 *
 * Return: 0 or -ENOMEM.
 */
int gmem_slot_reserve(u32 id)
{
	int ret = ida_alloc_range(&slot_ids, id, id, GFP_KERNEL);

	/* It was reserved by an attempt before. */
	return ret == -ENOSPC ? 0 : min(ret, 0);
}

/**
 * gmem_slot_free - a slot may be used again
 * @id: its number; the slot is zero
 * @payer: who pays for it; NULL: nobody, as for those of the last kernel
 *
 * Context: process context.
 */
void gmem_slot_free(u32 id, struct obj_cgroup *payer)
{
	ida_free(&slot_ids, id);
	gmem_slot_uncharge(payer);
}

/**
 * gmem_slot_draw_token - give an object a token that no other has, or has had
 * @slot: its slot
 *
 * Context: gmem_pool.lock is held, or nobody else knows of the object.
 */
void gmem_slot_draw_token(struct gmem_object_ser *slot)
{
	u8 token[GMEM_TOKEN_SIZE];

	get_random_bytes(token, sizeof(token));
	gmem_slot_set_token(slot, token);
}

/*
 * Lists of ranges
 */

/**
 * gmem_list_alloc - make room for the ranges of an object
 * @nr: how many
 * @order: set to the order of the folio
 *
 * Context: process context; charged to the caller's memory cgroup.
 * Return: the list, or NULL: no memory in one piece.
 */
struct gmem_range *gmem_list_alloc(unsigned int nr, unsigned int *order)
{
	*order = get_order(array_size(nr, sizeof(struct gmem_range)));
	if (*order > GMEM_PERSIST_MAX_LIST_ORDER)
		return NULL;
	return gmem_tables_alloc(*order, __GFP_ACCOUNT | __GFP_NOWARN);
}

/**
 * gmem_list_adopt - take over a list of the last kernel
 * @list: where it is
 *
 * It is for the caller to have it preserved, by gmem_tables_preserve().
 *
 * Context: process context.
 * Return: the list, or NULL: its pages are lost.
 */
struct gmem_range *gmem_list_adopt(const struct gmem_chunk_ser *list)
{
	return gmem_tables_adopt(list->phys, list->order);
}

/**
 * gmem_list_free - the ranges of an object are gone
 * @list: from gmem_list_alloc() or gmem_list_adopt()
 *
 * Context: process context.
 */
void gmem_list_free(struct gmem_range *list)
{
	gmem_tables_free(list);
}
