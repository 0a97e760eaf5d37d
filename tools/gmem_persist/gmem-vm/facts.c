// SPDX-License-Identifier: GPL-2.0
/*
 * What does not change while a QEMU runs: its machine, how much memory that began with, and what its
 * CPU can do. QEMU tells it when the guest has started, since it answers slowly (qmp.c), and who
 * is saved is not to wait for that. The file has a line that tells which process it is of, and a
 * note like that of what is saved (note.c). If it is missing, damaged, or of another process, QEMU
 * is asked instead.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm.h"

/* The line, with zeros behind it */
#define LINE	128

struct facts {
	char line[LINE];
	char block[NOTE_SIZE];
};

/* As much of a file as fits, as text. False: it cannot be read. */
static bool read_text(const char *path, char *to, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, to, size - 1);

	if (fd >= 0)
		close(fd);
	to[got > 0 ? got : 0] = '\0';
	return got > 0;
}

/* Field @nr of /proc/PID/stat, as proc(5) counts them; @at is the end of the second one. */
static bool field(const char *at, int nr, unsigned long long *value)
{
	for (int i = 2; at && i < nr; i++)
		at = strchr(at + 1, ' ');
	*value = at ? strtoull(at, NULL, 10) : 0;
	return at;
}

/* Of which process, of all that there ever were. False: the kernel does not say. */
static bool line_of(pid_t pid, char line[LINE])
{
	char *path = text("/proc/%d/stat", (int)pid), stat[2048], boot[64], *at;
	bool told = read_text(path, stat, sizeof(stat)) &&
		    read_text("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
	unsigned long long began, args;

	free(path);
	memset(line, 0, LINE);
	at = told ? strrchr(stat, ')') : NULL;
	/* When it began; where its arguments are, which an exec changes */
	if (!field(at, 22, &began) || !field(at, 48, &args))
		return false;
	boot[strcspn(boot, "\n")] = '\0';
	snprintf(line, LINE, "qemu %d %llu %llx %s\n", (int)pid, began, args, boot);
	return true;
}

/**
 * facts_keep - let that be known of a QEMU for as long as it runs
 * @vm: the VM
 * @pid: its QEMU
 * @note: what is known. If it cannot be kept, QEMU will be asked.
 */
void facts_keep(const struct vm *vm, pid_t pid, const struct note *note)
{
	const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
	struct facts facts;
	const char *reason;
	int fd;

	if (!line_of(pid, facts.line) || !note_print(note, facts.block, &reason))
		return;
	fd = open(vm->facts, flags, 0600);
	if (fd < 0)
		return;
	if (write(fd, &facts, sizeof(facts)) != sizeof(facts))
		unlink(vm->facts);
	close(fd);
}

/**
 * facts_recall - what was known of a QEMU when its guest had started
 * @vm: the VM
 * @pid: its QEMU
 * @note: gets machine, memory and CPU, if they are known
 *
 * Return: false: they are not.
 */
bool facts_recall(const struct vm *vm, pid_t pid, struct note *note)
{
	int fd = open(vm->facts, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct note kept = { 0 };
	struct facts facts;
	char line[LINE];
	const char *reason;
	bool known = fd >= 0 && read(fd, &facts, sizeof(facts)) == sizeof(facts) &&
		     line_of(pid, line) && !memcmp(line, facts.line, LINE) &&
		     note_parse(facts.block, &kept, &reason);

	if (fd >= 0)
		close(fd);
	if (known) {
		memcpy(note->machine, kept.machine, sizeof(note->machine));
		memcpy(note->memory, kept.memory, sizeof(note->memory));
		note->cpu = kept.cpu;
	}
	note_clear(&kept);
	return known;
}
