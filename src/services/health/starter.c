/* SPDX-License-Identifier: Apache-2.0 */
/* vigia-helper while this daemon serves. When it dies, its programs die with it, and its keeper starts another one:
 * then they are started again. A keeper that dies is not replaced: vigiad starts no process once it serves. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/helper.h"
#include "services/health/health.h"

struct starter {
	struct health *health; /* NULL until it is watched */
	struct helper *helper; /* NULL: its keeper is gone */
	bool ready;
	uv_poll_t poll;
	char why[200]; /* it is not ready because */
};

int starter_open(struct starter **ret, const char *program, const char *const dirs[2], struct buf *why)
{
	struct starter *s = calloc(1, sizeof *s);
	int r = s ? helper_open(program, dirs, 2, &s->helper, why) : -ENOMEM;
	if (r) {
		free(s);
		return r;
	}
	s->ready = true;
	*ret = s;
	return 0;
}

void starter_close(struct starter *s)
{
	if (!s)
		return;
	helper_close(s->helper);
	free(s);
}

struct helper *starter_helper(const struct starter *s)
{
	return s->ready ? s->helper : NULL;
}

static void lost(struct starter *s, const char *who, int status, const char *then)
{
	char how[100];
	supervise_describe_end(how, sizeof how, status, "");
	snprintf(s->why, sizeof s->why, "%s %s", who, how);
	s->ready = false;
	event_put(s->health, "helper-lost", s->health->core->name, NULL,
	    "%s, and with it the monitors that were started; %s", s->why, then);
	supervise_lost(s->health);
}

static void found(struct starter *s)
{
	s->ready = true;
	event_put(s->health, "helper-found", s->health->core->name, NULL, "vigia-helper runs again");
	supervise_again(s->health);
}

static void keeper_lost(struct starter *s)
{
	starter_stop(s);
	int status = helper_lost(s->helper);
	s->helper = NULL;
	lost(s, "vigia-keeper", status, "nobody starts them again until vigiad is restarted");
}

static void on_helper(uv_poll_t *poll, int status, int events)
{
	struct starter *s = poll->data;
	struct helper_notice notice;
	int r;
	while ((r = helper_read(s->helper, &notice)) > 0) {
		if (notice.kind == HELPER_LOST)
			lost(s, "vigia-helper", notice.result, "another one is started");
		else if (notice.kind == HELPER_READY)
			found(s);
		else
			supervise_notice(s->health, &notice);
	}
	if (r < 0)
		keeper_lost(s);
}

int starter_watch(struct starter *s, struct health *h)
{
	s->health = h;
	s->poll.data = s;
	int r = uv_poll_init(h->core->net.loop, &s->poll, helper_fd(s->helper));
	return r ? r : uv_poll_start(&s->poll, UV_READABLE, on_helper);
}

void starter_stop(struct starter *s)
{
	if (s->helper)
		uv_close((uv_handle_t *)&s->poll, NULL);
}

void starter_problems(const struct starter *s, struct call *c)
{
	if (!s->ready)
		query_problem(c, "helper", s->health->core->name, NULL,
		    "%s, so no monitor of this node's configuration runs; %s", s->why,
		    s->helper ? "it is started again. See who ends it: the kernel's log tells if memory ran out"
			      : "it does not come back by itself. Restart vigiad: systemctl restart vigiad");
}
