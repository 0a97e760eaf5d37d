// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the tests and reports in KTAP.
 *
 * KUnit in user space would be UML: a whole kernel to build, where this takes seconds, which
 * mutants.py does hundreds of times. kselftest_harness.h ends a test by wall-clock time, which a
 * busy machine uses up; here it is time on a CPU.
 *
 * unit [text]		run all tests, or those whose name has the text in it
 * unit --golden		print what tests/golden-v2.hex must be
 *
 * SEED=number in the environment: other random numbers; ROUNDS=number: so many
 * times as many of them; SECONDS=number: so much time on a CPU for each test.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"
#include "tests/records.h"

static const struct {
	const char *name;
	const struct test *tests;
} suites[] = {
	{ "arena", arena_tests },
	{ "arena_model", arena_model_tests },
	{ "ranges_set", ranges_set_tests },
	{ "ranges_query", ranges_query_tests },
	{ "ranges_model", ranges_model_tests },
	{ "record", record_tests },
	{ "record_refuse", record_refuse_tests },
	{ "record_fuzz", record_fuzz_tests },
	{ "chunks", chunks_tests },
	{ "slots_model", slots_model_tests },
	{ "judge", judge_tests },
	{ "param", param_tests },
	{ "quota", quota_tests },
};

struct test_where *where;

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	printf("# %s:%d: ", file, line);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

void check_text(const char *file, int line, const char *what, const char *is,
		const char *expected)
{
	if (is == expected || (is && expected && !strcmp(is, expected)))
		return;
	test_fail(file, line, "%s is \"%s\", expected \"%s\"", what,
		  is ?: "(none)", expected ?: "(none)");
}

static u64 random_state = 1;

void random_start(u64 seed)
{
	const char *env = getenv("SEED");

	if (env && *env)
		seed = strtoull(env, NULL, 0);
	random_state = seed;
	where->seed = seed;
	where->step = 0;
	printf("# seed 0x%llx\n", seed);
	fflush(stdout);
}

u64 random_next(void)
{
	u64 x;

	/* splitmix64: a counter, stirred */
	random_state += 0x9e3779b97f4a7c15;
	x = random_state;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

u64 random_below(u64 limit)
{
	return random_next() % limit;
}

unsigned long random_rounds(unsigned long usual)
{
	const char *env = getenv("ROUNDS");

	return env && *env ? usual * strtoul(env, NULL, 0) : usual;
}

void *xmalloc(size_t size)
{
	void *p = malloc(size);

	if (!p)
		abort();
	return p;
}

static bool passes(const struct test *test)
{
	/* A test that does not end fails, too; this is time on a CPU. */
	const char *env = getenv("SECONDS");
	const rlim_t seconds = env && *env ? strtoul(env, NULL, 0) : random_rounds(60);
	const struct rlimit limit = { seconds, seconds };
	int status;
	pid_t pid;

	memset(where, 0, sizeof(*where));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		setrlimit(RLIMIT_CPU, &limit);
		test->run();
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	if (!status)
		return true;

	if (WIFSIGNALED(status))
		printf("# signal %d\n", WTERMSIG(status));
	else if (WEXITSTATUS(status) != 1)
		printf("# exit status %d\n", WEXITSTATUS(status));
	if (where->file)
		printf("# called from %s:%d\n", where->file, where->line);
	if (where->seed)
		printf("# SEED=0x%llx\n", where->seed);
	if (where->seed || where->step)
		printf("# step %llu\n", where->step);
	return false;
}

/* Count the tests that are wanted; if @run, do them. */
static unsigned int for_tests(const char *filter, bool run, unsigned int *failed)
{
	const struct test *test;
	unsigned int i, nr = 0;
	char name[128];
	bool ok;

	for (i = 0; i < ARRAY_SIZE(suites); i++) {
		for (test = suites[i].tests; test->name; test++) {
			snprintf(name, sizeof(name), "%s.%s", suites[i].name,
				 test->name);
			if (!strstr(name, filter))
				continue;
			nr++;
			if (!run)
				continue;
			ok = passes(test);
			printf("%s %u - %s\n", ok ? "ok" : "not ok", nr, name);
			*failed += !ok;
		}
	}
	return nr;
}

int main(int argc, char **argv)
{
	const char *filter = argc > 1 ? argv[1] : "";
	unsigned int failed = 0, nr;

	where = mmap(NULL, sizeof(*where), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (where == MAP_FAILED)
		abort();

	if (!strcmp(filter, "--golden")) {
		golden_print();
		return 0;
	}

	nr = for_tests(filter, false, &failed);
	printf("KTAP version 1\n1..%u\n", nr);
	for_tests(filter, true, &failed);
	printf("# pass:%u fail:%u\n", nr - failed, failed);
	return failed || !nr;
}
