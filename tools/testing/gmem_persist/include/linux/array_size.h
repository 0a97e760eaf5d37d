/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_ARRAY_SIZE_H
#define GMEM_TEST_LINUX_ARRAY_SIZE_H

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif /* GMEM_TEST_LINUX_ARRAY_SIZE_H */
