/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_ASM_BARRIER_H
#define GMEM_TEST_ASM_BARRIER_H

#include "stores.h"

/* Tests run on one thread: the order matters to those that look on, see stores.h. */
#define smp_wmb()	test_barrier()

#endif /* GMEM_TEST_ASM_BARRIER_H */
