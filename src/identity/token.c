/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/token.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/base64.h"
#include "identity/refuse.h"

#define MARK "vigia1."

enum { MARK_LENGTH = sizeof MARK - 1, UNTIL = 8, SUM = 4, FIXED = FINGERPRINT_BYTES + TOKEN_SECRET + UNTIL + SUM };
enum { BYTES_MAX = FIXED + TOKEN_MASTERS };

void token_clear(struct token *t)
{
	OPENSSL_cleanse(t, sizeof *t);
}

static bool masters_are_good(const char *masters, size_t n)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-_%[],";
	return n && n <= TOKEN_MASTERS && strspn(masters, good) == n && masters[0] != ',' && masters[n - 1] != ',' && !strstr(masters, ",,");
}

static bool sum_of(const uint8_t *bytes, size_t n, uint8_t ret[SUM])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	if (EVP_Digest(bytes, n, digest, NULL, EVP_sha256(), NULL) != 1)
		return false;
	memcpy(ret, digest, SUM);
	return true;
}

/* --- bytes --- */

static size_t to_bytes(const struct token *t, uint8_t to[BYTES_MAX])
{
	size_t n = strlen(t->masters);
	uint8_t *at = to;
	memcpy(at, t->authority, FINGERPRINT_BYTES), at += FINGERPRINT_BYTES;
	memcpy(at, t->secret, TOKEN_SECRET), at += TOKEN_SECRET;
	for (int i = UNTIL; i-- > 0;)
		*at++ = (uint8_t)((uint64_t)t->until_s >> 8 * i);
	memcpy(at, t->masters, n), at += n;
	return sum_of(to, (size_t)(at - to), at) ? (size_t)(at - to) + SUM : 0;
}

static bool from_bytes(const uint8_t *bytes, size_t size, struct token *t)
{
	uint8_t sum[SUM];
	uint64_t until = 0;
	size_t n = size - FIXED;
	if (size <= FIXED || size > BYTES_MAX || !sum_of(bytes, size - SUM, sum) || memcmp(sum, bytes + size - SUM, SUM))
		return false;
	memcpy(t->authority, bytes, FINGERPRINT_BYTES), bytes += FINGERPRINT_BYTES;
	memcpy(t->secret, bytes, TOKEN_SECRET), bytes += TOKEN_SECRET;
	for (int i = 0; i < UNTIL; i++)
		until = until << 8 | *bytes++;
	t->until_s = (int64_t)until;
	memcpy(t->masters, bytes, n);
	t->masters[n] = '\0';
	return until <= INT64_MAX && masters_are_good(t->masters, n);
}

/* --- text --- */

/* The other alphabet of RFC 4648, without padding. */
static void to_url(char *text, size_t *n)
{
	for (; *n && text[*n - 1] == '='; --*n)
		;
	for (size_t i = 0; i < *n; i++)
		text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
}

static bool from_url(const char *text, size_t n, char to[TOKEN_TEXT_MAX], size_t *ret_n)
{
	if (memchr(text, '+', n) || memchr(text, '/', n) || memchr(text, '=', n))
		return false;
	for (size_t i = 0; i < n; i++)
		to[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
	while (n % 4)
		to[n++] = '=';
	*ret_n = n;
	return true;
}

int token_put(struct buf *to, const struct token *t, struct buf *why)
{
	uint8_t bytes[BYTES_MAX];
	struct buf text = BUF_INIT;
	if (t->until_s < 0 || !masters_are_good(t->masters, strlen(t->masters)))
		return refuse(why, -EINVAL, "a token says where masters are, as HOST[:PORT] and commas between, in %d bytes", TOKEN_MASTERS);
	size_t size = to_bytes(t, bytes), n;
	base64_put(&text, bytes, size);
	n = text.len;
	if (size && !text.failed) {
		to_url(text.data, &n);
		buf_puts(to, MARK);
		buf_put(to, text.data, n);
	}
	bool good = size && !text.failed && !to->failed;
	OPENSSL_cleanse(bytes, sizeof bytes);
	if (text.data)
		OPENSSL_cleanse(text.data, text.size);
	buf_release(&text);
	return good ? 0 : refuse(why, -ENOMEM, "no memory for a token");
}

int token_read(const char *text, size_t n, struct token *ret, struct buf *why)
{
	char plain[TOKEN_TEXT_MAX + 4];
	uint8_t bytes[BASE64_BYTES(TOKEN_TEXT_MAX + 4)];
	struct token t = {.until_s = 0};
	size_t plain_n, size;
	if (n <= MARK_LENGTH || memcmp(text, MARK, MARK_LENGTH))
		return refuse(why, -EBADMSG, "this is no token: one begins with %s", MARK);
	bool good = n <= TOKEN_TEXT_MAX && from_url(text + MARK_LENGTH, n - MARK_LENGTH, plain, &plain_n) &&
	    !base64_decode(plain, plain_n, bytes, &size) && from_bytes(bytes, size, &t);
	if (good)
		*ret = t;
	token_clear(&t);
	OPENSSL_cleanse(plain, sizeof plain);
	OPENSSL_cleanse(bytes, sizeof bytes);
	return good ? 0 : refuse(why, -EBADMSG, "this is no whole token: copy all of its one line");
}
