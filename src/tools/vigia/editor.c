/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/editor.h"

#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "tools/vigia/interrupt.h"
#include "tools/vigia/text.h"
#include "tools/vigia/typed.h"

struct editor {
	EditLine *el;
	History *history;
	const struct editor_calls *calls;
	struct buf prompt, line;
	sigset_t before; /* signals that were blocked */
	mbstate_t shift;
};

/* --- what comes from the terminal --- */

/* Both are blocked but in ppoll(), so none is too early. */
static volatile sig_atomic_t resized, continued;

static void on_resize(int signal)
{
	resized = 1;
}

static void on_continue(int signal)
{
	continued = 1;
}

/* Another program, or a shell, had the terminal meanwhile. */
static void follow_terminal(EditLine *el)
{
	if (resized) {
		el_resize(el); /* which forgets what is on the screen */
		char *clear = NULL;
		el_get(el, EL_GETTC, "cd", &clear);
		printf("\r%s", clear ? clear : "");
		el_set(el, EL_REFRESH);
	}
	if (continued) {
		el_set(el, EL_PREP_TERM, 0); /* else libedit takes the terminal's modes for its own still */
		el_set(el, EL_PREP_TERM, 1);
		el_set(el, EL_REFRESH);
	}
	resized = continued = 0;
}

/* 1 with a byte, 0: the end, -EINTR. */
static int read_byte(struct editor *e, char *ret)
{
	while (!interrupt_came()) {
		struct pollfd p[2] = {
		    {.fd = STDIN_FILENO, .events = POLLIN}, {.fd = interrupt_fd(), .events = POLLIN}};
		int n = ppoll(p, 2, NULL, &e->before);
		follow_terminal(e->el);
		ssize_t k = n > 0 && p[0].revents ? read(STDIN_FILENO, ret, 1) : -2;
		if (k >= 0)
			return (int)k;
		if (k == -1 && errno != EINTR && errno != EAGAIN)
			return 0;
	}
	return -EINTR;
}

static int get_char(EditLine *el, wchar_t *ret)
{
	struct editor *e;
	char byte;
	int r;
	el_get(el, EL_CLIENTDATA, &e);
	while ((r = read_byte(e, &byte)) > 0) {
		size_t n = mbrtowc(ret, &byte, 1, &e->shift);
		if (n == (size_t)-1)
			memset(&e->shift, 0, sizeof e->shift); /* no character: left out */
		else if (n != (size_t)-2)
			return 1;
	}
	return r ? -1 : 0;
}

static char *prompt(EditLine *el)
{
	static char none[] = "";
	struct editor *e;
	el_get(el, EL_CLIENTDATA, &e);
	buf_clear(&e->prompt);
	text_put(&e->prompt, e->calls->prompt(e->calls->data));
	buf_puts(&e->prompt, "> ");
	buf_str(&e->prompt);
	return e->prompt.failed ? none : e->prompt.data;
}

/* --- Tab --- */

static size_t terminal_width(void)
{
	struct winsize size;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col ? 80 : size.ws_col;
}

/* Of a path the last part says enough. */
static const char *shown(const struct candidates *c, const char *name)
{
	const char *slash = strrchr(c->word, '/');
	return slash ? name + (slash + 1 - c->word) : name;
}

static void list(const struct candidates *c)
{
	size_t widest = 1, at = 0, room = terminal_width();
	for (size_t i = 0; i < c->n; i++) {
		size_t w = text_width(shown(c, c->names[i]));
		widest = w > widest ? w : widest;
	}
	putchar('\n');
	for (size_t i = 0; i < c->n; i++) {
		const char *name = shown(c, c->names[i]);
		bool last = i + 1 == c->n || at + 2 * (widest + 2) > room;
		printf("%s%*s", name, last ? 0 : (int)(widest + 2 - text_width(name)), "");
		at = last ? 0 : at + widest + 2;
		if (last)
			putchar('\n');
	}
	if (c->seen > c->n)
		printf("... and %zu more\n", c->seen - c->n);
	fflush(stdout);
}

static unsigned char take(struct editor *e, const struct candidates *c)
{
	size_t word = strlen(c->word), common = candidates_common(c);
	struct buf typed = BUF_INIT;
	bool whole = c->n == 1 && c->seen == 1;
	if (!c->n || common < word)
		return CC_ERROR;
	if (!whole && common == word) {
		list(c);
		return CC_REDISPLAY;
	}
	bool fits = candidates_put(c, &typed, c->names[0], word, common - word, whole);
	bool put = fits && !typed.failed && !el_insertstr(e->el, buf_str(&typed));
	buf_release(&typed);
	return put ? CC_REFRESH : CC_ERROR;
}

static unsigned char on_tab(EditLine *el, int key)
{
	struct editor *e;
	struct candidates c;
	const LineInfo *line = el_line(el);
	el_get(el, EL_CLIENTDATA, &e);
	if (e->calls->complete(e->calls->data, &c, line->buffer, (size_t)(line->cursor - line->buffer)))
		return CC_ERROR;
	unsigned char r = take(e, &c);
	candidates_release(&c);
	return r;
}

/* --- life --- */

static bool begin(struct editor *e)
{
	HistEvent event;
	e->el = el_init("vigia", stdin, stdout, stderr);
	e->history = history_init();
	if (!e->el || !e->history)
		return false;
	el_set(e->el, EL_CLIENTDATA, e);
	el_set(e->el, EL_PROMPT, prompt);
	el_set(e->el, EL_GETCFN, get_char);
	el_set(e->el, EL_EDITOR, "emacs");
	el_set(e->el, EL_ADDFN, "complete", "completes the word", on_tab);
	el_set(e->el, EL_BIND, "^I", "complete", NULL);
	el_set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
	el_set(e->el, EL_HIST, history, e->history);
	history(e->history, &event, H_SETSIZE, TYPED_LINES);
	history(e->history, &event, H_SETUNIQUE, 1);
	el_source(e->el, NULL);
	return true;
}

struct editor *editor_new(const struct editor_calls *calls)
{
	struct editor *e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	e->calls = calls;
	if (begin(e))
		return e;
	editor_free(e);
	return NULL;
}

void editor_free(struct editor *e)
{
	if (!e)
		return;
	if (e->el)
		el_end(e->el);
	if (e->history)
		history_end(e->history);
	buf_release(&e->prompt);
	buf_release(&e->line);
	free(e);
}

void editor_remember(void *editor, const char *line)
{
	struct editor *e = editor;
	HistEvent event;
	history(e->history, &event, H_ENTER, line);
}

/* --- a line --- */

struct signals {
	struct sigaction resize, cont, stop;
};

/* Full-screen programs within this one have their own handlers: each has the terminal in turn. */
static void take_signals(struct editor *e, struct signals *s)
{
	struct sigaction resize = {.sa_handler = on_resize}, cont = {.sa_handler = on_continue},
			 stop = {.sa_handler = SIG_DFL};
	sigset_t blocked;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGWINCH);
	sigaddset(&blocked, SIGCONT);
	sigprocmask(SIG_BLOCK, &blocked, &e->before);
	sigaction(SIGWINCH, &resize, &s->resize);
	sigaction(SIGCONT, &cont, &s->cont);
	sigaction(SIGTSTP, &stop, &s->stop);
}

static void give_signals(const struct editor *e, const struct signals *s)
{
	sigaction(SIGWINCH, &s->resize, NULL);
	sigaction(SIGCONT, &s->cont, NULL);
	sigaction(SIGTSTP, &s->stop, NULL);
	sigprocmask(SIG_SETMASK, &e->before, NULL);
}

int editor_line(struct editor *e, const char **ret)
{
	struct signals signals;
	int n = 0;
	take_signals(e, &signals);
	el_resize(e->el); /* while commands ran nobody looked */
	el_set(e->el, EL_PREP_TERM, 1); /* else the prompt is there first, and what is typed at once is shown twice */
	const char *line = el_gets(e->el, &n);
	give_signals(e, &signals);
	if (!line || n <= 0) {
		bool interrupted = interrupt_came();
		fputs(interrupted && !interrupt_leaves() ? "^C\n" : "\n", stdout);
		fflush(stdout);
		return interrupted ? -EINTR : 0;
	}
	buf_clear(&e->line);
	buf_put(&e->line, line, strcspn(line, "\n"));
	*ret = buf_str(&e->line);
	return 1;
}
