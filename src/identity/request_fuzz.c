/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a request for a certificate. */
#include <stdlib.h>

#include "base/fuzz.h"
#include "identity/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	EVP_PKEY *key = NULL;
	struct buf why = BUF_INIT;
	int r = request_read(data, size, &key, &why);
	if (!r != !why.len || !r != (key != NULL) || (key && !key_is_ours(key)))
		abort();
	EVP_PKEY_free(key);
	buf_release(&why);
	return 0;
}
