/* SPDX-License-Identifier: Apache-2.0 */
/* Channels chained to each other, programs that read some and put into others, and a network between them
 * that takes as long as it likes. Whoever looks from above knows what came before what. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/dice_test.h"
#include "core/channel_fixture_test.h"

enum { CHANNELS = 4, PROGRAMS = 5, EMISSIONS = 320, LOG = 1 << 20 };
enum { RUNS = 12 };

/* What a program put: of which channel, after what it had seen. */
struct emission {
	size_t program, channel;
	uint32_t tag;
	uint64_t before[EMISSIONS / 64];
};

/* A wire between two places: whole frames, in their order. */
struct wire {
	struct buf bytes;
	bool stuck;
};

/* An event with its channel, as it waits to be shown to a program. */
struct parcel {
	size_t channel, emission;
	uint64_t sequence;
	struct frame_cause causes[FRAME_CAUSES_MAX];
	size_t causes_n;
};

struct subscription {
	struct channel_reader *r; /* NULL: none */
	struct wire wire;
	uint64_t next;
};

struct program {
	struct causal *order;
	struct subscription to[CHANNELS];
	struct wire puts[CHANNELS];
	uint64_t seen[EMISSIONS / 64];
	bool shown_of_origin[EMISSIONS];
};

struct chain {
	struct channel_reader *r; /* NULL: none */
	uint32_t mask;
	struct wire wire;
};

static struct net {
	struct channel *channels[CHANNELS];
	struct chain chains[CHANNELS][CHANNELS]; /* from, to */
	struct program programs[PROGRAMS];
	struct emission emissions[EMISSIONS];
	size_t emitted;
	/* What each channel's log has, an emission a place. */
	size_t logged[CHANNELS][EMISSIONS * 16];
	int64_t now;
} net;

static void wake_nobody(struct channel_reader *r, void *data)
{
}

static bool in(const uint64_t *set, size_t i)
{
	return set[i / 64] >> i % 64 & 1;
}

static void join(uint64_t *set, const uint64_t *other)
{
	for (size_t i = 0; i < EMISSIONS / 64; i++)
		set[i] |= other[i];
}

/* --- the map: who is chained to whom --- */

static uint32_t mask_of(size_t from, size_t to)
{
	return net.chains[from][to].r ? net.chains[from][to].mask : 0;
}

/* By how many ways an event comes there. */
static size_t ways(size_t from, size_t to, uint32_t tag)
{
	size_t n = from == to;
	for (size_t via = 0; via < to; via++)
		if (mask_of(via, to) & tag)
			n += ways(from, via, tag);
	return n;
}

static bool is_named_late(size_t from, size_t at);

static bool brings_whole(size_t from, size_t via, size_t to)
{
	return mask_of(via, to) == EVERYTHING && (via == from || is_named_late(from, via));
}

/* Whether whatever names a place in `from` stands there behind what came before that place. */
static bool is_named_late(size_t from, size_t at)
{
	bool all = true, any = false;
	for (size_t via = 0; via < at; via++) {
		any |= net.chains[via][at].r != NULL;
		all &= !net.chains[via][at].r || brings_whole(from, via, at);
	}
	return net.chains[from][at].r ? mask_of(from, at) == EVERYTHING : all && any;
}

/* Whether it is promised that x is there before what it caused, y (core/channel.h). */
static bool is_promised(const struct emission *x, const struct emission *y, size_t to)
{
	bool any = false, all = true;
	if (x->channel == to)
		return true;
	if (net.chains[x->channel][to].r)
		return mask_of(x->channel, to) & x->tag;
	for (size_t via = 0; via < to; via++) {
		any |= net.chains[via][to].r && brings_whole(x->channel, via, to);
		if (mask_of(via, to) & y->tag && ways(y->channel, via, y->tag))
			all &= mask_of(via, to) & x->tag && is_promised(x, y, via);
	}
	return y->channel == to ? any : all;
}

static void chain(size_t from, size_t to, uint32_t mask)
{
	struct channel_upstream others[CHANNELS];
	struct channel_place place = {.mask = mask, .after = FROM_NOW, .progress = true};
	struct chain *c = &net.chains[from][to];
	const struct channel_id *id = channel_id_of(net.channels[from]);
	size_t n = channel_upstreams(net.channels[from], others, CHANNELS);
	c->mask = mask;
	c->r = channel_reader_new(net.channels[from], &place, wake_nobody, NULL);
	assert_int_equal(channel_upstream_add(
			     net.channels[to], &(struct channel_upstream){*id, *id, mask == EVERYTHING, 0}),
	    0);
	for (size_t i = 0; i < n; i++) {
		others[i].whole &= mask == EVERYTHING;
		assert_int_equal(channel_upstream_add(net.channels[to], &others[i]), 0);
	}
}

/* --- wires --- */

static void pump(struct channel_reader *r, struct wire *w)
{
	if (r)
		channel_read(r, &w->bytes, NUMBER, dice_below(600));
}

/* The next frame of it; false: none. */
static bool arrive(struct wire *w, struct frame *ret, struct buf *keep)
{
	const char *why;
	if (w->stuck || !w->bytes.len)
		return false;
	size_t n = FRAME_HEADER + ((uint8_t)w->bytes.data[2] << 8) + (uint8_t)w->bytes.data[3];
	buf_put(keep, w->bytes.data, n);
	buf_consume(&w->bytes, n);
	assert_int_equal(frame_read(keep->data, n, ret, &why), 0);
	return true;
}

static size_t emission_of(const struct frame_event *e)
{
	uint16_t i;
	assert_int_equal(e->n, sizeof i);
	memcpy(&i, e->data, sizeof i);
	return i;
}

static void arrive_chained(size_t from, size_t to, const struct frame *f)
{
	const struct channel_id *id = channel_id_of(net.channels[from]);
	struct frame_event e;
	uint64_t lost, before;
	if (f->kind == FRAME_EVENT_KIND) {
		assert_int_equal(frame_get_event(f, &e), 0);
		assert_true(channel_put_chained(net.channels[to], id, &e, 0, net.now) >= 0);
	} else {
		assert_int_equal(frame_get_lost(f, &lost, &before), 0);
		assert_int_equal(lost, 0);
		channel_reached(net.channels[to], id, before - 1, 0, net.now);
	}
}

/* --- programs: what libvigia does --- */

static void show(struct program *p, struct parcel *parcel)
{
	const struct emission *e = &net.emissions[parcel->emission];
	for (size_t x = 0; x < net.emitted; x++) /* what it follows itself, it sees first */
		if (in(e->before, x) && p->to[net.emissions[x].channel].r)
			assert_true(p->shown_of_origin[x]);
	p->shown_of_origin[parcel->emission] |= e->channel == parcel->channel;
	p->seen[parcel->emission / 64] |= UINT64_C(1) << parcel->emission % 64;
	join(p->seen, e->before);
	causal_heard(p->order, parcel->causes, parcel->causes_n);
	causal_reached(p->order, channel_id_of(net.channels[parcel->channel]), parcel->sequence);
	free(parcel);
}

static void show_all(struct program *p)
{
	bool early;
	for (struct parcel *next; (next = causal_next(p->order, net.now, &early));) {
		assert_false(early);
		show(p, next);
	}
}

static void arrive_at_program(struct program *p, size_t channel, const struct frame *f)
{
	struct parcel *parcel = calloc(1, sizeof *parcel);
	struct frame_event e;
	assert_int_equal(frame_get_event(f, &e), 0);
	assert_int_equal(e.sequence, p->to[channel].next++);
	*parcel = (struct parcel){.channel = channel, .emission = emission_of(&e), .sequence = e.sequence};
	memcpy(parcel->causes, e.causes, e.causes_n * sizeof *e.causes);
	parcel->causes_n = e.causes_n;
	assert_int_equal(parcel->emission, net.logged[channel][e.sequence]);
	if (causal_offer(p->order, channel, e.causes, e.causes_n, parcel, net.now))
		show(p, parcel);
	show_all(p);
}

static void emit(size_t program)
{
	struct program *p = &net.programs[program];
	struct emission *x = &net.emissions[net.emitted];
	uint16_t number = (uint16_t)net.emitted;
	*x = (struct emission){program, dice_below(CHANNELS), UINT32_C(1) << dice_below(2), {0}};
	join(x->before, p->seen);
	struct frame_event e = {.tag = x->tag, .data = (const uint8_t *)&number, .n = sizeof number};
	e.causes_n = causal_causes(p->order, e.causes, FRAME_CAUSES_MAX);
	assert_int_equal(frame_put_event(&p->puts[x->channel].bytes, NUMBER, &e), 0);
	net.emitted++;
}

static void arrive_as_put(size_t program, size_t channel, const struct frame *f)
{
	struct frame_event e;
	assert_int_equal(frame_get_event(f, &e), 0);
	assert_true(channel_put(net.channels[channel], program, &e, 0, net.now) >= 0);
}

/* --- each channel's log, as it grows --- */

static int note(void *data, const struct frame *f)
{
	size_t *logged = data;
	struct frame_event e;
	assert_int_equal(frame_get_event(f, &e), 0);
	assert_in_range(e.sequence, 1, EMISSIONS * 16 - 1);
	logged[e.sequence] = emission_of(&e);
	return 0;
}

/* Before anybody else may read it. */
static void look_at(size_t channel, struct channel_reader *r)
{
	struct buf b = BUF_INIT;
	channel_read(r, &b, NUMBER, SIZE_MAX);
	cut(&b, note, net.logged[channel]);
	buf_release(&b);
}

static size_t first_of(size_t channel, size_t emission)
{
	size_t i = 1;
	while (i <= channel_sequence(net.channels[channel]) && net.logged[channel][i] != emission)
		i++;
	return i;
}

static size_t count_of(size_t channel, size_t emission)
{
	size_t n = 0;
	for (size_t i = 1; i <= channel_sequence(net.channels[channel]); i++)
		n += net.logged[channel][i] == emission;
	return n;
}

static void check_order(size_t channel)
{
	size_t first[EMISSIONS];
	for (size_t i = 0; i < net.emitted; i++)
		first[i] = first_of(channel, i);
	for (size_t y = 0; y < net.emitted; y++)
		for (size_t x = 0; x < net.emitted; x++) {
			const struct emission *a = &net.emissions[x], *b = &net.emissions[y];
			if (in(b->before, x) && first[y] <= channel_sequence(net.channels[channel]) &&
			    is_promised(a, b, channel))
				assert_true(first[x] < first[y]);
			if (x < y && a->program == b->program && a->channel == b->channel && a->tag == b->tag)
				assert_true(first[x] <= first[y]);
		}
}

static void check_channel(size_t channel)
{
	assert_int_equal(channel_early(net.channels[channel]), 0);
	assert_true(channel_tick(net.channels[channel], 0, net.now) == INT64_MAX);
	for (size_t i = 0; i < net.emitted; i++)
		assert_int_equal(
		    count_of(channel, i), ways(net.emissions[i].channel, channel, net.emissions[i].tag));
	check_order(channel);
}

static void check_program(const struct program *p)
{
	assert_true(causal_wake_ns(p->order) == INT64_MAX);
	for (size_t i = 0; i < CHANNELS; i++)
		assert_true(!p->to[i].r || p->to[i].next == channel_sequence(net.channels[i]) + 1);
}

/* --- a run --- */

static struct wire *chain_wire(size_t i)
{
	struct chain *c = &net.chains[i / CHANNELS][i % CHANNELS];
	return &c->wire;
}

/* One frame of one wire, or nothing. */
static void something_arrives(struct channel_reader **lookers)
{
	size_t kind = dice_below(3), p = dice_below(PROGRAMS), i = dice_below(CHANNELS),
	       j = dice_below(CHANNELS);
	struct program *program = &net.programs[p];
	struct wire *w = kind == 0   ? chain_wire(i * CHANNELS + j)
			 : kind == 1 ? &program->to[j].wire
				     : &program->puts[j];
	struct buf keep = BUF_INIT;
	struct frame f;
	bool any = arrive(w, &f, &keep);
	if (any && kind == 0)
		arrive_chained(i, j, &f);
	else if (any && kind == 1)
		arrive_at_program(program, j, &f);
	else if (any)
		arrive_as_put(p, j, &f);
	look_at(j, lookers[j]);
	buf_release(&keep);
}

static void something_is_sent(void)
{
	size_t i = dice_below(CHANNELS), j = dice_below(CHANNELS);
	struct subscription *s = &net.programs[dice_below(PROGRAMS)].to[j];
	pump(net.chains[i][j].r, &net.chains[i][j].wire);
	pump(s->r, &s->wire);
}

static void some_wires_get_stuck(size_t one_of)
{
	for (size_t i = 0; i < CHANNELS * CHANNELS; i++)
		chain_wire(i)->stuck = one_of && !dice_below(one_of);
	for (struct program *p = net.programs; p < net.programs + PROGRAMS; p++)
		for (size_t i = 0; i < CHANNELS; i++) {
			p->puts[i].stuck = one_of && !dice_below(one_of);
			p->to[i].wire.stuck = one_of && !dice_below(one_of);
		}
}

static void step(struct channel_reader **lookers)
{
	net.now += (int64_t)dice_below(10000);
	if (net.emitted < EMISSIONS && !dice_below(4))
		emit(dice_below(PROGRAMS));
	something_is_sent();
	something_arrives(lookers);
	if (!dice_below(200))
		some_wires_get_stuck(net.emitted < EMISSIONS ? 3 : 0);
}

static bool is_quiet(void)
{
	bool quiet = net.emitted == EMISSIONS;
	for (size_t i = 0; i < CHANNELS * CHANNELS; i++) {
		const struct channel_reader *r = net.chains[i / CHANNELS][i % CHANNELS].r;
		quiet &= !chain_wire(i)->bytes.len;
		quiet &= !r || channel_reader_position(r) == channel_sequence(net.channels[i / CHANNELS]);
	}
	for (struct program *p = net.programs; p < net.programs + PROGRAMS; p++)
		for (size_t i = 0; i < CHANNELS; i++) {
			const struct channel_reader *r = p->to[i].r;
			quiet &= !p->puts[i].bytes.len && !p->to[i].wire.bytes.len;
			quiet &= !r || channel_reader_position(r) == channel_sequence(net.channels[i]);
		}
	return quiet;
}

static struct channel_reader *looker(size_t channel, uint32_t mask)
{
	struct channel_place place = {.mask = mask};
	return channel_reader_new(net.channels[channel], &place, wake_nobody, NULL);
}

static void begin(void)
{
	memset(&net, 0, sizeof net);
	for (unsigned i = 0; i < CHANNELS; i++)
		net.channels[i] = channel_of(i, LOG);
}

static void begin_programs(void)
{
	for (struct program *p = net.programs; p < net.programs + PROGRAMS; p++) {
		p->order = causal_new();
		for (size_t i = 0; i < CHANNELS; i++) {
			if (!dice_below(3))
				continue;
			assert_int_equal(causal_follow(p->order, channel_id_of(net.channels[i]), 0), 0);
			p->to[i] = (struct subscription){.r = looker(i, EVERYTHING), .next = 1};
		}
	}
}

static void end(struct channel_reader **lookers)
{
	for (struct program *p = net.programs; p < net.programs + PROGRAMS; p++) {
		for (size_t i = 0; i < CHANNELS; i++) {
			channel_reader_free(p->to[i].r);
			buf_release(&p->to[i].wire.bytes);
			buf_release(&p->puts[i].bytes);
		}
		causal_free(p->order, free);
	}
	for (size_t i = 0; i < CHANNELS * CHANNELS; i++) {
		buf_release(&chain_wire(i)->bytes);
		channel_reader_free(net.chains[i / CHANNELS][i % CHANNELS].r);
	}
	for (size_t i = 0; i < CHANNELS; i++) {
		channel_reader_free(lookers[i]);
		channel_free(net.channels[i]);
	}
}

static void play(void)
{
	struct channel_reader *lookers[CHANNELS];
	for (size_t i = 0; i < CHANNELS; i++)
		lookers[i] = looker(i, EVERYTHING);
	begin_programs();
	while (!is_quiet())
		step(lookers);
	assert_true(net.now < CAUSAL_WAIT_NS); /* else something may rightly come early */
	for (size_t i = 0; i < CHANNELS; i++)
		check_channel(i);
	for (size_t i = 0; i < PROGRAMS; i++)
		check_program(&net.programs[i]);
	end(lookers);
}

/* --- maps --- */

static void in_a_triangle(void **state)
{
	dice_begin();
	for (int run = 0; run < RUNS; run++) {
		begin();
		chain(0, 1, EVERYTHING);
		chain(0, 2, EVERYTHING);
		chain(1, 2, EVERYTHING);
		play();
	}
}

static void in_a_line(void **state)
{
	dice_begin();
	for (int run = 0; run < RUNS; run++) {
		begin();
		for (size_t i = 1; i < CHANNELS; i++)
			chain(i - 1, i, EVERYTHING);
		play();
	}
}

static void by_two_ways(void **state)
{
	dice_begin();
	for (int run = 0; run < RUNS; run++) {
		begin();
		chain(0, 1, EVERYTHING);
		chain(0, 2, EVERYTHING);
		chain(1, 3, EVERYTHING);
		chain(2, 3, EVERYTHING);
		play();
	}
}

static void anyhow_and_with_masks(void **state)
{
	dice_begin();
	for (int run = 0; run < 3 * RUNS; run++) {
		begin();
		for (size_t to = 1; to < CHANNELS; to++)
			for (size_t from = 0; from < to; from++)
				if (dice_below(2))
					chain(from, to, dice_below(2) ? EVERYTHING : 1);
		play();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(in_a_triangle),
	    cmocka_unit_test(in_a_line),
	    cmocka_unit_test(by_two_ways),
	    cmocka_unit_test(anyhow_and_with_masks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
