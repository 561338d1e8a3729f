/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon's client: asks, and reads answers, one after the other. Blocks; one thread at a time. */
#ifndef VIGIA_CLIENT_CLIENT_H
#define VIGIA_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "proto/msg.h"

struct client;

/* `at`: HOST[:PORT] (7660), or the path of a socket, or NULL: where paths_find_socket() finds one. papers: a directory with a
 * certificate (client/guard.h), for TLS where it goes by network; NULL: none. 0 or -errno with `why`. */
int client_open(struct client **ret, const char *at, const char *papers, struct buf *why);
void client_close(struct client *c);
/* The daemon's name, as it said. */
const char *client_daemon(const struct client *c);
/* Readable: client_next() has something (for poll loops). */
int client_fd(const struct client *c);

/* A query to be filled with arguments and sent with client_ask(), which frees it. Returns its id, or -errno. */
struct msg *client_query(struct client *c, const char *noun, const char *verb);
int64_t client_ask(struct client *c, struct msg *query);
/* Queries made one after the other, in one write: a daemon takes them in one turn, so answers that fit its buffers
 * are of one moment. Returns the first id. */
int64_t client_ask_all(struct client *c, struct msg *const *queries, size_t n);

/* The next stanza: 1 with *ret (free it); 0: none within timeout_ms (-1: waits for ever); -EPIPE: the daemon is gone;
 * -EPROTO: it does not speak HMON. */
int client_next(struct client *c, int timeout_ms, struct msg **ret);

/* Asks and gives each answer to fn until the end. 0; what fn returned (non-zero stops); or -errno, with *ret_error
 * the daemon's <error> when it sent one (free it). Partial errors go to fn as well. */
typedef int client_fn(void *data, const struct msg *answer);
int client_call(struct client *c, struct msg *query, client_fn *fn, void *data, struct msg **ret_error);

#endif
