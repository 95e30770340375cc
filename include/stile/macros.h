/* SPDX-License-Identifier: MIT */
#ifndef STILE_MACROS_H
#define STILE_MACROS_H

#if defined(__GNUC__)
#define STILE_API __attribute__((visibility("default")))
#define STILE_MUST_CHECK __attribute__((warn_unused_result))
#define STILE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define STILE_ALIGNED(bytes) __attribute__((aligned(bytes)))
#else
#define STILE_API
#define STILE_MUST_CHECK
#define STILE_PRINTF(fmt, args)
#define STILE_ALIGNED(bytes)
#endif

#if defined(__cplusplus)
#define STILE_BEGIN_DECLS extern "C" {
#define STILE_END_DECLS }
#else
#define STILE_BEGIN_DECLS
#define STILE_END_DECLS
#endif

#endif
