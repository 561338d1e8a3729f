/* SPDX-License-Identifier: Apache-2.0 */
/* This host's id: drawn at the first start, kept in the state directory, the same ever after. */
#ifndef VIGIA_CORE_OWN_ID_H
#define VIGIA_CORE_OWN_ID_H

#include "proto/id.h"

/* A file that says something else than an id is kept aside as id.bad and told; where no disk takes the id, this life
 * has one of its own, and that is told, too. 0 or negative errno: there are no random numbers. */
int own_id(const char *state_directory, struct host_id *ret);

#endif
