/* SPDX-License-Identifier: Apache-2.0 */
#include "core/limited.h"

#include <errno.h>

#include "os/clock.h"
#include "os/descriptors.h"
#include "os/log.h"
#include "os/notify.h"

/* --- descriptors --- */

static const int64_t TELL_AGAIN_NS = 60000000000;

static void see_descriptors(struct core *core)
{
	struct limit_row *row = &core->limits.v[LIMIT_DESCRIPTORS];
	row->most = descriptors_most();
	row->used = descriptors_open();
	if (row->used > row->peak)
		row->peak = row->used;
}

int limited_trouble(const struct core *core, struct buf *ret_what)
{
	const struct limit_row *row = &core->limits.v[LIMIT_DESCRIPTORS];
	if (!core->starved)
		return 0;
	buf_putf(ret_what, "%lld of %lld descriptors are open: new connections wait until others close", (long long)row->used,
	    (long long)row->most);
	return -EMFILE;
}

/* The log has one line a minute, however often a table that is nearly full is filled again. */
static void tell_starved(struct core *core)
{
	int64_t now_ns = clock_mono_ns();
	struct buf text = BUF_INIT;
	limited_trouble(core, &text);
	notify_status(buf_str(&text));
	if (!core->told_starved_ns || now_ns - core->told_starved_ns > TELL_AGAIN_NS) {
		core->told_starved_ns = now_ns;
		log_event(LOG_WARNING, "limits", "%s", buf_str(&text));
	}
	buf_release(&text);
}

static void on_descriptors(void *data, bool few)
{
	struct core *core = data;
	if (!few) {
		if (!--core->starved)
			notify_status("connections are accepted again");
		return;
	}
	core->starved++;
	see_descriptors(core);
	limits_refuse(&core->limits, LIMIT_DESCRIPTORS);
	tell_starved(core);
}

void limited_set(struct core *core, const struct limit_values *values)
{
	limits_set(&core->limits, values);
	log_rates((unsigned)core->limits.v[LIMIT_LOG_BURST].most, (unsigned)core->limits.v[LIMIT_LOG_RATE].most);
}

void limited_start(struct core *core, const struct limit_values *values)
{
	limited_set(core, values);
	core->net.descriptors = on_descriptors;
	core->net.descriptors_data = core;
}

/* --- telling --- */

static void put_row(struct call *c, enum limit what)
{
	static const char *const forms[] = {[LIMIT_COUNT] = "number", [LIMIT_SIZE] = "size", [LIMIT_TIME] = "time",
	    [LIMIT_RATE] = "rate"};
	const struct limit_type *t = &limit_types[what];
	const struct limit_row *row = &c->core->limits.v[what];
	bool known = t->form == LIMIT_COUNT || t->form == LIMIT_SIZE;
	struct msg *m = pattern_match(c->args[0].text, t->name) ? call_answer(c, "limit") : NULL;
	if (!m)
		return;
	msg_set(m, "name", t->name);
	msg_set(m, "of", limit_of_names[t->of]);
	msg_set(m, "form", forms[t->form]);
	msg_set_int(m, "most", row->most);
	if (known && (t->of == LIMIT_OF_DAEMON || t->of == LIMIT_OF_UID))
		msg_set_int(m, "used", limits_used(&c->core->limits, what));
	if (known)
		msg_set_int(m, "peak", row->peak);
	msg_set_int(m, "refused", (int64_t)row->refused);
	msg_set(m, "doc", t->doc);
	call_send(c, m);
}

static int run_list(struct call *c)
{
	see_descriptors(c->core);
	peers_count_pending(c->core);
	c->core->limits.v[LIMIT_LOG_RATE].refused = log_left_out();
	for (enum limit what = 0; what < LIMITS_N; what++)
		put_row(c, what);
	return CALL_DONE;
}

static const struct op_field fields[] = {
    {"name", OP_NAME, "as in limits { } of vigia.conf; descriptors: the system's"},
    {"of", OP_TEXT, "what it is for one of: daemon, uid, connection, host, channel, node, component"},
    {"form", OP_TEXT, "number, size (bytes), time (ns) or rate (a number, at once or a second)"},
    {"most", OP_INTEGER, "how much there may be"},
    {"used", OP_INTEGER, "how much there is; of users: that one has who has most"},
    {"peak", OP_INTEGER, "the most that there was since the daemon began"},
    {"refused", OP_INTEGER, "how often there was no room"},
    {"doc", OP_TEXT, "what it bounds"},
    {NULL},
};

static const struct op ops[] = {
    {"limit", "list", "how much of what peers may make this daemon hold, and how much they do", OP_READS, ROLE_CLIENT,
	.args = {{"limit", OP_PATTERN, "names"}}, .run = run_list, .fields = fields},
    {NULL},
};

const struct service limit_service = {.name = "limit", .doc = "what peers may make this daemon hold", .ops = ops};
