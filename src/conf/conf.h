/* SPDX-License-Identifier: Apache-2.0 */
/* vigia.conf, read: every value typed, checked, and there, whether the file says it or not.
 *
 * A struct conf never changes once loaded; a reload makes another one. What the options mean, and their defaults, is
 * said once, in conf_options (options.c); the manual page vigia.conf(5) comes from there too.
 *
 * Errors are lines "FILE:LINE: what was found and what was expected\n", as many as can be found in one go.
 * Only one thread may load at a time.
 */
#ifndef VIGIA_CONF_CONF_H
#define VIGIA_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/limits.h"
#include "conf/settings.h"

enum { CONF_FILE_MAX = 1 << 20, CONF_MONITORS_MAX = 256, CONF_NAME_MAX = 63, CONF_REALM_MAX = 32, CONF_OPERATORS_MAX = 64 };

struct conf_address {
	char *host; /* without the brackets of [::1]:7660 */
	int port;
	int line; /* in the file; 0: by default */
	bool is_loopback; /* 127.0.0.0/8, ::1, localhost */
};

struct conf_addresses {
	size_t n;
	struct conf_address *v;
};

struct conf_word {
	char *text;
	int line; /* in the file; 0: by default */
};

struct conf_words {
	size_t n;
	struct conf_word *v;
};

/* How a master watches a node. late_ns < down_ns, and each longer than the beat interval. */
struct conf_watch {
	bool on;
	int64_t beat_interval_ns;
	int64_t late_ns;
	int64_t down_ns;
};

struct conf_watched_node {
	char *name;
	struct conf_watch watch; /* whole: what the section leaves out is the master's */
	unsigned said;		 /* private */
};

struct conf_monitor {
	char *name;
	char *program; /* entry name for the helper */
	bool enabled;
	char *text; /* the inside of the section, verbatim, with `program` and `enabled`; "" by default */
	int line, text_line; /* where it and its text begin in the file; 0: by default */
};

struct conf {
	char *name; /* of the node; the short host name by default */
	struct conf_addresses listen;
	char *socket; /* path; "on": in the runtime directory; "off": none */
	char *root_helper; /* vigia-root's socket; path; "on": where its unit has it; "off": none */
	bool insecure_network;
	struct conf_words services; /* those chosen, or the one word "all"; which there are only the daemon knows */
	bool sandbox;
	bool control;
	int trust_nodes; /* as CONF_TRUST's words are in order: read, control */
	char *realm;
	struct conf_words operators; /* names or uids: whether they are there, the daemon looks */
	bool default_monitors; /* whether those not named below were added */

	char *platform;	   /* its name; which there are the daemon knows */
	int platform_line; /* in the file; 0: by default */

	struct {
		struct conf_addresses masters;
		int64_t send_ns; /* 0: on request */
	} node;

	struct {
		struct conf_watch watch;
		int64_t grace_ns;
		size_t n_nodes;
		struct conf_watched_node *nodes;
	} master;

	struct {
		bool enabled;
		int64_t keep_ns;
		int64_t size; /* bytes */
		int64_t thin_after_ns;
		int64_t thin_step_ns;
		int64_t sync_ns;
	} history;

	struct {
		int64_t file_size; /* bytes */
		int64_t files; /* 0: all */
		int unwritable; /* as CONF_AUDIT's words are in order: hold, refuse, go-on */
	} audit;

	struct {
		char *ssh;
		char *command;
		struct conf_addresses masters;
	} add;

	struct limit_values limits;

	struct {
		char *server; /* nats://HOST:PORT, several with a comma between; a user and password may be in it */
		char *cluster;
	} nats;

	size_t n_monitors;
	struct conf_monitor *monitors;
};

/* Set before: this host is in a cluster, so `listen` and `masters` are over TLS, and may go beyond this machine. */
extern bool conf_has_key;
/* `file` NULL: no file, all defaults. -EINVAL: errors in it; -ENOENT, -EACCES ...: can't be read; -ENOMEM.
 * Whatever the answer, `errors` has a line for each error. */
int conf_load(const char *file, struct conf **ret_conf, struct buf *errors);
/* The same of n bytes; `file` is for the error lines. */
int conf_load_text(const char *file, const char *text, size_t n, struct conf **ret_conf, struct buf *errors);
/* The same with these over what the file says; what is wrong with one is a line "setting KEY: ..." in errors. */
int conf_load_with(const char *file, const struct settings *over, struct conf **ret_conf, struct buf *errors);
void conf_free(struct conf *c);
/* Each option as KEY and what is in force, as a setting would say it, then each monitor; but for master's nodes. */
void conf_each(const struct conf *c, void (*fn)(void *data, const char *key, const char *value), void *data);

/* What a command line says besides the file; NULL: nothing. */
struct conf_said {
	const char *masters; /* besides the file's: HOST:PORT, a comma between */
	const char *listen;  /* in place of the file's, the same way */
	bool insecure_network;
};
/* 0 or negative errno, then `errors` has a line for each that is wrong, and c is good for nothing but conf_free(). */
int conf_say(struct conf *c, const struct conf_said *said, struct buf *errors);

/* What is in force, as a file that loads to the same. Comments say what each option means. */
void conf_dump(const struct conf *c, FILE *to);

/* How this node is to be watched: its own section of master { }, or the master's. */
const struct conf_watch *conf_watch_of(const struct conf *c, const char *node);
/* Something goes beyond this machine in plain TCP (then insecure_network is true): the platform's servers, and without a key what is
 * in `listen` or `masters`. */
bool conf_is_exposed(const struct conf *c);
bool conf_monitor_equal(const struct conf_monitor *a, const struct conf_monitor *b);

/* Of a node or monitor: 1 to 63 of A-Z a-z 0-9 . _ -, the first a letter or digit. */
bool conf_is_name(const char *s);

#endif
