/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_STRING_H
#define GMEM_TEST_LINUX_STRING_H

#include <string.h>

#endif /* GMEM_TEST_LINUX_STRING_H */
