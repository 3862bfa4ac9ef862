//! How keys are laid out on disk. Integers are big-endian, so that byte order is number order.
//!
//! | column family | key | value |
//! | --- | --- | --- |
//! | `default` | see `database` | how the database was made, sizes per stage |
//! | `state` | stage `u16`, key group `u16`, the rest as the engine likes | as the engine likes |
//! | `timers` | stage `u16`, key group `u16`, time `i64` with the sign bit flipped, the timer's key | nothing |
//! | `meta` | as the engine likes | as the engine likes |

use std::ops::Range;
use tidemark_dataflow::{EventTime, KeyGroup};
use tidemark_engine::ids::StageId;
use tidemark_engine::ports::Timer;

/// Length of stage and key group at the front of keys of state and timers.
const PREFIX: usize = 4;
const TIME: usize = 8;
const SIGN: u64 = 1 << 63;

/// Stage of a key of state or of a timer.
pub(crate) fn stage_of(key: &[u8]) -> StageId {
    let stage = key.first_chunk().expect("keys begin with stage and key group");
    StageId(u16::from_be_bytes(*stage))
}

/// Appends the key under which a timer stands in the index.
pub(crate) fn append_timer(into: &mut Vec<u8>, stage: StageId, group: KeyGroup, timer: &Timer) {
    into.extend_from_slice(&stage.0.to_be_bytes());
    into.extend_from_slice(&group.0.to_be_bytes());
    into.extend_from_slice(&(timer.time.0 as u64 ^ SIGN).to_be_bytes());
    into.extend_from_slice(&timer.key);
}

/// The timer that stands under `index_key`; `None` if that is none, which only damage can cause.
pub(crate) fn decode_timer(index_key: &[u8]) -> Option<Timer> {
    let (time, key) = index_key.get(PREFIX..)?.split_first_chunk::<TIME>()?;
    Some(Timer { time: EventTime((u64::from_be_bytes(*time) ^ SIGN) as i64), key: key.into() })
}

/// What the keys of one key group of a stage begin with.
pub(crate) fn group_prefix(stage: StageId, group: KeyGroup) -> [u8; PREFIX] {
    let ([a, b], [c, d]) = (stage.0.to_be_bytes(), group.0.to_be_bytes());
    [a, b, c, d]
}

/// The end of the keys of a stage, exclusive.
pub(crate) fn behind_stage(stage: StageId) -> Vec<u8> {
    match stage.0.checked_add(1) {
        Some(next) => next.to_be_bytes().to_vec(),
        // Key groups are below 32,768.
        None => vec![u8::MAX; 3],
    }
}

/// All keys of one key group of a stage, half-open. There are at most 32,768 key groups, so each has a successor.
pub(crate) fn group_range(stage: StageId, group: KeyGroup) -> Range<[u8; PREFIX]> {
    group_prefix(stage, group)..group_prefix(stage, KeyGroup(group.0 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_index_keys_is_the_order_of_timers() {
        let times = [i64::MIN, -5, -1, 0, 1, 7, i64::MAX];
        let keys: [&[u8]; 3] = [b"", b"a", b"b"];
        let timers: Vec<Timer> =
            times.iter().flat_map(|&time| keys.map(|key| Timer { time: EventTime(time), key: key.into() })).collect();
        let mut previous = Vec::new();
        for timer in &timers {
            let mut encoded = Vec::new();
            append_timer(&mut encoded, StageId(3), KeyGroup(9), timer);
            assert!(previous < encoded, "{timer:?}");
            assert_eq!(decode_timer(&encoded).as_ref(), Some(timer));
            let range = group_range(StageId(3), KeyGroup(9));
            assert!(range.start.as_slice() <= encoded.as_slice() && encoded.as_slice() < range.end.as_slice());
            previous = encoded;
        }
    }

    #[test]
    fn a_short_index_key_is_no_timer() {
        assert_eq!(decode_timer(&[0, 1, 0, 2, 9]), None);
    }
}
