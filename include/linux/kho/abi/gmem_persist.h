/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_KHO_ABI_GMEM_PERSIST_H
#define _LINUX_KHO_ABI_GMEM_PERSIST_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/types.h>
#include <linux/kho/abi/kexec_handover.h>

/**
 * DOC: gmem_persist record ABI
 *
 * One kernel tells the next where persistent guest memory is by a *record*. The
 * memory itself is described in the E820 map (on x86), so the record only says
 * what lies where in it; losing the record loses no memory, only its names.
 *
 * The record is a KHO subtree called %GMEM_PERSIST_KHO_SUBTREE. Its blob is one
 * page that starts with a &struct gmem_persist_header. The header points to a
 * flattened device tree in memory preserved by kho_preserve_vmalloc()::
 *
 *   KHO root tree            header page               preserved vmalloc memory
 *   +----------------+       +------------------+      +----------------------+
 *   | gmem-persist   |------>| magic, state     |      | /                    |
 *   +----------------+       | generation       |----->|   compatible         |
 *                            | fdt, fdt_crc     |      |   pool, clean, ...   |
 *                            | crc              |      |   object@0 { ... }   |
 *                            +------------------+      +----------------------+
 *
 * The tree is replaced as a whole whenever the layout of the pool changes, and
 * the header is then pointed at the new one. Sealing, the only thing that
 * happens on the way to the next kernel, writes the header and nothing else.
 *
 * Properties of the root node:
 *
 * ============ ===================================================== ==========
 * name         content                                               value
 * ============ ===================================================== ==========
 * compatible   %GMEM_PERSIST_COMPATIBLE                              string
 * page-size    page size of the writer                               u64
 * features     feature bits that a reader must know, and ones that   2 * u64
 *              it may ignore
 * pool         all memory of the pool, sorted                        ranges
 * clean        free memory that is known to be zero                  ranges
 * dirty        free memory that must be cleared before use           ranges
 * quarantined  memory that nobody may use                            ranges
 * bad          pages with memory errors, sorted                      page ranges
 * retired      granules that nobody gets because of them             ranges
 * nodes        where the writer saw the pool, sorted                 nodes
 * ============ ===================================================== ==========
 *
 * "bad" and "retired" are there if, and only if, the first word of "features" has
 * %GMEM_PERSIST_FEATURE_BAD_PAGES, and "nodes" if the second word has
 * %GMEM_PERSIST_FEATURE_NODES.
 *
 * Every node below the root whose name begins with "object" is an object:
 *
 * ============ ===================================================== ==========
 * name         content                                               value
 * ============ ===================================================== ==========
 * name         the object's name                                     string
 * meta         its other attributes, struct gmem_persist_object      struct
 * ranges       its memory, in the order of its offsets               ranges
 * file         of a file of data: struct gmem_persist_file           struct
 * directory    of a directory: struct gmem_persist_directory         struct
 * mtime        of all but data, and may be missing: when it was last u64
 *              changed, in nanoseconds since the epoch
 * ============ ===================================================== ==========
 *
 * "file" is there if, and only if, the object is a file of data; then the first word of
 * "features" has %GMEM_PERSIST_FEATURE_DATA.
 *
 * "directory" is there if, and only if, the object is a directory, which has no memory;
 * then the first word of "features" has %GMEM_PERSIST_FEATURE_DIRECTORIES. A directory
 * stands before all that is in it, so there are no cycles, and an object whose directory
 * is not good is not good either. Names are unique in one directory.
 *
 * "ranges" is an array of &struct gmem_persist_range, and so are "page ranges", but
 * in multiples of the page size. "nodes" is an array of &struct gmem_persist_node.
 * All integers are in the byte order of the machine; both kernels run on the same
 * one.
 *
 * The ranges of clean, dirty, quarantined, retired and of all objects are disjoint
 * and together are the pool. A reader trusts none of this: it checks alignment,
 * bounds, overlap, uniqueness and checksums, and quarantines whatever no valid
 * entry names.
 *
 * A bad page may be anywhere: an object keeps the ones that it has. A reader
 * retires each granule of clean and dirty memory that has one in it.
 *
 * This interface is a contract. A reader refuses what it does not know, so a
 * change that an old reader would misread needs a new compatible string or a
 * new bit in the first word of "features".
 */

/* Name of the KHO subtree. */
#define GMEM_PERSIST_KHO_SUBTREE	"gmem-persist"

/* Version of the tree's format. */
#define GMEM_PERSIST_COMPATIBLE		"gmem-persist-v1"

/* First word of "features": there are "bad" and "retired". */
#define GMEM_PERSIST_FEATURE_BAD_PAGES	BIT_ULL(0)
/* First word of "features": an object has "file". */
#define GMEM_PERSIST_FEATURE_DATA	BIT_ULL(1)
/* First word of "features": an object has "directory". */
#define GMEM_PERSIST_FEATURE_DIRECTORIES	BIT_ULL(2)
/* Second word of "features": there is "nodes". */
#define GMEM_PERSIST_FEATURE_NODES	BIT_ULL(0)

/* "GMEMPRST", as the bytes lie in memory on a little-endian machine. */
#define GMEM_PERSIST_MAGIC		0x545352504d454d47ULL

/* The pool may still change: a next kernel must not believe the record. */
#define GMEM_PERSIST_STATE_OPEN		0x4e45504fU
/* Nothing changed since the record was written. */
#define GMEM_PERSIST_STATE_SEALED	0x4c414553U

/**
 * struct gmem_persist_header - start of the subtree's blob
 * @magic: %GMEM_PERSIST_MAGIC
 * @state: %GMEM_PERSIST_STATE_OPEN or %GMEM_PERSIST_STATE_SEALED
 * @crc: CRC-32 (as crc32_le() with ~0 as seed) of this structure with 0 here
 * @generation: how many handovers the pool had seen when this was written
 * @fdt_size: length of the tree in bytes
 * @fdt_crc: CRC-32 of the tree
 * @reserved: 0
 * @fdt: where the tree is
 */
struct gmem_persist_header {
	u64 magic;
	u32 state;
	u32 crc;
	u64 generation;
	u64 fdt_size;
	u32 fdt_crc;
	u32 reserved;
	struct kho_vmalloc fdt;
};

static_assert(offsetof(struct gmem_persist_header, fdt) == 40);

/**
 * struct gmem_persist_range - a physically contiguous piece of the pool
 * @base: physical address, a multiple of 2 MiB
 * @size: length in bytes, a multiple of 2 MiB, not 0
 */
struct gmem_persist_range {
	u64 base;
	u64 size;
};

static_assert(sizeof(struct gmem_persist_range) == 16);

/**
 * struct gmem_persist_node - a part of the pool on one NUMA node
 * @base: physical address, a multiple of 2 MiB
 * @size: length in bytes, a multiple of 2 MiB, not 0
 * @nid: number of the node, ~0 if the writer did not know it
 * @reserved: 0
 */
struct gmem_persist_node {
	u64 base;
	u64 size;
	u32 nid;
	u32 reserved;
};

static_assert(sizeof(struct gmem_persist_node) == 24);

/**
 * struct gmem_persist_object - attributes of an object
 * @uuid: unique among all objects of all hosts
 * @size: size in bytes, the sum of its ranges
 * @granule: 2 MiB or 1 GiB, and every range is aligned to it; 0 for a directory
 * @flags: the GUEST_MEMFD_FLAG_* that it was created with
 * @generation: how many handovers it had survived when this was written
 * @epoch: how often its VM view had been claimed, or its file been opened for writing
 * @vm_class: type of the VM that created it, a number of the architecture
 * @uid: owner, in the initial user namespace
 * @gid: group, in the initial user namespace
 * @mode: file type and permissions, as in st_mode
 * @parent: number of the directory that it is in, 0 for the root
 * @ctime: when it was created, in nanoseconds since the epoch
 * @reserved: 0
 * @crc: CRC-32 (as crc32_le() with ~0 as seed) of the name with its NUL, this
 *	structure with 0 here, and the ranges
 */
struct gmem_persist_object {
	u8 uuid[16];
	u64 size;
	u64 granule;
	u64 flags;
	u64 generation;
	u64 epoch;
	u32 vm_class;
	u32 uid;
	u32 gid;
	u32 mode;
	u64 parent;
	u64 ctime;
	u32 reserved;
	u32 crc;
};

static_assert(sizeof(struct gmem_persist_object) == 96);

/* Kind of file: bytes that were written to it, not a guest's memory. */
#define GMEM_PERSIST_FILE_DATA		1

/**
 * struct gmem_persist_file - further attributes of a file
 * @bytes: its length, at most the object's size
 * @mtime: when it was last written to, in nanoseconds since the epoch
 * @kind: %GMEM_PERSIST_FILE_DATA
 * @crc: CRC-32 (as crc32_le(), with the CRC of the object's attributes as seed) of this
 *	structure with 0 here
 */
struct gmem_persist_file {
	u64 bytes;
	u64 mtime;
	u32 kind;
	u32 crc;
};

static_assert(sizeof(struct gmem_persist_file) == 24);

/**
 * struct gmem_persist_directory - further attributes of a directory
 * @id: its number, unique among directories and not 0. It has it in this record only.
 * @reserved: 0
 * @crc: CRC-32 (as crc32_le(), with the CRC of the object's attributes as seed) of this
 *	structure with 0 here
 */
struct gmem_persist_directory {
	u64 id;
	u32 reserved;
	u32 crc;
};

static_assert(sizeof(struct gmem_persist_directory) == 16);

#endif /* _LINUX_KHO_ABI_GMEM_PERSIST_H */
