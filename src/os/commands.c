/* SPDX-License-Identifier: Apache-2.0 */
#include "os/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"

enum { STACK_BYTES = 256 << 10 };

/* What a thread and who waits for it share. A thread that was left behind frees it. */
struct reader {
	pthread_t thread;
	pthread_cond_t work, done;
	bool leave;
	int32_t stuck_with; /* not 0: it was left behind */
	size_t n, read;
	int32_t pids[COMMANDS_PIECE];
	struct command_bytes out[COMMANDS_PIECE];
};

struct commands {
	struct reader *reader; /* NULL: not now */
	struct command_bytes out[COMMANDS_PIECE];
};

/* One lock for all: it is held for moments, and never while reading. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Whom threads hang on; 0: nobody. */
static int32_t stuck[COMMANDS_STUCK_MAX];

static ssize_t read_from_proc(int32_t pid, char *to, size_t size)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, to, size);
	if (fd >= 0)
		close(fd);
	return n;
}

ssize_t (*commands_read_one)(int32_t pid, char *to, size_t size) = read_from_proc;

static int32_t *stuck_place(int32_t pid)
{
	for (int i = 0; i < COMMANDS_STUCK_MAX; i++)
		if (stuck[i] == pid)
			return &stuck[i];
	return NULL;
}

/* --- the thread ------------------------------------------------------------------------------------------------- */

/* Whose command to read next; 0: it is dismissed. */
static int32_t await_work(struct reader *r)
{
	while (!r->leave && r->read == r->n)
		pthread_cond_wait(&r->work, &lock);
	return r->leave ? 0 : r->pids[r->read];
}

static void take_result(struct reader *r, const char *bytes, ssize_t n)
{
	struct command_bytes *to = &r->out[r->read++];

	to->size = n > 0 ? (size_t)n : 0;
	memcpy(to->bytes, bytes, to->size);
	if (r->read == r->n)
		pthread_cond_signal(&r->done);
}

static void reader_free(struct reader *r)
{
	pthread_cond_destroy(&r->work);
	pthread_cond_destroy(&r->done);
	free(r);
}

static void *run(void *data)
{
	struct reader *r = data;
	char bytes[COMMANDS_BYTES];
	int32_t pid;

	pthread_mutex_lock(&lock);
	while ((pid = await_work(r))) {
		pthread_mutex_unlock(&lock);
		ssize_t n = commands_read_one(pid, bytes, sizeof bytes);
		pthread_mutex_lock(&lock);
		if (!r->leave)
			take_result(r, bytes, n);
	}
	bool left_behind = r->stuck_with != 0;
	if (left_behind)
		*stuck_place(r->stuck_with) = 0;
	pthread_mutex_unlock(&lock);
	if (left_behind)
		reader_free(r);
	return NULL;
}

/* The signals of this process are its other threads'. */
static int start_thread(struct reader *r)
{
	pthread_attr_t attributes;
	sigset_t all, before;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&r->thread, &attributes, run, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -error;
}

static struct reader *reader_new(void)
{
	struct reader *r = calloc(1, sizeof *r);
	pthread_condattr_t monotonic;

	if (!r)
		return NULL;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&r->work, NULL);
	pthread_cond_init(&r->done, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (start_thread(r) == 0)
		return r;
	reader_free(r);
	return NULL;
}

/* --- who waits for it ------------------------------------------------------------------------------------------- */

int commands_open(struct commands **ret)
{
	struct commands *c = calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	*ret = c;
	return 0;
}

static void leave_behind(struct commands *c, int32_t pid)
{
	struct reader *r = c->reader;

	/* Or it has not even begun, where a machine is that busy. */
	*stuck_place(0) = pid;
	r->stuck_with = pid;
	r->leave = true;
	pthread_detach(r->thread);
	c->reader = NULL;
}

void commands_close(struct commands *c)
{
	if (!c)
		return;
	if (c->reader) {
		pthread_mutex_lock(&lock);
		c->reader->leave = true;
		pthread_cond_signal(&c->reader->work);
		pthread_mutex_unlock(&lock);
		pthread_join(c->reader->thread, NULL);
		reader_free(c->reader);
	}
	free(c);
}

/* Until it has read all, or its time is over. */
static void await_done(struct reader *r)
{
	int64_t ns = clock_mono_ns() + COMMANDS_PATIENCE_MS * 1000000LL;
	const struct timespec until = {ns / 1000000000, ns % 1000000000};
	int error = 0;

	while (r->read < r->n && error == 0)
		error = pthread_cond_timedwait(&r->done, &lock, &until);
}

/* How many of these the reader has done with; the next is then one to be passed over. */
static size_t read_some(struct commands *c, const int32_t pids[], size_t n, struct command_bytes ret[])
{
	struct reader *r = c->reader;

	/* Never more of them left behind than there are places. */
	if (!r || !stuck_place(0))
		return 0;
	memcpy(r->pids, pids, n * sizeof *pids);
	r->n = n;
	pthread_cond_signal(&r->work);
	await_done(r);
	size_t done = r->read;
	memcpy(ret, r->out, done * sizeof *ret);
	r->n = r->read = 0;
	if (done < n)
		leave_behind(c, pids[done]);
	return done;
}

const struct command_bytes *commands_read(struct commands *c, const int32_t pids[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		c->out[i].size = 0;
	pthread_mutex_lock(&lock);
	for (size_t from = 0; from < n; from++) {
		size_t to = from;
		while (to < n && !stuck_place(pids[to]))
			to++;
		if (to > from && !c->reader)
			c->reader = reader_new();
		if (to > from)
			from += read_some(c, pids + from, to - from, c->out + from);
	}
	pthread_mutex_unlock(&lock);
	return c->out;
}
