/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_MINMAX_H
#define GMEM_TEST_LINUX_MINMAX_H

/* Both sides must be of one type, which the comparison of pointers checks. */
#define __pick(a, op, b) ({		\
	__auto_type __a = (a);		\
	__auto_type __b = (b);		\
	(void)(&__a == &__b);		\
	__a op __b ? __a : __b;		\
})

#define min(a, b)	__pick(a, <, b)
#define max(a, b)	__pick(a, >, b)

#endif /* GMEM_TEST_LINUX_MINMAX_H */
