/* SPDX-License-Identifier: Apache-2.0 */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "os/launch_wire.h"

/* How many there are; -E2BIG. */
static int count(const char *const *words)
{
	int n = 0;

	while (words && words[n])
		if (++n > LAUNCH_WORDS_MAX)
			return -E2BIG;
	return n;
}

static int put_words(struct buf *to, const char *const *words)
{
	for (; words && *words; words++) {
		buf_put(to, *words, strlen(*words) + 1);
		if (to->len > LAUNCH_BYTES_MAX)
			return -E2BIG;
	}
	return 0;
}

static bool is_setting(const char *word)
{
	return strchr(word, '=') && (isalpha((unsigned char)*word) || *word == '_');
}

int launch_check(const struct launch *l)
{
	if (!l->arguments || !l->arguments[0] || !*l->arguments[0] || (l->directory && *l->directory != '/'))
		return -EINVAL;
	for (const char *const *e = l->environment; e && *e; e++)
		if (!is_setting(*e))
			return -EINVAL;
	int arguments = count(l->arguments), environment = count(l->environment);
	bool few = arguments > 0 && environment >= 0 && arguments + environment <= LAUNCH_WORDS_MAX;
	return few ? 0 : -E2BIG;
}

static uint32_t given(const struct launch *l)
{
	uint32_t bits = 0;

	for (int i = 0; l->fds && i < 3; i++)
		bits |= (uint32_t)(l->fds[i] >= 0) << i;
	return bits;
}

static int encode(uint32_t id, const struct launch *l, struct buf *to)
{
	struct launch_request q = {.kind = HELPER_MSG_LAUNCH, .id = id, .given = given(l)};
	const char *const directory[] = {l->directory ? l->directory : "", NULL};
	int r = launch_check(l);

	if (r < 0)
		return r;
	q.arguments = (uint16_t)count(l->arguments);
	q.environment = (uint16_t)count(l->environment);
	buf_put(to, &q, sizeof q);
	r = put_words(to, directory);
	if (r == 0)
		r = put_words(to, l->arguments);
	if (r == 0)
		r = put_words(to, l->environment);
	return r < 0 ? r : to->failed ? -ENOMEM : 0;
}

static int send_launch(struct helper *launcher, const struct buf *bytes, const struct launch *l, int status)
{
	int fds[4] = {status};
	size_t n = 1;

	for (int i = 0; l->fds && i < 3; i++)
		if (l->fds[i] >= 0)
			fds[n++] = l->fds[i];
	return helper_send(launcher, bytes->data, bytes->len, fds, n);
}

int launch_start(struct helper *launcher, uint32_t id, const struct launch *l, int *ret_status)
{
	struct buf bytes = BUF_INIT;
	int status[2];
	int r = encode(id, l, &bytes);

	if (r == 0 && pipe2(status, O_CLOEXEC | O_NONBLOCK) < 0)
		r = -errno;
	if (r == 0) {
		r = send_launch(launcher, &bytes, l, status[1]);
		close(status[1]);
		if (r < 0)
			close(status[0]);
	}
	buf_release(&bytes);
	if (r == 0)
		*ret_status = status[0];
	return r;
}

int launch_failed(int status, const char **ret_what)
{
	static const char *const steps[LAUNCH_STEPS] = {
	    [LAUNCH_PREPARE] = "can't be prepared", [LAUNCH_DIRECTORY] = "its directory can't be entered",
	    [LAUNCH_PROGRAM] = "can't be executed",
	    [LAUNCH_ENTRY] = "is no file of root's alone where vigia-root looks", [LAUNCH_USER] = "can't be run as that user"};
	struct launch_failure f;
	ssize_t n = read(status, &f, sizeof f);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -errno;
	if (n != sizeof f || f.error <= 0 || f.at >= LAUNCH_STEPS)
		return 0;
	*ret_what = steps[f.at];
	return -f.error;
}
