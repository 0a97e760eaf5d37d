/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What gmemfs consists of: names, directories and files, and what user space asks them.
 */
#ifndef _MM_GMEM_PERSIST_FS_H
#define _MM_GMEM_PERSIST_FS_H

#include "internal.h"

/* name.c */
int gmem_name_give(struct gmem_object *obj, struct gmem_object *dir, const char *name);
int gmem_object_unlink(struct gmem_object *obj);
int gmem_object_rename(struct gmem_object *obj, struct gmem_object *dir, const char *name,
		       struct gmem_object *target, bool exchange);
int gmem_object_set_attr(struct gmem_object *obj, kuid_t uid, kgid_t gid,
			 umode_t mode);

/* info.c */
long gmem_info_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* attach.c */
long gmem_attach_ioctl(struct file *file, unsigned long arg);

/* data.c */
ssize_t gmem_data_read_iter(struct kiocb *iocb, struct iov_iter *to);
ssize_t gmem_data_write_iter(struct kiocb *iocb, struct iov_iter *from);
int gmem_data_fallocate(struct inode *inode, u64 end);
int gmem_data_truncate(struct inode *inode, u64 size);

/* fs.c */
int gmem_fs_init(void);

/* quotactl.c */
/**
 * struct gmem_quotactl_sums - what a check has found
 * @used: by all objects; of memory, in bytes, also what they are about to get
 * @pending: how much of that they have not got, in bytes
 * @wrong: how many objects do not agree with what has been added up
 */
struct gmem_quotactl_sums {
	struct gmem_usage used;
	u64 pending;
	unsigned int wrong;
};

int gmem_quotactl_take(struct gmem_object *obj, u64 bytes);
void gmem_quotactl_give(struct gmem_object *obj, u64 bytes);
void gmem_quotactl_room(const struct gmem_object *obj, struct gmem_usage *max,
			struct gmem_usage *left);
long gmem_quotactl_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
void gmem_quotactl_check(struct gmem_quotactl_sums *sums);

/* inode.c */
/**
 * struct gmem_inode_ops - what can be done with the inodes of objects
 * @file_iops: with those of files
 * @file_fops: with open files
 * @dir_iops: with those of directories
 * @dir_fops: with open directories
 */
struct gmem_inode_ops {
	const struct inode_operations *file_iops;
	const struct file_operations *file_fops;
	const struct inode_operations *dir_iops;
	const struct file_operations *dir_fops;
};

extern struct vfsmount *gmem_fs_mount;
extern struct vfsmount *gmem_named_mount;
void gmem_inode_set_ops(const struct gmem_inode_ops *ops);
struct inode *gmem_inode_new(struct gmem_object *obj, const struct gmem_object_ser *ser);
bool gmem_file_is_view(const struct file *file);
struct gmem_object *gmem_fs_object(const struct file *file);
struct gmem_object *gmem_fs_inode_object(const struct inode *inode);

/* file.c */
/**
 * struct gmem_file_opts - what a file's memory is to be, or what was said of it with a mount
 * @granule: the size of its granules in bytes; 0: nothing was said
 * @nodes: where it comes from; empty: from anywhere, or nothing was said
 */
struct gmem_file_opts {
	u64 granule;
	nodemask_t nodes;
};

bool gmem_file_options(u64 *granule, nodemask_t *nodes);
void gmem_file_set_options(const struct gmem_file_opts *said);
extern const struct pageless_file_operations gmem_file_ops;
extern const struct inode_operations gmem_file_iops;
int gmem_fs_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr);
int gmem_fs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
		    u32 mask, unsigned int flags);

/* dir.c */
extern const struct file_operations gmem_dir_fops;
extern const struct inode_operations gmem_dir_iops;
extern const struct inode_operations gmem_root_iops;
int gmem_dir_give_name(struct dentry *dentry, struct gmem_object *obj);
struct dentry *gmem_dir_begin_restore(const struct gmem_object *dir, const char *name);
void gmem_dir_restore(struct dentry *dentry, struct gmem_object *obj);

/* named.c */
int gmem_named_check_free(const char *name);
int gmem_named_give(struct gmem_object *obj, const char *name);
struct gmem_object *gmem_named_find(const char *name);
void gmem_named_forget(struct gmem_object *obj);
int gmem_named_discard(const char *name);

#endif /* _MM_GMEM_PERSIST_FS_H */
