/* SPDX-License-Identifier: Apache-2.0 */
/* TLS as Vigia speaks it (decision 0017): version 1.3, both sides with certificates, a protocol by ALPN or nothing, no tickets, no early
 * data, no session that is taken up again. Each handshake looks at certificate, time and revocation list anew.
 *
 * A context stays as it was made but for what it believes, which is always the newest; a connection may outlive it.
 * After a handshake: first the protocol. Over vigia-join the other side has shown nothing yet; over the others context_peer() says who
 * it is, and from the certificate alone. */
#ifndef VIGIA_IDENTITY_CONTEXT_H
#define VIGIA_IDENTITY_CONTEXT_H

#include <openssl/ssl.h>

#include "identity/belief.h"

enum context_protocol {
	PROTOCOL_NONE,	 /* the handshake is not over */
	PROTOCOL_HMON,	 /* "hmon" */
	PROTOCOL_FRAMES, /* "vigia-frames" */
	PROTOCOL_JOIN,	 /* "vigia-join" */
};

enum { CONTEXT_SHOWN_MAX = 8192 /* bytes of certificates that the other side may show */ };

enum context_kind { CONTEXT_ACCEPT, CONTEXT_DIAL_HMON, CONTEXT_DIAL_FRAMES, CONTEXTS };

struct context_papers {
	X509 *certificate, *issuer, *succession;
	EVP_PKEY *key;
};

/* Borrowed but for what they are made of; a context has its own references.
 * issuer: the authority's certificate that signed this one, shown to newcomers, who know nothing but its fingerprint; succession: as
 * trust_succession(). */
int context_new(enum context_kind kind, struct belief *b, const struct context_papers *papers, SSL_CTX **ret, struct buf *why);
/* A newcomer's, who has a token: for vigia-join, and only to a master of the authority with this fingerprint. now_s NULL: the wall
 * clock. */
int context_new_join(const uint8_t fingerprint[FINGERPRINT_BYTES], belief_clock_fn *now_s, SSL_CTX **ret, struct buf *why);

enum context_protocol context_protocol(const SSL *ssl);
/* -ENOENT: it has shown no certificate. */
int context_peer(const SSL *ssl, struct certificate *ret, struct buf *why);
/* Why the other side's certificate was refused, or NULL. A stranger's name may be in it, but nothing that is no letter, digit, . @ or -.
 * Borrowed. */
const char *context_refusal(const SSL *ssl);

#endif
