//! Tests of the log: what was appended comes back, a torn end goes, damage is told.

use super::*;
use proptest::prelude::*;

fn records(log: &TickLog, from: u64) -> Vec<(u64, Vec<u8>)> {
    log.read_from(Epoch(from))
        .unwrap()
        .map(|record| record.map(|(epoch, content)| (epoch.0, content)).unwrap())
        .collect()
}

fn filled(folder: &Path, epochs: u64) -> TickLog {
    let mut log = TickLog::with_segment_bytes(folder, 200).unwrap();
    for epoch in 1..=epochs {
        log.append(Epoch(epoch), format!("tick {epoch}").as_bytes()).unwrap();
    }
    log.sync().unwrap();
    log
}

#[test]
fn records_come_back_from_any_epoch_and_old_segments_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = filled(folder.path(), 40);
    assert!(log.segments.len() > 3);
    for from in [0, 1, 17, 40, 41] {
        let epochs: Vec<u64> = records(&log, from).iter().map(|(epoch, _)| *epoch).collect();
        assert_eq!(epochs, (from.max(1)..=40).collect::<Vec<_>>());
    }
    log.remove_before(Epoch(25)).unwrap();
    assert_eq!(records(&log, 25).len(), 16);
    assert!(log.segments[0] > Epoch(1) && log.segments[0] <= Epoch(25));
    let reopened = TickLog::open(folder.path()).unwrap();
    assert_eq!(reopened.last_epoch(), Some(Epoch(40)));
    assert_eq!(records(&reopened, 25), records(&log, 25));
}

#[test]
fn epochs_that_were_not_committed_are_cut_and_appended_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = filled(folder.path(), 40);
    assert!(log.append(Epoch(20), b"again").is_err());
    log.cut_after(Epoch(19)).unwrap();
    assert_eq!(log.last_epoch(), Some(Epoch(19)));
    log.append(Epoch(20), b"again").unwrap();
    assert_eq!(records(&log, 19), [(19, b"tick 19".to_vec()), (20, b"again".to_vec())]);
    log.cut_after(Epoch(0)).unwrap();
    assert_eq!(records(&log, 0), []);
}

#[test]
fn damage_before_the_end_is_an_error_that_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = TickLog::open(folder.path()).unwrap();
    for epoch in 1..=3 {
        log.append(Epoch(epoch), b"content").unwrap();
    }
    let path = log.path(Epoch(1));
    let whole = fs::read(&path).unwrap();
    for place in HEADER + 7..2 * (HEADER + 7) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        fs::write(&path, damaged).unwrap();
        let error = TickLog::open(folder.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("damaged at byte 31"), "byte {place}: {error}");
    }
}

proptest! {
    #[test]
    fn a_torn_tail_is_cut_at_the_last_whole_record(cut in 0_usize..150, garbage in proptest::collection::vec(any::<u8>(), 0..30)) {
        let folder = tempfile::tempdir().unwrap();
        let mut log = TickLog::open(folder.path()).unwrap();
        for epoch in 1..=4_u64 {
            log.append(Epoch(epoch), &vec![7; epoch as usize * 3]).unwrap();
        }
        let path = log.path(Epoch(1));
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(cut);
        let whole = [27, 57, 90, 126].iter().take_while(|end| **end <= bytes.len()).count();
        bytes.extend(garbage);
        fs::write(&path, &bytes).unwrap();
        let mut log = TickLog::open(folder.path()).unwrap();
        prop_assert_eq!(records(&log, 0).len(), whole);
        log.append(Epoch(9), b"next").unwrap();
        prop_assert_eq!(records(&log, 0).last().cloned(), Some((9, b"next".to_vec())));
    }
}
