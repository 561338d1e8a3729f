/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/check.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/clock.h"
#include "proto/xml.h"
#include "services/health/health.h"

static const int64_t ANSWER_NS = 3000000000;
enum { QUERY = 1 };

struct question {
	struct supervised_options about;
	struct buf *errors;
	bool answered, knows; /* what is wrong with its section, if anything */
};

static void put_mistake(struct question *q, const char *line)
{
	supervised_place(q->errors, &q->about, line);
	buf_putc(q->errors, '\n');
}

static void put_mistakes(struct question *q, const char *text)
{
	char line[400];
	for (const char *end; *text; text = end + (*end == '\n')) {
		end = strchrnul(text, '\n');
		snprintf(line, sizeof line, "%.*s", (int)(end - text), text);
		put_mistake(q, line);
	}
}

int check_platform(
    const struct conf *c, const char *file, const char *dir, const struct platform_type **ret, struct buf *errors)
{
	struct buf why = BUF_INIT;
	int r = platform_find(ret, c->platform, dir, &why);
	if (r)
		buf_putf(errors, "%s:%d: platform: found \"%s\", expected direct or nats: %s\n", file, c->platform_line,
		    c->platform, buf_str(&why));
	buf_release(&why);
	return r;
}

/* --- what the program says --- */

static int on_open(void *data, const struct msg *hmon)
{
	return 0;
}

static int on_stanza(void *data, const struct msg *m)
{
	struct question *q = data;
	int64_t answer = 0;
	if (msg_get_int(m, "answer", &answer) || answer != QUERY)
		return 0;
	q->answered = true;
	q->knows = strcmp(msg_get(m, "code", ""), "unknown-query");
	if (!strcmp(m->name, "error") && q->knows)
		put_mistakes(q, m->text);
	return 0;
}

static int on_row(void *data, const struct xml_row *row)
{
	return 0;
}

static int on_close(void *data)
{
	return -EPIPE;
}

static const struct xml_sink sink = {.open = on_open, .stanza = on_stanza, .row = on_row, .close = on_close};

/* Negative: nothing more will come. */
static int hear(int fd, struct xml *xml)
{
	char bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n ? xml_feed(xml, bytes, (size_t)n) : -EPIPE;
}

static void ask(struct question *q, int fd)
{
	struct buf out = BUF_INIT;
	struct msg *root = msg_new("hmon"), *query = msg_new("config");
	if (root && query) {
		msg_set_int(root, "version", 1);
		msg_set(root, "role", "vigiad");
		msg_set(query, "query", "check");
		msg_set_int(query, "id", QUERY);
		msg_set(query, "monitor", q->about.name);
		msg_text(query, q->about.section, strlen(q->about.section));
		xml_put_open(&out, root);
		xml_put(&out, query);
		/* A section is at most what a socket takes at once, or there is no answer; nor when the program is gone
		 * already, which the helper tells. */
		if (send(fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)out.len)
			shutdown(fd, SHUT_WR);
	}
	msg_free(root);
	msg_free(query);
	buf_release(&out);
}

/* --- the program --- */

/* Not started, or ended before it answered. */
static bool told_by_helper(struct question *q, struct helper *h, uint32_t id)
{
	struct helper_notice notice;
	char line[400];
	while (helper_read(h, &notice) > 0) {
		if (notice.id != id || (notice.kind == HELPER_STARTED && notice.result >= 0))
			continue;
		if (notice.kind == HELPER_STARTED)
			snprintf(line, sizeof line, "program %s can't be started: %s", q->about.program,
			    notice.result == -ENOENT ? "there is none of that name" : strerror(-notice.result));
		else
			snprintf(line, sizeof line, "program %s ended before it said anything: %s", q->about.program,
			    notice.tail);
		put_mistake(q, line);
		return q->answered = q->knows = true;
	}
	return false;
}

static void await_answer(struct question *q, struct helper *h, uint32_t id, int fd)
{
	struct xml *xml = xml_new(&sink, q);
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = helper_fd(h), .events = POLLIN}};
	int64_t left_ns, end_ns = clock_mono_ns() + ANSWER_NS;
	while (xml && !q->answered && (left_ns = end_ns - clock_mono_ns()) > 0) {
		if (poll(fds, 2, (int)(left_ns / 1000000) + 1) < 0)
			continue;
		if (fds[0].revents && hear(fd, xml) < 0)
			fds[0].fd = -1;
		if (!q->answered && fds[1].revents)
			told_by_helper(q, h, id);
	}
	xml_free(xml);
}

static int check_one(struct question *q, struct helper *h, uint32_t id)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	int r = helper_start(h, id, q->about.program, pair[1]);
	close(pair[1]);
	if (!r) {
		ask(q, pair[0]);
		await_answer(q, h, id, pair[0]);
		helper_signal(h, id, SIGTERM);
	}
	close(pair[0]);
	return r;
}

int check_masters(const struct conf *c, const char *file, struct buf *errors)
{
	size_t before = errors->len;
	for (size_t i = 0; i < c->node.masters.n; i++) {
		const struct conf_address *a = &c->node.masters.v[i];
		struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
		int r = getaddrinfo(a->host, NULL, &hints, &found);
		if (!r)
			freeaddrinfo(found);
		else
			buf_putf(errors, "%s:%d: masters: %s can't be found: %s; expected the name or address of a master\n", file,
			    a->line, a->host, gai_strerror(r));
	}
	return errors->len > before ? -EINVAL : 0;
}

int check_monitors(const struct conf *c, const char *file, struct helper *h, struct buf *errors, struct buf *notes)
{
	size_t before = errors->len;
	for (size_t i = 0; i < c->n_monitors; i++) {
		const struct conf_monitor *m = &c->monitors[i];
		struct question q = {.about = {m->name, m->program, m->text, file, m->text_line}, .errors = errors};
		int r = m->enabled ? check_one(&q, h, (uint32_t)i + 1) : 0;
		if (r)
			put_mistake(&q, strerror(-r));
		else if (m->enabled && !q.knows)
			buf_putf(notes, "note: monitor %s: its program %s does not say whether its section is right\n", m->name,
			    m->program);
	}
	return errors->len > before ? -EINVAL : 0;
}

/* --- operators --- */

/* Of /etc/passwd alone: who has to be asked for others may be slow, or gone. */
static int uid_named(const char *name, uid_t *ret)
{
	int64_t number;
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd *p = NULL;
	int r = -ENOENT;
	while (f && (p = fgetpwent(f)) && strcmp(p->pw_name, name))
		;
	if (p)
		*ret = p->pw_uid, r = 0;
	else if (!msg_parse_int(name, &number) && number >= 0 && number < UINT32_MAX)
		*ret = (uid_t)number, r = 0;
	if (f)
		fclose(f);
	return r;
}

int check_operators(const struct conf *c, const char *file, struct buf *errors)
{
	int r = 0;
	for (size_t i = 0; i < c->operators.n; i++) {
		const struct conf_word *w = &c->operators.v[i];
		uid_t uid;
		int known = uid_named(w->text, &uid);
		if (known || !uid)
			buf_putf(errors, "%s:%d: operators: found \"%s\", expected a user of /etc/passwd or a uid%s\n", file, w->line, w->text,
			    known ? "" : ", and not root, who is one anyway here and nobody from other hosts");
		r = known || !uid ? -EINVAL : r;
	}
	return r;
}

size_t operators_of(const struct conf *c, uid_t ret[CORE_OPERATORS_MAX])
{
	size_t n = 0;
	for (size_t i = 0; i < c->operators.n && n < CORE_OPERATORS_MAX; i++)
		if (!uid_named(c->operators.v[i].text, &ret[n]) && ret[n])
			n++;
	return n;
}
