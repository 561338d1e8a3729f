/* SPDX-License-Identifier: Apache-2.0 */
#include "core/inquiry.h"

#include <stdio.h>
#include <stdlib.h>

struct inquiry {
	struct asker asker;
	const struct inquiry_type *type;
	void *owner; /* NULL: it is freed at the end of the turn */
	int64_t asked;
	uv_timer_t end;
};

static struct inquiry *inquiry_of(const struct asker *a)
{
	return (struct inquiry *)((char *)(uintptr_t)a - offsetof(struct inquiry, asker));
}

static void on_answer(struct call *c, const struct msg *m)
{
	struct inquiry *q = inquiry_of(c->asker);
	if (q->owner)
		q->type->answer(q->owner, c->id, m);
}

static void on_over(struct call *c, const char *code, const char *text)
{
	struct inquiry *q = inquiry_of(c->asker);
	if (q->owner)
		q->type->over(q->owner, c->id, code, text);
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

static const struct asker_type inquiry_asker = {.answer = on_answer, .over = on_over, .encode = frames_encode,
    .cut = frames_cut, .frames = on_frames, .want = on_want, .pending = pending};

struct inquiry *inquiry_new(struct core *core, const struct inquiry_type *type, void *owner)
{
	struct inquiry *q = calloc(1, sizeof *q);
	if (!q)
		return NULL;
	*q = (struct inquiry){.type = type, .owner = owner};
	q->asker = (struct asker){.type = &inquiry_asker, .core = core, .role = "client", .roles = ROLE_CLIENT, .uid = (uid_t)-1,
	    .foreign = true, .entity = ++core->askers};
	snprintf(q->asker.address, sizeof q->asker.address, "%s", type->name);
	uv_timer_init(core->net.loop, &q->end);
	q->end.data = q;
	return q;
}

static void on_closed(uv_handle_t *h)
{
	struct inquiry *q = h->data;
	asker_drop_calls(&q->asker);
	free(q);
}

void inquiry_free(struct inquiry *q)
{
	if (!q)
		return;
	q->owner = NULL;
	uv_close((uv_handle_t *)&q->end, on_closed);
}

void inquiry_ask(struct inquiry *q, const struct host_id *to, int64_t deadline_ms,
    const struct frame_caller *caller, struct msg *take_query)
{
	char whom[HOST_ID_TEXT];
	struct asked asked = {.id = ++q->asked, .to = whom, .deadline_ms = deadline_ms, .caller = *caller};
	if (!take_query || msg_failed(take_query)) {
		msg_free(take_query);
		q->type->over(q->owner, asked.id, "failed", "no memory");
		return;
	}
	host_id_format(to, whom);
	dispatch(&q->asker, &asked, take_query);
}
