/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets that are given out once and shown again later, and digests to keep in their place. */
#ifndef VIGIA_OS_SECRET_H
#define VIGIA_OS_SECRET_H

#include <stdbool.h>
#include <stddef.h>

enum { SECRET_SIZE = 33, SHA256_HEX_SIZE = 65 }; /* with the NUL */

/* 128 random bits as 32 hexadecimal digits. Only fails (-errno) where the kernel has no getrandom(). */
int secret_new(char ret_secret[SECRET_SIZE]);
/* In time that tells nothing of where they differ. */
bool secret_equal(const char *a, const char *b);

int sha256_hex(const void *bytes, size_t n, char ret_hex[SHA256_HEX_SIZE]);

#endif
