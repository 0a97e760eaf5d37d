/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RAM without struct page, and how others than its owner may use it.
 */
#ifndef _LINUX_PAGELESS_H
#define _LINUX_PAGELESS_H

#include <linux/bits.h>
#include <linux/container_of.h>
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mm.h>

/**
 * DOC: memory without struct page
 *
 * A VM_PFNMAP mapping shows memory that nobody can take a reference to: get_user_pages()
 * refuses it, since nothing tells for how long it stays what it is. Whoever owns RAM
 * without struct page may know better: that it never moves, and is nobody else's as long
 * as a file is open. He offers vm_operations_struct.hold, which is all that makes a mapping
 * *page-less* here, and pageless_file_operations.hold for those who have a file and no mapping
 * of it.
 *
 * A *hold* takes the place of the references of get_user_pages(). As long as there is one,
 * the memory at an offset of the mapped file stays where it is and belongs to whom it
 * belongs, whatever becomes of the mapping. It keeps nobody from changing the contents, as a
 * reference does not.
 *
 * Who maps for a device what he holds has to *watch* it: in case of a memory error he is told to
 * take it away.
 *
 * A process that has had such a mapping has MMF_PAGELESS, so that for all others a test of
 * that bit is all that they pay.
 */

struct pageless_hold;

/**
 * struct pageless_watch - who maps what he holds for a device, where the owner cannot unmap it
 * @revoke: nobody may access @size bytes at @offset of the file any more: unmap them, or see to
 *	it that they are as soon as that can be. Process context; may sleep, cannot fail, and waits
 *	for nothing that user space can hold up. The owner holds no lock that a page fault may want,
 *	so mmap locks may be taken, but no lock that is held when something is watched or unwatched
 * @node: of the owner
 */
struct pageless_watch {
	void (*revoke)(struct pageless_watch *watch, u64 offset, u64 size);
	struct list_head node;
};

/**
 * struct pageless_ops - what can be done with memory that is held
 * @range: tell where the byte at @offset of the file is, and how many of @size bytes lie
 *	there in a row; 0 if nobody may access it, as there was a memory error, or it is behind
 *	the end of the file. Any context
 * @write: copy from memory of the kernel to @offset of the file; process context, may sleep;
 *	needs a hold for writing. Returns 0 or -EFAULT (not all of it can be accessed)
 * @watch: call @watch->revoke whenever @range begins to say 0 of a part; who asks @range after
 *	this misses nothing. Process context, may sleep
 * @unwatch: do so no more; it is not being called when this returns
 * @release: end the hold; process context, may sleep
 */
struct pageless_ops {
	size_t (*range)(const struct pageless_hold *hold, u64 offset, size_t size,
			phys_addr_t *phys);
	int (*write)(const struct pageless_hold *hold, u64 offset, const void *from,
		     size_t size);
	void (*watch)(const struct pageless_hold *hold, struct pageless_watch *watch);
	void (*unwatch)(const struct pageless_hold *hold, struct pageless_watch *watch);
	void (*release)(struct pageless_hold *hold);
};

/**
 * struct pageless_hold - memory that stays where it is, and whose it is
 * @ops: of its owner; NULL: nothing is held
 * @ref: what the owner has a reference to
 * @data: of the owner
 * @module: has a reference as long as it is held, or NULL
 * @write: it is to be written to
 */
struct pageless_hold {
	const struct pageless_ops *ops;
	void *ref;
	void *data;
	struct module *module;
	bool write;
};

/* In fop_flags; far from those that linux/fs.h counts up */
#define FOP_PAGELESS	((__force fop_flags_t)BIT(31))

/**
 * struct pageless_file_operations - of a file whose memory can be held without a mapping
 * @fops: all others, with %FOP_PAGELESS
 * @hold: as vm_operations_struct.hold; the file is open for reading and, if @write, for writing
 */
struct pageless_file_operations {
	const struct file_operations fops;
	int (*hold)(struct file *file, bool write, struct pageless_hold *hold);
};

#ifdef CONFIG_PAGELESS

static inline bool vma_is_pageless(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_PFNMAP && vma->vm_ops && vma->vm_ops->hold;
}

/**
 * pageless_hold - hold the memory that a mapping shows
 * @vma: the mapping; vma_is_pageless()
 * @write: the holder will write to it
 * @hold: to be given to pageless_release()
 *
 * What the process at hand may do with the mapping is to be checked by the caller.
 *
 * Context: process context, the mmap lock or that of @vma is held; may sleep if @write.
 * Return: 0 or, if @write only, -EBUSY: the owner admits no writer now.
 */
static inline int pageless_hold(struct vm_area_struct *vma, bool write,
				struct pageless_hold *hold)
{
	return vma->vm_ops->hold(vma, write, hold);
}

static inline bool file_is_pageless(const struct file *file)
{
	return file->f_op->fop_flags & FOP_PAGELESS;
}

/**
 * pageless_hold_file - hold the memory that a file shows
 * @file: the file; file_is_pageless()
 * @write: the holder will write to it
 * @hold: to be given to pageless_release()
 *
 * Context: process context; may sleep.
 * Return: 0, -EACCES (the file is not open for reading or, if @write, for writing, too),
 * -ENODEV (it cannot be mapped), -EBUSY (the owner admits no writer now).
 */
static inline int pageless_hold_file(struct file *file, bool write, struct pageless_hold *hold)
{
	const fmode_t mode = FMODE_READ | (write ? FMODE_WRITE : 0);
	const struct pageless_file_operations *ops =
		container_of(file->f_op, struct pageless_file_operations, fops);

	if ((file->f_mode & mode) != mode)
		return -EACCES;
	return ops->hold(file, write, hold);
}

/**
 * pageless_watch - be told when part of what is held is taken away
 * @hold: of him
 * @watch: what to call
 */
static inline void pageless_watch(const struct pageless_hold *hold,
				  struct pageless_watch *watch)
{
	hold->ops->watch(hold, watch);
}

/**
 * pageless_unwatch - be told no more
 * @hold: of him
 * @watch: what was given to pageless_watch()
 */
static inline void pageless_unwatch(const struct pageless_hold *hold,
				    struct pageless_watch *watch)
{
	hold->ops->unwatch(hold, watch);
}

/**
 * pageless_release - hold it no more
 * @hold: what pageless_hold() made, or one with no ops, for which nothing is done
 *
 * Context: process context, may sleep.
 */
static inline void pageless_release(struct pageless_hold *hold)
{
	if (!hold->ops)
		return;
	hold->ops->release(hold);
	hold->ops = NULL;
}

#else

static inline bool vma_is_pageless(const struct vm_area_struct *vma)
{
	return false;
}

static inline int pageless_hold(struct vm_area_struct *vma, bool write,
				struct pageless_hold *hold)
{
	return -EINVAL;
}

static inline bool file_is_pageless(const struct file *file)
{
	return false;
}

static inline int pageless_hold_file(struct file *file, bool write, struct pageless_hold *hold)
{
	return -EINVAL;
}

static inline void pageless_watch(const struct pageless_hold *hold,
				  struct pageless_watch *watch)
{
}

static inline void pageless_unwatch(const struct pageless_hold *hold,
				    struct pageless_watch *watch)
{
}

static inline void pageless_release(struct pageless_hold *hold)
{
}

#endif /* CONFIG_PAGELESS */

/**
 * vma_file_offset - where an address of a mapping is in its file
 * @vma: the mapping
 * @addr: lies in it
 *
 * Return: the offset in bytes.
 */
static inline u64 vma_file_offset(const struct vm_area_struct *vma, unsigned long addr)
{
	return ((u64)vma->vm_pgoff << PAGE_SHIFT) + (addr - vma->vm_start);
}

#endif /* _LINUX_PAGELESS_H */
