/* SPDX-License-Identifier: Apache-2.0 */
#include "core/leaving.h"

#include <string.h>

#include "core/channels.h"
#include "core/inquiry.h"
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

static void on_answer(void *owner, int64_t number, const struct msg *m)
{
	const char *step = msg_get(m, "step", "");
	struct steps_host *h = owner;
	if (!strcmp(step, "failed"))
		steps_fail(h, "%s", msg_get(m, "text", ""));
}

static void on_over(void *owner, int64_t number, const char *code, const char *text)
{
	struct steps_host *h = owner;
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

static const struct inquiry_type asks_hosts = {.name = "host.remove", .answer = on_answer, .over = on_over};

static struct msg *query_for(const struct steps_host *h)
{
	char which[HOST_ID_TEXT];
	struct msg *m = msg_new("host");
	if (!m)
		return NULL;
	host_id_format(&h->id, which);
	msg_set(m, "query", "remove");
	msg_text(msg_child(m, "host"), which, strlen(which));
	msg_set_flag(m, "here", true);
	return m;
}

static void ask(struct steps_host *h, const struct host_id *to)
{
	if (!h->work && !(h->work = inquiry_new(h->core, &asks_hosts, h))) {
		steps_fail(h, "no memory");
		return;
	}
	inquiry_ask(h->work, to, (h->deadline_ns - clock_mono_ns()) / 1000000, &steps_call(h)->caller, query_for(h));
}

static void release(struct steps_host *h)
{
	inquiry_free(h->work);
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
