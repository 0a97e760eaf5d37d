// SPDX-License-Identifier: GPL-2.0
/*
 * A VM's settings. They are shell variables, so a shell reads them, and answers with what
 * they have become: strings that end with a 0.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conf.h"

/* Its first argument is the file. What that prints is not taken for the answer. */
static const char script[] =
"QEMU=qemu-system-x86_64 MACHINE=q35 CPU=host GRANULE=2M MEMORY='' QEMU_ARGS='' PATIENCE=60\n"
". \"$1\" >&2 || exit 2\n"
"line='\n'\n"
"while case $QEMU_ARGS in *\"$line\"*) ;; *) false ;; esac; do\n"
"	QEMU_ARGS=\"${QEMU_ARGS%%\"$line\"*} ${QEMU_ARGS#*\"$line\"}\"\n"
"done\n"
"eval \"set -- $QEMU_ARGS\" || exit 2\n"
"printf '%s\\0' \"$QEMU\" \"$MACHINE\" \"$CPU\" \"$GRANULE\" \"$MEMORY\" \"$PATIENCE\" $# \"$@\" end\n";

/* The next string of the answer; NULL if there is none that is whole */
static char *next(char **at, const char *end)
{
	char *found = *at, *stop = memchr(found, '\0', end - found);

	if (!stop)
		return NULL;
	*at = stop + 1;
	return found;
}

/* One that fits into 64 bits: a unit is worth three digits and a bit. */
static bool is_size(const char *text)
{
	static const char units[] = "kmgt";
	const size_t digits = strspn(text, "0123456789");
	const char *unit = strchr(units, tolower((unsigned char)text[digits]));

	if (!digits || !unit)
		return false;
	return *unit ? !text[digits + 1] && digits + 3 * (unit - units + 1) < 17 : digits < 17;
}

/**
 * conf_size - how much a MEMORY= is
 * @text: that
 *
 * Return: bytes.
 */
uint64_t conf_size(const char *text)
{
	static const char units[] = "kmgt";
	char *unit;
	const uint64_t number = strtoull(text, &unit, 10);
	const char *at = *unit ? strchr(units, tolower((unsigned char)*unit)) : NULL;

	return at ? number << 10 * (at - units + 1) : number;
}

/* A number of at most six digits */
static bool parse_count(const char *text, int *count)
{
	const size_t digits = strspn(text, "0123456789");

	if (!digits || digits > 6 || text[digits])
		return false;
	*count = atoi(text);
	return true;
}

/**
 * conf_parse - understand the shell's answer
 * @answer: that; it is used for as long as @conf is
 * @length: of it, in bytes
 * @conf: is set
 * @why: what is wrong, a part of a sentence
 *
 * Return: false: something is.
 */
bool conf_parse(char *answer, size_t length, struct conf *conf, const char **why)
{
	char *at = answer, *end = answer + length, *word;
	const char *patience, *count;
	int nr;

	*why = "is no shell file";
	*conf = (struct conf){
		.qemu = next(&at, end),
		.machine = next(&at, end),
		.cpu = next(&at, end),
		.granule = next(&at, end),
		.memory = next(&at, end),
	};
	patience = next(&at, end);
	count = next(&at, end);
	if (!count || !parse_count(count, &nr))
		return false;
	conf->args = calloc(nr + 1, sizeof(*conf->args));
	if (!conf->args)
		return false;
	while (conf->nr_args < (size_t)nr) {
		word = next(&at, end);
		if (!word)
			return false;
		conf->args[conf->nr_args++] = word;
	}
	word = next(&at, end);
	if (!word || strcmp(word, "end") || at != end)
		return false;

	*why = "has no MEMORY=";
	if (!*conf->memory)
		return false;
	*why = "has a MEMORY= that is no size";
	if (!is_size(conf->memory))
		return false;
	*why = "has a PATIENCE= that is no number of seconds";
	if (!parse_count(patience, &conf->patience) || !conf->patience)
		return false;
	*why = "has an empty QEMU=, MACHINE=, CPU= or GRANULE=";
	return *conf->qemu && *conf->machine && *conf->cpu && *conf->granule;
}

int conf_seconds = 30;

static time_t now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* All that comes, until its end; NULL if that takes too long, or there is no memory for it */
static char *read_all(int fd, size_t *length)
{
	const time_t deadline = now() + conf_seconds;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	size_t capacity = 4096;
	char *all = malloc(capacity), *more;
	ssize_t got;

	*length = 0;
	while (all) {
		if (now() > deadline) {
			free(all);
			return NULL;
		}
		if (poll(&poll_fd, 1, 1000) <= 0)
			continue;
		got = read(fd, all + *length, capacity - *length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		*length += got;
		if (*length < capacity)
			continue;
		capacity *= 2;
		more = realloc(all, capacity);
		if (!more)
			free(all);
		all = more;
	}
	return all;
}

/**
 * conf_read - read a VM's settings
 * @path: of the file, with a slash in it
 * @conf: is set
 * @why: what is wrong with it, a part of a sentence
 *
 * Return: 0, or -1.
 */
int conf_read(const char *path, struct conf *conf, const char **why)
{
	const char *words[6] = { "sh", "-c", script, "gmem-vm", path, NULL };
	posix_spawn_file_actions_t actions;
	int out[2], status = -1, error;
	size_t length;
	char *answer;
	pid_t pid;

	*why = "cannot be read by sh, or not in time";
	if (pipe2(out, O_CLOEXEC))
		return -1;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	error = posix_spawn(&pid, "/bin/sh", &actions, NULL, (char **)words, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	if (error) {
		close(out[0]);
		return -1;
	}
	answer = read_all(out[0], &length);
	close(out[0]);
	if (!answer)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!answer)
		return -1;
	*why = "is no shell file";
	if (status || !conf_parse(answer, length, conf, why))
		return -1;
	return 0;
}

/**
 * conf_has_word - is that one of the words for QEMU
 * @conf: the settings
 * @word: the word
 */
bool conf_has_word(const struct conf *conf, const char *word)
{
	for (size_t i = 0; i < conf->nr_args; i++)
		if (!strcmp(conf->args[i], word))
			return true;
	return false;
}

/**
 * conf_says - is something switched for QEMU
 * @conf: the settings
 * @key: by this
 * @on: on, or off
 *
 * Understands it as words of a line, and as JSON.
 */
bool conf_says(const struct conf *conf, const char *key, bool on)
{
	for (size_t i = 0; i < conf->nr_args; i++) {
		const char *at = conf->args[i];

		while ((at = strstr(at, key))) {
			at += strlen(key);
			at += strspn(at, "\" :=\t\n");
			/* on, yes, y, true; off, no, n, false */
			if (*at && strchr("oytnf", *at) &&
			    (strchr("nf", *at) || !strncmp(at, "of", 2)) != on)
				return true;
		}
	}
	return false;
}

/* The value at @at, which ends where QEMU's words end: two commas stand for one. */
static char *copy_value(const char *at, char quote)
{
	char *copy = malloc(strlen(at) + 1), *to = copy;

	for (; copy && *at && *at != quote; at++) {
		if (!quote && *at == ',' && *++at != ',')
			break;
		*to++ = *at;
	}
	if (copy)
		*to = '\0';
	return copy;
}

/**
 * conf_next_path - the next file that QEMU shall have as memory
 * @conf: the settings
 * @arg: which word to look at; 0 at first
 * @offset: where in it; 0 at first
 *
 * Understands mem-path= as words of a line, and as JSON.
 *
 * Return: a path, to be freed; NULL: there are no more.
 */
char *conf_next_path(const struct conf *conf, size_t *arg, size_t *offset)
{
	static const char key[] = "mem-path";

	for (; *arg < conf->nr_args; (*arg)++, *offset = 0) {
		const char *word = conf->args[*arg], *at;

		for (at = word + *offset; (at = strstr(at, key)); ) {
			const char before = at == word ? ',' : at[-1];

			at += strlen(key);
			*offset = at - word;
			if (*at == '=' && before == ',')
				return copy_value(at + 1, '\0');
			if (*at != '"' || before != '"')
				continue;
			at += 1 + strspn(at + 1, " :\t\n");
			if (*at == '"')
				return copy_value(at + 1, '"');
		}
	}
	return NULL;
}

/**
 * conf_name_good - can a VM have that name
 * @name: the name
 *
 * It is a file's name, and stands in QEMU's words and in lines. The endings are those of what
 * belongs to a VM.
 */
bool conf_name_good(const char *name)
{
	static const char * const endings[] = { ".state", ".room", ".saved", ".spare" };
	const size_t length = strlen(name);

	if (!length || length > 200 || name[0] == '.' || strpbrk(name, "/,"))
		return false;
	for (size_t i = 0; i < length; i++)
		if (iscntrl((unsigned char)name[i]))
			return false;
	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
		const size_t tail = strlen(endings[i]);

		if (length > tail && !strcmp(name + length - tail, endings[i]))
			return false;
	}
	return true;
}
