/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that fails now and then, for all but the stage (link with --wrap=malloc,calloc,realloc). */
#ifndef VIGIA_PLATFORM_FAULTS_TEST_H
#define VIGIA_PLATFORM_FAULTS_TEST_H

#include "base/dice_test.h"
#include "platform/stage_test.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t n);

static unsigned failing; /* of a thousand; 0: none */
static unsigned failed;

static bool fails(void)
{
	bool now = failing && !stage_depth && dice_below(1000) < failing;
	failed += now;
	return now;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t n)
{
	return fails() ? NULL : __real_realloc(old, n);
}

#endif
