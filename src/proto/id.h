/* SPDX-License-Identifier: Apache-2.0 */
/* Who is who, everywhere: a host, a process on it, an entity within that (a service's server, a subscription's owner),
 * an event channel. Ids are compared whole; names are for people.
 */
#ifndef VIGIA_PROTO_ID_H
#define VIGIA_PROTO_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Drawn once, at the first start, and kept in the daemon's state directory. */
struct host_id {
	uint8_t bytes[16];
};

/* process: its number there, 0: vigiad itself. entity: counted within that, 0: the process as a whole. */
struct entity_id {
	struct host_id host;
	uint32_t process;
	uint64_t entity;
};

struct channel_id {
	struct host_id host;
	uint64_t number; /* never given twice on its host, in no life of the daemon (core/channels.c) */
};

enum {
	HOST_ID_TEXT = 33,    /* 32 hexadecimal digits and the end */
	ENTITY_ID_TEXT = 66,  /* HOST/PROCESS/ENTITY */
	CHANNEL_ID_TEXT = 54, /* HOST#NUMBER */
};

/* Each id has one text, and only that is parsed: hexadecimal in small letters, numbers without zeros in front. */
bool host_id_is(const struct host_id *a, const struct host_id *b);
bool host_id_is_none(const struct host_id *id); /* all zero */
void host_id_format(const struct host_id *id, char ret[HOST_ID_TEXT]);
int host_id_parse(const char *s, struct host_id *ret); /* the whole of s; 0 or -EINVAL */
bool entity_id_is(const struct entity_id *a, const struct entity_id *b);
void entity_id_format(const struct entity_id *id, char ret[ENTITY_ID_TEXT]);
int entity_id_parse(const char *s, struct entity_id *ret);
bool channel_id_is(const struct channel_id *a, const struct channel_id *b);
void channel_id_format(const struct channel_id *id, char ret[CHANNEL_ID_TEXT]);
int channel_id_parse(const char *s, struct channel_id *ret);

#endif
