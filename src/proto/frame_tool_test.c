/* SPDX-License-Identifier: Apache-2.0 */
/* Frames as lines of words, for tests in other languages and on other machines (tests/test_frames.py).
 *
 *	frame-tool say <FRAMES >LINES	    the last line is "wrong AT WHY" where the stream is
 *	frame-tool make <LINES >FRAMES
 *	frame-tool dice SEED N >FRAMES	    N random ones of each sort
 *
 * bare KIND NUMBER
 * message KIND NUMBER			    then its messages
 * query FLAGS NUMBER TO DEADLINE [HOST UID PID]
 * event NUMBER SEQUENCE TIME TAG HOST PROCESS ENTITY DATA
 * lost NUMBER LOST BEFORE
 * m LEVEL NAME TEXT			    0 is the root
 * f TYPE NAME VALUE			    of the message before; type: text, int, flag, bytes
 * c HOST CHANNEL SEQUENCE		    a cause of the event before
 * end
 *
 * Text and bytes are =HEX.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/frame_dice_test.h"

static void die(const char *what)
{
	fprintf(stderr, "frame-tool: %s\n", what);
	exit(2);
}

/* --- say --- */

static void say_hex(const void *bytes, size_t n)
{
	fputs(" =", stdout);
	for (size_t i = 0; i < n; i++)
		printf("%02x", ((const uint8_t *)bytes)[i]);
}

static void say_host(const struct host_id *id)
{
	say_hex(id->bytes, sizeof id->bytes);
}

static void say_field(const struct msg_field *f)
{
	static const char *const types[] = {
	    [MSG_TEXT] = "text", [MSG_INT] = "int", [MSG_FLAG] = "flag", [MSG_BYTES] = "bytes"};
	printf("f %s %s", types[f->type], f->name);
	if (f->type == MSG_INT || f->type == MSG_FLAG)
		printf(" %" PRId64, f->number);
	else
		say_hex(f->bytes, f->n);
	putchar('\n');
}

static void say_message(const struct msg *m, int level)
{
	printf("m %d %s", level, m->name);
	say_hex(m->text, strlen(m->text));
	putchar('\n');
	for (const struct msg_field *f = m->fields; f; f = f->next)
		say_field(f);
	for (const struct msg *c = m->children; c; c = c->next)
		say_message(c, level + 1);
}

static int say_query(const struct frame *f, const char **why)
{
	struct frame_route r;
	struct msg *m;
	int error = frame_get_query(f, &r, &m, why);
	if (error)
		return error;
	printf("query %u %" PRIu64, f->flags, f->number);
	say_hex(r.to, strlen(r.to));
	printf(" %" PRId64, r.deadline_ms);
	if (r.caller.given) {
		say_host(&r.caller.host);
		printf(" %" PRIu32 " %" PRIu32, r.caller.uid, r.caller.pid);
	}
	putchar('\n');
	say_message(m, 0);
	msg_free(m);
	return 0;
}

static int say_answer(const struct frame *f, const char **why)
{
	struct msg *m;
	int error = frame_get_msg(f, &m, why);
	if (error)
		return error;
	printf("message %d %" PRIu64 "\n", (int)f->kind, f->number);
	say_message(m, 0);
	msg_free(m);
	return 0;
}

static int say_bare(const struct frame *f, const char **why)
{
	printf("bare %d %" PRIu64 "\n", (int)f->kind, f->number);
	return 0;
}

static int say_event(const struct frame *f, const char **why)
{
	struct frame_event e;
	*why = "an event that does not read";
	if (frame_get_event(f, &e))
		return -EPROTO;
	printf("event %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRIu32, f->number, e.sequence, e.time_ns, e.tag);
	say_host(&e.sender.host);
	printf(" %" PRIu32 " %" PRIu64, e.sender.process, e.sender.entity);
	say_hex(e.data, e.n);
	putchar('\n');
	for (size_t i = 0; i < e.causes_n; i++) {
		putchar('c');
		say_host(&e.causes[i].channel.host);
		printf(" %" PRIu64 " %" PRIu64 "\n", e.causes[i].channel.number, e.causes[i].sequence);
	}
	return 0;
}

static int say_lost(const struct frame *f, const char **why)
{
	uint64_t lost, before;
	*why = "a loss that does not read";
	if (frame_get_lost(f, &lost, &before))
		return -EPROTO;
	printf("lost %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", f->number, lost, before);
	return 0;
}

static int say_frame(void *data, const struct frame *f)
{
	static int (*const by_kind[])(const struct frame *f, const char **why) = {[FRAME_HELLO] = say_answer,
	    [FRAME_QUERY] = say_query,
	    [FRAME_ANSWER] = say_answer,
	    [FRAME_END] = say_bare,
	    [FRAME_ERROR] = say_answer,
	    [FRAME_EVENT_KIND] = say_event,
	    [FRAME_LOST] = say_lost,
	    [FRAME_CANCEL] = say_bare,
	    [FRAME_PARTIAL] = say_answer};
	int r = by_kind[f->kind](f, data);
	if (!r)
		puts("end");
	return r;
}

static int say(char **arguments)
{
	struct frame_cutter c = {0};
	const char *why = NULL;
	char bytes[10007];
	size_t n;
	int r = 0;
	while (!r && (n = fread(bytes, 1, sizeof bytes, stdin)))
		r = frame_cut(&c, bytes, n, say_frame, &why);
	if (r)
		printf("wrong %" PRIu64 " %s\n", c.at, c.why ? c.why : why);
	else if (c.held.len)
		printf("wrong %" PRIu64 " ends in a frame\n", c.at);
	frame_cutter_release(&c);
	return 0;
}

/* --- make --- */

/* What the lines since the last "end" have said. */
struct made {
	struct buf out;
	char sort;
	unsigned kind, flags;
	uint64_t number, lost, before;
	struct frame_route route;
	struct frame_event event;
	struct msg *message, *path[FRAME_DEPTH_MAX + 2];
	int level;
};

enum { WORDS = 9 };

static unsigned nibble(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* In place: =HEX becomes the bytes. */
static size_t bytes_of(char *word, char **ret)
{
	size_t n = strlen(word) / 2;
	*ret = word;
	if (*word != '=')
		die("no =HEX");
	for (size_t i = 0; i < n; i++)
		word[i] = (char)(nibble(word[1 + 2 * i]) << 4 | nibble(word[2 + 2 * i]));
	word[n] = '\0';
	return n;
}

static void take_host(char *word, struct host_id *ret)
{
	char *bytes;
	if (bytes_of(word, &bytes) != sizeof ret->bytes)
		die("no host's id");
	memcpy(ret->bytes, bytes, sizeof ret->bytes);
}

static uint64_t number(const char *word)
{
	return strtoull(word, NULL, 10);
}

static void make_bare(struct made *m, char **w)
{
	m->kind = (unsigned)number(w[1]);
	m->number = number(w[2]);
}

static void make_query(struct made *m, char **w)
{
	char *to;
	m->flags = (unsigned)number(w[1]);
	m->number = number(w[2]);
	m->route = (struct frame_route){.deadline_ms = strtoll(w[4], NULL, 10)};
	size_t n = bytes_of(w[3], &to);
	if (n >= sizeof m->route.to)
		die("to whom is too long");
	memcpy(m->route.to, to, n);
	if (!w[5])
		return;
	take_host(w[5], &m->route.caller.host);
	m->route.caller.uid = (uint32_t)number(w[6]);
	m->route.caller.pid = (uint32_t)number(w[7]);
	m->route.caller.given = true;
}

static void make_event(struct made *m, char **w)
{
	char *data;
	m->number = number(w[1]);
	m->event = (struct frame_event){.sequence = number(w[2]), .time_ns = strtoll(w[3], NULL, 10)};
	m->event.tag = (uint32_t)number(w[4]);
	take_host(w[5], &m->event.sender.host);
	m->event.sender.process = (uint32_t)number(w[6]);
	m->event.sender.entity = number(w[7]);
	m->event.n = bytes_of(w[8], &data);
	m->event.data = memcpy(malloc(m->event.n + 1), data, m->event.n);
}

static void make_cause(struct made *m, char **w)
{
	struct frame_cause *c = &m->event.causes[m->event.causes_n++];
	take_host(w[1], &c->channel.host);
	c->channel.number = number(w[2]);
	c->sequence = number(w[3]);
}

static void make_lost(struct made *m, char **w)
{
	m->number = number(w[1]);
	m->lost = number(w[2]);
	m->before = number(w[3]);
}

static void make_message(struct made *m, char **w)
{
	char *text;
	m->level = (int)number(w[1]);
	if (m->level > FRAME_DEPTH_MAX + 1)
		die("too deep even to try");
	struct msg *one = m->level ? msg_child(m->path[m->level - 1], w[2]) : msg_new(w[2]);
	size_t n = bytes_of(w[3], &text);
	if (n)
		msg_text(one, text, n);
	m->path[m->level] = one;
	if (!m->level)
		m->message = one;
}

static void make_field(struct made *m, char **w)
{
	struct msg *one = m->path[m->level];
	char *bytes = NULL;
	size_t n = *w[3] == '=' ? bytes_of(w[3], &bytes) : 0;
	if (!strcmp(w[1], "text"))
		msg_set_n(one, w[2], bytes, n);
	else if (!strcmp(w[1], "bytes"))
		msg_set_bytes(one, w[2], bytes, n);
	else if (!strcmp(w[1], "int"))
		msg_set_int(one, w[2], strtoll(w[3], NULL, 10));
	else
		msg_set_flag(one, w[2], *w[3] == '1');
}

static int put_made(struct made *m)
{
	switch (m->sort) {
	case 'b':
		return frame_put(&m->out, (enum frame_kind)m->kind, 0, m->number, NULL, 0);
	case 'q':
		return frame_put_query(&m->out, m->flags, m->number, &m->route, m->message);
	case 'e':
		return frame_put_event(&m->out, m->number, &m->event);
	case 'l':
		return frame_put_lost(&m->out, m->number, m->lost, m->before);
	default:
		return frame_put_msg(&m->out, (enum frame_kind)m->kind, m->number, m->message);
	}
}

/* A frame that cannot be put is left out, and named. */
static void make_end(struct made *m, char **w)
{
	int r = put_made(m);
	if (r)
		fprintf(stderr, "%s\n", strerror(-r));
	fwrite(m->out.data, 1, m->out.len, stdout);
	buf_clear(&m->out);
	msg_free(m->message);
	free((void *)(uintptr_t)m->event.data);
	*m = (struct made){.out = m->out};
}

static const struct {
	const char *word;
	int words; /* at least */
	void (*make)(struct made *m, char **w);
} sorts[] = {{"bare", 3, make_bare}, {"message", 3, make_bare}, {"query", 5, make_query},
    {"event", 9, make_event}, {"lost", 4, make_lost}, {"m", 4, make_message}, {"f", 4, make_field},
    {"c", 4, make_cause}, {"end", 1, make_end}};

static void make_line(struct made *m, char *line)
{
	char *w[WORDS + 1] = {0};
	int n = 0;
	for (char *word = strtok(line, " \n"); word && n < WORDS; word = strtok(NULL, " \n"))
		w[n++] = word;
	for (size_t i = 0; i < sizeof sorts / sizeof *sorts; i++)
		if (n >= sorts[i].words && !strcmp(w[0], sorts[i].word)) {
			if (i < 5)
				m->sort = *w[0];
			sorts[i].make(m, w);
			return;
		}
	die("a line of no known sort");
}

static int make(char **arguments)
{
	struct made m = {0};
	char *line = NULL;
	size_t size = 0;
	while (getline(&line, &size, stdin) > 0)
		make_line(&m, line);
	free(line);
	buf_release(&m.out);
	return 0;
}

/* --- dice --- */

static void put_random(struct buf *out)
{
	static const enum frame_kind kinds[] = {FRAME_ANSWER, FRAME_ERROR, FRAME_PARTIAL};
	struct msg *m = dice_message();
	struct frame_route route;
	struct frame_event e;
	uint64_t words[4];
	dice_route(&route);
	dice_event(&e);
	for (size_t i = 0; i < 4; i++)
		words[i] = dice() | 1;
	enum frame_kind kind = kinds[dice_below(3)];
	if (frame_put_msg(out, kind, words[0], m) ||
	    frame_put_query(out, dice_below(2), words[1], &route, m) || frame_put_event(out, words[2], &e) ||
	    frame_put_lost(out, words[3], words[0], words[1]))
		die("a random one is not put");
	msg_free(m);
}

static int throw_dice(char **arguments)
{
	struct buf out = BUF_INIT;
	if (!arguments[0] || !arguments[1])
		die("which seed, and how many?");
	dice_state = number(arguments[0]);
	for (uint64_t n = number(arguments[1]); n; n--) {
		put_random(&out);
		fwrite(out.data, 1, out.len, stdout);
		buf_clear(&out);
	}
	buf_release(&out);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(char **arguments);
} commands[] = {{"say", say}, {"make", make}, {"dice", throw_dice}};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argv + 2);
	die("say, make or dice");
	return 2;
}
