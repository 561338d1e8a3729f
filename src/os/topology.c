/* SPDX-License-Identifier: Apache-2.0 */
#include "os/topology.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "os/utf8.h"

enum { COUNT_MOST = 1 << 20 };

static bool is_count(int64_t n)
{
	return n >= 0 && n <= COUNT_MOST;
}

static bool take_cache(const char *rest, struct host_topology *t)
{
	struct host_cache c;
	long long size;

	if (t->caches_n == TOPOLOGY_CACHES_MAX ||
	    sscanf(rest, "%7s %7d %15lld", c.name, &c.count, &size) != 3 || !is_count(c.count) || size < 0)
		return false;
	c.size = size;
	t->caches[t->caches_n++] = c;
	return true;
}

static bool take_tree(const char *rest, struct host_topology *t)
{
	utf8_harmless(t->tree, sizeof t->tree, rest, strlen(rest));
	return true;
}

#define COUNT(field) \
	static bool take_##field(const char *rest, struct host_topology *t) \
	{ \
		return sscanf(rest, "%7d", &t->field) == 1 && is_count(t->field); \
	}
COUNT(packages)
COUNT(nodes)
COUNT(cores)
COUNT(threads)

static const struct {
	const char *label;
	bool (*take)(const char *rest, struct host_topology *t);
} lines[] = {{"packages ", take_packages}, {"nodes ", take_nodes}, {"cores ", take_cores}, {"threads ", take_threads},
    {"cache ", take_cache}, {"tree ", take_tree}};

static bool take_line(const char *line, struct host_topology *t)
{
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		size_t n = strlen(lines[i].label);
		if (strncmp(line, lines[i].label, n) == 0)
			return lines[i].take(line + n, t);
	}
	return false;
}

int topology_parse(const char *text, size_t n, struct host_topology *ret)
{
	struct host_topology t = {0};
	char line[TOPOLOGY_TEXT_MAX + 1];

	if (n > TOPOLOGY_TEXT_MAX || memchr(text, '\0', n))
		return -EPROTO;
	for (const char *end = text + n; text < end;) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		if (!newline)
			return -EPROTO;
		memcpy(line, text, (size_t)(newline - text));
		line[newline - text] = '\0';
		if (!take_line(line, &t))
			return -EPROTO;
		text = newline + 1;
	}
	if (!t.threads)
		return -EPROTO;
	*ret = t;
	return 0;
}
