// SPDX-License-Identifier: GPL-2.0
/*
 * gmem_persist= with any text: it is read or refused, and if refused, nothing changes.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "param.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct gmem_param param, before, again;
	/* The sanitizer sees what is read behind its end. */
	char *text = xmalloc(size + 1);
	const char *err;

	fuzz_start(data, size);
	memcpy(text, data, size);
	text[size] = 0;

	memset(&param, 0x5a, sizeof(param));
	memcpy(&before, &param, sizeof(param));
	err = gmem_param_parse(text, &param);
	if (err) {
		CHECK(err[0]);
		CHECK(!memcmp(&param, &before, sizeof(param)));
	}
	CHECK_TEXT(gmem_param_parse(text, &again), err);
	free(text);
	return 0;
}
