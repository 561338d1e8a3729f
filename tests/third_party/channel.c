/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger's program, built against what is installed and nothing else:
 *
 *   channel SOCKET put KEY TEXT...       an event each
 *   channel SOCKET read KEY N [AFTER]    the next N, a line each
 *   channel SOCKET late KEY TEXT...      the same into a channel that is no more
 *   channel SOCKET ask OPERATION [ARGUMENT=VALUE | ARGUMENT+=WORD | at=HOST]...
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vigia/vigia.h>

static int complain(const char *what, int r, const struct vigia_error *e)
{
	fprintf(stderr, "%s: %s%s%s (%d)\n", what, e->code, *e->code ? ": " : "", e->text, r);
	return 1;
}

static int put_into(struct vigia *v, char **argv, bool late)
{
	struct vigia_channel c;
	struct vigia_error error = {0};
	int r = vigia_channel(v, argv[0], true, &c, &error);
	if (!r && late)
		r = vigia_channel_delete(v, argv[0], &error);
	for (char **text = argv + 1; !r && *text; text++)
		r = vigia_put(v, &c, 1, *text, strlen(*text));
	return r ? complain("put", r, &error) : 0;
}

static int put(struct vigia *v, char **argv)
{
	return put_into(v, argv, false);
}

static int put_late(struct vigia *v, char **argv)
{
	struct vigia_error why = {0};
	int r = put_into(v, argv, true);
	if (!r)
		r = vigia_call(v, NULL, vigia_query("host.info"), 0, NULL, NULL, &why);
	printf("%" PRIu64, vigia_put_refused(v, &why));
	printf(" %s: %s\n", why.code, why.text);
	return r;
}

struct reader {
	int wanted, result;
	bool over;
};

static void on_event(void *data, const struct vigia_event *e)
{
	struct reader *r = data;
	if (e->lost)
		printf("lost %" PRIu64 " before %" PRIu64 "\n", e->lost, e->sequence);
	else
		printf("%" PRIu64 " %" PRIu32 " %.*s\n", e->sequence, e->tag, (int)e->n, (const char *)e->data);
	fflush(stdout);
	r->wanted -= !e->lost;
}

static void on_over(void *data, int result, const struct vigia_error *error)
{
	struct reader *r = data;
	r->over = true;
	r->result = complain("read", result, error);
}

static int read_events(struct vigia *v, char **argv)
{
	struct reader r = {.wanted = atoi(argv[1])};
	struct vigia_subscriber s = {on_event, on_over, &r};
	int64_t number = vigia_subscribe(v, NULL, argv[0], UINT32_MAX, argv[2] ? atoll(argv[2]) : -1, &s);
	while (number > 0 && r.wanted > 0 && !r.over)
		vigia_wait(v, -1);
	return number < 0 ? 1 : r.result;
}

static int on_answer(void *data, const struct vigia_message *m)
{
	printf("%s", vigia_name(m));
	for (size_t i = 0; vigia_field(m, i); i++)
		printf(" %s=%s/%" PRId64, vigia_field(m, i), vigia_get_text(m, vigia_field(m, i), ""),
		    vigia_get_int(m, vigia_field(m, i), 0));
	printf("%s%s\n", *vigia_text(m) ? " " : "", vigia_text(m));
	return 0;
}

static int ask(struct vigia *v, char **argv)
{
	struct vigia_error error = {0};
	struct vigia_message *q = vigia_query(argv[0]);
	const char *host = NULL;
	for (char **a = argv + 1; q && *a; a++) {
		char *value = strchr(*a, '=');
		bool word = value[-1] == '+';
		value[word ? -1 : 0] = '\0';
		if (!strcmp(*a, "at"))
			host = value + 1;
		else if (word)
			vigia_add_word(q, *a, value + 1);
		else
			vigia_set_text(q, *a, value + 1);
	}
	const char *deadline_ms = getenv("DEADLINE_MS");
	int r = vigia_call(v, host, q, deadline_ms ? atoll(deadline_ms) : 0, on_answer, NULL, &error);
	return r ? complain("ask", r, &error) : 0;
}

int main(int argc, char **argv)
{
	struct vigia *v;
	struct vigia_error error = {0};
	int r = vigia_open(&v, argv[1], &error);
	if (r)
		return complain("open", r, &error);
	static const struct {
		const char *name;
		int (*run)(struct vigia *v, char **argv);
	} commands[] = {{"put", put}, {"read", read_events}, {"late", put_late}, {"ask", ask}};
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (!strcmp(argv[2], commands[i].name))
			r = commands[i].run(v, argv + 3);
	vigia_close(v);
	return r;
}
