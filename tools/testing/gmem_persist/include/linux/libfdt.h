/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_LIBFDT_H
#define GMEM_TEST_LINUX_LIBFDT_H

#include <libfdt.h>

#endif /* GMEM_TEST_LINUX_LIBFDT_H */
