/* SPDX-License-Identifier: Apache-2.0 */
/* Whole operations: what a core does with any bytes of a program that is connected to it, in XML (from `<`) or in frames
 * (from their preface); or, from any other first byte, a play in which programs, users, strangers and another host
 * ask what is in the core's tables, answer what they are asked, cancel, stop reading, hang up, and time passes.
 *
 * Every byte means something: a step, then what it takes. Operations are chosen by a hash of their names, so that the
 * corpus keeps its meaning when one is added. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "core/channel_entry.h"
#include "core/queries_stage.h"
#include "core/view.h"

enum { STEPS_MOST = 300 };

struct play {
	const uint8_t *at;
	size_t n;
};

static unsigned byte(struct play *p)
{
	return p->n ? p->n--, *p->at++ : 0u;
}

static enum stage_who somebody(struct play *p)
{
	return (enum stage_who)(byte(p) % STAGE_ALL);
}

/* --- what arguments may be --- */

static const char zeros[300000];

#define HOST_1 "01000000000000000000000000000000"
#define HOST_2 "02000000000000000000000000000000"
#define CHANNEL_1 HOST_1 "#4611686018427387908" /* the first that somebody makes */
#define CHANNEL_2 HOST_1 "#4611686018427387909"
#define CHANNEL_OF_2 HOST_2 "#4611686018427387905"
static const uint64_t FIRST_CHANNEL = 4611686018427387905; /* the core's own three are the first */

static const char *const channels[] = {"jobs", "news", "hosts", "leases", "chains", CHANNEL_1, CHANNEL_2, CHANNEL_OF_2,
    "#4611686018427387908", "*", "job?", NULL};
/* What other hosts may tell of. */
static const char *const channel_ids[] = {CHANNEL_1, CHANNEL_2, CHANNEL_OF_2, HOST_2 "#4611686018427387906",
    "03000000000000000000000000000000#4611686018427387905", NULL};
static const char *const hosts[] = {"h1", "h2", "h3", "h4", "me@h4", "nobody", HOST_1, HOST_2, "h?", NULL};
static const char *const service_names[] = {"counter", "timer", "host", "process", "channel", "*", NULL};
static const char *const modes[] = {"observe", "share", "exclusive", NULL};
static const char *const signals[] = {"TERM", "KILL", "STOP", "CONT", "SIGUSR1", NULL};
static const char *const words[] = {"true", "false", "sleep", "echo", "vigiad", "nothing", NULL};
static const char *const commands[] = {"vigiad %h %m %v", "echo host %h " HOST_2 " already", "sleep", "false", "%", NULL};
static const char *const odd[] = {"", "*", "**?", "process 100", "/tmp", "made-up", "12345", "yes", "-1", "99999999999999999999",
    "#", "a#b", "\xc3\xa9", "<&>", "error", "query", NULL};
static const int64_t numbers[] = {-1, 128, 255, 256, 65536, 1 << 20, UINT32_MAX, 1LL << 32, INT64_MAX, INT64_MIN,
    1LL << 62, 60000, 3600000, INT32_MAX, 4194304, 1000};

static const struct {
	const char *argument;
	const char *const *all;
} pools[] = {{"channel", channels}, {"key", channels}, {"from", channels}, {"host", hosts}, {"service", service_names},
    {"name", service_names}, {"mode", modes}, {"signal", signals}, {"word", words}, {"command", commands}};

static const char *one_of(const char *const *all, unsigned which)
{
	unsigned n = 0;
	while (all[n])
		n++;
	return all[which % n];
}

/* One of those that fit, or from 128 any that don't. */
static const char *text_for(const char *argument, unsigned which)
{
	for (size_t i = 0; which < 128 && i < sizeof pools / sizeof *pools; i++)
		if (!strcmp(pools[i].argument, argument))
			return one_of(pools[i].all, which);
	return one_of(odd, which);
}

static void put_text(struct play *p, struct msg *m, const char *name, unsigned which)
{
	msg_set(m, name, text_for(name, which));
}

static void put_number(struct play *p, struct msg *m, const char *name, unsigned which)
{
	msg_set_int(m, name, which < 128 ? which : numbers[which % (sizeof numbers / sizeof *numbers)]);
}

static void put_flag(struct play *p, struct msg *m, const char *name, unsigned which)
{
	msg_set_flag(m, name, which & 1);
}

static void put_bytes(struct play *p, struct msg *m, const char *name, unsigned which)
{
	static const size_t large[] = {3000, 30000, CHANNEL_DATA_MAX, CHANNEL_DATA_MAX + 1};
	msg_set_bytes(m, name, zeros, which < 128 ? which : large[which % 4]);
}

static void put_words(struct play *p, struct msg *m, const char *name, unsigned which)
{
	for (unsigned i = 0; i <= which / 64; i++) {
		const char *word = text_for(name, byte(p) & 127);
		msg_text(msg_child(m, name), word, strlen(word));
	}
}

typedef void put_fn(struct play *p, struct msg *m, const char *name, unsigned which);

static put_fn *const puts_of[] = {
    [OP_NAME] = put_text,
    [OP_PATTERN] = put_text,
    [OP_TEXT] = put_text,
    [OP_INTEGER] = put_number,
    [OP_DURATION] = put_number,
    [OP_TIME] = put_number,
    [OP_FLAG] = put_flag,
    [OP_BYTES] = put_bytes,
    [OP_WORDS] = put_words,
    [OP_SIZE] = put_number,
    [OP_SPAN] = put_number,
};
enum { TYPES = sizeof puts_of / sizeof *puts_of };

/* 0: it is left out; 255: of another type. */
static void put_argument(struct play *p, struct msg *m, const struct op_arg *arg)
{
	unsigned which = byte(p);
	put_fn *put = which == 255 ? puts_of[byte(p) % TYPES] : puts_of[arg->type];
	if (which)
		put(p, m, arg->name, which - 1);
}

/* --- queries --- */

static uint16_t hash_of(const struct op *op)
{
	uint32_t hash = 2166136261; /* FNV-1a */
	for (const char *s = op->noun; *s; s++)
		hash = (hash ^ (uint8_t)*s) * 16777619;
	for (const char *s = op->verb; *s; s++)
		hash = (hash ^ (uint8_t)*s) * 16777619;
	return (uint16_t)(hash >> 16);
}

/* The one whose hash is next, also of what programs offer. */
static const struct op *op_next_to(uint16_t hash)
{
	const struct op *best = NULL;
	const struct service *s = NULL;
	while ((s = core_next_service(stage_core(), s)))
		for (const struct op *op = s->ops; op && op->noun; op++)
			if (!best || (uint16_t)(hash_of(op) - hash) < (uint16_t)(hash_of(best) - hash))
				best = op;
	return best;
}

/* What service.register takes beside its arguments. */
static void put_offer(struct play *p, struct msg *m)
{
	static const char *const verbs[] = {"go", "watch", "change", "query.x", NULL};
	static const char *const types[] = {"text", "integer", "name", "words", "bytes", "nothing", NULL};
	for (unsigned i = 0, n = byte(p) % 4; i < n; i++) {
		struct msg *op = msg_child(m, "operation");
		unsigned how = byte(p);
		msg_set(op, "name", one_of(verbs, how / 4 & 3));
		msg_set_flag(op, "streams", how & 1);
		msg_set_flag(op, "changes", how & 2);
		for (unsigned k = 0; k < how >> 6; k++) {
			struct msg *arg = msg_child(op, k < 2 ? "argument" : "field");
			msg_set(arg, "name", one_of(words, k));
			msg_set(arg, "type", one_of(types, byte(p)));
		}
	}
}

static struct msg *query_of(struct play *p, const struct op *op)
{
	struct msg *m = msg_new(op->noun);
	msg_set(m, "query", op->verb);
	for (int i = 0; i < OP_ARGS_MAX && op->args[i].name; i++)
		put_argument(p, m, &op->args[i]);
	if (!strcmp(op->verb, "register"))
		put_offer(p, m);
	return m;
}

/* How: from 128 to another host, bit 0 one-way, bit 1 for somebody else. */
static void ask(struct play *p)
{
	enum stage_who who = somebody(p);
	unsigned id = byte(p) & 31, how = byte(p), high = byte(p);
	struct frame_route route = {.deadline_ms = how & 4 ? numbers[byte(p) % 16] : 0};
	struct msg *m = query_of(p, op_next_to((uint16_t)(high << 8 | byte(p))));
	if (how & 128)
		strcpy(route.to, one_of(hosts, how >> 4 & 7));
	route.caller = (struct frame_caller){.host = {{2}}, .uid = how & 2 ? 12345 : 0, .pid = how & 3, .given = how & 8};
	if (who != STAGE_HOST)
		route.caller.given = false;
	if (route.deadline_ms < 0)
		route.deadline_ms = 0;
	stage_ask(who, id, how & 1, &route, m);
	msg_free(m);
}

/* --- what else they say --- */

static void cancel(struct play *p)
{
	struct buf out = BUF_INIT;
	enum stage_who who = somebody(p);
	frame_put(&out, FRAME_CANCEL, 0, byte(p) & 31, NULL, 0);
	stage_say_frame(who, &out);
	buf_release(&out);
}

/* Perhaps under a name, or with fields, by which XML tells what it is. */
static struct msg *channel_answer(struct play *p)
{
	static const char *const names[] = {"channel", "end", "error", "event"};
	unsigned how = byte(p);
	struct msg *m = msg_new(names[how & 3]);
	if (how & 4)
		msg_set_int(m, "answer", how >> 4);
	if (how & 8)
		msg_set(m, "query", "info");
	if (how & 128)
		msg_set_flag(m, "partial", how & 64);
	msg_set(m, "id", one_of(channel_ids, byte(p)));
	msg_set_int(m, "sequence", byte(p));
	msg_set_flag(m, "whole", byte(p) & 1);
	return m;
}

static void put_answer(struct play *p, struct buf *out, uint64_t number)
{
	struct msg *m = channel_answer(p);
	frame_put_msg(out, FRAME_ANSWER, number, m);
	msg_free(m);
}

static void put_upstreams(struct play *p, struct buf *out, uint64_t number)
{
	struct msg *m = msg_new("upstreams");
	for (unsigned i = 0, n = byte(p) % 4; i < n; i++) {
		struct msg *u = msg_child(m, "upstream");
		msg_set(u, "id", one_of(channel_ids, byte(p)));
		msg_set_int(u, "sequence", byte(p));
		msg_set_flag(u, "whole", i & 1);
	}
	frame_put_msg(out, FRAME_ANSWER, number, m);
	msg_free(m);
}

static void put_end(struct play *p, struct buf *out, uint64_t number)
{
	frame_put(out, FRAME_END, 0, number, NULL, 0);
}

static void put_error_as(struct play *p, struct buf *out, enum frame_kind kind, uint64_t number)
{
	static const char *const codes[] = {"deleted", "restarted", "unreachable", "failed", "cycle", "", "elsewhere", NULL};
	struct msg *m = msg_new("error");
	const char *code = one_of(codes, byte(p)), *to = one_of(hosts, byte(p));
	msg_set(m, "code", code);
	if (!strcmp(code, "elsewhere"))
		msg_text(m, to, strlen(to));
	frame_put_msg(out, kind, number, m);
	msg_free(m);
}

static void put_error(struct play *p, struct buf *out, uint64_t number)
{
	put_error_as(p, out, FRAME_ERROR, number);
}

static void put_partial(struct play *p, struct buf *out, uint64_t number)
{
	put_error_as(p, out, FRAME_PARTIAL, number);
}

/* The next bytes, or from 128 so many zeros that a few fill what may wait for a reader. */
static void take_data(struct play *p, struct frame_event *e)
{
	unsigned n = byte(p);
	e->data = n < 128 ? p->at : (const uint8_t *)zeros;
	e->n = n < 128 ? n : (n - 127) * 256;
	if (n < 128 && e->n > p->n)
		e->n = p->n;
}

static void put_event(struct play *p, struct buf *out, uint64_t number)
{
	unsigned sequence = byte(p), causes = byte(p) % 3;
	struct frame_event e = {.sequence = sequence, .tag = byte(p), .causes_n = causes};
	for (unsigned i = 0; i < causes; i++) {
		e.causes[i].channel.host.bytes[0] = (uint8_t)(1 + byte(p) % 2);
		e.causes[i].channel.number = FIRST_CHANNEL + byte(p) % 5;
		e.causes[i].sequence = byte(p);
	}
	take_data(p, &e);
	frame_put_event(out, number, &e);
}

static void put_lost(struct play *p, struct buf *out, uint64_t number)
{
	uint64_t lost = byte(p);
	frame_put_lost(out, number, lost, byte(p));
}

typedef void answer_fn(struct play *p, struct buf *out, uint64_t number);

/* To what this program or host was asked, lately. */
static void answer(struct play *p)
{
	static answer_fn *const all[] = {
	    put_answer, put_upstreams, put_end, put_error, put_partial, put_event, put_lost, put_event};
	struct buf out = BUF_INIT;
	enum stage_who who = somebody(p);
	unsigned how = byte(p);
	uint64_t number = stage_asked(who, how >> 3 & 7);
	all[how & 7](p, &out, number ? number : how);
	stage_say_frame(who, &out);
	buf_release(&out);
}

static void put_into_channel(struct play *p)
{
	struct buf out = BUF_INIT;
	enum stage_who who = somebody(p);
	put_event(p, &out, FIRST_CHANNEL + byte(p) % 6);
	stage_say_frame(who, &out);
	buf_release(&out);
}

static void say_bytes(struct play *p)
{
	enum stage_who who = somebody(p);
	bool greet = byte(p) & 1;
	size_t n = byte(p);
	n = n < p->n ? n : p->n;
	stage_say(who, p->at, n, greet);
	p->at += n;
	p->n -= n;
}

/* --- what else happens --- */

static void turn(struct play *p)
{
	stage_turn();
}

static void wait(struct play *p)
{
	static const int64_t ms[] = {0, 0, 200, 1000, 10000, 31000, 61000, 600000};
	stage_wait(ms[byte(p) & 7]);
}

static void hang_up(struct play *p)
{
	enum stage_who who = somebody(p);
	if (who < STAGE_CONNECTIONS)
		stage_hang_up(who);
	else
		stage_break();
}

static void stop_reading(struct play *p)
{
	enum stage_who who = somebody(p);
	bool deaf = byte(p) & 1;
	if (who < STAGE_CONNECTIONS)
		stage_be_deaf(who, deaf);
	else
		stage_fill(deaf);
}

static void end_process(struct play *p)
{
	stage_end_process((int32_t)(100 + byte(p) % 4), byte(p) & 1 ? SIGTERM : 0);
}

/* What a service hears of a host. */
static void change_view(struct play *p)
{
	unsigned how = byte(p);
	struct view_row row = {.id = {{(uint8_t)(2 + how % 3)}}, .state = how / 4 % 4};
	row.name[0] = 'h', row.name[1] = (char)('2' + how % 3);
	row.revision = view_next_revision(stage_core(), &row.id);
	view_take(stage_core(), &row);
	if (how & 128)
		view_keep(stage_core(), &row.id);
}

static void control(struct play *p)
{
	stage_core()->insecure_control = byte(p) & 1;
}

static void (*const steps[])(struct play *p) = {ask, turn, ask, answer, cancel, wait, ask, hang_up, stop_reading, answer,
    put_into_channel, end_process, change_view, control, say_bytes, turn};

static void play(struct play *p)
{
	for (int i = 0; i < STEPS_MOST && p->n && !stage_is_over(); i++)
		steps[byte(p) % (sizeof steps / sizeof *steps)](p);
}

/* --- bytes as they are, with a turn after each line or frame --- */

static size_t piece_of(const uint8_t *data, size_t n, bool frames)
{
	if (frames && *data != (uint8_t)FRAME_PREFACE[0]) {
		size_t whole = n < 4 ? n : FRAME_HEADER + ((size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3]);
		return whole < n ? whole : n;
	}
	const uint8_t *end = memchr(data, '\n', n);
	return end ? (size_t)(end + 1 - data) : n;
}

static void say_all(const uint8_t *data, size_t n)
{
	bool frames = *data == (uint8_t)FRAME_PREFACE[0];
	for (size_t piece; n && !stage_is_over(); data += piece, n -= piece) {
		piece = piece_of(data, n, frames);
		stage_say(STAGE_PROGRAM, data, piece, false);
		stage_turn();
	}
}

static void let_time_pass(void)
{
	static const int64_t ms[] = {0, 0, 0, 1000, 0, 61000, 0};
	for (size_t i = 0; i < sizeof ms / sizeof *ms && !stage_is_over(); i++)
		stage_wait(ms[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct play p = {data, size};
	if (!size)
		return 0;
	stage_begin();
	if (*data == '<' || *data == (uint8_t)FRAME_PREFACE[0])
		say_all(data, size);
	else
		play(&p);
	stage_turn();
	let_time_pass();
	stage_end();
	return 0;
}
