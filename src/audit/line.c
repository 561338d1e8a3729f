/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/line.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "os/secret.h"
#include "os/utf8.h"

static const int64_t SECOND = 1000000000;
enum { WORD_MAX = 100 };
_Static_assert((int)AUDIT_HASH == (int)SHA256_HEX_SIZE, "a hash is a SHA-256 in hexadecimal");

/* --- putting --- */

/* The next character as it stands within quotes; how many bytes. */
static size_t quoted(char to[UTF8_ESCAPED], const char **from, const char *end)
{
	if (**from != '"')
		return utf8_escape(to, from, end);
	memcpy(to, "\\\"", 2);
	(*from)++;
	return 2;
}

static void put_value(struct buf *to, const char *value, size_t n)
{
	char piece[UTF8_ESCAPED];
	size_t from = to->len;
	for (const char *at = value, *end = value + n; at < end;) {
		size_t k = quoted(piece, &at, end);
		if (to->len - from + k > AUDIT_VALUE_MAX) {
			buf_puts(to, "...");
			return;
		}
		buf_put(to, piece, k);
	}
}

void audit_put_arg(struct buf *args, const char *name, const char *value, size_t n)
{
	if (args->len > AUDIT_ARGS_MAX - 2 * AUDIT_VALUE_MAX - 24) {
		if (args->len && args->data[args->len - 1] == '"')
			buf_puts(args, " ...");
		return;
	}
	buf_puts(args, args->len ? " " : "");
	put_value(args, name, strcspn(name, " =\""));
	buf_puts(args, "=\"");
	put_value(args, value, n);
	buf_puts(args, "\"");
}

void audit_put_time(struct buf *to, int64_t time_ns)
{
	char s[64];
	struct tm tm;
	time_t t = (time_t)(time_ns / SECOND);
	gmtime_r(&t, &tm);
	strftime(s, sizeof s, "%Y-%m-%dT%H:%M:%S", &tm);
	buf_putf(to, "%s.%09dZ", s, (int)(time_ns % SECOND));
}

static void put_word(struct buf *to, const char *word)
{
	size_t n = strlen(word);
	if (!n)
		buf_putc(to, '-');
	for (size_t i = 0; i < n && i < WORD_MAX; i++)
		buf_putc(to, word[i] > ' ' && word[i] < 0x7f ? word[i] : '?');
	buf_putc(to, ' ');
}

static void put_number(struct buf *to, uint32_t n, bool known)
{
	if (known)
		buf_putf(to, "%" PRIu32 " ", n);
	else
		buf_puts(to, "- ");
}

/* A result has no colon of its own. */
static void put_result(struct buf *to, const struct audit_record *r)
{
	put_word(to, r->result);
	if (!*r->code || to->failed)
		return;
	to->data[to->len - 1] = ':';
	put_word(to, r->code);
}

void audit_put_record(struct buf *to, const struct audit_record *r)
{
	audit_put_time(to, r->time_ns);
	buf_putc(to, ' ');
	put_number(to, r->uid, r->uid != AUDIT_NOBODY);
	put_number(to, r->pid, r->pid);
	put_word(to, r->host);
	put_word(to, r->how);
	put_word(to, r->address);
	put_word(to, r->what);
	put_result(to, r);
	buf_puts(to, r->args);
	if (!*r->args && !to->failed)
		to->len--;
}

void audit_put_anchor(struct buf *to, const struct audit_anchor *a)
{
	buf_putf(to, "anchor 1 %" PRIu64 " ", a->sequence);
	audit_put_time(to, a->time_ns);
	buf_putf(to, " %s %s %s", a->host, a->before, a->previous);
}

/* --- getting --- */

static bool is_hex(const char *s, size_t n)
{
	return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

/* Digits without zeros in front. */
static int get_number(const char *s, uint64_t most, uint64_t *ret)
{
	uint64_t n = 0;
	if (!*s || (s[0] == '0' && s[1]))
		return -EINVAL;
	for (; *s; s++) {
		unsigned digit = (unsigned)(*s - '0');
		if (digit > 9 || n > (most - digit) / 10)
			return -EINVAL;
		n = n * 10 + digit;
	}
	*ret = n;
	return 0;
}

static int get_known(const char *s, uint32_t unknown, uint32_t *ret)
{
	uint64_t n = unknown;
	if (strcmp(s, "-") && (get_number(s, UINT32_MAX, &n) || n == unknown))
		return -EINVAL;
	*ret = (uint32_t)n;
	return 0;
}

static bool is_as_put(const char *s, int64_t time_ns)
{
	struct buf again = BUF_INIT;
	audit_put_time(&again, time_ns);
	bool same = !strcmp(buf_str(&again), s);
	buf_release(&again);
	return same;
}

static int get_time(const char *s, int64_t *ret)
{
	struct tm tm = {0};
	uint64_t ns = 0;
	const char *dot = strchr(s, '.'), *after = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!after || after != dot || strlen(dot) != 11 || strspn(dot + 1, "0123456789") != 9)
		return -EINVAL;
	for (int i = 1; i <= 9; i++)
		ns = ns * 10 + (unsigned)(dot[i] - '0');
	int64_t seconds = timegm(&tm);
	if (seconds < 0 || seconds > INT64_MAX / SECOND - 1 || !is_as_put(s, seconds * SECOND + (int64_t)ns))
		return -EINVAL;
	*ret = seconds * SECOND + (int64_t)ns;
	return 0;
}

static char *take_word(char **rest)
{
	char *word = *rest ? strsep(rest, " ") : NULL;
	return word ? word : (char *)"";
}

static int get_word(char **rest, const char **ret)
{
	char *word = take_word(rest);
	for (const char *s = word; *s; s++)
		if (*s <= ' ' || *s >= 0x7f)
			return -EINVAL;
	if (!*word || strlen(word) > WORD_MAX)
		return -EINVAL;
	*ret = strcmp(word, "-") ? word : "";
	return 0;
}

static int get_result(char **rest, struct audit_record *ret)
{
	char *word = take_word(rest), *colon = strchr(word, ':'), *code = NULL;
	if (colon) {
		*colon = '\0';
		code = colon + 1;
	}
	ret->code = "";
	return get_word(&word, &ret->result) || (colon && (get_word(&code, &ret->code) || !*ret->code)) ? -EINVAL : 0;
}

/* The last word is the hash. */
static int get_hash(char *line, const char **ret)
{
	char *space = strrchr(line, ' ');
	if (!space || !is_hex(space + 1, AUDIT_HASH - 1))
		return -EINVAL;
	*space = '\0';
	*ret = space + 1;
	return 0;
}

static int get_who(char **rest, struct audit_record *r)
{
	return get_known(take_word(rest), AUDIT_NOBODY, &r->uid) || get_known(take_word(rest), 0, &r->pid) ||
	    get_word(rest, &r->host) || get_word(rest, &r->how) || get_word(rest, &r->address) ? -EINVAL : 0;
}

int audit_get_record(char *line, struct audit_record *ret, const char **ret_why)
{
	struct audit_record r = {0};
	char *rest = line;
	*ret_why = "a record that ends in its hash";
	if (get_hash(line, &r.hash))
		return -EINVAL;
	*ret_why = "SEQUENCE TIME UID PID HOST HOW ADDRESS NOUN.VERB RESULT[:CODE] [NAME=\"VALUE\"...] HASH";
	if (get_number(take_word(&rest), INT64_MAX, &r.sequence) || get_time(take_word(&rest), &r.time_ns) ||
	    get_who(&rest, &r) || get_word(&rest, &r.what) || get_result(&rest, &r))
		return -EINVAL;
	r.args = rest ? rest : "";
	if (rest && !*rest)
		return -EINVAL;
	*ret = r;
	return 0;
}

bool audit_is_anchor(const char *line)
{
	return !strncmp(line, "anchor ", 7);
}

int audit_get_anchor(char *line, struct audit_anchor *ret, const char **ret_why)
{
	struct audit_anchor a = {0};
	char *rest = line;
	*ret_why = "anchor 1 SEQUENCE TIME HOST BEFORE PREVIOUS HASH";
	if (get_hash(line, &a.hash) || strcmp(take_word(&rest), "anchor") || strcmp(take_word(&rest), "1") ||
	    get_number(take_word(&rest), INT64_MAX, &a.sequence) || get_time(take_word(&rest), &a.time_ns))
		return -EINVAL;
	a.host = take_word(&rest);
	a.before = take_word(&rest);
	a.previous = take_word(&rest);
	if (rest || !*a.before || !is_hex(a.host, AUDIT_HOST - 1) || !is_hex(a.previous, AUDIT_HASH - 1))
		return -EINVAL;
	*ret = a;
	return 0;
}

/* --- hashing --- */

int audit_hash(const char *previous, const char *bytes, size_t n, char ret[AUDIT_HASH])
{
	char all[AUDIT_HASH + AUDIT_LINE_MAX];
	size_t before = strlen(previous);
	if (before >= AUDIT_HASH || n > AUDIT_LINE_MAX)
		return -E2BIG;
	memcpy(all, previous, before);
	all[before] = ' ';
	memcpy(all + before + 1, bytes, n);
	return sha256_hex(all, before + 1 + n, ret);
}

int audit_first_hash(const char *host, char ret[AUDIT_HASH])
{
	return audit_hash("vigia-audit-1", host, strlen(host), ret);
}
