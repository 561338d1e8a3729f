/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"

#include <confuse.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/address.h"
#include "conf/options.h"
#include "conf/scan.h"
#include "conf/units.h"
#include "os/host.h"
#include "os/utf8.h"

struct loader {
	struct conf *conf;
	struct faults faults;
	bool syntax_told;
	int line_of[CONF_OPTIONS_MAX]; /* where an option was said; 0: nowhere */
	const struct settings *over;
	struct buf over_errors;
};

/* libconfuse's callbacks carry no pointer of ours. */
static struct loader *loading;

bool conf_is_name(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > CONF_NAME_MAX || !isalnum((unsigned char)s[0]))
		return false;
	return strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

/* --- defaults --------------------------------------------------------------------------------------------------- */

static void *field_of(struct conf *c, const struct conf_option *o)
{
	return (char *)c + o->offset;
}

static int set_defaults(struct conf *c)
{
	struct host_facts host;
	struct buf why = BUF_INIT;
	int r = 0;

	for (const struct conf_option *o = conf_options; r == 0 && o < conf_options + conf_n_options; o++)
		if (o->fallback)
			r = conf_option_set(o, field_of(c, o), o->fallback, &why);
	buf_release(&why);
	if (r < 0)
		return r;
	host_facts(&host);
	c->name = strdup(host.name);
	return c->name ? 0 : -ENOMEM;
}

static int add_default_monitor(struct conf *c, const char *name)
{
	struct conf_monitor *v = realloc(c->monitors, (c->n_monitors + 1) * sizeof *v);

	if (!v)
		return -ENOMEM;
	c->monitors = v;
	struct conf_monitor *m = &v[c->n_monitors++];
	*m = (struct conf_monitor){.name = strdup(name), .program = strdup(name), .enabled = true, .text = strdup("")};
	return m->name && m->program && m->text ? 0 : -ENOMEM;
}

static bool is_named(const struct conf *c, const char *monitor)
{
	for (size_t i = 0; i < c->n_monitors; i++)
		if (strcmp(c->monitors[i].name, monitor) == 0)
			return true;
	return false;
}

static int add_default_monitors(struct conf *c)
{
	static const char *const names[] = {"host", "fs", "temperature"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof names / sizeof *names; i++)
		if (!is_named(c, names[i]))
			r = add_default_monitor(c, names[i]);
	return r;
}

/* --- what libconfuse finds -------------------------------------------------------------------------------------- */

static size_t watched_node(struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->master.n_nodes; i++)
		if (strcmp(c->master.nodes[i].name, name) == 0)
			return i;
	struct conf_watched_node *v = realloc(c->master.nodes, (c->master.n_nodes + 1) * sizeof *v);
	if (!v)
		return SIZE_MAX;
	c->master.nodes = v;
	char *copy = strdup(name);
	if (!copy)
		return SIZE_MAX;
	v[c->master.n_nodes] = (struct conf_watched_node){.name = copy};
	return c->master.n_nodes++;
}

static enum conf_section section_of(cfg_t *cfg)
{
	if (cfg_title(cfg))
		return CONF_WATCHED;
	int s = conf_section_find(CONF_TOP, cfg_name(cfg), strlen(cfg_name(cfg)));
	return s < 0 ? CONF_TOP : (enum conf_section)s;
}

static unsigned watched_bit(const struct conf_option *o)
{
	return 1u << (o - conf_option_find(CONF_WATCHED, "watch", 5));
}

static void set(struct loader *l, const struct conf_option *o, void *field, const char *value, int line)
{
	struct buf why = BUF_INIT;
	int r = conf_option_set(o, field, value, &why);

	if (r == -ENOMEM || why.failed)
		l->faults.no_memory = true;
	else if (r < 0)
		faults_add(&l->faults, line, "%s: found \"%.200s\", expected %s", o->name, value, buf_str(&why));
	buf_release(&why);
}

static void take_watched(struct loader *l, cfg_t *cfg, const struct conf_option *o, const char *value)
{
	size_t node = watched_node(l->conf, cfg_title(cfg));

	if (node == SIZE_MAX) {
		l->faults.no_memory = true;
		return;
	}
	struct conf_watched_node *w = &l->conf->master.nodes[node];
	if (w->said & watched_bit(o))
		faults_add(&l->faults, cfg->line, "%s: said already for node %s", o->name, w->name);
	w->said |= watched_bit(o);
	set(l, o, (char *)&w->watch + o->offset, value, cfg->line);
}

/* A list is said anew with its first element, anything else but once. */
static void take(struct loader *l, cfg_t *cfg, cfg_opt_t *opt, const char *value)
{
	enum conf_section section = section_of(cfg);
	const struct conf_option *o = conf_option_find(section, cfg_opt_name(opt), strlen(cfg_opt_name(opt)));
	bool first = !o || !conf_option_is_list(o) || cfg_opt_size(opt) <= 1;

	if (!o) {
		faults_add(&l->faults, cfg->line, "found %s, expected an option", cfg_opt_name(opt));
		return;
	}
	if (section == CONF_WATCHED) {
		take_watched(l, cfg, o, value);
		return;
	}
	int *line = &l->line_of[conf_option_index(o)];
	void *field = field_of(l->conf, o);
	if (first && *line)
		faults_add(&l->faults, cfg->line, "%s: said already in line %d", o->name, *line);
	if (first && conf_option_is_list(o))
		conf_list_clear(o, field);
	*line = cfg->line;
	set(l, o, field, value, cfg->line);
	if (conf_option_is_list(o))
		conf_list_place(o, field, cfg->line);
}

/* Everything is a string to libconfuse. It never hears that a value is wrong, so that it goes on to the next. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	take(loading, cfg, opt, value ? value : "");
	*(const char **)result = value ? value : "";
	return 0;
}

static const struct {
	const char *start, *expected;
} hints[] = {
    {"unexpected token", "a value, or NAME = VALUE, or NAME { ... }"},
    {"unexpected closing brace", "an option or section: nothing is open"},
    {"premature end of file", "the rest of an option or section"},
    {"missing equal sign", "NAME = VALUE"},
    {"missing opening brace", "NAME { ... }"},
    {"missing title", "node NAME { ... }"},
};

static const char *hint_for(const char *text)
{
	for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
		if (strncmp(text, hints[i].start, strlen(hints[i].start)) == 0)
			return hints[i].expected;
	return "NAME = VALUE, or NAME { ... }";
}

/* It stops at the first; after an error of the first pass this would only be its echo. */
static void on_error(cfg_t *cfg, const char *format, va_list ap)
{
	char text[300];

	if (loading->syntax_told)
		return;
	vsnprintf(text, sizeof text, format, ap);
	faults_add(&loading->faults, cfg->line, "%s, expected %s", text, hint_for(text));
	loading->syntax_told = true;
}

static size_t section_options(enum conf_section section, cfg_opt_t *to)
{
	size_t n = 0;

	for (const struct conf_option *o = conf_options; o < conf_options + conf_n_options; o++) {
		if (o->section != section)
			continue;
		cfg_opt_t scalar = CFG_STR_CB(o->name, NULL, CFGF_NODEFAULT, on_value);
		cfg_opt_t list = CFG_STR_LIST_CB(o->name, NULL, CFGF_NODEFAULT, on_value);
		to[n++] = conf_option_is_list(o) ? list : scalar;
	}
	return n;
}

static void end_options(cfg_opt_t *at)
{
	cfg_opt_t end = CFG_END();

	*at = end;
}

static cfg_t *describe(void)
{
	cfg_opt_t of[CONF_SECTIONS][CONF_OPTIONS_MAX];
	size_t n[CONF_SECTIONS];

	for (int s = 0; s < CONF_SECTIONS; s++) {
		n[s] = section_options(s, of[s]);
		end_options(&of[s][n[s]]);
	}
	cfg_opt_t watched = CFG_SEC("node", of[CONF_WATCHED], CFGF_MULTI | CFGF_TITLE);
	of[CONF_MASTER][n[CONF_MASTER]++] = watched;
	end_options(&of[CONF_MASTER][n[CONF_MASTER]]);
	for (int s = CONF_NODE; s < CONF_SECTIONS; s++) {
		cfg_opt_t section = CFG_SEC(conf_section_name(s), of[s], CFGF_NONE);
		if (s != CONF_WATCHED)
			of[CONF_TOP][n[CONF_TOP]++] = section;
	}
	end_options(&of[CONF_TOP][n[CONF_TOP]]);
	return cfg_init(of[CONF_TOP], CFGF_NONE);
}

/* `listen = {}` calls nobody back. */
static void take_empty_list(struct loader *l, cfg_t *cfg, const struct conf_option *o)
{
	cfg_t *in = o->section == CONF_TOP ? cfg : cfg_getsec(cfg, conf_section_name(o->section));
	cfg_opt_t *opt = in ? cfg_getopt(in, o->name) : NULL;

	if (opt && (opt->flags & CFGF_MODIFIED) && cfg_opt_size(opt) == 0)
		conf_list_clear(o, field_of(l->conf, o));
}

static int parse(struct loader *l, const char *text)
{
	cfg_t *cfg = describe();

	if (!cfg)
		return -ENOMEM;
	cfg_set_error_function(cfg, on_error);
	loading = l;
	l->syntax_told = faults_any(&l->faults);
	int r = cfg_parse_buf(cfg, text);
	loading = NULL;
	if (r != CFG_SUCCESS && !faults_any(&l->faults))
		l->faults.no_memory = true;
	for (const struct conf_option *o = conf_options; o < conf_options + conf_n_options; o++)
		if (conf_option_is_list(o))
			take_empty_list(l, cfg, o);
	cfg_free(cfg);
	return 0;
}

/* --- what must hold between them -------------------------------------------------------------------------------- */

static int line_of(const struct loader *l, enum conf_section section, const char *name)
{
	int line = l->line_of[conf_option_index(conf_option_find(section, name, strlen(name)))];

	return line ? line : 1;
}

static void inherit(struct conf *c, struct conf_watched_node *w)
{
	static const size_t sizes[] = {[CONF_BOOL] = sizeof(bool), [CONF_DURATION] = sizeof(int64_t)};

	for (const struct conf_option *o = conf_options; o < conf_options + conf_n_options; o++)
		if (o->section == CONF_WATCHED && !(w->said & watched_bit(o)))
			memcpy((char *)&w->watch + o->offset, (char *)&c->master.watch + o->offset, sizes[o->type]);
}

static void check_watch(struct loader *l, const struct conf_watch *w, const char *node, int line)
{
	struct buf values = BUF_INIT;

	if (!w->on || (w->beat_interval_ns < w->late_ns && w->late_ns < w->down_ns))
		return;
	buf_puts(&values, "beat_interval ");
	units_put_duration(&values, w->beat_interval_ns);
	buf_puts(&values, ", late ");
	units_put_duration(&values, w->late_ns);
	buf_puts(&values, ", down ");
	units_put_duration(&values, w->down_ns);
	faults_add(&l->faults, line, "%s%s: found %s; expected each longer than the one before", node ? "node " : "master",
	    node ? node : "", buf_str(&values));
	buf_release(&values);
}

static void check_watches(struct loader *l)
{
	struct conf *c = l->conf;
	int line = line_of(l, CONF_MASTER, "beat_interval");

	if (line_of(l, CONF_MASTER, "late") > line)
		line = line_of(l, CONF_MASTER, "late");
	if (line_of(l, CONF_MASTER, "down") > line)
		line = line_of(l, CONF_MASTER, "down");
	check_watch(l, &c->master.watch, NULL, line);
	for (size_t i = 0; i < c->master.n_nodes; i++) {
		struct conf_watched_node *w = &c->master.nodes[i];
		inherit(c, w);
		if (!conf_is_name(w->name))
			faults_add(&l->faults, line, "found node \"%.64s\" in master, expected the name of a node", w->name);
		check_watch(l, &w->watch, w->name, line);
	}
}

bool conf_has_key;

static void check_exposed(struct loader *l, const char *what, const struct conf_addresses *a, int line)
{
	for (size_t i = 0; i < a->n; i++) {
		struct buf address = BUF_INIT;
		if (a->v[i].is_loopback)
			continue;
		conf_address_print(&a->v[i], &address);
		faults_add(&l->faults, line,
		    "%s: %s is beyond this machine, in plain TCP; that needs insecure_network = true, in a closed network",
		    what, buf_str(&address));
		buf_release(&address);
	}
}

/* Where the platform has servers; else none. */
static int servers_of(const struct conf *c, struct conf_addresses *ret)
{
	return strcmp(c->platform, "nats") == 0 ? conf_servers_add(ret, c->nats.server) : 0;
}

static void check_servers(struct loader *l)
{
	struct conf_addresses servers = {0};

	if (servers_of(l->conf, &servers) < 0)
		l->faults.no_memory = true;
	check_exposed(l, "server", &servers, line_of(l, CONF_NATS, "server"));
	conf_addresses_clear(&servers);
}

static void check(struct loader *l)
{
	check_watches(l);
	l->conf->platform_line = l->line_of[conf_option_index(conf_option_find(CONF_TOP, "platform", 8))];
	if (l->conf->insecure_network)
		return;
	check_servers(l);
	if (conf_has_key)
		return;
	check_exposed(l, "listen", &l->conf->listen, line_of(l, CONF_TOP, "listen"));
	check_exposed(l, "masters", &l->conf->node.masters, line_of(l, CONF_NODE, "masters"));
}

/* --- settings ----------------------------------------------------------------------------------------------------- */

static const struct conf_option *option_of(const char *key)
{
	const char *dot = strrchr(key, '.'), *name = dot ? dot + 1 : key;
	int section = dot ? conf_section_find(CONF_TOP, key, (size_t)(dot - key)) : CONF_TOP;

	return section < 0 ? NULL : conf_option_find((enum conf_section)section, name, strlen(name));
}

/* Where checks between options find a line, it is the first. */
static int set_one(struct loader *l, const struct conf_option *o, void *field, const char *value, struct buf *why)
{
	int r = conf_option_set(o, field, value, why);

	l->line_of[conf_option_index(o)] = 1;
	if (r == 0 && conf_option_is_list(o))
		conf_list_place(o, field, 1);
	return r;
}

static int set_list(struct loader *l, const struct conf_option *o, void *field, const char *value, struct buf *why)
{
	char *copy = strdup(value), *rest = copy, *one;
	int r = copy ? 0 : -ENOMEM;

	conf_list_clear(o, field);
	while (r == 0 && *value && (one = strsep(&rest, ",")))
		r = set_one(l, o, field, one, why);
	free(copy);
	return r;
}

static int set_option(struct loader *l, const char *key, const char *value, struct buf *why)
{
	const struct conf_option *o = option_of(key);

	if (!o) {
		buf_puts(why, "OPTION, SECTION.OPTION as vigia.conf(5) has them, or monitor.NAME");
		return -ENOENT;
	}
	return conf_option_is_list(o) ? set_list(l, o, field_of(l->conf, o), value, why) : set_one(l, o, field_of(l->conf, o), value, why);
}

static void monitor_free(struct conf_monitor *m)
{
	free(m->name);
	free(m->program);
	free(m->text);
}

static int put_monitor(struct conf *c, struct conf_monitor *take)
{
	for (size_t i = 0; i < c->n_monitors; i++)
		if (strcmp(c->monitors[i].name, take->name) == 0) {
			monitor_free(&c->monitors[i]);
			c->monitors[i] = *take;
			return 0;
		}
	struct conf_monitor *v = c->n_monitors < CONF_MONITORS_MAX ? realloc(c->monitors, (c->n_monitors + 1) * sizeof *v) : NULL;
	if (!v)
		return -ENOMEM;
	c->monitors = v;
	v[c->n_monitors++] = *take;
	return 0;
}

/* As a file with this section alone. */
static int scan_monitor(struct conf *alone, const char *key, const char *value, struct buf *why)
{
	struct faults f = {0};
	struct buf text = BUF_INIT;

	buf_putf(&text, "monitor \"%s\" {", key + strlen("monitor."));
	buf_puts(&text, value);
	buf_puts(&text, "}");
	int r = text.failed ? -ENOMEM : scan(alone, text.data, text.len, &f);
	if (r == 0 && faults_any(&f))
		r = -EINVAL;
	else if (r == 0 && (alone->n_monitors != 1 || strspn(buf_str(&text), " \t\r\n") != text.len))
		buf_puts(why, "the inside of one section"), r = -EINVAL;
	faults_tell(&f, key, why);
	buf_release(&text);
	return r;
}

static int set_monitor(struct loader *l, const char *key, const char *value, struct buf *why)
{
	struct conf alone = {0};
	int r = scan_monitor(&alone, key, value, why);

	if (r == 0) {
		alone.monitors[0].text_line = 0; /* it stands in no file */
		r = put_monitor(l->conf, &alone.monitors[0]);
	}
	for (size_t i = r == 0; i < alone.n_monitors; i++)
		monitor_free(&alone.monitors[i]);
	free(alone.monitors);
	return r;
}

static void apply_settings(struct loader *l)
{
	for (size_t i = 0; l->over && i < l->over->n; i++) {
		const struct setting *s = &l->over->v[i];
		bool is_monitor = strncmp(s->key, "monitor.", 8) == 0;
		struct buf why = BUF_INIT;
		int r = is_monitor ? set_monitor(l, s->key, s->value, &why) : set_option(l, s->key, s->value, &why);
		if (r == -ENOMEM)
			l->faults.no_memory = true;
		else if (r == -ENOENT)
			buf_putf(&l->over_errors, "setting %s: there is no such option, expected %s\n", s->key, buf_str(&why));
		else if (r < 0 && is_monitor)
			buf_putf(&l->over_errors, "setting %s\n", buf_str(&why));
		else if (r < 0)
			buf_putf(&l->over_errors, "setting %s: found \"%.200s\", expected %s\n", s->key, s->value, buf_str(&why));
		buf_release(&why);
	}
}

/* --- loading ---------------------------------------------------------------------------------------------------- */

static int check_bytes(struct loader *l, const char *text, size_t n)
{
	int line = 1;

	for (size_t at = 0; at < n;) {
		size_t length = utf8_char(text + at, n - at);
		unsigned char c = text[at];
		if (length == 0 || c == 0x7f || (c < 0x20 && !strchr("\t\r\n", c)) || c == 0) {
			faults_add(&l->faults, line, "found byte 0x%02x, expected text in UTF-8", c);
			return -EINVAL;
		}
		line += c == '\n';
		at += length;
	}
	return 0;
}

static int load(struct loader *l, const char *text, size_t n)
{
	char *copy = strndup(text, n);
	int r = copy ? set_defaults(l->conf) : -ENOMEM;

	if (r == 0)
		r = check_bytes(l, text, n);
	if (r == 0)
		r = scan(l->conf, copy, n, &l->faults);
	if (r == 0)
		r = parse(l, copy);
	if (r == 0)
		apply_settings(l);
	if (r == 0 && l->conf->default_monitors)
		r = add_default_monitors(l->conf);
	if (r == 0 && !faults_any(&l->faults))
		check(l);
	free(copy);
	if (r == 0 && (faults_any(&l->faults) || l->faults.no_memory || l->over_errors.len))
		r = l->faults.no_memory ? -ENOMEM : -EINVAL;
	return r;
}

static int load_text(const char *file, const char *text, size_t n, const struct settings *over, struct conf **ret_conf, struct buf *errors)
{
	struct loader l = {.conf = calloc(1, sizeof *l.conf), .over = over};
	int r = l.conf ? 0 : -ENOMEM;

	if (r == 0 && n > CONF_FILE_MAX) {
		faults_add(&l.faults, 1, "found %zu bytes, expected at most %d", n, CONF_FILE_MAX);
		r = -EINVAL;
	}
	if (r == 0)
		r = load(&l, text, n);
	faults_tell(&l.faults, file, errors);
	if (l.over_errors.len)
		buf_puts(errors, buf_str(&l.over_errors));
	buf_release(&l.over_errors);
	if (r == -ENOMEM)
		buf_putf(errors, "%s: out of memory\n", file);
	if (r < 0)
		conf_free(l.conf);
	else
		*ret_conf = l.conf;
	return r < 0 ? r : 0;
}

int conf_load_text(const char *file, const char *text, size_t n, struct conf **ret_conf, struct buf *errors)
{
	return load_text(file, text, n, NULL, ret_conf, errors);
}

static int read_whole(int fd, struct buf *to)
{
	ssize_t n = 1;

	while (n > 0 && to->len <= CONF_FILE_MAX) {
		if (!buf_reserve(to, 65536))
			return -ENOMEM;
		n = read(fd, to->data + to->len, 65536);
		to->len += n > 0 ? (size_t)n : 0;
	}
	return n < 0 ? -errno : 0;
}

static int read_file(const char *file, struct buf *to)
{
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	int r = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
	if (r == 0)
		r = read_whole(fd, to);
	close(fd);
	return r;
}

int conf_load_with(const char *file, const struct settings *over, struct conf **ret_conf, struct buf *errors)
{
	struct buf text = BUF_INIT;
	int r = file ? read_file(file, &text) : 0;

	if (r < 0)
		buf_putf(errors, "%s: %s\n", file, r == -EINVAL ? "not a plain file" : strerror(-r));
	else
		r = load_text(file ? file : "defaults", text.data ? text.data : "", text.len, over, ret_conf, errors);
	buf_release(&text);
	return r;
}

int conf_load(const char *file, struct conf **ret_conf, struct buf *errors)
{
	return conf_load_with(file, NULL, ret_conf, errors);
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	free(c->name);
	free(c->realm);
	free(c->socket);
	free(c->root_helper);
	free(c->platform);
	free(c->nats.server);
	free(c->nats.cluster);
	for (const struct conf_option *o = conf_options; o < conf_options + conf_n_options; o++)
		if (conf_option_is_list(o))
			conf_list_clear(o, field_of(c, o));
	free(c->add.ssh);
	free(c->add.command);
	for (size_t i = 0; i < c->master.n_nodes; i++)
		free(c->master.nodes[i].name);
	free(c->master.nodes);
	for (size_t i = 0; i < c->n_monitors; i++) {
		monitor_free(&c->monitors[i]);
	}
	free(c->monitors);
	free(c);
}

/* --- what the command line says ---------------------------------------------------------------------------------- */

static int say_one(struct conf_addresses *list, const char *text, bool numeric, const char *what, struct buf *errors)
{
	int r = conf_addresses_add(list, text, numeric);

	if (r == -EINVAL)
		buf_putf(errors, "%s: found \"%.200s\", expected %s\n", what, text,
		    numeric ? "a numeric ADDRESS:PORT" : "HOST:PORT");
	for (size_t i = 0; r == 0 && i + 1 < list->n; i++)
		if (strcmp(list->v[i].host, list->v[list->n - 1].host) == 0 && list->v[i].port == list->v[list->n - 1].port) {
			free(list->v[--list->n].host); /* it is there already */
			break;
		}
	return r;
}

static int say_list(struct conf_addresses *list, const char *text, bool numeric, const char *what, struct buf *errors)
{
	char *copy = strdup(text), *rest = copy, *one;
	int r = copy ? 0 : -ENOMEM;

	while (r == 0 && (one = strsep(&rest, ",")))
		r = say_one(list, one, numeric, what, errors);
	free(copy);
	return r;
}

static int check_said(const struct conf_addresses *list, const char *what, struct buf *errors)
{
	for (size_t i = 0; i < list->n; i++)
		if (!list->v[i].is_loopback) {
			buf_putf(errors, "%s: %s:%d is beyond this machine, in plain TCP; that needs insecure_network = true, "
					 "in a closed network\n",
			    what, list->v[i].host, list->v[i].port);
			return -EINVAL;
		}
	return 0;
}

int conf_say(struct conf *c, const struct conf_said *said, struct buf *errors)
{
	int r = 0;

	c->insecure_network |= said->insecure_network;
	if (said->listen)
		conf_addresses_clear(&c->listen);
	if (said->listen)
		r = say_list(&c->listen, said->listen, true, "--listen", errors);
	if (r == 0 && said->masters)
		r = say_list(&c->node.masters, said->masters, false, "--masters", errors);
	if (r == 0 && !c->insecure_network && !conf_has_key)
		r = check_said(&c->listen, "--listen", errors);
	if (r == 0 && !c->insecure_network && !conf_has_key)
		r = check_said(&c->node.masters, "--masters", errors);
	return r;
}

/* --- questions -------------------------------------------------------------------------------------------------- */

const struct conf_watch *conf_watch_of(const struct conf *c, const char *node)
{
	for (size_t i = 0; i < c->master.n_nodes; i++)
		if (strcmp(c->master.nodes[i].name, node) == 0)
			return &c->master.nodes[i].watch;
	return &c->master.watch;
}

static bool any_beyond(const struct conf_addresses *a)
{
	for (size_t i = 0; i < a->n; i++)
		if (!a->v[i].is_loopback)
			return true;
	return false;
}

bool conf_is_exposed(const struct conf *c)
{
	struct conf_addresses servers = {0};
	bool is = servers_of(c, &servers) < 0 || any_beyond(&servers) ||
	    (!conf_has_key && (any_beyond(&c->listen) || any_beyond(&c->node.masters)));

	conf_addresses_clear(&servers);
	return is;
}

bool conf_monitor_equal(const struct conf_monitor *a, const struct conf_monitor *b)
{
	return a->enabled == b->enabled && strcmp(a->name, b->name) == 0 && strcmp(a->program, b->program) == 0 &&
	    strcmp(a->text, b->text) == 0;
}
