/* SPDX-License-Identifier: Apache-2.0
 * What of nettle reft uses: digests. */
#include <nettle/sha2.h>
