/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_MINMAX_H
#define GMEM_TEST_LINUX_MINMAX_H

#include <linux/build_bug.h>

/*
 * Nearly as in the kernel: both sides signed or both unsigned; constants, and what
 * is promoted to int, go with either.
 */
#define __signed(x)	((typeof((x) + 0))-1 < (typeof((x) + 0))1)
#define __either(x)	(sizeof(x) < sizeof(int) || __builtin_constant_p(x))
#define __pick(a, op, b) ({						\
	static_assert(__either(a) || __either(b) ||			\
		      __signed(a) == __signed(b), "signedness");	\
	typeof(a) __a = (a);						\
	typeof(b) __b = (b);						\
	__a op __b ? __a : __b;						\
})

#define min(a, b)	__pick(a, <, b)
#define max(a, b)	__pick(a, >, b)

#endif /* GMEM_TEST_LINUX_MINMAX_H */
