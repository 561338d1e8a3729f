/* SPDX-License-Identifier: Apache-2.0 */
#include "core/queries_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/channels.h"
#include "core/joining.h"
#include "core/leases.h"
#include "core/limited.h"
#include "core/links.h"
#include "core/processes.h"
#include "core/view.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/suite/made_up.h"

enum { TURNS = 300, PENDING = 65536, SOCKET = 4096, CALLS = 24, OPEN = 256, ASKED = 8, OTHER_UID = 12345 };

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* Who is on the other end, as he sees it. */
struct end {
	int fd; /* -1: not connected */
	bool deaf, counts; /* counts: all that he asked is known */
	bool said, heard;
	struct frame_cutter cutter;
	struct xml *xml;
	unsigned open[OPEN]; /* queries under way, by number */
	uint64_t asked[ASKED], asked_n;
};

struct platform {
	const struct platform_type *type;
	struct platform_options options;
	bool full;
};

static struct {
	uv_loop_t loop;
	struct core core;
	struct system *system;
	struct platform *platform;
	struct end ends[STAGE_ALL];
	bool over;
	int64_t now_ns;
} stage;

struct core *stage_core(void)
{
	return &stage.core;
}

bool stage_is_over(void)
{
	return stage.over;
}

/* --- time, and what else is drawn --- */

int64_t __wrap_clock_mono_ns(void);
int64_t __wrap_clock_wall_ns(void);
ssize_t __wrap_getrandom(void *to, size_t n, unsigned flags);

int64_t __wrap_clock_mono_ns(void)
{
	return stage.now_ns;
}

int64_t __wrap_clock_wall_ns(void)
{
	return 1700000000000000000 + stage.now_ns;
}

ssize_t __wrap_getrandom(void *to, size_t n, unsigned flags)
{
	memset(to, 0, n);
	return (ssize_t)n;
}

/* --- the tables, with a note of what has run --- */

static int run_cancel(struct call *c)
{
	return call_run_cancel(c);
}

/* As the daemon has it. */
static const struct op daemon_ops[] = {
    {"master", "cancel", "ends a query of this connection", OP_READS, ROLE_CLIENT,
	.args = {{"of", OP_INTEGER, "the query's id", .required = true}}, .run = run_cancel},
    {NULL},
};
static const struct service daemon_service = {.name = "daemon", .doc = "the daemon itself", .ops = daemon_ops};

enum { SERVICES = 7, OPS = 32 };
static const struct service *const originals[SERVICES] = {
    &host_service, &lease_service, &process_service, &registry_service, &channel_service, &limit_service, &daemon_service};
static struct op ops[SERVICES][OPS];
static struct service copies[SERVICES];
static const struct service *services[SERVICES + 1];
static bool ran[SERVICES][OPS];

static int run_noted(struct call *c)
{
	size_t s = (size_t)(c->op - ops[0]) / OPS, i = (size_t)(c->op - ops[s]);
	ran[s][i] = true;
	return originals[s]->ops[i].run(c);
}

static void copy_tables(void)
{
	for (size_t s = 0; s < SERVICES; s++) {
		for (size_t i = 0; originals[s]->ops[i].noun; i++) {
			CHECK(i < OPS - 1);
			ops[s][i] = originals[s]->ops[i];
			ops[s][i].run = run_noted;
		}
		copies[s] = *originals[s];
		copies[s].ops = ops[s];
		services[s] = &copies[s];
	}
}

const struct op *stage_op(size_t i, bool *ret_ran)
{
	for (size_t s = 0; s < SERVICES; s++)
		for (size_t k = 0; ops[s][k].noun; k++)
			if (!i--) {
				*ret_ran = ran[s][k];
				return &ops[s][k];
			}
	return NULL;
}

/* --- what comes back --- */

static void note_asked(struct end *e, uint64_t number)
{
	e->asked[e->asked_n++ % ASKED] = number;
}

uint64_t stage_asked(enum stage_who who, size_t before)
{
	const struct end *e = &stage.ends[who];
	return before < ASKED && before < e->asked_n ? e->asked[(e->asked_n - 1 - before) % ASKED] : 0;
}

/* One last word for each query, and nothing behind it. */
static void check_number(struct end *e, const struct frame *f)
{
	if (!e->counts || !f->number || f->number >= OPEN)
		return;
	CHECK(e->open[f->number]);
	if (f->kind == FRAME_END || f->kind == FRAME_ERROR)
		e->open[f->number]--;
}

static int on_frame(void *data, const struct frame *f)
{
	struct end *e = data;
	if (f->kind == FRAME_QUERY)
		note_asked(e, f->number);
	else if (f->kind != FRAME_CANCEL && f->kind != FRAME_HELLO)
		check_number(e, f);
	return 0;
}

static int on_root(void *data, const struct msg *m)
{
	return 0;
}

static int on_stanza(void *data, const struct msg *m)
{
	struct end *e = data;
	int64_t id;
	if (!e->counts || msg_get_int(m, "answer", &id) || id < 1 || id >= OPEN)
		return 0;
	bool last = !strcmp(m->name, "end") || (!strcmp(m->name, "error") && !msg_get_flag(m, "partial"));
	check_number(e, &(struct frame){.kind = last ? FRAME_END : FRAME_ANSWER, .number = (uint64_t)id});
	return 0;
}

static int on_row(void *data, const struct xml_row *row)
{
	return 0;
}

static int on_close(void *data)
{
	return -ECANCELED;
}

static void take(struct end *e, const char *bytes, size_t n)
{
	static const struct xml_sink sink = {on_root, on_stanza, on_row, on_close};
	if (!e->heard && *bytes == '<') {
		e->xml = xml_new(&sink, e);
		xml_trust(e->xml);
	}
	e->heard = true;
	if (e->xml)
		CHECK(xml_feed(e->xml, bytes, n) != -EPROTO || !strstr(xml_why(e->xml), "not well-formed"));
	else
		CHECK(!frame_cut(&e->cutter, bytes, n, on_frame, e));
}

static void release(struct end *e)
{
	if (e->fd >= 0)
		close(e->fd);
	frame_cutter_release(&e->cutter);
	xml_free(e->xml);
	*e = (struct end){.fd = -1};
}

/* Something came. */
static bool hear(struct end *e)
{
	static char bytes[65536];
	ssize_t n = e->fd < 0 || e->deaf ? -1 : recv(e->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n > 0)
		take(e, bytes, (size_t)n);
	else if (!n)
		release(e);
	return n > 0;
}

/* --- the loop --- */

static bool is_busy(void)
{
	struct pollfd p = {.fd = uv_backend_fd(&stage.loop), .events = POLLIN};
	return !uv_backend_timeout(&stage.loop) || poll(&p, 1, 0) > 0;
}

void stage_turn(void)
{
	bool heard = true;
	for (int i = 0; i < TURNS && (i < 2 || heard || is_busy()); i++) {
		uv_run(&stage.loop, UV_RUN_NOWAIT);
		heard = false;
		for (size_t k = 0; k < STAGE_CONNECTIONS; k++)
			heard |= hear(&stage.ends[k]);
	}
}

static bool is_timer(const uv_handle_t *h)
{
	return h->type == UV_TIMER && uv_is_active(h);
}

static void find_next(uv_handle_t *h, void *data)
{
	int64_t *next_ms = data;
	if (is_timer(h) && (int64_t)uv_timer_get_due_in((uv_timer_t *)h) < *next_ms)
		*next_ms = (int64_t)uv_timer_get_due_in((uv_timer_t *)h);
}

static void bring_nearer(uv_handle_t *h, void *data)
{
	uv_timer_t *t = (uv_timer_t *)h;
	int64_t by_ms = *(int64_t *)data;
	if (!is_timer(h))
		return;
	int64_t due_ms = (int64_t)uv_timer_get_due_in(t);
	uv_timer_start(t, t->timer_cb, due_ms > by_ms ? (uint64_t)(due_ms - by_ms) : 0, uv_timer_get_repeat(t));
}

void stage_wait(int64_t ms)
{
	if (!ms) {
		ms = INT64_MAX;
		uv_walk(&stage.loop, find_next, &ms);
	}
	if (ms == INT64_MAX)
		return;
	stage.now_ns += ms * 1000000;
	uv_walk(&stage.loop, bring_nearer, &ms);
	stage_turn();
}

/* --- the platform, and the hosts beyond --- */

static const struct host_id h2 = {{2}}, h3 = {{3}};

static int open_platform(struct platform **ret, const struct platform_options *o, struct buf *why);

static void close_platform(struct platform *p)
{
	stage.platform = NULL;
	free(p);
}

static void place(struct platform *p, const struct host_id *host, const char *name, const char *addresses)
{
}

static int send_there(struct platform *p, const struct host_id *to, const void *bytes, size_t n)
{
	struct frame f;
	const char *why;
	CHECK(!frame_read(bytes, n, &f, &why));
	if (!host_id_is(to, &h2))
		return -EHOSTUNREACH;
	if (p->full)
		return -ENOBUFS;
	return on_frame(&stage.ends[STAGE_HOST], &f);
}

static size_t room(struct platform *p, const struct host_id *to)
{
	return p->full ? 0 : p->options.pending_most;
}

static int accepted(struct platform *p, struct stream *stream, const void *read, size_t n)
{
	stream_close(stream);
	return 0;
}

static int no_trouble(struct platform *p, struct buf *ret_what)
{
	return 0;
}

static const struct platform_type platform_made_up = {.name = "made-up", .doc = "nothing real: for tests",
    .version = VIGIA_VERSION, .open = open_platform, .close = close_platform, .place = place, .send = send_there,
    .room = room, .accepted = accepted, .trouble = no_trouble};

static int open_platform(struct platform **ret, const struct platform_options *o, struct buf *why)
{
	struct platform *p = calloc(1, sizeof *p);
	*p = (struct platform){.type = &platform_made_up, .options = *o};
	*ret = stage.platform = p;
	return 0;
}

void stage_fill(bool full)
{
	struct platform *p = stage.platform;
	bool was = p->full;
	p->full = full;
	if (was && !full)
		p->options.events->room(p->options.owner, &h2);
}

void stage_break(void)
{
	struct platform *p = stage.platform;
	p->options.events->lost(p->options.owner, &h2, -EPIPE, "the way there broke");
	memset(stage.ends[STAGE_HOST].open, 0, sizeof stage.ends[STAGE_HOST].open);
}

static void deliver(const void *bytes, size_t n)
{
	struct platform *p = stage.platform;
	p->options.events->received(p->options.owner, &h2, bytes, n);
}

/* --- connections --- */

static const struct {
	bool frames;
	uid_t uid; /* 0: the daemon's own */
} connections[STAGE_CONNECTIONS] = {
    [STAGE_CONSOLE] = {false, 0},
    [STAGE_PROGRAM] = {true, 0},
    [STAGE_OTHER_PROGRAM] = {true, 0},
    [STAGE_USER] = {true, OTHER_UID},
    [STAGE_STRANGER] = {true, (uid_t)-1},
};

static void dial(enum stage_who who)
{
	int fds[2], small = SOCKET;
	struct peer *p;
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	CHECK(!peer_accept(&stage.core, fds[0], &p));
	if (connections[who].uid)
		p->asker.uid = connections[who].uid;
	stage.ends[who] = (struct end){.fd = fds[1]};
}

static void need_connection(enum stage_who who)
{
	if (who != STAGE_HOST && stage.ends[who].fd < 0)
		dial(who);
}

/* What the kernel does not take at once is taken in a turn; what the core reads no more is not said. */
static void write_all(struct end *e, const char *bytes, size_t n)
{
	for (int i = 0; n && e->fd >= 0 && i < 100; i++) {
		ssize_t sent = send(e->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0)
			bytes += sent, n -= (size_t)sent;
		else if (errno != EAGAIN)
			return;
		if (n)
			stage_turn();
	}
}

static void say_hello(enum stage_who who)
{
	static const char root[] = "<hmon version=\"1\" role=\"client\">";
	struct end *e = &stage.ends[who];
	struct buf out = BUF_INIT;
	struct msg *m = msg_new("hello");
	msg_set_int(m, "version", 1);
	buf_puts(&out, connections[who].frames ? FRAME_PREFACE : root);
	if (connections[who].frames)
		frame_put_msg(&out, FRAME_HELLO, 0, m);
	e->counts = true;
	write_all(e, out.data, out.len);
	msg_free(m);
	buf_release(&out);
}

static void say(enum stage_who who, const void *bytes, size_t n, bool greet)
{
	struct end *e = &stage.ends[who];
	need_connection(who);
	if (!e->said && greet)
		say_hello(who);
	e->said = true;
	write_all(e, bytes, n);
}

void stage_say(enum stage_who who, const void *bytes, size_t n, bool greet)
{
	stage.ends[who].counts = false;
	if (who == STAGE_HOST)
		deliver(bytes, n);
	else
		say(who, bytes, n, greet);
	stage.ends[who].counts = false;
}

void stage_say_frame(enum stage_who who, const struct buf *frame)
{
	if (who == STAGE_HOST)
		deliver(frame->data, frame->len);
	else if (connections[who].frames)
		say(who, frame->data, frame->len, true);
}

void stage_be_deaf(enum stage_who who, bool deaf)
{
	stage.ends[who].deaf = deaf;
}

void stage_hang_up(enum stage_who who)
{
	release(&stage.ends[who]);
}

/* --- asking --- */

static void ask_in_xml(int64_t id, const struct frame_route *route, const struct msg *query)
{
	struct buf out = BUF_INIT;
	struct msg *m = msg_dup(query);
	msg_set_int(m, "id", id);
	if (*route->to)
		msg_set(m, "at", route->to);
	xml_put(&out, m);
	say(STAGE_CONSOLE, out.data, out.len, true);
	msg_free(m);
	buf_release(&out);
}

void stage_ask(enum stage_who who, int64_t id, bool one_way, const struct frame_route *route, const struct msg *query)
{
	struct buf out = BUF_INIT;
	need_connection(who);
	if (id > 0 && id < OPEN && !(one_way && who != STAGE_CONSOLE))
		stage.ends[who].open[id]++;
	if (who == STAGE_CONSOLE)
		ask_in_xml(id, route, query);
	else if (!frame_put_query(&out, one_way ? FRAME_ONE_WAY : 0, (uint64_t)id, route, query))
		stage_say_frame(who, &out);
	buf_release(&out);
}

void stage_end_process(int32_t pid, int status)
{
	made_up_end(stage.system, pid, status);
}

/* --- from its beginning to its end --- */

static int run_vigiad(void *data, const char *host, const struct launch *l)
{
	char line[200];
	int n = snprintf(line, sizeof line, "host %.60s 04000000000000000000000000000000\n", host);
	CHECK(!l->fds || write(l->fds[1], line, (size_t)n) == n);
	return 0;
}

static void fill_system(void)
{
	struct process theirs = {.parent = 1, .uid = OTHER_UID, .real_uid = OTHER_UID, .saved_uid = OTHER_UID, .threads = 1,
	    .program = "job", .command = "job 1", .user = "other"};
	struct process_key key;
	CHECK(!system_made_up.open(&stage.system, &(struct system_options){0}, NULL));
	made_up_teach(stage.system, "vigiad", run_vigiad, NULL);
	made_up_add_host(stage.system, "h3");
	made_up_add_host(stage.system, "h4");
	made_up_add_process(stage.system, &theirs, &key);
}

static void fill_view(void)
{
	struct view_row up = {.id = h2, .name = "h2", .addresses = "h2:1", .state = VIEW_UP, .revision = 1},
			down = {.id = h3, .name = "h3", .state = VIEW_DOWN, .revision = 1};
	view_take(&stage.core, &up);
	view_take(&stage.core, &down);
}

static void on_leaving(struct core *core)
{
	stage.over = true;
}

void stage_begin(void)
{
	static const struct limit_values limits = {{[LIMIT_CONNECTIONS] = 100, [LIMIT_PENDING] = PENDING,
	    [LIMIT_QUERIES] = CALLS}};
	static const struct joining_options joining = {.command = "vigiad %h %m", .masters = "192.0.2.1:1", .program = "vigiad"};
	struct buf why = BUF_INIT;
	log_level(LOG_EMERG);
	memset(&stage, 0, sizeof stage);
	stage.now_ns = 1000000000;
	for (size_t i = 0; i < STAGE_ALL; i++)
		stage.ends[i].fd = -1;
	stage.ends[STAGE_HOST].counts = true;
	copy_tables();
	fill_system();
	uv_loop_init(&stage.loop);
	CHECK(!core_start(&stage.core, &stage.loop, &(struct host_id){{1}}, "h1", services, &limits));
	CHECK(!processes_start(&stage.core, stage.system));
	CHECK(!links_start(&stage.core, &platform_made_up, "", "", &why));
	CHECK(!view_start(&stage.core, "192.0.2.1:1", NULL));
	CHECK(!joining_configure(&stage.core, &joining));
	stage.core.end = on_leaving;
	fill_view();
	buf_release(&why);
}

static void stop(void)
{
	struct core *core = &stage.core;
	view_stop(core);
	links_stop(core);
	joining_stop(core);
	processes_stop(core);
	core_stop(core);
	uv_run(&stage.loop, UV_RUN_DEFAULT);
	view_release(core);
	joining_release(core);
	links_release(core);
	CHECK(!uv_loop_close(&stage.loop));
}

void stage_end(void)
{
	stage_turn();
	for (enum stage_who who = 0; who < STAGE_CONNECTIONS; who++)
		stage_hang_up(who);
	stage_turn();
	CHECK(!stage.core.peers && !stage.core.registered);
	stage_break();
	stage_turn();
	CHECK(!stage.core.leases && !stage.core.steps);
	stop();
}
