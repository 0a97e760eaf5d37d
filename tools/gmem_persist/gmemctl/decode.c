// SPDX-License-Identifier: GPL-2.0
/*
 * A record as a person or a script reads it, by the kernel's own reader of records.
 *
 * What the kernel shows is the pieces of the record, one behind the other: a header and a copy
 * of the list of bad pages, the pages of blocks, the slots, and the ranges of each slot that has
 * a list of its own. Until it is sealed, some checksums are not right, and not looked at.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/align.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/sizes.h>

#include "arena.h"
#include "record.h"

#include "gmemctl.h"

/**
 * struct record - what a kernel makes of the bytes
 * @at: the piece that comes next; of lists, the first that is nobody's yet
 * @left: how many bytes are left there
 * @header: the header, which counts as sealed
 * @open: it was not
 * @pool: the pool that it says it is of; the kernel compares that with the memory map
 * @bad_pages: the bad pages
 * @bad_blocks: how many pages of blocks are damaged
 * @arena: the pool
 * @found: the objects, and slots that cannot be believed
 * @nr: how many
 * @clean: free memory, by what the next kernel knows of it
 * @dirty: likewise
 * @quarantined: kept, and nobody's
 * @retired: granules that nobody gets, for their bad pages
 */
struct record {
	char *at;
	size_t left;
	struct gmem_header_ser header;
	bool open;
	struct gmem_ranges pool;
	struct gmem_ranges bad_pages;
	unsigned int bad_blocks;
	struct gmem_arena arena;
	struct gmem_arena_node node;
	struct gmem_found *found;
	unsigned int nr;
	struct gmem_ranges clean;
	struct gmem_ranges dirty;
	struct gmem_ranges quarantined;
	struct gmem_ranges retired;
};

static void *get_memory(size_t nr, size_t size)
{
	void *p = calloc(nr + 1, size);

	if (!p)
		err(STATUS_FAILED, "the record");
	return p;
}

static void add_range(struct gmem_ranges *x, u64 base, u64 size)
{
	if (x->nr == x->cap) {
		x->cap = 2 * x->cap + 16;
		x->r = reallocarray(x->r, x->cap, sizeof(*x->r));
		if (!x->r)
			err(STATUS_FAILED, "the record");
	}
	gmem_ranges_append(x, base, size);
}

/* The next piece; NULL if the record ends before it does. */
static void *get_piece(struct record *rec, size_t size)
{
	void *piece = rec->at;

	if (size > rec->left)
		return NULL;
	rec->at += size;
	rec->left -= size;
	return piece;
}

static const char *read_header(struct record *rec)
{
	const void *page = get_piece(rec, PAGE_SIZE);
	struct gmem_header_ser *h = &rec->header;
	unsigned int i;

	if (!page)
		return "it is no header";
	memcpy(h, page, sizeof(*h));
	rec->open = h->magic == GMEM_PERSIST_MAGIC && h->state == GMEM_PERSIST_STATE_OPEN;
	if (rec->open)
		gmem_header_seal(h, GMEM_PERSIST_STATE_SEALED);
	for (i = 0; i < min(h->nr_extents, GMEM_PERSIST_MAX_EXTENTS); i++)
		add_range(&rec->pool, h->extents[i].base, h->extents[i].size);
	return gmem_header_check(h, &rec->pool);
}

static const char *read_bad_pages(struct record *rec)
{
	const struct gmem_bad_ser *bad = get_piece(rec, sizeof(*bad));

	rec->bad_pages.cap = GMEM_PERSIST_MAX_BAD_PAGES;
	rec->bad_pages.r = get_memory(rec->bad_pages.cap, sizeof(*rec->bad_pages.r));
	return bad ? gmem_bad_read(bad, &rec->pool, &rec->bad_pages) : "it ends too early";
}

/* All memory of a page that is damaged is kept: some of it may be an object's. */
static void check_block_page(struct record *rec, struct gmem_block_page_ser *page,
			     unsigned int nr)
{
	unsigned int i;

	if (rec->open)
		gmem_block_page_seal(page);
	if (gmem_block_page_good(page, nr))
		return;
	rec->bad_blocks++;
	memset(page->blocks, 0, sizeof(page->blocks));
	for (i = 0; i < nr; i++)
		memset(page->blocks[i].kept, 0xff, sizeof(page->blocks[i].kept));
}

static const char *read_blocks(struct record *rec)
{
	const unsigned int nr = gmem_ranges_bytes(&rec->pool) / SZ_1G;
	struct gmem_block_page_ser *page = NULL;
	unsigned int i, block = 0, in_page;
	u64 base;

	gmem_arena_init(&rec->arena, get_memory(nr, sizeof(struct gmem_block)), nr,
			&rec->node, 1);
	for (i = 0; i < rec->pool.nr; i++) {
		const struct gmem_range *r = &rec->pool.r[i];

		for (base = r->base; base < gmem_range_end(r); base += SZ_1G, block++) {
			in_page = block % GMEM_PERSIST_PAGE_BLOCKS;
			if (!in_page) {
				page = get_piece(rec, sizeof(*page));
				if (!page)
					return "it ends too early";
				check_block_page(rec, page,
						 min(nr - block, GMEM_PERSIST_PAGE_BLOCKS));
			}
			if (gmem_arena_add_block(&rec->arena, &page->blocks[in_page], base,
						 NUMA_NO_NODE))
				return "its pool is malformed";
		}
	}
	return NULL;
}

static const char *read_slots(struct record *rec)
{
	const struct gmem_header_ser *h = &rec->header;
	struct gmem_object_ser *slot;
	unsigned int i, nr = 0;

	for (i = 0; i < h->nr_slot_chunks; i++)
		nr += GMEM_SLOTS_PER_PAGE << h->slot_chunks[i].order;
	rec->found = get_memory(nr, sizeof(*rec->found));
	for (i = 0; i < nr; i++) {
		struct gmem_found *f = &rec->found[rec->nr];

		slot = get_piece(rec, sizeof(*slot));
		if (!slot)
			return "it ends too early";
		*f = (struct gmem_found){ .slot = slot, .id = i, .bad = gmem_slot_check(slot) };
		if (f->bad || slot->state == GMEM_PERSIST_SLOT_VALID ||
		    slot->state == GMEM_PERSIST_SLOT_HELD)
			rec->nr++;
	}
	return NULL;
}

/* Each list comes behind the number of its slot; those that the kernel has not got are missing. */
static void read_lists(struct record *rec)
{
	const struct gmem_copied_list *head;
	struct gmem_range_ser *ranges;
	unsigned int i = 0;

	while ((head = get_piece(rec, sizeof(*head)))) {
		if (head->nr > rec->left / sizeof(*ranges))
			return;
		ranges = get_piece(rec, head->nr * sizeof(*ranges));
		while (i < rec->nr && rec->found[i].id < head->slot)
			i++;
		if (i < rec->nr && rec->found[i].id == head->slot &&
		    rec->found[i].slot->nr_ranges == head->nr)
			rec->found[i].ranges = ranges;
	}
}

static void check_ranges(struct record *rec)
{
	unsigned int i;

	for (i = 0; i < rec->nr; i++) {
		struct gmem_found *f = &rec->found[i];

		/* What a damaged slot says helps whoever wants to attach the memory. */
		if (f->slot->nr_ranges <= GMEM_PERSIST_INLINE_RANGES || (f->bad && !f->ranges))
			f->ranges = f->slot->ranges;
		if (!f->bad && f->ranges)
			f->bad = gmem_slot_check_ranges(f->slot, f->ranges, &rec->pool);
	}
}

/* How many ranges can be shown; of a damaged slot, what looks like one */
static unsigned int nr_ranges(const struct gmem_found *f)
{
	unsigned int nr = 0;

	if (!f->ranges)
		return 0;
	if (f->ranges != f->slot->ranges)
		return f->slot->nr_ranges;
	while (nr < GMEM_PERSIST_INLINE_RANGES && f->ranges[nr].size)
		nr++;
	return f->bad ? nr : f->slot->nr_ranges;
}

/* What the next kernel does with what no object has */
static void settle(struct record *rec, const unsigned long *owned)
{
	struct gmem_range part;
	unsigned int i;
	u64 at;

	for (at = 0; gmem_arena_next_kept(&rec->arena, owned, at, &part);
	     at = gmem_range_end(&part))
		add_range(&rec->quarantined, part.base, part.size);
	gmem_arena_settle(&rec->arena);
	for (i = 0; i < rec->bad_pages.nr; i++)
		for (at = ALIGN_DOWN(rec->bad_pages.r[i].base, SZ_2M);
		     at < gmem_range_end(&rec->bad_pages.r[i]); at += SZ_2M)
			if (!gmem_arena_take(&rec->arena, at, SZ_2M))
				add_range(&rec->retired, at, SZ_2M);
	for (at = 0; gmem_arena_next_free(&rec->arena, at, false, &part);
	     at = gmem_range_end(&part))
		add_range(&rec->clean, part.base, part.size);
	for (at = 0; gmem_arena_next_free(&rec->arena, at, true, &part);
	     at = gmem_range_end(&part))
		add_range(&rec->dirty, part.base, part.size);
}

static const char *read_record(struct record *rec)
{
	unsigned long *owned;
	const char *bad;

	bad = read_header(rec);
	bad = bad ?: read_bad_pages(rec);
	bad = bad ?: read_blocks(rec);
	bad = bad ?: read_slots(rec);
	if (bad)
		return bad;
	read_lists(rec);
	check_ranges(rec);

	owned = get_memory(rec->arena.nr_blocks, GMEM_BLOCK_GRANULES / 8);
	if (gmem_record_judge(rec->found, rec->nr, &rec->arena, owned))
		err(STATUS_FAILED, "the record");
	settle(rec, owned);
	free(owned);
	return NULL;
}

/*
 * Printing
 */

static const char *kind(const struct gmem_object_ser *slot)
{
	return slot->kind == GMEM_PERSIST_KIND_DIRECTORY ? "directory" :
	       slot->kind == GMEM_PERSIST_KIND_DATA ? "data" : "memory";
}

/* A path can be told if all on it are good; a name, if it is one. */
static void print_path(const struct record *rec, const struct gmem_found *f)
{
	unsigned int i;

	if (f->lost)
		printf("lost+UUID/");
	for (i = 0; !f->lost && f->depth > 1 && i < rec->nr; i++)
		if (rec->found[i].id + 1ULL == f->slot->parent) {
			print_path(rec, &rec->found[i]);
			putchar('/');
			break;
		}
	if (gmem_name_valid(f->slot->name))
		fputs(f->slot->name, stdout);
}

static void print_hex(const u8 *bytes, unsigned int nr)
{
	while (nr--)
		printf("%02x", *bytes++);
}

static void print_set(const char *name, const struct gmem_ranges *x)
{
	unsigned int i;

	if (json)
		printf(",\"%s_bytes\":%llu", name, (unsigned long long)gmem_ranges_bytes(x));
	else
		printf("%-12s %llu\n", name, (unsigned long long)gmem_ranges_bytes(x));
	for (i = 0; !json && i < x->nr; i++)
		printf("  %#llx-%#llx\n", (unsigned long long)x->r[i].base,
		       (unsigned long long)gmem_range_end(&x->r[i]) - 1);
}

static const char *problem(const struct gmem_found *f)
{
	return f->lost && !f->bad ? "its directory is missing" : f->bad;
}

/* Names are of letters, digits and a few signs that JSON has no opinion of. */
static void print_json(const struct record *rec, const struct gmem_found *f)
{
	const struct gmem_object_ser *slot = f->slot;
	unsigned int i;

	printf("{\"name\":\"");
	print_path(rec, f);
	printf("\",\"problem\":");
	printf(problem(f) ? "\"%s\"" : "null", problem(f));
	printf(",\"slot\":%u,\"kind\":\"%s\",\"uuid\":\"", f->id, kind(slot));
	print_hex(slot->uuid, sizeof(slot->uuid));
	printf("\",\"token\":");
	if (gmem_slot_token_good(slot)) {
		putchar('"');
		print_hex(slot->token, sizeof(slot->token));
		putchar('"');
	} else {
		printf("null");
	}
	printf(",\"size\":%llu,\"granule\":%llu,\"flags\":%llu,\"vm_class\":%u,\"born\":%llu,\"uid\":%u,\"gid\":%u,\"mode\":%u,\"length\":%llu,\"quota_bytes\":%llu,\"quota_names\":%llu,\"holds\":%u,\"ranges\":[",
	       (unsigned long long)slot->size, (unsigned long long)slot->granule,
	       (unsigned long long)slot->flags, slot->vm_class,
	       (unsigned long long)slot->born, slot->uid, slot->gid, slot->mode,
	       (unsigned long long)(slot->kind == GMEM_PERSIST_KIND_DATA ? slot->bytes :
				    slot->size),
	       (unsigned long long)slot->quota_bytes, (unsigned long long)slot->quota_names,
	       slot->holds);
	for (i = 0; i < nr_ranges(f); i++)
		printf("%s[%llu,%llu]", i ? "," : "",
		       (unsigned long long)f->ranges[i].base,
		       (unsigned long long)f->ranges[i].size);
	printf("]}");
}

static void print_object(const struct record *rec, const struct gmem_found *f)
{
	const struct gmem_object_ser *slot = f->slot;
	unsigned int i;

	printf("object ");
	if (gmem_name_valid(slot->name))
		print_path(rec, f);
	else
		printf("(without a name)");
	printf("\n");
	if (f->bad && gmem_record_was_hidden(slot, &rec->arena))
		printf("  PROBLEM: %s: it was hidden, and nothing is lost\n", f->bad);
	else if (f->bad)
		printf("  PROBLEM: %s: the next kernel quarantines its memory\n", f->bad);
	else if (f->lost)
		printf("  PROBLEM: %s: the next kernel makes one for it\n", problem(f));
	printf("  slot %u, %s, size %llu, granule %llu, flags %#llx, VM type %u\n"
	       "  born in generation %llu, owner %u:%u, mode %o\n  uuid ",
	       f->id, kind(slot), (unsigned long long)slot->size,
	       (unsigned long long)slot->granule,
	       (unsigned long long)slot->flags, slot->vm_class,
	       (unsigned long long)slot->born, slot->uid, slot->gid, slot->mode & 07777);
	print_hex(slot->uuid, sizeof(slot->uuid));
	if (gmem_slot_token_good(slot)) {
		printf(", token ");
		print_hex(slot->token, sizeof(slot->token));
		printf("\n");
	} else {
		printf("\n  PROBLEM: its token is damaged: no saved state is taken for fresh\n");
	}
	if (slot->state == GMEM_PERSIST_SLOT_HELD)
		printf("  held by sessions, %u handles of it\n", slot->holds);
	if (slot->kind == GMEM_PERSIST_KIND_DATA)
		printf("  %llu bytes of data\n", (unsigned long long)slot->bytes);
	if (slot->quota_bytes || slot->quota_names)
		printf("  at most %llu bytes and %llu names below it (0: any)\n",
		       (unsigned long long)slot->quota_bytes,
		       (unsigned long long)slot->quota_names);
	for (i = 0; i < nr_ranges(f); i++)
		printf("  %#llx-%#llx\n", (unsigned long long)f->ranges[i].base,
		       (unsigned long long)(f->ranges[i].base + f->ranges[i].size - 1));
}

static void print_record(const struct record *rec, size_t size)
{
	unsigned int i;

	if (json)
		printf("{\"problem\":null,\"bytes\":%zu,\"state\":\"%s\",\"generation\":%llu",
		       size, rec->open ? "open" : "sealed",
		       (unsigned long long)rec->header.generation);
	else
		printf("record       %zu bytes, %s, generation %llu\n", size,
		       rec->open ? "open" : "sealed",
		       (unsigned long long)rec->header.generation);
	print_set("pool", &rec->pool);
	print_set("clean", &rec->clean);
	print_set("dirty", &rec->dirty);
	print_set("quarantined", &rec->quarantined);
	print_set("retired", &rec->retired);
	print_set("bad_pages", &rec->bad_pages);
	if (json)
		printf(",\"bad_block_pages\":%u,\"objects\":[", rec->bad_blocks);
	for (i = 0; i < rec->nr; i++) {
		if (!json)
			print_object(rec, &rec->found[i]);
		else if (i)
			printf(",");
		if (json)
			print_json(rec, &rec->found[i]);
	}
	if (json)
		printf("]}\n");
	else if (rec->bad_blocks)
		printf("PROBLEM: %u pages that tell what is free are damaged: the next kernel quarantines what they do\n",
		       rec->bad_blocks);
}

/**
 * decode - print a record, and what is wrong with it
 * @bytes: the record; it is changed
 * @size: its size in bytes
 *
 * Return: STATUS_OK; STATUS_REFUSED: nothing of it can be believed; STATUS_DAMAGED: some of
 * it cannot.
 */
int decode(void *bytes, size_t size)
{
	struct record rec = { .at = bytes, .left = size };
	const char *bad = read_record(&rec);
	unsigned int i, problems = rec.bad_blocks;

	if (bad && json)
		printf("{\"problem\":\"%s\"}\n", bad);
	else if (bad)
		printf("PROBLEM: %s: the next kernel quarantines all of the pool\n", bad);
	if (bad)
		return STATUS_REFUSED;

	print_record(&rec, size);
	for (i = 0; i < rec.nr; i++)
		problems += problem(&rec.found[i]) || !gmem_slot_token_good(rec.found[i].slot);
	return problems ? STATUS_DAMAGED : STATUS_OK;
}

/**
 * suggest - what a slot that was refused says of its memory
 * @bytes: the record; it is changed
 * @size: its size in bytes
 * @slot: number of the slot
 * @s: the answer; none of it can be believed
 */
void suggest(void *bytes, size_t size, unsigned int slot, struct suggestion *s)
{
	struct record rec = { .at = bytes, .left = size };
	const char *bad = read_record(&rec);
	const struct gmem_found *f = NULL;
	unsigned int i;

	if (bad)
		errx(STATUS_REFUSED, "the record: %s", bad);
	for (i = 0; i < rec.nr; i++)
		if (rec.found[i].id == slot && rec.found[i].bad)
			f = &rec.found[i];
	if (!f)
		errx(STATUS_FAILED, "slot %u: it was not refused", slot);

	s->nr = nr_ranges(f);
	s->ranges = get_memory(s->nr, sizeof(*s->ranges));
	for (i = 0; i < s->nr; i++)
		s->ranges[i] = (struct piece){ f->ranges[i].base, f->ranges[i].size };
	s->data = f->slot->kind == GMEM_PERSIST_KIND_DATA;
	s->granule = f->slot->granule;
	s->flags = f->slot->flags;
	s->vm_class = f->slot->vm_class;
	s->length = f->slot->bytes;
}
