/* SPDX-License-Identifier: Apache-2.0 */
/* "ADDRESS:PORT", "[V6]:PORT", "HOST:PORT"; without a port a numeric one is 7660's. And servers' URLs. */
#ifndef VIGIA_CONF_ADDRESS_H
#define VIGIA_CONF_ADDRESS_H

#include "conf/conf.h"

enum { CONF_PORT = 7660, CONF_HOST_MAX = 253, CONF_SERVERS_MAX = 16, CONF_URL_MAX = 511 };

/* Appends. `numeric`: host names are refused, port 0 is allowed. -EINVAL; -ENOMEM. */
int conf_addresses_add(struct conf_addresses *a, const char *text, bool numeric);
/* "nats://[USER:PASSWORD@]HOST:PORT", several with a comma between: the addresses, each appended. -EINVAL; -ENOMEM. */
int conf_servers_add(struct conf_addresses *a, const char *text);
void conf_addresses_clear(struct conf_addresses *a);
void conf_address_print(const struct conf_address *a, struct buf *to);

#endif
