/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/id.h"

#include <errno.h>
#include <string.h>

enum { HOST_DIGITS = HOST_ID_TEXT - 1 };

bool host_id_is(const struct host_id *a, const struct host_id *b)
{
	return !memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

bool host_id_is_none(const struct host_id *id)
{
	static const struct host_id none;
	return host_id_is(id, &none);
}

bool channel_id_is(const struct channel_id *a, const struct channel_id *b)
{
	return a->number == b->number && host_id_is(&a->host, &b->host);
}

bool entity_id_is(const struct entity_id *a, const struct entity_id *b)
{
	return a->entity == b->entity && a->process == b->process && host_id_is(&a->host, &b->host);
}

/* --- as text --- */

void host_id_format(const struct host_id *id, char ret[HOST_ID_TEXT])
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < sizeof id->bytes; i++) {
		ret[2 * i] = digits[id->bytes[i] >> 4];
		ret[2 * i + 1] = digits[id->bytes[i] & 15];
	}
	ret[HOST_DIGITS] = '\0';
}

/* Without stdio: who reads events formats one each. Returns the end. */
static char *put_number(char *to, char before, uint64_t n)
{
	char digits[20];
	size_t at = sizeof digits;
	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	*to++ = before;
	memcpy(to, digits + at, sizeof digits - at);
	to += sizeof digits - at;
	*to = '\0';
	return to;
}

void entity_id_format(const struct entity_id *id, char ret[ENTITY_ID_TEXT])
{
	host_id_format(&id->host, ret);
	put_number(put_number(ret + HOST_DIGITS, '/', id->process), '/', id->entity);
}

void channel_id_format(const struct channel_id *id, char ret[CHANNEL_ID_TEXT])
{
	host_id_format(&id->host, ret);
	put_number(ret + HOST_DIGITS, '#', id->number);
}

/* --- read; each takes its part and moves *s behind it, or says no --- */

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_host(const char **s, struct host_id *ret)
{
	for (size_t i = 0; i < sizeof ret->bytes; i++, *s += 2) {
		int high = digit_of((*s)[0]), low = high < 0 ? -1 : digit_of((*s)[1]);
		if (low < 0)
			return false;
		ret->bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool take_number(const char **s, char before, uint64_t max, uint64_t *ret)
{
	if (*(*s)++ != before)
		return false;
	bool zero = **s == '0';
	const char *begin = *s;
	uint64_t n = 0;
	for (; **s >= '0' && **s <= '9'; ++*s) {
		unsigned digit = (unsigned)(**s - '0');
		if (n > (max - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*ret = n;
	return *s != begin && (!zero || *s == begin + 1);
}

int host_id_parse(const char *s, struct host_id *ret)
{
	struct host_id id;
	if (!take_host(&s, &id) || *s)
		return -EINVAL;
	*ret = id;
	return 0;
}

int entity_id_parse(const char *s, struct entity_id *ret)
{
	struct entity_id id;
	uint64_t process;
	if (!take_host(&s, &id.host) || !take_number(&s, '/', UINT32_MAX, &process) ||
	    !take_number(&s, '/', UINT64_MAX, &id.entity) || *s)
		return -EINVAL;
	id.process = (uint32_t)process;
	*ret = id;
	return 0;
}

int channel_id_parse(const char *s, struct channel_id *ret)
{
	struct channel_id id;
	if (!take_host(&s, &id.host) || !take_number(&s, '#', UINT64_MAX, &id.number) || *s)
		return -EINVAL;
	*ret = id;
	return 0;
}
