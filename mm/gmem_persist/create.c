// SPDX-License-Identifier: GPL-2.0
/*
 * New objects: what they are asked to be, whose they are, and where their memory is from.
 */
#include "fs.h"

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/sizes.h>
#include <linux/stat.h>
#include <linux/uidgid.h>

static void gmem_create_own(struct gmem_object_ser *ser, umode_t mode)
{
	ser->uid = from_kuid(&init_user_ns, current_fsuid());
	ser->gid = from_kgid(&init_user_ns, current_fsgid());
	ser->mode = mode;
}

/* Give a new object its memory; its first view is the caller's. */
static int gmem_create_attach(struct gmem_object *obj, struct gmem_backing *b,
			      struct gmem_room *room, bool to_be_named)
{
	int err;

	guard(spinlock)(&gmem_pool.lock);

	err = gmem_backing_check(b);
	if (err)
		return err;

	gmem_backing_attach(b, obj, room);
	gmem_slot_seal(obj->ser);
	gmem_object_go_live(obj);
	obj->vm_view = true;
	if (!to_be_named)
		gmem_object_not_awaited(obj);
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
			err = gmem_backing_ready(b, false);
			if (!err)
				err = gmem_create_attach(obj, b, &room,
							 params->name && params->name[0]);
		} while (err == -EAGAIN);
		gmem_room_free(&room);
	}
	if (err)
		gmem_backing_give_back(b);
	else
		gmem_backing_done(b, obj);
	return err;
}

/**
 * gmem_create_memory - make a new object with memory, and with no name yet
 * @params: what it shall be; has been checked, and needs no handle. With a name, a freeze is
 *	refused until gmem_name_give() gives it one, or until it ends
 *
 * The memory is zero, and is charged to the caller's dmem cgroup. The VM view is the caller's.
 *
 * Context: process context; takes gmem_pool.lock, clears memory and may take seconds.
 * Return: the object, to be given back with gmem_object_release(), or an error of
 * gmem_object_new() or gmem_backing_take(), as gmem_object_create() tells them.
 */
struct gmem_object *gmem_create_memory(const struct gmem_object_params *params)
{
	struct gmem_object_ser ser = {
		.granule = params->granule ?: SZ_2M,
		.flags = params->flags,
		.vm_class = params->vm_class,
	};
	struct gmem_object *obj;
	int err;

	/* As a file that open() makes. */
	gmem_create_own(&ser, S_IFREG | (0600 & ~current_umask()));
	obj = gmem_object_new(&ser, true);
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

/* As prescribed by the directory, if that has a say in the group */
static void gmem_create_init_owner(struct gmem_object_ser *ser, const struct inode *dir,
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
 * gmem_create_file - make a new object without memory, and with no name yet: a file, or a
 *	directory
 * @dir: the inode of the directory that it will be in
 * @mode: its file type and permissions; the caller owns it
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: the object, with the pool's reference only: it gets a name or a view, or ends by
 * gmem_object_give_up(). Or an ERR_PTR(): -EDQUOT (there would be too many names in @dir, or
 * above it), -ENAMETOOLONG (too many directories would be in each other), or an error of
 * gmem_object_new().
 */
struct gmem_object *gmem_create_file(const struct inode *dir, umode_t mode)
{
	struct gmem_object_ser ser = {
		.kind = S_ISDIR(mode) ? GMEM_PERSIST_KIND_DIRECTORY :
					GMEM_PERSIST_KIND_MEMORY,
		.granule = S_ISDIR(mode) ? 0 : SZ_2M,
	};
	struct gmem_object *obj;
	int err;

	/* Better now than when all has been made; what counts comes with the name. */
	scoped_guard(spinlock, &gmem_pool.lock)
		err = gmem_quota_may_add(gmem_object_quota(gmem_fs_inode_object(dir)),
					 S_ISDIR(mode));
	if (err)
		return ERR_PTR(err);
	gmem_create_init_owner(&ser, dir, mode);
	obj = gmem_object_new(&ser, false);
	if (IS_ERR(obj))
		return obj;
	scoped_guard(spinlock, &gmem_pool.lock)
		gmem_object_go_live(obj);
	return obj;
}
