/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_BITS_H
#define GMEM_TEST_LINUX_BITS_H

#define BIT_ULL(nr) (1ULL << (nr))

#endif /* GMEM_TEST_LINUX_BITS_H */
