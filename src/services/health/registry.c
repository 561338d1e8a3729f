/* SPDX-License-Identifier: Apache-2.0 */
/* A line a secret: "node NAME HASH", or "node NAME -" when forgotten; the last line about a name counts. Appending
 * one line is one write, and all of a turn of the loop are one wait for the disk; ten thousand nodes register without
 * a rewrite. The file is put in order at each start. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "os/file.h"
#include "os/secret.h"
#include "services/health/health.h"

struct entry {
	char *name; /* "node n1" */
	char hash[SHA256_HEX_SIZE];
};

struct registry {
	struct names entries;
	char *path;
	int fd;
	bool unsynced;
};

static char *key_of(const char *kind, const char *name)
{
	char *key;
	return asprintf(&key, "%s %s", kind, name) < 0 ? NULL : key;
}

static int put(struct registry *r, char *take_key, const char *hash)
{
	struct entry *e = names_find(&r->entries, take_key);
	if (!e) {
		e = calloc(1, sizeof *e);
		if (!e || (e->name = take_key, names_add(&r->entries, e))) {
			free(e);
			free(take_key);
			return -ENOMEM;
		}
	} else {
		free(take_key);
	}
	snprintf(e->hash, sizeof e->hash, "%s", hash);
	return 0;
}

static int load(struct registry *r, FILE *f)
{
	char kind[16], name[128], hash[SHA256_HEX_SIZE];
	char line[256];
	int e = 0;
	while (!e && fgets(line, sizeof line, f)) {
		if (sscanf(line, "%15s %127s %64s", kind, name, hash) != 3)
			continue; /* a line torn by a crash: never told to anyone */
		char *key = key_of(kind, name);
		e = key ? put(r, key, strlen(hash) == 64 ? hash : "") : -ENOMEM;
	}
	return e;
}

static int put_in_order(struct registry *r)
{
	struct buf text = BUF_INIT;
	for (size_t i = 0; i < r->entries.n; i++) {
		const struct entry *e = r->entries.things[i];
		if (*e->hash)
			buf_putf(&text, "%s %s\n", e->name, e->hash);
	}
	int e = text.failed ? -ENOMEM : file_replace(r->path, buf_str(&text));
	buf_release(&text);
	return e;
}

int registry_open(struct registry **ret, const char *path)
{
	struct registry *r = calloc(1, sizeof *r);
	if (!r || !(r->path = strdup(path))) {
		free(r);
		return -ENOMEM;
	}
	FILE *f = fopen(path, "re");
	int e = f ? load(r, f) : errno == ENOENT ? 0 : -errno;
	if (f)
		fclose(f);
	r->fd = -1;
	if (!e)
		put_in_order(r); /* where nothing can be written now, what is known still counts */
	if (e) {
		registry_close(r);
		return e;
	}
	*ret = r;
	return 0;
}

void registry_close(struct registry *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->entries.n; i++) {
		struct entry *e = r->entries.things[i];
		free(e->name);
		free(e);
	}
	names_release(&r->entries);
	if (r->fd >= 0)
		close(r->fd);
	free(r->path);
	free(r);
}

const char *registry_find(const struct registry *r, const char *kind, const char *name)
{
	char *key = key_of(kind, name);
	const struct entry *e = key ? names_find(&r->entries, key) : NULL;
	free(key);
	return e && *e->hash ? e->hash : NULL;
}

static int store(struct registry *r, const char *kind, const char *name, const char *hash)
{
	char line[256];
	int n = snprintf(line, sizeof line, "%s %s %s\n", kind, name, *hash ? hash : "-");
	if (r->fd < 0)
		r->fd = open(r->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (r->fd < 0)
		return -errno;
	off_t end = lseek(r->fd, 0, SEEK_END);
	ssize_t written = write(r->fd, line, (size_t)n);
	if (written != n) {
		int e = written < 0 ? -errno : -ENOSPC;
		/* Half a line would take the next one's name. */
		return end < 0 || ftruncate(r->fd, end) ? -EIO : e;
	}
	r->unsynced = true;
	char *key = key_of(kind, name);
	return key ? put(r, key, hash) : -ENOMEM;
}

int registry_sync(struct registry *r)
{
	if (!r->unsynced)
		return 0;
	r->unsynced = false;
	return fdatasync(r->fd) ? -errno : 0;
}

int registry_issue(struct registry *r, const char *kind, const char *name, char *ret_secret)
{
	char hash[SHA256_HEX_SIZE], secret[SECRET_SIZE];
	int e = secret_new(secret);
	if (!e)
		e = sha256_hex(secret, strlen(secret), hash);
	if (!e)
		e = store(r, kind, name, hash);
	if (!e)
		memcpy(ret_secret, secret, sizeof secret);
	return e;
}

bool registry_check(const struct registry *r, const char *kind, const char *name, const char *secret)
{
	char hash[SHA256_HEX_SIZE];
	const char *known = registry_find(r, kind, name);
	return known && !sha256_hex(secret, strlen(secret), hash) && secret_equal(hash, known);
}

void registry_each(const struct registry *r, const char *kind, void (*fn)(void *data, const char *name), void *data)
{
	size_t n = strlen(kind);
	for (size_t i = 0; i < r->entries.n; i++) {
		const struct entry *e = r->entries.things[i];
		if (*e->hash && !strncmp(e->name, kind, n) && e->name[n] == ' ')
			fn(data, e->name + n + 1);
	}
}

int registry_forget(struct registry *r, const char *kind, const char *name)
{
	return registry_find(r, kind, name) ? store(r, kind, name, "") : 0;
}
