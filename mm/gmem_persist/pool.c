// SPDX-License-Identifier: GPL-2.0
/*
 * The pool once it is there: what state its memory is in.
 */
#include "internal.h"

#include <linux/kvm_types.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>

static struct gmem_range pool_ranges[GMEM_MAX_EXTENTS];

struct gmem_pool gmem_pool = {
	.lock = __SPIN_LOCK_UNLOCKED(gmem_pool.lock),
	.ranges = { .r = pool_ranges, .cap = GMEM_MAX_EXTENTS },
	.objects = XARRAY_INIT(gmem_pool.objects, XA_FLAGS_ACCOUNT),
	.keeping = LIST_HEAD_INIT(gmem_pool.keeping),
	.deferred = LIST_HEAD_INIT(gmem_pool.deferred),
	.ended = LIST_HEAD_INIT(gmem_pool.ended),
	.image = -ENOENT,
};

#ifdef CONFIG_FAULT_INJECTION
u32 gmem_pool_fail_nth;
#endif

/**
 * gmem_ranges_reserve - make room for more entries
 * @x: a set or list, with memory from kvmalloc()
 * @extra: how many entries more than @x->nr must fit
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int gmem_ranges_reserve(struct gmem_ranges *x, unsigned int extra)
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
	return gmem_ranges_contain(&gmem_pool.ranges, PFN_PHYS(pfn), PAGE_SIZE);
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
	return size && gmem_ranges_overlap(&gmem_pool.ranges, base, size, NULL);
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

/*
 * Memory that nobody has and that is not free, by node in the order of the arena's, so that
 * whoever asks for sums need not add up; under gmem_pool.lock
 */
static struct gmem_pool_sums {
	u64 quarantined;
	u64 retired;
} *gmem_pool_sums;

/**
 * gmem_pool_init_sums - begin to count
 *
 * Context: process context, before there is an arena.
 * Return: 0 or -ENOMEM; it may be tried again.
 */
int gmem_pool_init_sums(void)
{
	/* One more for memory of which nobody knows the node. */
	gmem_pool_sums = kcalloc(nr_node_ids + 1, sizeof(*gmem_pool_sums), GFP_KERNEL);
	return gmem_pool_sums ? 0 : -ENOMEM;
}

static struct gmem_pool_sums *gmem_pool_sums_at(u64 addr)
{
	const struct gmem_arena *arena = &gmem_pool.arena;

	return &gmem_pool_sums[gmem_arena_node(arena, gmem_arena_nid(arena, addr)) -
			       arena->nodes];
}

/**
 * gmem_pool_count_quarantined - what is quarantined changes
 * @base: first byte of a range, in whole granules
 * @size: its length in bytes
 * @more: it is from now on; else it is no more
 *
 * Context: gmem_pool.lock is held.
 */
void gmem_pool_count_quarantined(u64 base, u64 size, bool more)
{
	const u64 end = base + size;
	u64 at, next;

	lockdep_assert_held(&gmem_pool.lock);

	/* No GiB is on two nodes. */
	for (at = base; at < end; at = next) {
		next = min(ALIGN(at + 1, SZ_1G), end);
		gmem_pool_sums_at(at)->quarantined += more ? next - at : at - next;
	}
}

/**
 * gmem_pool_count_retired - a granule is retired
 * @base: first byte
 *
 * Context: gmem_pool.lock is held.
 */
void gmem_pool_count_retired(u64 base)
{
	lockdep_assert_held(&gmem_pool.lock);

	gmem_pool_sums_at(base)->retired += SZ_2M;
}

/**
 * gmem_pool_stat - where the memory of the pool is
 * @nid: on which node; GMEM_ALL_NODES: on all
 * @stat: the answer
 *
 * Context: process context, takes gmem_pool.lock.
 */
void gmem_pool_stat(int nid, struct gmem_stat *stat)
{
	const struct gmem_arena *arena = &gmem_pool.arena;
	unsigned int i;

	*stat = (struct gmem_stat){};

	guard(spinlock)(&gmem_pool.lock);

	for (i = 0; i < arena->nr_nodes; i++) {
		const struct gmem_arena_node *node = &arena->nodes[i];

		if (nid != GMEM_ALL_NODES && nid != node->nid)
			continue;
		stat->pool += node->total;
		stat->clean += node->free - node->free_dirty;
		stat->dirty += node->free_dirty;
		stat->free_1g += node->free_1g;
		stat->quarantined += gmem_pool_sums[i].quarantined;
		stat->poisoned += gmem_pool_sums[i].retired;
	}
	stat->used = stat->pool - stat->clean - stat->dirty - stat->quarantined -
		     stat->poisoned;
}
