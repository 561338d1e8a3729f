/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a certificate, and what it says of its owner: facts are whole, or there are none. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "identity/certificate.h"

static void check(const struct certificate *c, struct buf *why)
{
	struct host_id id;
	if (certificate_check_name(c->name, c->roles, &id, why) || !host_id_is(&id, &c->host) || c->from_s > c->until_s ||
	    strlen(c->serial) != CERTIFICATE_SERIAL - 1 || strlen(c->cluster) != CLUSTER_TEXT - 1)
		abort();
	if (certificate_renew_s(c) < c->from_s || certificate_renew_s(c) > c->until_s)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	X509 *x;
	struct certificate c;
	struct buf why = BUF_INIT;
	if (!certificate_read(data, size, &x, &why)) {
		if (!certificate_facts(x, &c, &why))
			check(&c, &why);
		else if (!why.len)
			abort();
		X509_free(x);
	}
	buf_release(&why);
	return 0;
}
