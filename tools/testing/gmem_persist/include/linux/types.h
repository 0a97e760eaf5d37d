/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_TYPES_H
#define GMEM_TEST_LINUX_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* __u8 and so on, for the headers of tools/include */
#include <asm/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
/* As in the kernel, so that one printf format fits everywhere. */
typedef unsigned long long u64;
typedef long long s64;

/* What the headers of tools/include expect here */
#define __must_check

#define pgoff_t	unsigned long
#define gfp_t	unsigned int

#endif /* GMEM_TEST_LINUX_TYPES_H */
