/* SPDX-License-Identifier: Apache-2.0 */
/* Queries that users of other hosts have signed (identity/order.h, decision 0025): whose they are, and that each is taken once.
 *
 * An order is for this host and this life of its daemon, so none of before its start counts; the nonces of those that were taken are
 * kept for as long as they are good. A certificate is believed as in a handshake: revoked, expired, or of another realm of uids, and
 * its owner is nobody.
 */
#ifndef VIGIA_CORE_ORDERS_H
#define VIGIA_CORE_ORDERS_H

#include "core/core.h"
#include "identity/order.h"

/* Where the call comes from elsewhere and its query is signed: c->proven and c->caller are its user's then. 0, also where there is nothing to
 * be proven, or the call has failed. */
int orders_take(struct call *c);
/* To whom orders for this host are to be. */
int orders_audience(struct core *core, struct order_audience *ret);
void orders_release(struct core *core);

#endif
