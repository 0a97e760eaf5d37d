// SPDX-License-Identifier: GPL-2.0
/*
 * Which slot of the record is in which chunk.
 *
 * Pure logic, but that its state is here: there is one record. It is compiled in user space, too.
 */
#include <linux/mm.h>
#include <linux/types.h>
#include <asm/barrier.h>
#include <asm/rwonce.h>

#include "record.h"

/* Slots are only added, under gmem_pool.lock; then nr_slots tells of them. */
static struct {
	struct gmem_object_ser *slots;
	u32 first;
} slot_chunks[GMEM_PERSIST_MAX_SLOT_CHUNKS];
static unsigned int nr_slot_chunks;
static u32 nr_slots;

/**
 * gmem_slot_count - how many slots there are
 *
 * Return: the number, used ones and others; it only grows.
 */
unsigned int gmem_slot_count(void)
{
	return READ_ONCE(nr_slots);
}

/**
 * gmem_chunks_count - how many chunks of slots there are
 *
 * Return: the number; it only grows.
 */
unsigned int gmem_chunks_count(void)
{
	return READ_ONCE(nr_slot_chunks);
}

/**
 * gmem_slot - the slot with a number
 * @id: the number, less than gmem_slot_count()
 *
 * Return: the slot.
 */
struct gmem_object_ser *gmem_slot(u32 id)
{
	/* Pairs with the release in gmem_chunks_add(). */
	unsigned int lo = 0, hi = smp_load_acquire(&nr_slot_chunks);

	if (!hi)
		return NULL;
	/* It is in one of the chunks from lo on, but before hi. */
	while (hi - lo > 1) {
		const unsigned int mid = lo + (hi - lo) / 2;

		if (id < slot_chunks[mid].first)
			hi = mid;
		else
			lo = mid;
	}
	return &slot_chunks[lo].slots[id - slot_chunks[lo].first];
}

/**
 * gmem_chunks_add - there is one more chunk of slots
 * @slots: the chunk, which the header lists
 * @order: of its folio
 *
 * Context: boot, or gmem_pool.lock is held.
 */
void gmem_chunks_add(void *slots, unsigned int order)
{
	slot_chunks[nr_slot_chunks].slots = slots;
	slot_chunks[nr_slot_chunks].first = nr_slots;
	smp_store_release(&nr_slot_chunks, nr_slot_chunks + 1);	/* for gmem_slot() */
	WRITE_ONCE(nr_slots, nr_slots + (GMEM_SLOTS_PER_PAGE << order));
}

/**
 * gmem_chunks_forget - begin without slots
 *
 * Context: boot.
 */
void gmem_chunks_forget(void)
{
	nr_slot_chunks = 0;
	nr_slots = 0;
}
