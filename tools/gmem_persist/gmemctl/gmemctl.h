/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEMCTL_H
#define GMEMCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the kernel shows of the pool */
#define POOL	"/sys/kernel/mm/gmem_persist"

/* Exit status; see gmemctl.8. */
enum {
	STATUS_OK,
	STATUS_FAILED,
	STATUS_USAGE,
	STATUS_NO_POOL,
	STATUS_REFUSED,
	STATUS_DAMAGED,
};

/* Print JSON. */
extern bool json;

/* With their terminating NULs */
#define UUID_TEXT_SIZE	37
#define TOKEN_TEXT_SIZE	33

/* A physically contiguous part of a file */
struct piece {
	uint64_t base;
	uint64_t size;
};

/**
 * struct suggestion - what memory may have been
 * @ranges: the memory, in the order of its offsets
 * @nr: how many
 * @data: it is data, of @length bytes, not a guest's memory
 * @granule: as the kernel has them
 * @flags: likewise
 * @vm_class: likewise
 * @length: in bytes
 */
struct suggestion {
	struct piece *ranges;
	unsigned int nr;
	bool data;
	uint64_t granule;
	uint64_t flags;
	uint32_t vm_class;
	uint64_t length;
};

int open_to_ask(int dir, const char *path);
void print_pair(const char *key, const char *value, const char **comma);
void progress(const char *name);
void __attribute__((noreturn)) watch(const char *interval);
int show(char * const *paths, int nr, const char *field);
int list(void);
int show_token(const char *path);
int quota(const char *path, const char *bytes, const char *names);
int open_root(bool change);
bool parse_number(const char *text, const char **end, uint64_t *n);
uint64_t parse_size(const char *text);
const char *uuid_text(char text[UUID_TEXT_SIZE], const uint8_t uuid[16]);
const char *token_text(char text[TOKEN_TEXT_SIZE], const uint8_t token[16]);
int decode(void *bytes, size_t size);
void suggest(void *bytes, size_t size, unsigned int slot, struct suggestion *s);
bool parse_range(const char *text, struct piece *range);
int attach(const char *path, const struct suggestion *s, long slot);

#endif
