//! A job of the real binary on generated events, small enough to be run hundreds of times.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

pub const TIDEMARK: &str = env!("CARGO_BIN_EXE_tidemark");

/// Input, configuration and compiled modules, in a folder that goes with it.
pub struct Job {
    folder: TempDir,
}

/// Where `cargo xtask metrics` puts modules.
pub fn metrics_folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/metrics");
    let module = folder.join("jitter-coefficient.wasm");
    assert!(module.exists(), "{} is missing: run `cargo xtask metrics` first", module.display());
    folder.canonicalize().expect("it exists")
}

impl Job {
    /// 20,000 events in two partitions, with everything that the generator can do wrong.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let input = folder.path().join("input");
        fs::create_dir(&input).expect("a folder");
        for seed in ["1", "2"] {
            let file = input.join(format!("{seed}.ndjson"));
            let output = Command::new(TIDEMARK)
                .args(["generate", "--events", "10000", "--streams", "40", "--seed", seed, "--out"])
                .arg(file)
                .output()
                .expect("starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let metrics = metrics_folder();
        let metric =
            |name: &str| format!("[[metric]]\nname = \"{name}\"\nmodule = \"{}/{name}.wasm\"\n", metrics.display());
        let names = ["prompt-to-first-frame", "startup-latency", "startup-outcome", "jitter-coefficient", "sla-score"];
        let config = format!(
            "[source]\nkind = \"file\"\npath = \"{}\"\n[watermark]\nbound_ms = 40000\n[archive]\nenabled = true\n\
             [tick]\nrecords = 500\n[epoch]\nrecords = 2000\n[checkpoint]\nevery = 2\n\
             [sink.parquet]\nbuffer_bytes = 750000\ncompaction = {{ files = 3, target_bytes = 10000000 }}\n{}",
            input.display(),
            names.map(metric).concat()
        );
        fs::write(folder.path().join("tidemark.toml"), config).expect("writes");
        Self { folder }
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("tidemark.toml")
    }

    /// An empty data folder.
    pub fn fresh_data(&self, name: &str) -> PathBuf {
        let data = self.folder.path().join(name);
        let _ = fs::remove_dir_all(&data);
        fs::create_dir(&data).expect("a folder");
        data
    }

    /// Runs the job on `data`, to be killed at a fail point where one is given.
    pub fn run(&self, data: &Path, kill_at: Option<&str>) -> Output {
        let mut command = Command::new(TIDEMARK);
        command.arg("run").arg(self.folder.path().join("tidemark.toml")).arg("--data").arg(data);
        command.env_remove("TIDEMARK_KILL_AT");
        if let Some(kill_at) = kill_at {
            command.env("TIDEMARK_KILL_AT", kill_at);
        }
        command.output().expect("starts")
    }

    /// Every fail point that this job comes to: it has no store but files.
    pub fn fail_points(&self) -> Vec<String> {
        let elsewhere = ["clickhouse.", "engine.change.", "kafka.", "savepoint.", "sink.upload."];
        let is_elsewhere = |point: &String| elsewhere.iter().any(|start| point.starts_with(start));
        fail_points().into_iter().filter(|point| !is_elsewhere(point)).collect()
    }

    /// Manifests of the checkpoints in `data`, oldest first.
    pub fn manifests(&self, data: &Path) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = tree(&data.join("checkpoints"))
            .into_iter()
            .filter(|path| path.to_string_lossy().ends_with(".json"))
            .collect();
        found.sort();
        found
    }
}

/// Every fail point that the binary knows.
pub fn fail_points() -> Vec<String> {
    let output = Command::new(TIDEMARK).arg("fail-points").output().expect("starts");
    String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
}

/// Everything below `<data>/output`, by relative path.
pub fn output_tree(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    tree_of(&data.join("output"))
}

/// Everything below `root`, by relative path.
pub fn tree_of(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = tree(root).into_iter();
    files
        .map(|path| {
            let bytes = fs::read(&path).expect("reads");
            (path.strip_prefix(root).expect("below").to_owned(), bytes)
        })
        .collect()
}

fn tree(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("reads").path();
        if path.is_dir() { files.extend(tree(&path)) } else { files.push(path) }
    }
    files
}
