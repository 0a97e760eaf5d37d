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
 * from the record (handover.c), and what the record does not name is quarantined.
 *
 * A pool is several extents as a rule: the kernel image lies somewhere in the
 * middle of the largest region of memory.
 */
#include "internal.h"

#include <linux/cc_platform.h>
#include <linux/crash_dump.h>
#include <linux/gmem_persist_arch.h>
#include <linux/init.h>
#include <linux/ioport.h>
#include <linux/kexec_handover.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/pgtable.h>
#include <linux/sizes.h>

#include "param.h"

/* Extents begin and end on these, so that they have whole leaves and sections. */
#define POOL_ALIGN	SZ_1G
/* Below this lie firmware, 32-bit DMA, crash kernels. */
#define POOL_LOWEST	SZ_4G
/* What the kernel itself is left with, at least. */
#define KERNEL_FLOOR	SZ_512M

static struct gmem_param param __initdata;
enum gmem_origin gmem_pool_origin __initdata;

static int __init parse_gmem_persist(char *arg)
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
early_param("gmem_persist", parse_gmem_persist);

static void __init report_pool(const char *what)
{
	unsigned int i;

	for (i = 0; i < gmem_pool.ranges.nr; i++) {
		const struct gmem_range *r = &gmem_pool.ranges.r[i];

		pr_info("extent [mem %#018llx-%#018llx] %llu GiB, %s\n",
			r->base, gmem_range_end(r) - 1, r->size / SZ_1G, what);
	}
}

/* The memory map names a pool: it is what an earlier kernel left. */
static bool __init adopt_pool(void)
{
	u64 base = 0, size = 0;

	while (gmem_arch_next_range(base + size, &base, &size)) {
		if (!IS_ALIGNED(base | size, POOL_ALIGN) ||
		    gmem_extents_add(&gmem_pool.ranges, base, size))
			pr_err("[mem %#018llx-%#018llx] is marked as pool but cannot be used\n",
			       base, base + size - 1);
	}
	if (!gmem_pool.ranges.nr)
		return false;

	report_pool("left by an earlier kernel");
	if (param.size && param.size != gmem_extents_bytes(&gmem_pool.ranges))
		pr_warn("gmem_persist= is ignored: the pool stays as it is until the machine is reset\n");
	return true;
}

/* Choose @size bytes from free memory, from the top down. */
static const char * __init choose_pool(u64 size, struct gmem_extents *chosen)
{
	phys_addr_t start, end;
	u64 total = 0, left = size;
	u64 i;

	for_each_free_mem_range_reverse(i, NUMA_NO_NODE, MEMBLOCK_NONE, &start,
					&end, NULL) {
		u64 base = ALIGN(max_t(u64, start, POOL_LOWEST), POOL_ALIGN);
		u64 top = ALIGN_DOWN(end, POOL_ALIGN);
		u64 take;

		total += end - start;
		if (base >= top || !left)
			continue;
		take = min(left, top - base);
		if (gmem_extents_add(chosen, top - take, take))
			return "free memory is in too many pieces";
		left -= take;
	}
	if (left)
		return "there is not that much free memory at or above 4G, in pieces of 1G";
	if (total - size < KERNEL_FLOOR)
		return "less than 512M would be left for the kernel";
	if (!gmem_arch_can_mark(chosen->nr))
		return "the memory map has no room for it";
	return NULL;
}

static void __init carve_pool(void)
{
	struct gmem_extents *pool = &gmem_pool.ranges;
	const char *bad;
	unsigned int i;

	if (is_kho_boot()) {
		/* Free memory and memory handed over cannot be told apart yet. */
		pr_err("gmem_persist=: the kernel before this one had no pool, and a handover leaves no room for a new one: no pool\n");
		return;
	}

	bad = choose_pool(param.size, pool);
	if (bad) {
		pr_err("gmem_persist=: %llu GiB: %s: no pool\n",
		       param.size / SZ_1G, bad);
		pool->nr = 0;
		return;
	}

	for (i = 0; i < pool->nr; i++) {
		if (memblock_remove(pool->r[i].base, pool->r[i].size)) {
			pr_err("memblock has no room: the pool is smaller than it could be\n");
			pool->nr = i;
			break;
		}
		gmem_arch_mark_range(pool->r[i].base, pool->r[i].size);
	}

	gmem_pool_origin = GMEM_POOL_NEW;
	if (param.zeroed && gmem_arch_from_kexec())
		pr_warn("\"zeroed\" is ignored: this is no power-on\n");
	else if (param.zeroed)
		gmem_pool_origin = GMEM_POOL_NEW_ZERO;
	report_pool(gmem_pool_origin == GMEM_POOL_NEW_ZERO ?
		    "new, said to be zero" : "new");
}

/**
 * gmem_pool_nid - which node an address of the pool is on
 * @addr: the address
 *
 * Return: the node, or NUMA_NO_NODE if firmware does not say.
 */
int gmem_pool_nid(u64 addr)
{
	return NUMA_NO_NODE;
}

/**
 * gmem_persist_reserve - set the pool aside
 *
 * Finds the pool that an earlier kernel left, or takes a new one if
 * gmem_persist= asks for it. Without either nothing happens.
 *
 * Context: early boot. Memblock knows all memory and everything that firmware and
 * boot loader still use, and nothing of it is mapped yet.
 */
void __init gmem_persist_reserve(void)
{
	/* A crash kernel has its own bit of memory and looks at nothing else. */
	if (is_kdump_kernel())
		return;
	if (!adopt_pool() && param.size)
		carve_pool();
}

/*
 * Claim the memory in the resource tree and in the memory type tree, before
 * anything that might hot-add memory or a device over it.
 */
static int __init gmem_pool_claim(void)
{
	unsigned int i;

	/*
	 * KVM's memremap() of memory without struct page is not encrypted, zero
	 * pages at power-on do not read as zero, and the next kernel's choice
	 * may be another one.
	 */
	if (gmem_pool.ranges.nr && cc_platform_has(CC_ATTR_HOST_MEM_ENCRYPT)) {
		pr_err("memory encryption (SME) is on: the pool stays unused\n");
		return 0;
	}

	for (i = 0; i < gmem_pool.ranges.nr; i++) {
		const struct gmem_range *r = &gmem_pool.ranges.r[i];
		pgprot_t prot = PAGE_KERNEL;

		/* Exclusive: a kernel with STRICT_DEVMEM hides it in /dev/mem. */
		if (!request_mem_region_exclusive(r->base, r->size,
						  "gmem_persist")) {
			pr_err("[mem %#018llx-%#018llx] is in use: the pool stays unused\n",
			       r->base, gmem_range_end(r) - 1);
			return 0;
		}
		/* Without an entry, user mappings of non-RAM are uncached. */
		if (pfnmap_track(PHYS_PFN(r->base), r->size, &prot) ||
		    pgprot_val(prot) != pgprot_val(PAGE_KERNEL)) {
			pr_err("[mem %#018llx-%#018llx] cannot be cached: the pool stays unused\n",
			       r->base, gmem_range_end(r) - 1);
			return 0;
		}
	}
	gmem_pool.ready = gmem_pool.ranges.nr;
	return 0;
}
arch_initcall(gmem_pool_claim);

