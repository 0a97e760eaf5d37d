/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_CTYPE_H
#define GMEM_TEST_LINUX_CTYPE_H

#include <ctype.h>

#endif /* GMEM_TEST_LINUX_CTYPE_H */
