/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol of docs/platform-nats.md over a server that does all that a server may do: it loses messages, doubles
 * them, lets them overtake each other, goes away and comes back. In place of engine.c, which this file is. */
#include "base/dice_test.h"
#include "platform/faults_test.h"
#include "platform/nats/engine.h"
#include "platform/nats/header.h"
#include "platform/stage_test.h"

enum { ENGINES_MAX = 8, WAITING_MAX = 4096 };

extern const struct platform_type platform_module;

struct engine {
	struct engine_options o;
	char inbox[128], nobody[128];
	bool up, closing;
	uint64_t up_ms;
	uv_timer_t timer;
	void (*closed)(void *owner);
};

static struct engine *engines[ENGINES_MAX];

static struct waiting {
	char subject[128], answer_to[128];
	struct buf bytes;
} waiting[WAITING_MAX];
static size_t waiting_n;

/* Of a thousand messages. */
static unsigned lose, twice, overtake;

/* --- the server --- */

/* "a.b.*" */
static bool matches(const char *pattern, const char *subject)
{
	size_t n = strlen(pattern) - 1;
	return !strncmp(pattern, subject, n) && !strchr(subject + n, '.');
}

static unsigned deliver(const struct waiting *w)
{
	unsigned n = 0;
	for (size_t i = 0; i < ENGINES_MAX; i++)
		if (engines[i] && engines[i]->up && matches(engines[i]->inbox, w->subject)) {
			engines[i]->o.events->came(engines[i]->o.owner, w->subject, w->bytes.data, w->bytes.len);
			n++;
		}
	return n;
}

static void say_nobody(const char *answer_to)
{
	for (size_t i = 0; *answer_to && i < ENGINES_MAX; i++)
		if (engines[i] && engines[i]->up && matches(engines[i]->nobody, answer_to))
			engines[i]->o.events->nobody(engines[i]->o.owner, answer_to);
}

static bool chance(unsigned of_a_thousand)
{
	return dice_below(1000) < of_a_thousand;
}

static void deliver_all(void)
{
	static struct waiting now[WAITING_MAX];
	size_t n = waiting_n;
	waiting_n = 0;
	memcpy(now, waiting, n * sizeof *now);
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n && chance(overtake)) {
			struct waiting first = now[i];
			now[i] = now[i + 1];
			now[i + 1] = first;
		}
		for (int k = chance(lose) ? 0 : chance(twice) ? 2 : 1; k; k--)
			if (!deliver(&now[i]))
				say_nobody(now[i].answer_to);
		buf_release(&now[i].bytes);
	}
}

static void forget_waiting(void)
{
	while (waiting_n)
		buf_release(&waiting[--waiting_n].bytes);
}

static void server_goes(void)
{
	forget_waiting();
	for (size_t i = 0; i < ENGINES_MAX; i++)
		if (engines[i] && engines[i]->up) {
			engines[i]->up = false;
			engines[i]->o.events->down(engines[i]->o.owner);
		}
}

static void server_comes(void)
{
	for (size_t i = 0; i < ENGINES_MAX; i++)
		if (engines[i] && !engines[i]->up && !engines[i]->closing) {
			engines[i]->up = true;
			engines[i]->up_ms = uv_now(&loop);
			engines[i]->o.events->up(engines[i]->o.owner);
		}
}

/* --- engine.h --- */

int engine_new(struct engine **ret, const struct engine_options *options, struct buf *why)
{
	struct engine *e = calloc(1, sizeof *e);
	size_t i = 0;
	while (engines[i])
		i++;
	e->o = *options;
	strcpy(e->inbox, options->inbox);
	strcpy(e->nobody, options->nobody);
	uv_timer_init(options->loop, &e->timer);
	e->timer.data = e;
	engines[i] = e;
	*ret = e;
	return 0;
}

static void on_timer_closed(uv_handle_t *h)
{
	struct engine *e = h->data;
	e->closed(e->o.owner);
	free(e);
}

void engine_close(struct engine *e, void (*closed)(void *owner))
{
	for (size_t i = 0; i < ENGINES_MAX; i++)
		if (engines[i] == e)
			engines[i] = NULL;
	e->closing = true;
	e->up = false;
	e->closed = closed;
	uv_close((uv_handle_t *)&e->timer, on_timer_closed);
}

bool engine_is_up(const struct engine *e)
{
	return e->up;
}

uint64_t engine_up_ms(const struct engine *e)
{
	return e->up_ms;
}

uint64_t engine_silent_ms(const struct engine *e)
{
	return 0;
}

void engine_cut(struct engine *e, const char *why)
{
}

const char *engine_why(const struct engine *e)
{
	return "it is played";
}

void engine_publish(struct engine *e, const char *subject, const char *answer_to, const void *bytes, size_t n)
{
	if (!e->up || waiting_n == WAITING_MAX)
		return;
	struct waiting *w = &waiting[waiting_n++];
	*w = (struct waiting){.bytes = BUF_INIT};
	strcpy(w->subject, subject);
	strcpy(w->answer_to, answer_to ? answer_to : "");
	stage_depth++;
	buf_put(&w->bytes, bytes, n);
	stage_depth--;
}

void engine_flush(struct engine *e)
{
}

size_t engine_pending(const struct engine *e)
{
	return 0;
}

/* --- the tests --- */

enum { HOSTS = 3, DEAD_MS = 400 };

static struct stand *stands[HOSTS];

static int set_up(void **state)
{
	stage_begin();
	lose = twice = overtake = 0;
	for (int i = 0; i < HOSTS; i++) {
		stands[i] = stand_new(&platform_module, i, "-", 1000);
		stands[i]->options.dead_ns = DEAD_MS * 1000000LL;
		stand_open(stands[i]);
	}
	server_comes();
	return 0;
}

static int tear_down(void **state)
{
	for (int i = 0; i < HOSTS; i++)
		stand_free(stands[i]);
	forget_waiting();
	stage_end();
	return 0;
}

static void turn(void)
{
	uv_run(&loop, UV_RUN_NOWAIT);
	deliver_all();
}

static void turn_for_ms(uint64_t ms)
{
	uint64_t end = uv_hrtime() + ms * 1000000;
	do
		turn();
	while (uv_hrtime() < end);
}

static void say_some(void)
{
	int from = (int)dice_below(HOSTS), to = (int)((size_t)from + 1 + dice_below(HOSTS - 1)) % HOSTS;
	for (size_t i = dice_below(6); i; i--)
		say(stands[from], to, dice_below(30) ? 1 + dice_below(500) : 1 + dice_below(200000));
}

/* What was said since a side last began anew has come, in the end. */
static bool are_settled(void)
{
	for (int i = 0; i < HOSTS; i++)
		for (int j = 0; j < HOSTS; j++) {
			const struct line *line = &stands[i]->lines[j];
			if (i != j && line->sent != line->sent_at_lost && line->sent != stands[j]->lines[i].got)
				return false;
		}
	return true;
}

static unsigned count_lost(void)
{
	unsigned n = 0;
	for (int i = 0; i < HOSTS; i++)
		n += stands[i]->lost;
	return n;
}

static void without_loss_nothing_is_lost(void **state)
{
	for (int i = 0; i < 500; i++) {
		say_some();
		turn_for_ms(0);
	}
	UNTIL((turn(), are_settled()));
	assert_int_equal(count_lost(), 0);
}

static void lose_sometimes(unsigned of_a_thousand, unsigned doubled, unsigned overtaking)
{
	for (int i = 0; i < 1500; i++) {
		lose = dice_below(2) ? of_a_thousand : 0;
		twice = doubled;
		overtake = overtaking;
		say_some();
		turn_for_ms(dice_below(10) ? 0 : dice_below(60));
	}
	lose = twice = overtake = 0;
	UNTIL((turn(), are_settled()));
	print_message("# lost %u times\n", count_lost());
}

static void every_lost_message_is_told(void **state)
{
	lose_sometimes(50, 0, 0);
	assert_true(count_lost() > 10);
}

static void what_comes_twice_is_taken_once(void **state)
{
	lose_sometimes(0, 200, 0);
	assert_int_equal(count_lost(), 0);
}

static void what_overtakes_is_not_taken_before(void **state)
{
	lose_sometimes(20, 50, 30);
	assert_true(count_lost() > 10);
}

static struct line *between(int from, int to)
{
	return &stands[from]->lines[to];
}

static void begin_two(void)
{
	for (int i = 0; i < 2; i++) {
		stand_shut(stands[i]);
		stands[i]->options.dead_ns = 20000000000;
		stand_open(stands[i]);
	}
	server_comes();
	say(stands[0], 1, 10);
	UNTIL((turn(), between(1, 0)->got == 1));
	turn_for_ms(100); /* until it is known to be taken */
}

static void both_sides_of_a_gap_know_it_at_once(void **state)
{
	begin_two();
	say(stands[0], 1, 10);
	lose = 1000;
	turn();
	lose = 0;
	say(stands[0], 1, 10); /* by this one it is known */
	uv_run(&loop, UV_RUN_NOWAIT);
	say(stands[0], 1, 10); /* and this one comes as well */
	uv_run(&loop, UV_RUN_NOWAIT);
	UNTIL_WITHIN(0.5, (turn(), between(1, 0)->lost && between(0, 1)->lost));
	assert_int_equal(count_lost(), 2);
	say(stands[1], 0, 10);
	say(stands[0], 1, 10);
	UNTIL((turn(), between(0, 1)->got == 1 && between(1, 0)->got == 5));
	assert_int_equal(count_lost(), 2);
}

static void a_last_message_that_is_lost_is_soon_known(void **state)
{
	begin_two();
	say(stands[0], 1, 10);
	lose = 1000;
	turn();
	lose = 0;
	UNTIL_WITHIN(3, (turn(), between(1, 0)->lost && between(0, 1)->lost));
	assert_int_equal(count_lost(), 2);
}

static void a_server_that_comes_and_goes_is_survived(void **state)
{
	for (int i = 0; i < 1500; i++) {
		say_some();
		if (!dice_below(30)) {
			uv_run(&loop, UV_RUN_NOWAIT); /* it is gone with what it was given */
			server_goes();
		}
		turn_for_ms(dice_below(10) ? 0 : dice_below(30));
		if (!dice_below(8))
			server_comes();
	}
	server_comes();
	UNTIL((turn(), are_settled()));
	print_message("# lost %u times\n", count_lost());
	assert_true(count_lost() > 10);
}

static void a_new_life_is_told_from_the_one_before(void **state)
{
	for (int round = 0; round < 10; round++) {
		say_some();
		say(stands[0], 1, 10);
		say(stands[1], 0, 10);
		UNTIL((turn(), are_settled()));
		unsigned lost = stands[0]->lines[1].lost;
		struct line *line = &stands[1]->lines[0];
		stand_shut(stands[1]);
		stand_open(stands[1]);
		line->gap = true;
		line->sent_at_lost = line->sent;
		server_comes();
		say(stands[1], 0, 10);
		UNTIL((turn(), are_settled()));
		assert_int_equal(stands[0]->lines[1].lost, lost + 1);
	}
}

static void without_memory_what_is_lost_is_told(void **state)
{
	for (int i = 0; i < 2000; i++) {
		failing = dice_below(2) ? 0 : 300;
		say_some();
		turn_for_ms(dice_below(10) ? 0 : dice_below(30));
	}
	failing = 0;
	UNTIL((turn(), are_settled()));
	print_message("# %u failures, lost %u times\n", failed, count_lost());
	assert_true(failed > 20);
}

/* Numbers that mean something somewhere, and others. */
static uint64_t odd_number(void)
{
	return dice_below(3) ? dice_below(4) : dice_below(2) ? dice() >> 1 >> dice_below(63) : dice();
}

static void say_something_odd(const char *subject)
{
	uint8_t message[HEADER_SIZE + 64];
	struct header h = {.kind = (enum header_kind)dice_below(5), .era = odd_number(), .boot = odd_number(),
	    .to_boot = odd_number(), .at = odd_number(), .taken = odd_number()};
	size_t n = dice_below(sizeof message);
	for (size_t i = 0; i < sizeof message; i++)
		message[i] = dice_below(2) ? (uint8_t)dice() : 'a';
	header_put(message, &h);
	engines[1]->o.events->came(engines[1]->o.owner, subject, message, n);
}

/* Host 1 hears it; hosts 0 and 1 go on as if nothing was. */
static void strangers_may_say_anything(void **state)
{
	char subject[128], id[HOST_ID_TEXT];
	begin_two();
	stands[1]->hears_strangers = true;
	for (int i = 0; i < 20000; i++) {
		struct host_id from = id_of(2 + (int)dice_below(5));
		host_id_format(&from, id);
		snprintf(subject, sizeof subject, "%s%s", dice_below(20) ? "vigia.test.host.x." : "", dice_below(20) ? id : "x");
		say_something_odd(subject);
		if (!dice_below(50)) {
			say(stands[0], 1, 10);
			turn();
		}
	}
	say(stands[1], 0, 10);
	UNTIL((turn(), between(1, 0)->got == between(0, 1)->sent && between(0, 1)->got));
	assert_int_equal(stands[0]->lost + stands[1]->lost, 0);
}

/* More than a host keeps of others; those who are heard of now and then stay. */
static void many_strangers_push_nobody_out(void **state)
{
	char subject[128];
	uint8_t message[HEADER_SIZE];
	struct header h = {.kind = HEADER_STATE, .boot = 7};
	begin_two();
	stands[1]->hears_strangers = true;
	header_put(message, &h);
	for (int i = 0; i < 40000; i++) {
		snprintf(subject, sizeof subject, "vigia.test.host.x.%032x", 1 + i);
		engines[1]->o.events->came(engines[1]->o.owner, subject, message, sizeof message);
		if (i % 2000)
			continue;
		say(stands[0], 1, 10);
		UNTIL((turn(), between(1, 0)->got == between(0, 1)->sent));
	}
	assert_int_equal(stands[0]->lost + stands[1]->lost, 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
	dice_begin();
	const struct CMUnitTest tests[] = {
	    T(without_loss_nothing_is_lost),
	    T(every_lost_message_is_told),
	    T(what_comes_twice_is_taken_once),
	    T(what_overtakes_is_not_taken_before),
	    T(both_sides_of_a_gap_know_it_at_once),
	    T(a_last_message_that_is_lost_is_soon_known),
	    T(a_server_that_comes_and_goes_is_survived),
	    T(a_new_life_is_told_from_the_one_before),
	    T(without_memory_what_is_lost_is_told),
	    T(strangers_may_say_anything),
	    T(many_strangers_push_nobody_out),
	};
	cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
