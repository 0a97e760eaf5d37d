/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_VM_NOTE_H
#define GMEM_VM_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu.h"

/* A file of what was saved begins with so many bytes of text; QEMU's part follows. */
#define NOTE_SIZE	4096
/* The longest name, number or version in it, with a 0 */
#define NOTE_WORD	256
#define NOTE_PARTS	32

/**
 * enum note_state - how far the life of what was saved has come
 * @NOTE_COMPLETE: a guest can go on from it
 * @NOTE_RESUMING: QEMU has it all, and the guest may run from now on
 */
enum note_state {
	NOTE_COMPLETE,
	NOTE_RESUMING,
};

/**
 * struct note_part - a file of gmemfs that is a part of the guest's memory
 * @uuid: which memory it is
 * @token: who has changed that last
 * @where: what of QEMU's memory it is, as "dimm0+0", the backend's name and the offset in the file,
 *	or several of these; NULL: not known
 * @mapped: how often QEMU has mapped it, which is not noted
 * @path: where it was
 */
struct note_part {
	char uuid[37];
	char token[33];
	char *where;
	unsigned int mapped;
	char *path;
};

/**
 * struct note - what was saved, and what it belongs to
 * @version: of the format: 4; 3, which tells neither @file nor what of the memory is where; or 2,
 *	which had neither a checksum nor the CPU
 * @state: how far it has come
 * @paused: the guest did not run when it was saved, and shall not then
 * @name: the VM's
 * @memory: how much memory it began with, as in MEMORY=
 * @machine: QEMU's name of the machine, with its version
 * @qemu: QEMU's version
 * @file: path of what was saved; NULL: not known
 * @cpu: the features that the guest knows
 * @length: bytes of QEMU's part
 * @crc: CRC-32 of these
 * @nr_parts: how many files the memory consists of
 * @parts: these
 */
struct note {
	int version;
	enum note_state state;
	bool paused;
	char name[NOTE_WORD];
	char memory[NOTE_WORD];
	char machine[NOTE_WORD];
	char qemu[NOTE_WORD];
	char *file;
	struct cpu cpu;
	uint64_t length;
	uint32_t crc;
	size_t nr_parts;
	struct note_part parts[NOTE_PARTS];
};

bool note_is_ours(const char block[NOTE_SIZE]);
bool note_parse(const char block[NOTE_SIZE], struct note *note, const char **why);
bool note_print(const struct note *note, char block[NOTE_SIZE], const char **why);
bool note_add_part(struct note *note, const char *uuid, const char *token, const char *path);
bool note_add_where(struct note_part *part, const char *backend, uint64_t offset);
void note_replace_parts(struct note *note, struct note *now);
void note_clear_parts(struct note *note);
void note_clear(struct note *note);

#endif /* GMEM_VM_NOTE_H */
