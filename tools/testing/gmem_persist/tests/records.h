/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_RECORDS_H
#define GMEM_TEST_RECORDS_H

/*
 * Making records, good ones and bad ones, and reading them.
 *
 * An image is a record as it lies in memory, with all of its pieces. It is made good by
 * image_seal(), which also writes the headers, as they are planned; what is done to it before
 * that has checksums which are right, what is done after that is damage.
 */
#include "arena.h"
#include "record.h"
#include "test.h"

#define G ((u64)SZ_1G)
#define M ((u64)SZ_1M)

/* Physical address of the tables, of which each lies at a multiple of its size */
#define IMAGE_BASE	0x40000000ULL
#define IMAGE_ROOM	(1UL << 20)
#define IMAGE_EXTENTS	4
#define IMAGE_BAD	64

struct image {
	struct gmem_header_ser plan;
	u8 fdt[2][GMEM_RECORD_FDT_SIZE];
	size_t fdt_size;
	u8 *tables;
	u64 used;
	struct gmem_header_ser *header[2];
	struct gmem_bad_ser *bad[2];
	struct gmem_range pool_ranges[IMAGE_EXTENTS];
	struct gmem_ranges pool;
	struct gmem_range bad_ranges[IMAGE_BAD];
	struct gmem_ranges bad_pages;
};

/* With a chunk of blocks for all of the pool, and one of 2^@order pages for slots */
void image_start(struct image *img, const struct gmem_range *pool, unsigned int nr,
		 unsigned int order);
void image_add_slots(struct image *img, unsigned int order);
void image_free(struct image *img);

/* The golden one, and any */
void image_fixed(struct image *img);
void image_random(struct image *img);

unsigned int image_nr_slots(const struct image *img);
struct gmem_object_ser *image_slot(const struct image *img, u32 id);
struct gmem_block_page_ser *image_block_page(const struct image *img, unsigned int i);
struct gmem_range_ser *image_ranges(const struct image *img, const struct gmem_object_ser *slot);
u64 image_phys(const struct image *img, const void *p);
void *image_at(const struct image *img, u64 phys);
/* The number of a granule, counted through the whole pool */
unsigned int image_granule(const struct image *img, u64 addr);

/* What a writer does: an object, memory for it, the state of memory */
struct gmem_object_ser *image_object(struct image *img, u32 id, const char *name);
struct gmem_object_ser *image_directory(struct image *img, u32 id, const char *name);
void image_move(struct gmem_object_ser *slot, u32 parent);
void image_hold(struct gmem_object_ser *slot);

/* Does the record tell of an object? */
static inline bool image_tells(const struct gmem_object_ser *slot)
{
	return slot->state == GMEM_PERSIST_SLOT_VALID || slot->state == GMEM_PERSIST_SLOT_HELD;
}

void image_range(struct image *img, struct gmem_object_ser *slot, u64 base, u64 size);
void image_set(struct image *img, u64 base, u64 size, bool free, bool kept, bool dirty);
/* All checksums; image_seal_slots() those that are right at all times */
void image_seal(struct image *img);
void image_seal_slots(struct image *img);

/* What somebody has who is no object */
#define GRANULE_CLEAN		(-1)
#define GRANULE_DIRTY		(-2)
#define GRANULE_QUARANTINED	(-3)
#define GRANULE_NOBODY		(-4)

/**
 * struct reading - what a kernel makes of an image
 * @refused: why nothing in it can be believed, or NULL
 * @err: what gmem_record_judge() returned
 * @header: which header was believed
 * @blocks_refused: how many pages of blocks are damaged
 * @bad_refused: likewise copies of the list of bad pages
 * @bad_pages: the bad pages
 * @found: objects, and slots that cannot be believed
 * @nr: how many
 * @has: of each granule of the pool: the slot of the object that has it, or GRANULE_*
 * @nr_granules: how many there are
 * @arena: the rest is what it took
 */
struct reading {
	const char *refused;
	int err;
	int header;
	unsigned int blocks_refused;
	unsigned int bad_refused;
	struct gmem_ranges bad_pages;
	struct gmem_found *found;
	unsigned int nr;
	int *has;
	unsigned int nr_granules;

	struct gmem_arena arena;
	struct gmem_block *blocks;
	struct gmem_arena_node node;
	unsigned long *owned;
	void *copies[64];
	unsigned int nr_copies;
};

void image_read(const struct image *img, struct reading *r);
void reading_free(struct reading *r);
const struct gmem_found *reading_find(const struct reading *r, u32 id);
/* What must hold whatever was read */
void reading_check(const struct image *img, const struct reading *r);

void golden_print(void);
void golden_check(const char *path);

#endif /* GMEM_TEST_RECORDS_H */
