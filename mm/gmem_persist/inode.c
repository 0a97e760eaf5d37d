// SPDX-License-Identifier: GPL-2.0
/*
 * Inodes of gmemfs: how an object gets its own, and which object an inode or a file stands for.
 *
 * What can be done with them is told by files that come later, so these tell it (fs.c).
 */
#include "fs.h"

#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/pagemap.h>

/* Nobody sees these two. By the second one, objects are named from inside of the kernel. */
struct vfsmount *gmem_fs_mount;
struct vfsmount *gmem_named_mount;

/* Empty until there is an inode, and the same from then on */
static struct gmem_inode_ops inode_ops;

static const struct address_space_operations gmem_inode_aops = {
	.dirty_folio = noop_dirty_folio,
};

/**
 * gmem_inode_set_ops - say what can be done with inodes
 * @ops: the tables of files and of directories
 *
 * Context: before there is any inode of an object.
 */
void gmem_inode_set_ops(const struct gmem_inode_ops *ops)
{
	inode_ops = *ops;
}

/**
 * gmem_inode_new - make an object's inode
 * @obj: the object, which lives as long as the inode
 * @ser: what the record says of it
 *
 * Return: the inode, or NULL: no memory.
 */
struct inode *gmem_inode_new(struct gmem_object *obj, const struct gmem_object_ser *ser)
{
	const bool dir = ser->kind == GMEM_PERSIST_KIND_DIRECTORY;
	struct inode *inode = new_inode(gmem_fs_mount->mnt_sb);

	if (!inode)
		return NULL;
	inode->i_private = obj;
	inode->i_mode = ser->mode;
	inode->i_uid = make_kuid(&init_user_ns, ser->uid);
	inode->i_gid = make_kgid(&init_user_ns, ser->gid);
	inode->i_size = ser->size;
	inode_set_bytes(inode, ser->size);
	inode->i_op = dir ? inode_ops.dir_iops : inode_ops.file_iops;
	inode->i_fop = dir ? inode_ops.dir_fops : inode_ops.file_fops;
	inode->i_mapping->a_ops = &gmem_inode_aops;
	/* No folios will ever be in there. */
	mapping_set_inaccessible(inode->i_mapping);
	simple_inode_init_ts(inode);
	inode_set_mtime_to_ts(inode, ns_to_timespec64(ser->mtime));
	return inode;
}

/**
 * gmem_fs_inode_object - what an inode is of
 * @inode: of gmemfs
 *
 * Return: the object; NULL: it is the root directory.
 */
struct gmem_object *gmem_fs_inode_object(const struct inode *inode)
{
	return inode->i_private;
}

/**
 * gmem_file_is_view - does an open file use the object that it shows
 * @file: of gmemfs
 *
 * Return: true if so; false for a directory, and for a file with access mode 3, which can be
 * asked what it is and nothing else.
 */
bool gmem_file_is_view(const struct file *file)
{
	return file->f_op == inode_ops.file_fops && file->f_mode & (FMODE_READ | FMODE_WRITE);
}

/**
 * gmem_fs_object - the object that a handle shows
 * @file: any open file
 *
 * Return: the object, or NULL: it is no file of gmemfs that is open for reading and
 * writing.
 */
struct gmem_object *gmem_fs_object(const struct file *file)
{
	const fmode_t mode = FMODE_READ | FMODE_WRITE;

	if (file->f_op != inode_ops.file_fops || (file->f_mode & mode) != mode)
		return NULL;
	return gmem_fs_inode_object(file_inode(file));
}
