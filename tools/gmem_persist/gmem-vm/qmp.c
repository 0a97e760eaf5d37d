// SPDX-License-Identifier: GPL-2.0
/*
 * A session with QEMU by its protocol QMP: lines of JSON on a socket. Up to 10.0 QEMU reads a command
 * byte by byte, with a look at all its other files before each: a long one takes it longer than
 * what it does then. So they have no "id". Answers come in the order of the commands.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

/**
 * now_ms - what time is it
 *
 * Return: milliseconds of a clock that only goes forward.
 */
int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/**
 * qmp_deadline - when has QEMU been silent for too long, from now on
 * @qmp: the session
 *
 * Return: a time of now_ms().
 */
int64_t qmp_deadline(const struct qmp *qmp)
{
	return now_ms() + qmp->patience * 1000LL;
}

/* What QEMU says without being asked */
static void take_event(struct qmp *qmp, const json_t *message, const char *event)
{
	const char *status = NULL;

	if (!strcmp(event, "SHUTDOWN"))
		qmp->shut_down = true;
	if (strcmp(event, "MIGRATION") ||
	    json_unpack((json_t *)message, "{s:{s:s}}", "data", "status", &status))
		return;
	if (!strcmp(status, "completed"))
		qmp->migration = MIGRATION_COMPLETED;
	else if (!strcmp(status, "failed") || !strcmp(status, "cancelled"))
		qmp->migration = MIGRATION_FAILED;
}

/* The first line of the buffer, as JSON; NULL: there is no whole line. */
static json_t *take_line(struct qmp *qmp)
{
	char *end = qmp->length ? memchr(qmp->buffer, '\n', qmp->length) : NULL;
	const size_t length = end ? end - qmp->buffer + 1 : 0;
	json_error_t error;
	json_t *message;

	if (!end)
		return NULL;
	message = json_loadb(qmp->buffer, length, 0, &error);
	qmp->length -= length;
	memmove(qmp->buffer, end + 1, qmp->length);
	return message ?: json_object();
}

/* Read what is there, without waiting. False: QEMU is gone. */
static bool fill(struct qmp *qmp)
{
	ssize_t got;

	if (qmp->length == qmp->capacity) {
		char *more = realloc(qmp->buffer, qmp->capacity + 65536);

		if (!more)
			return false;
		qmp->buffer = more;
		qmp->capacity += 65536;
	}
	got = recv(qmp->fd, qmp->buffer + qmp->length, qmp->capacity - qmp->length, MSG_DONTWAIT);
	if (got > 0)
		qmp->length += got;
	else if (!got || (errno != EAGAIN && errno != EINTR))
		qmp->gone = true;
	return !qmp->gone;
}

/* Wait until there is something to read. False: there will not be. */
static bool wait_for(struct qmp *qmp, int64_t deadline)
{
	struct pollfd poll_fd = { .fd = qmp->fd, .events = POLLIN };

	for (;;) {
		const int64_t left = deadline - now_ms();
		int nr;

		if (qmp->interruptible && interrupted) {
			WHY(&qmp->why, "interrupted");
			return false;
		}
		if (left <= 0) {
			WHY(&qmp->why, "QEMU does not answer");
			return false;
		}
		/* A signal may come just before: look again soon. */
		nr = poll(&poll_fd, 1, left < 1000 ? left : 1000);
		if (nr > 0)
			return true;
		if (nr < 0 && errno != EINTR) {
			WHY(&qmp->why, "poll: %m");
			return false;
		}
	}
}

/* All whole lines of the buffer, while nobody waits for an answer */
static void take_events(struct qmp *qmp)
{
	const char *event;
	json_t *message;

	while ((message = take_line(qmp))) {
		event = json_string_value(json_object_get(message, "event"));
		if (event)
			take_event(qmp, message, event);
		else if (qmp->owed)
			qmp->owed--;
		json_decref(message);
	}
}

/* An answer has come: to a command of before, for which nobody waits any more? */
static bool is_late(struct qmp *qmp)
{
	return qmp->owed && --qmp->owed;
}

/* The greeting, or the answer to the last command; NULL: it does not come */
static json_t *receive(struct qmp *qmp, int64_t deadline)
{
	const char *event;
	json_t *message;

	for (;;) {
		message = take_line(qmp);
		if (message) {
			event = json_string_value(json_object_get(message, "event"));
			if (event) {
				take_event(qmp, message, event);
			} else if (!is_late(qmp)) {
				/* poll() will not tell of what has been read behind it. */
				take_events(qmp);
				return message;
			}
			json_decref(message);
			continue;
		}
		if (qmp->gone || !wait_for(qmp, deadline) || !fill(qmp)) {
			if (qmp->gone)
				WHY(&qmp->why, "QEMU is gone");
			return NULL;
		}
	}
}

/**
 * qmp_pump - take in what QEMU has said by now
 * @qmp: the session, in which no answer is awaited
 *
 * Return: false: QEMU is gone.
 */
bool qmp_pump(struct qmp *qmp)
{
	fill(qmp);
	take_events(qmp);
	if (qmp->gone)
		WHY(&qmp->why, "QEMU is gone");
	return !qmp->gone;
}

/**
 * qmp_hear - wait until QEMU says something
 * @qmp: the session, in which no answer is awaited
 *
 * Return: false: it did not in time, or is gone, or a signal came.
 */
bool qmp_hear(struct qmp *qmp)
{
	return !qmp->gone && wait_for(qmp, qmp_deadline(qmp)) && qmp_pump(qmp);
}

/* Send it all, and with its first byte a descriptor, unless that is -1 */
static bool send_line(struct qmp *qmp, char *line, size_t length, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = { .iov_base = line, .iov_len = length };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (fd >= 0) {
		struct cmsghdr *part;

		header.msg_control = control;
		header.msg_controllen = sizeof(control);
		part = CMSG_FIRSTHDR(&header);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(part), &fd, sizeof(int));
	}
	while (iov.iov_len) {
		sent = sendmsg(qmp->fd, &header, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0) {
			WHY(&qmp->why, "QEMU is gone (%m)");
			qmp->gone = true;
			return false;
		}
		iov.iov_base = (char *)iov.iov_base + sent;
		iov.iov_len -= sent;
		header.msg_controllen = 0;
	}
	return true;
}

/* What QEMU answers: the value of "return", or NULL */
static json_t *answer(struct qmp *qmp, const char *command)
{
	const char *class = "", *words = "no words";
	json_t *message, *result;

	qmp->owed++;
	message = receive(qmp, qmp_deadline(qmp));
	qmp->refused = message && !json_object_get(message, "return");
	if (!message) {
		const struct why was = qmp->why;

		WHY(&qmp->why, "%s: %s", command, was.text);
		return NULL;
	}
	result = json_incref(json_object_get(message, "return"));
	if (!result) {
		json_unpack(message, "{s:{s:s,s:s}}", "error", "class", &class, "desc", &words);
		WHY(&qmp->why, "QEMU refuses %s: %s", command, words);
	}
	json_decref(message);
	return result;
}

/**
 * qmp_call_with - tell QEMU to do something, and hand it a file
 * @qmp: the session
 * @command: what
 * @arguments: of it, or NULL; they are used up
 * @fd: the file, or -1
 *
 * Return: its answer, or NULL and a reason in the session.
 */
json_t *qmp_call_with(struct qmp *qmp, const char *command, json_t *arguments, int fd)
{
	json_t *message = json_pack("{s:s}", "execute", command);
	json_t *result = NULL;
	char *line;

	if (arguments)
		json_object_set_new(message, "arguments", arguments);
	line = json_dumps(message, JSON_COMPACT);
	json_decref(message);
	if (!line)
		WHY(&qmp->why, "%s: no memory, or no UTF-8", command);
	else if (qmp->gone)
		WHY(&qmp->why, "%s: QEMU is gone", command);
	else if (send_line(qmp, line, strlen(line), fd))
		result = answer(qmp, command);
	free(line);
	return result;
}

/**
 * qmp_call - tell QEMU to do something
 * @qmp: the session
 * @command: what
 * @arguments: of it, or NULL; they are used up
 *
 * Return: its answer, or NULL and a reason in the session.
 */
json_t *qmp_call(struct qmp *qmp, const char *command, json_t *arguments)
{
	return qmp_call_with(qmp, command, arguments, -1);
}

/**
 * qmp_do - the same, of which the answer does not matter
 * @qmp: the session
 * @command: what
 * @arguments: of it, or NULL; they are used up
 *
 * Return: false, and a reason in the session: it was not done.
 */
bool qmp_do(struct qmp *qmp, const char *command, json_t *arguments)
{
	json_t *result = qmp_call(qmp, command, arguments);

	json_decref(result);
	return result;
}

/**
 * qmp_text - a text of an answer
 * @qmp: the session
 * @command: what is asked
 * @arguments: of it, or NULL; they are used up
 * @key: of which value of the answer; NULL: the answer itself is the text
 *
 * Return: the text, to be freed, or NULL and a reason in the session.
 */
char *qmp_text(struct qmp *qmp, const char *command, json_t *arguments, const char *key)
{
	json_t *result = qmp_call(qmp, command, arguments);
	const char *found = json_string_value(key ? json_object_get(result, key) : result);
	char *copy = found ? strdup(found) : NULL;

	if (result && !found)
		WHY(&qmp->why, "QEMU does not answer %s as expected", command);
	json_decref(result);
	return copy;
}

static bool greet(struct qmp *qmp)
{
	json_t *greeting = receive(qmp, qmp_deadline(qmp));
	int micro = 0;
	bool good;

	if (!greeting)
		return false;
	good = !json_unpack(greeting, "{s:{s:{s:{s:i,s:i,s:i}}}}", "QMP", "version", "qemu",
			    "major", &qmp->major, "minor", &qmp->minor, "micro", &micro);
	json_decref(greeting);
	if (!good)
		WHY(&qmp->why, "what answers is no QEMU");
	snprintf(qmp->version, sizeof(qmp->version), "%d.%d.%d", qmp->major, qmp->minor, micro);
	return good && qmp_do(qmp, "qmp_capabilities", NULL);
}

/**
 * qmp_open - begin a session
 * @qmp: is set, also if it fails
 * @vm: whose QEMU it is
 *
 * Return: false, and a reason in the session: there is none.
 */
bool qmp_open(struct qmp *qmp, const struct vm *vm)
{
	const struct timeval patience = { .tv_sec = vm->conf.patience };
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*qmp = (struct qmp){ .fd = -1, .patience = vm->conf.patience };
	if (strlen(vm->socket) >= sizeof(address.sun_path)) {
		WHY(&qmp->why, "%s is too long for a socket", vm->socket);
		return false;
	}
	memcpy(address.sun_path, vm->socket, strlen(vm->socket) + 1);
	qmp->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* One that hangs accepts nobody, and then few can even wait to be. */
	if (qmp->fd < 0 ||
	    setsockopt(qmp->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    connect(qmp->fd, (struct sockaddr *)&address, sizeof(address))) {
		WHY(&qmp->why, "%s: %m", vm->socket);
		qmp->gone = true;
		return false;
	}
	if (greet(qmp))
		return true;
	if (!qmp->gone && !strcmp(qmp->why.text, "QEMU does not answer"))
		WHY(&qmp->why, "QEMU does not answer (does somebody else use %s?)", vm->socket);
	qmp->gone = true;
	return false;
}

/**
 * qmp_close - end a session
 * @qmp: the session; one that was never opened is all 0, or has fd -1
 */
void qmp_close(struct qmp *qmp)
{
	if (qmp->fd > 0)
		close(qmp->fd);
	free(qmp->buffer);
	*qmp = (struct qmp){ .fd = -1, .gone = true };
}
