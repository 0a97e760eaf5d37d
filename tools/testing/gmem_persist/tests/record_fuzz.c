// SPDX-License-Identifier: GPL-2.0
/*
 * Damaged records. Whatever comes, the reader must not crash, and must not give
 * away memory that may be somebody's: see record_check().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/libfdt.h>
#include <linux/sizes.h>
#include <linux/stat.h>

#include <linux/gmem_persist.h>

#include "records.h"

/* What the readings came to, to see that the damage is neither too much nor none */
static unsigned long nr_refused, nr_read, nr_good, nr_bad;

static bool all_in(const struct gmem_extents *x, const struct gmem_extents *set)
{
	unsigned int i;

	for (i = 0; i < x->nr; i++)
		if (!gmem_extents_contain(set, x->r[i].base, x->r[i].size))
			return false;
	return true;
}

/*
 * @size bytes of @fdt, which was made from @d and then damaged, in memory that ends
 * with them. @once: in one place only, where the checksums see it; so there is no
 * good object that was not one before, and no memory becomes clean or dirty.
 */
static void read_damaged(const struct draft *d, const void *fdt, size_t size,
			 bool once)
{
	void *copy = xmalloc(size);
	struct gmem_record rec;
	unsigned int i, j;

	memcpy(copy, fdt, size);
	if (gmem_record_read(copy, size, &d->rec.pool, &rec)) {
		nr_refused++;
		goto out;
	}
	nr_read++;
	record_check(&d->rec.pool, &rec);
	if (once) {
		CHECK(all_in(&rec.clean, &d->rec.clean));
		CHECK(all_in(&rec.dirty, &d->rec.dirty));
	}
	for (i = 0; i < rec.nr_objects; i++) {
		const struct gmem_record_object *obj = &rec.objects[i];

		if (obj->bad) {
			nr_bad++;
			continue;
		}
		nr_good++;
		for (j = 0; once; j++) {
			const struct gmem_record_object *was = &d->obj[j];

			CHECK(j < d->rec.nr_objects);
			if (!strcmp(obj->name, was->name) &&
			    !memcmp(&obj->meta, &was->meta, sizeof(was->meta)) &&
			    gmem_extents_equal(&obj->ranges, &was->ranges))
				break;
		}
	}
out:
	gmem_record_free(&rec);
	free(copy);
}

static void flip_each_byte(const struct draft *d, u8 *fdt, size_t size)
{
	size_t i;
	u8 was;

	for (i = 0; i < size; i++) {
		was = fdt[i];
		fdt[i] = ~was;
		read_damaged(d, fdt, size, true);
		fdt[i] = was ^ 1 << random_below(8);
		read_damaged(d, fdt, size, true);
		fdt[i] = was + 1 + random_below(255);
		read_damaged(d, fdt, size, true);
		fdt[i] = was;
		where->step++;
	}
}

/* A byte of the record is another one: each byte, with three other values. */
static void flipped_byte(void)
{
	struct draft d;
	size_t size;
	u8 *fdt;
	unsigned int i;

	random_start(0xf11b);
	for (i = 0; i < random_rounds(5); i++) {
		if (i > 1)
			draft_random(&d);
		else if (i)
			draft_poison(&d);
		else
			draft_fixed(&d);
		fdt = draft_write(&d, &size);
		flip_each_byte(&d, fdt, size);
		free(fdt);
		draft_free(&d);
	}
	/* Both did happen, and most damage costs at most one object. */
	CHECK(nr_refused && nr_read && nr_bad && nr_good > nr_bad);
}

/* The record ends early: as the memory does, and as its header says, too. */
static void truncated(void)
{
	struct draft d;
	size_t size, len;
	u8 *fdt;

	draft_poison(&d);
	fdt = draft_write(&d, &size);
	for (len = 0; len < size; len++) {
		where->step = len;
		read_damaged(&d, fdt, len, true);
		CHECK_EQ(nr_read, 0);
	}
	for (len = 0; len < size; len++) {
		where->step = len;
		fdt_set_totalsize(fdt, len);
		read_damaged(&d, fdt, len, true);
		read_damaged(&d, fdt, size, true);
	}
	/* the structure alone ends early: in the middle of everything */
	fdt_set_totalsize(fdt, size);
	for (len = 0; len < fdt_size_dt_struct(fdt); len += 4) {
		u32 was = fdt_size_dt_struct(fdt);

		where->step = len;
		fdt_set_size_dt_struct(fdt, len);
		read_damaged(&d, fdt, size, true);
		fdt_set_size_dt_struct(fdt, was);
	}
	free(fdt);
	draft_free(&d);
}

/* Several bytes are others, pieces lie in the wrong place. */
static void scrambled(void)
{
	u8 *fdt, *damaged = NULL;
	struct draft d = {};
	size_t size = 0;
	unsigned int n;

	random_start(0x5c8a);
	for (where->step = 0; where->step < random_rounds(25000); where->step++) {
		if (where->step % 100 == 0) {
			draft_free(&d);
			free(damaged);
			draft_random(&d);
			fdt = draft_write(&d, &size);
			damaged = xmalloc(2 * size);
			memcpy(damaged + size, fdt, size);
			free(fdt);
		}
		memcpy(damaged, damaged + size, size);
		for (n = 1 + random_below(8); n; n--) {
			/* Sparing the header, or hardly anything is ever read */
			size_t to = 40 + random_below(size - 40), len;
			size_t from = 40 + random_below(size - 40);

			if (random_below(2)) {
				damaged[to] ^= 1 << random_below(8);
				continue;
			}
			len = 4 * random_below(8);
			to &= ~3;
			from &= ~3;
			if (to + len > size || from + len > size)
				continue;
			memmove(damaged + to, damaged + from, len);
		}
		read_damaged(&d, damaged, size, false);
	}
	draft_free(&d);
	free(damaged);
	CHECK(nr_refused && nr_read && nr_bad && nr_good);
}

/*
 * Records that are well-formed and tell lies, with checksums that are right, next
 * to a model: for each granule, how many entries name it.
 */
#define NR_GRANULES 16384

static struct {
	/* what was done to the tree of an object, that its draft does not show */
	bool crc[DRAFT_OBJECTS], no_meta[DRAFT_OBJECTS];
	/* how many entries name a granule */
	unsigned int named[NR_GRANULES];
} lie;

/* Any list of the record: of an object, or a free one. */
static struct gmem_extents *any_list(struct draft *d)
{
	unsigned int i = random_below(d->rec.nr_objects + 4);

	if (i < d->rec.nr_objects)
		return &d->obj[i].ranges;
	i -= d->rec.nr_objects;
	return i == 0 ? &d->rec.clean : i == 1 ? &d->rec.dirty :
	       i == 2 ? &d->rec.quarantined : &d->rec.retired;
}

static void lie_about_range(struct draft *d)
{
	struct gmem_extents *list = any_list(d), *other = any_list(d);
	u64 few = (1 + random_below(4)) * SZ_2M;
	struct gmem_range *r;

	if (!list->nr)
		return;
	r = &list->r[random_below(list->nr)];

	switch (random_below(12)) {
	case 0:
	case 1:
		list_put(other, r->base, r->size);
		break;
	case 2:
		list_put(other, r->base, SZ_2M);
		break;
	case 3:
		r->base += few;
		break;
	case 4:
		r->base -= few;
		break;
	case 5:
		r->size += few;
		break;
	case 6:
		r->size -= few;
		break;
	case 7:
		*(random_below(2) ? &r->base : &r->size) += SZ_4K;
		break;
	case 8:
		r->size = random_below(2) ? 0 : 1ULL << (31 + random_below(33));
		break;
	case 9:
		r->base = random_below(2) ? 0 : 1ULL << (31 + random_below(33));
		break;
	case 10:
		*r = list->r[--list->nr];
		break;
	case 11:
		if (other->nr) {
			struct gmem_range tmp = *r;

			*r = other->r[0];
			other->r[0] = tmp;
		}
		break;
	}
}

static void lie_about_object(struct draft *d)
{
	static const char *const names[] = { "", "a/b", ".a", "a b", "\x80" };
	unsigned int i, other;
	struct gmem_record_object *obj;

	if (!d->rec.nr_objects)
		return;
	i = random_below(d->rec.nr_objects);
	other = random_below(d->rec.nr_objects);
	obj = &d->obj[i];

	switch (random_below(16)) {
	case 0:
		obj->name = d->obj[other].name;
		break;
	case 1:
		memcpy(obj->meta.uuid, d->obj[other].meta.uuid, 16);
		break;
	case 2:
		obj->name = names[random_below(5)];
		break;
	case 3:
		memset(d->name[i], 'x', 64);
		break;
	case 4:
		obj->meta.size += SZ_2M;
		break;
	case 5:
		obj->meta.size = 0;
		break;
	case 6:
		obj->meta.granule = SZ_4K;
		break;
	case 7:
		obj->meta.granule = SZ_1G;
		break;
	case 8:
		obj->meta.granule = SZ_2M;
		break;
	case 9:
		*(random_below(2) ? &obj->meta.reserved : (u32 *)&obj->meta.parent) = 1;
		break;
	case 10:
		lie.crc[i] = true;
		break;
	case 11:
		lie.no_meta[i] = true;
		break;
	case 12:
		obj->meta.parent = d->obj[other].directory.id;
		break;
	case 13:
		obj->meta.mode ^= S_IFREG ^ S_IFDIR;
		break;
	case 14:
		obj->directory.id = d->obj[other].directory.id;
		break;
	case 15:
		obj->directory.reserved = 1;
		break;
	}
}

/* As it was with the damage, what sum would the object have been right with? */
static void repair_sums(struct draft *d)
{
	unsigned int i;

	for (i = 0; i < d->rec.nr_objects; i++)
		if (d->obj[i].meta.size && random_below(2))
			d->obj[i].meta.size = gmem_extents_bytes(&d->obj[i].ranges);
}

static bool in_pool(const struct draft *d, const struct gmem_range *r, u64 granule)
{
	unsigned int i;

	if (!r->size || r->base % granule || r->size % granule ||
	    r->base + r->size < r->base)
		return false;
	for (i = 0; i < d->rec.pool.nr; i++)
		if (r->base >= d->rec.pool.r[i].base &&
		    gmem_range_end(r) <= gmem_range_end(&d->rec.pool.r[i]))
			return true;
	return false;
}

static void count_names(const struct draft *d, const struct gmem_extents *list)
{
	unsigned int i;
	u64 g;

	for (i = 0; i < list->nr; i++)
		if (in_pool(d, &list->r[i], SZ_2M))
			for (g = 0; g < list->r[i].size / SZ_2M; g++)
				lie.named[list->r[i].base / SZ_2M + g]++;
}

static bool named_once(const struct gmem_range *r)
{
	u64 g;

	for (g = 0; g < r->size / SZ_2M; g++)
		if (lie.named[r->base / SZ_2M + g] != 1)
			return false;
	return true;
}

/* Is there something wrong with the object, regardless of any other? */
static bool wrong_by_itself(const struct draft *d, unsigned int i)
{
	const struct gmem_record_object *obj = &d->obj[i];

	if (!gmem_name_valid(obj->name) || lie.no_meta[i] || lie.crc[i] ||
	    obj->meta.reserved || !obj->directory.id != !S_ISDIR(obj->meta.mode))
		return true;
	if (obj->directory.id)
		return obj->directory.reserved || obj->meta.granule || obj->meta.size ||
		       obj->ranges.nr;
	return (obj->meta.granule != SZ_2M && obj->meta.granule != SZ_1G) ||
	       !obj->meta.size || obj->file.bytes > obj->meta.size;
}

static bool are_twins(const struct gmem_record_object *a,
		      const struct gmem_record_object *b)
{
	return (a->meta.parent == b->meta.parent && !strcmp(a->name, b->name)) ||
	       !memcmp(a->meta.uuid, b->meta.uuid, 16);
}

static bool has_twin(const struct draft *d, unsigned int i, bool by_id)
{
	const struct gmem_record_object *obj = &d->obj[i];
	unsigned int j;

	for (j = 0; j < d->rec.nr_objects; j++) {
		if (j == i || wrong_by_itself(d, j))
			continue;
		if (!by_id && are_twins(&d->obj[j], obj))
			return true;
		/* Whoever has a twin already is nobody's twin by number. */
		if (by_id && obj->directory.id &&
		    d->obj[j].directory.id == obj->directory.id && !has_twin(d, j, false))
			return true;
	}
	return false;
}

static bool expect_good(const struct draft *d, unsigned int i)
{
	const struct gmem_record_object *obj = &d->obj[i];
	unsigned int j;

	if (wrong_by_itself(d, i) || has_twin(d, i, false) || has_twin(d, i, true) ||
	    gmem_extents_bytes(&obj->ranges) != obj->meta.size)
		return false;
	if (obj->meta.parent) {
		for (j = 0; j < i; j++)
			if (d->obj[j].directory.id == obj->meta.parent &&
			    expect_good(d, j))
				break;
		if (j == i)
			return false;
	}
	for (j = 0; j < obj->ranges.nr; j++)
		if (!in_pool(d, &obj->ranges.r[j], obj->meta.granule) ||
		    !named_once(&obj->ranges.r[j]))
			return false;
	return true;
}

/*
 * What of the list is believed must be the set, no more and no less; of free memory,
 * what has no bad page in it, and the rest must be retired.
 */
static unsigned int check_set(const struct draft *d, const struct gmem_record *rec,
			      const struct gmem_extents *list,
			      const struct gmem_extents *set)
{
	const bool free = set == &rec->clean || set == &rec->dirty;
	unsigned int i, refused = 0;
	u64 bytes = 0, g;

	for (i = 0; i < list->nr; i++) {
		const struct gmem_range *r = &list->r[i];

		if (!in_pool(d, r, SZ_2M) || !named_once(r)) {
			refused++;
			continue;
		}
		for (g = r->base; g < gmem_range_end(r); g += SZ_2M) {
			bool bad = free && gmem_extents_overlap(&d->rec.bad_pages,
								g, SZ_2M, NULL);

			CHECK(gmem_extents_contain(bad ? &rec->retired : set, g,
						   SZ_2M));
			bytes += bad ? 0 : SZ_2M;
		}
	}
	if (free)
		CHECK_EQ(gmem_extents_bytes(set), bytes);
	return refused;
}

static void check_lies(struct draft *d)
{
	unsigned int i, g, refused;
	struct gmem_record rec;
	u64 unnamed = 0;
	size_t size, room;
	void *fdt;
	int len;

	fdt = tree_open(d, &room);
	for (i = 0; i < d->rec.nr_objects; i++) {
		int node = tree_object(fdt, i);
		struct gmem_persist_object *meta =
			(void *)fdt_getprop(fdt, node, "meta", &len);

		if (lie.crc[i])
			((u8 *)meta)[random_below(sizeof(*meta))] ^= 4;
		if (lie.no_meta[i])
			CHECK_EQ(fdt_delprop(fdt, node, "meta"), 0);
	}
	fdt = tree_close(fdt, &size);

	count_names(d, &d->rec.clean);
	count_names(d, &d->rec.dirty);
	count_names(d, &d->rec.quarantined);
	count_names(d, &d->rec.retired);
	for (i = 0; i < d->rec.nr_objects; i++)
		count_names(d, &d->obj[i].ranges);
	for (i = 0; i < d->rec.pool.nr; i++)
		for (g = 0; g < d->rec.pool.r[i].size / SZ_2M; g++)
			if (!lie.named[d->rec.pool.r[i].base / SZ_2M + g])
				unnamed += SZ_2M;

	CHECK_TEXT(gmem_record_read(fdt, size, &d->rec.pool, &rec), NULL);
	record_check(&d->rec.pool, &rec);
	CHECK_EQ(rec.nr_objects, d->rec.nr_objects);
	for (i = 0; i < rec.nr_objects; i++) {
		CHECK_EQ(!rec.objects[i].bad, expect_good(d, i));
		nr_good += !rec.objects[i].bad;
		nr_bad += !!rec.objects[i].bad;
	}
	refused = check_set(d, &rec, &d->rec.clean, &rec.clean);
	refused += check_set(d, &rec, &d->rec.dirty, &rec.dirty);
	refused += check_set(d, &rec, &d->rec.quarantined, &rec.quarantined);
	refused += check_set(d, &rec, &d->rec.retired, &rec.retired);
	CHECK_EQ(rec.bad_free, refused);
	CHECK_EQ(rec.unnamed_bytes, unnamed);
	gmem_record_free(&rec);
	free(fdt);
}

static void lies(void)
{
	struct draft d;
	unsigned int n;

	random_start(0x11e5);
	for (where->step = 0; where->step < random_rounds(6000); where->step++) {
		memset(&lie, 0, sizeof(lie));
		draft_random(&d);
		for (n = random_below(5); n; n--) {
			if (random_below(3))
				lie_about_range(&d);
			else
				lie_about_object(&d);
		}
		repair_sums(&d);
		check_lies(&d);
		draft_free(&d);
	}
	CHECK(nr_bad && nr_good);
}

const struct test record_fuzz_tests[] = {
	TEST(flipped_byte),
	TEST(truncated),
	TEST(scrambled),
	TEST(lies),
	{}
};
