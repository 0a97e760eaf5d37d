/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_VM_CONF_H
#define GMEM_VM_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct conf - the settings of a VM; gmem-vm.8 tells what each means
 * @qemu: QEMU=
 * @machine: MACHINE=
 * @cpu: CPU=
 * @granule: GRANULE=
 * @memory: MEMORY=, a number and a unit; "": the settings could not be read
 * @patience: PATIENCE=, in seconds, at least 1
 * @args: the words of QEMU_ARGS=
 * @nr_args: how many there are
 *
 * The strings are parts of the answer that conf_parse() was given.
 */
struct conf {
	const char *qemu;
	const char *machine;
	const char *cpu;
	const char *granule;
	const char *memory;
	int patience;
	char **args;
	size_t nr_args;
};

/* For how many seconds the shell may read them */
extern int conf_seconds;

bool conf_parse(char *answer, size_t length, struct conf *conf, const char **why);
int conf_read(const char *path, struct conf *conf, const char **why);
uint64_t conf_size(const char *text);
bool conf_has_word(const struct conf *conf, const char *word);
char *conf_next_path(const struct conf *conf, size_t *arg, size_t *offset);
bool conf_says(const struct conf *conf, const char *key, bool on);
bool conf_name_good(const char *name);

#endif /* GMEM_VM_CONF_H */
