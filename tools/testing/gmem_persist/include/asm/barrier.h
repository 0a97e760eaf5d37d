/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_ASM_BARRIER_H
#define GMEM_TEST_ASM_BARRIER_H

#include "stores.h"

/* Tests run on one thread: the order matters to those that look on, see stores.h. */
#define smp_wmb()	test_barrier()

#define smp_load_acquire(p)	(*(p))	/* by the same thread */
#define smp_store_release(p, value)	do {	/* likewise */	\
	test_barrier();						\
	*(p) = (value);						\
} while (0)

#endif /* GMEM_TEST_ASM_BARRIER_H */
