/* SPDX-License-Identifier: Apache-2.0 */
#include "core/channels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/names.h"
#include "core/chains.h"
#include "core/channel_entry.h"
#include "core/polls.h"
#include "os/clock.h"

enum { READ_AT_ONCE = 65536, KEY_MAX = 200, OWN_LOG = 256 << 10, BUCKETS = 1024 };

struct channels {
	struct names by_key;
	struct channel_entry *by_number[BUCKETS];
	uint64_t first, next; /* number of the first channel, and of the one that comes */
	uv_timer_t waiting; /* for causes */
	struct buf out;
};

/* The core's own: who reads them knows them by these keys, so they are nobody else's. */
static const char *const own_keys[] = {"hosts", "leases", "chains"};

/* --- finding --- */

/* A number is never given twice, in no life of the daemon: bit 62, 30 bits that are drawn when it starts, a count from 1. */
#define NUMBER_MARK (UINT64_C(1) << 62)
enum { LIFE_SHIFT = 32 };

static struct channel_entry **place_of(struct channels *s, uint64_t number)
{
	struct channel_entry **e = &s->by_number[number % BUCKETS];
	while (*e && (*e)->number != number)
		e = &(*e)->next;
	return e;
}

static struct channel_entry *find_number(const struct core *core, uint64_t number)
{
	return *place_of(core->channels, number);
}

struct channel_entry *channel_entry_find(const struct core *core, const char *name)
{
	int64_t number;
	struct channel_id id;
	if (*name == '#' && !msg_parse_int(name + 1, &number))
		return find_number(core, (uint64_t)number);
	if (!channel_id_parse(name, &id))
		return host_id_is(&id.host, &core->id) ? find_number(core, id.number) : NULL;
	return names_find(&core->channels->by_key, name);
}

struct channel_entry *channel_entry_next(const struct core *core, const struct channel_entry *after)
{
	return names_after(&core->channels->by_key, after ? after->key : NULL);
}

bool channel_entry_owned(const struct call *c, const struct channel_entry *e)
{
	return call_trusted(c) || call_is_of(c, e->owner);
}

static bool may(const struct call *c, const struct channel_entry *e, enum channel_right right)
{
	return channel_entry_owned(c, e) || (right != CHANNEL_OWN && e->open_to_all) ||
	       (right == CHANNEL_READ && e->readable);
}

/* An id says more than a key: whether it was there. */
static int say_it_is_not_there(struct call *c, const char *name)
{
	const struct channels *s = c->core->channels;
	struct channel_id id;
	if (channel_id_parse(name, &id))
		return call_fail(c, "not-found", "no channel has the key %s", name);
	if (!host_id_is(&id.host, &c->core->id))
		return call_fail(c, "not-found", "channel %s is on another host", name);
	if (id.number >> LIFE_SHIFT != s->first >> LIFE_SHIFT)
		return call_fail(c, "restarted", "vigiad was started anew since there was a channel %s: its events are gone", name);
	if (id.number - s->first < s->next - s->first)
		return call_fail(c, "deleted", "channel %s was deleted", name);
	return call_fail(c, "not-found", "there was no channel %s yet", name);
}

struct channel_entry *channel_entry_for(struct call *c, enum channel_right right)
{
	struct channel_entry *e = channel_entry_find(c->core, c->args[0].text);
	if (!e)
		say_it_is_not_there(c, c->args[0].text);
	else if (e->readable && right != CHANNEL_READ)
		call_fail(c, "not-permitted", "channel %s is the daemon's own: what is in it is its word", e->key);
	else if (!may(c, e, right))
		call_fail(c, "not-permitted", "channel %s belongs to uid %d", e->key, (int)e->owner);
	else
		return e;
	return NULL;
}

int channel_entry_check_after(struct call *c, const struct channel_entry *e, int64_t after)
{
	uint64_t sequence = channel_sequence(e->channel);
	if (after < 0 || (uint64_t)after <= sequence)
		return 0;
	return call_fail(c, "restarted", "channel %s has had %llu events: %lld was one of another channel, before this one was made",
	    e->key, (unsigned long long)sequence, (long long)after);
}

int channel_entry_check_bits(struct call *c, int i)
{
	return c->args[i].number <= UINT32_MAX ? 0 : call_fail_arg(c, i, "at most %u", UINT32_MAX);
}

/* --- creating --- */

static void entry_free(struct channel_entry *e)
{
	if (e->channel)
		channel_free(e->channel);
	free(e->key);
	free(e);
}

static int create(struct core *core, const char *key, size_t log, uid_t owner, struct channel_entry **ret)
{
	struct channels *s = core->channels;
	struct channel_entry *e = calloc(1, sizeof *e);
	if (!e)
		return -ENOMEM;
	struct channel_id id = {.host = core->id, .number = s->next};
	e->owner = owner;
	e->key = strdup(key);
	e->channel = e->key ? channel_new(&id, key, log) : NULL;
	int r = e->channel ? names_add(&s->by_key, e) : -ENOMEM;
	if (r) {
		entry_free(e);
		return r;
	}
	e->number = s->next++;
	*place_of(s, e->number) = e;
	channel_count(e->channel, &core->limits, uid_counted(owner));
	*ret = e;
	return 0;
}

static void put_channel(struct call *c, const struct channel_entry *e)
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
	msg_set_int(m, "chains", e->chains_n);
	msg_set_int(m, "early", (int64_t)channel_early(e->channel));
	call_send(c, m);
}

/* Who says nothing gets what he may have. */
static int64_t log_of(const struct call *c)
{
	int64_t most = c->core->limits.v[LIMIT_CHANNEL_LOG].most;
	return !msg_field(c->msg, "log") && most < c->args[1].number ? most : c->args[1].number;
}

static int check_key(struct call *c)
{
	struct channel_id id;
	if (*c->args[0].text == '#' || strlen(c->args[0].text) > KEY_MAX)
		return call_fail_arg(c, 0, "at most %d bytes with no # first", KEY_MAX);
	if (!channel_id_parse(c->args[0].text, &id))
		return call_fail_arg(c, 0, "a key, no id");
	return limits_allow(&c->core->limits, LIMIT_CHANNEL_LOG, log_of(c)) ? 0 : call_fail_limit(c, LIMIT_CHANNEL_LOG);
}

static int create_for(struct call *c, struct channel_entry **ret)
{
	enum limit reached = limits_take(&c->core->limits, LIMIT_CHANNELS, c->counted, 1);
	if (reached != LIMIT_NONE)
		return call_fail_limit(c, reached);
	int r = create(c->core, c->args[0].text, (size_t)log_of(c), call_uid(c), ret);
	if (r) {
		limits_give(&c->core->limits, LIMIT_CHANNELS, c->counted, 1);
		return call_fail_errno(c, r);
	}
	(*ret)->open_to_all = c->args[2].number;
	return 0;
}

static int run_create(struct call *c)
{
	if (check_key(c))
		return -1;
	struct channel_entry *e = names_find(&c->core->channels->by_key, c->args[0].text);
	if (e && !channel_entry_owned(c, e) && !e->open_to_all)
		return call_fail(c, "not-permitted", "channel %s belongs to uid %d", e->key, (int)e->owner);
	if (!e && create_for(c, &e))
		return -1;
	put_channel(c, e);
	return CALL_DONE;
}

static int run_info(struct call *c)
{
	struct channel_entry *e = channel_entry_find(c->core, c->args[0].text);
	if (!e)
		return say_it_is_not_there(c, c->args[0].text);
	put_channel(c, e);
	return CALL_DONE;
}

static int run_list(struct call *c)
{
	struct channel_entry *e = NULL;
	while ((e = channel_entry_next(c->core, e)))
		if (pattern_match(c->args[0].text, e->key))
			put_channel(c, e);
	return CALL_DONE;
}

/* --- subscribing --- */

struct subscription {
	struct call *call;
	struct channel_entry *entry;
	struct channel_reader *reader;
	bool chained;	  /* wants to know what is chained into it */
	struct msg *tell; /* that, not yet told */
	struct subscription *next;
};

static void wake(struct channel_reader *r, void *data)
{
	struct subscription *s = data;
	s->call->more = true;
	s->call->asker->type->want(s->call->asker);
}

static int subscribe(struct call *c, struct channel_entry *e)
{
	struct subscription *s = calloc(1, sizeof *s);
	struct channel_place place = {.mask = (uint32_t)c->args[1].number,
	    .after = c->args[2].number < 0 ? UINT64_MAX : (uint64_t)c->args[2].number, .progress = c->args[3].number};
	if (!s)
		return -ENOMEM;
	*s = (struct subscription){.call = c, .entry = e, .chained = c->args[4].number, .next = e->subscriptions};
	s->reader = channel_reader_new(e->channel, &place, wake, s);
	if (!s->reader) {
		free(s);
		return -ENOMEM;
	}
	e->subscriptions = s;
	e->subscriptions_n++;
	c->state = s;
	return 0;
}

static int run_subscribe(struct call *c)
{
	struct channel_entry *e = channel_entry_check_bits(c, 1) ? NULL : channel_entry_for(c, CHANNEL_READ);
	if (!e || channel_entry_check_after(c, e, c->args[2].number))
		return -1;
	if (subscribe(c, e))
		return call_fail(c, "failed", "no memory");
	put_channel(c, e);
	if (c->args[4].number)
		call_send(c, chains_upstreams(c, e->channel));
	return CALL_MORE;
}

/* What is chained into it before what that brought. */
static int more_subscribe(struct call *c)
{
	struct subscription *s = c->state;
	struct buf *out = &c->core->channels->out;
	call_send(c, s->tell);
	s->tell = NULL;
	buf_clear(out);
	bool more = channel_read(s->reader, out, (uint64_t)c->id, READ_AT_ONCE);
	if (out->len)
		call_frames(c, out);
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
	msg_free(s->tell);
	free(s);
}

void channel_entry_tell_upstreams(struct core *core, struct channel_entry *e)
{
	for (struct subscription *s = e->subscriptions; s; s = s->next) {
		if (!s->chained)
			continue;
		msg_free(s->tell);
		s->tell = chains_upstreams(s->call, e->channel);
		wake(s->reader, s);
	}
}

/* --- deleting --- */

/* As much as goes at once; the rest is lost with the channel. */
static void read_last(struct call *c)
{
	struct subscription *s = c->state;
	struct buf *out = &c->core->channels->out;
	if (more_subscribe(c) != CALL_MORE)
		return;
	uint64_t sequence = channel_sequence(s->entry->channel), position = channel_reader_position(s->reader);
	buf_clear(out);
	if (sequence > position && !frame_put_lost(out, (uint64_t)c->id, sequence - position, sequence + 1))
		call_frames(c, out);
}

static void delete(struct core *core, struct channel_entry *e)
{
	while (e->subscriptions) {
		struct call *c = e->subscriptions->call;
		read_last(c);
		call_fail(c, "deleted", "channel %s was deleted", e->key);
	}
	polls_end(e);
	chains_end(core, e);
	*place_of(core->channels, e->number) = e->next;
	names_remove(&core->channels->by_key, e->key);
	limits_give(&core->limits, LIMIT_CHANNELS, uid_counted(e->owner), 1);
	entry_free(e);
}

static int run_delete(struct call *c)
{
	struct channel_entry *e = channel_entry_for(c, CHANNEL_OWN);
	if (!e)
		return -1;
	delete(c->core, e);
	return CALL_DONE;
}

/* --- putting --- */

static void on_waiting(uv_timer_t *timer);

void channel_entry_tend(struct core *core, struct channel_entry *e)
{
	int64_t now_ns = clock_mono_ns(), at_ns = channel_tick(e->channel, clock_wall_ns(), now_ns);
	uv_timer_t *timer = &core->channels->waiting;
	if (at_ns != INT64_MAX && !uv_is_active((uv_handle_t *)timer))
		uv_timer_start(timer, on_waiting, at_ns > now_ns ? (uint64_t)((at_ns - now_ns) / 1000000 + 1) : 0, 0);
}

static void on_waiting(uv_timer_t *timer)
{
	struct core *core = timer->data;
	struct channel_entry *e = NULL;
	while ((e = channel_entry_next(core, e)))
		channel_entry_tend(core, e);
}

static int put(struct asker *a, struct channel_entry *e, struct frame_event *event)
{
	event->sender = (struct entity_id){.host = a->core->id, .process = (uint32_t)a->pid, .entity = a->entity};
	int r = channel_put(e->channel, a->entity, event, clock_wall_ns(), clock_mono_ns());
	if (!r)
		channel_entry_tend(a->core, e);
	return r < 0 ? r : 0;
}

static int create_own(struct core *core, const char *key)
{
	struct channel_entry *e;
	int r = create(core, key, OWN_LOG, geteuid(), &e);
	if (r)
		return r;
	limits_force(&core->limits, LIMIT_CHANNELS, LIMITS_NOBODY, 1);
	e->readable = true;
	return 0;
}

int channels_put_own(struct core *core, const char *key, uint32_t tag, const void *data, size_t n)
{
	struct channel_entry *e = channel_entry_find(core, key);
	struct frame_event event = {.tag = tag, .data = data, .n = n, .sender.host = core->id};
	if (!e)
		return -ENOENT;
	int r = channel_put(e->channel, 0, &event, clock_wall_ns(), clock_mono_ns());
	return r < 0 ? r : 0;
}

int channels_put_frame(struct asker *a, const struct frame *f, const char **ret_why)
{
	struct frame_event event;
	struct channel_entry *e = find_number(a->core, f->number);
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
	struct channel_entry *e = channel_entry_check_bits(c, 1) ? NULL : channel_entry_for(c, CHANNEL_PUT);
	if (!e)
		return -1;
	struct frame_event event = {.tag = (uint32_t)c->args[1].number, .data = c->args[2].bytes,
	    .n = c->args[2].n};
	int r = put(c->asker, e, &event);
	if (r == -EMSGSIZE)
		return call_fail(c, "too-large", "channel.put: data must be at most %d bytes, not %zu", CHANNEL_DATA_MAX, event.n);
	return r ? call_fail_errno(c, r) : CALL_DONE;
}

/* --- the table --- */

#define CHANNEL {"channel", OP_TEXT, "its key, its id, or # and its number", .required = true}
#define MASK {"mask", OP_INTEGER, "tags: those with a bit of it", .fallback = UINT32_MAX}
#define SOURCE {"from", OP_TEXT, "key or id of the channel whose events come in", .required = true}, \
	{"host", OP_NAME, "where that one is; without it: here, or where its id says"}

static const struct op_field channel_fields[] = {
    {"key", OP_TEXT, "its name on its host"},
    {"id", OP_TEXT, "in the whole cluster"},
    {"number", OP_INTEGER, "on its host"},
    {"owner", OP_INTEGER, "the uid of who made it"},
    {"public", OP_FLAG, "may everybody put and subscribe"},
    {"sequence", OP_INTEGER, "of the newest event"},
    {"subscribers", OP_INTEGER, "how many"},
    {"chains", OP_INTEGER, "how many channels come into it"},
    {"early", OP_INTEGER, "events that came before one that caused them: that one took more than a second"},
    {NULL},
};

#define EVENT_FIELDS \
	{"time", OP_TIME, "when it was put, by the clock of the channel's host"}, {"tag", OP_INTEGER, "what masks select by"}, \
	{"sender", OP_TEXT, "HOST/PROCESS/ENTITY"}, {"data", OP_BYTES, "what it carries"}, \
	{"events", OP_INTEGER, "of a loss: how many"}, {"before", OP_INTEGER, "of a loss: the sequence before which they were"}

static const struct op_field event_fields[] = {
    {"key", OP_TEXT, "of the channel"},
    {"id", OP_TEXT, "of the channel"},
    {"number", OP_INTEGER, "of the channel"},
    {"owner", OP_INTEGER, "the uid of who made the channel"},
    {"public", OP_FLAG, "may everybody put and subscribe"},
    {"subscribers", OP_INTEGER, "how many"},
    {"chains", OP_INTEGER, "how many channels come into it"},
    {"early", OP_INTEGER, "events that came before one that caused them: that one took more than a second"},
    {"sequence", OP_INTEGER, "of the event"},
    EVENT_FIELDS,
    {NULL},
};

static const struct op_field poll_fields[] = {
    {"sequence", OP_INTEGER, "of the event"},
    EVENT_FIELDS,
    {"id", OP_TEXT, "of the channel"},
    {"position", OP_INTEGER, "the last sequence that this is past: what `after` is next time"},
    {"more", OP_FLAG, "is there more already"},
    {NULL},
};

static const struct op_field chain_fields[] = {
    {"channel", OP_TEXT, "the key of the one into which they come"},
    {"from", OP_TEXT, "the other, as it was named"},
    {"host", OP_NAME, "where the other is"},
    {"source", OP_TEXT, "its id"},
    {"mask", OP_INTEGER, "which tags"},
    {"state", OP_TEXT, "asked, going, waiting (its host does not answer), ended"},
    {"position", OP_INTEGER, "the last sequence of the other that came in"},
    {"lost", OP_INTEGER, "how many events of it never will"},
    {"owner", OP_INTEGER, "the uid of who made the chain"},
    {"why", OP_TEXT, "of waiting and ended"},
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
    {"channel", "info", "one channel", OP_READS, ROLE_CLIENT, .args = {CHANNEL}, .run = run_info,
	.fields = channel_fields},
    {"channel", "delete", "ends a channel; its subscribers are told", OP_ACTS, ROLE_CLIENT, .args = {CHANNEL},
	.run = run_delete},
    {"channel", "put", "an event for all who subscribe", OP_ACTS | OP_TRAFFIC, ROLE_CLIENT,
	.args = {CHANNEL, {"tag", OP_INTEGER, "32 bits that masks select by; 0: for every mask"},
	    {"data", OP_BYTES, "what it carries, opaque"}}, .run = run_put},
    {"channel", "subscribe", "events as they come", OP_STREAMS, ROLE_CLIENT,
	.args = {CHANNEL, MASK, {"after", OP_INTEGER, "the sequence seen last; without it: from now on", .fallback = -1},
	    {"progress", OP_FLAG, "tells how far it is where the mask leaves out events"},
	    {"upstreams", OP_FLAG, "tells what is chained into it, and each change"}},
	.run = run_subscribe, .more = more_subscribe, .over = over_subscribe, .fields = event_fields},
    {"channel", "poll", "events that have come, then how far they go", OP_READS, ROLE_CLIENT,
	.args = {CHANNEL, {"after", OP_INTEGER, "the sequence seen last; without it: from now on", .fallback = -1}, MASK,
	    {"most", OP_INTEGER, "events at once", .fallback = POLL_MOST},
	    {"wait", OP_DURATION, "how long for the first one"}},
	.run = poll_run, .more = poll_more, .over = poll_over, .fields = poll_fields},
    {"channel", "chain", "the events of another channel, of any host, come into this one from now on", OP_ACTS, ROLE_CLIENT,
	.args = {CHANNEL, SOURCE, MASK}, .run = chain_run, .over = chain_over, .fields = chain_fields},
    {"channel", "unchain", "they come no more", OP_ACTS, ROLE_CLIENT, .args = {CHANNEL, SOURCE}, .run = chain_run_unchain},
    {"channel", "chains", "which channels come into those of this host, and how that goes", OP_READS, ROLE_CLIENT,
	.args = {{"channel", OP_PATTERN, "keys"}}, .run = chain_run_list, .fields = chain_fields},
    {NULL},
};

const struct service channel_service = {.name = "channel", .doc = "event channels of this host", .ops = ops};

/* --- start and end --- */

static int draw_first(struct channels *s)
{
	uint32_t life;
	if (getrandom(&life, sizeof life, 0) != sizeof life)
		return -errno;
	s->first = s->next = NUMBER_MARK | (uint64_t)(life >> 2) << LIFE_SHIFT | 1;
	return 0;
}

int channels_start(struct core *core)
{
	core->channels = calloc(1, sizeof *core->channels);
	if (!core->channels || draw_first(core->channels))
		return -ENOMEM;
	int started = chains_start(core);
	if (started)
		return started;
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
	buf_release(&core->channels->out);
	free(core->channels);
	core->channels = NULL;
}

void channels_end(struct core *core)
{
	struct channel_entry *e;
	while ((e = channel_entry_next(core, NULL)))
		delete(core, e);
}

void channels_stop(struct core *core)
{
	channels_end(core);
	chains_stop(core);
	uv_close((uv_handle_t *)&core->channels->waiting, on_closed);
}
