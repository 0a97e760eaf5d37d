/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_VM_PARSE_H
#define GMEM_VM_PARSE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct mapping - a file that a process has mapped so that others see what it writes
 * @size: how much of it, in bytes
 * @dev: the device that it is on
 * @ino: its number there
 * @path: its path when it was opened
 */
struct mapping {
	uint64_t size;
	dev_t dev;
	uint64_t ino;
	char path[4096];
};

bool parse_mapping(const char *line, struct mapping *mapping);
uint64_t parse_blocks(const char *table);
bool parse_starts(const char *jobs, const char *unit);

#endif /* GMEM_VM_PARSE_H */
