/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"

#include <stdlib.h>

#define UNIT_
#define UNIT_s *1000000000LL
#define UNIT_MiB *(1LL << 20)
#define UNIT_GiB *(1LL << 30)

#define ROW(id, row_name, row_of, row_each, row_form, number, unit, from, to, text) \
	[LIMIT_##id] = {.name = #row_name, .doc = text, .of = LIMIT_OF_##row_of, .form = LIMIT_##row_form, .each = LIMIT_##row_each, \
	    .fallback = number UNIT_##unit, .least = from, .most = to},
const struct limit_type limit_types[LIMITS_N] = {LIMITS_ALL(ROW)};
#undef ROW

const char *const limit_of_names[] = {[LIMIT_OF_DAEMON] = "daemon", [LIMIT_OF_UID] = "uid", [LIMIT_OF_CONNECTION] = "connection",
    [LIMIT_OF_HOST] = "host", [LIMIT_OF_CHANNEL] = "channel", [LIMIT_OF_NODE] = "node", [LIMIT_OF_COMPONENT] = "component"};

struct limits_user {
	uid_t uid;
	int64_t all; /* of whatever: 0: it can go */
	int64_t used[LIMITS_N];
	struct limits_user *next;
};

void limits_set(struct limits *l, const struct limit_values *values)
{
	for (size_t i = 0; i < LIMITS_N; i++)
		l->v[i].most = values && values->v[i] ? values->v[i] : limit_types[i].fallback;
}

void limits_release(struct limits *l)
{
	for (size_t i = 0; i < LIMITS_BUCKETS; i++)
		while (l->users[i]) {
			struct limits_user *u = l->users[i];
			l->users[i] = u->next;
			free(u);
		}
}

/* --- users --- */

static struct limits_user *const *place_of(const struct limits *l, uid_t uid)
{
	struct limits_user *const *at = &l->users[uid % LIMITS_BUCKETS];
	while (*at && (*at)->uid != uid)
		at = &(*at)->next;
	return at;
}

static struct limits_user *user_for(struct limits *l, uid_t uid)
{
	struct limits_user **at = (struct limits_user **)place_of(l, uid);
	if (!*at && (*at = calloc(1, sizeof **at)))
		(*at)->uid = uid;
	return *at;
}

static bool has_own_row(enum limit what, uid_t uid)
{
	return limit_types[what].each != LIMIT_NONE && uid != LIMITS_NOBODY;
}

static int64_t used_by(const struct limits *l, enum limit each, uid_t uid)
{
	const struct limits_user *u = *place_of(l, uid);
	return u ? u->used[each] : 0;
}

/* --- counting --- */

static void raise_peak(struct limit_row *row, int64_t to)
{
	if (to > row->peak)
		row->peak = to;
}

enum limit limits_full(const struct limits *l, enum limit what, uid_t uid, int64_t n)
{
	enum limit each = limit_types[what].each;
	if (has_own_row(what, uid) && used_by(l, each, uid) + n > l->v[each].most)
		return each;
	return l->v[what].used + n > l->v[what].most ? what : LIMIT_NONE;
}

void limits_refuse(struct limits *l, enum limit what)
{
	l->v[what].refused++;
}

void limits_force(struct limits *l, enum limit what, uid_t uid, int64_t n)
{
	enum limit each = limit_types[what].each;
	struct limits_user *u = has_own_row(what, uid) ? user_for(l, uid) : NULL;
	raise_peak(&l->v[what], l->v[what].used += n);
	if (!u)
		return;
	u->all += n;
	raise_peak(&l->v[each], u->used[each] += n);
}

enum limit limits_take(struct limits *l, enum limit what, uid_t uid, int64_t n)
{
	enum limit full = limits_full(l, what, uid, n);
	if (full == LIMIT_NONE && has_own_row(what, uid) && !user_for(l, uid))
		full = limit_types[what].each;
	if (full == LIMIT_NONE)
		limits_force(l, what, uid, n);
	else
		limits_refuse(l, full);
	return full;
}

/* One that could not be counted for want of memory is not given back either. */
static void give_of(struct limits *l, enum limit each, uid_t uid, int64_t n)
{
	struct limits_user **at = (struct limits_user **)place_of(l, uid), *u = *at;
	if (!u)
		return;
	n = n < u->used[each] ? n : u->used[each];
	u->used[each] -= n;
	u->all -= n;
	if (u->all)
		return;
	*at = u->next;
	free(u);
}

void limits_give(struct limits *l, enum limit what, uid_t uid, int64_t n)
{
	l->v[what].used -= n;
	if (has_own_row(what, uid))
		give_of(l, limit_types[what].each, uid, n);
}

bool limits_allow(struct limits *l, enum limit what, int64_t much)
{
	if (much > l->v[what].most) {
		limits_refuse(l, what);
		return false;
	}
	raise_peak(&l->v[what], much);
	return true;
}

/* --- telling --- */

int64_t limits_used(const struct limits *l, enum limit what)
{
	int64_t most = l->v[what].used;
	for (size_t i = 0; limit_types[what].of == LIMIT_OF_UID && i < LIMITS_BUCKETS; i++)
		for (const struct limits_user *u = l->users[i]; u; u = u->next)
			most = u->used[what] > most ? u->used[what] : most;
	return most;
}

void limits_put_reached(const struct limits *l, enum limit what, struct buf *to)
{
	buf_putf(to, "limit %s (%lld) is reached; limits { %s = ... } in vigia.conf raises it", limit_types[what].name,
	    (long long)l->v[what].most, limit_types[what].name);
}
