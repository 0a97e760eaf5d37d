// SPDX-License-Identifier: GPL-2.0
/*
 * Live objects that get memory, or more of it, or lose some, and what changes with that.
 */
#include "fs.h"

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/timekeeping.h>

/* What an object is made of once it has memory */
struct gmem_kind {
	u32 kind;
	u32 vm_class;
	u64 granule;
	u64 flags;
};

static int gmem_grow_add(struct gmem_object *obj, const struct gmem_kind *kind,
			 struct gmem_backing *b, struct gmem_room *room)
{
	int err;

	guard(spinlock)(&gmem_pool.lock);

	if (obj->state != GMEM_LIVE)
		return -ENOENT;
	err = gmem_backing_check(b);
	if (err)
		return err;
	obj->ser->kind = kind->kind;
	obj->ser->granule = kind->granule;
	obj->ser->flags = kind->flags;
	obj->ser->vm_class = kind->vm_class;
	gmem_backing_attach(b, obj, room);
	gmem_slot_seal(obj->ser);
	/* It may have lost its name. */
	if (!gmem_object_kept(obj))
		gmem_keep_begin(&obj->keeping);
	/* What was saved when it was data is not of this memory. */
	if (kind->kind == GMEM_PERSIST_KIND_MEMORY) {
		gmem_slot_draw_token(obj->ser);
		obj->untouched = true;
	}
	return 0;
}

static int gmem_grow_attach(struct gmem_object *obj, const struct gmem_kind *kind,
			    struct gmem_backing *b, struct gmem_room *room)
{
	struct address_space *mapping = obj->inode->i_mapping;
	int err;

	do {
		err = gmem_backing_ready(b, gmem_object_kept(obj));
		if (err)
			break;
		filemap_invalidate_lock(mapping);
		gmem_stop_here("extend-locked");
		err = gmem_grow_add(obj, kind, b, room);
		filemap_invalidate_unlock(mapping);
	} while (err == -EAGAIN);
	gmem_keep_stop(&obj->keeping);
	return err;
}

/* Give a live object @size bytes more, behind what it has. */
static int gmem_grow_extend(struct gmem_object *obj, u64 size,
			    const struct gmem_kind *kind, const nodemask_t *nodes)
{
	struct gmem_backing *b;
	struct gmem_room room;
	int err;

	err = gmem_quotactl_take(obj, size);
	if (err)
		return err;
	/* As a write to any file, growing is ended by no signal that does not kill. */
	b = gmem_backing_take(size, kind->granule, nodes,
			      kind->kind == GMEM_PERSIST_KIND_DATA);
	if (IS_ERR(b)) {
		gmem_quotactl_give(obj, size);
		return PTR_ERR(b);
	}
	gmem_stop_here("extend-cleared");
	err = gmem_backing_make_room(b, obj, &room);
	if (!err) {
		err = gmem_grow_attach(obj, kind, b, &room);
		gmem_room_free(&room);
	}
	gmem_stop_here("extend-recorded");
	if (err) {
		gmem_backing_give_back(b);
		gmem_quotactl_give(obj, size);
		return err;
	}
	gmem_backing_done(b, obj);
	inode_set_bytes(obj->inode, obj->ser->size);
	return 0;
}

/**
 * gmem_object_populate - give an object without memory some
 * @obj: the object
 * @params: what it shall be; the name does not matter
 *
 * As with gmem_object_create(), the memory is zero and charged to the caller's
 * dmem cgroup. The object gets another token.
 *
 * Context: process context; the lock of the object's inode is held; takes
 * gmem_pool.lock, clears memory and may take seconds.
 * Return: 0, -EEXIST (it has memory), -ENOENT (it has been discarded), or an error of
 * gmem_object_create().
 */
int gmem_object_populate(struct gmem_object *obj,
			 const struct gmem_object_params *params)
{
	const struct gmem_kind kind = {
		.kind = GMEM_PERSIST_KIND_MEMORY,
		.granule = params->granule ?: SZ_2M,
		.flags = params->flags,
		.vm_class = params->vm_class,
	};
	int err;

	if (obj->ranges.nr)
		return -EEXIST;
	err = gmem_object_check_params(params, false);
	if (err)
		return err;
	err = gmem_grow_extend(obj, params->size, &kind, params->nodes);
	gmem_stop_here("populate-recorded");
	if (!err)
		/* From here on it may be mapped. */
		i_size_write(obj->inode, obj->ser->size);
	return err;
}

static int gmem_grow_take_over(const struct gmem_attach *a, struct gmem_backing *b,
			       struct gmem_room *room, struct gmem_ranges *rest)
{
	struct gmem_object_ser *ser = a->obj->ser;
	unsigned int i;

	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	if (!gmem_object_named(a->obj))
		return -ESTALE;
	swap(gmem_pool.quarantined, *rest);
	/* That it is not clean need not be said: what an object had is dirty when it ends. */
	for (i = 0; i < b->ranges.nr; i++)
		gmem_pool_count_quarantined(b->ranges.r[i].base, b->ranges.r[i].size, false);
	ser->kind = a->kind;
	ser->granule = a->granule;
	ser->flags = a->flags;
	ser->vm_class = a->vm_class;
	ser->bytes = a->length;
	gmem_backing_attach(b, a->obj, room);
	gmem_slot_seal(ser);
	/* Whatever was saved: nobody knows what it was saved beside. */
	gmem_slot_draw_token(ser);
	a->obj->untouched = false;
	return 0;
}

static int gmem_grow_take(const struct gmem_attach *a, struct gmem_backing *b,
			  struct gmem_ranges *rest)
{
	struct address_space *mapping = a->obj->inode->i_mapping;
	struct gmem_room room;
	int err;

	err = gmem_backing_make_room(b, a->obj, &room);
	if (err)
		return err;
	err = gmem_badpages_mark(a->obj, &b->ranges);
	gmem_stop_here("attach-ready");
	if (!err && !gmem_object_named(a->obj))
		err = -ESTALE;
	if (!err)
		err = a->ready();
	gmem_stop_here("attach-marked");
	if (!err) {
		filemap_invalidate_lock(mapping);
		err = gmem_grow_take_over(a, b, &room, rest);
		filemap_invalidate_unlock(mapping);
	}
	gmem_room_free(&room);
	/* It has no pages. */
	if (err)
		xa_destroy(&a->obj->bad_pages);
	return err;
}

/* The lock of the inode is held, so nobody else counts for it or gives it memory. */
static int gmem_grow_take_quarantined(const struct gmem_attach *a, struct gmem_backing *b,
				      u64 size)
{
	struct gmem_ranges rest = {};
	int err;

	if (a->obj->ranges.nr)
		return -EEXIST;
	err = gmem_quotactl_take(a->obj, size);
	if (err)
		return err;
	err = gmem_quarantine_without(&b->ranges, &rest);
	if (!err) {
		err = gmem_grow_take(a, b, &rest);
		kvfree(rest.r);
	}
	if (err)
		gmem_quotactl_give(a->obj, size);
	return err;
}

/**
 * gmem_object_attach_memory - let an object have memory that is quarantined, with its contents
 * @a: the object and the memory; the array of that is freed or used
 *
 * The object gets another token, and the caller's dmem cgroup pays.
 *
 * Context: process context; nobody else takes memory out of quarantine; takes the lock of the
 * object's inode, its invalidate lock and gmem_pool.lock.
 * Return: 0, -EEXIST (it has memory), -ENOENT (not all of the memory is quarantined, or some is
 * named twice), -ESTALE (the object has no name any more), -EDQUOT (a limit of the caller's dmem
 * cgroup, or of one above it, or of a directory that it is in, would be exceeded), -ENOSPC (more
 * than the pool has), -EBUSY (the pool is frozen, or somebody is just writing to the object),
 * -ENOMEM.
 */
int gmem_object_attach_memory(const struct gmem_attach *a)
{
	struct inode *inode = a->obj->inode;
	const u64 size = gmem_ranges_bytes(&a->ranges);
	struct gmem_backing *b;
	int err;

	b = gmem_backing_of(&a->ranges);
	if (IS_ERR(b))
		return PTR_ERR(b);
	/* Who writes to it may be waiting for user space, and all of quarantine with us. */
	if (!inode_trylock(inode)) {
		gmem_backing_let_go(b);
		return -EBUSY;
	}
	err = gmem_grow_take_quarantined(a, b, size);
	if (!err) {
		gmem_backing_done(b, a->obj);
		gmem_poison_look_again(a->obj);
		inode_set_bytes(inode, a->obj->ser->size);
		/* From here on it may be mapped. */
		i_size_write(inode, gmem_object_is_data(a->obj) ? a->length : a->obj->ser->size);
		pr_notice("object %s: %llu MiB are attached that were quarantined\n",
			  a->obj->ser->name, a->obj->ser->size >> 20);
	}
	inode_unlock(inode);
	if (err)
		gmem_backing_let_go(b);
	return err;
}

/**
 * gmem_object_grow - give an object more memory for data
 * @obj: the object; it has no memory, or holds data
 * @size: how much it shall have, in bytes, a multiple of 2 MiB; more than it has
 *
 * What is added is zero, and charged to the caller's dmem cgroup. What it had stays where it
 * is, and so does its length.
 *
 * Context: process context; the lock of the object's inode is held; takes its invalidate
 * lock and gmem_pool.lock, clears memory.
 * Return: 0, or an error of gmem_object_populate().
 */
int gmem_object_grow(struct gmem_object *obj, u64 size)
{
	static const struct gmem_kind data = {
		.kind = GMEM_PERSIST_KIND_DATA,
		.granule = SZ_2M,
	};

	return gmem_grow_extend(obj, size - obj->ser->size, &data, NULL);
}

/* Take some of its end away, but not more than there is behind @size; false: it is frozen. */
static bool gmem_grow_cut(struct gmem_object *obj, u64 size)
{
	struct address_space *mapping = obj->inode->i_mapping;
	struct gmem_room room = {};
	struct gmem_cut step;
	unsigned long index;
	bool done = false;
	void *entry;

	gmem_backing_cut_step(obj, size, &step);
	filemap_invalidate_lock(mapping);
	scoped_guard(spinlock, &gmem_pool.lock) {
		/* What has ended has no memory, whatever it still says. */
		if (gmem_pool.holders || WARN_ON_ONCE(obj->state != GMEM_LIVE))
			break;
		if (!step.size)
			obj->ser->kind = GMEM_PERSIST_KIND_MEMORY;
		gmem_backing_cut(obj, &step, &room);
		gmem_quota_give(&obj->quota, obj->quota.bytes - step.size);
		done = true;
	}
	/* Of memory that it has no more */
	if (done)
		xa_for_each_start(&obj->bad_pages, index, entry, step.size >> PAGE_SHIFT)
			xa_erase(&obj->bad_pages, index);
	filemap_invalidate_unlock(mapping);
	gmem_room_free(&room);
	gmem_stop_here("cut-step");
	return done;
}

/**
 * gmem_object_shrink - take memory for data away from an object
 * @obj: the object, which holds data
 * @size: how much it shall have, in bytes, a multiple of 2 MiB; less than it has. With 0 it
 *	is as empty as a new one
 *
 * In a frozen pool nothing happens, and it may be left in the middle of it.
 *
 * Context: process context; the lock of the object's inode is held; takes its invalidate
 * lock and gmem_pool.lock.
 */
void gmem_object_shrink(struct gmem_object *obj, u64 size)
{
	while (obj->ser->size > size)
		if (!gmem_grow_cut(obj, size))
			break;
	gmem_charge_fit(obj);
	inode_set_bytes(obj->inode, obj->ser->size);
}

/**
 * gmem_object_set_length - say how many bytes of data there are
 * @obj: the object, which holds data
 * @length: the number, not more than it has memory for
 *
 * Context: process context; the lock of the object's inode is held; takes gmem_pool.lock.
 * Return: 0, -EBUSY (the pool is frozen).
 */
int gmem_object_set_length(struct gmem_object *obj, u64 length)
{
	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	i_size_write(obj->inode, length);
	obj->ser->bytes = length;
	gmem_slot_seal(obj->ser);
	return 0;
}

/**
 * gmem_object_save_times - let the record know when a file was changed last
 * @inode: its inode
 *
 * In a frozen pool nothing is changed but a guest's memory, which has no time.
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_object_save_times(struct inode *inode)
{
	struct gmem_object *obj = gmem_fs_inode_object(inode);
	const struct timespec64 ts = inode_get_mtime(inode);

	if (!obj)
		return;

	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return;
	obj->ser->mtime = timespec64_to_ns(&ts);
	gmem_slot_seal(obj->ser);
}

/**
 * gmem_fs_touch - a file or directory has been changed now
 * @inode: its inode
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_fs_touch(struct inode *inode)
{
	inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
	gmem_object_save_times(inode);
}
