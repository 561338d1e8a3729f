/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/fleet.h"

#include <ctype.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/vigia/values.h"

/* A monitor that is nowhere would be an error under its plain name; as a pattern it is not. */
const struct figure_query figure_queries[] = {
    {"hos?", "cpu/i*", true, true}, /* idle, iowait: of all processors together */
    {"hos?", "load/1min", true},
    {"hos?", "memory/total", true},
    {"hos?", "memory/available", true},
    {"temperatur?", "temperature/*", true},
    {"hos?", "net/*/?x_bytes", false, true},
    {"hos?", "disk/*/*e_bytes", false, true},
    {"hos?", "disk/*/*d_bytes", false, true},
    {"hos?", "uptime/up"}, /* changes each period: says that there was one */
    {NULL},
};

enum { TEMPERATURE = RATES };

struct reading {
	char *metric;
	unsigned what; /* enum fleet_rate, or TEMPERATURE */
	double value, before, past;
};

/* --- nodes --- */

static void node_free(struct fleet_node *n)
{
	for (size_t i = 0; i < n->readings_n; i++)
		free(n->readings[i].metric);
	free(n->readings);
	free(n->name);
	free(n);
}

void fleet_release(struct fleet *f)
{
	for (size_t i = 0; i < f->nodes.n; i++)
		node_free(f->nodes.things[i]);
	names_release(&f->nodes);
	*f = (struct fleet){0};
}

static struct fleet_node *node_named(struct fleet *f, const char *name)
{
	struct fleet_node *n = names_find(&f->nodes, name);
	if (n)
		return n;
	n = calloc(1, sizeof *n);
	if (!n)
		return NULL;
	n->load = n->memory_total = n->memory_available = n->uptime = NAN;
	for (int i = 0; i < RATES; i++)
		n->rates[i] = NAN;
	n->name = strdup(name);
	n->listed = true;
	if (n->name && !names_add(&f->nodes, n))
		return n;
	node_free(n);
	return NULL;
}

void fleet_take_node(struct fleet *f, const struct msg *m)
{
	struct fleet_node *n = node_named(f, msg_get(m, "name", "?"));
	if (!n)
		return;
	n->listed = true;
	snprintf(n->state, sizeof n->state, "%s", msg_get(m, "state", ""));
	snprintf(n->reason, sizeof n->reason, "%s", msg_get(m, "reason", ""));
	snprintf(n->system, sizeof n->system, "%s", msg_get(m, "system", ""));
	snprintf(n->version, sizeof n->version, "%s", msg_get(m, "version", ""));
	msg_get_int(m, "since", &n->since_ns);
	msg_get_int(m, "heard", &n->heard_ns);
	msg_get_int(m, "monitors", &n->monitors);
	msg_get_int(m, "processors", &n->processors);
}

void fleet_list_begin(struct fleet *f)
{
	for (size_t i = 0; i < f->nodes.n; i++)
		fleet_at(f, i)->listed = false;
}

void fleet_list_end(struct fleet *f)
{
	size_t kept = 0;
	for (size_t i = 0; i < f->nodes.n; i++) {
		struct fleet_node *n = fleet_at(f, i);
		if (n->listed)
			f->nodes.things[kept++] = n;
		else
			node_free(n);
	}
	f->nodes.n = kept;
}

struct fleet_node *fleet_at(const struct fleet *f, size_t i)
{
	return f->nodes.things[i];
}

bool node_live(const struct fleet_node *n)
{
	return strcmp(n->state, "down") && strcmp(n->state, "left");
}

/* --- which metrics count --- */

static bool begins(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

static bool ends(const char *s, const char *with)
{
	size_t n = strlen(s), k = strlen(with);
	return n >= k && !strcmp(s + n - k, with);
}

/* What passes through a virtual interface passes through a real one too, or never leaves the host. */
static bool virtual_interface(const char *name, size_t n)
{
	static const char *const kinds[] = {
	    "lo/", "veth", "docker", "br-", "virbr", "bond", "team", "dummy", "ifb", "tap", "vnet"};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (begins(name, kinds[i]))
			return true;
	return memchr(name, '.', n); /* a VLAN of another */
}

static bool stacked_disk(const char *name)
{
	return begins(name, "loop") || begins(name, "ram") || begins(name, "dm-") || begins(name, "md") ||
	       begins(name, "zram");
}

/* "sda1" is part of "sda", "nvme0n1p2" of "nvme0n1", if that is measured as well: the kernel names it first.
 */
static bool partition(const struct fleet_node *n, const char *metric)
{
	const char *name = metric + strlen("disk/"), *end = strchr(name, '/');
	size_t len = end ? (size_t)(end - name) : 0;
	while (len && isdigit((unsigned char)name[len - 1]))
		len--;
	if (len > 1 && name[len - 1] == 'p' && isdigit((unsigned char)name[len - 2]))
		len--;
	len += strlen("disk/");
	for (size_t i = 0; len < (size_t)(end - metric) && i < n->readings_n; i++)
		if (!strncmp(n->readings[i].metric, metric, len) && n->readings[i].metric[len] == '/')
			return true;
	return false;
}

static int what_of(const struct fleet_node *n, const char *metric)
{
	if (!strcmp(metric, "cpu/idle") || !strcmp(metric, "cpu/iowait"))
		return RATE_IDLE;
	if (begins(metric, "net/")) {
		const char *name = metric + 4, *end = strchr(name, '/');
		if (!end || virtual_interface(name, (size_t)(end - name)))
			return -1;
		return ends(metric, "/rx_bytes") ? RATE_RECEIVED : ends(metric, "/tx_bytes") ? RATE_SENT : -1;
	}
	if (!begins(metric, "disk/") || stacked_disk(metric + 5) || !strchr(metric + 5, '/') ||
	    partition(n, metric))
		return -1;
	return ends(metric, "/read_bytes") ? RATE_READ : ends(metric, "/write_bytes") ? RATE_WRITTEN : -1;
}

/* --- values --- */

static struct reading *reading_of(struct fleet_node *n, const char *metric, int what)
{
	for (size_t i = 0; i < n->readings_n; i++)
		if (!strcmp(n->readings[i].metric, metric))
			return &n->readings[i];
	struct reading *more = realloc(n->readings, (n->readings_n + 1) * sizeof *more);
	if (!more)
		return NULL;
	n->readings = more;
	char *name = strdup(metric);
	if (!name)
		return NULL;
	n->readings[n->readings_n] = (struct reading){name, (unsigned)what, NAN, NAN, NAN};
	return &n->readings[n->readings_n++];
}

static void keep(struct fleet_node *n, const char *metric, int what, double value)
{
	struct reading *r = what < 0 ? NULL : reading_of(n, metric, what);
	if (r)
		r->value = value;
}

static void take_host(struct fleet_node *n, const char *metric, double value)
{
	const struct {
		const char *metric;
		double *at;
	} plain[] = {{"load/1min", &n->load}, {"memory/total", &n->memory_total},
	    {"memory/available", &n->memory_available}, {"uptime/up", &n->uptime}};
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (!strcmp(plain[i].metric, metric)) {
			*plain[i].at = value;
			return;
		}
	keep(n, metric, what_of(n, metric), value);
}

void fleet_take_values(struct fleet *f, const struct msg *m)
{
	struct fleet_node *n = node_named(f, msg_get(m, "node", "?"));
	bool host = !strcmp(msg_get(m, "monitor", ""), "host");
	bool heat = !strcmp(msg_get(m, "monitor", ""), "temperature");
	if (!n)
		return;
	if (host)
		msg_get_int(m, "time", &n->time_ns);
	for (const struct msg *v = m->children; v; v = v->next) {
		const char *metric = msg_get(v, "n", "");
		if (host)
			take_host(n, metric, value_number(v));
		else if (heat && !strcmp(msg_get(v, "u", ""), "Cel"))
			keep(n, metric, TEMPERATURE, value_number(v));
	}
}

/* --- rates --- */

/* From the readings' value at offset `since`, measured then. */
static void rates_since(struct fleet_node *n, size_t since, int64_t since_ns)
{
	double sums[RATES] = {0};
	bool there[RATES] = {false};
	double seconds = (double)(n->time_ns - since_ns) / 1e9;
	for (size_t i = 0; i < n->readings_n; i++) {
		const struct reading *r = &n->readings[i];
		if (r->what >= RATES)
			continue;
		double more = r->value - *(const double *)((const char *)r + since); /* < 0: it began anew */
		there[r->what] |= !isnan(more);
		sums[r->what] += more > 0 ? more : 0;
	}
	for (int i = 0; since_ns && i < RATES; i++)
		n->rates[i] = there[i] ? sums[i] / seconds : NAN;
}

static void rates_of(struct fleet_node *n)
{
	rates_since(n, offsetof(struct reading, before), n->before_ns);
	for (size_t i = 0; i < n->readings_n; i++)
		n->readings[i].before = n->readings[i].value;
	n->before_ns = n->time_ns;
}

void fleet_rates(struct fleet *f)
{
	for (size_t i = 0; i < f->nodes.n; i++) {
		struct fleet_node *n = fleet_at(f, i);
		if (n->time_ns != n->before_ns)
			rates_of(n);
	}
}

/* The series that comes first decides which period it is: its newest before what is known. */
static void take_past(struct fleet_node *n, struct reading *r, const struct msg *series)
{
	int64_t time_ns = 0;
	bool decided = n->past_ns;
	for (const struct msg *p = series->children; p; p = p->next) {
		if (msg_get_int(p, "t", &time_ns) || time_ns >= n->time_ns)
			continue;
		if (!decided)
			n->past_ns = time_ns;
		if (time_ns == n->past_ns)
			r->past = strtod(msg_get(p, "v", "nan"), NULL);
	}
}

void fleet_take_past(struct fleet *f, const struct msg *series)
{
	struct fleet_node *n = names_find(&f->nodes, msg_get(series, "node", ""));
	const char *metric = msg_get(series, "metric", "");
	for (size_t i = 0; n && i < n->readings_n; i++)
		if (!strcmp(n->readings[i].metric, metric))
			take_past(n, &n->readings[i], series);
}

static bool rated(const struct fleet_node *n)
{
	for (int i = 0; i < RATES; i++)
		if (!isnan(n->rates[i]))
			return true;
	return false;
}

void fleet_past_rates(struct fleet *f)
{
	for (size_t i = 0; i < f->nodes.n; i++) {
		struct fleet_node *n = fleet_at(f, i);
		if (n->past_ns && !rated(n))
			rates_since(n, offsetof(struct reading, past), n->past_ns);
	}
}

/* --- figures --- */

double node_cpu(const struct fleet_node *n)
{
	double idle = n->rates[RATE_IDLE];
	if (isnan(idle) || n->processors < 1 || !node_live(n))
		return NAN;
	double busy = 100 * (1 - idle / (double)n->processors);
	return busy < 0 ? 0 : busy;
}

double node_memory(const struct fleet_node *n)
{
	return node_live(n) ? 100 * (1 - n->memory_available / n->memory_total) : NAN;
}

double node_load(const struct fleet_node *n)
{
	return node_live(n) ? n->load : NAN;
}

double node_rate(const struct fleet_node *n, enum fleet_rate which)
{
	return node_live(n) ? n->rates[which] : NAN;
}

double node_temperature(const struct fleet_node *n)
{
	double hottest = NAN;
	for (size_t i = 0; i < n->readings_n && node_live(n); i++)
		if (n->readings[i].what == TEMPERATURE)
			hottest = fmax(hottest, n->readings[i].value);
	return hottest;
}

enum tone percent_tone(double percent)
{
	return isnan(percent) ? TONE_NONE : percent >= 90 ? TONE_BAD : percent >= 70 ? TONE_WARN : TONE_NONE;
}

enum tone temperature_tone(double celsius)
{
	return isnan(celsius) ? TONE_NONE : celsius >= 90 ? TONE_BAD : celsius >= 75 ? TONE_WARN : TONE_NONE;
}

enum tone load_tone(const struct fleet_node *n)
{
	double share = n->processors > 0 ? node_load(n) / (double)n->processors : NAN;
	return isnan(share) ? TONE_NONE : share >= 2 ? TONE_BAD : share >= 1 ? TONE_WARN : TONE_NONE;
}
