// SPDX-License-Identifier: GPL-2.0
/*
 * Where the memory comes from: what happens at boot, before anybody can use it.
 */

/**
 * DOC: pool
 *
 * At power-on, gmem_persist= takes free memory away from memblock before it is
 * mapped: such memory has no struct page, no direct mapping and is no "System
 * RAM". The architecture marks it in its memory map, and from then on the map
 * defines the pool, in this kernel and in all that follow by kexec. A kernel that
 * finds the mark takes no memory of its own; what the pool contains it knows
 * from the record (tables.c, restore.c), and what the record keeps and does not name is
 * quarantined.
 *
 * Which node memory is on is known only when memory is mapped already. What is
 * asked for on a node is taken then, and the mapping is taken away again.
 *
 * A pool is several extents as a rule: the kernel image lies somewhere in the
 * middle of the largest region of memory.
 */
#include "internal.h"

#include <linux/cc_platform.h>
#include <linux/crash_dump.h>
#include <linux/crash_reserve.h>
#include <linux/gmem_persist_arch.h>
#include <linux/init.h>
#include <linux/ioport.h>
#include <linux/kexec_handover.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/numa.h>
#include <linux/numa_memblks.h>
#include <linux/pgtable.h>
#include <linux/sizes.h>

#include "param.h"

/* Extents begin and end on these, so that they have whole leaves and sections. */
#define POOL_ALIGN	SZ_1G
/* Below this lie firmware, 32-bit DMA, crash kernels. */
#define POOL_LOWEST	SZ_4G

static struct gmem_param param __initdata;
enum gmem_origin gmem_pool_origin __ro_after_init;

/* Which node which part of the pool is on; sorted. */
static struct pool_node {
	u64 base;
	u64 end;
	int nid;
} pool_nodes[4 * GMEM_MAX_EXTENTS] __ro_after_init;
static unsigned int nr_pool_nodes __ro_after_init;

static int __init gmem_reserve_parse(char *arg)
{
	const char *bad;

	if (!arg)
		arg = "";
	bad = gmem_param_parse(arg, &param);
	if (bad) {
		/* Nor the one that an earlier gmem_persist= asked for. */
		param = (struct gmem_param){};
		pr_err("gmem_persist=%s: %s: no pool\n", arg, bad);
	}
	return 0;
}
early_param("gmem_persist", gmem_reserve_parse);

/* The command line (memmap=exactmap) may have made RAM of the pool. */
static int __init gmem_reserve_keep(u64 base, u64 size)
{
	if (!memblock_overlaps_region(&memblock.memory, base, size))
		return 0;
	pr_warn("[mem %#018llx-%#018llx] is pool, whatever memmap= calls it\n",
		base, base + size - 1);
	gmem_arch_mark_range(base, size);
	/* Its table does not grow here, into the pool at worst: it has room for 128. */
	return memblock_remove(base, size);
}

/* The memory map names a pool: it is what an earlier kernel left. */
static bool __init gmem_reserve_adopt(void)
{
	u64 base = 0, size = 0;

	while (gmem_arch_next_range(base + size, &base, &size)) {
		if (!IS_ALIGNED(base | size, POOL_ALIGN) || gmem_reserve_keep(base, size) ||
		    gmem_ranges_add(&gmem_pool.ranges, base, size))
			pr_err("[mem %#018llx-%#018llx] is marked as pool but cannot be used\n",
			       base, base + size - 1);
	}
	if (!gmem_pool.ranges.nr)
		return false;

	if (param.size && param.size != gmem_ranges_bytes(&gmem_pool.ranges))
		pr_warn("gmem_persist= is ignored: the pool stays as it is until the machine is reset\n");
	return true;
}

/*
 * What the kernel keeps, in bytes of free memory: 1 GiB to boot, run and hand
 * over with (its own tables, KHO's scratch areas, user space); what crashkernel=
 * is about to ask for, and four times that, as KHO's scratch areas have by default
 * twice what is reserved by then for all memory and, without NUMA, again for its
 * node; and what the description of all that takes: 64 bytes for each page, with
 * KASAN one byte for eight.
 */
static u64 __init gmem_reserve_kernel_needs(void)
{
	u64 shadow = IS_ENABLED(CONFIG_KASAN_GENERIC) ? PAGE_SIZE / 8 : 0;
	u64 need = SZ_1G;

#ifdef CONFIG_CRASH_RESERVE
	unsigned long long crash = 0, crash_base = 0, low = 0, cma = 0;
	u64 total = memblock_phys_mem_size();
	bool high = false;

	/* Any size may be written there; there is no more than all memory. */
	if (!parse_crashkernel(boot_command_line, total, &crash, &crash_base,
			       &low, &cma, &high))
		need += 5 * (min(crash, total) + min(low, total)) +
			min(cma, total);
#endif
	return need / (PAGE_SIZE - 64 - shadow) * PAGE_SIZE;
}

/* How much can be taken in all without the kernel going short. */
static u64 __init gmem_reserve_spare(void)
{
	phys_addr_t start, end;
	u64 total = 0, need = gmem_reserve_kernel_needs();
	u64 i;

	for_each_free_mem_range(i, NUMA_NO_NODE, MEMBLOCK_NONE, &start, &end,
				NULL)
		total += end - start;
	return total > need ? total - need : 0;
}

/* Make free memory part of the pool; says what is in the way. */
static const char * __init gmem_reserve_carve(u64 base, u64 size, bool mapped)
{
	const char *bad = gmem_arch_check_range(base, size);

	if (bad)
		return bad;
	/*
	 * Removing a range makes two entries more at most. A larger table might
	 * come to lie in what is being removed.
	 */
	if (memblock.memory.cnt + 2 > memblock.memory.max)
		return "memblock has no room for more";
	if (gmem_ranges_add(&gmem_pool.ranges, base, size))
		return "the pool is in too many pieces";
	if (memblock_remove(base, size)) {
		gmem_ranges_remove(&gmem_pool.ranges, base, size);
		return "memblock refuses";
	}
	gmem_arch_mark_range(base, size);
	if (mapped)
		gmem_arch_unmap_range(base, size);
	return NULL;
}

static bool __init gmem_reserve_is_free(u64 base, u64 size)
{
	phys_addr_t start, end;
	u64 at = base;
	u64 i;

	for_each_free_mem_range(i, NUMA_NO_NODE, MEMBLOCK_NONE, &start, &end,
				NULL)
		if (start <= at && at < end)
			at = end;
	return at >= base + size;
}

static const char * __init gmem_reserve_carve_at(u64 base, u64 size, u64 *got)
{
	const char *bad = "not all of that is free memory";

	if (gmem_reserve_is_free(base, size)) {
		bad = "the kernel needs the rest";
		if (size <= gmem_reserve_spare())
			bad = gmem_reserve_carve(base, size, false);
		if (!bad)
			*got = size;
	}
	return bad;
}

/* The topmost free range below @below in whole pieces. */
static bool __init gmem_reserve_find_free(int nid, u64 below, u64 *base, u64 *top)
{
	phys_addr_t start, end;
	u64 i;

	for_each_free_mem_range_reverse(i, nid, MEMBLOCK_NONE, &start, &end,
					NULL) {
		*base = ALIGN(max_t(u64, start, POOL_LOWEST), POOL_ALIGN);
		*top = ALIGN_DOWN(min_t(u64, end, below), POOL_ALIGN);
		if (*base < *top)
			return true;
	}
	return false;
}

/* From the top down, as much as there is. */
static const char * __init gmem_reserve_carve_from(int nid, u64 size, bool mapped, u64 *got)
{
	const char *why = "there is no more free memory at or above 4G, in pieces of 1G";
	const char *bad;
	u64 below = U64_MAX;
	u64 base, top, take;

	while (*got < size) {
		if (!gmem_reserve_find_free(nid, below, &base, &top))
			return why;
		take = min3(size - *got, top - base,
			    ALIGN_DOWN(gmem_reserve_spare(), POOL_ALIGN));
		if (!take)
			return "the kernel needs the rest";
		bad = gmem_reserve_carve(top - take, take, mapped);
		if (bad) {
			/* What adjoins the pool elsewhere may still do. */
			why = bad;
			below = base;
			continue;
		}
		*got += take;
		below = top - take;
	}
	return NULL;
}

static void __init gmem_reserve_item(const struct gmem_param_item *item, bool mapped)
{
	const char *why;
	char where[32] = "";
	u64 got = 0;

	switch (item->place) {
	case GMEM_AT_BASE:
		snprintf(where, sizeof(where), "!%#llx", item->base);
		why = gmem_reserve_carve_at(item->base, item->size, &got);
		break;
	case GMEM_ON_NODE:
		snprintf(where, sizeof(where), "@%d", item->node);
		if (!numa_valid_node(item->node) || !node_possible(item->node))
			why = "there is no such node";
		else
			why = gmem_reserve_carve_from(item->node, item->size, mapped, &got);
		break;
	default:
		why = gmem_reserve_carve_from(NUMA_NO_NODE, item->size, mapped, &got);
	}
	if (why)
		pr_warn("gmem_persist=%lluG%s: %llu GiB instead of %llu: %s\n",
			item->size / SZ_1G, where, got / SZ_1G,
			item->size / SZ_1G, why);
}

static bool __init gmem_reserve_asks_for(enum gmem_param_place place)
{
	unsigned int i;

	for (i = 0; i < param.nr; i++)
		if (param.item[i].place == place)
			return true;
	return false;
}

static void __init gmem_reserve_items(enum gmem_param_place place, bool mapped)
{
	unsigned int i;

	for (i = 0; i < param.nr; i++)
		if (param.item[i].place == place)
			gmem_reserve_item(&param.item[i], mapped);
}

/**
 * gmem_persist_reserve - set the pool aside
 *
 * Finds the pool that an earlier kernel left, or takes a new one if
 * gmem_persist= asks for it. Without either nothing happens. What has a given
 * address goes first, what may lie anywhere last, so that nothing takes the
 * place of what can lie nowhere else; so everything else waits for
 * gmem_persist_reserve_nodes() if a node is asked for.
 *
 * Context: early boot. Memblock knows all memory and everything that firmware and
 * boot loader still use, and nothing of it is mapped yet.
 */
void __init gmem_persist_reserve(void)
{
	/* A crash kernel has its own bit of memory and looks at nothing else. */
	if (is_kdump_kernel() || gmem_reserve_adopt())
		param = (struct gmem_param){};
	if (!param.nr)
		return;

	if (is_kho_boot()) {
		/* Free memory and memory handed over cannot be told apart yet. */
		pr_err("gmem_persist=: the kernel before this one had no pool, and a handover leaves no room for a new one: no pool\n");
		param = (struct gmem_param){};
		return;
	}

	gmem_pool_origin = GMEM_POOL_NEW;
	if (param.zeroed && gmem_arch_from_kexec())
		pr_warn("\"zeroed\" is ignored: this is no power-on\n");
	else if (param.zeroed)
		gmem_pool_origin = GMEM_POOL_NEW_ZERO;

	gmem_reserve_items(GMEM_AT_BASE, false);
	if (!gmem_reserve_asks_for(GMEM_ON_NODE))
		gmem_reserve_items(GMEM_ANYWHERE, false);
}

/* What firmware says of the node of an address. */
static int __init gmem_reserve_node_of(u64 addr)
{
	int nid = phys_to_target_node(addr);

	/* On a host that is one node, firmware need not say anything. */
	if (nid == NUMA_NO_NODE && num_possible_nodes() == 1)
		nid = first_node(node_possible_map);
	return nid;
}

static void __init gmem_reserve_find_nodes(const struct gmem_range *r)
{
	u64 addr;

	for (addr = r->base; addr < gmem_range_end(r); addr += POOL_ALIGN) {
		struct pool_node *n = &pool_nodes[nr_pool_nodes];
		int nid = gmem_reserve_node_of(addr);

		/* A piece that begins and ends on one node is on that node. */
		if (gmem_reserve_node_of(addr + POOL_ALIGN - 1) != nid)
			nid = NUMA_NO_NODE;
		if (addr != r->base && n[-1].nid == nid) {
			n[-1].end += POOL_ALIGN;
			continue;
		}
		if (nr_pool_nodes == ARRAY_SIZE(pool_nodes)) {
			pr_warn("[mem %#018llx-%#018llx]: nodes change too often, not told apart from here on\n",
				addr, gmem_range_end(r) - 1);
			return;
		}
		*n = (struct pool_node){ addr, addr + POOL_ALIGN, nid };
		nr_pool_nodes++;
	}
}

static void __init gmem_reserve_report(void)
{
	static const char *const what[] __initconst = {
		[GMEM_POOL_ADOPTED] = "left by an earlier kernel",
		[GMEM_POOL_NEW] = "new",
		[GMEM_POOL_NEW_ZERO] = "new, said to be zero",
	};
	unsigned int i;

	for (i = 0; i < nr_pool_nodes; i++) {
		const struct pool_node *n = &pool_nodes[i];
		char node[24] = "no node";

		if (n->nid != NUMA_NO_NODE)
			snprintf(node, sizeof(node), "node %d", n->nid);
		pr_info("extent [mem %#018llx-%#018llx] %llu GiB, %s, %s\n",
			n->base, n->end - 1, (n->end - n->base) / SZ_1G, node,
			what[gmem_pool_origin]);
	}
}

/**
 * gmem_persist_reserve_nodes - set aside what is asked for on a node
 *
 * Also finds out which node each part of the pool is on, whoever made it.
 *
 * Context: early boot, after gmem_persist_reserve(). Memblock knows the nodes;
 * memory is mapped, and nothing but memblock describes it.
 */
void __init gmem_persist_reserve_nodes(void)
{
	unsigned int i;

	if (gmem_reserve_asks_for(GMEM_ON_NODE)) {
		gmem_reserve_items(GMEM_ON_NODE, true);
		gmem_reserve_items(GMEM_ANYWHERE, true);
	}
	for (i = 0; i < gmem_pool.ranges.nr; i++)
		gmem_reserve_find_nodes(&gmem_pool.ranges.r[i]);
	gmem_reserve_report();
}

/**
 * gmem_pool_nid - which node an address of the pool is on
 * @addr: the address
 *
 * What lies between two nodes within 1 GiB counts as on none.
 *
 * Context: any, after gmem_persist_reserve_nodes().
 * Return: the node, or NUMA_NO_NODE if firmware does not say.
 */
int gmem_pool_nid(u64 addr)
{
	unsigned int i;

	for (i = 0; i < nr_pool_nodes; i++)
		if (addr >= pool_nodes[i].base && addr < pool_nodes[i].end)
			return pool_nodes[i].nid;
	return NUMA_NO_NODE;
}

/*
 * Claim the memory in the resource tree and in the memory type tree, before
 * anything that might hot-add memory or a device over it. All that can be
 * claimed is, also if the pool stays unused: it may be full of guests.
 */
static int __init gmem_reserve_resources(void)
{
	bool usable = true;
	unsigned int i;

	for (i = 0; i < gmem_pool.ranges.nr; i++) {
		const struct gmem_range *r = &gmem_pool.ranges.r[i];
		pgprot_t prot = PAGE_KERNEL;

		/* Exclusive: a kernel with STRICT_DEVMEM hides it in /dev/mem. */
		if (!request_mem_region_exclusive(r->base, r->size,
						  "gmem_persist")) {
			pr_err("[mem %#018llx-%#018llx] is in use: the pool stays unused\n",
			       r->base, gmem_range_end(r) - 1);
			usable = false;
		}
		/* Without an entry, user mappings of non-RAM are uncached. */
		if (pfnmap_track(PHYS_PFN(r->base), r->size, &prot) ||
		    pgprot_val(prot) != pgprot_val(PAGE_KERNEL)) {
			pr_err("[mem %#018llx-%#018llx] cannot be cached: the pool stays unused\n",
			       r->base, gmem_range_end(r) - 1);
			usable = false;
		}
	}
	/*
	 * KVM's memremap() of memory without struct page is not encrypted, zero
	 * pages at power-on do not read as zero, and the next kernel's choice
	 * may be another one.
	 */
	if (gmem_pool.ranges.nr && cc_platform_has(CC_ATTR_HOST_MEM_ENCRYPT)) {
		pr_err("memory encryption (SME) is on: the pool stays unused\n");
		usable = false;
	}
	if (usable)
		gmem_pool.present = gmem_pool.ranges.nr;
	return 0;
}
arch_initcall(gmem_reserve_resources);

