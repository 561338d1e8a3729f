/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor as a program: arguments, where to speak, signals, the terminal. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "hmon/clock.h"
#include "hmon/dial.h"
#include "hmon/monitor.h"
#include "hmon/session.h"
#include "proto/row.h"

enum { BACKOFF_FIRST_MS = 200, BACKOFF_MOST_MS = 30000, EXIT_USAGE = 2, SECTION_MOST = 1 << 20 };

struct arguments {
	const char *name, *connect, *socket;
	struct buf set;	     /* the options given, as a section */
	const char *options; /* its text; NULL: none were given */
	bool once, check, help;
};

/* --- arguments --- */

static const struct argument {
	struct option option;
	const char *value, *doc;
} arguments[] = {
    {{"name", required_argument, NULL, 'n'}, "NAME",
	"be the monitor NAME (one program may run under several)"},
    {{"config", required_argument, NULL, 'f'}, "FILE", "read the monitor's options from FILE"},
    {{"set", required_argument, NULL, 'o'}, "'KEY = VALUE'", "set an option (may be repeated)"},
    {{"connect", required_argument, NULL, 'c'}, "HOST:PORT", "serve the node there, over TCP"},
    {{"socket", required_argument, NULL, 's'}, "PATH", "serve the node there, over its Unix socket"},
    {{"once", no_argument, NULL, '1'}, "", "measure once, print the values and end"},
    {{"check", no_argument, NULL, 'k'}, "", "only say what is wrong with the options, and end"},
    {{"help", no_argument, NULL, 'h'}, "", "print this"},
};

enum { ARGUMENTS = sizeof arguments / sizeof *arguments };

static int add_file(struct buf *options, const char *path)
{
	char bytes[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 0;
	while (fd >= 0 && options->len < SECTION_MOST && (n = read(fd, bytes, sizeof bytes)) > 0)
		buf_put(options, bytes, (size_t)n);
	int r = n < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	buf_putc(options, '\n');
	return r;
}

static int take_option(struct arguments *a, const char *option, const char *path)
{
	int r = path ? add_file(&a->set, path) : 0;
	if (r)
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
	if (option)
		buf_putf(&a->set, "%s\n", option);
	a->options = buf_str(&a->set);
	return r;
}

static int take(struct arguments *a, int which)
{
	switch (which) {
	case 'n':
		a->name = optarg;
		return 0;
	case 'c':
		a->connect = optarg;
		return 0;
	case 's':
		a->socket = optarg;
		return 0;
	case '1':
		a->once = true;
		return 0;
	case 'k':
		a->check = true;
		return 0;
	case 'h':
		a->help = true;
		return 0;
	case 'f':
		return take_option(a, NULL, optarg);
	case 'o':
		return take_option(a, optarg, NULL);
	}
	return -EINVAL;
}

static int parse_arguments(struct arguments *a, int argc, char **argv)
{
	struct option options[ARGUMENTS + 1] = {{0}};
	for (size_t i = 0; i < ARGUMENTS; i++)
		options[i] = arguments[i].option;
	int which, r = 0;
	while (!r && (which = getopt_long(argc, argv, "", options, NULL)) != -1)
		r = take(a, which);
	if (!r && optind < argc) {
		fprintf(stderr, "%s: '%s' is not an argument; see --help\n", argv[0], argv[optind]);
		r = -EINVAL;
	}
	return r;
}

/* --- --help --- */

static const char *const type_names[] = {
    [HMON_GAUGE] = "gauge", [HMON_COUNTER] = "counter", [HMON_STATE] = "state", [HMON_TEXT] = "text"};

static void help_metric(const struct hmon_metric *m, const char *prefix, const char *instance)
{
	char name[300];
	snprintf(name, sizeof name, "%s%s%s%s%s", prefix, *prefix ? "/" : "", instance, *instance ? "/" : "",
	    m->name);
	bool number = m->type == HMON_GAUGE || m->type == HMON_COUNTER;
	printf("  %-34s %-8s %-6s %s\n", name, type_names[m->type], number ? m->unit ? m->unit : "1" : "",
	    m->doc ? m->doc : "");
}

static void help_metrics(const struct hmon_monitor *m)
{
	static const struct hmon_family no_families[] = {{0}};
	puts("\nmetrics:");
	for (const struct hmon_metric *metric = m->metrics; metric && metric->name; metric++)
		help_metric(metric, "", "");
	for (const struct hmon_family *f = m->families ? m->families : no_families; f->prefix; f++) {
		if (f->doc)
			printf("  %s/%s%s %s\n", f->prefix, f->instance ? f->instance : "",
			    f->instance ? "/...:" : "*:", f->doc);
		for (const struct hmon_metric *metric = f->metrics; metric && metric->name; metric++)
			help_metric(metric, f->prefix, f->instance ? f->instance : "");
	}
}

/* At least two blanks before what it is: a default that is a list has single ones in it. */
static void help_option(const char *name, const char *fallback, const char *doc)
{
	printf("  %-14s %-12s  %s\n", name, fallback, doc);
}

static void help_options(const struct hmon_monitor *m)
{
	puts("\noptions, in its section of vigia.conf:");
	help_option("period", m->period ? m->period : "1s", "between two measurements; 0: only when asked");
	help_option("window", "0", "send gauges as means over this long; 0: as they are");
	for (const struct hmon_option *o = m->options; o && o->name; o++)
		help_option(o->name, o->fallback ? o->fallback : "", o->doc ? o->doc : "");
}

static int help(const struct hmon_monitor *m)
{
	printf("%s: %s\n\narguments (started by vigiad it needs none):\n", m->name,
	    m->doc ? m->doc : "a monitor of Vigia");
	for (size_t i = 0; i < ARGUMENTS; i++)
		printf("  --%-8s %-16s %s\n", arguments[i].option.name, arguments[i].value, arguments[i].doc);
	help_options(m);
	help_metrics(m);
	return EXIT_SUCCESS;
}

/* --- --once --- */

static void print_value(const struct set *set, size_t i)
{
	struct buf name = BUF_INIT, value = BUF_INIT;
	const struct hmon_metric *m = set_metric(set, i, &name);
	const struct metric as_metric = {.scale = (uint8_t)m->scale};
	row_format(&value, &set->now[i], &as_metric);
	bool number = m->type == HMON_GAUGE || m->type == HMON_COUNTER;
	const char *unit = !number || set->now[i].kind == VALUE_NONE ? "" : m->unit ? m->unit : "1";
	printf("%-40s %20s %-4s %s\n", buf_str(&name),
	    set->now[i].kind == VALUE_NONE ? "none" : buf_str(&value), unit, type_names[m->type]);
	buf_release(&name);
	buf_release(&value);
}

typedef int take_fn(struct hmon *h, const char *options, struct buf *why);

/* Every mistake is a line. */
static int tried(struct hmon *h, const char *options, take_fn *take_options)
{
	struct buf why = BUF_INIT;
	int r = take_options(h, options, &why);
	if (r && !why.len)
		buf_puts(&why, strerror(-r));
	for (const char *line = buf_str(&why), *end; r && *line; line = end + (*end == '\n')) {
		end = strchrnul(line, '\n');
		fprintf(stderr, "%s: %.*s\n", h->name, (int)(end - line), line);
	}
	buf_release(&why);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int once(struct hmon *h, const char *options)
{
	if (tried(h, options, monitor_configure))
		return EXIT_FAILURE;
	int r = monitor_read(h);
	for (size_t i = 0; i < h->set.n; i++)
		print_value(&h->set, i);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- serving --- */

static bool is_socket(int fd)
{
	struct stat st;
	return !fstat(fd, &st) && S_ISSOCK(st.st_mode);
}

/* By vigiad, which keeps the last of standard error for when this ends. */
static bool is_started(const struct arguments *a)
{
	return !a->connect && !a->socket && is_socket(STDIN_FILENO);
}

/* Moves the node's socket off standard input and output, where a library's stray printf could reach it. */
static int take_standard_socket(void)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0 || null < 0)
		return -errno;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	close(null);
	return fd;
}

static int serve_starter(struct hmon *h, const struct arguments *a)
{
	struct session_terms terms = {.options = a->options};
	int fd = take_standard_socket();
	return fd < 0 ? fd : session_run(h, fd, &terms);
}

/* where: 4096 bytes, for people. */
static int dial(const struct hmon *h, const struct arguments *a, char *where)
{
	snprintf(where, 4096, "%s", a->connect ? a->connect : a->socket ? a->socket : "");
	if (!*where)
		dial_default_socket(where, 4096);
	return a->connect ? dial_host(where, h->end_fd) : dial_socket(where, h->end_fd);
}

static void keep_secret(void *data, const char *secret)
{
	struct hmon *h = data;
	int r = dial_keep_secret(h->name, secret);
	if (r)
		hmon_log(h, LOG_ERR, "can't keep the secret, so can't come back under this name: %s",
		    strerror(-r));
}

static int serve_once_dialled(struct hmon *h, const struct arguments *a)
{
	char secret[SECRET_SIZE], where[4096];
	struct session_terms terms = {.options = a->options, .keep_secret = keep_secret, .data = h};
	if (!dial_load_secret(h->name, secret))
		terms.secret = secret;
	int fd = dial(h, a, where);
	if (fd >= 0)
		return session_run(h, fd, &terms);
	if (fd != -ECANCELED)
		monitor_trouble(h, "can't reach the node at %s: %s; trying again", where, strerror(-fd));
	return fd;
}

/* Up to half of it at random, so that a thousand monitors do not come back as one. */
static int backoff_ms(int tries)
{
	int ms = tries < 8 ? BACKOFF_FIRST_MS << tries : BACKOFF_MOST_MS;
	if (ms > BACKOFF_MOST_MS)
		ms = BACKOFF_MOST_MS;
	return ms / 2 + (int)(clock_monotonic_ns() / 1000 % (ms / 2));
}

/* A connection that held for a while was a good one: back-off starts over. */
static int serve_dialled(struct hmon *h, const struct arguments *a)
{
	int r, tries = 0;
	do {
		int64_t start = clock_monotonic_ns();
		r = serve_once_dialled(h, a);
		if (clock_monotonic_ns() - start > 10000000000LL)
			tries = 0;
		if (r != -ECANCELED)
			r = dial_wait(backoff_ms(tries++), h->end_fd);
	} while (r != -ECANCELED);
	return r;
}

static int end_fd(void)
{
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	return signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int serve(struct hmon *h, const struct arguments *a)
{
	openlog("vigia-monitor", LOG_PID, LOG_DAEMON);
	h->end_fd = end_fd();
	int r = is_started(a) ? serve_starter(h, a) : serve_dialled(h, a);
	return r && r != -ECANCELED ? EXIT_FAILURE : EXIT_SUCCESS;
}

int hmon_main(const struct hmon_monitor *m, int argc, char **argv)
{
	struct arguments a = {0};
	struct hmon h;
	if (parse_arguments(&a, argc, argv))
		return EXIT_USAGE;
	if (a.help)
		return help(m);
	if (monitor_init(&h, m, a.name)) {
		fprintf(stderr, "'%s' is no name: expected 1 to %d letters, digits, '.', '_', '-'\n",
		    a.name ? a.name : m->name, NAME_SIZE - 1);
		return EXIT_USAGE;
	}
	h.to_stderr = isatty(STDERR_FILENO) || !getenv("JOURNAL_STREAM"); /* which has it from syslog */
	const char *options = a.options ? a.options : "";
	int r = a.once ? once(&h, options) : a.check || a.options ? tried(&h, options, monitor_check) : EXIT_SUCCESS;
	if (!a.once && !a.check && !r)
		r = serve(&h, &a);
	monitor_release(&h);
	buf_release(&a.set);
	return r;
}

int hmon_serve(const struct hmon_monitor *m, const char *name, const char *options, int fd)
{
	struct session_terms terms = {.options = options};
	struct hmon h;
	int r = monitor_init(&h, m, name);
	if (r) {
		close(fd);
		return r;
	}
	r = session_run(&h, fd, &terms);
	monitor_release(&h);
	return r;
}
