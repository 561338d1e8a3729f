/* SPDX-License-Identifier: Apache-2.0 */
/* A directory for an audit log, and what is in it. */
#ifndef VIGIA_AUDIT_FIXTURE_TEST_H
#define VIGIA_AUDIT_FIXTURE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/reader.h"

static const char HOST[] = "00112233445566778899aabbccddeeff";

static char directory[64];

static inline int make_directory(void **state)
{
	strcpy(directory, "/tmp/vigia-audit-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static inline int remove_directory(void **state)
{
	char command[100];
	snprintf(command, sizeof command, "rm -rf %s", directory);
	return system(command);
}

static inline const char *path_of(unsigned number)
{
	static char path[100];
	snprintf(path, sizeof path, "%s/%08u.log", directory, number);
	return path;
}

static inline size_t read_file(unsigned number, char *to, size_t size)
{
	FILE *f = fopen(path_of(number), "r");
	size_t n = f ? fread(to, 1, size - 1, f) : 0;
	to[n] = '\0';
	if (f)
		fclose(f);
	return n;
}

static inline void write_file(unsigned number, const char *text, size_t n)
{
	FILE *f = fopen(path_of(number), "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	fclose(f);
}

static inline struct audit_record record_of(const char *what, const char *args)
{
	return (struct audit_record){.time_ns = 1763889324123456789, .uid = 1000, .pid = 4711, .host = HOST, .how = AUDIT_BY_KERNEL,
	    .address = "", .what = what, .result = "done", .code = "", .args = args};
}

/* --- what a walk tells --- */

struct told {
	struct buf faults, notes;
	struct audit_walk walk;
};

static inline void tell_fault(void *data, const char *file, uint64_t line, const char *what)
{
	struct told *t = data;
	buf_putf(&t->faults, "%s:%llu: %s\n", file, (unsigned long long)line, what);
}

static inline void tell_note(void *data, const char *file, uint64_t line, const char *what)
{
	struct told *t = data;
	buf_putf(&t->notes, "%s:%llu: %s\n", file, (unsigned long long)line, what);
}

static inline void told_release(struct told *t)
{
	buf_release(&t->faults);
	buf_release(&t->notes);
}

static inline void verify(struct told *t, const struct audit_end *end)
{
	*t = (struct told){0};
	t->walk = (struct audit_walk){.fault = tell_fault, .note = tell_note, .data = t};
	assert_int_equal(audit_verify(directory, end, &t->walk), 0);
}

static inline void assert_whole(uint64_t records)
{
	struct told t;
	verify(&t, NULL);
	assert_string_equal(buf_str(&t.faults), "");
	assert_int_equal(t.walk.faults, 0);
	assert_int_equal(t.walk.records, records);
	told_release(&t);
}

/* Breaks once, and this is what is told. */
static inline void assert_breaks(const char *told)
{
	struct told t;
	verify(&t, NULL);
	assert_string_equal(buf_str(&t.faults), told);
	told_release(&t);
}

#endif
