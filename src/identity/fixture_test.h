/* SPDX-License-Identifier: Apache-2.0 */
/* Directories, a clock that stands still, an authority and hosts of a cluster, for the tests of this room. */
#ifndef VIGIA_IDENTITY_FIXTURE_TEST_H
#define VIGIA_IDENTITY_FIXTURE_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity/authority.h"
#include "identity/place.h"
#include "identity/request.h"

#define UNUSED __attribute__((unused))
#define DAY 86400

static char directory[64];
static struct buf why;
static int64_t now_s;

static UNUSED int64_t test_clock(void)
{
	return now_s;
}

/* r is that error, and what is said has this in it. */
static UNUSED void said(int r, int error, const char *text)
{
	if (r != error || !strstr(buf_str(&why), text))
		fail_msg("%d (%s): %s", r, strerror(-r), buf_str(&why));
	buf_clear(&why);
}

static UNUSED void good(int r)
{
	if (r)
		fail_msg("%d (%s): %s", r, strerror(-r), buf_str(&why));
	assert_string_equal(buf_str(&why), "");
}

static UNUSED int set_up(void **state)
{
	/* In memory, where there is such: a busy disk takes half a minute for an fsync. */
	strcpy(directory, access("/dev/shm", W_OK) ? "/tmp/vigia-identity.XXXXXX" : "/dev/shm/vigia-identity.XXXXXX");
	assert_non_null(mkdtemp(directory));
	now_s = 1800000000;
	return 0;
}

static UNUSED int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static UNUSED int tear_down(void **state)
{
	buf_release(&why);
	return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static UNUSED const char *path_of(const char *name)
{
	static char path[160];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

static UNUSED struct vault *fresh_vault(const char *name)
{
	struct vault *v = NULL;
	good(vault_make(&v, path_of(name), &why));
	return v;
}

static UNUSED struct buf contents(const struct vault *v, const char *name)
{
	struct buf b = BUF_INIT;
	good(vault_read(v, name, VAULT_OPEN, 1 << 20, &b, &why));
	return b;
}

/* --- a cluster --- */

struct cluster {
	struct vault *vault;
	struct authority *authority;
};

static UNUSED struct cluster fresh_cluster(const char *name)
{
	struct cluster c = {.vault = fresh_vault(name)};
	good(authority_make(&c.authority, c.vault, now_s, &why));
	return c;
}

static UNUSED void close_cluster(struct cluster *c)
{
	authority_close(c->authority);
	vault_close(c->vault);
}

static UNUSED void reopen(struct cluster *c)
{
	authority_close(c->authority);
	good(authority_open(&c->authority, c->vault, now_s, &why));
}

/* Somebody's key and certificate, without any files. */
struct person {
	EVP_PKEY *key;
	X509 *certificate;
	struct certificate facts;
};

static UNUSED struct person fresh_person(struct cluster *c, const char *name, unsigned roles, int64_t life_s)
{
	struct person p = {0};
	struct buf request = BUF_INIT, der = BUF_INIT;
	struct authority_grant grant = {.name = name, .roles = roles, .life_s = life_s};
	good(key_new(&p.key, &why));
	good(request_put(&request, p.key, &why));
	good(authority_sign(c->authority, request.data, request.len, &grant, now_s, &der, &p.facts, &why));
	good(certificate_read(der.data, der.len, &p.certificate, &why));
	buf_release(&request);
	buf_release(&der);
	return p;
}

static UNUSED void free_person(struct person *p)
{
	EVP_PKEY_free(p->key);
	X509_free(p->certificate);
}

struct host {
	struct vault *vault;
	struct host_id id;
	char name[HOST_ID_TEXT];
	struct place *place;
};

static UNUSED struct buf list_of(struct cluster *c)
{
	struct buf b = BUF_INIT;
	good(revoked_put(&b, trust_list(authority_trust(c->authority)), &why));
	return b;
}

static UNUSED struct buf sign_host(struct cluster *c, struct host *h, unsigned roles, const struct buf *request)
{
	struct buf der = BUF_INIT;
	struct authority_grant grant = {.name = h->name, .roles = roles, .life_s = AUTHORITY_HOST_LIFE_S};
	good(authority_sign(c->authority, request->data, request->len, &grant, now_s, &der, NULL, &why));
	return der;
}

/* As `vigia join` and the master do it. */
static UNUSED void join(struct cluster *c, struct host *h, unsigned roles)
{
	struct buf request = BUF_INIT, list = list_of(c);
	const struct buf *bundle = trust_bundle(authority_trust(c->authority));
	good(place_request(h->vault, &request, &why));
	struct buf der = sign_host(c, h, roles, &request);
	struct place_papers papers = {.bundle = bundle->data, .bundle_n = bundle->len, .list = list.data, .list_n = list.len,
		.certificate = der.data, .certificate_n = der.len};
	good(place_join(h->vault, &h->id, &papers, now_s, &why));
	good(place_open(&h->place, h->vault, &h->id, test_clock, &why));
	buf_release(&request);
	buf_release(&list);
	buf_release(&der);
}

static UNUSED struct host fresh_host(struct cluster *c, const char *name, uint8_t number, unsigned roles)
{
	struct host h = {.vault = fresh_vault(name), .id = {{number}}};
	host_id_format(&h.id, h.name);
	join(c, &h, roles);
	return h;
}

static UNUSED void close_host(struct host *h)
{
	place_close(h->place);
	vault_close(h->vault);
}

static UNUSED void reopen_host(struct host *h)
{
	place_close(h->place);
	good(place_open(&h->place, h->vault, &h->id, test_clock, &why));
}

#endif
