/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/log.h"

enum { RETRY_MS = 2000, TELL_MS = 10000, SLACK = 65536 /* for what is told of what was left out */ };
static const int64_t HANGS_NS = 10000000000;

struct job {
	uv_work_t work;
	struct audit *audit;
	struct buf lines, why;
	size_t bytes; /* of lines, when it began */
	int64_t since_ns; /* 0: not under way */
	int result;
};

struct audit {
	uv_loop_t *loop;
	struct audit_files *files; /* the job's, while that is under way */
	char *directory, host[AUDIT_HOST];
	enum audit_unwritable unwritable;
	int64_t file_size;
	unsigned keep;
	struct buf queue;
	struct job job;
	uv_timer_t retry, tell;
	bool stopped, telling;
	struct audit_rates rates;
	uint64_t lost; /* not yet told */
	struct audit_end written;
	char trouble[400], found[600]; /* "": all is well */
};

static bool is_under_way(const struct audit *a)
{
	return a->job.since_ns;
}

static size_t waiting(const struct audit *a)
{
	return a->queue.len + (is_under_way(a) ? a->job.bytes : a->job.lines.len);
}

/* --- putting --- */

static void write_more(struct audit *a);

static bool has_room(const struct audit *a, size_t most)
{
	return waiting(a) + AUDIT_LINE_MAX <= most;
}

static bool queue_record(struct audit *a, const struct audit_record *r, size_t most)
{
	if (!has_room(a, most) || !buf_reserve(&a->queue, AUDIT_LINE_MAX)) {
		a->queue.failed = false;
		return false;
	}
	audit_put_record(&a->queue, r);
	buf_putc(&a->queue, '\n');
	return true;
}

static struct audit_record own_record(const struct audit *a, const char *what, const char *args)
{
	return (struct audit_record){.time_ns = clock_wall_ns(), .uid = geteuid(), .pid = (uint32_t)getpid(), .host = a->host,
	    .how = AUDIT_ITSELF, .address = "", .what = what, .result = "done", .code = "", .args = args};
}

static void put_count(struct buf *args, uint64_t n)
{
	char text[32];
	audit_put_arg(args, "count", text, (size_t)snprintf(text, sizeof text, "%" PRIu64, n));
}

static bool tell_left_out(struct audit *a, const struct audit_rate *rate)
{
	static const char *const of[] = {
	    [AUDIT_CHANGE] = "changes", [AUDIT_TRAFFIC] = "traffic", [AUDIT_REFUSAL] = "refusals"};
	struct buf args = BUF_INIT, since = BUF_INIT;
	audit_put_arg(&args, "of", of[rate->kind], strlen(of[rate->kind]));
	put_count(&args, rate->left_out);
	audit_put_time(&since, rate->since_ns);
	audit_put_arg(&args, "since", since.data ? since.data : "", since.len);
	struct audit_record r = own_record(a, "audit.left-out", buf_str(&args));
	r.uid = rate->uid;
	r.pid = 0;
	r.host = rate->host;
	r.how = *rate->how ? rate->how : "others";
	bool told = queue_record(a, &r, AUDIT_QUEUE);
	buf_release(&args);
	buf_release(&since);
	return told;
}

static void tell_all_left_out(struct audit *a)
{
	struct audit_rate *rate;
	while ((rate = audit_rates_left_out(&a->rates)) && tell_left_out(a, rate))
		rate->left_out = 0;
	a->telling = rate;
}

static void on_tell(uv_timer_t *timer)
{
	struct audit *a = timer->data;
	tell_all_left_out(a);
	if (a->telling)
		uv_timer_start(&a->tell, on_tell, TELL_MS, 0);
	write_more(a);
}

bool audit_takes(struct audit *a, const struct audit_record *who, enum audit_kind kind)
{
	if (audit_rates_take(&a->rates, who, kind, clock_mono_ns()))
		return true;
	if (!a->telling && !a->stopped)
		uv_timer_start(&a->tell, on_tell, TELL_MS, 0);
	a->telling = true;
	return false;
}

void audit_put(struct audit *a, const struct audit_record *r, enum audit_kind kind)
{
	if (!queue_record(a, r, kind == AUDIT_CHANGE ? AUDIT_QUEUE - SLACK : AUDIT_QUEUE / 2))
		a->lost++;
	write_more(a);
}

/* --- writing: on a worker --- */

static void do_write(uv_work_t *work)
{
	struct job *j = work->data;
	j->result = audit_files_write(j->audit->files, &j->lines, &j->why);
}

/* --- writing: on the loop --- */

static void on_retry(uv_timer_t *timer)
{
	write_more(timer->data);
}

static void went_wrong(struct audit *a)
{
	struct job *j = &a->job;
	bool first = !*a->trouble;
	snprintf(a->trouble, sizeof a->trouble, "%s: %s", a->directory,
	    j->why.len ? buf_str(&j->why) : strerror(-j->result));
	if (first)
		log_event(LOG_ERR, "audit", "%s; tried again until it is well", a->trouble);
	if (!a->stopped)
		uv_timer_start(&a->retry, on_retry, RETRY_MS, 0);
}

/* What was wrong is itself part of the log, with how much of it is missing. */
static void tell_recovery(struct audit *a)
{
	struct buf args = BUF_INIT;
	audit_put_arg(&args, "trouble", a->trouble, strlen(a->trouble));
	put_count(&args, a->lost);
	struct audit_record r = own_record(a, "audit.recover", buf_str(&args));
	if (queue_record(a, &r, AUDIT_QUEUE))
		a->lost = 0;
	buf_release(&args);
}

static void take_found(struct audit *a, const char *what)
{
	snprintf(a->found, sizeof a->found, "%s. `vigia audit --verify` tells more", what);
	log_event(LOG_ERR, "audit", "%s", a->found);
}

static void went_well(struct audit *a)
{
	if (a->job.why.len)
		take_found(a, buf_str(&a->job.why));
	if (*a->trouble || a->lost)
		tell_recovery(a);
	if (*a->trouble)
		log_event(LOG_NOTICE, "audit", "%s is written again", a->directory);
	*a->trouble = '\0';
}

static void settle(struct audit *a)
{
	a->job.since_ns = 0;
	audit_files_end(a->files, &a->written);
	if (a->job.result)
		went_wrong(a);
	else
		went_well(a);
	buf_release(&a->job.why);
	if (!a->job.lines.len)
		buf_release(&a->job.lines);
}

static void on_written(uv_work_t *work, int status)
{
	struct job *j = work->data;
	settle(j->audit);
	if (!j->result)
		write_more(j->audit);
}

static bool fill(struct audit *a)
{
	struct job *j = &a->job;
	if (!j->lines.len) {
		buf_release(&j->lines);
		j->lines = a->queue;
		a->queue = (struct buf)BUF_INIT;
	} else if (buf_reserve(&j->lines, a->queue.len)) {
		buf_put(&j->lines, a->queue.data, a->queue.len);
		buf_release(&a->queue);
	} else {
		j->lines.failed = false;
	}
	j->bytes = j->lines.len;
	audit_files_configure(a->files, a->file_size, a->keep);
	return j->bytes || *a->trouble;
}

static void write_more(struct audit *a)
{
	if (is_under_way(a) || a->stopped || uv_is_active((uv_handle_t *)&a->retry) || !fill(a))
		return;
	if (!uv_queue_work(a->loop, &a->job.work, do_write, on_written))
		a->job.since_ns = clock_mono_ns();
}

/* --- what becomes of changes --- */

static bool hangs(const struct audit *a)
{
	return is_under_way(a) && clock_mono_ns() - a->job.since_ns > HANGS_NS;
}

static bool takes_no_more(const struct audit *a)
{
	if (a->unwritable == AUDIT_REFUSE && (*a->trouble || hangs(a)))
		return true;
	return a->unwritable != AUDIT_GO_ON && !has_room(a, AUDIT_QUEUE - 2 * SLACK);
}

int audit_may_change(struct audit *a, const struct audit_record *r, bool trusted, struct buf *why)
{
	if (takes_no_more(a)) {
		buf_puts(why, "the audit log can't be written, and what can't be recorded is not done: see `vigia status`");
		return -EIO;
	}
	if (trusted || audit_rates_may_change(&a->rates, r, clock_mono_ns()))
		return 0;
	buf_puts(why, "too many changes by one user in too little time, each of which is recorded");
	return -EAGAIN;
}

static void put_trouble(const struct audit *a, struct buf *ret_what)
{
	if (*a->trouble || hangs(a))
		buf_putf(ret_what, "%s%s; %zu KiB wait in memory", *a->trouble ? a->trouble : a->directory,
		    *a->trouble ? "" : ": the disk takes nothing", waiting(a) / 1024);
	if (takes_no_more(a))
		buf_puts(ret_what, "; changes are refused");
	if (a->lost)
		buf_putf(ret_what, "%s%" PRIu64 " records are lost", ret_what->len ? "; " : "", a->lost);
	if (*a->found)
		buf_putf(ret_what, "%s%s", ret_what->len ? "; " : "", a->found);
}

int audit_trouble(const struct audit *a, struct buf *ret_what)
{
	size_t before = ret_what->len;
	put_trouble(a, ret_what);
	return ret_what->len > before ? -EIO : 0;
}

const char *audit_directory(const struct audit *a)
{
	return a->directory;
}

void audit_written(const struct audit *a, struct audit_end *ret)
{
	*ret = a->written;
}

/* --- start and end --- */

static void put_own(struct audit *a, const char *what)
{
	struct buf args = BUF_INIT;
	audit_put_arg(&args, "version", VIGIA_VERSION, strlen(VIGIA_VERSION));
	struct audit_record r = own_record(a, what, buf_str(&args));
	audit_put(a, &r, AUDIT_CHANGE);
	buf_release(&args);
}

/* The end of the log goes to another log as well: what is cut off its end is missed there. */
static void log_end(const struct audit *a)
{
	if (a->written.sequence)
		log_event(LOG_NOTICE, "audit", "record %" PRIu64 " has the hash %s", a->written.sequence, a->written.hash);
}

static struct audit *new_on(uv_loop_t *loop, const struct audit_options *o)
{
	struct audit *a = calloc(1, sizeof *a);
	if (!a || !(a->directory = strdup(o->files.directory))) {
		free(a);
		return NULL;
	}
	a->loop = loop;
	snprintf(a->host, sizeof a->host, "%s", o->files.host);
	a->job.audit = a;
	a->job.work.data = &a->job;
	audit_configure(a, o);
	return a;
}

int audit_open(struct audit **ret, uv_loop_t *loop, const struct audit_options *o)
{
	struct buf found = BUF_INIT, noted = BUF_INIT;
	struct audit *a = new_on(loop, o);
	int r = a ? audit_files_open(&a->files, &o->files, &found, &noted) : -ENOMEM;
	if (r) {
		free(a ? a->directory : NULL);
		free(a);
		return r;
	}
	if (found.len)
		take_found(a, buf_str(&found));
	if (noted.len)
		log_event(LOG_WARNING, "audit", "%s", buf_str(&noted));
	buf_release(&found);
	buf_release(&noted);
	uv_timer_init(loop, &a->retry);
	uv_timer_init(loop, &a->tell);
	a->retry.data = a->tell.data = a;
	audit_files_end(a->files, &a->written);
	log_end(a);
	put_own(a, "daemon.start");
	*ret = a;
	return 0;
}

void audit_configure(struct audit *a, const struct audit_options *o)
{
	a->unwritable = o->unwritable;
	a->rates.changes = o->changes;
	a->file_size = o->files.file_size;
	a->keep = o->files.files;
}

void audit_stop(struct audit *a)
{
	tell_all_left_out(a);
	put_own(a, "daemon.end");
	a->stopped = true;
	uv_close((uv_handle_t *)&a->retry, NULL);
	uv_close((uv_handle_t *)&a->tell, NULL);
}

void audit_free(struct audit *a)
{
	if (!a)
		return;
	if (fill(a)) {
		do_write(&a->job.work);
		settle(a);
	}
	log_end(a);
	audit_files_close(a->files);
	buf_release(&a->queue);
	buf_release(&a->job.lines);
	free(a->directory);
	free(a);
}
