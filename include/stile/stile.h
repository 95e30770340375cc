/* SPDX-License-Identifier: MIT */
#ifndef STILE_STILE_H
#define STILE_STILE_H

/* The whole core; backends' and adapters' headers are included by name. */

#include <stile/access.h>
#include <stile/array.h>
#include <stile/attachment.h>
#include <stile/buffer.h>
#include <stile/buffer_listener.h>
#include <stile/carrier.h>
#include <stile/chain.h>
#include <stile/check.h>
#include <stile/colour.h>
#include <stile/constraints.h>
#include <stile/create_for.h>
#include <stile/device.h>
#include <stile/exec.h>
#include <stile/exporter.h>
#include <stile/fence.h>
#include <stile/format.h>
#include <stile/graph.h>
#include <stile/image.h>
#include <stile/layout.h>
#include <stile/log.h>
#include <stile/merge.h>
#include <stile/negotiate.h>
#include <stile/notify.h>
#include <stile/opaque.h>
#include <stile/party.h>
#include <stile/report.h>
#include <stile/resv.h>
#include <stile/seqno.h>
#include <stile/sg.h>
#include <stile/timeline.h>
#include <stile/version.h>
#include <stile/wait.h>
#include <stile/ww_mutex.h>

#endif
