// SPDX-License-Identifier: GPL-2.0
/*
 * Damaged records, and ones that lie. Whatever comes, the reader must not crash, and must
 * not give away memory that may be somebody's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/stat.h>

#include "records.h"

static struct image img;
/* Without damage, and with it */
static struct reading was, is;

/* What the readings came to, to see that the damage is neither too much nor none */
static unsigned long nr_bad, nr_good;

/*
 * One piece is damaged: nothing more may be lost than it says.
 */

static void begin(void)
{
	image_read(&img, &was);
	CHECK_TEXT(was.refused, NULL);
	reading_check(&img, &was);
}

static void end(void)
{
	reading_free(&was);
	image_free(&img);
}

static void read_damaged(void)
{
	image_read(&img, &is);
	reading_check(&img, &is);
}

/*
 * Is everything as it was, but for the object @id, of which the memory is quarantined now, and
 * where that is which was in it? With -1, no object is damaged.
 */
static void check_objects(int id)
{
	const struct gmem_found *f;
	unsigned int i, g;

	CHECK_TEXT(is.refused, NULL);
	CHECK_EQ(is.err, 0);
	for (i = 0; i < is.nr; i++) {
		f = reading_find(&was, is.found[i].id);
		if (is.found[i].id == id) {
			CHECK(is.found[i].bad);
			continue;
		}
		CHECK(f);
		CHECK_TEXT(is.found[i].bad, f->bad);
		CHECK_EQ(is.found[i].lost, id >= 0 && f->slot->parent == id + 1ULL);
	}
	CHECK_EQ(is.blocks_refused, 0);
	CHECK(gmem_ranges_equal(&is.bad_pages, &was.bad_pages));
	CHECK(is.nr == was.nr || (id >= 0 && is.nr == was.nr + 1 && !reading_find(&was, id)));
	/* Mostly they are. */
	if (!memcmp(is.has, was.has, is.nr_granules * sizeof(*is.has)))
		return;
	for (g = 0; g < is.nr_granules; g++) {
		if (id >= 0 && was.has[g] == id)
			CHECK_EQ(is.has[g], GRANULE_QUARANTINED);
		else
			CHECK_EQ(is.has[g], was.has[g]);
	}
}

static u8 *damaged, undamaged;

/* Change byte or bit @i of a piece, or return false if there is none. */
static bool damage(u8 *p, size_t size, bool bits, size_t i)
{
	if (i == size * (bits ? 8 : 2))
		return false;
	where->step = i;
	damaged = p + i / (bits ? 8 : 2);
	undamaged = *damaged;
	*damaged ^= bits ? 1 << i % 8 : i % 2 ? 1 << random_below(8) : 0xff;
	return true;
}

static void undo(void)
{
	*damaged = undamaged;
	reading_free(&is);
}

/* Do something for each byte of a piece, which is changed in two ways, or for each bit. */
#define for_damage(p, size, bits)					\
	for (size_t _i = 0; damage((u8 *)(p), size, bits, _i); undo(), _i++)

/*
 * There are two of each tree and of each header: nothing is lost. That each bit of a header
 * counts, record.header_checksum tells.
 */
static void tree_damaged(void)
{
	unsigned int i;

	image_fixed(&img);
	begin();
	for (i = 0; i < 2; i++)
		for_damage(img.fdt[i], img.fdt_size, true) {
			read_damaged();
			check_objects(-1);
			CHECK_EQ(is.header, 0);
		}
	end();
}

static void header_damaged(void)
{
	unsigned int i;

	image_fixed(&img);
	begin();
	for (i = 0; i < 2; i++)
		for_damage(img.header[i], sizeof(*img.header[i]), false) {
			read_damaged();
			check_objects(-1);
			CHECK_EQ(is.header, !i);
		}
	end();
}

/* Where both are damaged nothing is believed, or it is no damage. */
static void both_damaged(void)
{
	u64 headers[2];

	image_fixed(&img);
	begin();
	memset(img.fdt[1], 0, sizeof(img.fdt[1]));
	for_damage(img.fdt[0], img.fdt_size, true) {
		read_damaged();
		if (is.refused)
			continue;
		check_objects(-1);
		CHECK_TEXT(gmem_record_read_fdt(img.fdt[0], img.fdt_size, headers), NULL);
		CHECK(headers[0] == image_phys(&img, img.header[0]) &&
		      headers[1] == image_phys(&img, img.header[1]));
	}
	memset(img.header[1], 0, sizeof(*img.header[1]));
	memcpy(img.fdt[1], img.fdt[0], img.fdt_size);
	for_damage(img.header[0], sizeof(*img.header[0]), true) {
		read_damaged();
		CHECK(is.refused);
	}
	end();
}

/* What is known of the free memory in a page of blocks: all of it is quarantined now. */
static void blocks_damaged(void)
{
	unsigned int i, g;

	image_fixed(&img);
	begin();
	for (i = 0; i < 2; i++)
		for_damage(image_block_page(&img, i), PAGE_SIZE, false) {
			read_damaged();
			CHECK_TEXT(is.refused, NULL);
			CHECK_EQ(is.blocks_refused, 1);
			CHECK_EQ(is.nr, was.nr);
			for (g = 0; g < is.nr; g++)
				CHECK_TEXT(is.found[g].bad, was.found[g].bad);
			for (g = 0; g < is.nr_granules; g++)
				CHECK_EQ(is.has[g], g / (19 * 512) == i && was.has[g] < 0 ?
					 GRANULE_QUARANTINED : was.has[g]);
		}
	end();
}

static void bad_pages_damaged(void)
{
	const size_t used = 8 + 4 * 8;
	unsigned int i;

	image_fixed(&img);
	begin();
	for (i = 0; i < 2; i++)
		for_damage(img.bad[i], used + 8, true) {
			read_damaged();
			check_objects(-1);
			CHECK_EQ(is.bad_refused, !i && damaged - (u8 *)img.bad[i] < used);
		}
	/* If both are, nobody knows, and that is said. */
	img.bad[1]->crc ^= 1;
	img.bad[0]->addr[0] ^= 1;
	read_damaged();
	CHECK_EQ(is.bad_refused, 2);
	CHECK_EQ(is.bad_pages.nr, 0);
	reading_free(&is);
	end();
}

/* One object, with what is in it if it is a directory; the others know nothing of it. */
static void slots_damaged(void)
{
	const size_t token = offsetof(struct gmem_object_ser, token_crc);
	const struct gmem_found *f;
	size_t at;
	u32 id;

	image_fixed(&img);
	begin();
	for (id = 0; id < image_nr_slots(&img); id++)
		for_damage(image_slot(&img, id), sizeof(struct gmem_object_ser), false) {
			read_damaged();
			f = reading_find(&is, id);
			at = damaged - (u8 *)image_slot(&img, id);
			*damaged = undamaged;
			if (at < token ||
			    image_slot(&img, id)->state == GMEM_PERSIST_SLOT_UNUSED) {
				CHECK(f && f->bad);
				check_objects(id);
			} else {
				check_objects(-1);
				if (f)
					CHECK_EQ(gmem_slot_token_good(f->slot), at >= token + 20);
			}
		}
	end();
}

static void list_damaged(void)
{
	image_fixed(&img);
	begin();
	for_damage(image_ranges(&img, image_slot(&img, 9)), 20 * 16, true) {
		read_damaged();
		check_objects(9);
		CHECK_TEXT(reading_find(&is, 9)->bad, "the checksum of its ranges is wrong");
	}
	end();
}

/* The same for any record, at random places */
static void anything_damaged(void)
{
	unsigned long rounds;
	unsigned int g, i;

	random_start(0xf11b);
	for (rounds = 0; rounds < random_rounds(3000); rounds++) {
		if (rounds % 50 == 0) {
			if (rounds)
				end();
			image_random(&img);
			begin();
		}
		where->step = rounds;
		damage(img.tables, img.used, true, random_below(8 * img.used));
		image_read(&img, &is);
		reading_check(&img, &is);
		CHECK_TEXT(is.refused, NULL);
		for (g = 0; g < is.nr_granules; g++)
			CHECK(is.has[g] == was.has[g] || is.has[g] == GRANULE_QUARANTINED);
		for (i = 0; i < is.nr; i++) {
			nr_bad += !!is.found[i].bad;
			nr_good += !is.found[i].bad;
		}
		undo();
	}
	if (rounds)
		end();
	CHECK(rounds < 1000 || (nr_bad && nr_good > nr_bad));
}

/*
 * Records that are well-formed and tell lies, with checksums that are right, next to a
 * model: for each granule, who names it.
 */

/* What is said of the ranges may have become a lie already. */
static bool has_ranges(const struct gmem_object_ser *slot)
{
	return slot->nr_ranges && slot->nr_ranges <= PAGE_SIZE / sizeof(*slot->ranges) &&
	       (slot->nr_ranges <= GMEM_PERSIST_INLINE_RANGES || slot->list.phys);
}

static void lie_about_range(struct gmem_object_ser *slot, struct gmem_object_ser *other)
{
	struct gmem_range_ser *r, *o;
	const u64 few = (1 + random_below(4)) * SZ_2M;

	if (!has_ranges(slot))
		return;
	r = &image_ranges(&img, slot)[random_below(slot->nr_ranges)];
	switch (random_below(10)) {
	case 0:
		r->base += few;
		break;
	case 1:
		r->base -= few;
		break;
	case 2:
		r->size += few;
		slot->size += few;
		break;
	case 3:
		r->size -= few;
		slot->size -= few;
		break;
	case 4:
		*(random_below(2) ? &r->base : &r->size) += SZ_4K;
		break;
	case 5:
		r->size = random_below(2) ? 0 : 1ULL << (31 + random_below(33));
		break;
	case 6:
		r->base = random_below(2) ? 0 : 1ULL << (31 + random_below(33));
		break;
	case 7:
		image_set(&img, img.pool.r[0].base + random_below(512) * SZ_2M, SZ_2M, false,
			  random_below(2), false);
		break;
	default:
		if (!has_ranges(other))
			break;
		o = &image_ranges(&img, other)[random_below(other->nr_ranges)];
		r->base = o->base;
		if (random_below(2)) {
			slot->size += o->size - r->size;
			r->size = o->size;
		}
	}
}

static void lie_about_object(struct gmem_object_ser *slot, struct gmem_object_ser *other)
{
	switch (random_below(15)) {
	case 0:
		memmove(slot->name, other->name, sizeof(slot->name));
		slot->parent = other->parent;
		break;
	case 1:
		memmove(slot->uuid, other->uuid, sizeof(slot->uuid));
		break;
	case 2:
		slot->name[random_below(3)] = "/ \x80"[random_below(3)];
		break;
	case 3:
		memset(slot->name, 'x', sizeof(slot->name));
		break;
	case 4:
		slot->size += SZ_2M;
		break;
	case 5:
		slot->size = 0;
		break;
	case 6:
		slot->granule = random_below(2) ? SZ_4K : 0;
		break;
	case 7:
		slot->granule = SZ_1G;
		break;
	case 8:
		slot->granule = SZ_2M;
		break;
	case 9:
		slot->reserved[random_below(17)] = 1;
		break;
	case 10:
		slot->parent = random_below(image_nr_slots(&img) + 2);
		break;
	case 11:
		slot->mode ^= S_IFREG ^ S_IFDIR;
		break;
	case 12:
		slot->kind = random_below(4);
		break;
	case 13:
		slot->nr_ranges += random_below(3) - 1;
		break;
	case 14:
		slot->holds = random_below(3);
		slot->held_in = random_below(3);
		break;
	}
}

/* Those that are good by themselves, and whether they are good beside the others */
static struct {
	bool alone, memory, twin;
} model[256];
/* How often a granule is named */
static unsigned int named[24 * 512];

static bool model_good(u32 id)
{
	return model[id].alone && !model[id].twin && model[id].memory;
}

/* The directory that an object is in; -1: the root; -2: there is none, so it is lost */
static int model_dir(u32 id)
{
	const u64 parent = image_slot(&img, id)->parent;

	if (!parent)
		return -1;
	return parent <= image_nr_slots(&img) && model_good(parent - 1) &&
	       image_slot(&img, parent - 1)->kind == 2 ? (int)parent - 1 : -2;
}

/* Is it in itself? Then one of those on the way is lost. */
static bool model_in_circle(u32 id)
{
	unsigned int steps = 0;
	int at = model_dir(id);

	while (at >= 0 && at != (int)id && steps++ < ARRAY_SIZE(model))
		at = model_dir(at);
	return at == (int)id;
}

static unsigned int model_lost_in_circle(const struct reading *r, u32 id)
{
	unsigned int lost = 0;
	u32 at = id;

	do {
		lost += reading_find(r, at)->lost;
		at = model_dir(at);
	} while (at != id);
	return lost;
}

static void model_claim(u32 id, bool count)
{
	const struct gmem_object_ser *slot = image_slot(&img, id);
	const struct gmem_range_ser *r = image_ranges(&img, slot);
	unsigned int i, k, g;

	for (i = 0; i < slot->nr_ranges; i++)
		for (k = 0; k < r[i].size / SZ_2M; k++) {
			g = image_granule(&img, r[i].base) + k;
			if (count)
				named[g]++;
			else if (named[g] != 1 || !(image_block_page(&img, g / 512 / 19)->
					blocks[g / 512 % 19].kept[g % 512 / 64] >> g % 64 & 1))
				model[id].memory = false;
		}
}

static void model_judge(void)
{
	const unsigned int nr = image_nr_slots(&img);
	const struct gmem_object_ser *a, *b;
	u32 id, other;

	memset(model, 0, sizeof(model));
	memset(named, 0, sizeof(named));
	for (id = 0; id < nr; id++) {
		a = image_slot(&img, id);
		model[id].alone = image_tells(a) && !gmem_slot_check(a) &&
				  (a->nr_ranges <= GMEM_PERSIST_INLINE_RANGES ||
				   a->list.phys - IMAGE_BASE < img.used) &&
				  !gmem_slot_check_ranges(a, image_ranges(&img, a), &img.pool);
		model[id].memory = true;
		if (model[id].alone)
			model_claim(id, true);
	}
	for (id = 0; id < nr; id++) {
		a = image_slot(&img, id);
		if (!model[id].alone)
			continue;
		model_claim(id, false);
		for (other = 0; other < nr; other++) {
			b = image_slot(&img, other);
			if (other != id && model[other].alone &&
			    (!memcmp(a->uuid, b->uuid, 16) ||
			     (a->name[0] && a->parent == b->parent &&
			      !strcmp(a->name, b->name))))
				model[id].twin = true;
		}
	}
}

static void lies(void)
{
	unsigned int n, i, nr;
	u32 id;

	random_start(0x11e5);
	for (where->step = 0; where->step < random_rounds(3000); where->step++) {
		image_random(&img);
		nr = image_nr_slots(&img);
		CHECK(nr <= ARRAY_SIZE(model));
		for (n = random_below(6); n; n--) {
			struct gmem_object_ser *slot = image_slot(&img, random_below(nr));
			struct gmem_object_ser *other = image_slot(&img, random_below(nr));

			if (slot->state == GMEM_PERSIST_SLOT_UNUSED)
				continue;
			if (random_below(3))
				lie_about_range(slot, other);
			else
				lie_about_object(slot, other);
		}
		image_seal(&img);
		model_judge();

		image_read(&img, &is);
		CHECK_TEXT(is.refused, NULL);
		reading_check(&img, &is);
		for (i = 0; i < is.nr; i++) {
			id = is.found[i].id;
			CHECK_EQ(!is.found[i].bad, model_good(id));
			if (!is.found[i].bad && model_in_circle(id))
				CHECK_EQ(model_lost_in_circle(&is, id), 1);
			else
				CHECK_EQ(is.found[i].lost, model_good(id) && model_dir(id) == -2);
			nr_good += !is.found[i].bad;
			nr_bad += !!is.found[i].bad;
		}
		reading_free(&is);
		image_free(&img);
	}
	CHECK(where->step < 1000 || (nr_bad && nr_good > nr_bad));
}

/* Several bytes are others, pieces lie in the wrong place, and the checksums are right. */
static void scrambled(void)
{
	unsigned int n;

	random_start(0x5c8a);
	for (where->step = 0; where->step < random_rounds(3000); where->step++) {
		image_random(&img);
		for (n = random_below(12); n; n--) {
			/* Any eight bytes of any slot become any others, or a bit changes. */
			u8 *to = (u8 *)image_slot(&img, random_below(image_nr_slots(&img)));
			u8 *from = (u8 *)image_slot(&img, random_below(image_nr_slots(&img)));

			to += random_below(62) * 8;
			from += random_below(62) * 8;
			if (random_below(2))
				memmove(to, from, 8);
			else
				to[random_below(8)] ^= 1 << random_below(8);
		}
		image_seal_slots(&img);
		image_read(&img, &is);
		reading_check(&img, &is);
		reading_free(&is);
		image_free(&img);
	}
}

const struct test record_fuzz_tests[] = {
	TEST(tree_damaged),
	TEST(header_damaged),
	TEST(both_damaged),
	TEST(blocks_damaged),
	TEST(bad_pages_damaged),
	TEST(slots_damaged),
	TEST(list_damaged),
	TEST(anything_damaged),
	TEST(lies),
	TEST(scrambled),
	{}
};
