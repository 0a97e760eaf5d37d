/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEMCTL_H
#define GMEMCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

int open_to_ask(int dir, const char *path);
int show(char * const *paths, int nr, const char *field);
int list(void);
int show_token(const char *path);
const char *uuid_text(char text[UUID_TEXT_SIZE], const uint8_t uuid[16]);
const char *token_text(char text[TOKEN_TEXT_SIZE], const uint8_t token[16]);
int decode(void *bytes, size_t size);

#endif
