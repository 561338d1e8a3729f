/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that answer each other through channels, and others that look on:
 *
 *   causes SOCKET emit NAME N KEY HOST:KEY...     puts N events into KEY, "NAME.i CAUSE", CAUSE what it heard last ("-": nothing)
 *   causes SOCKET fill KEY N SIZE                 N events of so many bytes
 *   causes SOCKET watch HOST:KEY=N...             shows N events of each: "HOST:KEY SEQUENCE DATA"
 *   causes SOCKET chain HOST KEY FROM-HOST FROM [MASK]
 *   causes SOCKET unchain HOST KEY FROM-HOST FROM
 *   causes SOCKET poll HOST KEY AFTER MOST WAIT   what has come, then "at POSITION" or "more at POSITION"
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vigia/vigia.h>

static struct vigia *v;

static int complain(int r, const struct vigia_error *e)
{
	fprintf(stderr, "%s%s%s (%d)\n", e->code, *e->code ? ": " : "", e->text, r);
	return 1;
}

static void on_over(void *data, int result, const struct vigia_error *error)
{
	exit(complain(result, error));
}

/* "HOST:KEY", of which the colon is taken out. */
static int subscribe(char *at, const struct vigia_subscriber *s)
{
	char *key = strchr(at, ':');
	*key = '\0';
	int64_t r = vigia_subscribe(v, at, key + 1, UINT32_MAX, 0, s);
	*key = ':';
	return r < 0;
}

/* --- emit --- */

static char heard[64] = "-";

static void on_heard(void *data, const struct vigia_event *e)
{
	if (!e->lost)
		snprintf(heard, sizeof heard, "%.*s", (int)strcspn(e->data, " "), (const char *)e->data);
}

static int emit(char **argv)
{
	const char *name = argv[0];
	int left = atoi(argv[1]), n = left, r;
	struct vigia_channel c;
	struct vigia_error error = {0};
	struct vigia_subscriber s = {on_heard, on_over, NULL};
	srand((unsigned)atoi(name + 1));
	if ((r = vigia_channel(v, argv[2], true, &c, &error)))
		return complain(r, &error);
	for (char **at = argv + 3; *at; at++)
		subscribe(*at, &s);
	while (left) {
		char text[160];
		int came = vigia_wait(v, 20);
		if (came && rand() % 4)
			continue;
		snprintf(text, sizeof text, "%s.%d %s ", name, n - left--, heard);
		vigia_put(v, &c, 1, text, strlen(text) - 1);
	}
	return 0;
}

static int fill(char **argv)
{
	int n = atoi(argv[1]), size = atoi(argv[2]), r;
	char *data = malloc((size_t)size);
	struct vigia_channel c;
	struct vigia_error error = {0};
	if (!data || (r = vigia_channel(v, argv[0], true, &c, &error)))
		return complain(-1, &error);
	memset(data, 'x', (size_t)size);
	for (; n; n -= r != -ENOBUFS)
		if ((r = vigia_put(v, &c, 1, data, (size_t)size)) == -ENOBUFS)
			vigia_wait(v, 10);
	free(data);
	return 0;
}

/* --- watch --- */

struct watched {
	char *at;
	int left;
};

static void on_watched(void *data, const struct vigia_event *e)
{
	struct watched *w = data;
	if (e->lost)
		printf("%s lost %" PRIu64 "\n", w->at, e->lost);
	else
		printf("%s %" PRIu64 " %.*s\n", w->at, e->sequence, e->n < 80 ? (int)e->n : 80, (const char *)e->data);
	fflush(stdout);
	w->left -= e->lost ? (int)e->lost : 1;
}

static int watch(char **argv)
{
	struct watched all[16] = {{0}}, *end = all;
	for (; *argv; argv++, end++) {
		char *n = strchr(*argv, '=');
		*n = '\0';
		*end = (struct watched){*argv, atoi(n + 1)};
		subscribe(*argv, &(struct vigia_subscriber){on_watched, on_over, end});
	}
	for (struct watched *w = all; w < end; w++)
		while (w->left > 0)
			vigia_wait(v, -1);
	return 0;
}

/* --- chain, poll --- */

static int chain(char **a)
{
	struct vigia_error error = {0};
	int r = vigia_chain(v, a[0], a[1], a[2], a[3], a[4] ? (uint32_t)atoi(a[4]) : UINT32_MAX, &error);
	return r ? complain(r, &error) : 0;
}

static int unchain(char **a)
{
	struct vigia_error error = {0};
	int r = vigia_unchain(v, a[0], a[1], a[2], a[3], &error);
	return r ? complain(r, &error) : 0;
}

static int poll_once(char **a)
{
	struct vigia_error error = {0};
	struct watched w = {.at = a[1]};
	int64_t after = atoll(a[2]);
	int r = vigia_poll(v, a[0], a[1], UINT32_MAX, &after, (unsigned)atoi(a[3]), atoi(a[4]), on_watched, &w, &error);
	if (r < 0)
		return complain(r, &error);
	printf("%sat %" PRId64 "\n", r ? "more " : "", after);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(char **argv);
	} commands[] = {{"emit", emit}, {"fill", fill}, {"watch", watch}, {"chain", chain}, {"unchain", unchain}, {"poll", poll_once}};
	struct vigia_error error = {0};
	int r = vigia_open(&v, argv[1], &error);
	if (r)
		return complain(r, &error);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (!strcmp(argv[2], commands[i].name))
			r = commands[i].run(argv + 3);
	vigia_close(v);
	return r;
}
