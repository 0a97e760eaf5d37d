/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_LINUX_ALIGN_H
#define GMEM_TEST_LINUX_ALIGN_H

#define ALIGN_DOWN(x, a)	((x) & ~((typeof(x))(a) - 1))
#define ALIGN(x, a) ({				\
	typeof(x) __mask = (typeof(x))(a) - 1;	\
						\
	((x) + __mask) & ~__mask;		\
})
#define IS_ALIGNED(x, a)	(((x) & ((typeof(x))(a) - 1)) == 0)

#endif /* GMEM_TEST_LINUX_ALIGN_H */
