// SPDX-License-Identifier: GPL-2.0
/*
 * A device for tests of VM_PFNMAP mappings, which need no hardware then.
 *
 * An open file of /dev/test_pfnmap has memory of its own. It comes with the first mmap(), is as
 * large as that, physically contiguous and aligned to its size, and goes with the file. It is
 * mapped as a BAR is: nobody looks at the pages, and the leaves are the largest ones that address,
 * offset and CPU permit. User space may count them by the page faults that they take.
 */
#include <linux/cleanup.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <linux/vmalloc.h>

#include "test_pfnmap.h"

/* Of memory that comes */
static DEFINE_MUTEX(test_pfnmap_lock);

static int test_pfnmap_alloc(struct test_pfnmap *mem, unsigned long nr_pages)
{
	guard(mutex)(&test_pfnmap_lock);
	if (mem->page)
		return 0;
	mem->page = alloc_contig_pages(nr_pages, GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN,
				       numa_mem_id(), NULL);
	if (!mem->page)
		return -ENOMEM;
	mem->nr_pages = nr_pages;
	return 0;
}

/**
 * test_pfnmap_mmap - let user space map the memory of a file
 * @mem: the memory
 * @vma: the mapping; the caller gives it its vm_ops
 *
 * Return: 0, -EINVAL (not a shared mapping, or of more than there is), -ENOMEM.
 */
int test_pfnmap_mmap(struct test_pfnmap *mem, struct vm_area_struct *vma)
{
	int err;

	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	err = test_pfnmap_alloc(mem, vma_pages(vma));
	if (err)
		return err;
	if (vma->vm_pgoff + vma_pages(vma) > mem->nr_pages)
		return -EINVAL;
	vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_private_data = mem;
	return 0;
}

/**
 * test_pfnmap_insert - map what a page fault asks for
 * @mem: the memory
 * @vmf: the fault
 * @order: of the leaf
 *
 * Return: as huge_fault.
 */
vm_fault_t test_pfnmap_insert(const struct test_pfnmap *mem, struct vm_fault *vmf,
			      unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	const unsigned long size = PAGE_SIZE << order;
	const unsigned long addr = ALIGN_DOWN(vmf->address, size);
	const bool write = vmf->flags & FAULT_FLAG_WRITE;
	unsigned long pfn;

	if (addr < vma->vm_start || addr + size > vma->vm_end)
		return VM_FAULT_FALLBACK;
	pfn = page_to_pfn(mem->page) + linear_page_index(vma, addr);
	if (!IS_ALIGNED(pfn, 1UL << order))
		return VM_FAULT_FALLBACK;
	if (!order)
		return vmf_insert_pfn(vma, addr, pfn);
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) && order == PMD_ORDER)
		return vmf_insert_pfn_pmd(vmf, pfn, write);
	/* Core mm asks for this order whether the CPU has such leaves or not. */
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP) && order == PUD_ORDER &&
	    arch_vmap_pud_supported(vma->vm_page_prot))
		return vmf_insert_pfn_pud(vmf, pfn, write);
	return VM_FAULT_FALLBACK;
}

/**
 * test_pfnmap_free - give memory back that nobody maps any more
 * @mem: the memory
 */
void test_pfnmap_free(struct test_pfnmap *mem)
{
	if (mem->page)
		free_contig_range(page_to_pfn(mem->page), mem->nr_pages);
}

static vm_fault_t test_pfnmap_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	return test_pfnmap_insert(vmf->vma->vm_private_data, vmf, order);
}

static vm_fault_t test_pfnmap_fault(struct vm_fault *vmf)
{
	return test_pfnmap_huge_fault(vmf, 0);
}

static const struct vm_operations_struct test_pfnmap_vm_ops = {
	.fault = test_pfnmap_fault,
#ifdef CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP
	.huge_fault = test_pfnmap_huge_fault,
#endif
};

static int test_pfnmap_dev_open(struct inode *inode, struct file *file)
{
	struct test_pfnmap *mem = kzalloc_obj(*mem, GFP_KERNEL);

	if (!mem)
		return -ENOMEM;
	file->private_data = mem;
	return 0;
}

static int test_pfnmap_dev_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &test_pfnmap_vm_ops;
	return test_pfnmap_mmap(file->private_data, vma);
}

static int test_pfnmap_dev_release(struct inode *inode, struct file *file)
{
	test_pfnmap_free(file->private_data);
	kfree(file->private_data);
	return 0;
}

static const struct file_operations test_pfnmap_fops = {
	.owner = THIS_MODULE,
	.open = test_pfnmap_dev_open,
	.mmap = test_pfnmap_dev_mmap,
	.release = test_pfnmap_dev_release,
};

static struct miscdevice test_pfnmap_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "test_pfnmap",
	.fops = &test_pfnmap_fops,
};

builtin_misc_device(test_pfnmap_dev);
