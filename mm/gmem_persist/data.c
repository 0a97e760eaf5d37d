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
 * it takes to copy them, and user memory may be slow to come. That is copied under the lock of
 * the inode and no other, so that it may be anything, also a mapping of the pool.
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
 * struct gmem_data_copying - bytes on their way from or to user memory
 * @iter: where they come from, or go to
 * @buffer: what they pass through
 * @size: length of that in bytes
 */
struct gmem_data_copying {
	struct iov_iter *iter;
	void *buffer;
	size_t size;
};

static int gmem_data_copy_out(u64 phys, u64 size, void *arg)
{
	const struct gmem_data_copying *copying = arg;

	while (size) {
		const size_t len = min(size, copying->size);
		const size_t got = gmem_window_read(copying->buffer, phys, len);

		if (copy_to_iter(copying->buffer, got, copying->iter) < got)
			return -EFAULT;
		if (got < len)
			return -EIO;
		phys += len;
		size -= len;
	}
	return 0;
}

static int gmem_data_copy_in(u64 phys, u64 size, void *arg)
{
	const struct gmem_data_copying *copying = arg;

	while (size) {
		const size_t len = min(size, copying->size);
		const size_t got = copy_from_iter(copying->buffer, len, copying->iter);

		gmem_window_write(phys, copying->buffer, got);
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

/*
 * Call @fn, which may read or write user memory, for each piece of the object: of one
 * granule, and with no bad page in it.
 */
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

/* How many bytes were copied, or, if none, why. */
static ssize_t gmem_data_copy(struct gmem_object *obj, u64 offset, u64 size,
			      struct iov_iter *iter)
{
	const size_t before = iov_iter_count(iter);
	struct gmem_data_copying copying = {
		.iter = iter,
		.size = min(size, BUFFER_SIZE),
	};
	int err;

	/* User memory may be long in coming, and many may wait for it. */
	copying.buffer = kmalloc(copying.size, GFP_KERNEL_ACCOUNT);
	if (!copying.buffer)
		return -ENOMEM;
	err = gmem_data_walk(obj, offset, size,
			     iov_iter_rw(iter) == WRITE ? gmem_data_copy_in :
							  gmem_data_copy_out, &copying);
	/* What was in the pool shall be in the pool only. */
	kfree_sensitive(copying.buffer);
	return (ssize_t)(before - iov_iter_count(iter)) ?: err;
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
	struct inode *inode = file_inode(iocb->ki_filp);
	struct gmem_object *obj = inode->i_private;
	ssize_t done = 0;
	u64 size;

	inode_lock_shared(inode);
	size = i_size_read(inode);
	if (gmem_data_is_memory(obj) && !gmem_data_is_shared(obj))
		done = -EPERM;
	else if (iocb->ki_pos < size)
		done = gmem_data_copy(obj, iocb->ki_pos,
				      min_t(u64, iov_iter_count(to), size - iocb->ki_pos), to);
	inode_unlock_shared(inode);
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
 * @end: so many bytes will be written without -ENOSPC or -EDQUOT, until it is truncated or
 *	this kernel ends; its length does not change
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
	done = gmem_data_copy(obj, offset, min(count, size - offset), from);
	gmem_view_end_write(view);
	return done;
}

static ssize_t gmem_data_write(struct gmem_view *view, u64 offset, u64 count,
			       struct iov_iter *from)
{
	struct gmem_object *obj = view->obj;
	const u64 size = i_size_read(obj->inode);
	ssize_t done;
	int err;

	if (gmem_pool_frozen())
		return -EBUSY;
	if (gmem_data_is_memory(obj))
		return gmem_data_write_memory(view, offset, count, from);

	/* No memory is taken, and cleared, for what cannot be read. */
	count -= fault_in_iov_iter_readable(from, count);
	if (!count)
		return -EFAULT;
	err = gmem_data_reserve(obj, offset + count);
	if (!err)
		err = gmem_data_extend(obj, offset);
	done = err ? err : gmem_data_copy(obj, offset, count, from);
	if (done > 0) {
		/* Also if it is as long as before: it is newer. */
		err = gmem_object_set_length(obj, max_t(u64, size, offset + done));
		if (err)
			done = err;
	}
	gmem_data_trim(obj);
	return done;
}

/**
 * gmem_data_write_iter - write to a file
 * @iocb: where to
 * @from: what
 *
 * Return: how many bytes, or -EPERM (private memory is not written to), -ENOSPC (behind
 * the end of a guest's memory, or of the pool's), -EDQUOT (a limit of the caller's dmem
 * cgroup), -EBUSY (the pool is frozen, or a guest's memory has another writer), -EFBIG,
 * -EFAULT, -EIO (a memory error), -EINTR, -ENOMEM.
 */
ssize_t gmem_data_write_iter(struct kiocb *iocb, struct iov_iter *from)
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
					       done, from);
	}
	if (done > 0)
		gmem_fs_touch(inode);
	inode_unlock(inode);
	if (done <= 0)
		return done;
	iocb->ki_pos += done;
	return generic_write_sync(iocb, done);
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
	int err;

	err = gmem_data_extend(obj, size);
	if (!err)
		err = gmem_object_set_length(obj, size);
	if (!err) {
		obj->reserved = 0;
		gmem_fs_touch(inode);
	}
	gmem_data_trim(obj);
	return err;
}
