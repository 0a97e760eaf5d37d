/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_LIMITS_H
#define GMEM_TEST_LINUX_LIMITS_H

/* This hides the exported header of the same name, on which libc's is built. */
#include_next <linux/limits.h>

#define U32_MAX		(~0U)
#define U64_MAX		(~0ULL)

#endif /* GMEM_TEST_LINUX_LIMITS_H */
