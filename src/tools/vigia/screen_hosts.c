/* SPDX-License-Identifier: Apache-2.0 */
/* All nodes, a line each. */
#include <stdlib.h>
#include <string.h>

#include "tools/vigia/screen.h"

enum { STATE_WIDTH = 11, BAR = 10 };

static int figures_width(void);

/* As wide as the longest, where the figures have room beside it. */
static int name_width(void)
{
	int room = COLS - 2 - STATE_WIDTH - figures_width();
	size_t width = 8, most = room > 24 ? (size_t)room : COLS < 40 ? 8 : 24;
	for (size_t i = 0; i < screen.l->fleet.nodes.n; i++) {
		size_t n = strlen(fleet_at(&screen.l->fleet, i)->name);
		width = n > width ? n : width;
	}
	return (int)(width < most ? width : most);
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
	int name = name_width(), by = screen.order.figure;
	int mark = A_BOLD | A_UNDERLINE;
	int x = put(heading_line(), 0, name + 2, false, by == BY_NAME ? mark : (int)A_BOLD, "NODE");
	x = put(heading_line(), x, STATE_WIDTH, false, by == BY_STATE ? mark : (int)A_BOLD, "STATE");
	for (int i = 0; figures[i].name; i++) {
		if (x + 2 + figures[i].width > COLS)
			return;
		x = put(heading_line(), x, 2, false, A_BOLD, "");
		x = put(heading_line(), x, figures[i].width, true, by == i ? mark : (int)A_BOLD,
		    figures[i].heading);
		if (!i && with_bar())
			x = put(heading_line(), x, BAR + 1, false, A_BOLD, "");
	}
}

static void draw_host_row(int y, const struct fleet_node *n)
{
	int more =
	    (!strcmp(n->name, screen.selected) ? (int)A_REVERSE : 0) | (screen.l->lost_ns ? (int)A_DIM : 0);
	int x = put(y, 0, name_width(), false, more, n->name);
	x = put(y, x, 2, false, more, "");
	x = put(y, x, STATE_WIDTH, false, attributes(state_tone(n->state)) | more, n->state);
	for (const struct figure *f = figures; f->name && x + 2 + f->width <= COLS; f++) {
		x = draw_figure(y, x, n, f, more);
		if (f == figures && with_bar())
			x = draw_bar(y, x, node_cpu(n) / 100, BAR, attributes(figures[0].tone(n)) | more);
	}
}

size_t selected_index(void)
{
	for (size_t i = 0; i < screen.rows; i++)
		if (!strcmp(screen.sorted[i]->name, screen.selected))
			return i;
	return 0;
}

void select_row(size_t i)
{
	if (screen.rows)
		snprintf(screen.selected, sizeof screen.selected, "%s",
		    screen.sorted[i < screen.rows ? i : screen.rows - 1]->name);
}

void sort_hosts(void)
{
	free(screen.sorted);
	screen.sorted = top_sort(&screen.l->fleet, &screen.order, screen.filter, &screen.rows);
	if (!screen.sorted)
		screen.rows = 0;
	select_row(selected_index());
}

/* Keeps the selected row on the screen. */
static void scroll_hosts(void)
{
	size_t at = selected_index(), lines = (size_t)body_lines();
	if (at < screen.first)
		screen.first = at;
	if (lines && at >= screen.first + lines)
		screen.first = at - lines + 1;
	if (screen.first + lines > screen.rows)
		screen.first = screen.rows > lines ? screen.rows - lines : 0;
}

void draw_hosts(void)
{
	scroll_hosts();
	draw_heading();
	for (int i = 0; i < body_lines() && screen.first + (size_t)i < screen.rows; i++)
		draw_host_row(body_first() + i, screen.sorted[screen.first + (size_t)i]);
	if (!screen.rows && screen.l->fleet.nodes.n)
		put_line(body_first(), 0, "No node fits the filter.");
}
