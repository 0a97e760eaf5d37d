// SPDX-License-Identifier: GPL-2.0
/*
 * Sequences of operations on an arena, next to the model of tests/arena_model.c
 */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	fuzz_start(data, size);
	arena_model_tests[0].run();
	return 0;
}
