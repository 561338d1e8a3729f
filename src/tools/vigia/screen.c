/* SPDX-License-Identifier: Apache-2.0 */
/* `vigia top`, full screen: three views of what live.h keeps. Everything is drawn anew each second and after each key;
 * ncurses sends only what changed. */
#include <math.h>
#include <ncurses.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "tools/vigia/text.h"
#include "tools/vigia/top.h"
#include "tools/vigia/values.h"
#include "tools/vigia/when.h"

enum view { HOSTS, HOST, HELP, PROBLEMS };

enum { NAME_MAX_WIDTH = 24, STATE_WIDTH = 11, BAR = 10 };

static struct screen {
	struct live *l;
	enum view view, back; /* back: where help leads back to */
	struct order order;
	char filter[64], host_filter[64];
	bool typing, paused, done;
	char selected[64]; /* the node, by name: it stays when others move */
	size_t first, rows; /* hosts: the first shown; how many there are */
	size_t metric;	    /* host: the first shown */
	struct fleet_node **sorted;
} s;

/* --- drawing --- */

static int attributes(enum tone tone)
{
	static const int plain[] = {0, 0, A_BOLD, A_BOLD | A_UNDERLINE, A_DIM, A_BOLD};
	static const int colours[] = {0, COLOR_PAIR(1), COLOR_PAIR(2), COLOR_PAIR(3) | A_BOLD, A_DIM, A_BOLD};
	return has_colors() ? colours[tone] : plain[tone];
}

static void start_colours(void)
{
	if (!has_colors())
		return;
	start_color();
	use_default_colors();
	init_pair(1, COLOR_GREEN, -1);
	init_pair(2, COLOR_YELLOW, -1);
	init_pair(3, COLOR_RED, -1);
}

/* Escaped, cut to `width` columns and filled up to it; nothing outside of the screen. Returns x after it. */
static int put(int y, int x, int width, bool right, int attribute, const char *text)
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

static void put_line(int y, int attribute, const char *text)
{
	put(y, 0, COLS, false, attribute, text);
}

static int body_first(void)
{
	return 3;
}

/* Lines between the headings and the keys. */
static int body_lines(void)
{
	int n = LINES - body_first() - 1;
	return n > 0 ? n : 0;
}

/* --- the two lines at the top --- */

static size_t count_state(const char *state)
{
	size_t n = 0;
	for (size_t i = 0; i < s.l->fleet.nodes.n; i++)
		n += !strcmp(fleet_at(&s.l->fleet, i)->state, state);
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
	const char *daemon = s.l->v->client ? client_daemon(s.l->v->client) : "";
	size_t n = s.l->fleet.nodes.n;
	buf_putf(&b, "vigia %s%s%zu node%s", daemon, *daemon ? "  " : "", n, n == 1 ? "" : "s");
	if (s.l->lost_ns)
		buf_puts(&b, ", as they were");
	else
		put_states(&b);
	if (s.paused)
		buf_puts(&b, "  PAUSED");
	put_line(0, attributes(TONE_HEAD), buf_str(&b));
	when_put_clock(&now, clock_wall_ns());
	if (COLS >= 60)
		put(0, COLS - 8, 8, true, 0, buf_str(&now));
	buf_release(&b);
	buf_release(&now);
}

static void draw_trouble(void)
{
	struct buf b = BUF_INIT;
	const struct live *l = s.l;
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
	return s.view == HOST ? s.host_filter : s.filter;
}

static void draw_keys(void)
{
	static const char *const keys[] = {
	    [HOSTS] = "enter one host  s sort  r reverse  / filter  p problems  space pause  h help  q quit",
	    [HOST] = "esc back  / filter  space pause  h help  q quit", [HELP] = "any key goes back",
	    [PROBLEMS] = "any key goes back"};
	struct buf b = BUF_INIT;
	if (s.typing)
		buf_putf(&b, "filter: %s_", filter_of_view());
	else if ((s.view == HOSTS || s.view == HOST) && *filter_of_view())
		buf_putf(&b, "filter \"%s\"  %s", filter_of_view(), keys[s.view]);
	else
		buf_puts(&b, keys[s.view]);
	if (LINES > 3)
		put_line(LINES - 1, s.typing ? attributes(TONE_HEAD) : attributes(TONE_DIM), buf_str(&b));
	buf_release(&b);
}

/* --- hosts --- */

static int name_width(void)
{
	size_t width = 8;
	for (size_t i = 0; i < s.l->fleet.nodes.n; i++) {
		size_t n = strlen(fleet_at(&s.l->fleet, i)->name);
		width = n > width ? n : width;
	}
	return width < NAME_MAX_WIDTH ? (int)width : NAME_MAX_WIDTH;
}

static int figures_width(void)
{
	int width = 0;
	for (const struct figure *f = figures; f->name; f++)
		width += f->width + 2;
	return width;
}

/* A bar of the processors' share, where there is room. */
static bool with_bar(void)
{
	return name_width() + 2 + STATE_WIDTH + figures_width() + BAR + 1 <= COLS;
}

static void draw_heading(void)
{
	int name = name_width(), by = s.order.figure;
	int mark = A_BOLD | A_UNDERLINE;
	int x = put(2, 0, name + 2, false, by == BY_NAME ? mark : (int)A_BOLD, "NODE");
	x = put(2, x, STATE_WIDTH, false, by == BY_STATE ? mark : (int)A_BOLD, "STATE");
	for (int i = 0; figures[i].name; i++) {
		if (x + 2 + figures[i].width > COLS)
			return;
		x = put(2, x, 2, false, A_BOLD, "");
		x = put(2, x, figures[i].width, true, by == i ? mark : (int)A_BOLD, figures[i].heading);
		if (!i && with_bar())
			x = put(2, x, BAR + 1, false, A_BOLD, "");
	}
}

static int draw_figure(int y, int x, const struct fleet_node *n, const struct figure *f, int more)
{
	struct buf b = BUF_INIT;
	figure_put(&b, f, f->value(n));
	x = put(y, x, 2, false, more, "");
	x = put(y, x, f->width, true, attributes(f->tone(n)) | more, buf_str(&b));
	buf_release(&b);
	return x;
}

static int draw_bar(int y, int x, double share, int width, int attribute)
{
	struct buf b = BUF_INIT;
	text_put_bar(&b, share, (size_t)width);
	x = put(y, x, 1, false, attribute & A_REVERSE, "");
	x = put(y, x, width, false, attribute, buf_str(&b));
	buf_release(&b);
	return x;
}

static void draw_host_row(int y, const struct fleet_node *n)
{
	int more = (!strcmp(n->name, s.selected) ? (int)A_REVERSE : 0) | (s.l->lost_ns ? (int)A_DIM : 0);
	int x = put(y, 0, name_width(), false, more, n->name);
	x = put(y, x, 2, false, more, "");
	x = put(y, x, STATE_WIDTH, false, attributes(state_tone(n->state)) | more, n->state);
	for (const struct figure *f = figures; f->name && x + 2 + f->width <= COLS; f++) {
		x = draw_figure(y, x, n, f, more);
		if (f == figures && with_bar())
			x = draw_bar(y, x, node_cpu(n) / 100, BAR, attributes(figures[0].tone(n)) | more);
	}
}

static size_t selected_index(void)
{
	for (size_t i = 0; i < s.rows; i++)
		if (!strcmp(s.sorted[i]->name, s.selected))
			return i;
	return 0;
}

static void select_row(size_t i)
{
	if (s.rows)
		snprintf(s.selected, sizeof s.selected, "%s", s.sorted[i < s.rows ? i : s.rows - 1]->name);
}

static void sort_hosts(void)
{
	free(s.sorted);
	s.sorted = top_sort(&s.l->fleet, &s.order, s.filter, &s.rows);
	if (!s.sorted)
		s.rows = 0;
	select_row(selected_index());
}

/* Keeps the selected row on the screen. */
static void scroll_hosts(void)
{
	size_t at = selected_index(), lines = (size_t)body_lines();
	if (at < s.first)
		s.first = at;
	if (lines && at >= s.first + lines)
		s.first = at - lines + 1;
	if (s.first + lines > s.rows)
		s.first = s.rows > lines ? s.rows - lines : 0;
}

static void draw_hosts(void)
{
	scroll_hosts();
	draw_heading();
	for (int i = 0; i < body_lines() && s.first + (size_t)i < s.rows; i++)
		draw_host_row(body_first() + i, s.sorted[s.first + (size_t)i]);
	if (!s.rows && s.l->fleet.nodes.n)
		put_line(body_first(), 0, "No node fits the filter.");
}

/* --- one host --- */

static double last_of(const struct live_metric *k)
{
	return k->past[LIVE_PAST - 1];
}

static void put_rate(struct buf *out, const struct live_metric *k)
{
	double rate = last_of(k);
	bool bytes = !strcmp(k->unit, "By");
	if (isnan(rate))
		return;
	if (bytes)
		text_put_bytes(out, rate);
	else
		buf_putf(out, fabs(rate) < 100 ? "%.3g" : "%.0f", rate);
	buf_puts(out, "/s");
}

static void put_value(struct buf *out, const struct live_metric *k)
{
	if (!k->text)
		buf_putc(out, '-');
	else if (!strcmp(k->unit, "By"))
		text_put_bytes(out, k->value);
	else
		buf_puts(out, k->text);
	if (*k->unit && strcmp(k->unit, "1") && strcmp(k->unit, "By"))
		buf_putf(out, " %s", k->unit);
}

static void put_past(struct buf *out, const struct live_metric *k, size_t columns)
{
	double low = NAN, high = NAN;
	size_t n = columns < LIVE_PAST ? columns : LIVE_PAST;
	const double *past = k->past + LIVE_PAST - n;
	for (size_t i = 0; i < n; i++) {
		low = fmin(low, past[i]);
		high = fmax(high, past[i]);
	}
	if (!isnan(high))
		text_put_spark(out, past, n, k->counter && low > 0 ? 0 : low, high);
}

static void draw_metric(int y, const struct live_metric *k)
{
	struct buf value = BUF_INIT, rate = BUF_INIT, past = BUF_INIT;
	int name = COLS < 80 ? COLS / 2 : 36;
	int chart = COLS - name - 34;
	put_value(&value, k);
	if (k->counter)
		put_rate(&rate, k);
	if (chart > 3 && *k->unit)
		put_past(&past, k, (size_t)chart);
	int x = put(y, 0, name, false, 0, k->name);
	x = put(y, x, 18, true, 0, buf_str(&value));
	x = put(y, x, 13, true, attributes(TONE_DIM), buf_str(&rate));
	x = put(y, x, 2, false, 0, "");
	put(y, x, chart, false, attributes(TONE_GOOD), buf_str(&past));
	buf_release(&value);
	buf_release(&rate);
	buf_release(&past);
}

static void put_facts(struct buf *out, const struct fleet_node *n)
{
	buf_putf(out, "%s is %s", n->name, n->state);
	if (*n->reason)
		buf_putf(out, " (%s)", n->reason);
	if (n->since_ns) {
		buf_puts(out, " for ");
		put_age(out, n->since_ns);
	}
	if (n->processors)
		buf_putf(out, "; %lld processors", (long long)n->processors);
	if (*n->system)
		buf_putf(out, "; %s", n->system);
}

static void draw_host_title(const struct fleet_node *n)
{
	struct buf b = BUF_INIT;
	if (n)
		put_facts(&b, n);
	else
		buf_putf(&b, "%s: there is no such node any more", s.l->host);
	put_line(2, n ? attributes(state_tone(n->state)) : 0, buf_str(&b));
	buf_release(&b);
}

static void draw_summary(int y, const struct fleet_node *n)
{
	int x = put(y, 0, 4, false, A_BOLD, "CPU");
	x = draw_bar(y, x, node_cpu(n) / 100, 20, attributes(figures[0].tone(n)));
	x = draw_figure(y, x, n, &figures[0], 0);
	x = put(y, x, 8, true, A_BOLD, "MEM");
	x = draw_bar(y, x, node_memory(n) / 100, 20, attributes(figures[2].tone(n)));
	x = draw_figure(y, x, n, &figures[2], 0);
	x = put(y, x, 8, true, A_BOLD, "LOAD");
	draw_figure(y, x, n, &figures[1], 0);
}

static size_t fitting_metrics(void)
{
	size_t n = 0;
	for (size_t i = 0; i < s.l->metrics.n; i++)
		n += filter_fits(s.host_filter, ((struct live_metric *)s.l->metrics.things[i])->name);
	return n;
}

static void draw_metrics(int y, int lines)
{
	size_t skip = s.metric;
	for (size_t i = 0; lines > 0 && i < s.l->metrics.n; i++) {
		const struct live_metric *k = s.l->metrics.things[i];
		if (!filter_fits(s.host_filter, k->name))
			continue;
		if (skip) {
			skip--;
			continue;
		}
		draw_metric(y++, k);
		lines--;
	}
}

static void draw_host(void)
{
	const struct fleet_node *n = names_find(&s.l->fleet.nodes, s.l->host);
	size_t all = fitting_metrics(), lines = body_lines() > 1 ? (size_t)body_lines() - 1 : 0;
	if (s.metric + lines > all)
		s.metric = all > lines ? all - lines : 0;
	draw_host_title(n);
	if (n)
		draw_summary(3, n);
	draw_metrics(4, (int)lines);
	if (!all)
		put_line(4, 0, s.l->metrics.n ? "No metric fits the filter." : "Nothing was measured yet.");
}

/* --- help and problems --- */

static const char *const help_lines[] = {
    "up down pgup pgdn home end   move (also k j)",
    "enter, right                 one host: all that its monitors measure",
    "esc, left, backspace         back",
    "s                            sort by the next column; r turns the order around",
    "n t c l m                    sort by name, state, CPU, load, memory",
    "/                            show only names that hold what you type, or fit it with * and ?",
    "p                            what is wrong, and what to do",
    "space                        pause",
    "q                            quit",
    "",
    "CPU% is all processors together. Rates are of real networks and disks: loopback, bridges and",
    "partitions are left out. States: up; busy (its daemon lags); late (silent a while); down; left",
    "(it said good-bye); not watched. In one host's view the charts show the last 40 periods, of",
    "counters what they grew a second.",
    NULL,
};

static void draw_help(void)
{
	put_line(2, A_BOLD, "Keys");
	for (int i = 0; help_lines[i] && i < body_lines(); i++)
		put_line(body_first() + i, 0, help_lines[i]);
}

static void draw_problems(void)
{
	put_line(2, A_BOLD, "What is wrong, and what to do");
	for (size_t i = 0; i < s.l->problems_n && (int)i < body_lines(); i++)
		put_line(body_first() + (int)i, attributes(TONE_WARN), s.l->problems[i]);
	if (!s.l->problems_n)
		put_line(body_first(), attributes(TONE_GOOD), "Nothing is wrong.");
}

static void draw(void)
{
	static void (*const views[])(void) = {draw_hosts, draw_host, draw_help, draw_problems};
	erase();
	sort_hosts();
	draw_title();
	if (LINES > 1)
		draw_trouble();
	if (LINES > 2)
		views[s.view]();
	draw_keys();
	refresh();
}

/* --- keys --- */

static void go(enum view view)
{
	if (s.view == HOSTS || s.view == HOST)
		s.back = s.view;
	s.view = view;
}

static void leave_host(void)
{
	live_watch(s.l, NULL);
	s.view = HOSTS;
}

static void enter_host(void)
{
	if (!*s.selected || !s.rows)
		return;
	live_watch(s.l, s.selected);
	s.metric = 0;
	s.view = HOST;
}

/* Who sorts wants to see who is first. */
static void sort_by(int figure, bool reverse)
{
	s.order = (struct order){figure, reverse};
	*s.selected = '\0';
}

static void sort_next(void)
{
	int next = s.order.figure + 1;
	sort_by(next >= 0 && !figures[next].name ? BY_STATE : next, false);
}

static void move_by(long lines)
{
	long at = (long)(s.view == HOST ? s.metric : selected_index()) + lines;
	if (s.view == HOST)
		s.metric = at < 0 ? 0 : (size_t)at;
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
			move_by(moves[i].lines + (long)moves[i].pages * (body_lines() > 2 ? body_lines() - 1 : 1));
}

enum { ESCAPE = 27 };

static void on_typing(int key)
{
	char *filter = filter_of_view();
	size_t n = strlen(filter);
	if (key == '\n' || key == KEY_ENTER || key == '\r') {
		s.typing = false;
	} else if (key == ESCAPE) {
		*filter = '\0';
		s.typing = false;
	} else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && n) {
		filter[n - 1] = '\0';
	} else if (key >= ' ' && key < 127 && n + 1 < sizeof s.filter) {
		filter[n] = (char)key;
		filter[n + 1] = '\0';
	}
}

static void on_both(int key)
{
	if (key == 'q')
		s.done = true;
	else if (key == ' ')
		s.paused = !s.paused;
	else if (key == 'h' || key == '?')
		go(HELP);
	else if (key == 'p')
		go(PROBLEMS);
	else if (key == '/')
		s.typing = true;
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
		sort_by(s.order.figure, !s.order.reverse);
	else if (key == ESCAPE)
		*s.filter = '\0';
	else
		on_both(key);
}

static void on_host(int key)
{
	if (key == ESCAPE || key == KEY_LEFT || key == KEY_BACKSPACE || key == 127)
		leave_host();
	else
		on_both(key);
}

static void on_key(int key)
{
	if (key == KEY_RESIZE)
		return;
	if (s.typing)
		on_typing(key);
	else if (s.view == HELP || s.view == PROBLEMS)
		s.view = s.back;
	else if (s.view == HOST)
		on_host(key);
	else
		on_hosts(key);
}

/* --- the loop --- */

/* While it is paused nothing is read: the daemon leaves periods out for who does not, and gives the newest later. */
static void wait_for(int64_t until_ns)
{
	int64_t left = until_ns - clock_mono_ns();
	struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
	    {.fd = s.paused ? -1 : live_fd(s.l), .events = POLLIN}};
	poll(p, 2, left > 0 ? (int)(left / 1000000) + 1 : 0);
	if (p[0].revents & (POLLHUP | POLLERR | POLLNVAL) && !(p[0].revents & POLLIN))
		s.done = true;
	if (!s.paused)
		live_take(s.l);
}

static bool take_keys(void)
{
	bool any = false;
	int key;
	while (!s.done && (key = getch()) != ERR) {
		sort_hosts();
		on_key(key);
		any = true;
	}
	return any;
}

static void loop(void)
{
	int64_t next_ns = 0;
	bool ready = false;
	while (!s.done && !top_stopped) {
		wait_for(next_ns);
		bool keys = take_keys(), first = s.l->ready && !ready;
		bool due = clock_mono_ns() >= next_ns;
		if (due)
			next_ns = clock_mono_ns() + 1000000000;
		if (due && !s.paused)
			live_tick(s.l);
		ready = s.l->ready;
		if (keys || due || first)
			draw();
	}
}

int screen_run(struct live *l, struct order order, const char *filter)
{
	s.l = l;
	s.order = order;
	snprintf(s.filter, sizeof s.filter, "%s", filter);
	SCREEN *terminal = newterm(NULL, stdout, stdin);
	if (!terminal) {
		complain("this terminal can't be drawn on ($TERM is %s); `vigia top --plain` needs none",
		    getenv("TERM") ? getenv("TERM") : "not set");
		return WRONG;
	}
	top_catch_signals();
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
	free(s.sorted);
	return DONE;
}
