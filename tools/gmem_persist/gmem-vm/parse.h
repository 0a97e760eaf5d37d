/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_VM_PARSE_H
#define GMEM_VM_PARSE_H

#include <stdbool.h>
#include <stdint.h>

uint64_t parse_blocks(const char *table);
bool parse_starts(const char *jobs, const char *unit);

#endif /* GMEM_VM_PARSE_H */
