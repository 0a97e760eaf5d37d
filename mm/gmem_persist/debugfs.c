// SPDX-License-Identifier: GPL-2.0
/*
 * The record as it is, for tools/gmem_persist/gmemctl/, and what tests make go wrong:
 * /sys/kernel/debug/gmem_persist/
 */
#include "fs.h"

#include <linux/debugfs.h>
#include <linux/fault-inject.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

static int gmem_debugfs_open(struct inode *inode, struct file *file)
{
	struct debugfs_blob_wrapper *copy;
	int err;

	copy = kzalloc_obj(*copy);
	if (!copy)
		return -ENOMEM;
	/* Of one moment, however it is read. */
	err = gmem_restore_copy(copy);
	if (err) {
		kfree(copy);
		return err;
	}
	file->private_data = copy;
	return nonseekable_open(inode, file);
}

static ssize_t gmem_debugfs_read(struct file *file, char __user *buf, size_t count,
				 loff_t *pos)
{
	const struct debugfs_blob_wrapper *copy = file->private_data;

	return simple_read_from_buffer(buf, count, pos, copy->data, copy->size);
}

static int gmem_debugfs_release(struct inode *inode, struct file *file)
{
	struct debugfs_blob_wrapper *copy = file->private_data;

	vfree(copy->data);
	kfree(copy);
	return 0;
}

static const struct file_operations gmem_debugfs_record_fops = {
	.owner = THIS_MODULE,
	.open = gmem_debugfs_open,
	.read = gmem_debugfs_read,
	.release = gmem_debugfs_release,
};

#if defined(CONFIG_FAULT_INJECTION) || defined(CONFIG_GMEM_PERSIST_STOP)
/* What "restore" does in sysfs, also while that is not there */
static int gmem_debugfs_again(void *unused, u64 val)
{
	return gmem_pool.again();
}

DEFINE_DEBUGFS_ATTRIBUTE(gmem_debugfs_again_fops, NULL, gmem_debugfs_again, "%llu\n");

static void __init gmem_debugfs_add_start(struct dentry *dir, unsigned int *steps)
{
	debugfs_create_u32("steps", 0400, dir, steps);
	debugfs_create_file("again", 0200, dir, NULL, &gmem_debugfs_again_fops);
#ifdef CONFIG_FAULT_INJECTION
	debugfs_create_u32("fail_start", 0600, dir, &gmem_pool_fail_nth);
#endif
}
#else
static void __init gmem_debugfs_add_start(struct dentry *dir, unsigned int *steps) {}
#endif

static int gmem_debugfs_quota_show(struct seq_file *m, void *unused)
{
	struct gmem_quotactl_sums sums;

	gmem_quotactl_check(&sums);
	seq_printf(m, "names %llu\nbytes %llu\npending %llu\nwrong %u\n", sums.used.names,
		   sums.used.bytes, sums.pending, sums.wrong);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(gmem_debugfs_quota);

/**
 * gmem_debugfs_init - show the record, and what tests look at
 * @steps: how many steps of starting are done, see start.c
 *
 * Context: boot.
 */
void __init gmem_debugfs_init(unsigned int *steps)
{
	struct dentry *dir = debugfs_create_dir("gmem_persist", NULL);

	debugfs_create_file("record", 0400, dir, NULL, &gmem_debugfs_record_fops);
	debugfs_create_file("quota", 0400, dir, NULL, &gmem_debugfs_quota_fops);
	gmem_stop_init(dir);
	gmem_debugfs_add_start(dir, steps);
	fault_create_debugfs_attr("fail_read", dir, &gmem_window_fail_read);
}
