/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's word on the other host (TCP_INFO), and the keepalive probes that make it speak.
 *
 * A host acknowledges only what it is sent. While one beat is unanswered no other is sent, so keepalive asks
 * in its place, once a second, and with a count (127) that cannot end a connection in anybody's time.
 */
#ifndef VIGIA_HEARTBEAT_WITNESS_H
#define VIGIA_HEARTBEAT_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

struct witness {
	int64_t at_ns;	   /* the host was last heard of */
	bool all_acked;	   /* nothing is on its way */
	bool owes_nothing; /* it takes in no more and no question of ours is open: silence is no sign */
	bool ended;	   /* FIN or RST came, or the kernel gave up */
	bool gave_up;	   /* the latter */
	bool virgin;	   /* no data byte was sent, and no more than one received */
	uint32_t acked;	   /* bytes acknowledged, modulo 2^32 */
	int64_t rtt_ns;
};

/* -EOPNOTSUPP: not TCP. */
int witness_look(int fd, int64_t now_ns, struct witness *ret_w);

struct witness_keepalive {
	int on, idle, interval, count;
};
/* Remembers the owner's settings and sets ours; the other puts them back. */
void witness_ask(int fd, struct witness_keepalive *ret_before);
void witness_rest(int fd, const struct witness_keepalive *before);

#endif
