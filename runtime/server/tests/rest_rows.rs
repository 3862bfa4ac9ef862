//! The REST API over a finished data folder, by the real binary: rows, the newest of each key, SQL, dead letters, forms
//! and limits.

mod support;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use support::job::Job;
use support::service::{Service, configure};
use support::{text, tidemark};

const METRIC: &str = "jitter-coefficient";

/// The data folder of a run over 40,000 events, made once for all tests of this file.
fn data() -> PathBuf {
    static DATA: OnceLock<(Job, PathBuf)> = OnceLock::new();
    let (_, data) = DATA.get_or_init(|| {
        let job = Job::new();
        let data = job.fresh_data("rest");
        let output = job.run(&data, None);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (job, data)
    });
    data.clone()
}

fn serve(limits: &str) -> (tempfile::TempDir, Service) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = format!(
        "[source]\nkind = \"stdin\"\n[http]\nlisten = \"127.0.0.1:0\"\n[http.limits]\n{limits}\n[data]\ndir = \"{}\"\n",
        data().display()
    );
    let config = configure(folder.path(), &settings);
    let service = Service::start(&["serve", &config], &[]);
    (folder, service)
}

/// The answer of `tidemark sql`, which reads the same folder in another way.
fn sql(query: &str) -> Vec<Value> {
    let run = tidemark(&["sql", "--data", text(&data()), "--format", "json", query]).fine();
    serde_json::from_str(&run.stdout).expect("JSON")
}

/// Rows of every page from `target` on.
fn all_pages(service: &Service, target: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = service.get(&format!("{target}{cursor}")).with(200).json();
        rows.extend(page["rows"].as_array().expect("rows").clone());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={}", next.replace(' ', "%20")),
            None => return rows,
        }
    }
}

#[test]
fn pages_are_all_rows_in_order_each_once() {
    let (_folder, service) = serve("");
    let expected = sql("SELECT * FROM jitter_coefficient ORDER BY event_time, row_id");
    assert!(expected.len() > 500, "{}", expected.len());
    for (order, limit) in [("asc", 97), ("desc", 1_000)] {
        let mut rows = all_pages(&service, &format!("/api/v1/metrics/{METRIC}/rows?order={order}&limit={limit}"));
        if order == "desc" {
            rows.reverse();
        }
        assert_eq!(rows.len(), expected.len());
        assert!(rows == expected, "{order}");
    }
}

#[test]
fn rows_of_a_key_and_a_time_are_found() {
    let (_folder, service) = serve("");
    let busiest = &sql("SELECT key, min(event_time) AS first, max(event_time) AS last FROM jitter_coefficient \
                        GROUP BY key ORDER BY count(*) DESC, key LIMIT 1")[0];
    let (key, first, last) = (&busiest["key"], &busiest["first"], &busiest["last"]);
    let [key, first, last] = [key, first, last].map(|value| value.as_str().expect("a text"));
    let target = format!("/api/v1/metrics/{METRIC}/rows?key={key}&order=asc");
    let expected = sql(&format!("SELECT * FROM jitter_coefficient WHERE key = '{key}' ORDER BY event_time, row_id"));
    assert_eq!(all_pages(&service, &format!("{target}&limit=3")), expected);
    let expected = sql(&format!(
        "SELECT * FROM jitter_coefficient WHERE key = '{key}' AND event_time > '{first}' AND event_time < '{last}' \
         ORDER BY event_time, row_id"
    ));
    let inner = format!("{target}&from={first}&until={last}");
    let rows: Vec<Value> = all_pages(&service, &inner).into_iter().filter(|row| row["event_time"] != first).collect();
    assert_eq!(rows, expected);
    let nobody = service.get(&format!("/api/v1/metrics/{METRIC}/rows?key=nobody")).with(200).json();
    assert_eq!(nobody, json!({ "rows": [] }));
}

#[test]
fn the_newest_row_of_each_key() {
    let (_folder, service) = serve("");
    let all = sql("SELECT * FROM jitter_coefficient ORDER BY event_time, row_id");
    let newest: BTreeMap<String, Value> =
        all.into_iter().map(|row| (row["key"].as_str().expect("a key").to_owned(), row)).collect();
    let expected: Vec<Value> = newest.values().cloned().collect();
    let rows = all_pages(&service, &format!("/api/v1/metrics/{METRIC}/latest?limit=7"));
    assert_eq!(rows, expected);
    let keys: Vec<&String> = newest.keys().take(3).collect();
    let target = format!("/api/v1/metrics/{METRIC}/latest?key={}&key={}&key=nobody&key={}", keys[2], keys[0], keys[1]);
    let some = service.get(&target).with(200).json();
    assert_eq!(some["rows"].as_array().expect("rows"), &expected[..3]);
    for (key, row) in newest.iter().step_by(5) {
        let one = service.get(&format!("/api/v1/metrics/{METRIC}/latest?key={key}")).with(200).json();
        assert_eq!(one, json!({ "rows": [row] }), "{key}");
    }
}

#[test]
fn the_same_rows_in_every_form() {
    let (_folder, service) = serve("");
    let target = format!("/api/v1/metrics/{METRIC}/rows?limit=50");
    let expected = service.get(&target).with(200).json();
    let accept = |media| service.ask("GET", &target, &[("Accept", media)], b"").with(200);
    let lines = accept("application/x-ndjson");
    let rows: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(&rows, expected["rows"].as_array().expect("rows"));
    assert_eq!(lines.header("tidemark-next-cursor"), expected["next"].as_str());
    assert!(lines.header("link").is_some_and(|link| link.ends_with("; rel=\"next\"")), "{lines:?}");
    let arrow = accept("application/vnd.apache.arrow.stream");
    let reader = arrow_ipc::reader::StreamReader::try_new(arrow.body.as_slice(), None).expect("an Arrow stream");
    let batches: Vec<RecordBatch> = reader.map(|batch| batch.expect("a batch")).collect();
    let ids = |batch: &RecordBatch| -> Vec<String> {
        let column = batch.column_by_name("row_id").expect("ids");
        column.as_string::<i32>().iter().flatten().map(str::to_owned).collect()
    };
    let found: Vec<String> = batches.iter().flat_map(ids).collect();
    assert_eq!(found, rows.iter().map(|row| row["row_id"].as_str().expect("an id")).collect::<Vec<_>>());
    let csv = service.get(&format!("{target}&format=csv")).with(200);
    assert_eq!(csv.header("content-type"), Some("text/csv"));
    assert_eq!(csv.text().lines().count(), 51);
    assert!(csv.text().starts_with("key,window_start,window_end,event_time,"));
}

#[test]
fn sql_reads_and_nothing_else() {
    let (_folder, service) = serve("");
    let ask = |query: &str| service.post("/api/v1/sql", &json!({ "query": query, "limit": 5 }));
    let answer = ask("SELECT key, count(*) AS n FROM jitter_coefficient GROUP BY key ORDER BY key").with(200);
    let document = answer.json();
    assert_eq!(document["columns"][1], json!({ "name": "n", "type": "Int64" }));
    assert_eq!((document["rows"].as_array().map(Vec::len), &document["truncated"]), (Some(5), &json!(true)));
    assert_eq!(answer.header("tidemark-truncated"), Some("true"));
    for refused in [
        "DROP TABLE events",
        "CREATE TABLE x AS SELECT 1",
        "INSERT INTO events SELECT * FROM events",
        "COPY events TO 'events.csv'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT * FROM no_such_table",
        "SELECT * FROM '/etc/passwd'",
        "SELEC 1",
        "",
    ] {
        let problem = ask(refused).with(400);
        assert_eq!(problem.header("content-type"), Some("application/problem+json"), "{refused}");
        assert_eq!(problem.json()["type"], "urn:tidemark:problem:query-refused", "{refused}");
    }
    assert!(ask("SELECT * FROM jitter").with(400).text().contains("jitter_coefficient"), "it names what there is");
}

#[test]
fn sql_has_limits() {
    let (_folder, service) =
        serve("timeout_ms = 1500\nsql_memory_bytes = 16777216\nanswer_bytes = 1048576\nqueries = 1");
    let ask = |query: &str| service.post("/api/v1/sql", &json!({ "query": query, "limit": 10000 }));
    let limit = |query: &str| ask(query).with(422).json()["detail"].as_str().expect("a detail").to_owned();
    let memory =
        limit("SELECT a.raw, b.raw, row_number() OVER (ORDER BY a.raw) FROM events a JOIN events b ON a.type = b.type");
    assert!(memory.contains("limit of memory"), "{memory}");
    let size = limit("SELECT raw FROM events");
    assert!(size.contains("limit of size"), "{size}");
    let slow = "SELECT count(*) FROM events a, events b, events c WHERE a.raw < b.raw AND b.raw < c.raw";
    let time = ask(slow);
    assert!([422, 503].contains(&time.status), "{}", time.text());
    // One query at a time; what is over its time makes room.
    let answer = service.until("/api/v1/metrics", |answer| answer["metrics"].is_array());
    assert!(!answer["metrics"].as_array().expect("metrics").is_empty());
}

#[test]
fn dead_letters_are_listed_and_filtered() {
    let (_folder, service) = serve("");
    let expected = sql("SELECT reason, count(*) AS n FROM dead_letters GROUP BY reason ORDER BY reason");
    assert!(expected.len() > 2, "{expected:?}");
    let mut ids = Vec::new();
    for reason in &expected {
        let target = format!("/api/v1/dead-letters?limit=50&reason={}", reason["reason"].as_str().expect("a reason"));
        let mut count = 0;
        let mut cursor = String::new();
        loop {
            let page = service.get(&format!("{target}{cursor}")).with(200);
            let letters = page.json();
            for letter in letters["letters"].as_array().expect("letters") {
                assert_eq!(letter["reason"], reason["reason"]);
                ids.push(letter["id"].as_str().expect("an id").to_owned());
                count += 1;
            }
            match page.header("tidemark-next-cursor") {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(json!(count), reason["n"], "{reason}");
    }
    let listed = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), listed, "ids are unique");
}

#[test]
fn mistakes_are_problem_documents() {
    let (_folder, service) = serve("request_bytes = 2048\nrows = 100");
    let rows = format!("/api/v1/metrics/{METRIC}/rows");
    let large = format!("{{\"query\": \"{}\"}}", "x".repeat(4096));
    let as_json = [("Content-Type", "application/json")];
    let image = [("Accept", "image/png")];
    for (status, kind, answer) in [
        (404, "unknown-metric", service.get("/api/v1/metrics/no-such/rows")),
        (404, "unknown-metric", service.get("/api/v1/metrics/..%2f..%2fevents/rows")),
        (404, "no-such-page", service.get("/api/v2")),
        (405, "method-not-allowed", service.ask("DELETE", &rows, &[], b"")),
        (406, "not-acceptable", service.ask("GET", &rows, &image, b"")),
        (400, "bad-request", service.get(&format!("{rows}?limit=101"))),
        (400, "bad-request", service.get(&format!("{rows}?limit=0"))),
        (400, "bad-request", service.get(&format!("{rows}?limit=many"))),
        (400, "bad-request", service.get(&format!("{rows}?order=sideways"))),
        (400, "bad-request", service.get(&format!("{rows}?from=yesterday"))),
        (400, "bad-request", service.get(&format!("{rows}?cursor=nonsense"))),
        (400, "bad-request", service.get(&format!("{rows}?format=xml"))),
        (400, "bad-request", service.get(&format!("{rows}?lmit=3"))),
        (400, "bad-request", service.get(&format!("/api/v1/metrics/{METRIC}/latest?lmit=3"))),
        (400, "bad-request", service.ask("POST", "/api/v1/sql", &as_json, b"{\"query\": 1}")),
        (400, "bad-request", service.ask("POST", "/api/v1/sql", &as_json, b"{")),
        (415, "unsupported-media-type", service.ask("POST", "/api/v1/sql", &[], b"{\"query\": \"SELECT 1\"}")),
        (413, "too-large", service.ask("POST", "/api/v1/sql", &as_json, large.as_bytes())),
        (409, "no-job", service.get("/api/v1/pipeline")),
        (409, "no-job", service.get(&format!("/api/v1/metrics/{METRIC}/state?key=k"))),
        (409, "no-job", service.get(&format!("/api/v1/metrics/{METRIC}/live"))),
        (409, "no-job", service.ask("POST", "/api/v1/dead-letters/resubmit", &as_json, b"{\"reason\": \"late\"}")),
    ] {
        let problem = answer.json();
        assert_eq!(
            (answer.status, &problem["type"]),
            (status, &json!(format!("urn:tidemark:problem:{kind}"))),
            "{problem}"
        );
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{problem}");
        assert_eq!(problem["status"], status);
    }
}
