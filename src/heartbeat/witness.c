/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#include "heartbeat/witness.h"

#define MS ((int64_t)1000000)

/* The kernel's enum, whose header cannot be included beside linux/tcp.h. */
enum { STATE_CLOSE = 7, STATE_CLOSE_WAIT = 8 };

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Its window is closed and every probe of it answered; or its memory is full: it drops what we repeat but
 * answers, and the kernel repeats ever more seldom. */
static bool owes_nothing(const struct tcp_info *i)
{
	if (i->tcpi_unacked == 0)
		return i->tcpi_notsent_bytes > 0 && i->tcpi_probes == 0;
	return i->tcpi_backoff > 0 && i->tcpi_last_ack_recv <= i->tcpi_last_data_sent;
}

int witness_look(int fd, int64_t now_ns, struct witness *ret_w)
{
	struct tcp_info i = {0};

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &(socklen_t){sizeof i}) < 0)
		return errno == ENOPROTOOPT ? -EOPNOTSUPP : -errno;
	*ret_w = (struct witness){
	    .at_ns = now_ns - smaller(i.tcpi_last_ack_recv, i.tcpi_last_data_recv) * MS,
	    .all_acked = i.tcpi_unacked == 0 && i.tcpi_notsent_bytes == 0,
	    .owes_nothing = owes_nothing(&i),
	    .ended = i.tcpi_state == STATE_CLOSE || i.tcpi_state == STATE_CLOSE_WAIT,
	    .gave_up = i.tcpi_state == STATE_CLOSE && (i.tcpi_retransmits || i.tcpi_probes),
	    .virgin = i.tcpi_data_segs_out == 0 && i.tcpi_notsent_bytes == 0 && i.tcpi_bytes_received <= 1,
	    .acked = (uint32_t)i.tcpi_bytes_acked,
	    .rtt_ns = i.tcpi_rtt * (MS / 1000),
	};
	return 0;
}

static void read_option(int fd, int level, int name, int *value)
{
	if (getsockopt(fd, level, name, value, &(socklen_t){sizeof *value}) < 0)
		*value = 0;
}

static void write_option(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof value);
}

void witness_ask(int fd, struct witness_keepalive *ret_before)
{
	read_option(fd, SOL_SOCKET, SO_KEEPALIVE, &ret_before->on);
	read_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, &ret_before->idle);
	read_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, &ret_before->interval);
	read_option(fd, IPPROTO_TCP, TCP_KEEPCNT, &ret_before->count);
	write_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 127);
	write_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
	write_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	/* Last: setting it on a live keepalive starts the timer from the last sign, not from now. */
	write_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
}

void witness_rest(int fd, const struct witness_keepalive *before)
{
	write_option(fd, SOL_SOCKET, SO_KEEPALIVE, before->on);
	write_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, before->idle);
	write_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, before->interval);
	write_option(fd, IPPROTO_TCP, TCP_KEEPCNT, before->count);
}
