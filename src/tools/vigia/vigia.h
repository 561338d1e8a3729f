/* SPDX-License-Identifier: Apache-2.0 */
/* The command `vigia`: asks a daemon, and shows what it says. This is the map of the room.
 *
 * Each subcommand is a file with one const struct command; the table in commands.c lists them. Dispatch,
 * options, help and completion are made from it, and a test holds the manual page against it.
 */
#ifndef VIGIA_TOOLS_VIGIA_H
#define VIGIA_TOOLS_VIGIA_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/client.h"
#include "tools/vigia/path.h"
#include "tools/vigia/table.h"

/* What the program ends with. */
enum { DONE = 0, WRONG = 1, USAGE = 2, NO_DAEMON = 3 };

enum { FLAGS_MAX = 8 };

struct vigia {
	const char *at; /* NULL: where a daemon is by itself */
	const char *papers; /* a directory with a certificate; NULL: none */
	enum out_format format;
	bool colour, unicode, terminal;
	bool starts;	 /* a daemon of the user's own, where there is none */
	bool console;	 /* commands come from its lines, not from a shell */
	int patience_ms; /* for what a daemon owes; 0: the usual */
	struct client *client;
};

struct flag {
	const char *name;  /* "update" for --update; NULL ends a list */
	const char *value; /* what is said after it: "DURATION"; NULL: nothing */
	const char *doc;
};

/* What words are, for completion. */
enum completes { COMPLETE_NOTHING, COMPLETE_PATHS, COMPLETE_NODES, COMPLETE_COMMANDS, COMPLETE_SHELLS };

struct args {
	const struct command *command;
	const char
	    *flags[FLAGS_MAX]; /* in the order of command.flags; "" for one without value; NULL: not said */
	const char *const *words;
	int n;
};

struct command {
	const char *name, *words, *doc;
	const char *more; /* for its own help */
	struct flag flags[FLAGS_MAX];
	int words_min, words_max; /* -1: any number */
	enum completes completes;
	const char *operation, *argument; /* of a shorthand, see shorthand.c */
	bool alone;					   /* needs no daemon, or sees to it itself */
	int (*run)(struct vigia *v, const struct args *a); /* an exit code */
};

/* --- commands.c: the table --- */
extern const struct command *const commands[]; /* ends with NULL */
extern const struct flag global_flags[];
/* The command so named, or NULL. */
const struct command *command_find(const char *name);
/* The one that is most like it, or NULL when none is. */
const struct command *command_nearest(const char *name);

/* --- shorthand.c: words for single operations --- */
enum { SHORT_ADD, SHORT_DEL, SHORT_FIND, SHORT_PS, SHORT_SLIST };
extern const struct command shorthands[];

/* --- console.c: a command a line, from standard input --- */
int console_run(const struct vigia *v);
extern const struct command quit_command;

/* --- completion.c --- */
/* What begins a name may become, one after the other to fn, also such that begin otherwise: `kind` is "words" (paths),
 * "nodes", "operations", or "arguments" (of the operation `word`: "NAME="). */
typedef void word_fn(void *data, const char *word);
int completion_words(struct vigia *v, const char *kind, const char *word, word_fn *fn, void *data);

/* --- options.c: the command line --- */
struct line {
	struct vigia v;
	const struct command *command; /* NULL: none was said */
	struct args args;
	const char *words[256];
	const char *noun; /* said, and its verb is still to come */
	char operation[160]; /* of both */
	bool help, version;
};
/* 0, or USAGE when it has said what is wrong. `l` is zeroed before, but for `v`. */
int line_read(struct line *l, int argc, char **argv);
/* Does what a line that was read says, with a connection where that is needed: an exit code. */
int line_run(struct line *l);

/* --- help.c --- */
void help_all(struct vigia *v, FILE *to);
void help_command(struct vigia *v, const struct command *c, FILE *to);
extern const struct command help_command_entry;

/* --- ask.c: questions and their failures --- */
/* On standard error, each line behind "vigia: " and escaped. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Who complains about what: "line 3" of a script; "" for nothing more. Borrowed. */
void complain_of(const char *where);
/* While they are off nothing is said: the user is in the middle of a line. */
void complaints(bool on);
/* DONE, or NO_DAEMON, having said where it looked. */
int vigia_connect(struct vigia *v);
/* The connection that was made is there still. What came unasked is dropped. */
bool vigia_connected(struct vigia *v);
/* The daemon's own node; "" when it did not say. */
const char *vigia_self(struct vigia *v);
struct msg *vigia_query(struct vigia *v, const char *noun, const char *verb);
/* Has fn see each answer until the end. DONE; WRONG after the daemon's error, or partial ones, which it says;
 * NO_DAEMON when it went away. fn's non-zero result ends it and is returned; an interrupt ends it with WRONG. `query` is
 * freed. */
typedef int answer_fn(void *data, const struct msg *answer);
int vigia_ask(struct vigia *v, struct msg *query, answer_fn *fn, void *data);
/* n at once, under way side by side; freed. */
int vigia_ask_all(struct vigia *v, struct msg *const *queries, size_t n, answer_fn *fn, void *data);
/* Two at once, answered of one moment. */
int vigia_ask_both(struct vigia *v, struct msg *first, struct msg *second, answer_fn *fn, void *data);
/* The same for what goes on until someone ends it. */
int vigia_follow(struct vigia *v, struct msg *query, answer_fn *fn, void *data);

/* The words as paths (none: all), one after the other to fn, until one is not DONE; the worst exit code. */
typedef int path_fn(struct vigia *v, const struct path *p, void *data);
int each_path(struct vigia *v, const struct args *a, path_fn *fn, void *data);

/* --- missing.c: names that do not exist --- */
/* Is there such a node, monitor and metric? If not, it has said what there is that is like it. */
bool path_there(struct vigia *v, const struct path *p);
/* Nothing came of it: says why. WRONG. */
int nothing_named(struct vigia *v, const struct path *p);

unsigned table_flags(const struct vigia *v, unsigned more);
/* A document ends with a line feed, as lines do. */
void end_document(const struct vigia *v, struct table *t);
enum tone state_tone(const char *state);
/* An option's duration or time; false: it has complained. *ret is left as it is when the option was not said.
 */
bool duration_option(const struct args *a, int flag, int64_t *ret_ns);
bool time_option(const struct args *a, int flag, int64_t *ret_ns);

#endif
