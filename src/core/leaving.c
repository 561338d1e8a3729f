/* SPDX-License-Identifier: Apache-2.0 */
#include "core/leaving.h"

#include <stdlib.h>
#include <string.h>

#include "core/channels.h"
#include "core/steps.h"
#include "os/clock.h"
#include "os/log.h"

/* A daemon that leaves may be gone before its answer is here: its masters will say so. */
static const int64_t GONE_NS = 3000000000;

/* --- this host --- */

static void leave(struct core *core)
{
	log_event(LOG_NOTICE, "daemon", "is removed from the cluster");
	core->leaving = true;
	view_leave(core);
	registry_end(core);
	channels_end(core);
	if (core->end)
		core->end(core);
}

/* Those that it is asked to remove besides come first. */
static void remove_own(struct steps_host *h)
{
	h->waiting = "the others are not removed yet";
	if (!steps_is_last(h))
		return;
	h->begun = true;
	steps_then(h, leave);
	steps_tell(h, "leaving", "%s", "");
	steps_done(h);
}

/* --- others: asked --- */

/* The asker of queries to other hosts, for one host to be removed. */
struct request {
	struct asker asker;
	struct steps_host *host;
	unsigned asked;
};

static struct request *request_of(const struct asker *a)
{
	return (struct request *)((char *)(uintptr_t)a - offsetof(struct request, asker));
}

static void on_answer(struct call *c, const struct msg *m)
{
	const char *step = msg_get(m, "step", "");
	struct steps_host *h = request_of(c->asker)->host;
	if (!strcmp(step, "failed"))
		steps_fail(h, "%s", msg_get(m, "text", ""));
}

static void on_over(struct call *c, const char *code, const char *text)
{
	struct steps_host *h = request_of(c->asker)->host;
	int64_t soon_ns = clock_mono_ns() + GONE_NS;
	if (code && strcmp(code, "unreachable")) {
		steps_fail(h, "%s", text);
		return;
	}
	h->waiting = code ? "it can't be reached" : "its masters have not told of it";
	if (code && h->deadline_ns > soon_ns)
		h->deadline_ns = soon_ns;
	steps_look(h);
}

static void on_frames(struct call *c, const struct buf *frames)
{
}

static void on_want(struct asker *a)
{
}

static size_t pending(const struct asker *a)
{
	return 0;
}

static const struct asker_type request_asker = {.answer = on_answer, .over = on_over, .encode = frames_encode,
    .cut = frames_cut, .frames = on_frames, .want = on_want, .pending = pending};

/* In the name of who asked us. */
static struct request *request_new(struct steps_host *h)
{
	struct request *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->host = h;
	r->asker = (struct asker){.type = &request_asker, .core = h->core, .role = "client", .roles = ROLE_CLIENT,
	    .uid = (uid_t)-1, .foreign = true, .entity = ++h->core->askers};
	strcpy(r->asker.address, "host.remove");
	return r;
}

static void ask(struct steps_host *h, const struct host_id *to)
{
	char whom[HOST_ID_TEXT], which[HOST_ID_TEXT];
	struct request *r = h->work ? h->work : (h->work = request_new(h));
	struct msg *m = r ? msg_new("host") : NULL;
	if (!m) {
		steps_fail(h, "no memory");
		return;
	}
	host_id_format(to, whom);
	host_id_format(&h->id, which);
	msg_set(m, "query", "remove");
	msg_text(msg_child(m, "host"), which, strlen(which));
	msg_set_flag(m, "here", true);
	struct asked asked = {.id = ++r->asked, .to = whom, .caller = steps_call(h)->caller};
	asked.deadline_ms = (h->deadline_ns - clock_mono_ns()) / 1000000;
	dispatch(&r->asker, &asked, m);
}

static void release(struct steps_host *h)
{
	struct request *r = h->work;
	if (r)
		asker_drop_calls(&r->asker);
	free(r);
}

/* --- others --- */

static void ask_keeper(void *data, const struct view_row *row)
{
	struct steps_host *h = data;
	if (row->state != VIEW_UP || !view_keeps(h->core, &row->id))
		return;
	h->begun = true;
	ask(h, &row->id);
}

/* Who keeps the view tells all, and us. */
static void remove_absent(struct steps_host *h, bool just_here)
{
	h->waiting = "those who keep the view have not told of it";
	if (!just_here)
		view_each(h->core, false, ask_keeper, h);
	if (h->begun)
		return;
	h->begun = true;
	if (!just_here && view_is_kept_elsewhere(h->core))
		steps_fail(h, "it is not up, and no master is that could take it out of the view");
	else
		view_state(h->core, &h->id, VIEW_REMOVED);
}

static void remove_present(struct steps_host *h)
{
	h->begun = true;
	h->waiting = "it does not answer";
	steps_tell(h, "leaving", "%s", "");
	ask(h, &h->id);
}

static void begin(struct steps_host *h)
{
	const struct view_row *row = view_named(h->core, h->name);
	if (!row) {
		steps_fail(h, "no host has this name");
		return;
	}
	h->id = row->id;
	if (host_id_is(&row->id, &h->core->id))
		remove_own(h);
	else if (row->state == VIEW_REMOVED)
		steps_look(h);
	else if (row->state != VIEW_UP)
		remove_absent(h, steps_call(h)->args[2].number);
	else if (steps_call(h)->args[2].number)
		steps_fail(h, "it is up: its own daemon is to be asked");
	else
		remove_present(h);
}

static const struct steps_type removing = {
    .last = "removed", .until = VIEW_REMOVED, .begin = begin, .release = release};

int leaving_run(struct call *c)
{
	return steps_run(c, &removing, c->args[0].words, c->args[1].number);
}
