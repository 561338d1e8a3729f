/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/walk.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { EXPECTED = sizeof((struct audit_walk *)0)->expected / sizeof(struct audit_expected) };

static void fault(struct audit_walk *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fault(struct audit_walk *w, const char *format, ...)
{
	char text[400];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	w->faults++;
	if (w->fault)
		w->fault(w->data, w->file, w->line, text);
}

static void note(struct audit_walk *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct audit_walk *w, const char *format, ...)
{
	char text[400];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (w->note)
		w->note(w->data, w->file, w->line, text);
}

/* --- the chain --- */

static bool follows(const struct audit_walk *w, const char *line, size_t n, const char *hash)
{
	char right[AUDIT_HASH];
	return n > AUDIT_HASH && !audit_hash(w->hash, line, n - AUDIT_HASH, right) && !strcmp(right, hash);
}

static void tell_missing(struct audit_walk *w, uint64_t until, const char *what)
{
	if (until == w->next + 1)
		fault(w, "record %" PRIu64 " is missing before this %s", w->next, what);
	else
		fault(w, "records %" PRIu64 " to %" PRIu64 " are missing before this %s", w->next, until - 1, what);
}

/* One thing is wrong with one line: the one that says most. */
static void check_place(struct audit_walk *w, uint64_t sequence, bool right)
{
	if (sequence > w->next)
		tell_missing(w, sequence, "line");
	else if (sequence < w->next)
		fault(w, "record %" PRIu64 " stands where %" PRIu64 " should: it was put in, or moved", sequence, w->next);
	else if (!right)
		fault(w, "record %" PRIu64 " does not follow from the line before: one of the two was changed or put in",
		    sequence);
}

static void go_on_from(struct audit_walk *w, uint64_t next, const char *hash)
{
	w->next = next;
	memcpy(w->hash, hash, sizeof w->hash);
}

static void look_for_expected(struct audit_walk *w, struct audit_expected *e, uint64_t sequence, const char *hash)
{
	if (!e->sequence || sequence != e->sequence)
		return;
	e->seen = true;
	if (strcmp(hash, e->hash))
		fault(w, "record %" PRIu64 " has another hash than expected: the log was made anew", sequence);
}

/* That the files before the first one went by rule is itself in the chain. */
static void look_for_dropped(struct audit_walk *w, const struct audit_record *r)
{
	char said[AUDIT_HASH + 8];
	snprintf(said, sizeof said, "last=\"%s\"", w->before_first);
	if (!strcmp(r->what, "audit.drop") && !strcmp(r->how, AUDIT_ITSELF) && strstr(r->args, said))
		w->told_dropped = true;
}

static void take_record(struct audit_walk *w, const char *line, size_t n, const struct audit_record *r)
{
	if (w->line == 1)
		fault(w, "an anchor is missing: the file's beginning was cut off");
	if (!w->next) {
		w->first = r->sequence;
		memcpy(w->first_file, w->file, sizeof w->first_file);
	} else {
		check_place(w, r->sequence, follows(w, line, n, r->hash));
	}
	w->records++;
	look_for_dropped(w, r);
	for (size_t i = 0; i < EXPECTED; i++)
		look_for_expected(w, &w->expected[i], r->sequence, r->hash);
	go_on_from(w, r->sequence + 1, r->hash);
	memcpy(w->last_hash, w->hash, sizeof w->last_hash);
}

/* --- anchors --- */

static void begin_at(struct audit_walk *w, const struct audit_anchor *a)
{
	char first[AUDIT_HASH] = "";
	w->first = a->sequence;
	memcpy(w->host, a->host, sizeof w->host);
	memcpy(w->first_file, w->file, sizeof w->first_file);
	memcpy(w->before_first, a->previous, sizeof w->before_first);
	if (a->sequence == 1 && (audit_first_hash(a->host, first) || strcmp(first, a->previous)))
		fault(w, "the first anchor is not that of host %s", a->host);
}

static void check_end_before(struct audit_walk *w, const struct audit_anchor *a)
{
	char torn[32];
	snprintf(torn, sizeof torn, "torn:%" PRIu64, w->torn);
	if (w->torn && strcmp(a->before, torn) && strcmp(a->before, "broken"))
		fault(w, "the file before ends within a line, of which this anchor knows nothing: it was cut short");
	else if (w->torn)
		note(w, "the file before ends within a line of %" PRIu64 " bytes, as a power cut leaves it", w->torn);
	if (!strcmp(a->before, "broken"))
		note(w, "the daemon found the file before broken when it began this one");
}

static void check_anchor(struct audit_walk *w, const struct audit_anchor *a)
{
	if (strcmp(a->host, w->host))
		fault(w, "the anchor is that of another host, %s", a->host);
	if (a->sequence > w->next)
		tell_missing(w, a->sequence, "file");
	else if (a->sequence < w->next || strcmp(a->previous, w->hash))
		fault(w, "the anchor does not follow from the last line of the file before");
}

static void take_anchor(struct audit_walk *w, const char *line, size_t n, const struct audit_anchor *a)
{
	char right[AUDIT_HASH];
	if (w->line > 1)
		fault(w, "an anchor within a file: it was put in");
	if (w->line == 1)
		check_end_before(w, a);
	if (!w->next)
		begin_at(w, a);
	else if (w->line == 1)
		check_anchor(w, a);
	if (audit_hash(a->previous, line, n - AUDIT_HASH, right) || strcmp(right, a->hash))
		fault(w, "the anchor was changed: its hash is another one");
	w->torn = 0;
	go_on_from(w, a->sequence, a->hash);
}

/* --- taking lines --- */

void audit_walk_file(struct audit_walk *w, const char *name)
{
	snprintf(w->file, sizeof w->file, "%s", name);
	w->line = 0;
	w->files++;
}

void audit_walk_line(struct audit_walk *w, const char *line, size_t n)
{
	char copy[AUDIT_LINE_MAX + 1];
	struct audit_record r;
	struct audit_anchor a;
	const char *why = "a line of text";
	w->line++;
	if (n > AUDIT_LINE_MAX) {
		fault(w, "a line of more than %d bytes: none was written like that", AUDIT_LINE_MAX);
		return;
	}
	memcpy(copy, line, n);
	copy[n] = '\0';
	bool text = strlen(copy) == n, anchor = audit_is_anchor(copy);
	if (text && anchor && !audit_get_anchor(copy, &a, &why))
		take_anchor(w, line, n, &a);
	else if (text && !anchor && !audit_get_record(copy, &r, &why))
		take_record(w, line, n, &r);
	else
		fault(w, "expected %s%s", why, text ? "" : ", found bytes of zero, as a power cut leaves them");
}

void audit_walk_unreadable(struct audit_walk *w, const char *name, const char *why)
{
	if (strcmp(w->file, name))
		audit_walk_file(w, name);
	fault(w, "can't be read: %s", why);
}

void audit_walk_torn(struct audit_walk *w, size_t n)
{
	w->torn = n;
}

static void check_beginning(struct audit_walk *w)
{
	if (w->part || w->first <= 1)
		return;
	memcpy(w->file, w->first_file, sizeof w->file);
	w->line = 1;
	if (w->told_dropped)
		note(w, "records before %" PRIu64 " were dropped, as the configuration says", w->first);
	else
		fault(w, "records 1 to %" PRIu64 " are missing, and no record tells that they were dropped", w->first - 1);
}

static void check_expected(struct audit_walk *w, const struct audit_expected *e)
{
	if (e->sequence && w->next && e->sequence < w->first)
		note(w, "record %" PRIu64 " is expected, and was dropped: nothing can be said of it", e->sequence);
	else if (e->sequence && !e->seen)
		fault(w, "record %" PRIu64 " is expected, and missing: the end was cut off", e->sequence);
}

void audit_walk_end(struct audit_walk *w)
{
	if (w->torn)
		note(w, "ends within a line of %" PRIu64 " bytes, as a power cut leaves it", w->torn);
	for (size_t i = 0; i < EXPECTED; i++)
		check_expected(w, &w->expected[i]);
	check_beginning(w);
}
