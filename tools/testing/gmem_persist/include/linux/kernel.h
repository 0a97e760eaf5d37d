/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_KERNEL_H
#define GMEM_TEST_LINUX_KERNEL_H

#include <linux/sprintf.h>

unsigned long long memparse(const char *ptr, char **retptr);

#endif /* GMEM_TEST_LINUX_KERNEL_H */
