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
 * to any length, and is neither mapped nor used by a VM. Truncated to 0 it is empty again,
 * unless there is no kernel memory to note that. A VMM keeps there what it must know to go
 * on with a guest.
 *
 * Data that needs more memory gets other memory, twice as large, and what was written is
 * copied there; it is for the state of VMMs, not for disks. The memory is in granules of
 * 2 MiB.
 *
 * A guest's memory that the host shares can be read and written, too, within its size.
 *
 * Bytes are copied through a window of kernel address space, under the lock of the inode
 * and no other, so that user memory may be anything, also a mapping of the pool.
 */
#include "internal.h"

#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/uio.h>

static int copy_piece(void *addr, u64 size, void *arg)
{
	struct iov_iter *iter = arg;
	size_t done = iov_iter_rw(iter) == WRITE ? copy_from_iter(addr, size, iter) :
						   copy_to_iter(addr, size, iter);

	return done == size ? 0 : -EFAULT;
}

static int clear_piece(void *addr, u64 size, void *arg)
{
	memset(addr, 0, size);
	return 0;
}

/*
 * Call @fn, which may read or write user memory, for each piece of the object: of one
 * granule, and with no bad page in it.
 */
static int walk(struct gmem_object *obj, u64 offset, u64 size,
		int (*fn)(void *addr, u64 size, void *arg), void *arg)
{
	while (size) {
		const u64 page = PAGE_ALIGN_DOWN(offset);
		u64 len = min(size, SZ_2M - (offset & (SZ_2M - 1)));
		u64 good = gmem_poison_good_run(obj, page, PAGE_ALIGN(offset + len) - page);
		u64 phys;
		int err;

		if (!good)
			return -EIO;
		if (fatal_signal_pending(current))
			return -EINTR;
		len = min(len, page + good - offset);
		phys = PFN_PHYS(gmem_object_pfn(obj, offset >> PAGE_SHIFT, NULL));
		err = gmem_window_walk_user(phys + offset_in_page(offset), len, fn, arg);
		if (err)
			return err;
		cond_resched();
		offset += len;
		size -= len;
	}
	return 0;
}

/* How many bytes were copied, or, if none, why. */
static ssize_t copy(struct gmem_object *obj, u64 offset, u64 size, struct iov_iter *iter)
{
	const size_t before = iov_iter_count(iter);
	int err = walk(obj, offset, size, copy_piece, iter);

	return (ssize_t)(before - iov_iter_count(iter)) ?: err;
}

static bool is_memory(const struct gmem_object *obj)
{
	return obj->ranges.nr && !obj->data;
}

static bool is_shared(const struct gmem_object *obj)
{
	const u64 flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;

	return (obj->meta.flags & flags) == flags;
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
	if (is_memory(obj) && !is_shared(obj))
		done = -EPERM;
	else if (iocb->ki_pos < size)
		done = copy(obj, iocb->ki_pos,
			    min_t(u64, iov_iter_count(to), size - iocb->ki_pos), to);
	inode_unlock_shared(inode);
	if (done > 0)
		iocb->ki_pos += done;
	return done;
}

/*
 * Let there be memory for that many bytes. If what follows fails, it stays with the file, as
 * after posix_fallocate(): the length and the contents are what they were.
 */
static int reserve(struct gmem_object *obj, u64 bytes)
{
	const u64 need = ALIGN(bytes, SZ_2M);
	const u64 twice = 2 * obj->meta.size;
	int err = -ENOSPC;

	if (need <= obj->meta.size)
		return 0;
	/* So that a file is not copied for each granule that it grows by. */
	if (need < twice)
		err = gmem_object_resize(obj, twice);
	if (err == -ENOSPC || err == -EDQUOT)
		err = gmem_object_resize(obj, need);
	return err;
}

/* Give back what is no longer needed, unless it is little, or there is no memory for it. */
static void trim(struct gmem_object *obj)
{
	const u64 need = ALIGN(i_size_read(obj->inode), SZ_2M);

	if (obj->ranges.nr && need <= obj->meta.size / 2)
		gmem_object_resize(obj, need);
}

/* Make it longer; what is between the old and the new end reads zero. */
static int extend(struct gmem_object *obj, u64 length)
{
	const u64 old = i_size_read(obj->inode);
	int err = reserve(obj, length);

	if (!err && length > old)
		err = walk(obj, old, length - old, clear_piece, NULL);
	return err;
}

static ssize_t write(struct gmem_object *obj, u64 offset, u64 count,
		     struct iov_iter *from)
{
	const u64 size = i_size_read(obj->inode);
	ssize_t done;
	int err;

	if (gmem_pool_frozen())
		return -EBUSY;
	if (is_memory(obj)) {
		if (!is_shared(obj))
			return -EPERM;
		if (offset >= size)
			return -ENOSPC;
		return copy(obj, offset, min(count, size - offset), from);
	}

	err = reserve(obj, offset + count);
	err = err ?: extend(obj, offset);
	done = err ?: copy(obj, offset, count, from);
	if (done > 0) {
		/* Also if it is as long as before: it is newer. */
		err = gmem_object_set_length(obj, max_t(u64, size, offset + done));
		if (err)
			done = err;
	}
	trim(obj);
	return done;
}

/**
 * gmem_data_write_iter - write to a file
 * @iocb: where to
 * @from: what
 *
 * Return: how many bytes, or -EPERM (private memory is not written to), -ENOSPC (behind
 * the end of a guest's memory, or of the pool's), -EDQUOT (a limit of the caller's dmem
 * cgroup), -EBUSY (the pool is frozen), -EFBIG, -EFAULT, -EIO (a memory error), -EINTR,
 * -ENOMEM.
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
		done = err ?: write(inode->i_private, iocb->ki_pos, done, from);
	}
	if (done > 0)
		inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
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

	err = extend(obj, size);
	err = err ?: gmem_object_set_length(obj, size);
	if (err)
		return err;
	inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
	trim(obj);
	return 0;
}
