/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/describe.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MS = 1000000 };
static const int64_t duration_max_ms = 1000LL * 3600 * 24 * 365;

bool describe_name_ok(const char *s)
{
	size_t n = strlen(s);
	if (n < 1 || n > 63 || !isalnum((unsigned char)s[0]))
		return false;
	return strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

static const char *default_unit(enum metric_type type)
{
	return type == METRIC_STATE || type == METRIC_TEXT ? "" : "1";
}

/* Absent and empty are one: what is read, written and read again must keep its digest. */
static const char *unit_of(const struct msg *m, enum metric_type type)
{
	const char *unit = msg_get(m, "unit", "");
	return *unit ? unit : default_unit(type);
}

/* At most METRIC_DOC_MAX bytes, and no character cut in two. */
static char *doc_of(const struct msg *m)
{
	size_t n = strnlen(m->text, METRIC_DOC_MAX + 1);
	if (n > METRIC_DOC_MAX)
		for (n = METRIC_DOC_MAX; n && (m->text[n] & 0xc0) == 0x80;)
			n--;
	return strndup(m->text, n);
}

static int read_metric(struct metric *to, const struct msg *m, const char **ret_why)
{
	int type = metric_type_from(msg_get(m, "type", "gauge"));
	int64_t scale = 0;
	to->name = strdup(msg_get(m, "name", "")); /* first: a refusal says whose fault it is */
	if (type < 0) {
		*ret_why = "type is gauge, counter, state or text";
		return -EINVAL;
	}
	if (msg_get_int(m, "scale", &scale) == -EINVAL || scale < 0 || scale > METRIC_SCALE_MAX) {
		*ret_why = "scale is 0 to 9";
		return -EINVAL;
	}
	to->type = (enum metric_type)type;
	to->scale = (uint8_t)scale;
	to->unit = strdup(unit_of(m, to->type));
	to->doc = doc_of(m);
	return to->name && to->unit && to->doc ? 0 : -ENOMEM;
}

static size_t count_metrics(const struct msg *m)
{
	size_t n = 0;
	for (const struct msg *c = m->children; c; c = c->next)
		n += !strcmp(c->name, "metric");
	return n;
}

static int read_duration(const struct msg *m, const char *name, int64_t *ret_ns)
{
	int64_t ms = 0;
	if (msg_get_int(m, name, &ms) == -EINVAL || ms < 0 || ms > duration_max_ms)
		return -EINVAL;
	*ret_ns = ms * MS;
	return 0;
}

static int read_metrics(struct config *c, const struct msg *m, char *why, size_t why_size)
{
	size_t i = 0;
	const char *fault = NULL;
	int r = 0;
	for (const struct msg *k = m->children; k && !r; k = k->next)
		if (!strcmp(k->name, "metric"))
			r = read_metric(&c->metrics[i++], k, &fault);
	if (r == -EINVAL)
		i--;
	if (!r)
		r = config_seal(c, &fault, &i);
	if (r == -EINVAL)
		snprintf(why, why_size, "metric %zu (\"%.60s\"): %s", i + 1,
		    c->metrics[i].name ? c->metrics[i].name : "", fault);
	return r;
}

int describe_read(struct config **ret, const struct msg *m, char *why, size_t why_size)
{
	size_t n = count_metrics(m);
	if (n < 1 || n > METRICS_MAX) {
		snprintf(why, why_size, "a config has 1 to %d metrics, not %zu", METRICS_MAX, n);
		return -EINVAL;
	}
	struct config *c = config_new(n);
	if (!c)
		return -ENOMEM;
	int r;
	if (read_duration(m, "period", &c->period_ns) || read_duration(m, "window", &c->window_ns)) {
		snprintf(why, why_size, "period and window are durations in milliseconds");
		r = -EINVAL;
	} else {
		r = read_metrics(c, m, why, why_size);
	}
	if (r) {
		config_unref(c);
		return r;
	}
	*ret = c;
	return 0;
}

static void write_metric(struct msg *m, const struct metric *metric)
{
	struct msg *c = msg_child(m, "metric");
	msg_set(c, "name", metric->name);
	msg_set(c, "type", metric_type_name(metric->type));
	if (*metric->unit)
		msg_set(c, "unit", metric->unit);
	if (metric->scale)
		msg_set_int(c, "scale", metric->scale);
	if (*metric->doc)
		msg_text(c, metric->doc, strlen(metric->doc));
}

void describe_write(struct msg *m, const struct config *c, bool (*wanted)(void *data, const char *name), void *data)
{
	msg_set_int(m, "period", c->period_ns / MS);
	if (c->window_ns)
		msg_set_int(m, "window", c->window_ns / MS);
	for (size_t i = 0; i < c->n; i++)
		if (!wanted || wanted(data, c->metrics[i].name))
			write_metric(m, &c->metrics[i]);
}

void describe_digest(char ret[17], uint64_t digest)
{
	snprintf(ret, 17, "%016llx", (unsigned long long)digest);
}

int describe_digest_parse(const char *s, uint64_t *ret)
{
	if (strlen(s) != 16 || strspn(s, "0123456789abcdef") != 16)
		return -EINVAL;
	*ret = strtoull(s, NULL, 16);
	return 0;
}
