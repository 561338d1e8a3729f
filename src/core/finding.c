/* SPDX-License-Identifier: Apache-2.0 */
#include "core/finding.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/inquiry.h"
#include "core/view.h"

enum { AT_ONCE = 64, DEADLINE_MS = 5000 };

struct finding {
	struct call *call;
	struct inquiry *inquiry;
	int64_t deadline_ms;
	unsigned found;
	int64_t nearest; /* number of the query that answered first; 0: none yet, or all are meant */
	bool asking;
	size_t n, next, under_way;
	struct host_id hosts[]; /* the one of query i is hosts[i - 1] */
};

/* --- what they say --- */

static void on_answer(void *owner, int64_t number, const struct msg *m)
{
	struct finding *f = owner;
	if (!f->call->args[1].number && !f->nearest)
		f->nearest = number;
	if (f->nearest && f->nearest != number)
		return;
	f->found++;
	struct msg *found = msg_dup(m);
	if (found)
		call_pass(f->call, found);
}

static void put_missing(struct finding *f, int64_t number, const char *code, const char *text)
{
	const struct view_row *row = view_find(f->call->core, &f->hosts[number - 1]);
	struct msg *m = call_answer(f->call, "error");
	if (!m)
		return;
	msg_set_flag(m, "partial", true);
	msg_set(m, "node", row ? row->name : "");
	msg_set(m, "code", code);
	msg_text(m, text, strlen(text));
	call_send(f->call, m);
}

static void go_on(struct finding *f);

static void on_over(void *owner, int64_t number, const char *code, const char *text)
{
	struct finding *f = owner;
	f->under_way--;
	if (code && f->call->args[1].number)
		put_missing(f, number, code, text);
	if (number == f->nearest)
		f->next = f->n;
	go_on(f);
}

/* --- asking them --- */

static const struct inquiry_type asks_hosts = {.name = "service.find", .answer = on_answer, .over = on_over};

static struct msg *query_of(const struct finding *f)
{
	struct msg *m = msg_new("service");
	if (!m)
		return NULL;
	msg_set(m, "query", "list");
	msg_set(m, "service", f->call->args[0].text);
	return m;
}

static void finish(struct finding *f)
{
	if (!f->found && pattern_plain(f->call->args[0].text))
		call_fail(f->call, "not-found", "no host that answers has a service named %s", f->call->args[0].text);
	else
		call_end(f->call);
}

/* One that can't be asked is over at once, which comes back here. */
static void go_on(struct finding *f)
{
	if (f->asking)
		return;
	f->asking = true;
	while (f->next < f->n && f->under_way < AT_ONCE && !f->nearest) {
		const struct host_id *to = &f->hosts[f->next++];
		f->under_way++;
		inquiry_ask(f->inquiry, to, f->deadline_ms, &f->call->caller, query_of(f));
	}
	f->asking = false;
	if (!f->under_way || (f->nearest && f->next == f->n))
		finish(f);
}

/* --- begin and end --- */

static bool is_asked(const struct core *core, const struct view_row *row)
{
	return row->state == VIEW_UP && !host_id_is(&row->id, &core->id);
}

static void count(void *data, const struct view_row *row)
{
	struct finding *f = data;
	f->n += is_asked(f->call->core, row);
}

static void take(void *data, const struct view_row *row)
{
	struct finding *f = data;
	if (is_asked(f->call->core, row))
		f->hosts[f->n++] = row->id;
}

/* What the others said is not to be late because one is. */
static int64_t deadline_of(const struct call *c)
{
	return c->deadline_ms && c->deadline_ms < DEADLINE_MS * 4 / 3 ? c->deadline_ms * 3 / 4 : DEADLINE_MS;
}

static struct finding *finding_new(struct call *c)
{
	struct finding counted = {.call = c};
	view_each(c->core, false, count, &counted);
	struct finding *f = calloc(1, sizeof *f + counted.n * sizeof *f->hosts);
	if (!f || !(f->inquiry = inquiry_new(c->core, &asks_hosts, f))) {
		free(f);
		return NULL;
	}
	f->call = c;
	f->deadline_ms = deadline_of(c);
	view_each(c->core, false, take, f);
	return f;
}

int finding_run(struct call *c, unsigned (*put)(struct call *c))
{
	unsigned here = put(c);
	if (here && !c->args[1].number)
		return CALL_DONE;
	struct finding *f = finding_new(c);
	if (!f)
		return call_fail_errno(c, -ENOMEM);
	c->state = f;
	f->found = here;
	go_on(f);
	return -1;
}

void finding_over(struct call *c)
{
	struct finding *f = c->state;
	if (f)
		inquiry_free(f->inquiry);
	free(f);
}
