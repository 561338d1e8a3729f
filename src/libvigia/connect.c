/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvigia/connection.h"
#include "os/paths.h"

static const char USUAL_PORT[] = "7660";

int say(struct vigia_error *ret_error, int r, const char *code, const char *format, ...)
{
	if (!ret_error)
		return r;
	va_list ap;
	va_start(ap, format);
	vsnprintf(ret_error->text, sizeof ret_error->text, format, ap);
	va_end(ap);
	snprintf(ret_error->code, sizeof ret_error->code, "%s", code);
	return r;
}

static int connect_unix(const char *at, struct vigia_error *ret_error)
{
	struct sockaddr_un address;
	struct buf why = BUF_INIT;
	int r = paths_find_socket(at, &address, &why);
	if (r)
		say(ret_error, r, "", "%s", buf_str(&why));
	buf_release(&why);
	if (r)
		return r;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof address))
		return fd;
	r = -errno;
	if (fd >= 0)
		close(fd);
	return say(ret_error, r, "", "no vigiad answers at %s: %s", address.sun_path, strerror(-r));
}

static int connect_any(const struct addrinfo *a)
{
	int r = -ENOENT;
	for (; a; a = a->ai_next) {
		int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && !connect(fd, a->ai_addr, a->ai_addrlen))
			return fd;
		r = -errno;
		if (fd >= 0)
			close(fd);
	}
	return r;
}

/* HOST, HOST:PORT, [IPV6], [IPV6]:PORT or IPV6, cut into its parts. */
struct place {
	char host[256];
	const char *port;
};

static void place_read(struct place *p, const char *at)
{
	const char *bracket = *at == '[' ? strchr(at, ']') : NULL;
	const char *colon = bracket ? (bracket[1] == ':' ? bracket + 1 : NULL) : strchr(at, ':');
	if (!bracket && colon && strchr(colon + 1, ':'))
		colon = NULL; /* an IPv6 address alone */
	const char *end = bracket ? bracket : colon ? colon : at + strlen(at);
	at += bracket != NULL;
	snprintf(p->host, sizeof p->host, "%.*s", (int)(end - at), at);
	p->port = colon && colon[1] ? colon + 1 : USUAL_PORT;
}

static int connect_tcp(const char *at, struct vigia_error *ret_error)
{
	struct place place;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	place_read(&place, at);
	int e = getaddrinfo(place.host, place.port, &hints, &found);
	if (e)
		return say(ret_error, -ENOENT, "", "%s: %s", at, gai_strerror(e));
	int fd = connect_any(found);
	freeaddrinfo(found);
	if (fd < 0)
		say(ret_error, fd, "", "no vigiad answers at %s, port %s: %s", place.host, place.port, strerror(-fd));
	return fd;
}

/* A name without a slash may be either: a file that is there is meant. */
static bool is_path(const char *at)
{
	return strchr(at, '/') || (!strchr(at, ':') && !access(at, F_OK));
}

int connect_to(const char *at, struct vigia_error *ret_error)
{
	return at && *at && !is_path(at) ? connect_tcp(at, ret_error) : connect_unix(at, ret_error);
}
