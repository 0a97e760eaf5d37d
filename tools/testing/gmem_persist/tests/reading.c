// SPDX-License-Identifier: GPL-2.0
/*
 * Reading a record piece by piece, as the kernel does it, but each piece from memory that
 * ends with it.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/stat.h>

#include "records.h"

static const void *reading_copy(struct reading *r, const void *p, size_t size)
{
	void *copy = xmalloc(size);

	memcpy(copy, p, size);
	CHECK(r->nr_copies < ARRAY_SIZE(r->copies));
	r->copies[r->nr_copies++] = copy;
	return copy;
}

/* Memory that ends with what is there; NULL if it is not in the tables. */
static const void *reading_piece(const struct image *img, struct reading *r, u64 phys,
				 size_t size)
{
	if (phys < IMAGE_BASE || phys - IMAGE_BASE > IMAGE_ROOM - size)
		return NULL;
	return reading_copy(r, image_at(img, phys), size);
}

static const struct gmem_header_ser *read_header(const struct image *img, struct reading *r)
{
	const struct gmem_header_ser *h;
	u64 phys[2] = {};
	unsigned int i;

	for (i = 0; i < 2; i++) {
		r->refused = gmem_record_read_fdt(reading_copy(r, img->fdt[i], img->fdt_size),
						  img->fdt_size, phys);
		if (!r->refused)
			break;
	}
	for (i = 0; i < 2 && phys[0]; i++) {
		h = reading_piece(img, r, phys[i], sizeof(*h));
		r->refused = h ? gmem_header_check(h, &img->pool) : "it is nowhere";
		r->header = i;
		if (!r->refused)
			return h;
	}
	return NULL;
}

/* What is in a page that is damaged may be anybody's. */
static void read_blocks(const struct image *img, struct reading *r,
			const struct gmem_header_ser *h)
{
	struct gmem_block_page_ser *page = NULL;
	unsigned int i, in_page = 0, left = gmem_ranges_bytes(&img->pool) / SZ_1G, k;
	u64 base, phys = h->block_chunks[0].phys;

	r->blocks = xmalloc(left * sizeof(*r->blocks));
	gmem_arena_init(&r->arena, r->blocks, left, &r->node, 1);
	for (i = 0; i < img->pool.nr; i++) {
		for (base = img->pool.r[i].base; base < gmem_range_end(&img->pool.r[i]);
		     base += SZ_1G) {
			if (!in_page) {
				in_page = min(left, GMEM_PERSIST_PAGE_BLOCKS);
				left -= in_page;
				page = (void *)reading_piece(img, r, phys, sizeof(*page));
				phys += PAGE_SIZE;
				if (!gmem_block_page_good(page, in_page)) {
					r->blocks_refused++;
					memset(page, 0, sizeof(*page));
					page->nr = in_page;
					for (k = 0; k < in_page; k++)
						memset(page->blocks[k].kept, 0xff,
						       sizeof(page->blocks[k].kept));
				}
			}
			CHECK_EQ(gmem_arena_add_block(&r->arena,
						      &page->blocks[page->nr - in_page],
						      base, 0), 0);
			in_page--;
		}
	}
}

static void read_bad_pages(const struct image *img, struct reading *r,
			   const struct gmem_header_ser *h)
{
	const struct gmem_bad_ser *bad;
	unsigned int i;

	r->bad_pages.cap = GMEM_PERSIST_MAX_BAD_PAGES;
	r->bad_pages.r = xmalloc(r->bad_pages.cap * sizeof(*r->bad_pages.r));
	for (i = 0; i < 2; i++) {
		bad = reading_piece(img, r, h->bad[i], sizeof(*bad));
		if (!gmem_bad_read(bad, &img->pool, &r->bad_pages))
			break;
		r->bad_refused++;
	}
}

static void read_slots(const struct image *img, struct reading *r,
		       const struct gmem_header_ser *h)
{
	const struct gmem_object_ser *slots;
	unsigned int i, k;
	u32 id = 0;

	r->found = calloc(image_nr_slots(img), sizeof(*r->found));
	for (i = 0; i < h->nr_slot_chunks; i++) {
		slots = reading_piece(img, r, h->slot_chunks[i].phys,
				      PAGE_SIZE << h->slot_chunks[i].order);
		for (k = 0; k < GMEM_SLOTS_PER_PAGE << h->slot_chunks[i].order; k++, id++) {
			const struct gmem_object_ser *slot = &slots[k];
			struct gmem_found *f = &r->found[r->nr];

			f->id = id;
			f->slot = (struct gmem_object_ser *)slot;
			f->bad = gmem_slot_check(slot);
			if (!f->bad && !image_tells(slot))
				continue;
			r->nr++;
			if (f->bad || !slot->nr_ranges)
				continue;
			f->ranges = slot->nr_ranges <= GMEM_PERSIST_INLINE_RANGES ? slot->ranges :
				reading_piece(img, r, slot->list.phys,
					      slot->nr_ranges * sizeof(*slot->ranges));
			if (f->ranges)
				f->bad = gmem_slot_check_ranges(slot, f->ranges, &img->pool);
		}
	}
}

static bool bit_of(const u64 *words, unsigned int bit)
{
	return words[bit / 64] >> bit % 64 & 1;
}

static void note_owner(const struct image *img, struct reading *r, const struct gmem_found *f)
{
	unsigned int i, k;

	for (i = 0; i < f->slot->nr_ranges; i++)
		for (k = 0; k < f->ranges[i].size / SZ_2M; k++) {
			unsigned int g = image_granule(img, f->ranges[i].base) + k;

			CHECK_EQ(r->has[g], GRANULE_QUARANTINED);
			r->has[g] = f->id;
		}
}

void image_read(const struct image *img, struct reading *r)
{
	const struct gmem_header_ser *h;
	unsigned int g, i;

	memset(r, 0, sizeof(*r));
	h = read_header(img, r);
	if (!h)
		return;
	read_blocks(img, r, h);
	read_bad_pages(img, r, h);
	read_slots(img, r, h);

	r->nr_granules = r->arena.nr_blocks * GMEM_BLOCK_GRANULES;
	r->owned = calloc(r->nr_granules / 8, 1);
	r->err = gmem_record_judge(r->found, r->nr, &r->arena, r->owned);
	if (r->err)
		return;
	r->has = xmalloc(r->nr_granules * sizeof(*r->has));
	for (g = 0; g < r->nr_granules; g++) {
		const struct gmem_block_ser *b = r->blocks[g / GMEM_BLOCK_GRANULES].ser;
		const unsigned int bit = g % GMEM_BLOCK_GRANULES;

		r->has[g] = bit_of(b->kept, bit) ? GRANULE_QUARANTINED :
			    !bit_of(b->free, bit) ? GRANULE_NOBODY :
			    bit_of(b->dirty, bit) ? GRANULE_DIRTY : GRANULE_CLEAN;
	}
	for (i = 0; i < r->nr; i++)
		if (!r->found[i].bad)
			note_owner(img, r, &r->found[i]);
}

void reading_free(struct reading *r)
{
	while (r->nr_copies)
		free(r->copies[--r->nr_copies]);
	free(r->blocks);
	free(r->bad_pages.r);
	free(r->found);
	free(r->owned);
	free(r->has);
}

const struct gmem_found *reading_find(const struct reading *r, u32 id)
{
	unsigned int i;

	for (i = 0; i < r->nr; i++)
		if (r->found[i].id == id)
			return &r->found[i];
	return NULL;
}

static bool is_directory(const struct gmem_found *f)
{
	return f && !f->bad && f->slot->kind == GMEM_PERSIST_KIND_DIRECTORY;
}

/* Is @f below the directory @dir, or that itself? */
static bool is_inside(const struct reading *r, const struct gmem_found *f,
		      const struct gmem_found *dir)
{
	while (f != dir) {
		if (!f->slot->parent || f->lost)
			return false;
		f = reading_find(r, f->slot->parent - 1);
	}
	return true;
}

static void check_good(const struct reading *r, const struct gmem_found *f)
{
	const struct gmem_object_ser *slot = f->slot;
	const struct gmem_found *other, *dir;
	u64 bytes = 0;
	unsigned int i;

	CHECK(f->depth);
	CHECK(gmem_name_valid(slot->name) == (slot->state == GMEM_PERSIST_SLOT_VALID));
	if (slot->kind == GMEM_PERSIST_KIND_DIRECTORY)
		CHECK(S_ISDIR(slot->mode) && !slot->granule && !slot->nr_ranges);
	else
		CHECK(S_ISREG(slot->mode) &&
		      (slot->granule == SZ_2M || slot->granule == SZ_1G));
	for (i = 0; i < slot->nr_ranges; i++) {
		CHECK(!((f->ranges[i].base | f->ranges[i].size) % slot->granule));
		bytes += f->ranges[i].size;
	}
	CHECK_EQ(bytes, slot->size);

	CHECK_EQ(!slot->parent, f->depth == 1);
	/* Numbers of slots have 32 bits. */
	dir = slot->parent && slot->parent <= U32_MAX ? reading_find(r, slot->parent - 1) : NULL;
	if (f->lost) {
		CHECK_EQ(f->depth, 2);
		CHECK(!is_directory(dir) || is_inside(r, dir, f));
	} else if (slot->parent) {
		CHECK(is_directory(dir));
		CHECK_EQ(f->depth, dir->depth + 1);
	}
	for (other = r->found; other < f; other++) {
		if (other->bad)
			continue;
		CHECK(!slot->name[0] || other->slot->parent != slot->parent ||
		      strcmp(other->slot->name, slot->name));
		CHECK(memcmp(other->slot->uuid, slot->uuid, sizeof(slot->uuid)));
	}
}

/* image_read() has looked at memory that two objects have, and at what was not kept. */
void reading_check(const struct image *img, const struct reading *r)
{
	unsigned int i;

	if (r->refused)
		return;
	for (i = 0; i < r->nr; i++) {
		if (r->found[i].bad)
			CHECK(!r->found[i].depth && !r->found[i].lost);
		else
			check_good(r, &r->found[i]);
	}
	for (i = 0; i < r->nr_granules; i++)
		CHECK_EQ(r->has[i] >= 0, r->owned[i / 64] >> i % 64 & 1);
	for (i = 0; i < r->bad_pages.nr; i++)
		CHECK(gmem_ranges_contain(&img->pool, r->bad_pages.r[i].base,
					  r->bad_pages.r[i].size));
}
