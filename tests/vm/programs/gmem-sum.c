// SPDX-License-Identifier: GPL-2.0
/*
 * A checksum of standard input: Fletcher's, of 64-bit words, so that it depends on where
 * what stands. Programs that are made against malice cost an emulated CPU forty times as
 * much, and a guest has all of its memory summed up.
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	static uint64_t words[(1 << 20) / sizeof(uint64_t)];
	uint64_t sum = 0, sums = 0, bytes = 0;
	ssize_t size;

	while ((size = read(STDIN_FILENO, words, sizeof(words))) > 0) {
		/* What a short read leaves open counts as zeroes. */
		memset((char *)words + size, 0, -size % sizeof(*words));
		for (ssize_t i = 0; i * (ssize_t)sizeof(*words) < size; i++) {
			sum += words[i];
			sums += sum;
		}
		bytes += size;
	}
	if (size < 0)
		err(1, "read");
	printf("%016llx%016llx of %llu bytes\n", (unsigned long long)sums,
	       (unsigned long long)sum, (unsigned long long)bytes);
	return 0;
}
