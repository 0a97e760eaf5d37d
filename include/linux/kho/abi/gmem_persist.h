/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_KHO_ABI_GMEM_PERSIST_H
#define _LINUX_KHO_ABI_GMEM_PERSIST_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/types.h>

/**
 * DOC: gmem_persist record ABI
 *
 * One kernel tells the next where persistent guest memory is by a *record*. The
 * memory itself is described in the E820 map (on x86), so the record only says
 * what lies where in it. Without a record nobody knows whose the memory is, and all of it is
 * quarantined.
 *
 * The record is no copy of anything: its tables are what the kernel works on. They lie in
 * memory that KHO preserves, from the moment they exist, and the next kernel goes on with
 * them where they are::
 *
 *   KHO subtrees              headers, a page each        tables
 *   +---------------------+   +--------------------+      +------------------------+
 *   | gmem-persist        |-->| state, generation  |----->| pages of blocks        |
 *   +---------------------+ X | pool               |      +------------------------+
 *   | gmem-persist-copy   |-->| where tables are   |----->| object slots           |--+
 *   +---------------------+   +--------------------+      +------------------------+  |
 *                                                  |----->| bad pages (two copies) |  |
 *                                                         +------------------------+  |
 *                                                         | ranges of one object   |<-+
 *                                                         +------------------------+
 *
 * Each subtree is a small flattened device tree that says where both headers are:
 *
 * ============ ===================================================== ==========
 * name         content                                               value
 * ============ ===================================================== ==========
 * compatible   %GMEM_PERSIST_COMPATIBLE                              string
 * page-size    page size of the writer                               u64
 * features     feature bits that a reader must know, and ones that   2 * u64
 *              it may ignore
 * headers      struct gmem_headers_ser                               struct
 * ============ ===================================================== ==========
 *
 * The two subtrees say the same, and so do the two headers: one good one of each is enough.
 *
 * A header is *sealed* once the tables cannot change any more, on the way to the next kernel.
 * Then, and only then, the checksums of headers and of pages of blocks are right. All other
 * checksums are right at all times. A record that is not sealed is not believed. In memory the
 * state is SEAL or OPEN, and what a header begins with is GMEMPRST.
 *
 * A granule of 2 MiB is in one of these states, by its bits in its block. Granule n of the GiB is
 * bit n % 64 of word n / 64:
 *
 * ==== ==== ===== ===========================================================
 * free kept dirty
 * ==== ==== ===== ===========================================================
 * 1    0    0     free, and known to be zero
 * 1    0    1     free, to be cleared before it is given out
 * 0    1    any   an object's; if no object has it: quarantined
 * 0    0    any   of no interest to the next kernel, for which it is free and dirty
 * 1    1    any   impossible: taken for kept
 * ==== ==== ===== ===========================================================
 *
 * "free" is taken away before the first byte is written, and "kept" is set before an object
 * that has the granule becomes valid. A granule that is not kept and has a bad page in it is
 * not given out any more.
 *
 * A slot is in one of these states, by a number that is four letters in memory:
 *
 * ======== ======= =========================================================================
 * UNUSED           all of the slot is 0
 * HIDDEN   HDDN    an object that the next kernel forgets: it was not finished, or has no name
 * VALID    VOBJ    an object with a name
 * HELD     HELD    an object without a name, which sessions of the live update orchestrator hold
 * REFUSED  REFU    no object: a reader has not believed the slot, or nobody has taken the object
 *                  back from its session; the memory stays kept
 * ======== ======= =========================================================================
 *
 * A valid or held object is a guest's memory or still empty (kind 0), data (1), or a directory
 * (2). Of an object in more than 12 pieces the ranges are in a folio of their own.
 *
 * The compatible string is gmem-persist-v2. There is room for 48 extents, for 16 chunks of
 * blocks and 160 chunks of slots of at most 2 to the power of 8 pages each, for 19 blocks in a
 * page, for 4095 bad pages, and for lists of ranges of at most 2 to the power of 10 pages. All
 * chunks of blocks but the last one are of that size.
 *
 * Each piece has its own checksum, and damage costs what is damaged: a page of blocks, what is
 * known of the free memory in it; a slot, its object, whose memory is quarantined then. A
 * reader trusts nothing: it checks alignment, bounds, overlap, uniqueness and checksums, and
 * quarantines what no valid entry names. All checksums are CRC-32, as crc32_le() with ~0 as
 * seed. All integers are in the byte order of the machine; both kernels run on the same one.
 *
 * This interface is a contract. A reader refuses what it does not know, so a
 * change that an old reader would misread needs a new compatible string or a
 * new bit in the first word of "features". Reserved fields are 0.
 */

/* Names of the KHO subtrees. */
#define GMEM_PERSIST_KHO_SUBTREE	"gmem-persist"
#define GMEM_PERSIST_KHO_SUBTREE_COPY	"gmem-persist-copy"

/* Version of the format. */
#define GMEM_PERSIST_COMPATIBLE		"gmem-persist-v2"

/* "GMEMPRST", as the bytes lie in memory on a little-endian machine. */
#define GMEM_PERSIST_MAGIC		0x545352504d454d47ULL

/* The tables may change: a next kernel must not believe them. */
#define GMEM_PERSIST_STATE_OPEN		0x4e45504fU
/* They stand still. */
#define GMEM_PERSIST_STATE_SEALED	0x4c414553U

/**
 * struct gmem_headers_ser - where the headers are
 * @phys: physical address of each, a page
 * @crc: checksum of @phys
 * @reserved: 0
 */
struct gmem_headers_ser {
	u64 phys[2];
	u32 crc;
	u32 reserved;
};

static_assert(sizeof(struct gmem_headers_ser) == 24);

/**
 * struct gmem_range_ser - a physically contiguous part of the pool
 * @base: physical address, a multiple of 2 MiB
 * @size: length in bytes, a multiple of 2 MiB, not 0
 */
struct gmem_range_ser {
	u64 base;
	u64 size;
};

static_assert(sizeof(struct gmem_range_ser) == 16);

/**
 * struct gmem_chunk_ser - pages of a table, a folio that KHO preserves
 * @phys: physical address
 * @order: it is two to the power of @order pages
 * @reserved: 0
 */
struct gmem_chunk_ser {
	u64 phys;
	u32 order;
	u32 reserved;
};

static_assert(sizeof(struct gmem_chunk_ser) == 16);

/* The memory map has room for so many extents of the pool, beside its own entries. */
#define GMEM_PERSIST_MAX_EXTENTS	48
#define GMEM_PERSIST_MAX_BLOCK_CHUNKS	16
#define GMEM_PERSIST_MAX_SLOT_CHUNKS	160
/* No chunk of a table is larger than 2^8 pages, and no list of ranges than 2^10. */
#define GMEM_PERSIST_MAX_CHUNK_ORDER	8
#define GMEM_PERSIST_MAX_LIST_ORDER	10

/**
 * struct gmem_header_ser - where all else is
 * @magic: %GMEM_PERSIST_MAGIC
 * @crc: checksum of the structure with 0 here
 * @state: %GMEM_PERSIST_STATE_OPEN or %GMEM_PERSIST_STATE_SEALED
 * @generation: how many handovers the pool has seen, this one not included
 * @nr_extents: how many of @extents are used
 * @nr_block_chunks: likewise
 * @nr_slot_chunks: likewise
 * @nr_objects: about how many slots are valid or held: also those that have just lost that, and
 *	are still in use; a reader only looks whether there is room for so many
 * @bad: physical addresses of the two copies of struct gmem_bad_ser, of order
 *	%GMEM_PERSIST_BAD_ORDER
 * @reserved: 0
 * @extents: the pool, sorted; multiples of 1 GiB
 * @block_chunks: pages of struct gmem_block_page_ser. The pool's GiBs in ascending order have
 *	one block after the other in them
 * @slot_chunks: the slots, struct gmem_object_ser, counted through all chunks
 */
struct gmem_header_ser {
	u64 magic;
	u32 crc;
	u32 state;
	u64 generation;
	u32 nr_extents;
	u32 nr_block_chunks;
	u32 nr_slot_chunks;
	u32 nr_objects;
	u64 bad[2];
	u64 reserved[8];
	struct gmem_range_ser extents[GMEM_PERSIST_MAX_EXTENTS];
	struct gmem_chunk_ser block_chunks[GMEM_PERSIST_MAX_BLOCK_CHUNKS];
	struct gmem_chunk_ser slot_chunks[GMEM_PERSIST_MAX_SLOT_CHUNKS];
};

static_assert(sizeof(struct gmem_header_ser) == 3704);

#define GMEM_PERSIST_BLOCK_WORDS	8	/* 512 granules */

/**
 * struct gmem_block_ser - an aligned GiB of the pool, in granules of 2 MiB
 * @base: physical address; for information
 * @nid: NUMA node on which the writer saw it, ~0 if that is not known; for information
 * @reserved: 0
 * @free: granules that nobody has
 * @kept: granules whose contents are not to be touched by anybody but their object
 * @dirty: granules that are not known to be zero
 */
struct gmem_block_ser {
	u64 base;
	u32 nid;
	u32 reserved;
	u64 free[GMEM_PERSIST_BLOCK_WORDS];
	u64 kept[GMEM_PERSIST_BLOCK_WORDS];
	u64 dirty[GMEM_PERSIST_BLOCK_WORDS];
};

static_assert(sizeof(struct gmem_block_ser) == 208);

#define GMEM_PERSIST_PAGE_BLOCKS	19

/**
 * struct gmem_block_page_ser - 4 KiB of blocks
 * @crc: checksum of the structure with 0 here, if the record is sealed
 * @nr: how many of @blocks are used
 * @reserved: 0
 * @blocks: GiBs of the pool
 * @unused: 0
 */
struct gmem_block_page_ser {
	u32 crc;
	u32 nr;
	u64 reserved;
	struct gmem_block_ser blocks[GMEM_PERSIST_PAGE_BLOCKS];
	u64 unused[16];
};

static_assert(sizeof(struct gmem_block_page_ser) == 4096);

#define GMEM_PERSIST_BAD_ORDER		3
#define GMEM_PERSIST_MAX_BAD_PAGES	4095

/**
 * struct gmem_bad_ser - pages with memory errors
 * @crc: checksum of @nr and of as much of @addr
 * @nr: how many of @addr are used
 * @addr: their physical addresses, ascending
 */
struct gmem_bad_ser {
	u32 crc;
	u32 nr;
	u64 addr[GMEM_PERSIST_MAX_BAD_PAGES];
};

static_assert(sizeof(struct gmem_bad_ser) == 32768);

/* A slot that nobody uses; all of it is 0. */
#define GMEM_PERSIST_SLOT_UNUSED	0
/* An object that the next kernel does not learn of: it has no name, or is not finished. */
#define GMEM_PERSIST_SLOT_HIDDEN	0x4e444448U
/* An object. */
#define GMEM_PERSIST_SLOT_VALID		0x4a424f56U
/*
 * An object that counts for nothing, but its memory stays kept: a reader did not believe it, or
 * it had no name and nobody has taken it back from a session of the last kernel.
 */
#define GMEM_PERSIST_SLOT_REFUSED	0x55464552U
/* An object that has no name, and that a session of the live update orchestrator holds. */
#define GMEM_PERSIST_SLOT_HELD		0x444c4548U

/* What is in an object. */
#define GMEM_PERSIST_KIND_MEMORY	0	/* a guest's memory, or nothing yet */
#define GMEM_PERSIST_KIND_DATA		1	/* bytes that were written to a file */
#define GMEM_PERSIST_KIND_DIRECTORY	2

#define GMEM_PERSIST_NAME_SIZE		64
#define GMEM_PERSIST_INLINE_RANGES	12

/**
 * struct gmem_object_ser - a slot for an object
 * @crc: checksum of all from @state on up to @token_crc, that is without the token
 * @state: GMEM_PERSIST_SLOT_*
 * @kind: GMEM_PERSIST_KIND_*
 * @mode: file type and permissions, as in st_mode
 * @uuid: unique among all objects of all hosts
 * @name: its name in its directory, with its NUL; of one that is held: 0
 * @parent: number of the slot of its directory, plus 1; 0 for the root
 * @size: of its memory in bytes, the sum of its ranges
 * @granule: 2 MiB or 1 GiB, and every range is aligned to it; 0 for a directory
 * @flags: the GUEST_MEMFD_FLAG_* that it was created with
 * @vm_class: type of the VM that created it, a number of the architecture
 * @uid: owner, in the initial user namespace
 * @gid: group, in the initial user namespace
 * @nr_ranges: how many ranges it has
 * @born: the pool's generation when it was created
 * @ctime: when it was created, in nanoseconds since the epoch
 * @mtime: when it was last changed, likewise
 * @bytes: of data: how long it is, at most @size
 * @quota_bytes: of a directory: limit of all memory below it; 0: none
 * @quota_names: of a directory: limit of all names below it; 0: none
 * @ranges: its memory, in the order of its offsets, if it is in at most
 *	%GMEM_PERSIST_INLINE_RANGES pieces
 * @list: otherwise the folio in which the ranges are
 * @list_crc: checksum of the ranges there
 * @holds: of one that is held: by how many handles; else 0
 * @held_in: of one that is held: the pool's generation then, as its sessions come to the next
 *	kernel only; lower 32 bits; else 0
 * @reserved: 0
 * @token_crc: checksum of @token
 * @token: 16 random bytes that say who has written to the memory last. If they are damaged, nobody
 *	knows
 * @unused: 0
 */
struct gmem_object_ser {
	u32 crc;
	u32 state;
	u32 kind;
	u32 mode;
	u8 uuid[16];
	char name[GMEM_PERSIST_NAME_SIZE];
	u64 parent;
	u64 size;
	u64 granule;
	u64 flags;
	u32 vm_class;
	u32 uid;
	u32 gid;
	u32 nr_ranges;
	u64 born;
	u64 ctime;
	u64 mtime;
	u64 bytes;
	u64 quota_bytes;
	u64 quota_names;
	struct gmem_range_ser ranges[GMEM_PERSIST_INLINE_RANGES];
	struct gmem_chunk_ser list;
	u32 list_crc;
	u32 holds;
	u32 held_in;
	u32 reserved[17];
	u32 token_crc;
	u8 token[16];
	u8 unused[12];
};

static_assert(sizeof(struct gmem_object_ser) == 512);

/*
 * A handle that a session of the live update orchestrator holds
 *
 * The session knows its file by a token, and says that it is of this kind and where this
 * structure is, in a page that KHO preserves. What is in the object stays in the record.
 */

#define GMEM_PERSIST_LUO_COMPATIBLE	"gmem-persist-v1"

#define GMEM_PERSIST_LUO_READ		BIT(0)
#define GMEM_PERSIST_LUO_WRITE		BIT(1)
#define GMEM_PERSIST_LUO_APPEND		BIT(2)

/**
 * struct gmem_luo_ser - a handle that comes back
 * @crc: checksum of what follows
 * @flags: GMEM_PERSIST_LUO_*: as it was opened. A reader refuses others, and one that is open
 *	for nothing
 * @uuid: which object
 * @slot: the number of its slot, by which it is found
 * @pos: where in the file the handle was
 */
struct gmem_luo_ser {
	u32 crc;
	u32 flags;
	u8 uuid[16];
	u64 slot;
	u64 pos;
} __packed;

static_assert(sizeof(struct gmem_luo_ser) == 40);

#endif /* _LINUX_KHO_ABI_GMEM_PERSIST_H */
