/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/order.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "identity/refuse.h"
#include "proto/frame.h"

#define MARK "vigia order 1\n"

enum { VERSION = 1, FIXED = 1 + 8 + ORDER_NONCE + 1 };

/* --- what is signed --- */

static void put_number(struct buf *to, uint64_t n, int bytes)
{
	for (int i = bytes; i-- > 0;)
		buf_putc(to, (char)(n >> 8 * i));
}

static void put_text(struct buf *to, const char *text, size_t n)
{
	put_number(to, n, 4);
	buf_put(to, text, n);
}

static void put_value(struct buf *to, const struct msg_field *f)
{
	char number[24];
	struct buf text = BUF_INIT;
	snprintf(number, sizeof number, "%lld", (long long)f->number);
	if (f->type == MSG_BYTES)
		base64_put(&text, f->bytes, f->n);
	else if (f->type == MSG_TEXT)
		buf_put(&text, f->text, f->n);
	else
		buf_puts(&text, f->type == MSG_INT ? number : f->number ? "yes" : "no");
	to->failed |= text.failed;
	put_text(to, text.data, text.len);
	buf_release(&text);
}

static bool is_envelope(const char *name)
{
	return !strcmp(name, "id") || !strcmp(name, "at") || !strcmp(name, "signed");
}

static int by_name(const void *a, const void *b)
{
	const struct msg_field *const *f = a, *const *g = b;
	return strcmp((*f)->name, (*g)->name);
}

/* More than a message can have are not signed. */
static void put_fields(struct buf *to, const struct msg *m)
{
	const struct msg_field *fields[FRAME_FIELDS_MAX];
	size_t n = 0;
	for (const struct msg_field *f = m->fields; f; f = f->next) {
		if (is_envelope(f->name))
			continue;
		if (n == FRAME_FIELDS_MAX) {
			to->failed = true;
			return;
		}
		fields[n++] = f;
	}
	qsort(fields, n, sizeof *fields, by_name);
	put_number(to, n, 4);
	for (size_t i = 0; i < n; i++) {
		put_text(to, fields[i]->name, strlen(fields[i]->name));
		put_value(to, fields[i]);
	}
}

/* As deep as frames go. */
static void put_query(struct buf *to, const struct msg *m)
{
	unsigned children = 0;
	put_text(to, m->name, strlen(m->name));
	put_fields(to, m);
	put_text(to, m->text, strlen(m->text));
	for (const struct msg *k = m->children; k; k = k->next)
		children++;
	put_number(to, children, 4);
	for (const struct msg *k = m->children; k; k = k->next)
		put_query(to, k);
}

static int put_signed(struct buf *to, const struct order *o, const struct msg *query, const struct order_audience *a, struct buf *why)
{
	buf_puts(to, MARK);
	buf_put(to, a->host.bytes, sizeof a->host.bytes);
	put_number(to, a->life, 8);
	buf_put(to, o->nonce, ORDER_NONCE);
	put_number(to, (uint64_t)o->until_s, 8);
	put_query(to, query);
	return to->failed ? refuse(why, -ENOMEM, "no memory to sign a query, or more fields than a query has") : 0;
}

/* --- signing --- */

static int sign(const struct buf *what, EVP_PKEY *key, uint8_t to[ORDER_SIGNATURE_MAX], size_t *ret_n, struct buf *why)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	*ret_n = ORDER_SIGNATURE_MAX;
	bool ok = c && EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
	          EVP_DigestSign(c, to, ret_n, (const uint8_t *)what->data, what->len) == 1;
	EVP_MD_CTX_free(c);
	return ok ? 0 : refuse(why, -ENOMEM, "the query can't be signed");
}

int order_put(struct buf *to, const struct msg *query, const struct order_audience *audience, int64_t now_s, EVP_PKEY *key, X509 *certificate,
    struct buf *why)
{
	struct order o = {.until_s = now_s + ORDER_LIFE_S};
	uint8_t signature[ORDER_SIGNATURE_MAX];
	struct buf what = BUF_INIT;
	int r = RAND_bytes(o.nonce, ORDER_NONCE) == 1 ? put_signed(&what, &o, query, audience, why) : refuse(why, -EIO, "no random numbers");
	if (!r)
		r = sign(&what, key, signature, &o.signature_n, why);
	buf_release(&what);
	if (r)
		return r;
	put_number(to, VERSION, 1);
	put_number(to, (uint64_t)o.until_s, 8);
	buf_put(to, o.nonce, ORDER_NONCE);
	put_number(to, o.signature_n, 1);
	buf_put(to, signature, o.signature_n);
	return certificate_put(to, certificate, why);
}

/* --- reading and checking --- */

int order_read(const void *bytes, size_t n, struct order *ret, struct buf *why)
{
	const uint8_t *at = bytes;
	struct order o = {0};
	uint64_t until = 0;
	if (n < FIXED || n > ORDER_MAX || *at++ != VERSION)
		return refuse(why, -EBADMSG, "this is no signed order");
	for (int i = 0; i < 8; i++)
		until = until << 8 | *at++;
	memcpy(o.nonce, at, ORDER_NONCE), at += ORDER_NONCE;
	o.until_s = (int64_t)until;
	o.signature_n = *at++;
	if (until > INT64_MAX || !o.signature_n || o.signature_n > ORDER_SIGNATURE_MAX || n <= FIXED + o.signature_n)
		return refuse(why, -EBADMSG, "this is no signed order");
	o.signature = at;
	o.certificate = at + o.signature_n;
	o.certificate_n = n - FIXED - o.signature_n;
	*ret = o;
	return 0;
}

static int check_time(const struct order *o, int64_t now_s, struct buf *why)
{
	if (o->until_s < now_s)
		return refuse(why, -EKEYEXPIRED, "the order was good until %lld s ago: it was signed more than %d s ago, or a clock is wrong",
		    (long long)(now_s - o->until_s), ORDER_LIFE_S);
	if (o->until_s - now_s > ORDER_LIFE_S + ORDER_SKEW_S)
		return refuse(why, -EKEYEXPIRED, "the order is of %lld s ahead: a clock is wrong", (long long)(o->until_s - now_s - ORDER_LIFE_S));
	return 0;
}

int order_check(const struct order *o, const struct msg *query, const struct order_audience *audience, int64_t now_s, EVP_PKEY *key,
    struct buf *why)
{
	struct buf what = BUF_INIT;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	int r = check_time(o, now_s, why);
	if (!r)
		r = c ? put_signed(&what, o, query, audience, why) : refuse(why, -ENOMEM, "no memory to check an order");
	if (!r && (EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key) != 1 ||
		      EVP_DigestVerify(c, o->signature, o->signature_n, (const uint8_t *)what.data, what.len) != 1))
		r = refuse(why, -EKEYREJECTED, "the order is signed for another query, another host, or another life of its daemon");
	EVP_MD_CTX_free(c);
	buf_release(&what);
	return r;
}

/* --- whose --- */

static bool realm_is_good(const char *realm)
{
	size_t n = strspn(realm, "abcdefghijklmnopqrstuvwxyz0123456789.-");
	return n && n < ORDER_REALM && !realm[n];
}

int order_name(char ret[CERTIFICATE_NAME], uid_t uid, const char *realm)
{
	if (!uid || uid == (uid_t)-1 || !realm_is_good(realm))
		return -EINVAL;
	snprintf(ret, CERTIFICATE_NAME, "uid.%u@%s", (unsigned)uid, realm);
	return 0;
}

int order_user(const char *name, uid_t *ret_uid, char ret_realm[ORDER_REALM])
{
	char again[CERTIFICATE_NAME];
	const char *at = strchr(name, '@');
	int64_t uid;
	if (strncmp(name, "uid.", 4) || !at || at - name > 16)
		return -EINVAL;
	snprintf(again, sizeof again, "%.*s", (int)(at - name) - 4, name + 4);
	if (msg_parse_int(again, &uid) || uid <= 0 || uid >= UINT32_MAX || order_name(again, (uid_t)uid, at + 1) || strcmp(again, name))
		return -EINVAL;
	*ret_uid = (uid_t)uid;
	strcpy(ret_realm, at + 1);
	return 0;
}
