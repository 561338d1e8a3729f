/* SPDX-License-Identifier: Apache-2.0 */
/* A piece of the files is read by a worker, which makes answers of it, and the next one when these have left. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "services/audit/service.h"

enum { PIECE = 65536, PIECE_LINES = 20000, AGAIN_MOST = 5 };

struct reading {
	uv_work_t work;
	struct call *call; /* NULL: gone */
	const struct asker_type *asker;
	int64_t id;
	int (*read)(struct reading *r); /* 1: there is more, 0, or negative errno */
	struct buf out;
	bool working;
	int result;
	char *directory;
	struct audit_end end;

	/* of a list */
	struct audit_reader *reader;
	char *what, *wanted; /* patterns */
	int64_t uid, from_ns, to_ns;

	/* of a verification */
	struct audit_walk walk;
	uint64_t record;
	char *hash;
	int again;
};

static void reading_free(struct reading *r)
{
	if (r->reader)
		audit_reader_close(r->reader);
	buf_release(&r->out);
	free(r->directory);
	free(r->what);
	free(r->wanted);
	free(r->hash);
	free(r);
}

/* --- on a worker --- */

static struct msg *begin_answer(const struct reading *r)
{
	return call_answer_to(r->asker, r->id, "audit");
}

static void put_answer(struct reading *r, struct msg *m)
{
	if (m && !msg_failed(m))
		r->asker->encode(&r->out, r->id, m);
	else
		r->out.failed = true;
	msg_free(m);
}

static void set_text(struct msg *m, const char *name, const char *value)
{
	if (*value)
		msg_set(m, name, value);
}

static void put_record(struct reading *r, const struct audit_record *record)
{
	struct msg *m = begin_answer(r);
	if (m) {
		msg_set_int(m, "sequence", (int64_t)record->sequence);
		msg_set_int(m, "time", record->time_ns);
		if (record->uid != AUDIT_NOBODY)
			msg_set_int(m, "uid", record->uid);
		if (record->pid)
			msg_set_int(m, "pid", record->pid);
		set_text(m, "host", record->host);
		set_text(m, "how", record->how);
		set_text(m, "address", record->address);
		set_text(m, "what", record->what);
		set_text(m, "result", record->result);
		set_text(m, "code", record->code);
		set_text(m, "arguments", record->args);
	}
	put_answer(r, m);
}

static void put_unreadable(struct reading *r, const char *why)
{
	struct msg *m = call_answer_to(r->asker, r->id, "error");
	if (m) {
		struct buf text = BUF_INIT;
		buf_putf(&text, "%s:%llu: expected %s", audit_reader_file(r->reader),
		    (unsigned long long)audit_reader_line(r->reader), why);
		msg_set_flag(m, "partial", true);
		msg_set(m, "code", "failed");
		msg_text(m, text.data ? text.data : "", text.len);
		buf_release(&text);
	}
	put_answer(r, m);
}

static bool is_wanted(const struct reading *r, const struct audit_record *record)
{
	return (r->uid < 0 || (record->uid != AUDIT_NOBODY && record->uid == r->uid)) && record->time_ns >= r->from_ns &&
	    record->time_ns < r->to_ns && pattern_match(r->what, record->what) && pattern_match(r->wanted, record->result);
}

static void take_line(struct reading *r, const char *line, size_t n)
{
	char copy[AUDIT_LINE_MAX + 1];
	struct audit_record record;
	const char *why = "a line of text";
	if (n > AUDIT_LINE_MAX) {
		put_unreadable(r, why);
		return;
	}
	memcpy(copy, line, n);
	copy[n] = '\0';
	if (audit_is_anchor(copy))
		return;
	if (audit_get_record(copy, &record, &why))
		put_unreadable(r, why);
	else if (is_wanted(r, &record))
		put_record(r, &record);
}

static int read_list(struct reading *r)
{
	const char *line;
	size_t n;
	int piece = AUDIT_FILE;
	for (int i = 0; piece && i < PIECE_LINES && r->out.len < PIECE; i++) {
		piece = audit_reader_next(r->reader, &line, &n);
		if (piece == AUDIT_LINE)
			take_line(r, line, n);
		else if (piece < 0 && piece != -ENOENT) /* else it was just dropped */
			put_unreadable(r, strerror(-piece));
	}
	return piece != AUDIT_NO_MORE;
}

static int open_list(struct reading *r)
{
	int e = audit_reader_open(&r->reader, r->directory, &r->end);
	if (e)
		return e;
	audit_reader_skip(r->reader, r->from_ns);
	r->read = read_list;
	return read_list(r);
}

static void put_told(struct reading *r, bool breaks, const char *file, uint64_t line, const char *what)
{
	struct msg *m = begin_answer(r);
	if (m) {
		msg_set(m, "file", file);
		msg_set_int(m, "line", (int64_t)line);
		msg_set_flag(m, "breaks", breaks);
		msg_text(m, what, strlen(what));
	}
	put_answer(r, m);
}

enum { TOLD_MOST = 1000 };

static void on_fault(void *data, const char *file, uint64_t line, const char *what)
{
	struct reading *r = data;
	if (r->walk.faults <= TOLD_MOST)
		put_told(r, true, file, line, what);
}

static void on_note(void *data, const char *file, uint64_t line, const char *what)
{
	put_told(data, false, file, line, what);
}

static void put_outcome(struct reading *r)
{
	const struct audit_walk *w = &r->walk;
	struct msg *m = begin_answer(r);
	if (m) {
		msg_set_int(m, "records", (int64_t)w->records);
		msg_set_int(m, "files", (int64_t)w->files);
		msg_set_int(m, "faults", (int64_t)w->faults);
		if (w->records) {
			msg_set_int(m, "last", (int64_t)w->next - 1);
			msg_set(m, "hash", w->last_hash);
		}
	}
	put_answer(r, m);
}

static int read_verify(struct reading *r)
{
	buf_clear(&r->out);
	r->walk = (struct audit_walk){.fault = on_fault, .note = on_note, .data = r,
	    .expected = {{.sequence = r->record, .hash = r->hash}}};
	int e = audit_verify(r->directory, &r->end, &r->walk);
	if (!e)
		put_outcome(r);
	return e;
}

static void on_work(uv_work_t *work)
{
	struct reading *r = work->data;
	r->result = r->read(r);
	if (r->out.failed)
		r->result = -ENOMEM;
}

/* --- on the loop --- */

static void on_worked(uv_work_t *work, int status);

static int read_on(struct reading *r)
{
	audit_written(r->call->core->audit, &r->end);
	int e = uv_queue_work(r->call->core->net.loop, &r->work, on_work, on_worked);
	if (e)
		return call_fail_errno(r->call, e);
	r->working = true;
	return CALL_LATER;
}

/* Whole answers only: those to other queries come between. */
static void put_piece(struct reading *r)
{
	size_t n = r->asker->cut(r->out.data, r->out.len, PIECE);
	r->call->answered = true;
	r->asker->put(r->call, r->out.data, n);
	buf_consume(&r->out, n);
}

int audit_query_more(struct call *c)
{
	struct reading *r = c->state;
	if (r->out.len)
		put_piece(r);
	else
		return read_on(r);
	return r->out.len || r->result ? CALL_MORE : CALL_DONE;
}

static int settle(struct reading *r)
{
	struct call *c = r->call;
	if (r->result == -EAGAIN && r->again++ < AGAIN_MOST)
		return read_on(r);
	if (r->result < 0)
		return call_fail(c, "failed", "%s.%s: %s: %s", c->op->noun, c->op->verb, r->directory, strerror(-r->result));
	return r->out.len || r->result ? audit_query_more(c) : CALL_DONE;
}

static void on_worked(uv_work_t *work, int status)
{
	struct reading *r = work->data;
	struct call *c = r->call;
	r->working = false;
	if (!c) {
		reading_free(r);
		return;
	}
	int next = settle(r);
	if (next == CALL_DONE)
		call_end(c);
	else if (next >= 0)
		c->more = next == CALL_MORE;
}

void audit_query_over(struct call *c)
{
	struct reading *r = c->state;
	if (!r)
		return;
	r->call = NULL;
	if (!r->working)
		reading_free(r);
	else
		uv_cancel((uv_req_t *)&r->work); /* if no worker has begun; on_worked comes in any case */
}

static int begin(struct call *c, struct reading *take_r)
{
	struct reading *r = take_r;
	if (r && (!r->directory || !r->what || !r->wanted || !r->hash)) {
		reading_free(r);
		r = NULL;
	}
	if (!r)
		return call_fail(c, "failed", "no memory");
	c->state = r;
	return read_on(r);
}

static struct reading *new_for(struct call *c, const char *what, const char *wanted, const char *hash)
{
	struct reading *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	*r = (struct reading){.call = c, .asker = c->asker->type, .id = c->id, .work.data = r,
	    .directory = strdup(audit_directory(c->core->audit)), .what = strdup(what), .wanted = strdup(wanted),
	    .hash = strdup(hash)};
	return r;
}

int audit_list_run(struct call *c)
{
	if (c->one_way)
		return CALL_DONE;
	struct reading *r = new_for(c, c->args[0].text, c->args[2].text, "");
	if (r) {
		r->uid = c->args[1].number;
		r->from_ns = c->args[3].number;
		r->to_ns = c->args[4].number;
		r->read = open_list;
	}
	return begin(c, r);
}

int audit_verify_run(struct call *c)
{
	int64_t record = c->args[0].number;
	if ((record > 0) != (strlen(c->args[1].text) == AUDIT_HASH - 1))
		return call_fail(c, "bad-argument", "audit.verify: record and hash go together, a number from 1 and %d digits",
		    AUDIT_HASH - 1);
	if (c->one_way)
		return CALL_DONE;
	struct reading *r = new_for(c, "", "", c->args[1].text);
	if (r) {
		r->record = (uint64_t)record;
		r->read = read_verify;
	}
	return begin(c, r);
}
