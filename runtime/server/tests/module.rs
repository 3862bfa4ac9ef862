//! `tidemark module inspect`.

mod support;

use support::{text, tidemark, workspace};

#[test]
fn a_refused_module_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: [(&str, &[u8], &str); 3] = [
        ("core.wasm", b"\0asm\x01\0\0\0", "core WebAssembly module, not a component"),
        ("elf.wasm", b"\x7fELF\x02\x01\x01\0", "compiled native code"),
        ("text.wasm", b"hello", "not a WebAssembly component"),
    ];
    for (name, bytes, reason) in cases {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).expect("written");
        let run = tidemark(&["module", "inspect", text(&file)]);
        assert_eq!(run.code, Some(1), "{run:#?}");
        assert!(run.stderr.contains(reason), "{run:#?}");
    }
    let missing = tidemark(&["module", "inspect", text(&folder.path().join("none.wasm"))]);
    assert_eq!(missing.code, Some(2), "{missing:#?}");
}

#[test]
fn a_metric_is_described_for_people() {
    let module = workspace().join("target/metrics/jitter-coefficient.wasm");
    if !module.exists() {
        eprintln!("SKIPPED: {} is not built; `cargo xtask metrics` builds it", module.display());
        return;
    }
    let run = tidemark(&["module", "inspect", text(&module)]).fine();
    for part in ["sha256:", "imports   none", "metric    jitter-coefficient", "window    tumbling", "jitter "] {
        assert!(run.stdout.contains(part), "{part} in {run:#?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let module = support::job::metrics_folder().join("jitter-coefficient.wasm");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut inspect = std::process::Command::new(env!("CARGO_BIN_EXE_tidemark"));
    let output = inspect.args(["module", "inspect", text(&module)]).stdout(writer).output().expect("it starts");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}
