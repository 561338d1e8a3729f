/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/order.h"

#include <errno.h>
#include <string.h>

#include "os/launch_wire.h"

/* The next of the words, which end with a NUL; NULL: there is none. */
static char *next_word(char **at, const char *end)
{
	char *word = *at;

	if (word == end)
		return NULL;
	*at = word + strlen(word) + 1;
	return word;
}

static bool read_words(char **at, const char *end, char **to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(to[i] = next_word(at, end)))
			return false;
	to[n] = NULL;
	return true;
}

static bool are_settings(char **words)
{
	while (*words && strchr(*words, '=') > *words)
		words++;
	return !*words;
}

int order_read(char *bytes, size_t n, struct order *ret)
{
	struct launch_request q;

	if (n <= sizeof q || bytes[n - 1])
		return -EPROTO;
	memcpy(&q, bytes, sizeof q);
	if (q.kind != HELPER_MSG_LAUNCH || !q.arguments || q.arguments + q.environment > LAUNCH_WORDS_MAX || q.given > 7)
		return -EPROTO;
	char *at = bytes + sizeof q, *end = bytes + n;
	ret->id = q.id;
	ret->given = q.given;
	ret->directory = next_word(&at, end);
	ret->environment = ret->words + q.arguments + 1;
	bool ok = read_words(&at, end, ret->words, q.arguments) && read_words(&at, end, ret->environment, q.environment) &&
	    at == end && *ret->words[0] && are_settings(ret->environment);
	return ok ? 0 : -EPROTO;
}
