// SPDX-License-Identifier: GPL-2.0
/*
 * Where the pages of an object are, and who is told when they are taken away.
 */
#include "internal.h"

#include <linux/fs.h>
#include <linux/kvm_types.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

/* Index of the range that holds @offset, which lies in the object. */
static unsigned int gmem_mapping_range_at(const struct gmem_object *obj, u64 offset)
{
	unsigned int lo = 0, hi = obj->ranges.nr - 1;

	while (lo < hi) {
		unsigned int mid = hi - (hi - lo) / 2;

		if (obj->start[mid] <= offset)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

/* Is there a whole, aligned leaf of @size bytes around @offset, all of it good? */
static bool gmem_mapping_leaf_fits(struct gmem_object *obj, unsigned int i, u64 offset, u64 size)
{
	const struct gmem_range *r = &obj->ranges.r[i];
	u64 phys = r->base + (offset - obj->start[i]);
	u64 leaf = ALIGN_DOWN(phys, size);

	return leaf >= r->base && leaf + size <= gmem_range_end(r) &&
	       !((phys ^ offset) & (size - 1)) &&
	       gmem_badpages_good_run(obj, ALIGN_DOWN(offset, size), size) == size;
}

/**
 * gmem_object_pfn - where a page of an object is
 * @obj: the object
 * @index: number of the page in the object; must lie in it
 * @max_order: set to the order of the largest leaf, 0, PMD_ORDER or PUD_ORDER,
 *	that may map the page, with offset and address aligned alike; may be NULL
 *
 * A bad page has a number, too, see gmem_object_is_bad(), but no leaf covers it.
 *
 * Context: any; the caller holds a view. An object's memory never moves.
 * Return: the page frame number.
 */
unsigned long gmem_object_pfn(struct gmem_object *obj, pgoff_t index,
			      int *max_order)
{
	const u64 offset = (u64)index << PAGE_SHIFT;
	const unsigned int i = gmem_mapping_range_at(obj, offset);
	const struct gmem_range *r = &obj->ranges.r[i];

	if (max_order) {
		*max_order = 0;
		if (gmem_mapping_leaf_fits(obj, i, offset, PUD_SIZE))
			*max_order = PUD_SHIFT - PAGE_SHIFT;
		else if (gmem_mapping_leaf_fits(obj, i, offset, PMD_SIZE))
			*max_order = PMD_SHIFT - PAGE_SHIFT;
	}
	return PHYS_PFN(r->base + (offset - obj->start[i]));
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_pfn);

/**
 * gmem_mapping_find - which page of an object is at an address
 * @obj: the object
 * @addr: the physical address
 * @index: the number of the page in the object
 *
 * Return: true if the object has this memory.
 */
bool gmem_mapping_find(const struct gmem_object *obj, u64 addr, pgoff_t *index)
{
	unsigned int i;

	for (i = 0; i < obj->ranges.nr; i++) {
		const struct gmem_range *r = &obj->ranges.r[i];

		if (addr < r->base || addr >= gmem_range_end(r))
			continue;
		*index = (obj->start[i] + addr - r->base) >> PAGE_SHIFT;
		return true;
	}
	return false;
}

/**
 * gmem_object_attach - be told when memory is taken away
 * @obj: the object
 * @consumer: who wants to know
 *
 * Context: process context; takes the object's invalidate lock.
 */
void gmem_object_attach(struct gmem_object *obj, struct gmem_consumer *consumer)
{
	filemap_invalidate_lock(obj->inode->i_mapping);
	list_add_tail(&consumer->node, &obj->consumers);
	filemap_invalidate_unlock(obj->inode->i_mapping);
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_attach);

/**
 * gmem_object_detach - be told no more
 * @obj: the object
 * @consumer: who was told
 *
 * Context: process context; takes the object's invalidate lock.
 */
void gmem_object_detach(struct gmem_object *obj, struct gmem_consumer *consumer)
{
	filemap_invalidate_lock(obj->inode->i_mapping);
	list_del(&consumer->node);
	filemap_invalidate_unlock(obj->inode->i_mapping);
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_detach);

static int gmem_mapping_clear(struct gmem_object *obj, u64 offset, u64 size)
{
	int err = 0;

	while (size && !err) {
		unsigned int i = gmem_mapping_range_at(obj, offset);
		u64 skip = offset - obj->start[i];
		u64 len = min(size, obj->ranges.r[i].size - skip);

		len = gmem_badpages_good_run(obj, offset, len);
		if (len)
			err = gmem_zero(obj->ranges.r[i].base + skip, len, NULL, NULL);
		else
			len = PAGE_SIZE;
		offset += len;
		size -= len;
	}
	return err;
}

/**
 * gmem_object_punch_locked - clear part of an object
 * @obj: the object
 * @offset: where the part begins, in bytes, aligned to pages
 * @size: its length in bytes, aligned to pages; all of it lies in the object
 *
 * The part reads zero afterwards, except for pages with memory errors, and stays the
 * object's.
 *
 * Context: process context; the object's invalidate lock is held, so that faults in user space
 * wait; those of KVM wait for its end.
 * Return: 0, or an error of gmem_zero().
 */
int gmem_object_punch_locked(struct gmem_object *obj, u64 offset, u64 size)
{
	const pgoff_t start = offset >> PAGE_SHIFT;
	const pgoff_t end = (offset + size) >> PAGE_SHIFT;
	struct gmem_consumer *consumer;
	int err;

	lockdep_assert_held_write(&obj->inode->i_mapping->invalidate_lock);

	list_for_each_entry(consumer, &obj->consumers, node)
		consumer->ops->invalidate_start(consumer, start, end);
	unmap_mapping_range(obj->inode->i_mapping, offset, size, 1);
	err = gmem_mapping_clear(obj, offset, size);
	gmem_stop_here("punch-cleared");
	list_for_each_entry(consumer, &obj->consumers, node)
		consumer->ops->invalidate_end(consumer, start, end);
	return err;
}
