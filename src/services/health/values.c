/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "os/clock.h"
#include "services/health/health.h"

static void put_value(struct msg *to, const struct metric *metric, const struct value *v, struct buf *text)
{
	struct msg *m = msg_child(to, "v");
	msg_set(m, "n", metric->name);
	if (*metric->unit)
		msg_set(m, "u", metric->unit);
	if (v->kind == VALUE_NONE) {
		msg_set_flag(m, "none", true);
		return;
	}
	buf_clear(text);
	row_format(text, v, metric);
	msg_text(m, text->data ? text->data : "", text->len);
}

static void put_matching(struct msg *to, const struct monitor *m, const char *pattern, struct buf *text)
{
	for (size_t i = 0; i < m->config->n; i++)
		if (pattern_match(pattern, m->config->metrics[i].name))
			put_value(to, &m->config->metrics[i], &m->values[i], text);
}

static void put_changed(struct msg *to, const struct monitor *m, const char *pattern, const struct row *row,
    struct buf *text)
{
	for (size_t i = 0; i < row->n; i++) {
		uint32_t at = row->changes[i].index;
		if (pattern_match(pattern, m->config->metrics[at].name))
			put_value(to, &m->config->metrics[at], &m->values[at], text);
	}
}

struct msg *values_message(struct call *c, const struct monitor *m, const char *metric, const struct row *changed)
{
	struct msg *msg = call_answer(c, "monitor");
	struct buf text = BUF_INIT;
	if (!msg)
		return NULL;
	msg_set(msg, "node", m->node->name);
	msg_set(msg, "monitor", m->name);
	msg_set(msg, "state", monitor_state_name(monitor_state(m, clock_mono_ns())));
	msg_set_int(msg, "boot", m->at.boot);
	msg_set_int(msg, "sequence", (int64_t)m->at.sequence);
	msg_set_int(msg, "time", m->time_ns);
	if (changed)
		put_changed(msg, m, metric, changed, &text);
	else
		put_matching(msg, m, metric, &text);
	buf_release(&text);
	return msg;
}
