// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/align.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/stat.h>

#include "records.h"

static void *image_alloc(struct image *img, unsigned int order)
{
	const u64 size = PAGE_SIZE << order;
	void *p;

	img->used = ALIGN(img->used, size);
	p = img->tables + img->used;
	img->used += size;
	CHECK(img->used <= IMAGE_ROOM);
	return p;
}

u64 image_phys(const struct image *img, const void *p)
{
	return IMAGE_BASE + ((const u8 *)p - img->tables);
}

void *image_at(const struct image *img, u64 phys)
{
	return img->tables + (phys - IMAGE_BASE);
}

void image_start(struct image *img, const struct gmem_range *pool, unsigned int nr,
		 unsigned int order)
{
	unsigned int i, k, left = 0, block_order = 0;
	struct gmem_header_ser *h;

	memset(img, 0, sizeof(*img));
	img->tables = calloc(1, IMAGE_ROOM);
	if (!img->tables)
		abort();
	img->pool = (struct gmem_ranges){ img->pool_ranges, nr, IMAGE_EXTENTS };
	img->bad_pages = (struct gmem_ranges){ img->bad_ranges, 0, IMAGE_BAD };
	for (i = 0; i < 2; i++) {
		img->header[i] = image_alloc(img, 0);
		img->bad[i] = image_alloc(img, GMEM_PERSIST_BAD_ORDER);
	}

	h = &img->plan;
	h->magic = GMEM_PERSIST_MAGIC;
	h->nr_extents = nr;
	for (i = 0; i < nr; i++) {
		img->pool_ranges[i] = pool[i];
		h->extents[i] = (struct gmem_range_ser){ pool[i].base, pool[i].size };
		left += pool[i].size / SZ_1G;
	}
	for (i = 0; i < 2; i++)
		h->bad[i] = image_phys(img, img->bad[i]);

	while (left > GMEM_PERSIST_PAGE_BLOCKS << block_order)
		block_order++;
	h->nr_block_chunks = 1;
	h->block_chunks[0] = (struct gmem_chunk_ser){
		image_phys(img, image_alloc(img, block_order)), block_order };
	for (i = 0; i < 1 << block_order; i++) {
		struct gmem_block_page_ser *page = image_block_page(img, i);

		page->nr = min(left, GMEM_PERSIST_PAGE_BLOCKS);
		left -= page->nr;
		for (k = 0; k < page->nr; k++)
			page->blocks[k].nid = ~0;
	}
	image_add_slots(img, order);
}

void image_add_slots(struct image *img, unsigned int order)
{
	struct gmem_header_ser *h = &img->plan;

	h->slot_chunks[h->nr_slot_chunks++] = (struct gmem_chunk_ser){
		image_phys(img, image_alloc(img, order)), order };
}

void image_free(struct image *img)
{
	free(img->tables);
	memset(img, 0, sizeof(*img));
}

unsigned int image_nr_slots(const struct image *img)
{
	const struct gmem_header_ser *h = &img->plan;
	unsigned int i, nr = 0;

	for (i = 0; i < h->nr_slot_chunks; i++)
		nr += GMEM_SLOTS_PER_PAGE << h->slot_chunks[i].order;
	return nr;
}

/* Slots are counted through all chunks. */
static u64 slot_phys(const struct gmem_header_ser *h, u32 id)
{
	unsigned int i;
	u32 nr;

	for (i = 0; i < h->nr_slot_chunks; i++, id -= nr) {
		nr = GMEM_SLOTS_PER_PAGE << h->slot_chunks[i].order;
		if (id < nr)
			return h->slot_chunks[i].phys + id * sizeof(struct gmem_object_ser);
	}
	test_fail(__FILE__, __LINE__, "no slot %u", id);
}

struct gmem_object_ser *image_slot(const struct image *img, u32 id)
{
	return image_at(img, slot_phys(&img->plan, id));
}

struct gmem_block_page_ser *image_block_page(const struct image *img, unsigned int i)
{
	return image_at(img, img->plan.block_chunks[0].phys + i * PAGE_SIZE);
}

struct gmem_range_ser *image_ranges(const struct image *img, const struct gmem_object_ser *slot)
{
	if (slot->nr_ranges > GMEM_PERSIST_INLINE_RANGES)
		return image_at(img, slot->list.phys);
	return (struct gmem_range_ser *)slot->ranges;
}

struct gmem_object_ser *image_object(struct image *img, u32 id, const char *name)
{
	struct gmem_object_ser *slot = image_slot(img, id);
	const u8 token[16] = { 0xaa, id };
	unsigned int i;

	slot->state = GMEM_PERSIST_SLOT_VALID;
	slot->mode = S_IFREG | 0640;
	slot->granule = SZ_2M;
	strcpy(slot->name, name);
	for (i = 0; i < sizeof(slot->uuid); i++)
		slot->uuid[i] = 16 * id + i;
	slot->uid = 1000 + id;
	slot->gid = 2000 + id;
	slot->vm_class = 3000 + id;
	slot->flags = 0x100000001ULL << id % 16;
	slot->born = id + 1;
	slot->ctime = 1700000000123456789ULL + id;
	slot->mtime = 1800000000123456789ULL + id;
	gmem_slot_set_token(slot, token);
	return slot;
}

struct gmem_object_ser *image_directory(struct image *img, u32 id, const char *name)
{
	struct gmem_object_ser *slot = image_object(img, id, name);

	slot->kind = GMEM_PERSIST_KIND_DIRECTORY;
	slot->mode = S_IFDIR | 0750;
	slot->granule = 0;
	slot->flags = 0;
	slot->vm_class = 0;
	return slot;
}

void image_hold(struct gmem_object_ser *slot)
{
	slot->state = GMEM_PERSIST_SLOT_HELD;
	slot->holds = 1;
	slot->parent = 0;
	memset(slot->name, 0, sizeof(slot->name));
}

void image_move(struct gmem_object_ser *slot, u32 parent)
{
	slot->parent = parent + 1;
}

unsigned int image_granule(const struct image *img, u64 addr)
{
	unsigned int i, nr = 0;

	for (i = 0; i < img->pool.nr; i++) {
		const struct gmem_range *r = &img->pool.r[i];

		if (addr < gmem_range_end(r))
			return nr + (addr - r->base) / SZ_2M;
		nr += r->size / SZ_2M;
	}
	test_fail(__FILE__, __LINE__, "%#llx is not in the pool", addr);
}

static void set_bit_to(u64 *words, unsigned int bit, bool value)
{
	words[bit / 64] = (words[bit / 64] & ~(1ULL << bit % 64)) | (u64)value << bit % 64;
}

void image_set(struct image *img, u64 base, u64 size, bool free, bool kept, bool dirty)
{
	u64 addr;

	for (addr = base; addr < base + size; addr += SZ_2M) {
		unsigned int g = image_granule(img, addr), block = g / GMEM_BLOCK_GRANULES;
		struct gmem_block_page_ser *page =
			image_block_page(img, block / GMEM_PERSIST_PAGE_BLOCKS);
		struct gmem_block_ser *b = &page->blocks[block % GMEM_PERSIST_PAGE_BLOCKS];

		b->base = ALIGN_DOWN(addr, SZ_1G);
		set_bit_to(b->free, g % GMEM_BLOCK_GRANULES, free);
		set_bit_to(b->kept, g % GMEM_BLOCK_GRANULES, kept);
		set_bit_to(b->dirty, g % GMEM_BLOCK_GRANULES, dirty);
	}
}

/* Put a range at the end of an object's memory, as it is, and keep it if it is the pool's. */
void image_range(struct image *img, struct gmem_object_ser *slot, u64 base, u64 size)
{
	unsigned int nr = slot->nr_ranges++;

	if (nr == GMEM_PERSIST_INLINE_RANGES) {
		void *list = image_alloc(img, 0);

		memcpy(list, slot->ranges, sizeof(slot->ranges));
		memset(slot->ranges, 0, sizeof(slot->ranges));
		slot->list.phys = image_phys(img, list);
	}
	CHECK(nr < PAGE_SIZE / sizeof(*slot->ranges));
	image_ranges(img, slot)[nr] = (struct gmem_range_ser){ base, size };
	slot->size += size;
	if (!((base | size) % SZ_2M) && gmem_ranges_contain(&img->pool, base, size))
		image_set(img, base, size, false, true, true);
}

/* A list whose place is wrong is left alone. */
void image_seal_slots(struct image *img)
{
	u32 id;

	for (id = 0; id < image_nr_slots(img); id++) {
		struct gmem_object_ser *slot = image_slot(img, id);

		if (slot->state == GMEM_PERSIST_SLOT_UNUSED)
			continue;
		if (slot->nr_ranges > GMEM_PERSIST_INLINE_RANGES &&
		    slot->nr_ranges <= PAGE_SIZE / sizeof(*slot->ranges) &&
		    slot->list.phys >= IMAGE_BASE && slot->list.phys < IMAGE_BASE + img->used)
			slot->list_crc = gmem_record_ranges_crc(image_ranges(img, slot),
								slot->nr_ranges);
		gmem_slot_seal(slot);
	}
}

void image_seal(struct image *img)
{
	const u64 phys[2] = { image_phys(img, img->header[0]),
			      image_phys(img, img->header[1]) };
	unsigned int i;

	image_seal_slots(img);
	for (i = 0; i < 1 << img->plan.block_chunks[0].order; i++)
		gmem_block_page_seal(image_block_page(img, i));
	gmem_header_seal(&img->plan, GMEM_PERSIST_STATE_SEALED);
	for (i = 0; i < 2; i++) {
		*img->header[i] = img->plan;
		gmem_bad_write(img->bad[i], &img->bad_pages);
		img->fdt_size = gmem_record_write_fdt(img->fdt[i], sizeof(img->fdt[i]), phys);
		CHECK(img->fdt_size < sizeof(img->fdt[i]));
	}
}

/*
 * The record whose bytes are kept in tests/golden-v2.hex; do not change it.
 *
 *	 4G    5G    6G     7G    8G      10G           26G    32G       33G+2M  34G
 *	  |ccccc|AAAAA|B....B|ddddd|qqqqqqq|             |      |LdLdLd... |nnnnnn|
 *
 *	 0 tenant/             1 tenant/vm-1/        2 tenant/vm-1/vm-1: A
 *	 3 a.b_c-d+e:f@g=9: B, data                  4 hidden
 *	 5 012345678901234...: nothing               9 many: L
 */
void image_fixed(struct image *img)
{
	static const struct gmem_range pool[] = { { 4 * G, 22 * G }, { 32 * G, 2 * G } };
	struct gmem_object_ser *slot;
	unsigned int i;

	image_start(img, pool, 2, 0);
	image_add_slots(img, 1);
	img->plan.generation = 77;
	img->plan.nr_objects = 6;
	image_set(img, 4 * G, 22 * G, false, false, true);
	image_set(img, 4 * G, G, true, false, false);
	image_set(img, 7 * G, G, true, false, true);
	image_set(img, 8 * G, 2 * G, false, true, true);
	image_set(img, 32 * G, G, true, false, true);
	image_set(img, 33 * G, G, false, false, false);

	slot = image_directory(img, 0, "tenant");
	slot->quota_bytes = 64 * G;
	slot->quota_names = 100;
	image_move(image_directory(img, 1, "vm-1"), 0);

	slot = image_object(img, 2, "vm-1");
	image_move(slot, 1);
	slot->granule = SZ_1G;
	image_range(img, slot, 5 * G, G);

	slot = image_object(img, 3, "a.b_c-d+e:f@g=9");
	slot->kind = GMEM_PERSIST_KIND_DATA;
	image_range(img, slot, 7 * G - 2 * M, 2 * M);
	image_range(img, slot, 6 * G, 4 * M);
	slot->bytes = 6 * M - 1;

	image_object(img, 4, "hidden")->state = GMEM_PERSIST_SLOT_HIDDEN;
	image_object(img, 5, "012345678901234567890123456789012345678901234567890123456789012");

	slot = image_object(img, 9, "many");
	for (i = 0; i < 20; i++)
		image_range(img, slot, 32 * G + 4 * M * i, 2 * M);

	gmem_ranges_add(&img->bad_pages, 5 * G, PAGE_SIZE);
	gmem_ranges_add(&img->bad_pages, 8 * G - PAGE_SIZE, 2 * PAGE_SIZE);
	gmem_ranges_add(&img->bad_pages, 34 * G - PAGE_SIZE, PAGE_SIZE);
	image_seal(img);
}

static void random_name(char *name)
{
	static const char first[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+:@=.";
	unsigned int len = 1 + random_below(GMEM_PERSIST_NAME_SIZE - 1), i;

	if (len > 8 && random_below(4))
		len = 8;
	for (i = 0; i < len; i++)
		name[i] = first[random_below(sizeof(first) - 1 - !i)];
	name[len] = 0;
}

/* The next part of the pool of at most @size, in granules; 0 where it ends */
static u64 random_part(const struct image *img, u64 *at, u64 size, u64 granule)
{
	unsigned int i;

	*at = ALIGN(*at, granule);
	for (i = 0; i < img->pool.nr; i++) {
		const struct gmem_range *r = &img->pool.r[i];

		if (*at >= gmem_range_end(r))
			continue;
		*at = max(*at, r->base);
		return min(size, gmem_range_end(r) - *at);
	}
	return 0;
}

static void random_attributes(struct image *img, struct gmem_object_ser *slot, u32 id)
{
	unsigned int i, dir;

	for (i = 0; i < sizeof(slot->uuid); i++)
		slot->uuid[i] = random_next();
	slot->mode = (slot->mode & S_IFMT) | random_below(010000);
	slot->uid = random_next();
	slot->gid = random_next();
	slot->born = random_next();
	slot->mtime = random_next();

	/* Any directory but itself, if it is not in there */
	dir = random_below(image_nr_slots(img));
	if (dir < id && image_slot(img, dir)->kind == GMEM_PERSIST_KIND_DIRECTORY)
		image_move(slot, dir);
}

/* A pool of up to 24 GiB, all of it given away or in some state. */
void image_random(struct image *img)
{
	struct gmem_range pool[3];
	struct gmem_object_ser *slot;
	u64 at = (2 + random_below(8)) * G, size, granule;
	unsigned int i, nr = 1 + random_below(3), n;
	char name[GMEM_PERSIST_NAME_SIZE];
	u32 id;

	for (i = 0; i < nr; i++) {
		pool[i] = (struct gmem_range){ at, (1 + random_below(random_below(4) ? 2 : 8)) * G };
		at = gmem_range_end(&pool[i]) + (1 + random_below(8)) * G;
	}
	image_start(img, pool, nr, random_below(2));
	while (random_below(2) && img->plan.nr_slot_chunks < 3)
		image_add_slots(img, random_below(2));

	at = 0;
	for (id = 0; id < image_nr_slots(img); id++) {
		if (!random_below(4))
			continue;
		random_name(name);
		if (strlen(name) < 4)
			snprintf(name, sizeof(name), "obj%u", id);
		if (!random_below(4)) {
			random_attributes(img, image_directory(img, id, name), id);
			continue;
		}
		slot = image_object(img, id, name);
		random_attributes(img, slot, id);
		slot->granule = granule = random_below(4) ? SZ_2M : SZ_1G;
		n = granule == SZ_1G ? random_below(2) :
		    random_below(8) ? random_below(6) : random_below(40);
		while (n--) {
			at += random_below(3) * SZ_2M;
			size = granule * (granule == SZ_2M ? 1 + random_below(40) : 1);
			size = random_part(img, &at, size, granule);
			if (!size)
				break;
			image_range(img, slot, at, size);
			at += size;
		}
		if (!random_below(4)) {
			slot->kind = GMEM_PERSIST_KIND_DATA;
			slot->bytes = random_below(slot->size + 1);
		}
		if (!random_below(8))
			slot->state = GMEM_PERSIST_SLOT_HIDDEN;
		else if (!random_below(8))
			image_hold(slot);
	}
	/* The rest, in pieces */
	while ((size = random_part(img, &at, (1 + random_below(600)) * SZ_2M, SZ_2M))) {
		n = random_below(8);
		image_set(img, at, size, n & 1, !(n & 1) && n & 2, n & 4);
		at += size;
	}
	image_seal(img);
}

/* Lines of 32 bytes, with the piece's name and the offset in it; those of zeros are left out. */
static void golden_line(FILE *file, const char *piece, const u8 *p, size_t at, size_t size)
{
	size_t i, n = min(size - at, (size_t)32);

	for (i = 0; i < n && !p[at + i]; i++)
		;
	if (i == n)
		return;
	fprintf(file, "%s %04zx ", piece, at);
	for (i = 0; i < n; i++)
		fprintf(file, "%02x", p[at + i]);
	fprintf(file, "\n");
}

static void golden_write(FILE *file)
{
	struct image img;
	size_t bad_size;
	char name[32];
	struct {
		const char *name;
		const void *p;
		size_t size;
	} pieces[8];
	unsigned int i, nr = 0;
	size_t at;

	image_fixed(&img);
	bad_size = 8 + img.bad[0]->nr * sizeof(u64);
#define PIECE(n, what, len) (pieces[nr].name = n, pieces[nr].p = what, pieces[nr++].size = len)
	PIECE("tree", img.fdt[0], img.fdt_size);
	PIECE("header", img.header[0], sizeof(*img.header[0]));
	PIECE("blocks-0", image_block_page(&img, 0), PAGE_SIZE);
	PIECE("blocks-1", image_block_page(&img, 1), PAGE_SIZE);
	PIECE("bad", img.bad[0], bad_size);
	PIECE("slots-0", image_slot(&img, 0), PAGE_SIZE);
	PIECE("slots-1", image_slot(&img, 8), 2 * PAGE_SIZE);
	PIECE("list", image_ranges(&img, image_slot(&img, 9)), 20 * 16);
#undef PIECE
	for (i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "%s", pieces[i].name);
		fprintf(file, "%s %zu bytes\n", name, pieces[i].size);
		for (at = 0; at < pieces[i].size; at += 32)
			golden_line(file, name, pieces[i].p, at, pieces[i].size);
	}
	CHECK(!memcmp(img.fdt[0], img.fdt[1], img.fdt_size));
	CHECK(!memcmp(img.header[0], img.header[1], sizeof(*img.header[0])));
	CHECK(!memcmp(img.bad[0], img.bad[1], bad_size));
	image_free(&img);
}

void golden_print(void)
{
	golden_write(stdout);
}

void golden_check(const char *path)
{
	char line[256], golden[256], *is = NULL;
	FILE *file = fopen(path, "r"), *ours;
	size_t size;

	if (!file)
		test_fail(__FILE__, __LINE__, "cannot open %s", path);
	ours = open_memstream(&is, &size);
	golden_write(ours);
	fclose(ours);
	ours = fmemopen(is, size, "r");
	while (fgets(line, sizeof(line), ours)) {
		if (!fgets(golden, sizeof(golden), file) || strcmp(golden, line))
			test_fail(__FILE__, __LINE__,
				  "the format of the record changed without a new version. Give it a new GMEM_PERSIST_COMPATIBLE and a new golden file, or undo the change. It is %s",
				  line);
	}
	CHECK(!fgets(golden, sizeof(golden), file));
	fclose(file);
	fclose(ours);
	free(is);
}
