/* SPDX-License-Identifier: Apache-2.0 */

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/audited.h"
#include "core/channels.h"
#include "core/core.h"
#include "core/limited.h"
#include "core/orders.h"
#include "core/relay.h"
#include "core/secure.h"
#include "core/speech.h"
#include "proto/frame.h"

enum { BEAT = 0x16, RTO_MAX_MS = 44 /* TCP_RTO_MAX_MS, not yet in the C library's header */ };

/* --- leaving --- */

enum { CROWD = 256, TIDY_MS = 1000 };

/* Memory of a crowd that has left goes back to the system, soon but not for each of them. */
static void on_tidy(uv_timer_t *timer)
{
	struct core *core = timer->data;
	core->left = 0;
	malloc_trim(0);
}

static void count_leaving(struct core *core)
{
	if (++core->left == CROWD)
		uv_timer_start(&core->tidy, on_tidy, TIDY_MS, 0);
}

static void on_timer_closed(uv_handle_t *h)
{
	free(h);
}

static void stop_timer(struct peer *p)
{
	if (p->timer)
		uv_close((uv_handle_t *)p->timer, on_timer_closed);
	p->timer = NULL;
}

static void start_timer(struct peer *p, uv_timer_cb fn, int64_t after_ns)
{
	stop_timer(p);
	p->timer = calloc(1, sizeof *p->timer);
	if (!p->timer)
		return;
	uv_timer_init(p->core->net.loop, p->timer);
	p->timer->data = p;
	uv_timer_start(p->timer, fn, (uint64_t)(after_ns / 1000000), 0);
}

/* The parser may be the one that called us: it goes at the end of the turn, with the rest. */
static void on_idle_closed(uv_handle_t *h)
{
	struct peer *p = h->data;
	if (p->speech)
		p->speech->release(p);
	free(p);
	free(h);
}

static void free_later(struct peer *p)
{
	uv_idle_t *later = calloc(1, sizeof *later);
	if (!later)
		abort();
	uv_idle_init(p->core->net.loop, later);
	later->data = p;
	uv_close((uv_handle_t *)later, on_idle_closed);
}

static void count_pending(struct peer *p, size_t pending)
{
	if (pending > p->pending)
		limits_force(&p->core->limits, LIMIT_PENDING_ALL, p->counted, (int64_t)(pending - p->pending));
	else if (pending < p->pending)
		limits_give(&p->core->limits, LIMIT_PENDING_ALL, p->counted, (int64_t)(p->pending - pending));
	p->pending = pending;
}

static void is_no_stranger(struct peer *p)
{
	if (!p->strange)
		return;
	p->strange = false;
	TAILQ_REMOVE(&p->core->strangers, p, strangers);
	limits_give(&p->core->limits, LIMIT_STRANGERS, LIMITS_NOBODY, 1);
}

static void detach(struct peer *p)
{
	p->closing = true;
	stop_timer(p);
	is_no_stranger(p);
	if (p->relay)
		relay_release(p->relay, "unavailable", "the program that offers this service is gone");
	asker_drop_calls(&p->asker);
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	p->core->figures.peers--;
	count_pending(p, 0);
	limits_give(&p->core->limits, LIMIT_CONNECTIONS, p->counted, 1);
	count_leaving(p->core);
	free_later(p);
}

void peer_close(struct peer *p)
{
	if (p->closing)
		return;
	stream_close(p->stream);
	detach(p);
}

struct stream *peer_let_go(struct peer *p)
{
	detach(p);
	return p->stream;
}

void peer_leave(struct peer *p)
{
	if (p->closing)
		return;
	if (p->speech)
		p->speech->bye(p);
	stream_finish(p->stream);
	detach(p);
}

void peer_gone(struct peer *p, int error, const char *why)
{
	if (p->closing)
		return;
	if (p->role && p->role->closed)
		p->role->closed(p, error, why);
}

void peer_registered(struct peer *p)
{
	if (p->protocol != PROTOCOL_JOIN) /* who has only a token is told apart by nothing */
		is_no_stranger(p);
	if (!p->doomed) /* then the timer is its end */
		stop_timer(p);
}

/* 0 or -ENOMEM. */
static int speak(struct peer *p, const struct speech *speech)
{
	int r = speech->begin(p);
	if (r)
		return r;
	p->speech = speech;
	p->asker.type = speech->asker;
	return 0;
}

/* --- sending --- */

struct buf *peer_out(struct peer *p)
{
	return stream_out(p->stream);
}

static void on_doomed(uv_timer_t *timer)
{
	struct peer *p = timer->data;
	peer_gone(p, -ENOBUFS, "does not read what it is sent");
	peer_close(p);
}

static void doom(struct peer *p, enum limit reached)
{
	limits_refuse(&p->core->limits, reached);
	count_pending(p, 0); /* as good as gone: for what it had nobody else goes */
	p->core->figures.overflows++;
	p->doomed = true;
	start_timer(p, on_doomed, 0);
}

/* What the kernel took meanwhile nobody has told; and it may take more. */
void peers_count_pending(struct core *core)
{
	for (struct peer *p = core->peers; p; p = p->next)
		if (!p->doomed) {
			stream_push(p->stream);
			count_pending(p, stream_pending(p->stream));
		}
}

static struct peer *most_pending(struct core *core, enum limit reached, uid_t uid)
{
	struct peer *most = NULL;
	for (struct peer *p = core->peers; p; p = p->next)
		if (!p->doomed && (reached != LIMIT_PENDING_PER_UID || p->counted == uid) && (!most || p->pending > most->pending))
			most = p;
	return most;
}

/* Only when there seems to be no room are all asked. Who has most makes it. */
static void check_all_pending(struct peer *p)
{
	const struct limits *l = &p->core->limits;
	if (limits_full(l, LIMIT_PENDING_ALL, p->counted, 0) == LIMIT_NONE)
		return;
	peers_count_pending(p->core);
	enum limit reached = limits_full(l, LIMIT_PENDING_ALL, p->counted, 0);
	struct peer *most = reached == LIMIT_NONE ? NULL : most_pending(p->core, reached, p->counted);
	if (most)
		doom(most, reached);
}

/* Before anything is put: what waits already is judged, after the kernel has taken what it wants. Whoever is sending
 * may be deep in a call of this peer's: it closes in a turn of its own, and is sent no more. */
static void check_pending(struct peer *p)
{
	int64_t most = p->core->limits.v[LIMIT_PENDING].most;
	if ((int64_t)stream_pending(p->stream) > most)
		stream_push(p->stream);
	count_pending(p, stream_pending(p->stream));
	if ((int64_t)p->pending > most)
		doom(p, LIMIT_PENDING);
	else if (p->pending && limits_allow(&p->core->limits, LIMIT_PENDING, (int64_t)p->pending))
		check_all_pending(p);
}

bool peer_may_send(struct peer *p)
{
	if (!p->closing && !p->doomed)
		check_pending(p);
	return !p->closing && !p->doomed;
}

void peer_error(struct peer *p, const char *code, const char *format, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	p->core->figures.errors++;
	p->speech->error(p, code, text);
}

/* One that has said nothing yet gets its answer in XML: people can read that. */
int peer_refuse(struct peer *p, const char *code, const char *format, ...)
{
	char text[512];
	va_list ap;
	if (p->closing)
		return -EPROTO;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	p->core->figures.refused++;
	audited_refusal(&p->asker, "connection.open", code, text);
	if (!p->speech)
		speak(p, &speech_xml);
	if (p->speech)
		p->speech->last_error(p, code, text);
	peer_gone(p, -EPROTO, text);
	peer_leave(p);
	return -EPROTO;
}

int peer_refuse_limit(struct peer *p, enum limit reached)
{
	struct buf text = BUF_INIT;
	limits_put_reached(&p->core->limits, reached, &text);
	peer_refuse(p, "too-many", "%s", buf_str(&text));
	buf_release(&text);
	return -EPROTO;
}

/* --- receiving --- */

static void on_data(void *owner, char *bytes, size_t n)
{
	struct peer *p = owner;
	for (; !p->speech && n && *bytes == BEAT; n--) /* a probe whose mark was lost */
		bytes++;
	if (!n)
		return;
	if (p->speech || !speak(p, *bytes == FRAME_PREFACE[0] ? &speech_frames : &speech_xml))
		p->speech->data(p, bytes, n);
	else
		peer_close(p);
}

/* A node's probe, before it said what it is: does urgent data pass both ways? Where the mark was lost the byte
 * comes as data, is stripped and not answered. */
static void answer_probe(struct peer *p)
{
	char beat;
	if (recv(stream_fd(p->stream), &beat, 1, MSG_OOB | MSG_DONTWAIT) == 1 && beat == BEAT)
		send(stream_fd(p->stream), &beat, 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL);
	stream_want_urgent(p->stream, false);
}

static void on_urgent(void *owner)
{
	struct peer *p = owner;
	if (!p->role)
		answer_probe(p);
	else if (p->role->urgent)
		p->role->urgent(p);
	else
		stream_want_urgent(p->stream, false);
}

static void on_drained(void *owner)
{
	struct peer *p = owner;
	if (!p->closing && p->role && p->role->drained)
		p->role->drained(p);
	if (!p->closing && p->asker.calls)
		asker_go_on(&p->asker);
}

static void on_opening_late(uv_timer_t *timer);

static void on_secured(void *owner)
{
	struct peer *p = owner;
	if (p->timer)
		start_timer(p, on_opening_late, p->core->limits.v[LIMIT_OPENING].most);
	if (!secure_done(p) && !p->speech && speak(p, p->protocol == PROTOCOL_HMON ? &speech_xml : &speech_frames))
		peer_close(p);
}

static void on_stream_closed(void *owner, int error)
{
	struct peer *p = owner;
	if (p->secure && !p->protocol && !p->closing)
		secure_failed(p);
	peer_gone(p, error, error ? strerror(-error) : "closed the connection");
	if (!p->closing)
		detach(p);
}

static const struct stream_events events = {
    .data = on_data, .urgent = on_urgent, .drained = on_drained, .closed = on_stream_closed, .secured = on_secured};

/* --- coming --- */

static void on_opening_late(uv_timer_t *timer)
{
	struct peer *p = timer->data;
	stop_timer(p);
	if (stream_is_shaking(p->stream)) { /* many came at once: it is we who are late */
		start_timer(p, on_opening_late, p->core->limits.v[LIMIT_OPENING].most / 2);
		return;
	}
	limits_refuse(&p->core->limits, LIMIT_OPENING);
	peer_refuse(p, "bad-stanza", "nothing understandable for %lld s",
		    (long long)(p->core->limits.v[LIMIT_OPENING].most / 1000000000));
}

static bool is_loopback(const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
	if (a->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static void put_address(struct peer *p, const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
	char host[INET6_ADDRSTRLEN];
	if (a->ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
		snprintf(p->asker.address, sizeof p->asker.address, "%s:%d", host, ntohs(v4->sin_port));
	} else {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
		snprintf(p->asker.address, sizeof p->asker.address, "[%s]:%d", host, ntohs(v6->sin6_port));
	}
}

/* After a pause of the network a link of few small segments must speak again at once: exponential back-off would
 * keep it silent for as long again as the pause was, and a living node would be called down. */
static void set_tcp(int fd)
{
	int on = 1, most_ms = 1000;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, RTO_MAX_MS, &most_ms, sizeof most_ms); /* Linux 6.15 and later */
}

static void learn_address(struct peer *p, int fd)
{
	struct sockaddr_storage a = {0};
	struct ucred who;
	socklen_t len = sizeof a, who_len = sizeof who;
	p->asker.uid = (uid_t)-1;
	if (getpeername(fd, (struct sockaddr *)&a, &len))
		return;
	if (a.ss_family != AF_UNIX) {
		set_tcp(fd);
		p->local = is_loopback(&a);
		put_address(p, &a);
		return;
	}
	p->local = true;
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &who_len))
		p->asker.uid = who.uid, p->asker.pid = who.pid;
	snprintf(p->asker.address, sizeof p->asker.address, "uid %d", (int)p->asker.uid);
}

/* -EUSERS: as many as his user may have, -EMFILE: as there may be. */
static int count_connection(struct peer *p)
{
	p->counted = asker_counted(&p->asker);
	enum limit reached = limits_take(&p->core->limits, LIMIT_CONNECTIONS, p->counted, 1);
	return reached == LIMIT_NONE ? 0 : reached == LIMIT_CONNECTIONS ? -EMFILE : -EUSERS;
}

static int begin(struct peer *p, int fd, const struct speech *speech)
{
	int r = count_connection(p);
	if (r)
		return r;
	r = speech ? speak(p, speech) : 0;
	if (!r)
		r = stream_new(&p->stream, &p->core->net, fd, &events, p);
	if (r) {
		limits_give(&p->core->limits, LIMIT_CONNECTIONS, p->counted, 1);
		if (p->speech)
			p->speech->release(p);
	}
	return r;
}

static int peer_new(struct core *core, int fd, const struct speech *speech, struct peer **ret)
{
	struct peer *p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;
	p->core = core;
	p->asker = (struct asker){.core = core, .peer = p, .role = "", .entity = ++core->askers};
	p->since_ns = (int64_t)uv_hrtime();
	learn_address(p, fd);
	int r = begin(p, fd, speech);
	if (r) {
		free(p);
		return r;
	}
	p->link = &core->peers;
	p->next = core->peers;
	if (p->next)
		p->next->link = &p->next;
	core->peers = p;
	core->figures.peers++;
	*ret = p;
	return 0;
}

static void on_unsecured(uv_timer_t *timer)
{
	struct peer *p = timer->data;
	peer_gone(p, -ENOMEM, "no memory for TLS");
	peer_close(p);
}

/* What can't be secured says and hears nothing. */
static int secure_or_doom(struct peer *p, bool accepted)
{
	int r = secure_begin(p, accepted);
	if (r) {
		p->doomed = true;
		stream_pause(p->stream, true);
		start_timer(p, on_unsecured, 0);
	}
	return r;
}

/* Who comes by network is told nothing. */
static void say_turned_away(struct core *core, int fd, const char *code, const char *text)
{
	struct buf out = BUF_INIT;
	speech_put_refusal(&out, core, code, text);
	send(fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	buf_release(&out);
}

/* Who it was says its socket, as long as that is there. */
static void turn_away(struct core *core, int fd, int error)
{
	struct peer p = {.core = core, .asker = {.core = core, .peer = &p, .role = ""}};
	const char *code = error == -EMFILE || error == -EUSERS ? "too-many" : "failed";
	struct buf text = BUF_INIT;
	if (error == -EMFILE || error == -EUSERS)
		limits_put_reached(&core->limits, error == -EUSERS ? LIMIT_CONNECTIONS_PER_UID : LIMIT_CONNECTIONS, &text);
	else
		buf_puts(&text, strerror(-error));
	learn_address(&p, fd);
	audited_refusal(&p.asker, "connection.open", code, buf_str(&text));
	if (p.asker.uid != (uid_t)-1)
		say_turned_away(core, fd, code, buf_str(&text));
	buf_release(&text);
}

/* A crowd that says nothing does not keep out who would: the oldest of it goes. */
static void count_stranger(struct peer *p)
{
	struct core *core = p->core;
	if (limits_full(&core->limits, LIMIT_STRANGERS, LIMITS_NOBODY, 1) != LIMIT_NONE && !TAILQ_EMPTY(&core->strangers)) {
		limits_refuse(&core->limits, LIMIT_STRANGERS);
		peer_refuse_limit(TAILQ_FIRST(&core->strangers), LIMIT_STRANGERS);
	}
	limits_force(&core->limits, LIMIT_STRANGERS, LIMITS_NOBODY, 1);
	p->strange = true;
	TAILQ_INSERT_TAIL(&core->strangers, p, strangers);
}

int peer_accept(struct core *core, int fd, struct peer **ret)
{
	struct peer *p;
	int r = peer_new(core, fd, NULL, &p);
	if (r) {
		core->figures.refused++;
		turn_away(core, fd, r);
		return r;
	}
	core->figures.accepted++;
	if (p->asker.uid == (uid_t)-1) {
		count_stranger(p);
		stream_want_urgent(p->stream, true);
	}
	start_timer(p, on_opening_late, core->limits.v[LIMIT_OPENING].most);
	secure_or_doom(p, true);
	if (ret)
		*ret = p;
	return 0;
}

int peer_dialled(struct core *core, int fd, const struct role *role, const struct msg *greet, void *owner,
    struct peer **ret)
{
	struct peer *p;
	int r = peer_new(core, fd, &speech_xml, &p);
	if (r)
		return r;
	peer_take_role(p, role);
	p->owner = owner;
	p->dialled = true;
	start_timer(p, on_opening_late, core->limits.v[LIMIT_OPENING].most);
	if (!secure_or_doom(p, false))
		xml_put_open(stream_out(p->stream), greet);
	p->greeted = true;
	*ret = p;
	return 0;
}

/* --- the core --- */

int core_start(struct core *core, uv_loop_t *loop, const struct host_id *id, const char *name, const struct service *const *services,
    const struct limit_values *limits)
{
	core->id = *id;
	snprintf(core->name, sizeof core->name, "%s", name);
	core->services = services;
	TAILQ_INIT(&core->strangers);
	uv_timer_init(loop, &core->tidy);
	core->tidy.data = core;
	int r = net_start(&core->net, loop);
	limited_start(core, limits);
	return r ? r : channels_start(core);
}

void core_stop(struct core *core)
{
	for (struct peer *p = core->peers, *next; p; p = next) {
		next = p->next;
		peer_gone(p, 0, "this daemon ends");
		peer_leave(p);
	}
	channels_stop(core);
	buf_release(&core->passing);
	orders_release(core);
	limits_release(&core->limits);
	uv_close((uv_handle_t *)&core->tidy, NULL);
	net_flush(&core->net);
	net_stop(&core->net);
}
