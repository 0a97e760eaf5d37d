// SPDX-License-Identifier: GPL-2.0
/*
 * New objects: what they are asked to be, whose they are, and where their memory is from.
 */
#include "internal.h"

#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/kvm_types.h>
#include <linux/sizes.h>
#include <linux/stat.h>
#include <linux/timekeeping.h>
#include <linux/uidgid.h>

#include <trace/events/gmem_persist.h>

static void gmem_create_own(struct gmem_object_ser *ser, umode_t mode)
{
	ser->uid = from_kuid(&init_user_ns, current_fsuid());
	ser->gid = from_kgid(&init_user_ns, current_fsgid());
	ser->mode = mode;
}

/* Give a new object its memory and show it to the world; its first view is the caller's. */
static int gmem_create_publish(struct gmem_object *obj, struct gmem_backing *b,
			       struct gmem_room *room)
{
	int err;

	guard(spinlock)(&gmem_pool.lock);

	err = gmem_backing_check(b);
	if (err)
		return err;

	gmem_backing_attach(b, obj, room);
	gmem_object_go_live(obj);
	obj->vm_view = true;
	return 0;
}

static int gmem_create_fill(struct gmem_object *obj, const struct gmem_object_params *params)
{
	struct gmem_backing *b;
	struct gmem_room room;
	int err;

	err = gmem_quotactl_take(obj, params->size);
	if (err)
		return err;
	b = gmem_backing_take(params->size, params->granule ?: SZ_2M, params->nodes, false);
	/* What has been counted goes with the object. */
	if (IS_ERR(b))
		return PTR_ERR(b);
	gmem_stop_here("object-cleared");
	err = gmem_backing_make_room(b, obj, &room);
	if (!err) {
		do {
			err = gmem_backing_ready(b, params->name && params->name[0]);
			if (!err)
				err = gmem_create_publish(obj, b, &room);
		} while (err == -EAGAIN);
		gmem_room_free(&room);
	}
	gmem_stop_here("object-recorded");
	if (err)
		gmem_backing_give_back(b);
	else
		gmem_backing_done(b, obj);
	return err;
}

static struct gmem_object *gmem_create_by_name(const struct gmem_object_params *params)
{
	struct gmem_object_ser ser = {
		.granule = params->granule ?: SZ_2M,
		.flags = params->flags,
		.vm_class = params->vm_class,
	};
	struct gmem_object *obj;
	int err;

	gmem_create_own(&ser, S_IFREG | 0600);
	obj = gmem_object_new(NULL, params->name ?: "", &ser, true);
	if (IS_ERR(obj))
		return obj;
	/* One reference is the pool's, one the view's. */
	ihold(obj->inode);
	i_size_write(obj->inode, params->size);
	inode_set_bytes(obj->inode, params->size);
	err = gmem_create_fill(obj, params);
	if (err) {
		gmem_object_give_up(obj);
		gmem_object_put(obj);
		return ERR_PTR(err);
	}
	return obj;
}

static struct gmem_object *gmem_create_by_handle(const struct gmem_object_params *params)
{
	struct gmem_object *obj = gmem_fs_object(params->handle);
	int err;

	inode_lock(obj->inode);
	err = gmem_object_populate(obj, params);
	inode_unlock(obj->inode);
	return err ? ERR_PTR(err) : gmem_use_claim(params);
}

/**
 * gmem_object_create - make a new object and claim its VM view
 * @params: what it shall be; without a name it dies with its last view. With a
 *	handle, the memory is for the object that it shows, which has none.
 *
 * The memory is zero, and is charged to the caller's dmem cgroup.
 *
 * Context: process context; takes gmem_pool.lock, clears memory and may take
 * seconds.
 * Return: the object, to be given back with gmem_object_release(), or an
 * ERR_PTR(): -EINVAL (name, size, granule or nodes), -EBADF (the handle is no file of
 * gmemfs that is open for reading and writing), -EEXIST (the name is taken, or the
 * handle's object has memory), -ENOENT (the handle's object has been discarded),
 * -ENOSPC (not enough free memory in this granule on these nodes, or no more
 * objects are possible), -EDQUOT (a limit of the caller's dmem cgroup, or of one above it, or of
 * a directory that the file is in, would be exceeded), -EBUSY (the pool is frozen), -EINTR (a
 * signal), -EHWPOISON (a memory error hit the memory meanwhile; there is other),
 * -ENODEV (there is no pool), -ENOMEM (no kernel memory for the bookkeeping), -EIO (a
 * bug of the kernel, with a warning: not all of the memory was cleared).
 */
struct gmem_object *gmem_object_create(const struct gmem_object_params *params)
{
	const u64 start = ktime_get_ns();
	struct gmem_object *obj;
	int err;

	if (!gmem_persist_enabled())
		return ERR_PTR(-ENODEV);
	err = gmem_use_check_handle(params, false);
	if (err)
		return ERR_PTR(err);
	err = gmem_object_check_params(params, false);
	if (err)
		return ERR_PTR(err);

	obj = params->handle ? gmem_create_by_handle(params) :
			       gmem_create_by_name(params);
	trace_gmem_create(params->name ?: "", params->size, params->granule ?: SZ_2M,
			  ktime_get_ns() - start, PTR_ERR_OR_ZERO(obj));
	return obj;
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_create);

/* Show a file or directory, which has no memory. */
static int gmem_create_publish_file(struct gmem_object *obj, struct dentry *dentry)
{
	guard(spinlock)(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	gmem_object_go_live(obj);
	/* Under the lock: see gmem_object_shown(). */
	d_instantiate(dentry, obj->inode);
	return 0;
}

/* The name was free when it was looked up. */
static int gmem_create_name_taken(const struct gmem_object *dir, const char *name)
{
	guard(spinlock)(&gmem_pool.lock);

	/* What can be seen is found by the next look, which -ESTALE asks for. */
	return gmem_object_visible(gmem_object_find(dir, name)) ? -ESTALE : -EBUSY;
}

/* As prescribed by the directory, if that has a say in the group */
static void gmem_create_init_owner(struct gmem_object_ser *ser, struct inode *dir,
				   umode_t mode)
{
	gmem_create_own(ser, mode);
	if (!(dir->i_mode & S_ISGID))
		return;
	ser->gid = from_kgid(&init_user_ns, dir->i_gid);
	if (S_ISDIR(mode))
		ser->mode |= S_ISGID;
}

/**
 * gmem_object_create_file - make a new object without memory: a file, or a directory
 * @dir: the inode of the directory that it will be in
 * @dentry: its name; gets its inode
 * @mode: its file type and permissions; the caller owns it
 *
 * Context: process context; takes gmem_pool.lock; the lock of @dir is held.
 * Return: 0, -EINVAL (no such name is possible), -ESTALE (it is taken by now), -EBUSY (an
 * object of that name is being created or discarded, or the pool is frozen), -ENOSPC (no more
 * objects are possible), -EDQUOT (there are too many names in @dir, or above it), -ENAMETOOLONG
 * (too many directories are in each other), -ENOMEM.
 */
int gmem_object_create_file(struct inode *dir, struct dentry *dentry, umode_t mode)
{
	const char *name = (const char *)dentry->d_name.name;
	struct gmem_object *parent = gmem_fs_inode_object(dir);
	struct gmem_object_ser ser = {
		.kind = S_ISDIR(mode) ? GMEM_PERSIST_KIND_DIRECTORY :
					GMEM_PERSIST_KIND_MEMORY,
		.granule = S_ISDIR(mode) ? 0 : SZ_2M,
	};
	struct gmem_object *obj;
	int err;

	if (!gmem_name_valid(name))
		return -EINVAL;
	gmem_create_init_owner(&ser, dir, mode);
	obj = gmem_object_new(parent, name, &ser, false);
	if (IS_ERR(obj))
		return PTR_ERR(obj) == -EEXIST ? gmem_create_name_taken(parent, name) :
						 PTR_ERR(obj);
	/* The pool has one reference, the dentry another. */
	ihold(obj->inode);
	err = gmem_create_publish_file(obj, dentry);
	gmem_stop_here("file-recorded");
	if (err) {
		gmem_object_give_up(obj);
		gmem_object_put(obj);
	}
	return err;
}
