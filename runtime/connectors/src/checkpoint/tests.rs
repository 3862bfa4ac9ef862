//! Tests of the checkpoint store: incremental, and never wrong about what it holds.

use super::{
    CheckpointError, CheckpointSettings, Checkpoints, CheckpointsOnThread, FAIL_POINTS, NotKept, StoreTickLog,
};
use crate::fail_point;
use crate::sink::parquet::s3_server::S3Server;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::{CheckpointStore, TickLog};

type Files = BTreeMap<String, Vec<u8>>;

/// The image of a database at an epoch: tables that stay, tables that come and go, and files that change.
fn image(epoch: u64) -> Files {
    let tables = (epoch.saturating_sub(3)..=epoch).map(|table| (format!("{table:06}.sst"), vec![table as u8; 10_000]));
    let changing = [("CURRENT", format!("MANIFEST-{epoch}\n")), ("nested/OPTIONS", "same".to_owned())];
    let changing = changing.map(|(name, text)| (name.to_owned(), text.into_bytes()));
    tables.chain(changing).collect()
}

fn write_image(folder: &Path, files: &Files) {
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn read_image(folder: &Path) -> Files {
    let mut found = Files::new();
    for (name, content) in image_entries(folder, folder) {
        found.insert(name, content);
    }
    found
}

fn image_entries(root: &Path, folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                image_entries(root, &path)
            } else {
                vec![(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())]
            }
        })
        .collect()
}

pub(super) struct Fixture {
    folder: tempfile::TempDir,
    /// The object store with the checkpoints; without one they lie in the folder.
    remote: Option<S3Server>,
}

impl Fixture {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), remote: None }
    }

    /// One over a folder and one over a real S3 protocol.
    pub(super) fn both() -> [Self; 2] {
        let remote = Self { remote: Some(S3Server::start()), ..Self::new() };
        [Self::new(), remote]
    }

    fn with_epochs(epochs: std::ops::RangeInclusive<u64>) -> Self {
        let fixture = Self::new();
        fixture.save_all(epochs);
        fixture
    }

    fn both_with_epochs(epochs: std::ops::RangeInclusive<u64>) -> [Self; 2] {
        Self::both().map(|fixture| {
            fixture.save_all(epochs.clone());
            fixture
        })
    }

    fn save_all(&self, epochs: std::ops::RangeInclusive<u64>) {
        let mut store = self.store();
        epochs.for_each(|epoch| self.save(&mut store, epoch));
    }

    fn store(&self) -> Checkpoints {
        self.store_with(fail_point::disabled())
    }

    fn store_with(&self, fail_point: fail_point::FailPoint) -> Checkpoints {
        self.store_that_keeps(CheckpointSettings::default().keep, fail_point)
    }

    pub(super) fn store_that_keeps(&self, keep: usize, fail_point: fail_point::FailPoint) -> Checkpoints {
        let settings = CheckpointSettings { keep };
        match &self.remote {
            None => Checkpoints::open(&self.checkpoints(), settings, fail_point),
            Some(server) => Checkpoints::open_store(&server.settings(), settings, fail_point),
        }
        .unwrap()
    }

    pub(super) fn checkpoints(&self) -> PathBuf {
        self.remote.as_ref().map_or_else(|| self.folder.path().join("checkpoints"), S3Server::objects)
    }

    pub(super) fn save(&self, store: &mut Checkpoints, epoch: u64) {
        let snapshot = tempfile::tempdir_in(self.folder.path()).unwrap();
        write_image(snapshot.path(), &image(epoch));
        store.save(Epoch(epoch), snapshot.path()).unwrap();
    }

    /// Restores the newest: the epoch, and the epochs found damaged. Checks that the content is that of the epoch.
    pub(super) fn restored(&self) -> (u64, Vec<u64>) {
        let into = self.folder.path().join("restored");
        let restored = self.store().restore_newest(&into).unwrap().unwrap();
        assert_eq!(read_image(&into), image(restored.epoch.0));
        fs::remove_dir_all(&into).unwrap();
        (restored.epoch.0, restored.damaged.iter().map(|damage| damage.epoch.0).collect())
    }

    /// The object that `content` is stored as.
    fn object(&self, content: &[u8]) -> PathBuf {
        let content = crate::durable::Fingerprint::of(content);
        let piece = if self.remote.is_some() { ".000000" } else { "" };
        self.checkpoints().join("objects").join(format!("{}-{}{piece}", content.xxh3, content.bytes))
    }

    fn manifest(&self, epoch: u64) -> PathBuf {
        self.checkpoints().join(format!("manifests/e{epoch:012}.json"))
    }
}

#[test]
fn the_newest_three_stay_and_come_back_whole() {
    for fixture in Fixture::both_with_epochs(1..=7) {
        let kept: Vec<_> = fixture.store().list().unwrap().iter().map(|info| (info.epoch.0, info.files)).collect();
        assert_eq!(kept, [(5, 6), (6, 6), (7, 6)]);
        assert_eq!(fixture.store().oldest().unwrap(), Some(Epoch(5)));
        assert_eq!(fixture.restored(), (7, vec![]));
        for epoch in 5..=7 {
            fixture.store().verify(Epoch(epoch)).unwrap();
            let into = fixture.folder.path().join("older");
            fixture.store().restore(Epoch(epoch), &into).unwrap();
            assert_eq!(read_image(&into), image(epoch));
            fs::remove_dir_all(into).unwrap();
        }
        // Tables 2 to 7, three versions of CURRENT, one of OPTIONS; what only older checkpoints had is gone.
        assert_eq!(fs::read_dir(fixture.checkpoints().join("objects")).unwrap().count(), 10);
        assert!(matches!(
            fixture.store().restore(Epoch(2), &fixture.folder.path().join("x")),
            Err(CheckpointError::Missing(_))
        ));
    }
}

#[test]
fn known_tables_are_neither_copied_nor_linked_again() {
    let fixture = Fixture::new();
    let mut store = fixture.store();
    let database = fixture.folder.path().join("database");
    write_image(&database, &image(4));
    store.save(Epoch(4), &database).unwrap();
    let table = fixture.object(&[4; 10_000]);
    let linked = fs::metadata(database.join("000004.sst")).unwrap();
    assert_eq!(fs::metadata(&table).unwrap().ino(), linked.ino(), "an immutable table is linked");
    let current = fs::metadata(database.join("CURRENT")).unwrap();
    assert_ne!(
        fs::metadata(fixture.object(b"MANIFEST-4\n")).unwrap().ino(),
        current.ino(),
        "what may change is copied"
    );
    store.save(Epoch(5), &database).unwrap();
    // The same content from another file, as after a restore.
    let copy = fixture.folder.path().join("copy");
    write_image(&copy, &image(4));
    store.save(Epoch(6), &copy).unwrap();
    assert_eq!(fs::metadata(&table).unwrap().ino(), linked.ino());
    assert_eq!(fs::metadata(&table).unwrap().nlink(), 2);
}

#[test]
fn a_table_that_changed_under_its_name_is_stored_anew() {
    for fixture in Fixture::both_with_epochs(4..=4) {
        let mut store = fixture.store();
        let mut other = image(4);
        other.insert("000004.sst".to_owned(), vec![99; 10_000]);
        let snapshot = fixture.folder.path().join("other");
        write_image(&snapshot, &other);
        store.save(Epoch(5), &snapshot).unwrap();
        let into = fixture.folder.path().join("restored");
        store.restore(Epoch(5), &into).unwrap();
        assert_eq!(read_image(&into), other);
    }
}

#[test]
fn a_damaged_newest_checkpoint_is_passed_over() {
    type Damage<'a> = &'a dyn Fn(&Fixture);
    let only_in_seven = || [7_u8; 10_000];
    let damages: [(&str, Damage<'_>); 8] = [
        ("flipped byte", &|fixture| rewrite(&fixture.object(&only_in_seven()), |bytes| bytes[5000] ^= 1)),
        ("truncated", &|fixture| rewrite(&fixture.object(&only_in_seven()), |bytes| bytes.truncate(9_999))),
        ("longer", &|fixture| rewrite(&fixture.object(&only_in_seven()), |bytes| bytes.push(7))),
        ("deleted", &|fixture| fs::remove_file(fixture.object(&only_in_seven())).unwrap()),
        ("manifest deleted", &|fixture| fs::remove_file(fixture.manifest(7)).unwrap()),
        ("manifest garbled", &|fixture| fs::write(fixture.manifest(7), b"\x00\xff").unwrap()),
        ("manifest empty", &|fixture| fs::write(fixture.manifest(7), b"").unwrap()),
        ("manifest of another epoch", &|fixture| {
            fs::copy(fixture.manifest(5), fixture.manifest(7)).unwrap();
        }),
    ];
    for (what, damage) in damages {
        for fixture in Fixture::both_with_epochs(1..=7) {
            damage(&fixture);
            assert_eq!(fixture.restored(), (6, vec![7]), "{what}");
            // The job goes on from there, and what it saves next is whole although it has the damaged content again.
            let mut store = fixture.store();
            fixture.save(&mut store, 7);
            assert_eq!(fixture.restored(), (7, vec![]), "{what}");
            fixture.save(&mut store, 8);
            assert_eq!(fixture.restored(), (8, vec![]), "{what}");
        }
    }
}

#[test]
fn no_flipped_bit_of_a_manifest_goes_unnoticed() {
    let fixture = Fixture::with_epochs(7..=7);
    let whole = fs::read(fixture.manifest(7)).unwrap();
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x04;
        fs::write(fixture.manifest(7), &damaged).unwrap();
        match fixture.store().restore_newest(&fixture.folder.path().join("restored")) {
            Err(CheckpointError::AllDamaged { damaged, .. }) => assert_eq!(damaged[0].epoch, Epoch(7)),
            // White space that turned into other white space.
            Ok(Some(_)) if whole[place].is_ascii_whitespace() => {
                fs::remove_dir_all(fixture.folder.path().join("restored")).unwrap();
            }
            other => panic!("byte {place}: {other:?}"),
        }
    }
}

#[test]
fn without_a_whole_one_each_is_named_and_nothing_is_restored() {
    for fixture in Fixture::both_with_epochs(1..=7) {
        fs::remove_file(fixture.object(&[4; 10_000])).unwrap();
        fs::remove_file(fixture.object(&[6; 10_000])).unwrap();
        rewrite(&fixture.manifest(5), |bytes| bytes.truncate(40));
        let into = fixture.folder.path().join("restored");
        let error = fixture.store().restore_newest(&into).unwrap_err();
        let CheckpointError::AllDamaged { damaged, .. } = &error else { panic!("{error}") };
        assert_eq!(damaged.iter().map(|damage| damage.epoch.0).collect::<Vec<_>>(), [7, 6, 5]);
        let message = error.to_string();
        for part in ["none of the 3 checkpoints", "epoch 7", "000004.sst", "is missing", "epoch 5", "from a copy"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!into.exists());
    }
}

#[test]
fn an_empty_store_is_new_and_one_that_lost_its_manifests_is_not() {
    for fixture in Fixture::both() {
        let into = fixture.folder.path().join("restored");
        assert_eq!(fixture.store().restore_newest(&into).unwrap(), None);
        fixture.save(&mut fixture.store(), 1);
        fs::remove_file(fixture.manifest(1)).unwrap();
        let error = fixture.store().restore_newest(&into).unwrap_err().to_string();
        assert!(error.contains("epoch 1 is damaged: its manifest is missing"), "{error}");
    }
}

#[test]
fn an_occupied_folder_is_not_touched() {
    let fixture = Fixture::with_epochs(1..=2);
    let into = fixture.folder.path().join("occupied");
    fs::create_dir(&into).unwrap();
    fixture.store().restore_newest(&into).unwrap();
    let error = fixture.store().restore_newest(&into).unwrap_err().to_string();
    assert!(error.contains("is not empty"), "{error}");
    assert_eq!(read_image(&into), image(2));
}

#[test]
fn a_kill_at_any_step_leaves_the_old_checkpoint_or_the_new_one() {
    for (place, name) in FAIL_POINTS.into_iter().enumerate() {
        let [local, remote] = Fixture::both_with_epochs(1..=6);
        let undisturbed = Fixture::both_with_epochs(1..=7);
        for (fixture, undisturbed) in [local, remote].iter().zip(&undisturbed) {
            let fail_point = Arc::new(move |step| {
                if step == name {
                    resume_unwind(Box::new(name));
                }
            });
            let mut store = fixture.store_with(fail_point);
            let killed = catch_unwind(AssertUnwindSafe(|| fixture.save(&mut store, 7)));
            assert!(killed.is_err());
            assert_eq!(fixture.restored(), (if place < 2 { 6 } else { 7 }, vec![]), "{name}");
            fixture.save(&mut fixture.store(), 7);
            assert_eq!(read_image(&fixture.checkpoints()), read_image(&undisturbed.checkpoints()), "{name}");
        }
    }
}

#[test]
fn a_damaged_checkpoint_pushes_no_good_one_out() {
    for fixture in Fixture::both_with_epochs(1..=7) {
        rewrite(&fixture.manifest(7), |bytes| bytes.truncate(10));
        fixture.save(&mut fixture.store(), 8);
        let listed: Vec<_> =
            fixture.store().list().unwrap().iter().map(|info| (info.epoch.0, info.damage.is_none())).collect();
        assert_eq!(listed, [(5, true), (6, true), (7, false), (8, true)]);
    }
}

fn rewrite(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    // A new file: the object may be linked to the database's own.
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn content_of_many_pieces_comes_back() {
    let [_, fixture] = Fixture::both();
    let large: Vec<u8> = (0..40_u32 << 20).map(|place| (place / 4096 + place % 251) as u8).collect();
    let snapshot = fixture.folder.path().join("large");
    write_image(&snapshot, &Files::from([("000001.sst".to_owned(), large.clone()), ("empty".to_owned(), Vec::new())]));
    let mut store = fixture.store();
    store.save(Epoch(1), &snapshot).unwrap();
    assert_eq!(fs::read_dir(fixture.checkpoints().join("objects")).unwrap().count(), 3);
    let into = fixture.folder.path().join("restored");
    fixture.store().restore_newest(&into).unwrap();
    assert!(read_image(&into)["000001.sst"] == large && read_image(&into)["empty"].is_empty());
}

#[test]
fn a_thread_saves_without_keeping_the_engine() {
    let [_, fixture] = Fixture::both();
    let mut store = CheckpointsOnThread::start(Box::new(fixture.store())).unwrap();
    let snapshot = fixture.folder.path().join("snapshot");
    for epoch in 1..=5 {
        write_image(&snapshot, &image(epoch));
        store.save(Epoch(epoch), &snapshot).unwrap();
        assert!(!snapshot.exists(), "the engine's next image is made in the same place");
    }
    drop(store);
    // Which of them were left out depends on who was faster; the first never is.
    let (newest, damaged) = fixture.restored();
    assert!((1..=5).contains(&newest) && damaged.is_empty());
    let left: Vec<_> = fs::read_dir(fixture.folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, Vec::<std::ffi::OsString>::new(), "images are removed");
}

#[test]
fn a_tick_log_in_a_store_comes_back_and_is_cut_at_both_ends() {
    let server = S3Server::start();
    let mut log = StoreTickLog::open(&server.settings()).unwrap();
    assert_eq!(log.last_epoch(), None);
    for epoch in 1..=12 {
        TickLog::append(&mut log, Epoch(epoch), format!("tick {epoch}").as_bytes()).unwrap();
    }
    let mut log = StoreTickLog::open(&server.settings()).unwrap();
    log.truncate_after(Epoch(11)).unwrap();
    log.forget_before(Epoch(3)).unwrap();
    let mut log = StoreTickLog::open(&server.settings()).unwrap();
    assert_eq!(log.last_epoch(), Some(Epoch(11)));
    let records = log.read_after(Epoch(8)).unwrap();
    let expected = [9, 10, 11].map(|epoch| (Epoch(epoch), format!("tick {epoch}").into_bytes()));
    assert_eq!(records, expected);
    assert_eq!(log.read_after(Epoch(0)).unwrap().len(), 8);
    rewrite(&server.objects().join("ticks/e000000000010.tick"), |bytes| bytes[20] ^= 1);
    let error = log.read_after(Epoch(8)).unwrap_err().to_string();
    assert!(error.contains("the record of epoch 10 in the tick log is damaged"), "{error}");
}

#[test]
fn of_two_who_decide_one_epoch_one_has_lost() {
    let server = S3Server::start();
    let folder = tempfile::tempdir().unwrap();
    for place in ["store", "folder"] {
        let open = || match place {
            "store" => StoreTickLog::open_shared(&server.settings()).unwrap(),
            _ => StoreTickLog::open_shared_folder(folder.path()).unwrap(),
        };
        let (mut one, mut other) = (open(), open());
        one.append(Epoch(1), b"by one").unwrap();
        // An answer that was lost: the same record once more.
        one.append(Epoch(1), b"by one").unwrap();
        let error = other.append(Epoch(1), b"by one").unwrap_err().to_string();
        assert!(
            error.contains("another process has decided epoch 1"),
            "{place}: the same words are not the same: {error}"
        );
        let error = other.append(Epoch(1), b"by the other").unwrap_err().to_string();
        assert!(error.contains("another process has decided epoch 1"), "{place}: {error}");
        let mut other = open();
        assert_eq!(other.read_after(Epoch(0)).unwrap(), [(Epoch(1), b"by one".to_vec())], "{place}");
        other.append(Epoch(2), b"by the other").unwrap();
        assert!(one.append(Epoch(2), b"by one").is_err(), "{place}");
        other.forget_before(Epoch(1)).unwrap();
        assert_eq!(open().last_epoch(), Some(Epoch(2)), "{place}");
        assert_eq!(open().read_after(Epoch(1)).unwrap().len(), 1, "{place}");
    }
}

#[test]
fn whoever_comes_when_the_record_of_its_epoch_is_forgotten_has_lost() {
    let server = S3Server::start();
    for place in ["store", "folder"] {
        for behind in [0, 3] {
            let folder = tempfile::tempdir().unwrap();
            let mut settings = server.settings();
            settings.url = format!("{}/{behind}", settings.url);
            let open = || match place {
                "store" => StoreTickLog::open_shared(&settings).unwrap(),
                _ => StoreTickLog::open_shared_folder(folder.path()).unwrap(),
            };
            let mut frozen = open();
            for epoch in 1..=behind {
                frozen.append(Epoch(epoch), b"before").unwrap();
            }
            let mut successor = open();
            for epoch in behind + 1..=9 {
                successor.append(Epoch(epoch), b"by its successor").unwrap();
                // A checkpoint of each epoch, and no other is kept.
                successor.forget_before(Epoch(epoch)).unwrap();
            }
            assert_eq!(open().first_epoch(), Some(Epoch(9)), "{place}: the newest is not forgotten");
            for _ in 0..2 {
                let error = frozen.append(Epoch(behind + 1), b"too late").unwrap_err().to_string();
                assert!(error.contains(&format!("has decided epoch {}", behind + 1)), "{place}: {error}");
            }
            assert_eq!(open().first_epoch(), Some(Epoch(9)), "{place}: nothing is left of it");
            successor.append(Epoch(10), b"by its successor").unwrap();
        }
    }
}

#[test]
fn whoever_comes_when_the_job_was_taken_back_has_lost() {
    let folder = tempfile::tempdir().unwrap();
    let open = || StoreTickLog::open_shared_folder(folder.path()).unwrap();
    let mut frozen = open();
    for epoch in 1..=5 {
        frozen.append(Epoch(epoch), b"undone").unwrap();
    }
    open().truncate_after(Epoch(3)).unwrap();
    let error = frozen.append(Epoch(6), b"too late").unwrap_err().to_string();
    assert!(error.contains("has decided epoch 6"), "{error}");
    let mut successor = open();
    for epoch in 4..=5 {
        successor.append(Epoch(epoch), b"undone").unwrap();
    }
    // There is a record of the epoch before again, and it is another one.
    frozen.append(Epoch(6), b"too late").unwrap_err();
    successor.append(Epoch(6), b"by its successor").unwrap();
    assert_eq!(open().read_after(Epoch(3)).unwrap().len(), 3);
}

#[test]
fn a_savepoint_stays_however_late_it_comes() {
    for fixture in Fixture::both() {
        let mut store = fixture.store_that_keeps(1, fail_point::disabled());
        fixture.save(&mut store, 4);
        fixture.save(&mut store, 6);
        let snapshot = tempfile::tempdir_in(fixture.folder.path()).unwrap();
        write_image(snapshot.path(), &image(5));
        assert!(!store.name(Epoch(5), "late").unwrap());
        store.save_as("late", Epoch(5), snapshot.path()).unwrap();
        // It is not the newest, and what is newer stays beside it.
        assert_eq!(fixture.restored(), (6, vec![]));
        fixture.save(&mut store, 7);
        let kept: Vec<_> = store.list().unwrap().into_iter().map(|info| (info.epoch.0, info.name)).collect();
        assert_eq!(kept, [(5, Some("late".to_owned())), (7, None)]);
        store.verify(Epoch(5)).unwrap();
        assert!(matches!(store.name(Epoch(7), "late"), Err(NotKept::NameTaken { epoch: Epoch(5), .. })));
        assert!(store.name(Epoch(7), "now").unwrap());
        assert!(matches!(store.name(Epoch(7), "other"), Err(NotKept::EpochTaken { epoch: Epoch(7), .. })));
    }
}

#[test]
fn a_store_that_refuses_stops_with_a_sentence() {
    let server = S3Server::start();
    let mut settings = server.settings();
    settings.url = "s3://nowhere/prefix".to_owned();
    let store = Checkpoints::open_store(&settings, CheckpointSettings::default(), fail_point::disabled()).unwrap();
    let error = store.list().unwrap_err().to_string();
    assert!(error.contains("check that the bucket exists"), "{error}");
}
