/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What can be asked of files and directories of gmemfs.
 * See Documentation/filesystems/gmemfs.rst, also for their errors.
 */
#ifndef _UAPI_LINUX_GMEM_PERSIST_H
#define _UAPI_LINUX_GMEM_PERSIST_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: gmem_persist ioctls
 *
 * Those from %GMEM_PERSIST_GET_INFO to %GMEM_PERSIST_GET_RANGES are for a file or a directory of
 * gmemfs that is open for reading, and change nothing. Who may open it may ask, but for
 * %GMEM_PERSIST_GET_RANGES: physical addresses are for CAP_SYS_ADMIN only.
 * %GMEM_PERSIST_GET_VIEW is for a file that is open in whichever way, %GMEM_PERSIST_SHARE for one
 * that is a view, %GMEM_PERSIST_SETTLE for one that is open for writing, %GMEM_PERSIST_ATTACH for
 * one that is open for reading and writing. %GMEM_PERSIST_GET_QUOTA and %GMEM_PERSIST_SET_QUOTA are
 * for a directory, but not for the root directory.
 *
 * A file that is open is a view, which keeps the object from being discarded, and from being
 * opened exclusively. With access mode 3 (%O_ACCMODE, see open(2)), for which one must be
 * permitted to read and write it, it is not: then nothing else can be done with it.
 */

#define GMEM_PERSIST_IOCTL_TYPE	0xBB

/**
 * enum gmem_persist_file - what a file of gmemfs is
 * @GMEM_PERSIST_FILE_EMPTY: a file that has got neither memory nor data yet
 * @GMEM_PERSIST_FILE_MEMORY: a guest's memory
 * @GMEM_PERSIST_FILE_DATA: what was written is there, and nothing else
 * @GMEM_PERSIST_FILE_DIRECTORY: a directory
 */
enum gmem_persist_file {
	GMEM_PERSIST_FILE_EMPTY,
	GMEM_PERSIST_FILE_MEMORY,
	GMEM_PERSIST_FILE_DATA,
	GMEM_PERSIST_FILE_DIRECTORY,
};

/**
 * struct gmem_persist_info - what a file or directory is
 * @uuid: made when it was created, and the same in all kernels; 0 of the root directory
 * @size: how much memory it has, in bytes
 * @granule: what that consists of, in bytes: 2 MiB or 1 GiB; 0 of a directory
 * @length: how many bytes can be read or mapped: of data what was written, of a guest's
 *	memory @size
 * @flags: the GUEST_MEMFD_FLAG_* that it was made with
 * @generation: how many handovers from one kernel to the next it has survived
 * @nr_ranges: how many physically contiguous ranges its memory consists of
 * @nr_bad_pages: how many of its pages have memory errors
 * @vm_class: the type of the VM that it was made for, a number of the architecture
 * @kind: one of enum gmem_persist_file
 * @views: how many VMs and open files use it, but for the file that was asked
 * @reserved32: 0
 * @reserved: must be 0, and is
 */
struct gmem_persist_info {
	__u8 uuid[16];
	__u64 size;
	__u64 granule;
	__u64 length;
	__u64 flags;
	__u64 generation;
	__u64 nr_ranges;
	__u64 nr_bad_pages;
	__u32 vm_class;
	__u32 kind;
	__u32 views;
	__u32 reserved32;
	__u64 reserved[8];
};

/**
 * struct gmem_persist_list - a part of a list
 * @start: where to begin: 0 at first, then where the last call left it
 * @entries: address of an array, which is filled
 * @nr: how many entries that has room for; set to how many there are now, which may be
 *	fewer although there are more to come. 0 is the end of the list
 * @reserved: must be 0
 *
 * If the file gets other memory between two calls, the parts do not belong together: only
 * data does so, by being written to or truncated.
 */
struct gmem_persist_list {
	__u64 start;
	__u64 entries;
	__u32 nr;
	__u32 reserved[3];
};

/**
 * struct gmem_persist_node_entry - how much memory of a file is on a NUMA node
 * @bytes: so much, not 0
 * @node: the node; -1: firmware does not tell
 * @reserved: 0
 */
struct gmem_persist_node_entry {
	__u64 bytes;
	__s32 node;
	__u32 reserved;
};

/**
 * struct gmem_persist_range_entry - a physically contiguous part of a file, on one node
 * @offset: where it begins in the file, in bytes
 * @base: where it begins in physical memory, in bytes
 * @size: its length in bytes
 * @node: its NUMA node; -1: firmware does not tell
 * @reserved: 0
 */
struct gmem_persist_range_entry {
	__u64 offset;
	__u64 base;
	__u64 size;
	__s32 node;
	__u32 reserved;
};

/* What it is. */
#define GMEM_PERSIST_GET_INFO \
	_IOWR(GMEM_PERSIST_IOCTL_TYPE, 0x00, struct gmem_persist_info)

/* On which nodes its memory is: an array of struct gmem_persist_node_entry. */
#define GMEM_PERSIST_GET_NODES \
	_IOWR(GMEM_PERSIST_IOCTL_TYPE, 0x01, struct gmem_persist_list)

/*
 * Which of its pages have memory errors: an array of __u64, their offsets in bytes. start
 * is an offset, too.
 */
#define GMEM_PERSIST_GET_BAD_PAGES \
	_IOWR(GMEM_PERSIST_IOCTL_TYPE, 0x02, struct gmem_persist_list)

/*
 * Where its memory is, in the order of its offsets: an array of struct
 * gmem_persist_range_entry. start is an offset, at which the first entry begins.
 */
#define GMEM_PERSIST_GET_RANGES \
	_IOWR(GMEM_PERSIST_IOCTL_TYPE, 0x03, struct gmem_persist_list)

/* A token says who changed an object's memory last. It is random, and there is no other. */
#define GMEM_PERSIST_TOKEN_SIZE	16

/**
 * struct gmem_persist_view - which memory an open file shows, and whose it is
 * @uuid: of the object; made when it was created, and the same in all kernels
 * @token: the object's token when the file was opened, or at its last %GMEM_PERSIST_SETTLE; with
 *	access mode 3, now
 * @own_token: the token that the object has from the first write by this open file on; or, if
 *	that has been, has had since then; with access mode 3, which never writes, 0
 * @reserved: must be 0, and is
 *
 * State that was saved beside a guest's memory is fresh if, and only if, uuid and token are
 * those of the moment when it was saved. So a VMM whose guest has been stopped opens the file for
 * reading and writing, calls %GMEM_PERSIST_SETTLE, and saves what this tells then. Who is to go on
 * with the guest opens it after he has claimed the memory.
 */
struct gmem_persist_view {
	__u8 uuid[16];
	__u8 token[GMEM_PERSIST_TOKEN_SIZE];
	__u8 own_token[GMEM_PERSIST_TOKEN_SIZE];
	__u64 reserved[8];
};

/* Needs no permission but that to open the file, in whichever way. */
#define GMEM_PERSIST_GET_VIEW \
	_IOWR(GMEM_PERSIST_IOCTL_TYPE, 0x20, struct gmem_persist_view)

/*
 * This open file may write beside other writers, which would be EBUSY otherwise. There is no
 * argument, and no way back.
 */
#define GMEM_PERSIST_SHARE	_IO(GMEM_PERSIST_IOCTL_TYPE, 0x21)

/*
 * Whoever writes to the memory after this takes a token that nobody knows yet, also who has written
 * to it before. The token that stands now is told by GMEM_PERSIST_GET_VIEW of this file afterwards.
 * Whoever saves the state of a guest calls both when the guest has been stopped: if the guest goes
 * on, what was saved is stale. A device writes without being noticed: before this, the memory must
 * be mapped for none any more. There is no argument. The file must be open for writing.
 */
#define GMEM_PERSIST_SETTLE	_IO(GMEM_PERSIST_IOCTL_TYPE, 0x22)

/**
 * struct gmem_persist_attach - memory that is quarantined and becomes a file's
 * @ranges: address of an array of struct gmem_persist_range_entry, as GMEM_PERSIST_GET_RANGES
 *	tells them: the memory in the order of its offsets, which leave no gap. The node does
 *	not matter
 * @granule: what it shall consist of, in bytes: 2 MiB or 1 GiB; of data 2 MiB
 * @length: of data: how many bytes there are; else 0
 * @flags: of a guest's memory: the GUEST_MEMFD_FLAG_* that it was made with; else 0
 * @slot: number of the slot of the record that told of it and was refused, plus 1: it is given
 *	up with that; 0: none
 * @nr_ranges: how many entries @ranges has
 * @vm_class: of a guest's memory: the type of the VM that it was made for; else 0
 * @kind: GMEM_PERSIST_FILE_MEMORY or GMEM_PERSIST_FILE_DATA
 * @reserved32: must be 0
 * @reserved: must be 0
 */
struct gmem_persist_attach {
	__u64 ranges;
	__u64 granule;
	__u64 length;
	__u64 flags;
	__u64 slot;
	__u32 nr_ranges;
	__u32 vm_class;
	__u32 kind;
	__u32 reserved32;
	__u64 reserved[8];
};

/*
 * Let a file without memory, that is open for reading and writing, have memory that is
 * quarantined, with what is in it. The file gets a token that no other has had.
 */
#define GMEM_PERSIST_ATTACH \
	_IOW(GMEM_PERSIST_IOCTL_TYPE, 0x30, struct gmem_persist_attach)

/**
 * struct gmem_persist_quota - how much is used below a directory, and may be
 * @max_bytes: limit of memory, in bytes; 0: none
 * @max_names: limit of files and directories; 0: none
 * @used_bytes: memory of all files below it, however deep, in bytes, and what they are about to
 *	get; not read
 * @used_names: files and directories below it, and files without a name that somebody has open;
 *	not read
 * @reserved: must be 0, and is
 *
 * What would exceed a limit of any directory that it is in fails with EDQUOT. A limit may be less
 * than what is used. Limits hold in the next kernel, too.
 */
struct gmem_persist_quota {
	__u64 max_bytes;
	__u64 max_names;
	__u64 used_bytes;
	__u64 used_names;
	__u64 reserved[4];
};

/*
 * Of a directory, but not of the root directory. Who may open it for reading may ask; to set both
 * limits is for CAP_SYS_ADMIN in the initial user namespace.
 */
#define GMEM_PERSIST_GET_QUOTA \
	_IOWR(GMEM_PERSIST_IOCTL_TYPE, 0x31, struct gmem_persist_quota)
#define GMEM_PERSIST_SET_QUOTA \
	_IOW(GMEM_PERSIST_IOCTL_TYPE, 0x32, struct gmem_persist_quota)

#endif /* _UAPI_LINUX_GMEM_PERSIST_H */
