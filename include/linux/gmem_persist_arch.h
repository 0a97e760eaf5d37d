/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the pool of persistent guest memory needs from an architecture: a memory
 * map that every later kernel reads before it touches memory, and in which the
 * pool can be marked so that all of them, also those that know nothing of it,
 * leave it alone.
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
 * Context: early boot, the memory map has been read.
 * Return: true if there is one.
 */
bool gmem_arch_next_range(u64 from, u64 *base, u64 *size);

/**
 * gmem_arch_can_mark - has the memory map room for so many more ranges
 * @nr_ranges: how many
 *
 * Context: early boot.
 * Return: true if so.
 */
bool gmem_arch_can_mark(unsigned int nr_ranges);

/**
 * gmem_arch_mark_range - mark RAM as belonging to the pool
 * @base: first byte
 * @size: length in bytes
 *
 * From now on this memory is no RAM, to this kernel and to all that are started
 * by kexec until the machine is reset.
 *
 * Context: early boot, before memory is mapped; gmem_arch_can_mark() was asked.
 */
void gmem_arch_mark_range(u64 base, u64 size);

/**
 * gmem_arch_from_kexec - was this kernel started by another one
 *
 * Context: early boot.
 * Return: true if the boot loader says so. A boot loader that says nothing counts
 * as a power-on.
 */
bool gmem_arch_from_kexec(void);

#endif /* _LINUX_GMEM_PERSIST_ARCH_H */
