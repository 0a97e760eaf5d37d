// SPDX-License-Identifier: GPL-2.0
/*
 * Starting: what is done at boot, in which order, and what if there is no memory for it.
 */

/**
 * DOC: starting
 *
 * The pool has been set aside (reserve.c). What there is to do with it is a list of *steps*,
 * and none of them may cost what is in the pool. So each leaves all as it was when it fails
 * for lack of memory, or can go on where it was, and the list is gone through again from
 * there:
 *
 * 1. at boot, as soon as KHO is ready;
 * 2. at the end of boot;
 * 3. whenever root writes 1 to the file ``restore``, which is why the first step is sysfs;
 * 4. on the way into the next kernel, if that would not find the record.
 *
 * The tables of the last kernel are taken over and published to the next one before anything
 * else is made, so that a kexec carries all of it in whichever state this kernel is. Until all
 * steps are done, the pool cannot be used. Objects that there is no memory for do not keep it
 * from that; see restore.c.
 */
#include "fs.h"

#include <linux/init.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "gmem_persist."

/* Who starts */
static DEFINE_MUTEX(start_lock);

/* There is a record of the last kernel that can be believed; under start_lock. */
static bool found;

static bool gmem_start_adopted(void)
{
	return gmem_pool_origin == GMEM_POOL_ADOPTED;
}

static unsigned int gmem_start_nr_blocks(void)
{
	return div_u64(gmem_ranges_bytes(&gmem_pool.ranges), SZ_1G);
}

/*
 * Is the pool where the last kernel saw it? Says so in the log if not. Where one of the two does
 * not know, there is nothing to compare. The arena, which changes that, has not been made.
 */
static void gmem_start_check_nodes(void)
{
	const struct gmem_block_ser *first = NULL, *last = NULL;
	unsigned int i, nr = gmem_start_nr_blocks();
	int nid;

	for (i = 0; i <= nr; i++) {
		const struct gmem_block_ser *b = i < nr ? gmem_tables_block(i) : NULL;
		bool moved;

		nid = b ? gmem_pool_nid(b->base) : NUMA_NO_NODE;
		/* A damaged page tells of nothing. */
		moved = nid != NUMA_NO_NODE && b->base && b->nid != nid &&
			b->nid != (u32)NUMA_NO_NODE;
		/* Each run of blocks that went the same way is told of once. */
		if (first && (!moved || b->nid != first->nid || b->base != last->base + SZ_1G ||
			      nid != gmem_pool_nid(first->base))) {
			pr_warn("[mem %#018llx-%#018llx] was on node %u and is on node %d now\n",
				first->base, last->base + SZ_1G - 1, first->nid,
				gmem_pool_nid(first->base));
			first = NULL;
		}
		if (moved && !first)
			first = b;
		last = b;
	}
}

/* Take the tables of the last kernel over; without memory, so it happens once. */
static int gmem_start_find(void)
{
	const char *bad;

	if (!gmem_start_adopted())
		return 0;
	bad = gmem_tables_find();
	found = !bad;
	if (bad)
		pr_err("record refused: %s: all of the pool is quarantined\n", bad);
	else
		gmem_start_check_nodes();
	return 0;
}

static int gmem_start_tables(void)
{
	return found ? gmem_tables_preserve_all() : gmem_tables_make(gmem_start_adopted());
}

static int gmem_start_slots(void)
{
	return found ? gmem_restore_prepare() : 0;
}

static int gmem_start_fill_arena(void)
{
	const struct gmem_ranges *all = &gmem_pool.ranges;
	unsigned int i, k = 0;
	u64 addr;
	int err;

	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	for (i = 0; i < all->nr; i++) {
		for (addr = all->r[i].base; addr < gmem_range_end(&all->r[i]); addr += SZ_1G) {
			err = gmem_arena_add_block(&gmem_pool.arena, gmem_tables_block(k++),
						   addr, gmem_pool_nid(addr));
			if (WARN_ON(err))
				return err;
		}
	}
	return 0;
}

/* An arena on the blocks in the record, as these are */
static int gmem_start_arena(void)
{
	const unsigned int nr = gmem_start_nr_blocks();
	struct gmem_arena_node *nodes;
	struct gmem_block *blocks;
	int err = -ENOMEM;

	blocks = kvcalloc(nr, sizeof(*blocks), GFP_KERNEL);
	/* One more for memory of which nobody knows the node. */
	nodes = kcalloc(nr_node_ids + 1, sizeof(*nodes), GFP_KERNEL);
	if (blocks && nodes) {
		gmem_arena_init(&gmem_pool.arena, blocks, nr, nodes, nr_node_ids + 1);
		err = gmem_start_fill_arena();
	}
	if (!err)
		return 0;
	gmem_arena_init(&gmem_pool.arena, NULL, 0, NULL, 0);
	kvfree(blocks);
	kfree(nodes);
	return err;
}

static void gmem_start_free_all(bool dirty)
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

/* What is free, and what is quarantined, but for what objects turn out to have */
static int gmem_start_free(void)
{
	if (gmem_start_adopted() && !found)
		return gmem_quarantine_fill(NULL);

	scoped_guard(spinlock, &gmem_pool.lock) {
		if (gmem_pool.holders)
			return -EBUSY;
		if (found)
			gmem_arena_settle(&gmem_pool.arena);
		else
			gmem_start_free_all(gmem_pool_origin == GMEM_POOL_NEW);
	}
	if (found)
		gmem_badpages_restore();
	return 0;
}

/* As soon as an error can be noted: what is given out later finds it there. */
static int gmem_start_watch(void)
{
	gmem_poison_watch(gmem_vma_pgoff);
	return 0;
}

static int (*const gmem_start_steps[])(void) = {
	gmem_sysfs_init,
	gmem_badpages_init,
	gmem_start_find,
	gmem_start_tables,
	gmem_start_slots,
	gmem_handover_init,
	gmem_pool_init_sums,
	gmem_start_arena,
	gmem_start_free,
	gmem_start_watch,
	gmem_window_init,
	gmem_fs_init,
	gmem_charge_init,
	gmem_sysfs_add_nodes,
};

/* How many of them are done; under start_lock, read without */
static unsigned int gmem_start_done;

#ifdef CONFIG_FAULT_INJECTION
static void gmem_start_begin_failing(void)
{
	current->fail_nth = gmem_pool_fail_nth;
}

static void gmem_start_end_failing(void)
{
	gmem_pool_fail_nth = current->fail_nth;
	current->fail_nth = 0;
}
#else
static void gmem_start_begin_failing(void) {}
static void gmem_start_end_failing(void) {}
#endif

/* All steps are done; what comes now cannot fail, or it does not matter. */
static void gmem_start_go(void)
{
	/* Before somebody may release some of it */
	if (gmem_pool.quarantined.nr)
		pr_warn("%llu MiB are quarantined; the operator may release them\n",
			gmem_ranges_bytes(&gmem_pool.quarantined) >> 20);
	WRITE_ONCE(gmem_pool.ready, true);
	/* Last: from here on somebody else takes an interest in free memory. */
	gmem_clean_init();
}

static int gmem_start_do_try(void)
{
	int err;

	while (gmem_start_done < ARRAY_SIZE(gmem_start_steps)) {
		err = gmem_start_steps[gmem_start_done]();
		if (err)
			return err;
		gmem_start_done++;
		if (gmem_pool_has_failed())
			return -ENOMEM;
	}
	if (!gmem_persist_enabled()) {
		err = found ? gmem_restore() : 0;
		gmem_start_go();
		return err;
	}
	return gmem_restore();
}

static int gmem_start_try(void)
{
	int err;

	guard(mutex)(&start_lock);

	gmem_start_begin_failing();
	err = gmem_start_do_try();
	gmem_start_end_failing();
	if (err && !gmem_persist_enabled())
		pr_err("not started (%pe): the pool cannot be used, and stays as it is; write 1 to restore\n",
		       ERR_PTR(err));
	return err;
}

struct gmem_start_work {
	struct work_struct work;
	int err;
};

static void gmem_start_do_work(struct work_struct *work)
{
	container_of(work, struct gmem_start_work, work)->err = gmem_start_try();
}

/**
 * gmem_start_again - do what there was no memory for before
 *
 * As at boot, the root group of the dmem cgroup pays, not the caller's.
 *
 * Context: process context; takes mutexes and gmem_pool.lock.
 * Return: 0, -ENODEV (there is no pool), -EBUSY (it is frozen), -ENOENT (all has been done),
 * -ENOMEM (there is no memory for all of it now).
 */
static int gmem_start_again(void)
{
	struct gmem_start_work start;

	if (!gmem_pool.present)
		return -ENODEV;
	if (gmem_pool_frozen())
		return -EBUSY;
	if (gmem_persist_enabled() && !gmem_left_pending())
		return -ENOENT;

	INIT_WORK_ONSTACK(&start.work, gmem_start_do_work);
	schedule_work(&start.work);
	flush_work(&start.work);
	destroy_work_on_stack(&start.work);
	return start.err;
}

/* For tests: nothing of it happens before somebody writes to "again" in debugfs. */
static bool gmem_start_later;
#if defined(CONFIG_FAULT_INJECTION) || defined(CONFIG_GMEM_PERSIST_STOP)
module_param_named(later, gmem_start_later, bool, 0);
#endif

/* After kho_init(), before user space. */
static int __init gmem_start_at_boot(void)
{
	if (!gmem_pool.present)
		return 0;
	gmem_pool.again = gmem_start_again;
	gmem_leave_init();
	gmem_debugfs_init(&gmem_start_done);
	if (!gmem_start_later)
		gmem_start_try();
	return 0;
}
fs_initcall_sync(gmem_start_at_boot);

static int __init gmem_start_after_boot(void)
{
	if (!gmem_start_later)
		gmem_start_again();
	return 0;
}
late_initcall_sync(gmem_start_after_boot);
