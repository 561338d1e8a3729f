/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/units.h"

static int parse_port(const char *text, bool may_be_0, int *ret_port)
{
	int64_t port;

	if (units_count(text, &port) < 0 || port > 65535 || (port == 0 && !may_be_0))
		return -EINVAL;
	*ret_port = (int)port;
	return 0;
}

/* Splits at the last colon, or behind the bracket. */
static int split(const char *text, bool numeric, char host[CONF_HOST_MAX + 1], int *ret_port, bool *ret_bracketed)
{
	bool bracketed = text[0] == '[';
	const char *from = text + bracketed;
	const char *end = bracketed ? strchr(text, ']') : strchr(text, ':');
	const char *rest = end && bracketed ? end + 1 : end;

	if (bracketed && !end)
		return -EINVAL;
	size_t n = end ? (size_t)(end - from) : strlen(from);
	if (n == 0 || n > CONF_HOST_MAX)
		return -EINVAL;
	int port = CONF_PORT;
	if (!numeric && (!rest || !*rest))
		return -EINVAL; /* whose port it is can't be guessed */
	if (rest && *rest && (*rest != ':' || parse_port(rest + 1, numeric, &port) < 0))
		return -EINVAL;
	memcpy(host, from, n);
	host[n] = '\0';
	*ret_port = port;
	*ret_bracketed = bracketed;
	return 0;
}

static bool is_host_name(const char *s)
{
	if (!isalnum((unsigned char)*s))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("-._", *s))
			return false;
	return true;
}

/* 0 a name, 4 or 6; -EINVAL: none of them. */
static int family(const char *host, bool bracketed, bool *ret_loopback)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (bracketed) {
		if (inet_pton(AF_INET6, host, &v6) != 1)
			return -EINVAL;
		*ret_loopback = IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
		return 6;
	}
	if (inet_pton(AF_INET, host, &v4) == 1) {
		*ret_loopback = ntohl(v4.s_addr) >> 24 == 127;
		return 4;
	}
	*ret_loopback = strcasecmp(host, "localhost") == 0;
	return is_host_name(host) ? 0 : -EINVAL;
}

int conf_addresses_add(struct conf_addresses *a, const char *text, bool numeric)
{
	char host[CONF_HOST_MAX + 1];
	struct conf_address new;
	bool bracketed;

	int r = split(text, numeric, host, &new.port, &bracketed);
	if (r == 0)
		r = family(host, bracketed, &new.is_loopback);
	if (r < 0 || (r == 0 && numeric))
		return -EINVAL;
	struct conf_address *v = realloc(a->v, (a->n + 1) * sizeof *v);
	if (!v)
		return -ENOMEM;
	a->v = v;
	new.host = strdup(host);
	if (!new.host)
		return -ENOMEM;
	new.line = 0;
	a->v[a->n++] = new;
	return 0;
}

static bool is_url_text(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= 0x20 || *s == 0x7f || strchr("\"'\\$?#", *s))
			return false;
	return true;
}

static int add_server(struct conf_addresses *a, const char *url, size_t n)
{
	static const char scheme[] = "nats://";
	char text[CONF_URL_MAX + 1];

	if (n > CONF_URL_MAX || n < strlen(scheme) || strncmp(url, scheme, strlen(scheme)) != 0)
		return -EINVAL;
	snprintf(text, sizeof text, "%.*s", (int)n, url);
	if (strchr(text + strlen(scheme), '/'))
		return -EINVAL; /* else others may see another host in it than we */
	const char *at = strrchr(text, '@');
	return conf_addresses_add(a, at ? at + 1 : text + strlen(scheme), false);
}

int conf_servers_add(struct conf_addresses *a, const char *text)
{
	int r = is_url_text(text) ? 0 : -EINVAL;
	size_t before = a->n;

	for (const char *end; r == 0; text = end + 1) {
		end = strchrnul(text, ',');
		r = a->n - before < CONF_SERVERS_MAX ? add_server(a, text, (size_t)(end - text)) : -EINVAL;
		if (!*end)
			break;
	}
	return r;
}

void conf_address_print(const struct conf_address *a, struct buf *to)
{
	buf_putf(to, strchr(a->host, ':') ? "[%s]:%d" : "%s:%d", a->host, a->port);
}

void conf_addresses_clear(struct conf_addresses *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->v[i].host);
	free(a->v);
	*a = (struct conf_addresses){0};
}
