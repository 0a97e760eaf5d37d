/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the pool of persistent guest memory needs from an architecture: a memory
 * map that every later kernel reads before it touches memory, and in which the
 * pool can be marked so that all of them, also those that know nothing of it,
 * leave it alone; and a way to forget a mapping on one CPU only.
 */
#ifndef _LINUX_GMEM_PERSIST_ARCH_H
#define _LINUX_GMEM_PERSIST_ARCH_H

#include <linux/init.h>
#include <linux/types.h>

/**
 * gmem_arch_next_range - find the pool that an earlier kernel left
 * @from: look at or above this physical address
 * @base: first byte of the first marked range that ends above @from
 * @size: its length in bytes
 *
 * Looks at the map as it came from the earlier kernel, whatever the command line
 * made of it.
 *
 * Context: early boot, the memory map has been read.
 * Return: true if there is one.
 */
bool gmem_arch_next_range(u64 from, u64 *base, u64 *size);

/**
 * gmem_arch_check_range - can RAM be made part of the pool
 * @base: first byte
 * @size: length in bytes
 *
 * Context: early boot.
 * Return: NULL if gmem_arch_mark_range() will succeed, or what is in the way.
 */
const char *gmem_arch_check_range(u64 base, u64 size);

/**
 * gmem_arch_mark_range - mark RAM as belonging to the pool
 * @base: first byte
 * @size: length in bytes
 *
 * From now on this memory is no RAM, to this kernel and to all that are started
 * by kexec until the machine is reset.
 *
 * Context: early boot; gmem_arch_check_range() was asked.
 */
void gmem_arch_mark_range(u64 base, u64 size);

/**
 * gmem_arch_unmap_range - take memory out of the kernel's direct mapping
 * @base: first byte, a multiple of 1 GiB
 * @size: length in bytes, a multiple of 1 GiB
 *
 * Also whatever is going to be made from what is mapped (KASAN's shadow, the
 * mapping that kexec runs on) will know nothing of this memory.
 *
 * Context: early boot, on the only CPU, before the page tables are copied or
 * described by anything; memblock has no such memory any more.
 */
void gmem_arch_unmap_range(u64 base, u64 size);

/**
 * gmem_arch_from_kexec - was this kernel started by another one
 *
 * Context: early boot.
 * Return: true if the boot loader says so. A boot loader that says nothing counts
 * as a power-on.
 */
bool gmem_arch_from_kexec(void);

/**
 * gmem_arch_flush_local - forget one mapping of the kernel on this CPU
 * @addr: an address in the page, or in the leaf, whose entry has been cleared
 *
 * No other CPU is disturbed.
 *
 * Context: the caller stays on this CPU.
 */
void gmem_arch_flush_local(unsigned long addr);

#endif /* _LINUX_GMEM_PERSIST_ARCH_H */
