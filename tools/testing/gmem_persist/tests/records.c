// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/align.h>
#include <linux/libfdt.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/stat.h>

#include <linux/gmem_persist.h>

#include "records.h"

/* Put a range at the end of a list as it is, without looking at it. */
void list_put(struct gmem_extents *list, u64 base, u64 size)
{
	if (list->nr == list->cap) {
		list->cap += 8;
		list->r = realloc(list->r, list->cap * sizeof(*list->r));
		if (!list->r)
			abort();
	}
	list->r[list->nr++] = (struct gmem_range){ .base = base, .size = size };
}

/* Put a range into a set. */
static void set_put(struct gmem_extents *set, u64 base, u64 size)
{
	/* Whatever it becomes part of, there is room now. */
	list_put(set, base, size);
	set->nr--;
	CHECK_EQ(gmem_extents_add(set, base, size), 0);
}

void node_put(struct draft *d, u64 base, u64 size, u32 nid)
{
	struct gmem_record *rec = &d->rec;

	rec->nodes = realloc(rec->nodes, (rec->nr_nodes + 1) * sizeof(*rec->nodes));
	if (!rec->nodes)
		abort();
	rec->nodes[rec->nr_nodes++] = (struct gmem_persist_node){
		.base = base, .size = size, .nid = nid };
}

static struct gmem_record_object *draft_object(struct draft *d, const char *name)
{
	unsigned int i = d->rec.nr_objects++;

	CHECK(i < DRAFT_OBJECTS);
	snprintf(d->name[i], sizeof(d->name[i]), "%s", name);
	d->obj[i].name = d->name[i];
	return &d->obj[i];
}

static void draft_start(struct draft *d)
{
	memset(d, 0, sizeof(*d));
	d->rec.objects = d->obj;
}

/*
 * The record whose bytes are kept in tests/golden-v1.hex; do not change it.
 *
 *	  4G      5G      6G      7G                   16G+6M     16G+22M
 *	   |cccccccAAAAAAAAABBBBBBBBb|                   |bdddCq|
 */
void draft_fixed(struct draft *d)
{
	const u64 g = SZ_1G, m = SZ_1M, high = 16 * g;
	struct gmem_record_object *a, *b, *c;
	unsigned int i;

	draft_start(d);
	list_put(&d->rec.pool, 4 * g, 3 * g + 2 * m);
	list_put(&d->rec.pool, high + 6 * m, 16 * m);

	list_put(&d->rec.clean, 4 * g, g);
	list_put(&d->rec.dirty, high + 8 * m, 8 * m);
	list_put(&d->rec.quarantined, high + 20 * m, 2 * m);

	a = draft_object(d, "vm-1");
	a->meta.granule = g;
	a->meta.size = g;
	list_put(&a->ranges, 5 * g, g);

	b = draft_object(d, "a.b_c-d+e:f@g=9");
	b->meta.granule = 2 * m;
	b->meta.size = g + 4 * m;
	list_put(&b->ranges, 6 * g, g + 2 * m);
	list_put(&b->ranges, high + 6 * m, 2 * m);

	c = draft_object(d, "012345678901234567890123456789012345678901234567890123456789012");
	c->meta.granule = 2 * m;
	c->meta.size = 4 * m;
	list_put(&c->ranges, high + 18 * m, 2 * m);
	list_put(&c->ranges, high + 16 * m, 2 * m);

	for (i = 0; i < d->rec.nr_objects; i++) {
		struct gmem_persist_object *meta = &d->obj[i].meta;
		unsigned int byte;

		for (byte = 0; byte < sizeof(meta->uuid); byte++)
			meta->uuid[byte] = 16 * i + byte;
		meta->flags = 0x100000001ULL << i;
		meta->generation = 1000 + i;
		meta->epoch = 2000000000000ULL + i;
		meta->vm_class = 3 + i;
		meta->uid = 4000 + i;
		meta->gid = 5000 + i;
		meta->mode = 0100600 + i;
		meta->ctime = 1700000000123456789ULL + i;
	}
}

/* The same, but two of the objects are files of data: tests/golden-v1-data.hex. */
void draft_data(struct draft *d)
{
	draft_fixed(d);
	d->obj[1].file = (struct gmem_persist_file){
		.bytes = SZ_1G + 4 * SZ_1M,
		.mtime = 1700000000987654321ULL,
		.kind = GMEM_PERSIST_FILE_DATA,
	};
	d->obj[2].file = (struct gmem_persist_file){
		.bytes = 12345,
		.mtime = 1,
		.kind = GMEM_PERSIST_FILE_DATA,
	};
}

static void make_directory(struct gmem_record_object *obj, u64 id, u64 parent)
{
	obj->meta.mode = S_IFDIR | 0750;
	obj->meta.parent = parent;
	obj->directory.id = id;
}

/*
 * Directories, one in the other, and memory in there: tests/golden-v1-directories.hex.
 *
 *	/tenant/vm-1/vm-1
 */
void draft_directories(struct draft *d)
{
	const u64 g = SZ_1G;
	struct gmem_record_object *vm;
	unsigned int i;

	draft_start(d);
	list_put(&d->rec.pool, 4 * g, g);
	list_put(&d->rec.clean, 4 * g, g / 2);

	make_directory(draft_object(d, "tenant"), 7, 0);
	make_directory(draft_object(d, "vm-1"), 0x300000004ULL, 7);
	vm = draft_object(d, "vm-1");
	vm->meta.granule = SZ_2M;
	vm->meta.size = g / 2;
	vm->meta.mode = S_IFREG | 0640;
	vm->meta.parent = 0x300000004ULL;
	list_put(&vm->ranges, 4 * g + g / 2, g / 2);

	for (i = 0; i < d->rec.nr_objects; i++) {
		d->obj[i].meta.uuid[0] = i + 1;
		d->obj[i].meta.uid = 1000;
		d->obj[i].meta.gid = 100 + i;
		d->obj[i].meta.ctime = 1700000000123456789ULL + i;
		d->obj[i].mtime = 1800000000123456789ULL + i;
	}
}

/*
 * The same with memory errors and nodes: tests/golden-v1-poison.hex.
 *
 *	bad	  A: its first page, and its last; B: three; quarantined: one
 *	retired	  16G+6M+ |bRddCq|, and two bad pages in there
 */
void draft_poison(struct draft *d)
{
	const u64 g = SZ_1G, m = SZ_1M, high = 16 * g;

	draft_fixed(d);
	list_put(&d->rec.retired, high + 8 * m, 2 * m);
	d->rec.dirty.r[0].base += 2 * m;
	d->rec.dirty.r[0].size -= 2 * m;

	list_put(&d->rec.bad_pages, 5 * g, PAGE_SIZE);
	list_put(&d->rec.bad_pages, 6 * g - PAGE_SIZE, PAGE_SIZE);
	list_put(&d->rec.bad_pages, 6 * g + 2 * m + 8 * PAGE_SIZE, 2 * PAGE_SIZE);
	list_put(&d->rec.bad_pages, high + 8 * m - PAGE_SIZE, 2 * PAGE_SIZE);
	list_put(&d->rec.bad_pages, high + 9 * m, PAGE_SIZE);
	list_put(&d->rec.bad_pages, high + 21 * m, PAGE_SIZE);

	node_put(d, 4 * g, 2 * g, 0);
	node_put(d, 6 * g, g + 2 * m, ~0);
	node_put(d, high + 6 * m, 16 * m, 3);
}

/* Bad pages where they may be: anywhere but in free memory. */
static void random_bad_pages(struct draft *d)
{
	unsigned int nr = random_below(12);

	while (nr--) {
		unsigned int i = random_below(d->rec.nr_objects + 2);
		struct gmem_extents *x = i < d->rec.nr_objects ?
			&d->obj[i].ranges : i == d->rec.nr_objects ?
			&d->rec.quarantined : &d->rec.retired;
		struct gmem_range *r;
		u64 page;

		if (!x->nr)
			continue;
		r = &x->r[random_below(x->nr)];
		page = r->base + random_below(r->size / PAGE_SIZE) * PAGE_SIZE;
		if (!gmem_extents_contain(&d->rec.bad_pages, page, PAGE_SIZE))
			set_put(&d->rec.bad_pages, page, PAGE_SIZE);
	}
}

static void random_nodes(struct draft *d)
{
	unsigned int i;

	for (i = 0; i < d->rec.pool.nr; i++) {
		const struct gmem_range *r = &d->rec.pool.r[i];
		u64 first = random_below(r->size / SZ_2M) * SZ_2M;

		if (first)
			node_put(d, r->base, first, random_below(4));
		node_put(d, r->base + first, r->size - first, random_next());
	}
}

static void random_name(char *name)
{
	static const char first[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+:@=.";
	unsigned int len = 1 + random_below(GMEM_NAME_SIZE - 1), i;

	if (len > 8 && random_below(4))
		len = 8;
	for (i = 0; i < len; i++)
		name[i] = first[random_below(sizeof(first) - 1 - !i)];
	name[len] = 0;
}

/* Up to @size bytes of a set, in granules, from a random entry on; how much it was */
static u64 take_random(struct gmem_extents *set, u64 size, u64 granule,
		       struct gmem_extents *out)
{
	unsigned int i = random_below(set->nr);
	u64 taken = 0;

	while (taken < size && i < set->nr) {
		u64 base = ALIGN(set->r[i].base, granule);
		u64 end = ALIGN_DOWN(gmem_range_end(&set->r[i]), granule);
		u64 some;

		if (base >= end) {
			i++;
			continue;
		}
		some = min(size - taken, end - base);
		CHECK_EQ(gmem_extents_remove(set, base, some), 0);
		list_put(out, base, some);
		taken += some;
	}
	return taken;
}

/* One of the directories that there are, or the root */
static u64 random_parent(struct draft *d)
{
	unsigned int nr = d->rec.nr_objects;

	return nr ? d->obj[random_below(nr)].directory.id : 0;
}

static void random_directory(struct draft *d)
{
	u64 parent = random_parent(d);
	unsigned int byte;
	struct gmem_record_object *obj;
	char name[16];

	snprintf(name, sizeof(name), "dir%u", d->rec.nr_objects);
	obj = draft_object(d, name);
	make_directory(obj, random_next(), parent);
	for (byte = 0; byte < sizeof(obj->meta.uuid); byte++)
		obj->meta.uuid[byte] = random_next();
	obj->mtime = random_next();
}

/*
 * A pool of up to 7 GiB, all of it given away: to objects, the rest to the sets in pieces.
 */
void draft_random(struct draft *d)
{
	struct gmem_extents left = {}, *sets[] = {
		&d->rec.clean, &d->rec.dirty, &d->rec.quarantined,
		&d->rec.retired };
	bool poison = !random_below(3);
	u64 addr = random_below(2048) * SZ_2M;
	unsigned int i, nr;

	draft_start(d);
	left.cap = 4096;
	left.r = xmalloc(left.cap * sizeof(*left.r));

	nr = 1 + random_below(3);
	for (i = 0; i < nr; i++) {
		u64 size = (1 + random_below(i ? 300 : 1500)) * SZ_2M;

		list_put(&d->rec.pool, addr, size);
		CHECK_EQ(gmem_extents_add(&left, addr, size), 0);
		addr += size + (1 + random_below(1000)) * SZ_2M;
	}

	nr = random_below(3) ? 0 : random_below(5);
	for (i = 0; i < nr; i++)
		random_directory(d);

	nr = random_below(12);
	for (i = 0; i < nr && left.nr; i++) {
		u64 granule = random_below(3) ? SZ_2M : SZ_1G;
		u64 size = granule * (granule == SZ_2M ? 1 + random_below(400) : 1);
		struct gmem_extents out = {};
		struct gmem_record_object *obj;
		char name[GMEM_NAME_SIZE];
		unsigned int byte;

		size = take_random(&left, size, granule, &out);
		if (!size)
			continue;
		random_name(name);
		/* unique, even if there are only few names of one character */
		if (strlen(name) < 4)
			snprintf(name, sizeof(name), "obj%u", i);

		obj = draft_object(d, name);
		obj->meta.parent = random_parent(d);
		if (random_below(2))
			obj->mtime = random_next();
		obj->ranges = out;
		obj->meta.granule = granule;
		obj->meta.size = size;
		for (byte = 0; byte < sizeof(obj->meta.uuid); byte++)
			obj->meta.uuid[byte] = random_next();
		obj->meta.flags = random_next();
		obj->meta.generation = random_next();
		obj->meta.epoch = random_next();
		obj->meta.vm_class = random_next();
		obj->meta.uid = random_next();
		obj->meta.gid = random_next();
		obj->meta.mode = S_IFREG | random_below(07777);
		obj->meta.ctime = random_next();
		if (!random_below(4))
			obj->file = (struct gmem_persist_file){
				.bytes = random_below(size + 1),
				.mtime = random_next(),
				.kind = GMEM_PERSIST_FILE_DATA,
			};
		if (obj->file.kind)
			obj->mtime = 0;

		/* A hole in what is left makes the next one more interesting. */
		if (left.nr && random_below(2)) {
			struct gmem_range r = left.r[random_below(left.nr)];

			CHECK_EQ(gmem_extents_remove(&left, r.base, SZ_2M), 0);
			set_put(&d->rec.quarantined, r.base, SZ_2M);
		}
	}

	for (i = 0; i < left.nr; i++) {
		u64 base = left.r[i].base, size = left.r[i].size, n;

		while (size) {
			n = random_below(4) ?
			    min(size, (1 + random_below(200)) * SZ_2M) : size;
			set_put(sets[random_below(3 + poison)], base, n);
			base += n;
			size -= n;
		}
	}
	free(left.r);
	if (poison)
		random_bad_pages(d);
	if (!random_below(3))
		random_nodes(d);
}

void draft_free(struct draft *d)
{
	unsigned int i;

	free(d->rec.pool.r);
	free(d->rec.clean.r);
	free(d->rec.dirty.r);
	free(d->rec.quarantined.r);
	free(d->rec.bad_pages.r);
	free(d->rec.retired.r);
	free(d->rec.nodes);
	for (i = 0; i < d->rec.nr_objects; i++)
		free(d->obj[i].ranges.r);
	memset(d, 0, sizeof(*d));
}

/* The bytes of the record, in memory that ends with them. */
void *draft_write(struct draft *d, size_t *size)
{
	size_t room = gmem_record_size(&d->rec);
	void *buf = xmalloc(room), *fdt;
	int len;

	memset(buf, 0x5a, room);
	len = gmem_record_write(&d->rec, buf, room);
	CHECK(len > 0 && len <= room);
	fdt = xmalloc(len);
	memcpy(fdt, buf, len);
	free(buf);
	*size = len;
	return fdt;
}

void *tree_open(struct draft *d, size_t *room)
{
	void *fdt, *copy;
	size_t size;

	fdt = draft_write(d, &size);
	*room = size + 8192;
	copy = xmalloc(*room);
	CHECK_EQ(fdt_open_into(fdt, copy, *room), 0);
	free(fdt);
	return copy;
}

/* The node of the object that was written as number @i. */
int tree_object(void *fdt, unsigned int i)
{
	char path[32];
	int node;

	snprintf(path, sizeof(path), "/object@%x", i);
	node = fdt_path_offset(fdt, path);
	CHECK(node > 0);
	return node;
}

void *tree_close(void *fdt, size_t *size)
{
	void *copy;

	CHECK_EQ(fdt_pack(fdt), 0);
	*size = fdt_totalsize(fdt);
	copy = xmalloc(*size);
	memcpy(copy, fdt, *size);
	free(fdt);
	return copy;
}

const struct gmem_record_object *record_find(const struct gmem_record *rec,
					     const char *name)
{
	unsigned int i;

	for (i = 0; i < rec->nr_objects; i++)
		if (rec->objects[i].name && !strcmp(rec->objects[i].name, name))
			return &rec->objects[i];
	return NULL;
}

static int cmp_base(const void *a, const void *b)
{
	const struct gmem_range *x = a, *y = b;

	return x->base < y->base ? -1 : x->base > y->base;
}

static void put_all(struct gmem_extents *list, const struct gmem_extents *x)
{
	unsigned int i;

	for (i = 0; i < x->nr; i++)
		list_put(list, x->r[i].base, x->r[i].size);
}

static void check_is_set(const struct gmem_extents *x)
{
	unsigned int i;

	CHECK(x->nr <= x->cap);
	for (i = 1; i < x->nr; i++)
		CHECK(gmem_range_end(&x->r[i - 1]) < x->r[i].base);
}

/* No memory that the ranges of @obj name may be free. */
static void check_not_free(const struct gmem_record *rec,
			   const struct gmem_record_object *obj)
{
	unsigned int i;

	for (i = 0; i < obj->ranges.nr; i++) {
		const struct gmem_range *r = &obj->ranges.r[i];

		/* What is absurd names no memory. */
		if (!r->size || (r->base | r->size) % SZ_2M ||
		    r->base + r->size <= r->base ||
		    !gmem_extents_contain(&rec->pool, r->base, r->size))
			continue;
		CHECK(!gmem_extents_overlap(&rec->clean, r->base, r->size, NULL));
		CHECK(!gmem_extents_overlap(&rec->dirty, r->base, r->size, NULL));
	}
}

static void check_good_object(const struct gmem_record *rec,
			      const struct gmem_record_object *obj)
{
	const struct gmem_record_object *other;
	unsigned int i;

	CHECK(gmem_name_valid(obj->name));
	if (obj->directory.id) {
		CHECK(!obj->meta.granule && !obj->meta.size && !obj->file.kind);
	} else {
		CHECK(obj->meta.granule == SZ_2M || obj->meta.granule == SZ_1G);
		CHECK(obj->meta.size);
	}
	CHECK(!obj->meta.parent == !obj->parent);
	if (obj->parent) {
		CHECK(obj->parent < obj && !obj->parent->bad);
		CHECK_EQ(obj->parent->directory.id, obj->meta.parent);
	}
	CHECK_EQ(gmem_extents_bytes(&obj->ranges), obj->meta.size);
	for (i = 0; i < obj->ranges.nr; i++)
		CHECK((obj->ranges.r[i].base | obj->ranges.r[i].size) %
		      obj->meta.granule == 0);
	for (other = rec->objects; other < obj; other++) {
		if (other->bad)
			continue;
		CHECK(other->parent != obj->parent || strcmp(other->name, obj->name));
		CHECK(!obj->directory.id || other->directory.id != obj->directory.id);
		CHECK(memcmp(other->meta.uuid, obj->meta.uuid, 16));
	}
}

/*
 * What must hold for every record that was read, however damaged it is: the free
 * sets, what is quarantined or retired and the good objects are disjoint and together
 * the pool, nothing that any object lays claim to is free, and no bad page is.
 */
void record_check(const struct gmem_extents *pool, const struct gmem_record *rec)
{
	struct gmem_extents all = {};
	unsigned int i, p = 0;
	u64 at = 0;

	CHECK(gmem_extents_equal(&rec->pool, pool));
	check_is_set(&rec->clean);
	check_is_set(&rec->dirty);
	check_is_set(&rec->quarantined);
	check_is_set(&rec->retired);
	check_is_set(&rec->bad_pages);
	CHECK(gmem_extents_bytes(&rec->bad_pages) <=
	      GMEM_RECORD_MAX_BAD_PAGES * PAGE_SIZE);
	for (i = 0; i < rec->bad_pages.nr; i++) {
		const struct gmem_range *r = &rec->bad_pages.r[i];

		CHECK(gmem_extents_contain(pool, r->base, r->size));
		CHECK(!gmem_extents_overlap(&rec->clean, r->base, r->size, NULL));
		CHECK(!gmem_extents_overlap(&rec->dirty, r->base, r->size, NULL));
	}

	put_all(&all, &rec->clean);
	put_all(&all, &rec->dirty);
	put_all(&all, &rec->quarantined);
	put_all(&all, &rec->retired);
	for (i = 0; i < rec->nr_objects; i++) {
		check_not_free(rec, &rec->objects[i]);
		if (rec->objects[i].bad)
			continue;
		check_good_object(rec, &rec->objects[i]);
		put_all(&all, &rec->objects[i].ranges);
	}
	if (all.nr)
		qsort(all.r, all.nr, sizeof(*all.r), cmp_base);

	/* Walk through the pool; what comes next must begin where we are. */
	for (i = 0; i < all.nr; i++) {
		CHECK(all.r[i].size && (all.r[i].base | all.r[i].size) % SZ_2M == 0);
		if (!at) {
			CHECK(p < pool->nr);
			at = pool->r[p].base;
		}
		CHECK_EQ(all.r[i].base, at);
		at += all.r[i].size;
		CHECK(at <= gmem_range_end(&pool->r[p]));
		if (at == gmem_range_end(&pool->r[p])) {
			at = 0;
			p++;
		}
	}
	CHECK_EQ(p, pool->nr);
	CHECK(rec->unnamed_bytes <= gmem_extents_bytes(&rec->quarantined));
	free(all.r);
}

void golden_print(const char *which)
{
	unsigned char *fdt;
	struct draft d;
	size_t size, i;

	if (which && !strcmp(which, "poison"))
		draft_poison(&d);
	else if (which && !strcmp(which, "data"))
		draft_data(&d);
	else if (which && !strcmp(which, "directories"))
		draft_directories(&d);
	else
		draft_fixed(&d);
	fdt = draft_write(&d, &size);
	for (i = 0; i < size; i++)
		printf("%02x%s", fdt[i], i % 32 == 31 || i == size - 1 ? "\n" : "");
	free(fdt);
	draft_free(&d);
}
