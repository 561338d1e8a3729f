/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/refuse.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>

int refuse(struct buf *why, int error, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	buf_puts(why, text);
	ERR_clear_error();
	return error;
}
