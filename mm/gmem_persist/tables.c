// SPDX-License-Identifier: GPL-2.0
/*
 * Where the record lies, and which piece of it is whose.
 */

/**
 * DOC: tables
 *
 * The record (see include/linux/kho/abi/gmem_persist.h) consists of folios that KHO
 * preserves from the moment they are allocated: *tables*, which are chains of *chunks* that
 * the header lists, and the list of ranges of an object that is in many pieces. What the
 * kernel works on is in there; nothing is copied on the way out.
 *
 * Only making something allocates: a new slot may need a new chunk, which is added while no
 * spinlock is held, and never goes again. All else changes what is there.
 *
 * On the way in, the tables of the last kernel become ours where they are: KHO gives the
 * folios back, which needs no memory, and they are preserved anew, which can be tried again.
 * Pieces that are damaged stay as they are found, but for a page of blocks, of which all is
 * taken for kept then.
 *
 * Without KHO the same tables lie in the same kind of memory, and nobody will find them.
 */
#include "internal.h"

#include <linux/debugfs.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kexec_handover.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#define BLOCK_PAGES_PER_CHUNK	BIT(GMEM_PERSIST_MAX_CHUNK_ORDER)

static struct gmem_header_ser *headers[2];
static struct gmem_bad_ser *bad_tables[2];
static struct gmem_block_page_ser *block_chunks[GMEM_PERSIST_MAX_BLOCK_CHUNKS];
/* All tables are there. */
static bool tables_complete;
static bool published;

/*
 * Folios
 */

/**
 * gmem_tables_alloc - allocate a piece of the record
 * @order: of the folio
 * @gfp: flags beside GFP_KERNEL
 *
 * Context: process context.
 * Return: the piece, zeroed and preserved, or NULL: no memory.
 */
void *gmem_tables_alloc(unsigned int order, gfp_t gfp)
{
	struct folio *folio = folio_alloc(GFP_KERNEL | __GFP_ZERO | gfp, order);

	if (!folio)
		return NULL;
	if (kho_is_enabled() && kho_preserve_folio(folio)) {
		folio_put(folio);
		return NULL;
	}
	return folio_address(folio);
}

/**
 * gmem_tables_free - free a piece of the record
 * @p: from gmem_tables_alloc() or gmem_tables_adopt()
 *
 * Context: process context.
 */
void gmem_tables_free(void *p)
{
	struct folio *folio = virt_to_folio(p);

	if (kho_is_enabled())
		kho_unpreserve_folio(folio);
	folio_put(folio);
}

/* The command line (memmap=) may have hidden some of the record: that has no mapping here. */
static bool gmem_tables_is_ram(u64 phys, unsigned int order)
{
	return region_intersects(phys, PAGE_SIZE << order, IORESOURCE_SYSTEM_RAM,
				 IORES_DESC_NONE) == REGION_INTERSECTS;
}

/**
 * gmem_tables_adopt - take over a piece of the last kernel's record
 * @phys: where it is, as a piece with a right checksum says
 * @order: of the folio
 *
 * It needs no memory. The caller has it preserved for the next kernel, by
 * gmem_tables_preserve().
 *
 * Context: process context.
 * Return: the piece; NULL: it is none, or not all of it is RAM to this kernel.
 */
void *gmem_tables_adopt(u64 phys, unsigned int order)
{
	struct folio *folio;

	if (!gmem_tables_is_ram(phys, order))
		return NULL;
	folio = kho_restore_folio(phys);
	if (!folio || folio_order(folio) != order)
		return NULL;
	return folio_address(folio);
}

/**
 * gmem_tables_preserve - let the next kernel find a piece where it is
 * @p: from gmem_tables_adopt(), or NULL; it may have been preserved before
 *
 * Context: process context.
 * Return: 0 or -ENOMEM; it may be tried again.
 */
int gmem_tables_preserve(void *p)
{
	if (!p || !kho_is_enabled())
		return 0;
	return kho_preserve_folio(virt_to_folio(p));
}

static struct gmem_chunk_ser gmem_tables_chunk(void *p, unsigned int order)
{
	return (struct gmem_chunk_ser){ .phys = virt_to_phys(p), .order = order };
}

/*
 * Blocks
 */

static unsigned int gmem_tables_nr_blocks(void)
{
	return gmem_ranges_bytes(&gmem_pool.ranges) / SZ_1G;
}

static unsigned int gmem_tables_nr_block_pages(void)
{
	return DIV_ROUND_UP(gmem_tables_nr_blocks(), GMEM_PERSIST_PAGE_BLOCKS);
}

static struct gmem_block_page_ser *gmem_tables_block_page(unsigned int i)
{
	return &block_chunks[i / BLOCK_PAGES_PER_CHUNK][i % BLOCK_PAGES_PER_CHUNK];
}

/* How many blocks are in a page */
static unsigned int gmem_tables_blocks_in(unsigned int page)
{
	return min(gmem_tables_nr_blocks() - page * GMEM_PERSIST_PAGE_BLOCKS,
		   GMEM_PERSIST_PAGE_BLOCKS);
}

/**
 * gmem_tables_block - the block of a GiB of the pool
 * @i: the GiB, counted through all extents in ascending order
 *
 * Return: the block.
 */
struct gmem_block_ser *gmem_tables_block(unsigned int i)
{
	return &gmem_tables_block_page(i / GMEM_PERSIST_PAGE_BLOCKS)
			->blocks[i % GMEM_PERSIST_PAGE_BLOCKS];
}

/* Nothing is free, and all of it is dirty and, with @kept, not to be touched. */
static void gmem_tables_init_block_page(unsigned int i, bool kept)
{
	struct gmem_block_page_ser *page = gmem_tables_block_page(i);
	unsigned int k;

	memset(page, 0, sizeof(*page));
	page->nr = gmem_tables_blocks_in(i);
	for (k = 0; k < page->nr; k++) {
		memset(page->blocks[k].dirty, 0xff, sizeof(page->blocks[k].dirty));
		if (kept)
			memset(page->blocks[k].kept, 0xff, sizeof(page->blocks[k].kept));
	}
}

static int gmem_tables_make_blocks(bool kept)
{
	const unsigned int pages = gmem_tables_nr_block_pages();
	unsigned int i, order;

	for (i = headers[0]->nr_block_chunks; i * BLOCK_PAGES_PER_CHUNK < pages; i++) {
		order = get_order((u64)min(pages - i * BLOCK_PAGES_PER_CHUNK,
					   BLOCK_PAGES_PER_CHUNK) << PAGE_SHIFT);
		if (i == GMEM_PERSIST_MAX_BLOCK_CHUNKS)
			return -ENOMEM;
		block_chunks[i] = gmem_tables_alloc(order, 0);
		if (!block_chunks[i])
			return -ENOMEM;
		headers[0]->block_chunks[i] = gmem_tables_chunk(block_chunks[i], order);
		headers[0]->nr_block_chunks++;
	}
	for (i = 0; i < pages; i++)
		gmem_tables_init_block_page(i, kept);
	return 0;
}

static bool gmem_tables_adopt_blocks(void)
{
	unsigned int i, damaged = 0, gib = 0;

	for (i = 0; i < headers[0]->nr_block_chunks; i++) {
		const struct gmem_chunk_ser *chunk = &headers[0]->block_chunks[i];

		block_chunks[i] = gmem_tables_adopt(chunk->phys, chunk->order);
		if (!block_chunks[i])
			return false;
	}
	for (i = 0; i < gmem_tables_nr_block_pages(); i++) {
		if (gmem_block_page_good(gmem_tables_block_page(i), gmem_tables_blocks_in(i)))
			continue;
		gmem_tables_init_block_page(i, true);
		gib += gmem_tables_blocks_in(i);
		damaged++;
	}
	if (damaged)
		pr_err("%u pages of the record that tell what is free are damaged: all of their %u GiB that is no object's is quarantined\n",
		       damaged, gib);
	return true;
}

/*
 * Bad pages
 */

static int gmem_tables_make_bad(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (!bad_tables[i])
			bad_tables[i] = gmem_tables_alloc(GMEM_PERSIST_BAD_ORDER, 0);
		if (!bad_tables[i])
			return -ENOMEM;
		headers[0]->bad[i] = virt_to_phys(bad_tables[i]);
		gmem_bad_write(bad_tables[i], &gmem_pool.bad_pages);
	}
	return 0;
}

/* What there are two of; if one is hidden, a new one takes its place, of which nothing is right. */
static void *gmem_tables_adopt_copy(u64 phys, unsigned int order)
{
	return gmem_tables_adopt(phys, order) ?: gmem_tables_alloc(order, 0);
}

static bool gmem_tables_adopt_bad(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		bad_tables[i] = gmem_tables_adopt_copy(headers[0]->bad[i], GMEM_PERSIST_BAD_ORDER);
		if (!bad_tables[i])
			return false;
		headers[0]->bad[i] = virt_to_phys(bad_tables[i]);
	}
	return true;
}

/**
 * gmem_tables_write_bad - let the record know of all bad pages
 *
 * A kexec may come at any moment: one of the two copies is good then.
 *
 * Context: gmem_pool.lock is held.
 */
void gmem_tables_write_bad(void)
{
	lockdep_assert_held(&gmem_pool.lock);

	gmem_bad_write(bad_tables[0], &gmem_pool.bad_pages);
	/* Not both at once */
	barrier();
	gmem_bad_write(bad_tables[1], &gmem_pool.bad_pages);
}

/* Take over which pages are bad; gmem_pool.bad_pages is empty and has room for all. */
static const char *gmem_tables_read_bad(void)
{
	const struct gmem_bad_ser *a = bad_tables[0], *b = bad_tables[1];
	const char *bad;

	/* The first is written first. */
	bad = gmem_bad_read(a, &gmem_pool.ranges, &gmem_pool.bad_pages);
	if (bad)
		bad = gmem_bad_read(b, &gmem_pool.ranges, &gmem_pool.bad_pages);
	if (bad)
		return bad;
	guard(spinlock)(&gmem_pool.lock);
	gmem_tables_write_bad();
	return NULL;
}

/*
 * Headers
 */

static bool gmem_tables_adopt_slots(void)
{
	const struct gmem_header_ser *h = headers[0];
	unsigned int i;

	for (i = 0; i < h->nr_slot_chunks; i++) {
		void *slots = gmem_tables_adopt(h->slot_chunks[i].phys,
						h->slot_chunks[i].order);

		if (!slots)
			return false;
		gmem_chunks_add(slots, h->slot_chunks[i].order);
	}
	return true;
}

/**
 * gmem_tables_add_slots - list one more chunk of slots
 * @slots: the chunk
 * @order: of its folio
 *
 * Context: gmem_pool.lock is held.
 * Return: 0, -EBUSY (the pool is frozen), -ENOSPC (the header has no room for more).
 */
int gmem_tables_add_slots(void *slots, unsigned int order)
{
	const unsigned int nr = headers[0]->nr_slot_chunks;
	unsigned int i;

	lockdep_assert_held(&gmem_pool.lock);

	if (gmem_pool.holders)
		return -EBUSY;
	if (nr == GMEM_PERSIST_MAX_SLOT_CHUNKS)
		return -ENOSPC;
	for (i = 0; i < 2; i++) {
		headers[i]->slot_chunks[nr] = gmem_tables_chunk(slots, order);
		headers[i]->nr_slot_chunks = nr + 1;
	}
	return 0;
}

static void gmem_tables_init_header(struct gmem_header_ser *h)
{
	unsigned int i;

	h->magic = GMEM_PERSIST_MAGIC;
	h->nr_extents = gmem_pool.ranges.nr;
	for (i = 0; i < gmem_pool.ranges.nr; i++)
		h->extents[i] = (struct gmem_range_ser){
			.base = gmem_pool.ranges.r[i].base,
			.size = gmem_pool.ranges.r[i].size,
		};
}

/* What was found of others is left alone. */
static void gmem_tables_forget(void)
{
	gmem_chunks_forget();
	memset(headers, 0, sizeof(headers));
	memset(block_chunks, 0, sizeof(block_chunks));
	memset(bad_tables, 0, sizeof(bad_tables));
}

/**
 * gmem_tables_make - begin with new tables
 * @kept: what is in the pool is not to be touched; otherwise nothing of it is free yet
 *
 * Context: process context; nobody uses the pool yet.
 * Return: 0 or -ENOMEM; it may be tried again, and goes on then.
 */
int gmem_tables_make(bool kept)
{
	unsigned int i;
	int err;

	for (i = 0; i < 2; i++) {
		if (!headers[i])
			headers[i] = gmem_tables_alloc(0, 0);
		if (!headers[i])
			return -ENOMEM;
	}
	gmem_tables_init_header(headers[0]);
	err = gmem_tables_make_blocks(kept);
	if (err)
		return err;
	err = gmem_tables_make_bad();
	if (err)
		return err;
	smp_store_release(&tables_complete, true);	/* for gmem_tables_copy() */
	gmem_tables_set_state(GMEM_PERSIST_STATE_OPEN);
	return 0;
}

/**
 * gmem_tables_set_state - seal the record, or open it
 * @state: GMEM_PERSIST_STATE_*
 *
 * Context: gmem_pool.lock is held, but for boot.
 */
void gmem_tables_set_state(u32 state)
{
	unsigned int i;

	if (!tables_complete)
		return;
	if (state == GMEM_PERSIST_STATE_SEALED)
		for (i = 0; i < gmem_tables_nr_block_pages(); i++)
			gmem_block_page_seal(gmem_tables_block_page(i));
	headers[0]->generation = gmem_pool.generation;
	headers[0]->nr_objects = gmem_pool.nr_named;
	gmem_header_seal(headers[0], state);
	*headers[1] = *headers[0];
}

/* Where the last kernel's headers are, or why that is not known */
static const char *gmem_tables_find_headers(u64 phys[2])
{
	static const char * const names[] = {
		GMEM_PERSIST_KHO_SUBTREE, GMEM_PERSIST_KHO_SUBTREE_COPY,
	};
	const char *bad = "none came from the kernel before this one", *why;
	phys_addr_t tree;
	unsigned int i;
	size_t size;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		/* KHO has no checksum of it. */
		if (kho_retrieve_subtree(names[i], &tree, &size) || !gmem_tables_is_ram(tree, 0))
			continue;
		why = gmem_record_read_fdt(phys_to_virt(tree), size, phys);
		if (!why)
			return NULL;
		bad = why;
	}
	return bad;
}

static const char *gmem_tables_do_find(void)
{
	const char *bad, *why[2];
	unsigned int i;
	u64 phys[2];

	bad = gmem_tables_find_headers(phys);
	if (bad)
		return bad;
	for (i = 0; i < 2; i++)
		why[i] = gmem_tables_is_ram(phys[i], 0) ?
			 gmem_header_check(phys_to_virt(phys[i]), &gmem_pool.ranges) :
			 "it is no RAM";
	if (why[0] && why[1])
		return why[0];

	for (i = 0; i < 2; i++) {
		headers[i] = gmem_tables_adopt_copy(phys[i], 0);
		if (!headers[i])
			return "its pages are lost";
	}
	if (why[0])
		*headers[0] = *headers[1];
	if (why[0] || why[1])
		pr_warn("one of two headers of the record is damaged: %s\n", why[0] ?: why[1]);

	if (!gmem_tables_adopt_blocks() || !gmem_tables_adopt_slots() ||
	    !gmem_tables_adopt_bad())
		return "its pages are lost";
	bad = gmem_tables_read_bad();
	if (bad)
		return bad;
	gmem_pool.generation = headers[0]->generation + 1;
	smp_store_release(&tables_complete, true);	/* for gmem_tables_copy() */
	gmem_tables_set_state(GMEM_PERSIST_STATE_OPEN);
	return NULL;
}

/**
 * gmem_tables_find - take over the tables of the last kernel
 *
 * It needs no memory but for what memmap= has hidden, so it is done once.
 * gmem_tables_preserve_all() comes next.
 *
 * Context: process context, after KHO is ready; there is room for bad pages.
 * Return: NULL, or why that cannot be done; then there are no tables.
 */
const char *gmem_tables_find(void)
{
	const char *bad = gmem_tables_do_find();

	if (bad)
		gmem_tables_forget();
	return bad;
}

/**
 * gmem_tables_preserve_all - let the next kernel find the tables of the last one
 *
 * Context: process context, after gmem_tables_find().
 * Return: 0 or -ENOMEM; it may be tried again.
 */
int gmem_tables_preserve_all(void)
{
	const struct gmem_header_ser *h = headers[0];
	unsigned int i;
	int err = 0;

	for (i = 0; i < 2 && !err; i++) {
		err = gmem_tables_preserve(headers[i]);
		if (!err)
			err = gmem_tables_preserve(bad_tables[i]);
	}
	for (i = 0; i < h->nr_block_chunks && !err; i++)
		err = gmem_tables_preserve(block_chunks[i]);
	for (i = 0; i < h->nr_slot_chunks && !err; i++)
		err = gmem_tables_preserve(phys_to_virt(h->slot_chunks[i].phys));
	return err;
}

/**
 * gmem_tables_publish - let the next kernel find the record
 *
 * Context: process context, once the tables are there.
 * Return: 0, -EOPNOTSUPP (KHO is off), -ENOMEM; it may be tried again then.
 */
int gmem_tables_publish(void)
{
	static void *trees[2];
	u64 phys[2];
	unsigned int i;
	int err;

	if (!kho_is_enabled())
		return -EOPNOTSUPP;
	for (i = 0; i < 2; i++) {
		phys[0] = virt_to_phys(headers[0]);
		phys[1] = virt_to_phys(headers[1]);
		if (!trees[i])
			trees[i] = gmem_tables_alloc(0, 0);
		if (!trees[i])
			return -ENOMEM;
		err = gmem_record_write_fdt(trees[i], GMEM_RECORD_FDT_SIZE, phys);
		if (WARN_ON(err < 0))
			return err;
	}
	err = kho_add_subtree(GMEM_PERSIST_KHO_SUBTREE, trees[0], GMEM_RECORD_FDT_SIZE);
	if (err)
		return err;
	published = true;
	/* One will do. */
	err = kho_add_subtree(GMEM_PERSIST_KHO_SUBTREE_COPY, trees[1], GMEM_RECORD_FDT_SIZE);
	if (err)
		pr_warn("there is no second way to the record (%pe)\n", ERR_PTR(err));
	return 0;
}

/**
 * gmem_tables_published - does the next kernel find the record
 *
 * Return: true if so, with an image that takes it along.
 */
bool gmem_tables_published(void)
{
	return published;
}

/*
 * For those who look
 */

/* The ranges of a slot that has a list of its own: an object's list, or one in @lists */
static struct gmem_ranges gmem_tables_list(u32 id, struct xarray *lists)
{
	const struct gmem_object *obj = xa_load(&gmem_pool.objects, id);
	const struct gmem_object_ser *slot = gmem_slot(id);
	struct gmem_ranges list = {};

	if (obj)
		return slot->list.phys ? obj->ranges : list;
	list.r = xa_load(lists, id);
	if (list.r) {
		list.cap = (PAGE_SIZE << slot->list.order) / sizeof(*list.r);
		list.nr = min(slot->nr_ranges, list.cap);
	}
	return list;
}

static size_t gmem_tables_fixed_size(void)
{
	return PAGE_SIZE + sizeof(struct gmem_bad_ser) +
	       (size_t)gmem_tables_nr_block_pages() * PAGE_SIZE +
	       (size_t)gmem_slot_count() * sizeof(struct gmem_object_ser);
}

static size_t gmem_tables_size_locked(struct xarray *lists)
{
	size_t size = gmem_tables_fixed_size();
	unsigned int nr;
	u32 id;

	lockdep_assert_held(&gmem_pool.lock);

	for (id = 0; id < gmem_slot_count(); id++) {
		nr = gmem_tables_list(id, lists).nr;
		if (nr)
			size += sizeof(struct gmem_copied_list) +
				nr * sizeof(struct gmem_range_ser);
	}
	return size;
}

/**
 * gmem_tables_size - how large the tables are that the next kernel gets
 *
 * Context: any.
 * Return: their size in bytes, without the lists of objects in many pieces; 0 if it gets none.
 */
size_t gmem_tables_size(void)
{
	if (!published)
		return 0;
	return gmem_tables_fixed_size();
}

static void *gmem_tables_put(void *to, const void *from, size_t size)
{
	memcpy(to, from, size);
	return to + size;
}

static void gmem_tables_copy_to(void *to, struct xarray *lists)
{
	struct gmem_copied_list head;
	struct gmem_ranges list;
	unsigned int i;
	u32 id;

	to = gmem_tables_put(to, headers[0], PAGE_SIZE);
	to = gmem_tables_put(to, bad_tables[0], sizeof(struct gmem_bad_ser));
	for (i = 0; i < gmem_tables_nr_block_pages(); i++)
		to = gmem_tables_put(to, gmem_tables_block_page(i), PAGE_SIZE);
	for (id = 0; id < gmem_slot_count(); id++)
		to = gmem_tables_put(to, gmem_slot(id), sizeof(struct gmem_object_ser));
	for (id = 0; id < gmem_slot_count(); id++) {
		list = gmem_tables_list(id, lists);
		if (!list.nr)
			continue;
		head = (struct gmem_copied_list){ .slot = id, .nr = list.nr };
		to = gmem_tables_put(to, &head, sizeof(head));
		to = gmem_tables_put(to, list.r, list.nr * sizeof(*list.r));
	}
}

/**
 * gmem_tables_copy - copy the record
 * @copy: set to the copy, to be freed with vfree(): a header, a copy of the bad pages, all
 *	pages of blocks, all slots, and for each slot that has a list of its own a struct
 *	gmem_copied_list and the ranges
 * @lists: lists that were taken over for slots without an object, by number; they stay
 *
 * Context: process context; takes gmem_pool.lock.
 * Return: 0, -ENODATA (there are no tables), -ENOMEM.
 */
int gmem_tables_copy(struct debugfs_blob_wrapper *copy, struct xarray *lists)
{
	size_t size;

	/* Pairs with the releases where the tables are found or made. */
	if (!smp_load_acquire(&tables_complete))
		return -ENODATA;
	size = gmem_tables_fixed_size();
	for (;;) {
		copy->data = vzalloc(size);
		if (!copy->data)
			return -ENOMEM;
		spin_lock(&gmem_pool.lock);
		copy->size = gmem_tables_size_locked(lists);
		if (copy->size <= size)
			break;
		/* It has become larger meanwhile. */
		size = copy->size;
		spin_unlock(&gmem_pool.lock);
		vfree(copy->data);
	}
	gmem_tables_copy_to(copy->data, lists);
	spin_unlock(&gmem_pool.lock);
	return 0;
}
