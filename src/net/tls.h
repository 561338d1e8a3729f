/* SPDX-License-Identifier: Apache-2.0 */
/* TLS between a stream and its descriptor, in memory: bytes that came go in, bytes to be sent come out; no system call here.
 *
 * Steps of the handshake, each with its signatures, are done by a worker; while one is, the stream leaves all of this alone.
 * Everything else is done on the loop.
 */
#ifndef VIGIA_NET_TLS_H
#define VIGIA_NET_TLS_H

#include <openssl/ssl.h>

#include "net/net.h"

struct tls;

/* A step of the handshake is over: 0: more must come first; 1: it was the last; -EPROTO: it failed (tls_why). */
typedef void tls_step_fn(void *owner, int result);

/* alpn: dialling, the one protocol that is wanted; NULL: none is said. */
int tls_new(struct tls **ret, struct net *net, SSL_CTX *context, bool accepting, const char *alpn, tls_step_fn *stepped,
    void *owner);
/* Also while a worker has it. NULL: nothing. */
void tls_free(struct tls *t);
const SSL *tls_ssl(const struct tls *t);
/* For people, what went wrong with it; "" so far. */
const char *tls_why(const struct tls *t);

bool tls_is_open(const struct tls *t); /* the handshake is over, and well */
bool tls_is_busy(const struct tls *t); /* a worker has it, or will */
/* Has a step of the handshake done, with what was put in. */
int tls_step(struct tls *t);

/* What came. -ENOMEM; -EPROTO: more than a handshake may have. */
int tls_put_in(struct tls *t, const void *bytes, size_t n);
/* What it says, up to n bytes. 0: no more now; -EPIPE: its end, said in order; -EPROTO. */
ssize_t tls_read(struct tls *t, char *to, size_t n);
bool tls_has_more(const struct tls *t);

/* Takes bytes to be sent, all of them. */
int tls_write(struct tls *t, const void *bytes, size_t n);
/* The end, said in order. */
void tls_say_end(struct tls *t);
/* What is to be sent: the caller consumes it. */
struct buf *tls_out(struct tls *t);

#endif
