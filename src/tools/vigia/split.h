/* SPDX-License-Identifier: Apache-2.0 */
/* A console's line as words, as a shell has them: '...' is as it stands, in "..." a \ goes before " and \,
 * elsewhere before anything; # begins a comment where a word may begin. Nothing is expanded. */
#ifndef VIGIA_TOOLS_SPLIT_H
#define VIGIA_TOOLS_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

enum { SPLIT_WORDS = 300 };

struct split {
	char *words[SPLIT_WORDS + 1]; /* ends with NULL */
	int n;
	char *text; /* theirs */
	/* Of the line's end: the quote that is open there (0: none), and the last word goes on. */
	char quote;
	bool goes_on, comment;
};

/* n bytes, without line feed. 0; or -EINVAL or -ENOMEM with what is wrong in `why` and nothing to release. */
int split_line(struct split *s, const char *line, size_t n, char *why, size_t why_size);
/* What is typed so far: a quote may be open, a \ be the last. */
int split_start(struct split *s, const char *line, size_t n);
void split_release(struct split *s);

#endif
