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
 * Memory is charged before it is taken, so that who may not have it never stands in the
 * way of others. What an object is charged changes without gmem_pool.lock, under a lock of
 * the object's own, by whoever has just claimed a view, or lets it grow.
 */
#include "internal.h"

#include <linux/cgroup_dmem.h>
#include <linux/nodemask.h>
#include <linux/sizes.h>
#include <linux/slab.h>

/**
 * struct gmem_share - what is charged on one node
 * @group: the cgroup and the region; NULL if nothing is charged
 * @size: in bytes
 */
struct gmem_share {
	struct dmem_cgroup_pool_state *group;
	u64 size;
};

/**
 * struct gmem_charge - what was charged for one piece of memory
 * @next: for another piece of the same object, which has grown
 * @node: by node
 */
struct gmem_charge {
	struct gmem_charge *next;
	struct gmem_share node[];
};

/* By node; NULL if no part of the pool is there. */
static struct dmem_cgroup_region *regions[MAX_NUMNODES];

/* Memory of which nobody knows the node counts for the first. */
static int gmem_charge_nid(int nid)
{
	return nid < 0 || nid >= nr_node_ids ? 0 : nid;
}

/* Call @fn for each part of a list of ranges that is on one node. */
static int gmem_charge_walk(const struct gmem_range *r, unsigned int nr,
			    int (*fn)(void *arg, int nid, u64 size), void *arg)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < nr; i++) {
		const u64 end = gmem_range_end(&r[i]);
		u64 addr, next;

		/* No granule, and so no aligned GiB of the pool, is on two nodes. */
		for (addr = r[i].base; addr < end && !err; addr = next) {
			next = min(ALIGN(addr + 1, SZ_1G), end);
			err = fn(arg, gmem_charge_nid(gmem_pool_nid(addr)), next - addr);
		}
	}
	return err;
}

/**
 * gmem_charge_new - room to charge something
 *
 * Context: process context.
 * Return: it, for gmem_uncharge(); NULL: no memory.
 */
struct gmem_charge *gmem_charge_new(void)
{
	struct gmem_charge *c;

	return kzalloc(struct_size(c, node, nr_node_ids), GFP_KERNEL_ACCOUNT);
}

/**
 * gmem_charge - charge memory to the current task's cgroup
 * @c: where to note that
 * @nid: on which node it will be; nothing has been charged there yet
 * @size: how much, in bytes
 *
 * Context: process context.
 * Return: 0, -EDQUOT (a limit of the cgroup, or of one above it, would be
 * exceeded), -ENOMEM.
 */
int gmem_charge(struct gmem_charge *c, int nid, u64 size)
{
	struct gmem_share *share;
	int err;

	nid = gmem_charge_nid(nid);
	share = &c->node[nid];
	if (share->group) {
		/* Of a node that is unknown, beside the first one */
		struct gmem_charge *more = gmem_charge_new();

		if (!more)
			return -ENOMEM;
		err = gmem_charge(more, nid, size);
		if (err) {
			kfree(more);
			return err;
		}
		more->next = c->next;
		c->next = more;
		return 0;
	}
	err = dmem_cgroup_try_charge(regions[nid], size, &share->group, NULL);
	if (err)
		return err == -EAGAIN ? -EDQUOT : err;
	share->size = size;
	return 0;
}

static int gmem_charge_count(void *arg, int nid, u64 size)
{
	u64 *sizes = arg;

	sizes[nid] += size;
	return 0;
}

/* How much of a list of ranges is on each node; NULL: no memory. */
static u64 *gmem_charge_sizes(const struct gmem_range *r, unsigned int nr)
{
	u64 *sizes = kcalloc(nr_node_ids, sizeof(*sizes), GFP_KERNEL);

	if (sizes)
		gmem_charge_walk(r, nr, gmem_charge_count, sizes);
	return sizes;
}

/* How much of an object is on each node, before it is charged */
static int gmem_charge_note(void *arg, int nid, u64 size)
{
	struct gmem_charge *c = arg;

	c->node[nid].size += size;
	return 0;
}

/**
 * gmem_charge_ranges - charge memory that is there already to the current task's cgroup
 * @x: the memory
 *
 * Context: process context.
 * Return: the charge, or an ERR_PTR(): -EDQUOT (a limit of the cgroup, or of one above it, would
 * be exceeded), -ENOMEM.
 */
struct gmem_charge *gmem_charge_ranges(const struct gmem_ranges *x)
{
	struct gmem_charge *c = gmem_charge_new();
	int nid, err = 0;

	if (!c)
		return ERR_PTR(-ENOMEM);
	gmem_charge_walk(x->r, x->nr, gmem_charge_note, c);
	for (nid = 0; nid < nr_node_ids && !err; nid++)
		if (c->node[nid].size)
			err = dmem_cgroup_try_charge(regions[nid], c->node[nid].size,
						     &c->node[nid].group, NULL);
	if (err) {
		gmem_uncharge(c);
		return ERR_PTR(err == -EAGAIN ? -EDQUOT : err);
	}
	return c;
}

/**
 * gmem_charge_object - charge an object of the last kernel to the current task's cgroup
 * @obj: the object, which nobody else knows yet
 *
 * Context: process context; the root group, which has no limit.
 * Return: 0 or -ENOMEM.
 */
int gmem_charge_object(struct gmem_object *obj)
{
	struct gmem_charge *c;

	if (!obj->ranges.nr)
		return 0;
	c = gmem_charge_ranges(&obj->ranges);
	if (IS_ERR(c))
		return -ENOMEM;
	obj->charges = c;
	return 0;
}

/* What one group is given must be what the other one had, whoever shrinks the object meanwhile. */
static int gmem_charge_move_share(struct gmem_share *share)
{
	const u64 size = share->size;

	gmem_stop_here("charge-locked");
	return dmem_cgroup_move_charge(&share->group, size);
}

/**
 * gmem_charge_move - let the current task's cgroup pay for an object
 * @obj: the object; the caller has just claimed its view
 *
 * Its limits do not matter. Without kernel memory for its accounts, whoever paid goes on
 * paying: a guest must not be refused its memory for that.
 *
 * Context: process context, may sleep; without gmem_pool.lock.
 */
void gmem_charge_move(struct gmem_object *obj)
{
	struct gmem_charge *c;
	int nid;

	guard(mutex)(&obj->charge_lock);

	for (c = obj->charges; c; c = c->next)
		for (nid = 0; nid < nr_node_ids; nid++)
			if (gmem_charge_move_share(&c->node[nid]))
				return;
}

/**
 * gmem_charge_merge - an object pays for more
 * @obj: the object
 * @c: for what was added; it is the object's from now on
 *
 * Context: process context; without gmem_pool.lock.
 */
void gmem_charge_merge(struct gmem_object *obj, struct gmem_charge *c)
{
	struct gmem_charge **last;

	guard(mutex)(&obj->charge_lock);

	for (last = &obj->charges; *last; last = &(*last)->next)
		;
	*last = c;
}

/* How much is on one node */
struct gmem_fit {
	int nid;
	u64 size;
};

static int gmem_charge_count_on(void *arg, int nid, u64 size)
{
	struct gmem_fit *fit = arg;

	if (nid == fit->nid)
		fit->size += size;
	return 0;
}

static u64 gmem_charge_total(const struct gmem_charge *c, int nid)
{
	u64 total = 0;

	for (; c; c = c->next)
		total += c->node[nid].size;
	return total;
}

static void gmem_charge_reduce(struct gmem_charge *c, int nid, u64 size)
{
	struct gmem_share *share;
	u64 part;

	for (; c && size; c = c->next) {
		share = &c->node[nid];
		part = min(size, share->size);
		size -= part;
		if (part && part == share->size) {
			dmem_cgroup_uncharge(share->group, part);
			*share = (struct gmem_share){};
		} else if (part) {
			dmem_cgroup_uncharge_part(share->group, part);
			share->size -= part;
		}
	}
}

/**
 * gmem_charge_fit - an object pays for no more than it has
 * @obj: the object, which has just lost memory
 *
 * Context: process context; without gmem_pool.lock. The object's ranges do not change.
 */
void gmem_charge_fit(struct gmem_object *obj)
{
	struct gmem_fit fit;

	guard(mutex)(&obj->charge_lock);

	for (fit.nid = 0; fit.nid < nr_node_ids; fit.nid++) {
		fit.size = 0;
		gmem_charge_walk(obj->ranges.r, obj->ranges.nr, gmem_charge_count_on, &fit);
		gmem_charge_reduce(obj->charges, fit.nid,
				   gmem_charge_total(obj->charges, fit.nid) - fit.size);
	}
}

/**
 * gmem_uncharge - charge nobody any more
 * @c: what was charged; may be NULL
 *
 * Context: process context; without gmem_pool.lock. Nobody else knows of it.
 */
void gmem_uncharge(struct gmem_charge *c)
{
	struct gmem_charge *next;
	int nid;

	for (; c; c = next) {
		next = c->next;
		for (nid = 0; nid < nr_node_ids; nid++)
			dmem_cgroup_uncharge(c->node[nid].group, c->node[nid].size);
		kfree(c);
	}
}

/**
 * gmem_charge_init - make the regions of the dmem cgroup known
 *
 * Return: 0 or -ENOMEM.
 */
int gmem_charge_init(void)
{
	u64 *sizes = gmem_charge_sizes(gmem_pool.ranges.r, gmem_pool.ranges.nr);
	unsigned int nid;

	if (!sizes)
		return -ENOMEM;

	for (nid = 0; nid < nr_node_ids; nid++) {
		const struct dmem_cgroup_init init = { .size = sizes[nid] };
		struct dmem_cgroup_region *region;

		/* Does nothing for a node without memory. */
		region = dmem_cgroup_register_region(&init, "gmem_persist/node%u",
						     nid);
		if (IS_ERR(region))
			break;
		regions[nid] = region;
	}
	kfree(sizes);
	if (nid == nr_node_ids)
		return 0;

	while (nid--)
		dmem_cgroup_unregister_region(regions[nid]);
	return -ENOMEM;
}
