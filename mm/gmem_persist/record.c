// SPDX-License-Identifier: GPL-2.0
/*
 * The pieces of the record: making them good, and reading them without trusting them.
 */

/**
 * DOC: record
 *
 * The format is described in include/linux/kho/abi/gmem_persist.h. This file knows each
 * piece of it as bytes in memory: which checksum it has, and what may stand in it; judge.c
 * knows which objects can be believed beside each other. Both know nothing of KHO, locks or
 * live objects, and are compiled in user space by tools/testing/gmem_persist/, where they are
 * fed broken records.
 *
 * Reading goes from the outside to the inside, and a piece that is refused says nothing
 * about any other:
 *
 * 1. gmem_record_read_fdt() tells where the headers are, from either subtree.
 * 2. gmem_header_check() tells whether a header can be believed: then the tables can be found.
 *    Of the two headers one is enough.
 * 3. gmem_block_page_good() and gmem_bad_read() do the same for the free memory and the bad
 *    pages, gmem_slot_check() and gmem_slot_check_ranges() for each object by itself.
 * 4. gmem_record_judge() compares the objects with each other and with the arena.
 *
 * What is wrong is told as a text for the log; NULL means that nothing is.
 */
#include <linux/align.h>
#include <linux/crc32.h>
#include <linux/ctype.h>
#include <linux/errno.h>
#include <linux/libfdt.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/stat.h>
#include <linux/string.h>

#include "record.h"

static u32 gmem_record_crc(const void *p, size_t size)
{
	return crc32_le(~0, p, size);
}

/* The checksum of a structure with 0 for the u32 at offset @at, which is its own. */
static u32 gmem_record_own_crc(const void *p, size_t size, size_t at)
{
	const u32 zero = 0;
	u32 crc = gmem_record_crc(p, at);

	crc = crc32_le(crc, (const void *)&zero, sizeof(zero));
	return crc32_le(crc, p + at + sizeof(zero), size - at - sizeof(zero));
}

/*
 * The way in
 */

static u32 gmem_record_headers_crc(const struct gmem_headers_ser *headers)
{
	return gmem_record_crc(headers->phys, sizeof(headers->phys));
}

/**
 * gmem_record_write_fdt - write the tree of a subtree
 * @buf: where to write it
 * @size: room there in bytes; %GMEM_RECORD_FDT_SIZE is enough
 * @headers: physical addresses of the two headers
 *
 * Context: Any.
 * Return: the length of the tree in bytes, or -ENOSPC (@size is too small).
 */
int gmem_record_write_fdt(void *buf, size_t size, const u64 headers[2])
{
	struct gmem_headers_ser ser = { .phys = { headers[0], headers[1] } };
	const u64 features[2] = {};
	const u64 page_size = PAGE_SIZE;

	ser.crc = gmem_record_headers_crc(&ser);
	if (fdt_create(buf, size) || fdt_finish_reservemap(buf) ||
	    fdt_begin_node(buf, "") ||
	    fdt_property_string(buf, "compatible", GMEM_PERSIST_COMPATIBLE) ||
	    fdt_property(buf, "page-size", &page_size, sizeof(page_size)) ||
	    fdt_property(buf, "features", features, sizeof(features)) ||
	    fdt_property(buf, "headers", &ser, sizeof(ser)) ||
	    fdt_end_node(buf) || fdt_finish(buf))
		return -ENOSPC;
	return fdt_totalsize(buf);
}

/* Properties are aligned to 4 bytes only, so they are copied. */
static bool gmem_record_get_prop(const void *fdt, const char *name, void *value, int size)
{
	const void *prop;
	int len;

	prop = fdt_getprop(fdt, 0, name, &len);
	if (!prop || len != size)
		return false;
	memcpy(value, prop, size);
	return true;
}

/**
 * gmem_record_read_fdt - read the tree of a subtree
 * @fdt: the tree
 * @size: size of the memory that it lies in, in bytes
 * @headers: where to put the physical addresses of the two headers; they are not changed if
 *	the tree cannot be believed
 *
 * The addresses are those of pages, and not the same. They may be anywhere.
 *
 * Context: Any.
 * Return: NULL, or why the tree cannot be believed.
 */
const char *gmem_record_read_fdt(const void *fdt, size_t size, u64 headers[2])
{
	struct gmem_headers_ser ser;
	u64 page_size, features[2];

	if (size < sizeof(struct fdt_header) || fdt_check_header(fdt) ||
	    fdt_totalsize(fdt) > size)
		return "it is no device tree";
	if (fdt_node_check_compatible(fdt, 0, GMEM_PERSIST_COMPATIBLE))
		return "its format is unknown";
	if (!gmem_record_get_prop(fdt, "page-size", &page_size, sizeof(page_size)))
		return "its page size is missing";
	if (page_size != PAGE_SIZE)
		return "it was written by a kernel with another page size";
	if (!gmem_record_get_prop(fdt, "features", features, sizeof(features)))
		return "its features are missing";
	if (features[0])
		return "it needs features that this kernel does not have";
	if (!gmem_record_get_prop(fdt, "headers", &ser, sizeof(ser)))
		return "its headers are missing";
	if (ser.crc != gmem_record_headers_crc(&ser))
		return "its checksum is wrong";
	if (ser.reserved || !ser.phys[0] || !ser.phys[1] || ser.phys[0] == ser.phys[1] ||
	    !IS_ALIGNED(ser.phys[0] | ser.phys[1], PAGE_SIZE))
		return "its headers are nowhere";

	headers[0] = ser.phys[0];
	headers[1] = ser.phys[1];
	return NULL;
}

/*
 * Headers
 */

static u32 gmem_header_crc(const struct gmem_header_ser *h)
{
	return gmem_record_own_crc(h, sizeof(*h), offsetof(struct gmem_header_ser, crc));
}

/**
 * gmem_header_seal - set the state of a header, and its checksum
 * @h: the header
 * @state: %GMEM_PERSIST_STATE_SEALED, or %GMEM_PERSIST_STATE_OPEN to undo that
 *
 * Context: Any; nobody else changes the header.
 */
void gmem_header_seal(struct gmem_header_ser *h, u32 state)
{
	h->state = state;
	h->crc = gmem_header_crc(h);
}

static u64 gmem_header_chunk_size(const struct gmem_chunk_ser *chunk)
{
	return (u64)PAGE_SIZE << chunk->order;
}

/* @max_order is small: nothing overflows. */
static bool gmem_header_chunk_valid(const struct gmem_chunk_ser *chunk, unsigned int max_order)
{
	return chunk->order <= max_order && chunk->phys && !chunk->reserved &&
	       IS_ALIGNED(chunk->phys, gmem_header_chunk_size(chunk)) &&
	       chunk->phys <= U64_MAX - gmem_header_chunk_size(chunk);
}

/* All that a header points to, the copies of the list of bad pages being the last two */
static unsigned int gmem_header_nr_chunks(const struct gmem_header_ser *h)
{
	return h->nr_block_chunks + h->nr_slot_chunks + 2;
}

static struct gmem_chunk_ser gmem_header_chunk(const struct gmem_header_ser *h,
					       unsigned int i)
{
	if (i < h->nr_block_chunks)
		return h->block_chunks[i];
	i -= h->nr_block_chunks;
	if (i < h->nr_slot_chunks)
		return h->slot_chunks[i];
	i -= h->nr_slot_chunks;
	return (struct gmem_chunk_ser){ .phys = h->bad[i], .order = GMEM_PERSIST_BAD_ORDER };
}

static const char *gmem_header_check_chunk(const struct gmem_header_ser *h, unsigned int i,
					   const struct gmem_ranges *pool)
{
	const struct gmem_chunk_ser chunk = gmem_header_chunk(h, i);
	unsigned int j;

	if (!gmem_header_chunk_valid(&chunk, GMEM_PERSIST_MAX_CHUNK_ORDER))
		return "a table of it is nowhere";
	if (gmem_ranges_overlap(pool, chunk.phys, gmem_header_chunk_size(&chunk), NULL))
		return "a table of it lies in the pool";

	for (j = 0; j < i; j++) {
		const struct gmem_chunk_ser other = gmem_header_chunk(h, j);

		if (chunk.phys < other.phys + gmem_header_chunk_size(&other) &&
		    other.phys < chunk.phys + gmem_header_chunk_size(&chunk))
			return "tables of it overlap";
	}
	return NULL;
}

static const char *gmem_header_check_pool(const struct gmem_header_ser *h,
					  const struct gmem_ranges *pool)
{
	u64 end = 0;
	unsigned int i;

	for (i = 0; i < h->nr_extents; i++) {
		const struct gmem_range_ser *r = &h->extents[i];

		if (!r->size || !IS_ALIGNED(r->base | r->size, SZ_1G) || r->base < end ||
		    r->size > U64_MAX - r->base)
			return "its pool is malformed";
		end = r->base + r->size;
	}

	/* More or less memory would give each block behind it another meaning. */
	for (i = 0; i < h->nr_extents && i < pool->nr; i++)
		if (h->extents[i].base != pool->r[i].base ||
		    h->extents[i].size != pool->r[i].size)
			break;
	if (i != h->nr_extents || i != pool->nr)
		return "its pool is not the memory that the firmware map names";
	return NULL;
}

static u64 gmem_header_pages(const struct gmem_chunk_ser *chunks, unsigned int nr)
{
	u64 pages = 0;
	unsigned int i;

	for (i = 0; i < nr; i++)
		pages += 1ULL << chunks[i].order;
	return pages;
}

/**
 * gmem_header_check - can a header be believed
 * @h: the header
 * @pool: the memory that the pool really consists of, a set; multiples of 1 GiB
 *
 * Then all tables are where no other one is, outside of the pool, and large enough.
 * Whether anybody else has the memory that they lie in is not checked, nor is anything in
 * them.
 *
 * Context: Any.
 * Return: NULL, or why nothing in it can be believed.
 */
const char *gmem_header_check(const struct gmem_header_ser *h,
			      const struct gmem_ranges *pool)
{
	const char *bad;
	unsigned int i;

	if (h->magic != GMEM_PERSIST_MAGIC)
		return "it is no header";
	/* The checksum of an open header need not be right. */
	if (h->state == GMEM_PERSIST_STATE_OPEN)
		return "it is not sealed";
	if (h->crc != gmem_header_crc(h))
		return "its checksum is wrong";
	if (h->state != GMEM_PERSIST_STATE_SEALED)
		return "its state is unknown";
	if (h->nr_extents > GMEM_PERSIST_MAX_EXTENTS ||
	    h->nr_block_chunks > GMEM_PERSIST_MAX_BLOCK_CHUNKS ||
	    h->nr_slot_chunks > GMEM_PERSIST_MAX_SLOT_CHUNKS)
		return "it has too many tables";
	if (!mem_is_zero(h->reserved, sizeof(h->reserved)))
		return "its attributes are unknown";

	bad = gmem_header_check_pool(h, pool);
	if (bad)
		return bad;
	for (i = 0; i < gmem_header_nr_chunks(h); i++) {
		bad = gmem_header_check_chunk(h, i, pool);
		if (bad)
			return bad;
	}

	/* A block is found by its number alone. */
	for (i = 0; i + 1 < h->nr_block_chunks; i++)
		if (h->block_chunks[i].order != GMEM_PERSIST_MAX_CHUNK_ORDER)
			return "its table of blocks has a hole";
	if (gmem_ranges_bytes(pool) / SZ_1G >
	    gmem_header_pages(h->block_chunks, h->nr_block_chunks) * GMEM_PERSIST_PAGE_BLOCKS)
		return "its table of blocks is too small";
	if (h->nr_objects >
	    gmem_header_pages(h->slot_chunks, h->nr_slot_chunks) * GMEM_SLOTS_PER_PAGE)
		return "it has too many objects";
	return NULL;
}

/*
 * Blocks
 */

static u32 gmem_block_page_crc(const struct gmem_block_page_ser *page)
{
	return gmem_record_own_crc(page, sizeof(*page),
				   offsetof(struct gmem_block_page_ser, crc));
}

/**
 * gmem_block_page_seal - set the checksum of a page of blocks
 * @page: the page
 *
 * Context: Any; nobody changes the page.
 */
void gmem_block_page_seal(struct gmem_block_page_ser *page)
{
	page->crc = gmem_block_page_crc(page);
}

/**
 * gmem_block_page_good - can a page of blocks be believed
 * @page: the page, of a record that was sealed
 * @nr: how many blocks are to be in it
 *
 * Any bits may stand in the blocks: each combination has a meaning.
 *
 * Context: Any.
 * Return: true if so.
 */
bool gmem_block_page_good(const struct gmem_block_page_ser *page, unsigned int nr)
{
	return page->crc == gmem_block_page_crc(page) && page->nr == nr && !page->reserved;
}

/*
 * Bad pages
 */

static u32 gmem_bad_crc(const struct gmem_bad_ser *bad)
{
	return gmem_record_crc(&bad->nr, sizeof(bad->nr) + bad->nr * sizeof(*bad->addr));
}

/**
 * gmem_bad_write - write a copy of the list of bad pages
 * @bad: the copy
 * @pages: the bad pages, a set; at most %GMEM_PERSIST_MAX_BAD_PAGES, what is more is left out
 *
 * The copy is good again when this returns, and may be anything in between: the other one is
 * written after that.
 *
 * Context: Any; nobody else writes or reads the copy.
 */
void gmem_bad_write(struct gmem_bad_ser *bad, const struct gmem_ranges *pages)
{
	unsigned int i, nr = 0;
	u64 addr;

	for (i = 0; i < pages->nr; i++)
		for (addr = pages->r[i].base;
		     addr < gmem_range_end(&pages->r[i]) && nr < GMEM_PERSIST_MAX_BAD_PAGES;
		     addr += PAGE_SIZE)
			bad->addr[nr++] = addr;
	bad->nr = nr;
	bad->crc = gmem_bad_crc(bad);
}

/**
 * gmem_bad_read - read a copy of the list of bad pages
 * @bad: the copy
 * @pool: the memory of the pool, a set
 * @pages: where to put the bad pages, a set; what was in it goes. There must be room for
 *	%GMEM_PERSIST_MAX_BAD_PAGES entries
 *
 * A list that is wrong costs everything: any page may be the one that it should have named.
 * That is why there are two.
 *
 * Context: Any.
 * Return: NULL, or why the copy cannot be believed; then @pages is empty.
 */
const char *gmem_bad_read(const struct gmem_bad_ser *bad, const struct gmem_ranges *pool,
			  struct gmem_ranges *pages)
{
	u64 end = 0;
	unsigned int i;

	pages->nr = 0;
	if (bad->nr > GMEM_PERSIST_MAX_BAD_PAGES)
		return "it has too many bad pages";
	if (bad->crc != gmem_bad_crc(bad))
		return "its checksum is wrong";

	for (i = 0; i < bad->nr; i++) {
		const u64 addr = bad->addr[i];

		if (!IS_ALIGNED(addr, PAGE_SIZE) || addr < end ||
		    !gmem_ranges_contain(pool, addr, PAGE_SIZE) ||
		    gmem_ranges_append(pages, addr, PAGE_SIZE)) {
			pages->nr = 0;
			return "its list of bad pages is malformed";
		}
		end = addr + PAGE_SIZE;
	}
	return NULL;
}

/*
 * Slots
 */

/**
 * gmem_name_valid - may an object be called that
 * @name: the name, in a buffer of at least %GMEM_PERSIST_NAME_SIZE bytes or NUL-terminated
 *
 * A name is a file name: 1 to 63 letters, digits and the characters ``._-+:@=``,
 * and does not begin with a dot.
 *
 * Context: Any.
 * Return: true if so.
 */
bool gmem_name_valid(const char *name)
{
	size_t len = strnlen(name, GMEM_PERSIST_NAME_SIZE);
	size_t i;

	if (!len || len == GMEM_PERSIST_NAME_SIZE || name[0] == '.')
		return false;
	for (i = 0; i < len; i++)
		if (!isascii(name[i]) ||
		    (!isalnum(name[i]) && !strchr("._-+:@=", name[i])))
			return false;
	return true;
}

static u32 gmem_slot_crc(const struct gmem_object_ser *slot)
{
	return gmem_record_crc(&slot->state, offsetof(struct gmem_object_ser, token_crc) -
			       offsetof(struct gmem_object_ser, state));
}

/**
 * gmem_slot_seal - set the checksum of a slot
 * @slot: the slot, with the state that it is to have
 *
 * The token has a checksum of its own, see gmem_slot_set_token(), as it changes under those
 * who only hold the object.
 *
 * Context: Any; nobody else changes the slot, but for its token.
 */
void gmem_slot_seal(struct gmem_object_ser *slot)
{
	slot->crc = gmem_slot_crc(slot);
}

/**
 * gmem_slot_sealed - is a slot what somebody has written there
 * @slot: the slot
 *
 * Context: Any.
 * Return: true if its checksum is right, whatever it says.
 */
bool gmem_slot_sealed(const struct gmem_object_ser *slot)
{
	return slot->crc == gmem_slot_crc(slot);
}

static u32 gmem_slot_token_crc(const struct gmem_object_ser *slot)
{
	return gmem_record_crc(slot->token, sizeof(slot->token));
}

/**
 * gmem_slot_set_token - set the token of a slot, and its checksum
 * @slot: the slot
 * @token: the token
 *
 * In between nobody knows who has written: gmem_slot_token_good() tells.
 *
 * Context: Any; nobody else changes the token.
 */
void gmem_slot_set_token(struct gmem_object_ser *slot, const u8 token[16])
{
	memcpy(slot->token, token, sizeof(slot->token));
	slot->token_crc = gmem_slot_token_crc(slot);
}

/**
 * gmem_slot_token_good - is the token the one that was set
 * @slot: the slot
 *
 * Context: Any.
 * Return: true if so; false if it is damaged, or there never was one.
 */
bool gmem_slot_token_good(const struct gmem_object_ser *slot)
{
	return slot->token_crc == gmem_slot_token_crc(slot);
}

/**
 * gmem_record_ranges_crc - the checksum of a list of ranges
 * @ranges: the ranges
 * @nr: how many
 *
 * Context: Any.
 * Return: what is to stand in struct gmem_object_ser.list_crc.
 */
u32 gmem_record_ranges_crc(const struct gmem_range_ser *ranges, unsigned int nr)
{
	return gmem_record_ranges_crc_on(~0, ranges, nr);
}

/**
 * gmem_record_ranges_crc_on - the checksum of a list that has more ranges
 * @crc: checksum of the first ones
 * @ranges: those behind them
 * @nr: how many these are
 *
 * Context: Any.
 * Return: the checksum of all.
 */
u32 gmem_record_ranges_crc_on(u32 crc, const struct gmem_range_ser *ranges, unsigned int nr)
{
	return crc32_le(crc, (const void *)ranges, nr * sizeof(*ranges));
}

static const char *gmem_slot_check_directory(const struct gmem_object_ser *slot)
{
	if (slot->size || slot->granule || slot->nr_ranges || slot->list.phys)
		return "it is a directory with memory";
	if (slot->flags || slot->vm_class || slot->bytes)
		return "its attributes are unknown";
	return NULL;
}

/* Where the ranges are, and how many */
static const char *gmem_slot_check_list(const struct gmem_object_ser *slot)
{
	if (!slot->nr_ranges != !slot->size || slot->nr_ranges > slot->size / slot->granule)
		return "its size is not that of its ranges";
	if (slot->nr_ranges <= GMEM_PERSIST_INLINE_RANGES)
		return mem_is_zero(&slot->list, sizeof(slot->list)) ?
			NULL : "it has a list of ranges too many";
	if (!gmem_header_chunk_valid(&slot->list, GMEM_PERSIST_MAX_LIST_ORDER))
		return "its list of ranges is nowhere";
	if (slot->nr_ranges > gmem_header_chunk_size(&slot->list) / sizeof(*slot->ranges))
		return "its list of ranges is too short";
	return NULL;
}

/* @slot->flags and vm_class are no concern of ours: who claims the object compares them. */
static const char *gmem_slot_check_file(const struct gmem_object_ser *slot)
{
	if (slot->granule != SZ_2M && slot->granule != SZ_1G)
		return "its granule is unknown";
	if (!IS_ALIGNED(slot->size, slot->granule))
		return "its size is malformed";
	if (slot->kind == GMEM_PERSIST_KIND_DATA ? slot->bytes > slot->size : slot->bytes)
		return "its file is longer than its memory";
	if (slot->quota_bytes || slot->quota_names)
		return "its attributes are unknown";
	return gmem_slot_check_list(slot);
}

static const char *gmem_slot_check_named(const struct gmem_object_ser *slot)
{
	if (!gmem_name_valid(slot->name))
		return "its name is missing or malformed";
	return slot->holds || slot->held_in ? "its attributes are unknown" : NULL;
}

/* Without a name there is no directory that it is in. */
static const char *gmem_slot_check_held(const struct gmem_object_ser *slot)
{
	if (!mem_is_zero(slot->name, sizeof(slot->name)) || slot->parent)
		return "it is held, and has a name";
	if (!slot->holds || slot->kind == GMEM_PERSIST_KIND_DIRECTORY)
		return "it is held by nobody";
	return NULL;
}

/**
 * gmem_slot_check - can a slot be believed
 * @slot: the slot
 *
 * A slot that is not used is all 0. Of a hidden one nothing but its checksum is checked. The
 * list of ranges of a valid one, or of one that is held, may be anywhere: whether it can be read
 * is for the caller to find out. The token is not looked at.
 *
 * Context: Any.
 * Return: NULL, and then the state tells which of the four it is; or why the slot cannot be
 * believed.
 */
const char *gmem_slot_check(const struct gmem_object_ser *slot)
{
	const char *bad;
	u32 type;

	if (slot->state == GMEM_PERSIST_SLOT_UNUSED)
		return mem_is_zero(slot, sizeof(*slot)) ? NULL : "its state is unknown";
	if (!gmem_slot_sealed(slot))
		return "its checksum is wrong";
	if (slot->state == GMEM_PERSIST_SLOT_HIDDEN)
		return NULL;
	if (slot->state == GMEM_PERSIST_SLOT_REFUSED)
		return "an earlier kernel has refused it";
	if (slot->state == GMEM_PERSIST_SLOT_HELD)
		bad = gmem_slot_check_held(slot);
	else if (slot->state == GMEM_PERSIST_SLOT_VALID)
		bad = gmem_slot_check_named(slot);
	else
		bad = "its state is unknown";
	if (bad)
		return bad;
	if (!mem_is_zero(slot->reserved, sizeof(slot->reserved)))
		return "its attributes are unknown";
	if (slot->kind > GMEM_PERSIST_KIND_DIRECTORY)
		return "its kind of file is unknown";

	type = slot->kind == GMEM_PERSIST_KIND_DIRECTORY ? S_IFDIR : S_IFREG;
	if ((slot->mode & ~07777) != type)
		return "its mode is not that of its kind";
	return type == S_IFDIR ? gmem_slot_check_directory(slot) : gmem_slot_check_file(slot);
}

/**
 * gmem_slot_check_ranges - can the ranges of an object be believed
 * @slot: its slot, which gmem_slot_check() has found good
 * @ranges: its ranges, as many as the slot says, wherever they are
 * @pool: the memory of the pool, a set
 *
 * Whether any granule is named twice, be it by this object alone, is for gmem_record_judge()
 * to tell.
 *
 * Context: Any.
 * Return: NULL, or why they cannot be believed.
 */
const char *gmem_slot_check_ranges(const struct gmem_object_ser *slot,
				   const struct gmem_range_ser *ranges,
				   const struct gmem_ranges *pool)
{
	u64 left = slot->size;
	unsigned int i;

	if (slot->nr_ranges > GMEM_PERSIST_INLINE_RANGES &&
	    slot->list_crc != gmem_record_ranges_crc(ranges, slot->nr_ranges))
		return "the checksum of its ranges is wrong";

	for (i = 0; i < slot->nr_ranges; i++) {
		const struct gmem_range_ser *r = &ranges[i];

		if (!r->size || !IS_ALIGNED(r->base | r->size, slot->granule))
			return "a range is malformed";
		if (!gmem_ranges_contain(pool, r->base, r->size))
			return "a range lies outside of the pool";
		if (r->size > left)
			break;
		left -= r->size;
	}
	return left || i < slot->nr_ranges ? "its size is not that of its ranges" : NULL;
}
