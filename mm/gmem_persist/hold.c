// SPDX-License-Identifier: GPL-2.0
/*
 * Objects that somebody holds who has no mapping of them, or had one: see
 * include/linux/pageless.h.
 *
 * What a mapping shows by a file of gmemfs is held by that file, and with it the view, which
 * is a writer as long as a hold for writing lasts. A guest_memfd is held by its inode, since
 * its file would hold the VM; the inode keeps its view as long as it is there.
 *
 * A memory error is all that takes a part away from a holder. Punching does not: the memory
 * stays the object's, and the holder sees it cleared. Nor does a freeze, nor the loss of its
 * name, and an object with a view never changes from shared to private memory.
 */
#include "fs.h"

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pageless.h>
#include <linux/pagemap.h>
#include <linux/sched.h>

static size_t gmem_hold_range(const struct inode *inode, const struct pageless_hold *hold,
			      u64 offset, size_t size, phys_addr_t *phys)
{
	const struct gmem_view *view = hold->data;
	const u64 page = PAGE_ALIGN_DOWN(offset);
	const u64 end = i_size_read(inode);
	u64 good, row = SZ_2M;
	int order;

	if (offset >= end)
		return 0;
	*phys = PFN_PHYS(gmem_object_pfn(view->obj, offset >> PAGE_SHIFT, &order)) +
		offset_in_page(offset);
	/* All of a leaf is in a row, and so is a granule that bad pages keep from being one. */
	if (order)
		row = PAGE_SIZE << order;
	size = min3(size, end - offset, row - (offset & (row - 1)));
	good = gmem_badpages_good_run(view->obj, page, PAGE_ALIGN(offset + size) - page);
	return good ? min_t(u64, size, page + good - offset) : 0;
}

static int gmem_hold_write(const struct pageless_hold *hold, u64 offset, const void *from,
			   size_t size)
{
	struct gmem_view *view = hold->data;
	struct address_space *mapping = view->obj->inode->i_mapping;
	int err = 0;

	if (WARN_ON_ONCE(!hold->write))
		return -EFAULT;
	/* As a fault does: another view may have written since the hold began. */
	filemap_invalidate_lock_shared(mapping);
	gmem_view_write(view);
	while (size && !err) {
		phys_addr_t phys;
		const size_t len = hold->ops->range(hold, offset, size, &phys);

		if (len)
			gmem_window_write(phys, from, len);
		else
			err = -EFAULT;
		offset += len;
		from += len;
		size -= len;
	}
	filemap_invalidate_unlock_shared(mapping);
	return err;
}

static size_t gmem_hold_file_range(const struct pageless_hold *hold, u64 offset, size_t size,
				   phys_addr_t *phys)
{
	const struct file *file = hold->ref;

	return gmem_hold_range(file_inode(file), hold, offset, size, phys);
}

static size_t gmem_hold_inode_range(const struct pageless_hold *hold, u64 offset, size_t size,
				    phys_addr_t *phys)
{
	return gmem_hold_range(hold->ref, hold, offset, size, phys);
}

static void gmem_hold_watch(const struct pageless_hold *hold, struct pageless_watch *watch)
{
	struct gmem_view *view = hold->data;

	guard(mutex)(&view->obj->watches_lock);
	list_add_tail(&watch->node, &view->obj->watches);
}

static void gmem_hold_unwatch(const struct pageless_hold *hold, struct pageless_watch *watch)
{
	struct gmem_view *view = hold->data;

	guard(mutex)(&view->obj->watches_lock);
	list_del(&watch->node);
}

static void gmem_hold_release_file(struct pageless_hold *hold)
{
	if (hold->write)
		gmem_view_unhold(hold->data);
	/* A kernel thread's last one would come later than its release says. */
	if (current->flags & PF_KTHREAD)
		__fput_sync(hold->ref);
	else
		fput(hold->ref);
}

static void gmem_hold_release_inode(struct pageless_hold *hold)
{
	if (hold->write)
		gmem_view_unhold(hold->data);
	iput(hold->ref);
	module_put(hold->module);
}

static const struct pageless_ops gmem_hold_file_ops = {
	.range = gmem_hold_file_range,
	.write = gmem_hold_write,
	.watch = gmem_hold_watch,
	.unwatch = gmem_hold_unwatch,
	.release = gmem_hold_release_file,
};

static const struct pageless_ops gmem_hold_inode_ops = {
	.range = gmem_hold_inode_range,
	.write = gmem_hold_write,
	.watch = gmem_hold_watch,
	.unwatch = gmem_hold_unwatch,
	.release = gmem_hold_release_inode,
};

/**
 * gmem_hold_file - hold what a file of gmemfs shows
 * @file: the file, which could be mapped
 * @write: it will be written to; it has the view's token when this returns
 * @hold: the hold
 *
 * Context: as gmem_hold_vma().
 * Return: 0 or, if @write only, -EBUSY: there is another writer.
 */
int gmem_hold_file(struct file *file, bool write, struct pageless_hold *hold)
{
	struct gmem_view *view = file->private_data;
	int err = write ? gmem_view_hold(view) : 0;

	if (err)
		return err;
	*hold = (struct pageless_hold){
		.ops = &gmem_hold_file_ops,
		.ref = get_file(file),
		.data = view,
		.write = write,
	};
	return 0;
}

/**
 * gmem_hold_vma - hold what a mapping shows
 * @vma: a mapping of an object
 * @write: it will be written to; it has the view's token when this returns
 * @hold: the hold
 *
 * Context: as pageless_hold(); takes the object's writers_lock if @write. The release of that
 * takes the object's invalidate lock.
 * Return: 0 or, if @write only, -EBUSY: there is another writer.
 */
int gmem_hold_vma(struct vm_area_struct *vma, bool write, struct pageless_hold *hold)
{
	struct gmem_view *view = vma->vm_private_data;
	struct inode *inode = file_inode(vma->vm_file);
	int err;

	if (gmem_file_is_view(vma->vm_file))
		return gmem_hold_file(vma->vm_file, write, hold);
	err = write ? gmem_view_hold(view) : 0;
	if (err)
		return err;
	ihold(inode);
	*hold = (struct pageless_hold){
		.ops = &gmem_hold_inode_ops,
		.ref = inode,
		.data = view,
		/* Its file system is KVM's, which the inode alone does not keep. */
		.module = vma->vm_file->f_op->owner,
		.write = write,
	};
	__module_get(hold->module);
	return 0;
}
