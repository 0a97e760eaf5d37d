// SPDX-License-Identifier: GPL-2.0
/*
 * gmemfs: objects as files.
 */

/**
 * DOC: gmemfs
 *
 * ``mount -t gmemfs none /gmem`` shows the objects that have names as files. There is
 * one name space: what the ioctl creates is a file here, and a file that has got
 * memory can be claimed by its name there. The file's inode is the object's own inode,
 * so all of its mappings, made by whomever, hang on one address_space.
 *
 * 1. open(O_CREAT) makes a file without memory. ftruncate(), or fallocate(), gives it
 *    memory for a guest, once: the layout of that does not change. write() makes it a
 *    file of data instead, see below. The record knows of it from then on.
 * 2. An open file is a *handle*: a view without a VM. Any number of handles may be
 *    there beside the one VM that uses the object, unless one was opened exclusively
 *    (``O_EXCL`` without ``O_CREAT``, as for block devices). A handle can be mapped if
 *    guests and the host share the memory.
 * 3. To open a file for writing raises the epoch, as any claim does. A handle that is
 *    open for reading and writing takes the place of a name, and of CAP_SYS_ADMIN, in
 *    the ioctl.
 * 4. unlink() takes the name away, as POSIX has it, and the memory is freed with the
 *    last view. The operator's ``discard`` differs: it refuses while there are views.
 *
 * Files are looked up in the pool's list of objects, which is what counts, and a
 * dentry lives no longer than it is used and is asked each time whether it still tells
 * the truth. So the ioctl need not know of directories and their locks.
 *
 * There is one instance for all mounts. It cannot be mounted in a user namespace: its
 * owners and modes are those of the initial one, it shows all tenants of the host, and
 * whoever may mount could choose where the next objects come from.
 */
#include "internal.h"

#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/statfs.h>

/* "GMEP" */
#define GMEM_PERSIST_FS_MAGIC	0x474d4550

#define ROOT_INO	1

/* What memory is that a file is given: any default VM's, and the host's. */
#define SHARED_FLAGS	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
#define DEFAULT_CLASS	0

static struct vfsmount *gmem_mnt __ro_after_init;

static struct gmem_object *inode_object(const struct inode *inode)
{
	return inode->i_private;
}

static const char *dentry_name(const struct dentry *dentry)
{
	return (const char *)dentry->d_name.name;
}

/*
 * Files
 */

static int gmem_file_open(struct inode *inode, struct file *file)
{
	return gmem_object_open(inode_object(inode), file->f_mode & FMODE_WRITE,
				file->f_flags & O_EXCL);
}

static int gmem_file_release(struct inode *inode, struct file *file)
{
	gmem_object_close(inode_object(inode));
	return 0;
}

static int gmem_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct gmem_object *obj = inode_object(file_inode(file));

	/* Private memory has no file that could be read or mapped. */
	if (!i_size_read(file_inode(file)) ||
	    (obj->meta.flags & SHARED_FLAGS) != SHARED_FLAGS)
		return -ENODEV;
	return gmem_object_mmap(obj, vma);
}

/* Data gets another length; an empty file gets the size that it keeps. */
static int set_size(struct inode *inode, loff_t size)
{
	struct gmem_object *obj = inode_object(inode);
	const struct gmem_object_params params = {
		.size = size,
		.flags = SHARED_FLAGS,
		.vm_class = DEFAULT_CLASS,
	};
	int err;

	if (size == i_size_read(inode))
		return 0;
	if (gmem_pool_frozen())
		return -EBUSY;
	if (obj->data)
		return gmem_data_truncate(inode, size);
	err = gmem_object_populate(obj, &params);
	if (!err)
		inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
	/* It has memory, and that stays as it is. */
	return err == -EEXIST ? -EPERM : err;
}

static long gmem_file_fallocate(struct file *file, int mode, loff_t offset,
				loff_t len)
{
	struct inode *inode = file_inode(file);
	int err;

	switch (mode) {
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
		if (!PAGE_ALIGNED(offset) || !PAGE_ALIGNED(len))
			return -EINVAL;
		/* Data could get other memory meanwhile. */
		inode_lock(inode);
		err = gmem_object_punch(inode_object(inode), offset, len);
		if (!err)
			inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
		inode_unlock(inode);
		return err;
	case 0:
		inode_lock(inode);
		err = inode_newsize_ok(inode, offset + len);
		/* All memory of a file is there from the start. */
		if (!err && offset + len > i_size_read(inode))
			err = set_size(inode, offset + len);
		inode_unlock(inode);
		return err;
	default:
		return -EOPNOTSUPP;
	}
}

static int gmem_file_flush(struct file *file, fl_owner_t id)
{
	return file->f_mode & FMODE_WRITE ? gmem_object_sync() : 0;
}

static int gmem_file_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	return gmem_object_sync();
}

static const struct file_operations gmem_file_fops = {
	.open = gmem_file_open,
	.release = gmem_file_release,
	.llseek = generic_file_llseek,
	.read_iter = gmem_data_read_iter,
	.write_iter = gmem_data_write_iter,
	.splice_read = copy_splice_read,
	.splice_write = iter_file_splice_write,
	.mmap = gmem_file_mmap,
	.flush = gmem_file_flush,
	.fsync = gmem_file_fsync,
	.fallocate = gmem_file_fallocate,
};

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

	if (file->f_op != &gmem_file_fops || (file->f_mode & mode) != mode)
		return NULL;
	return inode_object(file_inode(file));
}

static int gmem_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
			struct iattr *attr)
{
	const unsigned int recorded = ATTR_UID | ATTR_GID | ATTR_MODE;
	struct inode *inode = d_inode(dentry);
	int err;

	err = setattr_prepare(idmap, dentry, attr);
	if (err)
		return err;
	if (gmem_pool_frozen())
		return -EBUSY;
	if (attr->ia_valid & ATTR_SIZE) {
		err = set_size(inode, attr->ia_size);
		if (err)
			return err;
	}
	if (attr->ia_valid & recorded) {
		kuid_t uid = attr->ia_valid & ATTR_UID ?
			     from_vfsuid(idmap, &init_user_ns, attr->ia_vfsuid) :
			     inode->i_uid;
		kgid_t gid = attr->ia_valid & ATTR_GID ?
			     from_vfsgid(idmap, &init_user_ns, attr->ia_vfsgid) :
			     inode->i_gid;
		umode_t mode = attr->ia_valid & ATTR_MODE ? attr->ia_mode :
							   inode->i_mode;

		err = gmem_object_set_attr(inode_object(inode), uid, gid, mode);
		if (err)
			return err;
	}
	setattr_copy(idmap, inode, attr);
	return 0;
}

static int gmem_getattr(struct mnt_idmap *idmap, const struct path *path,
			struct kstat *stat, u32 mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	const struct gmem_object *obj = inode_object(inode);

	generic_fillattr(idmap, mask, inode, stat);
	stat->blksize = obj->meta.granule;
	stat->blocks = obj->meta.size >> SECTOR_SHIFT;
	stat->btime = ns_to_timespec64(obj->meta.ctime);
	stat->result_mask |= STATX_BTIME;
	return 0;
}

static const struct inode_operations gmem_file_iops = {
	.setattr = gmem_setattr,
	.getattr = gmem_getattr,
};

/*
 * Directories
 */

static struct dentry *gmem_lookup(struct inode *dir, struct dentry *dentry,
				  unsigned int flags)
{
	if (dentry->d_name.len >= GMEM_NAME_SIZE)
		return ERR_PTR(-ENAMETOOLONG);
	return d_splice_alias(gmem_object_lookup(dentry_name(dentry)), dentry);
}

/* Objects come and go by the ioctl, too. */
static int gmem_d_revalidate(struct inode *dir, const struct qstr *name,
			     struct dentry *dentry, unsigned int flags)
{
	const struct inode *inode;
	char buf[GMEM_NAME_SIZE];

	if (flags & LOOKUP_RCU)
		return -ECHILD;
	/* What is too long has no dentry. In a path, a name is followed by a slash. */
	if (WARN_ON_ONCE(name->len >= sizeof(buf)))
		return 0;
	memcpy(buf, name->name, name->len);
	buf[name->len] = '\0';
	inode = d_inode(dentry);
	return gmem_object_shown(inode ? inode_object(inode) : NULL, buf);
}

static const struct dentry_operations gmem_dops = {
	.d_revalidate = gmem_d_revalidate,
	.d_delete = always_delete_dentry,
};

static int gmem_create(struct mnt_idmap *idmap, struct inode *dir,
		       struct dentry *dentry, umode_t mode)
{
	struct gmem_object *obj;

	obj = gmem_object_create_file(dentry_name(dentry), mode & S_IALLUGO);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	inode_set_mtime_to_ts(dir, inode_set_ctime_current(dir));
	d_instantiate(dentry, obj->inode);
	return 0;
}

static int gmem_unlink(struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(dentry);
	int err = gmem_object_unlink(inode_object(inode));

	if (err)
		return err;
	inode_set_mtime_to_ts(dir, inode_set_ctime_current(dir));
	inode_set_ctime_current(inode);
	return 0;
}

/* The position is the number of the last inode that was told of. */
static int gmem_iterate(struct file *file, struct dir_context *ctx)
{
	char name[GMEM_NAME_SIZE];
	struct inode *inode;

	if (!dir_emit_dots(file, ctx))
		return 0;
	/* Positions 0 and 1 were the dots; no inode but the root has such a number. */
	while ((inode = gmem_object_next(ctx->pos - 1, name))) {
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

static const struct file_operations gmem_dir_fops = {
	.llseek = generic_file_llseek,
	.read = generic_read_dir,
	.iterate_shared = gmem_iterate,
	.fsync = noop_fsync,
};

/* Nobody hands the attributes of the root on, so they are what they are. */
static int gmem_root_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
			     struct iattr *attr)
{
	return -EPERM;
}

static const struct inode_operations gmem_root_iops = {
	.lookup = gmem_lookup,
	.create = gmem_create,
	.unlink = gmem_unlink,
	.setattr = gmem_root_setattr,
};

/*
 * The instance
 */

/* The inode had the last reference to the object. */
static void gmem_evict_inode(struct inode *inode)
{
	struct gmem_object *obj = inode_object(inode);

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (obj)
		kobject_put(&obj->kobj);
}

static int gmem_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct gmem_stat stat;

	gmem_pool_stat(GMEM_ALL_NODES, &stat);
	buf->f_type = GMEM_PERSIST_FS_MAGIC;
	buf->f_bsize = SZ_2M;
	buf->f_blocks = div_u64(stat.pool, SZ_2M);
	buf->f_bfree = div_u64(stat.clean + stat.dirty, SZ_2M);
	buf->f_bavail = buf->f_bfree;
	buf->f_files = GMEM_RECORD_MAX_OBJECTS;
	buf->f_ffree = GMEM_RECORD_MAX_OBJECTS - READ_ONCE(gmem_pool.nr_named);
	buf->f_namelen = GMEM_NAME_SIZE - 1;
	return 0;
}

static const struct super_operations gmem_sops = {
	.drop_inode = inode_just_drop,
	.evict_inode = gmem_evict_inode,
	.statfs = gmem_statfs,
};

static int gmem_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct inode *root;

	sb->s_magic = GMEM_PERSIST_FS_MAGIC;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_flags |= SB_NOATIME | SB_NODIRATIME;
	sb->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;
	sb->s_time_gran = 1;
	sb->s_op = &gmem_sops;
	set_default_d_op(sb, &gmem_dops);

	root = new_inode(sb);
	if (!root)
		return -ENOMEM;
	root->i_ino = ROOT_INO;
	root->i_mode = S_IFDIR | 0755;
	root->i_op = &gmem_root_iops;
	root->i_fop = &gmem_dir_fops;
	simple_inode_init_ts(root);
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static int gmem_get_tree(struct fs_context *fc)
{
	if (!gmem_persist_enabled())
		return -ENODEV;
	return get_tree_single(fc, gmem_fill_super);
}

static const struct fs_context_operations gmem_context_ops = {
	.get_tree = gmem_get_tree,
};

static int gmem_init_fs_context(struct fs_context *fc)
{
	fc->ops = &gmem_context_ops;
	return 0;
}

static struct file_system_type gmem_fs = {
	.name = "gmemfs",
	.init_fs_context = gmem_init_fs_context,
	.kill_sb = kill_anon_super,
};

/**
 * gmem_fs_init - make the instance on which all objects' inodes are
 *
 * Return: 0 or -errno.
 */
int __init gmem_fs_init(void)
{
	gmem_mnt = kern_mount(&gmem_fs);
	if (IS_ERR(gmem_mnt))
		return PTR_ERR(gmem_mnt);
	return register_filesystem(&gmem_fs);
}

static const struct address_space_operations gmem_aops = {
	.dirty_folio = noop_dirty_folio,
};

/**
 * gmem_fs_new_inode - make an object's inode
 * @obj: the object; the inode takes over the first reference to its kobject
 *
 * Return: the inode, or NULL: no memory.
 */
struct inode *gmem_fs_new_inode(struct gmem_object *obj)
{
	struct inode *inode = new_inode(gmem_mnt->mnt_sb);

	if (!inode)
		return NULL;
	inode->i_private = obj;
	inode->i_mode = obj->meta.mode;
	inode->i_uid = make_kuid(&init_user_ns, obj->meta.uid);
	inode->i_gid = make_kgid(&init_user_ns, obj->meta.gid);
	inode->i_size = obj->meta.size;
	inode->i_op = &gmem_file_iops;
	inode->i_fop = &gmem_file_fops;
	inode->i_mapping->a_ops = &gmem_aops;
	/* No folios will ever be in there. */
	mapping_set_inaccessible(inode->i_mapping);
	simple_inode_init_ts(inode);
	return inode;
}
