/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/tokens.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "identity/refuse.h"
#include "os/secret.h"

#define FILE_NAME "tokens"

enum { FILE_MAX = TOKENS_MAX * 160 };

struct entry {
	char hash[SHA256_HEX_SIZE];
	int64_t until_s;
	unsigned roles;
};

struct tokens {
	const struct vault *vault;
	struct entry entries[TOKENS_MAX];
	size_t n;
};

/* A clock that was put back gives nobody more time. */
static bool counts(const struct entry *e, int64_t now_s)
{
	return now_s < e->until_s && e->until_s <= now_s + TOKENS_LIFE_S;
}

size_t tokens_open_n(const struct tokens *t, int64_t now_s)
{
	size_t n = 0;
	for (size_t i = 0; i < t->n; i++)
		n += counts(&t->entries[i], now_s);
	return n;
}

/* --- the file --- */

static void put(struct buf *to, const struct entry *e)
{
	char roles[CERTIFICATE_ROLES];
	certificate_roles_format(e->roles, roles);
	buf_putf(to, "%s %" PRId64 " %s\n", e->hash, e->until_s, roles);
}

static bool take_line(struct tokens *t, const char *line, size_t n)
{
	char roles[CERTIFICATE_ROLES];
	struct entry e;
	struct buf copy = BUF_INIT, again = BUF_INIT;
	buf_put(&copy, line, n);
	bool good = t->n < TOKENS_MAX && sscanf(buf_str(&copy), "%64[0-9a-f] %" SCNd64 " %63s", e.hash, &e.until_s, roles) == 3 &&
	    strlen(e.hash) == SHA256_HEX_SIZE - 1 && !certificate_roles_parse(roles, &e.roles);
	if (good) {
		put(&again, &e);
		good = again.len == n && !memcmp(again.data, line, n);
	}
	if (good)
		t->entries[t->n++] = e;
	buf_release(&copy);
	buf_release(&again);
	return good;
}

static int take_lines(struct tokens *t, const struct buf *text, struct buf *why)
{
	const char *at = text->data, *end = text->data + text->len;
	for (size_t line = 1; at < end; line++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		if (!stop || !take_line(t, at, (size_t)(stop - at) + 1))
			return refuse(why, -EBADMSG, "%s/%s:%zu: is no line of a token", vault_path(t->vault), FILE_NAME, line);
		at = stop + 1;
	}
	return 0;
}

int tokens_open(struct tokens **ret, const struct vault *v, struct buf *why)
{
	struct buf text = BUF_INIT;
	struct tokens *t = calloc(1, sizeof *t);
	if (!t)
		return refuse(why, -ENOMEM, "no memory for tokens");
	t->vault = v;
	int r = vault_has(v, FILE_NAME) ? vault_read(v, FILE_NAME, VAULT_SECRET, FILE_MAX, &text, why) : 0;
	if (!r)
		r = take_lines(t, &text, why);
	buf_release(&text);
	if (r)
		tokens_close(t);
	else
		*ret = t;
	return r;
}

void tokens_close(struct tokens *t)
{
	free(t);
}

static int write_all(const struct tokens *t, struct buf *why)
{
	struct buf text = BUF_INIT;
	for (size_t i = 0; i < t->n; i++)
		put(&text, &t->entries[i]);
	int r = text.failed ? refuse(why, -ENOMEM, "no memory for tokens") : vault_write(t->vault, FILE_NAME, text.data, text.len, why);
	buf_release(&text);
	return r;
}

/* --- giving out, taking --- */

static void drop_old(struct tokens *t, int64_t now_s)
{
	size_t kept = 0;
	for (size_t i = 0; i < t->n; i++)
		if (counts(&t->entries[i], now_s))
			t->entries[kept++] = t->entries[i];
	t->n = kept;
}

int tokens_issue(struct tokens *t, unsigned roles, int64_t now_s, struct token *ret, struct buf *why)
{
	uint8_t secret[TOKEN_SECRET];
	if (!roles || roles & ~(unsigned)CERTIFIED_HOST)
		return refuse(why, -EINVAL, "a token is for a node, a master, or both");
	drop_old(t, now_s);
	if (t->n == TOKENS_MAX)
		return refuse(why, -EAGAIN, "%d tokens are waiting to be used", TOKENS_MAX);
	struct entry *e = &t->entries[t->n];
	*e = (struct entry){.until_s = now_s + TOKENS_LIFE_S, .roles = roles};
	if (RAND_priv_bytes(secret, sizeof secret) != 1 || sha256_hex(secret, sizeof secret, e->hash))
		return refuse(why, -EIO, "no random numbers for a token");
	t->n++;
	int r = write_all(t, why);
	if (r) {
		t->n--;
	} else {
		memcpy(ret->secret, secret, sizeof secret);
		ret->until_s = e->until_s;
	}
	OPENSSL_cleanse(secret, sizeof secret);
	return r;
}

/* Looks at each, found or not. */
static size_t find(const struct tokens *t, const char *hash)
{
	size_t found = t->n;
	for (size_t i = 0; i < t->n; i++)
		if (secret_equal(t->entries[i].hash, hash))
			found = i;
	return found;
}

int tokens_take(struct tokens *t, const uint8_t secret[TOKEN_SECRET], int64_t now_s, unsigned *ret_roles, struct buf *why)
{
	char hash[SHA256_HEX_SIZE];
	if (sha256_hex(secret, TOKEN_SECRET, hash))
		return refuse(why, -ENOMEM, "no memory for a token");
	size_t i = find(t, hash);
	if (i == t->n)
		return refuse(why, -EKEYREJECTED, "no such token was given out here, or it was used");
	struct entry e = t->entries[i];
	t->entries[i] = t->entries[--t->n];
	int r = write_all(t, why);
	/* Not written, it may be there again after the next start: so it was not taken. */
	if (r)
		t->entries[t->n++] = e;
	else if (!counts(&e, now_s))
		r = refuse(why, -EKEYEXPIRED, "the token is over: it is good for %d minutes", TOKENS_LIFE_S / 60);
	else
		*ret_roles = e.roles;
	return r;
}
