// SPDX-License-Identifier: GPL-2.0
/*
 * A guest without a kernel, as a flat image: what --private can be tried with everywhere,
 * see boot.c for how it starts.
 *
 * It fills 8 MiB of its memory, and then, again and again, compares and rewrites a part of
 * it and says "tick N bad=N". It uses nothing that KVM would have to emulate: KVM reads
 * instructions and page tables from the shared side of memory, and this guest has none.
 */
#include <stdint.h>

#define SET		((uint64_t *)0x2000000)	/* at 32 MiB */
#define WORDS		(8U << 17)
#define WORDS_PER_TICK	(WORDS / 16)
#define TICK_CYCLES	(1UL << 27)
#define STACK		"0x1f00000"

#define COM1		0x3f8

/* The first byte of the image */
asm(
	".globl start\n"
	"start:\n"
	"	mov	$" STACK ", %rsp\n"
	"	call	run\n");

static void print_char(char c)
{
	asm volatile("outb %0, %w1" : : "a"(c), "d"(COM1));
}

static void print(const char *text)
{
	while (*text)
		print_char(*text++);
}

static void print_number(uint64_t number)
{
	char text[21], *digit = text + sizeof(text) - 1;

	*digit = 0;
	do
		*--digit = '0' + number % 10;
	while (number /= 10);
	print(digit);
}

static uint64_t tsc(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static uint64_t value(uint32_t word, uint64_t version)
{
	return (word + 1) * 0x9e3779b97f4a7c15 ^ version;
}

static void __attribute__((used)) run(void)
{
	uint64_t tick, sweep = 0, bad = 0, start;
	uint32_t word, next = 0;

	for (word = 0; word < WORDS; word++)
		SET[word] = value(word, 0);
	for (tick = 1;; tick++) {
		for (word = next; word < next + WORDS_PER_TICK; word++) {
			bad += SET[word] != value(word, sweep);
			SET[word] = value(word, sweep + 1);
		}
		next = word;
		if (next == WORDS) {
			next = 0;
			sweep++;
		}
		print("tick ");
		print_number(tick);
		print(" bad=");
		print_number(bad);
		print("\n");
		for (start = tsc(); tsc() - start < TICK_CYCLES;)
			;
	}
}
