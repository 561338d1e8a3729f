/* SPDX-License-Identifier: Apache-2.0 */
#include "hmon/monitor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "hmon/text.h"

static int metrics_count(const struct hmon_metric *m)
{
	int n = 0;
	while (m && m[n].name)
		n++;
	return n;
}

static bool is_name(const char *s)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t n = strlen(s);
	return n && n < NAME_SIZE && !strchr("._-", *s) && strspn(s, allowed) == n;
}

int monitor_name(struct hmon *h, const char *name)
{
	if (!is_name(name))
		return -EINVAL;
	strcpy(h->name, name);
	return 0;
}

int monitor_init(struct hmon *h, const struct hmon_monitor *table, const char *name)
{
	*h = (struct hmon){.table = table, .end_fd = -1};
	int e = monitor_name(h, name ? name : table->name);
	if (e)
		return e;
	int n = metrics_count(table->metrics);
	int r = n ? set_add(&h->set, NULL, NULL, table->metrics, (size_t)n) : 0;
	return r < 0 ? r : 0;
}

static void stop(struct hmon *h)
{
	if (h->started && h->table->stop)
		h->table->stop(h);
	if (h->started && h->table->data_size)
		free(h->data);
	h->started = false;
	set_drop_from(&h->set, metrics_count(h->table->metrics));
}

void monitor_release(struct hmon *h)
{
	stop(h);
	options_release(&h->options);
	set_release(&h->set);
}

static int ask(struct hmon *h, int (*question)(struct hmon *h), struct buf *why)
{
	h->mistakes = why;
	int r = question ? question(h) : 0;
	h->mistakes = NULL;
	if (r < 0 && !why->len)
		buf_puts(why, strerror(-r));
	return r < 0 ? r : 0;
}

int monitor_check(struct hmon *h, const char *text, struct buf *why)
{
	struct options fresh, before = h->options;
	int r = options_parse(&fresh, h->table, text, why);
	if (r)
		return r;
	h->options = fresh;
	r = ask(h, h->table->check, why);
	h->options = before;
	options_release(&fresh);
	return r;
}

static int start(struct hmon *h, struct buf *why)
{
	if (h->table->data_size && !(h->data = calloc(1, h->table->data_size)))
		return -ENOMEM;
	int r = ask(h, h->table->start, why);
	h->started = !r || h->table->data_size;
	if (r)
		stop(h);
	return r;
}

int monitor_configure(struct hmon *h, const char *text, struct buf *why)
{
	stop(h);
	options_release(&h->options);
	h->last_line[0] = '\0';
	int r = options_parse(&h->options, h->table, text, why);
	if (!r)
		r = ask(h, h->table->check, why);
	if (!r)
		r = start(h, why);
	if (r)
		return r;
	set_begin(&h->set);
	set_end(&h->set);
	return 0;
}

int monitor_read(struct hmon *h)
{
	set_begin(&h->set);
	int r = h->table->read(h);
	set_end(&h->set);
	if (r >= 0)
		h->last_line[0] = '\0';
	else if (!h->last_line[0])
		hmon_log(h, LOG_ERR, "can't read: %s", strerror(-r));
	return r < 0 ? r : 0;
}

/* --- what the monitor's own code calls --- */

void hmon_set_data(struct hmon *h, void *data)
{
	h->data = data;
}

void *hmon_data(const struct hmon *h)
{
	return h->data;
}

const char *hmon_name(const struct hmon *h)
{
	return h->name;
}

int hmon_end_fd(const struct hmon *h)
{
	return h->end_fd;
}

const char *hmon_option_text(const struct hmon *h, const char *name)
{
	return cfg_getstr(h->options.values, name);
}

const char *hmon_option_item(const struct hmon *h, const char *name, size_t i)
{
	return i < cfg_size(h->options.values, name) ? cfg_getnstr(h->options.values, name, (unsigned)i)
						     : NULL;
}

int64_t hmon_option_int(const struct hmon *h, const char *name)
{
	return cfg_getint(h->options.values, name);
}

double hmon_option_number(const struct hmon *h, const char *name)
{
	return cfg_getfloat(h->options.values, name);
}

bool hmon_option_flag(const struct hmon *h, const char *name)
{
	return cfg_getbool(h->options.values, name);
}

int64_t hmon_option_ms(const struct hmon *h, const char *name)
{
	return options_duration(cfg_getstr(h->options.values, name));
}

int hmon_add(
    struct hmon *h, const char *prefix, const char *instance, const struct hmon_metric *metrics, size_t n)
{
	return set_add(&h->set, prefix, instance, metrics, n);
}

void hmon_drop(struct hmon *h, int first)
{
	set_drop(&h->set, first);
}

void hmon_set_int(struct hmon *h, int index, int64_t scaled)
{
	set_number(&h->set, index, scaled);
}

void hmon_set_double(struct hmon *h, int index, double value)
{
	set_double(&h->set, index, value);
}

void hmon_set_text(struct hmon *h, int index, const char *text)
{
	set_text(&h->set, index, text);
}

void hmon_set_none(struct hmon *h, int index)
{
	set_none(&h->set, index);
}

static void format_line(char line[LINE_SIZE], const char *format, va_list ap)
{
	char raw[LINE_SIZE];
	vsnprintf(raw, sizeof raw, format, ap);
	text_clean(line, LINE_SIZE, raw);
}

/* Once until `last` is cleared. */
static bool say(struct hmon *h, int priority, const char *line, char last[LINE_SIZE])
{
	if (!strcmp(line, last))
		return false;
	memcpy(last, line, LINE_SIZE);
	syslog(LOG_DAEMON | priority, "%s: %s", h->name, line);
	if (h->to_stderr)
		fprintf(stderr, "%s: %s\n", h->name, line);
	return true;
}

void monitor_trouble(struct hmon *h, const char *format, ...)
{
	char line[LINE_SIZE];
	va_list ap;
	va_start(ap, format);
	format_line(line, format, ap);
	va_end(ap);
	say(h, LOG_ERR, line, h->last_trouble);
}

void monitor_well(struct hmon *h)
{
	if (*h->last_trouble)
		say(h, LOG_NOTICE, "serves again", h->last_trouble);
	*h->last_trouble = '\0';
}

void hmon_log(struct hmon *h, int priority, const char *format, ...)
{
	char line[LINE_SIZE];
	va_list ap;
	va_start(ap, format);
	format_line(line, format, ap);
	va_end(ap);
	if (h->mistakes && priority <= LOG_ERR)
		buf_putf(h->mistakes, "%s%s", h->mistakes->len ? "\n" : "", line);
	else if (say(h, priority, line, h->last_line) && priority <= LOG_ERR && h->tell)
		h->tell(h->teller, line);
}
