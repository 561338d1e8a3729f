/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/request.h"

#include <errno.h>
#include <openssl/x509.h>

#include "identity/refuse.h"

int request_put(struct buf *to, EVP_PKEY *key, struct buf *why)
{
	unsigned char *der = NULL;
	X509_REQ *q = X509_REQ_new();
	int n = q && X509_REQ_set_pubkey(q, key) && X509_REQ_sign(q, key, EVP_sha256()) ? i2d_X509_REQ(q, &der) : -1;
	if (n > 0)
		buf_put(to, der, (size_t)n);
	OPENSSL_free(der);
	X509_REQ_free(q);
	return n > 0 && !to->failed ? 0 : refuse(why, -ENOMEM, "no memory for a request");
}

static int check(X509_REQ *q, struct buf *why)
{
	EVP_PKEY *key = X509_REQ_get0_pubkey(q);
	if (!key || !key_is_ours(key))
		return refuse(why, -EKEYREJECTED, "the request's key is not on the curve P-256");
	if (X509_REQ_get_signature_nid(q) != NID_ecdsa_with_SHA256 || X509_REQ_verify(q, key) != 1)
		return refuse(why, -EKEYREJECTED, "the request is not signed by its own key");
	return 0;
}

int request_read(const void *der, size_t n, EVP_PKEY **ret_key, struct buf *why)
{
	const unsigned char *at = der;
	X509_REQ *q = n && n <= REQUEST_MAX ? d2i_X509_REQ(NULL, &at, (long)n) : NULL;
	int r = q && at == (const unsigned char *)der + n ? check(q, why) : refuse(why, -EBADMSG, "this is no request for a certificate");
	if (!r)
		*ret_key = X509_REQ_get_pubkey(q);
	X509_REQ_free(q);
	return r;
}
