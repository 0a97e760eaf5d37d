/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_OVERFLOW_H
#define GMEM_TEST_LINUX_OVERFLOW_H

#include_next <linux/overflow.h>

/* What the header for tools does not have */
#define check_shl_overflow(a, shift, result) ({	\
	__auto_type __value = (a);		\
	__auto_type __shift = (shift);		\
	__auto_type __result = (result);	\
						\
	*__result = __value << __shift;		\
	*__result >> __shift != __value;	\
})

#endif /* GMEM_TEST_LINUX_OVERFLOW_H */
