/* SPDX-License-Identifier: Apache-2.0 */
/* Does urgent data survive this path? One urgent byte each way before the first data byte.
 *
 * The dialer sends it right after connect, before any data. The acceptor sends it back if it came as urgent;
 * if it came as plain data it is taken out of the stream and not sent back. The dialer waits for it, a second
 * at most, and says in its first data what it found: the acceptor's finding is only half the path. Uses the
 * caller's memory; no descriptor, no timer of its own. Until it is settled, nobody else reads.
 */
#ifndef VIGIA_HEARTBEAT_PROBE_H
#define VIGIA_HEARTBEAT_PROBE_H

#include <stdbool.h>
#include <stdint.h>

enum probe_result {
	PROBE_PENDING,
	PROBE_URGENT, /* dialer: both ways; acceptor: it came as urgent and was sent back */
	PROBE_PLAIN,  /* dialer: not both ways; acceptor: it came as data (and is out of the stream) */
	PROBE_NONE,   /* acceptor: the first byte is data, this dialer does not probe */
	PROBE_BROKEN, /* the connection ended */
};

struct probe {
	int64_t
	    deadline_ns; /* call probe_handle by then; INT64_MAX: an acceptor waits as long as you let it */
	int fd;
	uint8_t result; /* enum probe_result */
	bool dialer;
	bool agreed; /* acceptor: set it after probe_accept() where every dialer probes: a first byte is his
			then, whatever follows, and he may wait for us to speak */
	bool taken;  /* it came as data, and is out of it */
	bool owes;   /* our byte found no room yet */
	bool marked; /* a mark is known that the reader cannot pass yet */
	bool deaf;   /* data is there: no use in waiting for more of it */
};

/* -EOPNOTSUPP: not TCP, or SO_OOBINLINE is set. The dialer waits max(200 ms, 4 round trips), 1 s at most. */
int probe_dial(struct probe *p, int fd, int64_t now_ns);
int probe_accept(struct probe *p, int fd, int64_t now_ns);

short probe_events(const struct probe *p);
enum probe_result probe_handle(struct probe *p, short revents, int64_t now_ns);

#endif
