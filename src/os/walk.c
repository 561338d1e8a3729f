/* SPDX-License-Identifier: Apache-2.0 */
#include "os/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/commands.h"

enum { ENTRIES_BYTES = 4096 };

struct system_walk {
	int proc, folder; /* the descriptor of /proc that is all's, and one with a place of our own */
	unsigned *count;
	struct users *users;
	struct commands *commands;
	struct process_units units;
	size_t n, at;  /* of those that were read */
	ssize_t size, from; /* of the entries */
	struct process piece[COMMANDS_PIECE];
	_Alignas(struct dirent64) char entries[ENTRIES_BYTES];
};

int walk_new(int proc, struct users *users, unsigned *count, struct system_walk **ret)
{
	struct system_walk *w = *count < SYSTEM_WALKS_MAX ? malloc(sizeof *w) : NULL;

	if (!w)
		return *count < SYSTEM_WALKS_MAX ? -ENOMEM : -EAGAIN;
	w->proc = proc;
	w->users = users;
	w->n = w->at = 0;
	w->size = w->from = 0;
	w->commands = NULL;
	w->folder = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = w->folder < 0 ? -errno : commands_open(&w->commands);
	w->count = count;
	++*count;
	if (r < 0) {
		walk_free(w);
		return r;
	}
	process_units(&w->units);
	users_refresh(users);
	*ret = w;
	return 0;
}

void walk_free(struct system_walk *w)
{
	--*w->count;
	commands_close(w->commands);
	if (w->folder >= 0)
		close(w->folder);
	free(w);
}

/* 0: no number, or one that is none of a process. */
static int32_t pid_of(const char *name)
{
	int64_t pid = 0;

	while (*name >= '0' && *name <= '9' && pid <= INT32_MAX)
		pid = pid * 10 + (*name++ - '0');
	return *name || pid > INT32_MAX ? 0 : (int32_t)pid;
}

/* The next in the folder; 0: that was all. */
static int32_t next_pid(struct system_walk *w)
{
	int32_t pid = 0;

	while (!pid) {
		if (w->from == w->size) {
			w->from = 0;
			w->size = getdents64(w->folder, w->entries, sizeof w->entries);
			if (w->size <= 0)
				return w->size = 0;
		}
		const struct dirent64 *e = (const struct dirent64 *)(w->entries + w->from);
		w->from += e->d_reclen;
		pid = pid_of(e->d_name);
	}
	return pid;
}

static void name_user(struct users *users, struct process *p)
{
	strncpy(p->user, users_name(users, p->uid), sizeof p->user - 1);
}

static void add_commands(struct system_walk *w)
{
	int32_t pids[COMMANDS_PIECE];

	for (size_t i = 0; i < w->n; i++)
		pids[i] = w->piece[i].key.pid;
	const struct command_bytes *c = commands_read(w->commands, pids, w->n);
	for (size_t i = 0; i < w->n; i++)
		process_take_command(c[i].bytes, c[i].size, &w->piece[i]);
}

/* Those that vanish while they are read are none; those that we may not read neither. */
static void fill_piece(struct system_walk *w)
{
	int32_t pid;

	w->n = w->at = 0;
	while (w->n < COMMANDS_PIECE && (pid = next_pid(w))) {
		struct process *p = &w->piece[w->n];
		if (process_read(w->proc, pid, &w->units, p) < 0)
			continue;
		name_user(w->users, p);
		w->n++;
	}
	add_commands(w);
}

int walk_next(struct system_walk *w, struct process *ret)
{
	if (w->at == w->n)
		fill_piece(w);
	if (!w->n)
		return 0;
	*ret = w->piece[w->at++];
	return 1;
}

int walk_one(int proc, struct users *users, int32_t pid, struct process *ret)
{
	struct process_units units;
	struct commands *commands;
	struct process p;
	int r = commands_open(&commands);

	if (r < 0)
		return r;
	process_units(&units);
	users_refresh(users);
	r = process_read(proc, pid, &units, &p);
	if (r == 0) {
		const struct command_bytes *c = commands_read(commands, &pid, 1);
		process_take_command(c->bytes, c->size, &p);
		name_user(users, &p);
		*ret = p;
	}
	commands_close(commands);
	return r;
}
