/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "libvigia/connection.h"

int vigia_offer(const struct vigia_service *service, void *data)
{
	struct vigia *v;
	struct vigia_error error = {0};
	int r = vigia_open(&v, NULL, &error);
	if (!r) {
		r = vigia_serve(v, service, data, &error);
		while (r >= 0 || r == -EINTR)
			r = vigia_wait(v, -1);
		if (!*error.text)
			error = v->why;
		vigia_close(v);
	}
	fprintf(stderr, "%s: %s%s%s\n", service->name, error.code, *error.code ? ": " : "", error.text);
	return 1;
}
