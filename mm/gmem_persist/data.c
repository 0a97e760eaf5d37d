// SPDX-License-Identifier: GPL-2.0
/*
 * Reading and writing files of gmemfs.
 */

/**
 * DOC: data
 *
 * A file is given one of two kinds of memory, by what is done first to it while it is
 * empty: ftruncate() or fallocate() makes it a guest's memory, which keeps its size and can
 * be mapped; write() makes it *data*, which is as long as what was written, can be truncated
 * to any length, and is neither mapped nor used by a VM. Truncated to 0 it is empty again.
 * A VMM keeps there what it must know to go on with a guest.
 *
 * Data that needs more memory gets more behind what it has, and nothing is moved or copied.
 * fallocate() with FALLOC_FL_KEEP_SIZE makes room ahead, also in an empty file, which it
 * makes data. The memory is in granules of 2 MiB.
 *
 * A guest's memory that the host shares can be read and written, too, within its size.
 *
 * Bytes pass through a buffer, since a window to the pool's memory is open for no longer than
 * it takes to copy them. User memory may be slow to come, or never do, and others wait for the
 * lock of an inode: whoever unlinks or renames the file, and with him all who use the directory.
 * So no lock is held where user memory may be waited for. What is written is made to be there
 * before, and copied as far as it still is; what is read is copied behind the lock.
 */
#include "fs.h"

#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uio.h>

/* So much is copied at a time. */
#define BUFFER_SIZE	SZ_32K

/**
 * struct gmem_data_reading - bytes on their way out of the pool
 * @buffer: where they go to
 * @done: how many have got there
 */
struct gmem_data_reading {
	void *buffer;
	size_t done;
};

/**
 * struct gmem_data_writing - bytes on their way from user memory
 * @view: of a guest's memory: who writes; NULL: to data
 * @from: where they come from
 * @buffer: what they pass through
 * @size: length of that in bytes
 */
struct gmem_data_writing {
	struct gmem_view *view;
	struct iov_iter *from;
	void *buffer;
	size_t size;
};

static int gmem_data_copy_out(u64 phys, u64 size, void *arg)
{
	struct gmem_data_reading *reading = arg;
	const size_t got = gmem_window_read(reading->buffer + reading->done, phys, size);

	reading->done += got;
	return got < size ? -EIO : 0;
}

/* Before each piece the token is taken again, as another view may have gone since the last one. */
static void gmem_data_copy_to_memory(struct gmem_view *view, u64 phys, const void *from,
				     size_t size)
{
	struct address_space *mapping = view->obj->inode->i_mapping;

	filemap_invalidate_lock_shared(mapping);
	gmem_view_write(view);
	gmem_window_write(phys, from, size);
	filemap_invalidate_unlock_shared(mapping);
}

static int gmem_data_copy_in(u64 phys, u64 size, void *arg)
{
	const struct gmem_data_writing *writing = arg;

	while (size) {
		const size_t len = min(size, writing->size);
		size_t got;

		/* It would not be newer in the record. A view has looked before. */
		if (!writing->view && gmem_pool_frozen())
			return -EBUSY;
		pagefault_disable();
		got = copy_from_iter(writing->buffer, len, writing->from);
		pagefault_enable();
		if (writing->view)
			gmem_data_copy_to_memory(writing->view, phys, writing->buffer, got);
		else
			gmem_window_write(phys, writing->buffer, got);
		gmem_stop_here("data-written");
		if (got < len)
			return -EFAULT;
		phys += len;
		size -= len;
	}
	return 0;
}

static int gmem_data_clear(u64 phys, u64 size, void *arg)
{
	return gmem_zero(phys, size, NULL, NULL);
}

/* Call @fn for each piece of the object: of one granule, and with no bad page in it. */
static int gmem_data_walk(struct gmem_object *obj, u64 offset, u64 size,
			  int (*fn)(u64 phys, u64 size, void *arg), void *arg)
{
	while (size) {
		const u64 page = PAGE_ALIGN_DOWN(offset);
		u64 len = min(size, SZ_2M - (offset & (SZ_2M - 1)));
		u64 good = gmem_badpages_good_run(obj, page, PAGE_ALIGN(offset + len) - page);
		u64 phys;
		int err;

		if (!good)
			return -EIO;
		if (fatal_signal_pending(current))
			return -EINTR;
		len = min(len, page + good - offset);
		phys = PFN_PHYS(gmem_object_pfn(obj, offset >> PAGE_SHIFT, NULL));
		err = fn(phys + offset_in_page(offset), len, arg);
		if (err)
			return err;
		cond_resched();
		offset += len;
		size -= len;
	}
	return 0;
}

/* How many bytes were copied, or, if none, why: -EFAULT if the first one is not there any more. */
static ssize_t gmem_data_copy(struct gmem_object *obj, struct gmem_view *view, u64 offset, u64 size,
			      struct iov_iter *from)
{
	const size_t before = iov_iter_count(from);
	struct gmem_data_writing writing = {
		.view = view,
		.from = from,
		.size = min(size, BUFFER_SIZE),
	};
	int err;

	writing.buffer = kmalloc(writing.size, GFP_KERNEL_ACCOUNT);
	if (!writing.buffer)
		return -ENOMEM;
	err = gmem_data_walk(obj, offset, size, gmem_data_copy_in, &writing);
	/* What was in the pool shall be in the pool only. */
	kfree_sensitive(writing.buffer);
	return (ssize_t)(before - iov_iter_count(from)) ?: err;
}

static bool gmem_data_is_memory(const struct gmem_object *obj)
{
	return obj->ranges.nr && !gmem_object_is_data(obj);
}

static bool gmem_data_is_shared(const struct gmem_object *obj)
{
	const u64 flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;

	return (obj->ser->flags & flags) == flags;
}

/* How many bytes came into the buffer: 0 at the end; or, if none, why. */
static ssize_t gmem_data_read_piece(struct inode *inode, u64 offset, void *buffer, size_t size)
{
	struct gmem_object *obj = inode->i_private;
	struct gmem_data_reading reading = { .buffer = buffer };
	u64 length;
	int err = 0;

	inode_lock_shared(inode);
	length = i_size_read(inode);
	if (gmem_data_is_memory(obj) && !gmem_data_is_shared(obj))
		err = -EPERM;
	else if (offset < length)
		err = gmem_data_walk(obj, offset, min_t(u64, size, length - offset),
				     gmem_data_copy_out, &reading);
	inode_unlock_shared(inode);
	return (ssize_t)reading.done ?: err;
}

static ssize_t gmem_data_read(struct inode *inode, u64 offset, struct iov_iter *to)
{
	const size_t size = min_t(size_t, iov_iter_count(to), BUFFER_SIZE);
	void *buffer = kmalloc(size, GFP_KERNEL_ACCOUNT);
	size_t done = 0;
	ssize_t got;

	if (!buffer)
		return -ENOMEM;
	do {
		got = gmem_data_read_piece(inode, offset + done, buffer,
					   min(iov_iter_count(to), size));
		if (got > 0) {
			const size_t copied = copy_to_iter(buffer, got, to);

			done += copied;
			if (copied < got)
				got = -EFAULT;
		}
	} while (got > 0 && iov_iter_count(to));
	/* What was in the pool shall be in the pool only. */
	kfree_sensitive(buffer);
	return (ssize_t)done ?: got;
}

/**
 * gmem_data_read_iter - read a file
 * @iocb: where
 * @to: where to
 *
 * Return: how many bytes, or -EPERM (private memory is not read), -EFAULT, -EIO (a memory
 * error), -EINTR, -ENOMEM.
 */
ssize_t gmem_data_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	ssize_t done = gmem_data_read(file_inode(iocb->ki_filp), iocb->ki_pos, to);

	if (done > 0)
		iocb->ki_pos += done;
	return done;
}

/*
 * Let there be memory for that many bytes. What is too much, also because of what follows
 * fails, is given back by gmem_data_trim().
 */
static int gmem_data_reserve(struct gmem_object *obj, u64 bytes)
{
	const u64 need = ALIGN(bytes, SZ_2M);
	const u64 twice = 2 * obj->ser->size;
	int err = -ENOSPC;

	if (need <= obj->ser->size)
		return 0;
	/* So that there are not as many pieces as granules */
	if (need < twice)
		err = gmem_object_grow(obj, twice);
	if (err == -ENOSPC || err == -EDQUOT)
		err = gmem_object_grow(obj, need);
	return err;
}

/* Give back what is neither needed nor reserved, unless it is little. */
static void gmem_data_trim(struct gmem_object *obj)
{
	const u64 need = ALIGN(max_t(u64, i_size_read(obj->inode), obj->reserved), SZ_2M);

	if (obj->ranges.nr && need <= obj->ser->size / 2)
		gmem_object_shrink(obj, need);
}

/* Make it longer; what is between the old and the new end reads zero. */
static int gmem_data_extend(struct gmem_object *obj, u64 length)
{
	const u64 old = i_size_read(obj->inode);
	int err = gmem_data_reserve(obj, length);

	if (err || length <= old)
		return err;
	return gmem_data_walk(obj, old, length - old, gmem_data_clear, NULL);
}

/**
 * gmem_data_fallocate - reserve memory for data
 * @inode: of an object that holds data, or has no memory
 * @end: so many bytes will be written without -ENOSPC or -EDQUOT, until it is truncated to no
 *	more than its length, or this kernel ends; its length does not change
 *
 * Context: process context; the inode's lock is held.
 * Return: 0, or an error of gmem_data_write_iter().
 */
int gmem_data_fallocate(struct inode *inode, u64 end)
{
	struct gmem_object *obj = gmem_fs_inode_object(inode);
	int err = gmem_data_reserve(obj, end);

	if (!err)
		obj->reserved = max(obj->reserved, end);
	return err;
}

/* To a guest's memory, of which there is as much as there is. */
static ssize_t gmem_data_write_memory(struct gmem_view *view, u64 offset, u64 count,
				      struct iov_iter *from)
{
	struct gmem_object *obj = view->obj;
	const u64 size = i_size_read(obj->inode);
	ssize_t done;

	if (!gmem_data_is_shared(obj))
		return -EPERM;
	if (offset >= size)
		return -ENOSPC;
	done = gmem_view_begin_write(view);
	if (done)
		return done;
	done = gmem_data_copy(obj, view, offset, min(count, size - offset), from);
	gmem_view_end_write(view);
	return done;
}

static ssize_t gmem_data_write(struct gmem_view *view, u64 offset, u64 count,
			       struct iov_iter *from)
{
	struct gmem_object *obj = view->obj;
	const u64 size = i_size_read(obj->inode);
	ssize_t done, kept;
	int err;

	if (gmem_pool_frozen())
		return -EBUSY;
	if (gmem_data_is_memory(obj))
		return gmem_data_write_memory(view, offset, count, from);
	err = gmem_data_reserve(obj, offset + count);
	if (!err)
		err = gmem_data_extend(obj, offset);
	done = err ? err : gmem_data_copy(obj, NULL, offset, count, from);
	if (done > 0) {
		/* Also if it is as long as before: it is newer. */
		err = gmem_object_set_length(obj, max_t(u64, size, offset + done));
		if (err) {
			/* What has taken the place of other data is there. */
			kept = offset < size ? min_t(u64, done, size - offset) : 0;
			iov_iter_revert(from, done - kept);
			done = kept ?: err;
		}
	}
	gmem_data_trim(obj);
	return done;
}

/* As much as is there of the first @most bytes of user memory, at once for all others */
static ssize_t gmem_data_write_some(struct kiocb *iocb, struct iov_iter *from, size_t most)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t done;
	int err;

	inode_lock(inode);
	done = generic_write_checks(iocb, from);
	if (done > 0) {
		err = file_remove_privs(iocb->ki_filp);
		if (err)
			done = err;
		else
			done = gmem_data_write(iocb->ki_filp->private_data, iocb->ki_pos,
					       min_t(u64, done, most), from);
	}
	if (done > 0) {
		gmem_fs_touch(inode);
		iocb->ki_pos += done;
	}
	inode_unlock(inode);
	return done;
}

/**
 * gmem_data_write_iter - write to a file
 * @iocb: where to
 * @from: what
 *
 * It is written at once, unless its memory goes away in the middle: then others may write before
 * the rest is. If the pool is frozen meanwhile, what has taken the place of other data is written.
 *
 * Return: how many bytes, or -EPERM (private memory is not written to), -ENOSPC (behind
 * the end of a guest's memory, or of the pool's), -EDQUOT (a limit of the caller's dmem
 * cgroup, or of a directory), -EBUSY (the pool is frozen, or a guest's memory has another
 * writer), -EFBIG, -EFAULT, -EIO (a memory error), -EINTR, -ENOMEM.
 */
ssize_t gmem_data_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	ssize_t total = 0, done = 0;
	size_t there;

	while (iov_iter_count(from)) {
		/* No memory is taken, and cleared, for what cannot be read. */
		there = iov_iter_count(from) -
			fault_in_iov_iter_readable(from, iov_iter_count(from));
		done = there ? gmem_data_write_some(iocb, from, there) : -EFAULT;
		if (done > 0)
			total += done;
		else if (!there || done != -EFAULT)
			break;
	}
	return total > 0 ? generic_write_sync(iocb, total) : done;
}

/**
 * gmem_data_truncate - let data have another length
 * @inode: of an object that holds data
 * @size: the length, in bytes
 *
 * Context: process context; the inode's lock is held.
 * Return: 0, or an error of gmem_data_write_iter().
 */
int gmem_data_truncate(struct inode *inode, u64 size)
{
	struct gmem_object *obj = inode->i_private;
	const bool shorter = size <= i_size_read(inode);
	int err;

	err = gmem_data_extend(obj, size);
	if (!err)
		err = gmem_object_set_length(obj, size);
	if (!err) {
		if (shorter)
			obj->reserved = 0;
		gmem_fs_touch(inode);
	}
	gmem_data_trim(obj);
	return err;
}
