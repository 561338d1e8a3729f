/* SPDX-License-Identifier: Apache-2.0 */
#include "core/orders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "identity/place.h"
#include "os/clock.h"

enum { BUCKETS = 1024 };
/* From when it came: longer than it can be good. */
static const int64_t KEPT_NS = (ORDER_LIFE_S + 2 * ORDER_SKEW_S) * 1000000000LL;

struct taken {
	uint8_t nonce[ORDER_NONCE];
	int64_t since_ns; /* monotonic */
	uid_t counted;
	struct taken *next, *later;
};

struct orders {
	uint64_t life, secret; /* where a nonce lies is nobody's to choose */
	struct taken *buckets[BUCKETS], *first, **end;
};

/* --- once --- */

static struct orders *orders_of(struct core *core)
{
	struct orders *o = core->orders ? NULL : calloc(1, sizeof *o);
	if (!o)
		return core->orders;
	if (getrandom(&o->life, sizeof o->life, 0) != sizeof o->life || getrandom(&o->secret, sizeof o->secret, 0) != sizeof o->secret) {
		free(o);
		return NULL;
	}
	o->life >>= 1; /* goes through a signed field */
	o->end = &o->first;
	return core->orders = o;
}

static struct taken **place_of(struct orders *o, const uint8_t nonce[ORDER_NONCE])
{
	uint64_t u;
	memcpy(&u, nonce, sizeof u);
	struct taken **t = &o->buckets[((u ^ o->secret) * 0x9e3779b97f4a7c15 >> 32) % BUCKETS];
	while (*t && memcmp((*t)->nonce, nonce, ORDER_NONCE))
		t = &(*t)->next;
	return t;
}

static void forget_old(struct core *core, int64_t now_ns)
{
	struct orders *o = core->orders;
	while (o->first && now_ns - o->first->since_ns > KEPT_NS) {
		struct taken *t = o->first;
		*place_of(o, t->nonce) = t->next;
		if (!(o->first = t->later))
			o->end = &o->first;
		limits_give(&core->limits, LIMIT_ORDERS, t->counted, 1);
		free(t);
	}
}

static int keep(struct orders *o, struct taken **at, const uint8_t nonce[ORDER_NONCE], uid_t counted, int64_t now_ns)
{
	struct taken *t = calloc(1, sizeof *t);
	if (!t)
		return -ENOMEM;
	*t = (struct taken){.since_ns = now_ns, .counted = counted};
	memcpy(t->nonce, nonce, ORDER_NONCE);
	*at = *o->end = t;
	o->end = &t->later;
	return 0;
}

/* -EALREADY: it was taken; -ENOBUFS: too many were. */
static int take_once(struct core *core, const uint8_t nonce[ORDER_NONCE], uid_t uid, struct buf *why)
{
	int64_t now_ns = clock_mono_ns();
	forget_old(core, now_ns);
	struct taken **at = place_of(core->orders, nonce);
	if (*at) {
		buf_puts(why, "this order was taken already");
		return -EALREADY;
	}
	uid_t counted = uid_counted(uid);
	enum limit reached = limits_take(&core->limits, LIMIT_ORDERS, counted, 1);
	if (reached != LIMIT_NONE) {
		limits_put_reached(&core->limits, reached, why);
		return -ENOBUFS;
	}
	int r = keep(core->orders, at, nonce, counted, now_ns);
	if (r)
		limits_give(&core->limits, LIMIT_ORDERS, counted, 1);
	return r;
}

/* --- whose --- */

static int check_owner(struct core *core, X509 *x, int64_t now_s, uid_t *ret_uid, struct buf *why)
{
	struct certificate owner;
	char realm[ORDER_REALM];
	struct trust *t = belief_trust(place_belief(core->place));
	int r = trust_check(t, x, NULL, TRUST_CLIENT, now_s, &owner, why);
	trust_unref(t);
	if (r)
		return r;
	if (!(owner.roles & CERTIFIED_USER) || order_user(owner.name, ret_uid, realm)) {
		buf_putf(why, "the certificate of %s is no user's", owner.name);
		return -EKEYREJECTED;
	}
	if (strcmp(realm, core->realm)) {
		buf_putf(why, "uid %u is of the realm %s, and this host of %s: there it is somebody else", (unsigned)*ret_uid, realm, core->realm);
		return -EKEYREJECTED;
	}
	return 0;
}

static int check(struct call *c, const struct order *o, uid_t *ret_uid, struct buf *why)
{
	X509 *x;
	struct order_audience here;
	int64_t now_s = clock_wall_ns() / 1000000000;
	int r = orders_audience(c->core, &here);
	if (!r)
		r = certificate_read(o->certificate, o->certificate_n, &x, why);
	if (r)
		return r;
	r = check_owner(c->core, x, now_s, ret_uid, why);
	if (!r)
		r = order_check(o, c->msg, &here, now_s, X509_get0_pubkey(x), why);
	X509_free(x);
	return r;
}

static int prove(struct call *c, const uint8_t *bytes, size_t n, struct buf *why)
{
	struct order o;
	uid_t uid;
	int r = order_read(bytes, n, &o, why);
	if (!r)
		r = check(c, &o, &uid, why);
	if (!r)
		r = take_once(c->core, o.nonce, uid, why);
	if (r)
		return r;
	c->proven = true;
	c->caller.uid = uid;
	return 0;
}

static int refuse(struct call *c, int r, struct buf *why)
{
	return call_fail(c, r == -ENOBUFS ? "too-many" : "not-permitted", "%s.%s: %s", c->msg->name, msg_get(c->msg, "query", ""),
	    why->len ? buf_str(why) : strerror(-r));
}

int orders_take(struct call *c)
{
	const uint8_t *bytes;
	size_t n;
	struct buf why = BUF_INIT;
	if (!c->op->run || !msg_field(c->msg, "signed") || !asker_is_stranger(c->asker))
		return 0;
	int r = msg_get_bytes(c->msg, "signed", &bytes, &n);
	if (!c->core->place)
		buf_puts(&why, "this host is in no cluster: it believes nobody's key"), r = -EKEYREJECTED;
	else if (r)
		buf_puts(&why, "what it is signed with is no order");
	else
		r = prove(c, bytes, n, &why);
	if (r)
		refuse(c, r, &why);
	buf_release(&why);
	return r ? -1 : 0;
}

/* --- */

int orders_audience(struct core *core, struct order_audience *ret)
{
	const struct orders *o = orders_of(core);
	if (!o)
		return -ENOMEM;
	*ret = (struct order_audience){core->id, o->life};
	return 0;
}

void orders_release(struct core *core)
{
	struct orders *o = core->orders;
	while (o && o->first) {
		struct taken *t = o->first;
		o->first = t->later;
		free(t);
	}
	free(o);
	core->orders = NULL;
}
