// SPDX-License-Identifier: GPL-2.0
/*
 * gmemfs: objects as files. This is the instance; see file.c, data.c and dir.c.
 */

/**
 * DOC: gmemfs
 *
 * ``mount -t gmemfs none /gmem`` shows the objects that have names as files. There is
 * one name space: what the ioctl creates is a file here, and a file that has got
 * memory can be claimed by its name there. The file's inode is the object's own inode,
 * so all of its mappings, made by whomever, hang on one address_space.
 *
 * 1. open(O_CREAT) makes a file without memory, which the record knows from then on.
 *    ftruncate(), or fallocate(), gives it memory for a guest, once: the layout of that does
 *    not change. write(), or fallocate() with FALLOC_FL_KEEP_SIZE, makes it a file of data
 *    instead, see below.
 * 2. An open file is a *handle*: a view without a VM. Any number of handles may be
 *    there beside the one VM that uses the object, unless one was opened exclusively
 *    (``O_EXCL`` without ``O_CREAT``, as for block devices). A handle can be mapped if
 *    guests and the host share the memory.
 * 3. A handle that is open for reading and writing takes the place of a name, and of
 *    CAP_SYS_ADMIN, in the ioctl. Opening and mapping it changes nothing; writing does, see
 *    view.c.
 * 4. unlink() takes the name away, as POSIX has it, and the memory is freed with the
 *    last view. The operator's ``discard`` differs: it refuses while there are views.
 *
 * 5. mkdir() makes a directory, and chown() makes it a tenant's. With mode 0700, nobody else
 *    can look into it then. What is in a directory is claimed by a handle only.
 *
 * Names, owners and modes survive a kexec, and so does the time of the last change. To write
 * to mapped memory does not change its time.
 *
 * Names are in the dcache and nowhere else, see name.c. After a kexec it is filled when the
 * objects are restored.
 *
 * There is one instance for all mounts, so what is said with one, or by remounting it, is
 * true for all: ``granule=2M`` or ``granule=1G``, and ``nodes=LIST``, are what guests' memory
 * is made of, and where it comes from, when ftruncate() gives a file some. Its size must be a
 * multiple of the granule. Data is not concerned, and whoever uses the ioctl may choose: what
 * binds tenants are the limits of the dmem cgroup for each node. A mount() that finds its place
 * taken has said it as well, as with debugfs: the VFS looks there afterwards.
 *
 * The instance cannot be mounted in a user namespace: its owners and modes are those of the
 * initial one, it shows all tenants of the host, and whoever may mount could change these
 * options.
 */
#include "fs.h"

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/mount.h>
#include <linux/nodemask.h>
#include <linux/pageless.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/statfs.h>

/* "GMEP" */
#define GMEM_PERSIST_FS_MAGIC	0x474d4550

#define ROOT_INO	1

/* The inode had the last reference to the object. */
static void gmem_fs_evict_inode(struct inode *inode)
{
	struct gmem_object *obj = gmem_fs_inode_object(inode);

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (obj)
		gmem_object_free(obj);
}

static int gmem_fs_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct gmem_usage max, left;
	struct gmem_stat stat;

	gmem_pool_stat(GMEM_ALL_NODES, &stat);
	max.bytes = stat.pool;
	left.bytes = stat.clean + stat.dirty;
	/* As many as there is memory for */
	left.names = div_u64(left.bytes, SZ_2M);
	max.names = READ_ONCE(gmem_pool.nr_named) + left.names;
	gmem_quotactl_room(gmem_fs_inode_object(d_inode(dentry)), &max, &left);
	buf->f_type = GMEM_PERSIST_FS_MAGIC;
	buf->f_bsize = SZ_2M;
	buf->f_blocks = div_u64(max.bytes, SZ_2M);
	buf->f_bfree = div_u64(left.bytes, SZ_2M);
	buf->f_bavail = buf->f_bfree;
	buf->f_files = max.names;
	buf->f_ffree = left.names;
	buf->f_namelen = GMEM_NAME_SIZE - 1;
	return 0;
}

static int gmem_fs_show_options(struct seq_file *m, struct dentry *root)
{
	nodemask_t nodes;
	u64 granule;

	gmem_file_options(&granule, &nodes);
	seq_printf(m, ",granule=%s", granule == SZ_1G ? "1G" : "2M");
	if (!nodes_empty(nodes))
		seq_printf(m, ",nodes=%*pbl", nodemask_pr_args(&nodes));
	return 0;
}

static const struct super_operations gmem_fs_sops = {
	.show_options = gmem_fs_show_options,
	.drop_inode = inode_just_drop,
	.evict_inode = gmem_fs_evict_inode,
	.statfs = gmem_fs_statfs,
};

static int gmem_fs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct inode *root;

	sb->s_magic = GMEM_PERSIST_FS_MAGIC;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_flags |= SB_NOATIME | SB_NODIRATIME;
	sb->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;
	sb->s_time_gran = 1;
	/* As nanoseconds in the record */
	sb->s_time_min = KTIME_SEC_MIN;
	sb->s_time_max = KTIME_SEC_MAX;
	sb->s_op = &gmem_fs_sops;

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

static int gmem_fs_reconfigure(struct fs_context *fc)
{
	/* A mount can be read-only. The superblock is also the kernel's, for what has names. */
	fc->sb_flags_mask &= ~SB_RDONLY;
	gmem_file_set_options(fc->fs_private);
	return 0;
}

static int gmem_fs_get_tree(struct fs_context *fc)
{
	int err;

	/* The kernel's own mounts come first. */
	if (!gmem_persist_enabled() && !(fc->sb_flags & SB_KERNMOUNT))
		return -ENODEV;
	err = get_tree_single(fc, gmem_fs_fill_super);
	if (err)
		return err;
	return gmem_fs_reconfigure(fc);
}

enum { OPT_GRANULE, OPT_NODES };

static const struct constant_table granules[] = {
	{ "2M", SZ_2M },
	{ "1G", SZ_1G },
	{}
};

static const struct fs_parameter_spec gmem_fs_parameters[] = {
	fsparam_enum("granule", OPT_GRANULE, granules),
	fsparam_string("nodes", OPT_NODES),
	{}
};

static bool gmem_fs_pool_is_on(const nodemask_t *nodes)
{
	unsigned int i;

	for (i = 0; i < gmem_pool.arena.nr_nodes; i++) {
		const int nid = gmem_pool.arena.nodes[i].nid;

		if (nid != NUMA_NO_NODE && node_isset(nid, *nodes))
			return true;
	}
	return false;
}

static int gmem_fs_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct gmem_file_opts *said = fc->fs_private;
	struct fs_parse_result result;
	int opt = fs_parse(fc, gmem_fs_parameters, param, &result);

	if (opt < 0)
		return opt;
	if (opt == OPT_GRANULE)
		said->granule = result.uint_32;
	else if (nodelist_parse(param->string, said->nodes) ||
		 !gmem_fs_pool_is_on(&said->nodes))
		return invalfc(fc, "nodes=%s: nothing of the pool is there", param->string);
	return 0;
}

static void gmem_fs_free_context(struct fs_context *fc)
{
	kfree(fc->fs_private);
}

static const struct fs_context_operations gmem_fs_context_ops = {
	.parse_param = gmem_fs_parse_param,
	.get_tree = gmem_fs_get_tree,
	.reconfigure = gmem_fs_reconfigure,
	.free = gmem_fs_free_context,
};

static int gmem_fs_init_context(struct fs_context *fc)
{
	fc->fs_private = kzalloc_obj(struct gmem_file_opts);
	if (!fc->fs_private)
		return -ENOMEM;
	fc->ops = &gmem_fs_context_ops;
	return 0;
}

static struct file_system_type gmem_fs_type = {
	.name = "gmemfs",
	.init_fs_context = gmem_fs_init_context,
	.parameters = gmem_fs_parameters,
	.kill_sb = kill_anon_super,
};

static const struct gmem_inode_ops gmem_fs_inode_ops = {
	.file_iops = &gmem_file_iops,
	.file_fops = &gmem_file_ops.fops,
	.dir_iops = &gmem_dir_iops,
	.dir_fops = &gmem_dir_fops,
};

static int gmem_fs_mount_inside(struct vfsmount **to)
{
	struct vfsmount *mnt = kern_mount(&gmem_fs_type);

	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	*to = mnt;
	return 0;
}

static void gmem_fs_unmount_inside(struct vfsmount **mnt)
{
	kern_unmount(*mnt);
	*mnt = NULL;
}

/**
 * gmem_fs_init - make the instance on which all objects' inodes are
 *
 * Context: process context, at boot or later.
 * Return: 0 or -errno; it may be tried again.
 */
int gmem_fs_init(void)
{
	int err;

	gmem_inode_set_ops(&gmem_fs_inode_ops);
	err = gmem_fs_mount_inside(&gmem_fs_mount);
	if (err)
		return err;
	err = gmem_fs_mount_inside(&gmem_named_mount);
	if (err)
		goto unmount;
	err = register_filesystem(&gmem_fs_type);
	if (!err)
		return 0;
	gmem_fs_unmount_inside(&gmem_named_mount);
unmount:
	gmem_fs_unmount_inside(&gmem_fs_mount);
	return err;
}
