/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for programs that are no hosts. A private key stays where it is made: elsewhere, and a request comes on standard input; or
 * here, in a directory that the user names. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "client/guard.h"
#include "identity/request.h"
#include "identity/trust.h"
#include "tools/vigia/vigia.h"
#include "tools/vigia/when.h"

enum { FLAG_TO, FLAG_DAYS, FLAG_LIST, FLAG_REVOKE };
enum { NAME, ROLE };

static int wrong(const char *what, int r, struct buf *why)
{
	complain("%s: %s", what, why->len ? buf_str(why) : strerror(-r));
	buf_release(why);
	return WRONG;
}

/* --- asking for one --- */

struct given {
	char name[CERTIFICATE_NAME];
	struct buf certificate, authority, list; /* PEM, PEM, DER */
	int64_t until_ns;
};

static void release(struct given *g)
{
	buf_release(&g->certificate);
	buf_release(&g->authority);
	buf_release(&g->list);
}

static void take_bytes(struct buf *to, const struct msg *m, const char *field)
{
	const uint8_t *bytes;
	size_t n;
	if (!msg_get_bytes(m, field, &bytes, &n))
		buf_put(to, bytes, n);
}

static int on_given(void *data, const struct msg *m)
{
	struct given *g = data;
	struct buf der = BUF_INIT, why = BUF_INIT;
	X509 *x = NULL;
	snprintf(g->name, sizeof g->name, "%s", msg_get(m, "name", ""));
	msg_get_int(m, "until", &g->until_ns);
	take_bytes(&der, m, "certificate");
	take_bytes(&g->authority, m, "authority");
	take_bytes(&g->list, m, "list");
	int r = certificate_read(der.data, der.len, &x, &why);
	if (!r)
		r = certificate_put_pem(&g->certificate, &x, 1, &why);
	X509_free(x);
	buf_release(&der);
	return r ? wrong("what came is no certificate", r, &why) : 0;
}

static int ask(struct vigia *v, const struct args *a, const struct buf *request, struct given *ret)
{
	struct msg *q = vigia_query(v, "cluster", "certify");
	msg_set(q, "name", a->words[NAME]);
	msg_set(q, "role", a->words[ROLE]);
	msg_set_bytes(q, "request", request->data, request->len);
	if (a->flags[FLAG_DAYS])
		msg_set(q, "days", a->flags[FLAG_DAYS]);
	return vigia_ask(v, q, on_given, ret);
}

/* --- for a request that comes --- */

static int read_request(struct buf *ret)
{
	unsigned char *der = NULL;
	long n = 0;
	BIO *in = BIO_new_fp(stdin, BIO_NOCLOSE);
	bool good = in && PEM_bytes_read_bio(&der, &n, NULL, PEM_STRING_X509_REQ, in, NULL, NULL) == 1 && n <= REQUEST_MAX;
	if (good)
		buf_put(ret, der, (size_t)n);
	OPENSSL_free(der);
	BIO_free(in);
	ERR_clear_error();
	return good ? 0 : -EBADMSG;
}

static int for_request(struct vigia *v, const struct args *a)
{
	struct buf request = BUF_INIT;
	struct given g = {.until_ns = 0};
	int r = read_request(&request) ? USAGE : DONE;
	if (r)
		complain("no request (PKCS#10, PEM) came on standard input; `--to DIRECTORY` makes a key here");
	else
		r = ask(v, a, &request, &g);
	if (!r)
		printf("%s%s", buf_str(&g.certificate), buf_str(&g.authority));
	buf_release(&request);
	release(&g);
	return r;
}

/* --- with a key that is made here --- */

static int open_directory(const char *path, struct vault **ret, struct buf *why)
{
	int r = vault_make(ret, path, why);
	if (r || !vault_has(*ret, GUARD_KEY))
		return r;
	buf_putf(why, "%s/%s is there already", path, GUARD_KEY);
	return -EEXIST;
}

/* The key is the last: who has it has all. */
static int save(const struct vault *to, const struct given *g, EVP_PKEY *key, struct buf *why)
{
	int r = vault_write(to, GUARD_AUTHORITY, g->authority.data, g->authority.len, why);
	if (!r && g->list.len)
		r = vault_write(to, GUARD_LIST, g->list.data, g->list.len, why);
	if (!r)
		r = vault_write(to, GUARD_CERTIFICATE, g->certificate.data, g->certificate.len, why);
	return r ? r : key_save(to, GUARD_KEY, key, why);
}

static void tell(const struct given *g, const char *path)
{
	struct buf until = BUF_INIT;
	when_put(&until, g->until_ns);
	printf("%s has key and certificate for %s, until %s\n", path, g->name, buf_str(&until));
	buf_release(&until);
}

static int with_key(struct vigia *v, const struct args *a)
{
	const char *path = a->flags[FLAG_TO];
	struct vault *to = NULL;
	EVP_PKEY *key = NULL;
	struct given g = {.until_ns = 0};
	struct buf request = BUF_INIT, why = BUF_INIT;
	key_keep_from_dumps(0);
	int r = open_directory(path, &to, &why);
	if (!r)
		r = key_new(&key, &why);
	if (!r)
		r = request_put(&request, key, &why);
	if (r)
		r = wrong("no key can be made", r, &why);
	else if (!(r = ask(v, a, &request, &g)) && (r = save(to, &g, key, &why)))
		r = wrong("the key can't be kept", r, &why);
	else if (!r)
		tell(&g, path);
	EVP_PKEY_free(key);
	vault_close(to);
	buf_release(&request);
	release(&g);
	return r;
}

/* --- those that were given --- */

static const struct column columns[] = {{"name"}, {"role"}, {"until"}, {"revoked"}, {NULL}};

static void time_cell(struct table *t, const struct msg *m, const char *field)
{
	int64_t ns = 0;
	msg_get_int(m, field, &ns);
	table_time(t, ns);
}

static int put_row(void *data, const struct msg *m)
{
	unsigned roles;
	const char *role = msg_get(m, "roles", "");
	if (certificate_roles_parse(role, &roles) || !(roles & CERTIFIED_THIRD))
		return 0;
	table_text(data, msg_get(m, "name", ""));
	table_text(data, role);
	time_cell(data, m, "until");
	time_cell(data, m, "revoked");
	return 0;
}

static int list(struct vigia *v)
{
	struct table *t = table_new(columns, v->format, table_flags(v, 0));
	int r = vigia_ask(v, vigia_query(v, "cluster", "status"), put_row, t);
	end_document(v, t);
	return r;
}

static int nothing(void *data, const struct msg *m)
{
	return 0;
}

static int revoke(struct vigia *v, const char *name)
{
	struct msg *q = vigia_query(v, "cluster", "revoke");
	msg_set(q, "name", name);
	return vigia_ask(v, q, nothing, NULL);
}

static int run(struct vigia *v, const struct args *a)
{
	bool others = a->flags[FLAG_LIST] || a->flags[FLAG_REVOKE];
	if (a->n != (others ? 0 : 2) || (a->flags[FLAG_LIST] && a->flags[FLAG_REVOKE])) {
		complain("`vigia cert` takes NAME and ROLE, or --list, or --revoke NAME");
		return USAGE;
	}
	if (a->flags[FLAG_LIST])
		return list(v);
	if (a->flags[FLAG_REVOKE])
		return revoke(v, a->flags[FLAG_REVOKE]);
	return a->flags[FLAG_TO] ? with_key(v, a) : for_request(v, a);
}

const struct command cert_command = {.name = "cert",
    .words = "[NAME monitor|reader|operator]",
    .flags = {{"to", "DIRECTORY", "makes the key here, and puts it there with all that belongs to it"},
	{"days", "N", "how long it is good; else 90"},
	{"list", NULL, "those that were given, and what was taken back"},
	{"revoke", "NAME", "takes all of that name back"}},
    .doc = "certificates for programs that are no hosts",
    .more = "  A monitor delivers what it measures under its NAME; a reader asks what changes nothing, and no processes; an operator may\n"
	    "  also start, stop and forget monitors and nodes, and have the configuration read. Without --to a request (PKCS#10, PEM) is read\n"
	    "  from standard input, and certificate and authority are written. Only on the host of the cluster's authority, for root and\n"
	    "  the daemon's own user.\n",
    .words_max = 2, .run = run};
