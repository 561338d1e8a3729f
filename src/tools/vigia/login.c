/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/vigia/login.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base64.h"
#include "identity/order.h"
#include "identity/request.h"
#include "os/clock.h"
#include "os/paths.h"
#include "os/remote.h"
#include "tools/vigia/when.h"

enum { FLAG_SSH, FLAG_COMMAND, FLAG_REQUEST };
enum { LINE_MOST = 8192 };
#define KEY "key"
#define CERTIFICATE "certificate"

static int wrong(const char *what, int r, struct buf *why)
{
	complain("%s: %s", what, why->len ? buf_str(why) : strerror(-r));
	buf_release(why);
	return WRONG;
}

/* --- where the key lies --- */

static int open_vault(struct vault **ret, bool make, struct buf *why)
{
	char *runtime;
	struct buf path = BUF_INIT;
	int r = paths_runtime(&runtime, why);
	if (!r && make)
		r = paths_make(runtime, why);
	if (!r) {
		buf_putf(&path, "%s/login", runtime);
		r = make ? vault_make(ret, buf_str(&path), why) : vault_open(ret, buf_str(&path), why);
		free(runtime);
	}
	buf_release(&path);
	return r;
}

struct login {
	struct vault *vault;
	EVP_PKEY *key;
	X509 *certificate;
	struct certificate facts;
};

static void release(struct login *l)
{
	EVP_PKEY_free(l->key);
	X509_free(l->certificate);
	vault_close(l->vault);
}

/* -ENOENT: there is none. */
static int load(struct login *l, struct buf *why)
{
	struct buf der = BUF_INIT;
	key_keep_from_dumps(0);
	int r = open_vault(&l->vault, false, why);
	if (!r && !vault_has(l->vault, CERTIFICATE))
		r = -ENOENT;
	if (!r)
		r = key_load(l->vault, KEY, &l->key, why);
	if (!r)
		r = vault_read(l->vault, CERTIFICATE, VAULT_OPEN, CERTIFICATE_MAX, &der, why);
	if (!r)
		r = certificate_read(der.data, der.len, &l->certificate, why);
	if (!r)
		r = certificate_facts(l->certificate, &l->facts, why);
	buf_release(&der);
	return r;
}

/* --- signing --- */

static int on_audience(void *data, const struct msg *m)
{
	struct order_audience *a = data;
	int64_t life;
	if (!host_id_parse(msg_get(m, "host", ""), &a->host) && !msg_get_int(m, "life", &life))
		a->life = (uint64_t)life;
	return 0;
}

static int ask_audience(struct vigia *v, const char *at, struct order_audience *ret)
{
	struct msg *q = vigia_query(v, "cluster", "audience");
	*ret = (struct order_audience){.life = 0};
	msg_set(q, "at", at);
	int r = vigia_ask(v, q, on_audience, ret);
	if (r || !host_id_is_none(&ret->host))
		return r;
	complain("%s did not say to whom an order is to be signed", at);
	return WRONG;
}

static int sign(struct vigia *v, const struct login *l, struct msg *query)
{
	struct order_audience audience;
	struct buf order = BUF_INIT, why = BUF_INIT;
	int r = ask_audience(v, msg_get(query, "at", ""), &audience);
	if (r)
		return r;
	r = order_put(&order, query, &audience, clock_wall_ns() / 1000000000, l->key, l->certificate, &why);
	if (r)
		r = wrong("it can't be signed", r, &why);
	else
		msg_set_bytes(query, "signed", order.data, order.len);
	buf_release(&order);
	return r;
}

int login_sign(struct vigia *v, const struct msg *operation, struct msg *query)
{
	struct login l = {0};
	struct buf why = BUF_INIT;
	const char *at = msg_get(query, "at", "");
	bool takes_rights = msg_get_flag(operation, "changes") || msg_get_flag(operation, "trusted");
	if (!takes_rights || !*at || !strcmp(at, vigia_self(v)))
		return DONE;
	int r = load(&l, &why);
	if (r == -ENOENT)
		r = DONE;
	else if (r)
		r = wrong("your key for other hosts can't be used (`vigia login` makes another)", r, &why);
	else if (l.facts.until_s <= clock_wall_ns() / 1000000000)
		complain("your key for other hosts is over: `vigia login` makes another");
	else
		r = sign(v, &l, query);
	release(&l);
	buf_release(&why);
	return r;
}

/* --- asking for the certificate: here --- */

static int on_login(void *data, const struct msg *m)
{
	struct buf *der = data;
	const uint8_t *bytes;
	size_t n;
	if (!msg_get_bytes(m, "certificate", &bytes, &n))
		buf_put(der, bytes, n);
	return 0;
}

static int ask_here(struct vigia *v, const struct buf *request, struct buf *der)
{
	if (vigia_connect(v))
		return NO_DAEMON;
	struct msg *q = vigia_query(v, "cluster", "login");
	msg_set_bytes(q, "request", request->data, request->len);
	return vigia_ask(v, q, on_login, der);
}

/* --- or where the authority is, as whom ssh lets in there --- */

static int start(const char *const *words, pid_t *ret, int *ret_to, int *ret_from)
{
	int to[2], from[2];
	extern char **environ;
	posix_spawn_file_actions_t actions;
	if (pipe2(to, O_CLOEXEC))
		return -errno;
	if (pipe2(from, O_CLOEXEC)) {
		close(to[0]);
		close(to[1]);
		return -errno;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
	int r = posix_spawnp(ret, words[0], &actions, NULL, (char *const *)(uintptr_t)words, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(to[0]);
	close(from[1]);
	*ret_to = to[1];
	*ret_from = from[0];
	return -r;
}

static void put_line(int fd, const struct buf *bytes)
{
	struct buf line = BUF_INIT;
	base64_put(&line, bytes->data, bytes->len);
	buf_putc(&line, '\n');
	void (*before)(int) = signal(SIGPIPE, SIG_IGN);
	if (write(fd, line.data, line.len) < 0)
		errno = 0; /* what reads it has ended, and says why */
	signal(SIGPIPE, before);
	buf_release(&line);
}

static int take_line(FILE *from, struct buf *ret)
{
	char line[LINE_MOST];
	uint8_t bytes[LINE_MOST];
	size_t n;
	if (!from || !fgets(line, sizeof line, from) || base64_decode(line, strcspn(line, "\r\n"), bytes, &n) || !n)
		return -EBADMSG;
	buf_put(ret, bytes, n);
	return 0;
}

static int ask_there(const struct args *a, const struct buf *request, struct buf *der)
{
	const char *host = a->words[0], *const there[] = {a->flags[FLAG_COMMAND] ? a->flags[FLAG_COMMAND] : "vigia", "login", "--request", NULL};
	const char *way = a->flags[FLAG_SSH] ? a->flags[FLAG_SSH] : REMOTE_SSH, *const *words;
	struct buf why = BUF_INIT;
	const struct launch l = {.arguments = there};
	pid_t pid;
	int to = -1, from = -1, status = -1;
	int r = remote_check(way, &why);
	if (!r)
		r = remote_words(way, host, &l, &words);
	if (r)
		return wrong(host, r, &why);
	r = start(words, &pid, &to, &from);
	if (r) {
		complain("%s: %s", words[0], strerror(-r));
	} else {
		put_line(to, request);
		close(to);
		FILE *in = fdopen(from, "r");
		r = take_line(in, der);
		if (in)
			fclose(in);
		waitpid(pid, &status, 0);
		if (r)
			complain("%s gave no certificate", host);
	}
	free((void *)(uintptr_t)words);
	return r ? WRONG : DONE;
}

/* For who asks over ssh: a line in, a line out. */
static int pass_on(struct vigia *v)
{
	struct buf request = BUF_INIT, der = BUF_INIT, line = BUF_INIT;
	int r = take_line(stdin, &request);
	if (r) {
		complain("no request came on standard input");
		return USAGE;
	}
	r = ask_here(v, &request, &der);
	if (!r) {
		base64_put(&line, der.data, der.len);
		puts(buf_str(&line));
	}
	buf_release(&request);
	buf_release(&der);
	buf_release(&line);
	return r;
}

/* --- the commands --- */

static int save(struct vault *vault, EVP_PKEY *key, const struct buf *der, struct certificate *ret, struct buf *why)
{
	X509 *x = NULL;
	int r = certificate_read(der->data, der->len, &x, why);
	if (!r && X509_check_private_key(x, key) != 1) {
		buf_puts(why, "the certificate is not for the key that was just made");
		r = -EKEYREJECTED;
	}
	if (!r)
		r = certificate_facts(x, ret, why);
	if (!r)
		r = key_save(vault, KEY, key, why);
	if (!r)
		r = vault_write(vault, CERTIFICATE, der->data, der->len, why);
	X509_free(x);
	return r;
}

static void tell(const struct certificate *c)
{
	struct buf until = BUF_INIT;
	when_put(&until, c->until_s * 1000000000);
	printf("logged in as %s until %s\n", c->name, buf_str(&until));
	buf_release(&until);
}

static int login(struct vigia *v, const struct args *a)
{
	struct vault *vault = NULL;
	EVP_PKEY *key = NULL;
	struct certificate c;
	struct buf request = BUF_INIT, der = BUF_INIT, why = BUF_INIT;
	int r = open_vault(&vault, true, &why);
	if (!r)
		r = key_new(&key, &why);
	if (!r)
		r = request_put(&request, key, &why);
	if (r) {
		r = wrong("no key can be made", r, &why);
	} else {
		r = a->n ? ask_there(a, &request, &der) : ask_here(v, &request, &der);
		if (!r && (r = save(vault, key, &der, &c, &why)))
			r = wrong("the key can't be kept", r, &why);
		else if (!r)
			tell(&c);
	}
	EVP_PKEY_free(key);
	vault_close(vault);
	buf_release(&request);
	buf_release(&der);
	return r;
}

static int run_login(struct vigia *v, const struct args *a)
{
	key_keep_from_dumps(0);
	if (a->flags[FLAG_REQUEST])
		return pass_on(v);
	if (geteuid())
		return login(v, a);
	complain("root has no key of his own for other hosts: uid 0 is root of one host alone");
	return WRONG;
}

const struct command login_command = {.name = "login",
    .words = "[HOST]",
    .flags = {{"ssh", "WORDS", "how HOST is reached; as `ssh` in add { } of vigia.conf(5)"},
	{"command", "PATH", "what vigia is called on HOST; else vigia"},
	{"request", NULL, "for who asks from another host: a request in, a certificate out"}},
    .doc = "a key of your own, to change things on other hosts",
    .more = "  Made here, in your runtime directory, and good for 12 hours. Whose it is, the host of the cluster's authority says: HOST, where\n"
	    "  ssh lets you in, or this one. From then on what you ask of other hosts is signed with it.\n",
    .words_max = 1, .completes = COMPLETE_NODES, .alone = true, .run = run_login};

static int run_logout(struct vigia *v, const struct args *a)
{
	struct vault *vault;
	struct buf why = BUF_INIT;
	int r = open_vault(&vault, false, &why);
	if (r == -ENOENT)
		return DONE;
	if (!r) {
		r = vault_remove(vault, KEY, &why);
		int r2 = vault_remove(vault, CERTIFICATE, &why);
		r = r ? r : r2;
		vault_close(vault);
	}
	return r ? wrong("your key", r, &why) : DONE;
}

const struct command logout_command = {.name = "logout", .words = "", .doc = "your own key is gone", .alone = true, .run = run_logout};
