/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a token: one that is read comes back from its own text, and that is these bytes. What stands before a sum is tried with
 * the right sum as well, or nothing would come past it. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/fuzz.h"
#include "identity/token.h"

static void look(const char *text, size_t n)
{
	struct token t;
	struct buf why = BUF_INIT, again = BUF_INIT;
	int r = token_read(text, n, &t, &why);
	if (!r && (token_put(&again, &t, &why) || again.len != n || memcmp(again.data, text, n)))
		abort();
	if (!r != !why.len)
		abort();
	buf_release(&why);
	buf_release(&again);
}

static void with_its_sum(const uint8_t *data, size_t size)
{
	uint8_t sum[EVP_MAX_MD_SIZE];
	struct buf bytes = BUF_INIT, text = BUF_INIT;
	EVP_Digest(data, size, sum, NULL, EVP_sha256(), NULL);
	buf_put(&bytes, data, size);
	buf_put(&bytes, sum, 4);
	buf_puts(&text, "vigia1.");
	base64_put(&text, bytes.data, bytes.len);
	for (; text.len && text.data[text.len - 1] == '='; text.len--)
		;
	for (size_t i = 0; i < text.len; i++)
		text.data[i] = text.data[i] == '+' ? '-' : text.data[i] == '/' ? '_' : text.data[i];
	look(text.data, text.len);
	buf_release(&bytes);
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	look((const char *)data, size);
	with_its_sum(data, size);
	return 0;
}
