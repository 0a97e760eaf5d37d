// SPDX-License-Identifier: GPL-2.0
/*
 * What files and directories of gmemfs tell of themselves, by ioctls.
 */

/**
 * DOC: information
 *
 * The lists are told in parts of a page, each put together under the object's invalidate lock,
 * under which its memory is exchanged, and copied to the caller when that has been let go of:
 * the caller's memory may be a mapping of the same file. gmem_pool.lock is held for no more
 * than a few numbers, so nobody who asks all day stands in the way of others.
 *
 * A physical address is told to CAP_SYS_ADMIN only.
 *
 * A file that is open for reading is a view, and a view stands in the way of others: of a
 * discard, or of who wants the object exclusively. Who only wants to ask opens it with access
 * mode 3 (open(2): "to be used only for device-specific ioctl(2) operations"), which is none.
 * The object may be discarded then, and such a file is all that is left of it.
 */
#include "fs.h"

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <uapi/linux/gmem_persist.h>

static u32 gmem_info_kind(const struct gmem_object *obj)
{
	if (gmem_object_is_dir(obj))
		return GMEM_PERSIST_FILE_DIRECTORY;
	if (!obj->ranges.nr)
		return GMEM_PERSIST_FILE_EMPTY;
	return gmem_object_is_data(obj) ? GMEM_PERSIST_FILE_DATA : GMEM_PERSIST_FILE_MEMORY;
}

static u64 gmem_info_nr_bad_pages(struct gmem_object *obj)
{
	unsigned long index;
	void *entry;
	u64 nr = 0;

	xa_for_each(&obj->bad_pages, index, entry)
		nr++;
	return nr;
}

static bool gmem_info_is_live(const struct gmem_object *obj)
{
	guard(spinlock)(&gmem_pool.lock);

	return obj->state == GMEM_LIVE;
}

static void gmem_info_fill(struct gmem_object *obj, struct gmem_persist_info *info)
{
	filemap_invalidate_lock_shared(obj->inode->i_mapping);
	info->kind = gmem_info_kind(obj);
	info->size = obj->ser->size;
	info->granule = obj->ser->granule;
	info->length = i_size_read(obj->inode);
	info->flags = obj->ser->flags;
	info->vm_class = obj->ser->vm_class;
	info->nr_ranges = obj->ranges.nr;
	info->nr_bad_pages = gmem_info_nr_bad_pages(obj);
	filemap_invalidate_unlock_shared(obj->inode->i_mapping);

	guard(spinlock)(&gmem_pool.lock);
	memcpy(info->uuid, obj->ser->uuid, sizeof(info->uuid));
	info->generation = gmem_pool.generation - obj->ser->born;
	info->views = obj->vm_view + obj->handles;
}

static int gmem_info_get(const struct file *file, struct gmem_object *obj, void __user *arg)
{
	struct gmem_persist_info info;

	if (copy_from_user(&info, arg, sizeof(info)))
		return -EFAULT;
	if (memchr_inv(info.reserved, 0, sizeof(info.reserved)))
		return -EINVAL;

	memset(&info, 0, sizeof(info));
	/* The root directory is no object. */
	info.kind = GMEM_PERSIST_FILE_DIRECTORY;
	if (obj)
		gmem_info_fill(obj, &info);
	/* A directory has no views, and of a file one may be the caller's. */
	if (gmem_file_is_view(file))
		info.views--;
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

/*
 * Each of these puts entries into @to, which has room for @room of them, from *@start on,
 * moves that behind the last one, and says how many there are. The invalidate lock is held.
 */
typedef unsigned int (*gmem_info_fn)(struct gmem_object *obj, void *to, unsigned int room,
				     u64 *start);

static unsigned int gmem_info_nodes(struct gmem_object *obj, void *to, unsigned int room,
				    u64 *start)
{
	const struct gmem_arena *arena = &gmem_pool.arena;
	struct gmem_persist_node_entry *entry = to;
	unsigned int nr = 0;

	/* Which nodes there are does not change. */
	for (; *start < arena->nr_nodes && nr < room; ++*start) {
		const int nid = arena->nodes[*start].nid;
		const u64 bytes = gmem_arena_node_bytes(arena, &obj->ranges, nid);

		if (bytes)
			entry[nr++] = (struct gmem_persist_node_entry){
				.bytes = bytes,
				.node = nid,
			};
	}
	return nr;
}

static unsigned int gmem_info_bad_pages(struct gmem_object *obj, void *to,
					unsigned int room, u64 *start)
{
	unsigned long index = (*start >> PAGE_SHIFT) + !!offset_in_page(*start);
	u64 *entry = to;
	unsigned int nr = 0;

	while (nr < room && xa_find(&obj->bad_pages, &index, ULONG_MAX, XA_PRESENT)) {
		entry[nr++] = (u64)index << PAGE_SHIFT;
		index++;
		*start = (u64)index << PAGE_SHIFT;
	}
	return nr;
}

/* How much of @size bytes from @base on is on the same node; blocks are of 1 GiB. */
static u64 gmem_info_same_node(u64 base, u64 size, int nid)
{
	const u64 end = base + size;
	u64 at = base;

	do {
		at = min(ALIGN(at + 1, SZ_1G), end);
	} while (at < end && gmem_arena_nid(&gmem_pool.arena, at) == nid);
	return at - base;
}

/* The number of the range that has @offset, or of all of them if none has. */
static unsigned int gmem_info_range_at(const struct gmem_object *obj, u64 offset)
{
	unsigned int lo = 0, hi = obj->ranges.nr;

	while (lo < hi) {
		const unsigned int mid = lo + (hi - lo) / 2;

		if (obj->start[mid] + obj->ranges.r[mid].size <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static unsigned int gmem_info_ranges(struct gmem_object *obj, void *to, unsigned int room,
				     u64 *start)
{
	unsigned int i = gmem_info_range_at(obj, *start);
	struct gmem_persist_range_entry *entry = to;
	unsigned int nr = 0;

	while (nr < room && i < obj->ranges.nr) {
		const struct gmem_range *r = &obj->ranges.r[i];
		const u64 skip = *start - obj->start[i];
		const u64 base = r->base + skip;
		const int nid = gmem_arena_nid(&gmem_pool.arena, base);
		const u64 size = gmem_info_same_node(base, r->size - skip, nid);

		entry[nr++] = (struct gmem_persist_range_entry){
			.offset = *start,
			.base = base,
			.size = size,
			.node = nid,
		};
		*start += size;
		i += skip + size == r->size;
	}
	return nr;
}

static int gmem_info_list(struct gmem_object *obj, void __user *arg, gmem_info_fn fn,
			  size_t size)
{
	struct gmem_persist_list list;
	unsigned int room;
	void *part;
	int err = 0;

	if (copy_from_user(&list, arg, sizeof(list)))
		return -EFAULT;
	if (memchr_inv(list.reserved, 0, sizeof(list.reserved)))
		return -EINVAL;
	part = kzalloc(PAGE_SIZE, GFP_KERNEL_ACCOUNT);
	if (!part)
		return -ENOMEM;

	room = min_t(size_t, list.nr, PAGE_SIZE / size);
	list.nr = 0;
	/* The root directory is no object. */
	if (obj) {
		filemap_invalidate_lock_shared(obj->inode->i_mapping);
		list.nr = fn(obj, part, room, &list.start);
		filemap_invalidate_unlock_shared(obj->inode->i_mapping);
	}
	if (copy_to_user(u64_to_user_ptr(list.entries), part, list.nr * size) ||
	    copy_to_user(arg, &list, sizeof(list)))
		err = -EFAULT;
	kfree(part);
	return err;
}

/**
 * gmem_info_ioctl - what a file or directory of gmemfs tells of itself
 * @file: an open one
 * @cmd: GMEM_PERSIST_GET_*
 * @arg: address of the argument in user space
 *
 * Context: process context; takes the invalidate lock of the object, shared, and
 * gmem_pool.lock.
 * Return: 0, -EBADF (it is open for writing only), -ESTALE (it has been discarded), -EFAULT
 * (the argument is not the caller's memory), -EINVAL (a reserved field is not 0), -EPERM
 * (physical addresses are for CAP_SYS_ADMIN), -ENOMEM, -ENOTTY (there is no such ioctl).
 */
long gmem_info_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct gmem_object *obj = gmem_fs_inode_object(file_inode(file));
	void __user *to = (void __user *)arg;

	if ((file->f_mode & (FMODE_READ | FMODE_WRITE)) == FMODE_WRITE)
		return -EBADF;
	if (obj && !gmem_info_is_live(obj))
		return -ESTALE;
	switch (cmd) {
	case GMEM_PERSIST_GET_INFO:
		return gmem_info_get(file, obj, to);
	case GMEM_PERSIST_GET_NODES:
		return gmem_info_list(obj, to, gmem_info_nodes,
				      sizeof(struct gmem_persist_node_entry));
	case GMEM_PERSIST_GET_BAD_PAGES:
		return gmem_info_list(obj, to, gmem_info_bad_pages, sizeof(u64));
	case GMEM_PERSIST_GET_RANGES:
		if (!capable(CAP_SYS_ADMIN))
			return -EPERM;
		return gmem_info_list(obj, to, gmem_info_ranges,
				      sizeof(struct gmem_persist_range_entry));
	default:
		return -ENOTTY;
	}
}
