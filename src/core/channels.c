/* SPDX-License-Identifier: Apache-2.0 */
#include "core/channels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/names.h"
#include "os/clock.h"

enum { READ_AT_ONCE = 65536, KEY_MAX = 200, OWN_LOG = 256 << 10 };

struct subscription;

struct entry {
	char *key; /* first: base/names.h */
	struct channel *channel;
	uint64_t number;
	uid_t owner;
	bool open_to_all; /* to put and subscribe */
	bool readable;	  /* to subscribe: the core's own */
	struct subscription *subscriptions;
	unsigned subscriptions_n;
};

struct channels {
	struct names by_key;
	struct entry **by_number; /* number - 1 */
	size_t n, size;
	uv_timer_t waiting; /* for causes */
	struct buf out;
};

/* The core's own: who reads them knows them by these keys, so they are nobody else's. */
static const char *const own_keys[] = {"hosts", "leases"};

/* --- finding --- */

static struct entry *find_number(const struct core *core, uint64_t number)
{
	const struct channels *s = core->channels;
	return number && number <= s->n ? s->by_number[number - 1] : NULL;
}

/* By key, or by number as "#12". */
static struct entry *find(const struct core *core, const char *name)
{
	int64_t number;
	if (*name == '#' && !msg_parse_int(name + 1, &number))
		return find_number(core, (uint64_t)number);
	return names_find(&core->channels->by_key, name);
}

static bool owns(const struct call *c, const struct entry *e)
{
	return call_trusted(c) || call_is_of(c, e->owner);
}

enum right { OWN, PUT, READ };

static bool may(const struct call *c, const struct entry *e, enum right right)
{
	return owns(c, e) || (right != OWN && e->open_to_all) || (right == READ && e->readable);
}

static struct entry *find_for(struct call *c, enum right right)
{
	struct entry *e = find(c->core, c->args[0].text);
	if (!e)
		call_fail(c, "not-found", "no channel has the key %s", c->args[0].text);
	else if (e->readable && right != READ)
		call_fail(c, "not-permitted", "channel %s is the daemon's own: what is in it is its word", e->key);
	else if (!may(c, e, right))
		call_fail(c, "not-permitted", "channel %s belongs to uid %d", e->key, (int)e->owner);
	else
		return e;
	return NULL;
}

/* --- creating --- */

static int keep_number(struct channels *s, struct entry *e)
{
	if (s->n == s->size) {
		size_t size = s->size ? s->size * 2 : 16;
		struct entry **more = realloc(s->by_number, size * sizeof *more);
		if (!more)
			return -ENOMEM;
		s->by_number = more;
		s->size = size;
	}
	s->by_number[s->n++] = e;
	e->number = s->n;
	return 0;
}

static void entry_free(struct entry *e)
{
	if (e->channel)
		channel_free(e->channel);
	free(e->key);
	free(e);
}

static int create(struct core *core, const char *key, size_t log, struct entry **ret)
{
	struct channels *s = core->channels;
	struct entry *e = calloc(1, sizeof *e);
	if (!e)
		return -ENOMEM;
	struct channel_id id = {.host = core->id, .number = s->n + 1};
	e->key = strdup(key);
	e->channel = e->key ? channel_new(&id, key, log) : NULL;
	int r = e->channel ? names_add(&s->by_key, e) : -ENOMEM;
	if (!r && (r = keep_number(s, e)))
		names_remove(&s->by_key, key);
	if (r) {
		entry_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

static void put_channel(struct call *c, const struct entry *e)
{
	char id[CHANNEL_ID_TEXT];
	struct msg *m = call_answer(c, "channel");
	if (!m)
		return;
	channel_id_format(channel_id_of(e->channel), id);
	msg_set(m, "key", e->key);
	msg_set(m, "id", id);
	msg_set_int(m, "number", (int64_t)e->number);
	msg_set_int(m, "owner", e->owner);
	msg_set_flag(m, "public", e->open_to_all);
	msg_set_int(m, "sequence", (int64_t)channel_sequence(e->channel));
	msg_set_int(m, "subscribers", e->subscriptions_n);
	call_send(c, m);
}

static int check_key(struct call *c)
{
	if (*c->args[0].text == '#' || strlen(c->args[0].text) > KEY_MAX)
		return call_fail(c, "bad-argument", "channel.create: a key has at most %d bytes and no # first", KEY_MAX);
	if (c->args[1].number > CHANNEL_LOG_MAX)
		return call_fail(c, "bad-argument", "channel.create: log must be at most %d bytes", CHANNEL_LOG_MAX);
	return 0;
}

static int create_for(struct call *c, struct entry **ret)
{
	if (c->core->channels->by_key.n >= CHANNELS_MAX)
		return call_fail(c, "too-many", "%d channels are as many as a host has", CHANNELS_MAX);
	int r = create(c->core, c->args[0].text, (size_t)c->args[1].number, ret);
	if (r)
		return call_fail(c, "failed", "%s", strerror(-r));
	(*ret)->owner = call_uid(c);
	(*ret)->open_to_all = c->args[2].number;
	return 0;
}

static int run_create(struct call *c)
{
	if (check_key(c))
		return -1;
	struct entry *e = find(c->core, c->args[0].text);
	if (e && !owns(c, e) && !e->open_to_all)
		return call_fail(c, "not-permitted", "channel %s belongs to uid %d", e->key, (int)e->owner);
	if (!e && create_for(c, &e))
		return -1;
	put_channel(c, e);
	return CALL_DONE;
}

static int run_list(struct call *c)
{
	struct entry *e = NULL;
	while ((e = names_after(&c->core->channels->by_key, e ? e->key : NULL)))
		if (pattern_match(c->args[0].text, e->key))
			put_channel(c, e);
	return CALL_DONE;
}

/* --- subscribing --- */

struct subscription {
	struct call *call;
	struct entry *entry;
	struct channel_reader *reader;
	struct subscription *next;
};

static void wake(struct channel_reader *r, void *data)
{
	struct subscription *s = data;
	s->call->more = true;
	s->call->asker->type->want(s->call->asker);
}

static int run_subscribe(struct call *c)
{
	struct entry *e = find_for(c, READ);
	if (!e)
		return -1;
	struct subscription *s = calloc(1, sizeof *s);
	struct channel_place place = {.mask = (uint32_t)c->args[1].number,
	    .after = c->args[2].number < 0 ? UINT64_MAX : (uint64_t)c->args[2].number};
	if (!s)
		return call_fail(c, "failed", "no memory");
	*s = (struct subscription){.call = c, .entry = e, .next = e->subscriptions};
	s->reader = channel_reader_new(e->channel, &place, wake, s);
	if (!s->reader) {
		free(s);
		return call_fail(c, "failed", "no memory");
	}
	e->subscriptions = s;
	e->subscriptions_n++;
	c->state = s;
	put_channel(c, e);
	return CALL_MORE;
}

static int more_subscribe(struct call *c)
{
	struct subscription *s = c->state;
	struct buf *out = &c->core->channels->out;
	buf_clear(out);
	bool more = channel_read(s->reader, out, (uint64_t)c->id, READ_AT_ONCE);
	if (out->len)
		c->asker->type->frames(c, out);
	return more ? CALL_MORE : CALL_LATER;
}

static void over_subscribe(struct call *c)
{
	struct subscription *s = c->state;
	if (!s)
		return;
	for (struct subscription **p = &s->entry->subscriptions; *p; p = &(*p)->next)
		if (*p == s) {
			*p = s->next;
			break;
		}
	s->entry->subscriptions_n--;
	channel_reader_free(s->reader);
	free(s);
}

/* --- deleting --- */

static void delete(struct core *core, struct entry *e)
{
	while (e->subscriptions) {
		struct call *c = e->subscriptions->call;
		more_subscribe(c);
		call_fail(c, "deleted", "channel %s was deleted", e->key);
	}
	core->channels->by_number[e->number - 1] = NULL;
	names_remove(&core->channels->by_key, e->key);
	entry_free(e);
}

static int run_delete(struct call *c)
{
	struct entry *e = find_for(c, OWN);
	if (!e)
		return -1;
	delete(c->core, e);
	return CALL_DONE;
}

/* --- putting --- */

static void on_waiting(uv_timer_t *timer);

static void tend(struct core *core, struct entry *e)
{
	int64_t now_ns = clock_mono_ns(), at_ns = channel_tick(e->channel, clock_wall_ns(), now_ns);
	uv_timer_t *timer = &core->channels->waiting;
	if (at_ns != INT64_MAX && !uv_is_active((uv_handle_t *)timer))
		uv_timer_start(timer, on_waiting, at_ns > now_ns ? (uint64_t)((at_ns - now_ns) / 1000000 + 1) : 0, 0);
}

static void on_waiting(uv_timer_t *timer)
{
	struct core *core = timer->data;
	for (size_t i = 0; i < core->channels->n; i++)
		if (core->channels->by_number[i])
			tend(core, core->channels->by_number[i]);
}

static int put(struct asker *a, struct entry *e, struct frame_event *event)
{
	event->sender = (struct entity_id){.host = a->core->id, .process = (uint32_t)a->pid, .entity = a->entity};
	int r = channel_put(e->channel, a->entity, event, clock_wall_ns(), clock_mono_ns());
	if (!r)
		tend(a->core, e);
	return r < 0 ? r : 0;
}

static int create_own(struct core *core, const char *key)
{
	struct entry *e;
	int r = create(core, key, OWN_LOG, &e);
	if (r)
		return r;
	e->owner = geteuid();
	e->readable = true;
	return 0;
}

int channels_put_own(struct core *core, const char *key, uint32_t tag, const void *data, size_t n)
{
	struct entry *e = find(core, key);
	struct frame_event event = {.tag = tag, .data = data, .n = n, .sender.host = core->id};
	if (!e)
		return -ENOENT;
	int r = channel_put(e->channel, 0, &event, clock_wall_ns(), clock_mono_ns());
	return r < 0 ? r : 0;
}

int channels_put_frame(struct asker *a, const struct frame *f, const char **ret_why)
{
	struct frame_event event;
	struct entry *e = find_number(a->core, f->number);
	int r = frame_get_event(f, &event);
	if (r)
		*ret_why = "an event has 52 bytes, its causes, then its data";
	else if (!e)
		*ret_why = "no channel has this number", r = -ENOENT;
	else if (asker_is_stranger(a))
		*ret_why = "only users of this host put", r = -EPERM;
	else if (e->readable)
		*ret_why = "the channel is the daemon's own", r = -EPERM;
	else if (!e->open_to_all && a->uid != e->owner && !asker_trusted(a))
		*ret_why = "the channel belongs to another user", r = -EPERM;
	else if ((r = put(a, e, &event)))
		*ret_why = strerror(-r);
	return r;
}

static int run_put(struct call *c)
{
	struct entry *e = find_for(c, PUT);
	if (!e)
		return -1;
	struct frame_event event = {.tag = (uint32_t)c->args[1].number, .data = c->args[2].bytes,
	    .n = c->args[2].n};
	int r = put(c->asker, e, &event);
	return r ? call_fail(c, r == -EMSGSIZE ? "too-large" : "failed", "%s", strerror(-r)) : CALL_DONE;
}

/* --- the table --- */

#define CHANNEL {"channel", OP_TEXT, "its key, or # and its number", .required = true}

static const struct op_field channel_fields[] = {
    {"key", OP_TEXT, "its name on its host"},
    {"id", OP_TEXT, "in the whole cluster"},
    {"number", OP_INTEGER, "on its host"},
    {"owner", OP_INTEGER, "the uid of who made it"},
    {"public", OP_FLAG, "may everybody put and subscribe"},
    {"sequence", OP_INTEGER, "of the newest event"},
    {"subscribers", OP_INTEGER, "how many"},
    {NULL},
};

static const struct op_field event_fields[] = {
    {"key", OP_TEXT, "of the channel"},
    {"id", OP_TEXT, "of the channel"},
    {"number", OP_INTEGER, "of the channel"},
    {"owner", OP_INTEGER, "the uid of who made the channel"},
    {"public", OP_FLAG, "may everybody put and subscribe"},
    {"subscribers", OP_INTEGER, "how many"},
    {"sequence", OP_INTEGER, "of the event"},
    {"time", OP_TIME, "when it was put, by the clock of the channel's host"},
    {"tag", OP_INTEGER, "what masks select by"},
    {"sender", OP_TEXT, "HOST/PROCESS/ENTITY"},
    {"data", OP_BYTES, "what it carries"},
    {"events", OP_INTEGER, "of a loss: how many"},
    {"before", OP_INTEGER, "of a loss: the sequence before which they were"},
    {NULL},
};

static const struct op ops[] = {
    {"channel", "create", "makes a channel, or finds the one that has this key", OP_ACTS, ROLE_CLIENT,
	.args = {{"key", OP_TEXT, "its name on this host", .required = true},
	    {"log", OP_INTEGER, "bytes it keeps for who lags", .fallback = CHANNEL_LOG},
	    {"public", OP_FLAG, "everybody may put and subscribe"}}, .run = run_create,
	.fields = channel_fields},
    {"channel", "list", "the channels of this host", OP_READS, ROLE_CLIENT,
	.args = {{"channel", OP_PATTERN, "keys"}}, .run = run_list, .fields = channel_fields},
    {"channel", "delete", "ends a channel; its subscribers are told", OP_ACTS, ROLE_CLIENT, .args = {CHANNEL},
	.run = run_delete},
    {"channel", "put", "an event for all who subscribe", OP_ACTS, ROLE_CLIENT,
	.args = {CHANNEL, {"tag", OP_INTEGER, "32 bits that masks select by; 0: for every mask"},
	    {"data", OP_BYTES, "what it carries, opaque"}}, .run = run_put},
    {"channel", "subscribe", "events as they come", OP_STREAMS, ROLE_CLIENT,
	.args = {CHANNEL, {"mask", OP_INTEGER, "tags: those with a bit of it", .fallback = UINT32_MAX},
	    {"after", OP_INTEGER, "the sequence seen last; without it: from now on", .fallback = -1}},
	.run = run_subscribe, .more = more_subscribe, .over = over_subscribe,
	.fields = event_fields},
    {NULL},
};

const struct service channel_service = {.name = "channel", .doc = "event channels of this host", .ops = ops};

/* --- start and end --- */

int channels_start(struct core *core)
{
	core->channels = calloc(1, sizeof *core->channels);
	if (!core->channels)
		return -ENOMEM;
	core->channels->waiting.data = core;
	uv_timer_init(core->net.loop, &core->channels->waiting);
	for (size_t i = 0; i < sizeof own_keys / sizeof *own_keys; i++) {
		int r = create_own(core, own_keys[i]);
		if (r)
			return r;
	}
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct core *core = h->data;
	names_release(&core->channels->by_key);
	free(core->channels->by_number);
	buf_release(&core->channels->out);
	free(core->channels);
	core->channels = NULL;
}

void channels_stop(struct core *core)
{
	for (size_t i = 0; i < core->channels->n; i++)
		if (core->channels->by_number[i])
			delete(core, core->channels->by_number[i]);
	uv_close((uv_handle_t *)&core->channels->waiting, on_closed);
}
