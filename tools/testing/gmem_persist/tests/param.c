// SPDX-License-Identifier: GPL-2.0
/*
 * The value of gmem_persist= on the kernel's command line.
 */
#include <linux/sizes.h>

#include "param.h"
#include "test.h"

#define GB ((u64)SZ_1G)

#define E_WORD	"a size or \"zeroed\" is expected"
#define E_ALIGN	"a size is no multiple of 1G"
#define E_LARGE	"the sizes are too large"
#define E_COMMA	"it ends with a comma"
#define E_NONE	"no size is given"

static void good_values(void)
{
	static const struct {
		const char *arg;
		u64 size;
		bool zeroed;
	} good[] = {
		{ "1G", GB },
		{ "64G", 64 * GB },
		{ "64g", 64 * GB },
		{ "1024M", GB },
		{ "1048576K", GB },
		{ "1073741824", GB },
		{ "2T", 2048 * GB },
		{ "1P", 1024 * 1024 * GB },
		{ "8E", 8 * 1024ULL * 1024 * 1024 * GB },
		{ "1G,2G", 3 * GB },
		{ "1G,2G,1024M,4G", 8 * GB },
		{ "1G,zeroed", GB, true },
		{ "zeroed,1G", GB, true },
		{ "1G,zeroed,2G", 3 * GB, true },
		{ "zeroed,zeroed,1G", GB, true },
		{ "8E,7E", 15 * 1024ULL * 1024 * 1024 * GB },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		struct gmem_param param = { .size = 7, .zeroed = true };

		where->step = i;
		CHECK_TEXT(gmem_param_parse(good[i].arg, &param), NULL);
		CHECK_EQ(param.size, good[i].size);
		CHECK_EQ(param.zeroed, good[i].zeroed);
	}
}

/* What is refused leaves the result as it was. */
static void bad_values(void)
{
	static const struct {
		const char *arg, *why;
	} bad[] = {
		{ "", E_NONE },
		{ "zeroed", E_NONE },
		{ "zeroed,zeroed", E_NONE },
		{ "0", E_ALIGN },
		{ "0G", E_ALIGN },
		{ "1G,0", E_ALIGN },
		{ "1", E_ALIGN },
		{ "512M", E_ALIGN },
		{ "1025M", E_ALIGN },
		{ "1G,3M", E_ALIGN },
		{ "1G,", E_COMMA },
		{ "zeroed,", E_COMMA },
		{ "1G,zeroed,", E_COMMA },
		{ ",", E_WORD },
		{ ",1G", E_WORD },
		{ "1G,,1G", E_WORD },
		{ "1G,,", E_WORD },
		{ "G", E_WORD },
		{ "x", E_WORD },
		{ "-1G", E_WORD },
		{ "+1G", E_WORD },
		{ " 1G", E_WORD },
		{ "1G ", E_WORD },
		{ "1G 2G", E_WORD },
		{ "1 G", E_WORD },
		{ "1Gi", E_WORD },
		{ "1GB", E_WORD },
		{ "1GG", E_WORD },
		{ "1.5G", E_WORD },
		{ "1G@4G", E_WORD },
		{ "1G:2G", E_WORD },
		{ "0x", E_WORD },
		{ "1Gzeroed", E_WORD },
		{ "1G,zero", E_WORD },
		{ "1G,zeroe", E_WORD },
		{ "1G,zeroedd", E_WORD },
		{ "1G,zeroed1G", E_WORD },
		{ "1G,zeroed=1", E_WORD },
		{ "1G,Zeroed", E_WORD },
		{ "zeroed 1G", E_WORD },
		{ "on", E_WORD },
		{ "8E,8E", E_LARGE },
		{ "8E,7E,1048575P,1P", E_LARGE },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct gmem_param param = { .size = 7, .zeroed = true };

		where->step = i;
		CHECK_TEXT(gmem_param_parse(bad[i].arg, &param), bad[i].why);
		CHECK_EQ(param.size, 7);
		CHECK_EQ(param.zeroed, true);
	}
}

/* A number that does not fit must not be taken for what is left of it. */
static void wrapping_sizes(void)
{
	static const char *const bad[] = {
		"16E",
		"17E",
		"17179869185G",
		"18446744074783293440",
		"0x10000000040000000",
		"1G,17E",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct gmem_param param = { .size = 7 };

		where->step = i;
		CHECK(!!gmem_param_parse(bad[i], &param));
		CHECK_EQ(param.size, 7);
	}
}

const struct test param_tests[] = {
	TEST(good_values),
	TEST(bad_values),
	TEST(wrapping_sizes),
	{}
};
