/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "conf/address.h"
#include "conf/units.h"
#include "os/remote.h"

#define MS 1000000LL
#define SEC (1000 * MS)
#define HOUR (3600 * SEC)
#define DAY (24 * HOUR)
#define KIB 1024LL
#define MIB (1024 * KIB)
#define TIB (1024 * 1024 * MIB)

#define AT(field) offsetof(struct conf, field)
#define WATCH(field) offsetof(struct conf_watch, field)

enum { SOCKET_MAX = 107, SERVICES_MAX = 64, TOKEN_MAX = 32, WORDS_MAX = 1000 };

/* The section limits { }, as base/limits.h has it. */
#define FORM_COUNT CONF_COUNT
#define FORM_RATE CONF_COUNT
#define FORM_SIZE CONF_SIZE
#define FORM_TIME CONF_DURATION
#define LIMIT_OPTION(id, name, of, each, form, number, unit, least, most, doc) \
	{CONF_LIMITS, #name, FORM_##form, #number #unit, least, most, AT(limits.v[LIMIT_##id]), doc},

/* clang-format off */
const struct conf_option conf_options[] = {
	{CONF_TOP, "name", CONF_NAME, NULL, 0, 0, AT(name),
	    "What this node is called in the cluster. By default the host's name up to the first dot."},
	{CONF_TOP, "platform", CONF_PLATFORM, "direct", 0, 0, AT(platform),
	    "What carries calls between hosts: direct (daemons dial each other) or nats (through a nats-server, see nats { } "
	    "below). The same on all hosts of a cluster. A change takes a restart."},
	{CONF_TOP, "listen", CONF_LISTEN, "127.0.0.1:7660", 0, 0, AT(listen),
	    "Where to listen for monitors, nodes and clients over TCP: ADDRESS:PORT, IPv6 as [ADDRESS]:PORT. By default of a host that is "
	    "in a cluster: port 7660 of all addresses, over TLS. "
	    "May be empty: {}. Where nobody says it and the port is another daemon's, there is the socket alone."},
	{CONF_TOP, "socket", CONF_SOCKET, "on", 0, 0, AT(socket),
	    "The Unix socket for this machine's users: on (in the runtime directory), off, or a path."},
	{CONF_TOP, "root_helper", CONF_SOCKET, "on", 0, 0, AT(root_helper),
	    "Where vigia-root(8) is, which runs programs and sends signals as the user who asks: on (/run/vigia-root/socket), off, or a "
	    "path. A change takes a restart."},
	{CONF_TOP, "insecure_network", CONF_BOOL, "false", 0, 0, AT(insecure_network),
	    "Allows listen and masters beyond this machine without a key (`vigia cluster init`, `vigia join`), and a nats-server in any case, "
	    "in plain TCP: everyone who reaches the port can read, "
	    "and register as a node. For closed networks only."},
	{CONF_TOP, "services", CONF_SERVICES, "all", 0, 0, AT(services),
	    "The services of this host beside the core's own (hosts, services, channels, the audit log): health, process, lease, or all. "
	    "What is left out costs nothing and can't be asked here; a program may offer another one under its name. Without "
	    "health nothing is measured, there is no node or master, and no other host is heard of. "
	    "May be empty: {}. Any other NAME is a module, service-NAME.so in libexec/vigia or in the directory services of the "
	    "daemon's own state: it runs within the daemon, with all of its rights. "
	    "A change takes a restart."},
	{CONF_TOP, "default_monitors", CONF_BOOL, "true", 0, 0, AT(default_monitors),
	    "Whether host, fs and temperature run without being named. One alone is left out by monitor NAME { enabled = false }."},

	{CONF_TOP, "sandbox", CONF_BOOL, "true", 0, 0, AT(sandbox),
	    "Whether the daemon takes from itself what it does not need, before it serves: new privileges, capabilities, files but "
	    "its own, system calls; see vigiad(8). A change takes a restart."},

	{CONF_TOP, "control", CONF_BOOL, "true", 0, 0, AT(control),
	    "Whether anything may be changed here from another host, with whatever right: programs started, processes signalled, channels "
	    "made. Where not, they only read, the master too; users of this host go on as before."},
	{CONF_TOP, "trust_nodes", CONF_TRUST, "read", 0, 0, AT(trust_nodes),
	    "What it takes that the daemon of another host of the cluster says which user asks: read, what all may read; or control, also to "
	    "change what is that user's, without his own key (`vigia login`): then who has taken over one host is every user here but root."},
	{CONF_TOP, "operators", CONF_USERS, NULL, 0, 0, AT(operators),
	    "Users who may run this daemon beside root and its own user: its configuration, its monitors, taking hosts out of the cluster; here, "
	    "and with their own key (`vigia login`) from other hosts. Names in /etc/passwd, or uids; not root. They start no programs as the daemon's user."},
	{CONF_TOP, "realm", CONF_REALM, "cluster", 0, 0, AT(realm),
	    "Within which uids mean the same persons. A user's key (`vigia login`) has the realm of the authority's host; on hosts of another "
	    "realm he only reads."},

	{CONF_NODE, "masters", CONF_MASTERS, NULL, 0, 0, AT(node.masters),
	    "The masters that this node dials, HOST:PORT. Without any, it is the master of itself."},
	{CONF_NODE, "send", CONF_SEND, "1s", 10 * MS, HOUR, AT(node.send_ns),
	    "How often what was measured goes to the masters, in one batch; or on-request: only when they ask."},

	{CONF_MASTER, "watch", CONF_BOOL, "true", 0, 0, AT(master.watch.on),
	    "Whether nodes are watched by beats. If not, only the end of a connection is noticed."},
	{CONF_MASTER, "beat_interval", CONF_DURATION, "500ms", 10 * MS, HOUR, AT(master.watch.beat_interval_ns),
	    "Time between two beats."},
	{CONF_MASTER, "late", CONF_DURATION, "1s", 20 * MS, DAY, AT(master.watch.late_ns),
	    "A node that was not heard of for so long is late. Longer than beat_interval."},
	{CONF_MASTER, "down", CONF_DURATION, "3s", 30 * MS, DAY, AT(master.watch.down_ns),
	    "A node that was not heard of for so long is down. Longer than late."},
	{CONF_MASTER, "grace", CONF_DURATION, "10s", 0, HOUR, AT(master.grace_ns),
	    "After its own start a master waits so long for the nodes it knows before it calls them down."},

	{CONF_WATCHED, "watch", CONF_BOOL, NULL, 0, 0, WATCH(on),
	    "The same for this node alone. What is not said is as for all."},
	{CONF_WATCHED, "beat_interval", CONF_DURATION, NULL, 10 * MS, HOUR, WATCH(beat_interval_ns),
	    "The same for this node alone."},
	{CONF_WATCHED, "late", CONF_DURATION, NULL, 20 * MS, DAY, WATCH(late_ns),
	    "The same for this node alone."},
	{CONF_WATCHED, "down", CONF_DURATION, NULL, 30 * MS, DAY, WATCH(down_ns),
	    "The same for this node alone."},

	{CONF_HISTORY, "enabled", CONF_BOOL, "true", 0, 0, AT(history.enabled),
	    "Whether values are kept on disk."},
	{CONF_HISTORY, "keep", CONF_DURATION, "30d", HOUR, 36500 * DAY, AT(history.keep_ns),
	    "How long values are kept."},
	{CONF_HISTORY, "size", CONF_SIZE, "1GiB", 16 * MIB, 1024 * TIB, AT(history.size),
	    "How large the history may become; then the oldest goes first."},
	{CONF_HISTORY, "thin_after", CONF_DURATION, "2d", HOUR, 36500 * DAY, AT(history.thin_after_ns),
	    "Values older than this are thinned: of each thin_step remain mean, least and greatest."},
	{CONF_HISTORY, "thin_step", CONF_DURATION, "5min", SEC, DAY, AT(history.thin_step_ns),
	    "What one point of the thinned history stands for."},
	{CONF_HISTORY, "sync", CONF_DURATION, "5s", 100 * MS, HOUR, AT(history.sync_ns),
	    "A power cut may cost what was measured in the last so long; a crash of Vigia costs nothing acknowledged."},

	{CONF_AUDIT, "file_size", CONF_SIZE, "16MiB", 64 * KIB, 1024 * MIB, AT(audit.file_size),
	    "How large a file of the audit log may become before the next one is begun."},
	{CONF_AUDIT, "files", CONF_COUNT, "64", 0, 1000000, AT(audit.files),
	    "How many files of it are kept, at least 2; then the oldest goes, which the log tells. 0: all are kept."},
	{CONF_AUDIT, "unwritable", CONF_UNWRITABLE, "hold", 0, 0, AT(audit.unwritable),
	    "What becomes of changes while the audit log can't be written: hold (they go on, their records wait in memory; once "
	    "4 MiB wait, changes are refused), refuse (they are refused at once), go-on (they go on, and records that find no "
	    "room are only counted). Reading goes on in any case."},

	{CONF_ADD, "ssh", CONF_WAY, REMOTE_SSH, 0, 0, AT(add.ssh),
	    "How another host is reached for host.add: the words of a program here. In each, %h is the host, %c the command "
	    "there, quoted for a shell, and %% is %. Takes a restart."},
	{CONF_ADD, "command", CONF_WORDS, "%v --daemon --masters=%m", 0, 0, AT(add.command),
	    "What is started there, in words: %h is the host, %m the masters, %v the path that vigiad has here, %% is %."},
	{CONF_ADD, "masters", CONF_MASTERS, NULL, 0, 0, AT(add.masters),
	    "The masters that added hosts shall name. By default those of this node; of one without masters, itself: where it "
	    "listens beyond this machine."},

	LIMITS_SAID(LIMIT_OPTION)

	{CONF_NATS, "server", CONF_SERVER, "nats://127.0.0.1:4222", 0, 0, AT(nats.server),
	    "The nats-server: nats://HOST:PORT or nats://USER:PASSWORD@HOST:PORT, several with a comma between. Read where "
	    "platform is nats. A change takes a restart."},
	{CONF_NATS, "cluster", CONF_TOKEN, "default", 0, 0, AT(nats.cluster),
	    "Which of several clusters on one server. A change takes a restart."},
};
/* clang-format on */

_Static_assert(sizeof conf_options / sizeof *conf_options < CONF_OPTIONS_MAX, "more options than there is room for");

const size_t conf_n_options = sizeof conf_options / sizeof *conf_options;

static const struct {
	const char *name;
	enum conf_section outer;
} sections[CONF_SECTIONS] = {
    [CONF_TOP] = {"", CONF_SECTIONS},	  [CONF_NODE] = {"node", CONF_TOP},	  [CONF_MASTER] = {"master", CONF_TOP},
    [CONF_WATCHED] = {"node", CONF_MASTER}, [CONF_HISTORY] = {"history", CONF_TOP},
    [CONF_AUDIT] = {"audit", CONF_TOP}, [CONF_ADD] = {"add", CONF_TOP}, [CONF_LIMITS] = {"limits", CONF_TOP}, [CONF_NATS] = {"nats", CONF_TOP},
};

static bool same(const char *known, const char *name, size_t n)
{
	return strlen(known) == n && memcmp(known, name, n) == 0;
}

const struct conf_option *conf_option_find(enum conf_section section, const char *name, size_t n)
{
	for (const struct conf_option *o = conf_options; o < conf_options + conf_n_options; o++)
		if (o->section == section && same(o->name, name, n))
			return o;
	return NULL;
}

size_t conf_option_index(const struct conf_option *o)
{
	return o - conf_options;
}

const char *conf_section_name(enum conf_section s)
{
	return sections[s].name;
}

int conf_section_find(enum conf_section outer, const char *name, size_t n)
{
	for (int s = CONF_NODE; s < CONF_SECTIONS; s++)
		if (sections[s].outer == outer && same(sections[s].name, name, n))
			return s;
	return -1;
}

/* --- the nearest name ------------------------------------------------------------------------------------------- */

enum { NAME_ROW = 33 };

/* Least number of letters to add, drop or change (Wagner and Fischer, one row kept). */
static unsigned distance(const char *a, size_t na, const char *b)
{
	unsigned row[NAME_ROW];
	size_t nb = strlen(b);

	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned change = diagonal + (tolower((unsigned char)a[i - 1]) != b[j - 1]);
			unsigned step = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
			diagonal = row[j];
			row[j] = change < step ? change : step;
		}
	}
	return row[nb];
}

static void keep_nearer(const char *known, const char *name, size_t n, const char **best, unsigned *least)
{
	if (strlen(known) >= NAME_ROW || n >= NAME_ROW)
		return;
	unsigned d = distance(name, n, known);
	if (d < *least) {
		*least = d;
		*best = known;
	}
}

const char *conf_nearest(enum conf_section section, const char *name, size_t n)
{
	unsigned least = n < 4 ? 2 : n < 8 ? 3 : 4;
	const char *best = NULL;

	for (size_t i = 0; i < conf_n_options; i++)
		if (conf_options[i].section == section)
			keep_nearer(conf_options[i].name, name, n, &best, &least);
	for (int s = CONF_NODE; s < CONF_SECTIONS; s++)
		if (sections[s].outer == section)
			keep_nearer(sections[s].name, name, n, &best, &least);
	if (section == CONF_TOP)
		keep_nearer("monitor", name, n, &best, &least);
	return best;
}

/* --- text to value ---------------------------------------------------------------------------------------------- */

static const struct {
	const char *word;
	bool value;
} bools[] = {{"true", true}, {"false", false}, {"yes", true}, {"no", false}, {"on", true}, {"off", false}};

static int set_bool(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	for (size_t i = 0; i < sizeof bools / sizeof *bools; i++)
		if (strcmp(text, bools[i].word) == 0) {
			*(bool *)field = bools[i].value;
			return 0;
		}
	buf_puts(why, "true or false");
	return -EINVAL;
}

typedef void put_fn(struct buf *to, int64_t n);

static int check_range(const struct conf_option *o, int64_t n, put_fn *put, struct buf *why)
{
	if (n >= o->min && n <= o->max)
		return 0;
	put(why, o->min);
	buf_puts(why, " to ");
	put(why, o->max);
	return -EINVAL;
}

/* What is no number at all is told the form, what is one its limits. */
static int set_number(const struct conf_option *o, int parsed, int64_t n, put_fn *put, const char *form, struct buf *why)
{
	if (parsed == -EINVAL) {
		buf_puts(why, form);
		return -EINVAL;
	}
	return check_range(o, parsed == -ERANGE ? INT64_MAX : n, put, why);
}

static int set_duration(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	int64_t ns = 0;
	int parsed = units_duration(text, &ns);
	int r = set_number(o, parsed, ns, units_put_duration,
	    "a whole number and ns, us, ms, s, min, h or d, such as \"500ms\"", why);

	if (r == 0)
		*(int64_t *)field = ns;
	return r;
}

static int set_send(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	if (strcmp(text, "on-request") != 0) {
		int r = set_duration(o, field, text, why);
		if (r < 0)
			buf_puts(why, ", or \"on-request\"");
		return r;
	}
	*(int64_t *)field = 0;
	return 0;
}

static int set_size(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	int64_t bytes = 0;
	int parsed = units_size(text, &bytes);
	int r = set_number(o, parsed, bytes, units_put_size,
	    "a whole number and B, KiB, MiB, GiB or TiB, such as \"64KiB\"", why);

	if (r == 0)
		*(int64_t *)field = bytes;
	return r;
}

static void put_count(struct buf *to, int64_t n)
{
	buf_put_int(to, n);
}

static int set_count(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	int64_t n = 0;
	int parsed = units_count(text, &n);
	int r = set_number(o, parsed, n, put_count, "a whole number", why);

	if (r == 0)
		*(int64_t *)field = n;
	return r;
}

static int replace(char **field, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int set_name(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	if (conf_is_name(text))
		return replace(field, text);
	buf_puts(why, "1 to 63 of A-Z a-z 0-9 . _ -, the first a letter or digit");
	return -EINVAL;
}

static bool is_token(const char *s, const char *of)
{
	size_t n = strspn(s, of);

	return n && n <= TOKEN_MAX && !s[n];
}

static bool is_plain_path(const char *s)
{
	size_t n = strlen(s);

	if (s[0] != '/' || n > SOCKET_MAX)
		return false;
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f || strchr("\"'\\$", *s))
			return false;
	return true;
}

static int set_socket(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	if (strcmp(text, "on") == 0 || strcmp(text, "off") == 0 || is_plain_path(text))
		return replace(field, text);
	buf_putf(why, "on, off, or an absolute path of at most %d bytes without quotes, $ and \\", SOCKET_MAX);
	return -EINVAL;
}

static int set_words(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	size_t n = strlen(text);

	if (n && n <= WORDS_MAX && text[strspn(text, " ")] && !strpbrk(text, "\"'\\$\t\n\r"))
		return replace(field, text);
	buf_putf(why, "words with blanks between, at most %d bytes without quotes, $ and \\", WORDS_MAX);
	return -EINVAL;
}

static int set_way(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	if (remote_check(text, NULL) == 0)
		return set_words(o, field, text, why);
	buf_puts(why, "the words of a program, with %h, the host, and %c, the command there");
	return -EINVAL;
}

static int set_listen(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	int r = conf_addresses_add(field, text, true);

	if (r == -EINVAL)
		buf_puts(why, "a numeric ADDRESS:PORT, such as \"127.0.0.1:7660\" or \"[::1]:7660\"");
	return r;
}

static int set_masters(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	int r = conf_addresses_add(field, text, false);

	if (r == -EINVAL)
		buf_puts(why, "HOST:PORT, such as \"master.example:7660\" or \"[fd00::1]:7660\"");
	return r;
}

static bool has_word(const struct conf_words *w, const char *text)
{
	for (size_t i = 0; i < w->n; i++)
		if (strcmp(w->v[i].text, text) == 0)
			return true;
	return false;
}

static int add_word(struct conf_words *w, const char *text)
{
	struct conf_word *v = realloc(w->v, (w->n + 1) * sizeof *v);

	if (!v)
		return -ENOMEM;
	w->v = v;
	v[w->n] = (struct conf_word){.text = strdup(text)};
	if (!v[w->n].text)
		return -ENOMEM;
	w->n++;
	return 0;
}

static int set_services(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	struct conf_words *w = field;

	if (conf_is_name(text) && !has_word(w, text) && w->n < SERVICES_MAX)
		return add_word(w, text);
	if (has_word(w, text))
		buf_puts(why, "each service once");
	else
		buf_puts(why, w->n < SERVICES_MAX ? "the name of a service, or \"all\"" : "no more services");
	return -EINVAL;
}

static int set_users(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	struct conf_words *w = field;

	if (is_token(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") && !has_word(w, text) && w->n < CONF_OPERATORS_MAX)
		return add_word(w, text);
	buf_putf(why, "the name of a user, or a uid, each once, at most %d", CONF_OPERATORS_MAX);
	return -EINVAL;
}

static int set_platform(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	if (is_token(text, "abcdefghijklmnopqrstuvwxyz0123456789-"))
		return replace(field, text);
	buf_puts(why, "direct or nats");
	return -EINVAL;
}

static const char *const unwritable[] = {"hold", "refuse", "go-on", NULL}, *const trusts[] = {"read", "control", NULL};

static int set_one_of(const char *const *words, void *field, const char *text)
{
	for (int i = 0; words[i]; i++)
		if (strcmp(text, words[i]) == 0) {
			*(int *)field = i;
			return 0;
		}
	return -EINVAL;
}

static int set_unwritable(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	if (!set_one_of(unwritable, field, text))
		return 0;
	buf_puts(why, "hold, refuse or go-on");
	return -EINVAL;
}

static int set_trust(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	if (!set_one_of(trusts, field, text))
		return 0;
	buf_puts(why, "read or control");
	return -EINVAL;
}

static int set_realm(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	if (is_token(text, "abcdefghijklmnopqrstuvwxyz0123456789.-") && strlen(text) < CONF_REALM_MAX)
		return replace(field, text);
	buf_putf(why, "1 to %d small letters, digits, . and -", CONF_REALM_MAX - 1);
	return -EINVAL;
}

static int set_token(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	if (is_token(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"))
		return replace(field, text);
	buf_putf(why, "1 to %d letters, digits, _ and -", TOKEN_MAX);
	return -EINVAL;
}

static int set_server(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	struct conf_addresses servers = {0};
	int r = conf_servers_add(&servers, text);

	conf_addresses_clear(&servers);
	if (r == -EINVAL)
		buf_puts(why, "nats://HOST:PORT, such as \"nats://127.0.0.1:4222\", several with a comma between");
	return r < 0 ? r : replace(field, text);
}

/* --- value to text ---------------------------------------------------------------------------------------------- */

static void print_bool(const void *field, struct buf *to)
{
	buf_puts(to, *(const bool *)field ? "true" : "false");
}

static void print_duration(const void *field, struct buf *to)
{
	buf_putc(to, '"');
	units_put_duration(to, *(const int64_t *)field);
	buf_putc(to, '"');
}

static void print_send(const void *field, struct buf *to)
{
	if (*(const int64_t *)field)
		print_duration(field, to);
	else
		buf_puts(to, "\"on-request\"");
}

static void print_size(const void *field, struct buf *to)
{
	buf_putc(to, '"');
	units_put_size(to, *(const int64_t *)field);
	buf_putc(to, '"');
}

static void print_count(const void *field, struct buf *to)
{
	buf_put_int(to, *(const int64_t *)field);
}

static void print_string(const void *field, struct buf *to)
{
	buf_putf(to, "\"%s\"", *(char *const *)field);
}

static void print_unwritable(const void *field, struct buf *to)
{
	buf_putf(to, "\"%s\"", unwritable[*(const int *)field]);
}

static void print_trust(const void *field, struct buf *to)
{
	buf_putf(to, "\"%s\"", trusts[*(const int *)field]);
}

static void print_addresses(const void *field, struct buf *to)
{
	const struct conf_addresses *a = field;

	buf_putc(to, '{');
	for (size_t i = 0; i < a->n; i++) {
		buf_puts(to, i ? ", \"" : "\"");
		conf_address_print(&a->v[i], to);
		buf_putc(to, '"');
	}
	buf_putc(to, '}');
}

static void print_words(const void *field, struct buf *to)
{
	const struct conf_words *w = field;

	buf_putc(to, '{');
	for (size_t i = 0; i < w->n; i++)
		buf_putf(to, "%s\"%s\"", i ? ", " : "", w->v[i].text);
	buf_putc(to, '}');
}

static void clear_addresses(void *field)
{
	conf_addresses_clear(field);
}

static void place_address(void *field, int line)
{
	struct conf_addresses *a = field;

	if (a->n)
		a->v[a->n - 1].line = line;
}

static void clear_words(void *field)
{
	struct conf_words *w = field;

	for (size_t i = 0; i < w->n; i++)
		free(w->v[i].text);
	free(w->v);
	*w = (struct conf_words){0};
}

static void place_word(void *field, int line)
{
	struct conf_words *w = field;

	if (w->n)
		w->v[w->n - 1].line = line;
}

static const struct {
	const char *name; /* in the manual */
	int (*set)(const struct conf_option *o, void *field, const char *text, struct buf *why);
	void (*print)(const void *field, struct buf *to);
	const char *quote; /* around a default in the manual */
	/* of lists */
	void (*clear)(void *field);
	void (*place)(void *field, int line);
} types[] = {
    [CONF_BOOL] = {"true or false", set_bool, print_bool, ""},
    [CONF_DURATION] = {"duration", set_duration, print_duration, "\""},
    [CONF_SEND] = {"duration or \"on-request\"", set_send, print_send, "\""},
    [CONF_SIZE] = {"size", set_size, print_size, "\""},
    [CONF_COUNT] = {"number", set_count, print_count, ""},
    [CONF_NAME] = {"name", set_name, print_string, "\""},
    [CONF_SOCKET] = {"on, off or path", set_socket, print_string, "\""},
    [CONF_LISTEN] = {"list of addresses", set_listen, print_addresses, "\"", clear_addresses, place_address},
    [CONF_MASTERS] = {"list of addresses", set_masters, print_addresses, "\"", clear_addresses, place_address},
    [CONF_SERVICES] = {"list of names", set_services, print_words, "\"", clear_words, place_word},
    [CONF_USERS] = {"list of users", set_users, print_words, "\"", clear_words, place_word},
    [CONF_PLATFORM] = {"direct or nats", set_platform, print_string, "\""},
    [CONF_REALM] = {"name", set_realm, print_string, "\""},
    [CONF_UNWRITABLE] = {"hold, refuse or go-on", set_unwritable, print_unwritable, "\""},
    [CONF_TRUST] = {"read or control", set_trust, print_trust, "\""},
    [CONF_SERVER] = {"servers", set_server, print_string, "\""},
    [CONF_TOKEN] = {"name", set_token, print_string, "\""},
    [CONF_WORDS] = {"words", set_words, print_string, "\""},
    [CONF_WAY] = {"words", set_way, print_string, "\""},
};

int conf_option_set(const struct conf_option *o, void *field, const char *text, struct buf *why)
{
	return types[o->type].set(o, field, text, why);
}

void conf_option_print(const struct conf_option *o, const void *field, struct buf *to)
{
	types[o->type].print(field, to);
}

bool conf_option_is_list(const struct conf_option *o)
{
	return types[o->type].clear;
}

void conf_list_clear(const struct conf_option *o, void *field)
{
	types[o->type].clear(field);
}

void conf_list_place(const struct conf_option *o, void *field, int line)
{
	types[o->type].place(field, line);
}

static void put_range(const struct conf_option *o, put_fn *put, struct buf *to)
{
	buf_puts(to, ", ");
	put(to, o->min);
	buf_puts(to, " to ");
	put(to, o->max);
}

/* scdoc takes '_' for underlining and '[' for a table's start. */
static void put_escaped(struct buf *to, const char *s)
{
	for (; *s; s++) {
		if (strchr("_[*#", *s))
			buf_putc(to, '\\');
		buf_putc(to, *s);
	}
}

void conf_option_manual(const struct conf_option *o, struct buf *to)
{
	const char *quote = types[o->type].quote;

	buf_putf(to, "*%s* = %s", o->name, types[o->type].name);
	if (o->type == CONF_DURATION || o->type == CONF_SEND)
		put_range(o, units_put_duration, to);
	else if (o->type == CONF_SIZE)
		put_range(o, units_put_size, to);
	else if (o->type == CONF_COUNT)
		put_range(o, put_count, to);
	if (o->fallback && conf_option_is_list(o))
		buf_putf(to, ". Default: {\"%s\"}", o->fallback);
	else if (o->fallback)
		buf_putf(to, ". Default: %s%s%s", quote, o->fallback, quote);
	buf_puts(to, "\n\t");
	put_escaped(to, o->doc);
	buf_puts(to, "\n\n");
}
