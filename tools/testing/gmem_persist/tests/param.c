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
#define E_NODE	"the number of a node is expected behind @"
#define E_NODES	"the number of a node is too large"
#define E_BASE	"an address is expected behind !"
#define E_BASES	"an address is too large"
#define E_BASEL	"an address is below 4G"
#define E_BASEA	"an address is no multiple of 1G"
#define E_MANY	"there are more than 16 sizes"

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
		{ "1G@0,2G!4G,3G", 6 * GB },
		{ "1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G", 16 * GB },
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

/* Each size with its own place, in the order in which they stand there. */
static void places(void)
{
	static const struct {
		const char *arg;
		unsigned int nr;
		struct gmem_param_item item[4];
	} good[] = {
		{ "1G", 1, { { GB, GMEM_ANYWHERE } } },
		{ "1G@0", 1, { { GB, GMEM_ON_NODE, .node = 0 } } },
		{ "2G@1", 1, { { 2 * GB, GMEM_ON_NODE, .node = 1 } } },
		{ "2G@001", 1, { { 2 * GB, GMEM_ON_NODE, .node = 1 } } },
		{ "1G@1073741823", 1, { { GB, GMEM_ON_NODE, .node = 1073741823 } } },
		{ "1G!4G", 1, { { GB, GMEM_AT_BASE, 4 * GB } } },
		{ "1G!4096m", 1, { { GB, GMEM_AT_BASE, 4 * GB } } },
		{ "1G!0x100000000", 1, { { GB, GMEM_AT_BASE, 4 * GB } } },
		{ "1G!0X1C0000000", 1, { { GB, GMEM_AT_BASE, 7 * GB } } },
		{ "1G!0x1c0000000", 1, { { GB, GMEM_AT_BASE, 7 * GB } } },
		{ "1G!4294967296", 1, { { GB, GMEM_AT_BASE, 4 * GB } } },
		{ "1G!0xffffffff80000000", 1,
		  { { GB, GMEM_AT_BASE, 0xffffffff80000000 } } },
		{ "1G!4G,2G@1,zeroed,3G", 3,
		  { { GB, GMEM_AT_BASE, 4 * GB }, { 2 * GB, GMEM_ON_NODE, .node = 1 },
		    { 3 * GB, GMEM_ANYWHERE } } },
		/* The same one twice is the business of whoever takes the memory. */
		{ "1G@1,1G@1,1G!8G,1G!8G", 4,
		  { { GB, GMEM_ON_NODE, .node = 1 }, { GB, GMEM_ON_NODE, .node = 1 },
		    { GB, GMEM_AT_BASE, 8 * GB }, { GB, GMEM_AT_BASE, 8 * GB } } },
	};
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		struct gmem_param param = { .nr = 9 };

		where->step = i;
		CHECK_TEXT(gmem_param_parse(good[i].arg, &param), NULL);
		CHECK_EQ(param.nr, good[i].nr);
		for (j = 0; j < good[i].nr; j++) {
			CHECK_EQ(param.item[j].size, good[i].item[j].size);
			CHECK_EQ(param.item[j].place, good[i].item[j].place);
			CHECK_EQ(param.item[j].base, good[i].item[j].base);
			CHECK_EQ(param.item[j].node, good[i].item[j].node);
		}
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
		{ "1G@", E_NODE },
		{ "1G@,1G", E_NODE },
		{ "1G@x", E_NODE },
		{ "1G@-1", E_NODE },
		{ "1G@ 1", E_NODE },
		{ "1G@4G", E_NODE },
		{ "1G@0x1", E_NODE },
		{ "1G@1@2", E_NODE },
		{ "1G@1!4G", E_NODE },
		{ "1G@1 ", E_NODE },
		{ "@1", E_WORD },
		{ "zeroed@1", E_WORD },
		{ "1G@1073741824", E_NODES },
		{ "1G@4294967296", E_NODES },
		{ "1G@18446744073709551616", E_NODES },
		{ "512M@1", E_ALIGN },
		{ "0@1", E_ALIGN },
		{ "1G@1,", E_COMMA },
		{ "1G!", E_BASE },
		{ "1G!,1G", E_BASE },
		{ "1G!x", E_BASE },
		{ "1G!-4G", E_BASE },
		{ "1G!4Gi", E_BASE },
		{ "1G!0x100000000G", E_BASE },
		{ "1G!0x10000000g", E_BASE },
		{ "1G!4G@1", E_BASE },
		{ "1G!4G!8G", E_BASE },
		{ "!4G", E_WORD },
		{ "1G!0", E_BASEL },
		{ "1G!0x", E_BASEL },
		{ "1G!3G", E_BASEL },
		{ "1G!0xc0000000", E_BASEL },
		{ "1G!4097M", E_BASEA },
		{ "1G!4098M", E_BASEA },
		{ "1G!0x100000001", E_BASEA },
		{ "1G!4294967297", E_BASEA },
		{ "1G!16E", E_BASES },
		{ "1G!18446744073709551616", E_BASES },
		{ "1G!0x10000000000000000", E_BASES },
		{ "1G!0xffffffffc0000000", E_BASES },
		{ "512M!4G", E_ALIGN },
		{ "1G!4G,", E_COMMA },
		{ "1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G", E_MANY },
		{ "1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G,1G@1", E_MANY },
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
		struct gmem_param param = { .nr = 5, .size = 7, .zeroed = true };

		where->step = i;
		CHECK_TEXT(gmem_param_parse(bad[i].arg, &param), bad[i].why);
		CHECK_EQ(param.nr, 5);
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
	TEST(places),
	TEST(bad_values),
	TEST(wrapping_sizes),
	{}
};
