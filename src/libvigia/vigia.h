/* SPDX-License-Identifier: Apache-2.0 */
/* libvigia: a program's way to Vigia's daemons: operations of any service on any host, and event channels.
 * docs/libvigia.md walks through it; `vigia help SERVICE.OPERATION` lists what can be asked.
 *
 * A struct vigia is a connection to one daemon, which passes on what is meant for others. The rules:
 * - Threads: one at a time may use a struct vigia; different ones may be used at once. Nothing here is global.
 * - Nothing here aborts, prints, exits, takes signals or starts a process; but vigia_offer(), a whole program, prints, and vigia_open_or_start() says what it
 *   starts.
 * - Errors are negative errno; results are untouched then, and *ret_error (may be NULL) says more, for people.
 *   -EREMOTEIO: the daemon answered with an error, ret_error->code is its kind (docs/hmon.md, "Errors").
 *   -EPIPE: the connection is gone; only vigia_close() is left. -ETIMEDOUT: not within the deadline.
 * - Callbacks come only from within what waits: vigia_wait(), vigia_dispatch(), vigia_call(), and those that call it,
 *   vigia_channel(), vigia_channel_delete(), vigia_poll(), vigia_chain(), vigia_unchain() and vigia_serve(). They may call
 *   everything but these and vigia_close().
 * - Text is UTF-8. Times are ns: those of events since 1970, by their host's clock.
 */
#ifndef VIGIA_H
#define VIGIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vigia;
struct vigia_message;

struct vigia_error {
	char code[32];	/* "not-found", "deadline"; "" when no daemon said it */
	char text[256];
};

/* --- connecting --- */

/* at: HOST[:PORT], the path of a socket, or NULL: $VIGIA_SOCKET, else the user's own daemon's, else the system's.
 * Waits until the daemon has answered, 5 s at most. */
int vigia_open(struct vigia **ret, const char *at, struct vigia_error *ret_error);
/* The same without `at`; where no daemon is, it starts the user's own, `vigiad --daemon`, and waits until that serves, 10 s at
 * most. The one function here that starts a process: it is no child of this program's when it returns, and no signal has
 * come of it. */
int vigia_open_or_start(struct vigia **ret, struct vigia_error *ret_error);
/* What was put may still leave, for 1 s. Calls under way are over, without a callback. */
void vigia_close(struct vigia *v);
/* The name of the daemon's host. Lives as long as v. */
const char *vigia_host(const struct vigia *v);

/* --- messages: what is asked, and answers --- */

/* A query of an operation, "NOUN.VERB"; NULL: no memory, or no such form. What is set is copied. A failure to set
 * (no memory) is told when it is asked. */
struct vigia_message *vigia_query(const char *operation);
void vigia_query_free(struct vigia_message *m); /* of one that was never asked */
void vigia_set_text(struct vigia_message *m, const char *argument, const char *text);
void vigia_set_int(struct vigia_message *m, const char *argument, int64_t number);
void vigia_set_flag(struct vigia_message *m, const char *argument, bool flag);
/* One more of an argument that is a list of words. */
void vigia_add_word(struct vigia_message *m, const char *argument, const char *word);
void vigia_set_bytes(struct vigia_message *m, const char *argument, const void *bytes, size_t n);

const char *vigia_name(const struct vigia_message *m);
/* "" where there is none. */
const char *vigia_text(const struct vigia_message *m);
/* A field; the text of a number is made by vigia_get_int() alone. `fallback` where it is not there, or of another type. */
const char *vigia_get_text(const struct vigia_message *m, const char *field, const char *fallback);
int64_t vigia_get_int(const struct vigia_message *m, const char *field, int64_t fallback);
bool vigia_get_flag(const struct vigia_message *m, const char *field);
/* NULL where there are none. */
const void *vigia_get_bytes(const struct vigia_message *m, const char *field, size_t *ret_n);
/* The first child; the next sibling; NULL: no more. */
const struct vigia_message *vigia_first(const struct vigia_message *m);
const struct vigia_message *vigia_next(const struct vigia_message *m);
/* The field number i, from 0: its name, or NULL. For who shows all. */
const char *vigia_field(const struct vigia_message *m, size_t i);

/* --- calls --- */

/* An answer, borrowed for the callback. Non-zero: no more are wanted; vigia_call() returns it. */
typedef int vigia_answer_fn(void *data, const struct vigia_message *answer);

/* Asks and waits. host: a name or id, NULL or "": the daemon's own. deadline_ms: at most a day (else -ERANGE), 0: 10 s. fn,
 * which may be NULL, gets each answer. Takes the query. 0, what fn returned, or negative errno. */
int vigia_call(struct vigia *v, const char *host, struct vigia_message *take_query, int64_t deadline_ms,
    vigia_answer_fn *fn, void *data, struct vigia_error *ret_error);

struct vigia_asked {
	vigia_answer_fn *answer;
	/* Once, last: it is over. error NULL: well; else -EREMOTEIO, -ETIMEDOUT or -EPIPE, and why. */
	void (*over)(void *data, int result, const struct vigia_error *error);
	void *data;
};

/* Asks without waiting. Returns the call's number, from 1, or negative errno. */
int64_t vigia_ask(struct vigia *v, const char *host, struct vigia_message *take_query, int64_t deadline_ms,
    const struct vigia_asked *asked);
/* Nobody wants its answers any more; `over` is not called. */
void vigia_cancel(struct vigia *v, int64_t number);
/* Asks one-way: nothing comes back, also no error. */
int vigia_tell(struct vigia *v, const char *host, struct vigia_message *take_query);

/* --- event channels --- */

enum { VIGIA_KEY_MAX = 200, VIGIA_CHANNEL = 64 };

struct vigia_channel {
	char id[VIGIA_CHANNEL]; /* in the whole cluster */
	uint64_t number;	/* on its host */
	uint64_t sequence;	/* of the newest event when this was asked */
};

/* On the daemon's own host, found by its key, made where it is not. all: others than its owner may put and subscribe. */
int vigia_channel(struct vigia *v, const char *key, bool all, struct vigia_channel *ret, struct vigia_error *ret_error);
int vigia_channel_delete(struct vigia *v, const char *key, struct vigia_error *ret_error);

/* Never waits. -EMSGSIZE: more than 256 KiB; -ENOBUFS: the daemon reads no faster and the event was not put. The events that
 * v has shown so far count as its causes: who subscribes to their channels as well sees them first. */
int vigia_put(struct vigia *v, const struct vigia_channel *c, uint32_t tag, const void *data, size_t n);
/* How many events that were put the daemon could not take, as far as it has told; and why not the last one. */
uint64_t vigia_put_refused(const struct vigia *v, struct vigia_error *ret_why);

struct vigia_event {
	uint64_t sequence;
	int64_t time_ns;
	uint32_t tag;
	const char *sender; /* HOST/PROCESS/ENTITY, ids */
	const void *data;
	size_t n;
	/* That many events before this sequence were lost to this subscriber; then nothing else is set. */
	uint64_t lost;
};

struct vigia_subscriber {
	void (*event)(void *data, const struct vigia_event *e);
	/* Once, last: -EREMOTEIO with code "deleted", or as with calls. */
	void (*over)(void *data, int result, const struct vigia_error *error);
	void *data;
};

/* mask: events whose tag has a bit of it, or is 0. after: go on behind this sequence; -1: from now on. Returns a number for
 * vigia_cancel().
 * key: or the channel's id, which no other channel has, nor one of the same key in another life of its daemon: with it,
 * `after` can't be taken for a place in another's order (`over`: code "deleted" or "restarted").
 * An event is shown after those that caused it, of all channels that v subscribes to with a mask of UINT32_MAX; for one that
 * does not come it waits 1 s at most. */
int64_t vigia_subscribe(struct vigia *v, const char *host, const char *key, uint32_t mask, int64_t after,
    const struct vigia_subscriber *s);

/* Shows what has come behind *after (-1: nothing, only learns where the channel is), `most` events at most, and moves it; if
 * there is none, waits for one for wait_ms, at most 60,000. 1: there is more already; 0, or negative errno. */
int vigia_poll(struct vigia *v, const char *host, const char *key, uint32_t mask, int64_t *after, unsigned most, int wait_ms,
    void (*event)(void *data, const struct vigia_event *e), void *data, struct vigia_error *ret_error);

/* From now on the events of the channel `from` of from_host (NULL: the same host) come into the channel `key` of `host` as
 * well, those that mask selects, until it is unchained or one of the channels is deleted. Each has its own place there, and
 * the event that it is a copy of as its first cause. What comes into a channel can't come into one of those that come into it:
 * code "cycle". */
int vigia_chain(struct vigia *v, const char *host, const char *key, const char *from_host, const char *from, uint32_t mask,
    struct vigia_error *ret_error);
int vigia_unchain(struct vigia *v, const char *host, const char *key, const char *from_host, const char *from,
    struct vigia_error *ret_error);

/* --- a service of one's own ---
 *
 * A const table, as a service inside the daemon has: what can be asked, its arguments and their types. The daemon checks them
 * and who may ask, tells `vigia help` of them, and hands on only what is in order. All on its host (and, where it may, others)
 * can then call it as any other.
 *
 * The same source builds as a program of its own, and with -DVIGIA_MODULE as a module that the daemon loads (`services` in
 * vigia.conf): VIGIA_OFFER() is the last line of either. What a module may use is all of "messages" and what follows here but
 * vigia_serve(); and it may not wait: while one of its functions runs, nothing else in the daemon does.
 */

enum vigia_type { VIGIA_NAME, VIGIA_PATTERN, VIGIA_TEXT, VIGIA_INTEGER, VIGIA_DURATION, VIGIA_TIME, VIGIA_FLAG, VIGIA_BYTES, VIGIA_WORDS,
	VIGIA_SIZE /* bytes */, VIGIA_SPAN /* ns */ };

enum { VIGIA_ARGUMENTS = 10 };

struct vigia_argument {
	const char *name;
	enum vigia_type type; /* durations come in ms, times in ns, integers from 0 */
	const char *doc;
	bool required;
	int64_t fallback; /* of numbers: told to people; vigia_get_int() has it again */
};

/* Of an answer: for who shows it. */
struct vigia_answer_field {
	const char *name;
	enum vigia_type type;
	const char *doc;
};

enum vigia_operation_flags { VIGIA_CHANGES = 1, VIGIA_STREAMS = 2 };

/* What run returns; negative: vigia_fail() was called. */
enum { VIGIA_DONE, VIGIA_LATER };

struct vigia_called; /* a call of one of our operations, under way */

struct vigia_operation {
	const char *name; /* the verb; NULL ends a table */
	const char *doc;
	unsigned flags;
	struct vigia_argument arguments[VIGIA_ARGUMENTS]; /* ends with a nameless one */
	/* VIGIA_DONE: it is over, with what was sent; VIGIA_LATER: vigia_end() or vigia_fail() will be called. */
	int (*run)(struct vigia_called *c);
	/* Once, when the call is over, however: frees vigia_called_state(). May be NULL. */
	void (*over)(struct vigia_called *c);
	/* All that its answers may have; ends with a nameless one. May be NULL. */
	const struct vigia_answer_field *fields;
};

struct vigia_service {
	const char *name; /* and the noun of its operations: NAME.VERB */
	const char *doc;
	const struct vigia_operation *operations;
};

/* Offers it from now on, as long as v is open. Waits until the daemon has taken it. The table and data must live as long. */
int vigia_serve(struct vigia *v, const struct vigia_service *service, void *data, struct vigia_error *ret_error);

/* A main() of its own for a program that does nothing else: offers it until the daemon is gone. Returns what to exit with,
 * having said why on standard error. */
int vigia_offer(const struct vigia_service *service, void *data);

struct vigia_module {
	unsigned size; /* of a struct vigia_operation: which header it was built with */
	const struct vigia_service *service;
	void *data;
};

#ifdef VIGIA_MODULE
#define VIGIA_OFFER(service, data)                                                                           \
	extern const struct vigia_module vigia_module;                                                         \
	const struct vigia_module vigia_module = {sizeof(struct vigia_operation), &(service), (data)};
#else
#define VIGIA_OFFER(service, data)                                                                           \
	int main(void)                                                                                         \
	{                                                                                                      \
		return vigia_offer(&(service), (data));                                                        \
	}
#endif

/* The service's data, as given to vigia_serve() or VIGIA_OFFER(). */
void *vigia_called_data(const struct vigia_called *c);
/* Room for what the operation keeps of this call, NULL at first. */
void **vigia_called_state(struct vigia_called *c);
/* Its arguments. */
const struct vigia_message *vigia_called_query(const struct vigia_called *c);
/* Who asks, as this host's kernel said; -1: not known, as of who comes by network or asks from another host. */
int64_t vigia_called_uid(const struct vigia_called *c);
/* An answer, begun; vigia_send() takes it. NULL: no memory, which vigia_send() takes as well. */
struct vigia_message *vigia_answer(struct vigia_called *c, const char *name);
void vigia_send(struct vigia_called *c, struct vigia_message *take_answer);
void vigia_end(struct vigia_called *c);
/* Ends it with an error; returns -1. */
int vigia_fail(struct vigia_called *c, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Ends it here, without an answer so far, and has the same asked of the service of this name on another host (a name or id), for
 * the caller and in what is left of his time: he need not know. At most 4 times in all; a one-way call just ends. Returns -1. */
int vigia_hand_on(struct vigia_called *c, const char *host);

/* --- waiting, or driven from a poll loop of one's own --- */

/* Waits until something came and has been handed out, or timeout_ms (-1: for ever). 1, 0: nothing came, or negative errno
 * (-EINTR: a signal). */
int vigia_wait(struct vigia *v, int timeout_ms);

/* Poll this for these events (POLLIN, POLLOUT) for at most so long (-1: for ever), then call vigia_dispatch(). */
int vigia_fd(const struct vigia *v);
short vigia_events(const struct vigia *v);
int vigia_timeout_ms(const struct vigia *v);
/* Reads and writes what can be without waiting. 0 or negative errno. */
int vigia_dispatch(struct vigia *v);

#ifdef __cplusplus
}
#endif

#endif
