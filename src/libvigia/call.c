/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libvigia/connection.h"

/* --- calls --- */

static void cancel(struct vigia *v, struct ask *a)
{
	frame_put(&v->out, FRAME_CANCEL, 0, a->number, NULL, 0);
	ask_forget(v, a);
}

static int on_answer(struct vigia *v, struct ask *a, const struct frame *f)
{
	struct msg *m;
	const char *why;
	uint64_t number = a->number;
	int r = f->kind == FRAME_ANSWER || f->kind == FRAME_PARTIAL ? frame_get_msg(f, &m, &why) : -EPROTO;
	if (r)
		return r;
	bool enough = a->asked.answer && a->asked.answer(a->asked.data, (const struct vigia_message *)m);
	msg_free(m);
	if (enough && ask_find(v, number) == a)
		cancel(v, a);
	return 0;
}

static void on_over(struct ask *a, int result, const struct vigia_error *error)
{
	if (a->asked.over)
		a->asked.over(a->asked.data, result, error);
}

static const struct ask_type call_type = {on_answer, on_over};

int64_t vigia_ask(struct vigia *v, const char *host, struct vigia_message *take_query, int64_t deadline_ms,
    const struct vigia_asked *asked)
{
	bool in_range = deadline_ms >= 0 && deadline_ms <= FRAME_DEADLINE_MAX_MS;
	struct ask *a = take_query && in_range ? ask_new(v, &call_type, deadline_ms) : NULL;
	if (!a) {
		msg_free((struct msg *)(take_query));
		return in_range ? -ENOMEM : -ERANGE;
	}
	a->asked = *asked;
	int r = ask_send(v, a, 0, host, (struct msg *)(take_query), deadline_ms);
	int64_t number = (int64_t)a->number;
	if (r)
		ask_forget(v, a);
	return r ? r : number;
}

int vigia_tell(struct vigia *v, const char *host, struct vigia_message *take_query)
{
	if (!take_query)
		return -ENOMEM;
	int r = ask_send(v, NULL, FRAME_ONE_WAY, host, (struct msg *)(take_query), 0);
	return r ? r : flush_out(v);
}

void vigia_cancel(struct vigia *v, int64_t number)
{
	struct ask *a = ask_find(v, (uint64_t)number);
	if (a)
		cancel(v, a);
}

/* --- a call that waits --- */

struct waiting {
	vigia_answer_fn *fn;
	void *data;
	struct vigia_error *error;
	int result;
	bool over;
};

static int on_waited(void *data, const struct vigia_message *answer)
{
	struct waiting *w = data;
	w->result = w->fn ? w->fn(w->data, answer) : 0;
	w->over = w->result != 0;
	return w->result;
}

static void on_waited_over(void *data, int result, const struct vigia_error *error)
{
	struct waiting *w = data;
	w->over = true;
	w->result = result;
	if (error && w->error)
		*w->error = *error;
}

int vigia_call(struct vigia *v, const char *host, struct vigia_message *take_query, int64_t deadline_ms,
    vigia_answer_fn *fn, void *data, struct vigia_error *ret_error)
{
	struct waiting w = {.fn = fn, .data = data, .error = ret_error};
	struct vigia_asked asked = {on_waited, on_waited_over, &w};
	int64_t number = vigia_ask(v, host, take_query, deadline_ms, &asked);
	if (number == -ERANGE)
		return say(ret_error, -ERANGE, "", "a deadline is 0 to %d ms, not %lld", FRAME_DEADLINE_MAX_MS,
		    (long long)deadline_ms);
	if (number < 0)
		return say(ret_error, (int)number, "", "%s", v->error ? v->why.text : strerror((int)-number));
	while (!w.over) {
		int r = vigia_wait(v, -1);
		if (r == -EINTR && !w.over)
			continue;
	}
	return w.result;
}
