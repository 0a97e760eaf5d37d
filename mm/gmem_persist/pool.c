// SPDX-License-Identifier: GPL-2.0
/*
 * Where the memory comes from.
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
#include <linux/kvm_types.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sizes.h>

#include "param.h"

/* Extents begin and end on these, so that they have whole leaves and sections. */
#define POOL_ALIGN	SZ_1G
/* Below this lie firmware, 32-bit DMA, crash kernels. */
#define POOL_LOWEST	SZ_4G
/* What the kernel itself is left with, at least. */
#define KERNEL_FLOOR	SZ_512M
#define MAX_EXTENTS	48

static struct gmem_range pool_ranges[MAX_EXTENTS];

struct gmem_pool gmem_pool = {
	.lock = __MUTEX_INITIALIZER(gmem_pool.lock),
	.ranges = { .r = pool_ranges, .cap = MAX_EXTENTS },
	.objects = LIST_HEAD_INIT(gmem_pool.objects),
};

static struct gmem_param param __initdata;
static bool pool_is_new __initdata;
static bool pool_is_zero __initdata;

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

	pool_is_new = true;
	pool_is_zero = param.zeroed;
	if (pool_is_zero && gmem_arch_from_kexec()) {
		pr_warn("\"zeroed\" is ignored: this is no power-on\n");
		pool_is_zero = false;
	}
	report_pool(pool_is_zero ? "new, said to be zero" : "new");
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

	if (!pool_is_new)
		err = copy_extents(&gmem_pool.quarantined, all);
	else
		err = copy_extents(&gmem_pool.free, all);
	if (!err && pool_is_new && !pool_is_zero)
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
