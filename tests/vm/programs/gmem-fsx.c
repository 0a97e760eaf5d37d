// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations on a file, and the same on a copy in memory: reads must agree.
 *
 *   gmem-fsx PATH SEED OPERATIONS MAX
 *
 * Reads, writes and truncations anywhere below MAX bytes, of lengths that are small as
 * often as large. The last contents stay in the file.
 *
 * fsx would do as well, with its mappings off, as data cannot be mapped. No package of Debian
 * has it, and all other programs of the tests come from there.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t state;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static size_t below(size_t n)
{
	return n ? next() % n : 0;
}

/* Around page and granule boundaries more often than elsewhere */
static size_t place(size_t max)
{
	size_t at = below(max);

	switch (below(4)) {
	case 0:
		at &= ~4095UL;
		break;
	case 1:
		at &= ~((2UL << 20) - 1);
		break;
	}
	return at;
}

int main(int argc, char **argv)
{
	size_t max, size = 0;
	char *model, *buf;
	struct stat st;
	int file;

	if (argc != 5)
		errx(2, "usage: gmem-fsx PATH SEED OPERATIONS MAX");
	state = strtoull(argv[2], NULL, 0) * 2 + 1;
	max = strtoull(argv[4], NULL, 0);
	model = calloc(1, max);
	buf = malloc(max);
	file = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (file < 0 || !model || !buf)
		err(2, "%s", argv[1]);

	for (long op = strtol(argv[3], NULL, 0); op; op--) {
		size_t at = place(max);
		size_t len = below(2) ? below(5000) : below(max - at);
		ssize_t done;

		if (len > max - at)
			len = max - at;
		switch (below(8)) {
		case 0:
			/* An empty file that is truncated first would be a guest's. */
			if (!size)
				break;
			if (ftruncate(file, at))
				err(1, "ftruncate to %zu", at);
			if (at < size)
				memset(model + at, 0, size - at);
			size = at;
			break;
		case 1 ... 3:
			for (size_t i = 0; i < len; i += 8) {
				uint64_t word = next();

				memcpy(model + at + i, &word, len - i < 8 ? len - i : 8);
			}
			done = pwrite(file, model + at, len, at);
			if (done != (ssize_t)len)
				err(1, "write of %zu at %zu: %zd", len, at, done);
			if (len && at + len > size)
				size = at + len;
			break;
		default:
			done = pread(file, buf, len, at);
			if (at >= size)
				len = 0;
			else if (len > size - at)
				len = size - at;
			if (done != (ssize_t)len)
				errx(1, "read at %zu: %zd, not %zu", at, done, len);
			if (memcmp(buf, model + at, len))
				errx(1, "%zu bytes at %zu are not what was written", len, at);
		}
		if (fstat(file, &st) || st.st_size != (off_t)size)
			errx(1, "its length is %lld, not %zu", (long long)st.st_size, size);
	}

	if (pread(file, buf, max, 0) != (ssize_t)size || memcmp(buf, model, size))
		errx(1, "the contents are not what was written");
	printf("size=%zu\n", size);
	return 0;
}
