// SPDX-License-Identifier: GPL-2.0
/*
 * The pool of persistent guest memory in the E820 map.
 *
 * A type of our own keeps every later kernel off the pool: whatever is not RAM is
 * neither mapped nor allocated nor offered to kexec, and kexec_file_load() passes
 * the map on as it is. A kernel that knows the type also recognises the pool
 * when no record of its contents came along.
 */
#include <linux/gmem_persist_arch.h>
#include <linux/init.h>

#include <asm/e820/api.h>
#include <asm/setup.h>

/* kexec-bzimage64.c, and kexec-tools, put this into type_of_loader's high half. */
#define LOADER_TYPE_KEXEC	0xd

bool __init gmem_arch_next_range(u64 from, u64 *base, u64 *size)
{
	u32 i;

	/* The map is sorted. */
	for (i = 0; i < e820_table->nr_entries; i++) {
		struct e820_entry *entry = &e820_table->entries[i];

		if (entry->type != E820_TYPE_GMEM_PERSIST ||
		    entry->addr + entry->size <= from)
			continue;
		*base = entry->addr;
		*size = entry->size;
		return true;
	}
	return false;
}

bool __init gmem_arch_can_mark(unsigned int nr_ranges)
{
	/*
	 * A range in the middle of an entry makes three of one. What does not
	 * fit into the zero page does not reach the next kernel.
	 */
	return e820_table_kexec->nr_entries + 2 * nr_ranges <=
		E820_MAX_ENTRIES_ZEROPAGE;
}

void __init gmem_arch_mark_range(u64 base, u64 size)
{
	e820__range_update(base, size, E820_TYPE_RAM, E820_TYPE_GMEM_PERSIST);
	e820__update_table(e820_table);
	e820__range_update_table(e820_table_kexec, base, size, E820_TYPE_RAM,
				 E820_TYPE_GMEM_PERSIST);
	e820__update_table(e820_table_kexec);
}

bool __init gmem_arch_from_kexec(void)
{
	return boot_params.hdr.type_of_loader >> 4 == LOADER_TYPE_KEXEC;
}
