/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMEM_VM_H
#define GMEM_VM_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf.h"
#include "cpu.h"
#include "note.h"

/* What the program ends with; gmem-vm.8 tells each. */
enum status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_STALE = 3,
};

/**
 * struct vm - a VM that the caller named
 * @name: so
 * @keep_memory: a new guest gets the memory that is there
 * @override: the operator knows better than what would refuse the guest
 * @conf: its settings
 * @memory: path of its memory
 * @state: path of what was saved
 * @room: path of the file that holds room for that, and becomes it
 * @elsewhere: that is not where the memory is
 * @mark: path of a file beside the memory, which is there while the VM is saved
 * @spare: path of the file that holds room for that, and becomes it
 * @socket: path of QEMU's QMP socket
 * @pidfile: path of QEMU's pidfile, which QEMU has locked for as long as it lives
 * @lock: path of the lock
 * @facts: path of what is known of QEMU
 * @run: the folder of the four
 * @lock_fd: the lock, once it is held
 */
struct vm {
	const char *name;
	bool keep_memory;
	bool override;
	struct conf conf;
	char *memory;
	char *state;
	char *room;
	bool elsewhere;
	char *mark;
	char *spare;
	char *socket;
	char *pidfile;
	char *lock;
	char *facts;
	const char *run;
	int lock_fd;
};

/* Why something failed, in one line, for whoever says it */
struct why {
	char text[1024];
};

#define WHY(why, ...)	snprintf((why)->text, sizeof((why)->text), __VA_ARGS__)

/* SIGINT, SIGTERM or SIGHUP came. What cannot stop where it is does not look. */
extern volatile sig_atomic_t interrupted;

/* gmem-vm.c */
void say(const struct vm *vm, const char *format, ...) __attribute__((format(printf, 2, 3)));
void complain(const struct vm *vm, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_override(const struct vm *vm, const char *what);
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
void wake_each_second(bool on);
int prepare(struct vm *vm, bool wait);
int stop_locked(struct vm *vm);

/**
 * enum migration - what QEMU last said of a migration
 * @MIGRATION_NONE: nothing since qmp_migration_begins()
 * @MIGRATION_COMPLETED: that it has come to its end
 * @MIGRATION_FAILED: that it has failed, or was cancelled
 */
enum migration {
	MIGRATION_NONE,
	MIGRATION_COMPLETED,
	MIGRATION_FAILED,
};

/**
 * struct qmp - a session with QEMU
 * @fd: its socket; -1: there is none
 * @patience: for how many seconds it may stay silent
 * @buffer: what it said, and nobody has read
 * @length: how many bytes of that there are
 * @capacity: how many fit
 * @gone: it has closed the socket
 * @owed: how many answers have not come yet
 * @interruptible: a signal ends waiting for it
 * @version: of QEMU, as "10.0.2"
 * @major: its first number
 * @minor: its second number
 * @migration: of which it has spoken
 * @shut_down: it has said that the guest has shut down
 * @refused: it has answered the last command, by an error
 * @why: what went wrong last
 */
struct qmp {
	int fd;
	int patience;
	char *buffer;
	size_t length;
	size_t capacity;
	bool gone;
	unsigned int owed;
	bool interruptible;
	char version[32];
	int major;
	int minor;
	enum migration migration;
	bool shut_down;
	bool refused;
	struct why why;
};

/* qmp.c */
bool qmp_open(struct qmp *qmp, const struct vm *vm);
void qmp_close(struct qmp *qmp);
json_t *qmp_call(struct qmp *qmp, const char *command, json_t *arguments);
json_t *qmp_call_with(struct qmp *qmp, const char *command, json_t *arguments, int fd);
bool qmp_do(struct qmp *qmp, const char *command, json_t *arguments);
bool qmp_hear(struct qmp *qmp);
bool qmp_pump(struct qmp *qmp);
char *qmp_text(struct qmp *qmp, const char *command, json_t *arguments, const char *key);
int64_t qmp_deadline(const struct qmp *qmp);
int64_t now_ms(void);

/* guest.c: what QEMU knows of its guest */
bool guest_status(struct qmp *qmp, char status[32]);
bool guest_cont(struct qmp *qmp);
bool guest_restart_mode(struct qmp *qmp, bool on);
bool guest_in_restart_mode(struct qmp *qmp, bool *on);
bool guest_migration_state(struct qmp *qmp, char status[32], struct why *why);
bool guest_call_off(struct qmp *qmp, bool cont);
bool guest_pause_again(struct qmp *qmp, const char *status);
struct mapped;
bool guest_keeps_files(struct qmp *qmp, struct note *note, struct mapped *mapped);
bool guest_has_no_assigned(struct qmp *qmp, const char *status);
bool guest_cpu(struct qmp *qmp, struct cpu *cpu);
bool guest_facts(struct qmp *qmp, struct note *note);
bool guest_state_bytes(struct qmp *qmp, uint64_t shared, uint64_t *bytes);
bool guest_can_be_saved(struct qmp *qmp);

/* qemu.c: the process */
pid_t qemu_pid(const struct vm *vm, struct why *why);
int qemu_launch(struct vm *vm, const char *machine, bool incoming);
bool qemu_may_have_assigned(pid_t pid);
bool qemu_is_to_wait(pid_t pid);
bool qemu_ends_early(pid_t pid);
bool qemu_wait(pid_t pid, int seconds);
bool qemu_end(struct vm *vm, struct qmp *qmp, pid_t pid);

/* memory.c */
enum parts {
	PARTS_FRESH,
	PARTS_WRITTEN,
	PARTS_OTHER,
	PARTS_GONE,
};

/**
 * struct mapped - what QEMU has mapped of files that are not its alone
 * @shared: bytes of its memory in files that have a name, which are not saved
 * @nr: how many mappings there are of files of gmemfs
 * @others: there are other ones, too, and QEMU must be asked what they are
 * @unaligned: the path of a part of which leaves are small for the address at which it is mapped
 */
struct mapped {
	uint64_t shared;
	unsigned int nr;
	bool others;
	const char *unaligned;
};

bool memory_on_gmemfs(const char *path);
bool memory_is_lost(const char *path);
bool memory_in_folder(const char *path);
bool memory_parts(const struct vm *vm, pid_t pid, bool stopped, struct note *note,
		  struct mapped *mapped, struct why *why);
enum parts memory_compare(const struct note *note, struct why *why);
struct note_part *memory_part(struct note *note, const char *path);
bool memory_has_others(const struct note *note, struct why *why);
bool memory_settle(struct note *note, bool override, struct why *why);
bool memory_is_free(const struct vm *vm, struct why *why);
bool memory_keep(const struct vm *vm, struct why *why);
bool memory_renew(const struct vm *vm, struct why *why);
bool memory_is_there(const struct vm *vm);

/* file.c: what was saved, and the room for it */
bool file_reserve(const struct vm *vm, uint64_t bytes, struct why *why);
int file_open_room(const struct vm *vm, struct why *why);
bool file_announce(const struct vm *vm, const struct note *note, struct why *why);
bool file_was_paused(const struct vm *vm);
bool file_commit(const struct vm *vm, int fd, struct note *note, struct why *why);
bool file_read(const struct vm *vm, struct note *note, struct why *why);
bool file_names_memory(const struct vm *vm, const char *path, const char *uuid, struct why *why);
bool file_note(const struct vm *vm, const struct note *note, struct why *why);
bool file_has_no_name(const struct vm *vm, struct note *note);
bool file_finish(const struct vm *vm);
char *file_of_mark(const char *mark);
bool file_is_missing(const struct vm *vm, struct why *why);
bool file_remove_mark(const struct vm *vm, struct why *why);
bool file_use_up(const struct vm *vm, struct why *why);
void file_remove_room(const struct vm *vm);

/* disks.c: the files that it writes to as disks */
void disks_name(struct qmp *qmp, int fd, const struct note *note);
void disks_look(const struct vm *vm, const struct note *note);
bool disks_unchanged(const struct vm *vm, const struct note *note, struct why *why);
bool disks_same(const struct vm *vm, struct qmp *qmp, const struct note *note, struct why *why);

/* facts.c: what does not change while QEMU runs */
void facts_keep(const struct vm *vm, pid_t pid, const struct note *note);
bool facts_recall(const struct vm *vm, pid_t pid, struct note *note);

/* crowd.c: other VMs */
void crowd_enter(const struct vm *vm);
void crowd_leave(void);
void crowd_report(const struct vm *vm, int64_t since);

/* host.c */
#define HANDOVER_MAX	512

/* There is such a folder where systemd runs. */
extern const char *host_systemd;

bool host_handover(char line[HANDOVER_MAX]);
bool host_can_hand_over(int patience, char line[HANDOVER_MAX]);
unsigned long long host_number(const char *name);
void host_wait_for_kvm(void);
void host_extend(int seconds);
bool host_memory_ends(const struct vm *vm, const char *lost, char line[HANDOVER_MAX]);

/**
 * enum there - what there is of a VM
 * @THERE_NONE: nothing, or memory that nobody uses
 * @THERE_SAVED: what was saved, which can go on, and no QEMU
 * @THERE_STALE: what was saved cannot be used; why says it
 * @THERE_RUNNING: a guest, in a QEMU
 * @THERE_UNCLEAR: a QEMU that cannot be asked, or does what it should not, or perhaps one; why
 *	says it
 */
enum there {
	THERE_NONE,
	THERE_SAVED,
	THERE_STALE,
	THERE_RUNNING,
	THERE_UNCLEAR,
};

/**
 * struct scene - what was found, and put in order
 * @there: so
 * @pid: QEMU's process, while there is one; -1: perhaps there is
 * @qmp: the session with it
 * @status: how QEMU said that its guest is; "": it has to be asked again
 * @note: what the file says that was saved
 * @finished: what an earlier call left half done has been finished: the guest goes on, or is
 *	saved
 * @overridable: of THERE_STALE: an operator may know better
 * @loaded: QEMU was told to load what was saved, and may have written to the memory
 * @cpu: what its CPU can do, once QEMU was asked
 * @why: a sentence
 */
struct scene {
	enum there there;
	pid_t pid;
	struct qmp qmp;
	char status[32];
	struct note note;
	bool finished;
	bool overridable;
	bool loaded;
	struct cpu cpu;
	struct why why;
};

/* settle.c */
void settle(struct vm *vm, struct scene *scene);
void look(struct vm *vm, struct scene *scene);
void scene_close(struct scene *scene);

/* start.c, save.c */
int start(struct vm *vm);
bool save_running(struct vm *vm, struct scene *scene);
bool save_is_lost(const struct vm *vm, struct why *why);
bool check_running(struct vm *vm, struct scene *scene);

/* check.c */
bool check_host(int patience, char line[HANDOVER_MAX]);
int check_all(const char *run, const char *memory);

#endif /* GMEM_VM_H */
