// SPDX-License-Identifier: GPL-2.0
/*
 * gmem-vm: run stock QEMU on persistent guest memory, through kexecs of the host.
 * See gmem-vm.8; what happens in which order is in settle.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

static const char usage[] =
"usage: gmem-vm start [--keep-memory] [--override] NAME\n"
"                                start the VM; if it was saved, it goes on where it was\n"
"       gmem-vm save NAME        stop the VM and keep it\n"
"       gmem-vm stop NAME        what a host does that goes down: save it, or shut it down\n"
"       gmem-vm shutdown NAME    let the guest shut down, as with its power button\n"
"       gmem-vm check [NAME]     would a kexec now lose it, or any of those that run\n"
"       gmem-vm status NAME      running, saved, interrupted, stale, memory only, or none\n"
"       gmem-vm drop NAME        forget what was saved; the memory stays\n";

volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
	interrupted = 1;
}

/**
 * say - tell the caller what was done
 * @vm: with which VM
 * @format: what
 *
 * That it was done is not changed by nobody's hearing of it: else a unit whose journal has gone would
 * fail, and be stopped.
 */
void say(const struct vm *vm, const char *format, ...)
{
	char line[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	dprintf(STDOUT_FILENO, "gmem-vm: %s: %s\n", vm->name, line);
}

/**
 * complain - tell the caller that something is wrong
 * @vm: about which VM
 * @format: what
 */
void complain(const struct vm *vm, const char *format, ...)
{
	char line[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fprintf(stderr, "gmem-vm: %s: %s\n", vm->name, line);
}

/**
 * log_override - somebody knows better; also the system's log shall have it
 * @vm: about which VM
 * @what: what would have refused it
 */
void log_override(const struct vm *vm, const char *what)
{
	complain(vm, "by --override, although %s", what);
	openlog("gmem-vm", LOG_PID, LOG_DAEMON);
	syslog(LOG_WARNING, "%s: user %d goes on by --override, although %s", vm->name,
	       (int)getuid(), what);
	closelog();
}

/**
 * text - make a text
 * @format: of what
 *
 * Return: it, to be freed. Without memory we end, which is always allowed.
 */
char *text(const char *format, ...)
{
	char *made;
	va_list args;

	va_start(args, format);
	if (vasprintf(&made, format, args) < 0) {
		fputs("gmem-vm: no memory\n", stderr);
		exit(STATUS_FAILED);
	}
	va_end(args);
	return made;
}

static void wake(int signal)
{
}

/**
 * wake_each_second - end what waits, by a signal that does nothing else
 * @on: from now on, or not any more
 *
 * What is to be looked at may happen just before the wait begins, and so may one signal.
 */
void wake_each_second(bool on)
{
	const struct sigaction action = { .sa_handler = wake };
	const struct itimerval timer = { .it_value.tv_sec = on, .it_interval.tv_sec = on };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/*
 * Get the lock; wait for it until a signal says that it is enough, or for a second, since also
 * "status" has it for a moment.
 */
static int lock(struct vm *vm, bool wait)
{
	const struct timespec moment = { .tv_nsec = 10 * 1000 * 1000 };
	const int64_t deadline = now_ms() + 1000;
	int error;

	while (!wait) {
		error = flock(vm->lock_fd, LOCK_EX | LOCK_NB);
		if (!error || errno != EWOULDBLOCK || now_ms() > deadline)
			return error;
		nanosleep(&moment, NULL);
	}
	wake_each_second(true);
	do {
		error = flock(vm->lock_fd, LOCK_EX);
	} while (error && errno == EINTR && !interrupted);
	wake_each_second(false);
	return error;
}

/* Make a folder, and those above it */
static bool make_folders(const char *path)
{
	char *copy = text("%s", path), *at = copy;
	bool made = true;

	while (made && (at = strchr(at + 1, '/'))) {
		*at = '\0';
		made = !mkdir(copy, 0777) || errno == EEXIST;
		*at = '/';
	}
	made = made && (!mkdir(copy, 0777) || errno == EEXIST);
	free(copy);
	return made;
}

/**
 * prepare - is this a host on which a VM can be kept, and are we the only one who works on it
 * @vm: the VM
 * @wait: wait for that, until a signal comes
 *
 * The lock is held until we end.
 *
 * Return: an exit status.
 */
int prepare(struct vm *vm, bool wait)
{
	char *folder = text("%s", vm->memory);
	int status = STATUS_FAILED;

	*strrchr(folder, '/') = '\0';
	if (!memory_on_gmemfs(folder)) {
		complain(vm, "%s is not on gmemfs", folder);
	} else if (!make_folders(vm->run)) {
		complain(vm, "cannot make %s: %m", vm->run);
	} else {
		vm->lock_fd = open(vm->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (vm->lock_fd >= 0 && !lock(vm, wait))
			status = STATUS_OK;
		else if (errno == EWOULDBLOCK || errno == EINTR)
			complain(vm, "somebody else is starting or stopping it");
		else
			complain(vm, "cannot lock %s: %m", vm->lock);
	}
	free(folder);
	return status;
}

/* Until QEMU ends, or there is no more patience */
static bool shutdown_running(struct vm *vm, struct scene *scene)
{
	struct qmp *qmp = &scene->qmp;
	const int64_t deadline = qmp_deadline(qmp);

	if (qmp_do(qmp, "system_powerdown", NULL))
		while (now_ms() < deadline && qmp_hear(qmp))
			;
	/* It has crashed, or somebody has killed it. */
	if (qmp->gone && !qmp->shut_down && qemu_wait(scene->pid, 1)) {
		complain(vm, "QEMU has ended");
		return false;
	}
	if (!qmp->shut_down)
		complain(vm, "the guest does not shut down: its power goes off");
	if (!qemu_wait(scene->pid, qmp->shut_down ? vm->conf.patience : 0) &&
	    !qemu_end(vm, qmp, scene->pid)) {
		complain(vm, "QEMU, process %d, does not end", (int)scene->pid);
		return false;
	}
	file_remove_room(vm);
	say(vm, "is shut down");
	return true;
}

/* The same for two commands: with a guest that runs */
static int with_running(struct vm *vm, bool (*what)(struct vm *vm, struct scene *scene))
{
	int status = prepare(vm, false);
	struct scene scene;

	if (status)
		return status;
	settle(vm, &scene);
	status = STATUS_FAILED;
	if (scene.there == THERE_UNCLEAR)
		complain(vm, "%s", scene.why.text);
	else if (scene.there != THERE_RUNNING && !scene.finished)
		complain(vm, "it is not running");
	/* Whatever it is that QEMU does, it can be shut down, if it listens. */
	if (scene.there == THERE_RUNNING ||
	    (scene.there == THERE_UNCLEAR && what == shutdown_running && !scene.qmp.gone))
		status = what(vm, &scene) ? STATUS_OK : STATUS_FAILED;
	else if (scene.there == THERE_SAVED && what != shutdown_running && scene.finished)
		status = STATUS_OK;
	scene_close(&scene);
	return status;
}

static int save(struct vm *vm)
{
	char line[HANDOVER_MAX];
	int status = with_running(vm, save_running);
	struct why why;

	if (!status && !host_handover(line))
		complain(vm, "a kexec now would lose it: %s", line);
	if (!status && save_is_lost(vm, &why))
		complain(vm, "a kexec now would lose it: %s", why.text);
	return status;
}

static int shutdown_guest(struct vm *vm)
{
	return with_running(vm, shutdown_running);
}

static bool stop_running(struct vm *vm, struct scene *scene, int64_t since)
{
	struct why lost = { "" };
	char line[HANDOVER_MAX];

	save_is_lost(vm, &lost);
	if (host_memory_ends(vm, lost.text, line)) {
		say(vm, "memory does not survive this, so the guest is shut down: %s", line);
	} else {
		/* To know that may have taken long. */
		scene->status[0] = '\0';
		if (save_running(vm, scene)) {
			crowd_report(vm, since);
			return true;
		}
		complain(vm, "the guest is shut down instead");
	}
	return shutdown_running(vm, scene);
}

/* Does its guest run, now that QEMU is asked once more */
static bool guest_runs(struct scene *scene)
{
	return !scene->qmp.gone && guest_status(&scene->qmp, scene->status) &&
	       !strcmp(scene->status, "running");
}

/* As qemu_pid() */
static pid_t pid_or_complain(const struct vm *vm)
{
	struct why why;
	const pid_t pid = qemu_pid(vm, &why);

	if (pid < 0)
		complain(vm, "%s", why.text);
	return pid;
}

/**
 * stop_locked - save it, or shut it down, whatever there is of it
 * @vm: the VM, whose lock is held
 *
 * Return: an exit status.
 */
int stop_locked(struct vm *vm)
{
	const int64_t since = now_ms();
	int status = STATUS_OK;
	struct scene scene;
	pid_t pid;

	/* What was saved of it need not be read for that. */
	pid = pid_or_complain(vm);
	if (pid <= 0)
		return pid ? STATUS_FAILED : STATUS_OK;
	/* It runs on meanwhile. */
	crowd_enter(vm);
	settle(vm, &scene);
	if (scene.there == THERE_UNCLEAR && guest_runs(&scene)) {
		/* QEMU may only have been slow. */
		complain(vm, "%s", scene.why.text);
		scene_close(&scene);
		settle(vm, &scene);
	}
	if (scene.there == THERE_RUNNING) {
		status = stop_running(vm, &scene, since) ? STATUS_OK : STATUS_FAILED;
	} else if (scene.there == THERE_UNCLEAR) {
		complain(vm, "%s", scene.why.text);
		/* It ends anyhow, and shall do so in order. One that does not run may be saved. */
		status = guest_runs(&scene) && shutdown_running(vm, &scene) ? STATUS_OK :
									      STATUS_FAILED;
	}
	scene_close(&scene);
	crowd_leave();
	return status;
}

static int stop(struct vm *vm)
{
	/* There may be no QEMU yet: who has the lock may be about to start it. */
	int status = prepare(vm, true);

	return status ? status : stop_locked(vm);
}

static int check(struct vm *vm)
{
	char line[HANDOVER_MAX];
	const pid_t pid = pid_or_complain(vm);

	/* Without settings there is nothing of that name. */
	if (pid <= 0)
		return !pid && *vm->conf.memory ? STATUS_OK : STATUS_FAILED;
	if (check_host(vm->conf.patience, line))
		return with_running(vm, check_running);
	complain(vm, "a kexec now would lose it: %s", line);
	return STATUS_FAILED;
}

/* Somebody works on it, or nobody does and there is something to be put in order. */
static bool is_interrupted(struct vm *vm)
{
	int fd = open(vm->lock, O_RDONLY | O_CLOEXEC);
	bool idle = fd < 0 || !flock(fd, LOCK_SH | LOCK_NB);

	if (fd >= 0)
		close(fd);
	return idle && !access(vm->state, F_OK);
}

static int status_of(struct vm *vm)
{
	struct scene scene;
	int status = STATUS_OK;

	look(vm, &scene);
	switch (scene.there) {
	case THERE_UNCLEAR:
		complain(vm, "%s", scene.why.text);
		status = STATUS_FAILED;
		break;
	case THERE_RUNNING:
		if (is_interrupted(vm)) {
			puts("interrupted");
			complain(vm, "starting or saving it did not come to an end; \"start\" goes on with it");
		} else {
			puts("running");
		}
		break;
	case THERE_SAVED:
		puts("saved");
		break;
	case THERE_STALE:
		puts("stale");
		complain(vm, "%s", scene.why.text);
		status = STATUS_STALE;
		break;
	case THERE_NONE:
		puts(memory_is_there(vm) ? "memory only" : "none");
		break;
	}
	scene_close(&scene);
	return status;
}

static int drop(struct vm *vm)
{
	int status = prepare(vm, false);
	struct why why;
	pid_t pid;

	if (status)
		return status;
	pid = qemu_pid(vm, &why);
	if (pid) {
		complain(vm, "%s", pid > 0 ? "it is running" : why.text);
		return STATUS_FAILED;
	}
	if (unlink(vm->state) && errno != ENOENT) {
		complain(vm, "cannot remove %s: %m", vm->state);
		return STATUS_FAILED;
	}
	if (!file_remove_mark(vm, &why)) {
		complain(vm, "%s", why.text);
		return STATUS_FAILED;
	}
	file_remove_room(vm);
	return STATUS_OK;
}

struct command {
	const char *word;
	int (*run)(struct vm *vm);
};

static const struct command commands[] = {
	{ "start", start }, { "save", save }, { "stop", stop },
	{ "shutdown", shutdown_guest }, { "check", check }, { "status", status_of },
	{ "drop", drop },
};

/* Read the command line: the command, and in the VM its name. NULL: it is wrong. */
static const struct command *parse_command(int argc, char **argv, struct vm *vm)
{
	const struct command *command = NULL;

	if (argc < 3)
		return NULL;
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[1], commands[i].word))
			command = &commands[i];
	if (!command)
		return NULL;
	for (argv += 2; command->run == start && argv[0] && argv[1]; argv++) {
		if (!strcmp(*argv, "--keep-memory"))
			vm->keep_memory = true;
		else if (!strcmp(*argv, "--override"))
			vm->override = true;
		else
			return NULL;
	}
	vm->name = argv[0];
	return argv[0] && !argv[1] ? command : NULL;
}

/*
 * QEMU's words have such folders, where a comma ends a path, and QEMU's own folder is "/" once it is
 * a daemon. GMEM_CONF, which QEMU does not see, is held to the same.
 */
static const char *folder(const char *variable, const char *usual)
{
	const char *set = getenv(variable);

	if (!set || !*set)
		return usual;
	if (*set != '/' || strchr(set, ',')) {
		fprintf(stderr, "gmem-vm: %s must be an absolute path without a comma\n", variable);
		exit(STATUS_USAGE);
	}
	return set;
}

/* What a guest that runs needs of its settings, if they cannot be read */
static const struct conf without_settings = { .memory = "", .patience = 60 };

/* False, and a word to the caller: there are no settings with which it could start. */
static bool configure(struct vm *vm)
{
	bool good = false;
	const char *memory = folder("GMEM_DIR", "/gmem"), *run = folder("GMEM_RUN", "/run/gmem");
	const char *state = folder("GMEM_STATE", memory), *why;
	char *path = text("%s/%s.conf", folder("GMEM_CONF", "/etc/gmem"), vm->name);

	vm->memory = text("%s/%s", memory, vm->name);
	vm->state = text("%s/%s.state", state, vm->name);
	vm->room = text("%s/%s.room", state, vm->name);
	vm->elsewhere = strcmp(state, memory);
	vm->mark = text("%s/%s.saved", memory, vm->name);
	vm->spare = text("%s/%s.spare", memory, vm->name);
	vm->socket = text("%s/%s.qmp", run, vm->name);
	vm->pidfile = text("%s/%s.pid", run, vm->name);
	vm->lock = text("%s/%s.lock", run, vm->name);
	vm->facts = text("%s/%s.qemu", run, vm->name);
	vm->run = run;
	if (access(path, R_OK))
		complain(vm, "no %s", path);
	else if (conf_read(path, &vm->conf, &why))
		complain(vm, "%s %s", path, why);
	else
		good = true;
	if (!good)
		vm->conf = without_settings;
	free(path);
	return good;
}

int main(int argc, char **argv)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	const struct sigaction action = { .sa_handler = interrupt, .sa_flags = SA_RESTART };
	struct vm vm = { .lock_fd = -1 };
	const struct command *command = parse_command(argc, argv, &vm);
	int status;

	if (argc == 2 && !strcmp(argv[1], "check"))
		return check_all(folder("GMEM_RUN", "/run/gmem"), folder("GMEM_DIR", "/gmem"));
	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(usage, stdout);
		return STATUS_OK;
	}
	if (!command) {
		fputs(usage, stderr);
		return STATUS_USAGE;
	}
	if (!conf_name_good(vm.name)) {
		complain(&vm, "not a name");
		return STATUS_USAGE;
	}
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	/* Who only asks may end at once. */
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals) && command->run != check; i++)
		sigaction(signals[i], &action, NULL);
	if (!configure(&vm) && command->run == start)
		return STATUS_USAGE;
	status = command->run(&vm);
	/* What was asked for, but cannot be told */
	if (fflush(stdout) || ferror(stdout)) {
		complain(&vm, "cannot write: %m");
		return STATUS_FAILED;
	}
	return status;
}
