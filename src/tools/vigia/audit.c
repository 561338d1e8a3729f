/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "audit/reader.h"
#include "tools/vigia/text.h"
#include "tools/vigia/vigia.h"

enum { VERIFY, EXPECT, USER, OPERATION, RESULT, SINCE, UNTIL, IN }; /* flags */

static const struct column columns[] = {{"sequence", COLUMN_NUMBER, "RECORD"}, {"time"}, {"uid", COLUMN_NUMBER},
    {"pid", COLUMN_NUMBER}, {"host", COLUMN_MACHINES}, {"how"}, {"address"}, {"what"}, {"result"}, {"code"}, {"arguments"},
    {NULL}};
static const struct column place_columns[] = {{"file"}, {"line", COLUMN_NUMBER}, {"breaks"}, {"text"}, {NULL}};

struct wanted {
	int64_t uid, from_ns, to_ns; /* uid -1: all */
	const char *what, *result;
	uint64_t record;
	char hash[AUDIT_HASH];
};

struct outcome {
	struct vigia *v;
	struct table *table;
	uint64_t records, files, faults, last;
	char hash[AUDIT_HASH];
};

/* --- what is asked for --- */

static bool read_user(const char *s, int64_t *ret)
{
	const struct passwd *p;
	if (!s || !msg_parse_int(s, ret))
		return true;
	p = getpwnam(s);
	if (p)
		*ret = p->pw_uid;
	else
		complain("there is no user %s", s);
	return p;
}

static bool read_expected(const char *s, struct wanted *w)
{
	int64_t record = 0;
	const char *colon = s ? strchr(s, ':') : NULL;
	char number[24];
	if (!s)
		return true;
	snprintf(number, sizeof number, "%.*s", colon ? (int)(colon - s) : 0, s);
	if (!msg_parse_int(number, &record) && record > 0 && strlen(colon + 1) == AUDIT_HASH - 1) {
		w->record = (uint64_t)record;
		memcpy(w->hash, colon + 1, AUDIT_HASH);
		return true;
	}
	complain("--expect \"%s\": RECORD:HASH, as --verify says them in the end", s);
	return false;
}

static bool read_wanted(const struct args *a, struct wanted *w)
{
	*w = (struct wanted){.uid = -1, .to_ns = INT64_MAX, .what = a->flags[OPERATION] ? a->flags[OPERATION] : "*",
	    .result = a->flags[RESULT] ? a->flags[RESULT] : "*"};
	return read_user(a->flags[USER], &w->uid) && read_expected(a->flags[EXPECT], w) &&
	    time_option(a, SINCE, &w->from_ns) && time_option(a, UNTIL, &w->to_ns);
}

/* --- records --- */

static void number_cell(struct table *t, bool known, int64_t n)
{
	if (known)
		table_int(t, n);
	else
		table_text(t, NULL);
}

static void word_cell(struct table *t, const char *word, enum tone tone)
{
	table_cell(t, *word ? word : NULL, *word ? word : "", tone);
}

static void put_row(struct table *t, const struct audit_record *r)
{
	table_int(t, (int64_t)r->sequence);
	table_time(t, r->time_ns);
	number_cell(t, r->uid != AUDIT_NOBODY, r->uid);
	number_cell(t, r->pid, r->pid);
	word_cell(t, r->host, TONE_NONE);
	word_cell(t, r->how, TONE_NONE);
	word_cell(t, r->address, TONE_NONE);
	word_cell(t, r->what, TONE_NONE);
	word_cell(t, r->result, !strcmp(r->result, "refused") ? TONE_WARN : TONE_NONE);
	word_cell(t, r->code, TONE_NONE);
	word_cell(t, r->args, TONE_NONE);
}

static int64_t number_of(const struct msg *m, const char *name, int64_t absent)
{
	int64_t n = absent;
	msg_get_int(m, name, &n);
	return n;
}

static int on_record(void *data, const struct msg *m)
{
	struct audit_record r = {.sequence = (uint64_t)number_of(m, "sequence", 0), .time_ns = number_of(m, "time", 0),
	    .uid = (uint32_t)number_of(m, "uid", AUDIT_NOBODY), .pid = (uint32_t)number_of(m, "pid", 0),
	    .host = msg_get(m, "host", ""), .how = msg_get(m, "how", ""), .address = msg_get(m, "address", ""),
	    .what = msg_get(m, "what", ""), .result = msg_get(m, "result", ""), .code = msg_get(m, "code", ""),
	    .args = msg_get(m, "arguments", "")};
	put_row(data, &r);
	return 0;
}

static bool is_wanted(const struct wanted *w, const struct audit_record *r)
{
	return (w->uid < 0 || (r->uid != AUDIT_NOBODY && r->uid == w->uid)) && r->time_ns >= w->from_ns &&
	    r->time_ns < w->to_ns && !fnmatch(w->what, r->what, 0) && !fnmatch(w->result, r->result, 0);
}

static int put_line(struct table *t, const struct wanted *w, const struct audit_reader *from, const char *line, size_t n)
{
	char copy[AUDIT_LINE_MAX + 1];
	struct audit_record r;
	const char *why = "a line of text";
	snprintf(copy, sizeof copy, "%.*s", (int)n, line);
	if (audit_is_anchor(copy))
		return DONE;
	if (n > AUDIT_LINE_MAX || audit_get_record(copy, &r, &why)) {
		complain("%s:%" PRIu64 ": expected %s", audit_reader_file(from), audit_reader_line(from), why);
		return WRONG;
	}
	if (is_wanted(w, &r))
		put_row(t, &r);
	return DONE;
}

static int list_directory(const char *directory, const struct wanted *w, struct table *t)
{
	struct audit_reader *reader;
	const char *line = NULL;
	size_t n = 0;
	int piece, worst = DONE, r = audit_reader_open(&reader, directory, NULL);
	if (r) {
		complain("%s: %s", directory, strerror(-r));
		return WRONG;
	}
	audit_reader_skip(reader, w->from_ns);
	while ((piece = audit_reader_next(reader, &line, &n))) {
		if (piece == AUDIT_LINE && put_line(t, w, reader, line, n))
			worst = WRONG;
		if (piece < 0)
			complain("%s: %s", audit_reader_file(reader), strerror(-piece)), worst = WRONG;
	}
	audit_reader_close(reader);
	return worst;
}

static int ask_list(struct vigia *v, const struct wanted *w, struct table *t)
{
	struct msg *q = vigia_query(v, "audit", "list");
	msg_set(q, "what", w->what);
	msg_set(q, "result", w->result);
	if (w->uid >= 0)
		msg_set_int(q, "uid", w->uid);
	if (w->from_ns)
		msg_set_int(q, "from", w->from_ns);
	if (w->to_ns != INT64_MAX)
		msg_set_int(q, "to", w->to_ns);
	return vigia_ask(v, q, on_record, t);
}

static int list(struct vigia *v, const struct args *a, const struct wanted *w)
{
	struct table *t = table_new(columns, v->format, table_flags(v, 0));
	int r = a->flags[IN] ? list_directory(a->flags[IN], w, t) : ask_list(v, w, t);
	end_document(v, t);
	return r;
}

/* --- the chain --- */

static void put_place(struct outcome *o, const char *file, uint64_t line, bool breaks, const char *text)
{
	char number[24];
	snprintf(number, sizeof number, "%" PRIu64, line);
	table_text(o->table, file);
	table_cell(o->table, number, NULL, TONE_NONE);
	table_cell(o->table, breaks ? "yes" : "no", NULL, breaks ? TONE_BAD : TONE_NONE);
	table_text(o->table, text);
}

static int on_told(void *data, const struct msg *m)
{
	struct outcome *o = data;
	if (msg_field(m, "file")) {
		put_place(o, msg_get(m, "file", ""), (uint64_t)number_of(m, "line", 0), msg_get_flag(m, "breaks"), m->text);
		return 0;
	}
	o->records = (uint64_t)number_of(m, "records", 0);
	o->files = (uint64_t)number_of(m, "files", 0);
	o->faults = (uint64_t)number_of(m, "faults", 0);
	o->last = (uint64_t)number_of(m, "last", 0);
	snprintf(o->hash, sizeof o->hash, "%s", msg_get(m, "hash", ""));
	return 0;
}

static void on_fault(void *data, const char *file, uint64_t line, const char *what)
{
	put_place(data, file, line, true, what);
}

static void on_note(void *data, const char *file, uint64_t line, const char *what)
{
	put_place(data, file, line, false, what);
}

static int verify_directory(const char *directory, const struct wanted *w, struct outcome *o)
{
	struct audit_walk walk = {.fault = on_fault, .note = on_note, .data = o,
	    .expected = {{.sequence = w->record, .hash = w->hash}}};
	int r = audit_verify(directory, NULL, &walk);
	if (r) {
		complain("%s: %s", directory, r == -EAGAIN ? "its oldest file went meanwhile; try again" : strerror(-r));
		return WRONG;
	}
	o->records = walk.records;
	o->files = walk.files;
	o->faults = walk.faults;
	o->last = walk.records ? walk.next - 1 : 0;
	memcpy(o->hash, walk.last_hash, sizeof o->hash);
	return DONE;
}

static int ask_verify(struct vigia *v, const struct wanted *w, struct outcome *o)
{
	struct msg *q = vigia_query(v, "audit", "verify");
	if (w->record) {
		msg_set_int(q, "record", (int64_t)w->record);
		msg_set(q, "hash", w->hash);
	}
	return vigia_ask(v, q, on_told, o);
}

static void say_outcome(const struct outcome *o)
{
	if (o->v->format == OUT_JSON)
		printf(",\n \"records\": %" PRIu64 ", \"files\": %" PRIu64 ", \"faults\": %" PRIu64 ", \"last\": %" PRIu64
		       ", \"hash\": \"%s\"}\n", o->records, o->files, o->faults, o->last, o->hash);
	if (o->v->format != OUT_TABLE)
		return;
	printf("%s: %" PRIu64 " record%s in %" PRIu64 " file%s.\n", o->faults ? "The chain is broken" : "The chain is whole",
	    o->records, o->records == 1 ? "" : "s", o->files, o->files == 1 ? "" : "s");
	if (o->last)
		printf("The last is %" PRIu64 ":%s\n", o->last, o->hash);
}

static int verify(struct vigia *v, const struct args *a, const struct wanted *w)
{
	struct outcome o = {.v = v};
	if (v->format == OUT_JSON)
		fputs("{\"places\": ", stdout);
	o.table = table_new(place_columns, v->format, table_flags(v, 0));
	int r = a->flags[IN] ? verify_directory(a->flags[IN], w, &o) : ask_verify(v, w, &o);
	table_end(o.table);
	say_outcome(&o);
	return r ? r : o.faults ? WRONG : DONE;
}

static int run(struct vigia *v, const struct args *a)
{
	struct wanted w;
	if (!read_wanted(a, &w))
		return USAGE;
	int r = a->flags[IN] ? DONE : vigia_connect(v);
	if (r)
		return r;
	return (a->flags[VERIFY] || a->flags[EXPECT] ? verify : list)(v, a, &w);
}

const struct command audit_command = {.name = "audit",
    .words = "",
    .doc = "what was changed and refused on the daemon's host, and by whom",
    .more = "  Only for the daemon's own user and root. With --verify it ends with 0 when the log is as it was written, and\n"
	    "  with 1 when it is not.\n",
    .flags = {{"verify", NULL, "is the log's chain of hashes whole? if not, where it breaks"},
	{"expect", "RECORD:HASH", "the same, and is this one still in it"}, {"user", "NAME|UID", "records of this user"},
	{"operation", "PATTERN", "as process.*"}, {"result", "PATTERN", "done, failed, refused, begun, ..."},
	{"since", "TIME", "not before this: -1h, 14:30"}, {"until", "TIME", "before this"},
	{"in", "DIRECTORY", "not from a daemon, but from these files"}},
    .alone = true,
    .run = run};
