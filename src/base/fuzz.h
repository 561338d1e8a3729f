/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz target defines: libFuzzer calls it with any bytes, corpus_test.c with those of its corpus. */
#ifndef VIGIA_BASE_FUZZ_H
#define VIGIA_BASE_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
