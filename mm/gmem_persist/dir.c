// SPDX-License-Identifier: GPL-2.0
/*
 * Directories of gmemfs.
 */
#include "fs.h"

#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/mount.h>

#include <uapi/linux/gmem_persist.h>

static const char *gmem_dir_name(const struct dentry *dentry)
{
	return (const char *)dentry->d_name.name;
}

static void gmem_dir_show(struct dentry *dentry, struct gmem_object *obj)
{
	/* The dentry's reference */
	ihold(obj->inode);
	d_make_persistent(dentry, obj->inode);
}

/* A name that is not in the dcache is none, see name.c. */
static struct dentry *gmem_dir_lookup(struct inode *dir, struct dentry *dentry,
				      unsigned int flags)
{
	if (dentry->d_name.len >= GMEM_NAME_SIZE)
		return ERR_PTR(-ENAMETOOLONG);
	return simple_lookup(dir, dentry, flags);
}

/**
 * gmem_dir_give_name - give an object its name
 * @dentry: the name, which is free; gets the object's inode
 * @obj: the object, which is live and has none
 *
 * Context: process context; takes gmem_pool.lock; the lock of the directory's inode is held.
 * Return: 0, -EINVAL (no such name is possible), or an error of gmem_name_give().
 */
int gmem_dir_give_name(struct dentry *dentry, struct gmem_object *obj)
{
	struct inode *dir = d_inode(dentry->d_parent);
	int err;

	if (!gmem_name_valid(gmem_dir_name(dentry)))
		return -EINVAL;
	err = gmem_name_give(obj, gmem_fs_inode_object(dir), gmem_dir_name(dentry));
	if (err)
		return err;
	gmem_stop_here("file-recorded");
	gmem_dir_show(dentry, obj);
	gmem_fs_touch(dir);
	return 0;
}

static int gmem_dir_make(struct inode *dir, struct dentry *dentry, umode_t mode)
{
	struct gmem_object *obj = gmem_create_file(dir, mode);
	int err;

	if (IS_ERR(obj))
		return PTR_ERR(obj);
	err = gmem_dir_give_name(dentry, obj);
	if (err)
		gmem_object_give_up(obj);
	return err;
}

static int gmem_dir_create(struct mnt_idmap *idmap, struct inode *dir,
			   struct dentry *dentry, umode_t mode)
{
	return gmem_dir_make(dir, dentry, S_IFREG | (mode & S_IALLUGO));
}

static struct dentry *gmem_dir_mkdir(struct mnt_idmap *idmap, struct inode *dir,
				     struct dentry *dentry, umode_t mode)
{
	return ERR_PTR(gmem_dir_make(dir, dentry, S_IFDIR | (mode & S_IALLUGO)));
}

static int gmem_dir_unlink(struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(dentry);
	int err = gmem_object_unlink(gmem_fs_inode_object(inode));

	if (err)
		return err;
	gmem_fs_touch(dir);
	inode_set_ctime_current(inode);
	d_make_discardable(dentry);
	return 0;
}

static int gmem_dir_rename(struct mnt_idmap *idmap, struct inode *old_dir,
			   struct dentry *old_dentry, struct inode *new_dir,
			   struct dentry *new_dentry, unsigned int flags)
{
	struct inode *target = d_inode(new_dentry);
	int err;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    !gmem_name_valid(gmem_dir_name(new_dentry)))
		return -EINVAL;
	err = gmem_object_rename(gmem_fs_inode_object(d_inode(old_dentry)),
				 gmem_fs_inode_object(new_dir), gmem_dir_name(new_dentry),
				 target ? gmem_fs_inode_object(target) : NULL,
				 flags & RENAME_EXCHANGE);
	if (err)
		return err;
	simple_rename_timestamp(old_dir, old_dentry, new_dir, new_dentry);
	gmem_object_save_times(old_dir);
	gmem_object_save_times(new_dir);
	if (target && !(flags & RENAME_EXCHANGE))
		d_make_discardable(new_dentry);
	return 0;
}

/**
 * gmem_dir_begin_restore - begin to restore a name
 * @dir: the directory that it is in; NULL: the root
 * @name: the name
 *
 * Context: process context; takes the lock of the directory's inode.
 * Return: the name's dentry, for gmem_dir_restore() and in any case simple_done_creating(),
 * with the lock held, or an ERR_PTR(): -ENOMEM.
 */
struct dentry *gmem_dir_begin_restore(const struct gmem_object *dir, const char *name)
{
	struct dentry *dentry, *parent;

	/* That is restored, and so has a dentry. */
	parent = dir ? d_find_any_alias(dir->inode) : dget(gmem_fs_mount->mnt_root);
	inode_lock_nested(d_inode(parent), I_MUTEX_PARENT);
	/*
	 * Nobody had this name. There is no need to look: if somebody has just found that out, his
	 * dentry goes when he does, and this one is found before it.
	 */
	dentry = d_alloc_name(parent, name);
	if (!dentry)
		inode_unlock(d_inode(parent));
	dput(parent);
	return dentry ?: ERR_PTR(-ENOMEM);
}

/**
 * gmem_dir_restore - an object has been restored
 * @dentry: its name, from gmem_dir_begin_restore()
 * @obj: the object
 */
void gmem_dir_restore(struct dentry *dentry, struct gmem_object *obj)
{
	gmem_dir_show(dentry, obj);
}

/* An entry of a directory, for which dcache_readdir() is asked */
struct gmem_dir_entry {
	struct dir_context ctx;
	bool asked;
	char name[GMEM_NAME_SIZE];
	int len;
	u64 ino;
	unsigned int type;
};

/* The next one; it stays the next one. */
static bool gmem_dir_look(struct dir_context *ctx, const char *name, int len, loff_t pos, u64 ino,
			  unsigned int type)
{
	struct gmem_dir_entry *e = container_of(ctx, struct gmem_dir_entry, ctx);

	e->asked = true;
	memcpy(e->name, name, len);
	e->len = len;
	e->ino = ino;
	e->type = type;
	return false;
}

/* It has been told, and the one behind it is the next; if it has gone, that is so already. */
static bool gmem_dir_pass(struct dir_context *ctx, const char *name, int len, loff_t pos, u64 ino,
			  unsigned int type)
{
	struct gmem_dir_entry *e = container_of(ctx, struct gmem_dir_entry, ctx);
	const bool first = !e->asked;

	e->asked = true;
	return first && len == e->len && !memcmp(name, e->name, len);
}

/*
 * As dcache_readdir(), but whoever reads may have user memory that does not come for long, and
 * others want the directory, for the root of which nobody shall wait for a tenant. So it is not
 * locked while that memory is written to.
 */
static int gmem_dir_iterate(struct file *file, struct dir_context *ctx)
{
	struct gmem_dir_entry e;
	bool told;

	do {
		e.ctx = (struct dir_context){ .actor = gmem_dir_look, .pos = ctx->pos };
		e.asked = false;
		dcache_readdir(file, &e.ctx);
		if (!e.asked)
			break;
		inode_unlock_shared(file_inode(file));
		told = dir_emit(ctx, e.name, e.len, e.ino, e.type);
		inode_lock_shared(file_inode(file));
		if (told) {
			e.ctx.actor = gmem_dir_pass;
			e.asked = false;
			dcache_readdir(file, &e.ctx);
			ctx->pos = e.ctx.pos;
		}
	} while (told);
	return 0;
}

static long gmem_dir_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case GMEM_PERSIST_GET_QUOTA:
	case GMEM_PERSIST_SET_QUOTA:
		return gmem_quotactl_ioctl(file, cmd, arg);
	default:
		return gmem_info_ioctl(file, cmd, arg);
	}
}

const struct file_operations gmem_dir_fops = {
	.open = dcache_dir_open,
	.release = dcache_dir_close,
	.llseek = dcache_dir_lseek,
	.read = generic_read_dir,
	.iterate_shared = gmem_dir_iterate,
	.fsync = noop_fsync,
	.unlocked_ioctl = gmem_dir_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

const struct inode_operations gmem_dir_iops = {
	.lookup = gmem_dir_lookup,
	.create = gmem_dir_create,
	.unlink = gmem_dir_unlink,
	.mkdir = gmem_dir_mkdir,
	.rmdir = gmem_dir_unlink,
	.rename = gmem_dir_rename,
	.setattr = gmem_fs_setattr,
	.getattr = gmem_fs_getattr,
};

/*
 * A file that never has a name: an object that dies with its last view. Only who may write to the
 * root directory gets one, since what it has is in no other directory.
 */
static int gmem_dir_root_tmpfile(struct mnt_idmap *idmap, struct inode *dir,
				 struct file *file, umode_t mode)
{
	struct gmem_object *obj;
	int err;

	/* It would be no view, and nothing would end the object. */
	if (!(file->f_mode & (FMODE_READ | FMODE_WRITE)))
		return -EINVAL;
	obj = gmem_create_file(dir, S_IFREG | (mode & S_IALLUGO));
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	ihold(obj->inode);
	d_tmpfile(file, obj->inode);
	err = finish_open_simple(file, 0);
	if (!(file->f_mode & FMODE_OPENED))
		gmem_object_give_up(obj);
	return err;
}

/* Nobody hands the attributes of the root on, so they are what they are. */
static int gmem_dir_root_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
				 struct iattr *attr)
{
	return -EPERM;
}

const struct inode_operations gmem_root_iops = {
	.lookup = gmem_dir_lookup,
	.create = gmem_dir_create,
	.unlink = gmem_dir_unlink,
	.mkdir = gmem_dir_mkdir,
	.rmdir = gmem_dir_unlink,
	.rename = gmem_dir_rename,
	.tmpfile = gmem_dir_root_tmpfile,
	.setattr = gmem_dir_root_setattr,
};
