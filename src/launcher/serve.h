/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIGIA_LAUNCHER_SERVE_H
#define VIGIA_LAUNCHER_SERVE_H

/* Starts what vigiad asks for, and tells how it ended, until its socket closes, SIGTERM comes, or no answer can be given
 * any more; the programs go on. 0, or the negative errno that ended it. A trade (keeper/keeper.h) of nothing. */
int launcher_serve(int socket, const void *nothing);

#endif
