/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_VM_CPU_H
#define GMEM_VM_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* QEMU 11 has 30. */
#define CPU_WORDS	64

/**
 * enum cpu_reg - a register that CPUID answers in
 * @CPU_EAX: so
 * @CPU_EBX: so
 * @CPU_ECX: so
 * @CPU_EDX: so
 */
enum cpu_reg {
	CPU_EAX,
	CPU_EBX,
	CPU_ECX,
	CPU_EDX,
};

/**
 * struct cpu_word - 32 features of a CPU
 * @leaf: eax of the CPUID that tells them
 * @subleaf: ecx of it
 * @reg: where they are then
 * @bits: which ones it has
 */
struct cpu_word {
	uint32_t leaf;
	uint32_t subleaf;
	enum cpu_reg reg;
	uint32_t bits;
};

/**
 * struct cpu - the features of a guest's CPUs
 * @nr: how many words are known
 * @words: these
 */
struct cpu {
	size_t nr;
	struct cpu_word words[CPU_WORDS];
};

/* A feature's name, by cpuid.csv of the kernel's tree */
struct cpu_name {
	uint32_t leaf;
	uint32_t subleaf;
	enum cpu_reg reg;
	unsigned int bit;
	const char *name;
};

extern const struct cpu_name cpu_names[];
extern const size_t nr_cpu_names;

bool cpu_add(struct cpu *cpu, const struct cpu_word *word);
bool cpu_reg_of(const char *name, enum cpu_reg *reg);
int cpu_print(const struct cpu *cpu, char *to, size_t size);
bool cpu_parse(const char *text, struct cpu *cpu);
size_t cpu_missing(const struct cpu *saved, const struct cpu *now, char *to, size_t size);

#endif /* GMEM_VM_CPU_H */
