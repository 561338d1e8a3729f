/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/values.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "tools/vigia/vigia.h"
#include "tools/vigia/when.h"

const struct column values_columns[] = {
    {"name", COLUMN_PEOPLE, "NODE/MONITOR/METRIC"},
    {"node", COLUMN_MACHINES},
    {"monitor", COLUMN_MACHINES},
    {"metric", COLUMN_MACHINES},
    {"value", COLUMN_NUMBER},
    {"unit"},
    {"state"},
    {"time", COLUMN_MACHINES},
    {NULL},
};

void put_age(struct buf *out, int64_t time_ns)
{
	int64_t age = clock_wall_ns() - time_ns;
	if (time_ns > 0)
		when_put_duration(out, age > 0 ? age : 0);
}

void values_name(struct table *t, const struct msg *m, const struct msg *v)
{
	char name[300];
	snprintf(name, sizeof name, "%s/%s/%s", msg_get(m, "node", ""), msg_get(m, "monitor", ""),
	    msg_get(v, "n", ""));
	table_text(t, name);
	table_text(t, msg_get(m, "node", ""));
	table_text(t, msg_get(m, "monitor", ""));
	table_text(t, msg_get(v, "n", ""));
}

/* A text that happens to look like a number is still a text: only numbers have a unit. */
void values_value(struct table *t, const struct msg *v)
{
	const char *unit = msg_get(v, "u", NULL);
	if (msg_get_flag(v, "none"))
		table_text(t, NULL);
	else if (unit)
		table_text(t, v->text);
	else
		table_string(t, v->text);
	table_cell(t, unit, unit && strcmp(unit, "1") ? NULL : "", TONE_NONE);
}

void values_state(struct table *t, const struct msg *m)
{
	const char *state = msg_get(m, "state", "current");
	struct buf shown = BUF_INIT;
	int64_t time_ns = 0;
	msg_get_int(m, "time", &time_ns);
	if (strcmp(state, "current")) {
		buf_putf(&shown, "%s ", state);
		put_age(&shown, time_ns);
	}
	table_cell(t, state, buf_str(&shown), state_tone(state));
	table_time(t, time_ns);
	buf_release(&shown);
}

void values_row(struct table *t, const struct msg *m, const struct msg *v)
{
	values_name(t, m, v);
	values_value(t, v);
	values_state(t, m);
}

double value_number(const struct msg *v)
{
	char *end;
	double n = strtod(v->text, &end);
	return msg_get_flag(v, "none") || end == v->text ? NAN : n;
}
