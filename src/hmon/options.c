/* SPDX-License-Identifier: Apache-2.0 */
#include "hmon/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PERIOD_LEAST_MS = 10, MISTAKES_MOST = 20 };

static const struct hmon_option no_options[] = {{0}};

static const struct {
	const char *suffix;
	double ms;
} suffixes[] = {{"ms", 1}, {"s", 1000}, {"min", 60e3}, {"h", 3600e3}, {"d", 86400e3}};

int64_t options_duration(const char *s)
{
	char *end;
	double n = strtod(s, &end);
	if (end == s || !(n >= 0))
		return -EINVAL;
	if (!n && !*end)
		return 0;
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
		if (!strcmp(end, suffixes[i].suffix) && n * suffixes[i].ms <= 366 * 86400e3)
			return (int64_t)(n * suffixes[i].ms + 0.5);
	return -EINVAL;
}

/* --- the table, as libconfuse has it --- */

static int check_duration(cfg_t *values, cfg_opt_t *opt)
{
	const char *s = cfg_opt_getnstr(opt, 0);
	if (!s || options_duration(s) >= 0)
		return 0;
	cfg_error(
	    values, "'%s' is not a duration for '%s': expected 500ms, 10s, 5min, 1h", s, cfg_opt_name(opt));
	return -1;
}

static cfg_opt_t duration(const char *name, const char *fallback)
{
	cfg_opt_t o = CFG_STR(name, (char *)(fallback ? fallback : "0"), CFGF_NONE);
	o.validcb = check_duration;
	return o;
}

static bool flag(const char *s)
{
	return s && (!strcmp(s, "true") || !strcmp(s, "yes"));
}

static cfg_opt_t known_option(const struct hmon_option *o)
{
	switch (o->type) {
	case HMON_OPTION_TEXT:
		return (cfg_opt_t)CFG_STR(o->name, (char *)(o->fallback ? o->fallback : ""), CFGF_NONE);
	case HMON_OPTION_LIST:
		return (cfg_opt_t)CFG_STR_LIST(
		    o->name, (char *)(o->fallback ? o->fallback : "{}"), CFGF_NONE);
	case HMON_OPTION_INT:
		return (cfg_opt_t)CFG_INT(o->name, o->fallback ? atol(o->fallback) : 0, CFGF_NONE);
	case HMON_OPTION_NUMBER:
		return (cfg_opt_t)CFG_FLOAT(o->name, o->fallback ? atof(o->fallback) : 0, CFGF_NONE);
	case HMON_OPTION_FLAG:
		return (cfg_opt_t)CFG_BOOL(o->name, flag(o->fallback) ? cfg_true : cfg_false, CFGF_NONE);
	case HMON_OPTION_DURATION:
		break;
	}
	return duration(o->name, o->fallback);
}

static cfg_opt_t *known_options(const struct hmon_monitor *m)
{
	const struct hmon_option *table = m->options ? m->options : no_options;
	size_t n = 0;
	while (table[n].name)
		n++;
	cfg_opt_t *known = calloc(n + 5, sizeof *known);
	if (!known)
		return NULL;
	for (size_t i = 0; i < n; i++)
		known[i] = known_option(&table[i]);
	known[n++] = duration("period", m->period ? m->period : "1s");
	known[n++] = duration("window", "0");
	known[n++] = (cfg_opt_t)CFG_STR("program", "", CFGF_NONE); /* vigiad's; the section comes verbatim */
	known[n++] = (cfg_opt_t)CFG_STR("enabled", "", CFGF_NONE);
	known[n] = (cfg_opt_t)CFG_END();
	return known;
}

/* --- parsing --- */

/* libconfuse stops at the first mistake and says it to a function that is given no data of ours. */
static _Thread_local struct mistake {
	int line;
	char text[400];
} mistake;

static void on_error(cfg_t *values, const char *format, va_list ap)
{
	if (*mistake.text)
		return;
	mistake.line = values ? values->line : 0;
	vsnprintf(mistake.text, sizeof mistake.text, format, ap);
}

static const struct {
	const char *start, *expected;
} hints[] = {
    {"invalid integer value", "a whole number"},
    {"invalid floating point value", "a number"},
    {"invalid boolean value", "true or false"},
    {"unexpected token", "NAME = VALUE"},
    {"missing equal sign", "NAME = VALUE"},
};

static void tell(struct buf *why, const cfg_opt_t *known)
{
	buf_putf(why, "%sline %d: %s", why->len ? "\n" : "", mistake.line, mistake.text);
	for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
		if (!strncmp(mistake.text, hints[i].start, strlen(hints[i].start)))
			buf_putf(why, "; expected %s", hints[i].expected);
	if (strncmp(mistake.text, "no such option", 14))
		return;
	buf_puts(why, "; expected one of");
	for (; known->name; known++)
		buf_putf(why, " %s", known->name);
}

/* Takes the line with the mistake out, so that the next one shows itself; false: it is part of something longer. */
static bool blank(char *text, int line)
{
	int open = 0;
	for (; line > 1 && text; line--)
		text = (text = strchr(text, '\n')) ? text + 1 : NULL;
	if (!text || !*text || *text == '\n')
		return false;
	size_t n = strcspn(text, "\n");
	for (size_t i = 0; i < n; i++)
		open += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
	if (open || strspn(text, " \t") >= n)
		return false;
	memset(text, ' ', n);
	return true;
}

/* Every mistake becomes a line of `why`. libconfuse takes a string's end in the middle of a line for one. */
static int parse(struct options *o, const char *text, struct buf *why)
{
	struct buf lines = BUF_INIT;
	buf_puts(&lines, text);
	buf_putc(&lines, '\n');
	char *copy = buf_take(&lines);
	int r = copy ? CFG_PARSE_ERROR : CFG_FILE_ERROR, mistakes = 0;
	bool more = copy;
	while (more) {
		mistake = (struct mistake){0};
		r = cfg_parse_buf(o->values, copy);
		more = r == CFG_PARSE_ERROR && *mistake.text;
		if (more)
			tell(why, o->known);
		more = more && ++mistakes < MISTAKES_MOST && blank(copy, mistake.line);
	}
	free(copy);
	return r == CFG_FILE_ERROR ? -ENOMEM : r == CFG_SUCCESS && !mistakes ? 0 : -EINVAL;
}

static int check_times(struct options *o, struct buf *why)
{
	o->period_ms = options_duration(cfg_getstr(o->values, "period"));
	o->window_ms = options_duration(cfg_getstr(o->values, "window"));
	if (o->period_ms && o->period_ms < PERIOD_LEAST_MS)
		buf_puts(why, "period: expected 10ms or more, or 0 to measure only when asked");
	else if (o->window_ms > o->period_ms)
		buf_puts(why, "window: expected no more than the period");
	return why->len ? -EINVAL : 0;
}

int options_parse(struct options *ret, const struct hmon_monitor *m, const char *text, struct buf *why)
{
	struct options o = {.known = known_options(m)};
	if (!o.known)
		return -ENOMEM;
	o.values = cfg_init(o.known, CFGF_NONE);
	int r = o.values ? 0 : -ENOMEM;
	if (!r) {
		cfg_set_error_function(o.values, on_error);
		r = parse(&o, text, why);
	}
	if (!r)
		r = check_times(&o, why);
	if (r)
		options_release(&o);
	else
		*ret = o;
	return r;
}

void options_release(struct options *o)
{
	if (o->values)
		cfg_free(o->values);
	free(o->known);
	*o = (struct options){0};
}
