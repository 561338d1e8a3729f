/* SPDX-License-Identifier: Apache-2.0 */
#include "core/chains.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/channels.h"
#include "core/view.h"
#include "os/clock.h"

enum { ASK_MS = 10000, TICK_WAITING_MS = 200, TICK_MS = 5000 };
static const int64_t RETRY_NS = 200000000, RETRY_MOST_NS = 5000000000;
/* A link without a word is hung up, and then nobody is told that the host was started anew. */
static const int64_t PROBE_NS = 20000000000;
/* Of the chains that make a cycle the young ones end; if none does, all. */
static const int64_t YOUNG_NS = 60000000000, CYCLE_NS = 5000000000;
/* No channel gets so far; one that says so could bring ours to where numbers end. */
#define SEQUENCE_MOST (UINT64_C(1) << 56)

enum chain_state { CHAIN_ASKED, CHAIN_GOING, CHAIN_WAITING, CHAIN_ENDED };

static const char *const states[] = {
    [CHAIN_ASKED] = "asked",
    [CHAIN_GOING] = "going",
    [CHAIN_WAITING] = "waiting",
    [CHAIN_ENDED] = "ended",
};

/* A channel that comes into our source. */
struct upstream {
	struct channel_id id;
	bool whole;
	uint64_t sequence;
};

struct upstreams {
	struct upstream *v; /* by id */
	size_t n;
};

struct chain {
	struct asker asker; /* first: who made it, as far as the source can tell */
	struct channel_entry *to; /* NULL: it goes at the end of the turn */
	struct host_id host;
	char *from; /* as it was asked for */
	struct channel_id source; /* number 0: not known yet */
	uint32_t mask;
	enum chain_state state;
	char code[32], why[200];
	uint64_t lost;
	int64_t asked; /* id of the subscription; 0: none */
	int64_t probed; /* of a sign of life that was asked for; 0: none */
	int64_t ids;
	uint64_t sequence; /* of the source when it was asked */
	struct upstreams upstreams;
	struct call *maker; /* waits to hear how it went */
	int64_t since_ns, heard_ns, retry_ns, delay_ns, cyclic_ns;
	bool wants, broken, queued;
	struct chain *next, *next_queued;
};

struct chains {
	uv_idle_t idle;
	uv_timer_t tick;
	struct chain *queue; /* of what is to be done outside of their own calls */
	unsigned n;
};

static const struct asker_type chain_asker;

static struct chain *chain_of(const struct asker *a)
{
	return (struct chain *)((char *)(uintptr_t)a - offsetof(struct chain, asker));
}

/* --- later in this turn --- */

static void on_idle(uv_idle_t *idle);

static void enqueue(struct chain *ch)
{
	struct chains *s = ch->asker.core->chains;
	if (!ch->queued) {
		ch->queued = true;
		ch->next_queued = s->queue;
		s->queue = ch;
	}
	uv_idle_start(&s->idle, on_idle);
}

/* --- life --- */

static struct chain *chain_new(struct call *c, struct channel_entry *to, const struct host_id *host)
{
	struct chain *ch = calloc(1, sizeof *ch);
	if (!ch || !(ch->from = strdup(c->args[1].text))) {
		limits_give(&c->core->limits, LIMIT_CHAINS, c->counted, 1);
		free(ch);
		return NULL;
	}
	ch->asker = (struct asker){.type = &chain_asker, .core = c->core, .role = "client", .roles = ROLE_CLIENT,
	    .uid = call_uid(c), .pid = (pid_t)c->caller.pid, .entity = ++c->core->askers};
	host_id_format(host, ch->asker.address);
	ch->to = to;
	ch->host = *host;
	ch->mask = (uint32_t)c->args[3].number;
	ch->since_ns = clock_mono_ns();
	ch->next = to->chains;
	to->chains = ch;
	to->chains_n++;
	c->core->chains->n++;
	return ch;
}

static void chain_free(struct chain *ch)
{
	asker_drop_calls(&ch->asker);
	free(ch->upstreams.v);
	free(ch->from);
	free(ch);
}

static void silence(struct chain *ch)
{
	ch->asked = ch->probed = 0;
	ch->wants = ch->broken = false;
}

/* It may be in one of its own calls. */
static void discard(struct chain *ch)
{
	struct chain **at = &ch->to->chains;
	while (*at != ch)
		at = &(*at)->next;
	*at = ch->next;
	ch->to->chains_n--;
	ch->asker.core->chains->n--;
	limits_give(&ch->asker.core->limits, LIMIT_CHAINS, asker_counted(&ch->asker), 1);
	ch->to = NULL;
	silence(ch);
	enqueue(ch);
}

static const char *host_name(const struct chain *ch)
{
	const struct view_row *row = view_find(ch->asker.core, &ch->host);
	return row ? row->name : ch->asker.address;
}

static void put_chain(struct call *c, const struct chain *ch)
{
	char id[CHANNEL_ID_TEXT];
	uint64_t position = 0;
	struct msg *m = call_answer(c, "chain");
	if (!m)
		return;
	msg_set(m, "channel", ch->to->key);
	msg_set(m, "from", ch->from);
	msg_set(m, "host", host_name(ch));
	channel_id_format(&ch->source, id);
	if (ch->source.number)
		msg_set(m, "source", id);
	msg_set_int(m, "mask", ch->mask);
	msg_set(m, "state", states[ch->state]);
	if (channel_upstream_position(ch->to->channel, &ch->source, &position))
		msg_set_int(m, "position", (int64_t)position);
	msg_set_int(m, "lost", (int64_t)ch->lost);
	msg_set_int(m, "owner", ch->asker.uid);
	if (*ch->why)
		msg_set(m, "why", ch->why);
	call_send(c, m);
}

/* --- telling --- */

static void announce(struct chain *ch, uint32_t tag)
{
	char to[CHANNEL_ID_TEXT], from[CHANNEL_ID_TEXT], text[400];
	channel_id_format(channel_id_of(ch->to->channel), to);
	channel_id_format(&ch->source, from);
	int n = snprintf(text, sizeof text, "%s %s %s %s", states[ch->state], to, from, ch->why);
	channels_put_own(ch->asker.core, "chains", tag, text, (size_t)n);
}

struct msg *chains_upstreams(struct call *c, const struct channel *channel)
{
	char id[CHANNEL_ID_TEXT];
	size_t n = channel_upstreams(channel, NULL, 0);
	struct channel_upstream *all = calloc(n + 1, sizeof *all);
	struct msg *m = all ? call_answer(c, "upstreams") : NULL;
	if (m)
		channel_upstreams(channel, all, n);
	for (size_t i = 0; m && i < n; i++) {
		struct msg *u = msg_child(m, "upstream");
		channel_id_format(&all[i].from, id);
		msg_set(u, "id", id);
		msg_set_flag(u, "whole", all[i].whole);
		msg_set_int(u, "sequence", (int64_t)all[i].sequence);
	}
	free(all);
	return m;
}

static void changed(struct chain *ch)
{
	channel_entry_tell_upstreams(ch->asker.core, ch->to);
}

/* --- how it goes --- */

static void tick_in(struct core *core, uint64_t ms);

/* The maker hears how it went; a chain that never stood is none. */
static void tell_maker(struct chain *ch)
{
	struct call *c = ch->maker;
	ch->maker = NULL;
	if (!c)
		return;
	c->state = NULL;
	if (ch->state == CHAIN_GOING) {
		put_chain(c, ch);
		call_end(c);
		return;
	}
	call_fail(c, ch->code, "%s", ch->why);
	discard(ch);
}

static void end(struct chain *ch, const char *code, const char *why)
{
	bool stood = ch->state != CHAIN_ASKED;
	silence(ch);
	enqueue(ch);
	ch->state = CHAIN_ENDED;
	snprintf(ch->code, sizeof ch->code, "%s", code);
	snprintf(ch->why, sizeof ch->why, "%s", why);
	if (stood) {
		channel_upstream_remove(ch->to->channel, &ch->source, &ch->source, clock_wall_ns(), clock_mono_ns());
		ch->upstreams.n = 0;
		announce(ch, CHAIN_EVENT_ENDED);
		changed(ch);
	}
	tell_maker(ch);
}

static void wait_for_it(struct chain *ch, const char *why)
{
	bool news = ch->state != CHAIN_WAITING;
	silence(ch);
	enqueue(ch);
	ch->delay_ns = news ? RETRY_NS : ch->delay_ns * 2 < RETRY_MOST_NS ? ch->delay_ns * 2 : RETRY_MOST_NS;
	ch->retry_ns = clock_mono_ns() + ch->delay_ns;
	ch->state = CHAIN_WAITING;
	snprintf(ch->code, sizeof ch->code, "failed");
	snprintf(ch->why, sizeof ch->why, "%s", why);
	if (news)
		announce(ch, CHAIN_EVENT_WAITING);
	tick_in(ch->asker.core, TICK_WAITING_MS);
}

static bool is_final(const char *code)
{
	static const char *const final[] = {"deleted", "restarted", "not-permitted", "cycle", "exists", "bad-source"};
	for (size_t i = 0; i < sizeof final / sizeof *final; i++)
		if (!strcmp(final[i], code))
			return true;
	return false;
}

static void fail(struct chain *ch, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void fail(struct chain *ch, const char *code, const char *format, ...)
{
	char why[200];
	va_list ap;
	va_start(ap, format);
	vsnprintf(why, sizeof why, format, ap);
	va_end(ap);
	if (ch->state == CHAIN_ASKED || is_final(code))
		end(ch, code, why);
	else
		wait_for_it(ch, why);
}

/* From within its own call, which then ends at the end of the turn. */
static void fail_for(struct chain *ch, int r)
{
	if (r == -ENOMEM)
		fail(ch, "failed", "no memory");
	else if (r == -E2BIG)
		fail(ch, "too-many", "more than %d channels come into %s", CHAIN_UPSTREAMS_MAX, ch->to->key);
	else
		fail(ch, "bad-source", "what the source says can't be: %s", strerror(-r));
}

/* --- upstreams --- */

static int compare_ids(const struct channel_id *a, const struct channel_id *b)
{
	int r = memcmp(a->host.bytes, b->host.bytes, sizeof a->host.bytes);
	return r ? r : (a->number > b->number) - (a->number < b->number);
}

static int compare(const void *a, const void *b)
{
	return compare_ids(&((const struct upstream *)a)->id, &((const struct upstream *)b)->id);
}

static int get_upstream(const struct msg *m, struct upstream *ret)
{
	int64_t sequence;
	if (channel_id_parse(msg_get(m, "id", ""), &ret->id) || msg_get_int(m, "sequence", &sequence) || sequence < 0 ||
	    (uint64_t)sequence > SEQUENCE_MOST)
		return -EPROTO;
	ret->whole = msg_get_flag(m, "whole");
	ret->sequence = (uint64_t)sequence;
	return 0;
}

static size_t count_children(const struct msg *m)
{
	size_t n = 0;
	for (const struct msg *k = m->children; k; k = k->next)
		n++;
	return n;
}

/* Sorted, each once, without the source itself. */
static int get_upstreams(const struct chain *ch, const struct msg *m, struct upstreams *ret)
{
	size_t most = count_children(m), n = 0;
	if (most > CHAIN_UPSTREAMS_MAX)
		return -E2BIG;
	struct upstream *v = calloc(most + 1, sizeof *v);
	int r = v ? 0 : -ENOMEM;
	for (const struct msg *k = m->children; !r && k; k = k->next) {
		r = get_upstream(k, &v[n]);
		n += !channel_id_is(&v[n].id, &ch->source);
	}
	if (r) {
		free(v);
		return r;
	}
	qsort(v, n, sizeof *v, compare);
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (!kept || compare(&v[kept - 1], &v[i]))
			v[kept++] = v[i];
	*ret = (struct upstreams){v, kept};
	return 0;
}

static bool has(const struct upstreams *u, const struct channel_id *id)
{
	struct upstream key = {.id = *id};
	return u->n && bsearch(&key, u->v, u->n, sizeof *u->v, compare);
}

static int add(struct chain *ch, const struct upstream *u)
{
	struct channel *c = ch->to->channel;
	bool known = channel_has_upstream(c, &u->id), self = channel_id_is(&u->id, channel_id_of(c));
	struct channel_upstream way = {.from = u->id, .via = ch->source, .whole = u->whole && ch->mask == UINT32_MAX,
	    .sequence = known ? 0 : u->sequence};
	if (self)
		return 0;
	if (!known && channel_upstreams(c, NULL, 0) >= CHAIN_UPSTREAMS_MAX)
		return -E2BIG;
	return channel_upstream_add(c, &way);
}

static void drop(struct chain *ch, const struct upstream *u)
{
	channel_upstream_remove(ch->to->channel, &u->id, &ch->source, clock_wall_ns(), clock_mono_ns());
}

static bool is_same(const struct upstreams *a, const struct upstreams *b)
{
	bool same = a->n == b->n;
	for (size_t i = 0; same && i < a->n; i++)
		same = channel_id_is(&a->v[i].id, &b->v[i].id) && a->v[i].whole == b->v[i].whole;
	return same;
}

/* Takes `fresh` in place of what was told before. */
static int take_upstreams(struct chain *ch, struct upstreams *fresh)
{
	struct upstreams old = ch->upstreams;
	bool same = is_same(&old, fresh);
	int r = 0;
	for (size_t i = 0; i < old.n; i++)
		if (!has(fresh, &old.v[i].id))
			drop(ch, &old.v[i]);
	for (size_t i = 0; !same && !r && i < fresh->n; i++)
		r = add(ch, &fresh->v[i]);
	free(old.v);
	ch->upstreams = *fresh;
	if (!same)
		changed(ch);
	return r;
}

/* --- cycles --- */

static int refuse_cycle(struct chain *ch)
{
	fail(ch, "cycle", "what comes into %s comes into %s already: it would go round for ever", ch->to->key, ch->from);
	return -ELOOP;
}

/* Chains that were made at once. Who is left of the cycle tells again without us. */
static void look_for_cycle(struct chain *ch, const struct upstreams *told)
{
	int64_t now_ns = clock_mono_ns();
	bool cyclic = has(told, channel_id_of(ch->to->channel));
	if (!cyclic)
		ch->cyclic_ns = 0;
	else if (now_ns - ch->since_ns < YOUNG_NS)
		refuse_cycle(ch);
	else if (!ch->cyclic_ns)
		ch->cyclic_ns = now_ns;
}

/* --- the source answers --- */

static bool is_chained_already(const struct chain *ch)
{
	for (const struct chain *other = ch->to->chains; other; other = other->next)
		if (other != ch && other->state != CHAIN_ENDED && channel_id_is(&other->source, &ch->source))
			return true;
	return false;
}

static void take_source(struct chain *ch, const struct msg *m)
{
	struct channel_id id;
	int64_t sequence;
	if (channel_id_parse(msg_get(m, "id", ""), &id) || !id.number || !host_id_is(&id.host, &ch->host) ||
	    msg_get_int(m, "sequence", &sequence) || sequence < 0 || (uint64_t)sequence > SEQUENCE_MOST ||
	    (ch->source.number && !channel_id_is(&id, &ch->source))) {
		fail_for(ch, -EPROTO);
		return;
	}
	ch->source = id;
	ch->sequence = (uint64_t)sequence;
	if (is_chained_already(ch))
		fail(ch, "exists", "%s is chained to it already", ch->to->key);
	else if (channel_id_is(&id, channel_id_of(ch->to->channel)))
		refuse_cycle(ch);
}

static int begin(struct chain *ch)
{
	struct channel_upstream way = {.from = ch->source, .via = ch->source, .whole = ch->mask == UINT32_MAX,
	    .sequence = ch->state == CHAIN_ASKED ? ch->sequence : 0};
	if (ch->state == CHAIN_ASKED && channel_upstreams(ch->to->channel, NULL, 0) >= CHAIN_UPSTREAMS_MAX)
		return -E2BIG;
	return channel_upstream_add(ch->to->channel, &way);
}

static void stand(struct chain *ch)
{
	ch->state = CHAIN_GOING;
	ch->since_ns = clock_mono_ns();
	*ch->why = '\0';
	announce(ch, CHAIN_EVENT_BEGUN);
	changed(ch);
}

/* The first time after it was asked: the chain stands. */
static void take_told(struct chain *ch, const struct msg *m)
{
	struct upstreams told;
	bool first = ch->state != CHAIN_GOING;
	int r = ch->source.number ? get_upstreams(ch, m, &told) : -EPROTO;
	if (r) {
		fail_for(ch, r);
		return;
	}
	if (ch->state == CHAIN_ASKED && has(&told, channel_id_of(ch->to->channel)))
		r = refuse_cycle(ch);
	else if (first && (r = begin(ch)))
		fail_for(ch, r);
	if (r) {
		free(told.v);
		return;
	}
	if (first)
		stand(ch);
	look_for_cycle(ch, &told);
	if (ch->state != CHAIN_GOING)
		free(told.v);
	else if ((r = take_upstreams(ch, &told)))
		fail_for(ch, r);
	if (first && ch->state == CHAIN_GOING)
		tell_maker(ch);
}

static bool is_of_it(struct chain *ch, const struct call *c)
{
	if (!ch->to || c->id != ch->asked || ch->broken)
		return false;
	ch->heard_ns = clock_mono_ns();
	return true;
}

static void want(struct asker *a)
{
	struct chain *ch = chain_of(a);
	ch->wants = true;
	enqueue(ch);
}

static void on_answer(struct call *c, const struct msg *m)
{
	struct chain *ch = chain_of(c->asker);
	if (!is_of_it(ch, c))
		return;
	if (!strcmp(m->name, "channel"))
		take_source(ch, m);
	else if (!strcmp(m->name, "upstreams"))
		take_told(ch, m);
	if (ch->to && ch->asked)
		want(&ch->asker);
}

static int take_event(struct chain *ch, const struct frame *f)
{
	struct frame_event e;
	int r = frame_get_event(f, &e);
	if (!r && e.sequence > SEQUENCE_MOST)
		r = -EPROTO;
	if (!r)
		r = channel_put_chained(ch->to->channel, &ch->source, &e, clock_wall_ns(), clock_mono_ns());
	if (!r)
		channel_entry_tend(ch->asker.core, ch->to);
	return r;
}

static int take_loss(struct chain *ch, const struct frame *f)
{
	uint64_t lost, before;
	int r = frame_get_lost(f, &lost, &before);
	if (r || !before || before > SEQUENCE_MOST)
		return -EPROTO;
	int64_t wall_ns = clock_wall_ns(), mono_ns = clock_mono_ns();
	if (!lost) {
		channel_reached(ch->to->channel, &ch->source, before - 1, wall_ns, mono_ns);
		return 0;
	}
	r = channel_lost_chained(ch->to->channel, &ch->source, lost, before - 1, wall_ns, mono_ns);
	if (r >= 0)
		ch->lost += lost;
	if (!r)
		channel_entry_tend(ch->asker.core, ch->to);
	return r;
}

static int take_frame(void *data, const struct frame *f)
{
	struct chain *ch = data;
	int r = f->kind == FRAME_LOST ? take_loss(ch, f) : take_event(ch, f);
	if (r < 0)
		fail_for(ch, r);
	return r < 0 ? r : 0;
}

static void on_frames(struct call *c, const struct buf *frames)
{
	struct chain *ch = chain_of(c->asker);
	struct frame_cutter cutter = {0};
	if (!is_of_it(ch, c) || ch->state != CHAIN_GOING)
		return;
	frame_cut(&cutter, frames->data, frames->len, take_frame, ch);
	frame_cutter_release(&cutter);
	if (ch->to && ch->asked)
		want(&ch->asker);
}

static void on_over(struct call *c, const char *code, const char *text)
{
	struct chain *ch = chain_of(c->asker);
	if (!ch->to || (c->id != ch->asked && c->id != ch->probed))
		return;
	if (c->id == ch->probed) {
		ch->probed = 0;
		ch->heard_ns = clock_mono_ns();
	}
	if (code)
		fail(ch, code, "%s", text);
	else if (c->id == ch->asked)
		fail(ch, "failed", "the source has ended the subscription");
}

static size_t pending(const struct asker *a)
{
	return 0;
}

static void put_nothing(struct call *c, const char *bytes, size_t n)
{
}

static const struct asker_type chain_asker = {.answer = on_answer, .over = on_over, .encode = frames_encode, .cut = frames_cut,
    .put = put_nothing, .frames = on_frames, .want = want, .pending = pending};

/* --- asking the source --- */

static int64_t ask(struct chain *ch, struct msg *take_query)
{
	char to[HOST_ID_TEXT];
	struct asked asked = {.id = ++ch->ids, .to = to, .deadline_ms = ASK_MS};
	host_id_format(&ch->host, to);
	if (msg_failed(take_query)) {
		msg_free(take_query);
		return 0;
	}
	dispatch(&ch->asker, &asked, take_query);
	return asked.id;
}

static struct msg *query_of(struct chain *ch, const char *verb)
{
	char id[CHANNEL_ID_TEXT];
	struct msg *m = msg_new("channel");
	if (!m)
		return NULL;
	channel_id_format(&ch->source, id);
	msg_set(m, "query", verb);
	msg_set(m, "channel", ch->source.number ? id : ch->from);
	return m;
}

static void subscribe(struct chain *ch)
{
	uint64_t position;
	struct msg *m = query_of(ch, "subscribe");
	if (m) {
		msg_set_int(m, "mask", ch->mask);
		msg_set_flag(m, "progress", true);
		msg_set_flag(m, "upstreams", true);
	}
	if (m && ch->source.number && channel_upstream_position(ch->to->channel, &ch->source, &position))
		msg_set_int(m, "after", (int64_t)position);
	asker_drop_calls(&ch->asker);
	ch->asked = ch->ids + 1; /* here it is answered at once */
	ch->heard_ns = clock_mono_ns();
	if (!m || !ask(ch, m))
		fail(ch, "failed", "no memory");
}

static void probe(struct chain *ch)
{
	struct msg *m = query_of(ch, "info");
	ch->heard_ns = clock_mono_ns();
	ch->probed = ch->ids + 1;
	if (!m || !ask(ch, m))
		ch->probed = 0;
}

/* --- time --- */

static void settle(struct chain *ch)
{
	bool wants = ch->wants;
	ch->queued = ch->wants = false;
	if (!ch->to)
		chain_free(ch);
	else if (!ch->asked)
		asker_drop_calls(&ch->asker);
	else if (wants)
		asker_go_on(&ch->asker);
}

static void on_idle(uv_idle_t *idle)
{
	struct core *core = idle->data;
	struct chain *all = core->chains->queue;
	core->chains->queue = NULL;
	uv_idle_stop(idle);
	while (all) {
		struct chain *ch = all;
		all = ch->next_queued;
		settle(ch);
	}
}

static void look_after(struct chain *ch, int64_t now_ns, bool remote)
{
	if (ch->state == CHAIN_WAITING && !ch->asked && now_ns >= ch->retry_ns)
		subscribe(ch);
	else if (ch->state == CHAIN_GOING && ch->cyclic_ns && now_ns - ch->cyclic_ns > CYCLE_NS)
		refuse_cycle(ch);
	else if (ch->state == CHAIN_GOING && remote && !ch->probed && now_ns - ch->heard_ns > PROBE_NS)
		probe(ch);
}

static void on_tick(uv_timer_t *timer)
{
	struct core *core = timer->data;
	int64_t now_ns = clock_mono_ns();
	bool waiting = false;
	for (struct channel_entry *e = NULL; (e = channel_entry_next(core, e));)
		for (struct chain *ch = e->chains; ch; ch = ch->next) {
			look_after(ch, now_ns, !host_id_is(&ch->host, &core->id));
			waiting |= ch->state == CHAIN_WAITING;
		}
	if (core->chains->n)
		tick_in(core, waiting ? TICK_WAITING_MS : TICK_MS);
}

static void tick_in(struct core *core, uint64_t ms)
{
	uv_timer_t *timer = &core->chains->tick;
	if (!uv_is_active((uv_handle_t *)timer) || uv_timer_get_due_in(timer) > ms)
		uv_timer_start(timer, on_tick, ms, 0);
}

/* --- the operations --- */

static int host_by_name(struct call *c, struct host_id *ret)
{
	const char *name = c->args[2].text;
	const struct view_row *row = view_named(c->core, name);
	if (!row)
		return call_fail(c, "not-found", "no host is named %s", name);
	*ret = row->id;
	return 0;
}

static int source_host(struct call *c, struct host_id *ret)
{
	struct channel_id id;
	if (*c->args[2].text)
		return strcmp(c->args[2].text, c->core->name) ? host_by_name(c, ret) : (*ret = c->core->id, 0);
	*ret = channel_id_parse(c->args[1].text, &id) ? c->core->id : id.host;
	return 0;
}

static bool is_from(const struct chain *ch, const struct host_id *host, const char *from)
{
	char id[CHANNEL_ID_TEXT];
	channel_id_format(&ch->source, id);
	return host_id_is(&ch->host, host) && (!strcmp(ch->from, from) || !strcmp(id, from));
}

static struct chain *find(const struct channel_entry *to, const struct host_id *host, const char *from)
{
	struct chain *ch = to->chains;
	while (ch && !is_from(ch, host, from))
		ch = ch->next;
	return ch;
}

static int again(struct call *c, const struct chain *ch)
{
	if (ch->state == CHAIN_ASKED || ch->mask != (uint32_t)c->args[3].number)
		return call_fail(c, "exists", "%s is chained to it already%s", ch->to->key,
		    ch->state == CHAIN_ASKED ? ", and that is not answered yet" : " with another mask");
	put_chain(c, ch);
	return CALL_DONE;
}

static int begun(struct call *c, struct chain *ch)
{
	if (ch->state == CHAIN_ASKED) {
		c->state = ch;
		ch->maker = c;
		return CALL_LATER;
	}
	if (ch->state != CHAIN_GOING) {
		call_fail(c, ch->code, "%s", ch->why);
		discard(ch);
		return -1;
	}
	put_chain(c, ch);
	return CALL_DONE;
}

int chain_run(struct call *c)
{
	struct host_id host;
	struct channel_entry *to = channel_entry_check_bits(c, 3) ? NULL : channel_entry_for(c, CHANNEL_PUT);
	if (!to || source_host(c, &host))
		return -1;
	struct chain *ch = find(to, &host, c->args[1].text);
	if (ch && ch->state != CHAIN_ENDED)
		return again(c, ch);
	if (ch)
		discard(ch);
	enum limit reached = limits_take(&c->core->limits, LIMIT_CHAINS, c->counted, 1);
	if (reached != LIMIT_NONE)
		return call_fail_limit(c, reached);
	ch = chain_new(c, to, &host);
	if (!ch)
		return call_fail(c, "failed", "no memory");
	tick_in(c->core, TICK_MS);
	subscribe(ch);
	return begun(c, ch);
}

/* Who asked for it is gone, or has its answer. */
void chain_over(struct call *c)
{
	struct chain *ch = c->state;
	if (!ch)
		return;
	ch->maker = NULL;
	if (ch->state == CHAIN_ASKED)
		discard(ch);
}

static bool may_end(const struct call *c, const struct chain *ch)
{
	return channel_entry_owned(c, ch->to) || call_is_of(c, ch->asker.uid);
}

static void unchain(struct chain *ch)
{
	if (ch->state != CHAIN_ENDED)
		end(ch, "deleted", "unchained");
	if (ch->to)
		discard(ch);
}

int chain_run_unchain(struct call *c)
{
	struct host_id host;
	struct channel_entry *to = channel_entry_for(c, CHANNEL_PUT);
	if (!to || source_host(c, &host))
		return -1;
	struct chain *ch = find(to, &host, c->args[1].text);
	if (!ch)
		return call_fail(c, "not-found", "%s is not chained to %s", to->key, c->args[1].text);
	if (!may_end(c, ch))
		return call_fail(c, "not-permitted", "this chain is uid %d's", (int)ch->asker.uid);
	unchain(ch);
	return CALL_DONE;
}

int chain_run_list(struct call *c)
{
	for (struct channel_entry *e = NULL; (e = channel_entry_next(c->core, e));)
		for (const struct chain *ch = e->chains; ch && pattern_match(c->args[0].text, e->key); ch = ch->next)
			put_chain(c, ch);
	return CALL_DONE;
}

/* --- start and end --- */

void chains_end(struct core *core, struct channel_entry *e)
{
	while (e->chains) {
		struct chain *ch = e->chains;
		struct call *maker = ch->maker;
		ch->maker = NULL;
		if (maker) {
			maker->state = NULL;
			call_fail(maker, "deleted", "channel %s was deleted", e->key);
		}
		discard(ch);
	}
}

int chains_start(struct core *core)
{
	core->chains = calloc(1, sizeof *core->chains);
	if (!core->chains)
		return -ENOMEM;
	uv_idle_init(core->net.loop, &core->chains->idle);
	uv_timer_init(core->net.loop, &core->chains->tick);
	core->chains->idle.data = core->chains->tick.data = core;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct core *core = h->data;
	free(core->chains);
	core->chains = NULL;
}

/* One after the other: the loop ends what was closed last first. */
static void on_tick_closed(uv_handle_t *h)
{
	struct core *core = h->data;
	uv_close((uv_handle_t *)&core->chains->idle, on_closed);
}

void chains_stop(struct core *core)
{
	on_idle(&core->chains->idle);
	uv_close((uv_handle_t *)&core->chains->tick, on_tick_closed);
}
