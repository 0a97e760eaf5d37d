// SPDX-License-Identifier: GPL-2.0
/*
 * Objects in the page tables of user space.
 *
 * There is no struct page, so there is no reference to take: an entry is valid
 * until unmap_mapping_range() takes it away. Large entries are used wherever the
 * address, the offset and the memory are aligned alike, and core mm falls back to
 * smaller ones where not.
 *
 * Leaves are read-only until the view has written: see view.c.
 */
#include "internal.h"

#include <linux/fs.h>
#include <linux/kvm_types.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pageless.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/vmalloc.h>

static vm_fault_t gmem_mmap_insert(struct vm_fault *vmf, unsigned long pfn,
				   unsigned int order, bool write)
{
	struct vm_area_struct *vma = vmf->vma;

	/* That of the mapping is read-only, as we have pfn_mkwrite(). */
	if (!order)
		return vmf_insert_pfn_prot(vma, vmf->address, pfn, write ?
					   vm_get_page_prot(vma->vm_flags) :
					   vma->vm_page_prot);
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) && order == PMD_ORDER)
		return vmf_insert_pfn_pmd(vmf, pfn, write);
	/* Core mm asks for this order whether the CPU has such leaves or not. */
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP) && order == PUD_ORDER &&
	    arch_vmap_pud_supported(vma->vm_page_prot))
		return vmf_insert_pfn_pud(vmf, pfn, write);
	return VM_FAULT_FALLBACK;
}

/*
 * May the leaf be writable? A write takes the view's token first. The invalidate lock is held
 * until the leaf is there, so that there is none that rearming does not see.
 */
static bool gmem_mmap_writable(struct vm_fault *vmf)
{
	struct gmem_view *view = vmf->vma->vm_private_data;

	if (!(vmf->vma->vm_flags & VM_WRITE))
		return false;
	if (vmf->flags & FAULT_FLAG_WRITE)
		gmem_view_write(view);
	return gmem_view_has_written(view);
}

static vm_fault_t gmem_mmap_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct gmem_view *view = vma->vm_private_data;
	struct gmem_object *obj = view->obj;
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
	gmem_stop_here("fault-locked");
	pfn = gmem_object_pfn(obj, index, &max_order);
	if (!order && gmem_object_is_bad(obj, index))
		ret = VM_FAULT_HWPOISON;
	else if (order <= max_order)
		ret = gmem_mmap_insert(vmf, pfn, order, gmem_mmap_writable(vmf));
	filemap_invalidate_unlock_shared(obj->inode->i_mapping);
	return ret;
}

static vm_fault_t gmem_mmap_fault(struct vm_fault *vmf)
{
	return gmem_mmap_huge_fault(vmf, 0);
}

/*
 * A write to a small leaf that is read-only. To let core mm make it writable would be too
 * late: the lock has been let go of by then. So put another one in its place.
 */
static vm_fault_t gmem_mmap_mkwrite(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct gmem_view *view = vma->vm_private_data;
	struct gmem_object *obj = view->obj;
	struct address_space *mapping = obj->inode->i_mapping;
	const pgoff_t index = linear_page_index(vma, vmf->address);
	vm_fault_t ret;

	filemap_invalidate_lock_shared(mapping);
	gmem_view_write(view);
	/* Only here: what others have may stay read-only. */
	zap_special_vma_range(vma, vmf->address & PAGE_MASK, PAGE_SIZE);
	if (gmem_object_is_bad(obj, index))
		ret = VM_FAULT_HWPOISON;
	else
		ret = gmem_mmap_insert(vmf, gmem_object_pfn(obj, index, NULL), 0, true);
	filemap_invalidate_unlock_shared(mapping);
	return ret;
}

/* What may become writable counts, whatever it is now. */
static bool gmem_mmap_counts(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_MAYWRITE;
}

/* It was counted, so this cannot be refused. */
static void gmem_mmap_open(struct vm_area_struct *vma)
{
	mm_flags_set(MMF_PAGELESS, vma->vm_mm);
	if (gmem_mmap_counts(vma))
		gmem_view_map(vma->vm_private_data, false);
}

static void gmem_mmap_close(struct vm_area_struct *vma)
{
	if (gmem_mmap_counts(vma))
		gmem_view_unmap(vma->vm_private_data);
}

static int gmem_mmap_mprotect(struct vm_area_struct *vma, unsigned long start,
			      unsigned long end, unsigned long newflags)
{
	return newflags & VM_WRITE ? gmem_view_map_write(vma->vm_private_data) : 0;
}

static const struct vm_operations_struct gmem_mmap_vm_ops = {
	.open = gmem_mmap_open,
	.close = gmem_mmap_close,
	.mprotect = gmem_mmap_mprotect,
	.fault = gmem_mmap_fault,
#ifdef CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP
	.huge_fault = gmem_mmap_huge_fault,
#endif
	.pfn_mkwrite = gmem_mmap_mkwrite,
	.hold = gmem_hold_vma,
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
	const struct gmem_view *view = vma->vm_private_data;

	/* Private memory may be mapped, too, but cannot be accessed there. */
	if (vma->vm_ops != &gmem_mmap_vm_ops ||
	    !gmem_mapping_find(view->obj, PFN_PHYS(pfn), pgoff))
		return -EFAULT;
	return *pgoff - vma->vm_pgoff < vma_pages(vma) ? 0 : -EFAULT;
}

/*
 * Where the kernel may choose the address: one that is aligned to @size like the offset. 0: it
 * can not be had.
 */
static unsigned long gmem_mmap_aligned(struct file *file, unsigned long len, u64 offset,
				       unsigned long flags, unsigned long size)
{
	unsigned long addr;

	/* Is there a whole leaf in it? */
	if (ALIGN(offset, size) + size > offset + len || len + size < len)
		return 0;
	addr = mm_get_unmapped_area(file, 0, len + size, 0, flags);
	if (IS_ERR_VALUE(addr))
		return 0;
	return addr + ((offset - addr) & (size - 1));
}

/**
 * gmem_mmap_get_unmapped_area - choose the address of a mapping
 * @file: of gmemfs
 * @addr: where user space wants it; 0: anywhere
 * @len: length in bytes
 * @pgoff: offset in the file, in pages
 * @flags: MAP_FIXED and others
 *
 * Context: called from mmap().
 * Return: the address, such that leaves can be as large as possible if @addr is 0, or -errno.
 */
unsigned long gmem_mmap_get_unmapped_area(struct file *file, unsigned long addr,
					  unsigned long len, unsigned long pgoff,
					  unsigned long flags)
{
	const u64 offset = (u64)pgoff << PAGE_SHIFT;
	unsigned long found = 0;

	if (!addr && !(flags & MAP_FIXED)) {
		found = gmem_mmap_aligned(file, len, offset, flags, PUD_SIZE);
		if (!found)
			found = gmem_mmap_aligned(file, len, offset, flags, PMD_SIZE);
	}
	return found ?: mm_get_unmapped_area(file, addr, len, pgoff, flags);
}

/* Large leaves are what this memory is for; whoever does without may not know it. */
static void gmem_mmap_check_alignment(struct gmem_view *view, const struct vm_area_struct *vma)
{
	if (vma->vm_end - vma->vm_start < PMD_SIZE || READ_ONCE(view->misaligned) ||
	    !((vma->vm_start ^ vma_file_offset(vma, vma->vm_start)) & (PMD_SIZE - 1)))
		return;
	WRITE_ONCE(view->misaligned, true);
	pr_notice_ratelimited("%s[%d] maps memory at an address that is not aligned to 2 MiB: there can be no large leaves\n",
			      current->comm, task_tgid_nr(current));
}

/**
 * gmem_view_mmap - let user space map an object
 * @view: by which view
 * @vma: the mapping; shared, of a file that holds the view and whose mapping is that
 *	of the object's inode
 *
 * Access behind the end of the file, and to a page with a memory error, gives SIGBUS.
 *
 * Context: called from the file's mmap method.
 * Return: 0, -EINVAL (not a shared mapping), -EBUSY (it is to be written to, and there is
 * another writer).
 */
int gmem_view_mmap(struct gmem_view *view, struct vm_area_struct *vma)
{
	int err = 0;

	/* VM_SHARED is missing if the file was opened for reading. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (gmem_mmap_counts(vma))
		err = gmem_view_map(view, vma->vm_flags & VM_WRITE);
	if (err)
		return err;

	gmem_mmap_check_alignment(view, vma);
	mm_flags_set(MMF_PAGELESS, vma->vm_mm);
	vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_private_data = view;
	vma->vm_ops = &gmem_mmap_vm_ops;
	return 0;
}
EXPORT_SYMBOL_FOR_KVM(gmem_view_mmap);
