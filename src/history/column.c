/* SPDX-License-Identifier: Apache-2.0 */
#include "history/column.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "history/range.h"

enum model { CONSTANT, LIKE, AROUND, STEPS, SLOPES };

/* --- what is left of a series once the model has said what it knows --- */

struct residue {
	enum model model;
	int64_t middle; /* AROUND */
	uint64_t last, slope;
};

static uint64_t expected(const struct residue *r)
{
	switch (r->model) {
	case AROUND:
		return (uint64_t)r->middle;
	case SLOPES:
		return r->last + r->slope;
	default:
		return r->last;
	}
}

static void see(struct residue *r, uint64_t x)
{
	r->slope = x - r->last;
	r->last = x;
}

static uint64_t magnitude(int64_t n)
{
	return n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
}

/* Fills r[1..n-1]; r[0] is not used but by AROUND. */
static void residues(const int64_t *x, size_t n, enum model model, int64_t middle, int64_t *r)
{
	struct residue state = {.model = model, .middle = middle, .last = (uint64_t)x[0]};
	for (size_t i = 1; i < n; i++) {
		r[i] = (int64_t)((uint64_t)x[i] - expected(&state));
		see(&state, (uint64_t)x[i]);
	}
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t c = a % b;
		a = b;
		b = c;
	}
	return a;
}

static uint64_t divisor_of(const int64_t *r, size_t n)
{
	uint64_t g = 0;
	for (size_t i = 1; i < n && g != 1; i++)
		if (r[i])
			g = g && magnitude(r[i]) % g == 0 ? g : gcd(magnitude(r[i]), g);
	return g ? g : 1;
}

static void divide(int64_t *r, size_t n, uint64_t g)
{
	if (g == 1)
		return;
	for (size_t i = 1; i < n; i++)
		if (r[i])
			r[i] = r[i] < 0 ? (int64_t)(0 - magnitude(r[i]) / g) : (int64_t)((uint64_t)r[i] / g);
}

/* About how many bits the coder will need. */
static uint64_t cost(const int64_t *r, size_t n)
{
	uint64_t bits = 0;
	for (size_t i = 1; i < n; i++)
		if (r[i])
			bits += 3 + 64 - (unsigned)__builtin_clzll(magnitude(r[i]));
	return bits;
}

static int64_t middle_of(const int64_t *x, size_t n)
{
	__int128 sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += x[i];
	return (int64_t)(sum / (__int128)n);
}

/* --- the coder of residues --- */

/* Context: was the last one nothing, and the one before? Its sign? */
struct habits {
	struct chance nothing[8];
	struct chance negative[3];
	struct chance length[2]
			    [64]; /* of the number in bits, a binary tree; by whether the last was nothing */
	struct chance top[64][3]; /* the two bits below the leading one, by length */
	unsigned quiet;		  /* the last three, a bit each: nothing */
	unsigned sign;		  /* of the last that was something */
};

static void habits_init(struct habits *h)
{
	struct chance even = CHANCE_EVEN;
	for (size_t i = 0; i < 8; i++)
		h->nothing[i] = even;
	for (size_t i = 0; i < 3; i++)
		h->negative[i] = even;
	for (size_t i = 0; i < 64; i++) {
		h->length[0][i] = h->length[1][i] = even;
		h->top[i][0] = h->top[i][1] = h->top[i][2] = even;
	}
	h->quiet = 0;
	h->sign = 0;
}

static void put_length(struct range_encoder *e, struct chance *tree, unsigned length)
{
	for (unsigned node = 1, i = 6; i--;) {
		int bit = length >> i & 1;
		range_put(e, &tree[node], bit);
		node = node << 1 | (unsigned)bit;
	}
}

static unsigned get_length(struct range_decoder *d, struct chance *tree)
{
	unsigned node = 1;
	while (node < 64)
		node = node << 1 | (unsigned)range_get(d, &tree[node]);
	return node & 63;
}

static void put_number(struct range_encoder *e, struct habits *h, int64_t r)
{
	range_put(e, &h->nothing[h->quiet], r != 0);
	if (r) {
		uint64_t m = magnitude(r);
		unsigned length = 63 - (unsigned)__builtin_clzll(m);
		range_put(e, &h->negative[h->sign], r < 0);
		h->sign = r < 0 ? 2 : 1;
		put_length(e, h->length[h->quiet & 1], length);
		unsigned below = length;
		if (below) {
			int bit = m >> --below & 1;
			range_put(e, &h->top[length][0], bit);
			if (below) {
				below--;
				range_put(e, &h->top[length][1 + bit], m >> below & 1);
			}
		}
		range_put_even(e, m, below);
	}
	h->quiet = (h->quiet << 1 | (r == 0)) & 7;
}

static int64_t get_number(struct range_decoder *d, struct habits *h)
{
	uint64_t m = 0;
	if (range_get(d, &h->nothing[h->quiet])) {
		bool negative = range_get(d, &h->negative[h->sign]);
		h->sign = negative ? 2 : 1;
		unsigned length = get_length(d, h->length[h->quiet & 1]), below = length;
		m = 1;
		if (below) {
			int bit = range_get(d, &h->top[length][0]);
			m = m << 1 | (unsigned)bit;
			if (--below) {
				m = m << 1 | (unsigned)range_get(d, &h->top[length][1 + bit]);
				below--;
			}
		}
		m = (below ? m << below : m) | range_get_even(d, below);
		h->quiet = h->quiet << 1 & 7;
		return (int64_t)(negative ? 0 - m : m);
	}
	h->quiet = (h->quiet << 1 | 1) & 7;
	return 0;
}

/* --- columns --- */

void columns_release(struct columns *c)
{
	free(c->keys);
	*c = (struct columns){0};
}

static uint64_t hash_of(const int64_t *r, size_t n)
{
	uint64_t h = 0;
	for (size_t i = 1; i < n; i++)
		h = (h ^ (uint64_t)r[i]) * 0x9e3779b97f4a7c15u, h ^= h >> 29;
	return h;
}

/* Are k's changes the same as these once each is divided by its divisor? */
static bool is_like(const struct column_key *k, const int64_t *steps, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if ((uint64_t)steps[i] * k->divisor != (uint64_t)k->x[i] - (uint64_t)k->x[i - 1])
			return false;
	return true;
}

static const struct column_key *find_like(
    const struct columns *c, uint64_t hash, const int64_t *steps, size_t n)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->keys[i].hash == hash && is_like(&c->keys[i], steps, n))
			return &c->keys[i];
	return NULL;
}

static int remember(struct columns *c, struct column_key k)
{
	if (c->n == c->size) {
		size_t size = c->size ? c->size * 2 : 64;
		struct column_key *keys = realloc(c->keys, size * sizeof *keys);
		if (!keys)
			return -ENOMEM;
		c->keys = keys;
		c->size = size;
	}
	c->keys[c->n++] = k;
	return 0;
}

static bool is_constant(const int64_t *x, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (x[i] != x[0])
			return false;
	return true;
}

static void put_head(struct buf *b, enum model model, int64_t first)
{
	buf_putc(b, (char)model);
	put_signed(b, first);
}

static void pack_residues(
    struct buf *b, const int64_t *x, const int64_t *r, size_t n, const struct residue *how, uint64_t divisor)
{
	put_head(b, how->model, x[0]);
	put_varint(b, divisor);
	if (how->model == AROUND)
		put_signed(b, (int64_t)((uint64_t)how->middle - (uint64_t)x[0]));
	struct habits habits;
	habits_init(&habits);
	struct range_encoder e = range_encoder(b);
	for (size_t i = 1; i < n; i++)
		put_number(&e, &habits, r[i]);
	range_finish(&e);
}

/* r holds the steps, divided. Leaves the best model's residues there. */
static struct residue choose(const int64_t *x, size_t n, int64_t *r, int64_t *spare, uint64_t *divisor)
{
	struct residue best = {.model = STEPS};
	uint64_t least = cost(r, n);
	struct residue others[] = {{.model = SLOPES}, {.model = AROUND, .middle = middle_of(x, n)}};
	for (size_t i = 0; i < 2; i++) {
		residues(x, n, others[i].model, others[i].middle, spare);
		uint64_t g = divisor_of(spare, n);
		divide(spare, n, g);
		uint64_t bits = cost(spare, n);
		if (bits + n / 16 < least) {
			least = bits;
			best = others[i];
			*divisor = g;
			memcpy(r, spare, n * sizeof *r);
		}
	}
	return best;
}

int column_pack(struct buf *b, struct columns *known, uint32_t index, const int64_t *x, size_t n)
{
	if (is_constant(x, n)) {
		put_head(b, CONSTANT, x[0]);
		return 0;
	}
	int64_t *r = malloc(2 * n * sizeof *r);
	if (!r)
		return -ENOMEM;
	residues(x, n, STEPS, 0, r);
	uint64_t divisor = divisor_of(r, n);
	divide(r, n, divisor);
	uint64_t hash = hash_of(r, n);
	const struct column_key *like = find_like(known, hash, r, n);
	int e = 0;
	if (like) {
		put_head(b, LIKE, x[0]);
		put_varint(b, like->index);
		put_varint(b, like->divisor);
		put_varint(b, divisor);
	} else {
		e = remember(known, (struct column_key){hash, divisor, x, index});
		struct residue how = choose(x, n, r, r + n, &divisor);
		pack_residues(b, x, r, n, &how, divisor);
	}
	free(r);
	return e;
}

int64_t column_base(struct bytes packed)
{
	uint8_t model = get_byte(&packed);
	get_signed(&packed);
	uint64_t base = model == LIKE ? get_varint(&packed) : 0;
	if (packed.bad || model > SLOPES || base > UINT32_MAX)
		return -EBADMSG;
	return model == LIKE ? (int64_t)base : -1;
}

static int unpack_like(struct bytes *b, const int64_t *base, int64_t *x, size_t n)
{
	get_varint(b);
	uint64_t theirs = get_varint(b), ours = get_varint(b);
	if (b->bad || !base || !theirs)
		return -EBADMSG;
	for (size_t i = 1; i < n; i++) {
		int64_t step = (int64_t)((uint64_t)base[i] - (uint64_t)base[i - 1]);
		uint64_t units = magnitude(step) / theirs * ours;
		x[i] = (int64_t)((uint64_t)x[i - 1] + (step < 0 ? 0 - units : units));
	}
	return 0;
}

static int unpack_residues(struct bytes *b, enum model model, int64_t *x, size_t n)
{
	uint64_t divisor = get_varint(b);
	struct residue state = {.model = model, .last = (uint64_t)x[0]};
	if (model == AROUND)
		state.middle = (int64_t)((uint64_t)get_signed(b) + (uint64_t)x[0]);
	if (b->bad)
		return -EBADMSG;
	struct habits habits;
	habits_init(&habits);
	struct range_decoder d = range_decoder(*b);
	for (size_t i = 1; i < n; i++) {
		x[i] = (int64_t)(expected(&state) + (uint64_t)get_number(&d, &habits) * divisor);
		see(&state, (uint64_t)x[i]);
	}
	return 0;
}

int column_unpack(struct bytes packed, const int64_t *base, int64_t *ret_x, size_t n)
{
	uint8_t model = get_byte(&packed);
	ret_x[0] = get_signed(&packed);
	if (packed.bad || model > SLOPES)
		return -EBADMSG;
	if (model == LIKE)
		return unpack_like(&packed, base, ret_x, n);
	if (model != CONSTANT)
		return unpack_residues(&packed, (enum model)model, ret_x, n);
	for (size_t i = 1; i < n; i++)
		ret_x[i] = ret_x[0];
	return 0;
}
