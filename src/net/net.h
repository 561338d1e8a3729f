/* SPDX-License-Identifier: Apache-2.0 */
/* Streams on the loop: bytes in as they come, bytes out once a turn.
 *
 * One descriptor a connection, polled for data and urgent data alike (uv_tcp can't do the latter). What one turn of
 * the loop puts into a stream's output leaves in one write at its end. Closing is deferred likewise: after
 * stream_close() no callback comes any more and the memory goes later, so it may be called from anywhere.
 */
#ifndef VIGIA_NET_NET_H
#define VIGIA_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <uv.h>

#include "base/buf.h"

struct stream;
struct tls;
struct ssl_ctx_st;
struct ssl_st;

struct net {
	uv_loop_t *loop;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t busy; /* on while there is output that the loop must not sleep over */
	struct stream *dirty; /* have output since the last turn */
	void (*before_output)(void *data); /* what must be done before a turn's output leaves; NULL: nothing */
	void *before_data;
	void (*descriptors)(void *data, bool few); /* a listener waits for some, or waits no more; NULL: nobody hears of it */
	void *descriptors_data;
	struct buf spare; /* output's memory, large, until a stream wants it */
	struct tls *handshakes, **handshakes_end; /* that wait for a worker */
	unsigned handshakes_n;			  /* that workers have */
	char read_buffer[65536];
};

/* The loop must outlive it; net_stop before the loop can end. */
int net_start(struct net *net, uv_loop_t *loop);
void net_stop(struct net *net);
/* Writes out now what waits for the end of the turn. */
void net_flush(struct net *net);

/* --- streams --- */

struct stream_events {
	void (*data)(void *owner, char *bytes, size_t n); /* may change the bytes */
	void (*urgent)(void *owner);			  /* urgent data waits; may be NULL */
	void (*drained)(void *owner);			  /* all output is with the kernel; may be NULL */
	void (*closed)(void *owner, int error);		  /* 0: the peer's FIN; else -errno. The stream is closed */
	void (*below)(void *owner);			  /* as stream_tell_below() asked; may be NULL */
	void (*secured)(void *owner);			  /* the handshake is over, and well; may be NULL */
};

/* Takes fd (non-blocking is set here) on success. 0 or -errno. */
int stream_new(struct stream **ret, struct net *net, int fd, const struct stream_events *events, void *owner);
/* TLS from now on, before anything was read: what is put waits until the handshake is over, whose signatures workers make. The
 * context (of OpenSSL, referenced) says who is believed and which protocols there are; alpn: the one that is wanted, by who
 * dials. A handshake that fails, or a stream that is cut without TLS's own end, is `closed` with -EPROTO or -ECONNRESET.
 * Urgent data is never wanted on it. Whoever wants a time limit for the handshake closes the stream. */
int stream_secure(struct stream *s, struct ssl_ctx_st *context, bool accepting, const char *alpn);
/* For what OpenSSL can tell of it. NULL: it is plain, or a worker has it now. */
const struct ssl_st *stream_ssl(const struct stream *s);
/* A step of its handshake waits for our workers, or is done by one: what takes so long is not the other side. */
bool stream_is_shaking(const struct stream *s);
/* What TLS has to say of its end, for people, within `closed`; "" when nothing. */
const char *stream_why(const struct stream *s);
/* Where output is put; it leaves at the end of the turn. Valid until the next call of any stream function. */
struct buf *stream_out(struct stream *s);
size_t stream_pending(const struct stream *s);
/* Once at the end of a turn, when no more than `mark` bytes are pending, `below` is called; the last mark counts. */
void stream_tell_below(struct stream *s, size_t mark);
/* Gives the kernel now what it takes, without callbacks. */
void stream_push(struct stream *s);
/* `drained` at the end of this turn, or once what waits has left, though nothing may have been put. */
void stream_want_drained(struct stream *s);
void stream_want_urgent(struct stream *s, bool want);
/* Reading can be held back while a peer must wait. */
void stream_pause(struct stream *s, bool paused);
/* Nothing more is put: when all is with the kernel the peer is shown the end. Reading goes on until the peer's. */
void stream_end(struct stream *s);
/* Nothing more is read; what is put reaches the peer before the end does, or 1 s is over. */
void stream_finish(struct stream *s);
void stream_close(struct stream *s);
/* From now on it is this owner's, and its events come to him: those of the one before are over, also within one of them. Urgent
 * data is nobody's until he wants it. */
void stream_give(struct stream *s, const struct stream_events *events, void *owner);
int stream_fd(const struct stream *s);

/* --- listening --- */

struct listener;
typedef void listener_fn(void *data, int fd); /* takes fd */

/* HOST is a numeric address. */
int listener_tcp(struct listener **ret, struct net *net, const char *host, int port, listener_fn *fn, void *data);
/* Mode 0666: who may do what is decided by the peer's uid. An old socket there is replaced. */
int listener_unix(struct listener **ret, struct net *net, const char *path, listener_fn *fn, void *data);
int listener_port(const struct listener *l);
void listener_close(struct listener *l);

/* --- dialling --- */

struct dial;
typedef void dial_fn(void *data, int fd); /* takes fd; or -errno */

/* HOST:PORT, names are resolved off the loop, each address of a name is tried, so long (0: 5 s). fn is called once, later, unless dial_cancel came first. */
int dial_tcp(struct dial **ret, struct net *net, const char *address, int64_t patience_ms, dial_fn *fn, void *data);
void dial_cancel(struct dial *d);

#endif
