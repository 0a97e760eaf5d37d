/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_SPRINTF_H
#define GMEM_TEST_LINUX_SPRINTF_H

#include <stdio.h>

#endif /* GMEM_TEST_LINUX_SPRINTF_H */
