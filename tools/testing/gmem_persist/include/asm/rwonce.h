/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_ASM_RWONCE_H
#define GMEM_TEST_ASM_RWONCE_H

#include <linux/compiler.h>

#include "stores.h"

/* A store that somebody else may see: a test can look on, see stores.h. */
#undef WRITE_ONCE
#define WRITE_ONCE(x, value)	do {		\
	(x) = (value);				\
	test_stored(&(x));			\
} while (0)

#endif /* GMEM_TEST_ASM_RWONCE_H */
