// SPDX-License-Identifier: GPL-2.0
/*
 * Where the pool is, as two kernels see it.
 *
 * Firmware tells each kernel anew which memory is on which NUMA node. The record says
 * what the last kernel was told, so that a difference is noticed: an object would be on
 * another node than the one it was made for. Nothing depends on it.
 */
#include "internal.h"

#include <linux/init.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/sizes.h>
#include <linux/slab.h>

/* How often to look; nodes are not smaller. */
#define STEP	SZ_128M

static struct gmem_persist_node *nodes __ro_after_init;
static unsigned int nr_nodes __ro_after_init;

/* The part of @r from @base on that is on one node. */
static struct gmem_persist_node __init node_at(const struct gmem_range *r, u64 base)
{
	struct gmem_persist_node node = { .base = base, .nid = gmem_pool_nid(base) };
	u64 end = base;

	do {
		end = min(ALIGN(end + 1, STEP), gmem_range_end(r));
	} while (end < gmem_range_end(r) && (u32)gmem_pool_nid(end) == node.nid);
	node.size = end - base;
	return node;
}

/* Put the nodes of the pool into @to, if that is not NULL, and count them. */
static unsigned int __init fill_nodes(struct gmem_persist_node *to, bool *known)
{
	struct gmem_persist_node node;
	unsigned int i, nr = 0;
	u64 base;

	for (i = 0; i < gmem_pool.ranges.nr; i++) {
		const struct gmem_range *r = &gmem_pool.ranges.r[i];

		for (base = r->base; base < gmem_range_end(r); base += node.size) {
			node = node_at(r, base);
			*known |= node.nid != (u32)NUMA_NO_NODE;
			if (to)
				to[nr] = node;
			nr++;
		}
	}
	return nr;
}

/**
 * gmem_nodes_init - find out which nodes the pool is on
 *
 * Context: boot, before the first record is written.
 */
void __init gmem_nodes_init(void)
{
	bool known = false;
	unsigned int nr = fill_nodes(NULL, &known);

	if (!known)
		return;
	nodes = kvmalloc_array(nr, sizeof(*nodes), GFP_KERNEL);
	if (nodes)
		nr_nodes = fill_nodes(nodes, &known);
}

/**
 * gmem_nodes_tell - put the nodes of the pool into a record
 * @rec: the record; refers to them, without owning them
 */
void gmem_nodes_tell(struct gmem_record *rec)
{
	rec->nodes = nodes;
	rec->nr_nodes = nr_nodes;
}

/**
 * gmem_nodes_check - is the pool where the last kernel saw it
 * @rec: that kernel's record
 *
 * Says so in the log if not. Where one of the two does not know, there is nothing to
 * compare.
 */
void __init gmem_nodes_check(const struct gmem_record *rec)
{
	unsigned int i;

	for (i = 0; i < rec->nr_nodes; i++) {
		const struct gmem_persist_node *node = &rec->nodes[i];
		const u64 end = node->base + node->size;
		int was = node->nid, nid;
		u64 addr;

		for (addr = node->base; addr < end; addr += STEP) {
			nid = gmem_pool_nid(addr);
			if (nid == was || nid == NUMA_NO_NODE || was == NUMA_NO_NODE)
				continue;
			pr_warn("[mem %#018llx-%#018llx] was on node %d and is on node %d now\n",
				node->base, end - 1, was, nid);
			break;
		}
	}
}
