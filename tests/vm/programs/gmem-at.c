// SPDX-License-Identifier: GPL-2.0
/*
 * Send a signal to a program just before one of its system calls.
 *
 *   gmem-at SIGNAL N PROGRAM [ARGUMENT...]
 *
 * Counted are calls that others may notice: that change a file, send, start or end a process,
 * lock or connect. Before the N-th the program gets the signal, by its number; after SIGKILL
 * it does not get to the call. What it starts is left alone.
 *
 * Prints the call, and exits with 0; 3: the program ended before, and with which status is
 * printed.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
	long nr;
	const char *name;
} calls[] = {
	{ SYS_open, "open" }, { SYS_openat, "openat" }, { SYS_creat, "creat" },
	{ SYS_write, "write" }, { SYS_pwrite64, "pwrite" }, { SYS_writev, "writev" },
	{ SYS_sendto, "sendto" }, { SYS_sendmsg, "sendmsg" }, { SYS_connect, "connect" },
	{ SYS_fallocate, "fallocate" }, { SYS_ftruncate, "ftruncate" }, { SYS_fsync, "fsync" },
	{ SYS_rename, "rename" }, { SYS_renameat, "renameat" }, { SYS_renameat2, "renameat2" },
	{ SYS_unlink, "unlink" }, { SYS_unlinkat, "unlinkat" }, { SYS_mkdir, "mkdir" },
	{ SYS_clone, "clone" }, { SYS_clone3, "clone3" }, { SYS_fork, "fork" },
	{ SYS_vfork, "vfork" }, { SYS_wait4, "wait4" }, { SYS_kill, "kill" },
	{ SYS_flock, "flock" }, { SYS_exit_group, "exit_group" },
};

/* The name of a call that counts, or NULL */
static const char *counts(const struct user_regs_struct *regs)
{
	const long flags = regs->orig_rax == SYS_open ? regs->rsi : regs->rdx;

	/* What it says, and opening a file to read it, changes nothing. */
	if (regs->orig_rax == SYS_write && regs->rdi <= 2)
		return NULL;
	if ((regs->orig_rax == SYS_open || regs->orig_rax == SYS_openat) &&
	    !(flags & (O_CREAT | O_TRUNC)))
		return NULL;
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (calls[i].nr == (long)regs->orig_rax)
			return calls[i].name;
	return NULL;
}

/* Let it go on to the next stop, with that signal; its status then */
static int go_on(pid_t pid, enum __ptrace_request how, int with)
{
	int status;

	if (ptrace(how, pid, NULL, (void *)(long)with))
		err(1, "ptrace");
	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	return status;
}

static pid_t begin(char **words)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			err(1, "ptrace");
		execvp(words[0], words);
		err(1, "%s", words[0]);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		errx(1, "%s does not start", words[0]);
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL,
		   (void *)(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)))
		err(1, "ptrace");
	return pid;
}

/* It has had the signal: let it end as it likes. */
static void finish(pid_t pid)
{
	int status = go_on(pid, PTRACE_CONT, 0);

	while (WIFSTOPPED(status))
		status = go_on(pid, PTRACE_CONT, WSTOPSIG(status));
	printf("status=%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(int argc, char **argv)
{
	struct user_regs_struct regs;
	bool entering = false;
	const char *name;
	int number, with = 0;
	int status;
	long left;
	pid_t pid;

	if (argc < 4)
		errx(1, "usage: gmem-at SIGNAL N PROGRAM [ARGUMENT...]");
	number = atoi(argv[1]);
	left = atol(argv[2]);
	pid = begin(argv + 3);
	for (;;) {
		status = go_on(pid, PTRACE_SYSCALL, with);
		with = 0;
		if (!WIFSTOPPED(status)) {
			printf("status=%d\n", WIFEXITED(status) ? WEXITSTATUS(status) :
								  128 + WTERMSIG(status));
			return 3;
		}
		if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
			with = WSTOPSIG(status);
			continue;
		}
		entering = !entering;
		if (!entering || ptrace(PTRACE_GETREGS, pid, NULL, &regs))
			continue;
		name = counts(&regs);
		if (!name || --left)
			continue;
		printf("call=%s\n", name);
		fflush(stdout);
		kill(pid, number);
		if (number != SIGKILL) {
			finish(pid);
			return 0;
		}
		if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
			errx(1, "it is not dead");
		return 0;
	}
}
