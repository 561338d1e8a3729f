/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/nats/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <nats/nats.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	CONNECT_MS = 2000,
	RETRY_MS = 250,
	LINGER_MS = 1000,
	BUFFER = 65536,
	QUEUED_MAX = 100000, /* messages and bytes that one read may bring, far more than BUFFER can hold */
	QUEUED_BYTES_MAX = 1 << 26,
	SERVERS_MAX = 32,
	NOBODIES_MAX = 1024, /* not heard of yet by the loop; more are asked for again */
};

/* One connection, from its making to its end. The worker has it until it is made, then the loop. */
struct wire {
	struct engine *engine;
	uv_poll_t poll;
	natsConnection *nc;
	natsSubscription *inbox, *nobody;
	int fd, events;
	bool polled, cut, want_write;
	char why[200];
};

struct nobody {
	char subject[128];
};

struct engine {
	struct engine_options o;
	char *servers, *name, *inbox, *nobody_subject;
	struct wire *wire; /* connected, or being made */
	uv_work_t work;
	uv_timer_t timer; /* to connect again; when closing: the end of patience */
	uv_async_t async;
	bool up, connecting, closing;
	unsigned handles;
	uint64_t up_ms, heard_ms;
	void (*closed)(void *owner);
	struct buf why;
	pthread_mutex_t lock; /* what libnats' own threads leave here: */
	struct nobody *nobodies;
	size_t nobodies_n;
	unsigned threads; /* that may still leave something */
};

static void connect_later(struct engine *e, uint64_t ms);
static void settle_closing(struct engine *e);

/* --- what libnats asks of a loop, on the thread that called it: the loop's, or the worker's that connects --- */

static natsStatus attach(void **data, void *loop, natsConnection *nc, natsSock fd)
{
	struct wire *w = loop; /* not the loop: this is where it tells which connection it is */
	*data = w;
	w->fd = fd;
	return NATS_OK;
}

/* Only when the connection is over. */
static natsStatus want_read(void *data, bool add)
{
	struct wire *w = data;
	if (add)
		return NATS_OK;
	w->cut = true;
	if (w->polled)
		uv_poll_stop(&w->poll);
	return NATS_OK;
}

static natsStatus want_write(void *data, bool add)
{
	((struct wire *)data)->want_write = add;
	return NATS_OK;
}

static natsStatus detach(void *data)
{
	return NATS_OK;
}

/* It would print. */
static void ignore_error(natsConnection *nc, natsSubscription *sub, natsStatus s, void *closure)
{
}

/* --- what comes on threads of libnats' own --- */

static void on_nobody(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	struct engine *e = closure;
	pthread_mutex_lock(&e->lock);
	if (natsMsg_IsNoResponders(msg) && e->nobodies_n < NOBODIES_MAX)
		snprintf(e->nobodies[e->nobodies_n++].subject, sizeof e->nobodies->subject, "%s",
		    natsMsg_GetSubject(msg));
	pthread_mutex_unlock(&e->lock);
	natsMsg_Destroy(msg);
	uv_async_send(&e->async);
}

static void on_thread_over(void *closure)
{
	struct engine *e = closure;
	pthread_mutex_lock(&e->lock);
	e->threads--;
	uv_async_send(&e->async); /* within the lock: the loop may not be rid of us before */
	pthread_mutex_unlock(&e->lock);
}

static bool take_nobody(struct engine *e, struct nobody *ret)
{
	pthread_mutex_lock(&e->lock);
	bool is = e->nobodies_n > 0;
	if (is)
		*ret = e->nobodies[--e->nobodies_n];
	pthread_mutex_unlock(&e->lock);
	return is;
}

static void on_async(uv_async_t *async)
{
	struct engine *e = async->data;
	struct nobody n;
	while (take_nobody(e, &n))
		if (e->up && !e->closing)
			e->o.events->nobody(e->o.owner, n.subject);
	if (e->closing)
		settle_closing(e);
}

/* --- connecting: on a worker --- */

static natsStatus set_servers(natsOptions *o, char *list)
{
	const char *servers[SERVERS_MAX];
	int n = 0;
	char *rest = NULL;
	for (char *s = strtok_r(list, ",", &rest); s && n < SERVERS_MAX; s = strtok_r(NULL, ",", &rest))
		servers[n++] = s;
	return natsOptions_SetServers(o, servers, n);
}

#define TRY(call) \
	do { \
		natsStatus s_ = (call); \
		if (s_ != NATS_OK) \
			return s_; \
	} while (0)

static natsStatus set_options(natsOptions *o, struct wire *w)
{
	TRY(natsOptions_SetName(o, w->engine->name));
	TRY(natsOptions_SetTimeout(o, CONNECT_MS));
	TRY(natsOptions_SetAllowReconnect(o, false));
	TRY(natsOptions_SetPingInterval(o, 0)); /* its timer's thread would close the socket that we poll */
	TRY(natsOptions_SetSendAsap(o, true));
	TRY(natsOptions_SetIOBufSize(o, BUFFER));
	TRY(natsOptions_SetErrorHandler(o, ignore_error, NULL));
	return natsOptions_SetEventLoop(o, w, attach, want_read, want_write, detach);
}

static natsStatus subscribe(struct wire *w)
{
	struct engine *e = w->engine;
	TRY(natsConnection_SubscribeSync(&w->inbox, w->nc, e->inbox));
	TRY(natsSubscription_SetPendingLimits(w->inbox, QUEUED_MAX, QUEUED_BYTES_MAX));
	TRY(natsConnection_Subscribe(&w->nobody, w->nc, e->nobody_subject, on_nobody, e));
	TRY(natsSubscription_SetOnCompleteCB(w->nobody, on_thread_over, e));
	pthread_mutex_lock(&e->lock);
	e->threads++;
	pthread_mutex_unlock(&e->lock);
	return NATS_OK;
}

static natsStatus connect_with(natsOptions *o, struct wire *w, char *servers)
{
	TRY(set_servers(o, servers));
	TRY(set_options(o, w));
	TRY(natsConnection_Connect(&w->nc, o));
	int64_t most = natsConnection_GetMaxPayload(w->nc);
	if (most < w->engine->o.payload_least) {
		snprintf(w->why, sizeof w->why, "its max_payload is %lld, we need %lld", (long long)most,
		    (long long)w->engine->o.payload_least);
		return NATS_MAX_PAYLOAD;
	}
	return subscribe(w);
}

static void on_work(uv_work_t *work)
{
	struct engine *e = work->data;
	struct wire *w = e->wire;
	natsOptions *o = NULL;
	char *servers = strdup(e->servers);
	natsStatus s = servers ? natsOptions_Create(&o) : NATS_NO_MEMORY;
	if (s == NATS_OK)
		s = connect_with(o, w, servers);
	if (s != NATS_OK && !*w->why)
		snprintf(w->why, sizeof w->why, "%s", natsStatus_GetText(s));
	natsOptions_Destroy(o);
	free(servers);
}

/* --- a connection's end --- */

static void on_poll_closed(uv_handle_t *h)
{
	struct wire *w = h->data;
	struct engine *e = w->engine;
	free(w);
	e->handles--;
	settle_closing(e);
}

/* libnats, asked to close, would wait for what is not written yet, so it is shown an end of the connection
 * first. */
static void show_end(struct wire *w)
{
	shutdown(w->fd, SHUT_RDWR);
	natsConnection_ProcessReadEvent(w->nc);
	for (int i = 0; i < 64 && !w->cut; i++) /* what had come */
		natsConnection_ProcessReadEvent(w->nc);
}

static void wire_free(struct wire *w)
{
	if (w->nc && !w->cut && natsConnection_Buffered(w->nc) > 0)
		show_end(w);
	natsConnection_Close(w->nc); /* first: subscriptions of one that stands would say that they end */
	natsSubscription_Destroy(w->nobody);
	natsSubscription_Destroy(w->inbox);
	natsConnection_Destroy(w->nc);
	if (w->polled)
		uv_close((uv_handle_t *)&w->poll, on_poll_closed);
	else
		free(w);
}

static void drop_wire(struct engine *e, const char *why)
{
	struct wire *w = e->wire;
	e->wire = NULL;
	e->up = false;
	buf_clear(&e->why);
	buf_puts(&e->why, why);
	wire_free(w);
	if (e->closing) {
		settle_closing(e);
		return;
	}
	connect_later(e, RETRY_MS);
	e->o.events->down(e->o.owner);
}

/* Wherever libnats was called it may have found out that the connection is over. */
static bool is_over(struct engine *e)
{
	if (!e->wire || !e->wire->cut)
		return false;
	drop_wire(e, "the connection broke");
	return true;
}

/* --- a connection's life: on the loop --- */

static void set_poll(struct wire *w);

static void give_one(struct engine *e, natsMsg *msg)
{
	if (!e->closing)
		e->o.events->came(e->o.owner, natsMsg_GetSubject(msg), natsMsg_GetData(msg),
		    (size_t)natsMsg_GetDataLength(msg));
	natsMsg_Destroy(msg);
}

static void give_messages(struct engine *e, struct wire *w)
{
	uint64_t n = 0;
	natsMsg *msg;
	if (natsSubscription_QueuedMsgs(w->inbox, &n) != NATS_OK)
		return;
	/* What they do may be the end of this connection. */
	for (; n && e->wire == w && natsSubscription_NextMsg(&msg, w->inbox, 0) == NATS_OK; n--)
		give_one(e, msg);
}

static void write_out(struct engine *e, struct wire *w)
{
	if (w->want_write)
		natsConnection_ProcessWriteEvent(w->nc);
	if (!is_over(e))
		set_poll(w);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct wire *w = poll->data;
	struct engine *e = w->engine;
	if (status < 0 || events & (UV_READABLE | UV_DISCONNECT)) {
		e->heard_ms = uv_now(e->o.loop);
		natsConnection_ProcessReadEvent(w->nc);
		give_messages(e, w);
	}
	if (e->wire != w || is_over(e))
		return;
	if (events & UV_WRITABLE) {
		write_out(e, w);
		if (e->wire == w && !w->want_write && !e->closing)
			e->o.events->writable(e->o.owner);
	}
	if (e->closing)
		settle_closing(e);
}

static void set_poll(struct wire *w)
{
	int events = UV_READABLE | (w->want_write ? UV_WRITABLE : 0);
	if (events != w->events)
		uv_poll_start(&w->poll, events, on_poll);
	w->events = events;
}

static void set_socket(const struct engine *e, int fd)
{
	unsigned dead_ms = (unsigned)(e->o.dead_ns / 1000000);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof dead_ms);
}

static void on_worked(uv_work_t *work, int status)
{
	struct engine *e = work->data;
	struct wire *w = e->wire;
	e->connecting = false;
	if (*w->why || uv_poll_init(e->o.loop, &w->poll, w->fd)) {
		char why[200];
		snprintf(why, sizeof why, "%s", *w->why ? w->why : "its socket can't be polled");
		drop_wire(e, why);
		return;
	}
	w->poll.data = w;
	w->polled = true;
	e->handles++;
	if (e->closing) {
		settle_closing(e);
		return;
	}
	set_socket(e, w->fd);
	e->up = true;
	e->up_ms = e->heard_ms = uv_now(e->o.loop);
	write_out(e, w);
	if (e->wire == w)
		e->o.events->up(e->o.owner);
}

static void on_timer(uv_timer_t *timer)
{
	struct engine *e = timer->data;
	if (e->closing) {
		if (e->wire)
			drop_wire(e, "");
		return;
	}
	e->wire = calloc(1, sizeof *e->wire);
	if (e->wire)
		*e->wire = (struct wire){.engine = e, .fd = -1};
	if (!e->wire || uv_queue_work(e->o.loop, &e->work, on_work, on_worked)) {
		free(e->wire);
		e->wire = NULL;
		connect_later(e, RETRY_MS);
		return;
	}
	e->connecting = true;
}

static void connect_later(struct engine *e, uint64_t ms)
{
	uv_timer_start(&e->timer, on_timer, ms, 0);
}

/* --- the outside --- */

bool engine_is_up(const struct engine *e)
{
	return e->up;
}

uint64_t engine_up_ms(const struct engine *e)
{
	return e->up_ms;
}

uint64_t engine_silent_ms(const struct engine *e)
{
	return uv_now(e->o.loop) - e->heard_ms;
}

const char *engine_why(const struct engine *e)
{
	return e->why.len ? buf_str((struct buf *)&e->why) : "not connected yet";
}

void engine_cut(struct engine *e, const char *why)
{
	if (!e->up)
		return;
	show_end(e->wire);
	drop_wire(e, why);
}

void engine_publish(struct engine *e, const char *subject, const char *answer_to, const void *bytes, size_t n)
{
	if (!e->up || e->wire->cut)
		return;
	if (answer_to)
		natsConnection_PublishRequest(e->wire->nc, subject, answer_to, bytes, (int)n);
	else
		natsConnection_Publish(e->wire->nc, subject, bytes, (int)n);
}

void engine_flush(struct engine *e)
{
	if (e->up && e->wire->want_write && !(e->wire->events & UV_WRITABLE))
		write_out(e, e->wire);
}

size_t engine_pending(const struct engine *e)
{
	int n = e->up ? natsConnection_Buffered(e->wire->nc) : 0;
	return n > 0 ? (size_t)n : 0;
}

/* "tls://" waits: libnats polled by another's loop still waits within a TLS record. */
static int check_servers(const char *servers, struct buf *why)
{
	if (!servers || !*servers) {
		buf_puts(why, "nats needs a server, nats://HOST:PORT");
		return -EINVAL;
	}
	if (strstr(servers, "tls://")) {
		buf_puts(why, "TLS to a nats-server is not supported yet");
		return -EPROTONOSUPPORT;
	}
	return 0;
}

static void engine_free(struct engine *e)
{
	pthread_mutex_destroy(&e->lock);
	buf_release(&e->why);
	free(e->nobodies);
	free(e->servers);
	free(e->name);
	free(e->inbox);
	free(e->nobody_subject);
	free(e);
}

static bool copy_texts(struct engine *e)
{
	e->servers = strdup(e->o.servers);
	e->name = strdup(e->o.name);
	e->inbox = strdup(e->o.inbox);
	e->nobody_subject = strdup(e->o.nobody);
	e->nobodies = calloc(NOBODIES_MAX, sizeof *e->nobodies);
	return e->servers && e->name && e->inbox && e->nobody_subject && e->nobodies;
}

int engine_new(struct engine **ret, const struct engine_options *options, struct buf *why)
{
	int r = check_servers(options->servers, why);
	/* Here, not on a worker: what it keeps of a thread stays with this one. */
	if (!r && nats_Open(-1) != NATS_OK)
		r = -ENOMEM;
	struct engine *e = r ? NULL : calloc(1, sizeof *e);
	if (!e)
		return r ? r : -ENOMEM;
	e->o = *options;
	pthread_mutex_init(&e->lock, NULL);
	r = copy_texts(e) ? uv_async_init(e->o.loop, &e->async, on_async) : -ENOMEM;
	if (r) {
		engine_free(e);
		return r;
	}
	uv_timer_init(e->o.loop, &e->timer);
	e->async.data = e->timer.data = e->work.data = e;
	e->handles = 2;
	connect_later(e, 0);
	*ret = e;
	return 0;
}

static void on_handle_closed(uv_handle_t *h)
{
	struct engine *e = h->data;
	if (--e->handles)
		return;
	e->closed(e->o.owner);
	engine_free(e);
}

static bool has_threads(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	bool has = e->threads > 0;
	pthread_mutex_unlock(&e->lock);
	return has;
}

/* Goes on with closing whenever something has ended. */
static void settle_closing(struct engine *e)
{
	if (!e->closing || e->connecting)
		return;
	if (e->wire && (!e->up || !e->wire->want_write)) {
		drop_wire(e, ""); /* comes back here */
		return;
	}
	if (e->wire || e->handles > 2 || has_threads(e) || uv_is_closing((uv_handle_t *)&e->async))
		return;
	uv_close((uv_handle_t *)&e->async, on_handle_closed);
	uv_close((uv_handle_t *)&e->timer, on_handle_closed);
}

void engine_close(struct engine *e, void (*closed)(void *owner))
{
	e->closing = true;
	e->closed = closed;
	uv_timer_stop(&e->timer);
	if (e->up)
		write_out(e, e->wire);
	if (e->wire && e->up && e->wire->want_write)
		uv_timer_start(&e->timer, on_timer, LINGER_MS, 0);
	settle_closing(e);
}
