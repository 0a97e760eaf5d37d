/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_STAT_H
#define GMEM_TEST_LINUX_STAT_H

#include <sys/stat.h>

#endif /* GMEM_TEST_LINUX_STAT_H */
