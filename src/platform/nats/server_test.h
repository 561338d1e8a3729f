/* SPDX-License-Identifier: Apache-2.0 */
/* A nats-server of a test's own, on loopback, on a port that was free; it dies with the test. */
#ifndef VIGIA_PLATFORM_NATS_SERVER_TEST_H
#define VIGIA_PLATFORM_NATS_SERVER_TEST_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

static struct {
	pid_t pid;
	int port;
	char url[64], conf[64];
} nats_server;

static bool server_exists(void)
{
	return !system("command -v nats-server >/dev/null");
}

static struct sockaddr_in server_address(void)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)nats_server.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Returns once it accepts. */
static inline void server_start(void)
{
	struct sockaddr_in a = server_address();
	nats_server.pid = fork();
	if (!nats_server.pid) {
		int null = open("/dev/null", O_RDWR);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(null, 1);
		dup2(null, 2);
		execlp("nats-server", "nats-server", "-c", nats_server.conf, NULL);
		_exit(127);
	}
	for (bool up = false; !up;) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		up = !connect(fd, (struct sockaddr *)&a, sizeof a);
		close(fd);
		if (!up && waitpid(nats_server.pid, NULL, WNOHANG)) {
			fprintf(stderr, "nats-server does not start\n");
			exit(1);
		}
	}
}

static inline void server_kill(void)
{
	kill(nats_server.pid, SIGKILL);
	waitpid(nats_server.pid, NULL, 0);
}

/* Picks a port and says where it will be; `more` is added to its configuration. */
static inline const char *server_prepare(const char *more)
{
	struct sockaddr_in a = server_address();
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bind(fd, (struct sockaddr *)&a, len);
	getsockname(fd, (struct sockaddr *)&a, &len);
	close(fd);
	nats_server.port = ntohs(a.sin_port);
	snprintf(nats_server.url, sizeof nats_server.url, "nats://127.0.0.1:%d", nats_server.port);
	strcpy(nats_server.conf, "/tmp/nats-test-XXXXXX");
	fd = mkstemp(nats_server.conf);
	dprintf(fd, "host: 127.0.0.1\nport: %d\n%s\n", nats_server.port, more);
	close(fd);
	return nats_server.url;
}

static inline void server_forget(void)
{
	unlink(nats_server.conf);
}

#endif
