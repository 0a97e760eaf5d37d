// SPDX-License-Identifier: GPL-2.0
/*
 * The pool of persistent guest memory in the E820 map, and in the TLB.
 *
 * A type of our own keeps every later kernel off the pool: whatever is not RAM is
 * neither mapped nor allocated nor offered to kexec, and kexec_file_load() passes
 * the map on as it is. A kernel that knows the type also recognises the pool
 * when no record of its contents came along.
 */
#include <linux/gmem_persist_arch.h>
#include <linux/init.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/range.h>

#include <asm/e820/api.h>
#include <asm/page.h>
#include <asm/sections.h>
#include <asm/setup.h>
#include <asm/tlbflush.h>

/* kexec-bzimage64.c, and kexec-tools, put this into type_of_loader's high half. */
#define LOADER_TYPE_KEXEC	0xd

bool __init gmem_arch_next_range(u64 from, u64 *base, u64 *size)
{
	u32 i;

	/* The map is sorted, and as it came: memmap= does not get at this one. */
	for (i = 0; i < e820_table_kexec->nr_entries; i++) {
		struct e820_entry *entry = &e820_table_kexec->entries[i];

		if (entry->type != E820_TYPE_GMEM_PERSIST ||
		    entry->addr + entry->size <= from)
			continue;
		*base = entry->addr;
		*size = entry->size;
		return true;
	}
	return false;
}

const char * __init gmem_arch_check_range(u64 base, u64 size)
{
	u32 i;

	/*
	 * A range in the middle of an entry makes three of one. What does not
	 * fit into the zero page does not reach the next kernel.
	 */
	if (e820_table_kexec->nr_entries + 2 > E820_MAX_ENTRIES_ZEROPAGE ||
	    e820_table->nr_entries + 2 > E820_MAX_ENTRIES)
		return "the memory map has no room for more";

	/* This is the map that the next kernel gets, without what memmap= did. */
	for (i = 0; i < e820_table_kexec->nr_entries; i++) {
		struct e820_entry *entry = &e820_table_kexec->entries[i];

		if (entry->type == E820_TYPE_RAM && entry->addr <= base &&
		    entry->addr + entry->size >= base + size)
			return NULL;
	}
	return "firmware does not call it RAM";
}

void __init gmem_arch_mark_range(u64 base, u64 size)
{
	e820__range_update(base, size, E820_TYPE_RAM, E820_TYPE_GMEM_PERSIST);
	e820__update_table(e820_table);
	e820__range_update_table(e820_table_kexec, base, size, E820_TYPE_RAM,
				 E820_TYPE_GMEM_PERSIST);
	e820__update_table(e820_table_kexec);
}

/* Page tables of the direct mapping are from memblock, but the first few. */
static void __init gmem_arch_free_table(void *table)
{
	phys_addr_t at = __pa(table);

	if (at >= __pa_symbol(__brk_base) && at < __pa_symbol(__brk_limit))
		return;
	/* It may become part of the pool, of which "zeroed" may have been said. */
	clear_page(table);
	memblock_phys_free(at, PAGE_SIZE);
}

static void __init gmem_arch_free_pmd_table(pmd_t *pmds)
{
	unsigned long leaves = 0, ptes = 0;
	unsigned int i, j;

	for (i = 0; i < PTRS_PER_PMD; i++) {
		pte_t *table;

		if (!pmd_present(pmds[i]))
			continue;
		if (pmd_leaf(pmds[i])) {
			leaves++;
			continue;
		}
		table = (pte_t *)pmd_page_vaddr(pmds[i]);
		for (j = 0; j < PTRS_PER_PTE; j++)
			ptes += !!pte_present(table[j]);
		gmem_arch_free_table(table);
	}
	gmem_arch_free_table(pmds);
	update_page_count(PG_LEVEL_2M, -leaves);
	update_page_count(PG_LEVEL_4K, -ptes);
}

/* The direct mapping's entry for 1 GiB, or NULL if there is no table for it. */
static pud_t * __init gmem_arch_direct_pud(u64 addr)
{
	unsigned long vaddr = (unsigned long)__va(addr);
	pgd_t *pgd = pgd_offset_k(vaddr);
	p4d_t *p4d;

	if (pgd_none(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, vaddr);
	if (p4d_none(*p4d))
		return NULL;
	return pud_offset(p4d, vaddr);
}

void __init gmem_arch_unmap_range(u64 base, u64 size)
{
	u64 addr;

	/* KASLR moves the direct mapping in steps of 1 GiB: these are whole entries. */
	BUILD_BUG_ON(PUD_SIZE != SZ_1G);

	for (addr = base; addr < base + size; addr += PUD_SIZE) {
		pud_t *pud = gmem_arch_direct_pud(addr);
		pud_t old;

		if (!pud || pud_none(*pud))
			continue;
		old = *pud;
		pud_clear(pud);
		/* The tables, too, must be forgotten before they are reused. */
		__flush_tlb_all();
		if (pud_leaf(old))
			update_page_count(PG_LEVEL_1G, -1);
		else
			gmem_arch_free_pmd_table(pud_pgtable(old));
	}

	/* KASAN's shadow, and the mapping that kexec runs on, follow this list. */
	subtract_range(pfn_mapped, E820_MAX_ENTRIES, PHYS_PFN(base),
		       PHYS_PFN(base + size));
	nr_pfn_mapped = clean_sort_range(pfn_mapped, E820_MAX_ENTRIES);
}

bool __init gmem_arch_from_kexec(void)
{
	return boot_params.hdr.type_of_loader >> 4 == LOADER_TYPE_KEXEC;
}

void gmem_arch_flush_local(unsigned long addr)
{
	flush_tlb_one_kernel(addr);
}
