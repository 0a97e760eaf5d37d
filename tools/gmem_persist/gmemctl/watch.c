// SPDX-License-Identifier: GPL-2.0
/*
 * What changes: of the pool, of cleaning, and of the handover.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gmemctl.h"

/* All that is looked at: those of the file "stat" first, as it has them. */
static const char * const names[] = {
	"pool_bytes", "clean_bytes", "dirty_bytes", "used_bytes", "quarantined_bytes",
	"poisoned_bytes", "free_1g_bytes",
	"clean_background", "clean_rate", "generation", "restore", "frozen", "holders", "handover",
};

#define NR_STAT		7
#define NR_NAMES	(sizeof(names) / sizeof(*names))

struct picture {
	char values[NR_NAMES][256];
};

/* Read one by one, they would not add up. */
static void read_stat(struct picture *now)
{
	FILE *file = fopen(POOL "/stat", "re");
	int i;

	for (i = 0; file && i < NR_STAT; i++)
		if (fscanf(file, "%*s %255s", now->values[i]) != 1)
			break;
	if (file)
		fclose(file);
	if (i < NR_STAT)
		err(STATUS_FAILED, "%s", POOL "/stat");
}

/* Several lines are one, with blanks; what cannot be read is empty. */
static void read_value(const char *name, char value[256])
{
	char path[128];
	size_t length;
	FILE *file;

	snprintf(path, sizeof(path), POOL "/%s", name);
	file = fopen(path, "re");
	length = file ? fread(value, 1, 255, file) : 0;
	if (file)
		fclose(file);
	if (length && value[length - 1] == '\n')
		length--;
	value[length] = '\0';
	for (; *value; value++)
		if (*value == '\n')
			*value = ' ';
}

static void look(struct picture *now)
{
	read_stat(now);
	for (size_t i = NR_STAT; i < NR_NAMES; i++)
		read_value(names[i], now->values[i]);
}

static void print_time(void)
{
	time_t now = time(NULL);
	char text[64];

	strftime(text, sizeof(text), json ? "%Y-%m-%dT%H:%M:%S%z" : "%H:%M:%S", localtime(&now));
	printf(json ? "{\"time\":\"%s\"" : "%s", text);
}

/* A line: as JSON all that there is, or else what is not as it was */
static void print_picture(const struct picture *now, const struct picture *before)
{
	const char *comma = ",";

	print_time();
	for (size_t i = 0; i < NR_NAMES; i++) {
		if (json)
			print_pair(names[i], now->values[i], &comma);
		else if (!before || strcmp(now->values[i], before->values[i]))
			printf("  %s %s", names[i], now->values[i][0] ? now->values[i] : "-");
	}
	puts(json ? "}" : "");
	if (fflush(stdout))
		err(STATUS_FAILED, "cannot write");
}

/* Lines are written as a whole, so there is nothing to be finished. */
static void end(int signal)
{
	_exit(STATUS_OK);
}

/**
 * watch - print what there is, and a line whenever it has changed
 * @interval: seconds between two looks, as text; NULL: one second. The kernel tells nobody when
 *	something changes
 *
 * SIGINT, SIGTERM and SIGHUP end the program, with STATUS_OK.
 */
void watch(const char *interval)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
	struct picture now = { 0 }, before = { 0 };
	struct timespec wait = { .tv_sec = 1 };
	char *rest;
	double seconds;

	if (interval) {
		seconds = strtod(interval, &rest);
		if (rest == interval || *rest || !(seconds >= 0.01 && seconds <= 86400))
			errx(STATUS_USAGE, "%s: not an interval (0.01 to 86400 seconds)", interval);
		wait.tv_sec = seconds;
		wait.tv_nsec = (seconds - wait.tv_sec) * 1e9;
	}
	/* What nohup or a shell has had ignored stays so. */
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (signal(ends[i], end) == SIG_IGN)
			signal(ends[i], SIG_IGN);
	setvbuf(stdout, NULL, _IOFBF, 1 << 14);
	look(&now);
	print_picture(&now, NULL);
	for (;;) {
		nanosleep(&wait, NULL);
		before = now;
		look(&now);
		if (memcmp(&now, &before, sizeof(now)))
			print_picture(&now, &before);
	}
}
