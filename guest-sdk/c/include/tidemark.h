/* Tidemark metrics in C: everything that a metric includes. README.md beside this folder tells how; the headers open
 * with what each macro means, in the order in which data meets them.
 *
 * C11 with GNU extensions: clang 12 or gcc 12 and newer. In WebAssembly the including file becomes the module;
 * elsewhere the same code is tested with tidemark_test.h. Include it in one file only: a metric is one file, with
 * whatever headers.
 */
#ifndef TIDEMARK_H
#define TIDEMARK_H

#ifdef __clang__
/* A fused multiplication rounds differently: rows must be the same on every machine. (gcc: -ffp-contract=off) */
#pragma STDC FP_CONTRACT OFF
#endif

#include "tidemark/input.h"
#include "tidemark/state.h"
#include "tidemark/pick.h"
#include "tidemark/context.h"
#include "tidemark/output.h"
#include "tidemark/settings.h"
#include "tidemark/facts.h"
#include "tidemark/metric.h"
#include "tidemark/exports.h"

#endif
