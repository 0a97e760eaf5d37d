/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_TEST_H
#define GMEM_TEST_H

#include <stdnoreturn.h>

#include <linux/array_size.h>
#include <linux/types.h>

/**
 * struct test - one line of the report
 * @name: what is tested
 * @run: does it; returns if all is well, and does not return if it is not
 *
 * Every test runs in a process of its own: one that crashes fails alone, and
 * what it leaks is its own fault.
 */
struct test {
	const char *name;
	void (*run)(void);
};

#define TEST(function)	{ .name = #function, .run = function }

/* One array in each file of tests/, ending with an empty entry */
extern const struct test arena_tests[];
extern const struct test arena_model_tests[];
extern const struct test ranges_set_tests[];
extern const struct test ranges_query_tests[];
extern const struct test ranges_model_tests[];
extern const struct test record_tests[];
extern const struct test record_refuse_tests[];
extern const struct test record_fuzz_tests[];
extern const struct test chunks_tests[];
extern const struct test slots_model_tests[];
extern const struct test judge_tests[];
extern const struct test param_tests[];
extern const struct test quota_tests[];

/* Where a test is; shared with the process that reports on it. */
struct test_where {
	const char *file;
	int line;
	u64 seed;
	u64 step;
};

extern struct test_where *where;

noreturn void test_fail(const char *file, int line, const char *fmt, ...);

/* Remember the caller of a function that checks something on his behalf. */
#define AT(call) (where->file = __FILE__, where->line = __LINE__, call,	\
		  (void)(where->file = NULL))

#define CHECK(cond) ((cond) ? (void)0 :					\
	test_fail(__FILE__, __LINE__, "not true: %s", #cond))

#define CHECK_EQ(a, b) do {						\
	long long _a = (a), _b = (b);					\
									\
	if (_a != _b)							\
		test_fail(__FILE__, __LINE__,				\
			  "%s is %lld (0x%llx), expected %s, %lld (0x%llx)", \
			  #a, _a, _a, #b, _b, _b);			\
} while (0)

/* Texts, each of which may be NULL */
#define CHECK_TEXT(a, b)	check_text(__FILE__, __LINE__, #a, a, b)

void check_text(const char *file, int line, const char *what, const char *is,
		const char *expected);

/* Random numbers that are the same in every run, unless SEED= says otherwise */
void random_start(u64 seed);
u64 random_next(void);
u64 random_below(u64 limit);
/* How often to do something: ROUNDS= times as often as usual. */
unsigned long random_rounds(unsigned long usual);

void *xmalloc(size_t size);

#endif /* GMEM_TEST_H */
