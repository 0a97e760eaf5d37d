// SPDX-License-Identifier: GPL-2.0
/*
 * Who looks on while the kernel's files store to the record: nobody, by default.
 */
#include <stddef.h>

#include "stores.h"

void (*on_store)(const void *at);
void (*on_barrier)(void);
