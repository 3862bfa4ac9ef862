//! Compiled code that was kept: used when it is whole, never when it is not.

use crate::handmade::Handmade;
use crate::support::{batch, evil_bytes, honest_state, tight};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tidemark_engine::guest::GuestFactory;
use tidemark_wasm_host::{Host, HostSettings, Module};

fn host(folder: &Path) -> Host {
    let settings = HostSettings { cache: Some(folder.to_owned()), instances: 4, ..HostSettings::default() };
    Host::new(settings).expect("the folder is sound")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("readable").path()).collect();
    entries.sort();
    entries
}

fn works(module: &Module) {
    let factory = module.factory(r#"{ "attack": "none" }"#, tight()).expect("honest");
    let folded = factory.instantiate().expect("again").update(&batch(&["a"])).expect("honest");
    assert!(folded.failures.is_empty());
    assert_eq!(folded.states.get(0), honest_state(0, 3));
}

struct Kept {
    _parent: TempDir,
    folder: PathBuf,
    entry: PathBuf,
}

fn kept() -> Kept {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let folder = parent.path().join("compiled");
    works(&host(&folder).load(&evil_bytes()).expect("sound"));
    let [entry] = entries(&folder).try_into().expect("one module, one entry");
    Kept { _parent: parent, folder, entry }
}

#[test]
fn an_entry_is_private_and_used_again() {
    let Kept { _parent, folder, entry } = kept();
    assert_eq!(fs::metadata(&folder).expect("there").permissions().mode() & 0o777, 0o700);
    let before = fs::metadata(&entry).expect("there");
    assert_eq!(before.permissions().mode() & 0o777, 0o600);
    works(&host(&folder).load(&evil_bytes()).expect("sound"));
    // A compilation would have put another file in its place.
    assert_eq!(fs::metadata(&entry).expect("there").ino(), before.ino());
}

#[test]
fn a_damaged_entry_is_compiled_again() {
    let Kept { _parent, folder, entry } = kept();
    let whole = fs::read(&entry).expect("there");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let damages: [Vec<u8>; 5] =
        [flipped, whole[..whole.len() - 1].into(), whole[..20].into(), Vec::new(), [&whole[..], b"\0"].concat()];
    for damaged in damages {
        fs::write(&entry, &damaged).expect("writable");
        let inode = fs::metadata(&entry).expect("there").ino();
        works(&host(&folder).load(&evil_bytes()).expect("sound"));
        assert_ne!(fs::read(&entry).expect("there"), damaged, "{} bytes", damaged.len());
        assert_ne!(fs::metadata(&entry).expect("there").ino(), inode);
        assert_eq!(entries(&folder), std::slice::from_ref(&entry));
    }
}

#[test]
fn an_entry_under_another_name_is_not_used() {
    let Kept { _parent, folder, entry } = kept();
    let other = Handmade::default().component();
    host(&folder).load(&other).expect("sound");
    let [second] =
        entries(&folder).into_iter().filter(|path| *path != entry).collect::<Vec<_>>().try_into().expect("two");
    fs::copy(&second, &entry).expect("writable");
    let module = host(&folder).load(&evil_bytes()).expect("sound");
    assert_eq!(module.descriptor().name, "evil");
    works(&module);
}

#[test]
fn the_folder_is_trimmed_to_its_limit() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let folder = parent.path().join("compiled");
    let settings =
        HostSettings { cache: Some(folder.clone()), cache_bytes: 1, instances: 2, ..HostSettings::default() };
    let host = Host::new(settings).expect("sound");
    host.load(&Handmade::default().component()).expect("sound");
    let first = entries(&folder);
    host.load(&evil_bytes()).expect("sound");
    let second = entries(&folder);
    assert_eq!((first.len(), second.len()), (1, 1), "the newest stays, whatever its size");
    assert_ne!(first, second);
}

#[test]
fn a_folder_that_others_can_enter_is_refused() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let open = parent.path().join("open");
    fs::DirBuilder::new().mode(0o755).create(&open).expect("writable");
    let error = Host::new(HostSettings { cache: Some(open), ..HostSettings::default() }).err().expect("open");
    assert!(error.to_string().contains("chmod 700"), "{error}");
}
