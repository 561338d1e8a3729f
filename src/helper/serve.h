/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIGIA_HELPER_SERVE_H
#define VIGIA_HELPER_SERVE_H

/* Answers vigiad's requests until its socket closes, SIGTERM comes, or no answer can be given any more; then has every
 * program end. 0, or the negative errno that ended it. A trade (keeper/keeper.h): `entries` is a struct entries. */
int serve(int socket, const void *entries);

#endif
