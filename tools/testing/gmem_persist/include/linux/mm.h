/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_MM_H
#define GMEM_TEST_LINUX_MM_H

#include <linux/build_bug.h>
#include <linux/slab.h>
#include <linux/sprintf.h>

#define PAGE_SIZE	4096UL

#endif /* GMEM_TEST_LINUX_MM_H */
