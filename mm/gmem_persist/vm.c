// SPDX-License-Identifier: GPL-2.0
/*
 * What KVM asks for: memory by a name, by a file of gmemfs, or of nobody yet.
 */
#include "fs.h"

#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kvm_types.h>
#include <linux/mount.h>
#include <linux/nodemask.h>
#include <linux/sizes.h>
#include <linux/timekeeping.h>

#include <trace/events/gmem_persist.h>

static bool gmem_vm_by_name(const struct gmem_object_params *params)
{
	return params->name && params->name[0];
}

/* For an event, once @params have been checked */
static const char *gmem_vm_name(const struct gmem_object_params *params)
{
	if (params->handle)
		return gmem_fs_object(params->handle)->ser->name;
	return params->name ?: "";
}

/* Either a name or a handle says which object is meant. */
static int gmem_vm_check_params(const struct gmem_object_params *params, bool claim)
{
	if (!gmem_persist_enabled())
		return -ENODEV;
	if (params->handle && gmem_vm_by_name(params))
		return -EINVAL;
	if (params->handle && !gmem_fs_object(params->handle))
		return -EBADF;
	if (claim && !params->handle && !gmem_vm_by_name(params))
		return -EINVAL;
	return gmem_object_check_params(params, claim);
}

static struct gmem_object *gmem_vm_claim_handle(const struct gmem_object_params *params)
{
	struct gmem_object *obj = gmem_fs_object(params->handle);
	int err = gmem_use_claim(obj, params);

	return err ? ERR_PTR(err) : obj;
}

static struct gmem_object *gmem_vm_create_by_handle(const struct gmem_object_params *params)
{
	struct gmem_object *obj = gmem_fs_object(params->handle);
	int err;

	inode_lock(obj->inode);
	err = gmem_object_populate(obj, params);
	inode_unlock(obj->inode);
	return err ? ERR_PTR(err) : gmem_vm_claim_handle(params);
}

static struct gmem_object *gmem_vm_create_by_name(const struct gmem_object_params *params)
{
	struct gmem_object *obj;
	int err;

	/* Better now than when all has been cleared. */
	err = gmem_named_check_free(params->name);
	if (err)
		return ERR_PTR(err);
	obj = gmem_create_memory(params);
	if (IS_ERR(obj))
		return obj;
	err = gmem_named_give(obj, params->name);
	gmem_stop_here("object-recorded");
	if (!err)
		return obj;
	gmem_object_release(obj);
	return ERR_PTR(err);
}

/**
 * gmem_object_create - make a new object and claim its VM view
 * @params: what it shall be; without a name it dies with its last view. With a
 *	handle, the memory is for the object that it shows, which has none.
 *
 * The memory is zero, and is charged to the caller's dmem cgroup.
 *
 * Context: process context; takes the lock of the root directory's inode or of the handle's, and
 * gmem_pool.lock; clears memory and may take seconds.
 * Return: the object, to be given back with gmem_object_release(), or an
 * ERR_PTR(): -EINVAL (name, size, granule or nodes), -EBADF (the handle is no file of
 * gmemfs that is open for reading and writing), -EEXIST (the name is taken, or the
 * handle's object has memory), -ENOENT (the handle's object has been discarded), -EACCES (the
 * caller may not create anything in the root directory),
 * -ENOSPC (not enough free memory in this granule on these nodes, or no more
 * objects are possible), -EDQUOT (a limit of the caller's dmem cgroup,
 * or of one above it, would be exceeded), -EBUSY (the pool is frozen), -EINTR (a
 * signal), -EHWPOISON (a memory error hit the memory meanwhile; there is other),
 * -ENODEV (there is no pool), -ENOMEM (no kernel memory for the bookkeeping), -EIO (a
 * bug of the kernel, with a warning: not all of the memory was cleared), or what a security
 * module says.
 */
struct gmem_object *gmem_object_create(const struct gmem_object_params *params)
{
	const u64 start = ktime_get_ns();
	struct gmem_object *obj;
	int err = gmem_vm_check_params(params, false);

	if (err)
		return ERR_PTR(err);

	if (params->handle)
		obj = gmem_vm_create_by_handle(params);
	else if (gmem_vm_by_name(params))
		obj = gmem_vm_create_by_name(params);
	else
		obj = gmem_create_memory(params);
	trace_gmem_create(gmem_vm_name(params), params->size, params->granule ?: SZ_2M,
			  ktime_get_ns() - start, PTR_ERR_OR_ZERO(obj));
	return obj;
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_create);

static struct gmem_object *gmem_vm_claim_by_name(const struct gmem_object_params *params)
{
	struct gmem_object *obj = gmem_named_find(params->name);
	int err;

	if (IS_ERR(obj))
		return obj;
	err = gmem_use_claim(obj, params);
	/* The claim has a reference of its own. */
	gmem_object_put(obj);
	if (err)
		return ERR_PTR(err);
	return obj;
}

/**
 * gmem_object_claim - claim the VM view of a parked object
 * @params: its name or a handle, and what the caller takes it to be
 *
 * The memory is charged to the caller's dmem cgroup from now on, be it beyond the
 * limits of that.
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: the object, to be given back with gmem_object_release(), or an
 * ERR_PTR(): -EINVAL (a malformed argument, or the object is not what the caller
 * takes it to be), -EBADF (the handle is no file of gmemfs that is open for reading and
 * writing), -ENOENT (no object has this name, or the handle's has no memory), -EISDIR (a
 * directory has this name), -EACCES (the caller may not read and write what has it), -EBUSY
 * (another VM has the view, somebody else has the object exclusively, or the pool is frozen),
 * -ENODEV (there is no pool), -ENFILE, -ENOMEM, or what a security module says.
 */
struct gmem_object *gmem_object_claim(const struct gmem_object_params *params)
{
	const u64 start = ktime_get_ns();
	struct gmem_object *obj;
	int err = gmem_vm_check_params(params, true);

	if (err)
		return ERR_PTR(err);

	obj = params->handle ? gmem_vm_claim_handle(params) : gmem_vm_claim_by_name(params);
	err = PTR_ERR_OR_ZERO(obj);
	if (err) {
		trace_gmem_claim(gmem_vm_name(params), params->size, params->granule,
				 ktime_get_ns() - start, err);
		return obj;
	}
	gmem_charge_move(obj);
	trace_gmem_claim(obj->ser->name, obj->ser->size, obj->ser->granule,
			 ktime_get_ns() - start, 0);
	return obj;
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_claim);

/**
 * gmem_object_undo - give back a VM view that nobody has used
 * @obj: the object; the caller's reference goes with the view
 * @created: it comes from gmem_object_create() by a name, not from gmem_object_claim()
 *
 * A new object is gone, and an old one is parked, as it is. So is a new one if the pool was
 * frozen since, or if files of gmemfs show it. One that was claimed stays charged to the cgroup
 * of the one who claimed it.
 *
 * Context: process context; takes the lock of the root directory's inode and gmem_pool.lock.
 */
void gmem_object_undo(struct gmem_object *obj, bool created)
{
	if (created)
		gmem_named_forget(obj);
	gmem_object_release(obj);
}
EXPORT_SYMBOL_FOR_KVM(gmem_object_undo);

/* A file without a name, of the root directory that @dir shows: by the checks of O_TMPFILE */
static struct file *gmem_vm_unnamed_file(struct file *dir)
{
	struct file *file;
	int err = mnt_want_write_file(dir);

	if (err)
		return ERR_PTR(err);
	file = kernel_tmpfile_open(file_mnt_idmap(dir), &dir->f_path, 0600,
				   O_RDWR | O_LARGEFILE, current_cred());
	mnt_drop_write_file(dir);
	return file;
}

/**
 * gmem_resource_open - a handle for the memory that a file descriptor stands for
 * @file: of a file of gmemfs: its memory. Of the root directory of gmemfs, also by O_PATH: the
 *	memory of a new object, which dies with its last view
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: the handle, to be given back with fput(), or an ERR_PTR(): -ENODEV (it is not of
 * gmemfs), -EISDIR (it is another directory of gmemfs), -EBADF (the file is not open for reading
 * and writing). Or, of the root directory: -EACCES (the caller may not write to it), -EROFS
 * (nobody may, where it is mounted), -EBUSY (the pool is frozen), -ENOSPC (no more objects are
 * possible), -ENFILE, -ENOMEM, or what a security module says.
 */
struct file *gmem_resource_open(struct file *file)
{
	const struct inode *inode = file_inode(file);

	if (inode->i_sb != gmem_fs_mount->mnt_sb)
		return ERR_PTR(-ENODEV);
	if (S_ISDIR(inode->i_mode))
		return gmem_fs_inode_object(inode) ? ERR_PTR(-EISDIR) :
						     gmem_vm_unnamed_file(file);
	return gmem_fs_object(file) ? get_file(file) : ERR_PTR(-EBADF);
}
EXPORT_SYMBOL_FOR_KVM(gmem_resource_open);

/**
 * gmem_resource_claim - the memory of a handle, with its VM view
 * @handle: from gmem_resource_open(); if it has no memory it gets some, as by ftruncate(): in
 *	granules and on nodes as the mount options say
 * @size: how much that is, in bytes, a multiple of 2 MiB
 * @flags: as in struct gmem_object_params
 * @vm_class: likewise
 * @created: set to whether it has got memory by this
 *
 * Context: process context; takes the lock of the handle's inode and gmem_pool.lock; clears
 * memory and may take seconds.
 * Return: the object, to be given back with gmem_object_release(), or an ERR_PTR(): -EINVAL (no
 * such size is possible, or it is no multiple of the granule), -EEXIST (it has memory of another
 * size, or for other flags or another type of VM, or it has data), -EBUSY (another VM has the
 * view, or the pool is frozen), -ENOSPC, -EDQUOT, -EINTR, -EHWPOISON, -ENOMEM or -EIO (as
 * gmem_object_create()).
 */
struct gmem_object *gmem_resource_claim(struct file *handle, u64 size, u64 flags, u32 vm_class,
					bool *created)
{
	struct gmem_object_params claim = {
		.handle = handle, .size = size, .flags = flags, .vm_class = vm_class,
	};
	struct gmem_object_params create = claim;
	struct gmem_object *obj;
	nodemask_t nodes;
	int err = gmem_vm_check_params(&claim, true);

	if (err)
		return ERR_PTR(err);
	if (gmem_file_options(&create.granule, &nodes))
		create.nodes = &nodes;
	do {
		*created = false;
		obj = gmem_object_claim(&claim);
		/* All else was right. */
		if (obj == ERR_PTR(-EINVAL))
			return ERR_PTR(-EEXIST);
		if (obj != ERR_PTR(-ENOENT))
			return obj;
		*created = true;
		obj = gmem_object_create(&create);
		/* Somebody else was faster, so there is something to claim. */
	} while (obj == ERR_PTR(-EEXIST));
	return obj;
}
EXPORT_SYMBOL_FOR_KVM(gmem_resource_claim);
