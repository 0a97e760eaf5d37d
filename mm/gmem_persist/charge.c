// SPDX-License-Identifier: GPL-2.0
/*
 * Who pays for the memory: accounts and limits by the dmem cgroup.
 */

/**
 * DOC: limits
 *
 * Each node of the pool is a region of the dmem cgroup, gmem_persist/node0 and so
 * on. If firmware does not tell the node, it is node 0.
 *
 * An object is charged, for all of its memory, to the cgroup of the task that
 * creates it, and a creation that would exceed dmem.max of this cgroup or of one
 * above it fails. The charge stays when the object is parked and when its cgroup is
 * removed; the cgroups above go on paying then. It ends when the object is freed,
 * whoever does that.
 *
 * Whoever claims an object takes its charge over. That never fails for a limit:
 * the memory is in use, and a guest must not lose it because its VMM was
 * restarted elsewhere. A cgroup may exceed its limit in this way, and can create
 * nothing until it is below again.
 *
 * The record knows of no cgroups. After a kexec, all objects are charged to the
 * root cgroup, which has no limits, until they are claimed.
 *
 * Charges are moved and ended without gmem_pool.lock, by whoever has just claimed a
 * view, or frees the object: one at a time, under a lock of their own.
 */
#include "internal.h"

#include <linux/cgroup_dmem.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/sizes.h>
#include <linux/slab.h>

/**
 * struct gmem_charge - what of an object is charged on one node
 * @group: the cgroup and the region; NULL if nothing is charged
 * @size: in bytes
 */
struct gmem_charge {
	struct dmem_cgroup_pool_state *group;
	u64 size;
};

/* Held to move or to end a charge; nothing of the pool is locked inside of it. */
static DEFINE_MUTEX(move_lock);

/* By node; NULL if no part of the pool is there. */
static struct dmem_cgroup_region *regions[MAX_NUMNODES] __ro_after_init;

/* An array with an entry for each node: how much of @x is there. */
static struct gmem_charge *sizes_by_node(const struct gmem_extents *x)
{
	struct gmem_charge *c = kcalloc(nr_node_ids, sizeof(*c), GFP_KERNEL);
	unsigned int i;

	if (!c)
		return NULL;

	for (i = 0; i < x->nr; i++) {
		const u64 end = gmem_range_end(&x->r[i]);
		u64 addr, next;

		/* No granule, and so no aligned GiB of the pool, is on two nodes. */
		for (addr = x->r[i].base; addr < end; addr = next) {
			int nid = gmem_pool_nid(addr);

			if (nid < 0 || nid >= nr_node_ids)
				nid = 0;
			next = min(ALIGN(addr + 1, SZ_1G), end);
			c[nid].size += next - addr;
		}
	}
	return c;
}

/**
 * gmem_charge - charge a new object to the current task's cgroup
 * @obj: the object; it has its memory, and nobody else knows it yet
 *
 * Context: process context, may sleep; with gmem_pool.lock or, at boot, without.
 * Return: 0, -EDQUOT (a limit of the cgroup, or of one above it, would be
 * exceeded), -ENOMEM; nothing is charged then.
 */
int gmem_charge(struct gmem_object *obj)
{
	struct gmem_charge *c;
	unsigned int nid;
	int err = 0;

	if (!obj->ranges.nr)
		return 0;
	c = sizes_by_node(&obj->ranges);
	if (!c)
		return -ENOMEM;

	obj->charges = c;
	for (nid = 0; nid < nr_node_ids && !err; nid++)
		if (c[nid].size)
			err = dmem_cgroup_try_charge(regions[nid], c[nid].size,
						     &c[nid].group, NULL);
	if (err)
		gmem_uncharge(obj);
	return err == -EAGAIN ? -EDQUOT : err;
}

/**
 * gmem_charge_move - let the current task's cgroup pay for an object
 * @obj: the object; the caller has just claimed its view
 *
 * Its limits do not matter.
 *
 * Context: process context, may sleep; without gmem_pool.lock.
 * Return: 0 or -ENOMEM; what was not moved is charged as before then.
 */
int gmem_charge_move(struct gmem_object *obj)
{
	struct gmem_charge *c;
	unsigned int nid;
	int err = 0;

	guard(mutex)(&move_lock);

	c = obj->charges;
	for (nid = 0; c && nid < nr_node_ids && !err; nid++)
		err = dmem_cgroup_move_charge(&c[nid].group, c[nid].size);
	return err;
}

/**
 * gmem_charge_swap - exchange what is charged for two objects
 * @a: one whose memory has just become that of @b
 * @b: one whose memory has just become that of @a
 *
 * Context: process context; without gmem_pool.lock.
 */
void gmem_charge_swap(struct gmem_object *a, struct gmem_object *b)
{
	guard(mutex)(&move_lock);
	swap(a->charges, b->charges);
}

/**
 * gmem_uncharge - charge nobody for an object any more
 * @obj: the object, charged or not; nobody can claim it
 *
 * Context: process context; without gmem_pool.lock, unless nobody knows the object yet.
 */
void gmem_uncharge(struct gmem_object *obj)
{
	unsigned int nid;

	guard(mutex)(&move_lock);

	if (!obj->charges)
		return;

	for (nid = 0; nid < nr_node_ids; nid++)
		dmem_cgroup_uncharge(obj->charges[nid].group,
				     obj->charges[nid].size);
	kfree(obj->charges);
	obj->charges = NULL;
}

/**
 * gmem_charge_init - make the regions of the dmem cgroup known
 *
 * Return: 0 or -ENOMEM.
 */
int __init gmem_charge_init(void)
{
	struct gmem_charge *c = sizes_by_node(&gmem_pool.ranges);
	unsigned int nid;

	if (!c)
		return -ENOMEM;

	for (nid = 0; nid < nr_node_ids; nid++) {
		const struct dmem_cgroup_init init = { .size = c[nid].size };
		struct dmem_cgroup_region *region;

		/* Does nothing for a node without memory. */
		region = dmem_cgroup_register_region(&init, "gmem_persist/node%u",
						     nid);
		if (IS_ERR(region))
			break;
		regions[nid] = region;
	}
	kfree(c);
	if (nid == nr_node_ids)
		return 0;

	while (nid--)
		dmem_cgroup_unregister_region(regions[nid]);
	return -ENOMEM;
}
