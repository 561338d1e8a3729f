/* SPDX-License-Identifier: Apache-2.0 */
/* A heartbeat on an established TCP socket that somebody else owns and reads.
 *
 * One side watches, the other answers; a beat goes out, its echo comes back. Borrows the descriptor: never
 * duplicates, reads, closes or reconfigures it, but for keepalive while an answer is overdue (restored
 * after). Never prints, aborts, or touches a signal. One socket is used by one thread at a time, or served by
 * `heartbeat_thread`, whose lock the calls below then take.
 *
 * The one rule: first read what is there to read, then call heartbeat_data(), then heartbeat_handle().
 *
 * Transports
 *   urgent    one byte of TCP urgent data. Linux keeps one mark, so only one beat is under way and an echo
 * goes out only when the reader has passed the mark. Never beside TLS, never on frames of fixed length. The
 *             byte may turn up as data where the path clears URG: choose it where your protocol can strip it
 *             (heartbeat_strip), else take HEARTBEAT_PROBE. A path that begins to clear it in mid-stream puts
 *             one stray byte into the data, once: no beat follows one that is not answered
 *   in-band   the owner writes a beat in his own framing, and calls heartbeat_beat_seen() for each that
 * arrives acks      no beats: the kernel's word (TCP_INFO) on whether the other *host* acknowledges. Up means
 * only that; works in mid-stream and needs no partner. Slower: late after 3 s or more, down after 10 s or
 * more probe     on a fresh connection, before the first data byte in either direction: finds out, then is
 * urgent, or in-band if write_beat is given, else acks. Hold your data back until heartbeat_transport() has
 * left HEARTBEAT_PROBE (changed() is called then). Both sides must ask for it
 *
 * All times are CLOCK_MONOTONIC in ns; a negative errno tells errors.
 */
#ifndef VIGIA_HEARTBEAT_HEARTBEAT_H
#define VIGIA_HEARTBEAT_HEARTBEAT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heartbeat/step.h"

struct heartbeat;

/* SYN: no XML document may hold it. */
#define HEARTBEAT_BYTE 0x16

enum heartbeat_transport {
	HEARTBEAT_OFF,
	HEARTBEAT_URGENT,
	HEARTBEAT_IN_BAND,
	HEARTBEAT_ACKS,
	HEARTBEAT_PROBE,
};

struct heartbeat_config {
	enum heartbeat_transport transport;
	/* Watching: between beats. Answering: what the other side said it is, or 0 for "echo, but judge
	 * nothing". */
	int64_t interval_ns;
	unsigned late_beats, down_beats; /* 0: 2 and 6 */
	bool busy_turns_down;		 /* the other side is a daemon that never blocks */
	/* State, reason or transport is different now. May free the heartbeat; nothing touches it after. */
	void (*changed)(struct heartbeat *h, void *owner);
	/* In-band: queue one beat. 0, or negative: asked again at the next interval. */
	int (*write_beat)(struct heartbeat *h, void *owner);
};

/* `config` is copied. -EOPNOTSUPP: urgent is unusable here (data has flowed, not TCP, SO_OOBINLINE):
 * HEARTBEAT_ACKS still works on TCP. -EINVAL: in-band without write_beat, or numbers that make no sense. */
int heartbeat_watch(
    int fd, const struct heartbeat_config *config, void *owner, int64_t now_ns, struct heartbeat **ret_h);
int heartbeat_answer(
    int fd, const struct heartbeat_config *config, void *owner, int64_t now_ns, struct heartbeat **ret_h);
/* Before the descriptor is closed. NULL is fine. */
void heartbeat_free(struct heartbeat *h);

/* Any poll loop: wait for `events` (POLLPRI, POLLIN, POLLOUT; add your own), at most until `next`, then
 * `handle`. Both may be different after every call. A call too early costs nothing; one too late is taken for
 * our own slowness and moves all deadlines. POLLIN is asked for only while probing. */
short heartbeat_events(const struct heartbeat *h);
int64_t heartbeat_next(const struct heartbeat *h);
void heartbeat_handle(struct heartbeat *h, short revents, int64_t now_ns);

/* What only the owner of the stream sees. */
void heartbeat_data(struct heartbeat *h, int64_t now_ns);      /* he read data */
void heartbeat_beat_seen(struct heartbeat *h, int64_t now_ns); /* in-band: a beat arrived */
void heartbeat_left(struct heartbeat *h, int64_t now_ns);      /* the other side said that it leaves */
/* read or write told the end: 0 for end of file, else the errno, negative */
void heartbeat_closed(struct heartbeat *h, int error, int64_t now_ns);

enum step_state heartbeat_state(const struct heartbeat *h);
enum step_reason heartbeat_reason(const struct heartbeat *h);
enum heartbeat_transport heartbeat_transport(const struct heartbeat *h);
const char *heartbeat_transport_name(enum heartbeat_transport t);

struct heartbeat_counts {
	uint32_t sent;	       /* beats, or echoes, that went out */
	uint32_t received;     /* echoes, or beats, that came */
	int64_t round_trip_ns; /* watching: of the last echo; -1 before the first */
};
void heartbeat_counts(const struct heartbeat *h, struct heartbeat_counts *ret_counts);

/* Removes beat bytes, for protocols in which they cannot be data. Returns the length that remains. */
size_t heartbeat_strip(void *buf, size_t len);

/* The probe by itself, for a protocol that lets the dialer say what it found: see probe.h. */

/* A thread that serves any number of sockets, for programs without a loop. It blocks all signals; changed()
 * and write_beat() are called on it, with its lock held. Such a program may read as it likes;
 * heartbeat_data() is welcome but not needed. */
struct heartbeat_thread;
int heartbeat_start_thread(struct heartbeat_thread **ret_thread);
int heartbeat_thread_serve(struct heartbeat_thread *t, struct heartbeat *h);
/* Takes it out again; heartbeat_free() does so by itself. */
void heartbeat_thread_drop(struct heartbeat_thread *t, struct heartbeat *h);
/* Ends and joins it. Not from its own callbacks. What it served goes on unserved. */
void heartbeat_stop_thread(struct heartbeat_thread *t);

#endif
