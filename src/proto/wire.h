/* SPDX-License-Identifier: Apache-2.0 */
/* Big-endian numbers in bytes, by shifts: the same on every byte order, at any address. */
#ifndef VIGIA_PROTO_WIRE_H
#define VIGIA_PROTO_WIRE_H

#include <stdint.h>

static inline void wire_put16(uint8_t *to, uint16_t u)
{
	to[0] = (uint8_t)(u >> 8);
	to[1] = (uint8_t)u;
}

static inline void wire_put32(uint8_t *to, uint32_t u)
{
	wire_put16(to, (uint16_t)(u >> 16));
	wire_put16(to + 2, (uint16_t)u);
}

static inline void wire_put64(uint8_t *to, uint64_t u)
{
	wire_put32(to, (uint32_t)(u >> 32));
	wire_put32(to + 4, (uint32_t)u);
}

static inline uint16_t wire_get16(const uint8_t *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

static inline uint32_t wire_get32(const uint8_t *from)
{
	return (uint32_t)wire_get16(from) << 16 | wire_get16(from + 2);
}

static inline uint64_t wire_get64(const uint8_t *from)
{
	return (uint64_t)wire_get32(from) << 32 | wire_get32(from + 4);
}

#endif
