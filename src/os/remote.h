/* SPDX-License-Identifier: Apache-2.0 */
/* How a program is started on another host: by a program here, whose words a template gives.
 *
 * The template is words with blanks between; in each, %h is the host, %c the command (quoted for a shell there, which
 * is what ssh needs), and %% is %. There is no shell here. */
#ifndef VIGIA_OS_REMOTE_H
#define VIGIA_OS_REMOTE_H

#include "base/buf.h"
#include "os/launch.h"

#define REMOTE_SSH "ssh -x -oBatchMode=yes -oConnectTimeout=10 -- %h %c"

/* 0; -EINVAL, with `why` for people: no word, no %h or %c, or another letter behind a %. */
int remote_check(const char *template, struct buf *why);
/* Letters, digits and ._-:@ and not '-' first: no option, and nothing that a shell would read. */
bool remote_is_host(const char *host);
/* The words, and their memory, in one piece to be freed. -EINVAL: no such host or
 * template; else as launch_check(). */
int remote_words(const char *template, const char *host, const struct launch *there, const char *const **ret_words);
/* n words, each with its end, as a list: the pointers, and behind them what they point to; NULL: no memory. */
const char *const *remote_in_one_piece(const struct buf *words, size_t n);

#endif
