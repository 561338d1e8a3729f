/* SPDX-License-Identifier: Apache-2.0 */
#include "services/settings/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"
#include "os/log.h"

enum { LOOK_MS = 50 };
#define WAIT_NS 15000000000LL
#define SECRET "nats.server"

/* --- the file --- */

static int read_file(const char *path, struct buf *to)
{
	ssize_t n = 1;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	int r = fstat(fd, &st) ? -errno : !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) ? -EPERM : 0;
	while (!r && n > 0 && to->len <= SETTINGS_FILE_MAX) {
		if (!buf_reserve(to, 65536))
			r = -ENOMEM;
		else if ((n = read(fd, to->data + to->len, 65536)) > 0)
			to->len += (size_t)n;
	}
	close(fd);
	return r ? r : n < 0 ? -errno : 0;
}

int settings_load(const char *state_directory, struct settings *ret, struct buf *why)
{
	char path[4200];
	int line = 1;
	struct buf text = BUF_INIT;
	snprintf(path, sizeof path, "%s/settings", state_directory);
	*ret = (struct settings){0};
	int r = read_file(path, &text);
	if (r == -ENOENT)
		r = 0;
	else if (r)
		buf_putf(why, "%s: %s\n", path, r == -EPERM ? "expected a plain file of this user's that nobody else may write" : strerror(-r));
	else if ((r = settings_read(ret, text.data ? text.data : "", text.len, &line)))
		buf_putf(why, "%s:%d: expected KEY=VALUE, each key once\n", path, line);
	buf_release(&text);
	return r;
}

/* --- a change --- */

static void finish(struct settings_change *s)
{
	uv_timer_stop(&s->timer);
	settings_release(&s->tried);
	buf_release(&s->told);
	buf_release(&s->text);
	s->state = SETTINGS_IDLE;
	s->call = NULL;
}

static void undo(struct settings_change *s, const char *why)
{
	struct call *c = s->call;
	s->daemon->undo();
	log_event(LOG_WARNING, "conf", "undone, the configuration of before is in force: %s", why);
	finish(s);
	if (!c)
		return;
	c->state = NULL;
	call_fail(c, "undone", "undone, the configuration of before is in force: %s", why);
}

static void keep(struct settings_change *s)
{
	struct call *c = s->call;
	struct msg *m = c && s->told.len ? call_answer(c, "settings") : NULL;
	if (m)
		msg_text(m, s->told.data, s->told.len);
	s->daemon->keep();
	settings_release(&s->settings);
	s->settings = s->tried;
	s->tried = (struct settings){0};
	finish(s);
	if (!c)
		return;
	c->state = NULL;
	call_send(c, m);
	call_end(c);
}

static void save(uv_work_t *work)
{
	struct settings_change *s = work->data;
	s->saved = s->text.failed ? -ENOMEM : file_replace(s->path, buf_str(&s->text));
}

static void on_saved(uv_work_t *work, int status)
{
	struct settings_change *s = work->data;
	char why[120];
	int r = status ? status : s->saved;
	snprintf(why, sizeof why, "the settings can't be kept: %s", strerror(-r));
	if (r)
		undo(s, why);
	else
		keep(s);
}

static bool same(const struct settings *a, const struct settings *b)
{
	bool is = a->n == b->n;
	for (size_t i = 0; is && i < a->n; i++)
		is = !strcmp(a->v[i].key, b->v[i].key) && !strcmp(a->v[i].value, b->v[i].value);
	return is;
}

static void has_come_up(struct settings_change *s)
{
	if (same(&s->tried, &s->settings)) {
		keep(s);
		return;
	}
	uv_timer_stop(&s->timer);
	s->state = SETTINGS_SAVING;
	settings_put(&s->tried, &s->text);
	if (uv_queue_work(s->core->net.loop, &s->work, save, on_saved))
		undo(s, "no memory to keep it");
}

static void look(uv_timer_t *timer)
{
	struct settings_change *s = timer->data;
	struct buf why = BUF_INIT;
	int r = s->daemon->is_up(&why);
	if (!r)
		has_come_up(s);
	else if (r != -EAGAIN || uv_now(timer->loop) >= s->until_ms)
		undo(s, buf_str(&why));
	buf_release(&why);
}

bool settings_are_busy(const struct core *core)
{
	return core->settings && core->settings->state != SETTINGS_IDLE;
}

/* Takes `tried`. */
static int begin(struct call *c, struct settings *tried, int64_t wait_ns)
{
	struct settings_change *s = c->core->settings;
	int r = s->daemon->take(tried, &s->told);
	if (r) {
		call_fail(c, "bad-argument", "nothing was changed: %s", s->told.len ? buf_str(&s->told) : strerror(-r));
		buf_release(&s->told);
		settings_release(tried);
		return -1;
	}
	s->tried = *tried;
	s->call = c;
	c->state = s;
	s->state = SETTINGS_COMING_UP;
	s->until_ms = uv_now(c->core->net.loop) + (uint64_t)(wait_ns / 1000000);
	uv_timer_start(&s->timer, look, 1, LOOK_MS);
	return CALL_LATER;
}

/* He has gone, or does not want to wait: what has not come up by then is undone. */
static void over(struct call *c)
{
	struct settings_change *s = c->state;
	if (!s)
		return;
	s->call = NULL;
	if (s->state == SETTINGS_COMING_UP)
		undo(s, "who asked for it is gone");
}

static int copy_to_try(struct call *c, struct settings *ret)
{
	if (settings_are_busy(c->core))
		return call_fail(c, "held", "another change of the configuration is under way");
	int r = settings_copy(&c->core->settings->settings, ret);
	return r ? call_fail_errno(c, r) : 0;
}

/* --- the operations --- */

/* To be freed. */
static char *value_of(const struct call *c)
{
	const union op_value *section = &c->args[2];
	return section->n ? strndup((const char *)section->bytes, section->n) : strdup(c->args[1].text);
}

static int check_value(struct call *c)
{
	const union op_value *section = &c->args[2];
	bool is_monitor = !strncmp(c->args[0].text, "monitor.", 8);
	if (!strcmp(c->args[0].text, SECRET))
		return call_fail(c, "bad-argument", "settings.set: " SECRET " may have a password: it is set in the file alone");
	if (*c->args[1].text && section->n)
		return call_fail(c, "bad-argument", "settings.set takes a value or a section, not both");
	if (section->n && !is_monitor)
		return call_fail(c, "bad-argument", "settings.set: a section is a monitor's; %s takes a value", c->args[0].text);
	return section->n && memchr(section->bytes, 0, section->n) ? call_fail_arg(c, 2, "text") : 0;
}

static int run_set(struct call *c)
{
	struct settings tried;
	if (check_value(c) || copy_to_try(c, &tried))
		return -1;
	char *value = value_of(c);
	int r = value ? settings_set(&tried, c->args[0].text, value) : -ENOMEM;
	free(value);
	if (!r)
		return begin(c, &tried, c->args[3].number);
	settings_release(&tried);
	if (r == -ENOSPC)
		return call_fail(c, "too-many", "%d settings are as many as there can be: put some into the file", SETTINGS_MAX);
	return r == -EINVAL ? call_fail_arg(c, 0, "OPTION, SECTION.OPTION or monitor.NAME") : call_fail_errno(c, r);
}

static int run_unset(struct call *c)
{
	struct settings tried;
	if (copy_to_try(c, &tried))
		return -1;
	if (!settings_unset(&tried, c->args[0].text))
		return begin(c, &tried, c->args[1].number);
	settings_release(&tried);
	return call_fail(c, "not-found", "%s is not set: the file, or its default, says what it is", c->args[0].text);
}

static int run_reload(struct call *c)
{
	struct settings tried;
	return copy_to_try(c, &tried) ? -1 : begin(c, &tried, c->args[0].number);
}

static void put_option(void *data, const char *key, const char *value)
{
	struct call *c = data;
	struct msg *m = pattern_match(c->args[0].text, key) ? call_answer(c, "option") : NULL;
	if (!m)
		return;
	msg_set(m, "option", key);
	msg_set(m, "value", strcmp(key, SECRET) || !strchr(value, '@') ? value : "(with a password)");
	msg_set_flag(m, "set", settings_get(&c->core->settings->settings, key));
	call_send(c, m);
}

static int run_get(struct call *c)
{
	conf_each(c->core->settings->daemon->conf(), put_option, c);
	return CALL_DONE;
}

static const struct op_field option_fields[] = {
    {"option", OP_TEXT, "OPTION, SECTION.OPTION as in vigia.conf(5), or monitor.NAME"},
    {"value", OP_TEXT, "what is in force; of a monitor the inside of its section"},
    {"set", OP_FLAG, "by settings.set; else the file, or its default, says so"},
    {NULL},
};

static const struct op_field told_fields[] = {
    {"text", OP_TEXT, "what takes a restart"},
    {NULL},
};

#define OPTION {"option", OP_TEXT, "OPTION, SECTION.OPTION as in vigia.conf(5), or monitor.NAME", .required = true}
#define WAIT {"wait", OP_DURATION, "how long what changes may take to come up, before it is undone", .fallback = WAIT_NS}

static const struct op ops[] = {
    {"settings", "get", "the configuration in force", OP_OPERATES | OP_TRUSTED, ROLE_CLIENT, .args = {{"option", OP_PATTERN, "options"}}, .run = run_get,
	.fields = option_fields},
    {"settings", "set", "sets an option over the file; undone if what it changes does not come up", OP_OPERATES | OP_CHANGES, ROLE_CLIENT,
	.args = {OPTION, {"value", OP_TEXT, "as in the file; of a list its elements with commas between"},
	    {"section", OP_BYTES, "in place of a value, for monitor.NAME: the inside of its section"}, WAIT},
	.run = run_set, .over = over, .fields = told_fields},
    {"settings", "unset", "an option is as the file has it", OP_OPERATES | OP_CHANGES, ROLE_CLIENT, .args = {OPTION, WAIT}, .run = run_unset,
	.over = over, .fields = told_fields},
    {"settings", "reload", "takes the file anew; undone if what it changes does not come up", OP_OPERATES | OP_CHANGES, ROLE_CLIENT, .args = {WAIT},
	.run = run_reload, .over = over, .fields = told_fields},
    {NULL},
};

const struct service settings_service = {.name = "settings", .doc = "the configuration of this host's daemon", .ops = ops};

/* --- start and end --- */

int settings_start(struct core *core, const struct settings_daemon *daemon, const char *state_directory, struct settings *take)
{
	struct settings_change *s = calloc(1, sizeof *s);
	if (!s || asprintf(&s->path, "%s/settings", state_directory) < 0) {
		free(s);
		return -ENOMEM;
	}
	s->core = core;
	s->daemon = daemon;
	s->settings = *take;
	*take = (struct settings){0};
	uv_timer_init(core->net.loop, &s->timer);
	s->timer.data = s->work.data = s;
	core->settings = s;
	return 0;
}

/* What is being saved has come up: it is kept, or undone, before the loop ends. */
void settings_stop(struct core *core)
{
	struct settings_change *s = core->settings;
	if (!s)
		return;
	if (s->state == SETTINGS_COMING_UP)
		undo(s, "this daemon ends");
	uv_close((uv_handle_t *)&s->timer, NULL);
}

void settings_forget(struct core *core)
{
	struct settings_change *s = core->settings;
	if (!s)
		return;
	finish(s);
	settings_release(&s->settings);
	free(s->path);
	free(s);
	core->settings = NULL;
}
