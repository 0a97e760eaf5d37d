// SPDX-License-Identifier: GPL-2.0
/*
 * Direct I/O into and out of memory that has no struct page.
 */

/**
 * DOC: bounced direct I/O
 *
 * Direct I/O takes references to the pages of its buffer, and page-less memory (see
 * include/linux/pageless.h) has none. A file system would fail with -EFAULT, some of them
 * after a part of the transfer, and asynchronously. So whoever reads or writes for user space
 * comes here first if the process may have such memory. A transfer that touches any is done
 * by way of pages of the kernel: the file system gets these, as from a loop device.
 *
 * * A *synchronous* transfer is done in pieces of %DIO_BOUNCE_PIECE, each of them copied in
 *   the context of the caller, so that anything may be mapped at the buffer, of which only a
 *   part need be page-less.
 * * An *asynchronous write* is copied before it begins, and needs no more of the caller.
 * * An *asynchronous read* ends where there is no user space, and the buffer may be mapped no
 *   more. So the memory is held, and written to by its owner, from a workqueue. It never waits
 *   for user space there, which might make it wait for ever. If the buffer is partly ordinary
 *   memory, or in too many parts, then it is done synchronously, by which the caller waits; with
 *   IOCB_NOWAIT he gets -EAGAIN, and io_uring does it from one of its workers. So is any
 *   asynchronous transfer that is larger than %DIO_BOUNCE_ASYNC, or for which there is not memory
 *   enough at once.
 *
 * A write of more than a piece, or of more than %DIO_BOUNCE_ASYNC to the end of a file with
 * O_APPEND, is none as a whole to others who write there. If a later piece fails, so does the
 * transfer, as with ordinary memory on a disk and by iomap, while FUSE and network file systems
 * tell how much was done. It is short only where a file or a device ends, and if pieces have been
 * appended. Of a write, the odd piece is the first: if its length is refused, then before anything
 * is done. With O_DSYNC, each piece is made durable by itself.
 *
 * All pages of all transfers together are at most %DIO_BOUNCE_PERCENT percent of memory; what else
 * a transfer needs is little beside them. No memory cgroup is charged: they cannot be reclaimed, so
 * they would fill it, and whoever needs memory there next would be killed. If there are no more, a
 * piece of a synchronous transfer gets smaller, and one of %DIO_BOUNCE_CHUNK or less is not
 * counted: each thread that waits has that once. One of a page or less is taken from a place where
 * the last one has left it. All are aligned better than any buffer, so what fails with ordinary
 * memory for the sake of that alone works here.
 */
#include <linux/bvec.h>
#include <linux/dio_bounce.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/pageless.h>
#include <linux/percpu_counter.h>
#include <linux/refcount.h>
#include <linux/resource.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

/* So much is transferred at a time, and the largest chunk of contiguous pages for it */
#define DIO_BOUNCE_PIECE	SZ_1M
#define DIO_BOUNCE_CHUNK	SZ_64K

/* An asynchronous transfer has at most this size, these mappings, and these parts beside pages */
#define DIO_BOUNCE_ASYNC	SZ_4M
#define DIO_BOUNCE_HOLDS	4
#define DIO_BOUNCE_PARTS	16

/* So much of all memory may be in flight */
#define DIO_BOUNCE_PERCENT	2

/* Of memory that one can do without */
#define DIO_BOUNCE_TRY		(__GFP_NORETRY | __GFP_NOWARN)

/* The pages that take the place of a buffer */
struct dio_bounce_pages {
	size_t size;			/* of all, in bytes */
	unsigned int nr_vecs;
	unsigned int counted;		/* how many pages dio_bounce_in_flight knows of */
	struct bio_vec *vec;		/* chunks of them */
	struct bio_vec one;		/* the only one, of which vec is the address then */
};

/* Where a part of what is read goes to */
struct dio_bounce_dest {
	const struct pageless_hold *hold;	/* whose memory */
	u64 offset;				/* where in there, in bytes */
	size_t size;				/* in bytes */
};

/* An asynchronous transfer */
struct dio_bounce {
	struct kiocb iocb;			/* what the file system sees */
	struct kiocb *orig;			/* whose transfer it is */
	refcount_t ref;				/* who uses this, as long as it is queued */
	struct work_struct work;		/* ends a read */
	ssize_t ret;
	struct pageless_hold hold[DIO_BOUNCE_HOLDS];
	unsigned int nr_holds;
	struct dio_bounce_dest *dest;		/* the parts of the buffer, in their order */
	unsigned int nr_dests;
	struct dio_bounce_pages pages;		/* what the file system reads into, or writes */
};

static struct workqueue_struct *dio_bounce_wq;

/* What is in flight, and how much may be, in pages */
static struct percpu_counter dio_bounce_in_flight;
static unsigned long dio_bounce_most __ro_after_init;

/* Of transfers that have ended, for the next one on that CPU */
static DEFINE_PER_CPU(struct page *, dio_bounce_spare);

/*
 * A page for a small transfer whose caller waits: there is at most one for each thread, so
 * that they need not be counted, nor come from the page allocator each time.
 */
static int dio_bounce_take_spare(struct dio_bounce_pages *pages, size_t size,
				 unsigned int direction)
{
	struct page *page = this_cpu_xchg(dio_bounce_spare, NULL);

	/* There may have been a memory error. */
	if (page && PageHWPoison(page)) {
		put_page(page);
		page = NULL;
	}
	/*
	 * A device may say that it has read what it has not. Then it shall not show the bytes of
	 * the last transfer here, which may have been another tenant's. New pages are as those of
	 * the page cache, which are cleared with init_on_alloc=1 only.
	 */
	if (page && direction == ITER_DEST)
		memset(page_address(page), 0, size);
	if (!page)
		page = alloc_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	bvec_set_page(&pages->one, page, size, 0);
	pages->vec = &pages->one;
	pages->nr_vecs = 1;
	pages->size = size;
	return 0;
}

static void dio_bounce_give_spare(struct dio_bounce_pages *pages)
{
	struct page *page = pages->one.bv_page;

	/*
	 * A network may send it again after the transfer has ended. With init_on_free=1, nothing
	 * may be left in what nobody uses.
	 */
	if (page_count(page) > 1 || PageHWPoison(page) || want_init_on_free() ||
	    this_cpu_cmpxchg(dio_bounce_spare, NULL, page))
		put_page(page);
}

static void dio_bounce_free_pages(struct dio_bounce_pages *pages)
{
	unsigned int i;

	for (i = 0; i < pages->nr_vecs; i++)
		folio_put(bvec_folio(&pages->vec[i]));
	if (pages->vec != &pages->one)
		kfree(pages->vec);
	percpu_counter_sub(&dio_bounce_in_flight, pages->counted);
}

static int dio_bounce_fill(struct dio_bounce_pages *pages, size_t size, gfp_t gfp)
{
	unsigned int order = get_order(DIO_BOUNCE_CHUNK);
	struct folio *folio;

	while (pages->size < size) {
		const size_t left = size - pages->size;

		order = min_t(unsigned int, order, ilog2(DIV_ROUND_UP(left, PAGE_SIZE)));
		folio = folio_alloc(order ? gfp | DIO_BOUNCE_TRY : gfp, order);
		if (!folio && order) {
			order--;
			continue;
		}
		if (!folio)
			return -ENOMEM;
		bvec_set_folio(&pages->vec[pages->nr_vecs], folio,
			       min(left, PAGE_SIZE << order), 0);
		pages->size += pages->vec[pages->nr_vecs++].bv_len;
	}
	return 0;
}

/* What is not counted must be had; else there is another way. */
static int dio_bounce_alloc_pages(struct dio_bounce_pages *pages, size_t size, bool counted)
{
	const gfp_t gfp = GFP_KERNEL | (counted ? DIO_BOUNCE_TRY : 0);
	const unsigned int nr_pages = DIV_ROUND_UP(size, PAGE_SIZE);
	int err = -ENOMEM;

	*pages = (struct dio_bounce_pages) { .counted = counted ? nr_pages : 0 };
	if (!percpu_counter_limited_add(&dio_bounce_in_flight, dio_bounce_most, pages->counted))
		return -ENOMEM;
	pages->vec = nr_pages > 1 ? kmalloc_objs(*pages->vec, nr_pages, gfp) : &pages->one;
	if (pages->vec)
		err = dio_bounce_fill(pages, size, gfp);
	if (err)
		dio_bounce_free_pages(pages);
	return err;
}

/* Between the pages and the buffer, in the context of who has it */
static int dio_bounce_copy(struct dio_bounce_pages *pages, size_t size, struct iov_iter *iter)
{
	const bool in = iov_iter_rw(iter) == ITER_SOURCE;
	size_t done = 0;
	unsigned int i;

	for (i = 0; done < size; i++) {
		void *at = bvec_virt(&pages->vec[i]);
		const size_t len = min_t(size_t, pages->vec[i].bv_len, size - done);
		const size_t now = in ? copy_from_iter(at, len, iter) : copy_to_iter(at, len, iter);

		done += now;
		if (now < len) {
			iov_iter_revert(iter, done);
			return -EFAULT;
		}
	}
	return 0;
}

static ssize_t dio_bounce_call(struct kiocb *iocb, const struct dio_bounce_pages *pages,
			       unsigned int direction)
{
	const struct file_operations *fop = iocb->ki_filp->f_op;
	struct iov_iter iter;

	iov_iter_bvec(&iter, direction, pages->vec, pages->nr_vecs, pages->size);
	if (direction == ITER_SOURCE)
		return fop->write_iter(iocb, &iter);
	return fop->read_iter(iocb, &iter);
}

/* The iocb of a transfer that is done for another one */
static void dio_bounce_init_iocb(struct kiocb *iocb, const struct kiocb *orig,
				 void (*complete)(struct kiocb *iocb, long ret))
{
	*iocb = *orig;
	iocb->ki_complete = complete;
	iocb->private = NULL;
	/*
	 * Who polls, or cancels, does so for the other iocb, which will be completed from here,
	 * and which alone is part of what aio has.
	 */
	iocb->ki_flags &= ~(IOCB_HIPRI | IOCB_AIO_RW);
}

/* Also if it has been done */
static void dio_bounce_release(struct dio_bounce *b)
{
	unsigned int i;

	for (i = 0; i < b->nr_holds; i++)
		pageless_release(&b->hold[i]);
}

static void dio_bounce_free(struct dio_bounce *b)
{
	dio_bounce_release(b);
	dio_bounce_free_pages(&b->pages);
	kfree(b->dest);
	kfree(b);
}

/* What is queued is used by two: the file system's end of it, and who began it. */
static void dio_bounce_put(struct dio_bounce *b)
{
	if (refcount_dec_and_test(&b->ref))
		dio_bounce_free(b);
}

/* In any process: by the owners of the memory */
static int dio_bounce_deliver(struct dio_bounce *b, size_t size)
{
	const struct dio_bounce_dest *dest = b->dest;
	struct bio_vec *vec = b->pages.vec;
	size_t in_dest = 0, in_vec = 0;

	while (size) {
		const size_t len = min3(size, dest->size - in_dest,
					(size_t)vec->bv_len - in_vec);
		int err = dest->hold->ops->write(dest->hold, dest->offset + in_dest,
						 bvec_virt(vec) + in_vec, len);

		if (err)
			return err;
		size -= len;
		in_dest += len;
		in_vec += len;
		if (in_dest == dest->size) {
			in_dest = 0;
			dest++;
		}
		if (in_vec == vec->bv_len) {
			in_vec = 0;
			vec++;
		}
	}
	return 0;
}

static void dio_bounce_complete(struct dio_bounce *b)
{
	struct kiocb *orig = b->orig;
	ssize_t ret = b->ret;

	orig->ki_pos = b->iocb.ki_pos;
	dio_bounce_release(b);
	dio_bounce_put(b);
	orig->ki_complete(orig, ret);
}

static void dio_bounce_work(struct work_struct *work)
{
	struct dio_bounce *b = container_of(work, struct dio_bounce, work);

	if (b->ret > 0)
		b->ret = dio_bounce_deliver(b, b->ret) ?: b->ret;
	dio_bounce_complete(b);
}

/* The file system is at its end, in any context. */
static void dio_bounce_end_io(struct kiocb *iocb, long ret)
{
	struct dio_bounce *b = container_of(iocb, struct dio_bounce, iocb);

	b->ret = ret;
	if (b->nr_holds) {
		INIT_WORK(&b->work, dio_bounce_work);
		queue_work(dio_bounce_wq, &b->work);
	} else {
		dio_bounce_complete(b);
	}
}

/* The next part of a buffer that is not at its end; in one mapping, and NULL if there is none */
static struct vm_area_struct *dio_bounce_next(struct iov_iter *iter, unsigned long *addr,
					      size_t *size)
{
	struct vm_area_struct *vma;

	/* A segment may be empty. */
	while (!iter_iov_len(iter))
		iov_iter_advance(iter, 0);
	*addr = untagged_addr((unsigned long)iter_iov_addr(iter));
	vma = vma_lookup(current->mm, *addr);
	if (!vma)
		return NULL;
	*size = min3(iter_iov_len(iter), iov_iter_count(iter), vma->vm_end - *addr);
	iov_iter_advance(iter, *size);
	return vma;
}

/* Is any of the buffer page-less? It may be in several mappings. */
static bool dio_bounce_found_in_any(const struct iov_iter *iter)
{
	struct iov_iter i = *iter;
	struct vm_area_struct *vma;
	unsigned long addr;
	bool found = false;
	size_t size;

	mmap_read_lock(current->mm);
	while (!found && iov_iter_count(&i)) {
		vma = dio_bounce_next(&i, &addr, &size);
		if (!vma)
			break;
		found = vma_is_pageless(vma);
	}
	mmap_read_unlock(current->mm);
	return found;
}

/* Nearly always it is in one, whose own lock will do. */
static bool dio_bounce_found(const struct iov_iter *iter)
{
	const unsigned long start = untagged_addr((unsigned long)iter_iov_addr(iter));
	const size_t size = iov_iter_count(iter);
	struct vm_area_struct *vma = NULL;
	bool found, all;

	if (size <= iter_iov_len(iter))
		vma = lock_vma_under_rcu(current->mm, start);
	if (!vma)
		return dio_bounce_found_in_any(iter);
	found = vma_is_pageless(vma);
	all = size <= vma->vm_end - start;
	vma_end_read(vma);
	return found || (!all && dio_bounce_found_in_any(iter));
}

static bool dio_bounce_needed(const struct kiocb *iocb, const struct iov_iter *iter)
{
	const umode_t mode = file_inode(iocb->ki_filp)->i_mode;

	/*
	 * A pipe means something else by IOCB_DIRECT, and metadata is at iocb->private. A transfer
	 * of nothing has no buffer, and may have no segment to look at.
	 */
	return (S_ISREG(mode) || S_ISBLK(mode)) && !(iocb->ki_flags & IOCB_HAS_METADATA) &&
	       iov_iter_count(iter) && dio_bounce_found(iter);
}

/* The hold of a mapping: one that is there already, or a new one; NULL: there cannot be one */
static const struct pageless_hold *dio_bounce_hold(struct dio_bounce *b,
						   struct vm_area_struct *vma)
{
	struct pageless_hold hold;
	unsigned int i;

	/* What protection keys forbid, copying in the caller's context finds. */
	if (!vma_is_pageless(vma) || !(vma->vm_flags & VM_WRITE) ||
	    !arch_vma_access_permitted(vma, true, false, false) ||
	    pageless_hold(vma, true, &hold))
		return NULL;
	for (i = 0; i < b->nr_holds; i++)
		if (b->hold[i].ref == hold.ref && b->hold[i].data == hold.data)
			break;
	if (i < b->nr_holds || i == DIO_BOUNCE_HOLDS) {
		pageless_release(&hold);
		return i < b->nr_holds ? &b->hold[i] : NULL;
	}
	b->hold[b->nr_holds++] = hold;
	return &b->hold[i];
}

/* Hold all of the buffer, if that can be. */
static bool dio_bounce_hold_all(struct dio_bounce *b, const struct iov_iter *iter)
{
	const unsigned int nr_segs = iter_is_ubuf(iter) ? 1 : iter->nr_segs;
	const unsigned int nr_pages = DIV_ROUND_UP(iov_iter_count(iter), PAGE_SIZE);
	const unsigned int room = min(nr_segs + DIO_BOUNCE_HOLDS, nr_pages + DIO_BOUNCE_PARTS);
	const struct pageless_hold *hold = NULL;
	struct iov_iter i = *iter;
	struct vm_area_struct *vma, *last = NULL;
	unsigned long addr;
	bool held = true;
	size_t size;

	b->dest = kmalloc_objs(*b->dest, room, GFP_KERNEL | DIO_BOUNCE_TRY);
	if (!b->dest)
		return false;
	mmap_read_lock(current->mm);
	while (iov_iter_count(&i)) {
		vma = dio_bounce_next(&i, &addr, &size);
		if (vma && vma != last)
			hold = dio_bounce_hold(b, vma);
		held = vma && hold && b->nr_dests < room;
		if (!held)
			break;
		last = vma;
		b->dest[b->nr_dests++] = (struct dio_bounce_dest) {
			.hold = hold,
			.offset = vma_file_offset(vma, addr),
			.size = size,
		};
	}
	mmap_read_unlock(current->mm);
	return held;
}

/* There may be many at a time, and each can be done synchronously: so memory is only tried for. */
static struct dio_bounce *dio_bounce_new(struct kiocb *iocb, size_t size)
{
	struct dio_bounce *b = kzalloc_obj(*b, GFP_KERNEL | DIO_BOUNCE_TRY);

	if (!b || dio_bounce_alloc_pages(&b->pages, size, true)) {
		kfree(b);
		return NULL;
	}
	b->orig = iocb;
	dio_bounce_init_iocb(&b->iocb, iocb, dio_bounce_end_io);
	return b;
}

/* If it is queued, it ends in dio_bounce_end_io(). */
static ssize_t dio_bounce_begin(struct dio_bounce *b, struct iov_iter *iter)
{
	const bool write = iov_iter_rw(iter) == ITER_SOURCE;
	ssize_t ret = 0;

	if (write)
		ret = dio_bounce_copy(&b->pages, b->pages.size, iter);
	if (!ret) {
		/* A file system may look at its iocb when the transfer has ended. */
		refcount_set(&b->ref, 2);
		ret = dio_bounce_call(&b->iocb, &b->pages, iov_iter_rw(iter));
		if (ret == -EIOCBQUEUED) {
			dio_bounce_put(b);
			return ret;
		}
		if (write)
			iov_iter_revert(iter, b->pages.size - max(ret, 0));
		else if (ret > 0)
			ret = dio_bounce_copy(&b->pages, ret, iter) ?: ret;
	}
	if (ret > 0)
		b->orig->ki_pos = b->iocb.ki_pos;
	dio_bounce_free(b);
	return ret;
}

static ssize_t dio_bounce_transfer(struct kiocb *iocb, struct dio_bounce_pages *pages,
				   struct iov_iter *iter)
{
	const loff_t pos = iocb->ki_pos;
	ssize_t ret;

	if (iov_iter_rw(iter) == ITER_SOURCE) {
		ret = dio_bounce_copy(pages, pages->size, iter);
		if (ret)
			return ret;
		ret = dio_bounce_call(iocb, pages, ITER_SOURCE);
		iov_iter_revert(iter, pages->size - max(ret, 0));
	} else {
		ret = dio_bounce_call(iocb, pages, ITER_DEST);
		if (ret > 0)
			ret = dio_bounce_copy(pages, ret, iter) ?: ret;
	}
	if (ret <= 0)
		iocb->ki_pos = pos;
	return ret;
}

/* How much of @left is done next. Of a write, what is odd: it is refused as all of it would be. */
static size_t dio_bounce_next_size(const struct iov_iter *iter, size_t left, size_t most)
{
	return iov_iter_rw(iter) == ITER_SOURCE ? (left - 1) % most + 1 : min(left, most);
}

/* Pages for @size or less: ever fewer, until they need not be counted. */
static int dio_bounce_alloc_piece(struct dio_bounce_pages *pages, const struct iov_iter *iter,
				  size_t size)
{
	while (size > DIO_BOUNCE_CHUNK) {
		if (!dio_bounce_alloc_pages(pages, size, true))
			return 0;
		size = dio_bounce_next_size(iter, size, rounddown_pow_of_two(size - 1));
	}
	return dio_bounce_alloc_pages(pages, size, false);
}

/* One piece, for which the caller waits; @size may get smaller */
static ssize_t dio_bounce_piece(struct kiocb *iocb, struct iov_iter *iter, size_t *size)
{
	const bool small = *size <= PAGE_SIZE;
	struct dio_bounce_pages pages;
	ssize_t ret = small ? dio_bounce_take_spare(&pages, *size, iov_iter_rw(iter)) :
			      dio_bounce_alloc_piece(&pages, iter, *size);

	if (ret)
		return ret;
	*size = pages.size;
	ret = dio_bounce_transfer(iocb, &pages, iter);
	if (small)
		dio_bounce_give_spare(&pages);
	else
		dio_bounce_free_pages(&pages);
	return ret;
}

/* How much there will be of a transfer. A write is cut off before anybody looks at its length. */
static ssize_t dio_bounce_room(const struct kiocb *iocb, const struct iov_iter *iter)
{
	const struct inode *inode = iocb->ki_filp->f_mapping->host;
	const loff_t end = i_size_read(inode);
	const bool append = S_ISREG(inode->i_mode) && iocb->ki_flags & IOCB_APPEND;
	const loff_t pos = append ? end : iocb->ki_pos;
	loff_t left = iov_iter_count(iter);

	if (iov_iter_rw(iter) == ITER_DEST)
		return left;
	/* The file system refuses what begins at the end of a device, or at a limit. */
	if (S_ISBLK(inode->i_mode) && pos < end)
		left = min(left, end - pos);
	else if (S_ISREG(inode->i_mode) && (u64)pos < rlimit(RLIMIT_FSIZE))
		generic_write_check_limits(iocb->ki_filp, pos, &left);
	return left;
}

/*
 * After other pieces: many take a short read for the end of the file, and a short write for that of
 * the device. What has been appended must be told, as it would be appended once more.
 */
static bool dio_bounce_is_short(const struct kiocb *iocb, const struct iov_iter *iter, ssize_t ret)
{
	return !ret || (iov_iter_rw(iter) == ITER_SOURCE &&
			(ret == -EFBIG || iocb->ki_flags & IOCB_APPEND));
}

static ssize_t dio_bounce_sync(struct kiocb *iocb, struct iov_iter *iter)
{
	/* What is appended is to be in one piece, if it can be. */
	const size_t most = iocb->ki_flags & IOCB_APPEND ? DIO_BOUNCE_ASYNC : DIO_BOUNCE_PIECE;
	const loff_t pos = iocb->ki_pos;
	const int flags = iocb->ki_flags;
	const ssize_t room = dio_bounce_room(iocb, iter);
	ssize_t done = 0;

	while (done < room) {
		size_t size = dio_bounce_next_size(iter, room - done, most);
		ssize_t ret;

		/* By clearing IOCB_DIRECT, a file system decides of one piece only. */
		iocb->ki_flags = flags;
		ret = dio_bounce_piece(iocb, iter, &size);
		if (ret <= 0 && done && dio_bounce_is_short(iocb, iter, ret))
			break;
		if (ret <= 0) {
			iocb->ki_pos = pos;
			iov_iter_revert(iter, done);
			return ret;
		}
		done += ret;
		if (ret < size)
			break;
	}
	return done;
}

static ssize_t dio_bounce_async(struct kiocb *iocb, struct iov_iter *iter)
{
	const size_t size = iov_iter_count(iter);
	struct dio_bounce *b;
	struct kiocb sync;
	ssize_t ret;

	b = size <= DIO_BOUNCE_ASYNC ? dio_bounce_new(iocb, size) : NULL;
	if (b) {
		if (iov_iter_rw(iter) == ITER_SOURCE || dio_bounce_hold_all(b, iter))
			return dio_bounce_begin(b, iter);
		dio_bounce_free(b);
	}
	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	dio_bounce_init_iocb(&sync, iocb, NULL);
	ret = dio_bounce_sync(&sync, iter);
	iocb->ki_pos = sync.ki_pos;
	return ret;
}

static ssize_t dio_bounce(struct kiocb *iocb, struct iov_iter *iter)
{
	/* File systems take these from a single segment of user space only. */
	if (iocb->ki_flags & IOCB_ATOMIC)
		return -EINVAL;
	return is_sync_kiocb(iocb) ? dio_bounce_sync(iocb, iter) : dio_bounce_async(iocb, iter);
}

/**
 * dio_bounce_read_iter - ->read_iter(), possibly to memory without struct page
 * @iocb: of direct I/O; its file has ->read_iter()
 * @iter: memory of user space
 *
 * Return: what ->read_iter() says, or -ENOMEM, -EFAULT, -EAGAIN (see above).
 */
ssize_t dio_bounce_read_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	if (dio_bounce_needed(iocb, iter))
		return dio_bounce(iocb, iter);
	return iocb->ki_filp->f_op->read_iter(iocb, iter);
}

/**
 * dio_bounce_write_iter - ->write_iter(), possibly from memory without struct page
 * @iocb: of direct I/O; its file has ->write_iter()
 * @iter: memory of user space
 *
 * Return: what ->write_iter() says, or -ENOMEM, -EFAULT, -EAGAIN (see above), -EINVAL: RWF_ATOMIC.
 */
ssize_t dio_bounce_write_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	if (dio_bounce_needed(iocb, iter))
		return dio_bounce(iocb, iter);
	return iocb->ki_filp->f_op->write_iter(iocb, iter);
}

static int __init dio_bounce_init(void)
{
	dio_bounce_most = totalram_pages() * DIO_BOUNCE_PERCENT / 100;
	dio_bounce_wq = alloc_workqueue("dio_bounce", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return dio_bounce_wq ? percpu_counter_init(&dio_bounce_in_flight, 0, GFP_KERNEL) : -ENOMEM;
}
fs_initcall(dio_bounce_init);
