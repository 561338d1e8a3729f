/* SPDX-License-Identifier: Apache-2.0 */
/* The directory `cluster/`, mode 0700, and the files in it: nobody else's, or they are not read at all.
 *
 * The directory is opened once and never looked up again by its path. Whatever is there must be this user's own plain file with one
 * name: no symbolic link is followed, neither a FIFO nor a hard link taken. Contents are written whole beside their place, brought to
 * disk, and renamed. All of this waits for the disk: not on a loop's thread, and one thread at a time.
 * Errors come with what and where in `why`; -EPERM: owner, mode or kind is wrong; -ELOOP: a symbolic link; -ENOENT: there is none.
 */
#ifndef VIGIA_IDENTITY_VAULT_H
#define VIGIA_IDENTITY_VAULT_H

#include <stdbool.h>

#include "base/buf.h"

struct vault;

enum vault_kind {
	VAULT_SECRET, /* just 0600 */
	VAULT_OPEN,   /* nobody else may write it */
};

int vault_open(struct vault **ret, const char *directory, struct buf *why);
/* Makes it where it is missing; what it lies in must be there. */
int vault_make(struct vault **ret, const char *directory, struct buf *why);
void vault_close(struct vault *v);
const char *vault_path(const struct vault *v);

/* Something of that name is there, of whatever kind. */
bool vault_has(const struct vault *v, const char *name);
/* Appends its contents to `to`; -EFBIG: more than `most` bytes. */
int vault_read(const struct vault *v, const char *name, enum vault_kind kind, size_t most, struct buf *to, struct buf *why);
/* A secret into memory of the caller's choice, which may be one that is not dumped. */
int vault_read_secret(const struct vault *v, const char *name, void *to, size_t most, size_t *ret_n, struct buf *why);
/* All files are written with mode 0600. */
int vault_write(const struct vault *v, const char *name, const void *bytes, size_t n, struct buf *why);
/* All of it, or what was there before. The file is made where it is missing. */
int vault_append(const struct vault *v, const char *name, const void *bytes, size_t n, struct buf *why);
int vault_rename(const struct vault *v, const char *from, const char *to, struct buf *why);
/* One that is not there is no error. */
int vault_remove(const struct vault *v, const char *name, struct buf *why);

#endif
