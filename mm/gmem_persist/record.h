/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_GMEM_PERSIST_RECORD_H
#define _MM_GMEM_PERSIST_RECORD_H

#include <linux/types.h>
#include <linux/kho/abi/gmem_persist.h>

#include "ranges.h"

struct gmem_arena;

/* Room for the tree of a subtree. */
#define GMEM_RECORD_FDT_SIZE	1024

#define GMEM_SLOTS_PER_PAGE	(PAGE_SIZE / sizeof(struct gmem_object_ser))

/* The way in */
int gmem_record_write_fdt(void *buf, size_t size, const u64 headers[2]);
const char *gmem_record_read_fdt(const void *fdt, size_t size, u64 headers[2]);

/* Headers */
void gmem_header_seal(struct gmem_header_ser *h, u32 state);
const char *gmem_header_check(const struct gmem_header_ser *h,
			      const struct gmem_ranges *pool);

/* Blocks */
void gmem_block_page_seal(struct gmem_block_page_ser *page);
bool gmem_block_page_good(const struct gmem_block_page_ser *page, unsigned int nr);

/* Bad pages */
void gmem_bad_write(struct gmem_bad_ser *bad, const struct gmem_ranges *pages);
const char *gmem_bad_read(const struct gmem_bad_ser *bad, const struct gmem_ranges *pool,
			  struct gmem_ranges *pages);

/* Slots */
bool gmem_name_valid(const char *name);
void gmem_slot_seal(struct gmem_object_ser *slot);
bool gmem_slot_sealed(const struct gmem_object_ser *slot);
void gmem_slot_set_token(struct gmem_object_ser *slot, const u8 token[16]);
bool gmem_slot_token_good(const struct gmem_object_ser *slot);
u32 gmem_record_ranges_crc(const struct gmem_range_ser *ranges, unsigned int nr);
u32 gmem_record_ranges_crc_on(u32 crc, const struct gmem_range_ser *ranges, unsigned int nr);
const char *gmem_slot_check(const struct gmem_object_ser *slot);
const char *gmem_slot_check_ranges(const struct gmem_object_ser *slot,
				   const struct gmem_range_ser *ranges,
				   const struct gmem_ranges *pool);

/* Which slot is in which chunk: chunks.c */
unsigned int gmem_slot_count(void);
unsigned int gmem_chunks_count(void);
struct gmem_object_ser *gmem_slot(u32 id);
void gmem_chunks_add(void *slots, unsigned int order);
void gmem_chunks_forget(void);

/**
 * struct gmem_found - a slot of a record that is being read
 * @slot: the slot; not unused and not hidden
 * @ranges: its ranges, wherever they are; NULL if it has none, or if they cannot be read
 * @id: its number
 * @depth: 1 in the root directory, and so on; 0 while it is not known; set by
 *	gmem_record_judge()
 * @lost: it is not where it says that it is, see gmem_record_judge(), which sets it
 * @bad: why it is refused, or NULL
 */
struct gmem_found {
	struct gmem_object_ser *slot;
	const struct gmem_range_ser *ranges;
	u32 id;
	u32 depth;
	bool lost;
	const char *bad;
};

/**
 * struct gmem_copied_list - what stands before each list of ranges in a copy of the record
 * @slot: whose they are
 * @nr: how many struct gmem_range_ser follow
 */
struct gmem_copied_list {
	u64 slot;
	u64 nr;
};

int gmem_record_judge(struct gmem_found *found, unsigned int nr, struct gmem_arena *arena,
		      unsigned long *owned);
bool gmem_record_was_hidden(const struct gmem_object_ser *slot, const struct gmem_arena *arena);

#endif /* _MM_GMEM_PERSIST_RECORD_H */
