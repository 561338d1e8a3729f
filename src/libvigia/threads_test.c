/* SPDX-License-Identifier: Apache-2.0 */
/* The rule for threads: each with a struct vigia of its own at once, or in turns with one. The daemon is the
 * test. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libvigia/vigia.h"
#include "proto/frame.h"

enum { THREADS = 2, OPENED = 20, CALLS = 50, TURNS = 400 };

/* --- the daemon: one client after the other --- */

struct host {
	char directory[32];
	struct sockaddr_un address;
	int listener;
	pthread_t thread;
};

struct client {
	int fd;
	struct buf out;
	uint64_t subscription, sequence;
};

static const struct channel_id news = {.host.bytes = {5}, .number = 1};

static void greet(struct client *c)
{
	struct msg *m = msg_new("hello");
	msg_set(m, "name", "h1");
	frame_put_msg(&c->out, FRAME_HELLO, 0, m);
	msg_free(m);
}

/* Of the core: the only channel that it has. */
static void answer(struct client *c, const struct frame *f, bool goes_on)
{
	char id[CHANNEL_ID_TEXT];
	struct msg *m = msg_new("channel");
	channel_id_format(&news, id);
	msg_set(m, "id", id);
	msg_set_int(m, "number", (int64_t)news.number);
	msg_set_int(m, "sequence", 0);
	frame_put_msg(&c->out, FRAME_ANSWER, f->number, m);
	msg_free(m);
	if (!goes_on)
		frame_put(&c->out, FRAME_END, 0, f->number, NULL, 0);
}

/* The client is its own service: its query goes back to it, and so do its answers. */
static void send_back(struct client *c, const struct frame *f)
{
	frame_put(&c->out, f->kind, f->flags, f->number, f->payload, f->n);
}

static int take_query(struct client *c, const struct frame *f)
{
	struct frame_route route;
	struct msg *m;
	const char *why;
	int r = frame_get_query(f, &route, &m, &why);
	if (r)
		return r;
	bool subscribes = !strcmp(msg_get(m, "query", ""), "subscribe");
	if (subscribes)
		c->subscription = f->number;
	if (!strcmp(m->name, "twice"))
		send_back(c, f);
	else
		answer(c, f, subscribes || !strcmp(m->name, "service"));
	msg_free(m);
	return 0;
}

static int take_event(struct client *c, const struct frame *f)
{
	struct frame_event e;
	int r = frame_get_event(f, &e);
	e.sequence = ++c->sequence;
	return r ? r : frame_put_event(&c->out, c->subscription, &e);
}

static int take_frame(void *data, const struct frame *f)
{
	if (f->kind == FRAME_QUERY)
		return take_query(data, f);
	if (f->kind == FRAME_EVENT_KIND)
		return take_event(data, f);
	if (f->kind == FRAME_HELLO)
		greet(data);
	else
		send_back(data, f);
	return 0;
}

static void serve(int fd)
{
	char bytes[4096];
	struct client c = {.fd = fd};
	struct frame_cutter cutter = {.at = FRAME_PREFACE_SIZE};
	ssize_t n = recv(fd, bytes, FRAME_PREFACE_SIZE, MSG_WAITALL);
	while (n > 0 && (n = recv(fd, bytes, sizeof bytes, 0)) > 0) {
		if (frame_cut(&cutter, bytes, (size_t)n, take_frame, &c) ||
		    send(fd, c.out.data, c.out.len, MSG_NOSIGNAL) != (ssize_t)c.out.len)
			break;
		buf_clear(&c.out);
	}
	frame_cutter_release(&cutter);
	buf_release(&c.out);
	close(fd);
}

static void *serve_all(void *data)
{
	struct host *h = data;
	int fd;
	while ((fd = accept(h->listener, NULL, NULL)) >= 0)
		serve(fd);
	return NULL;
}

static void host_begin(struct host *h)
{
	*h = (struct host){.directory = "/tmp/vigia-threads.XXXXXX", .address.sun_family = AF_UNIX};
	assert_non_null(mkdtemp(h->directory));
	snprintf(h->address.sun_path, sizeof h->address.sun_path, "%s/sock", h->directory);
	h->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(h->listener, (struct sockaddr *)&h->address, sizeof h->address), 0);
	assert_int_equal(listen(h->listener, 8), 0);
	assert_int_equal(pthread_create(&h->thread, NULL, serve_all, h), 0);
}

static void host_end(struct host *h)
{
	shutdown(h->listener, SHUT_RDWR);
	pthread_join(h->thread, NULL);
	close(h->listener);
	unlink(h->address.sun_path);
	rmdir(h->directory);
}

/* --- the program --- */

static int run_of(struct vigia_called *c)
{
	int64_t *asked = vigia_called_data(c), x = vigia_get_int(vigia_called_query(c), "x", 0);
	++*asked;
	if (x < 0)
		return vigia_fail(c, "bad-argument", "%lld is less than nothing", (long long)x);
	struct vigia_message *m = vigia_answer(c, "twice");
	vigia_set_int(m, "value", 2 * x);
	vigia_send(c, m);
	return VIGIA_DONE;
}

static const struct vigia_operation operations[] = {
    {"of", "twice x", .arguments = {{"x", VIGIA_INTEGER}}, .run = run_of}, {NULL}};
static const struct vigia_service twice = {"twice", "as much", operations};

struct program {
	const char *at; /* whose daemon it opens */
	pthread_t thread;
	struct vigia *v;
	struct vigia_channel channel;
	uint32_t put;
	int64_t asked, events, wrong;
	pthread_mutex_t *turn;
};

/* Each that was put comes, in order. */
static void on_event(void *data, const struct vigia_event *e)
{
	struct program *p = data;
	p->wrong += e->sequence != (uint64_t)++p->events || e->tag != (uint32_t)p->events;
}

static int on_value(void *data, const struct vigia_message *m)
{
	*(int64_t *)data = vigia_get_int(m, "value", -1);
	return 0;
}

static bool has_begun(struct program *p)
{
	struct vigia_subscriber s = {.event = on_event, .data = p};
	p->asked = p->events = p->put = 0;
	p->v = NULL;
	return !vigia_open(&p->v, p->at, NULL) && !vigia_serve(p->v, &twice, &p->asked, NULL) &&
	       !vigia_channel(p->v, "news", true, &p->channel, NULL) &&
	       vigia_subscribe(p->v, NULL, "news", UINT32_MAX, 0, &s) > 0;
}

static bool is_right(struct vigia *v, int64_t x)
{
	int64_t value = 0;
	char says[64];
	struct vigia_error error = {0};
	struct vigia_message *q = vigia_query("twice.of");
	vigia_set_int(q, "x", x);
	int r = vigia_call(v, NULL, q, 0, on_value, &value, &error);
	snprintf(says, sizeof says, "%lld is less than nothing", (long long)x);
	return x < 0 ? r == -EREMOTEIO && !strcmp(error.text, says) : !r && value == 2 * x;
}

/* An event and a call: every other one fails. */
static bool is_one_right(struct program *p, int64_t i)
{
	return !vigia_put(p->v, &p->channel, ++p->put, "x", 1) && is_right(p->v, i % 2 ? i : -i);
}

/* Each event came before the answer to what was asked behind it. */
static void end(struct program *p, int64_t expected)
{
	p->wrong += p->events != expected || p->asked != expected;
	vigia_close(p->v);
}

static void *live_often(void *data)
{
	struct program *p = data;
	for (int n = 0; n < OPENED && !p->wrong; n++) {
		p->wrong += !has_begun(p);
		for (int64_t i = 1; i <= CALLS && !p->wrong; i++)
			p->wrong += !is_one_right(p, i);
		end(p, CALLS);
	}
	return NULL;
}

static void each_has_its_own_at_once(void **state)
{
	struct host hosts[THREADS];
	struct program programs[THREADS];
	for (int i = 0; i < THREADS; i++) {
		host_begin(&hosts[i]);
		programs[i] = (struct program){.at = hosts[i].address.sun_path};
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&programs[i].thread, NULL, live_often, &programs[i]), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(programs[i].thread, NULL);
	for (int i = 0; i < THREADS; i++) {
		host_end(&hosts[i]);
		assert_int_equal(programs[i].wrong, 0);
	}
}

static void *take_turns(void *data)
{
	struct program *p = data;
	for (int64_t i = 1; i <= TURNS; i++) {
		pthread_mutex_lock(p->turn);
		p->wrong += !is_one_right(p, i);
		pthread_mutex_unlock(p->turn);
	}
	return NULL;
}

static void several_take_turns_with_one(void **state)
{
	struct host h;
	pthread_t threads[THREADS];
	pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	host_begin(&h);
	struct program p = {.at = h.address.sun_path, .turn = &turn};
	assert_true(has_begun(&p));
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_turns, &p), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	end(&p, THREADS * TURNS);
	host_end(&h);
	assert_int_equal(p.wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_has_its_own_at_once),
	    cmocka_unit_test(several_take_turns_with_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
