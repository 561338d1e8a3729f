/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes, in pieces, from whoever dials: a handshake that comes of them is none of somebody whom we believe. */
#include <stdlib.h>

#include "base/fuzz.h"
#include "net/certificates_test.h"
#include "net/tls.h"

static uv_loop_t loop;
static struct net net;
static SSL_CTX *context;
static int steps;

static void on_step(void *owner, int result)
{
	if (result == 1)
		abort();
	*(int *)owner = result;
	steps++;
}

static void begin(void)
{
	struct authority a = authority_new("fuzz");
	context = context_of(&a, &a, "h1", -60, 3600);
	authority_free(&a);
	uv_loop_init(&loop);
	net_start(&net, &loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls *t;
	int result = 0;
	if (!context)
		begin();
	if (tls_new(&t, &net, context, true, NULL, on_step, &result))
		abort();
	for (size_t at = 0; at < size && result == 0;) {
		size_t n = 1 + data[at] * 8u;
		n = n < size - at ? n : size - at;
		if (tls_put_in(t, data + at, n))
			break;
		at += n;
		tls_step(t);
		while (tls_is_busy(t))
			uv_run(&loop, UV_RUN_ONCE);
	}
	tls_free(t);
	return 0;
}
