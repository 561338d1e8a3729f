/* SPDX-License-Identifier: Apache-2.0 */
#include "hmon/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 8192, OUT_KEEP = 16384, STRAY_BEAT = 0x16 };

int stream_init(struct stream *s, int fd, const struct xml_sink *sink, void *data)
{
	*s = (struct stream){.fd = fd, .xml = xml_new(sink, data)};
	if (s->xml)
		return 0;
	stream_release(s);
	return -ENOMEM;
}

void stream_release(struct stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	xml_free(s->xml);
	buf_release(&s->out);
	*s = (struct stream){.fd = -1};
}

bool stream_clogged(const struct stream *s)
{
	return s->out.len > 0;
}

short stream_events(const struct stream *s)
{
	return stream_clogged(s) ? POLLOUT : POLLIN;
}

static size_t without_beats(char *bytes, size_t n)
{
	size_t to = 0;
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != STRAY_BEAT)
			bytes[to++] = bytes[i];
	return to;
}

static bool try_later(void)
{
	return errno == EAGAIN || errno == EINTR;
}

int stream_read(struct stream *s)
{
	char bytes[READ_SIZE];
	ssize_t n = recv(s->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n < 0)
		return try_later() ? 0 : -errno;
	if (!n)
		return -EPIPE;
	return xml_feed(s->xml, bytes, without_beats(bytes, (size_t)n));
}

int stream_flush(struct stream *s)
{
	if (s->out.failed)
		return -ENOMEM;
	while (s->out.len) {
		ssize_t n = send(s->fd, s->out.data, s->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return try_later() ? 0 : -errno;
		buf_consume(&s->out, (size_t)n);
	}
	if (s->out.size > OUT_KEEP)
		buf_release(&s->out);
	return 0;
}
