// SPDX-License-Identifier: GPL-2.0
/*
 * The note at the beginning of a file of what was saved: lines of a word, a blank and what
 * that is, and zeros behind them.
 *
 *   gmem-vm 4
 *   name vm0
 *   memory 4194304K
 *   state complete		or resuming
 *   guest running		or paused
 *   machine pc-q35-10.0
 *   qemu 10.0.2
 *   file /gmem/vm0.state	what was saved
 *   cpu 1.0.ecx=82202001 ...	no bits are left out
 *   payload 297123 8f1c2a90	length and CRC-32 of what follows the note
 *   part UUID TOKEN WHERE PATH	one for each file
 *   check 1234abcd		CRC-32 of the lines above
 *
 * The same note is in the mark beside the memory. Format 3 knows neither "file" nor WHERE. Format
 * 2, of the shell script that was here before, knows neither these nor "guest", "cpu", "payload"
 * and "check".
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "note.h"

/* Each may be there once, but for parts. */
enum key {
	KEY_NAME = 1 << 0,
	KEY_MEMORY = 1 << 1,
	KEY_STATE = 1 << 2,
	KEY_GUEST = 1 << 3,
	KEY_MACHINE = 1 << 4,
	KEY_QEMU = 1 << 5,
	KEY_CPU = 1 << 6,
	KEY_PAYLOAD = 1 << 7,
	KEY_CHECK = 1 << 8,
	KEY_PART = 1 << 9,
	KEY_FILE = 1 << 10,
};

#define KEYS_2	(KEY_NAME | KEY_MEMORY | KEY_STATE | KEY_MACHINE | KEY_QEMU | KEY_PART)
#define KEYS_3	(KEYS_2 | KEY_GUEST | KEY_CPU | KEY_PAYLOAD | KEY_CHECK)
#define KEYS_4	(KEYS_3 | KEY_FILE)

static const struct {
	const char *word;
	enum key key;
} keys[] = {
	{ "name", KEY_NAME }, { "memory", KEY_MEMORY }, { "state", KEY_STATE },
	{ "guest", KEY_GUEST }, { "machine", KEY_MACHINE }, { "qemu", KEY_QEMU },
	{ "cpu", KEY_CPU }, { "payload", KEY_PAYLOAD }, { "check", KEY_CHECK },
	{ "part", KEY_PART }, { "file", KEY_FILE },
};

/**
 * note_clear_parts - forget what a note says of the memory
 * @note: the note
 */
void note_clear_parts(struct note *note)
{
	while (note->nr_parts) {
		struct note_part *part = &note->parts[--note->nr_parts];

		free(part->path);
		free(part->where);
		*part = (struct note_part){ 0 };
	}
}

/**
 * note_clear - forget what a note says
 * @note: the note
 */
void note_clear(struct note *note)
{
	note_clear_parts(note);
	free(note->file);
	*note = (struct note){ 0 };
}

/**
 * note_add_part - one more file of the guest's memory
 * @note: the note
 * @uuid: which memory it is
 * @token: who has changed it last
 * @path: where it is
 *
 * Return: false: there are too many, or it cannot be written down.
 */
bool note_add_part(struct note *note, const char *uuid, const char *token, const char *path)
{
	struct note_part *part = &note->parts[note->nr_parts];

	if (note->nr_parts == NOTE_PARTS || strlen(uuid) != sizeof(part->uuid) - 1 ||
	    strlen(token) != sizeof(part->token) - 1 || path[0] != '/' || strchr(path, '\n'))
		return false;
	memcpy(part->uuid, uuid, sizeof(part->uuid));
	memcpy(part->token, token, sizeof(part->token));
	part->path = strdup(path);
	if (!part->path)
		return false;
	note->nr_parts++;
	return true;
}

/**
 * note_add_where - one more backend of QEMU's has that file
 * @part: the file
 * @backend: its name
 * @offset: from where on in the file
 *
 * They are kept in order, since QEMU tells them in any.
 *
 * Return: false: that cannot be written down.
 */
bool note_add_where(struct note_part *part, const char *backend, uint64_t offset)
{
	char *before = part->where, *at = before, *item;
	bool last;

	if (strpbrk(backend, " ,\n") || asprintf(&item, "%s+%" PRIu64, backend, offset) < 0)
		return false;
	if (!before) {
		part->where = item;
		return true;
	}
	while (*at && strcmp(at, item) < 0) {
		at = strchrnul(at, ',');
		at += *at == ',';
	}
	last = !*at;
	if (asprintf(&part->where, "%.*s%s%s%s%s", (int)(at - before), before, last ? "," : "",
		     item, last ? "" : ",", at) < 0)
		part->where = NULL;
	free(item);
	free(before);
	return part->where;
}

/**
 * note_replace_parts - let a note have other parts
 * @note: the note
 * @now: which has them, and has none then; where they are is known from @note
 */
void note_replace_parts(struct note *note, struct note *now)
{
	for (size_t i = 0; i < now->nr_parts; i++) {
		for (size_t j = 0; j < note->nr_parts && !now->parts[i].where; j++) {
			if (strcmp(now->parts[i].uuid, note->parts[j].uuid))
				continue;
			now->parts[i].where = note->parts[j].where;
			note->parts[j].where = NULL;
		}
	}
	note_clear_parts(note);
	memcpy(note->parts, now->parts, sizeof(note->parts));
	note->nr_parts = now->nr_parts;
	now->nr_parts = 0;
}

/* The next word of several; NULL: there is none behind it */
static char *next_word(char **at)
{
	char *word = *at, *blank = word ? strchr(word, ' ') : NULL;

	*at = blank ? blank + 1 : NULL;
	if (blank)
		*blank = '\0';
	return blank ? word : NULL;
}

static bool parse_part(struct note *note, char *value)
{
	char *uuid = next_word(&value), *token = next_word(&value), *where = NULL;
	struct note_part *part = &note->parts[note->nr_parts];

	if (note->version >= 4)
		where = next_word(&value);
	if (!value || !note_add_part(note, uuid, token, value))
		return false;
	if (where && strcmp(where, "-"))
		part->where = strdup(where);
	return true;
}

static bool parse_payload(struct note *note, const char *value)
{
	int end = 0;

	return isdigit((unsigned char)*value) &&
	       sscanf(value, "%" SCNu64 " %8" SCNx32 "%n", &note->length, &note->crc, &end) == 2 &&
	       !value[end];
}

/* One of two words */
static bool choose(const char *value, const char *no, const char *yes, bool *chosen)
{
	*chosen = !strcmp(value, yes);
	return *chosen || !strcmp(value, no);
}

static bool copy_word(char to[NOTE_WORD], const char *value)
{
	return (size_t)snprintf(to, NOTE_WORD, "%s", value) < NOTE_WORD;
}

static bool parse_value(struct note *note, enum key key, char *value, uint32_t crc)
{
	bool resuming, good;
	char check[9];

	switch (key) {
	case KEY_NAME:
		return copy_word(note->name, value);
	case KEY_MEMORY:
		return copy_word(note->memory, value);
	case KEY_MACHINE:
		return copy_word(note->machine, value);
	case KEY_QEMU:
		return copy_word(note->qemu, value);
	case KEY_STATE:
		good = choose(value, "complete", "resuming", &resuming);
		note->state = resuming ? NOTE_RESUMING : NOTE_COMPLETE;
		return good;
	case KEY_GUEST:
		return choose(value, "running", "paused", &note->paused);
	case KEY_CPU:
		return cpu_parse(value, &note->cpu);
	case KEY_PAYLOAD:
		return parse_payload(note, value);
	case KEY_CHECK:
		snprintf(check, sizeof(check), "%08" PRIx32, crc);
		return !strcmp(value, check);
	case KEY_PART:
		return parse_part(note, value);
	case KEY_FILE:
		note->file = strdup(value);
		return note->file;
	}
	return false;
}

static uint32_t crc_of(const char *bytes, size_t length)
{
	return crc32(crc32(0, NULL, 0), (const unsigned char *)bytes, length);
}

/* One line, without its end; what is in @seen was there before. */
static bool parse_line(struct note *note, char *line, uint32_t crc, unsigned int *seen)
{
	char *value = strchr(line, ' ');

	/* Nothing follows the checksum. */
	if (!value || *seen & KEY_CHECK)
		return false;
	*value++ = '\0';
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		const enum key key = keys[i].key;

		if (strcmp(line, keys[i].word))
			continue;
		if (key != KEY_PART && *seen & key)
			return false;
		*seen |= key;
		return parse_value(note, key, value, crc);
	}
	return false;
}

/**
 * note_is_ours - is it a note at all, of whichever version, and be it damaged
 * @block: the first bytes of a file
 */
bool note_is_ours(const char block[NOTE_SIZE])
{
	return !strncmp(block, "gmem-vm ", 8);
}

/**
 * note_parse - read a note without trusting it
 * @block: the first bytes of the file
 * @note: is set; to be cleared, also if it is refused
 * @why: why it is refused, a part of a sentence
 *
 * Return: false: it is refused.
 */
bool note_parse(const char block[NOTE_SIZE], struct note *note, const char **why)
{
	static const unsigned int wanted[] = { [2] = KEYS_2, [3] = KEYS_3, [4] = KEYS_4 };
	char copy[NOTE_SIZE + 1] = "";
	unsigned int seen = 0;
	char *line, *end;
	size_t length;

	*note = (struct note){ 0 };
	*why = "is none of gmem-vm's files";
	memcpy(copy, block, NOTE_SIZE);
	length = strlen(copy);
	if (!note_is_ours(block) || !isdigit((unsigned char)copy[8]))
		return false;
	*why = "is of another version of gmem-vm";
	if (copy[8] < '2' || copy[8] > '4' || copy[9] != '\n')
		return false;
	note->version = copy[8] - '0';
	*why = "is damaged";
	for (size_t i = length; i < NOTE_SIZE; i++)
		if (block[i])
			return false;
	for (line = copy + 10; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!end)
			return false;
		*end = '\0';
		if (!parse_line(note, line, crc_of(block, line - copy), &seen))
			return false;
	}
	return seen == wanted[note->version];
}

static bool print_to(char block[NOTE_SIZE], size_t *length, const char *word, const char *value)
{
	int more = snprintf(block + *length, NOTE_SIZE - *length, "%s %s\n", word, value);

	*length += more;
	return *length < NOTE_SIZE;
}

/**
 * note_print - write a note
 * @note: the note; one that was read keeps its format, since it must fit again, others have 4
 * @block: where to
 * @why: why it cannot be written, a part of a sentence
 *
 * Return: false: it cannot.
 */
bool note_print(const struct note *note, char block[NOTE_SIZE], const char **why)
{
	const char format[] = { '0' + (note->version ?: 4), '\0' };
	const bool is_2 = *format == '2', is_4 = *format == '4';
	char cpu[NOTE_SIZE / 2], value[NOTE_SIZE];
	size_t length = 0;
	bool fits;

	memset(block, 0, NOTE_SIZE);
	*why = "its memory is too many files";
	fits = print_to(block, &length, "gmem-vm", format) &&
	       print_to(block, &length, "name", note->name) &&
	       print_to(block, &length, "memory", note->memory) &&
	       print_to(block, &length, "state",
			note->state == NOTE_RESUMING ? "resuming" : "complete") &&
	       (is_2 || print_to(block, &length, "guest", note->paused ? "paused" : "running")) &&
	       print_to(block, &length, "machine", note->machine) &&
	       print_to(block, &length, "qemu", note->qemu) &&
	       (!is_4 || print_to(block, &length, "file", note->file ?: "")) &&
	       cpu_print(&note->cpu, cpu, sizeof(cpu)) < (int)sizeof(cpu) &&
	       (is_2 || print_to(block, &length, "cpu", cpu));
	snprintf(value, sizeof(value), "%" PRIu64 " %08" PRIx32, note->length, note->crc);
	fits = fits && (is_2 || print_to(block, &length, "payload", value));
	for (size_t i = 0; i < note->nr_parts && fits; i++) {
		const struct note_part *part = &note->parts[i];

		snprintf(value, sizeof(value), "%s %s %s%s%s", part->uuid, part->token,
			 is_4 ? part->where ?: "-" : "", is_4 ? " " : "", part->path);
		fits = print_to(block, &length, "part", value);
	}
	if (!fits || is_2)
		return fits;
	snprintf(value, sizeof(value), "%08" PRIx32, crc_of(block, length));
	return print_to(block, &length, "check", value);
}
