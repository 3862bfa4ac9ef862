//! Commits are all or nothing, snapshots are databases, and damage is told from a lock and from a new folder.

mod common;

use common::{commit, content, due, files, key, key_groups, log, open, settings, timer};
use std::fs;
use std::path::Path;
use std::process::Command;
use tidemark_dataflow::{EventTime, KeyGroup, KeyGroups};
use tidemark_engine::ids::StageId;
use tidemark_engine::ports::{MetaBatch, PortError, StateBackend, StateShard};
use tidemark_state::{RocksState, StateError};

/// Three commits: commit `n` sets value `n`, a timer at `n` and meta `n`, all of the same 100 keys.
fn three_commits(folder: &Path) -> Vec<u64> {
    let mut state = open(folder);
    let mut shards = state.shards(2).expect("shards");
    let mut ends = Vec::new();
    for number in 1..=3_u8 {
        for group in 0..5 {
            let shard = &mut shards[common::worker_of(group, 2)];
            for item in 0..20 {
                shard.put(&key(1, group, item), &[number; 50]);
            }
            shard.set_timer(StageId(1), KeyGroup(group), timer(number.into(), b"timer"));
        }
        let meta = MetaBatch { puts: vec![(b"epoch".to_vec(), vec![number])], ..MetaBatch::default() };
        state.commit(&mut shards, &meta).expect("commit");
        ends.push(fs::metadata(log(folder)).expect("a log").len());
    }
    ends
}

/// Asserts that exactly the first `commits` of [`three_commits`] are there, in every column family.
fn assert_commits(folder: &Path, commits: u8) {
    let state = open(folder);
    let content = content(&state);
    assert_eq!(content.len(), if commits == 0 { 0 } else { 100 });
    assert!(content.iter().all(|(_, value)| value == &[commits; 50]), "values of one commit only");
    assert_eq!(state.meta(b"epoch").expect("meta"), (commits > 0).then(|| vec![commits]));
    let mut shards = state.shards(1).expect("shards");
    assert_eq!(due(&mut shards[0], 1, 10, 100).len(), 5 * usize::from(commits));
}

fn open_error(folder: &Path) -> StateError {
    RocksState::open(&settings(folder), key_groups()).err().expect("opening must fail")
}

#[test]
fn a_log_cut_anywhere_within_a_commit_loses_that_commit_whole() {
    let original = tempfile::tempdir().expect("a folder");
    let ends = three_commits(original.path());
    let cuts = [ends[1] + 1, ends[1] + 7, (ends[1] + ends[2]) / 2, ends[2] - 1];
    for cut in cuts {
        let folder = tempfile::tempdir().expect("a folder");
        for entry in fs::read_dir(original.path()).expect("a folder") {
            let path = entry.expect("an entry").path();
            fs::copy(&path, folder.path().join(path.file_name().expect("a name"))).expect("a copy");
        }
        let file = fs::OpenOptions::new().write(true).open(log(folder.path())).expect("the log");
        file.set_len(cut).expect("the cut");
        assert_commits(folder.path(), 2);
    }
    assert_commits(original.path(), 3);
}

#[test]
fn a_flaw_within_the_log_is_damage_not_an_older_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let ends = three_commits(folder.path());
    let path = log(folder.path());
    let mut bytes = fs::read(&path).expect("the log");
    bytes[(ends[0] + ends[1]) as usize / 2] ^= 0xff;
    fs::write(&path, bytes).expect("the flaw");
    let error = open_error(folder.path());
    assert!(matches!(error, StateError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("restore the newest checkpoint"), "{error}");
}

#[test]
fn a_missing_pointer_or_table_is_damage_not_a_new_database() {
    for extension in ["", "sst"] {
        let folder = tempfile::tempdir().expect("a folder");
        three_commits(folder.path());
        let snapshot = folder.path().join("snapshot");
        open(folder.path()).snapshot(&snapshot).expect("a snapshot, which has tables");
        let victim = if extension.is_empty() {
            snapshot.join("CURRENT")
        } else {
            files(&snapshot, extension).pop().expect("a table")
        };
        fs::remove_file(&victim).expect("removed");
        let error = open_error(&snapshot);
        assert!(matches!(error, StateError::Damaged { .. }), "without {}: {error:?}", victim.display());
    }
}

#[test]
fn a_flaw_in_a_table_stops_the_reader_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    three_commits(folder.path());
    let snapshot = folder.path().join("snapshot");
    open(folder.path()).snapshot(&snapshot).expect("a snapshot");
    for table in files(&snapshot, "sst") {
        let mut bytes = fs::read(&table).expect("a table");
        // The first block of data; the rest of the file stays sound, so that opening may succeed.
        bytes[..64].iter_mut().for_each(|byte| *byte ^= 0xff);
        fs::remove_file(&table).expect("the link, not the file behind it");
        fs::write(&table, bytes).expect("the flaw");
    }
    let message = match RocksState::open(&settings(&snapshot), key_groups()) {
        Err(error) => error.to_string(),
        Ok(state) => match state.shards(1).expect("shards")[0].get(&key(1, 0, 0)) {
            Err(PortError::Stop(message)) => message,
            other => panic!("a flawed block was read: {other:?}"),
        },
    };
    assert!(message.contains("is damaged"), "{message}");
    assert_commits(folder.path(), 3);
}

#[test]
fn a_folder_without_a_finished_database_is_a_new_one() {
    let folder = tempfile::tempdir().expect("a folder");
    // What a crash right after creation leaves.
    fs::write(folder.path().join("LOCK"), "").expect("written");
    fs::write(folder.path().join("MANIFEST-000001"), "").expect("written");
    assert_eq!(content(&open(folder.path())).len(), 0);
}

#[test]
fn a_creation_that_died_is_begun_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, unfinished) = (folder.path().join("state"), folder.path().join("state.creating"));
    // A database without the column families that came next.
    drop(rocksdb::DB::open_default(&unfinished).expect("created"));
    assert_eq!(content(&open(&path)).len(), 0);
    assert!(path.join("CURRENT").exists() && !unfinished.exists());
    assert_eq!(content(&open(&path)).len(), 0);
}

#[test]
fn a_second_opener_is_told_of_the_lock() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = open(folder.path());
    let error = open_error(folder.path());
    assert!(matches!(error, StateError::Locked { .. }), "{error:?}");
    drop(first);
    open(folder.path());
}

/// Runs this very test in another process, which must fail to open what this one holds.
#[test]
fn another_process_is_told_of_the_lock() {
    const HELD: &str = "TIDEMARK_STATE_TEST_HELD_FOLDER";
    if let Some(held) = std::env::var_os(HELD) {
        let error = open_error(Path::new(&held));
        assert!(matches!(error, StateError::Locked { .. }), "{error:?}");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let _held = open(folder.path());
    let own = std::env::current_exe().expect("the test's own binary");
    let status = Command::new(own)
        .args(["--exact", "another_process_is_told_of_the_lock"])
        .env(HELD, folder.path())
        .status()
        .expect("it starts");
    assert!(status.success());
}

/// Runs this very test in a process that may not write large files, so that the write of a commit really fails.
#[test]
fn a_commit_that_failed_leaves_changes_in_memory_and_the_disk_as_it_was() {
    const LIMITED: &str = "TIDEMARK_STATE_TEST_LIMITED_FOLDER";
    let small = key(1, 0, 0);
    if let Some(folder) = std::env::var_os(LIMITED) {
        let mut state = open(Path::new(&folder));
        let mut shards = state.shards(1).expect("shards");
        shards[0].put(&small, b"first");
        commit(&mut state, &mut shards);
        shards[0].put(&small, b"second");
        shards[0].set_timer(StageId(1), KeyGroup(0), timer(1, b"timer"));
        for item in 1..1_000 {
            shards[0].put(&key(1, 0, item), &[7; 4_000]);
        }
        let dirty = shards[0].dirty_bytes();
        for _ in 0..2 {
            let error = state.commit(&mut shards, &MetaBatch::default()).expect_err("the file is too large");
            assert!(error.to_string().contains("File too large"), "{error}");
            assert_eq!(shards[0].dirty_bytes(), dirty);
            assert_eq!(shards[0].get(&small).expect("get"), Some(&b"second"[..]));
        }
        assert_eq!(due(&mut shards[0], 1, 1, 10).len(), 1);
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let status = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ && ulimit -f 2048 && exec "$0" "$@""#])
        .arg(std::env::current_exe().expect("the test's own binary"))
        .args(["--exact", "a_commit_that_failed_leaves_changes_in_memory_and_the_disk_as_it_was"])
        .env(LIMITED, folder.path())
        .status()
        .expect("it starts");
    assert!(status.success());
    assert_eq!(content(&open(folder.path())), [(small, b"first".to_vec())]);
}

#[test]
fn another_number_of_key_groups_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(folder.path()));
    let error = RocksState::open(&settings(folder.path()), KeyGroups::DEFAULT).err().expect("64 are not 5");
    assert!(matches!(error, StateError::Incompatible { .. }), "{error:?}");
    assert!(error.to_string().contains("made for 5 key groups and the configuration says 64"), "{error}");
}

#[test]
fn a_snapshot_is_the_last_commit_and_a_database_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    three_commits(folder.path());
    let mut state = open(folder.path());
    let mut shards = state.shards(1).expect("shards");
    shards[0].put(&key(1, 0, 0), b"not committed");
    let snapshot = folder.path().join("snapshots").join("1");
    state.snapshot(&snapshot).expect("a snapshot");
    commit(&mut state, &mut shards);

    assert_commits(&snapshot, 3);
    assert!(state.snapshot(&snapshot).is_err(), "a snapshot is never overwritten");
    let changed = content(&state);
    assert_eq!(changed[0].1, b"not committed");
}

#[test]
fn shards_of_an_earlier_call_cannot_be_committed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut state = open(folder.path());
    let mut stale = state.shards(1).expect("shards");
    let mut fresh = state.shards(1).expect("shards");
    assert!(matches!(state.commit(&mut stale, &MetaBatch::default()), Err(PortError::Stop(_))));
    commit(&mut state, &mut fresh);
}

#[test]
fn meta_is_set_deleted_and_listed_by_prefix() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut state = open(folder.path());
    let entry = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
    let puts = vec![entry(b"sink/b", b"2"), entry(b"sink/a", b"1"), entry(b"sinl", b"3"), entry(b"sin", b"4")];
    state.commit(&mut [], &MetaBatch { puts, ..MetaBatch::default() }).expect("commit");
    assert_eq!(state.meta_prefix(b"sink/").expect("meta"), [entry(b"sink/a", b"1"), entry(b"sink/b", b"2")]);
    state.commit(&mut [], &MetaBatch { deletes: vec![b"sink/a".to_vec()], ..MetaBatch::default() }).expect("commit");
    assert_eq!(state.meta(b"sink/a").expect("meta"), None);
    assert_eq!(state.meta(b"sinl").expect("meta"), Some(b"3".to_vec()));
}

/// Everything of a stage goes with one commit, what that very commit wrote included, and nothing of its neighbours.
#[test]
fn a_dropped_stage_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut state = open(folder.path());
    let mut shards = state.shards(1).expect("shards");
    let fill = |shards: &mut Vec<Box<dyn StateShard>>, items: std::ops::Range<u16>| {
        for stage in 1..=3 {
            for group in 0..5 {
                for item in items.clone() {
                    shards[0].put(&key(stage, group, item), b"value");
                }
                shards[0].set_timer(StageId(stage), KeyGroup(group), timer(items.start.into(), b"timer"));
            }
        }
    };
    fill(&mut shards, 0..10);
    commit(&mut state, &mut shards);
    assert_eq!(state.sample(StageId(2), 7).expect("values"), vec![b"value".to_vec(); 7]);
    fill(&mut shards, 10..12);
    let meta = MetaBatch { dropped: vec![StageId(2)], ..MetaBatch::default() };
    state.commit(&mut shards, &meta).expect("commit");
    for _ in 0..2 {
        assert!(content(&state).iter().all(|(key, _)| key[..2] != [0, 2]));
        assert_eq!(content(&state).len(), 2 * 5 * 12);
        assert!(state.sample(StageId(2), 7).expect("values").is_empty());
        assert!(!state.inspector().telemetry().expect("telemetry").stages.contains_key(&StageId(2)));
        assert_eq!(due(&mut shards[0], 2, i64::MAX, 100), []);
        assert_eq!(shards[0].count_due(StageId(3), EventTime(100), 100).expect("counts"), 10);
        drop(std::mem::take(&mut shards));
        drop(state);
        state = open(folder.path());
        shards = state.shards(1).expect("shards");
    }
}
