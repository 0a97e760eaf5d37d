/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_STORES_H
#define GMEM_TEST_STORES_H

/*
 * The next kernel finds the record as it was when this one stopped, at any store. So
 * each WRITE_ONCE() and each smp_wmb() of the kernel's files calls a test that wants to
 * see them.
 *
 * @on_store: what was stored to, just now
 */
extern void (*on_store)(const void *at);
extern void (*on_barrier)(void);

static inline void test_stored(const void *at)
{
	if (on_store)
		on_store(at);
}

static inline void test_barrier(void)
{
	if (on_barrier)
		on_barrier();
}

#endif /* GMEM_TEST_STORES_H */
