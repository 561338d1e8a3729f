/* SPDX-License-Identifier: Apache-2.0 */
/* Chance for tests: dice_begin() prints the seed, VIGIA_SEED=N plays the same again. */
#ifndef VIGIA_BASE_DICE_TEST_H
#define VIGIA_BASE_DICE_TEST_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t dice_state;

static inline void dice_begin(void)
{
	const char *given = getenv("VIGIA_SEED");
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	printf("# VIGIA_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	dice_state = seed;
}

/* splitmix64 */
static inline uint64_t dice(void)
{
	uint64_t z = dice_state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* 0 to n-1. */
static inline size_t dice_below(size_t n)
{
	return (size_t)(dice() % n);
}

/* All sizes alike, and often just at a limit. */
static inline int64_t dice_number(void)
{
	int64_t n = (int64_t)dice(); /* its own statement: the same on every machine */
	switch (dice_below(8)) {
	case 0:
		return INT64_MIN + (int64_t)dice_below(3);
	case 1:
		return INT64_MAX - (int64_t)dice_below(3);
	case 2:
		return (int64_t)dice_below(5) - 2;
	default:
		return n >> dice_below(64);
	}
}

#endif
