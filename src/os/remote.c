/* SPDX-License-Identifier: Apache-2.0 */
#include "os/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

enum { HOST_MAX = 255, TEMPLATE_WORDS_MAX = 64 };

bool remote_is_host(const char *host)
{
	size_t n = strlen(host);

	return n > 0 && n <= HOST_MAX && *host != '-' && strspn(host, ALNUM "._-:@") == n;
}

/* --- the command, as a shell reads it ---------------------------------------------------------------------------- */

static void put_quoted(struct buf *to, const char *word)
{
	size_t n = strlen(word);

	if (n && strspn(word, ALNUM "_@%+:,./-") == n) {
		buf_put(to, word, n);
		return;
	}
	buf_putc(to, '\'');
	for (; *word; word++)
		if (*word == '\'')
			buf_puts(to, "'\\''");
		else
			buf_putc(to, *word);
	buf_putc(to, '\'');
}

static void put_words(struct buf *to, const char *const *words)
{
	for (; words && *words; words++) {
		buf_putc(to, ' ');
		put_quoted(to, *words);
	}
}

static void put_command(struct buf *to, const struct launch *l)
{
	if (l->directory) {
		buf_puts(to, "cd ");
		put_quoted(to, l->directory);
		buf_puts(to, " && ");
	}
	/* exec: a signal to what runs there reaches the program, not a shell before it. */
	buf_puts(to, "exec");
	if (l->environment && *l->environment) {
		buf_puts(to, " env");
		put_words(to, l->environment);
	}
	put_words(to, l->arguments);
}

/* --- the template ------------------------------------------------------------------------------------------------- */

static int complain(struct buf *why, const char *what)
{
	if (why)
		buf_puts(why, what);
	return -EINVAL;
}

int remote_check(const char *template, struct buf *why)
{
	bool host = false, command = false;

	if (!template[strspn(template, " ")])
		return complain(why, "is empty");
	for (const char *at = template; (at = strchr(at, '%')); at += 2) {
		if (!at[1] || !strchr("hc%", at[1]))
			return complain(why, "has a % that is not %h, %c or %%");
		host |= at[1] == 'h';
		command |= at[1] == 'c';
	}
	return !host ? complain(why, "has no %h, the host") : !command ? complain(why, "has no %c, the command") : 0;
}

/* One word of the template, ending with a NUL; returns what follows it. */
static const char *put_word(struct buf *to, const char *at, const char *host, const struct launch *l)
{
	for (; *at && *at != ' '; at++) {
		if (*at != '%')
			buf_putc(to, *at);
		else if (*++at == 'h')
			buf_puts(to, host);
		else if (*at == 'c')
			put_command(to, l);
		else
			buf_putc(to, '%');
	}
	buf_putc(to, '\0');
	return at + strspn(at, " ");
}

const char *const *remote_in_one_piece(const struct buf *words, size_t n)
{
	const char **all = malloc((n + 1) * sizeof *all + words->len);

	if (!all)
		return NULL;
	char *text = (char *)(all + n + 1);
	memcpy(text, words->data, words->len);
	for (size_t i = 0; i < n; i++, text += strlen(text) + 1)
		all[i] = text;
	all[n] = NULL;
	return all;
}

int remote_words(const char *template, const char *host, const struct launch *there, const char *const **ret_words)
{
	struct buf words = BUF_INIT;
	size_t n = 0;
	int r = remote_is_host(host) ? remote_check(template, NULL) : -EINVAL;

	if (r == 0)
		r = launch_check(there);
	for (const char *at = template + strspn(template, " "); r == 0 && *at && n < TEMPLATE_WORDS_MAX; n++)
		at = put_word(&words, at, host, there);
	const char *const *all = r == 0 && !words.failed ? remote_in_one_piece(&words, n) : NULL;
	buf_release(&words);
	if (r == 0 && !all)
		r = -ENOMEM;
	if (r == 0)
		*ret_words = all;
	return r;
}
