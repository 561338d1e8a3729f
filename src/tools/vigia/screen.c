/* SPDX-License-Identifier: Apache-2.0 */
/* `vigia top`, full screen: views of what live.h keeps. Everything is drawn anew each second, after each key,
 * and when a state changed; ncurses sends only what changed. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "tools/vigia/interrupt.h"
#include "tools/vigia/screen.h"
#include "tools/vigia/text.h"
#include "tools/vigia/when.h"

struct screen screen;

/* --- drawing --- */

int attributes(enum tone tone)
{
	static const int plain[] = {0, 0, A_BOLD, A_BOLD | A_UNDERLINE, A_DIM, A_BOLD};
	static const int colours[] = {0, COLOR_PAIR(1), COLOR_PAIR(2), COLOR_PAIR(3) | A_BOLD, A_DIM, A_BOLD};
	return screen.colour ? colours[tone] : plain[tone];
}

static void start_colours(void)
{
	screen.colour = screen.l->v->colour && has_colors();
	if (!screen.colour)
		return;
	start_color();
	use_default_colors();
	init_pair(1, COLOR_GREEN, -1);
	init_pair(2, COLOR_YELLOW, -1);
	init_pair(3, COLOR_RED, -1);
}

int put(int y, int x, int width, bool right, int attribute, const char *text)
{
	struct buf b = BUF_INIT;
	if (x + width > COLS)
		width = COLS - x;
	if (width <= 0 || y < 0 || y >= LINES)
		return x;
	text_put(&b, text);
	const char *shown = buf_str(&b);
	size_t n = text_fit(shown, (size_t)width);
	b.len = n;
	int gap = width - (int)text_width(buf_str(&b));
	attrset(attribute);
	mvprintw(y, x, "%*s", right ? gap : 0, "");
	addnstr(buf_str(&b), (int)n);
	printw("%*s", right ? 0 : gap, "");
	attrset(0);
	buf_release(&b);
	return x + width;
}

void put_line(int y, int attribute, const char *text)
{
	put(y, 0, COLS, false, attribute, text);
}

/* Lines: the title, the trouble from 4 on, the heading from 3 on, and the keys from 5 on. */
int heading_line(void)
{
	return LINES < 3 ? -1 : LINES < 4 ? 1 : 2;
}

int body_first(void)
{
	return LINES < 3 ? 1 : heading_line() + 1;
}

int body_lines(void)
{
	int n = LINES - body_first() - (LINES >= 5);
	return n > 0 ? n : 0;
}

/* Bytes of the next line: as many words as fit, or as much of a long one. */
static size_t line_of(const char *text)
{
	size_t n = text_fit(text, (size_t)COLS), words = n;
	while (text[n] && words && text[words] != ' ')
		words--;
	return words ? words : n;
}

int put_wrapped(int y, int lines, int attribute, const char *text)
{
	struct buf b = BUF_INIT;
	text_put(&b, text);
	for (const char *s = buf_str(&b); *s && lines > 0; lines--) {
		char line[1024];
		size_t n = line_of(s);
		snprintf(line, sizeof line, "%.*s", (int)n, s);
		put_line(y++, attribute, line);
		s += n + strspn(s + n, " ");
		if (!n)
			break;
	}
	buf_release(&b);
	return y;
}

int draw_figure(int y, int x, const struct fleet_node *n, const struct figure *f, int more)
{
	struct buf b = BUF_INIT;
	figure_put(&b, f, f->value(n));
	x = put(y, x, 2, false, more, "");
	x = put(y, x, f->width, true, attributes(f->tone(n)) | more, buf_str(&b));
	buf_release(&b);
	return x;
}

int draw_bar(int y, int x, double share, int width, int attribute)
{
	struct buf b = BUF_INIT;
	text_put_bar(&b, share, (size_t)width);
	x = put(y, x, 1, false, attribute & A_REVERSE, "");
	x = put(
	    y, x, width, false, attribute & ~(int)A_REVERSE, buf_str(&b)); /* a bar turned around is none */
	buf_release(&b);
	return x;
}

/* --- the two lines at the top --- */

static size_t count_state(const char *state)
{
	size_t n = 0;
	for (size_t i = 0; i < screen.l->fleet.nodes.n; i++)
		n += !strcmp(fleet_at(&screen.l->fleet, i)->state, state);
	return n;
}

static void put_states(struct buf *out)
{
	static const char *const states[] = {"up", "busy", "late", "down", "left", "not watched"};
	const char *comma = ": ";
	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		size_t n = count_state(states[i]);
		if (!n)
			continue;
		buf_putf(out, "%s%zu %s", comma, n, states[i]);
		comma = ", ";
	}
}

static void draw_title(void)
{
	struct buf b = BUF_INIT, now = BUF_INIT;
	const char *daemon = screen.l->v->client ? client_daemon(screen.l->v->client) : "";
	size_t n = screen.l->fleet.nodes.n;
	buf_putf(&b, "vigia %s%s%zu node%s", daemon, *daemon ? "  " : "", n, n == 1 ? "" : "s");
	if (screen.l->lost_ns)
		buf_puts(&b, ", as they were");
	else
		put_states(&b);
	if (screen.paused)
		buf_puts(&b, "  PAUSED");
	put_line(0, attributes(TONE_HEAD), buf_str(&b));
	when_put_clock(&now, clock_wall_ns());
	if (COLS >= 60 && text_width(buf_str(&b)) + 10 <= (size_t)COLS)
		put(0, COLS - 8, 8, true, 0, buf_str(&now));
	buf_release(&b);
	buf_release(&now);
}

static void draw_trouble(void)
{
	struct buf b = BUF_INIT;
	const struct live *l = screen.l;
	if (l->lost_ns) {
		buf_puts(&b, "no daemon since ");
		when_put_clock(&b, l->lost_ns);
		buf_putf(&b, ", trying again: %s", l->why);
	} else if (l->problems_n == 1) {
		buf_puts(&b, l->problems[0]);
	} else if (l->problems_n) {
		buf_putf(&b, "%zu problems (p shows them): %s", l->problems_n, l->problems[0]);
	} else if (l->ready) {
		buf_puts(&b, "Nothing is wrong.");
	}
	enum tone tone = l->lost_ns ? TONE_BAD : l->problems_n ? TONE_WARN : TONE_GOOD;
	put_line(1, attributes(tone), buf_str(&b));
	buf_release(&b);
}

static char *filter_of_view(void)
{
	return screen.view == HOST ? screen.host_filter : screen.filter;
}

/* The most needed first: what does not fit is left out. */
static void put_keys(struct buf *out)
{
	static const char *const keys[][10] = {[HOSTS] = {"q quit", "h help", "enter one host", "/ filter",
						   "s sort", "p problems", "r reverse", "space pause"},
	    [HOST] = {"q quit", "esc back", "h help", "/ filter", "s sort", "p problems", "space pause"},
	    [HELP] = {"any key goes back"},
	    [PROBLEMS] = {"any key goes back"}};
	for (const char *const *k = keys[screen.view]; *k; k++)
		if (text_width(buf_str(out)) + strlen(*k) + 2 <= (size_t)COLS)
			buf_putf(out, "%s%s", out->len ? "  " : "", *k);
}

static void draw_keys(void)
{
	struct buf b = BUF_INIT;
	bool filtered = (screen.view == HOSTS || screen.view == HOST) && *filter_of_view();
	if (screen.typing)
		buf_putf(&b, "filter: %s_", filter_of_view());
	else if (filtered)
		buf_putf(&b, "filter \"%s\"", filter_of_view());
	if (!screen.typing)
		put_keys(&b);
	if (LINES >= 5)
		put_line(
		    LINES - 1, screen.typing ? attributes(TONE_HEAD) : attributes(TONE_DIM), buf_str(&b));
	buf_release(&b);
}

/* --- help and problems --- */

static const char *const help_lines[] = {
    "up down pgup pgdn home end   move (also k j)",
    "enter, right                 one host: all that its monitors measure",
    "esc, left, backspace         back",
    "/                            show only names that hold what you type, or fit it with * and ?",
    "s                            sort by the next column; one host: by meaning, name, or what moves",
    "r                            turn the order around",
    "n t c l m                    sort by name, state, CPU, load, memory",
    "p                            what is wrong, and what to do",
    "space                        pause",
    "q                            quit",
    "",
    "CPU% is all processors together. Rates are of real networks and disks: loopback, bridges and",
    "partitions are left out. States: up; busy (its daemon lags); late (silent a while); down; left",
    "(it said good-bye); not watched. In one host's view counters show what they grow a second, counters",
    "of seconds as a share of the time; the charts show the last 60 periods.",
    NULL,
};

/* How to ask the same daemon from elsewhere. */
static void draw_address(int y)
{
	char line[300];
	const char *at = screen.l->v->at ? screen.l->v->at : getenv("VIGIA_SOCKET");
	if (!at || !*at)
		return;
	snprintf(line, sizeof line, "This daemon, from another terminal: vigia --at %s", at);
	put_wrapped(y, 3, 0, line);
}

static void draw_help(void)
{
	int y = body_first(), end = y + body_lines();
	put_line(heading_line(), A_BOLD, "Keys");
	for (int i = 0; help_lines[i] && y < end; i++)
		put_line(y++, 0, help_lines[i]);
	if (y + 3 < end)
		draw_address(y + 1);
}

static void draw_problems(void)
{
	int y = body_first(), end = y + body_lines();
	put_line(heading_line(), A_BOLD, "What is wrong, and what to do");
	for (size_t i = 0; i < screen.l->problems_n && y < end; i++)
		y = put_wrapped(y, end - y, attributes(TONE_WARN), screen.l->problems[i]);
	if (!screen.l->problems_n)
		put_line(y, attributes(TONE_GOOD), "Nothing is wrong.");
}

static void draw(void)
{
	static void (*const views[])(void) = {draw_hosts, draw_host, draw_help, draw_problems};
	erase();
	sort_hosts();
	draw_title();
	if (LINES >= 4)
		draw_trouble();
	views[screen.view]();
	draw_keys();
	refresh();
}

/* --- keys --- */

static void go(enum view view)
{
	if (screen.view == HOSTS || screen.view == HOST)
		screen.back = screen.view;
	screen.view = view;
}

static void leave_host(void)
{
	live_watch(screen.l, NULL);
	screen.view = HOSTS;
}

static void enter_host(void)
{
	if (!*screen.selected || !screen.rows)
		return;
	live_watch(screen.l, screen.selected);
	screen.metric = 0;
	screen.view = HOST;
}

/* Who sorts wants to see who is first. */
static void sort_by(int figure, bool reverse)
{
	screen.order = (struct order){figure, reverse};
	*screen.selected = '\0';
}

static void sort_next(void)
{
	int next = screen.order.figure + 1;
	sort_by(next >= 0 && !figures[next].name ? BY_STATE : next, false);
}

static void move_by(long lines)
{
	long at = (long)(screen.view == HOST ? screen.metric : selected_index()) + lines;
	if (screen.view == HOST)
		screen.metric = at < 0 ? 0 : (size_t)at;
	else
		select_row(at < 0 ? 0 : (size_t)at);
}

static void on_move(int key)
{
	static const struct {
		int key, lines, pages;
	} moves[] = {{KEY_UP, -1}, {'k', -1}, {KEY_DOWN, 1}, {'j', 1}, {KEY_PPAGE, 0, -1}, {KEY_NPAGE, 0, 1},
	    {KEY_HOME, -1000000}, {'g', -1000000}, {KEY_END, 1000000}, {'G', 1000000}};
	for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
		if (moves[i].key == key)
			move_by(moves[i].lines +
				(long)moves[i].pages * (body_lines() > 2 ? body_lines() - 1 : 1));
}

enum { ESCAPE = 27, CONTROL_L = 12 };

static void on_typing(int key)
{
	char *filter = filter_of_view();
	size_t n = strlen(filter);
	if (key == '\n' || key == KEY_ENTER || key == '\r') {
		screen.typing = false;
	} else if (key == ESCAPE) {
		*filter = '\0';
		screen.typing = false;
	} else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && n) {
		filter[n - 1] = '\0';
	} else if (key >= ' ' && key < 127 && n + 1 < sizeof screen.filter) {
		filter[n] = (char)key;
		filter[n + 1] = '\0';
	}
}

static void on_both(int key)
{
	if (key == 'q')
		screen.done = true;
	else if (key == ' ')
		screen.paused = !screen.paused;
	else if (key == 'h' || key == '?')
		go(HELP);
	else if (key == 'p')
		go(PROBLEMS);
	else if (key == '/')
		screen.typing = true;
	else if (key == CONTROL_L)
		clearok(stdscr, true);
	else
		on_move(key);
}

static void on_hosts(int key)
{
	static const struct {
		int key, figure;
	} sorts[] = {{'n', BY_NAME}, {'t', BY_STATE}, {'c', 0}, {'l', 1}, {'m', 2}};
	for (size_t i = 0; i < sizeof sorts / sizeof *sorts; i++)
		if (sorts[i].key == key)
			sort_by(sorts[i].figure, false);
	if (key == '\n' || key == '\r' || key == KEY_ENTER || key == KEY_RIGHT)
		enter_host();
	else if (key == 's')
		sort_next();
	else if (key == 'r')
		sort_by(screen.order.figure, !screen.order.reverse);
	else if (key == ESCAPE)
		*screen.filter = '\0';
	else
		on_both(key);
}

static void on_host(int key)
{
	if (key == ESCAPE || key == KEY_LEFT || key == KEY_BACKSPACE || key == 127)
		leave_host();
	else if (key == 's')
		screen.host_order = (screen.host_order + 1) % HOST_ORDERS;
	else
		on_both(key);
}

/* What hands know from htop. */
static int familiar(int key)
{
	static const struct {
		int key, ours;
	} keys[] = {{KEY_F(1), 'h'}, {KEY_F(3), '/'}, {KEY_F(4), '/'}, {KEY_F(6), 's'}, {KEY_F(10), 'q'},
	    {'P', 'c'}, {'M', 'm'}, {'N', 'n'}};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (keys[i].key == key)
			return keys[i].ours;
	return key;
}

static void on_key(int key)
{
	if (key == KEY_RESIZE) {
		clearok(stdscr, true); /* terminals differ in what they keep */
		return;
	}
	if (!screen.typing)
		key = familiar(key);
	if (screen.typing)
		on_typing(key);
	else if (screen.view == HELP || screen.view == PROBLEMS)
		screen.view = screen.back;
	else if (screen.view == HOST)
		on_host(key);
	else
		on_hosts(key);
}

/* --- the loop --- */

/* While it is paused nothing is read: the daemon leaves periods out for who does not, and gives the newest
 * later. */
static void wait_for(int64_t until_ns)
{
	int64_t left = until_ns - clock_mono_ns();
	struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
	    {.fd = screen.paused ? -1 : live_fd(screen.l), .events = POLLIN}};
	poll(p, 2, left > 0 ? (int)(left / 1000000) + 1 : 0);
	if (p[0].revents & (POLLHUP | POLLERR | POLLNVAL) && !(p[0].revents & POLLIN))
		screen.done = true;
	if (!screen.paused)
		live_take(screen.l);
}

static bool take_keys(void)
{
	bool any = false;
	int key;
	while (!screen.done && (key = getch()) != ERR) {
		sort_hosts();
		on_key(key);
		any = true;
	}
	return any;
}

/* A frame: what comes in a crowd is drawn together. */
enum { FRAME_NS = 50000000 };

static bool is_due(int64_t *next_ns)
{
	int64_t now_ns = clock_mono_ns();
	if (now_ns < *next_ns)
		return false;
	*next_ns = now_ns + 1000000000;
	if (!screen.paused)
		live_tick(screen.l);
	return true;
}

static void loop(void)
{
	int64_t next_ns = 0, drawn_ns = 0;
	while (!screen.done && !interrupt_came()) {
		int64_t frame_ns = drawn_ns + FRAME_NS;
		wait_for(screen.l->fresh && frame_ns < next_ns ? frame_ns : next_ns);
		bool keys = take_keys(), due = is_due(&next_ns);
		bool fresh = screen.l->fresh && clock_mono_ns() >= frame_ns;
		if (!keys && !due && !fresh)
			continue;
		screen.l->fresh = false;
		draw();
		drawn_ns = clock_mono_ns();
	}
}

int screen_run(struct live *l, struct order order, const char *filter)
{
	screen = (struct screen){.l = l, .order = order};
	snprintf(screen.filter, sizeof screen.filter, "%s", filter);
	SCREEN *terminal = newterm(NULL, stdout, stdin);
	if (!terminal) {
		complain("this terminal can't be drawn on ($TERM is %s); `vigia top --plain` needs none",
		    getenv("TERM") ? getenv("TERM") : "not set");
		return WRONG;
	}
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, true);
	nodelay(stdscr, true);
	set_escdelay(50);
	curs_set(0);
	start_colours();
	loop();
	endwin();
	delscreen(terminal);
	free(screen.sorted);
	return DONE;
}
