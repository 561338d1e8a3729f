/* SPDX-License-Identifier: Apache-2.0 */
/* How much of a kind comes from whom, so that a flood fills no disk: each may have so much at once, and so much a second in the
 * long run. What is beyond is counted, to the last one. A table of fixed size: those who have no place in it share one. */
#ifndef VIGIA_AUDIT_RATES_H
#define VIGIA_AUDIT_RATES_H

#include "audit/line.h"

enum audit_kind {
	AUDIT_CHANGE,  /* never left out */
	AUDIT_TRAFFIC, /* what programs do with what is theirs, all day long */
	AUDIT_REFUSAL,
	AUDIT_KINDS
};

enum { AUDIT_RATES = 256 };

struct audit_rate {
	bool used;
	enum audit_kind kind;
	uint32_t uid; /* whose: AUDIT_NOBODY, with no host and no how: of all who have no place of their own */
	char host[AUDIT_HOST], how[16];
	double tokens;
	int64_t at_ns, since_ns; /* when tokens were counted; when the first was left out */
	uint64_t left_out;
};

/* So many at once, and so many a second in the long run. */
struct audit_pace {
	double burst, per_s;
};

struct audit_rates {
	struct audit_pace changes;
	struct audit_rate v[AUDIT_RATES + AUDIT_KINDS]; /* the last ones are those that are shared */
};

/* May this one be told? If not, it has been counted. now_ns: monotonic; r->time_ns is when. */
bool audit_rates_take(struct audit_rates *s, const struct audit_record *r, enum audit_kind kind, int64_t now_ns);
/* May he change something more? It is not counted. */
bool audit_rates_may_change(struct audit_rates *s, const struct audit_record *r, int64_t now_ns);
/* Somebody of whom something was left out; NULL: there is none. Who tells it sets left_out to 0. */
struct audit_rate *audit_rates_left_out(struct audit_rates *s);

#endif
