/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_SIPHASH_H
#define GMEM_TEST_LINUX_SIPHASH_H

#include <linux/types.h>

typedef struct {
	unsigned long key[2];
} hsiphash_key_t;

/* How many hashes were made with the last key that get_random_bytes() gave */
extern unsigned int nr_keyed;

u32 hsiphash(const void *data, size_t len, const hsiphash_key_t *key);

#endif /* GMEM_TEST_LINUX_SIPHASH_H */
