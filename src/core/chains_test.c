/* SPDX-License-Identifier: Apache-2.0 */
/* Cores of several hosts in one process, and a network between them that carries when the test says so. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "core/chains.h"
#include "core/channels.h"
#include "core/links.h"
#include "core/view.h"

enum { HOSTS = 4, STRANGE = 3 /* says what the test wants */ };
enum { OWNER = 1001, OTHER = 1002 };

/* --- the network --- */

struct letter {
	TAILQ_ENTRY(letter) next;
	int from, to;
	struct buf bytes;
};

struct platform {
	const struct platform_type *type;
	struct platform_options o;
	int host;
};

static TAILQ_HEAD(, letter) post = TAILQ_HEAD_INITIALIZER(post);
static uv_loop_t loop;
static struct core cores[HOSTS];
static struct platform *platforms[HOSTS];
static bool cut; /* between all */
static uint64_t strange_query; /* number of the last one that the strange host was asked */

static struct host_id id_of(int host)
{
	return (struct host_id){.bytes = {7, 7, (uint8_t)(host + 1)}};
}

static int host_of(const struct host_id *id)
{
	return id->bytes[2] - 1;
}

static int fake_open(struct platform **ret, const struct platform_options *options, struct buf *why)
{
	struct platform *p = calloc(1, sizeof *p);
	*p = (struct platform){.o = *options, .host = host_of(&options->self)};
	*ret = platforms[p->host] = p;
	return 0;
}

static void fake_close(struct platform *p)
{
	platforms[p->host] = NULL;
	free(p);
}

static void fake_place(struct platform *p, const struct host_id *host, const char *name, const char *addresses)
{
}

static int fake_send(struct platform *p, const struct host_id *to, const void *frame, size_t n)
{
	if (cut)
		return -EHOSTUNREACH;
	struct letter *l = calloc(1, sizeof *l);
	l->from = p->host;
	l->to = host_of(to);
	buf_put(&l->bytes, frame, n);
	TAILQ_INSERT_TAIL(&post, l, next);
	return 0;
}

static size_t fake_room(struct platform *p, const struct host_id *to)
{
	return 16 << 20;
}

static const struct platform_type fake = {.name = "fake", .open = fake_open, .close = fake_close, .place = fake_place,
    .send = fake_send, .room = fake_room};

static void deliver(int from, int to, const void *bytes, size_t n)
{
	struct host_id id = id_of(from);
	struct frame f;
	const char *why;
	if (to == STRANGE && !frame_read(bytes, n, &f, &why) && f.kind == FRAME_QUERY)
		strange_query = f.number;
	if (platforms[to])
		platforms[to]->o.events->received(platforms[to]->o.owner, &id, bytes, n);
}

static void carry(void)
{
	struct letter *l;
	while ((l = TAILQ_FIRST(&post))) {
		TAILQ_REMOVE(&post, l, next);
		deliver(l->from, l->to, l->bytes.data, l->bytes.len);
		buf_release(&l->bytes);
		free(l);
	}
}

static void lose_post(void)
{
	struct letter *l;
	while ((l = TAILQ_FIRST(&post))) {
		TAILQ_REMOVE(&post, l, next);
		buf_release(&l->bytes);
		free(l);
	}
}

/* All that was on its way is lost, and both sides of each link know. */
static void break_links(void)
{
	lose_post();
	for (int a = 0; a < HOSTS; a++)
		for (int b = 0; b < HOSTS; b++) {
			struct host_id id = id_of(b);
			if (a != b && platforms[a])
				platforms[a]->o.events->lost(platforms[a]->o.owner, &id, ECONNRESET, "the link broke");
		}
}

static void turn(void)
{
	uv_run(&loop, UV_RUN_NOWAIT);
	carry();
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#define UNTIL(condition)                                                                                               \
	do {                                                                                                           \
		int64_t begun = now_ms();                                                                              \
		while (!(condition) && now_ms() - begun < 20000)                                                       \
			turn();                                                                                        \
		assert_true(condition);                                                                                \
	} while (0)

/* --- who asks --- */

struct tester {
	struct asker asker;
	char said[8192]; /* answers as "name field=value ...\n", events as "SEQUENCE:DATA\n", "N lost before M\n" */
	char code[64], text[512];
	int over;
	int64_t ids;
};

static void say(struct tester *t, const char *format, ...)
{
	size_t at = strlen(t->said);
	va_list ap;
	va_start(ap, format);
	vsnprintf(t->said + at, sizeof t->said - at, format, ap);
	va_end(ap);
}

static struct tester *tester_of(const struct call *c)
{
	return (struct tester *)c->asker;
}

static void on_answer(struct call *c, const struct msg *m)
{
	say(tester_of(c), "%s", m->name);
	for (const struct msg_field *f = m->fields; f; f = f->next) {
		int64_t number = 0;
		if (*msg_get(m, f->name, "") || msg_get_int(m, f->name, &number))
			say(tester_of(c), " %s=%s", f->name, msg_get(m, f->name, ""));
		else
			say(tester_of(c), " %s=%lld", f->name, (long long)number);
	}
	say(tester_of(c), "\n");
}

static void on_over(struct call *c, const char *code, const char *text)
{
	struct tester *t = tester_of(c);
	t->over++;
	snprintf(t->code, sizeof t->code, "%s", code ? code : "well");
	snprintf(t->text, sizeof t->text, "%s", text ? text : "");
}

static int on_frame(void *data, const struct frame *f)
{
	struct frame_event e;
	uint64_t lost, before;
	if (f->kind == FRAME_LOST && !frame_get_lost(f, &lost, &before))
		say(data, "%llu lost before %llu\n", (unsigned long long)lost, (unsigned long long)before);
	else if (!frame_get_event(f, &e))
		say(data, "%llu:%.*s\n", (unsigned long long)e.sequence, (int)e.n, (const char *)e.data);
	return 0;
}

static void on_frames(struct call *c, const struct buf *frames)
{
	struct frame_cutter cutter = {0};
	frame_cut(&cutter, frames->data, frames->len, on_frame, tester_of(c));
}

static void want(struct asker *a)
{
}

static size_t pending(const struct asker *a)
{
	return 0;
}

static const struct asker_type tester_type = {.answer = on_answer, .over = on_over, .frames = on_frames, .want = want,
    .pending = pending};

static struct tester tester(int host, uid_t uid)
{
	struct core *core = &cores[host];
	return (struct tester){.asker = {.type = &tester_type, .core = core, .role = "client", .roles = ROLE_CLIENT,
	    .uid = uid, .pid = 4711, .entity = ++core->askers}};
}

/* words: "channel.chain", then "name=value"... */
static void ask(struct tester *t, const char *operation, ...)
{
	char word[512];
	struct msg *m;
	va_list ap;
	snprintf(word, sizeof word, "%s", operation);
	*strchr(word, '.') = '\0';
	m = msg_new(word);
	msg_set(m, "query", word + strlen(word) + 1);
	va_start(ap, operation);
	for (const char *w; (w = va_arg(ap, const char *));) {
		snprintf(word, sizeof word, "%s", w);
		char *value = strchr(word, '=');
		*value++ = '\0';
		if (!strcmp(word, "data"))
			msg_set_bytes(m, word, value, strlen(value));
		else
			msg_set(m, word, value);
	}
	va_end(ap);
	t->over = 0;
	*t->said = *t->code = *t->text = '\0';
	dispatch(&t->asker, &(struct asked){.id = ++t->ids, .to = ""}, m);
}

static const char *said(int host, uid_t uid, const char *operation, const char *a, const char *b, const char *c, const char *d)
{
	static struct tester t;
	t = tester(host, uid);
	ask(&t, operation, a, b, c, d, NULL);
	UNTIL(t.over);
	return strcmp(t.code, "well") ? t.code : t.said;
}

static void make(int host, const char *key)
{
	char word[64];
	snprintf(word, sizeof word, "key=%s", key);
	assert_non_null(strstr(said(host, OWNER, "channel.create", word, "public=yes", NULL, NULL), "channel key="));
}

static void put(int host, const char *key, const char *tag, const char *data)
{
	char channel[64], t[32], word[300];
	snprintf(channel, sizeof channel, "channel=%s", key);
	snprintf(t, sizeof t, "tag=%s", tag);
	snprintf(word, sizeof word, "data=%s", data);
	assert_string_equal(said(host, OWNER, "channel.put", channel, t, word, NULL), "");
}

static const char *chain(int host, const char *key, const char *from, const char *from_host)
{
	char channel[64], f[128], h[64];
	snprintf(channel, sizeof channel, "channel=%s", key);
	snprintf(f, sizeof f, "from=%s", from);
	snprintf(h, sizeof h, "host=%s", from_host);
	return said(host, OWNER, "channel.chain", channel, f, h, NULL);
}

static bool state_is(int host, const char *key, const char *state)
{
	char word[64], channel[64];
	snprintf(word, sizeof word, "state=%s", state);
	snprintf(channel, sizeof channel, "channel=%s", key);
	return strstr(said(host, OWNER, "channel.chains", channel, NULL, NULL, NULL), word);
}

/* All events of it so far. */
static const char *all_of(int host, const char *key)
{
	static struct tester t;
	char channel[64];
	t = tester(host, OWNER);
	snprintf(channel, sizeof channel, "channel=%s", key);
	ask(&t, "channel.poll", channel, "after=0", "most=1000", NULL);
	char *end = strstr(t.said, "poll id=");
	assert_non_null(end);
	*end = '\0';
	return t.said;
}

#define UNTIL_ALL(host, key, text) UNTIL(!strcmp(all_of(host, key), text))

/* --- the hosts --- */

static const struct service *const services[] = {&channel_service, NULL};

static void start(int host)
{
	static const struct limit_values limits = {{[LIMIT_CONNECTIONS] = 10, [LIMIT_OPENING] = 1000000000}};
	struct host_id id = id_of(host);
	struct buf why = BUF_INIT;
	char name[8] = {'h', (char)('0' + host)};
	memset(&cores[host], 0, sizeof cores[host]);
	assert_int_equal(core_start(&cores[host], &loop, &id, name, services, &limits), 0);
	assert_int_equal(links_start(&cores[host], &fake, NULL, NULL, &why), 0);
	assert_int_equal(view_start(&cores[host], "", NULL), 0);
	for (int i = 0; i < HOSTS; i++) {
		struct view_row row = {.id = id_of(i), .name = {'h', (char)('0' + i)}, .revision = 1};
		view_take(&cores[host], &row);
	}
}

static void stop(int host)
{
	struct core *core = &cores[host];
	view_stop(core);
	links_stop(core);
	core_stop(core);
	UNTIL(!core->channels && !core->chains);
	for (int i = 0; i < 5; i++)
		turn();
	view_release(core);
	links_release(core);
}

static int set_up(void **state)
{
	uv_loop_init(&loop);
	cut = false;
	for (int i = 0; i < HOSTS; i++)
		start(i);
	return 0;
}

static int tear_down(void **state)
{
	for (int i = 0; i < HOSTS; i++)
		stop(i);
	lose_post();
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

/* --- what comes through --- */

static void events_come_in_order_with_those_put_there(void **state)
{
	make(0, "a");
	make(1, "b");
	make(2, "c");
	put(0, "a", "1", "before");
	assert_non_null(strstr(chain(1, "b", "a", "h0"), "state=going"));
	assert_non_null(strstr(chain(2, "c", "b", "h1"), "state=going"));
	put(0, "a", "1", "one");
	UNTIL_ALL(2, "c", "1:one\n");
	put(1, "b", "1", "two");
	UNTIL_ALL(2, "c", "1:one\n2:two\n");
	assert_string_equal(all_of(1, "b"), "1:one\n2:two\n");
	assert_string_equal(all_of(0, "a"), "1:before\n2:one\n");
}

static void a_chain_on_one_host_asks_no_other(void **state)
{
	make(0, "a");
	make(0, "b");
	cut = true;
	assert_non_null(strstr(said(0, OWNER, "channel.chain", "channel=b", "from=a", "mask=2", NULL), "state=going"));
	put(0, "a", "1", "no");
	put(0, "a", "2", "yes");
	UNTIL_ALL(0, "b", "1:yes\n");
	assert_string_equal(said(0, OWNER, "channel.delete", "channel=a", NULL, NULL, NULL), "");
	assert_true(state_is(0, "b", "ended"));
}

static void a_break_is_waited_out_and_nothing_lost_that_is_still_there(void **state)
{
	make(0, "a");
	make(1, "b");
	chain(1, "b", "a", "h0");
	put(0, "a", "1", "one");
	UNTIL_ALL(1, "b", "1:one\n");
	cut = true;
	break_links();
	assert_true(state_is(1, "b", "waiting"));
	put(0, "a", "1", "two");
	for (int64_t begun = now_ms(); now_ms() - begun < 300;)
		turn();
	assert_true(state_is(1, "b", "waiting"));
	cut = false;
	UNTIL(state_is(1, "b", "going"));
	UNTIL_ALL(1, "b", "1:one\n2:two\n");
}

static void what_is_not_there_any_more_is_told_exactly(void **state)
{
	char event[20];
	said(0, OWNER, "channel.create", "key=a", "log=400", "public=yes", NULL);
	make(1, "b");
	chain(1, "b", "a", "h0");
	cut = true;
	break_links();
	for (int i = 1; i <= 20; i++) {
		snprintf(event, sizeof event, "%d", i);
		put(0, "a", "1", event);
	}
	cut = false;
	UNTIL_ALL(1, "b", "15 lost before 16\n16:16\n17:17\n18:18\n19:19\n20:20\n");
	assert_non_null(strstr(said(1, OWNER, "channel.chains", "channel=b", NULL, NULL, NULL), "lost=15"));
}

static void a_daemon_that_was_started_anew_is_told_from_one_that_was_away(void **state)
{
	char channel[128];
	make(0, "a");
	make(1, "b");
	const char *id = strstr(chain(1, "b", "a", "h0"), "source=");
	snprintf(channel, sizeof channel, "channel=%.*s", (int)strcspn(id + 7, " "), id + 7);
	stop(0);
	break_links();
	UNTIL(state_is(1, "b", "waiting"));
	start(0);
	make(0, "a");
	UNTIL(state_is(1, "b", "ended"));
	assert_non_null(strstr(said(1, OWNER, "channel.chains", "channel=b", NULL, NULL, NULL), "started anew"));
	assert_string_equal(said(0, OWNER, "channel.subscribe", channel, "after=0", NULL, NULL), "restarted");
	assert_string_equal(said(0, OWNER, "channel.poll", "channel=a", "after=1", NULL, NULL), "restarted");
	assert_non_null(strstr(chain(1, "b", "a", "h0"), "state=going"));
}

static void each_change_is_an_event_of_its_own_channel(void **state)
{
	make(0, "a");
	make(1, "b");
	chain(1, "b", "a", "h0");
	cut = true;
	break_links();
	cut = false;
	UNTIL(state_is(1, "b", "going"));
	said(0, OWNER, "channel.delete", "channel=a", NULL, NULL, NULL);
	UNTIL(state_is(1, "b", "ended"));
	const char *all = all_of(1, "chains"), *at = all;
	static const char *const changes[] = {"1:going ", "2:waiting ", "3:going ", "4:ended "};
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
		assert_non_null(at = strstr(at, changes[i]));
	assert_non_null(strstr(at, "channel a was deleted"));
}

static void what_a_deleted_source_still_had_comes_or_is_told_as_lost(void **state)
{
	struct tester t = tester(1, OWNER);
	make(0, "a");
	make(1, "b");
	chain(1, "b", "a", "h0");
	char word[260] = "";
	memset(word, 'x', 250);
	for (int i = 0; i < 1000; i++) { /* nobody carries a word meanwhile */
		struct frame_event e = {.data = (const uint8_t *)word, .n = 250};
		struct buf b = BUF_INIT;
		struct frame f;
		const char *why;
		struct channel_entry *entry = channel_entry_find(&cores[0], "a");
		struct tester owner = tester(0, OWNER);
		frame_put_event(&b, entry->number, &e);
		assert_int_equal(frame_read(b.data, b.len, &f, &why), 0);
		assert_int_equal(channels_put_frame(&owner.asker, &f, &why), 0);
		buf_release(&b);
	}
	said(0, OWNER, "channel.delete", "channel=a", NULL, NULL, NULL);
	UNTIL(state_is(1, "b", "ended"));
	ask(&t, "channel.info", "channel=b", NULL);
	assert_non_null(strstr(t.said, "sequence=1000"));
	ask(&t, "channel.chains", "channel=b", NULL);
	const char *lost = strstr(t.said, "lost=");
	assert_in_range(atoi(lost + 5), 100, 900);
}

/* --- rights --- */

static void who_may_put_may_chain_if_he_may_read(void **state)
{
	make(0, "ours");
	make(0, "a");
	said(0, OWNER, "channel.create", "key=mine", NULL, NULL, NULL);
	said(0, OTHER, "channel.create", "key=his", NULL, NULL, NULL);
	said(1, OWNER, "channel.create", "key=closed", NULL, NULL, NULL);
	assert_string_equal(said(0, OTHER, "channel.chain", "channel=mine", "from=a", NULL, NULL), "not-permitted");
	assert_string_equal(said(0, OTHER, "channel.chain", "channel=his", "from=mine", NULL, NULL), "not-permitted");
	assert_string_equal(said(0, OWNER, "channel.chain", "channel=ours", "from=closed", "host=h1", NULL), "not-permitted");
	assert_string_equal(said(0, (uid_t)-1, "channel.chain", "channel=ours", "from=a", NULL, NULL), "not-permitted");
	assert_non_null(strstr(said(0, OTHER, "channel.chain", "channel=ours", "from=a", NULL, NULL), "state=going"));
	assert_non_null(strstr(said(0, OTHER, "channel.chain", "channel=his", "from=hosts", "host=h1", NULL), "state=going"));
}

static void a_chain_is_ended_by_who_made_it_or_whose_channel_it_is(void **state)
{
	make(0, "ours");
	make(0, "a");
	said(0, OTHER, "channel.chain", "channel=ours", "from=a", NULL, NULL);
	assert_string_equal(said(0, 1003, "channel.unchain", "channel=ours", "from=a", NULL, NULL), "not-permitted");
	assert_string_equal(said(0, OTHER, "channel.unchain", "channel=ours", "from=a", NULL, NULL), "");
	assert_string_equal(said(0, OTHER, "channel.unchain", "channel=ours", "from=a", NULL, NULL), "not-found");
	said(0, OTHER, "channel.chain", "channel=ours", "from=a", NULL, NULL);
	assert_string_equal(said(0, OWNER, "channel.unchain", "channel=ours", "from=a", NULL, NULL), "");
}

/* --- cycles --- */

/* Each turn carries all that is on its way. */
static void let_all_hear(void)
{
	for (int i = 0; i < 20; i++)
		turn();
}

static void what_comes_in_through_others_is_known_and_forgotten(void **state)
{
	make(0, "a");
	make(1, "b");
	make(2, "c");
	make(2, "z");
	chain(1, "b", "a", "h0");
	chain(2, "c", "b", "h1");
	assert_non_null(strstr(chain(0, "a", "z", "h2"), "state=going"));
	let_all_hear();
	assert_string_equal(chain(2, "z", "c", "h2"), "cycle");
	assert_string_equal(chain(2, "z", "b", "h1"), "cycle");
	assert_string_equal(said(0, OWNER, "channel.unchain", "channel=a", "from=z", "host=h2", NULL), "");
	let_all_hear();
	assert_non_null(strstr(chain(2, "z", "c", "h2"), "state=going"));
	assert_string_equal(chain(0, "a", "z", "h2"), "cycle");
}

static void a_cycle_of_chains_made_at_once_is_found(void **state)
{
	struct tester t[3];
	static const char *const keys[] = {"channel=a", "channel=b", "channel=c"}, *const from[] = {"from=c", "from=a", "from=b"},
	    *const at[] = {"host=h2", "host=h0", "host=h1"};
	for (int i = 0; i < 3; i++) {
		make(i, keys[i] + strlen("channel="));
		t[i] = tester(i, OWNER);
	}
	for (int i = 0; i < 3; i++)
		ask(&t[i], "channel.chain", keys[i], from[i], at[i], NULL);
	UNTIL(t[0].over && t[1].over && t[2].over);
	UNTIL(state_is(0, "a", "ended") || state_is(1, "b", "ended") || state_is(2, "c", "ended"));
	put(0, "a", "1", "x");
	let_all_hear();
	const char *all = all_of(0, "a");
	assert_true(!strchr(all, '\n')[1]); /* it never came back */
}

/* --- ends in the middle --- */

static void who_goes_before_the_answer_leaves_no_chain(void **state)
{
	struct tester t = tester(0, OWNER);
	make(0, "b");
	ask(&t, "channel.chain", "channel=b", "from=a", "host=h1", NULL);
	assert_string_equal(chain(0, "b", "a", "h1"), "exists");
	asker_drop_calls(&t.asker);
	turn();
	assert_string_equal(said(0, OWNER, "channel.chains", "channel=b", NULL, NULL, NULL), "");
}

static void a_channel_that_is_deleted_before_the_answer_fails_its_chain(void **state)
{
	struct tester t = tester(0, OWNER);
	make(0, "b");
	ask(&t, "channel.chain", "channel=b", "from=a", "host=h1", NULL);
	said(0, OWNER, "channel.delete", "channel=b", NULL, NULL, NULL);
	assert_int_equal(t.over, 1);
	assert_string_equal(t.code, "deleted");
}

static void a_host_that_can_not_be_reached_makes_no_chain(void **state)
{
	make(0, "b");
	cut = true;
	assert_string_equal(chain(0, "b", "a", "h1"), "unreachable");
	assert_string_equal(said(0, OWNER, "channel.chains", "channel=b", NULL, NULL, NULL), "");
}

/* --- a host that says what it likes --- */

static void strange_message(const struct msg *m)
{
	struct buf b = BUF_INIT;
	frame_put_msg(&b, FRAME_ANSWER, strange_query, m);
	deliver(STRANGE, 0, b.data, b.len);
	buf_release(&b);
}

static void strange_channel(int host, const char *sequence)
{
	char id[CHANNEL_ID_TEXT];
	struct msg *m = msg_new("channel");
	channel_id_format(&(struct channel_id){id_of(host), 5}, id);
	msg_set(m, "id", id);
	msg_set(m, "sequence", sequence);
	strange_message(m);
	msg_free(m);
}

/* n channels of it, and `more` as one of them. */
static void strange_upstreams(int n, const char *more, const char *sequence)
{
	char id[CHANNEL_ID_TEXT];
	struct msg *m = msg_new("upstreams");
	for (int i = 0; i < n; i++) {
		struct msg *u = msg_child(m, "upstream");
		channel_id_format(&(struct channel_id){id_of(STRANGE), (uint64_t)i + 100}, id);
		msg_set(u, "id", id);
		msg_set(u, "sequence", "0");
	}
	struct msg *u = more ? msg_child(m, "upstream") : NULL;
	if (u) {
		msg_set(u, "id", more);
		msg_set(u, "sequence", sequence);
	}
	strange_message(m);
	msg_free(m);
}

static void strange_event(uint64_t sequence, size_t n)
{
	static const uint8_t data[CHANNEL_DATA_MAX + 1];
	struct buf b = BUF_INIT;
	struct frame_event e = {.sequence = sequence, .data = data, .n = n};
	frame_put_event(&b, strange_query, &e);
	deliver(STRANGE, 0, b.data, b.len);
	buf_release(&b);
}

static void strange_loss(uint64_t lost, uint64_t before)
{
	struct buf b = BUF_INIT;
	frame_put_lost(&b, strange_query, lost, before);
	deliver(STRANGE, 0, b.data, b.len);
	buf_release(&b);
}

static void ask_the_strange_one(struct tester *t)
{
	make(0, "b");
	*t = tester(0, OWNER);
	strange_query = 0;
	/* It does not answer by itself: it has no such channel, and what it says of that is not carried. */
	ask(t, "channel.chain", "channel=b", "from=a", "host=h3", NULL);
	struct letter *l = TAILQ_FIRST(&post);
	struct frame f;
	const char *why;
	assert_int_equal(frame_read(l->bytes.data, l->bytes.len, &f, &why), 0);
	strange_query = f.number;
	lose_post();
}

static void stands(struct tester *t)
{
	ask_the_strange_one(t);
	strange_channel(STRANGE, "10");
	strange_upstreams(0, NULL, NULL);
	assert_string_equal(t->code, "well");
}

static void begins_with_nonsense(struct tester *t, void (*what)(void))
{
	ask_the_strange_one(t);
	what();
	strange_upstreams(0, NULL, NULL);
	assert_int_equal(t->over, 1);
	assert_string_not_equal(t->code, "well");
	assert_string_equal(said(0, OWNER, "channel.chains", "channel=b", NULL, NULL, NULL), "");
	said(0, OWNER, "channel.delete", "channel=b", NULL, NULL, NULL);
}

static void says_another_hosts(void)
{
	strange_channel(2, "1");
}

static void says_too_far(void)
{
	strange_channel(STRANGE, "9000000000000000000");
}

static void says_less_than_nothing(void)
{
	strange_channel(STRANGE, "-1");
}

static void says_no_channel(void)
{
	strange_upstreams(1, NULL, NULL);
}

static void says_too_many(void)
{
	strange_channel(STRANGE, "1");
	strange_upstreams(CHAIN_UPSTREAMS_MAX + 1, NULL, NULL);
}

static void says_no_id(void)
{
	strange_channel(STRANGE, "1");
	strange_upstreams(3, "x", "1");
}

static void a_source_that_begins_with_nonsense_is_none(void **state)
{
	static void (*const all[])(void) = {says_another_hosts, says_too_far, says_less_than_nothing, says_no_channel,
	    says_too_many, says_no_id};
	struct tester t;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		begins_with_nonsense(&t, all[i]);
}

static void goes_back(void)
{
	strange_event(10, 0);
}

static void goes_too_far(void)
{
	strange_event(UINT64_MAX, 0);
}

static void is_too_large(void)
{
	strange_event(11, CHANNEL_DATA_MAX + 1);
}

static void loses_what_never_was(void)
{
	strange_loss(2, 12);
}

static void loses_all_there_could_be(void)
{
	strange_loss(UINT64_MAX - 20, UINT64_MAX);
}

static void loses_before_it_began(void)
{
	strange_loss(1, 0);
}

static void tells_more_than_may_come_in(void)
{
	strange_upstreams(CHAIN_UPSTREAMS_MAX + 1, NULL, NULL);
}

static void a_source_that_goes_on_with_nonsense_is_left(void **state)
{
	static void (*const all[])(void) = {goes_back, goes_too_far, is_too_large, loses_what_never_was,
	    loses_all_there_could_be, loses_before_it_began, tells_more_than_may_come_in};
	struct tester t;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		stands(&t);
		all[i]();
		assert_true(!state_is(0, "b", "going"));
		assert_string_equal(all_of(0, "b"), "");
		strange_event(50, 0);
		assert_string_equal(all_of(0, "b"), "");
		said(0, OWNER, "channel.delete", "channel=b", NULL, NULL, NULL);
	}
}

static void what_a_source_tells_twice_or_of_itself_counts_once(void **state)
{
	struct tester t;
	char self[CHANNEL_ID_TEXT];
	channel_id_format(&(struct channel_id){id_of(STRANGE), 5}, self);
	stands(&t);
	strange_upstreams(3, self, "0");
	strange_upstreams(3, self, "7");
	strange_upstreams(1, NULL, NULL);
	strange_loss(1, 12);
	assert_string_equal(all_of(0, "b"), "1 lost before 2\n");
	strange_upstreams(0, NULL, NULL);
	assert_true(state_is(0, "b", "going"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    T(events_come_in_order_with_those_put_there),
	    T(a_chain_on_one_host_asks_no_other),
	    T(a_break_is_waited_out_and_nothing_lost_that_is_still_there),
	    T(what_is_not_there_any_more_is_told_exactly),
	    T(a_daemon_that_was_started_anew_is_told_from_one_that_was_away),
	    T(each_change_is_an_event_of_its_own_channel),
	    T(what_a_deleted_source_still_had_comes_or_is_told_as_lost),
	    T(who_may_put_may_chain_if_he_may_read),
	    T(a_chain_is_ended_by_who_made_it_or_whose_channel_it_is),
	    T(what_comes_in_through_others_is_known_and_forgotten),
	    T(a_cycle_of_chains_made_at_once_is_found),
	    T(who_goes_before_the_answer_leaves_no_chain),
	    T(a_channel_that_is_deleted_before_the_answer_fails_its_chain),
	    T(a_host_that_can_not_be_reached_makes_no_chain),
	    T(a_source_that_begins_with_nonsense_is_none),
	    T(a_source_that_goes_on_with_nonsense_is_left),
	    T(what_a_source_tells_twice_or_of_itself_counts_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
