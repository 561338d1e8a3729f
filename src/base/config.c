/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static const char *const type_names[] = {
    [METRIC_GAUGE] = "gauge",
    [METRIC_COUNTER] = "counter",
    [METRIC_STATE] = "state",
    [METRIC_TEXT] = "text",
};

const char *metric_type_name(enum metric_type t)
{
	return type_names[t];
}

int metric_type_from(const char *name)
{
	for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++)
		if (!strcmp(type_names[i], name))
			return (int)i;
	return -1;
}

struct config *config_new(size_t n)
{
	struct config *c = calloc(1, sizeof *c + n * sizeof *c->metrics);
	if (!c)
		return NULL;
	c->refs = 1;
	c->n = n;
	return c;
}

struct config *config_ref(struct config *c)
{
	__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void config_unref(struct config *c)
{
	if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < c->n; i++) {
		free(c->metrics[i].name);
		free(c->metrics[i].unit);
		free(c->metrics[i].doc);
	}
	free(c);
}

static bool name_ok(const char *s)
{
	size_t n = s ? strlen(s) : 0;
	if (!n || n > METRIC_NAME_MAX)
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~' || strchr("\"<>&*?", *s))
			return false;
	return true;
}

static bool unit_ok(const char *s)
{
	return s && strlen(s) <= METRIC_NAME_MAX && (!*s || name_ok(s));
}

static const char *metric_fault(const struct metric *m)
{
	if (!name_ok(m->name))
		return "a metric's name is 1 to 127 printable characters without space, quotes, <, >, &, * and ?";
	if (!unit_ok(m->unit))
		return "a unit is at most 127 printable characters without space";
	if (m->scale > METRIC_SCALE_MAX)
		return "scale is 0 to 9";
	if (m->scale && (m->type == METRIC_STATE || m->type == METRIC_TEXT))
		return "a state or a text has no scale";
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct metric *const *)a)->name, (*(const struct metric *const *)b)->name);
}

/* Two metrics of one name: the index of the later one, -1 for none, -ENOMEM. */
static int64_t duplicate(const struct config *c)
{
	const struct metric **sorted = malloc((c->n + 1) * sizeof *sorted);
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++)
		sorted[i] = &c->metrics[i];
	qsort(sorted, c->n, sizeof *sorted, by_name);
	int64_t found = -1;
	for (size_t i = 1; i < c->n && found < 0; i++)
		if (!strcmp(sorted[i - 1]->name, sorted[i]->name))
			found = (sorted[i] > sorted[i - 1] ? sorted[i] : sorted[i - 1]) - c->metrics;
	free(sorted);
	return found;
}

int config_seal(struct config *c, const char **ret_why, size_t *ret_at)
{
	for (size_t i = 0; i < c->n; i++) {
		const char *why = metric_fault(&c->metrics[i]);
		if (why) {
			*ret_why = why;
			*ret_at = i;
			return -EINVAL;
		}
	}
	int64_t twice = duplicate(c);
	if (twice == -ENOMEM)
		return -ENOMEM;
	if (twice >= 0) {
		*ret_why = "two metrics of one name";
		*ret_at = (size_t)twice;
		return -EINVAL;
	}
	c->digest = config_digest(c);
	return 0;
}

uint64_t config_digest(const struct config *c)
{
	struct buf text = BUF_INIT;
	buf_putf(&text, "%lld %lld\n", (long long)(c->period_ns / 1000000), (long long)(c->window_ns / 1000000));
	for (size_t i = 0; i < c->n; i++) {
		const struct metric *m = &c->metrics[i];
		buf_putf(&text, "%s\t%s\t%s\t%d\n", m->name, metric_type_name(m->type), m->unit, m->scale);
	}
	unsigned char hash[SHA256_DIGEST_LENGTH];
	SHA256((const unsigned char *)text.data, text.len, hash);
	buf_release(&text);
	uint64_t digest = 0;
	for (int i = 0; i < 8; i++)
		digest = digest << 8 | hash[i];
	return digest;
}

int config_find_near(const struct config *c, const char *name, size_t hint)
{
	return hint < c->n && !strcmp(c->metrics[hint].name, name) ? (int)hint : config_find(c, name);
}

int config_find(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->metrics[i].name, name))
			return (int)i;
	return -1;
}
