/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/pair.h"

bool pair_replace(struct pair *p, uint64_t boot, uint64_t era)
{
	bool told = p->used;
	p->former = p->boot;
	p->boot = boot;
	if (era > p->era)
		p->era = era;
	p->used = false;
	return told;
}

enum pair_word pair_hear(struct pair *p, uint64_t boot, uint64_t era)
{
	if (boot != p->boot && boot == p->former)
		return PAIR_TWO;
	if (boot != p->boot)
		return pair_replace(p, boot, era) ? PAIR_BROKEN : PAIR_AGREED;
	if (era < p->era)
		return PAIR_BEHIND;
	bool told = p->used && era > p->era;
	if (era > p->era)
		p->used = false;
	p->era = era;
	return told ? PAIR_BROKEN : PAIR_AGREED;
}

void pair_use(struct pair *p)
{
	p->used = true;
}

void pair_break(struct pair *p)
{
	p->era += p->used;
	p->used = false;
}
