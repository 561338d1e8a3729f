/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/frame.h"

#include <errno.h>
#include <string.h>

#include "proto/wire.h"

enum { AT_SEQUENCE = 0, AT_TIME = 8, AT_TAG = 16, AT_CAUSES = 20 /* and three zeros */, AT_SENDER = 24 };
enum { HOST = sizeof(struct host_id), AT_PROCESS = HOST, AT_ENTITY = HOST + 4 }; /* of a sender */
enum { AT_CHANNEL = HOST, AT_CAUSE_SEQUENCE = HOST + 8 };			 /* of a cause */
enum { AT_LOST = 0, AT_BEFORE = 8 };						 /* of a loss */

/* --- writing --- */

static void write_sender(uint8_t *to, const struct entity_id *sender)
{
	memcpy(to, sender->host.bytes, HOST);
	wire_put32(to + AT_PROCESS, sender->process);
	wire_put64(to + AT_ENTITY, sender->entity);
}

static void write_cause(uint8_t *to, const struct frame_cause *cause)
{
	memcpy(to, cause->channel.host.bytes, HOST);
	wire_put64(to + AT_CHANNEL, cause->channel.number);
	wire_put64(to + AT_CAUSE_SEQUENCE, cause->sequence);
}

/* All but the data. */
static void write_event(uint8_t *to, const struct frame_event *e)
{
	wire_put64(to + AT_SEQUENCE, e->sequence);
	wire_put64(to + AT_TIME, (uint64_t)e->time_ns);
	wire_put32(to + AT_TAG, e->tag);
	wire_put32(to + AT_CAUSES, (uint32_t)e->causes_n << 24);
	write_sender(to + AT_SENDER, &e->sender);
	for (size_t i = 0; i < e->causes_n; i++)
		write_cause(to + FRAME_EVENT + i * FRAME_CAUSE, &e->causes[i]);
}

int frame_put_event(struct buf *out, uint64_t number, const struct frame_event *e)
{
	if (e->causes_n > FRAME_CAUSES_MAX)
		return -EINVAL;
	size_t head = FRAME_EVENT + e->causes_n * FRAME_CAUSE;
	if (e->n > FRAME_PAYLOAD_MAX - head)
		return -EMSGSIZE;
	if (!buf_reserve(out, FRAME_HEADER + head + e->n))
		return -ENOMEM;
	size_t begin = frame_begin(out, FRAME_EVENT_KIND, 0, number);
	write_event((uint8_t *)out->data + out->len, e);
	out->len += head;
	buf_put(out, e->data, e->n);
	return frame_end(out, begin);
}

int frame_put_lost(struct buf *out, uint64_t number, uint64_t lost, uint64_t before)
{
	uint8_t loss[FRAME_LOSS];
	wire_put64(loss + AT_LOST, lost);
	wire_put64(loss + AT_BEFORE, before);
	return frame_put(out, FRAME_LOST, 0, number, loss, sizeof loss);
}

/* --- reading --- */

static void read_sender(const uint8_t *from, struct entity_id *ret)
{
	memcpy(ret->host.bytes, from, HOST);
	ret->process = wire_get32(from + AT_PROCESS);
	ret->entity = wire_get64(from + AT_ENTITY);
}

static void read_cause(const uint8_t *from, struct frame_cause *ret)
{
	memcpy(ret->channel.host.bytes, from, HOST);
	ret->channel.number = wire_get64(from + AT_CHANNEL);
	ret->sequence = wire_get64(from + AT_CAUSE_SEQUENCE);
}

int frame_get_event(const struct frame *f, struct frame_event *ret)
{
	const uint8_t *p = f->payload;
	if (f->n < FRAME_EVENT || wire_get32(p + AT_CAUSES) & 0xffffff)
		return -EPROTO;
	size_t causes = p[AT_CAUSES], head = FRAME_EVENT + causes * FRAME_CAUSE;
	if (causes > FRAME_CAUSES_MAX || f->n < head)
		return -EPROTO;
	ret->sequence = wire_get64(p + AT_SEQUENCE);
	ret->time_ns = (int64_t)wire_get64(p + AT_TIME);
	ret->tag = wire_get32(p + AT_TAG);
	read_sender(p + AT_SENDER, &ret->sender);
	ret->causes_n = causes;
	for (size_t i = 0; i < causes; i++)
		read_cause(p + FRAME_EVENT + i * FRAME_CAUSE, &ret->causes[i]);
	ret->data = p + head;
	ret->n = f->n - head;
	return 0;
}

int frame_get_lost(const struct frame *f, uint64_t *ret_lost, uint64_t *ret_before)
{
	if (f->n != FRAME_LOSS)
		return -EPROTO;
	*ret_lost = wire_get64(f->payload + AT_LOST);
	*ret_before = wire_get64(f->payload + AT_BEFORE);
	return 0;
}
