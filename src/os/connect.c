/* SPDX-License-Identifier: Apache-2.0 */
#include "os/connect.h"

#include <errno.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/paths.h"

static const char USUAL_PORT[] = "7660";

static bool is_vigias(uid_t uid)
{
	char text[1024];
	struct passwd user, *found = NULL;
	return !getpwnam_r("vigia", &user, text, sizeof text, &found) && found && found->pw_uid == uid;
}

/* Another user could have put a socket there, to hear what is asked or to answer it. */
static int check_owner(int fd, const char *path, struct buf *why)
{
	struct ucred who;
	socklen_t n = sizeof who;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n))
		return -errno;
	if (who.uid == 0 || who.uid == geteuid() || is_vigias(who.uid))
		return 0;
	buf_putf(why, "who listens at %s is uid %u: neither root, nor vigia, nor yourself; nothing was said to it", path, who.uid);
	return -EPERM;
}

static int connect_unix(const char *at, struct buf *why)
{
	struct sockaddr_un address;
	int r = paths_find_socket(at, &address, why);
	if (r)
		return r;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
		r = -errno;
		buf_putf(why, "no vigiad answers at %s: %s", address.sun_path, strerror(-r));
	} else {
		r = check_owner(fd, address.sun_path, why);
	}
	if (!r)
		return fd;
	close(fd);
	return r;
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

static const char *port_or_usual(const char *colon)
{
	return colon && colon[1] ? colon + 1 : USUAL_PORT;
}

static void place_read(struct place *p, const char *at)
{
	const char *bracket = *at == '[' ? strchr(at, ']') : NULL;
	const char *colon = bracket ? (bracket[1] == ':' ? bracket + 1 : NULL) : strchr(at, ':');
	if (!bracket && colon && strchr(colon + 1, ':'))
		colon = NULL; /* an IPv6 address alone */
	const char *end = bracket ? bracket : colon ? colon : at + strlen(at);
	at += bracket != NULL;
	snprintf(p->host, sizeof p->host, "%.*s", (int)(end - at), at);
	p->port = port_or_usual(colon);
}

static int connect_tcp(const char *at, struct buf *why)
{
	struct place place;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	place_read(&place, at);
	int e = getaddrinfo(place.host, place.port, &hints, &found);
	if (e) {
		buf_putf(why, "%s: %s", at, gai_strerror(e));
		return -ENOENT;
	}
	int fd = connect_any(found);
	freeaddrinfo(found);
	if (fd < 0)
		buf_putf(why, "no vigiad answers at %s, port %s: %s", place.host, place.port, strerror(-fd));
	return fd;
}

/* A name without a slash may be either: a file that is there is meant. */
static bool is_path(const char *at)
{
	return strchr(at, '/') || (!strchr(at, ':') && !access(at, F_OK));
}

int connect_daemon(const char *at, struct buf *why)
{
	return at && *at && !is_path(at) ? connect_tcp(at, why) : connect_unix(at, why);
}
