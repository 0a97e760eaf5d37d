// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that was refused becomes a file's again, by root's word.
 */

/**
 * DOC: attach
 *
 * What a damaged record told of is quarantined: the memory is as it was, and nobody knows whose
 * it is. Root may know, from the copy of the record that debugfs shows, or from what he noted
 * before. He makes a file, in whichever directory, and says of which quarantined ranges its
 * memory consists.
 *
 * What has an owner cannot be attached, nor what is free: it may have been cleared. The file is
 * a new object, with a uuid and a token that nobody has seen, so that no state that was saved
 * beside the memory is taken for fresh. Whether it is the right memory is root's to judge.
 */
#include "fs.h"

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <uapi/linux/gmem_persist.h>

#define GMEM_ATTACH_FLAGS	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
#define GMEM_ATTACH_MAX_RANGES	((PAGE_SIZE << GMEM_PERSIST_MAX_LIST_ORDER) / \
				 sizeof(struct gmem_range))

/* What data is made of cannot be chosen. */
static int gmem_attach_check(const struct gmem_persist_attach *args)
{
	if (memchr_inv(args->reserved, 0, sizeof(args->reserved)) || args->reserved32 ||
	    !args->nr_ranges || args->nr_ranges > GMEM_ATTACH_MAX_RANGES)
		return -EINVAL;
	switch (args->kind) {
	case GMEM_PERSIST_FILE_MEMORY:
		if (args->granule != SZ_2M && args->granule != SZ_1G)
			return -EINVAL;
		return args->flags & ~GMEM_ATTACH_FLAGS || args->length ? -EINVAL : 0;
	case GMEM_PERSIST_FILE_DATA:
		return args->granule != SZ_2M || args->flags || args->vm_class ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

/* As GMEM_PERSIST_GET_RANGES tells them, one behind the other */
static int gmem_attach_add_range(struct gmem_ranges *list,
				 const struct gmem_persist_range_entry *entry, u64 *offset,
				 u64 granule)
{
	if (!entry->size || !IS_ALIGNED(entry->base | entry->size, granule) ||
	    entry->size > U64_MAX - entry->base || entry->offset != *offset ||
	    entry->size > MAX_LFS_FILESIZE - *offset || entry->reserved)
		return -EINVAL;
	*offset += entry->size;
	return gmem_ranges_append(list, entry->base, entry->size);
}

static int gmem_attach_get_ranges(const struct gmem_persist_attach *args,
				  struct gmem_ranges *list)
{
	struct gmem_persist_range_entry *entries;
	u64 offset = 0;
	unsigned int i;
	int err = 0;

	entries = vmemdup_array_user(u64_to_user_ptr(args->ranges), args->nr_ranges,
				     sizeof(*entries));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	list->nr = 0;
	list->cap = args->nr_ranges;
	list->r = kvmalloc_array(list->cap, sizeof(*list->r), GFP_KERNEL_ACCOUNT);
	if (!list->r)
		err = -ENOMEM;
	for (i = 0; i < args->nr_ranges && !err; i++)
		err = gmem_attach_add_range(list, &entries[i], &offset, args->granule);
	kvfree(entries);
	if (!err && args->length > offset)
		err = -EINVAL;
	if (err)
		kvfree(list->r);
	return err;
}

/**
 * gmem_attach_ioctl - GMEM_PERSIST_ATTACH
 * @file: an open file of gmemfs
 * @arg: address of struct gmem_persist_attach in user space
 *
 * Context: process context; takes locks, see gmem_refused_attach().
 * Return: 0, -EPERM (the caller lacks CAP_SYS_ADMIN), -EBADF (@file is not open for reading and
 * writing), -EFAULT (the argument, or the array that it names, is not the caller's memory),
 * -EINVAL (a value is malformed), -ENOMEM, or an error of gmem_refused_attach().
 */
long gmem_attach_ioctl(struct file *file, unsigned long arg)
{
	struct gmem_attach attach = { .obj = gmem_fs_object(file) };
	struct gmem_persist_attach args;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (!attach.obj)
		return -EBADF;
	if (copy_from_user(&args, (void __user *)arg, sizeof(args)))
		return -EFAULT;
	err = gmem_attach_check(&args);
	if (!err)
		err = gmem_attach_get_ranges(&args, &attach.ranges);
	if (err)
		return err;

	attach.kind = args.kind == GMEM_PERSIST_FILE_DATA ? GMEM_PERSIST_KIND_DATA :
							    GMEM_PERSIST_KIND_MEMORY;
	attach.vm_class = args.vm_class;
	attach.granule = args.granule;
	attach.flags = args.flags;
	attach.length = args.length;
	err = gmem_refused_attach(&attach, args.slot);
	if (!err)
		gmem_fs_touch(file_inode(file));
	return err;
}
