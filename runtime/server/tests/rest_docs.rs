//! The examples of docs/rest-api.md, as they stand there, against a running job.

mod support;

use std::fs;
use std::process::Command;
use support::job::metrics_folder;
use support::service::{Service, configure};
use support::{text, tidemark, workspace};

/// The shell blocks of a document.
fn blocks(document: &str) -> Vec<&str> {
    let parts = document.split("```sh\n").skip(1);
    parts.map(|part| part.split("```").next().expect("a block ends")).collect()
}

#[test]
fn every_example_runs() {
    if Command::new("curl").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "curl is missing: run `cargo xtask setup`");
        eprintln!("not run: every_example_runs (curl is missing)");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("events.ndjson");
    tidemark(&["generate", "--events", "20000", "--streams", "20", "--seed", "7", "--out", text(&input)]).fine();
    let settings = format!(
        "[source]\nkind = \"file\"\npath = \"{}\"\nfollow = true\n[data]\ndir = \"{}\"\n[epoch]\ninterval_ms = 20\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[[metric]]\nname = \"jitter-coefficient\"\n\
         module = \"{}/jitter-coefficient.wasm\"\n",
        input.display(),
        folder.path().join("data").display(),
        metrics_folder().display()
    );
    let config = configure(folder.path(), &settings);
    let service = Service::start(&["run", &config], &[]);
    service.until("/api/v1/metrics/jitter-coefficient/rows?limit=1", |page| page["rows"][0].is_object());
    let document = fs::read_to_string(workspace().join("docs/rest-api.md")).expect("the document");
    let blocks = blocks(&document);
    assert!(blocks.len() > 8, "{}", blocks.len());
    for block in blocks {
        let output = Command::new("sh")
            .args(["-eu", "-c", block])
            .current_dir(folder.path())
            .env("TIDEMARK", format!("http://{}", service.address))
            .env("TOKEN", "any")
            .output()
            .expect("sh starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{block}\n{said}\n{}", String::from_utf8_lossy(&output.stdout));
    }
}
