// SPDX-License-Identifier: GPL-2.0
/*
 * Time that goes on across a kexec: milliseconds of the CPU's time stamp counter.
 *
 *   gmem-stamp                   print the time
 *   gmem-stamp PATH >> FILE      copy lines from the FIFO there, "TIME LINE", for ever
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

/* As the command line tells the kernel; else against its clock, for a tenth of a second */
static double ticks_per_ms(void)
{
	static const char key[] = " tsc_early_khz=";
	char line[4096] = "", *word;
	struct timespec start, now;
	FILE *file = fopen("/proc/cmdline", "r");
	uint64_t first;
	double ms;

	if (!file || !fgets(line, sizeof(line), file))
		errx(1, "no command line");
	fclose(file);
	word = strstr(line, key);
	if (word)
		return strtod(word + strlen(key), NULL);
	clock_gettime(CLOCK_MONOTONIC_RAW, &start);
	first = __rdtsc();
	do {
		clock_gettime(CLOCK_MONOTONIC_RAW, &now);
		ms = (now.tv_sec - start.tv_sec) * 1e3 +
		     (now.tv_nsec - start.tv_nsec) / 1e6;
	} while (ms < 100);
	return (__rdtsc() - first) / ms;
}

int main(int argc, char **argv)
{
	const double rate = ticks_per_ms();
	char *line = NULL;
	size_t size = 0;
	FILE *fifo;

	if (argc < 2) {
		printf("%.0f\n", __rdtsc() / rate);
		return 0;
	}
	/* For writing, too: so it stays open when no VMM has it. */
	fifo = fopen(argv[1], "r+");
	if (!fifo)
		err(1, "%s", argv[1]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (getline(&line, &size, fifo) > 0) {
		line[strcspn(line, "\r\n")] = '\0';
		printf("%.0f %s\n", __rdtsc() / rate, line);
	}
	return 1;
}
