/* SPDX-License-Identifier: Apache-2.0 */
/* The full screen of `vigia top`, for the files that draw its views. Widths and places are in columns and
 * lines; all drawing stays within the screen, however small it is. */
#ifndef VIGIA_TOOLS_SCREEN_H
#define VIGIA_TOOLS_SCREEN_H

#include <ncurses.h>

#include "tools/vigia/top.h"

struct screen {
	struct live *l;
	enum view { HOSTS, HOST, HELP, PROBLEMS } view, back; /* back: where help leads back to */
	struct order order;
	enum host_order { BY_MEANING, BY_METRIC, BY_CHANGE, HOST_ORDERS } host_order;
	char filter[64], host_filter[64];
	bool typing, paused, done, colour;
	char selected[64];  /* the node, by name: it stays when others move */
	size_t first, rows; /* hosts: the first shown; how many there are */
	size_t metric;	    /* host: the first shown */
	struct fleet_node **sorted;
};
extern struct screen screen;

int attributes(enum tone tone);
/* Escaped, cut to `width` and filled up to it. Returns x after it. */
int put(int y, int x, int width, bool right, int attribute, const char *text);
void put_line(int y, int attribute, const char *text);
/* The heading's line, and the lines between it and the keys. When lines are few, others go first. */
int heading_line(void);
int body_first(void);
int body_lines(void);
/* Broken between words; from y on, at most `lines`. Returns the line after it. */
int put_wrapped(int y, int lines, int attribute, const char *text);
/* Two blanks and the figure; a blank and a bar. `more`: attributes on top. */
int draw_figure(int y, int x, const struct fleet_node *n, const struct figure *f, int more);
int draw_bar(int y, int x, double share, int width, int attribute);

/* --- screen_hosts.c --- */
void sort_hosts(void);
size_t selected_index(void);
void select_row(size_t i);
void draw_hosts(void);

/* --- screen_host.c --- */
void draw_host(void);
const char *host_order_name(void);

#endif
