/* SPDX-License-Identifier: Apache-2.0 */
/* The role `monitor`: a program connects, is asked for its configuration, and serves values. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/secure.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/secret.h"
#include "proto/describe.h"
#include "services/health/health.h"

enum { DESCRIBE_QUERY = 1 };

static struct monitor *monitor_of(const struct peer *p)
{
	return p->owner;
}

static int opened(struct peer *p, const struct msg *hmon)
{
	xml_trust(p->xml);
	p->next_query = DESCRIBE_QUERY + 1;
	struct msg *m = msg_new("config");
	if (!m)
		return -ENOMEM;
	msg_set(m, "query", "describe");
	msg_set_int(m, "id", DESCRIBE_QUERY);
	if (p->started) {
		const char *section = supervised_section(p->started);
		msg_set(m, "monitor", supervised_name(p->started));
		msg_text(m, section, strlen(section));
	}
	peer_send(p, m);
	return 0;
}

/* --- who is it? --- */

static int check_stranger(struct health *h, struct peer *p, const struct msg *config, const char *name)
{
	const char *secret = msg_get(config, "secret", "");
	if (!strcmp(name, "vigia"))
		return -EACCES; /* the daemon itself */
	if (p->started)
		return 0;
	if (!registry_find(h->registry, "monitor", name)) {
		struct monitor *m = names_find(&h->cluster.self->monitors, name);
		return (m && m->link) || supervise_expects(h, name) ? -EACCES : 0;
	}
	return registry_check(h->registry, "monitor", name, secret) ? 0 : -EACCES;
}

static int refuse_stranger(struct health *h, struct peer *p, const char *name)
{
	h->figures.strangers++;
	event_put_folded(h, "stranger", h->core->name, name, "a monitor from %s names itself %s without its secret",
	    p->asker.address, name);
	return peer_refuse(p, "stranger", "the name %s is taken and this is not its secret; on its node, `vigia forget %s/%s` "
	    "makes it free", name, h->core->name, name);
}

static void take_place(struct health *h, struct peer *p, struct monitor *m)
{
	if (m->link && m->link != p) {
		struct peer *old = m->link;
		update_link_closed(&m->asks);
		old->owner = NULL;
		peer_leave(old);
	}
	m->link = p;
	m->connected = true;
	m->connected_ns = clock_mono_ns();
	m->link_sequence = 0;
	m->told_late = m->removed = false;
	m->started = p->started != NULL;
	p->owner = m;
	peer_registered(p);
	if (p->started)
		supervised_connected(p->started);
}

static int give_id(struct health *h, struct peer *p, struct monitor *m)
{
	char secret[SECRET_SIZE];
	struct msg *answer = msg_new("node");
	if (!answer)
		return -ENOMEM;
	msg_set(answer, "monitor", m->name);
	msg_set_int(answer, "id", m->id);
	if (!p->started && !registry_find(h->registry, "monitor", m->name)) {
		int r = registry_issue(h->registry, "monitor", m->name, secret);
		if (r) {
			msg_free(answer);
			return peer_refuse(p, "failed", "its secret can't be stored: %s", strerror(-r));
		}
		msg_set(answer, "secret", secret);
	}
	peer_send(p, answer);
	return 0;
}

/* --- its config --- */

static int read_config(struct peer *p, const struct msg *stanza, struct config **ret, unsigned *ret_generation)
{
	char why[200];
	int64_t generation = 1;
	if (msg_get_int(stanza, "generation", &generation) == -EINVAL || generation < 1 || generation > UINT32_MAX)
		return peer_refuse(p, "bad-config", "generation is a whole number from 1");
	int r = describe_read(ret, stanza, why, sizeof why);
	*ret_generation = (unsigned)generation;
	return r == -EINVAL ? peer_refuse(p, "bad-config", "%s", why) : r;
}

/* Takes config. */
static int follow(struct health *h, struct monitor *m, struct config *config, unsigned generation)
{
	config = cluster_intern(&h->cluster, config);
	if (config == m->config && generation == m->generation && m->link_sequence)
		return 0; /* said twice: unasked, and then asked */
	int r = monitor_describe(&h->cluster, m, config, generation);
	if (!r)
		uplinks_config(h, m);
	return r;
}

static int describe(struct health *h, struct monitor *m, struct peer *p, const struct msg *stanza)
{
	struct config *config;
	unsigned generation;
	int r = read_config(p, stanza, &config, &generation);
	return r ? r : follow(h, m, config, generation);
}

static int first_config(struct health *h, struct peer *p, const struct msg *stanza)
{
	const char *name = p->started ? supervised_name(p->started) : msg_get(stanza, "monitor", "");
	if (!describe_name_ok(name))
		return peer_refuse(p, "bad-config", "monitor=\"%.63s\": a name is 1 to 63 of A-Z a-z 0-9 . _ -", name);
	if (!secure_is_named(p, name))
		return peer_refuse(p, "not-permitted", "the certificate of this monitor is that of %s, not of %s", secure_name(p), name);
	if (check_stranger(h, p, stanza, name))
		return refuse_stranger(h, p, name);
	struct names *monitors = &h->cluster.self->monitors;
	if (!names_find(monitors, name) && !limits_allow(&h->core->limits, LIMIT_MONITORS_PER_NODE, (int64_t)monitors->n + 1))
		return peer_refuse_limit(p, LIMIT_MONITORS_PER_NODE);
	struct config *config;
	unsigned generation;
	int r = read_config(p, stanza, &config, &generation);
	if (r)
		return r;
	struct monitor *m = cluster_monitor(&h->cluster, h->cluster.self, name);
	if (!m) {
		config_unref(config);
		return -ENOMEM;
	}
	bool was = m->connected;
	take_place(h, p, m);
	r = follow(h, m, config, generation);
	if (!r)
		r = give_id(h, p, m);
	if (!r && !was)
		event_put(h, "monitor-connected", m->node->name, m->name, "%zu metric%s", m->config->n, m->config->n == 1 ? "" : "s");
	return r;
}

static int on_config(struct health *h, struct peer *p, const struct msg *stanza)
{
	struct monitor *m = monitor_of(p);
	return m ? describe(h, m, p, stanza) : first_config(h, p, stanza);
}

/* --- its values --- */

static int64_t when(int64_t time_ns)
{
	return time_ns ? time_ns : clock_wall_ns();
}

static struct history_position next_position(const struct health *h, const struct monitor *m)
{
	if (m->at.boot != h->boot)
		return (struct history_position){h->boot, 1};
	return (struct history_position){h->boot, m->at.sequence + 1};
}

static int take(struct health *h, struct peer *p, const struct period *period, const char *code)
{
	const char *why = "";
	int r = period_take(h, monitor_of(p), period, &why);
	if (r != -EINVAL)
		return r;
	h->figures.bad_rows++;
	return peer_refuse(p, code, "%s", why);
}

static int row_fault(struct peer *p, const struct xml_row *row)
{
	const struct monitor *m = monitor_of(p);
	if (!m)
		return peer_refuse(p, "bad-stanza", "values before the config");
	if (row->generation != m->generation)
		return peer_refuse(p, "bad-row", "generation %lld, but the config has %u", (long long)row->generation,
		    m->generation);
	if (!row->full && (!m->link_sequence || row->sequence != m->link_sequence + 1))
		return peer_refuse(p, "bad-row", "sequence %lld is not full and does not follow %lld",
		    (long long)row->sequence, (long long)m->link_sequence);
	if (row->sequence < 1 || row->sequence == INT64_MAX || !period_time_ok(row->time_ns))
		return peer_refuse(p, "bad-row", "sequence below 1, or a time more than a day ahead");
	return 0;
}

static int on_row(struct peer *p, const struct xml_row *row)
{
	struct health *h = health_of(p->core);
	struct monitor *m = monitor_of(p);
	int r = row_fault(p, row);
	if (r)
		return r;
	struct period period = {.at = next_position(h, m), .time_ns = when(row->time_ns),
	    .full = row->full, .text = row->text, .len = row->len};
	r = take(h, p, &period, "bad-row");
	if (r)
		return r;
	m->link_sequence = row->sequence;
	if (row->answer)
		update_answered(&m->asks, row->answer, true, NULL, NULL, NULL);
	return 0;
}

/* Values by name become values in order: a copy of those before, changed. */
struct named {
	struct value *values;
	const struct config *config;
	size_t next; /* the metric that will be said, where they are said in order */
	char why[200];
};

static int set_named(struct named *n, const struct msg *v)
{
	const char *name = msg_get(v, "n", "");
	int i = config_find_near(n->config, name, n->next);
	if (i < 0) {
		snprintf(n->why, sizeof n->why, "the config has no metric \"%.60s\"", name);
		return -EINVAL;
	}
	n->next = (size_t)i + 1;
	struct value value = {.kind = VALUE_NONE};
	const char *why = "";
	if (!msg_get_flag(v, "none")) {
		int r = row_parse(&value, v->text, strlen(v->text), &n->config->metrics[i], &why);
		if (r == -ENOMEM)
			return r;
		if (r) {
			snprintf(n->why, sizeof n->why, "%.60s: \"%.60s\": %s", name, v->text, why);
			return -EINVAL;
		}
	}
	value_clear(&n->values[i]);
	n->values[i] = value;
	return 0;
}

static int fill_named(struct named *n, const struct monitor *m, const struct msg *stanza)
{
	int r = 0;
	for (size_t i = 0; i < n->config->n && m->link_sequence && !r; i++)
		r = value_copy(&n->values[i], &m->values[i]);
	for (const struct msg *v = stanza->children; v && !r; v = v->next)
		if (!strcmp(v->name, "v"))
			r = set_named(n, v);
	return r;
}

static int take_named(struct health *h, struct peer *p, const struct named *n, int64_t time_ns)
{
	struct monitor *m = monitor_of(p);
	bool full = !m->link_sequence || m->at.boot != h->boot;
	struct buf text = BUF_INIT;
	row_encode(&text, full ? NULL : m->values, n->values, n->config->n);
	struct period period = {.at = next_position(h, m), .time_ns = when(time_ns), .full = full,
	    .text = text.len ? text.data : "", .len = text.len};
	int r = text.failed ? -ENOMEM : take(h, p, &period, "bad-value");
	buf_release(&text);
	if (!r)
		m->link_sequence++;
	return r;
}

static int on_named(struct health *h, struct peer *p, const struct msg *stanza)
{
	struct monitor *m = monitor_of(p);
	int64_t time_ns = 0;
	if (!m)
		return peer_refuse(p, "bad-stanza", "values before the config");
	if (msg_get_int(stanza, "time", &time_ns) == -EINVAL || !period_time_ok(time_ns)) {
		peer_error(p, "bad-value", "time is in nanoseconds since 1970, at most a day ahead");
		return 0;
	}
	struct named n = {.config = m->config, .values = calloc(m->config->n, sizeof *n.values)};
	int r = n.values ? fill_named(&n, m, stanza) : -ENOMEM;
	if (r == -EINVAL) {
		h->figures.bad_rows++;
		peer_error(p, "bad-value", "%s", n.why);
		r = 0;
	} else if (!r) {
		r = take_named(h, p, &n, time_ns);
	}
	if (n.values)
		values_clear(n.values, n.config->n);
	free(n.values);
	return r;
}

/* --- stanzas --- */

static int on_error(struct health *h, struct peer *p, const struct msg *stanza)
{
	struct monitor *m = monitor_of(p);
	const char *name = m ? m->name : p->started ? supervised_name(p->started) : p->asker.address;
	log_event(LOG_WARNING, "monitor", "%s: %s: %s", name, msg_get(stanza, "code", "failed"), stanza->text);
	event_put(h, "monitor-error", h->core->name, name, "%s", stanza->text);
	return 0;
}

static int on_stanza(struct peer *p, const struct msg *stanza)
{
	struct health *h = health_of(p->core);
	if (!strcmp(stanza->name, "config"))
		return on_config(h, p, stanza);
	if (!strcmp(stanza->name, "monitor"))
		return on_named(h, p, stanza);
	if (!strcmp(stanza->name, "error"))
		return on_error(h, p, stanza);
	peer_error(p, "bad-stanza", "<%.40s>: a monitor sends config, monitor and error", stanza->name);
	return 0;
}

static int on_answer(struct peer *p, const struct msg *answer)
{
	struct monitor *m = monitor_of(p);
	int64_t id = 0;
	msg_get_int(answer, "answer", &id);
	if (!strcmp(answer->name, "error")) {
		if (m && update_answered(&m->asks, id, true, m->name, "unavailable", answer->text))
			return 0;
		if (!m && p->started && id == DESCRIBE_QUERY) {
			supervised_refused(p->started, answer->text);
			return -EINVAL;
		}
		return on_error(health_of(p->core), p, answer);
	}
	int r = on_stanza(p, answer);
	if (!r && m && !strcmp(answer->name, "monitor"))
		update_answered(&m->asks, id, true, NULL, NULL, NULL);
	return r;
}

static void closed(struct peer *p, int error, const char *why)
{
	struct health *h = health_of(p->core);
	struct monitor *m = monitor_of(p);
	if (!m)
		return;
	m->link = NULL;
	m->connected = false;
	update_link_closed(&m->asks);
	uplinks_gone(h, m);
	event_put(h, "monitor-gone", m->node->name, m->name, "%s", why);
}

const struct role monitor_role = {.name = "monitor",
    .bit = ROLE_MONITOR,
    .opened = opened,
    .stanza = on_stanza,
    .answer = on_answer,
    .row = on_row,
    .closed = closed};
