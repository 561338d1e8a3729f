/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an order: one that is read lies within them, and is good for nothing that it was not signed for. */
#include <stdlib.h>

#include "base/fuzz.h"
#include "identity/order.h"

static EVP_PKEY *some_key(void)
{
	static EVP_PKEY *key;
	struct buf why = BUF_INIT;
	if (!key && key_new(&key, &why))
		abort();
	return key;
}

static void check(const struct order *o)
{
	struct buf why = BUF_INIT;
	struct msg *query = msg_new("process");
	const struct order_audience here = {.life = 1};
	msg_set(query, "query", "signal");
	if (!order_check(o, query, &here, o->until_s, some_key(), &why) || !why.len)
		abort();
	msg_free(query);
	buf_release(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct order o;
	struct buf why = BUF_INIT;
	int r = order_read(data, size, &o, &why);
	if (!r != !why.len)
		abort();
	if (!r && (o.signature < data || o.certificate + o.certificate_n != data + size || !o.certificate_n))
		abort();
	if (!r)
		check(&o);
	buf_release(&why);
	return 0;
}
