/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>

#include "heartbeat/heartbeat.h"
#include "heartbeat/probe.h"
#include "heartbeat/urgent.h"
#include "heartbeat/witness.h"

#define MS ((int64_t)1000000)
#define LOOK_AGAIN_NS (10 * MS)
#define PATIENCE_MOST (1000 * MS)

static enum probe_result settle(struct probe *p, enum probe_result result)
{
	p->result = (uint8_t)result;
	p->deadline_ns = INT64_MAX;
	return result;
}

static int64_t patience(int64_t rtt_ns)
{
	int64_t wait = 4 * rtt_ns;

	if (wait < 200 * MS)
		return 200 * MS;
	return wait > PATIENCE_MOST ? PATIENCE_MOST : wait;
}

int probe_dial(struct probe *p, int fd, int64_t now_ns)
{
	struct witness w;
	int r = urgent_usable(fd);

	if (r < 0 || (r = witness_look(fd, now_ns, &w)) < 0)
		return r;
	*p = (struct probe){.fd = fd, .dialer = true, .deadline_ns = now_ns + patience(w.rtt_ns)};
	r = urgent_send(fd);
	return r == -EAGAIN ? -EOPNOTSUPP : r;
}

int probe_accept(struct probe *p, int fd, int64_t now_ns)
{
	int r = urgent_usable(fd);

	if (r < 0)
		return r;
	*p = (struct probe){.fd = fd, .deadline_ns = INT64_MAX};
	return 0;
}

short probe_events(const struct probe *p)
{
	if (p->result != PROBE_PENDING)
		return 0;
	return (short)((p->marked || p->owes ? 0 : POLLPRI) | (p->deaf ? 0 : POLLIN));
}

static enum probe_result look_again(struct probe *p, int64_t now)
{
	if (!p->dialer)
		p->deadline_ns = now + LOOK_AGAIN_NS;
	return PROBE_PENDING;
}

static enum probe_result send_back(struct probe *p, int64_t now)
{
	int r = urgent_send(p->fd);

	if (r == 0)
		return settle(p, PROBE_URGENT);
	if (r != -EAGAIN)
		return settle(p, PROBE_BROKEN);
	p->owes = true;
	return look_again(p, now);
}

static enum probe_result take_mark(struct probe *p, int64_t now)
{
	int mark = urgent_pass(p->fd);

	if (mark < 0)
		return settle(p, PROBE_BROKEN);
	p->marked = mark == URGENT_STANDING;
	if (p->marked)
		return look_again(p, now);
	return p->dialer ? settle(p, PROBE_URGENT) : send_back(p, now);
}

static bool take_byte_out(struct probe *p)
{
	unsigned char byte;

	return recv(p->fd, &byte, 1, MSG_DONTWAIT) == 1;
}

static enum probe_result settle_plain(struct probe *p)
{
	return settle(p, take_byte_out(p) ? PROBE_PLAIN : PROBE_BROKEN);
}

/* What we say before the dialer gave up he might take for his byte's echo: wait until he speaks, or can. */
static enum probe_result outwait_dialer(struct probe *p, int64_t now)
{
	if (p->taken)
		return settle(p, PROBE_PLAIN);
	if (!take_byte_out(p))
		return settle(p, PROBE_BROKEN);
	p->taken = true;
	p->deadline_ns = now + PATIENCE_MOST;
	return PROBE_PENDING;
}

/* What came as data: our byte with its flag cleared, somebody's first data, or the end. A TLS client opens
 * with 0x16 0x03, so an acceptor who does not know his dialers needs two bytes to tell. */
static enum probe_result take_data(struct probe *p, int64_t now)
{
	unsigned char head[2] = {0};
	ssize_t n = recv(p->fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return PROBE_PENDING;
	if (n <= 0)
		return settle(p, PROBE_BROKEN);
	if (p->dialer && head[0] == HEARTBEAT_BYTE)
		return settle_plain(p);
	if (p->agreed && (p->taken || head[0] == HEARTBEAT_BYTE))
		return outwait_dialer(p, now);
	p->deaf = true;
	if (p->dialer)
		return PROBE_PENDING;
	if (head[0] != HEARTBEAT_BYTE || (n == 2 && head[1] == 0x03))
		return settle(p, PROBE_NONE);
	return n == 1 ? look_again(p, now) : settle_plain(p);
}

enum probe_result probe_handle(struct probe *p, short revents, int64_t now_ns)
{
	enum probe_result r = (enum probe_result)p->result;

	if (r != PROBE_PENDING)
		return r;
	if (p->owes)
		return send_back(p, now_ns);
	if (revents & POLLPRI || p->marked)
		r = take_mark(p, now_ns);
	if (r == PROBE_PENDING && !p->owes && !p->marked)
		r = take_data(p, now_ns);
	if (r == PROBE_PENDING && (p->dialer || p->taken) && now_ns >= p->deadline_ns)
		r = settle(p, PROBE_PLAIN);
	return r;
}
