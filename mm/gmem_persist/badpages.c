// SPDX-License-Identifier: GPL-2.0
/*
 * Which pages of the pool are bad, and what is not given out because of them. See poison.c.
 */
#include "internal.h"

#include <linux/kvm_types.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/xarray.h>

/* Move *@addr on to the next bad page before @end, if there is one. */
static bool gmem_badpages_next(u64 *addr, u64 end)
{
	struct gmem_range part;

	if (*addr >= end || !gmem_ranges_overlap(&gmem_pool.bad_pages, *addr,
						 end - *addr, &part))
		return false;
	*addr = part.base;
	return true;
}

static void gmem_badpages_retire_granule(u64 base)
{
	/* Then it is told by the page alone, and the next kernel does the same. */
	if (gmem_pool.holders) {
		gmem_pool.retire_later = true;
		return;
	}
	/* It may be retired already, or quarantined, or an object's. */
	if (gmem_arena_take(&gmem_pool.arena, base, SZ_2M))
		return;
	WARN_ON(gmem_ranges_add(&gmem_pool.retired, base, SZ_2M));
	gmem_pool_count_retired(base);
}

/**
 * gmem_badpages_retire - keep bad memory from being given out
 * @base: first byte of memory that has just become free, aligned to 2 MiB
 * @size: its length in bytes, a multiple of 2 MiB
 *
 * Every granule with a bad page in it leaves the free memory; in a frozen pool, with the
 * thaw. The next kernel does the same with what it finds in the list of bad pages.
 *
 * Context: gmem_pool.lock is held.
 */
void gmem_badpages_retire(u64 base, u64 size)
{
	u64 addr;

	lockdep_assert_held(&gmem_pool.lock);

	for (addr = base; gmem_badpages_next(&addr, base + size); addr += SZ_2M) {
		addr = ALIGN_DOWN(addr, SZ_2M);
		gmem_badpages_retire_granule(addr);
	}
}

/**
 * gmem_badpages_retire_all - keep all bad memory from being given out
 *
 * Context: gmem_pool.lock is held; the pool is not frozen.
 */
void gmem_badpages_retire_all(void)
{
	const struct gmem_ranges *bad = &gmem_pool.bad_pages;
	unsigned int i;

	gmem_pool.retire_later = false;
	for (i = 0; i < bad->nr; i++)
		gmem_badpages_retire(bad->r[i].base, bad->r[i].size);
}

/**
 * gmem_badpages_hit - is there a bad page
 * @base: first byte of a range
 * @size: its length in bytes
 *
 * Context: gmem_pool.lock is held.
 * Return: true if so.
 */
bool gmem_badpages_hit(u64 base, u64 size)
{
	lockdep_assert_held(&gmem_pool.lock);

	return gmem_badpages_next(&base, base + size);
}

/**
 * gmem_object_is_bad - is a page of an object one that nobody may access
 * @obj: the object
 * @index: number of the page in the object
 *
 * Context: any; the caller holds a view. Whoever makes a mapping must ask after he has
 * begun to watch for invalidations of the page: there is one when the answer changes.
 * Return: true if the page has a memory error.
 */
bool gmem_object_is_bad(struct gmem_object *obj, pgoff_t index)
{
	return xa_load(&obj->bad_pages, index);
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_is_bad);

/**
 * gmem_badpages_good_run - how far a part of an object is good
 * @obj: the object
 * @offset: where the part begins, in bytes, aligned to pages
 * @size: its length in bytes, aligned to pages
 *
 * Context: any; without the invalidate lock the answer may change.
 * Return: the number of bytes before the first bad page, @size if there is none.
 */
u64 gmem_badpages_good_run(struct gmem_object *obj, u64 offset, u64 size)
{
	unsigned long first = offset >> PAGE_SHIFT;

	if (!xa_find(&obj->bad_pages, &first, ((offset + size) >> PAGE_SHIFT) - 1,
		     XA_PRESENT))
		return size;
	return ((u64)first << PAGE_SHIFT) - offset;
}

/**
 * gmem_badpages_next_new - find a page that is bad and that an object does not know to be so
 * @obj: the object
 * @list: its memory, which need not be its yet
 * @addr: set to the address of the first one
 * @index: set to its number in @list
 *
 * Context: any but interrupts; takes gmem_pool.lock.
 * Return: true if there is one.
 */
bool gmem_badpages_next_new(struct gmem_object *obj, const struct gmem_ranges *list,
			    u64 *addr, pgoff_t *index)
{
	u64 offset = 0;
	unsigned int i;

	for (i = 0; i < list->nr; offset += list->r[i++].size) {
		const struct gmem_range *r = &list->r[i];

		/* For each range by itself: there may be very many. */
		guard(spinlock)(&gmem_pool.lock);

		for (*addr = r->base; gmem_badpages_next(addr, gmem_range_end(r));
		     *addr += PAGE_SIZE) {
			*index = (offset + *addr - r->base) >> PAGE_SHIFT;
			if (!gmem_object_is_bad(obj, *index))
				return true;
		}
	}
	return false;
}

/**
 * gmem_badpages_mark - mark the bad pages of an object that comes with contents
 * @obj: the object, which nobody can use yet
 * @list: its memory, which need not be its yet
 *
 * There may be more by the time that it can be used: see gmem_poison_look_again().
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0 or -ENOMEM.
 */
int gmem_badpages_mark(struct gmem_object *obj, const struct gmem_ranges *list)
{
	pgoff_t index;
	u64 addr;
	int err;

	/* Mostly there are none at all. */
	if (!READ_ONCE(gmem_pool.bad_pages.nr))
		return 0;
	while (gmem_badpages_next_new(obj, list, &addr, &index)) {
		err = xa_err(xa_store(&obj->bad_pages, index, xa_mk_value(1), GFP_KERNEL));
		if (err)
			return err;
	}
	return 0;
}

/**
 * gmem_badpages_init - make room for lists of bad memory
 *
 * Return: 0 or -ENOMEM.
 */
int gmem_badpages_init(void)
{
	int err = gmem_ranges_reserve(&gmem_pool.bad_pages, GMEM_PERSIST_MAX_BAD_PAGES);

	if (err)
		return err;
	return gmem_ranges_reserve(&gmem_pool.retired, GMEM_PERSIST_MAX_BAD_PAGES);
}

/**
 * gmem_badpages_restore - take over what the last kernel knew
 *
 * Context: process context; the list of bad pages is there, and free memory is known.
 */
void gmem_badpages_restore(void)
{
	const struct gmem_ranges *bad = &gmem_pool.bad_pages;

	guard(spinlock)(&gmem_pool.lock);

	gmem_badpages_retire_all();
	if (bad->nr)
		pr_warn("%llu pages have memory errors, %llu MiB are not given out because of them\n",
			gmem_ranges_bytes(bad) >> PAGE_SHIFT,
			gmem_ranges_bytes(&gmem_pool.retired) >> 20);
}
