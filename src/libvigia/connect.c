/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "libvigia/connection.h"
#include "os/connect.h"

int say(struct vigia_error *ret_error, int r, const char *code, const char *format, ...)
{
	if (!ret_error)
		return r;
	va_list ap;
	va_start(ap, format);
	vsnprintf(ret_error->text, sizeof ret_error->text, format, ap);
	va_end(ap);
	snprintf(ret_error->code, sizeof ret_error->code, "%s", code);
	return r;
}

int connect_to(const char *at, struct vigia_error *ret_error)
{
	struct buf why = BUF_INIT;
	int fd = connect_daemon(at, &why);
	if (fd < 0)
		say(ret_error, fd, "", "%s", buf_str(&why));
	buf_release(&why);
	return fd;
}
