/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/issued.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "identity/refuse.h"

#define FILE_NAME "issued"

struct issued {
	const struct vault *vault;
	char cluster[CLUSTER_TEXT]; /* whose key signs now */
	uint64_t number;
	int64_t number_s;
	struct issued_entry *entries;
	size_t n, size;
};

static int no_memory(struct buf *why)
{
	return refuse(why, -ENOMEM, "no memory for what the authority has issued");
}

/* --- in memory --- */

static struct issued_entry *room_for_one(struct issued *d)
{
	if (d->n == d->size) {
		size_t size = d->size ? 2 * d->size : 64;
		struct issued_entry *more = realloc(d->entries, size * sizeof *more);
		if (!more)
			return NULL;
		d->entries = more;
		d->size = size;
	}
	return &d->entries[d->n];
}

const struct issued_entry *issued_get(const struct issued *d, size_t i)
{
	return i < d->n ? &d->entries[i] : NULL;
}

const char *issued_cluster(const struct issued *d)
{
	return d->cluster;
}

uint64_t issued_last_number(const struct issued *d)
{
	return d->number;
}

static struct issued_entry *find(const struct issued *d, const char *serial)
{
	for (size_t i = d->n; i-- > 0;)
		if (!strcmp(d->entries[i].serial, serial))
			return &d->entries[i];
	return NULL;
}

const struct issued_entry *issued_find(const struct issued *d, const char *serial)
{
	return find(d, serial);
}

int64_t issued_until(const struct issued *d, const char *cluster)
{
	int64_t until = 0;
	for (size_t i = 0; i < d->n; i++)
		if (!strcmp(d->entries[i].cluster, cluster) && d->entries[i].until_s > until)
			until = d->entries[i].until_s;
	return until;
}

/* --- lines: each kind is written one way, and read only if it is written so --- */

static void put_key(struct buf *to, const char *cluster)
{
	buf_putf(to, "key %s\n", cluster);
}

static void put_issued(struct buf *to, const struct issued_entry *e)
{
	char roles[CERTIFICATE_ROLES];
	certificate_roles_format(e->roles, roles);
	buf_putf(to, "issued %s %s %s %" PRId64 " %" PRId64 "\n", e->serial, e->name, roles, e->from_s, e->until_s);
}

static void put_revoked(struct buf *to, const char *serial, int64_t at)
{
	buf_putf(to, "revoked %s %" PRId64 "\n", serial, at);
}

static void put_list(struct buf *to, uint64_t number, int64_t at)
{
	buf_putf(to, "list %" PRIu64 " %" PRId64 "\n", number, at);
}

static bool take_key(struct issued *d, const char *line, struct buf *again)
{
	if (sscanf(line, "key %32[0-9a-f]", d->cluster) != 1 || strlen(d->cluster) != CLUSTER_TEXT - 1)
		return false;
	put_key(again, d->cluster);
	return true;
}

static bool take_issued(struct issued *d, const char *line, struct buf *again)
{
	char roles[CERTIFICATE_ROLES];
	struct issued_entry e = {0}, *to = room_for_one(d);
	if (!to || !*d->cluster || sscanf(line, "issued %32[0-9a-f] %63s %63s %" SCNd64 " %" SCNd64, e.serial, e.name, roles, &e.from_s,
	    &e.until_s) != 5 || strlen(e.serial) != CERTIFICATE_SERIAL - 1 || certificate_roles_parse(roles, &e.roles))
		return false;
	strcpy(e.cluster, d->cluster);
	put_issued(again, &e);
	*to = e;
	d->n++;
	return true;
}

static bool take_revoked(struct issued *d, const char *line, struct buf *again)
{
	char serial[CERTIFICATE_SERIAL];
	int64_t at;
	if (sscanf(line, "revoked %32[0-9a-f] %" SCNd64, serial, &at) != 2 || at <= 0)
		return false;
	struct issued_entry *e = find(d, serial);
	if (e)
		e->revoked_s = at;
	put_revoked(again, serial, at);
	return e;
}

static bool take_list(struct issued *d, const char *line, struct buf *again)
{
	uint64_t before = d->number;
	if (sscanf(line, "list %" SCNu64 " %" SCNd64, &d->number, &d->number_s) != 2 || d->number <= before)
		return false;
	put_list(again, d->number, d->number_s);
	return true;
}

static bool take_line(struct issued *d, const char *line, size_t n)
{
	static bool (*const kinds[])(struct issued *, const char *, struct buf *) = {take_issued, take_revoked, take_list, take_key};
	struct buf again = BUF_INIT, copy = BUF_INIT;
	buf_put(&copy, line, n);
	const char *text = buf_str(&copy);
	bool good = false;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !good; i++)
		good = kinds[i](d, text, &again);
	good = good && again.len == n && !memcmp(again.data, line, n);
	buf_release(&again);
	buf_release(&copy);
	return good;
}

/* --- the file --- */

static int take_lines(struct issued *d, const struct buf *text, struct buf *why)
{
	const char *at = text->data, *end = text->data + text->len, *stop;
	for (size_t line = 1; at < end && (stop = memchr(at, '\n', (size_t)(end - at))); at = stop + 1, line++)
		if (!take_line(d, at, (size_t)(stop - at) + 1))
			return refuse(why, -EBADMSG, "%s/%s:%zu: is none of the authority's lines", vault_path(d->vault), FILE_NAME, line);
	return 0;
}

static void drop_old(struct issued *d, int64_t now_s)
{
	size_t kept = 0;
	for (size_t i = 0; i < d->n; i++)
		if (d->entries[i].until_s + ISSUED_KEPT_S >= now_s)
			d->entries[kept++] = d->entries[i];
	d->n = kept;
}

static void put_entry(struct buf *to, const struct issued_entry *e)
{
	put_issued(to, e);
	if (e->revoked_s)
		put_revoked(to, e->serial, e->revoked_s);
}

static void put_all(const struct issued *d, struct buf *to)
{
	const char *cluster = "";
	for (size_t i = 0; i < d->n; i++) {
		if (strcmp(cluster, d->entries[i].cluster))
			put_key(to, d->entries[i].cluster);
		cluster = d->entries[i].cluster;
		put_entry(to, &d->entries[i]);
	}
	if (*d->cluster && strcmp(cluster, d->cluster))
		put_key(to, d->cluster);
	if (d->number)
		put_list(to, d->number, d->number_s);
}

static int put_in_order(const struct issued *d, const struct buf *was, struct buf *why)
{
	struct buf text = BUF_INIT;
	put_all(d, &text);
	bool same = text.len == was->len && !memcmp(text.data, was->data, text.len);
	int r = text.failed ? no_memory(why) : same ? 0 : vault_write(d->vault, FILE_NAME, text.data, text.len, why);
	buf_release(&text);
	return r;
}

static int new(struct issued **ret, const struct vault *v, struct buf *why)
{
	struct issued *d = calloc(1, sizeof *d);
	if (!d)
		return no_memory(why);
	d->vault = v;
	*ret = d;
	return 0;
}

int issued_open(struct issued **ret, const struct vault *v, int64_t now_s, struct buf *why)
{
	struct issued *d = NULL;
	struct buf text = BUF_INIT;
	int r = new(&d, v, why);
	if (r)
		return r;
	r = vault_read(v, FILE_NAME, VAULT_SECRET, ISSUED_FILE_MAX, &text, why);
	if (!r)
		r = take_lines(d, &text, why);
	if (!r) {
		drop_old(d, now_s);
		r = put_in_order(d, &text, why);
	}
	buf_release(&text);
	if (r)
		issued_close(d);
	else
		*ret = d;
	return r;
}

int issued_make(struct issued **ret, const struct vault *v, struct buf *why)
{
	int r = vault_write(v, FILE_NAME, "", 0, why);
	return r ? r : new(ret, v, why);
}

void issued_close(struct issued *d)
{
	if (d)
		free(d->entries);
	free(d);
}

/* --- changes: first on disk, then here --- */

static int append(const struct issued *d, struct buf *text, struct buf *why)
{
	int r = text->failed ? no_memory(why) : vault_append(d->vault, FILE_NAME, text->data, text->len, why);
	buf_release(text);
	return r;
}

int issued_add_key(struct issued *d, const char *cluster, struct buf *why)
{
	struct buf text = BUF_INIT;
	put_key(&text, cluster);
	int r = append(d, &text, why);
	if (!r)
		snprintf(d->cluster, sizeof d->cluster, "%s", cluster);
	return r;
}

int issued_add(struct issued *d, const struct certificate *c, struct buf *why)
{
	struct buf text = BUF_INIT;
	struct issued_entry *to = room_for_one(d), e = {.roles = c->roles, .from_s = c->from_s, .until_s = c->until_s};
	strcpy(e.serial, c->serial);
	strcpy(e.name, c->name);
	strcpy(e.cluster, d->cluster);
	put_issued(&text, &e);
	int r = to ? append(d, &text, why) : no_memory(why);
	if (!r) {
		*to = e;
		d->n++;
	}
	return r;
}

static bool is_to_go(const struct issued_entry *e, const char *name, int64_t now_s)
{
	return !strcmp(e->name, name) && !e->revoked_s && e->until_s > now_s;
}

int issued_revoke(struct issued *d, const char *name, int64_t now_s, struct buf *why)
{
	struct buf text = BUF_INIT;
	int n = 0;
	for (size_t i = 0; i < d->n; i++)
		if (is_to_go(&d->entries[i], name, now_s))
			put_revoked(&text, d->entries[i].serial, now_s), n++;
	int r = n ? append(d, &text, why) : 0;
	for (size_t i = 0; !r && i < d->n; i++)
		if (is_to_go(&d->entries[i], name, now_s))
			d->entries[i].revoked_s = now_s;
	return r ? r : n;
}

int issued_number(struct issued *d, int64_t now_s, uint64_t *ret, struct buf *why)
{
	struct buf text = BUF_INIT;
	put_list(&text, d->number + 1, now_s);
	int r = append(d, &text, why);
	if (r)
		return r;
	d->number_s = now_s;
	*ret = ++d->number;
	return 0;
}
