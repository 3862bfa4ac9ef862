/** Write a Tidemark metric in JavaScript or TypeScript. The types and their documentation are in `types/index.d.ts`. */

export { bigint, boolean, float, integer, json, nullable, text } from "./columns.js";
export { State, earliestText, latestText, list, map } from "./state.js";
export { bigI64, bigU64, bool, f64, i8, i16, i32, i64, u8, u16, u32, u64 } from "./state.js";
export { EarliestText, LatestText } from "./pick.js";
export { interval, keyed, session, sliding, tumbling } from "./window.js";
export { optional } from "./settings.js";
export { fold, join } from "./metric.js";
export { decodeState, encodeState } from "./decode.js";
