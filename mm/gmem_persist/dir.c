// SPDX-License-Identifier: GPL-2.0
/*
 * Directories of gmemfs.
 */
#include "internal.h"

#include <linux/fs.h>
#include <linux/namei.h>

#include <uapi/linux/gmem_persist.h>

static const char *gmem_dir_name(const struct dentry *dentry)
{
	return (const char *)dentry->d_name.name;
}

static struct dentry *gmem_dir_lookup(struct inode *dir, struct dentry *dentry,
				      unsigned int flags)
{
	if (dentry->d_name.len >= GMEM_NAME_SIZE)
		return ERR_PTR(-ENAMETOOLONG);
	return d_splice_alias(gmem_object_lookup(gmem_fs_inode_object(dir),
						 gmem_dir_name(dentry)), dentry);
}

/* Objects come and go by the ioctl, too, and in the root directory. */
static int gmem_dir_revalidate(struct inode *dir, const struct qstr *name,
			       struct dentry *dentry, unsigned int flags)
{
	char buf[GMEM_NAME_SIZE];

	if (flags & LOOKUP_RCU)
		return -ECHILD;
	if (gmem_fs_inode_object(dir))
		return gmem_object_shown(dentry, NULL);
	/* What is too long has no dentry. In a path, a name is followed by a slash. */
	if (WARN_ON_ONCE(name->len >= sizeof(buf)))
		return 0;
	memcpy(buf, name->name, name->len);
	buf[name->len] = '\0';
	return gmem_object_shown(dentry, buf);
}

const struct dentry_operations gmem_dops = {
	.d_revalidate = gmem_dir_revalidate,
	.d_delete = always_delete_dentry,
};

static int gmem_dir_make(struct inode *dir, struct dentry *dentry, umode_t mode)
{
	int err = gmem_object_create_file(dir, dentry, mode);

	if (!err)
		gmem_fs_touch(dir);
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
	return 0;
}

/* The position is the number of the last inode that was told of. */
static int gmem_dir_iterate(struct file *file, struct dir_context *ctx)
{
	const struct gmem_object *dir = gmem_fs_inode_object(file_inode(file));
	char name[GMEM_NAME_SIZE];
	struct inode *inode;

	if (!dir_emit_dots(file, ctx))
		return 0;
	/* Positions 0 and 1 were the dots; no inode but the root has such a number. */
	while ((inode = gmem_object_next(dir, ctx->pos - 1, name))) {
		const u64 ino = inode->i_ino;
		const unsigned char type = fs_umode_to_dtype(inode->i_mode);

		/* Not under any lock: user space may fault. */
		iput(inode);
		if (!dir_emit(ctx, name, strlen(name), ino, type))
			break;
		ctx->pos = ino + 1;
	}
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
	.llseek = generic_file_llseek,
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
	.setattr = gmem_dir_root_setattr,
};
