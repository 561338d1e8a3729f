/* SPDX-License-Identifier: Apache-2.0 */

#include "tools/vigia/vigia.h"

static const struct column columns[] = {
    {"name", 0, "DAEMON"},
    {"version"},
    {"boot", COLUMN_LEFT, "STARTED"},
    {"time", COLUMN_MACHINES},
    {"nodes", COLUMN_NUMBER},
    {"monitors", COLUMN_NUMBER},
    {"metrics", COLUMN_NUMBER},
    {"sandbox", COLUMN_MACHINES},
    {NULL},
};

static int on_info(void *data, const struct msg *m)
{
	struct table *t = data;
	int64_t boot = 0, now = 0;
	msg_get_int(m, "boot", &boot);
	msg_get_int(m, "time", &now);
	table_text(t, msg_get(m, "name", NULL));
	table_text(t, msg_get(m, "version", NULL));
	table_time(t, boot);
	table_time(t, now);
	table_text(t, msg_get(m, "nodes", NULL));
	table_text(t, msg_get(m, "monitors", NULL));
	table_text(t, msg_get(m, "metrics", NULL));
	table_text(t, msg_get(m, "sandbox", NULL));
	return 0;
}

static int run(struct vigia *v, const struct args *a)
{
	struct table *t = table_new(columns, v->format, table_flags(v, 0));
	int r = vigia_ask(v, vigia_query(v, "master", "info"), on_info, t);
	end_document(v, t);
	return r;
}

const struct command info_command = {
    .name = "info", .words = "", .doc = "what this daemon is, and how much it knows", .run = run};
