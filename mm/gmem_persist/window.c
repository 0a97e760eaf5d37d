// SPDX-License-Identifier: GPL-2.0
/*
 * Reaching memory that has no mapping.
 *
 * The memory is mapped for the moment into a window of kernel address space, at an
 * address that is congruent to the physical one, so that the window's page table
 * consists of the largest leaves. A few windows are kept: whoever clears or copies a
 * lot comes back for one again and again.
 */
#include "internal.h"

#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>

/* KASAN's shadow costs an eighth of the window in real memory. */
#define WINDOW_SIZE	(IS_ENABLED(CONFIG_KASAN) ? SZ_32M : SZ_1G)

/* How much is cleared between two looks at the scheduler and at @stop. */
#define STEP_SIZE	SZ_2M

#define MAX_SPARE	4

static struct vm_struct *spare[MAX_SPARE];
static unsigned int nr_spare;
static DEFINE_SPINLOCK(spare_lock);

/* VM_IOREMAP aligns a window to its size. */
static struct vm_struct *get_window(void)
{
	scoped_guard(spinlock, &spare_lock)
		if (nr_spare)
			return spare[--nr_spare];
	return get_vm_area(WINDOW_SIZE, VM_IOREMAP);
}

static void put_window(struct vm_struct *window)
{
	scoped_guard(spinlock, &spare_lock)
		if (nr_spare < MAX_SPARE) {
			spare[nr_spare++] = window;
			return;
		}
	free_vm_area(window);
}

static int walk(struct vm_struct *window, u64 base, u64 size,
		int (*fn)(void *addr, u64 size, void *arg), void *arg)
{
	const u64 window_size = get_vm_area_size(window);
	int err = 0;

	while (size && !err) {
		u64 skip = base & (window_size - 1);
		u64 len = min_t(u64, size, window_size - skip);
		void *addr = window->addr + skip;
		unsigned long start = PAGE_ALIGN_DOWN((unsigned long)addr);
		unsigned long end = PAGE_ALIGN((unsigned long)addr + len);

		err = vmap_page_range(start, end, PAGE_ALIGN_DOWN(base), PAGE_KERNEL);
		err = err ?: fn(addr, len, arg);
		vunmap_range(start, end);
		base += len;
		size -= len;
	}
	return err;
}

/**
 * gmem_window_walk - map memory of the pool for a moment, piece by piece
 * @base: first byte
 * @size: length in bytes
 * @fn: called with the address of a piece, its length and @arg; a result other than 0
 *	ends the walk
 * @arg: for @fn
 *
 * Context: process context, may sleep.
 * Return: 0, what @fn said, or -ENOMEM (no address space or page table).
 */
int gmem_window_walk(u64 base, u64 size, int (*fn)(void *addr, u64 size, void *arg),
		     void *arg)
{
	struct vm_struct *window = get_window();
	int err;

	if (!window)
		return -ENOMEM;
	err = walk(window, base, size, fn, arg);
	put_window(window);
	return err;
}

/**
 * gmem_window_walk_user - the same, for an @fn that reads or writes user memory
 * @base: first byte
 * @size: length in bytes
 * @fn: as above
 * @arg: for @fn
 *
 * User memory may be slow to come, so nothing is used that others wait for, nor more
 * address space than a granule's.
 *
 * Context: process context, may sleep.
 * Return: as above.
 */
int gmem_window_walk_user(u64 base, u64 size,
			  int (*fn)(void *addr, u64 size, void *arg), void *arg)
{
	struct vm_struct *window = get_vm_area(SZ_2M, VM_IOREMAP);
	int err;

	if (!window)
		return -ENOMEM;
	err = walk(window, base, size, fn, arg);
	free_vm_area(window);
	return err;
}

struct clearing {
	int (*stop)(void *arg);
	void *arg;
};

static int clear_piece(void *addr, u64 size, void *arg)
{
	const struct clearing *clearing = arg;

	while (size) {
		u64 len = min_t(u64, size, STEP_SIZE);
		int err = clearing->stop ? clearing->stop(clearing->arg) : 0;

		if (err)
			return err;
		clear_pages(addr, len >> PAGE_SHIFT);
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
 * @arg: what @stop is called with
 *
 * Context: process context, may sleep.
 * Return: 0, what @stop said, or -ENOMEM (no address space or page table).
 */
int gmem_zero(u64 base, u64 size, int (*stop)(void *), void *arg)
{
	struct clearing clearing = { .stop = stop, .arg = arg };

	return gmem_window_walk(base, size, clear_piece, &clearing);
}
