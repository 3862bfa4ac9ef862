//! `kill -9` at every named step of an epoch, in the real binary on real files: after a restart the output is, byte for
//! byte, that of a run which nobody disturbed. The same for a lost disk and for damaged checkpoints.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use support::job::{Job, output_tree};

/// The input and the output of an undisturbed run, made once.
struct Fixture {
    job: Job,
    expected: BTreeMap<PathBuf, Vec<u8>>,
}

fn fixture() -> Fixture {
    let job = Job::new();
    let data = job.fresh_data("undisturbed");
    let run = job.run(&data, None);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let expected = output_tree(&data);
    assert!(expected.len() > 20, "several epochs, tables and days: {:?}", expected.keys());
    Fixture { job, expected }
}

fn assert_same(expected: &BTreeMap<PathBuf, Vec<u8>>, data: &Path, what: &str) {
    let found = output_tree(data);
    let names = |tree: &BTreeMap<PathBuf, Vec<u8>>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(expected), "{what}: other files");
    let differing = found.iter().find(|(name, bytes)| expected[*name] != **bytes);
    assert!(differing.is_none(), "{what}: {:?} differs", differing.map(|(name, _)| name));
}

#[test]
fn killed_at_every_step_the_output_is_the_same() {
    let Fixture { job, expected } = fixture();
    let points = job.fail_points();
    assert!(points.len() >= 12, "{points:?}");
    for point in &points {
        for nth in [1, 4] {
            let what = format!("{point}:{nth}");
            let data = job.fresh_data("killed");
            let killed = job.run(&data, Some(&what));
            if nth == 1 {
                assert_eq!(killed.status.signal(), Some(9), "{what} is never reached");
            }
            let run = job.run(&data, None);
            assert!(run.status.success(), "{what}: {}", String::from_utf8_lossy(&run.stderr));
            assert_same(&expected, &data, &what);
        }
    }
}

#[test]
fn killed_again_and_again_the_output_is_the_same() {
    let Fixture { job, expected } = fixture();
    let data = job.fresh_data("again");
    let points = job.fail_points();
    let mut kills = 0;
    for point in points.iter().cycle().take(3 * points.len()) {
        // Twice, so that each life commits something.
        let run = job.run(&data, Some(&format!("{point}:2")));
        if run.status.success() {
            break;
        }
        assert_eq!(run.status.signal(), Some(9), "{point}: {}", String::from_utf8_lossy(&run.stderr));
        kills += 1;
    }
    assert!(kills > 5, "only {kills} kills");
    let run = job.run(&data, None);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_same(&expected, &data, "killed again and again");
}

#[test]
fn a_lost_state_is_restored_and_run_again() {
    let Fixture { job, expected } = fixture();
    for point in ["engine.epoch.prepared:7", "engine.epoch.logged:7", "engine.epoch.committed:7"] {
        let data = job.fresh_data("lost");
        assert_eq!(job.run(&data, Some(point)).status.signal(), Some(9));
        fs::remove_dir_all(data.join("state")).unwrap();
        let run = job.run(&data, None);
        assert!(run.status.success(), "{point}: {}", String::from_utf8_lossy(&run.stderr));
        assert_same(&expected, &data, point);
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_none_is_an_error() {
    let Fixture { job, expected } = fixture();
    let data = job.fresh_data("damaged");
    assert_eq!(job.run(&data, Some("engine.epoch.finalised:7")).status.signal(), Some(9));
    fs::remove_dir_all(data.join("state")).unwrap();
    let manifests = job.manifests(&data);
    assert!(manifests.len() >= 2, "{manifests:?}");

    let newest = manifests.last().unwrap();
    let sound = fs::read(newest).unwrap();
    fs::write(newest, &sound[..sound.len() / 2]).unwrap();
    let run = job.run(&data, None);
    let log = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "{log}");
    assert!(log.contains("checkpoint"), "the damage is reported: {log}");
    assert_same(&expected, &data, "the newest checkpoint is damaged");

    fs::remove_dir_all(data.join("state")).unwrap();
    for manifest in job.manifests(&data) {
        fs::write(manifest, b"rubbish").unwrap();
    }
    let run = job.run(&data, None);
    assert_eq!(run.status.code(), Some(1));
    let log = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(log.contains("checkpoint"), "it says what is wrong: {log}");
    assert_same(&expected, &data, "nothing was touched");
}

#[test]
fn a_finished_run_has_nothing_to_do() {
    let Fixture { job, expected } = fixture();
    let data = job.fresh_data("twice");
    assert!(job.run(&data, None).status.success());
    let again = job.run(&data, None);
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert_same(&expected, &data, "run twice");
}
