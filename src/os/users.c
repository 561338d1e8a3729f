/* SPDX-License-Identifier: Apache-2.0 */
#include "os/users.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "os/ask.h"
#include "os/clock.h"
#include "os/utf8.h"

enum { ANSWER_MAX = 65536, LINE_SIZE = 1024 };
static const int64_t NAMELESS_NS = 600000000000; /* one that nobody knew is asked for again after this */

struct user {
	uid_t uid;
	bool waits; /* for an answer */
	int64_t asked_ns;
	char name[PROCESS_USER_MAX + 1];
};

struct table {
	struct user *v; /* by uid */
	size_t n;
};

struct users {
	struct runs *runs;
	int sources;
	const char *file;
	struct timespec changed; /* the file, when it was read */
	struct table local, asked;
	struct ask *ask;
};

/* --- a table ------------------------------------------------------------------------------------------------------ */

/* Where it is, or would be. */
static size_t place(const struct table *t, uid_t uid)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (t->v[mid].uid < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct user *find(const struct table *t, uid_t uid)
{
	size_t i = place(t, uid);

	return i < t->n && t->v[i].uid == uid ? &t->v[i] : NULL;
}

/* The one there is, or a new one; NULL: no room. */
static struct user *find_or_add(struct table *t, uid_t uid, size_t most)
{
	size_t i = place(t, uid);

	if (i < t->n && t->v[i].uid == uid)
		return &t->v[i];
	struct user *v = t->n < most ? realloc(t->v, (t->n + 1) * sizeof *v) : NULL;
	if (!v)
		return NULL;
	t->v = v;
	memmove(&v[i + 1], &v[i], (t->n - i) * sizeof *v);
	t->n++;
	v[i] = (struct user){.uid = uid};
	return &v[i];
}

static void empty(struct table *t)
{
	free(t->v);
	*t = (struct table){0};
}

/* --- lines of passwd(5): name:password:uid:... ------------------------------------------------------------------- */

bool users_parse(const char *line, size_t n, uid_t *ret_uid, char ret_name[PROCESS_USER_MAX + 1])
{
	const char *end = line + n, *password = memchr(line, ':', n);
	const char *uid = password ? memchr(password + 1, ':', (size_t)(end - password - 1)) : NULL;
	uint64_t value = 0;

	if (!uid || password == line)
		return false;
	const char *digit = ++uid;
	while (digit < end && *digit >= '0' && *digit <= '9' && value <= UINT32_MAX)
		value = value * 10 + (uint64_t)(*digit++ - '0');
	if (digit == uid || digit == end || *digit != ':' || value > UINT32_MAX)
		return false;
	*ret_uid = (uid_t)value;
	utf8_harmless(ret_name, PROCESS_USER_MAX + 1, line, (size_t)(password - line));
	return true;
}

static void take_line(struct table *t, const char *line, size_t n, size_t most)
{
	char name[PROCESS_USER_MAX + 1];
	uid_t uid;
	struct user *u = users_parse(line, n, &uid, name) ? find_or_add(t, uid, most) : NULL;

	/* Of several names the first counts, as for everybody. */
	if (u && !*u->name)
		memcpy(u->name, name, sizeof name);
}

static void read_local(struct users *u, FILE *f)
{
	char line[LINE_SIZE];

	empty(&u->local);
	while (fgets(line, sizeof line, f) && u->local.n < USERS_LOCAL_MAX)
		take_line(&u->local, line, strlen(line), USERS_LOCAL_MAX);
}

void users_refresh(struct users *u)
{
	struct stat st;

	if (stat(u->file, &st) < 0 || (st.st_mtim.tv_sec == u->changed.tv_sec && st.st_mtim.tv_nsec == u->changed.tv_nsec))
		return;
	FILE *f = fopen(u->file, "re");
	if (!f)
		return;
	u->changed = st.st_mtim;
	read_local(u, f);
	fclose(f);
}

/* --- the others --------------------------------------------------------------------------------------------------- */

static void ask_next(struct users *u);

static void on_answer(void *owner, int error, const char *text, size_t n)
{
	struct users *u = owner;

	u->ask = NULL;
	for (const char *end = text + n; text < end;) {
		size_t length = strcspn(text, "\n");
		take_line(&u->asked, text, length, USERS_ASKED_MAX);
		text += length + 1;
	}
	for (size_t i = 0; i < u->asked.n; i++)
		if (u->asked.v[i].asked_ns)
			u->asked.v[i].waits = false;
	ask_next(u);
}

/* Those that wait, and that nobody was asked about. */
static void ask_next(struct users *u)
{
	static const char *const command[] = {"timeout", "10", "getent", "passwd"};
	enum { FIXED = sizeof command / sizeof *command };
	const char *words[FIXED + USERS_AT_ONCE + 1] = {NULL};
	char numbers[USERS_AT_ONCE][12];
	int64_t now_ns = clock_mono_ns();
	size_t n = 0;

	memcpy(words, command, sizeof command);
	for (size_t i = 0; i < u->asked.n && n < USERS_AT_ONCE; i++) {
		struct user *user = &u->asked.v[i];
		if (!user->waits)
			continue;
		user->asked_ns = now_ns;
		snprintf(numbers[n], sizeof *numbers, "%u", user->uid);
		words[FIXED + n] = numbers[n];
		n++;
	}
	/* When it can't be asked now, the next call tries again. */
	if (n)
		ask_start(u->runs, u->sources, words, ANSWER_MAX, on_answer, u, &u->ask);
}

static void want(struct users *u, uid_t uid)
{
	if (u->asked.n == USERS_ASKED_MAX && !u->ask)
		empty(&u->asked);
	struct user *user = find_or_add(&u->asked, uid, USERS_ASKED_MAX);
	if (user && !user->waits && (!user->asked_ns || clock_mono_ns() - user->asked_ns > NAMELESS_NS)) {
		user->waits = true;
		user->asked_ns = 0;
	}
	if (user && user->waits && !u->ask)
		ask_next(u);
}

const char *users_name(struct users *u, uid_t uid)
{
	const struct user *user = find(&u->local, uid);

	if (!user)
		user = find(&u->asked, uid);
	if (user && *user->name)
		return user->name;
	want(u, uid);
	return "";
}

struct users *users_new(struct runs *runs, int sources, const char *file)
{
	struct users *u = calloc(1, sizeof *u);

	if (!u)
		return NULL;
	*u = (struct users){.runs = runs, .sources = sources, .file = file ? file : "/etc/passwd"};
	users_refresh(u);
	return u;
}

void users_free(struct users *u)
{
	if (!u)
		return;
	ask_drop(u->ask);
	empty(&u->local);
	empty(&u->asked);
	free(u);
}
