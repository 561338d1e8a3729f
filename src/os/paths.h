/* SPDX-License-Identifier: Apache-2.0 */
/* Where things lie, for the system's daemon (root) and for one that a user starts for himself.
 *
 *                  an XDG variable says so              root             user
 *   runtime        $XDG_RUNTIME_DIR/vigia               /run/vigia       /run/user/UID/vigia
 *   state          $XDG_STATE_HOME/vigia                /var/lib/vigia   ~/.local/state/vigia
 *   configuration  $XDG_CONFIG_HOME/vigia/vigia.conf    /etc/vigia/vigia.conf, for a user ~/.config/vigia/vigia.conf
 *
 * The first two decide for root too. A variable whose value is not an absolute path is ignored, as XDG asks.
 * Results are strings that the caller frees. `why`, which may be NULL, gets a line for people when the answer is
 * negative.
 */
#ifndef VIGIA_OS_PATHS_H
#define VIGIA_OS_PATHS_H

#include <sys/un.h>

#include "base/buf.h"

int paths_runtime(char **ret_dir, struct buf *why);
int paths_state(char **ret_dir, struct buf *why);

/* The configuration file: `given` when not NULL; else the first above that exists, and then the system's
 * (for a user: his own, then /etc/vigia/vigia.conf). -ENOENT: nothing given and none is there. */
int paths_config(const char *given, char **ret_file, struct buf *why);

/* Makes the directory (and what it lies in) with mode 0700 where it is missing.
 * -EPERM: it belongs to another user, or others may write in it. */
int paths_make(const char *dir, struct buf *why);

/* The address of a socket file. -ENAMETOOLONG: longer than the kernel takes (107 bytes). */
int paths_address(const char *file, struct sockaddr_un *ret_address, struct buf *why);
/* DIR/vigiad.sock. */
int paths_socket(const char *dir, struct sockaddr_un *ret_address, struct buf *why);

/* Where a client finds its daemon: `given` when not NULL, else $VIGIA_SOCKET, else the user's own runtime directory
 * when a socket is there, else /run/vigia/vigiad.sock. -ENOENT: none of the last two is there; `why` names them. */
int paths_find_socket(const char *given, struct sockaddr_un *ret_address, struct buf *why);

#endif
