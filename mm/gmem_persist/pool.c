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
EXPORT_SYMBOL_FOR_MODULES(gmem_persist_is_pool_pfn, "kvm,kvm-*,vfio_iommu_type1");

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

	guard(mutex)(&gmem_pool.lock);

	for (i = 0; i < arena->nr_nodes; i++) {
		const struct gmem_arena_node *node = &arena->nodes[i];

		if (nid != GMEM_ALL_NODES && nid != node->nid)
			continue;
		stat->pool += node->total;
		stat->clean += node->free - node->free_dirty;
		stat->dirty += node->free_dirty;
		stat->free_1g += node->free_1g;
		stat->quarantined += gmem_arena_node_bytes(arena,
							   &gmem_pool.quarantined,
							   node->nid);
		stat->poisoned += gmem_arena_node_bytes(arena, &gmem_pool.retired,
							node->nid);
	}
	stat->used = stat->pool - stat->clean - stat->dirty - stat->quarantined -
		     stat->poisoned;
}

static void free_quarantined(const struct gmem_range *r)
{
	WARN_ON(gmem_extents_remove(&gmem_pool.quarantined, r->base, r->size));
	WARN_ON(gmem_arena_free(&gmem_pool.arena, r->base, r->size, true));
}

static void quarantine_again(const struct gmem_range *r)
{
	WARN_ON(gmem_arena_take(&gmem_pool.arena, r->base, r->size));
	WARN_ON(gmem_extents_add(&gmem_pool.quarantined, r->base, r->size));
}

/**
 * gmem_pool_release_quarantine - give memory of unknown contents free
 * @base: first byte, or 0 with @size 0: all that is quarantined
 * @size: length in bytes
 *
 * The memory becomes free and dirty, but for granules with bad pages, which are
 * retired. What was in it is lost.
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

	err = gmem_extents_reserve(q, 1);
	err = err ?: gmem_extents_reserve(&old, nr);
	if (err)
		return err;

	if (size)
		gmem_extents_append(&old, base, size);
	for (i = 0; !size && i < nr; i++)
		gmem_extents_append(&old, q->r[i].base, q->r[i].size);
	for (i = 0; i < old.nr; i++)
		free_quarantined(&old.r[i]);

	err = gmem_handover_update();
	for (i = 0; i < old.nr; i++) {
		if (err) {
			quarantine_again(&old.r[i]);
		} else {
			gmem_poison_retire(old.r[i].base, old.r[i].size);
			pr_info("[mem %#018llx-%#018llx] released from quarantine\n",
				old.r[i].base, gmem_range_end(&old.r[i]) - 1);
		}
	}
	kvfree(old.r);
	if (!err)
		gmem_clean_kick();
	return err;
}

/* Blocks for all of the pool, with nothing free yet. */
static int __init make_arena(void)
{
	const struct gmem_extents *all = &gmem_pool.ranges;
	const unsigned int nr = div_u64(gmem_extents_bytes(all), SZ_1G);
	struct gmem_arena_node *nodes;
	struct gmem_block *blocks;
	unsigned int i;
	u64 addr;

	blocks = kvcalloc(nr, sizeof(*blocks), GFP_KERNEL);
	/* One more for memory of which nobody knows the node. */
	nodes = kcalloc(nr_node_ids + 1, sizeof(*nodes), GFP_KERNEL);
	if (!blocks || !nodes)
		goto err;

	gmem_arena_init(&gmem_pool.arena, blocks, nr, nodes, nr_node_ids + 1);
	for (i = 0; i < all->nr; i++)
		for (addr = all->r[i].base; addr < gmem_range_end(&all->r[i]);
		     addr += SZ_1G)
			if (gmem_arena_add_block(&gmem_pool.arena, addr,
						 gmem_pool_nid(addr)))
				goto err;
	return 0;

err:
	kvfree(blocks);
	kfree(nodes);
	return -ENOMEM;
}

static int __init quarantine_all(void)
{
	const struct gmem_extents *all = &gmem_pool.ranges;
	int err = gmem_extents_reserve(&gmem_pool.quarantined, all->nr);
	unsigned int i;

	for (i = 0; !err && i < all->nr; i++)
		err = gmem_extents_add(&gmem_pool.quarantined, all->r[i].base,
				       all->r[i].size);
	return err;
}

static void __init free_all(bool dirty)
{
	const struct gmem_extents *all = &gmem_pool.ranges;
	unsigned int i;

	for (i = 0; i < all->nr; i++) {
		const struct gmem_range *r = &all->r[i];

		if (!dirty)
			gmem_arena_set_clean(&gmem_pool.arena, r->base, r->size);
		WARN_ON(gmem_arena_free(&gmem_pool.arena, r->base, r->size, dirty));
	}
}

/* After kho_init(), before user space. */
static int __init gmem_persist_init(void)
{
	int err;

	if (!gmem_pool.ready)
		return 0;

	err = make_arena();
	if (!err && gmem_pool_origin == GMEM_POOL_ADOPTED)
		err = quarantine_all();
	else if (!err)
		free_all(gmem_pool_origin == GMEM_POOL_NEW);
	err = err ?: gmem_poison_init();
	err = err ?: gmem_fs_init();
	err = err ?: gmem_sysfs_init();
	err = err ?: gmem_charge_init();
	if (err) {
		pr_err("not enough memory to start: the pool stays unused\n");
		gmem_pool.ready = false;
		return err;
	}

	gmem_handover_init();
	gmem_poison_watch();
	/* Last: from here on somebody else takes an interest in free memory. */
	gmem_clean_init();
	return 0;
}
fs_initcall_sync(gmem_persist_init);
