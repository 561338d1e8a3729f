/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log, asked: records as they lie in its files, and whether their chain is whole. Files are read by workers, as fast as
 * the client reads. */
#ifndef VIGIA_SERVICES_AUDIT_SERVICE_H
#define VIGIA_SERVICES_AUDIT_SERVICE_H

#include "core/core.h"

extern const struct service audit_service;

/* Of the operations in its table. */
int audit_list_run(struct call *c);
int audit_verify_run(struct call *c);
int audit_query_more(struct call *c);
void audit_query_over(struct call *c);

#endif
