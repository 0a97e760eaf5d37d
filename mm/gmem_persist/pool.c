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
	.lock = __SPIN_LOCK_UNLOCKED(gmem_pool.lock),
	.ranges = { .r = pool_ranges, .cap = GMEM_MAX_EXTENTS },
	.objects = XARRAY_INIT(gmem_pool.objects, 0),
	.deferred = LIST_HEAD_INIT(gmem_pool.deferred),
	.image = -ENOENT,
};

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
		stat->quarantined += gmem_arena_node_bytes(arena,
							   &gmem_pool.quarantined,
							   node->nid);
		stat->poisoned += gmem_arena_node_bytes(arena, &gmem_pool.retired,
							node->nid);
	}
	stat->used = stat->pool - stat->clean - stat->dirty - stat->quarantined -
		     stat->poisoned;
}

/* An arena on the blocks in the record, as these are */
static int __init gmem_pool_make_arena(void)
{
	const struct gmem_ranges *all = &gmem_pool.ranges;
	const unsigned int nr = div_u64(gmem_ranges_bytes(all), SZ_1G);
	struct gmem_arena_node *nodes;
	struct gmem_block *blocks;
	unsigned int i, k = 0;
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
			if (gmem_arena_add_block(&gmem_pool.arena, gmem_tables_block(k++), addr,
						 gmem_pool_nid(addr)))
				goto err;
	return 0;

err:
	kvfree(blocks);
	kfree(nodes);
	return -ENOMEM;
}

static void __init gmem_pool_free_all(bool dirty)
{
	const struct gmem_ranges *all = &gmem_pool.ranges;
	unsigned int i;

	for (i = 0; i < all->nr; i++) {
		const struct gmem_range *r = &all->r[i];

		if (!dirty)
			gmem_arena_set_clean(&gmem_pool.arena, r->base, r->size);
		WARN_ON(gmem_arena_free(&gmem_pool.arena, r->base, r->size, dirty));
	}
}

/* The record of the last kernel, or a new one; and whether it is the last kernel's */
static int __init gmem_pool_take_over(bool *found)
{
	const bool adopted = gmem_pool_origin == GMEM_POOL_ADOPTED;
	const char *bad = "the pool is new";
	int err;

	if (adopted)
		bad = gmem_tables_find();
	*found = !bad;
	if (adopted && bad)
		pr_err("record refused: %s: all of the pool is quarantined\n", bad);
	if (bad) {
		err = gmem_tables_make(adopted);
		if (err)
			return err;
	} else {
		gmem_tables_check_nodes();
		err = gmem_restore_prepare();
		if (err)
			return err;
	}
	err = gmem_pool_make_arena();
	if (err)
		return err;
	if (!adopted)
		gmem_pool_free_all(gmem_pool_origin == GMEM_POOL_NEW);
	else if (bad)
		gmem_quarantine_fill(NULL);
	return 0;
}

/* After kho_init(), before user space. */
static int __init gmem_pool_init(void)
{
	bool found = false;
	int err;

	if (!gmem_pool.ready)
		return 0;

	err = gmem_poison_init();
	if (!err)
		err = gmem_window_init();
	if (!err)
		err = gmem_pool_take_over(&found);
	if (!err)
		err = gmem_fs_init();
	if (!err)
		err = gmem_sysfs_init();
	if (!err)
		err = gmem_charge_init();
	if (!err && found) {
		gmem_arena_settle(&gmem_pool.arena);
		gmem_poison_restore();
		gmem_restore();
	}
	/* Whatever else there is no memory for, the next kernel shall find the record. */
	gmem_handover_init();
	gmem_leave_init();
	if (err) {
		pr_err("not enough memory to start: the pool stays unused\n");
		gmem_pool.ready = false;
		return err;
	}

	if (gmem_pool.quarantined.nr)
		pr_warn("%llu MiB are quarantined; the operator may release them\n",
			gmem_ranges_bytes(&gmem_pool.quarantined) >> 20);
	gmem_debugfs_init();
	gmem_poison_watch();
	/* Last: from here on somebody else takes an interest in free memory. */
	gmem_clean_init();
	return 0;
}
fs_initcall_sync(gmem_pool_init);
