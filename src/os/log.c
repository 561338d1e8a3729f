/* SPDX-License-Identifier: Apache-2.0 */
#include "os/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/utf8.h"

enum { BUCKETS = 32, COMPONENT_MAX = 23 };

/* A component may say a line for each token. */
struct bucket {
	char component[COMPONENT_MAX + 1];
	bool errors;
	int64_t filled_ns;
	int64_t tokens_ns; /* one token: logger.token_ns */
	uint64_t suppressed;
};

static struct {
	pthread_mutex_t mutex;
	const char *name;
	const char *journal, *syslog;
	int fd;
	int least;
	bool to_stderr;
	uint64_t lost, left_out;
	unsigned burst;
	int64_t token_ns;
	size_t buckets;
	struct bucket bucket[BUCKETS];
} logger = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .name = "vigia",
    .journal = "/run/systemd/journal/socket",
    .syslog = "/dev/log",
    .fd = -1,
    .least = LOG_INFO,
    .burst = LOG_BURST,
    .token_ns = 1000000000 / LOG_RATE,
};

void log_open(const char *name)
{
	pthread_mutex_lock(&logger.mutex);
	logger.name = name;
	logger.lost = 0;
	logger.buckets = 0;
	if (logger.fd < 0)
		logger.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	pthread_mutex_unlock(&logger.mutex);
}

void log_sockets(const char *journal, const char *syslog_socket)
{
	logger.journal = journal;
	logger.syslog = syslog_socket;
}

static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(2, &st) == 0 &&
	    st.st_dev == device && st.st_ino == inode;
}

void log_to_stderr(bool on)
{
	logger.to_stderr = on && !stderr_is_journal();
}

void log_level(int least)
{
	logger.least = least;
}

/* Leaves room for "..." where it had to cut. */
static void escape_line(char line[LOG_LINE_MAX + 1], const char *text, size_t n)
{
	const char *end = text + n;
	size_t used = strlen(line);

	while (text < end) {
		char c[UTF8_ESCAPED];
		size_t length = utf8_escape(c, &text, end);
		if (used + length > LOG_LINE_MAX - 3) {
			memcpy(line + used, "...", 3);
			used += 3;
			break;
		}
		memcpy(line + used, c, length);
		used += length;
	}
	line[used] = '\0';
}

static bool send_to(const char *path, const char *bytes, size_t n)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (!path || strlen(path) >= sizeof to.sun_path)
		return false;
	strcpy(to.sun_path, path);
	return sendto(logger.fd, bytes, n, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to) >= 0;
}

static bool to_journal(int level, const char *component, const char *line)
{
	char message[LOG_LINE_MAX + 256];
	int n = snprintf(message, sizeof message,
	    "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nSYSLOG_PID=%d\nVIGIA_COMPONENT=%.*s\nMESSAGE=%s\n", level, logger.name,
	    (int)getpid(), COMPONENT_MAX, component, line);

	return n < (int)sizeof message && send_to(logger.journal, message, n);
}

static bool to_syslog(int level, const char *line)
{
	char message[LOG_LINE_MAX + 256], when[32];
	time_t now = time(NULL);
	struct tm tm;

	strftime(when, sizeof when, "%b %e %H:%M:%S", localtime_r(&now, &tm));
	int n = snprintf(message, sizeof message, "<%d>%s %s[%d]: %s", LOG_DAEMON | level, when, logger.name,
	    (int)getpid(), line);
	return n < (int)sizeof message && send_to(logger.syslog, message, n);
}

/* A pipe that polls writable takes a line of this size whole. */
static bool to_stderr(const char *line)
{
	char message[LOG_LINE_MAX + 64];
	struct pollfd p = {.fd = 2, .events = POLLOUT};
	int n = snprintf(message, sizeof message, "%.40s: %s\n", logger.name, line);

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) && write(2, message, n) == n;
}

static void say(int level, const char *component, const char *text, size_t n)
{
	char line[LOG_LINE_MAX + 1];

	snprintf(line, sizeof line, "%.*s: ", COMPONENT_MAX, component);
	escape_line(line, text, n);
	bool said = to_journal(level, component, line) || to_syslog(level, line);
	if ((logger.to_stderr || !said) && to_stderr(line))
		said = true;
	if (!said)
		logger.lost++;
}

static struct bucket *bucket_of(const char *component, bool errors, int64_t now_ns)
{
	for (size_t i = 0; i < logger.buckets; i++) {
		struct bucket *b = &logger.bucket[i];
		if (b->errors == errors && strncmp(b->component, component, COMPONENT_MAX) == 0)
			return b;
	}
	if (logger.buckets == BUCKETS)
		return &logger.bucket[BUCKETS - 1];
	struct bucket *b = &logger.bucket[logger.buckets++];
	*b = (struct bucket){.errors = errors, .filled_ns = now_ns, .tokens_ns = logger.burst * logger.token_ns};
	snprintf(b->component, sizeof b->component, "%s", component);
	return b;
}

static bool take_token(struct bucket *b, int64_t now_ns)
{
	b->tokens_ns += now_ns - b->filled_ns;
	b->filled_ns = now_ns;
	if (b->tokens_ns > logger.burst * logger.token_ns)
		b->tokens_ns = logger.burst * logger.token_ns;
	if (b->tokens_ns < logger.token_ns)
		return false;
	b->tokens_ns -= logger.token_ns;
	return true;
}

static void say_suppressed(struct bucket *b)
{
	char text[64];

	if (!b->suppressed)
		return;
	int n = snprintf(text, sizeof text, "%llu more left out", (unsigned long long)b->suppressed);
	b->suppressed = 0;
	say(b->errors ? LOG_ERR : LOG_NOTICE, b->component, text, n);
}

void log_event(int level, const char *component, const char *format, ...)
{
	char text[2 * LOG_LINE_MAX];
	va_list ap;

	if (level > logger.least)
		return;
	va_start(ap, format);
	int n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (n < 0)
		return;

	pthread_mutex_lock(&logger.mutex);
	int64_t now_ns = clock_mono_ns();
	struct bucket *b = bucket_of(component, level <= LOG_ERR, now_ns);
	if (take_token(b, now_ns)) {
		say_suppressed(b);
		say(level, component, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
	} else {
		b->suppressed++;
		logger.left_out++;
		logger.lost++;
	}
	pthread_mutex_unlock(&logger.mutex);
}

void log_rates(unsigned burst, unsigned rate)
{
	int64_t token_ns = 1000000000 / (int64_t)rate;
	pthread_mutex_lock(&logger.mutex);
	bool same = burst == logger.burst && token_ns == logger.token_ns;
	logger.burst = burst;
	logger.token_ns = token_ns;
	for (size_t i = 0; !same && i < logger.buckets; i++)
		logger.bucket[i].tokens_ns = burst * token_ns;
	pthread_mutex_unlock(&logger.mutex);
}

uint64_t log_left_out(void)
{
	pthread_mutex_lock(&logger.mutex);
	uint64_t n = logger.left_out;
	pthread_mutex_unlock(&logger.mutex);
	return n;
}

void log_flush(void)
{
	pthread_mutex_lock(&logger.mutex);
	for (size_t i = 0; i < logger.buckets; i++)
		say_suppressed(&logger.bucket[i]);
	pthread_mutex_unlock(&logger.mutex);
}

void log_close(void)
{
	log_flush();
	pthread_mutex_lock(&logger.mutex);
	if (logger.fd >= 0)
		close(logger.fd);
	logger.fd = -1;
	pthread_mutex_unlock(&logger.mutex);
}

uint64_t log_lost(void)
{
	return logger.lost;
}
