/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/start.h"
#include "tools/vigia/interrupt.h"
#include "tools/vigia/text.h"
#include "tools/vigia/vigia.h"
#include "tools/vigia/when.h"

/* A daemon that says nothing for so long while it owes an answer is stuck. */
enum { SILENCE_MS = 30000, START_MS = 10000 };

static const char *complaint_of = "";
static bool complaints_off;

void complain_of(const char *where)
{
	complaint_of = where;
}

void complaints(bool on)
{
	complaints_off = !on;
}

void complain(const char *format, ...)
{
	char lines[8192], *rest = lines, *line;
	struct buf out = BUF_INIT;
	va_list ap;
	if (complaints_off)
		return;
	va_start(ap, format);
	vsnprintf(lines, sizeof lines, format, ap);
	va_end(ap);
	while ((line = strsep(&rest, "\n")))
		if (*line) {
			buf_putf(&out, "vigia: %s%s", complaint_of, *complaint_of ? ": " : "");
			text_put(&out, line);
			buf_putc(&out, '\n');
		}
	fflush(stdout);
	fputs(buf_str(&out), stderr);
	buf_release(&out);
}

/* Root's would be in the place of the system's, and whoever says where means that one. */
static int start_one(struct vigia *v, struct buf *why)
{
	if (!v->starts || v->at || getenv("VIGIA_SOCKET") || !geteuid())
		return -ENOENT;
	buf_clear(why);
	int r = daemon_start(START_MS, why);
	if (r)
		return r;
	complain("no vigiad was there: one of your own is, from now on");
	return client_open(&v->client, NULL, NULL, why);
}

int vigia_connect(struct vigia *v)
{
	struct buf why = BUF_INIT;
	if (v->client)
		return DONE;
	int r = client_open(&v->client, v->at, v->papers, &why);
	if (r && v->starts)
		r = start_one(v, &why);
	if (r) {
		complain("%s", *buf_str(&why) ? buf_str(&why) : strerror(-r));
		if (!v->at && !complaints_off && r != -EPERM)
			fputs("Start one with `systemctl start vigiad`, or for yourself with `vigiad "
			      "--foreground`;\n"
			      "`--at` or $VIGIA_SOCKET name one elsewhere.\n",
			    stderr);
	}
	buf_release(&why);
	return r ? NO_DAEMON : DONE;
}

bool vigia_connected(struct vigia *v)
{
	struct msg *m;
	int r = 1;
	while (v->client && (r = client_next(v->client, 0, &m)) > 0)
		msg_free(m);
	return v->client && !r;
}

static int nothing(void *data, const struct msg *answer)
{
	return 0;
}

/* The daemon says its name before its first answer. */
const char *vigia_self(struct vigia *v)
{
	if (!*client_daemon(v->client))
		vigia_ask(v, vigia_query(v, "master", "info"), nothing, NULL);
	return client_daemon(v->client);
}

struct msg *vigia_query(struct vigia *v, const char *noun, const char *verb)
{
	return client_query(v->client, noun, verb);
}

static int gone(int r)
{
	if (r == -EPROTO)
		complain("what answers there does not speak HMON");
	else if (r == -EPIPE || r == -ECONNRESET)
		complain("the daemon closed the connection");
	else
		complain("the daemon can't be asked: %s", strerror(-r));
	return NO_DAEMON;
}

/* What a partial error leaves out is said beside the answers; any other ends the query. */
static void say_error(const struct msg *m)
{
	const char *node = msg_get(m, "node", ""), *monitor = msg_get(m, "monitor", "");
	const char *code = msg_get(m, "code", "failed");
	const char *slash = *monitor ? "/" : "", *colon = *node ? ": " : "";
	complain("%s%s%s%s%s", node, slash, monitor, colon, *m->text ? m->text : code);
}

struct asking {
	answer_fn *fn;
	void *data;
	int result;
	int64_t first_id, under_way; /* queries, with ids from that one on */
	char node[64], monitor[64];  /* asked for; "": all */
	bool not_found;		     /* and not yet said */
	bool stopped;		     /* from here: the daemon goes on until it is told */
};

/* A name that is not found: who asked has more to say of it. */
static bool not_found(const struct asking *a, const struct msg *m)
{
	return *a->node && !strcmp(msg_get(m, "code", ""), "not-found");
}

static bool about(const struct asking *a, const struct msg *m)
{
	int64_t answer;
	if (msg_get_int(m, "answer", &answer))
		return !strcmp(m->name, "error");
	return answer >= a->first_id;
}

static void take(struct asking *a, const struct msg *m)
{
	if (!strcmp(m->name, "end")) {
		a->under_way--;
	} else if (!strcmp(m->name, "error")) {
		a->not_found = not_found(a, m);
		if (!a->not_found)
			say_error(m);
		a->result = WRONG;
		a->under_way -= !msg_get_flag(m, "partial");
	} else {
		int r = a->fn(a->data, m);
		a->under_way = r ? 0 : a->under_way;
		a->stopped = r;
		a->result = r ? r : a->result;
	}
}

/* A program that ends cancels by that; a console's connection stays. */
static void cancel(struct vigia *v, const struct asking *a, size_t n)
{
	for (size_t i = 0; v->console && i < n; i++) {
		struct msg *q = vigia_query(v, "master", "cancel");
		msg_set_int(q, "of", a->first_id + (int64_t)i);
		client_ask(v->client, q);
	}
}

/* client_next(), which no interrupt is too early for. -ECANCELED: one came. */
static int next(struct vigia *v, int silence_ms, struct msg **ret)
{
	int r = 0;
	while (!interrupt_came() && !(r = client_next(v->client, 0, ret))) {
		struct pollfd p[2] = {{.fd = client_fd(v->client), .events = POLLIN}, {.fd = interrupt_fd(), .events = POLLIN}};
		if (!poll(p, 2, silence_ms))
			return 0;
	}
	return r ? r : -ECANCELED;
}

static int silence(const struct vigia *v)
{
	return v->patience_ms ? v->patience_ms : SILENCE_MS;
}

static int ask_until_over(
    struct vigia *v, struct msg *const *queries, size_t n, struct asking *a, int silence_ms)
{
	a->first_id = client_ask_all(v->client, queries, n);
	a->under_way = (int64_t)n;
	if (a->first_id < 0)
		return gone((int)a->first_id);
	while (a->under_way > 0) {
		struct msg *m;
		int r = next(v, silence_ms, &m);
		a->stopped |= r == -ECANCELED;
		if (a->stopped)
			break;
		if (r < 0)
			return gone(r);
		if (!r) {
			complain("the daemon has not answered for %d s", silence_ms / 1000);
			return NO_DAEMON;
		}
		if (about(a, m))
			take(a, m);
		msg_free(m);
	}
	if (a->stopped)
		cancel(v, a, n);
	return a->stopped && !a->result ? WRONG : a->result;
}

/* A name that is not found is answered with those that are like it. */
static int ask(struct vigia *v, struct msg *const *queries, size_t n, struct asking *a, int silence_ms)
{
	const struct msg *first = queries[0];
	snprintf(a->node, sizeof a->node, "%s", first ? msg_get(first, "node", "") : "");
	snprintf(a->monitor, sizeof a->monitor, "%s", first ? msg_get(first, "monitor", "") : "");
	int r = ask_until_over(v, queries, n, a, silence_ms);
	struct path p = {.node = a->node, .monitor = *a->monitor ? a->monitor : NULL};
	if (a->not_found && path_there(v, &p))
		complain("%s is not there", a->node);
	return r;
}

int vigia_ask(struct vigia *v, struct msg *query, answer_fn *fn, void *data)
{
	struct asking a = {.fn = fn, .data = data};
	return ask(v, &query, 1, &a, silence(v));
}

int vigia_ask_all(struct vigia *v, struct msg *const *queries, size_t n, answer_fn *fn, void *data)
{
	struct asking a = {.fn = fn, .data = data};
	return ask(v, queries, n, &a, silence(v));
}

int vigia_ask_both(struct vigia *v, struct msg *first, struct msg *second, answer_fn *fn, void *data)
{
	struct asking a = {.fn = fn, .data = data};
	return ask(v, (struct msg *[]){first, second}, 2, &a, silence(v));
}

int vigia_follow(struct vigia *v, struct msg *query, answer_fn *fn, void *data)
{
	struct asking a = {.fn = fn, .data = data};
	return ask(v, &query, 1, &a, -1);
}

static int one_path(struct vigia *v, const char *word, path_fn *fn, void *data)
{
	struct path p;
	const char *self = !strcmp(word, ".") || !strncmp(word, "./", 2) ? vigia_self(v) : NULL;
	if (path_init(&p, word, self)) {
		complain("no memory");
		return WRONG;
	}
	int r = fn(v, &p, data);
	path_release(&p);
	return r;
}

int each_path(struct vigia *v, const struct args *a, path_fn *fn, void *data)
{
	if (!a->n)
		return one_path(v, "", fn, data);
	int worst = DONE;
	for (int i = 0; i < a->n && worst != NO_DAEMON; i++) {
		int r = one_path(v, a->words[i], fn, data);
		worst = r > worst ? r : worst;
	}
	return worst;
}

unsigned table_flags(const struct vigia *v, unsigned more)
{
	return more | (v->colour ? TABLE_COLOUR : 0);
}

void end_document(const struct vigia *v, struct table *t)
{
	table_end(t);
	if (v->format == OUT_JSON)
		putchar('\n');
}

enum tone state_tone(const char *state)
{
	static const struct {
		const char *state;
		enum tone tone;
	} tones[] = {{"up", TONE_GOOD}, {"current", TONE_GOOD}, {"busy", TONE_WARN}, {"late", TONE_WARN},
	    {"down", TONE_BAD}, {"gone", TONE_BAD}, {"old", TONE_DIM}, {"left", TONE_DIM},
	    {"not watched", TONE_DIM}};
	for (size_t i = 0; i < sizeof tones / sizeof *tones; i++)
		if (!strcmp(tones[i].state, state))
			return tones[i].tone;
	return TONE_NONE;
}

bool duration_option(const struct args *a, int flag, int64_t *ret_ns)
{
	const char *s = a->flags[flag];
	if (!s || !when_duration(s, ret_ns))
		return true;
	complain("--%s \"%s\": %s", a->command->flags[flag].name, s, when_duration_forms);
	return false;
}

bool time_option(const struct args *a, int flag, int64_t *ret_ns)
{
	const char *s = a->flags[flag];
	if (!s || !when_time(s, clock_wall_ns(), ret_ns))
		return true;
	complain("--%s \"%s\": %s", a->command->flags[flag].name, s, when_time_forms);
	return false;
}
