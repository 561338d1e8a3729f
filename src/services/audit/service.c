/* SPDX-License-Identifier: Apache-2.0 */
#include "services/audit/service.h"

static const struct op_field record_fields[] = {
    {"sequence", OP_INTEGER, "which record, counted from 1"},
    {"time", OP_TIME, "when"},
    {"uid", OP_INTEGER, "who asked; absent: nobody knows"},
    {"pid", OP_INTEGER, "his process"},
    {"host", OP_TEXT, "the id of the host he asked on"},
    {"how", OP_TEXT, "how that is known: kernel, host (that host says so), nothing, signal, itself (the daemon)"},
    {"address", OP_TEXT, "of who came by network"},
    {"what", OP_TEXT, "NOUN.VERB"},
    {"result", OP_TEXT, "done, failed, refused, begun, cancelled, gone (its asker was), handed-on"},
    {"code", OP_TEXT, "of what failed and what was refused; where it was handed on to"},
    {"arguments", OP_TEXT, "NAME=\"VALUE\"..."},
    {NULL},
};

static const struct op_field verify_fields[] = {
    {"file", OP_TEXT, "where it breaks, or where there is something to know"},
    {"line", OP_INTEGER, "of that file"},
    {"breaks", OP_FLAG, "is the chain broken there"},
    {"records", OP_INTEGER, "in the end: how many there are"},
    {"files", OP_INTEGER, "in how many files"},
    {"faults", OP_INTEGER, "how often the chain breaks"},
    {"last", OP_INTEGER, "the last record"},
    {"hash", OP_TEXT, "and its hash, to be written down elsewhere"},
    {NULL},
};

static const struct op ops[] = {
    {"audit", "list", "what was changed and refused on this host, and by whom", OP_TRUSTED, ROLE_CLIENT,
	.args = {{"what", OP_PATTERN, "operations, as process.*"}, {"uid", OP_INTEGER, "of this user", .fallback = -1},
	    {"result", OP_PATTERN, "as refused"}, {"from", OP_TIME, "not before this"},
	    {"to", OP_TIME, "before this", .fallback = INT64_MAX}}, .run = audit_list_run, .more = audit_query_more,
	.over = audit_query_over, .fields = record_fields},
    {"audit", "verify", "whether the audit log's chain is whole, and where it breaks", OP_TRUSTED, ROLE_CLIENT,
	.args = {{"record", OP_INTEGER, "one that somebody has written down"}, {"hash", OP_TEXT, "and its hash"}},
	.run = audit_verify_run, .more = audit_query_more, .over = audit_query_over, .fields = verify_fields},
    {NULL},
};

const struct service audit_service = {.name = "audit", .doc = "what was changed and refused, and by whom", .ops = ops};
