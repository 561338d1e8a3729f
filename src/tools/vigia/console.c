/* SPDX-License-Identifier: Apache-2.0 */
/* `vigia` alone: a command a line. On a terminal lines are edited; a script's are read as they come. One
 * connection to the daemon serves all commands, and is made anew when it broke. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/vigia/editor.h"
#include "tools/vigia/interrupt.h"
#include "tools/vigia/split.h"
#include "tools/vigia/typed.h"

enum { LINE_MOST = 65536, NAME_MS = 2000 };

struct console {
	struct vigia v;
	char host[64]; /* the daemon's, as the prompt shows it */
	char *typed;   /* typed_file() */
	bool left;     /* quit was said */
};

/* --- the connection --- */

static void drop(struct console *c)
{
	client_close(c->v.client);
	c->v.client = NULL;
}

/* A daemon that went away in between is said once, to who needs it. */
static int renew(struct console *c, const struct command *command)
{
	if (!c->v.client || vigia_connected(&c->v))
		return DONE;
	drop(c);
	if (command->alone)
		return DONE;
	int r = vigia_connect(&c->v);
	if (!r)
		complain("the daemon had closed the connection; this is a new one");
	return r;
}

static void learn_host(struct console *c)
{
	complaints(false);
	c->v.patience_ms = NAME_MS;
	const char *name = c->v.client ? vigia_self(&c->v) : "";
	c->v.patience_ms = 0;
	complaints(true);
	if (*name)
		snprintf(c->host, sizeof c->host, "%s", name);
}

/* --- a line --- */

static int quit(struct vigia *v, const struct args *a)
{
	return DONE;
}

const struct command quit_command = {
    .name = "quit", .words = "", .doc = "leaves the console", .alone = true, .run = quit};

/* By our connection, or its own when the line says where. */
static int run_on(struct console *c, struct line *l)
{
	bool elsewhere = l->v.at;
	int r = DONE;
	if (!elsewhere) {
		l->v.at = c->v.at;
		r = renew(c, l->command);
		l->v.client = c->v.client;
	}
	if (!r)
		r = line_run(l);
	if (elsewhere)
		client_close(l->v.client);
	else
		c->v.client = l->v.client;
	if (r == NO_DAEMON && !elsewhere)
		drop(c);
	return r;
}

static int run_words(struct console *c, int argc, char **argv)
{
	struct line l = {.v = c->v};
	l.v.at = NULL;
	l.v.client = NULL;
	int r = line_read(&l, argc, argv);
	if (r)
		return r;
	if (!l.command && !l.help && !l.version) {
		complain("options alone are no command");
		return USAGE;
	}
	if (!l.command || l.help || l.version)
		return line_run(&l);
	c->left = l.command == &quit_command;
	return run_on(c, &l);
}

static int run_line(struct console *c, const char *line, size_t n)
{
	char why[100];
	struct split s;
	if (split_line(&s, line, n, why, sizeof why)) {
		complain("%s", why);
		return USAGE;
	}
	char *argv[SPLIT_WORDS + 2] = {(char[]){"vigia"}};
	memcpy(argv + 1, s.words, sizeof s.words);
	int r = s.n ? run_words(c, s.n + 1, argv) : DONE;
	split_release(&s);
	fflush(stdout);
	return r;
}

/* --- a script --- */

/* 1 with a line, 0 at the end; -EMSGSIZE: it was longer than may be, and is passed over. */
static int read_line(FILE *from, struct buf *line)
{
	int c;
	size_t n = 0;
	buf_clear(line);
	while ((c = getc_unlocked(from)) != EOF && c != '\n')
		if (n++ < LINE_MOST)
			buf_putc(line, (char)c);
	if (n > LINE_MOST)
		return -EMSGSIZE;
	return c != EOF || n;
}

static int take_line(struct console *c, struct buf *line, int read)
{
	if (read < 0)
		complain("longer than %d bytes", LINE_MOST);
	else if (line->failed)
		complain("no memory");
	else
		return run_line(c, buf_str(line), line->len);
	return read < 0 ? USAGE : WRONG;
}

static int script(struct console *c)
{
	struct buf line = BUF_INIT;
	char where[32];
	int worst = DONE, read;
	for (size_t n = 1; !c->left && (read = read_line(stdin, &line)); n++) {
		snprintf(where, sizeof where, "line %zu", n);
		complain_of(where);
		int r = take_line(c, &line, read);
		worst = r > worst ? r : worst;
	}
	complain_of("");
	buf_release(&line);
	if (!ferror(stdin))
		return worst;
	complain("standard input can't be read");
	return worst ? worst : WRONG;
}

/* --- a terminal --- */

static const char *prompt(void *data)
{
	const struct console *c = data;
	return *c->host ? c->host : "vigia";
}

static int complete(void *data, struct candidates *ret, const char *line, size_t n)
{
	struct console *c = data;
	if (c->v.client && !vigia_connected(&c->v))
		drop(c);
	return candidates_find(ret, &c->v, line, n);
}

static bool is_blank(const char *line)
{
	return !line[strspn(line, " \t")];
}

static void remember(struct console *c, struct editor *e, const char *line)
{
	editor_remember(e, line);
	typed_add(c->typed, line);
}

static void converse(struct console *c, struct editor *e)
{
	const char *line;
	int r;
	while (!c->left && !interrupt_leaves() && (r = editor_line(e, &line))) {
		interrupt_clear();
		if (r < 0 || is_blank(line))
			continue;
		remember(c, e, line);
		run_line(c, line, strlen(line));
		if (interrupt_came())
			putchar('\n'); /* behind the terminal's ^C */
		interrupt_clear();
		learn_host(c);
	}
}

static int terminal(struct console *c)
{
	const struct editor_calls calls = {prompt, complete, c};
	struct editor *e = editor_new(&calls);
	if (!e)
		return script(c);
	c->typed = typed_file();
	typed_read(c->typed, editor_remember, e);
	interrupt_catch();
	c->v.starts = true;
	vigia_connect(&c->v);
	learn_host(c);
	converse(c, e);
	free(c->typed);
	editor_free(e);
	return DONE;
}

int console_run(const struct vigia *v)
{
	struct console c = {.v = *v};
	c.v.console = true;
	int r = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) ? terminal(&c) : script(&c);
	client_close(c.v.client);
	return r;
}
