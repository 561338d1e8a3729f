/* SPDX-License-Identifier: Apache-2.0 */
/* Asking for a certificate (PKCS#10, DER). It shows that who asks has the key, and nothing else is taken from it: name, roles and life
 * are the authority's to say. The private key stays where it was made. */
#ifndef VIGIA_IDENTITY_REQUEST_H
#define VIGIA_IDENTITY_REQUEST_H

#include "identity/key.h"

enum { REQUEST_MAX = 4096 };

int request_put(struct buf *to, EVP_PKEY *key, struct buf *why);
/* A public key, the caller's to free. -EBADMSG: these n bytes are not just one request; -EKEYREJECTED: its key is none of ours, or it is
 * not signed by that. */
int request_read(const void *der, size_t n, EVP_PKEY **ret_key, struct buf *why);

#endif
