// SPDX-License-Identifier: GPL-2.0
/*
 * Objects in the page tables of user space.
 *
 * There is no struct page, so there is no reference to take: an entry is valid
 * until unmap_mapping_range() takes it away. Large entries are used wherever the
 * address, the offset and the memory are aligned alike, and core mm falls back to
 * smaller ones where not.
 */
#include "internal.h"

#include <linux/fs.h>
#include <linux/kvm_types.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/vmalloc.h>

static vm_fault_t insert_leaf(struct vm_fault *vmf, unsigned long pfn,
			      unsigned int order)
{
	const bool write = vmf->flags & FAULT_FLAG_WRITE;

	if (!order)
		return vmf_insert_pfn(vmf->vma, vmf->address, pfn);
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) && order == PMD_ORDER)
		return vmf_insert_pfn_pmd(vmf, pfn, write);
	/* Core mm asks for this order whether the CPU has such leaves or not. */
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP) && order == PUD_ORDER &&
	    arch_vmap_pud_supported(vmf->vma->vm_page_prot))
		return vmf_insert_pfn_pud(vmf, pfn, write);
	return VM_FAULT_FALLBACK;
}

static vm_fault_t gmem_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct gmem_object *obj = vma->vm_private_data;
	const unsigned long size = PAGE_SIZE << order;
	const unsigned long addr = ALIGN_DOWN(vmf->address, size);
	/* A file may show less than the last granule of its object. */
	const pgoff_t end = i_size_read(file_inode(vma->vm_file)) >> PAGE_SHIFT;
	pgoff_t index = linear_page_index(vma, vmf->address);
	vm_fault_t ret = VM_FAULT_FALLBACK;
	unsigned long pfn;
	int max_order;

	if (index >= end)
		return VM_FAULT_SIGBUS;
	if (addr < vma->vm_start || addr + size > vma->vm_end)
		return VM_FAULT_FALLBACK;
	index -= (vmf->address - addr) >> PAGE_SHIFT;
	if (!IS_ALIGNED(index, 1UL << order) || index + (1UL << order) > end)
		return VM_FAULT_FALLBACK;

	/* Not while part of the object is being cleared. */
	filemap_invalidate_lock_shared(obj->inode->i_mapping);
	pfn = gmem_object_pfn(obj, index, &max_order);
	if (!order && gmem_object_is_bad(obj, index))
		ret = VM_FAULT_HWPOISON;
	else if (order <= max_order)
		ret = insert_leaf(vmf, pfn, order);
	filemap_invalidate_unlock_shared(obj->inode->i_mapping);
	return ret;
}

static vm_fault_t gmem_fault(struct vm_fault *vmf)
{
	return gmem_huge_fault(vmf, 0);
}

static const struct vm_operations_struct gmem_vm_ops = {
	.fault = gmem_fault,
#ifdef CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP
	.huge_fault = gmem_huge_fault,
#endif
};

/**
 * gmem_vma_pgoff - where in its file a mapping has a page
 * @vma: the mapping, of whatever
 * @pfn: the page frame number
 * @pgoff: number of the page in the file
 *
 * Context: any; @vma is in the tree of its address_space, and stays there.
 * Return: 0, -EFAULT (the mapping has not got this page).
 */
int gmem_vma_pgoff(struct vm_area_struct *vma, unsigned long pfn, pgoff_t *pgoff)
{
	/* Private memory may be mapped, too, but cannot be accessed there. */
	if (vma->vm_ops != &gmem_vm_ops ||
	    !gmem_poison_find(vma->vm_private_data, PFN_PHYS(pfn), pgoff))
		return -EFAULT;
	return *pgoff - vma->vm_pgoff < vma_pages(vma) ? 0 : -EFAULT;
}

/**
 * gmem_object_mmap - let user space map an object
 * @obj: the object
 * @vma: the mapping; shared, of a file that holds a view and whose mapping is that
 *	of the object's inode
 *
 * Access behind the end of the file, and to a page with a memory error, gives SIGBUS.
 *
 * Context: called from the file's mmap method.
 * Return: 0, -EINVAL (not a shared mapping).
 */
int gmem_object_mmap(struct gmem_object *obj, struct vm_area_struct *vma)
{
	/* VM_SHARED is missing if the file was opened for reading. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;

	vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_private_data = obj;
	vma->vm_ops = &gmem_vm_ops;
	return 0;
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_mmap);
