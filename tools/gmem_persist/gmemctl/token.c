// SPDX-License-Identifier: GPL-2.0
/*
 * What the memory of a file of gmemfs is known by. Who saves a guest's state notes it, and
 * compares it before the guest goes on.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/gmem_persist.h>

#include "gmemctl.h"

static char *hex(char *to, const uint8_t *bytes, int nr)
{
	for (; nr--; bytes++, to += 2)
		sprintf(to, "%02x", *bytes);
	return to;
}

/**
 * uuid_text - write a uuid as it is usual
 * @text: the text
 * @uuid: the uuid
 *
 * Return: the text.
 */
const char *uuid_text(char text[UUID_TEXT_SIZE], const uint8_t uuid[16])
{
	static const int parts[] = { 4, 2, 2, 2, 6 };
	char *to = text;

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); uuid += parts[i++]) {
		if (i)
			*to++ = '-';
		to = hex(to, uuid, parts[i]);
	}
	return text;
}

/**
 * token_text - write a token in hexadecimal
 * @text: the text
 * @token: the token
 *
 * Return: the text.
 */
const char *token_text(char text[TOKEN_TEXT_SIZE], const uint8_t token[16])
{
	hex(text, token, GMEM_PERSIST_TOKEN_SIZE);
	return text;
}

/**
 * show_token - print uuid and token of a file
 * @path: the file
 *
 * Return: STATUS_OK.
 */
int show_token(const char *path)
{
	char uuid[UUID_TEXT_SIZE], text[TOKEN_TEXT_SIZE];
	struct gmem_persist_view view = {};
	int fd = open_to_ask(AT_FDCWD, path);

	if (fd < 0)
		err(STATUS_FAILED, "%s", path);
	if (ioctl(fd, GMEM_PERSIST_GET_VIEW, &view)) {
		/* The latter is what some other file made of the number. */
		if (errno == ENOTTY || errno == EINVAL)
			errx(STATUS_FAILED, "%s: not a file of gmemfs", path);
		err(STATUS_FAILED, "%s", path);
	}
	close(fd);
	printf(json ? "{\"uuid\":\"%s\",\"token\":\"%s\"}\n" : "%s %s\n",
	       uuid_text(uuid, view.uuid), token_text(text, view.token));
	return STATUS_OK;
}
