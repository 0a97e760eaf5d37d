// SPDX-License-Identifier: GPL-2.0
/*
 * Clearing memory that has no mapping.
 *
 * The memory is mapped for the moment into a window of kernel address space, at an
 * address that is congruent to the physical one, so that the window's page table
 * consists of the largest leaves.
 */
#include "internal.h"

#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>

/* KASAN's shadow costs an eighth of the window in real memory. */
#define WINDOW_SIZE	(IS_ENABLED(CONFIG_KASAN) ? SZ_32M : SZ_1G)

/* How much is cleared between two looks at the scheduler and at @stop. */
#define STEP_SIZE	SZ_2M

static int clear_window(unsigned long addr, u64 size, int (*stop)(void))
{
	while (size) {
		u64 len = min_t(u64, size, STEP_SIZE);
		int err = stop ? stop() : 0;

		if (err)
			return err;
		clear_pages((void *)addr, len >> PAGE_SHIFT);
		cond_resched();
		addr += len;
		size -= len;
	}
	return 0;
}

/**
 * gmem_zero - clear memory of the pool
 * @base: first byte, aligned to pages
 * @size: length in bytes, aligned to pages
 * @stop: asked now and then; a result other than 0 ends the work; may be NULL
 *
 * Context: process context, may sleep.
 * Return: 0, what @stop said, or -ENOMEM (no address space or page table).
 */
int gmem_zero(u64 base, u64 size, int (*stop)(void))
{
	struct vm_struct *window = get_vm_area(WINDOW_SIZE, VM_IOREMAP);
	int err = 0;

	if (!window)
		return -ENOMEM;

	while (size && !err) {
		/* VM_IOREMAP aligns the window to its size. */
		u64 skip = base & (WINDOW_SIZE - 1);
		u64 len = min_t(u64, size, WINDOW_SIZE - skip);
		unsigned long addr = (unsigned long)window->addr + skip;

		err = vmap_page_range(addr, addr + len, base, PAGE_KERNEL);
		err = err ?: clear_window(addr, len, stop);
		vunmap_range(addr, addr + len);
		base += len;
		size -= len;
	}
	free_vm_area(window);
	return err;
}
