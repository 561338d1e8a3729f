/* SPDX-License-Identifier: Apache-2.0 */
#include "os/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct ask {
	struct source pipe;
	int sources;
	struct system_run *run;
	struct buf text;
	size_t most;
	ask_done_fn *done;
	void *owner;
};

static void ask_free(struct ask *a)
{
	source_close(a->sources, &a->pipe);
	buf_release(&a->text);
	free(a);
}

static void finish(struct ask *a, int error)
{
	if (!error && (a->text.failed || a->text.len > a->most))
		error = a->text.failed ? -ENOMEM : -EMSGSIZE;
	a->done(a->owner, error, error ? "" : buf_str(&a->text), error ? 0 : a->text.len);
	ask_free(a);
}

/* False: there is nothing now. */
static bool take_some(struct ask *a)
{
	char bytes[4096];
	ssize_t n = a->pipe.fd < 0 ? 0 : read(a->pipe.fd, bytes, sizeof bytes);

	if (n > 0)
		buf_put(&a->text, bytes, (size_t)n);
	/* Without a reader it ends, too. */
	if (n == 0 || (n < 0 && errno != EAGAIN) || a->text.len > a->most)
		source_close(a->sources, &a->pipe);
	return n > 0;
}

static void on_pipe(struct source *s)
{
	take_some((struct ask *)s);
}

static void on_started(void *owner, int error, const char *what, const struct process_key *process)
{
	if (error)
		finish(owner, error);
}

static void on_ended(void *owner, int status)
{
	struct ask *a = owner;

	while (take_some(a))
		;
	finish(a, 0);
}

int ask_start(struct runs *runs, int sources, const char *const *words, size_t most, ask_done_fn *done, void *owner,
    struct ask **ret)
{
	static const struct system_run_events events = {on_started, on_ended};
	struct ask *a = calloc(1, sizeof *a);
	int out, in, r = a ? system_pipe(&out, &in) : -ENOMEM;

	if (r < 0) {
		free(a);
		return r;
	}
	*a = (struct ask){.sources = sources, .most = most, .done = done, .owner = owner};
	r = source_add(sources, &a->pipe, out, on_pipe);
	const struct launch l = {.arguments = words, .directory = "/", .fds = (const int[]){-1, in, -1}};
	if (r < 0)
		close(out);
	else
		r = runs_start(runs, &l, &events, a, &a->run);
	close(in);
	if (r < 0)
		ask_free(a);
	else
		*ret = a;
	return r;
}

void ask_drop(struct ask *a)
{
	if (!a)
		return;
	runs_forget(a->run);
	ask_free(a);
}
