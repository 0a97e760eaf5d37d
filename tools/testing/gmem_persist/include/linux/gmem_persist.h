/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_GMEM_PERSIST_H
#define GMEM_TEST_LINUX_GMEM_PERSIST_H

/* The kernel's own; its folder is not searched, so that no other is taken. */
#include "../../../../../include/linux/gmem_persist.h"

#endif /* GMEM_TEST_LINUX_GMEM_PERSIST_H */
