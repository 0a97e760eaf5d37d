// SPDX-License-Identifier: GPL-2.0
/*
 * Names from inside of the kernel.
 */

/**
 * DOC: names by the ioctl
 *
 * KVM's ioctl names objects in the root directory, and so does the operator's discard. Both go
 * the way of open(O_CREAT), open() and unlink(), on a mount that nobody sees, as POSIX message
 * queues do: permissions of the directory and of the file hold for the caller, security modules
 * are asked, and who watches the directory is told.
 *
 * That mount is nowhere, so what a module knows of directories above gmemfs does not hold: a
 * process that has confined itself (Landlock) needs a rule for the root directory of gmemfs.
 *
 * CAP_SYS_ADMIN comes on top, in KVM: whoever opens a file has a path to it, by a mount that
 * somebody gave him; the ioctl asks for none.
 *
 * 1. To create, memory is taken first, for an object without a name, which may take seconds. Then
 *    the name is given, under the lock of the directory, for no longer than that takes. So nobody
 *    ever finds a name whose memory is not there, be it in the next kernel.
 * 2. To claim, the file is opened for reading and writing, and when everybody has been asked for
 *    that, it becomes one with access mode 3, which is no view (gmem_file_narrow()). To open it
 *    with that would not do: some modules look at what a file can do, and such a one can do
 *    nothing.
 * 3. To discard, the object is used exclusively, so that nobody else does, and its name is taken
 *    away. It ends with that use.
 */
#include "fs.h"

#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/security.h>

static struct path gmem_named_root(void)
{
	return (struct path){
		.mnt = gmem_named_mount,
		.dentry = gmem_named_mount->mnt_root,
	};
}

/**
 * gmem_named_check_free - can a name be had
 * @name: the name, in the root directory
 *
 * Context: process context.
 * Return: 0, for now; -EEXIST (it is taken), -EACCES (the caller may not look for it), or what
 * a security module says.
 */
int gmem_named_check_free(const char *name)
{
	const struct path root = gmem_named_root();
	struct dentry *dentry;
	bool taken;

	dentry = lookup_one_unlocked(&nop_mnt_idmap, &QSTR(name), root.dentry);
	if (IS_ERR(dentry))
		return PTR_ERR(dentry);
	taken = d_is_positive(dentry);
	dput(dentry);
	return taken ? -EEXIST : 0;
}

static int gmem_named_make(struct dentry *dentry, umode_t mode, void *obj)
{
	return gmem_dir_give_name(dentry, obj);
}

/**
 * gmem_named_give - give an object its name in the root directory
 * @obj: the object, which is live and has none; its inode says whose it is
 * @name: the name
 *
 * The checks are those of open(O_CREAT | O_EXCL).
 *
 * Context: process context; takes the lock of the root directory's inode and gmem_pool.lock.
 * Return: 0, -EEXIST (it is taken), -EACCES (the caller may not create anything there), or an
 * error of gmem_dir_give_name(), or what a security module says.
 */
int gmem_named_give(struct gmem_object *obj, const char *name)
{
	const struct path root = gmem_named_root();
	const umode_t mode = obj->inode->i_mode;
	struct dentry *dentry;
	int err;

	err = mnt_want_write(root.mnt);
	if (err)
		return err;
	dentry = start_creating(&nop_mnt_idmap, root.dentry, &QSTR(name));
	err = PTR_ERR_OR_ZERO(dentry);
	if (!err && d_is_positive(dentry))
		err = -EEXIST;
	if (!err)
		err = security_path_mknod(&root, dentry, mode, 0);
	if (!err)
		err = vfs_mkobj(dentry, mode, gmem_named_make, obj);
	end_creating(dentry);
	mnt_drop_write(root.mnt);
	return err;
}

/**
 * gmem_named_find - find the object that has a name in the root directory
 * @name: the name
 *
 * The checks are those of open(O_RDWR).
 *
 * Context: process context.
 * Return: the object, with a reference, or an ERR_PTR(): -ENOENT (there is none), -EISDIR (it is
 * a directory), -EACCES (the caller may not read and write it), -EBUSY (it may not have been
 * restored), -ENFILE (too many files), -ENOMEM, or what a security module says.
 */
struct gmem_object *gmem_named_find(const char *name)
{
	const struct path root = gmem_named_root();
	struct gmem_object *obj;
	struct file *file;

	file = file_open_root(&root, name, O_RDWR | O_NOFOLLOW | O_LARGEFILE, 0);
	if (file == ERR_PTR(-ENOENT) && gmem_left_pending())
		return ERR_PTR(-EBUSY);
	if (IS_ERR(file))
		return ERR_CAST(file);
	obj = gmem_fs_inode_object(file_inode(file));
	ihold(obj->inode);
	fput(file);
	return obj;
}

static int gmem_named_unlink(struct dentry *dentry)
{
	return vfs_unlink(&nop_mnt_idmap, d_inode(dentry->d_parent), dentry, NULL);
}

/**
 * gmem_named_forget - take the name away from an object that has just got it
 * @obj: the object, of which the caller has a view; it ends with that
 *
 * Nothing happens if it has none, or another one by now, or if files show it or the pool is
 * frozen. The caller's permissions do not matter: he was permitted to give the name.
 *
 * Context: process context; takes the lock of the root directory's inode and gmem_pool.lock.
 */
void gmem_named_forget(struct gmem_object *obj)
{
	const struct path root = gmem_named_root();
	char name[GMEM_NAME_SIZE];
	struct dentry *dentry;

	scoped_guard(spinlock, &gmem_pool.lock) {
		if (!gmem_object_named(obj) || obj->parent || obj->handles)
			return;
		strscpy(name, obj->ser->name);
		/* Nobody opens what is about to lose its name. */
		obj->exclusive = true;
	}
	if (!mnt_want_write(root.mnt)) {
		dentry = start_removing_noperm(root.dentry, &QSTR(name));
		if (!IS_ERR(dentry) && d_inode(dentry) == obj->inode) {
			scoped_with_kernel_creds()
				gmem_named_unlink(dentry);
		}
		end_removing(dentry);
		mnt_drop_write(root.mnt);
	}
	scoped_guard(spinlock, &gmem_pool.lock)
		obj->exclusive = false;
}

static int gmem_named_discard_it(struct dentry *dentry)
{
	const struct path root = gmem_named_root();
	struct inode *inode = d_inode(dentry);
	struct gmem_object *obj = gmem_fs_inode_object(inode);
	int err;

	if (d_is_dir(dentry))
		return -EISDIR;
	err = security_path_unlink(&root, dentry);
	if (err)
		return err;
	ihold(inode);
	err = gmem_object_open(obj, false, true);
	if (!err) {
		err = gmem_named_unlink(dentry);
		gmem_object_close(obj);
	}
	iput(inode);
	return err;
}

/**
 * gmem_named_discard - free a parked object
 * @name: its name in the root directory
 *
 * Context: process context; takes the lock of the root directory's inode and gmem_pool.lock.
 * Return: 0, -EINVAL (no such name is possible), -ENOENT (no object has it), -EISDIR (it is a
 * directory), -EBUSY (the object has views, or the pool is frozen), -EACCES (the caller may not
 * remove anything there), or what a security module says.
 */
int gmem_named_discard(const char *name)
{
	const struct path root = gmem_named_root();
	struct dentry *dentry;
	int err;

	if (!gmem_name_valid(name))
		return -EINVAL;
	err = mnt_want_write(root.mnt);
	if (err)
		return err;
	dentry = start_removing(&nop_mnt_idmap, root.dentry, &QSTR(name));
	err = PTR_ERR_OR_ZERO(dentry);
	if (!err)
		err = gmem_named_discard_it(dentry);
	end_removing(dentry);
	mnt_drop_write(root.mnt);
	return err;
}
