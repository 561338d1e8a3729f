/* SPDX-License-Identifier: Apache-2.0 */
#include "core/secure.h"

#include <errno.h>
#include <string.h>

#include "core/links.h"
#include "core/speech.h"
#include "identity/place.h"
#include "os/log.h"

/* What each role of HMON's takes: one of these in the certificate. Frames take what a client does. */
static const struct {
	const char *name;
	unsigned one_of;
} roles[] = {
    {"client", CERTIFIED_READER | CERTIFIED_OPERATOR | CERTIFIED_USER | CERTIFIED_HOST},
    {"node", CERTIFIED_HOST},
    {"monitor", CERTIFIED_MONITOR},
};

static int secure(struct peer *p, enum context_kind kind, bool accepting, const char *alpn)
{
	SSL_CTX *context = place_context(p->core->place, kind);
	int r = context ? stream_secure(p->stream, context, accepting, alpn) : -ENOMEM;
	SSL_CTX_free(context);
	p->secure = !r;
	return r;
}

int secure_begin(struct peer *p, bool accepted)
{
	if (!p->core->place || p->asker.uid != (uid_t)-1)
		return 0;
	return accepted ? secure(p, CONTEXT_ACCEPT, true, NULL) : secure(p, CONTEXT_DIAL_HMON, false, NULL);
}

static int turn_away(struct peer *p, const char *why)
{
	log_event(LOG_NOTICE, "tls", "%s: refused: %s", p->asker.address, why);
	p->core->figures.refused++;
	peer_gone(p, -EPROTO, why);
	peer_close(p);
	return -EPROTO;
}

int secure_done(struct peer *p)
{
	struct buf why = BUF_INIT;
	p->protocol = context_protocol(stream_ssl(p->stream));
	if (p->protocol == PROTOCOL_JOIN)
		return 0;
	int r = context_peer(stream_ssl(p->stream), &p->who, &why);
	if (r)
		r = turn_away(p, buf_str(&why));
	else if (p->dialled && !(p->who.roles & CERTIFIED_MASTER))
		r = turn_away(p, "its certificate is no master's");
	buf_release(&why);
	return r;
}

bool secure_may_be(const struct peer *p, const char *role)
{
	if (!p->secure)
		return true;
	if (p->protocol == PROTOCOL_JOIN)
		return false;
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
		if (!strcmp(roles[i].name, role))
			return p->who.roles & roles[i].one_of;
	return false;
}

bool secure_is_named(const struct peer *p, const char *name)
{
	return !p->secure || !strcmp(p->who.name, name);
}

const char *secure_name(const struct peer *p)
{
	return p->secure && *p->who.name ? p->who.name : NULL;
}

/* --- what third parties may ask --- */

static const struct named_op {
	const char *noun, *verb;
} operators[] = {
    {"monitor", "start"}, {"monitor", "stop"}, {"monitor", "restart"}, {"monitor", "forget"}, {"node", "forget"}, {"master", "reload"}},
  nobody[] = {{"service", "get"}, {"cluster", "reissue"}};

static bool is_in(const struct named_op *table, size_t n, const struct call *c)
{
	const char *verb = msg_get(c->msg, "query", "");
	for (size_t i = 0; i < n; i++)
		if (!strcmp(table[i].noun, c->msg->name) && !strcmp(table[i].verb, verb))
			return true;
	return false;
}

static bool is_third_party(const struct peer *p)
{
	return p && secure_name(p) && p->who.roles & CERTIFIED_THIRD;
}

/* What goes on to another host is judged there, as what a stranger asks. */
enum secure_right secure_right(const struct call *c)
{
	if (!is_third_party(c->peer))
		return SECURE_NOTHING;
	if (is_in(nobody, sizeof nobody / sizeof *nobody, c))
		return SECURE_REFUSES;
	if (!(c->op->flags & (OP_CHANGES | OP_ACTS | OP_PRIVATE | OP_TRUSTED)))
		return SECURE_READS;
	return c->peer->who.roles & CERTIFIED_OPERATOR && is_in(operators, sizeof operators / sizeof *operators, c) ? SECURE_CHANGES :
	    SECURE_REFUSES;
}

/* --- who is turned away --- */

void secure_failed(const struct peer *p)
{
	const char *why = context_refusal(stream_ssl(p->stream));
	log_event(LOG_NOTICE, "tls", "%s: %s: %s", p->asker.address, p->dialled ? "not reached" : "refused",
	    why ? why : *stream_why(p->stream) ? stream_why(p->stream) : "it hung up in the handshake");
}

void secure_judge(struct core *core)
{
	links_judge(core);
	for (struct peer *p = core->peers, *next; p; p = next) {
		struct buf why = BUF_INIT;
		next = p->next;
		if (p->secure && p->protocol && p->protocol != PROTOCOL_JOIN && place_judge(core->place, &p->who, &why))
			turn_away(p, buf_str(&why));
		buf_release(&why);
	}
}

static void turn_away_late(struct peer *p)
{
	struct buf why = BUF_INIT;
	buf_putf(&why, "%s's certificate is over", p->who.name);
	turn_away(p, buf_str(&why));
	buf_release(&why);
}

void secure_expire(struct core *core, int64_t now_s)
{
	for (struct peer *p = core->peers, *next; p; p = next) {
		next = p->next;
		if (is_third_party(p) && now_s >= p->who.until_s)
			turn_away_late(p);
	}
}
