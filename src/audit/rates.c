/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/rates.h"

#include <stdio.h>
#include <string.h>

static const struct {
	double burst, per_s;
} limits[AUDIT_KINDS] = {
    [AUDIT_CHANGE] = {1000, 100},
    [AUDIT_TRAFFIC] = {20, 0.2},
    [AUDIT_REFUSAL] = {50, 1},
};

static void refill(struct audit_rate *a, int64_t now_ns)
{
	a->tokens += (double)(now_ns - a->at_ns) * 1e-9 * limits[a->kind].per_s;
	if (a->tokens > limits[a->kind].burst)
		a->tokens = limits[a->kind].burst;
	a->at_ns = now_ns;
}

static bool is_of(const struct audit_rate *a, const struct audit_record *r, enum audit_kind kind)
{
	return a->used && a->kind == kind && a->uid == r->uid && !strcmp(a->host, r->host) &&
	    !strncmp(a->how, r->how, sizeof a->how - 1);
}

/* Nothing would be lost with it. */
static bool is_free(struct audit_rate *a, int64_t now_ns)
{
	if (!a->used)
		return true;
	refill(a, now_ns);
	return !a->left_out && a->tokens >= limits[a->kind].burst;
}

static struct audit_rate *take_place(struct audit_rate *a, const struct audit_record *r, enum audit_kind kind, int64_t now_ns)
{
	*a = (struct audit_rate){.used = true, .kind = kind, .uid = r ? r->uid : AUDIT_NOBODY, .tokens = limits[kind].burst,
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
		if (is_free(&s->v[i], now_ns))
			return take_place(&s->v[i], r, kind, now_ns);
	return shared->used ? shared : take_place(shared, NULL, kind, now_ns);
}

static bool take(struct audit_rate *a, int64_t now_ns)
{
	refill(a, now_ns);
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
	if (take(a, now_ns))
		return true;
	if (!a->left_out++)
		a->since_ns = r->time_ns;
	return false;
}

bool audit_rates_may_change(struct audit_rates *s, const struct audit_record *r, int64_t now_ns)
{
	return take(place_of(s, r, AUDIT_CHANGE, now_ns), now_ns);
}

struct audit_rate *audit_rates_left_out(struct audit_rates *s)
{
	for (size_t i = 0; i < AUDIT_RATES + AUDIT_KINDS; i++)
		if (s->v[i].left_out)
			return &s->v[i];
	return NULL;
}
