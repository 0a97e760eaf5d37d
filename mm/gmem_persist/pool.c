// SPDX-License-Identifier: GPL-2.0
/*
 * The pool once it is there: what state its memory is in.
 */
#include "internal.h"

#include <linux/init.h>
#include <linux/kvm_types.h>
#include <linux/mm.h>
#include <linux/sizes.h>

static struct gmem_range pool_ranges[GMEM_MAX_EXTENTS];

struct gmem_pool gmem_pool = {
	.lock = __MUTEX_INITIALIZER(gmem_pool.lock),
	.ranges = { .r = pool_ranges, .cap = GMEM_MAX_EXTENTS },
	.objects = LIST_HEAD_INIT(gmem_pool.objects),
};

/**
 * gmem_extents_reserve - make room for more entries
 * @x: a set or list, with memory from kvmalloc()
 * @extra: how many entries more than @x->nr must fit
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int gmem_extents_reserve(struct gmem_extents *x, unsigned int extra)
{
	size_t need = (size_t)x->nr + extra;
	struct gmem_range *r;

	if (need <= x->cap)
		return 0;

	/* Ahead, so that a pool in many pieces does not come here every time. */
	need = max_t(size_t, need + need / 2, 16);
	r = kvrealloc(x->r, array_size(need, sizeof(*r)), GFP_KERNEL);
	if (!r)
		return -ENOMEM;
	x->r = r;
	x->cap = need;
	return 0;
}

/**
 * gmem_persist_enabled - is there persistent guest memory on this host
 *
 * Return: true if objects can be created or claimed.
 */
bool gmem_persist_enabled(void)
{
	return READ_ONCE(gmem_pool.ready);
}
EXPORT_SYMBOL_FOR_KVM(gmem_persist_enabled);

/**
 * gmem_persist_is_pool_pfn - does a page frame belong to the pool
 * @pfn: its number
 *
 * Context: any; the pool does not change after boot.
 * Return: true if so, also for memory that is quarantined.
 */
bool gmem_persist_is_pool_pfn(unsigned long pfn)
{
	return gmem_extents_contain(&gmem_pool.ranges, PFN_PHYS(pfn), PAGE_SIZE);
}
EXPORT_SYMBOL_FOR_KVM(gmem_persist_is_pool_pfn);

/**
 * gmem_persist_overlaps - does any of a range of memory belong to the pool
 * @base: first byte
 * @size: length in bytes; @base + @size must not wrap around
 *
 * Costs the same for any size.
 *
 * Context: any; the pool does not change after boot.
 * Return: true if so, also for memory that is quarantined.
 */
bool gmem_persist_overlaps(u64 base, u64 size)
{
	return size && gmem_extents_overlap(&gmem_pool.ranges, base, size, NULL);
}

/**
 * gmem_pool_frozen - does somebody hold the pool still
 *
 * Return: true if so. Without gmem_pool.lock the answer is a hint.
 */
bool gmem_pool_frozen(void)
{
	return READ_ONCE(gmem_pool.holders);
}

/**
 * gmem_pool_release_quarantine - give memory of unknown contents free
 * @base: first byte, or 0 with @size 0: all that is quarantined
 * @size: length in bytes
 *
 * The memory becomes free and dirty. What was in it is lost.
 *
 * Context: process context, takes gmem_pool.lock.
 * Return: 0, -EINVAL (not aligned to 2 MiB), -ENOENT (not all of it is
 * quarantined), -EBUSY (the pool is frozen), -ENOSPC (the record would become too
 * large), -ENOMEM.
 */
int gmem_pool_release_quarantine(u64 base, u64 size)
{
	struct gmem_extents *q = &gmem_pool.quarantined;
	struct gmem_extents old = {};
	unsigned int i, nr;
	int err;

	if (!IS_ALIGNED(base | size, SZ_2M))
		return -EINVAL;

	guard(mutex)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	if (size && !gmem_extents_contain(q, base, size))
		return -ENOENT;
	nr = size ? 1 : q->nr;

	err = gmem_extents_reserve(&gmem_pool.free, gmem_pool.reserved + nr);
	err = err ?: gmem_extents_reserve(&gmem_pool.dirty,
					  gmem_pool.reserved + nr);
	err = err ?: gmem_extents_reserve(q, 1);
	err = err ?: gmem_extents_reserve(&old, nr);
	if (err)
		return err;

	if (size)
		gmem_extents_append(&old, base, size);
	for (i = 0; !size && i < nr; i++)
		gmem_extents_append(&old, q->r[i].base, q->r[i].size);
	for (i = 0; i < old.nr; i++) {
		gmem_extents_remove(q, old.r[i].base, old.r[i].size);
		gmem_extents_add(&gmem_pool.free, old.r[i].base, old.r[i].size);
		gmem_extents_add(&gmem_pool.dirty, old.r[i].base, old.r[i].size);
	}

	err = gmem_handover_update();
	for (i = 0; i < old.nr; i++) {
		if (!err) {
			pr_info("[mem %#018llx-%#018llx] released from quarantine\n",
				old.r[i].base, gmem_range_end(&old.r[i]) - 1);
			continue;
		}
		gmem_extents_remove(&gmem_pool.free, old.r[i].base, old.r[i].size);
		gmem_extents_remove(&gmem_pool.dirty, old.r[i].base, old.r[i].size);
		gmem_extents_add(q, old.r[i].base, old.r[i].size);
	}
	kvfree(old.r);
	return err;
}

static int __init copy_extents(struct gmem_extents *to,
			       const struct gmem_extents *from)
{
	if (gmem_extents_reserve(to, from->nr))
		return -ENOMEM;
	memcpy(to->r, from->r, from->nr * sizeof(*to->r));
	to->nr = from->nr;
	return 0;
}

/* After kho_init(), before user space. */
static int __init gmem_persist_init(void)
{
	const struct gmem_extents *all = &gmem_pool.ranges;
	int err = 0;

	if (!gmem_pool.ready)
		return 0;

	if (gmem_pool_origin == GMEM_POOL_ADOPTED)
		err = copy_extents(&gmem_pool.quarantined, all);
	else
		err = copy_extents(&gmem_pool.free, all);
	if (!err && gmem_pool_origin == GMEM_POOL_NEW)
		err = copy_extents(&gmem_pool.dirty, all);
	err = err ?: gmem_object_init();
	err = err ?: gmem_sysfs_init();
	if (err) {
		pr_err("not enough memory to start: the pool stays unused\n");
		gmem_pool.ready = false;
		return err;
	}

	gmem_handover_init();
	return 0;
}
fs_initcall_sync(gmem_persist_init);
