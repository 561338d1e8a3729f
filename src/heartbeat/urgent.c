/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "heartbeat/heartbeat.h"
#include "heartbeat/urgent.h"

/* Farther than 64 KiB behind, the urgent pointer in the header is a lie that a lost segment makes true. */
#define QUEUE_MAX 32768

static int option(int fd, int name)
{
	int value = -1;

	if (getsockopt(fd, SOL_SOCKET, name, &value, &(socklen_t){sizeof value}) < 0)
		return -errno;
	return value;
}

int urgent_usable(int fd)
{
	int protocol = option(fd, SO_PROTOCOL);

	if (protocol < 0 && protocol != -ENOPROTOOPT)
		return protocol;
	return protocol == IPPROTO_TCP && option(fd, SO_OOBINLINE) == 0 ? 0 : -EOPNOTSUPP;
}

/* SO_MEMINFO counts what the queue takes in memory, never less than its bytes, at a third of SIOCOUTQ's
 * price. */
static bool queue_is_long(int fd)
{
	uint32_t memory[SK_MEMINFO_WMEM_QUEUED + 1] = {0};
	int bytes = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &(socklen_t){sizeof memory}) == 0 &&
	    memory[SK_MEMINFO_WMEM_QUEUED] <= QUEUE_MAX)
		return false;
	return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > QUEUE_MAX;
}

int urgent_send(int fd)
{
	if (queue_is_long(fd))
		return -EAGAIN;
	if (send(fd, &(unsigned char){HEARTBEAT_BYTE}, 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
		return 0;
	return errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS ? -EAGAIN : -errno;
}

enum urgent_mark urgent_look(int fd)
{
	unsigned char byte;

	if (recv(fd, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) == 1)
		return URGENT_STANDING;
	return errno == EINVAL ? URGENT_PASSED : URGENT_STANDING;
}

/* A receive at the mark skips the urgent byte and then copies data, if there is any. Into memory that cannot
 * be written the copy fails (EFAULT) and the data stays, so this skips and never reads. That nothing is left
 * (EAGAIN) does not tell that the mark is passed: it may have overtaken a lost segment. */
int urgent_pass(int fd)
{
	static const char sealed[4096] = {0};

	if (recv(fd, (void *)(uintptr_t)sealed, 1, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != EFAULT &&
	    errno != EINTR)
		return -errno;
	return (int)urgent_look(fd);
}
