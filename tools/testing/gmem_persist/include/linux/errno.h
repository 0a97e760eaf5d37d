/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_ERRNO_H
#define GMEM_TEST_LINUX_ERRNO_H

/* This hides the exported header of the same name, on which libc's is built. */
#include <asm/errno.h>

#endif /* GMEM_TEST_LINUX_ERRNO_H */
