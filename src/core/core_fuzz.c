/* SPDX-License-Identifier: Apache-2.0 */
/* Whole operations, by whoever may ask, one after another and at the same time: a core with all of its own services, on a system
 * that is made up. The input is read as moves: a query of some operation of the tables with some values, an answer to what the
 * core has asked, a cancel, a break, a turn of the loop, bytes as they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fuzz.h"
#include "core/chains.h"
#include "core/channels.h"
#include "core/joining.h"
#include "core/leases.h"
#include "core/links.h"
#include "core/processes.h"
#include "core/view.h"
#include "os/log.h"
#include "os/suite/made_up.h"

enum { ENDS = 4, OPS_MOST = 200, TEXT_MOST = 40 };

/* Programs in frames, of the daemon's own user and another; somebody in XML; another host. */
enum { OWN, OTHERS, XML, HOST };

static const char *const words[] = {"a", "b", "a", "hosts", "leases", "chains", "f1", "f2", "f9", "0", "1", "2", "3", "4", "7", "65535",
    "4294967295", "9223372036854775807", "-1", "yes", "no", "observe", "share", "exclusive", "true", "sleep", "echo", "TERM", "KILL",
    "INT", "/", "*", "?", "", "here", "01000000000000000000000000000000", "02000000000000000000000000000000",
    "02000000000000000000000000000000#1", "eA==", "service", "counter", "get", "elsewhere", "deleted"};
enum { WORDS = sizeof words / sizeof *words };

/* --- what is read of the input --- */

struct input {
	const uint8_t *at, *end;
};

static unsigned byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static size_t bytes(struct input *in, const uint8_t **ret)
{
	size_t n = byte(in);
	*ret = in->at;
	n = n < (size_t)(in->end - in->at) ? n : (size_t)(in->end - in->at);
	in->at += n;
	return n;
}

/* A word that means something, or any text. */
static const char *text(struct input *in, char to[TEXT_MOST])
{
	const uint8_t *raw;
	unsigned which = byte(in);
	if (which < 200)
		return words[which % WORDS];
	size_t n = bytes(in, &raw);
	for (size_t i = 0; i < TEXT_MOST; i++)
		to[i] = i < n && i < TEXT_MOST - 1 ? (char)(' ' + raw[i] % 95) : '\0';
	return to;
}

/* --- the world --- */

struct platform {
	const struct platform_type *type;
	struct platform_options o;
};

static struct world {
	uv_loop_t loop;
	struct core core;
	struct platform *platform;
	struct system *system;
	int ends[ENDS];		  /* the other side of connections; -1: none */
	struct frame_cutter cutters[ENDS]; /* what comes there, in frames */
	uint64_t asked[ENDS];	  /* the last query that the core has asked there */
	uint64_t numbers;
} w;

static const struct op *ops[OPS_MOST];
static size_t ops_n;
static bool reached[OPS_MOST];
static const struct service *const services[] = {&host_service, &lease_service, &process_service, &registry_service, &channel_service,
    NULL};
static const struct host_id self = {{1}}, other = {{2}};

static int fake_open(struct platform **ret, const struct platform_options *options, struct buf *why)
{
	*ret = w.platform = calloc(1, sizeof *w.platform);
	w.platform->o = *options;
	return 0;
}

static void fake_close(struct platform *p)
{
	w.platform = NULL;
	free(p);
}

static void fake_place(struct platform *p, const struct host_id *host, const char *name, const char *addresses)
{
}

static int fake_send(struct platform *p, const struct host_id *to, const void *frame, size_t n)
{
	struct frame f;
	const char *why;
	if (frame_read(frame, n, &f, &why))
		abort(); /* what we send can be read */
	if (f.kind == FRAME_QUERY)
		w.asked[HOST] = f.number;
	return 0;
}

static size_t fake_room(struct platform *p, const struct host_id *to)
{
	return 16 << 20;
}

static int fake_trouble(struct platform *p, struct buf *ret_what)
{
	return 0;
}

static const struct platform_type fake = {.name = "fake", .open = fake_open, .close = fake_close, .place = fake_place,
    .send = fake_send, .room = fake_room, .trouble = fake_trouble};

static void from_host(const struct buf *frame)
{
	if (w.platform && frame->len)
		w.platform->o.events->received(w.platform->o.owner, &other, frame->data, frame->len);
}

/* --- connections --- */

static void say(int end, const void *bytes, size_t n)
{
	if (w.ends[end] >= 0 && n)
		(void)!send(w.ends[end], bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void hang_up(int end)
{
	if (w.ends[end] >= 0)
		close(w.ends[end]);
	frame_cutter_release(&w.cutters[end]);
	w.ends[end] = -1;
	w.asked[end] = 0;
}

static void put_hello(struct buf *out)
{
	struct msg *m = msg_new("hello");
	msg_set_int(m, "version", 1);
	buf_put(out, FRAME_PREFACE, FRAME_PREFACE_SIZE);
	frame_put_msg(out, FRAME_HELLO, 0, m);
	msg_free(m);
}

static void dial(int end)
{
	struct buf hello = BUF_INIT;
	struct peer *p;
	int fds[2];
	hang_up(end);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
		abort();
	if (peer_accept(&w.core, fds[0], &p)) {
		close(fds[0]);
		close(fds[1]);
		return;
	}
	if (end == OTHERS)
		p->asker.uid = 1002;
	w.ends[end] = fds[1];
	w.cutters[end] = (struct frame_cutter){0};
	if (end == XML)
		buf_puts(&hello, "<hmon version='1' role='client'>");
	else
		put_hello(&hello);
	say(end, hello.data, hello.len);
	buf_release(&hello);
}

static int on_frame(void *data, const struct frame *f)
{
	if (f->kind == FRAME_QUERY)
		*(uint64_t *)data = f->number;
	return 0;
}

static void listen_to(int end)
{
	static char bytes[65536];
	ssize_t n = 1;
	while (w.ends[end] >= 0 && (n = recv(w.ends[end], bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		if (end != XML && frame_cut(&w.cutters[end], bytes, (size_t)n, on_frame, &w.asked[end]))
			abort(); /* what we send can be read */
	if (!n)
		hang_up(end);
}

static void turn(void)
{
	for (int i = 0; i < 3; i++)
		uv_run(&w.loop, UV_RUN_NOWAIT);
	for (int end = OWN; end < HOST; end++)
		listen_to(end);
}

/* --- moves --- */

static void set_arg(struct input *in, struct msg *m, const struct op_arg *arg)
{
	char room[TEXT_MOST];
	const uint8_t *raw;
	unsigned how = byte(in);
	if (how < 64 && !arg->required)
		return;
	if (arg->type == OP_WORDS) {
		for (unsigned n = how % 4; n; n--) {
			const char *word = text(in, room);
			msg_text(msg_child(m, arg->name), word, strlen(word));
		}
	} else if (arg->type == OP_BYTES && how < 240) {
		size_t n = bytes(in, &raw);
		msg_set_bytes(m, arg->name, raw, n);
	} else if (how >= 240) {
		msg_set_int(m, arg->name, (int64_t)byte(in) - 2);
	} else {
		msg_set(m, arg->name, text(in, room));
	}
}

/* A service that a program offers: two operations. */
static void add_operations(struct input *in, struct msg *m)
{
	char room[TEXT_MOST];
	for (int i = 0; i < 2; i++) {
		struct msg *op = msg_child(m, "operation"), *arg = msg_child(op, byte(in) % 2 ? "argument" : "field");
		msg_set(op, "name", text(in, room));
		msg_set_flag(op, byte(in) % 2 ? "changes" : "streams", true);
		msg_set(arg, "name", text(in, room));
		msg_set(arg, "type", byte(in) % 2 ? "words" : "integer");
	}
}

static struct msg *query(struct input *in)
{
	char room[TEXT_MOST];
	unsigned which = byte(in);
	if (which >= 250) { /* of a program's service */
		struct msg *m = msg_new("counter");
		msg_set(m, "query", text(in, room));
		return m;
	}
	const struct op *op = ops[which % ops_n];
	reached[which % ops_n] = true;
	struct msg *m = msg_new(op->noun);
	msg_set(m, "query", op->verb);
	for (int i = 0; i < OP_ARGS_MAX && op->args[i].name; i++)
		set_arg(in, m, &op->args[i]);
	if (!strcmp(op->verb, "register"))
		add_operations(in, m);
	return m;
}

static void put_xml(struct buf *out, struct msg *m, uint64_t number, const char *to)
{
	msg_set_int(m, "id", (int64_t)number);
	if (*to)
		msg_set(m, "at", to);
	xml_put(out, m);
}

static void ask(struct input *in)
{
	struct buf out = BUF_INIT;
	int end = (int)(byte(in) % ENDS);
	unsigned how = byte(in);
	struct frame_route route = {.deadline_ms = how & 2 ? 10 : 0};
	struct msg *m = query(in);
	if (how & 4)
		snprintf(route.to, sizeof route.to, "%s", how & 8 ? "f2" : "f1");
	if (end == HOST)
		route.caller = (struct frame_caller){.host = other, .uid = how & 16 ? geteuid() : 1002, .pid = 7, .given = how & 32};
	w.numbers++;
	if (msg_failed(m))
		abort();
	if (end == XML)
		put_xml(&out, m, w.numbers, route.to);
	else
		frame_put_query(&out, how & 1 ? FRAME_ONE_WAY : 0, w.numbers, &route, m);
	if (end == HOST)
		from_host(&out);
	else
		say(end, out.data, out.len);
	buf_release(&out);
	msg_free(m);
}

/* To what the core has asked: of a program, or of the other host. */
static void answer(struct input *in)
{
	static const enum frame_kind kinds[] = {FRAME_ANSWER, FRAME_END, FRAME_ERROR, FRAME_PARTIAL, FRAME_EVENT_KIND, FRAME_LOST};
	char room[TEXT_MOST];
	const uint8_t *raw;
	struct buf out = BUF_INIT;
	int end = (int)(byte(in) % ENDS);
	enum frame_kind kind = kinds[byte(in) % (sizeof kinds / sizeof *kinds)];
	struct msg *m = msg_new(kind == FRAME_ERROR || kind == FRAME_PARTIAL ? "error" : "channel");
	msg_set(m, kind == FRAME_ERROR ? "code" : text(in, room), "elsewhere");
	msg_set(m, "id", text(in, room));
	msg_set_int(m, "answer", 1);
	const char *word = text(in, room);
	msg_text(m, word, strlen(word));
	size_t n = bytes(in, &raw);
	if (kind == FRAME_END || kind == FRAME_LOST || kind == FRAME_EVENT_KIND)
		frame_put(&out, kind, 0, w.asked[end], raw, kind == FRAME_END ? 0 : n);
	else
		frame_put_msg(&out, kind, w.asked[end], m);
	if (end == HOST)
		from_host(&out);
	else
		say(end, out.data, out.len);
	buf_release(&out);
	msg_free(m);
}

static void cancel(struct input *in)
{
	struct buf out = BUF_INIT;
	int end = (int)(byte(in) % ENDS);
	frame_put(&out, FRAME_CANCEL, 0, w.numbers - byte(in) % 4, NULL, 0);
	if (end == HOST)
		from_host(&out);
	else if (end != XML)
		say(end, out.data, out.len);
	buf_release(&out);
}

static void say_anything(struct input *in)
{
	const uint8_t *raw;
	int end = (int)(byte(in) % HOST);
	size_t n = bytes(in, &raw);
	say(end, raw, n);
}

static void begin_anew(struct input *in)
{
	dial((int)(byte(in) % HOST));
}

static void break_link(struct input *in)
{
	if (w.platform)
		w.platform->o.events->lost(w.platform->o.owner, &other, -ECONNRESET, "the link broke");
}

static void take_row(struct input *in)
{
	struct view_row row = {.id = {{(uint8_t)(byte(in) % 4)}}, .state = byte(in) % 4, .revision = byte(in)};
	snprintf(row.name, sizeof row.name, "f%u", byte(in) % 4);
	view_take(&w.core, &row);
	view_heard(&w.core, &row.id, byte(in) % 2);
}

static void end_process(struct input *in)
{
	made_up_end(w.system, (int32_t)(byte(in) % 8), 0);
}

static void (*const moves[])(struct input *in) = {ask, ask, ask, answer, cancel, say_anything, begin_anew, break_link, take_row,
    end_process};

/* --- begin and end --- */

static void list_ops(void)
{
	for (const struct service *const *s = services; *s; s++)
		for (const struct op *op = (*s)->ops; op->noun; op++)
			ops[ops_n++] = op;
	if (ops_n > OPS_MOST)
		abort();
	log_level(LOG_CRIT);
}

static void begin(void)
{
	static const struct core_limits limits = {.connections = 8, .connections_per_uid = 8, .pending = 1 << 20, .calls = 16,
	    .opening_ns = 1000000000};
	static const struct system_options system_options;
	const struct view_row row = {.id = other, .name = "f2", .revision = 1};
	static const struct joining_options joining = {"ssh %h", "f1:7660", "vigiad"};
	static const struct process process = {.key = {.pid = 3}, .program = "worker"};
	struct buf why = BUF_INIT;
	struct process_key key;
	w = (struct world){.ends = {-1, -1, -1, -1}};
	uv_loop_init(&w.loop);
	if (core_start(&w.core, &w.loop, &self, "f1", services, &limits) ||
	    system_made_up.open(&w.system, &system_options, &why) || processes_start(&w.core, w.system) ||
	    links_start(&w.core, &fake, NULL, NULL, &why) || view_start(&w.core, "", NULL) ||
	    joining_configure(&w.core, &joining))
		abort();
	w.core.insecure_control = true;
	made_up_add_process(w.system, &process, &key);
	made_up_add_host(w.system, "f3");
	view_take(&w.core, &row);
	for (int end = OWN; end < HOST; end++)
		dial(end);
	turn();
}

static void end(void)
{
	for (int end = OWN; end < HOST; end++)
		hang_up(end);
	view_stop(&w.core);
	links_stop(&w.core);
	joining_stop(&w.core);
	processes_stop(&w.core);
	core_stop(&w.core);
	uv_run(&w.loop, UV_RUN_DEFAULT);
	view_release(&w.core);
	joining_release(&w.core);
	links_release(&w.core);
	if (uv_loop_close(&w.loop))
		abort(); /* something is left on it */
}

#ifdef WHOLE_CORPUS
__attribute__((destructor)) static void check_reached(void)
{
	for (size_t i = 0; i < ops_n; i++)
		if (!reached[i]) {
			fprintf(stderr, "no file of the corpus asks %s.%s\n", ops[i]->noun, ops[i]->verb);
			abort();
		}
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	if (!ops_n)
		list_ops();
	begin();
	while (in.at < in.end) {
		unsigned move = byte(&in);
		moves[move % (sizeof moves / sizeof *moves)](&in);
		if (move & 0x80)
			turn();
	}
	turn();
	end();
	return 0;
}
