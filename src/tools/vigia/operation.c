/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/operation.h"

#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/utf8.h"
#include "tools/vigia/login.h"
#include "tools/vigia/near.h"
#include "tools/vigia/text.h"
#include "tools/vigia/when.h"

/* --- what the daemon says of it --- */

struct wanted {
	const char *name;
	struct msg *found; /* its <operation> */
	struct near near;
};

static int on_operation(void *data, const struct msg *m)
{
	struct wanted *w = data;
	const char *name = msg_get(m, "name", "");
	near_take(&w->near, name);
	if (!strcmp(name, w->name) && !w->found)
		w->found = msg_dup(m);
	return 0;
}

struct left_out {
	const char *name;
	bool found;
};

static int on_left_out(void *data, const struct msg *m)
{
	struct left_out *l = data;
	const char *service = msg_get(m, "service", "");
	if (l->found || msg_get_flag(m, "chosen") || !msg_field(m, "chosen") ||
	    (strcmp(msg_get(m, "name", ""), l->name) && strcmp(service, l->name)))
		return 0;
	l->found = true;
	if (!strcmp(service, l->name))
		complain("service %s is not chosen on this host (services in vigia.conf)", service);
	else
		complain("there is no %s: service %s is not chosen on this host (services in vigia.conf)", l->name, service);
	return 0;
}

bool operation_left_out(struct vigia *v, const char *name)
{
	struct left_out l = {.name = name};
	struct msg *query = vigia_query(v, "service", "describe");
	msg_set_flag(query, "all", true);
	return !vigia_ask(v, query, on_left_out, &l) && l.found;
}

static int look(struct vigia *v, const char *at, struct wanted *w)
{
	struct msg *query = vigia_query(v, "service", "describe");
	if (at)
		msg_set(query, "at", at);
	return vigia_ask(v, query, on_operation, w);
}

int operation_describe(struct vigia *v, const char *name, const char *at, struct msg **ret)
{
	struct wanted w = {.name = name, .near = {.name = name}};
	int r = look(v, NULL, &w);
	if (!r && !w.found && at)
		r = look(v, at, &w);
	if (r || w.found) {
		*ret = w.found;
		return r;
	}
	if (operation_left_out(v, name))
		return USAGE;
	if (w.near.alike)
		complain("there is no operation \"%s\"; did you mean `%s`?", name, w.near.best[0].name);
	else
		complain("there is no operation \"%s\"; `vigia service.describe` lists them", name);
	return USAGE;
}

/* From k on, the first that is an "argument", or a "field" of its answers. */
static const struct msg *part(const struct msg *k, const char *kind)
{
	while (k && strcmp(k->name, kind))
		k = k->next;
	return k;
}

#define each_argument(a, operation) \
	(const struct msg *a = part((operation)->children, "argument"); a; a = part(a->next, "argument"))

static const struct msg *argument(const struct msg *operation, const char *name, size_t n)
{
	for each_argument(a, operation)
		if (strlen(msg_get(a, "name", "")) == n && !memcmp(msg_get(a, "name", ""), name, n))
			return a;
	return NULL;
}

/* --- from words to a query --- */

/* Durations and times as people write them; what is wrong with the rest the daemon says. */
static int set(struct msg *query, const struct msg *argument, const char *value)
{
	const char *type = msg_get(argument, "type", ""), *name = msg_get(argument, "name", "");
	const char *forms = NULL;
	int64_t ns;
	if (!strcmp(type, "duration") && when_duration(value, &ns))
		forms = when_duration_forms;
	else if (!strcmp(type, "time") && when_time(value, clock_wall_ns(), &ns))
		forms = when_time_forms;
	if (forms) {
		complain("%s \"%s\": %s", name, value, forms);
		return USAGE;
	}
	if (!strcmp(type, "duration"))
		msg_set_int(query, name, ns / 1000000);
	else if (!strcmp(type, "time"))
		msg_set_int(query, name, ns);
	else if (!strcmp(type, "words"))
		msg_text(msg_child(query, name), value, strlen(value));
	else if (!strcmp(type, "bytes"))
		msg_set_bytes(query, name, value, strlen(value));
	else
		msg_set(query, name, value);
	return 0;
}

static const struct msg *first_unset(const struct msg *operation, const struct msg *query)
{
	for each_argument(a, operation)
		if (!msg_field(query, msg_get(a, "name", "")))
			return a;
	return NULL;
}

static int take_word(const struct msg *operation, struct msg *query, const char *word)
{
	const char *equals = strchr(word, '=');
	if (!strncmp(word, "at=", 3)) { /* of every operation: the host that is asked */
		msg_set(query, "at", word + 3);
		return 0;
	}
	const struct msg *named = equals ? argument(operation, word, (size_t)(equals - word)) : NULL;
	const struct msg *a = named ? named : first_unset(operation, query);
	if (!a) {
		complain("%s takes no \"%s\"", msg_get(operation, "name", ""), word);
		return USAGE;
	}
	if (msg_field(query, msg_get(a, "name", ""))) {
		complain("%s is said twice", msg_get(a, "name", ""));
		return USAGE;
	}
	return set(query, a, named ? equals + 1 : word);
}

static struct msg *query_of(struct vigia *v, const char *name)
{
	char noun[64];
	const char *dot = strchr(name, '.');
	snprintf(noun, sizeof noun, "%.*s", (int)(dot - name), name);
	return vigia_query(v, noun, dot + 1);
}

/* --- answers --- */

enum { COLUMNS_MAX = 32 };

/* How people read what a field of this type has; nothing put: as it is. */
static void show_time(struct buf *out, const struct msg *m, const char *field)
{
	int64_t ns;
	if (!msg_get_int(m, field, &ns))
		when_put(out, ns);
}

static void show_span(struct buf *out, const struct msg *m, const char *field)
{
	int64_t ns;
	if (!msg_get_int(m, field, &ns))
		when_put_duration(out, ns);
}

static void show_size(struct buf *out, const struct msg *m, const char *field)
{
	int64_t n;
	if (!msg_get_int(m, field, &n))
		text_put_bytes(out, (double)n);
}

/* Text where it is that. */
static void show_bytes(struct buf *out, const struct msg *m, const char *field)
{
	const uint8_t *bytes;
	size_t n, at = 0, of;
	if (msg_get_bytes(m, field, &bytes, &n))
		return;
	while (at < n && bytes[at] && (of = utf8_char((const char *)bytes + at, n - at)))
		at += of;
	if (at == n)
		buf_put(out, bytes, n);
}

static const struct {
	const char *type;
	void (*show)(struct buf *out, const struct msg *m, const char *field);
	unsigned flags;
} shows[] = {
    {"time", show_time, 0},
    {"span", show_span, COLUMN_NUMBER},
    {"size", show_size, COLUMN_NUMBER},
    {"integer", NULL, COLUMN_NUMBER},
    {"bytes", show_bytes, 0},
    {"", NULL, 0},
};

static int show_of(const char *type)
{
	int i = 0;
	while (*shows[i].type && strcmp(shows[i].type, type))
		i++;
	return i;
}

/* A column is a field of the answer, or of its children: a row each then. */
struct source {
	char name[64];
	const char *field; /* "": the text */
	bool child;
	int show, rank; /* as the operation's table has them; what it does not tell of comes behind */
};

struct answers {
	struct vigia *v;
	const struct msg *operation;
	struct msg **list;
	size_t n, size;
	struct column columns[COLUMNS_MAX + 1];
	struct source from[COLUMNS_MAX];
	int columns_n;
	struct table *stream;
};

static bool has_column(const struct answers *a, const char *field, bool child)
{
	for (int i = 0; i < a->columns_n; i++)
		if (!strcmp(a->from[i].field, field) && a->from[i].child == child)
			return true;
	return !strcmp(field, "answer");
}

static bool is_taken(const struct answers *a, const char *name)
{
	for (int i = 0; i < a->columns_n; i++)
		if (!strcmp(a->from[i].name, name))
			return true;
	return false;
}

static void describe(const struct answers *a, struct source *s)
{
	const struct msg *f = part(a->operation->children, "field");
	for (s->rank = 0; f && (s->child || strcmp(msg_get(f, "name", ""), s->field)); s->rank++)
		f = part(f->next, "field");
	s->show = show_of(f ? msg_get(f, "type", "") : "");
}

static void add_column(struct answers *a, const struct msg *m, const char *field, bool child)
{
	const char *name = *field ? field : "text";
	if (a->columns_n == COLUMNS_MAX || has_column(a, field, child))
		return;
	struct source s = {.field = field, .child = child};
	snprintf(s.name, sizeof s.name, "%s%s%s", is_taken(a, name) ? m->name : "", is_taken(a, name) ? "." : "", name);
	describe(a, &s);
	int i = a->columns_n++;
	for (; i && a->from[i - 1].rank > s.rank; i--)
		a->from[i] = a->from[i - 1];
	a->from[i] = s;
}

static void add_columns(struct answers *a, const struct msg *m, bool child)
{
	for (const struct msg_field *f = m->fields; f; f = f->next)
		add_column(a, m, f->name, child);
	if (*m->text)
		add_column(a, m, "", child);
	for (const struct msg *k = m->children; k && !child; k = k->next)
		add_columns(a, k, true);
}

static const char *value_of(const struct msg *m, const char *field)
{
	if (!m)
		return NULL;
	return *field ? msg_get(m, field, NULL) : *m->text ? m->text : NULL;
}

static void put_cell(struct table *t, const struct msg *m, const char *field, int show)
{
	struct buf shown = BUF_INIT;
	if (m && shows[show].show)
		shows[show].show(&shown, m, field);
	table_cell(t, value_of(m, field), shown.len ? buf_str(&shown) : NULL, TONE_NONE);
	buf_release(&shown);
}

static void put_row(const struct answers *a, struct table *t, const struct msg *m, const struct msg *child)
{
	for (int i = 0; i < a->columns_n; i++)
		put_cell(t, a->from[i].child ? child : m, a->from[i].field, a->from[i].show);
}

static void put_rows(const struct answers *a, struct table *t, const struct msg *m)
{
	if (!m->children)
		put_row(a, t, m, NULL);
	for (const struct msg *k = m->children; k; k = k->next)
		put_row(a, t, m, k);
}

static int keep(void *data, const struct msg *m)
{
	struct answers *a = data;
	if (a->n == a->size) {
		size_t size = a->size ? a->size * 2 : 16;
		struct msg **more = realloc(a->list, size * sizeof *more);
		if (!more)
			return WRONG;
		a->list = more;
		a->size = size;
	}
	struct msg *copy = msg_dup(m);
	if (!copy)
		return WRONG;
	a->list[a->n++] = copy;
	add_columns(a, copy, false);
	return 0;
}

static void release(struct answers *a)
{
	for (size_t i = 0; i < a->n; i++)
		msg_free(a->list[i]);
	free(a->list);
}

static struct table *begin_table(struct answers *a, unsigned flags)
{
	memset(a->columns, 0, sizeof a->columns);
	for (int i = 0; i < a->columns_n; i++)
		a->columns[i] = (struct column){.name = a->from[i].name,
		    .flags = a->v->format == OUT_TABLE ? shows[a->from[i].show].flags : 0};
	return table_new(a->columns, a->v->format, table_flags(a->v, flags));
}

static void put_all(struct answers *a)
{
	if (!a->columns_n)
		return;
	struct table *t = begin_table(a, 0);
	for (size_t i = 0; i < a->n; i++)
		put_rows(a, t, a->list[i]);
	end_document(a->v, t);
}

/* Has m all that the table under way was made for? One that is more, or something else, begins another. */
static bool fits(const struct answers *a, const struct msg *m)
{
	if (!a->stream || strcmp(a->list[0]->name, m->name))
		return false;
	for (const struct msg_field *f = m->fields; f; f = f->next)
		if (!has_column(a, f->name, false))
			return false;
	return true;
}

static void end_table(struct answers *a)
{
	if (a->stream)
		table_end(a->stream);
	a->stream = NULL;
	a->columns_n = 0;
	release(a);
	a->list = NULL;
	a->n = a->size = 0;
}

/* Of what goes on, each answer at once. */
static int show(void *data, const struct msg *m)
{
	struct answers *a = data;
	if (!fits(a, m)) {
		end_table(a);
		if (keep(a, m))
			return WRONG;
		a->stream = begin_table(a, TABLE_STREAM);
	}
	put_rows(a, a->stream, m);
	return fflush(stdout) ? WRONG : 0;
}

static int follow(struct vigia *v, const struct msg *operation, struct msg *query)
{
	struct answers a = {.v = v, .operation = operation};
	int r = vigia_follow(v, query, show, &a);
	end_table(&a);
	return r;
}

static int ask(struct vigia *v, const struct msg *operation, struct msg *const *queries, size_t n)
{
	struct answers a = {.v = v, .operation = operation};
	int r = vigia_ask_all(v, queries, n, keep, &a);
	put_all(&a);
	release(&a);
	return r;
}

/* --- asking --- */

/* The host that is asked: what it offers need not be offered here. */
static const char *host_of(const char *const *words, int n)
{
	for (int i = 1; i < n; i++)
		if (!strncmp(words[i], "at=", 3))
			return words[i] + 3;
	return NULL;
}

int operation_run(struct vigia *v, const char *const *words, int n)
{
	struct msg *operation;
	int r = operation_describe(v, words[0], host_of(words, n), &operation);
	if (r)
		return r;
	struct msg *query = query_of(v, words[0]);
	for (int i = 1; !r && i < n; i++)
		r = take_word(operation, query, words[i]);
	if (!r)
		r = login_sign(v, operation, query);
	if (r)
		msg_free(query);
	else
		r = msg_get_flag(operation, "streams") ? follow(v, operation, query) : ask(v, operation, &query, 1);
	msg_free(operation);
	return r;
}

/* --- shorthands --- */

static int ask_each(struct vigia *v, const struct msg *operation, const struct msg *arg, const char *const *values, int n)
{
	struct msg *queries[OPERATION_MOST];
	int made = 0, r = 0;
	do {
		queries[made] = query_of(v, msg_get(operation, "name", ""));
		if (n && !arg)
			msg_set(queries[made], "at", values[made]);
		r = n && arg ? set(queries[made], arg, values[made]) : login_sign(v, operation, queries[made]);
		made++;
	} while (!r && made < n);
	if (!r)
		return ask(v, operation, queries, (size_t)made);
	while (made)
		msg_free(queries[--made]);
	return r;
}

int operation_run_each(struct vigia *v, const char *name, const char *arg_name, const char *const *values, int n)
{
	struct msg *operation;
	int r = operation_describe(v, name, n && !strcmp(arg_name, "at") ? values[0] : NULL, &operation);
	if (r)
		return r;
	const struct msg *arg = argument(operation, arg_name, strlen(arg_name));
	if (n > OPERATION_MOST)
		complain("more than %d at once", OPERATION_MOST);
	r = n > OPERATION_MOST ? USAGE : ask_each(v, operation, arg, values, n);
	msg_free(operation);
	return r;
}

/* --- telling --- */

static void put_argument(const struct msg *a)
{
	char left[64], fallback[40] = "";
	int64_t number;
	snprintf(left, sizeof left, "%s=%s", msg_get(a, "name", ""), msg_get(a, "type", ""));
	if (!msg_get_int(a, "default", &number))
		snprintf(fallback, sizeof fallback, " (%lld)", (long long)number);
	printf("  %-26s %s%s%s\n", left, msg_get(a, "doc", ""), msg_get_flag(a, "required") ? "; needed" : "", fallback);
}

static void put_fields(const struct msg *operation)
{
	const struct msg *f = part(operation->children, "field");
	if (f)
		puts("\nWhat an answer may have");
	for (; f; f = part(f->next, "field")) {
		char left[64];
		snprintf(left, sizeof left, "%s %s", msg_get(f, "name", ""), msg_get(f, "type", ""));
		printf("  %-26s %s\n", left, msg_get(f, "doc", ""));
	}
}

int operation_help(struct vigia *v, const char *name)
{
	struct msg *operation;
	int r = operation_describe(v, name, NULL, &operation);
	if (r)
		return r;
	printf("usage: %s%s", v->console ? "" : "vigia ", name);
	for each_argument(a, operation)
		printf(msg_get_flag(a, "required") ? " %s" : " [%s]", msg_get(a, "name", ""));
	printf("\n\n  %s%s\n", msg_get(operation, "doc", ""),
	    msg_get_flag(operation, "streams") ? "; goes on until it is ended" : "");
	puts("\nArguments, as NAME=VALUE or in this order");
	for each_argument(a, operation)
		put_argument(a);
	puts("  at=HOST                    the host that is asked, by name or id; else the daemon's own");
	put_fields(operation);
	printf("\nOf the service %s, on %s.\n", msg_get(operation, "service", ""), vigia_self(v));
	msg_free(operation);
	return DONE;
}

struct operations_of {
	const char *name;
	unsigned n;
};

static int put_operation(void *data, const struct msg *m)
{
	struct operations_of *o = data;
	const char *name = msg_get(m, "name", "");
	size_t noun = strcspn(name, ".");
	if (strcmp(msg_get(m, "service", ""), o->name) && (strlen(o->name) != noun || memcmp(name, o->name, noun)))
		return 0;
	o->n++;
	printf("  %-26s %s\n", name, msg_get(m, "doc", ""));
	return 0;
}

bool operation_help_service(struct vigia *v, const char *name)
{
	struct operations_of o = {.name = name};
	return !vigia_ask(v, vigia_query(v, "service", "describe"), put_operation, &o) && o.n;
}

struct each {
	int (*fn)(void *data, const char *name, const char *doc);
	void *data;
};

static int on_each(void *data, const struct msg *m)
{
	struct each *e = data;
	return e->fn(e->data, msg_get(m, "name", ""), msg_get(m, "doc", ""));
}

int operation_each(struct vigia *v, int (*fn)(void *data, const char *name, const char *doc), void *data)
{
	struct each e = {fn, data};
	return vigia_ask(v, vigia_query(v, "service", "describe"), on_each, &e);
}

static int run(struct vigia *v, const struct args *a)
{
	return operation_run(v, a->words, a->n);
}

const struct command operation_command = {.name = "NOUN.VERB", .words = "[ARGUMENT...]",
    .doc = "any operation of any service: `vigia service.describe` lists them", .words_max = -1, .run = run};
