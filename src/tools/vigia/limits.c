/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tools/vigia/text.h"
#include "tools/vigia/vigia.h"

static const struct column columns[] = {
    {"name", 0, "LIMIT"},
    {"of", 0, "OF A"},
    {"form", COLUMN_MACHINES},
    {"most", COLUMN_NUMBER},
    {"used", COLUMN_NUMBER, "IN USE"},
    {"peak", COLUMN_NUMBER, "HIGHEST"},
    {"refused", COLUMN_NUMBER},
    {"doc", COLUMN_MACHINES},
    {NULL},
};

static void put(struct table *t, const struct msg *m, const char *field)
{
	const char *form = msg_get(m, "form", ""), *value = msg_get(m, field, NULL);
	struct buf shown = BUF_INIT;
	int64_t n = 0;
	msg_get_int(m, field, &n);
	if (value && !strcmp(form, "size"))
		text_put_bytes(&shown, (double)n);
	else if (value && !strcmp(form, "time"))
		buf_putf(&shown, "%g s", (double)n / 1e9);
	table_cell(t, value, shown.len ? buf_str(&shown) : value, TONE_NONE);
	buf_release(&shown);
}

static int on_limit(void *data, const struct msg *m)
{
	struct table *t = data;
	int64_t refused = 0;
	msg_get_int(m, "refused", &refused);
	table_text(t, msg_get(m, "name", NULL));
	table_text(t, msg_get(m, "of", NULL));
	table_text(t, msg_get(m, "form", NULL));
	put(t, m, "most");
	put(t, m, "used");
	put(t, m, "peak");
	table_cell(t, msg_get(m, "refused", NULL), msg_get(m, "refused", NULL), refused ? TONE_WARN : TONE_NONE);
	table_text(t, msg_get(m, "doc", NULL));
	return 0;
}

static int run(struct vigia *v, const struct args *a)
{
	struct table *t = table_new(columns, v->format, table_flags(v, 0));
	struct msg *q = vigia_query(v, "limit", "list");
	if (a->n)
		msg_set(q, "at", a->words[0]);
	int r = vigia_ask(v, q, on_limit, t);
	end_document(v, t);
	return r;
}

const struct command limits_command = {.name = "limits",
    .words = "[HOST]",
    .doc = "how much peers may make the daemon hold, how much they do, and what was refused",
    .more = "  In use and highest of a uid are those of the one that has most. What each limit bounds, and how it is changed: limits { } in\n"
	    "  vigia.conf(5); `vigia reload` takes it. It is the operation limit.list.\n",
    .words_max = 1,
    .completes = COMPLETE_NODES,
    .run = run};
