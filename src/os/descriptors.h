/* SPDX-License-Identifier: Apache-2.0 */
/* How many files this process may have open, and has. */
#ifndef VIGIA_OS_DESCRIPTORS_H
#define VIGIA_OS_DESCRIPTORS_H

#include <stdint.h>

/* As many as it may be given. */
void descriptors_raise(void);
int64_t descriptors_most(void);
int64_t descriptors_open(void);

#endif
