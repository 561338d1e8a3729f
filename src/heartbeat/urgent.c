/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
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

int urgent_send(int fd)
{
	int queued = 0;

	if (ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > QUEUE_MAX)
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
 * be written the copy fails (EFAULT) and the data stays, so this skips and never reads. */
int urgent_pass(int fd)
{
	static const char sealed[4096] = {0};

	if (recv(fd, (void *)(uintptr_t)sealed, 1, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != EFAULT &&
	    errno != EINTR)
		return -errno;
	return (int)urgent_look(fd);
}
