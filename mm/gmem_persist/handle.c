// SPDX-License-Identifier: GPL-2.0
/*
 * Which object a file or an inode stands for.
 */
#include "fs.h"

#include <linux/fs.h>
#include <linux/pageless.h>

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
	return file->f_op == &gmem_file_ops.fops && file->f_mode & (FMODE_READ | FMODE_WRITE);
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

	if (file->f_op != &gmem_file_ops.fops || (file->f_mode & mode) != mode)
		return NULL;
	return gmem_fs_inode_object(file_inode(file));
}
