/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIGIA_HISTORY_FUZZ_H
#define VIGIA_HISTORY_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
