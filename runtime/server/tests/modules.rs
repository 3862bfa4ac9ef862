//! Modules and metrics of a running job, over HTTP: what is refused and why, shadows and their difference, promotion,
//! roll-back, pauses.

mod support;

use serde_json::{Value, json};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;
use support::job::metrics_folder;
use support::live::{LONG, Running, disguised, free_address, request, sql};
use support::tidemark;

/// The time of the first event: 2026-01-01.
const START: i64 = 1_767_225_600_000;

/// Events of ten keys, one a ms of event time, to a file that a job follows.
struct Events {
    file: File,
    time: i64,
}

impl Events {
    fn write(&mut self, count: i64) {
        let mut text = String::new();
        for number in self.time..self.time + count {
            let (key, swaps) = (number % 10, number % 3);
            text += &format!(
                "{{\"id\":\"{number}\",\"type\":\"request\",\"timestamp\":\"{number}\",\"data\":{{\"orchestrator\":\"o-{key}\",\"swaps\":{swaps}}}}}\n"
            );
        }
        self.file.write_all(text.as_bytes()).expect("written");
        self.time += count;
    }
}

fn start(folder: &Path, extra: &str) -> (Running, Events) {
    let (config, address) = (folder.join("job.toml"), free_address());
    let input = folder.join("input");
    std::fs::create_dir(&input).expect("a folder");
    let mut events = Events { file: File::create(input.join("events.ndjson")).expect("a file"), time: START };
    events.write(1_000);
    let module = metrics_folder().join("swap-rate.wasm");
    let text = format!(
        "[data]\ndir = \"{}\"\n[source]\nkind = \"file\"\npath = \"{}\"\nfollow = true\n[watermark]\nbound_ms = 10\n\
         [epoch]\ninterval_ms = 50\n[http]\nlisten = \"{address}\"\n[sink.parquet]\n{extra}\n\
         [[metric]]\nname = \"steady\"\nmodule = \"{}\"\nfilter = {{ type = [\"request\"] }}\n\
         window = {{ kind = \"tumbling\", size_ms = 100 }}\n",
        folder.join("data").display(),
        input.display(),
        module.display()
    );
    std::fs::write(&config, text).expect("written");
    (Running::start(&config, address, &[]), events)
}

fn original() -> Vec<u8> {
    std::fs::read(metrics_folder().join("swap-rate.wasm")).expect("a module")
}

fn settings(digest: &str, more: Value) -> Value {
    let mut settings = json!({
        "module": format!("sha256:{digest}"), "filter": { "type": ["request"] },
        "window": { "kind": "tumbling", "size_ms": 100 },
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    settings
}

/// Asks until the answer is as wanted.
fn wait(job: &Running, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let (status, answer) = job.ask("GET", path, &Value::Null).expect("an answer");
        if status == 200 && wanted(&answer) {
            return answer;
        }
        assert!(started.elapsed() < LONG, "{status} {answer}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn done(answer: Option<(u16, Value)>) -> Value {
    let (status, answer) = answer.expect("an answer");
    assert!((200..300).contains(&status), "{status} {answer}");
    answer
}

fn refused(answer: Option<(u16, Value)>, expected: u16, words: &str) {
    let (status, answer) = answer.expect("an answer");
    assert!(status == expected && answer.to_string().contains(words), "{status} {answer}, expected {expected} {words}");
}

#[test]
fn what_is_no_module_or_no_metric_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let (job, _events) = start(folder.path(), "");
    for (bytes, words) in [
        (b"\x7fELF and so on".as_slice(), "compiled native code"),
        (b"\0asm\x01\0\0\0", "core WebAssembly module"),
        (b"PK\x03\x04", "not a WebAssembly component"),
        (&original()[..10_000], "does not compile"),
    ] {
        let (status, answer) = request(job.address, "POST", "/api/v1/modules", "application/wasm", bytes).expect("one");
        assert_eq!(status, 202, "{answer}");
        let path = format!("/api/v1/modules/{}", answer["digest"].as_str().expect("a digest"));
        let answer = wait(&job, &path, |module| module["status"] != "checking");
        assert!(answer["status"] == "refused" && answer["reasons"].to_string().contains(words), "{answer}");
    }
    let digest = job.push(&original());
    let put = |name: &str, body: &Value| job.ask("PUT", &format!("/api/v1/metrics/{name}"), body);
    refused(put("new", &json!({ "modul": "x" })), 422, "did you mean `module`");
    refused(put("new", &json!({ "module": "my.wasm" })), 422, "push the file first");
    refused(put("new", &settings(&"0".repeat(64), json!({}))), 422, "there is no module");
    refused(put("No_Name", &settings(&digest, json!({}))), 422, "name");
    refused(put("new", &settings(&digest, json!({ "config": { "unknown": 1 } }))), 422, "nothing to configure");
    refused(put("new", &settings(&digest, json!({ "filter": { "type": ["metric.nowhere"] } }))), 422, "nowhere");
    refused(put("new", &settings(&digest, json!({ "filter": { "type": ["metric.new"] } }))), 422, "its own rows");
    refused(put("new", &settings(&digest, json!({ "sinks": ["console"] }))), 422, "turned off");
    refused(put("new", &json!([1])), 400, "");
    refused(job.ask("DELETE", "/api/v1/metrics/steady", &Value::Null), 409, "stands in the job's file");
    refused(job.ask("POST", "/api/v1/metrics/steady/rollback", &Value::Null), 409, "no earlier version");
    refused(job.ask("POST", "/api/v1/metrics/nowhere/pause", &Value::Null), 404, "there is no metric nowhere");
    // Nothing of it has changed the job.
    let list = done(job.ask("GET", "/api/v1/deployments", &Value::Null));
    assert_eq!(list["deployments"].as_array().map(Vec::len), Some(1), "{list}");
}

#[test]
fn a_candidate_is_compared_promoted_and_taken_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (job, mut events) = start(folder.path(), "");
    let [first, second, third] = [1, 2, 3].map(|mark| job.push(&disguised(&original(), mark)));
    done(job.ask("PUT", "/api/v1/metrics/live", &settings(&first, json!({}))));
    // The same, in other bytes.
    done(job.ask("PUT", "/api/v1/metrics/live/shadow", &settings(&second, json!({}))));
    events.write(2_000);
    let diff = wait(&job, "/api/v1/metrics/live/shadow/diff", |diff| diff["equal"].as_u64() >= Some(100));
    for none in ["changed", "only_live", "only_shadow"] {
        assert_eq!(diff[none], json!(0), "{diff}");
    }
    // Another one, that counts fewer.
    let fewer = json!({ "filter": { "type": ["request"], "data.swaps": ["0", "1"] } });
    done(job.ask("PUT", "/api/v1/metrics/live/shadow", &settings(&third, fewer)));
    events.write(2_000);
    let diff = wait(&job, "/api/v1/metrics/live/shadow/diff", |diff| diff["changed"].as_u64() >= Some(100));
    let requested = diff["columns"].as_array().into_iter().flatten().find(|column| column["name"] == "requested");
    let largest = requested.and_then(|column| column["largest"].as_f64());
    assert!(largest.is_some_and(|largest| (3.0..=4.0).contains(&largest)), "a third of ten rows: {diff}");

    let module = |job: &Running| {
        let shown = done(job.ask("GET", "/api/v1/deployments/live", &Value::Null));
        shown["module"].as_str().expect("a digest").to_owned()
    };
    assert_eq!(module(&job), first);
    done(job.ask("POST", "/api/v1/metrics/live/shadow/promote", &Value::Null));
    assert_eq!(module(&job), third);
    refused(job.ask("GET", "/api/v1/metrics/live/shadow/diff", &Value::Null), 404, "live-shadow");
    done(job.ask("POST", "/api/v1/metrics/live/rollback", &Value::Null));
    assert_eq!(module(&job), first);

    // Modules that are needed stay.
    refused(job.ask("DELETE", &format!("/api/v1/modules/{first}"), &Value::Null), 409, "undeploy its metrics first");
    refused(job.ask("DELETE", &format!("/api/v1/modules/{third}"), &Value::Null), 409, "rolled back to");
    done(job.ask("POST", "/api/v1/metrics/live/pause", &Value::Null));
    assert_eq!(done(job.ask("GET", "/api/v1/deployments/live", &Value::Null))["paused"], json!(true));
    done(job.ask("POST", "/api/v1/metrics/live/resume", &Value::Null));
    done(job.ask("DELETE", "/api/v1/metrics/live", &Value::Null));
    done(job.ask("DELETE", &format!("/api/v1/modules/{first}"), &Value::Null));
    refused(job.ask("GET", &format!("/api/v1/modules/{first}"), &Value::Null), 404, "there is no module");
    // How long each change held processing up is told.
    let metrics = job.ask("GET", "/metrics", &Value::Null).expect("an answer").1;
    assert!(metrics.to_string().contains("tidemark_metric_change_max_seconds"), "{metrics}");
}

/// The newest row of each window.
fn newest(data: &Path, metric: &str) -> Vec<Value> {
    let rows = format!("SELECT *, row_number() OVER (PARTITION BY row_id ORDER BY epoch DESC) AS place FROM {metric}");
    sql(
        data,
        &format!(
            "SELECT key, CAST(window_start AS BIGINT) AS start, requested, swapped FROM ({rows}) WHERE place = 1 \
             ORDER BY start, key"
        ),
    )
}

/// Waits until every window has its row that can be closed when events up to `time` have come.
fn wait_until_seen(job: &Running, data: &Path, time: i64) {
    let seen = (time - 1_100) / 100 * 100 - 100;
    wait(job, "/api/v1/metrics/steady/rows?limit=1&order=desc", |_| {
        newest(data, "steady").last().is_some_and(|row| row["start"].as_i64() >= Some(seen))
    });
}

/// Waits until two metrics have the same rows, and at least so many.
fn wait_until_equal(data: &Path, least: usize) {
    let started = Instant::now();
    loop {
        let (steady, other) = (newest(data, "steady"), newest(data, "other"));
        if steady == other && other.len() >= least {
            return;
        }
        let different = steady.iter().zip(&other).find(|(one, other)| one != other);
        assert!(started.elapsed() < LONG, "{} rows and {}: {different:?}", steady.len(), other.len());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// A metric that begins with the past, and one that is rolled back as if nothing had been, have the rows of one that was
/// always there, though the process dies on the way.
#[test]
fn the_past_is_made_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let hot = test_clickhouse::shared("modules::the_past_is_made_good, with ClickHouse")
        .map(|server| (server.new_database(), server));
    // Without a checkpoint, every row can be derived again.
    let mut sections = "[checkpoint]\nevery = 1000000\n".to_owned();
    if let Some((database, server)) = &hot {
        let (password, rows) = (folder.path().join("password"), data.join("output"));
        std::fs::write(&password, &server.password).expect("written");
        sections += &format!(
            "[sink.clickhouse]\nurl = \"{}\"\ndatabase = \"{database}\"\nuser = \"{}\"\npassword_file = {password:?}\n\
             ttl_days = 0\n[sink.clickhouse.cold]\nurl = {rows:?}\n",
            server.url, server.user
        );
    }
    let (job, mut events) = start(folder.path(), &sections);
    let [first, second] = [1, 2].map(|mark| job.push(&disguised(&original(), mark)));
    for _ in 0..10 {
        events.write(500);
        wait_until_seen(&job, &data, events.time);
    }
    refused(
        job.ask("PUT", "/api/v1/metrics/other", &settings(&first, json!({ "backfill_from": "yesterday" }))),
        422,
        "is no moment",
    );
    done(job.ask("PUT", "/api/v1/metrics/other", &settings(&first, json!({ "backfill_from": START }))));
    let address = job.address;
    job.kill();
    let job = Running::start(&folder.path().join("job.toml"), address, &[]);
    events.write(1_000);
    wait(&job, "/api/v1/deployments/other", |metric| metric["stages"][0]["past_until"].is_null());
    wait_until_equal(&data, 500);

    let fewer = json!({ "filter": { "type": ["request"], "data.swaps": ["0", "1"] } });
    done(job.ask("PUT", "/api/v1/metrics/other", &settings(&second, fewer)));
    events.write(2_000);
    wait(&job, "/api/v1/deployments/other", |metric| metric["stages"].as_array().map(Vec::len) == Some(1));
    done(job.ask("POST", "/api/v1/metrics/other/rollback?replay=true", &Value::Null));
    let refuses = job.ask("POST", "/api/v1/metrics/steady/rollback?replay=true", &Value::Null);
    refused(refuses, 409, "no earlier version");
    events.write(1_000);
    wait_until_equal(&data, 800);
    // What comes from now on takes nobody's place, so roll-ups are stored again.
    wait(&job, "/api/v1/deployments/other", |metric| metric["stages"][0]["past_until"].is_null());
    events.write(500);
    wait_until_equal(&data, 850);
    if let Some((database, server)) = &hot {
        let engine =
            "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'other__5m_states'";
        let started = Instant::now();
        // The first rows behind the past may come in the epoch that ends it.
        while server.query(database, engine) != "AggregatingMergeTree" {
            assert!(started.elapsed() < LONG, "roll-ups are not stored again");
            events.write(100);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        wait_until_seen(&job, &data, events.time);
        wait_until_equal(&data, 850);
    }

    job.kill();
    if let Some((database, server)) = &hot {
        let ask = |query: &str| server.query(database, query);
        let windows = ask("SELECT count() FROM other FINAL");
        assert!(windows.parse::<u64>().is_ok_and(|count| count >= 800), "{windows}");
        for rows in
            ["SELECT sum(rows) FROM other__5m", "SELECT sum(rows) FROM other__1h", "SELECT count() FROM other__all"]
        {
            assert_eq!(ask(rows), windows, "{rows}");
        }
    }
    let config = folder.path().join("job.toml");
    let config = config.to_str().expect("UTF-8");
    for metric in ["steady", "other"] {
        let verified = tidemark(&["verify", config, "--metric", metric]).fine().stdout;
        let equal = verified.lines().find_map(|line| line.trim().strip_prefix("equal")?.trim().parse::<u64>().ok());
        assert!(equal >= Some(800), "{verified}");
        for none in ["different", "missing", "not derived", "not derivable"] {
            let count = verified.lines().find_map(|line| line.trim().strip_prefix(none)).map(str::trim);
            assert_eq!(count, Some("0"), "{none}: {verified}");
        }
    }
}

/// A statement is a metric like any other: deployed, changed, tried out beside the live one, and refused with the place of
/// what is wrong.
#[test]
fn statements_are_deployed_like_modules() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let (job, mut events) = start(folder.path(), "");
    let statement = |what: &str| {
        let grouped = "GROUP BY data.orchestrator, TUMBLE(event_time, INTERVAL '1' SECOND)";
        json!({ "kind": "sql", "sql": format!("SELECT COUNT(*) AS requested, {what}\nFROM events WHERE type = 'request'\n{grouped}"),
                "columns": { "swaps": "data.swaps" } })
    };
    let put = |path: &str, body: &Value| job.ask("PUT", &format!("/api/v1/metrics/{path}"), body);
    refused(put("counted", &statement("\n  SUM(swapped) AS swapped")), 422, "sql: line 2, column 7: ");
    refused(put("counted", &statement("SUM(swaps) AS swapped,")), 422, "sql: line 2, column ");
    let mut with_module = statement("SUM(swaps) AS swapped");
    with_module["module"] = json!("my.wasm");
    refused(put("counted", &with_module), 422, "the statement is all of the metric");
    refused(put("counted", &json!({ "kind": "sql", "sql": "SELECT COUNT(*) AS n FROM counted" })), 422, "counted");

    done(put("counted", &statement("SUM(swaps) AS swapped")));
    events.write(3_000);
    let rows = |least: usize| {
        let rows = wait(&job, "/api/v1/metrics/counted/rows?order=asc&limit=1000", |page| {
            page["rows"].as_array().is_some_and(|rows| rows.len() >= least)
        });
        rows["rows"].as_array().cloned().expect("rows")
    };
    // One event a ms in ten keys: a hundred of each key in each second.
    assert!(rows(20).iter().all(|row| row["requested"] == 100), "{:?}", rows(20));
    // Another version: its windows are the later ones.
    let mut changed = statement("SUM(swaps) AS swapped, MAX(swaps) AS most");
    changed["version"] = json!("2.0.0");
    done(put("counted", &changed));
    events.write(3_000);
    let later = rows(50);
    let newest: Vec<&Value> = later.iter().filter(|row| row["version"] == "2.0.0").collect();
    let is_whole = |row: &&Value| row["most"].as_f64() == Some(2.0) && row["requested"] == 100;
    assert!(!newest.is_empty() && newest.iter().all(is_whole), "{newest:?}");
    assert!(later.iter().filter(|row| row["version"] == "1.0.0").all(|row| row["most"].is_null()));
    // What reads its rows is told apart from what does not exist; a shadow becomes the live one under its name.
    done(put("steps", &json!({ "kind": "sql", "sql": "SELECT requested FROM counted" })));
    done(put("counted/shadow", &statement("SUM(swaps) AS swapped, MAX(swaps) AS most")));
    done(job.ask("POST", "/api/v1/metrics/counted/shadow/promote", &Value::Null));
    let shown = done(job.ask("GET", "/api/v1/deployments/counted", &Value::Null));
    assert_eq!(shown["settings"]["statement"]["definition"]["name"], "counted", "{shown}");

    // It is there after a death, without a file that it stands in.
    let address = job.address;
    job.kill();
    let job = Running::start(&folder.path().join("job.toml"), address, &[]);
    let shown = done(job.ask("GET", "/api/v1/deployments/steps", &Value::Null));
    assert_eq!((&shown["origin"], shown["module"].as_str().map(str::len)), (&json!("api"), Some(64)), "{shown}");
    drop(job);
    assert!(sql(&data, "SELECT count(*) AS n FROM counted")[0]["n"].as_i64() >= Some(50));
}

/// The same by commands; and what they did outlives the process.
#[test]
fn commands_do_what_the_api_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let (job, mut events) = start(folder.path(), "");
    let (url, module) = (format!("http://{}", job.address), folder.path().join("mine.wasm"));
    std::fs::write(&module, disguised(&original(), 9)).expect("written");
    let module = module.to_str().expect("UTF-8");
    let run = |arguments: &[&str]| tidemark(&[arguments, &["--url", &url]].concat());
    let pushed = run(&["push", module]).fine();
    let digest = pushed.stdout.trim().to_owned();
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    assert!(pushed.stderr.contains("ok       a fresh instance gives what a used one gives"), "{}", pushed.stderr);
    assert_eq!(run(&["module", "push", module]).fine().stdout.trim(), digest);
    assert!(run(&["module", "list"]).fine().stdout.contains(&digest));
    assert!(run(&["module", "show", &digest]).fine().stdout.contains("\"swap-rate\""));
    let settings = folder.path().join("metric.toml");
    let text = "filter = { type = [\"request\"] }\nwindow = { kind = \"tumbling\", size_ms = 100 }\n";
    std::fs::write(&settings, text).expect("written");
    let settings = settings.to_str().expect("UTF-8");
    let deployed = run(&["metric", "deploy", "mine", "--module", &digest, "--settings", settings]).fine();
    assert!(deployed.stdout.contains("committed with epoch"), "{}", deployed.stdout);
    run(&["metric", "shadow", "mine", "--module", module, "--settings", settings]).fine();
    run(&["metric", "diff", "mine"]).fine();
    run(&["metric", "discard", "mine"]).fine();
    run(&["metric", "pause", "mine"]).fine();
    assert!(run(&["metric", "list"]).fine().stdout.contains("paused"));
    run(&["metric", "resume", "mine"]).fine();
    assert!(run(&["metric", "show", "mine"]).fine().stdout.contains("\"origin\": \"api\""));
    let refused = run(&["metric", "deploy", "other", "--module", settings]);
    assert!(refused.code == Some(1) && refused.stderr.contains("refused (422)"), "{refused:?}");
    events.write(1_000);

    let address = job.address;
    job.kill();
    let job = Running::start(&folder.path().join("job.toml"), address, &[]);
    let shown = done(job.ask("GET", "/api/v1/deployments/mine", &Value::Null));
    assert_eq!((&shown["paused"], &shown["origin"]), (&json!(false), &json!("api")), "{shown}");
    run(&["metric", "undeploy", "mine"]).fine();
    run(&["module", "remove", &digest]).fine();
}

/// What was deployed while the job ran comes back with the checkpoint and the tick log, module and all, when the data folder
/// is gone.
#[test]
fn a_lost_disk_loses_no_module() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    let extra = format!("[checkpoint]\nevery = 3\ndir = \"{}\"", kept.display());
    let (job, mut events) = start(folder.path(), &extra);
    let [first, second] = [1, 2].map(|mark| job.push(&disguised(&original(), mark)));
    done(job.ask("PUT", "/api/v1/metrics/other", &settings(&first, json!({}))));
    events.write(1_000);
    let epoch = done(job.ask("PUT", "/api/v1/metrics/other", &settings(&second, json!({}))))["epoch"].as_u64();
    let (address, config) = (job.address, folder.path().join("job.toml"));
    job.kill();
    std::fs::remove_dir_all(folder.path().join("data")).expect("removed");
    let job = Running::start(&config, address, &[]);
    let shown = wait(&job, "/api/v1/deployments", |list| list["epoch"].as_u64() >= epoch);
    let other = shown["deployments"].as_array().into_iter().flatten().find(|metric| metric["name"] == "other");
    assert!(other.is_some_and(|metric| metric["module"] == json!(second)), "{shown}");
    assert_eq!(done(job.ask("GET", &format!("/api/v1/modules/{first}"), &Value::Null))["status"], "admitted");
}

#[test]
fn only_signed_modules_come_in_where_keys_are_trusted() {
    // The keys of RFC 8032, section 7.1, test 1; nobody has signed these modules with them.
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let folder = tempfile::tempdir().expect("a folder");
    let (job, _events) = start(folder.path(), &format!("[modules]\ntrusted_keys = [\"{key}\"]"));
    let answer = request(job.address, "POST", "/api/v1/modules", "application/wasm", &original());
    refused(answer, 422, "signed modules only");
}
