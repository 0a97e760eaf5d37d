// SPDX-License-Identifier: GPL-2.0
/*
 * Views: who uses an object, and whether he has changed its memory.
 */

/**
 * DOC: views and tokens
 *
 * Whoever saves the state of a guest beside its memory must know later whether the memory is
 * still what it was. An object is its uuid, which no other has. Who changed its memory last
 * is told by its *token*, 16 random bytes that no other view ever has: **saved state is fresh
 * if, and only if, uuid and token are those that it was saved with.**
 *
 * 1. A view begins: a VM claims the object, or a file is opened. It is told the token that
 *    stands, and gets one of its own, which nobody else knows of yet. Opening, mapping and
 *    reading change nothing, so a VMM that fails before its guest runs leaves no trace.
 * 2. Before its first write the object gets the view's own token, in the record, too. That is
 *    a write fault of a mapping, as leaves are read-only until then; the first page that KVM
 *    takes for a bound memory slot, as KVM cannot tell reading from writing there; write();
 *    or punching. This cannot fail, and happens also while the pool is frozen: guests run
 *    until the host is replaced.
 * 3. What follows is not noted, until the view's use of the memory ends: its last mapping that
 *    could be written to is gone, write() or punching returns, or the VM gives its view back.
 *    To write once more takes another token.
 *
 * A *writer* is a VM's view, a view with a mapping that can be written to, or one that writes
 * just now. There is one at a time, and others get EBUSY, so a guest's memory is not changed
 * behind its back by mistake. Processes that share an open file, by fork() or by passing it
 * on, are one writer, and so are a VM and the handle by which it claimed the object. A second
 * one is let in if it says that it shares (%GMEM_PERSIST_SHARE), or if the file has its sticky
 * bit set (``chmod +t``), for programs that cannot say so.
 *
 * Where several write, the token is that of the one that began last. When one of them goes,
 * the others' leaves are taken away, and their next write takes a token again: what the one
 * has saved is stale when the others go on. A handle that goes does not do that to its own VM.
 * Whoever saves the state of a guest that may go on asks for the same of all writers
 * (%GMEM_PERSIST_SETTLE). A device writes without a fault: whoever holds memory for one takes
 * another token at once.
 */
#include "fs.h"

#include <linux/fs.h>
#include <linux/kvm_types.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <trace/events/gmem_persist.h>
#include <uapi/linux/gmem_persist.h>

/*
 * A punch holds the invalidate lock no longer than clearing this much takes: so long those wait
 * who use the same object. More of it would not be faster.
 */
#define PUNCH_CHUNK		SZ_16M

/**
 * gmem_object_set_token - note who changes an object's memory from now on
 * @obj: the object
 * @token: the writer's
 *
 * When it returns, the next kernel will learn of it; the caller lets nobody write before that.
 * It is called from fault handlers, and also while the pool is frozen: a token has its own
 * checksum in the record, which stays sealed.
 *
 * Context: process context, also in a fault handler; takes gmem_pool.lock.
 */
void gmem_object_set_token(struct gmem_object *obj, const u8 token[GMEM_TOKEN_SIZE])
{
	guard(spinlock)(&gmem_pool.lock);

	gmem_slot_set_token(obj->ser, token);
	obj->untouched = false;
	trace_gmem_write(obj->ser->name, token);
}

static void gmem_view_read_token(struct gmem_object *obj, u8 token[GMEM_TOKEN_SIZE])
{
	guard(spinlock)(&gmem_pool.lock);

	memcpy(token, obj->ser->token, GMEM_TOKEN_SIZE);
}

/* What is new may have been found, and written to, by somebody else already. */
static void gmem_view_read_if_touched(struct gmem_object *obj, u8 token[GMEM_TOKEN_SIZE])
{
	guard(spinlock)(&gmem_pool.lock);

	if (!obj->untouched)
		memcpy(token, obj->ser->token, GMEM_TOKEN_SIZE);
}

/* The token that the view will take when it writes next. */
static void gmem_view_draw(struct gmem_view *view)
{
	get_random_bytes(view->own, sizeof(view->own));
}

static bool gmem_view_shares(const struct gmem_view *view)
{
	return READ_ONCE(view->shares) || view->obj->inode->i_mode & S_ISVTX;
}

/* Is somebody else a writer who cannot be one beside this view? */
static bool gmem_view_is_refused(const struct gmem_view *view)
{
	const struct gmem_view *other;

	lockdep_assert_held(&view->obj->writers_lock);

	if (gmem_view_shares(view))
		return false;
	list_for_each_entry(other, &view->obj->writers, node)
		if (other->party != view->party)
			return true;
	return false;
}

/* Begin to use the memory, and as a writer if @write. */
static int gmem_view_use(struct gmem_view *view, bool write)
{
	guard(mutex)(&view->obj->writers_lock);

	if (write && !view->writer) {
		if (gmem_view_is_refused(view))
			return -EBUSY;
		view->writer = true;
		list_add(&view->node, &view->obj->writers);
	}
	view->uses++;
	return 0;
}

static void gmem_view_tell_consumers(struct gmem_object *obj, bool start)
{
	const pgoff_t end = obj->ser->size >> PAGE_SHIFT;
	struct gmem_consumer *consumer;

	list_for_each_entry(consumer, &obj->consumers, node)
		if (start)
			consumer->ops->invalidate_start(consumer, 0, end);
		else
			consumer->ops->invalidate_end(consumer, 0, end);
}

/* What is done by the handle by which a VM was made is part of what that VM does. */
static bool gmem_view_is_part_of(const struct gmem_view *view, const struct gmem_view *other)
{
	return view->party == other->party && !view->vm;
}

/*
 * All writers of an object take a token before they write again. If @gone is not NULL: as that
 * one, which is no writer any more, goes. @found, if it is not NULL, is set to the token that the
 * memory has until then.
 */
static void gmem_view_rearm(struct gmem_object *obj, const struct gmem_view *gone,
			    u8 found[GMEM_TOKEN_SIZE])
{
	struct address_space *mapping = obj->inode->i_mapping;
	struct gmem_view *view;
	bool any = false;

	/* Faults wait, so nobody gets a leaf by what was true before. */
	filemap_invalidate_lock(mapping);
	mutex_lock(&obj->writers_lock);
	gmem_stop_here("rearm-locked");
	list_for_each_entry(view, &obj->writers, node) {
		if (!view->wrote && !view->holds)
			continue;
		if (gone && gmem_view_is_part_of(gone, view))
			continue;
		gmem_view_draw(view);
		/* Who holds memory writes without a fault: one token for that, one for faults. */
		if (view->holds) {
			gmem_object_set_token(obj, view->own);
			gmem_view_draw(view);
		}
		WRITE_ONCE(view->wrote, false);
		any = true;
	}
	/* Before anybody can take the next one */
	if (found)
		gmem_view_read_token(obj, found);
	mutex_unlock(&obj->writers_lock);
	if (any) {
		gmem_view_tell_consumers(obj, true);
		unmap_mapping_range(mapping, 0, 0, 1);
		gmem_view_tell_consumers(obj, false);
	}
	filemap_invalidate_unlock(mapping);
}

/* A use ends; with @rearm, if it was the last, others are to take a token again. */
static void gmem_view_unuse(struct gmem_view *view, bool rearm)
{
	struct gmem_object *obj = view->obj;

	scoped_guard(mutex, &obj->writers_lock) {
		if (--view->uses || !view->writer)
			return;
		view->writer = false;
		list_del(&view->node);
		if (view->wrote)
			gmem_view_draw(view);
		WRITE_ONCE(view->wrote, false);
		if (list_empty(&obj->writers))
			return;
	}
	if (rearm)
		gmem_view_rearm(obj, view, NULL);
}

static struct gmem_view *gmem_view_new(struct gmem_object *obj, gfp_t gfp)
{
	static atomic64_t last_party;
	struct gmem_view *view = kzalloc_obj(*view, GFP_KERNEL_ACCOUNT | gfp);

	if (!view)
		return NULL;
	view->obj = obj;
	view->party = atomic64_inc_return(&last_party);
	INIT_LIST_HEAD(&view->node);
	gmem_view_draw(view);
	return view;
}

/**
 * gmem_view_open - a file of gmemfs is opened
 * @obj: what it shows
 *
 * Context: process context. The caller holds a reference to the object as long as the view is.
 * Return: the view. There is always memory for one: open() may just have made the file, and
 * cannot take that back. But NULL for want of memory where the caller reclaims none
 * (memalloc_noreclaim_save()): it must not wait for others to do that.
 */
struct gmem_view *gmem_view_open(struct gmem_object *obj)
{
	const gfp_t nofail = current->flags & PF_MEMALLOC ? 0 : __GFP_NOFAIL;
	struct gmem_view *view = gmem_view_new(obj, nofail);

	if (view)
		gmem_view_read_token(obj, view->found);
	return view;
}

/**
 * gmem_view_close - a file of gmemfs is gone
 * @view: what gmem_view_open() returned; nothing maps the object by it
 */
void gmem_view_close(struct gmem_view *view)
{
	WARN_ON_ONCE(view->uses);
	kfree(view);
}

/**
 * gmem_view_begin - a VM begins to use an object
 * @obj: the object, whose VM view the caller has claimed
 * @handle: the file of gmemfs by which he did so; NULL: by its name
 * @created: it is new, so no token was found, unless somebody has written since
 *
 * Context: process context.
 * Return: the view, to be given back with gmem_view_end() before the object is, or an
 * ERR_PTR(): -EBUSY (somebody else can write to the memory by a handle), -ENOMEM.
 */
struct gmem_view *gmem_view_begin(struct gmem_object *obj, const struct file *handle,
				  bool created)
{
	struct gmem_view *view = gmem_view_new(obj, 0);
	int err;

	if (!view)
		return ERR_PTR(-ENOMEM);
	if (handle) {
		const struct gmem_view *by = handle->private_data;

		view->party = by->party;
		view->shares = READ_ONCE(by->shares);
	}
	view->vm = true;
	err = gmem_view_use(view, true);
	if (err) {
		kfree(view);
		return ERR_PTR(err);
	}
	/* Behind that, since nobody who does not share can write from now on. */
	if (created)
		gmem_view_read_if_touched(obj, view->found);
	else
		gmem_view_read_token(obj, view->found);
	return view;
}
EXPORT_SYMBOL_FOR_KVM(gmem_view_begin);

/**
 * gmem_view_end - a VM uses an object no more
 * @view: what gmem_view_begin() returned; nothing maps the object by it
 *
 * Context: process context; takes the object's invalidate lock.
 */
void gmem_view_end(struct gmem_view *view)
{
	gmem_view_unuse(view, true);
	kfree(view);
}
EXPORT_SYMBOL_FOR_KVM(gmem_view_end);

/**
 * gmem_view_write - the object's memory is about to be written to by a view
 * @view: the view, which is a writer
 *
 * The object has the view's token when this returns, if that was not so before.
 *
 * Context: process context, also in a fault handler. Whoever goes on to make a leaf must be
 * stopped, or be made to look again, by an invalidation that comes in between.
 */
void gmem_view_write(struct gmem_view *view)
{
	struct gmem_object *obj = view->obj;

	if (READ_ONCE(view->wrote))
		return;

	guard(mutex)(&obj->writers_lock);
	if (view->wrote)
		return;
	gmem_object_set_token(obj, view->own);
	WRITE_ONCE(view->wrote, true);
}
EXPORT_SYMBOL_FOR_KVM(gmem_view_write);

/**
 * gmem_view_has_written - need leaves of a view not be read-only any more
 * @view: the view
 *
 * Context: any; the answer holds as long as the object's invalidate lock is held.
 * Return: true if so.
 */
bool gmem_view_has_written(const struct gmem_view *view)
{
	return READ_ONCE(view->wrote);
}

/**
 * gmem_view_begin_write - somebody is going to write by a system call
 * @view: whose
 *
 * Return: 0, to be followed by gmem_view_end_write(), or -EBUSY: there is another writer.
 */
int gmem_view_begin_write(struct gmem_view *view)
{
	int err = gmem_view_use(view, true);

	if (err)
		return err;
	gmem_view_write(view);
	return 0;
}

/**
 * gmem_view_end_write - the system call is at its end
 * @view: whose
 */
void gmem_view_end_write(struct gmem_view *view)
{
	/* Others go on as they did: it had no leaves, and has saved nothing. */
	gmem_view_unuse(view, false);
}

/**
 * gmem_view_map - there is one more mapping that is, or may become, writable
 * @view: whose
 * @write: it is
 *
 * Return: 0, to be followed by gmem_view_unmap(), or -EBUSY: there is another writer.
 */
int gmem_view_map(struct gmem_view *view, bool write)
{
	return gmem_view_use(view, write);
}

/**
 * gmem_view_unmap - such a mapping is gone
 * @view: whose
 *
 * Context: process context, also with the mmap lock held; takes the object's invalidate lock.
 */
void gmem_view_unmap(struct gmem_view *view)
{
	gmem_view_unuse(view, true);
}

/**
 * gmem_view_map_write - such a mapping becomes writable
 * @view: whose
 *
 * It stays a writer as long as it has a mapping.
 *
 * Return: 0 or -EBUSY: there is another writer.
 */
int gmem_view_map_write(struct gmem_view *view)
{
	int err = gmem_view_use(view, true);

	if (err)
		return err;
	/* The mapping itself has been counted. */
	gmem_view_unuse(view, false);
	return 0;
}

/**
 * gmem_view_hold - somebody is going to write at any time, without a fault or a call
 * @view: by which view
 *
 * The object has the view's token when this returns.
 *
 * Return: 0, to be followed by gmem_view_unhold(), or -EBUSY: there is another writer.
 */
int gmem_view_hold(struct gmem_view *view)
{
	int err = gmem_view_use(view, true);

	if (err)
		return err;
	scoped_guard(mutex, &view->obj->writers_lock)
		view->holds++;
	gmem_view_write(view);
	return 0;
}

/**
 * gmem_view_unhold - he does so no more
 * @view: by which view
 *
 * Context: as gmem_view_unmap(); if the mapping has gone before, this is the view's last use.
 */
void gmem_view_unhold(struct gmem_view *view)
{
	scoped_guard(mutex, &view->obj->writers_lock)
		view->holds--;
	gmem_view_unuse(view, true);
}

static int gmem_view_punch_chunk(struct gmem_view *view, u64 offset, u64 size)
{
	struct gmem_object *obj = view->obj;
	int err;

	filemap_invalidate_lock(obj->inode->i_mapping);
	/* As a fault does: another view may have gone since the last chunk. Nobody runs on data. */
	if (!gmem_object_is_data(obj))
		gmem_view_write(view);
	err = gmem_object_punch_locked(obj, offset, size);
	filemap_invalidate_unlock(obj->inode->i_mapping);
	return err;
}

static int gmem_view_punch_chunks(struct gmem_view *view, u64 offset, u64 end)
{
	while (offset < end) {
		const u64 len = min_t(u64, end - offset, PUNCH_CHUNK);
		int err;

		if (gmem_pool_frozen())
			return -EBUSY;
		if (task_sigpending(current))
			return -EINTR;
		err = gmem_view_punch_chunk(view, offset, len);
		if (err)
			return err;
		offset += len;
	}
	return 0;
}

/**
 * gmem_view_punch - clear part of an object
 * @view: whoever does so
 * @offset: where the part begins, in bytes, aligned to pages
 * @size: its length in bytes, aligned to pages
 *
 * What lies behind the end of the object is ignored.
 *
 * Context: process context; takes the object's invalidate lock, for some MiB at a time.
 * Return: 0, -EBUSY (there is another writer, or the pool is frozen), -EINTR (a signal; a first
 * part has been cleared), or an error of gmem_object_punch_locked().
 */
int gmem_view_punch(struct gmem_view *view, u64 offset, u64 size)
{
	struct gmem_object *obj = view->obj;
	const bool writes = !gmem_object_is_data(obj);
	int err;

	if (offset >= obj->ser->size)
		return 0;
	/* What does not happen takes no token. */
	if (gmem_pool_frozen())
		return -EBUSY;
	err = writes ? gmem_view_begin_write(view) : 0;
	if (err)
		return err;
	err = gmem_view_punch_chunks(view, offset, min(offset + size, obj->ser->size));
	if (writes)
		gmem_view_end_write(view);
	return err;
}
EXPORT_SYMBOL_FOR_KVM(gmem_view_punch);

/**
 * gmem_view_get_info - which object is it, and what are the tokens
 * @view: the view
 * @info: the answer
 *
 * Context: process context.
 */
void gmem_view_get_info(struct gmem_view *view, struct gmem_view_info *info)
{
	struct gmem_object *obj = view->obj;

	memcpy(info->uuid, obj->ser->uuid, sizeof(info->uuid));
	guard(mutex)(&obj->writers_lock);
	memcpy(info->token, view->found, sizeof(info->token));
	memcpy(info->own_token, view->own, sizeof(info->own_token));
}
EXPORT_SYMBOL_FOR_KVM(gmem_view_get_info);

static void gmem_view_describe(const struct file *file, struct gmem_view_info *info)
{
	struct gmem_object *obj = gmem_fs_inode_object(file_inode(file));

	if (file->private_data) {
		gmem_view_get_info(file->private_data, info);
		return;
	}
	/* It only asks: what it sees is what stands now, and it will never write. */
	memcpy(info->uuid, obj->ser->uuid, sizeof(info->uuid));
	gmem_view_read_token(obj, info->token);
	memset(info->own_token, 0, sizeof(info->own_token));
}

static long gmem_view_ioctl_get(const struct file *file, void __user *argp)
{
	struct gmem_persist_view arg;
	struct gmem_view_info info;

	BUILD_BUG_ON(GMEM_PERSIST_TOKEN_SIZE != GMEM_TOKEN_SIZE);

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (memchr_inv(arg.reserved, 0, sizeof(arg.reserved)))
		return -EINVAL;
	gmem_view_describe(file, &info);
	memcpy(arg.uuid, info.uuid, sizeof(arg.uuid));
	memcpy(arg.token, info.token, sizeof(arg.token));
	memcpy(arg.own_token, info.own_token, sizeof(arg.own_token));
	return copy_to_user(argp, &arg, sizeof(arg)) ? -EFAULT : 0;
}

/**
 * gmem_view_ioctl - GMEM_PERSIST_GET_VIEW, GMEM_PERSIST_SHARE and GMEM_PERSIST_SETTLE
 * @file: an open file of gmemfs
 * @cmd: which one
 * @arg: of user space
 *
 * Documented in include/uapi/linux/gmem_persist.h.
 *
 * Return: 0, -EFAULT, -EINVAL (a reserved field is not 0), -EBADF (it is no view, and so will
 * never write, or, for SETTLE, is not open for writing), -ENOTTY (there is no such ioctl).
 */
long gmem_view_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct gmem_view *view = file->private_data;

	switch (cmd) {
	case GMEM_PERSIST_GET_VIEW:
		return gmem_view_ioctl_get(file, (void __user *)arg);
	case GMEM_PERSIST_SHARE:
		if (!view)
			return -EBADF;
		WRITE_ONCE(view->shares, true);
		return 0;
	case GMEM_PERSIST_SETTLE:
		/* Who may only read disturbs nobody. */
		if (!view || !(file->f_mode & FMODE_WRITE))
			return -EBADF;
		gmem_view_rearm(view->obj, NULL, view->found);
		return 0;
	default:
		return -ENOTTY;
	}
}
