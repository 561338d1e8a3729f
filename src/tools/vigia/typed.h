/* SPDX-License-Identifier: Apache-2.0 */
/* The lines that were typed at consoles before, kept in $XDG_STATE_HOME/vigia/history or
 * ~/.local/state/vigia/history.
 *
 * Every console adds a line when it is typed, so several at once keep all of theirs. A file that can't be
 * used, or what in it makes no sense, is left out without a word: the console is as good without. */
#ifndef VIGIA_TOOLS_TYPED_H
#define VIGIA_TOOLS_TYPED_H

enum { TYPED_LINES = 1000, TYPED_LINE = 4096 };

/* Where they are kept (the caller frees it), its directory made; NULL: nowhere. */
char *typed_file(void);
/* The last of them to fn, the oldest first. A file that has grown too long is cut. */
void typed_read(const char *file, void (*fn)(void *data, const char *line), void *data);
void typed_add(const char *file, const char *line);

#endif
