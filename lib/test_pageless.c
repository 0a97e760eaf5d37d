// SPDX-License-Identifier: GPL-2.0
/*
 * A device for tests of memory without struct page that can be held (linux/pageless.h).
 *
 * An open file of /dev/test_pageless has memory as one of /dev/test_pfnmap. There are pages behind
 * it, but as it is mapped with VM_PFNMAP nobody gets at them. It is there as long as the file is,
 * so that a hold is a reference to the file. An ioctl makes a page bad, as a memory error would:
 * it is unmapped, those who watch are told, and nobody gets at it any more. Another one lets page
 * faults come to nothing for a while.
 */
#include <linux/cleanup.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pageless.h>
#include <linux/pagemap.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "test_pageless_uapi.h"
#include "test_pfnmap.h"

#define TEST_PAGELESS_ALL_GOOD	ULONG_MAX

/**
 * struct test_pageless - the memory of an open file
 * @mem: the memory
 * @lock: of @bad; page faults take it for reading
 * @bad: number of the bad page; may be read without @lock
 * @busy: page faults do nothing
 * @nr_busy: how many these were
 * @watch_lock: of the following
 * @watches: who is told of that
 */
struct test_pageless {
	struct test_pfnmap mem;
	struct rw_semaphore lock;
	unsigned long bad;
	bool busy;
	atomic_t nr_busy;
	struct mutex watch_lock;	/* @watches */
	struct list_head watches;
};

static size_t test_pageless_range(const struct pageless_hold *hold, u64 offset, size_t size,
				  phys_addr_t *phys)
{
	const struct test_pageless *test = hold->data;
	const unsigned long bad = READ_ONCE(test->bad);
	u64 end = PFN_PHYS(test->mem.nr_pages);

	if (bad != TEST_PAGELESS_ALL_GOOD && offset < PFN_PHYS(bad + 1))
		end = PFN_PHYS(bad);
	if (offset >= end)
		return 0;
	*phys = page_to_phys(test->mem.page) + offset;
	return min_t(u64, size, end - offset);
}

static int test_pageless_write(const struct pageless_hold *hold, u64 offset, const void *from,
			       size_t size)
{
	struct test_pageless *test = hold->data;
	phys_addr_t phys;
	size_t good;

	if (WARN_ON_ONCE(!hold->write))
		return -EFAULT;
	guard(rwsem_read)(&test->lock);
	good = test_pageless_range(hold, offset, size, &phys);
	if (good)
		memcpy(page_address(test->mem.page) + offset, from, good);
	return good == size ? 0 : -EFAULT;
}

static void test_pageless_watch(const struct pageless_hold *hold, struct pageless_watch *watch)
{
	struct test_pageless *test = hold->data;

	guard(mutex)(&test->watch_lock);
	list_add_tail(&watch->node, &test->watches);
}

static void test_pageless_unwatch(const struct pageless_hold *hold, struct pageless_watch *watch)
{
	struct test_pageless *test = hold->data;

	guard(mutex)(&test->watch_lock);
	list_del(&watch->node);
}

static void test_pageless_release(struct pageless_hold *hold)
{
	fput(hold->ref);
}

static const struct pageless_ops test_pageless_ops = {
	.range = test_pageless_range,
	.write = test_pageless_write,
	.watch = test_pageless_watch,
	.unwatch = test_pageless_unwatch,
	.release = test_pageless_release,
};

static int test_pageless_hold_file(struct file *file, bool write, struct pageless_hold *hold)
{
	struct test_pageless *test = file->private_data;

	if (!test->mem.page)
		return -ENODEV;
	*hold = (struct pageless_hold) {
		.ops = &test_pageless_ops,
		.ref = get_file(file),
		.data = test,
		.write = write,
	};
	return 0;
}

static int test_pageless_hold_vma(struct vm_area_struct *vma, bool write,
				  struct pageless_hold *hold)
{
	return test_pageless_hold_file(vma->vm_file, write, hold);
}

static vm_fault_t test_pageless_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct test_pageless *test = vma->vm_file->private_data;

	if (READ_ONCE(test->busy)) {
		atomic_inc(&test->nr_busy);
		return VM_FAULT_NOPAGE;
	}
	guard(rwsem_read)(&test->lock);
	if (test->bad >> order == linear_page_index(vma, vmf->address) >> order)
		return order ? VM_FAULT_FALLBACK : VM_FAULT_HWPOISON;
	return test_pfnmap_insert(&test->mem, vmf, order);
}

static vm_fault_t test_pageless_fault(struct vm_fault *vmf)
{
	return test_pageless_huge_fault(vmf, 0);
}

/* A process may have it by fork() alone. */
static void test_pageless_vm_open(struct vm_area_struct *vma)
{
	mm_flags_set(MMF_PAGELESS, vma->vm_mm);
}

static const struct vm_operations_struct test_pageless_vm_ops = {
	.open = test_pageless_vm_open,
	.fault = test_pageless_fault,
#ifdef CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP
	.huge_fault = test_pageless_huge_fault,
#endif
	.hold = test_pageless_hold_vma,
};

static int test_pageless_dev_open(struct inode *inode, struct file *file)
{
	struct test_pageless *test = kzalloc_obj(*test, GFP_KERNEL);

	if (!test)
		return -ENOMEM;
	init_rwsem(&test->lock);
	mutex_init(&test->watch_lock);
	INIT_LIST_HEAD(&test->watches);
	test->bad = TEST_PAGELESS_ALL_GOOD;
	file->private_data = test;
	return 0;
}

static int test_pageless_dev_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct test_pageless *test = file->private_data;

	mm_flags_set(MMF_PAGELESS, vma->vm_mm);
	vma->vm_ops = &test_pageless_vm_ops;
	return test_pfnmap_mmap(&test->mem, vma);
}

static long test_pageless_dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct test_pageless *test = file->private_data;
	struct pageless_watch *watch;
	u64 offset;

	if (cmd == TEST_PAGELESS_BUSY) {
		WRITE_ONCE(test->busy, arg);
		return atomic_read(&test->nr_busy);
	}
	if (cmd != TEST_PAGELESS_POISON)
		return -ENOTTY;
	if (get_user(offset, (u64 __user *)arg))
		return -EFAULT;
	if (!IS_ALIGNED(offset, PAGE_SIZE) || offset >= PFN_PHYS(test->mem.nr_pages))
		return -EINVAL;
	scoped_guard(rwsem_write, &test->lock) {
		if (test->bad != TEST_PAGELESS_ALL_GOOD)
			return -EBUSY;
		WRITE_ONCE(test->bad, PHYS_PFN(offset));
		unmap_mapping_range(file->f_mapping, offset, PAGE_SIZE, 1);
	}
	/* Who begins to watch after this finds that it is bad. */
	guard(mutex)(&test->watch_lock);
	list_for_each_entry(watch, &test->watches, node)
		watch->revoke(watch, offset, PAGE_SIZE);
	return 0;
}

static int test_pageless_dev_release(struct inode *inode, struct file *file)
{
	struct test_pageless *test = file->private_data;

	WARN_ON(!list_empty(&test->watches));
	test_pfnmap_free(&test->mem);
	kfree(test);
	return 0;
}

static const struct pageless_file_operations test_pageless_fops = {
	.fops = {
		.owner = THIS_MODULE,
		.open = test_pageless_dev_open,
		.mmap = test_pageless_dev_mmap,
		.unlocked_ioctl = test_pageless_dev_ioctl,
		.release = test_pageless_dev_release,
		.fop_flags = FOP_PAGELESS,
	},
	.hold = test_pageless_hold_file,
};

static struct miscdevice test_pageless_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "test_pageless",
	.fops = &test_pageless_fops.fops,
};

builtin_misc_device(test_pageless_dev);
