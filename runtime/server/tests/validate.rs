//! `tidemark validate`: every mistake in one report, and nothing started or left behind.

mod support;

use support::{text, tidemark, tidemark_in};

const TEN_MISTAKES: &str = r#"# Ten mistakes, one of them in the module's path.
[job]
name = "Ten"
key_gruops = 64
[source]
kind = "file"
path = "events.ndjson"
follow = "yes"
[watermark]
bound_ms = -1
[tick]
records = 0
[cleanse]
unknown_types = "drop"
[[metric]]
name = "jitter"
module = "missing.wasm"
window = { kind = "tumbling" }
[http]
listen = "0.0.0.0:9464"
[sink.parquet]
zstd_level = 99
"#;

#[test]
fn ten_mistakes_are_ten_lines_of_one_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("job.toml");
    std::fs::write(&config, TEN_MISTAKES).expect("written");
    let run = tidemark_in(folder.path(), &["validate", "job.toml"]);
    assert_eq!(run.code, Some(2), "{run:#?}");
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines[0], "error: the configuration has 10 mistakes", "{run:#?}");
    let places: Vec<&str> = lines[1..].iter().map(|line| line.trim_start()).collect();
    let expected = [
        "job.toml:3:1: job.name: ",
        "job.toml:4:1: job.key_gruops: unknown field; did you mean `key_groups`?",
        "job.toml:8:1: source.follow: must be true or false",
        "job.toml:10:1: watermark.bound_ms: ",
        "job.toml:12:1: tick.records: ",
        "job.toml:14:1: cleanse.unknown_types: ",
        "job.toml:17:1: metric[0].module: cannot read ",
        "job.toml:18:1: metric[0].window.size_ms: missing",
        "job.toml:20:1: http.listen: ",
        "job.toml:22:1: sink.parquet.zstd_level: ",
    ];
    assert_eq!(places.len(), expected.len(), "{run:#?}");
    for (line, expected) in places.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\nshould start with\n{expected}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("readable").collect();
    assert_eq!(left.len(), 1, "nothing but the configuration may be there: {left:?}");
}

#[test]
fn a_missing_file_and_a_folder_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = tidemark(&["validate", text(&folder.path().join("none.toml"))]);
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("cannot read the file"), "{missing:#?}");
    let directory = tidemark(&["validate", text(folder.path())]);
    assert_eq!(directory.code, Some(2));
    assert!(directory.stderr.contains("not a file"), "{directory:#?}");
}

#[test]
fn files_that_are_no_text_are_refused_with_the_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("job.toml");
    std::fs::write(&config, b"[job]\nname = \"\xff\"\n").expect("written");
    let run = tidemark(&["validate", text(&config)]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("not UTF-8") && run.stderr.contains("line 2"), "{run:#?}");
}

#[test]
fn a_sound_configuration_is_described() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("job.toml");
    std::fs::write(&config, "[job]\nname = \"archive\"\n[source]\nkind = \"stdin\"\n").expect("written");
    let run = tidemark_in(folder.path(), &["validate", "job.toml"]).fine();
    assert!(run.stdout.contains("job.toml is valid"), "{run:#?}");
    assert!(run.stdout.contains("standard input"), "{run:#?}");
    assert!(!folder.path().join("data").exists(), "validate must create nothing");
}

#[test]
fn usage_mistakes_exit_with_two() {
    for arguments in [&["no-such-command"][..], &["validate"], &["sql"], &["sql", "--format", "xml", "SELECT 1"]] {
        assert_eq!(tidemark(arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn the_shipped_configurations_are_valid() {
    support::job::metrics_folder();
    for name in ["tidemark.toml", "kafka.toml", "nodes.toml"] {
        let config = support::workspace().join("examples/livepeer").join(name);
        let run = tidemark(&["validate", text(&config)]).fine();
        assert!(run.stdout.contains("is valid"), "{run:#?}");
    }
}
