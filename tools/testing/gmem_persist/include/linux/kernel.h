/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_KERNEL_H
#define GMEM_TEST_LINUX_KERNEL_H

/* What the headers of tools/include expect from this one */
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/container_of.h>
#include <linux/math.h>

#include <linux/sprintf.h>

unsigned long long memparse(const char *ptr, char **retptr);

#endif /* GMEM_TEST_LINUX_KERNEL_H */
