// SPDX-License-Identifier: GPL-2.0
/*
 * What others say in lines: QEMU of its memory, systemd of its jobs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

/**
 * parse_blocks - the bytes in use of all of QEMU's blocks of memory
 * @table: its table for humans; a line ends with offset, used, total, and perhaps an address,
 *	each "0x..." behind a blank
 *
 * Return: so many, 0 if it is no such table.
 */
uint64_t parse_blocks(const char *table)
{
	const char *line, *end;
	uint64_t sum = 0;

	for (line = table; *line; line = *end ? end + 1 : end) {
		const char *at, *numbers[3] = { NULL };
		size_t nr = 0;

		end = strchrnul(line, '\n');
		/* A block's name has no such thing in it. */
		for (at = line; nr < 3 && (at = strstr(at, " 0x")) && at < end; at++)
			numbers[nr++] = at + 1;
		if (nr == 3)
			sum += strtoull(numbers[1], NULL, 16);
	}
	return sum;
}

/**
 * parse_starts - is a unit about to be started
 * @jobs: what "systemctl list-jobs --no-legend" said
 * @unit: the unit
 */
bool parse_starts(const char *jobs, const char *unit)
{
	const char *line = jobs, *end;
	char name[256], what[64];

	for (; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (sscanf(line, "%*d %255s %63s", name, what) == 2 && !strcmp(name, unit) &&
		    !strcmp(what, "start"))
			return true;
	}
	return false;
}
