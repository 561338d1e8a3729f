/* SPDX-License-Identifier: Apache-2.0 */
/* vigiad: wires the floors together and holds no logic of its own. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit.h"
#include "client/client.h"
#include "conf/conf.h"
#include "core/audited.h"
#include "core/core.h"
#include "core/describe.h"
#include "core/joining.h"
#include "core/limited.h"
#include "core/links.h"
#include "core/own_id.h"
#include "core/processes.h"
#include "core/view.h"
#include "daemon/check.h"
#include "daemon/confine.h"
#include "daemon/services.h"
#include "os/background.h"
#include "os/clock.h"
#include "os/descriptors.h"
#include "os/isolated.h"
#include "os/lock.h"
#include "os/log.h"
#include "os/notify.h"
#include "os/paths.h"
#include "services/cluster/membership.h"
#include "services/settings/service.h"
#include "services/health/health.h"

enum { LISTENERS_MAX = 17 };

struct daemon {
	uv_loop_t loop;
	struct core core;
	struct health health;
	bool has_health; /* it may be left out */
	struct membership membership;
	struct services services;
	struct sandbox sandbox;
	struct conf *conf;
	struct conf *before; /* a change is tried: what was in force; NULL: none is */
	struct settings settings; /* until the service has them */
	int listen_error; /* how listening went, the last time */
	const struct platform_type *platform;
	struct system *system;
	char *conf_file, *runtime, *state, *history_path, *audit_path;
	char id[HOST_ID_TEXT];
	int runtime_lock, state_lock;
	struct buf listen_why; /* the last that failed */
	struct listener *listeners[LISTENERS_MAX];
	size_t listeners_n;
	uv_signal_t term, interrupt, hup;
	uv_timer_t watchdog, minute, end;
	struct conf_said said;
	int background; /* who waits for us to serve; -1: nobody */
	bool insecure_control, stopping;
	bool joins; /* --join: a token is on standard input */
	char token[TOKEN_TEXT_MAX + 2];
	int status; /* to end with */
};

static struct daemon d = {.runtime_lock = -1, .state_lock = -1, .background = -1};

static int query_reload(struct call *c);

static const struct op daemon_ops[] = {
    {"master", "cancel", "ends a query of this connection", OP_READS, ROLE_CLIENT | ROLE_MASTER,
	.args = {{"of", OP_INTEGER, "the query's id", .required = true}}, .run = call_run_cancel},
    {"master", "reload", "takes the configuration file anew", OP_OPERATES | OP_CHANGES, ROLE_CLIENT, .run = query_reload},
    {NULL},
};
static const struct service daemon_service = {.name = "daemon", .doc = "the daemon itself", .ops = daemon_ops};

/* --- from configuration to what the floors want --- */

/* Where the token said they are, when the configuration names none. */
static char **joined_masters(void)
{
	char **list = calloc(TOKEN_MASTERS / 2 + 2, sizeof *list), *all = strdup(d.membership.masters), *rest = all, *one;
	for (size_t n = 0; list && rest && (one = strsep(&rest, ","));)
		if (*one && (list[n] = strdup(one)))
			n++;
	free(all);
	return list;
}

static char **masters_of(const struct conf *c)
{
	if (!c->node.masters.n)
		return joined_masters();
	char **list = calloc(c->node.masters.n + 1, sizeof *list);
	for (size_t i = 0; list && i < c->node.masters.n; i++) {
		const struct conf_address *a = &c->node.masters.v[i];
		if (asprintf(&list[i], strchr(a->host, ':') ? "[%s]:%d" : "%s:%d", a->host, a->port) < 0)
			list[i] = NULL;
	}
	return list;
}

static void free_list(char **list)
{
	for (char **s = list; s && *s; s++)
		free(*s);
	free(list);
}

static struct step_rules rules_of(void *data, const char *node)
{
	const struct conf_watch *w = conf_watch_of(d.conf, node);
	return (struct step_rules){.interval_ns = w->on ? w->beat_interval_ns : 0, .late_ns = w->late_ns,
	    .down_ns = w->down_ns, .ack_ns = w->late_ns, .grace_ns = d.conf->master.grace_ns,
	    .busy_turns_down = true};
}

static struct health_options options_of(const struct conf *c, char **masters)
{
	struct health_options o = {.name = c->name, .state_directory = d.state,
	    .masters = (const char *const *)masters, .send_ns = c->node.send_ns,
	    .listens = c->listen.n ? c->listen.v[0].port : 0, .exposed = conf_is_exposed(c), .sandbox = d.sandbox, .on_request = c->node.masters.n && !c->node.send_ns, .history = c->history.enabled,
	    .rules_of = rules_of,
	    .history_options = {.path = d.history_path, .keep_ns = c->history.keep_ns,
		.keep_bytes = c->history.size, .thin_after_ns = c->history.thin_after_ns,
		.thin_step_ns = c->history.thin_step_ns, .sync_ns = c->history.sync_ns,
		.queue_bytes = 64 << 20}};
	return o;
}

static struct audit_options audit_options_of(const struct conf *c)
{
	return (struct audit_options){.unwritable = (enum audit_unwritable)c->audit.unwritable,
	    .changes = {(double)c->limits.v[LIMIT_CHANGES_BURST], (double)c->limits.v[LIMIT_CHANGES_RATE]},
	    .files = {.directory = d.audit_path, .host = d.id, .file_size = c->audit.file_size, .files = (unsigned)c->audit.files}};
}

static void put_addresses(struct buf *to, const struct conf_addresses *a, bool beyond)
{
	for (size_t i = 0; i < a->n; i++) {
		struct buf one = BUF_INIT;
		if (beyond && a->v[i].is_loopback)
			continue;
		buf_putf(&one, strchr(a->v[i].host, ':') ? "[%s]:%d" : "%s:%d", a->v[i].host, a->v[i].port);
		buf_putf(to, "%s%s", to->len ? "," : "", buf_str(&one));
		buf_release(&one);
	}
}

/* Added hosts name the masters of this one, or itself. */
static int configure_joining(const struct conf *c)
{
	char self[4096];
	struct buf masters = BUF_INIT;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	self[n < 0 ? 0 : n] = '\0';
	put_addresses(&masters, &c->add.masters, false);
	if (!masters.len)
		put_addresses(&masters, &c->node.masters, true);
	if (!masters.len)
		put_addresses(&masters, &c->listen, true);
	struct joining_options o = {.command = c->add.command, .masters = buf_str(&masters), .program = self};
	int r = joining_configure(&d.core, &o);
	buf_release(&masters);
	return r;
}

static int start_monitors(const struct conf *c)
{
	struct supervised_options *o = calloc(c->n_monitors + 1, sizeof *o);
	size_t n = 0;
	if (!o)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_monitors; i++) {
		const struct conf_monitor *m = &c->monitors[i];
		if (m->enabled)
			o[n++] = (struct supervised_options){m->name, m->program, m->text,
			    d.conf_file ? d.conf_file : "", m->text_line};
	}
	int r = supervise(&d.health, o, n);
	free(o);
	return r;
}

/* --- listening --- */

static void on_connection(void *data, int fd)
{
	if (peer_accept(&d.core, fd, NULL))
		close(fd);
}

static int listen_failed(const char *where, const char *advice, int error)
{
	buf_clear(&d.listen_why);
	buf_putf(&d.listen_why, "can't listen on %s: %s%s", where, strerror(-error), advice);
	log_event(LOG_ERR, "listen", "%s", buf_str(&d.listen_why));
	return error;
}

static const char *advice_for(int error)
{
	if (error == -EADDRINUSE)
		return ". End the program that has it (`ss -ltnp` shows which), or choose another address or port with "
		       "listen = {\"ADDRESS:PORT\"} in vigia.conf";
	if (error == -EADDRNOTAVAIL)
		return ". No interface of this host has that address: see listen in vigia.conf";
	return "";
}

static int listen_on(const struct conf_address *a)
{
	const char *host = strcmp(a->host, "localhost") ? a->host : "127.0.0.1";
	struct listener **l = &d.listeners[d.listeners_n];
	int r = listener_tcp(l, &d.core.net, host, a->port, on_connection, NULL);
	if (r == -EADDRINUSE && !a->line) { /* a daemon of another user of this host, as a rule */
		log_event(LOG_NOTICE, "listen", "%s port %d is another program's, and nobody said listen: only the socket",
		    a->host, a->port);
		return 0;
	}
	if (r) {
		char where[300];
		snprintf(where, sizeof where, "%s port %d", a->host, a->port);
		return listen_failed(where, advice_for(r), r);
	}
	d.listeners_n++;
	log_event(LOG_INFO, "listen", "%s port %d", a->host, listener_port(*l));
	return 0;
}

static int listen_unix(const struct conf *c)
{
	struct sockaddr_un address;
	struct buf why = BUF_INIT;
	if (!strcmp(c->socket, "off"))
		return 0;
	int r = strcmp(c->socket, "on") ? paths_address(c->socket, &address, &why) : paths_socket(d.runtime, &address, &why);
	if (!r)
		r = listener_unix(&d.listeners[d.listeners_n], &d.core.net, address.sun_path, on_connection, NULL);
	if (!r)
		d.listeners_n++;
	else
		listen_failed(why.len ? buf_str(&why) : address.sun_path, "", r);
	buf_release(&why);
	return r;
}

static int listen_all(const struct conf *c)
{
	int r = listen_unix(c);
	for (size_t i = 0; i < c->listen.n && i < LISTENERS_MAX - 1; i++) {
		int e = listen_on(&c->listen.v[i]);
		r = r ? r : e;
	}
	if (conf_is_exposed(c))
		log_event(LOG_WARNING, "listen",
		    "insecure_network: what goes to other hosts is neither encrypted nor authenticated");
	return r;
}

static void stop_listening(void)
{
	while (d.listeners_n)
		listener_close(d.listeners[--d.listeners_n]);
}

/* Who is in a cluster listens for all of it, unless he was told where. */
static void open_to_all(struct conf *c)
{
	for (size_t i = 0; conf_has_key && !d.said.listen && i < c->listen.n; i++) {
		struct conf_address *a = &c->listen.v[i];
		char *all = a->line || !a->is_loopback ? NULL : strdup("0.0.0.0");
		if (!all)
			continue;
		free(a->host);
		a->host = all;
		a->is_loopback = false;
	}
}

/* This host has come into a cluster, or is in none any more. */
static void on_membership(void)
{
	static const char *const none[] = {NULL};
	bool had = conf_has_key;
	conf_has_key = d.core.place != NULL;
	if (had == conf_has_key)
		return;
	open_to_all(d.conf);
	stop_listening();
	listen_all(d.conf);
	configure_joining(d.conf);
	if (!d.has_health)
		return;
	char **masters = masters_of(d.conf);
	uplinks_set(&d.health, none);
	uplinks_set(&d.health, (const char *const *)masters);
	free_list(masters);
}

/* --- reload --- */

static bool same_addresses(const struct conf_addresses *a, const struct conf_addresses *b)
{
	bool same = a->n == b->n;
	for (size_t i = 0; same && i < a->n; i++)
		same = !strcmp(a->v[i].host, b->v[i].host) && a->v[i].port == b->v[i].port;
	return same;
}

static bool same_platform(const struct conf *a, const struct conf *b)
{
	return !strcmp(a->platform, b->platform) && !strcmp(a->nats.server, b->nats.server) &&
	    !strcmp(a->nats.cluster, b->nats.cluster);
}

static void log_lines(int level, const char *text)
{
	for (const char *end; *text; text = end + (*end == '\n')) {
		end = strchrnul(text, '\n');
		log_event(level, "conf", "%.*s", (int)(end - text), text);
	}
}

static bool same_words(const struct conf_words *a, const struct conf_words *b)
{
	bool same = a->n == b->n;
	for (size_t i = 0; same && i < a->n; i++)
		same = !strcmp(a->v[i].text, b->v[i].text);
	return same;
}

static void take_health(const struct conf *fresh)
{
	char **masters = masters_of(fresh);
	struct health_options o = options_of(fresh, masters);
	o.name = d.core.name;
	o.history = d.health.options.history;
	o.history_options = d.health.options.history_options;
	bool same_send = o.send_ns == d.health.options.send_ns && o.on_request == d.health.options.on_request;
	d.health.options = o;
	uplinks_set(&d.health, (const char *const *)masters);
	if (!same_send)
		uplinks_restart(&d.health); /* masters are told at registration */
	d.health.options.masters = NULL;
	free_list(masters);
	start_monitors(fresh);
}

static void take_rights(const struct conf *c)
{
	d.core.no_control = !c->control;
	d.core.trusts_nodes = c->trust_nodes;
	snprintf(d.core.realm, sizeof d.core.realm, "%s", c->realm);
	d.core.operators_n = operators_of(c, d.core.operators);
}

static void takes_restart(const char *what, struct buf *notes)
{
	log_event(LOG_WARNING, "conf", "%s takes a restart", what);
	buf_putf(notes, "%s%s takes a restart", notes->len ? "; " : "", what);
}

/* What was in force is still there, and the caller's. */
static struct conf *take_conf(struct conf *fresh, struct buf *notes)
{
	struct conf *before = d.conf;
	bool same_listen = same_addresses(&fresh->listen, &d.conf->listen) && !strcmp(fresh->socket, d.conf->socket);
	if (strcmp(fresh->name, d.conf->name))
		takes_restart("a new name", notes);
	if (!same_platform(fresh, d.conf))
		takes_restart("another platform", notes);
	if (memcmp(&fresh->history, &d.conf->history, sizeof fresh->history))
		takes_restart("what changed in history { }", notes);
	if (!same_words(&fresh->services, &d.conf->services))
		takes_restart("what changed in services", notes);
	if (strcmp(fresh->root_helper, d.conf->root_helper))
		takes_restart("another root_helper", notes);
	if (fresh->sandbox != d.conf->sandbox)
		takes_restart("a change of sandbox", notes);
	limited_set(&d.core, &fresh->limits);
	take_rights(fresh);
	struct audit_options audit = audit_options_of(fresh);
	audit_configure(d.core.audit, &audit);
	if (d.has_health)
		take_health(fresh);
	configure_joining(fresh);
	if (!same_listen) {
		stop_listening();
		d.listen_error = listen_all(fresh);
	}
	d.conf = fresh;
	return before;
}

/* What there is in the file, and all that can be told of it at once. */
static int load_checked(struct conf **ret, const struct settings *over, struct buf *errors)
{
	struct conf *c;
	int r = conf_load_with(d.conf_file, over, &c, errors);
	if (r)
		return r;
	r = services_check(c, d.conf_file ? d.conf_file : "", errors);
	if (!r)
		r = check_operators(c, d.conf_file ? d.conf_file : "settings", errors);
	if (!r)
		r = conf_say(c, &d.said, errors);
	if (r) {
		conf_free(c);
		return r;
	}
	open_to_all(c);
	*ret = c;
	return 0;
}

/* `told` gets the errors, or what there is to know of what was taken. */
static int reload(struct buf *told)
{
	struct conf *fresh;
	if (settings_are_busy(&d.core)) {
		buf_puts(told, "another change of the configuration is under way");
		log_event(LOG_WARNING, "conf", "not taken anew: %s", buf_str(told));
		return -EBUSY;
	}
	notify_reloading();
	int r = load_checked(&fresh, &d.core.settings->settings, told);
	if (r)
		log_lines(LOG_ERR, buf_str(told));
	else
		conf_free(take_conf(fresh, told));
	log_event(LOG_NOTICE, "conf", r ? "the configuration has errors: the old one stays" : "configuration taken");
	notify_ready();
	return r;
}

static int query_reload(struct call *c)
{
	struct buf told = BUF_INIT;
	int r = reload(&told);
	if (r)
		r = call_fail(c, "failed", "the old configuration stays: %s", told.len ? buf_str(&told) : strerror(-r));
	struct msg *m = !r && told.len ? call_answer(c, "master") : NULL;
	if (m)
		msg_text(m, told.data, told.len);
	if (!r)
		call_send(c, m);
	buf_release(&told);
	return r ? -1 : CALL_DONE;
}

/* --- changes that are tried (services/settings) --- */

static int try_conf(const struct settings *over, struct buf *told)
{
	struct conf *fresh;
	int r = load_checked(&fresh, over, told);
	if (r)
		return r;
	d.listen_error = 0;
	d.before = take_conf(fresh, told);
	return 0;
}

static void keep_conf(void)
{
	conf_free(d.before);
	d.before = NULL;
}

static void undo_conf(void)
{
	struct buf notes = BUF_INIT;
	conf_free(take_conf(d.before, &notes));
	d.before = NULL;
	buf_release(&notes);
}

static int conf_is_up(struct buf *why)
{
	if (d.listen_error)
		buf_puts(why, buf_str(&d.listen_why));
	return d.listen_error ? d.listen_error : d.has_health ? health_is_up(&d.health, why) : 0;
}

static const struct conf *conf_in_force(void)
{
	return d.conf;
}

static const struct settings_daemon settings_daemon = {try_conf, conf_is_up, keep_conf, undo_conf, conf_in_force};

/* --- signals and the rest of the loop's sources --- */

static void stop(void)
{
	if (d.stopping)
		return;
	d.stopping = true;
	notify_stopping();
	log_event(LOG_NOTICE, "daemon", "ends");
	settings_stop(&d.core);
	stop_listening();
	view_stop(&d.core);
	if (d.has_health)
		health_stop(&d.health);
	links_stop(&d.core);
	joining_stop(&d.core);
	membership_stop(&d.membership);
	processes_stop(&d.core);
	core_stop(&d.core);
	audit_stop(d.core.audit);
	uv_close((uv_handle_t *)&d.term, NULL);
	uv_close((uv_handle_t *)&d.interrupt, NULL);
	uv_close((uv_handle_t *)&d.hup, NULL);
	uv_close((uv_handle_t *)&d.watchdog, NULL);
	uv_close((uv_handle_t *)&d.minute, NULL);
	uv_close((uv_handle_t *)&d.end, NULL);
}

static void on_end_signal(uv_signal_t *handle, int number)
{
	stop();
}

static void on_end(uv_timer_t *timer)
{
	stop();
}

/* What was said in this turn still leaves. */
static void end_soon(struct core *core)
{
	uv_timer_start(&d.end, on_end, 0, 0);
}

static void on_hup(uv_signal_t *handle, int number)
{
	struct buf errors = BUF_INIT;
	audited_signal(&d.core, "master.reload", reload(&errors) ? "failed" : NULL);
	buf_release(&errors);
}

static void on_watchdog(uv_timer_t *timer)
{
	notify_watchdog();
}

static void on_minute(uv_timer_t *timer)
{
	log_flush();
	malloc_trim(0); /* what a crowd of connections took goes back once they are gone */
}

static void watch_sources(void)
{
	int64_t watchdog_ms = notify_watchdog_ns() / 2000000;
	uv_signal_init(&d.loop, &d.term);
	uv_signal_init(&d.loop, &d.interrupt);
	uv_signal_init(&d.loop, &d.hup);
	uv_timer_init(&d.loop, &d.watchdog);
	uv_timer_init(&d.loop, &d.minute);
	uv_timer_init(&d.loop, &d.end);
	d.core.end = end_soon;
	uv_signal_start(&d.term, on_end_signal, SIGTERM);
	uv_signal_start(&d.interrupt, on_end_signal, SIGINT);
	uv_signal_start(&d.hup, on_hup, SIGHUP);
	uv_timer_start(&d.minute, on_minute, 60000, 60000);
	if (watchdog_ms > 0)
		uv_timer_start(&d.watchdog, on_watchdog, (uint64_t)watchdog_ms, (uint64_t)watchdog_ms);
}

/* --- starting --- */

static int die(const char *what, struct buf *why, int error)
{
	fprintf(stderr, "vigiad: %s%s%s\n", what, why->len ? ": " : "", why->len ? buf_str(why) : strerror(-error));
	return 1;
}

static const char *conf_name(void)
{
	return d.conf_file ? d.conf_file : "";
}

/* Where the helper is, and the programs that it starts: PREFIX/sbin/vigiad has its own in PREFIX/libexec/vigia, wherever
 * the prefix was moved to. */
struct programs {
	char modules[4200], helper[4200], launcher[4200], topology[4200], own[4200], others[4200];
	const char *dirs[2];
};

static int find_programs(struct programs *p)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n < 0)
		return -errno;
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	snprintf(p->modules, sizeof p->modules, "%s/../libexec/vigia", self);
	snprintf(p->helper, sizeof p->helper, "%s/../libexec/vigia/vigia-helper", self);
	snprintf(p->launcher, sizeof p->launcher, "%s/../libexec/vigia/vigia-launcher", self);
	snprintf(p->topology, sizeof p->topology, "%s/../libexec/vigia/vigia-topology", self);
	snprintf(p->own, sizeof p->own, "%s/../libexec/vigia/monitors", self);
	snprintf(p->others, sizeof p->others, "%s/monitors", d.state);
	p->dirs[0] = p->own;
	p->dirs[1] = p->others;
	return 0;
}

static const char *root_helper(void)
{
	const char *said = d.conf->root_helper;
	return !strcmp(said, "off") ? NULL : strcmp(said, "on") ? said : "/run/vigia-root/socket";
}

/* Both before the loop: nothing is forked once it runs. */
static int open_helpers(struct buf *why)
{
	struct programs p;
	int r = find_programs(&p);
	if (!r && d.has_health)
		r = starter_open(&d.health.starter, p.helper, p.dirs, why);
	if (r)
		return r;
	struct system_options o = {.launcher = p.launcher, .topology = p.topology, .remote = d.conf->add.ssh, .root = root_helper()};
	return system_linux.open(&d.system, &o, why);
}

static int find_platform(struct buf *why)
{
	struct programs p;
	int r = find_programs(&p);
	return r ? r : check_platform(d.conf, conf_name(), p.modules, &d.platform, why);
}

static bool is_same_place(const char *a, const char *b)
{
	struct stat of_a, of_b;
	return !stat(a, &of_a) && !stat(b, &of_b) && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

static int prepare_places(struct buf *why)
{
	int r = paths_runtime(&d.runtime, why);
	if (!r)
		r = paths_state(&d.state, why);
	if (!r)
		r = paths_make(d.runtime, why);
	if (!r)
		r = paths_make(d.state, why);
	if (!r)
		r = lock_take(d.runtime, &d.runtime_lock, why);
	if (!r && !is_same_place(d.runtime, d.state))
		r = lock_take(d.state, &d.state_lock, why);
	if (!r && (asprintf(&d.history_path, "%s/history.db", d.state) < 0 || asprintf(&d.audit_path, "%s/audit", d.state) < 0))
		r = -ENOMEM;
	return r;
}

/* For who started it, perhaps from another host (core/joining.h). */
static void tell_background(bool already)
{
	char line[160], text[HOST_ID_TEXT];
	struct host_id id;
	if (d.background < 0 || own_id(d.state, &id))
		return;
	host_id_format(already ? &id : &d.core.id, text);
	snprintf(line, sizeof line, "host %s %s%s\n", d.conf->name, text, already ? " already" : "");
	background_ready(d.background, line);
	d.background = -1;
}

static int start_health(void)
{
	char **masters = masters_of(d.conf);
	struct health_options o = options_of(d.conf, masters);
	int r = health_start(&d.health, &d.core, &o);
	free_list(masters);
	return r;
}

static void on_joined(int result, const char *why)
{
	if (!result) {
		tell_background(false);
		return;
	}
	fprintf(stderr, "vigiad: can't join: %s\n", why);
	d.status = 1;
	stop();
}

/* Its first line; where it says nothing the masters, which are the token's, are dialled by nobody. */
static int read_token(struct buf *why)
{
	size_t n = fread(d.token, 1, sizeof d.token - 1, stdin);
	d.token[n] = '\0';
	d.token[strcspn(d.token, "\r\n")] = '\0';
	d.said.masters = NULL;
	if (*d.token)
		return 0;
	buf_puts(why, "no token came on standard input");
	return -EINVAL;
}

/* A daemon runs here already: the token is for that one. It may have joined before. */
static int join_running(struct buf *why)
{
	struct client *c;
	struct msg *error = NULL;
	buf_clear(why);
	int r = client_open(&c, NULL, NULL, why);
	if (r)
		return r;
	struct msg *query = client_query(c, "cluster", "join");
	if (query)
		msg_set_bytes(query, "token", d.token, strlen(d.token));
	r = client_call(c, query, NULL, NULL, &error);
	if (error && strcmp(msg_get(error, "code", ""), "exists"))
		buf_puts(why, error->text);
	else if (error)
		r = 0;
	msg_free(error);
	client_close(c);
	return r;
}

static int start_audit(const struct host_id *id)
{
	host_id_format(id, d.id);
	struct audit_options o = audit_options_of(d.conf);
	return audit_open(&d.core.audit, &d.loop, &o);
}

static int serve(struct buf *why)
{
	descriptors_raise();
	if (key_keep_from_dumps((size_t)d.conf->limits.v[LIMIT_CONNECTIONS]) < 0)
		log_event(LOG_WARNING, "cluster", "private keys will be in core dumps: there is no memory that is not");
	int r = confine(d.conf, d.conf_file, d.runtime, d.state, &d.sandbox, why);
	if (r)
		return r;
	uv_loop_init(&d.loop);
	struct host_id id;
	r = own_id(d.state, &id);
	if (!r)
		r = membership_open(&d.membership, d.state, &id, why);
	d.core.left_out = d.services.left_out;
	if (!r)
		r = core_start(&d.core, &d.loop, &id, d.conf->name, d.services.chosen, &d.conf->limits);
	d.core.insecure_control = d.insecure_control;
	take_rights(d.conf);
	if (!r)
		r = start_audit(&id);
	if (!r)
		r = membership_start(&d.membership, &d.core, on_membership);
	if (!r)
		r = settings_start(&d.core, &settings_daemon, d.state, &d.settings);
	if (!r)
		r = processes_start(&d.core, d.system);
	if (!r)
		r = links_start(&d.core, d.platform, d.conf->nats.server, d.conf->nats.cluster, why);
	if (!r)
		r = view_start(&d.core, "", d.state);
	if (!r && d.has_health)
		r = start_health();
	watch_sources();
	if (!r)
		r = listen_all(d.conf);
	if (!r && d.has_health)
		r = start_monitors(d.conf);
	if (!r)
		r = configure_joining(d.conf);
	if (r) {
		buf_puts(why, d.listen_why.len ? buf_str(&d.listen_why) : strerror(-r));
		return r;
	}
	notify_ready();
	log_event(LOG_NOTICE, "daemon", "vigiad %s serves as %s", VIGIA_VERSION, d.conf->name);
	if (d.joins && !d.core.place)
		r = membership_join(&d.membership, d.token, on_joined, why);
	else
		tell_background(false);
	if (r)
		return r;
	uv_run(&d.loop, UV_RUN_DEFAULT);
	return 0;
}

static void release(void)
{
	audit_free(d.core.audit);
	view_release(&d.core);
	joining_release(&d.core);
	settings_forget(&d.core);
	links_release(&d.core);
	membership_release(&d.membership);
	if (d.has_health)
		health_release(&d.health);
	lock_drop(d.state, d.state_lock);
	lock_drop(d.runtime, d.runtime_lock);
	conf_free(d.conf);
	free(d.runtime);
	free(d.state);
	free(d.conf_file);
	free(d.history_path);
	free(d.audit_path);
	buf_release(&d.listen_why);
	uv_loop_close(&d.loop);
	log_close();
}

/* What is in it is looked at later. */
static bool has_key(void)
{
	char *state = NULL, path[4096];
	struct buf why = BUF_INIT;
	bool has = !paths_state(&state, &why) && snprintf(path, sizeof path, "%s/cluster/host.pem", state) < (int)sizeof path &&
	    !access(path, F_OK);
	buf_release(&why);
	free(state);
	return has;
}

static int read_settings(struct buf *why)
{
	char *state;
	int r = paths_state(&state, why);
	if (r)
		return r;
	r = settings_load(state, &d.settings, why);
	free(state);
	return r;
}

static int load_conf(const char *given, struct buf *why)
{
	int r = paths_config(given, &d.conf_file, why);
	if (r && r != -ENOENT)
		return r;
	if (r && given)
		return r;
	buf_clear(why);
	conf_has_key = has_key();
	r = read_settings(why);
	return r ? r : load_checked(&d.conf, &d.settings, why);
}

/* The file was read already: what is left is what only the monitors know. */
static int check(void)
{
	struct buf why = BUF_INIT, notes = BUF_INIT;
	struct programs p;
	struct helper *helper;
	int r = paths_state(&d.state, &why);
	if (!r)
		r = find_programs(&p);
	if (!r)
		r = helper_open(p.helper, p.dirs, 2, &helper, &why);
	if (!r) {
		int platform = check_platform(d.conf, conf_name(), p.modules, &d.platform, &why);
		int masters = check_masters(d.conf, conf_name(), &why);
		r = check_monitors(d.conf, conf_name(), helper, &why, &notes);
		r = r ? r : masters ? masters : platform;
		helper_close(helper);
	} else if (!why.len) {
		buf_puts(&why, strerror(-r));
	}
	fputs(buf_str(&notes), stderr);
	fputs(buf_str(&why), stderr);
	if (why.len && buf_str(&why)[why.len - 1] != '\n')
		fputc('\n', stderr);
	buf_release(&why);
	buf_release(&notes);
	free(d.state);
	return r ? 1 : 0;
}

static void usage(FILE *to)
{
	fputs("usage: vigiad [--config FILE] [--foreground | --daemon] [--masters LIST] [--listen LIST] [--insecure-network]\n"
	      "              [--insecure-control] [--check | --dump | --describe | --help | --version]\n"
	      "  --config FILE   instead of ~/.config/vigia/vigia.conf and /etc/vigia/vigia.conf\n"
	      "  --foreground    the log to standard error as well\n"
	      "  --daemon        goes on in the background once it serves, and says `host NAME ID`\n"
	      "  --masters LIST  HOST:PORT[,HOST:PORT...] to report to, besides those of the configuration\n"
	      "  --listen LIST   ADDRESS:PORT[,ADDRESS:PORT...] in place of those of the configuration\n"
	      "  --join          joins the cluster of the token that is read from standard input, if it is in none\n"
	      "  --insecure-network\n"
	      "                  as insecure_network = true in the configuration\n"
	      "  --insecure-control\n"
	      "                  for tests: other hosts may change anything; only in a network namespace that leads nowhere\n"
	      "  --check         only reads the configuration, has each monitor read its section, and says what is wrong\n"
	      "  --dump          prints the configuration in force\n"
	      "  --describe      prints what its services can be asked, for `vigia stubs --from`\n"
	      "Alone and without a configuration it is node and master of itself. See vigiad(8).\n",
	    to);
}

struct command_line {
	const char *file;
	bool background;
	int mode; /* 0: serve */
};

/* 0, or what to exit with: then there is nothing more to do. */
static int read_command_line(int argc, char **argv, struct command_line *ret)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
	    {"foreground", no_argument, NULL, 'f'}, {"insecure-control", no_argument, NULL, 'i'},
	    {"check", no_argument, NULL, 'k'},
	    {"daemon", no_argument, NULL, 'b'}, {"masters", required_argument, NULL, 'm'},
	    {"listen", required_argument, NULL, 'l'}, {"join", no_argument, NULL, 'j'}, {"insecure-network", no_argument, NULL, 'n'},
	    {"dump", no_argument, NULL, 'd'}, {"describe", no_argument, NULL, 'D'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'v'}, {0}};
	int o;
	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1 && o != '?') {
		if (o == 'c')
			ret->file = optarg;
		else if (o == 'f')
			log_to_stderr(true);
		else if (o == 'i')
			d.insecure_control = true;
		else if (o == 'n')
			d.said.insecure_network = true;
		else if (o == 'm')
			d.said.masters = optarg;
		else if (o == 'l')
			d.said.listen = optarg;
		else if (o == 'j')
			d.joins = true;
		else if (o == 'b')
			ret->background = true;
		else
			ret->mode = o;
	}
	if (o == -1 && optind == argc)
		return 0;
	if (o == -1)
		fprintf(stderr, "vigiad: takes no argument \"%s\"\n", argv[optind]);
	usage(stderr);
	return 2;
}

static void describe(void)
{
	struct buf out = BUF_INIT;
	struct msg *hmon = msg_new("hmon");
	msg_set_int(hmon, "version", 1);
	msg_set(hmon, "role", "vigiad");
	xml_put_open(&out, hmon);
	services_choose(&d.services, NULL, &daemon_service);
	for (const struct service *const *s = d.services.chosen; *s; s++)
		for (const struct op *op = (*s)->ops; op->noun; op++) {
			struct msg *m = msg_new("operation");
			op_describe(m, *s, op);
			xml_put(&out, m);
			msg_free(m);
		}
	xml_put_close(&out);
	fwrite(out.data, 1, out.len, stdout);
	msg_free(hmon);
	buf_release(&out);
}

/* Only says something about the configuration. */
static int tell(int mode, const char *file)
{
	struct buf why = BUF_INIT;
	int r = load_conf(file, &why) ? 1 : 0;
	fputs(buf_str(&why), stderr);
	if (!r && mode == 'd')
		conf_dump(d.conf, stdout);
	else if (!r)
		r = check();
	buf_release(&why);
	conf_free(d.conf);
	free(d.conf_file);
	return r;
}

/* A login's runtime directory goes with its session; root's daemon has a place of its own. */
static int begin_background(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	if (!geteuid() && runtime && !strcmp(runtime, "/run/user/0"))
		unsetenv("XDG_RUNTIME_DIR");
	return background_begin(&d.background);
}

static int run(const char *file, bool background)
{
	struct buf why = BUF_INIT;
	int r = d.joins ? read_token(&why) : 0;
	if (r)
		return die("--join", &why, r);
	r = background ? begin_background() : 0;
	if (r)
		return die("can't go into the background", &why, r);
	if (load_conf(file, &why)) {
		fputs(buf_str(&why), stderr);
		buf_release(&why);
		return 1;
	}
	r = d.insecure_control ? isolated(&why) : 0;
	if (r)
		return die("--insecure-control", &why, r);
	services_choose(&d.services, d.conf, &daemon_service);
	d.has_health = services_have(&d.services, &health_service);
	r = prepare_places(&why);
	if (r == -EBUSY && d.joins)
		r = join_running(&why) ? : -EBUSY;
	if (r == -EBUSY && d.background >= 0) {
		tell_background(true);
		buf_release(&why);
		return 0;
	}
	if (!r)
		r = services_load(&d.services, d.conf, &why);
	if (r)
		return die("can't start", &why, r);
	r = find_platform(&why);
	if (r) {
		fputs(buf_str(&why), stderr);
		buf_release(&why);
		return 1;
	}
	r = open_helpers(&why);
	if (r)
		return die("can't start vigia-helper and vigia-launcher", &why, r);
	r = serve(&why);
	if (r)
		return die("can't serve", &why, r);
	release();
	buf_release(&why);
	return d.status;
}

int main(int argc, char **argv)
{
	struct command_line line = {0};
	mallopt(M_ARENA_MAX, 1); /* what workers leave behind of handshakes would stay in arenas of their own: 11 KiB a connection */
	log_open("vigiad");
	int r = read_command_line(argc, argv, &line);
	if (r)
		return r;
	if (line.mode == 'h')
		usage(stdout);
	else if (line.mode == 'v')
		puts("vigiad " VIGIA_VERSION);
	else if (line.mode == 'D')
		describe();
	else
		return line.mode ? tell(line.mode, line.file) : run(line.file, line.background);
	return 0;
}
