// SPDX-License-Identifier: GPL-2.0
/*
 * Who sets the limits of directories, who sees them, and who keeps to them; see quota.c.
 */
#include "fs.h"

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <uapi/linux/gmem_persist.h>

/**
 * gmem_quotactl_take - let an object that is about to get memory count with it
 * @obj: the object; the caller uses it
 * @bytes: how much, in bytes
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, -ENOSPC (the pool could never have as much), -EDQUOT (the limit of a directory
 * would be exceeded), -EBUSY (the pool is frozen).
 */
int gmem_quotactl_take(struct gmem_object *obj, u64 bytes)
{
	if (bytes > gmem_ranges_bytes(&gmem_pool.ranges))
		return -ENOSPC;

	guard(spinlock)(&gmem_pool.lock);

	return gmem_pool.holders ? -EBUSY : gmem_quota_take(&obj->quota, bytes);
}

/**
 * gmem_quotactl_give - an object has not got the memory
 * @obj: the object
 * @bytes: how much, in bytes
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_quotactl_give(struct gmem_object *obj, u64 bytes)
{
	guard(spinlock)(&gmem_pool.lock);

	gmem_quota_give(&obj->quota, bytes);
}

/**
 * gmem_quotactl_room - how much may be used in a place, and how much of that is left
 * @obj: a file or directory; NULL: the root directory
 * @max: as for gmem_quota_room()
 * @left: as for gmem_quota_room()
 *
 * Context: process context; takes gmem_pool.lock.
 */
void gmem_quotactl_room(const struct gmem_object *obj, struct gmem_usage *max,
			struct gmem_usage *left)
{
	guard(spinlock)(&gmem_pool.lock);

	if (obj)
		gmem_quota_room(obj->quota.own ?: obj->quota.in, max, left);
}

static int gmem_quotactl_get(struct gmem_object *dir, struct gmem_persist_quota *arg)
{
	const struct gmem_quota *q = dir->quota.own;

	guard(spinlock)(&gmem_pool.lock);

	if (dir->state != GMEM_LIVE)
		return -ESTALE;
	*arg = (struct gmem_persist_quota){
		.max_bytes = q->max.bytes,
		.max_names = q->max.names,
		.used_bytes = q->used.bytes,
		.used_names = q->used.names,
	};
	return 0;
}

static int gmem_quotactl_change(struct gmem_object *dir, const struct gmem_persist_quota *arg)
{
	guard(spinlock)(&gmem_pool.lock);

	if (dir->state != GMEM_LIVE)
		return -ESTALE;
	if (gmem_pool.holders)
		return -EBUSY;
	dir->ser->quota_bytes = arg->max_bytes;
	dir->ser->quota_names = arg->max_names;
	gmem_slot_seal(dir->ser);
	dir->quota.own->max = (struct gmem_usage){
		.bytes = arg->max_bytes,
		.names = arg->max_names,
	};
	return 0;
}

static int gmem_quotactl_set(struct file *file, struct gmem_object *dir,
			     const struct gmem_persist_quota *arg)
{
	int err;

	/* Not whoever is root somewhere: limits are the operator's. */
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	err = mnt_want_write_file(file);
	if (err)
		return err;
	err = gmem_quotactl_change(dir, arg);
	mnt_drop_write_file(file);
	return err;
}

/**
 * gmem_quotactl_ioctl - ask for the limits of a directory, or set them
 * @file: an open directory of gmemfs
 * @cmd: GMEM_PERSIST_GET_QUOTA or GMEM_PERSIST_SET_QUOTA
 * @arg: address of struct gmem_persist_quota in user space
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, -ENOTTY (it is the root directory), -EFAULT (the argument is not the caller's
 * memory), -EINVAL (a reserved field is not 0), -ESTALE (the directory has been removed), and
 * when setting: -EPERM (that is for CAP_SYS_ADMIN), -EROFS (of a mount that is read only),
 * -EBUSY (the pool is frozen).
 */
long gmem_quotactl_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct gmem_object *dir = gmem_fs_inode_object(file_inode(file));
	void __user *user = (void __user *)arg;
	struct gmem_persist_quota quota;
	int err;

	/* It has as much as the pool has. */
	if (!dir)
		return -ENOTTY;
	if (copy_from_user(&quota, user, sizeof(quota)))
		return -EFAULT;
	if (memchr_inv(quota.reserved, 0, sizeof(quota.reserved)))
		return -EINVAL;
	if (cmd == GMEM_PERSIST_SET_QUOTA)
		return gmem_quotactl_set(file, dir, &quota);
	err = gmem_quotactl_get(dir, &quota);
	if (err)
		return err;
	return copy_to_user(user, &quota, sizeof(quota)) ? -EFAULT : 0;
}

/*
 * The check
 */

/* Call @fn for each object that counts somewhere. */
static void gmem_quotactl_for_all(void (*fn)(struct gmem_object *obj, void *arg), void *arg)
{
	struct gmem_object *obj;
	unsigned long i;

	xa_for_each(&gmem_pool.objects, i, obj)
		fn(obj, arg);
	list_for_each_entry(obj, &gmem_pool.ended, ended)
		fn(obj, arg);
}

static void gmem_quotactl_forget(struct gmem_object *obj, void *arg)
{
	gmem_quota_forget(&obj->quota);
}

static void gmem_quotactl_count(struct gmem_object *obj, void *arg)
{
	gmem_quota_count(&obj->quota);
}

static void gmem_quotactl_compare(struct gmem_object *obj, void *arg)
{
	const struct gmem_quota *own = obj->quota.own;
	/* What has ended has no memory, whatever stands in its slot. */
	const u64 size = obj->ranges.nr ? obj->ser->size : 0;
	struct gmem_quotactl_sums *sums = arg;

	sums->used.names++;
	sums->used.bytes += obj->quota.bytes;
	sums->pending += obj->quota.bytes - size;
	sums->wrong += !gmem_quota_agrees(&obj->quota) || obj->quota.bytes < size ||
		       gmem_object_is_dir(obj) != !!own ||
		       (own && (own->max.bytes != obj->ser->quota_bytes ||
				own->max.names != obj->ser->quota_names));
}

/**
 * gmem_quotactl_check - is what directories have added up what is there
 * @sums: set to that
 *
 * It is for tests, and looks at all objects at one moment.
 *
 * Context: process context; takes gmem_pool.lock, for as long as there are many objects.
 */
void gmem_quotactl_check(struct gmem_quotactl_sums *sums)
{
	*sums = (struct gmem_quotactl_sums){};

	guard(spinlock)(&gmem_pool.lock);

	gmem_quotactl_for_all(gmem_quotactl_forget, NULL);
	gmem_quotactl_for_all(gmem_quotactl_count, NULL);
	gmem_quotactl_for_all(gmem_quotactl_compare, sums);
}
