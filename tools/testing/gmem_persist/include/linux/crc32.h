/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_CRC32_H
#define GMEM_TEST_LINUX_CRC32_H

#include <linux/types.h>

u32 crc32_le(u32 crc, const void *p, size_t len);

#endif /* GMEM_TEST_LINUX_CRC32_H */
