// SPDX-License-Identifier: GPL-2.0
/*
 * Files of gmemfs: what can be done with them, other than reading and writing.
 */
#include "fs.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/pageless.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>

#include <trace/events/gmem_persist.h>
#include <uapi/linux/gmem_persist.h>

/* What memory is that a file is given: any default VM's, and the host's. */
#define SHARED_FLAGS	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
#define DEFAULT_CLASS	0

/* A spinlock: who mounts, or makes an object, does not wait for who looks. */
static DEFINE_SPINLOCK(options_lock);
static struct gmem_file_opts options = { .granule = SZ_2M };	/* under options_lock */

/**
 * gmem_file_options - what the memory of a file is to be, as the operator has it
 * @granule: set to the size of its granules
 * @nodes: set to the nodes that it comes from
 *
 * Context: any but interrupts.
 * Return: true, or false if it may come from anywhere.
 */
bool gmem_file_options(u64 *granule, nodemask_t *nodes)
{
	guard(spinlock)(&options_lock);

	*granule = options.granule;
	*nodes = options.nodes;
	return !nodes_empty(*nodes);
}

/**
 * gmem_file_set_options - the operator says what the memory of a file is to be
 * @said: what he says; of the rest, another mount may have said it
 *
 * Context: any but interrupts.
 */
void gmem_file_set_options(const struct gmem_file_opts *said)
{
	guard(spinlock)(&options_lock);

	if (said->granule)
		options.granule = said->granule;
	if (!nodes_empty(said->nodes))
		options.nodes = said->nodes;
}

/*
 * Who is only to find an object (named.c) has been asked for as one who reads and writes, by now.
 * He goes on as with access mode 3.
 */
static void gmem_file_narrow(struct file *file)
{
	const fmode_t mode = FMODE_READ | FMODE_WRITE;

	if (file->f_path.mnt == gmem_named_mount && (file->f_mode & mode) == mode)
		file->f_mode &= ~mode;
}

static int gmem_file_open(struct inode *inode, struct file *file)
{
	const bool exclusive = (file->f_flags & (O_EXCL | O_CREAT)) == O_EXCL;
	/* A freeze since it was made refuses writes, not this: open() would fail half done. */
	const bool write = file->f_mode & FMODE_WRITE && !(file->f_mode & FMODE_CREATED);
	struct gmem_object *obj = gmem_fs_inode_object(inode);
	int err;

	gmem_file_narrow(file);
	if (!gmem_file_is_view(file))
		return 0;
	/* Who may only read keeps nobody out. */
	if (exclusive && !write)
		return -EINVAL;
	/* There is no cache to bypass. */
	file->f_mode |= FMODE_CAN_ODIRECT;
	err = gmem_object_open(obj, write, exclusive);
	if (err)
		return err;
	file->private_data = gmem_view_open(obj);
	if (file->private_data)
		return 0;
	gmem_object_close(obj);
	return -ENOMEM;
}

static int gmem_file_release(struct inode *inode, struct file *file)
{
	if (!gmem_file_is_view(file))
		return 0;
	gmem_view_close(file->private_data);
	gmem_object_close(gmem_fs_inode_object(inode));
	return 0;
}

/* Private memory has no file that could be read or mapped, by whomever. */
static bool gmem_file_can_be_mapped(const struct file *file)
{
	const struct gmem_object *obj = gmem_fs_inode_object(file_inode(file));

	return i_size_read(file_inode(file)) &&
	       (obj->ser->flags & SHARED_FLAGS) == SHARED_FLAGS;
}

static int gmem_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (!gmem_file_can_be_mapped(file))
		return -ENODEV;
	return gmem_view_mmap(file->private_data, vma);
}

static int gmem_file_hold(struct file *file, bool write, struct pageless_hold *hold)
{
	if (!gmem_file_can_be_mapped(file))
		return -ENODEV;
	return gmem_hold_file(file, write, hold);
}

/* Data gets another length; an empty file gets the size that it keeps. */
static int gmem_file_set_size(struct inode *inode, loff_t size)
{
	struct gmem_object *obj = gmem_fs_inode_object(inode);
	struct gmem_object_params params = {
		.size = size,
		.flags = SHARED_FLAGS,
		.vm_class = DEFAULT_CLASS,
	};
	const u64 start = ktime_get_ns();
	nodemask_t nodes;
	int err;

	/* As elsewhere, room that was reserved for data goes, by whichever kernel. */
	if (size == i_size_read(inode) && !gmem_object_is_data(obj))
		return 0;
	if (gmem_pool_frozen())
		return -EBUSY;
	if (gmem_object_is_data(obj))
		return gmem_data_truncate(inode, size);
	if (gmem_file_options(&params.granule, &nodes))
		params.nodes = &nodes;
	err = gmem_object_populate(obj, &params);
	/* With these, nothing was begun. */
	if (err != -EINVAL && err != -EEXIST)
		trace_gmem_create(obj->ser->name, size, params.granule ?: SZ_2M,
				  ktime_get_ns() - start, err);
	if (!err)
		gmem_fs_touch(inode);
	/* It has memory, and that stays as it is. */
	return err == -EEXIST ? -EPERM : err;
}

/* A guest's memory has all that it will have. */
static int gmem_file_reserve(struct inode *inode, u64 end)
{
	struct gmem_object *obj = gmem_fs_inode_object(inode);

	if (gmem_pool_frozen())
		return -EBUSY;
	if (obj->ranges.nr && !gmem_object_is_data(obj))
		return end > obj->ser->size ? -EPERM : 0;
	return gmem_data_fallocate(inode, end);
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
		/* Data could be truncated meanwhile. */
		inode_lock(inode);
		err = gmem_view_punch(file->private_data, offset, len);
		if (!err)
			gmem_fs_touch(inode);
		inode_unlock(inode);
		return err;
	case FALLOC_FL_KEEP_SIZE:
		inode_lock(inode);
		err = inode_newsize_ok(inode, offset + len);
		if (!err)
			err = gmem_file_reserve(inode, offset + len);
		inode_unlock(inode);
		return err;
	case 0:
		inode_lock(inode);
		err = inode_newsize_ok(inode, offset + len);
		/* All memory of a file is there from the start. */
		if (!err && offset + len > i_size_read(inode))
			err = gmem_file_set_size(inode, offset + len);
		inode_unlock(inode);
		return err;
	default:
		return -EOPNOTSUPP;
	}
}

static long gmem_file_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case GMEM_PERSIST_GET_VIEW:
	case GMEM_PERSIST_SHARE:
	case GMEM_PERSIST_SETTLE:
		return gmem_view_ioctl(file, cmd, arg);
	case GMEM_PERSIST_ATTACH:
		return gmem_attach_ioctl(file, arg);
	default:
		return gmem_info_ioctl(file, cmd, arg);
	}
}

const struct pageless_file_operations gmem_file_ops = {
	.fops = {
		.fop_flags = FOP_PAGELESS,
		.open = gmem_file_open,
		.release = gmem_file_release,
		.llseek = generic_file_llseek,
		.read_iter = gmem_data_read_iter,
		.write_iter = gmem_data_write_iter,
		.splice_read = copy_splice_read,
		.splice_write = iter_file_splice_write,
		.unlocked_ioctl = gmem_file_ioctl,
		.compat_ioctl = compat_ptr_ioctl,
		.mmap = gmem_file_mmap,
		.get_unmapped_area = gmem_mmap_get_unmapped_area,
		/* All is where it has to be. */
		.fsync = noop_fsync,
		.fallocate = gmem_file_fallocate,
	},
	.hold = gmem_file_hold,
};

/* By its path, and so with no view that would keep it from being freed meanwhile */
static int gmem_file_set_size_by_path(struct inode *inode, loff_t size)
{
	struct gmem_object *obj = gmem_fs_inode_object(inode);
	int err = gmem_object_open(obj, true, false);

	if (err)
		return err;
	err = gmem_file_set_size(inode, size);
	gmem_object_close(obj);
	return err;
}

static int gmem_file_set_owner(struct inode *inode, const struct iattr *attr)
{
	kuid_t uid = inode->i_uid;
	kgid_t gid = inode->i_gid;
	umode_t mode = inode->i_mode;

	if (attr->ia_valid & ATTR_UID)
		uid = from_vfsuid(&nop_mnt_idmap, &init_user_ns, attr->ia_vfsuid);
	if (attr->ia_valid & ATTR_GID)
		gid = from_vfsgid(&nop_mnt_idmap, &init_user_ns, attr->ia_vfsgid);
	if (attr->ia_valid & ATTR_MODE) {
		mode = attr->ia_mode;
		/* As setattr_copy() has it */
		if (!in_group_or_capable(&nop_mnt_idmap, inode, VFSGIDT_INIT(gid)))
			mode &= ~S_ISGID;
	}
	return gmem_object_set_attr(gmem_fs_inode_object(inode), uid, gid, mode);
}

/* What the record says is what stat() says from now on. */
static void gmem_file_copy_attr(struct mnt_idmap *idmap, struct inode *inode,
				const struct iattr *attr, unsigned int which)
{
	struct iattr some = *attr;

	some.ia_valid &= which;
	setattr_copy(idmap, inode, &some);
}

/**
 * gmem_fs_setattr - change the attributes of a file or directory
 * @idmap: of the mount; there is none
 * @dentry: of it
 * @attr: which ones
 *
 * Owner and mode come first. With a size only set-user-ID and set-group-ID bits go, and if the
 * size is refused then they stay away, as with a write: nothing has to be taken back, which a
 * freeze in between would forbid.
 *
 * Return: 0, -EBUSY (the pool is frozen), or an error of setattr_prepare(),
 * gmem_object_open(), gmem_object_populate(), gmem_data_truncate() or
 * gmem_object_set_attr(); nothing but these bits has changed then.
 */
int gmem_fs_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	const unsigned int recorded = ATTR_UID | ATTR_GID | ATTR_MODE;
	struct inode *inode = d_inode(dentry);
	int err;

	err = setattr_prepare(idmap, dentry, attr);
	if (err)
		return err;
	if (gmem_pool_frozen())
		return -EBUSY;
	if (attr->ia_valid & recorded) {
		err = gmem_file_set_owner(inode, attr);
		if (err)
			return err;
		gmem_file_copy_attr(idmap, inode, attr, recorded);
	}
	if (attr->ia_valid & ATTR_SIZE) {
		/* With O_TRUNC, the file may be one that is no view. */
		const bool by_view = attr->ia_valid & ATTR_FILE &&
				     gmem_file_is_view(attr->ia_file);

		err = by_view ? gmem_file_set_size(inode, attr->ia_size) :
				gmem_file_set_size_by_path(inode, attr->ia_size);
		if (err)
			return err;
	}
	gmem_file_copy_attr(idmap, inode, attr, ~recorded);
	gmem_object_save_times(inode);
	return 0;
}

/**
 * gmem_fs_getattr - tell the attributes of a file or directory
 * @idmap: of the mount; there is none
 * @path: of it
 * @stat: the answer
 * @mask: what is asked for
 * @flags: AT_STATX_*
 *
 * Return: 0.
 */
int gmem_fs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
		    u32 mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	const struct gmem_object *obj = gmem_fs_inode_object(inode);

	generic_fillattr(idmap, mask, inode, stat);
	stat->blksize = obj->ser->granule ?: PAGE_SIZE;
	stat->btime = ns_to_timespec64(obj->ser->ctime);
	stat->result_mask |= STATX_BTIME;
	return 0;
}

const struct inode_operations gmem_file_iops = {
	.setattr = gmem_fs_setattr,
	.getattr = gmem_fs_getattr,
};
