/* SPDX-License-Identifier: Apache-2.0 */
/* Where private keys are not: in what a core dump of this process would hold. */
#include "identity/fixture_test.h"

#include <openssl/crypto.h>

#include "base/base64.h"

enum { MASK = 0x5a, KEY_BYTES = 32, TEXT_BYTES = 28, PIECE = 1 << 16, CONNECTIONS = 5000 };

/* The private number in both byte orders, and base64 from the middle of its file, each byte changed so that these are no find. */
struct wanted {
	uint8_t number[KEY_BYTES], backwards[KEY_BYTES], text[TEXT_BYTES];
};

static struct wanted masked(const struct vault *v, const char *name)
{
	/* Behind "-----BEGIN PRIVATE KEY-----" come 36 bytes of what all such keys have, as 48 digits; a line has 64. */
	enum { BEFORE = 28, DIGITS = 44, FIRST = 64 - 48 };
	struct wanted w;
	size_t n;
	char *file = OPENSSL_secure_malloc(1024), *text = file + BEFORE + 48;
	uint8_t *plain = OPENSSL_secure_malloc(64);
	good(vault_read_secret(v, name, file, 1024, &n, &why));
	memmove(text + FIRST, text + FIRST + 1, DIGITS - FIRST);
	good(base64_decode(text, DIGITS, plain, &n));
	for (int i = 0; i < KEY_BYTES; i++)
		w.number[i] = w.backwards[KEY_BYTES - 1 - i] = plain[i] ^ MASK;
	for (int i = 0; i < TEXT_BYTES; i++)
		w.text[i] = (uint8_t)text[FIRST + i] ^ MASK;
	OPENSSL_secure_clear_free(file, 1024);
	OPENSSL_secure_clear_free(plain, 64);
	return w;
}

static unsigned count(const uint8_t *in, size_t n, const uint8_t *what, size_t what_n)
{
	unsigned found = 0;
	for (size_t i = 0; i + what_n <= n; i++) {
		size_t k = 0;
		while (k < what_n && (in[i + k] ^ MASK) == what[k])
			k++;
		found += k == what_n;
	}
	return found;
}

static unsigned find_in(int mem, unsigned long from, unsigned long to, const struct wanted *w)
{
	static uint8_t piece[PIECE];
	unsigned found = 0;
	for (unsigned long at = from; at < to; at += PIECE - KEY_BYTES) {
		ssize_t n = pread(mem, piece, to - at < PIECE ? to - at : PIECE, (off_t)at);
		if (n <= 0)
			break;
		if (from <= (unsigned long)piece && (unsigned long)piece < to && at + PIECE > (unsigned long)piece &&
		    at < (unsigned long)piece + PIECE)
			continue;
		found += count(piece, (size_t)n, w->number, KEY_BYTES) + count(piece, (size_t)n, w->backwards, KEY_BYTES) +
		    count(piece, (size_t)n, w->text, TEXT_BYTES);
	}
	OPENSSL_cleanse(piece, sizeof piece);
	return found;
}

/* In all memory that is dumped (VmFlags without `dd`). */
static unsigned find_in_dump(const struct wanted *w)
{
	char line[512];
	unsigned long from = 0, to = 0, a, b;
	unsigned found = 0;
	char rights[8] = "";
	FILE *maps = fopen("/proc/self/smaps", "r");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	assert_true(maps && mem >= 0);
	while (fgets(line, sizeof line, maps))
		if (sscanf(line, "%lx-%lx %7s", &a, &b, rights) == 3)
			from = a, to = b;
		else if (!strncmp(line, "VmFlags:", 8) && !strstr(line, " dd") && strstr(line, " rd"))
			found += find_in(mem, from, to, w);
	close(mem);
	fclose(maps);
	return found;
}

static void the_search_finds_what_is_there(void **state)
{
	struct wanted w;
	uint8_t *planted = malloc(KEY_BYTES);
	for (int i = 0; i < KEY_BYTES; i++) {
		planted[i] = (uint8_t)(7 * i + 1);
		w.number[i] = w.backwards[i] = (uint8_t)(7 * i + 1) ^ MASK;
	}
	memset(w.text, 0x7e, sizeof w.text);
	w.backwards[0] ^= 1;
	assert_true(find_in_dump(&w) > 0);
	free(planted);
}

static void no_dump_has_the_authority_s_key(void **state)
{
	struct cluster c = fresh_cluster("cluster");
	struct person alice = fresh_person(&c, "alice", CERTIFIED_USER, DAY);
	reopen(&c); /* made, written, freed, and read */
	struct person bob = fresh_person(&c, "bob", CERTIFIED_USER, DAY);
	struct wanted w = masked(c.vault, "authority.key");
	assert_int_equal(find_in_dump(&w), 0);
	close_cluster(&c);
	assert_int_equal(find_in_dump(&w), 0);
	free_person(&alice);
	free_person(&bob);
}

static void shake_hands(struct place *p)
{
	SSL_CTX *accepts = place_context(p, CONTEXT_ACCEPT), *dials = place_context(p, CONTEXT_DIAL_FRAMES);
	SSL *a = SSL_new(accepts), *b = SSL_new(dials);
	BIO *one, *other;
	assert_int_equal(BIO_new_bio_pair(&one, 0, &other, 0), 1);
	SSL_set_bio(a, one, one);
	SSL_set_bio(b, other, other);
	SSL_set_accept_state(a);
	SSL_set_connect_state(b);
	for (int i = 0; i < 4; i++) {
		SSL_do_handshake(b);
		SSL_do_handshake(a);
	}
	assert_true(SSL_is_init_finished(a) && SSL_is_init_finished(b));
	SSL_free(a);
	SSL_free(b);
	SSL_CTX_free(accepts);
	SSL_CTX_free(dials);
}

static void no_dump_has_a_host_s_key_that_spoke_tls(void **state)
{
	struct cluster c = fresh_cluster("cluster");
	struct host h = fresh_host(&c, "host", 2, CERTIFIED_NODE);
	shake_hands(h.place);
	struct wanted w = masked(h.vault, "host.key");
	assert_int_equal(find_in_dump(&w), 0);
	close_host(&h);
	assert_int_equal(find_in_dump(&w), 0);
	close_cluster(&c);
}

static void a_key_is_read_only_on_its_curve(void **state)
{
	static const char encrypted[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGT\n-----END ENCRYPTED PRIVATE KEY-----\n";
	struct vault *v = fresh_vault("cluster");
	EVP_PKEY *key = EVP_EC_gen("P-384"), *read;
	said(key_save(v, "a.key", key, &why), -EINVAL, "cluster/a.key: only a key on the curve P-256 is kept");
	good(vault_write(v, "a.key", encrypted, strlen(encrypted), &why));
	said(key_load(v, "a.key", &read, &why), -EBADMSG, "a.key: is no private key");
	good(vault_write(v, "a.key", "", 0, &why));
	said(key_load(v, "a.key", &read, &why), -EBADMSG, "a.key: is no private key");
	EVP_PKEY_free(key);
	vault_close(v);
}

/* A file whose private number is one key's and whose public point another's. */
static void halves_that_do_not_belong_together_are_no_key(void **state)
{
	enum { FIRST = 28, CUT = 36 + 32 + 5 };
	struct vault *v = fresh_vault("cluster");
	uint8_t bytes[2][BASE64_BYTES(184)];
	struct buf mixed = BUF_INIT, text = BUF_INIT;
	for (int i = 0; i < 2; i++) {
		EVP_PKEY *key;
		char digits[184];
		size_t n;
		good(key_new(&key, &why));
		good(key_save(v, "a.key", key, &why));
		struct buf file = contents(v, "a.key");
		for (int k = 0; k < 184; k++)
			digits[k] = file.data[FIRST + k + k / 64];
		good(base64_decode(digits, sizeof digits, bytes[i], &n));
		buf_release(&file);
		EVP_PKEY_free(key);
	}
	buf_put(&mixed, bytes[0], CUT);
	buf_put(&mixed, bytes[1] + CUT, sizeof bytes[1] - CUT);
	for (int again = 0; again < 2; again++) {
		struct buf line = BUF_INIT;
		EVP_PKEY *read;
		base64_put(&line, again ? (const char *)bytes[1] : mixed.data, mixed.len);
		buf_clear(&text);
		buf_putf(&text, "-----BEGIN PRIVATE KEY-----\n%.64s\n%.64s\n%.56s\n-----END PRIVATE KEY-----\n", buf_str(&line),
		    buf_str(&line) + 64, buf_str(&line) + 128);
		good(vault_write(v, "a.key", text.data, text.len, &why));
		if (again) {
			good(key_load(v, "a.key", &read, &why));
			EVP_PKEY_free(read);
		} else {
			said(key_load(v, "a.key", &read, &why), -EBADMSG, "a.key: is no private key");
		}
		buf_release(&line);
	}
	buf_release(&mixed);
	buf_release(&text);
	vault_close(v);
}

/* Keys of as many connections as were announced, and a host's own. */
static void there_is_room_for_all_connections(void **state)
{
	void *of_one[CONNECTIONS];
	EVP_PKEY *key;
	for (int i = 0; i < CONNECTIONS; i++)
		assert_non_null(of_one[i] = OPENSSL_secure_malloc(KEY_CONNECTION));
	good(key_new(&key, &why));
	EVP_PKEY_free(key);
	for (int i = 0; i < CONNECTIONS; i++)
		OPENSSL_secure_free(of_one[i]);
}

static void the_key_that_waits_takes_its_place_with_its_certificate(void **state)
{
	EVP_PKEY *old, *next, *third, *read;
	struct vault *v = fresh_vault("cluster");
	good(key_new(&old, &why));
	good(key_new(&next, &why));
	good(key_new(&third, &why));
	said(key_load_for(v, "a.key", old, &read, &why), -EKEYREJECTED, "a.key");
	good(key_save(v, "a.key", old, &why));
	said(key_load_next(v, "a.key", &read, &why), -ENOENT, "a.key.next");
	good(key_save_next(v, "a.key", next, &why));
	said(key_load_for(v, "a.key", third, &read, &why), -EKEYREJECTED, "does not belong to the certificate");
	good(key_load_for(v, "a.key", old, &read, &why));
	EVP_PKEY_free(read);
	assert_true(vault_has(v, "a.key.next"));
	good(key_load_for(v, "a.key", next, &read, &why));
	EVP_PKEY_free(read);
	assert_false(vault_has(v, "a.key.next"));
	said(key_load_for(v, "a.key", old, &read, &why), -EKEYREJECTED, "a.key");
	EVP_PKEY_free(old);
	EVP_PKEY_free(next);
	EVP_PKEY_free(third);
	vault_close(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_search_finds_what_is_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_dump_has_the_authority_s_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_dump_has_a_host_s_key_that_spoke_tls, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_key_is_read_only_on_its_curve, set_up, tear_down),
		cmocka_unit_test_setup_teardown(halves_that_do_not_belong_together_are_no_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(there_is_room_for_all_connections, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_key_that_waits_takes_its_place_with_its_certificate, set_up, tear_down),
	};
	if (key_keep_from_dumps(CONNECTIONS) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
