/* SPDX-License-Identifier: GPL-2.0 */
/* What gmem-payload fills memory with: a function of a word's offset and of a seed. */
#ifndef PATTERN_H
#define PATTERN_H

#include <stdint.h>

static inline __attribute__((always_inline)) uint64_t pattern(uint64_t offset,
							       uint64_t seed)
{
	return (offset + seed) * 0x9e3779b97f4a7c15UL + 1;
}

#endif /* PATTERN_H */
