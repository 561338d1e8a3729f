/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the authority's bundle, and as a revocation list; a bundle that is taken is taken again from its own text. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "identity/trust.h"

static void as_bundle(const uint8_t *data, size_t size)
{
	struct trust *t, *again;
	struct buf why = BUF_INIT;
	if (!trust_new(&t, data, size, NULL, 0, &why)) {
		const struct buf *pem = trust_bundle(t);
		if (trust_new(&again, pem->data, pem->len, NULL, 0, &why) || strcmp(trust_cluster(t), trust_cluster(again)))
			abort();
		trust_unref(again);
		trust_unref(t);
	} else if (!why.len) {
		abort();
	}
	buf_release(&why);
}

static void as_list(const uint8_t *data, size_t size)
{
	struct revoked r;
	struct buf why = BUF_INIT;
	if (!revoked_read(data, size, &r, &why)) {
		revoked_has(&r, "40000000000000000000000000000000");
		revoked_release(&r);
	} else if (!why.len) {
		abort();
	}
	buf_release(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_bundle(data, size);
	as_list(data, size);
	return 0;
}
