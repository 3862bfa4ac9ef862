//! Lineage of the real binary: what it tells of a run, to files and to endpoints that are there, slow or away.

#[path = "../support/mod.rs"]
mod support;

mod endpoint;

use endpoint::Endpoint;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use support::job::metrics_folder;
use support::{Run, text, tidemark, tidemark_in, workspace};
use test_tools::{Background, Tools};

/// How long anything may take, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder with a job over generated events, whose lineage goes to `url`.
fn job(url: &str, more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let events = folder.path().join("events.ndjson");
    tidemark(&["generate", "--events", "5000", "--streams", "20", "--out", text(&events)]).fine();
    let modules = metrics_folder();
    let names = ["prompt-to-first-frame", "startup-latency", "jitter-coefficient", "sla-score", "payments"];
    let metrics =
        names.map(|name| format!("[[metric]]\nname = \"{name}\"\nmodule = \"{}/{name}.wasm\"\n", modules.display()));
    let config = format!(
        "[job]\nname = \"livepeer\"\n[source]\nkind = \"file\"\npath = \"{}\"\n[lineage]\nurl = \"{url}\"\n\
         namespace = \"test\"\n{more}\n{}",
        events.display(),
        metrics.concat()
    );
    fs::write(folder.path().join("job.toml"), config).expect("written");
    folder
}

/// A folder for lineage, and the URL of a file in it.
fn file() -> (tempfile::TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lineage.ndjson");
    let url = format!("file://{}", path.display());
    (folder, path, url)
}

fn events(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["eventType"].as_str().expect("a kind")).collect()
}

#[test]
fn a_run_tells_its_start_its_end_and_where_columns_come_from() {
    let (_keep, path, url) = file();
    let folder = job(&url, "");
    tidemark_in(folder.path(), &["run", "job.toml"]).fine();
    let told = events(&path);
    assert_eq!(kinds(&told), ["START", "COMPLETE"]);
    let (start, end) = (&told[0], &told[1]);
    assert_eq!(start["run"]["runId"], end["run"]["runId"]);
    assert_eq!(start["job"]["namespace"], "test");
    assert_eq!(start["job"]["name"], "livepeer");
    assert_eq!(start["job"]["facets"]["jobType"]["processingType"], "BATCH");
    assert_eq!(end["run"]["facets"]["tidemark_progress"]["records"], 5_000);

    // What is read, by the naming rules of OpenLineage.
    let source = &end["inputs"][0];
    let events_file = folder.path().join("events.ndjson");
    assert_eq!((source["namespace"].as_str(), source["name"].as_str()), (Some("file"), events_file.to_str()));
    let fields = |dataset: &Value| -> BTreeSet<String> {
        let fields = dataset["facets"]["schema"]["fields"].as_array().expect("fields").iter();
        fields.map(|field| field["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert!(fields(source).contains("data.inference_status.fps"), "{source:#}");

    // What is written.
    let output = |name: &str| -> &Value {
        let end = format!("metric={name}");
        let found = |dataset: &&Value| dataset["name"].as_str().is_some_and(|name| name.ends_with(&end));
        told[1]["outputs"].as_array().expect("outputs").iter().find(found).expect(name)
    };
    let jitter = output("jitter-coefficient");
    assert!(fields(jitter).is_superset(&["key", "jitter", "row_id"].map(str::to_owned).into()));
    let rows = jitter["outputFacets"]["outputStatistics"]["rowCount"].as_u64().expect("a count");
    let counted =
        tidemark_in(folder.path(), &["sql", "--format", "csv", "SELECT count(*) AS n FROM jitter_coefficient"]);
    assert_eq!(counted.fine().stdout.lines().nth(1), Some(rows.to_string().as_str()));

    let origins = |dataset: &Value, column: &str| -> BTreeSet<(String, String, String)> {
        let list = dataset["facets"]["columnLineage"]["fields"][column]["inputFields"].as_array().expect(column).iter();
        list.map(|origin| {
            let word = |name: &str| origin[name].as_str().expect(name).to_owned();
            let how = origin["transformations"][0]["subtype"].as_str().expect("how").to_owned();
            (word("name").rsplit('/').next().unwrap_or_default().to_owned(), word("field"), how)
        })
        .collect()
    };
    let of_events = |field: &str, how: &str| ("events.ndjson".to_owned(), field.to_owned(), how.to_owned());
    assert!(origins(jitter, "jitter").contains(&of_events("data.inference_status.fps", "AGGREGATION")));
    assert_eq!(origins(jitter, "key"), [of_events("data.stream_id", "IDENTITY")].into());
    let whole = jitter["facets"]["columnLineage"]["dataset"].to_string();
    for word in ["FILTER", "GROUP_BY", "WINDOW", "data.timestamp"] {
        assert!(whole.contains(word), "{word} in {whole}");
    }

    // A metric that reads others comes from their rows, and not from events.
    let score = origins(output("sla-score"), "score");
    assert!(score.contains(&("metric=jitter-coefficient".to_owned(), "mean_fps".to_owned(), "AGGREGATION".to_owned())));
    assert!(score.iter().all(|(dataset, ..)| dataset.starts_with("metric=")), "{score:?}");
    check("server::lineage", &told);
}

#[test]
fn a_run_that_fails_says_why() {
    let (_keep, path, url) = file();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("an address");
    let folder = job(&url, &format!("[http]\nlisten = \"{listen}\""));
    let config = fs::read_to_string(folder.path().join("job.toml")).expect("written");
    // A source that never ends needs somebody who can watch it.
    let live = config.replace("kind = \"file\"", "kind = \"generate\"\npaced_per_second = 10\n#");
    let live: String =
        live.lines().filter(|line| !line.starts_with("path = ")).map(|line| format!("{line}\n")).collect();
    fs::write(folder.path().join("job.toml"), live).expect("written");
    let run = tidemark_in(folder.path(), &["run", "job.toml"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    let told = events(&path);
    assert_eq!(kinds(&told), ["START", "FAIL"]);
    let message = told[1]["run"]["facets"]["errorMessage"]["message"].as_str().expect("a message");
    assert!(message.contains("cannot listen for HTTP"), "{message}");
    assert_eq!(told[0]["job"]["facets"]["jobType"]["processingType"], "STREAMING");
    check("server::lineage", &told);
}

#[test]
fn a_run_that_goes_on_tells_so() {
    let (_keep, path, url) = file();
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!(
        "[source]\nkind = \"generate\"\npaced_per_second = 500\n[epoch]\ninterval_ms = 100\n\
         [lineage]\nurl = \"{url}\"\ninterval_s = 1\n"
    );
    fs::write(folder.path().join("job.toml"), config).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemark"));
    command.args(["run", "job.toml"]).current_dir(folder.path()).env_remove("TIDEMARK_KILL_AT");
    let running = Background::start(&command, &folder.path().join("log"));
    let deadline = Instant::now() + PATIENCE;
    let far = |event: &Value| event["run"]["facets"]["tidemark_progress"]["epoch"].as_i64().unwrap_or(0);
    while !events(&path).iter().any(|event| event["eventType"] == "RUNNING" && far(event) > 0) {
        assert!(Instant::now() < deadline && running.runs(), "{}", running.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(running.stop(PATIENCE));
    let told = events(&path);
    let kinds = kinds(&told);
    assert_eq!((kinds[0], kinds[1], *kinds.last().expect("some")), ("START", "RUNNING", "COMPLETE"));
    check("server::lineage", &told);
}

#[test]
fn an_endpoint_that_comes_back_gets_every_event() {
    let endpoint = Endpoint::start(2);
    let folder = job(&endpoint.url(), "token_env = \"LINEAGE_TOKEN\"");
    let run = with_token(folder.path(), "a-token-of-some-length");
    assert_eq!(run.code, Some(0), "{run:#?}");
    let taken = endpoint.taken();
    let bodies: Vec<Value> = taken.iter().map(|request| serde_json::from_str(&request.body).expect("JSON")).collect();
    assert_eq!(kinds(&bodies), ["START", "COMPLETE"]);
    for request in &taken {
        assert!(request.head.starts_with("POST /api/v1/lineage "), "{}", request.head);
        let head = request.head.to_ascii_lowercase();
        assert!(head.contains("content-type: application/json") && head.contains("bearer a-token-of-some-length"));
    }
    assert!(!run.stderr.contains("a-token-of-some-length"));
    check("server::lineage", &bodies);
}

#[test]
fn an_endpoint_that_is_away_costs_nothing_but_a_warning() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let folder = job(&format!("http://{}/api/v1/lineage", nobody.expect("a port")), "");
    let run = tidemark_in(folder.path(), &["run", "job.toml"]).fine();
    assert!(run.stderr.contains("lineage"), "{run:#?}");
    let rows = tidemark_in(folder.path(), &["sql", "SELECT count(*) FROM jitter_coefficient"]).fine();
    assert!(!rows.stdout.contains(" 0 "), "{rows:#?}");
}

#[test]
fn an_endpoint_that_never_answers_does_not_hold_the_end_of_a_run() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let folder = job(&format!("http://{}/x", silent.local_addr().expect("an address")), "");
    let run = tidemark_in(folder.path(), &["run", "job.toml"]).fine();
    assert!(run.stderr.contains("were not taken in time"), "{run:#?}");
}

fn with_token(folder: &Path, token: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemark"));
    command.args(["run", "job.toml"]).current_dir(folder).env("LINEAGE_TOKEN", token).env_remove("TIDEMARK_KILL_AT");
    let output = command.output().expect("the binary starts");
    Run::from(output)
}

/// Holds events against our own schema, and against the specification's own where it is at hand.
fn check(test: &str, told: &[Value]) {
    let Some(tools) = Tools::find(test) else { return };
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lineage/run-event.schema.json");
    let specification = specification();
    if specification.is_none() {
        // Past the test harness. A report that cannot be written changes nothing.
        let _ = std::io::Write::write_all(
            &mut std::io::stdout(),
            b"not run: lineage against the specification's own schema: it is not in TIDEMARK_TEST_OPENLINEAGE or \
              ../shared/data/openlineage\n",
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let document = folder.path().join("event.json");
    for event in told {
        fs::write(&document, event.to_string()).expect("written");
        let mistakes = tools.schema_mistakes(&document, &own, &[]);
        assert!(mistakes.is_empty(), "{event:#}\n{mistakes:#?}");
        if let Some(specification) = &specification {
            against_specification(&tools, event, folder.path(), specification);
        }
    }
}

/// The folder of the specification's schemas.
fn specification() -> Option<PathBuf> {
    let named = std::env::var_os("TIDEMARK_TEST_OPENLINEAGE").map(PathBuf::from);
    let shared = workspace().join("../shared/data/openlineage");
    [named, Some(shared)].into_iter().flatten().find(|folder| folder.join("OpenLineage.json").is_file())
}

/// The event by the schema of run events, and each facet by the schema that it names.
fn against_specification(tools: &Tools, event: &Value, folder: &Path, specification: &Path) {
    let schemas: Vec<PathBuf> = fs::read_dir(specification)
        .expect("it exists")
        .map(|entry| entry.expect("reads").path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    let mut named: Vec<(String, Value)> = vec![(event["schemaURL"].as_str().expect("a URL").to_owned(), event.clone())];
    facets(event, &mut named);
    let (document, schema) = (folder.join("part.json"), folder.join("ref.json"));
    for (url, part) in named {
        fs::write(&document, part.to_string()).expect("written");
        fs::write(&schema, serde_json::json!({"$id": "urn:test", "$ref": url}).to_string()).expect("written");
        let mistakes = tools.schema_mistakes(&document, &schema, &schemas);
        assert!(mistakes.is_empty(), "{url}\n{part:#}\n{mistakes:#?}");
    }
}

/// Every facet with the schema that it names.
fn facets(value: &Value, found: &mut Vec<(String, Value)>) {
    if let Some(url) = value["_schemaURL"].as_str() {
        found.push((url.to_owned(), value.clone()));
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|field| facets(field, found)),
        Value::Array(items) => items.iter().for_each(|item| facets(item, found)),
        _ => {}
    }
}
