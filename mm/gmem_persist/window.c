// SPDX-License-Identifier: GPL-2.0
/*
 * Reaching memory that has no mapping.
 *
 * Each CPU has a window of kernel address space. Memory is mapped there for the moment in
 * which this CPU reads, writes or clears it, and nobody but this CPU goes there. So it is
 * enough that this CPU forgets the mapping afterwards: no other one is interrupted, whoever
 * reads a file byte by byte. Another CPU may have speculated there, and keep what it found;
 * it will not use that, and the memory stays the pool's.
 *
 * A window is open for as long as it takes to move some KiB, and user memory is never
 * touched meanwhile: that may be slow to come, and may be a mapping of the pool itself.
 * Nothing here allocates, and so nothing fails.
 */
#include "internal.h"

#include <linux/fault-inject.h>
#include <linux/gmem_persist_arch.h>
#include <linux/io.h>
#include <linux/local_lock.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

/* So much is moved at a time, in which a CPU is not preempted. */
#define PAGES_SIZE	SZ_64K
#define LEAF_SIZE	SZ_256K

/* A window is a leaf of 2 MiB, for a granule, and a table for some pages. */
#define WINDOW_SIZE	(2 * PMD_SIZE)

/**
 * struct gmem_window - the window of a CPU
 * @lock: keeps others off the window, and its user on the CPU
 * @leaf: address of the leaf
 * @pmd: its entry
 * @pages: address of the first page
 * @pte: its entry, and those of the next ones
 */
struct gmem_window {
	local_lock_t lock;
	void *leaf;
	pmd_t *pmd;
	void *pages;
	pte_t *pte;
};

static DEFINE_PER_CPU(struct gmem_window, gmem_window) = {
	.lock = INIT_LOCAL_LOCK(lock),
};

/*
 * Map the pages that some bytes are in, and no other: the one beside them may have a memory
 * error, which even speculation should not meet.
 */
static void *gmem_window_map(u64 base, size_t size)
{
	struct gmem_window *w = this_cpu_ptr(&gmem_window);
	const unsigned int nr = PFN_UP(offset_in_page(base) + size);
	unsigned int i;

	lockdep_assert_held(&w->lock);

	for (i = 0; i < nr; i++)
		set_pte(w->pte + i, pfn_pte(PHYS_PFN(base) + i, PAGE_KERNEL));
	return w->pages + offset_in_page(base);
}

static void gmem_window_unmap(u64 base, size_t size)
{
	struct gmem_window *w = this_cpu_ptr(&gmem_window);
	const unsigned int nr = PFN_UP(offset_in_page(base) + size);
	unsigned long addr = (unsigned long)w->pages;
	unsigned int i;

	for (i = 0; i < nr; i++, addr += PAGE_SIZE) {
		pte_clear(&init_mm, addr, w->pte + i);
		gmem_arch_flush_local(addr);
	}
}

/* For tests: reading meets a memory error, though there is none. */
DECLARE_FAULT_ATTR(gmem_window_fail_read);

/*
 * Is this read to fail? Not by fail-nth of a task, which is about allocations: what is lost here
 * is lost for good.
 */
static bool gmem_window_fails(size_t size)
{
#ifdef CONFIG_FAULT_INJECTION
	if (!gmem_window_fail_read.probability)
		return false;
#endif
	return should_fail(&gmem_window_fail_read, size);
}

/* Returns how many bytes could not be read. */
static size_t gmem_window_read_some(void *to, u64 from, size_t size)
{
	size_t left;

	if (gmem_window_fails(size))
		return size;
	guard(local_lock)(&gmem_window.lock);
	left = copy_mc_to_kernel(to, gmem_window_map(from, size), size);
	gmem_window_unmap(from, size);
	return left;
}

static void gmem_window_write_some(u64 to, const void *from, size_t size)
{
	guard(local_lock)(&gmem_window.lock);
	memcpy(gmem_window_map(to, size), from, size);
	gmem_window_unmap(to, size);
}

static void gmem_window_clear_some(u64 base, size_t size)
{
	guard(local_lock)(&gmem_window.lock);
	memset(gmem_window_map(base, size), 0, size);
	gmem_window_unmap(base, size);
}

/* Clear part of a granule through a leaf of 2 MiB. Says whether there can be one. */
static bool gmem_window_clear_by_leaf(u64 base, size_t size)
{
	const u64 granule = ALIGN_DOWN(base, PMD_SIZE);
	struct gmem_window *w;

	guard(local_lock)(&gmem_window.lock);
	w = this_cpu_ptr(&gmem_window);
	if (!pmd_set_huge(w->pmd, granule, PAGE_KERNEL))
		return false;
	clear_pages(w->leaf + (base - granule), size >> PAGE_SHIFT);
	pmd_clear(w->pmd);
	gmem_arch_flush_local((unsigned long)w->leaf);
	return true;
}

/* How many of @size bytes can be reached at once. */
static size_t gmem_window_step(u64 base, u64 size)
{
	return min(size, PAGES_SIZE - offset_in_page(base));
}

/**
 * gmem_window_read - read memory of the pool
 * @to: where to, in memory of the kernel
 * @from: first byte
 * @size: length in bytes
 *
 * A machine check on the way does no harm: it ends the copy, and memory_failure() will be
 * told.
 *
 * Context: process context, may sleep.
 * Return: how many bytes were read, less than @size if there was a memory error.
 */
size_t gmem_window_read(void *to, u64 from, size_t size)
{
	size_t done = 0;

	while (done < size) {
		const size_t step = gmem_window_step(from + done, size - done);
		const size_t left = gmem_window_read_some(to + done, from + done, step);

		done += step - left;
		if (left) {
			memory_failure_queue(PHYS_PFN(from + done), 0);
			break;
		}
		cond_resched();
	}
	return done;
}

/**
 * gmem_window_write - write to memory of the pool
 * @to: first byte
 * @from: what to write, in memory of the kernel
 * @size: length in bytes
 *
 * Context: process context, may sleep.
 */
void gmem_window_write(u64 to, const void *from, size_t size)
{
	while (size) {
		const size_t step = gmem_window_step(to, size);

		gmem_window_write_some(to, from, step);
		cond_resched();
		to += step;
		from += step;
		size -= step;
	}
}

static void gmem_window_clear(u64 base, u64 size)
{
	const bool granule = size == PMD_SIZE;

	while (size) {
		size_t step = min_t(u64, size, LEAF_SIZE);

		if (!granule || !gmem_window_clear_by_leaf(base, step)) {
			step = gmem_window_step(base, size);
			gmem_window_clear_some(base, step);
		}
		cond_resched();
		base += step;
		size -= step;
	}
}

/**
 * gmem_zero - clear memory of the pool
 * @base: first byte
 * @size: length in bytes
 * @stop: asked before each 2 MiB; a result other than 0 ends the work; may be NULL
 * @arg: what @stop is called with
 *
 * Context: process context, may sleep.
 * Return: 0, or what @stop said.
 */
int gmem_zero(u64 base, u64 size, int (*stop)(void *), void *arg)
{
	while (size) {
		const u64 step = min(size, PMD_SIZE - (base & ~PMD_MASK));
		const int err = stop ? stop(arg) : 0;

		if (err)
			return err;
		gmem_window_clear(base, step);
		base += step;
		size -= step;
	}
	return 0;
}

static int gmem_window_make(struct gmem_window *w, void *at)
{
	const unsigned long addr = (unsigned long)at;
	p4d_t *p4d = p4d_alloc(&init_mm, pgd_offset_k(addr), addr);
	pud_t *pud = p4d ? pud_alloc(&init_mm, p4d, addr) : NULL;
	pmd_t *pmd = pud ? pmd_alloc(&init_mm, pud, addr) : NULL;

	if (!pmd)
		return -ENOMEM;
	w->leaf = at;
	w->pmd = pmd;
	/* Both are in one table of leaves. */
	w->pages = at + PMD_SIZE;
	w->pte = pte_alloc_kernel(pmd + 1, addr + PMD_SIZE);
	return w->pte ? 0 : -ENOMEM;
}

/**
 * gmem_window_init - make a window for each CPU
 *
 * VM_IOREMAP aligns the area to the windows' size at least, and keeps /proc/kcore, which
 * reads from whichever CPU it is on, away from it.
 *
 * Context: process context; nobody uses the pool yet.
 * Return: 0 or -ENOMEM; it may be tried again, and goes on then.
 */
int gmem_window_init(void)
{
	static struct vm_struct *area;
	void *at;
	int cpu, err;

	if (!area)
		area = get_vm_area(num_possible_cpus() * WINDOW_SIZE, VM_IOREMAP);
	if (!area)
		return -ENOMEM;
	at = area->addr;
	for_each_possible_cpu(cpu) {
		err = gmem_window_make(per_cpu_ptr(&gmem_window, cpu), at);
		if (err)
			return err;
		at += WINDOW_SIZE;
	}
	return 0;
}
