/* Macros that repeat a macro. They know nothing of metrics.
 *
 * TM_FOR_EACH(macro, (a, b), (c, d)) is macro(a, b) macro(c, d), for up to 256 items. The preprocessor does not expand
 * a macro within itself, so the step names itself without calling, and TM_EXPAND scans the text again and again.
 */
#ifndef TIDEMARK_EACH_H
#define TIDEMARK_EACH_H

#define TM_FOR_EACH(macro, ...) __VA_OPT__(TM_EXPAND(TM_EACH_STEP(macro, __VA_ARGS__)))
#define TM_EACH_STEP(macro, first, ...) macro first __VA_OPT__(TM_EACH_AGAIN TM_PARENTHESES(macro, __VA_ARGS__))
#define TM_EACH_AGAIN() TM_EACH_STEP
#define TM_PARENTHESES ()

#define TM_EXPAND(...) TM_EXPAND_4(TM_EXPAND_4(TM_EXPAND_4(TM_EXPAND_4(__VA_ARGS__))))
#define TM_EXPAND_4(...) TM_EXPAND_3(TM_EXPAND_3(TM_EXPAND_3(TM_EXPAND_3(__VA_ARGS__))))
#define TM_EXPAND_3(...) TM_EXPAND_2(TM_EXPAND_2(TM_EXPAND_2(TM_EXPAND_2(__VA_ARGS__))))
#define TM_EXPAND_2(...) TM_EXPAND_1(TM_EXPAND_1(TM_EXPAND_1(TM_EXPAND_1(__VA_ARGS__))))
#define TM_EXPAND_1(...) __VA_ARGS__

/* A function of these headers: inlined where it is used, no warning where it is not. */
#define TM_FUNCTION static inline __attribute__((unused))
/* The same for one that is called so seldom that its size matters more. */
#define TM_COLD_FUNCTION static __attribute__((unused, noinline, cold))

#endif
