/* SPDX-License-Identifier: MIT */
#ifndef STILE_STILE_H
#define STILE_STILE_H

/* The whole core; backends' and adapters' headers are included by name. */

#include <stile/buffer.h>
#include <stile/device.h>
#include <stile/fence.h>
#include <stile/format.h>
#include <stile/image.h>
#include <stile/log.h>
#include <stile/report.h>
#include <stile/version.h>

#endif
