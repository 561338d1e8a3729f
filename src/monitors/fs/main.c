/* SPDX-License-Identifier: Apache-2.0 */
/* How full the file systems are. One that hangs is shown as hung and holds up nobody. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hmon/hmon.h"
#include "mounts.h"
#include "prober.h"

enum { STATE, SIZE, FREE, AVAILABLE, USED, FILES, FILES_FREE, FILES_USED, DEVICE, TYPE, PER_FS };

static const struct hmon_metric metrics[] = {
    {"state", HMON_STATE, NULL, 0, "ok, read-only, hung (did not answer in time) or error"},
    {"size", HMON_GAUGE, "By", 0, "that it can hold"},
    {"free", HMON_GAUGE, "By", 0, "free, with what is reserved for root"},
    {"available", HMON_GAUGE, "By", 0, "free for everyone"},
    {"used", HMON_GAUGE, "%", 1, "share used, as df(1) has it"},
    {"files", HMON_GAUGE, "1", 0, "files and folders that it can hold"},
    {"files_free", HMON_GAUGE, "1", 0, "of them free"},
    {"files_used", HMON_GAUGE, "%", 1, "share of them used"},
    {"device", HMON_TEXT, NULL, 0, "the device or server"},
    {"type", HMON_TEXT, NULL, 0, "ext4, nfs4 ..."},
    {0},
};

static const struct hmon_family families[] = {
    {"fs", "PATH", metrics, "PATH is escaped as systemd does: / is -, /var/lib is var-lib"},
    {0},
};

struct watched {
	struct mount *mount;
	int probe, first;
};

struct fs {
	int mountinfo;
	int64_t limit_ms;
	struct prober *prober;
	char *text; /* of mountinfo, as last seen */
	struct mounts mounts;
	struct watched *watched;
	size_t n;
};

/* --- which --- */

static char *read_all(int fd)
{
	char *text = NULL;
	size_t len = 0, size = 0;
	ssize_t n;
	do {
		if (len + 1 >= size) {
			size = size ? size * 2 : 4096;
			char *more = realloc(text, size);
			if (!more)
				break;
			text = more;
		}
		n = pread(fd, text + len, size - len - 1, (off_t)len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	if (text)
		text[len] = '\0';
	return text;
}

static bool skipped(const struct hmon *h, const char *path)
{
	const char *pattern;
	for (size_t i = 0; (pattern = hmon_option_item(h, "skip", i)); i++)
		if (!fnmatch(pattern, path, 0))
			return true;
	return false;
}

/* The one watched at the same place from the same device goes on. */
static struct watched *find(struct fs *f, const struct mount *m)
{
	for (size_t i = 0; i < f->n; i++) {
		struct watched *w = &f->watched[i];
		if (w->mount && !strcmp(w->mount->path, m->path) && w->mount->major == m->major &&
		    w->mount->minor == m->minor)
			return w;
	}
	return NULL;
}

static int watch(struct hmon *h, struct fs *f, struct watched *w, struct mount *m)
{
	struct watched *before = find(f, m);
	if (before) {
		*w = *before;
		w->mount = m;
		before->mount = NULL;
		return 0;
	}
	*w = (struct watched){.mount = m, .probe = prober_add(f->prober, m->path)};
	if (w->probe < 0)
		return w->probe;
	w->first = hmon_add(h, "fs", m->instance, metrics, PER_FS);
	return w->first < 0 ? w->first : 0;
}

static void unwatch_rest(struct hmon *h, struct fs *f)
{
	for (size_t i = 0; i < f->n; i++) {
		if (!f->watched[i].mount)
			continue;
		prober_remove(f->prober, f->watched[i].probe);
		hmon_drop(h, f->watched[i].first);
	}
}

static int watch_all(struct hmon *h, struct fs *f, struct mounts *mounts)
{
	struct watched *watched = calloc(mounts->n + 1, sizeof *watched);
	size_t n = 0;
	int r = watched ? 0 : -ENOMEM;
	for (size_t i = 0; i < mounts->n && !r; i++)
		if (!skipped(h, mounts->list[i].path) && !(r = watch(h, f, &watched[n], &mounts->list[i])))
			n++;
	unwatch_rest(h, f);
	free(f->watched);
	f->watched = watched;
	f->n = n;
	return r;
}

/* Looks at the mounts anew if they changed. */
static int refresh(struct hmon *h, struct fs *f)
{
	char *text = read_all(f->mountinfo);
	if (!text)
		return -ENOMEM;
	if (f->text && !strcmp(f->text, text)) {
		free(text);
		return 0;
	}
	struct mounts fresh = {0};
	int r = mounts_parse(&fresh, text);
	if (r) {
		free(text);
		return r;
	}
	r = watch_all(h, f, &fresh);
	mounts_release(&f->mounts);
	f->mounts = fresh;
	free(f->text);
	f->text = text;
	return r;
}

/* --- what they say --- */

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void set_sizes(struct hmon *h, int first, const struct statvfs *s)
{
	uint64_t used = s->f_blocks - s->f_bfree;
	hmon_set_int(h, first + SIZE, (int64_t)(s->f_blocks * s->f_frsize));
	hmon_set_int(h, first + FREE, (int64_t)(s->f_bfree * s->f_frsize));
	hmon_set_int(h, first + AVAILABLE, (int64_t)(s->f_bavail * s->f_frsize));
	hmon_set_double(h, first + USED, percent(used, used + s->f_bavail));
	if (!s->f_files)
		return;
	hmon_set_int(h, first + FILES, (int64_t)s->f_files);
	hmon_set_int(h, first + FILES_FREE, (int64_t)s->f_ffree);
	hmon_set_double(h, first + FILES_USED, percent(s->f_files - s->f_ffree, s->f_files));
}

static const char *state(const struct probe *p, const struct mount *m)
{
	if (p->state == PROBE_OK)
		return m->read_only ? "read-only" : "ok";
	return p->state == PROBE_HUNG ? "hung" : "error";
}

static void set_one(struct hmon *h, const struct fs *f, const struct watched *w)
{
	const struct probe *p = prober_result(f->prober, w->probe);
	hmon_set_text(h, w->first + STATE, state(p, w->mount));
	hmon_set_text(h, w->first + DEVICE, w->mount->device);
	hmon_set_text(h, w->first + TYPE, w->mount->type);
	if (p->state == PROBE_OK)
		set_sizes(h, w->first, &p->is);
}

static int fs_read(struct hmon *h)
{
	struct fs *f = hmon_data(h);
	int r = refresh(h, f);
	if (!r)
		r = prober_ask(f->prober, f->limit_ms);
	for (size_t i = 0; i < f->n; i++)
		set_one(h, f, &f->watched[i]);
	return r;
}

/* --- start and stop --- */

static void fs_stop(struct hmon *h)
{
	struct fs *f = hmon_data(h);
	prober_free(f->prober);
	if (f->mountinfo >= 0)
		close(f->mountinfo);
	mounts_release(&f->mounts);
	free(f->watched);
	free(f->text);
}

static int fs_start(struct hmon *h)
{
	struct fs *f = hmon_data(h);
	f->limit_ms = hmon_option_ms(h, "timeout");
	f->prober = prober_new(statvfs);
	f->mountinfo = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	return !f->prober ? -ENOMEM : f->mountinfo < 0 ? -errno : refresh(h, f);
}

static const struct hmon_option options[] = {
    {"skip", HMON_OPTION_LIST, NULL, "patterns of paths to leave out: {\"/snap/*\"}"},
    {"timeout", HMON_OPTION_DURATION, "500ms", "after which a file system counts as hung"},
    {0},
};

static const struct hmon_monitor monitor = {
    .name = "fs",
    .doc = "size, free space and state of the mounted file systems",
    .period = "10s",
    .families = families,
    .options = options,
    .start = fs_start,
    .read = fs_read,
    .stop = fs_stop,
    .data_size = sizeof(struct fs),
};

int main(int argc, char **argv)
{
	return hmon_main(&monitor, argc, argv);
}
