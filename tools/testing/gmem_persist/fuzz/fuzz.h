/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_FUZZ_H
#define GMEM_TEST_FUZZ_H

/*
 * What a fuzz target needs. libFuzzer calls LLVMFuzzerTestOneInput() with bytes that
 * it changes until they reach new code; they take the place of random numbers, so
 * that the random tests of tests/ are fuzz targets as they are.
 */
#include "test.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* What random_next() and its like return from now on */
void fuzz_start(const u8 *data, size_t size);
/* How many bytes they have not used yet */
size_t fuzz_left(void);

#endif /* GMEM_TEST_FUZZ_H */
