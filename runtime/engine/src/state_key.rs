//! The layout of keys in state.
//!
//! `[stage: u16 BE][key group: u16 BE][kind: u8][key bytes][window start: i64 BE, sign bit flipped]`, the last part for
//! panes only. A prefix of four bytes is one stage's share of one key group: what moves, and what is dropped when a
//! metric goes. All keys of one metric key are neighbours, and panes stand in the order of their windows.

use crate::ids::StageId;
use crate::ports::StateKey;
use tidemark_dataflow::KeyGroup;

/// What a key in state stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// The accumulator of a (key, window).
    Pane = b'p',
    /// The accumulator of a key without window.
    Keyed = b'k',
    /// The open sessions of a key.
    Sessions = b's',
    /// The rows of a key that wait for a join partner.
    Join = b'j',
}

/// Length of the `[stage][key group]` prefix.
pub const PREFIX: usize = 4;
const KEY_AT: usize = PREFIX + 1;

fn start_of(stage: StageId, group: KeyGroup, kind: Kind, key: &[u8], capacity: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(capacity);
    out.extend_from_slice(&stage.0.to_be_bytes());
    out.extend_from_slice(&group.0.to_be_bytes());
    out.push(kind as u8);
    out.extend_from_slice(key);
    out
}

/// The key of the pane of `key` whose window starts at `window_start` ms.
#[must_use]
pub fn pane(stage: StageId, group: KeyGroup, key: &[u8], window_start: i64) -> StateKey {
    let mut out = start_of(stage, group, Kind::Pane, key, KEY_AT + key.len() + 8);
    out.extend_from_slice(&((window_start as u64) ^ (1 << 63)).to_be_bytes());
    out.into_boxed_slice()
}

/// Where the panes of `key` stand, those of the windows that start within 2 million years of 1970. A pane of another key
/// can stand there, too: one that goes on behind this one with the control character 0x7f.
#[must_use]
pub fn panes_of(stage: StageId, group: KeyGroup, key: &[u8]) -> std::ops::Range<Vec<u8>> {
    let mut start = start_of(stage, group, Kind::Pane, key, KEY_AT + key.len() + 1);
    let mut end = start.clone();
    // The first byte of such a start is 0x7f or 0x80; no UTF-8 character begins with the latter.
    start.push(0x7f);
    end.push(0x81);
    start..end
}

/// The key of what is kept per metric key alone: every kind but [`Kind::Pane`].
#[must_use]
pub fn keyed(stage: StageId, group: KeyGroup, kind: Kind, key: &[u8]) -> StateKey {
    debug_assert_ne!(kind, Kind::Pane);
    start_of(stage, group, kind, key, KEY_AT + key.len()).into_boxed_slice()
}

/// The key group of a key.
#[must_use]
pub fn group_of(state_key: &[u8]) -> KeyGroup {
    KeyGroup(u16::from_be_bytes([state_key[2], state_key[3]]))
}

/// The metric key and window start of a pane's key.
#[must_use]
pub fn parse_pane(state_key: &[u8]) -> (&[u8], i64) {
    let at = state_key.len() - 8;
    let start = u64::from_be_bytes(state_key[at..].try_into().expect("a pane key ends with eight bytes"));
    (&state_key[KEY_AT..at], (start ^ (1 << 63)) as i64)
}

/// The metric key of a key made by [`keyed`].
#[must_use]
pub fn parse_keyed(state_key: &[u8]) -> &[u8] {
    &state_key[KEY_AT..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_sort_by_window_and_parse_back() {
        let of = |start| pane(StageId(3), KeyGroup(9), b"stream-1", start);
        assert!(of(-60_000) < of(0) && of(0) < of(60_000));
        assert_eq!(parse_pane(&of(-60_000)), (b"stream-1".as_slice(), -60_000));
        let panes = panes_of(StageId(3), KeyGroup(9), b"stream-1");
        assert!([-60_000, 0, 60_000].iter().all(|start| panes.contains(&of(*start).to_vec())));
        assert!(!panes.contains(&pane(StageId(3), KeyGroup(9), b"stream-10", 0).to_vec()));
        assert_eq!(parse_keyed(&keyed(StageId(3), KeyGroup(9), Kind::Join, b"r")), b"r");
        assert_eq!((&of(0)[..PREFIX], group_of(&of(0))), ([0, 3, 0, 9].as_slice(), KeyGroup(9)));
    }
}
