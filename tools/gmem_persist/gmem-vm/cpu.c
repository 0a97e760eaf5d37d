// SPDX-License-Identifier: GPL-2.0
/*
 * The features of a guest's CPUs: as the note of what was saved has them, and which of them
 * another host, kernel or QEMU does not offer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

static const char * const regs[] = { "eax", "ebx", "ecx", "edx" };

/**
 * cpu_reg_of - which register is that
 * @name: its name, in capitals or not
 * @reg: is set
 *
 * Return: false: it is none that CPUID answers in.
 */
bool cpu_reg_of(const char *name, enum cpu_reg *reg)
{
	for (size_t i = 0; i < sizeof(regs) / sizeof(*regs); i++) {
		if (!strcasecmp(name, regs[i])) {
			*reg = i;
			return true;
		}
	}
	return false;
}

static const struct cpu_word *find(const struct cpu *cpu, const struct cpu_word *like)
{
	for (size_t i = 0; i < cpu->nr; i++) {
		const struct cpu_word *word = &cpu->words[i];

		if (word->leaf == like->leaf && word->subleaf == like->subleaf &&
		    word->reg == like->reg)
			return word;
	}
	return NULL;
}

/**
 * cpu_add - note some more features of a CPU
 * @cpu: the CPU
 * @word: the features
 *
 * Return: false: there are too many, or these were known.
 */
bool cpu_add(struct cpu *cpu, const struct cpu_word *word)
{
	if (cpu->nr == CPU_WORDS || find(cpu, word))
		return false;
	cpu->words[cpu->nr++] = *word;
	return true;
}

/**
 * cpu_print - write the features as text, "1.0.ecx=82202001 ..."
 * @cpu: the CPU
 * @to: where to
 * @size: how many bytes fit there
 *
 * Return: the length of it all, which may be more than fits.
 */
int cpu_print(const struct cpu *cpu, char *to, size_t size)
{
	int length = 0;

	if (size)
		*to = '\0';
	for (size_t i = 0; i < cpu->nr; i++) {
		const struct cpu_word *word = &cpu->words[i];
		const size_t at = (size_t)length < size ? (size_t)length : size;

		if (!word->bits)
			continue;
		length += snprintf(to + at, size - at, "%s%x.%x.%s=%x", length ? " " : "",
				   word->leaf, word->subleaf, regs[word->reg], word->bits);
	}
	return length;
}

/* A number that ends with that character, and where the text goes on behind it */
static bool number(const char **text, char end, uint32_t *value)
{
	const size_t digits = strspn(*text, "0123456789abcdef");

	if (!digits || digits > 8 || (*text)[digits] != end)
		return false;
	*value = strtoul(*text, NULL, 16);
	*text += digits + (end != '\0');
	return true;
}

/**
 * cpu_parse - read what cpu_print() wrote
 * @text: that
 * @cpu: is set
 *
 * Return: false: it is something else.
 */
bool cpu_parse(const char *text, struct cpu *cpu)
{
	*cpu = (struct cpu){ 0 };
	while (*text) {
		const char *end = strchrnul(text, ' ');
		struct cpu_word word;
		char one[64], reg[4];
		const char *at = one;

		if (end == text || end - text >= (ptrdiff_t)sizeof(one))
			return false;
		snprintf(one, sizeof(one), "%.*s", (int)(end - text), text);
		if (!number(&at, '.', &word.leaf) || !number(&at, '.', &word.subleaf))
			return false;
		snprintf(reg, sizeof(reg), "%.3s", at);
		if (strlen(at) < 5 || at[3] != '=' || !cpu_reg_of(reg, &word.reg))
			return false;
		at += 4;
		if (!number(&at, '\0', &word.bits) || !cpu_add(cpu, &word))
			return false;
		if (*end && !end[1])
			return false;
		text = *end ? end + 1 : end;
	}
	return true;
}

/* What to call it: by its name, or by where it is */
static void name_of(const struct cpu_word *word, unsigned int bit, char *to, size_t size)
{
	for (size_t i = 0; i < nr_cpu_names; i++) {
		const struct cpu_name *name = &cpu_names[i];

		if (name->leaf == word->leaf && name->subleaf == word->subleaf &&
		    name->reg == word->reg && name->bit == bit) {
			snprintf(to, size, "%s", name->name);
			return;
		}
	}
	snprintf(to, size, "CPUID.%XH.%X:%s[%u]", word->leaf, word->subleaf, regs[word->reg], bit);
}

/**
 * cpu_missing - which features did the guest have that there are not
 * @saved: what it knows
 * @now: what there is
 * @to: their names, with blanks between; "..." stands for what does not fit
 * @size: bytes that fit there, at least 8
 *
 * Return: how many there are.
 */
size_t cpu_missing(const struct cpu *saved, const struct cpu *now, char *to, size_t size)
{
	size_t nr = 0, length = 0;
	char name[64];

	*to = '\0';
	for (size_t i = 0; i < saved->nr; i++) {
		const struct cpu_word *word = &saved->words[i], *has = find(now, word);
		const uint32_t lost = word->bits & ~(has ? has->bits : 0);

		for (unsigned int bit = 0; bit < 32; bit++) {
			if (!(lost >> bit & 1))
				continue;
			nr++;
			name_of(word, bit, name, sizeof(name));
			/* Room for a blank, the dots, and a 0 */
			if (length + strlen(name) + 6 <= size)
				length += sprintf(to + length, "%s%s", length ? " " : "", name);
			else if (length < 4 || strcmp(to + length - 3, "..."))
				length += sprintf(to + length, "%s...", length ? " " : "");
		}
	}
	return nr;
}
