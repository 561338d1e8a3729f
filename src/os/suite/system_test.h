/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of a struct system: what it told of programs and watches, and waiting for that. Include after cmocka. */
#ifndef VIGIA_OS_SUITE_SYSTEM_TEST_H
#define VIGIA_OS_SUITE_SYSTEM_TEST_H

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/system.h"

enum { PATIENCE_MS = 10000 };

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* What was told of one run. */
struct heard {
	bool started, ended;
	int error, status;
	char what[64];
	struct process_key key;
	struct system_run *run;
};

static void hear_started(void *owner, int error, const char *what, const struct process_key *process)
{
	struct heard *h = owner;

	assert_false(h->started || h->ended);
	h->started = true;
	h->error = error;
	if (error)
		strncpy(h->what, what, sizeof h->what - 1);
	else
		h->key = *process;
}

static void hear_ended(void *owner, int status)
{
	struct heard *h = owner;

	assert_true(h->started && !h->error && !h->ended);
	h->ended = true;
	h->status = status;
}

static const struct system_run_events hearing = {hear_started, hear_ended};

/* Until *what. */
static inline void await(struct system *s, const bool *what)
{
	const struct system_type *t = system_type_of(s);
	struct pollfd p = {.fd = t->fd(s), .events = POLLIN};

	while (!*what) {
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		t->turn(s);
	}
}

/* All that there is to tell now. */
static inline void turn_all(struct system *s)
{
	const struct system_type *t = system_type_of(s);
	struct pollfd p = {.fd = t->fd(s), .events = POLLIN};

	while (poll(&p, 1, 0) == 1)
		t->turn(s);
}

static inline void start(struct system *s, const struct launch *l, struct heard *h)
{
	*h = (struct heard){0};
	assert_int_equal(system_type_of(s)->start(s, l, &hearing, h, &h->run), 0);
}

/* It runs. */
static inline struct process_key started(struct system *s, const struct launch *l, struct heard *h)
{
	start(s, l, h);
	await(s, &h->started);
	assert_int_equal(h->error, 0);
	return h->key;
}

static inline int ended(struct system *s, struct heard *h)
{
	await(s, &h->ended);
	return h->status;
}

/* Sleeps until it is ended, and is known by its command. */
static char sleepers_name[32];
static const struct launch sleeper = {.arguments = (const char *const[]){"sleep", sleepers_name + sizeof "sleep", NULL}};

static inline void name_sleeper(void)
{
	snprintf(sleepers_name, sizeof sleepers_name, "sleep 1000.%d", (int)getpid());
}

/* With its command, which may be missing where a machine is too busy to read it in time. */
static inline struct process described(struct system *s, int32_t pid)
{
	struct process p;

	do
		assert_int_equal(system_type_of(s)->process(s, pid, &p), 0);
	while (!p.command[0] && !p.kernel && p.state != 'Z');
	return p;
}

static bool end_sleeper(void *system, const struct process *p)
{
	if (strcmp(p->program, "sleep") == 0 && p->state != 'Z' && strcmp(described(system, p->key.pid).command, sleepers_name) == 0)
		system_type_of(system)->signal(system, &p->key, SIGKILL);
	return true;
}

/* Those that a test forgot. */
static inline void end_sleepers(struct system *s)
{
	assert_int_equal(system_each(s, end_sleeper, s), 0);
}

/* Everything until the other end is closed. */
static inline const char *read_all(struct system *s, int fd)
{
	static char text[4096];
	const struct system_type *t = system_type_of(s);
	struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = t->fd(s), .events = POLLIN}};
	size_t have = 0;
	ssize_t n = 1;

	while (n != 0) {
		assert_true(poll(p, 2, PATIENCE_MS) > 0);
		t->turn(s);
		n = read(fd, text + have, sizeof text - 1 - have);
		have += n > 0 ? (size_t)n : 0;
	}
	text[have] = '\0';
	return text;
}

#endif
