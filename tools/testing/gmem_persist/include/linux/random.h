/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_RANDOM_H
#define GMEM_TEST_LINUX_RANDOM_H

#include <linux/types.h>

void get_random_bytes(void *buf, size_t len);

#endif /* GMEM_TEST_LINUX_RANDOM_H */
