/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: one text each, taken once, and in time. */
#include "identity/fixture_test.h"

#include "base/dice_test.h"
#include "identity/token.h"
#include "identity/tokens.h"

static struct vault *v;
static struct tokens *tokens;

static int begin(void **state)
{
	set_up(state);
	v = fresh_vault("cluster");
	good(tokens_open(&tokens, v, &why));
	return 0;
}

static int end(void **state)
{
	tokens_close(tokens);
	vault_close(v);
	return tear_down(state);
}

static void reopen_tokens(void)
{
	tokens_close(tokens);
	good(tokens_open(&tokens, v, &why));
}

/* --- text --- */

static struct token some_token(const char *masters)
{
	struct token t = {.until_s = now_s + 900};
	for (int i = 0; i < FINGERPRINT_BYTES; i++)
		t.authority[i] = (uint8_t)dice();
	for (int i = 0; i < TOKEN_SECRET; i++)
		t.secret[i] = (uint8_t)dice();
	strcpy(t.masters, masters);
	return t;
}

static bool same(const struct token *a, const struct token *b)
{
	return !memcmp(a->authority, b->authority, sizeof a->authority) && !memcmp(a->secret, b->secret, sizeof a->secret) &&
	    a->until_s == b->until_s && !strcmp(a->masters, b->masters);
}

static void a_token_is_one_line_and_read_as_it_was(void **state)
{
	static const char *const masters[] = {"h", "h1", "h1:7660", "h1,h2.site:7660,[fe80::1%eth0]:7660"};
	for (int i = 0; i < 4; i++) {
		struct buf text = BUF_INIT;
		struct token t = some_token(masters[i]), again;
		good(token_put(&text, &t, &why));
		assert_memory_equal(text.data, "vigia1.", 7);
		assert_int_equal(strspn(buf_str(&text) + 7, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), text.len - 7);
		good(token_read(text.data, text.len, &again, &why));
		assert_true(same(&t, &again));
		buf_release(&text);
	}
}

static void a_token_that_was_not_copied_whole_is_told(void **state)
{
	struct buf text = BUF_INIT;
	struct token t = some_token("h1:7660,h2:7660"), read;
	good(token_put(&text, &t, &why));
	for (size_t n = 0; n < text.len; n++)
		said(token_read(text.data, n, &read, &why), -EBADMSG, n <= 7 ? "one begins with vigia1." : "copy all of its one line");
	for (size_t i = 7; i < text.len; i++) {
		char was = text.data[i];
		text.data[i] = was == 'A' ? 'B' : 'A';
		said(token_read(text.data, text.len, &read, &why), -EBADMSG, "");
		text.data[i] = was;
	}
	buf_puts(&text, "\n");
	said(token_read(text.data, text.len, &read, &why), -EBADMSG, "");
	said(token_read("vigia2.AAAA", 11, &read, &why), -EBADMSG, "one begins with vigia1.");
	buf_release(&text);
}

static void what_is_no_list_of_masters_is_in_no_token(void **state)
{
	static const char *const wrong[] = {"", ",", "h1,", ",h1", "h1,,h2", "h1 h2", "h1\n", "$(reboot)", "h1;h2", "a/b"};
	struct buf text = BUF_INIT;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct token t = some_token(wrong[i]);
		said(token_put(&text, &t, &why), -EINVAL, "HOST[:PORT]");
	}
	struct token t = some_token("");
	memset(t.masters, 'a', TOKEN_MASTERS);
	good(token_put(&text, &t, &why));
	assert_true(text.len <= TOKEN_TEXT_MAX);
	good(token_read(text.data, text.len, &t, &why));
	t.until_s = -1;
	said(token_put(&text, &t, &why), -EINVAL, "");
	buf_release(&text);
}

/* --- taken once --- */

static int take(const struct token *t, unsigned *roles)
{
	return tokens_take(tokens, t->secret, now_s, roles, &why);
}

static void it_is_taken_once(void **state)
{
	struct token node, master;
	unsigned roles = 0;
	good(tokens_issue(tokens, CERTIFIED_NODE, now_s, &node, &why));
	good(tokens_issue(tokens, CERTIFIED_NODE | CERTIFIED_MASTER, now_s, &master, &why));
	assert_int_equal(tokens_open_n(tokens, now_s), 2);
	assert_int_equal(node.until_s, now_s + TOKENS_LIFE_S);
	good(take(&node, &roles));
	assert_int_equal(roles, CERTIFIED_NODE);
	said(take(&node, &roles), -EKEYREJECTED, "or it was used");
	reopen_tokens();
	said(take(&node, &roles), -EKEYREJECTED, "or it was used");
	good(take(&master, &roles));
	assert_int_equal(roles, CERTIFIED_NODE | CERTIFIED_MASTER);
	assert_int_equal(tokens_open_n(tokens, now_s), 0);
}

static void a_forged_one_is_refused(void **state)
{
	struct token t;
	unsigned roles;
	good(tokens_issue(tokens, CERTIFIED_NODE, now_s, &t, &why));
	t.secret[15] ^= 1;
	said(take(&t, &roles), -EKEYREJECTED, "no such token");
	t.secret[15] ^= 1;
	good(take(&t, &roles));
}

static void it_is_over_after_15_minutes(void **state)
{
	struct token t, late;
	unsigned roles;
	good(tokens_issue(tokens, CERTIFIED_NODE, now_s, &t, &why));
	good(tokens_issue(tokens, CERTIFIED_NODE, now_s, &late, &why));
	now_s += 15 * 60 - 1;
	good(take(&t, &roles));
	now_s += 1;
	assert_int_equal(tokens_open_n(tokens, now_s), 0);
	said(take(&late, &roles), -EKEYEXPIRED, "good for 15 minutes");
	said(take(&late, &roles), -EKEYREJECTED, "");
}

static void a_clock_that_is_put_back_gives_no_more_time(void **state)
{
	struct token t;
	unsigned roles;
	good(tokens_issue(tokens, CERTIFIED_NODE, now_s, &t, &why));
	now_s -= 3600;
	said(take(&t, &roles), -EKEYEXPIRED, "");
}

/* Nothing on disk is the secret. */
static void only_a_hash_is_kept(void **state)
{
	struct token t;
	char hex[2 * TOKEN_SECRET + 1];
	struct stat st;
	good(tokens_issue(tokens, CERTIFIED_NODE, now_s, &t, &why));
	for (int i = 0; i < TOKEN_SECRET; i++)
		sprintf(hex + 2 * i, "%02x", t.secret[i]);
	struct buf text = contents(v, "tokens");
	assert_null(memmem(text.data, text.len, t.secret, TOKEN_SECRET));
	assert_null(strstr(buf_str(&text), hex));
	assert_int_equal(stat(path_of("cluster/tokens"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	buf_release(&text);
}

static void there_are_so_many_and_no_more(void **state)
{
	struct token t, first;
	unsigned roles;
	good(tokens_issue(tokens, CERTIFIED_NODE, now_s, &first, &why));
	for (int i = 1; i < TOKENS_MAX; i++)
		good(tokens_issue(tokens, CERTIFIED_NODE, now_s, &t, &why));
	said(tokens_issue(tokens, CERTIFIED_NODE, now_s, &t, &why), -EAGAIN, "256 tokens are waiting");
	reopen_tokens();
	assert_int_equal(tokens_open_n(tokens, now_s), TOKENS_MAX);
	good(take(&first, &roles));
	good(tokens_issue(tokens, CERTIFIED_NODE, now_s, &t, &why));
	now_s += TOKENS_LIFE_S;
	good(tokens_issue(tokens, CERTIFIED_NODE, now_s, &t, &why)); /* those before are over */
	assert_int_equal(tokens_open_n(tokens, now_s), 1);
}

static void only_hosts_join_by_token(void **state)
{
	struct token t;
	said(tokens_issue(tokens, CERTIFIED_OPERATOR, now_s, &t, &why), -EINVAL, "a token is for");
	said(tokens_issue(tokens, CERTIFIED_NODE | CERTIFIED_USER, now_s, &t, &why), -EINVAL, "a token is for");
	said(tokens_issue(tokens, 0, now_s, &t, &why), -EINVAL, "a token is for");
}

static void a_file_that_is_not_its_own_is_a_refusal(void **state)
{
	static const char *const wrong[] = {"rubbish\n", "\n", "00 1 node\n",
		"0000000000000000000000000000000000000000000000000000000000000000 1 root\n",
		"0000000000000000000000000000000000000000000000000000000000000000 1 node"};
	struct tokens *t;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		good(vault_write(v, "tokens", wrong[i], strlen(wrong[i]), &why));
		said(tokens_open(&t, v, &why), -EBADMSG, "cluster/tokens:1: is no line of a token");
	}
	assert_int_equal(chmod(path_of("cluster/tokens"), 0640), 0);
	said(tokens_open(&t, v, &why), -EPERM, "cluster/tokens: has mode 0640");
}

/* The disk takes nothing: what cannot be crossed out is not taken. */
static void what_is_not_crossed_out_on_disk_is_not_taken(void **state)
{
	struct token t;
	unsigned roles = 0;
	good(tokens_issue(tokens, CERTIFIED_NODE, now_s, &t, &why));
	assert_int_equal(unlink(path_of("cluster/tokens")), 0);
	assert_int_equal(mkdir(path_of("cluster/tokens"), 0700), 0);
	said(take(&t, &roles), -EISDIR, "cluster/tokens");
	assert_int_equal(roles, 0);
	assert_int_equal(rmdir(path_of("cluster/tokens")), 0);
	good(take(&t, &roles));
}

int main(void)
{
	dice_begin();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_token_is_one_line_and_read_as_it_was, begin, end),
		cmocka_unit_test_setup_teardown(a_token_that_was_not_copied_whole_is_told, begin, end),
		cmocka_unit_test_setup_teardown(what_is_no_list_of_masters_is_in_no_token, begin, end),
		cmocka_unit_test_setup_teardown(it_is_taken_once, begin, end),
		cmocka_unit_test_setup_teardown(a_forged_one_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(it_is_over_after_15_minutes, begin, end),
		cmocka_unit_test_setup_teardown(a_clock_that_is_put_back_gives_no_more_time, begin, end),
		cmocka_unit_test_setup_teardown(only_a_hash_is_kept, begin, end),
		cmocka_unit_test_setup_teardown(there_are_so_many_and_no_more, begin, end),
		cmocka_unit_test_setup_teardown(only_hosts_join_by_token, begin, end),
		cmocka_unit_test_setup_teardown(a_file_that_is_not_its_own_is_a_refusal, begin, end),
		cmocka_unit_test_setup_teardown(what_is_not_crossed_out_on_disk_is_not_taken, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
