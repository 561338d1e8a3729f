/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys: P-256, and nothing else.
 *
 * They lie in a file of mode 0600 (PKCS#8, PEM, in the one form that openssl genpkey writes, too) and in memory that no core dump has:
 * OpenSSL's secure heap, once key_keep_from_dumps() was called. Nothing here prints one or gives one away.
 */
#ifndef VIGIA_IDENTITY_KEY_H
#define VIGIA_IDENTITY_KEY_H

#include <openssl/evp.h>
#include <stdint.h>

#include "identity/vault.h"

enum {
	FINGERPRINT_BYTES = 32,
	CLUSTER_TEXT = 33, /* the first 32 hexadecimal digits of a fingerprint, and the end */
	KEY_CONNECTION = 32,
};

/* Once in a process, before its first key, and before a sandbox forbids mlock(2) and madvise(2). connections: as many TLS connections as
 * there may be at once, since OpenSSL keeps a key of each in the same heap (KEY_CONNECTION bytes), and none begins when it is full.
 * 1: private keys are neither dumped nor swapped; 0: not dumped, but maybe swapped (RLIMIT_MEMLOCK); -ENOMEM: neither. */
int key_keep_from_dumps(size_t connections);

int key_new(EVP_PKEY **ret, struct buf *why);
/* -EBADMSG: it is no P-256 key. */
int key_load(const struct vault *v, const char *name, EVP_PKEY **ret, struct buf *why);
int key_save(const struct vault *v, const char *name, EVP_PKEY *key, struct buf *why);

/* A key is replaced in two steps: the new one waits as NAME.next until what belongs to it is on disk. */
int key_save_next(const struct vault *v, const char *name, EVP_PKEY *key, struct buf *why);
/* -ENOENT: none waits. */
int key_load_next(const struct vault *v, const char *name, EVP_PKEY **ret, struct buf *why);
/* That of the two which belongs to this public key. If it is the one that waits, it has its place now, which finishes what a crash cut
 * off. -EKEYREJECTED: neither does. */
int key_load_for(const struct vault *v, const char *name, EVP_PKEY *public_key, EVP_PKEY **ret, struct buf *why);

/* A public key of somebody's: on the curve P-256, by its name, and its point in full: a key has one form. */
bool key_is_ours(EVP_PKEY *key);
/* SHA-256 of the public key (SubjectPublicKeyInfo, DER). 0 or -ENOMEM. */
int key_fingerprint(EVP_PKEY *key, uint8_t ret[FINGERPRINT_BYTES]);
void key_cluster(const uint8_t fingerprint[FINGERPRINT_BYTES], char ret[CLUSTER_TEXT]);

#endif
