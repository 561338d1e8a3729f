/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/rates.h"

#include <stdio.h>
#include <string.h>

static const struct audit_pace *pace_of(const struct audit_rates *s, enum audit_kind kind)
{
	static const struct audit_pace paces[AUDIT_KINDS] = {[AUDIT_TRAFFIC] = {20, 0.2}, [AUDIT_REFUSAL] = {50, 1}};
	return kind == AUDIT_CHANGE ? &s->changes : &paces[kind];
}

static void refill(const struct audit_rates *s, struct audit_rate *a, int64_t now_ns)
{
	const struct audit_pace *pace = pace_of(s, a->kind);
	a->tokens += (double)(now_ns - a->at_ns) * 1e-9 * pace->per_s;
	if (a->tokens > pace->burst)
		a->tokens = pace->burst;
	a->at_ns = now_ns;
}

static bool is_of(const struct audit_rate *a, const struct audit_record *r, enum audit_kind kind)
{
	return a->used && a->kind == kind && a->uid == r->uid && !strcmp(a->host, r->host) &&
	    !strncmp(a->how, r->how, sizeof a->how - 1);
}

/* Nothing would be lost with it. */
static bool is_free(const struct audit_rates *s, struct audit_rate *a, int64_t now_ns)
{
	if (!a->used)
		return true;
	refill(s, a, now_ns);
	return !a->left_out && a->tokens >= pace_of(s, a->kind)->burst;
}

static struct audit_rate *take_place(const struct audit_rates *s, struct audit_rate *a, const struct audit_record *r,
    enum audit_kind kind, int64_t now_ns)
{
	*a = (struct audit_rate){.used = true, .kind = kind, .uid = r ? r->uid : AUDIT_NOBODY, .tokens = pace_of(s, kind)->burst,
	    .at_ns = now_ns};
	snprintf(a->host, sizeof a->host, "%s", r ? r->host : "");
	snprintf(a->how, sizeof a->how, "%s", r ? r->how : "");
	return a;
}

static struct audit_rate *place_of(struct audit_rates *s, const struct audit_record *r, enum audit_kind kind, int64_t now_ns)
{
	struct audit_rate *shared = &s->v[AUDIT_RATES + kind];
	for (size_t i = 0; i < AUDIT_RATES; i++)
		if (is_of(&s->v[i], r, kind))
			return &s->v[i];
	for (size_t i = 0; i < AUDIT_RATES; i++)
		if (is_free(s, &s->v[i], now_ns))
			return take_place(s, &s->v[i], r, kind, now_ns);
	return shared->used ? shared : take_place(s, shared, NULL, kind, now_ns);
}

static bool take(const struct audit_rates *s, struct audit_rate *a, int64_t now_ns)
{
	refill(s, a, now_ns);
	if (a->tokens < 1)
		return false;
	a->tokens--;
	return true;
}

bool audit_rates_take(struct audit_rates *s, const struct audit_record *r, enum audit_kind kind, int64_t now_ns)
{
	if (kind == AUDIT_CHANGE)
		return true;
	struct audit_rate *a = place_of(s, r, kind, now_ns);
	if (take(s, a, now_ns))
		return true;
	if (!a->left_out++)
		a->since_ns = r->time_ns;
	return false;
}

bool audit_rates_may_change(struct audit_rates *s, const struct audit_record *r, int64_t now_ns)
{
	return take(s, place_of(s, r, AUDIT_CHANGE, now_ns), now_ns);
}

struct audit_rate *audit_rates_left_out(struct audit_rates *s)
{
	for (size_t i = 0; i < AUDIT_RATES + AUDIT_KINDS; i++)
		if (s->v[i].left_out)
			return &s->v[i];
	return NULL;
}
