// SPDX-License-Identifier: GPL-2.0
/*
 * What main.c is for the tests: failures, and random numbers, which are those bytes
 * that the fuzzer came up with.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static struct test_where here;
struct test_where *where = &here;

static const u8 *input, *input_end;
static u64 counter;

void fuzz_start(const u8 *data, size_t size)
{
	memset(where, 0, sizeof(*where));
	input = data;
	input_end = data + size;
	counter = 0;
}

size_t fuzz_left(void)
{
	return input_end - input;
}

static u64 next(unsigned int bytes)
{
	u64 x = 0;

	/* Not zeros for ever, which some loops would never end with. */
	if (fuzz_left() < bytes) {
		input = input_end;
		return ++counter * 0x9e3779b97f4a7c15 >> 7;
	}
	memcpy(&x, input, bytes);
	input += bytes;
	return x;
}

u64 random_next(void)
{
	return next(8);
}

/* Few bytes for small numbers: each of them is something for the fuzzer to change. */
u64 random_below(u64 limit)
{
	return next(limit <= 1 << 8 ? 1 : limit <= 1 << 16 ? 2 : 8) % limit;
}

void random_start(u64 seed)
{
	where->step = 0;
}

/* Whatever is to be done so often goes on as long as there are bytes. */
unsigned long random_rounds(unsigned long usual)
{
	return fuzz_left() ? where->step + 1 : 0;
}

void *xmalloc(size_t size)
{
	void *p = malloc(size);

	if (!p)
		abort();
	return p;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\nstep %llu\n", where->step);
	abort();
}

void check_text(const char *file, int line, const char *what, const char *is,
		const char *expected)
{
	if (is != expected && (!is || !expected || strcmp(is, expected)))
		test_fail(file, line, "%s is \"%s\", expected \"%s\"", what,
			  is ?: "(none)", expected ?: "(none)");
}
