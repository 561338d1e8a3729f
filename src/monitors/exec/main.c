/* SPDX-License-Identifier: Apache-2.0 */
/* Any Nagios plugin as a monitor: its exit code is the state, its performance data are metrics. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>

#include "hmon/hmon.h"
#include "output.h"
#include "run.h"

enum { STATE, TEXT, RUN_TIME };

static const struct hmon_metric metrics[] = {
    {"state", HMON_STATE, NULL, 0, "OK, WARNING, CRITICAL or UNKNOWN, by the exit code"},
    {"text", HMON_TEXT, NULL, 0, "the first line that the plugin printed"},
    {"run_time", HMON_GAUGE, "s", 3, "how long it ran"},
    {0},
};

static const struct hmon_family families[] = {
    {"perf", NULL, NULL, "the plugin's performance data, under its labels"},
    {0},
};

/* A metric made from performance data. Once seen it stays; while the plugin leaves it out it has no value. */
struct known {
	struct perf perf; /* as it was announced */
	struct hmon_metric metric;
	int index;
};

struct exec {
	const char **argv; /* the options' */
	int64_t limit_ms;
	struct run run;
	struct output output;
	size_t n;
	struct known known[PERF_MAX];
};

/* --- performance data --- */

static struct known *find(struct exec *e, const char *label)
{
	for (size_t i = 0; i < e->n; i++)
		if (!strcmp(e->known[i].perf.label, label))
			return &e->known[i];
	return NULL;
}

/* Only more decimals than announced, another unit or another type need a new announcement. */
static bool fits(const struct known *k, const struct perf *p)
{
	return p->decimals <= k->perf.decimals && p->counter == k->perf.counter &&
	       !strcmp(p->unit, k->perf.unit);
}

static void announce(struct hmon *h, struct known *k, const struct perf *p)
{
	k->perf = *p;
	k->metric = (struct hmon_metric){.name = "",
	    .type = p->counter ? HMON_COUNTER : HMON_GAUGE,
	    .unit = k->perf.unit,
	    .scale = p->decimals,
	    .doc = k->perf.limits};
	k->index = hmon_add(h, "perf", k->perf.label, &k->metric, 1);
}

static bool reported(const struct exec *e, const char *label)
{
	for (size_t i = 0; i < e->output.n; i++)
		if (!strcmp(e->output.perf[i].label, label))
			return true;
	return false;
}

/* The place of a label that this output does not have; one output never fills all places. */
static struct known *replaceable(struct hmon *h, struct exec *e)
{
	for (size_t i = 0; i < e->n; i++) {
		if (reported(e, e->known[i].perf.label))
			continue;
		hmon_drop(h, e->known[i].index);
		return &e->known[i];
	}
	return NULL;
}

static struct known *known_for(struct hmon *h, struct exec *e, const struct perf *p)
{
	struct known *k = find(e, p->label);
	if (k && (!p->known || fits(k, p)))
		return k;
	if (k)
		hmon_drop(h, k->index);
	else
		k = e->n < PERF_MAX ? &e->known[e->n++] : replaceable(h, e);
	if (k)
		announce(h, k, p);
	return k;
}

static void set_perf(struct hmon *h, struct exec *e, const struct perf *p)
{
	const struct known *k = known_for(h, e, p);
	int64_t number = p->number;
	bool ok = k && p->known;
	for (int i = p->decimals; ok && i < k->perf.decimals; i++)
		ok = !__builtin_mul_overflow(number, 10, &number);
	if (ok)
		hmon_set_int(h, k->index, number);
}

/* --- the plugin's word --- */

static const char *state(const struct run *r)
{
	static const char *const states[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
	int code = WIFEXITED(r->status) && !r->timed_out ? WEXITSTATUS(r->status) : 3;
	return states[code < 4 ? code : 3];
}

static void set_text(struct hmon *h, const struct exec *e)
{
	char text[RUN_ERRORS_SIZE];
	const char *said = e->output.text;
	if (e->run.timed_out)
		snprintf(text, sizeof text, "not done after %g s, so killed: %s", (double)e->limit_ms / 1000,
		    said);
	else if (WIFSIGNALED(e->run.status))
		snprintf(text, sizeof text, "killed by signal %d: %s", WTERMSIG(e->run.status), said);
	else
		snprintf(text, sizeof text, "%s", *said ? said : e->run.errors);
	text[strcspn(text, "\r\n")] = '\0';
	hmon_set_text(h, TEXT, text);
}

static int exec_read(struct hmon *h)
{
	struct exec *e = hmon_data(h);
	int r = run_program(&e->run, e->argv, e->limit_ms, hmon_end_fd(h));
	if (r)
		return r;
	output_parse(&e->output, e->run.output);
	hmon_set_text(h, STATE, state(&e->run));
	hmon_set_double(h, RUN_TIME, (double)e->run.took_ns / 1e9);
	set_text(h, e);
	for (size_t i = 0; i < e->output.n; i++)
		set_perf(h, e, &e->output.perf[i]);
	return 0;
}

/* --- options --- */

static const char **arguments(struct hmon *h)
{
	size_t n = 0;
	while (hmon_option_item(h, "command", n))
		n++;
	const char **argv = calloc(n + 1, sizeof *argv);
	for (size_t i = 0; argv && i < n; i++)
		argv[i] = hmon_option_item(h, "command", i);
	return argv;
}

static int exec_check(struct hmon *h)
{
	const char *program = hmon_option_item(h, "command", 0);
	int r = 0;
	if (!program || *program != '/') {
		hmon_log(h, LOG_ERR, "command: expected {\"/path/of/plugin\", \"argument\", ...}");
		r = -EINVAL;
	}
	if (hmon_option_ms(h, "timeout") < 1) {
		hmon_log(h, LOG_ERR, "timeout: expected more than 0");
		r = -EINVAL;
	}
	return r;
}

static int exec_start(struct hmon *h)
{
	struct exec *e = hmon_data(h);
	e->limit_ms = hmon_option_ms(h, "timeout");
	e->argv = arguments(h);
	return e->argv ? 0 : -ENOMEM;
}

static void exec_stop(struct hmon *h)
{
	struct exec *e = hmon_data(h);
	free(e->argv);
}

static const struct hmon_option options[] = {
    {"command", HMON_OPTION_LIST, NULL,
	"the plugin and its arguments: {\"/usr/lib/nagios/plugins/check_load\", ...}"},
    {"timeout", HMON_OPTION_DURATION, "10s", "after which it is killed, with all its processes"},
    {0},
};

static const struct hmon_monitor monitor = {
    .name = "exec",
    .doc = "runs a Nagios plugin",
    .period = "60s",
    .metrics = metrics,
    .families = families,
    .options = options,
    .start = exec_start,
    .read = exec_read,
    .stop = exec_stop,
    .check = exec_check,
    .data_size = sizeof(struct exec),
};

int main(int argc, char **argv)
{
	return hmon_main(&monitor, argc, argv);
}
