//! The REST API of a running job, by the real binary: live rows, the state of a key, the pipeline, dead letters that are
//! submitted again, tokens, and answers that are as the OpenAPI document says.

mod support;

use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use support::job::metrics_folder;
use support::live::disguised;
use support::openapi::violations;
use support::service::{Answer, Events, Service, configure};

const JOIN: &str = "prompt-to-first-frame";
const JITTER: &str = "jitter-coefficient";

/// 2026-01-08T00:00:00Z.
const START: i64 = 1_767_830_400_000;

/// A job that follows a file.
struct Followed {
    folder: tempfile::TempDir,
    jitter: &'static str,
    http: &'static str,
}

impl Followed {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("input")).expect("a folder");
        fs::write(folder.path().join("input/events.ndjson"), "").expect("writes");
        Self { folder, jitter: "", http: "" }
    }

    fn start(&self) -> Service {
        self.start_with(&[])
    }

    fn start_with(&self, environment: &[(&str, &str)]) -> Service {
        let (folder, metrics) = (self.folder.path().display(), metrics_folder());
        let metric = |name: &str, more: &str| {
            format!("[[metric]]\nname = \"{name}\"\nmodule = \"{}/{name}.wasm\"\n{more}\n", metrics.display())
        };
        let text = format!(
            "[job]\nname = \"followed\"\nworkers = 1\n[data]\ndir = \"{folder}/data\"\n\
             [source]\nkind = \"file\"\npath = \"{folder}/input\"\nfollow = true\n[watermark]\nbound_ms = 1000\n\
             [[cleanse.schema]]\ntype = \"stream_trace\"\nrequired = [\"data.type\"]\n\
             [epoch]\ninterval_ms = 20\n[http]\nlisten = \"127.0.0.1:0\"\n{}\n{}{}",
            self.http,
            metric(JOIN, ""),
            metric(JITTER, self.jitter),
        );
        let config = configure(self.folder.path(), &text);
        Service::start(&["run", &config], environment)
    }

    /// Appends events to the input and says how long it is then.
    fn append(&self, events: &[Value]) -> u64 {
        let path: PathBuf = self.folder.path().join("input/events.ndjson");
        let mut file = OpenOptions::new().append(true).open(&path).expect("opens");
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        file.write_all(lines.as_bytes()).expect("writes");
        file.metadata().expect("its length").len()
    }
}

/// Waits until everything up to `position` of the input is committed and shown.
fn committed(service: &Service, position: u64) -> Value {
    let pipeline = service.until("/api/v1/pipeline", |pipeline| {
        let partitions = pipeline["source"]["partitions"].as_array().expect("partitions");
        partitions.iter().any(|partition| partition["name"] == "events.ndjson" && partition["position"] == position)
    });
    let epoch = pipeline["epoch"]["committed"].as_u64();
    service.until("/api/v1/pipeline", |pipeline| pipeline["epoch"]["visible"].as_u64() >= epoch);
    pipeline
}

fn id(number: u32) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

fn trace(number: u32, after_ms: i64, kind: &str, request: &str) -> Value {
    let time = START + after_ms;
    json!({ "id": id(number), "type": "stream_trace", "timestamp": time.to_string(), "gateway": "g",
            "data": { "type": kind, "timestamp": time, "request_id": request, "stream_id": "s" } })
}

fn request(number: u32, after_ms: i64, request: &str) -> Value {
    trace(number, after_ms, "gateway_receive_stream_request", request)
}

fn segment(number: u32, after_ms: i64, request: &str) -> Value {
    trace(number, after_ms, "gateway_receive_first_processed_segment", request)
}

fn status(number: u32, after_ms: i64, fps: f64) -> Value {
    let time = START + after_ms;
    json!({ "id": id(number), "type": "ai_stream_status", "timestamp": time.to_string(), "gateway": "g",
            "data": { "timestamp": time, "stream_id": "s", "inference_status": { "fps": fps } } })
}

#[test]
fn live_rows_come_behind_their_commit() {
    let job = Followed::new();
    let service = job.start();
    let mut all = Events::of(service.send("GET", &format!("/api/v1/metrics/{JOIN}/live"), &[], b""));
    let mut of_b = Events::of(service.send("GET", &format!("/api/v1/metrics/{JOIN}/live?key=b"), &[], b""));
    job.append(&[request(1, 0, "a"), segment(2, 500, "a"), request(3, 600, "b"), segment(4, 900, "b")]);
    job.append(&[status(5, 10_000, 30.0)]);
    let (name, first) = all.next();
    assert_eq!((name.as_str(), &first["key"], &first["latency_ms"]), ("row", &json!("a"), &json!(500)));
    let (_, second) = all.next();
    assert_eq!((&second["key"], &second["latency_ms"]), (&json!("b"), &json!(300)));
    assert_eq!(of_b.next().1, second, "the other key was left out");
    // What was shown live is there to be read: it came behind its commit.
    let rows = service.get(&format!("/api/v1/metrics/{JOIN}/rows?order=asc")).with(200).json();
    assert_eq!(rows["rows"], json!([first, second]));
    let metrics = service.get("/metrics").with(200).text();
    assert!(metrics.contains("tidemark_source_records_total 5"), "{metrics}");
}

#[test]
fn the_state_of_a_key_says_why_two_rows_did_not_join() {
    let job = Followed::new();
    let service = job.start();
    // The segment comes 70 s behind its request, the join goes up to 60 s.
    let end = job.append(&[
        request(1, 0, "far"),
        segment(2, 70_000, "far"),
        request(3, 30_000, "open"),
        status(4, 71_000, 30.0),
    ]);
    let pipeline = committed(&service, end);
    assert_eq!(pipeline["source"]["watermark"], "2026-01-08T00:01:09.999Z");
    assert_eq!((&pipeline["source"]["partitions"][0]["lag"], &pipeline["running"]), (&json!(0), &json!(true)));
    let state =
        |metric: &str, key: &str| service.get(&format!("/api/v1/metrics/{metric}/state?key={key}")).with(200).json();
    let open = state(JOIN, "open");
    assert_eq!(open["watermark"], "2026-01-08T00:01:09.999Z");
    let row = &open["left"][0];
    assert_eq!(row["event_time"], "2026-01-08T00:00:30.000Z");
    assert_eq!((&row["waits_until"], &row["matched"]), (&json!("2026-01-08T00:01:30.000Z"), &json!(false)));
    assert_eq!((&row["values"]["stream_id"], &row["values"]["gateway"]), (&json!("s"), &json!("g")));
    assert_eq!((&open["right"], &open["timers"][0]["kind"]), (&json!([]), &json!("join")));
    let far = state(JOIN, "far");
    assert_eq!(far["left"], json!([]), "its wait was over before the segment came");
    let rows = service.get(&format!("/api/v1/metrics/{JOIN}/rows?key=far")).with(200).json();
    assert_eq!(rows["rows"][0]["matched"], false);
    let window = state(JITTER, "s");
    assert_eq!(window["accumulators"][0]["window_start"], "2026-01-08T00:01:00.000Z");
    assert_eq!(window["timers"][0]["time"], "2026-01-08T00:01:59.999Z");
    assert!(window["notes"].as_array().is_some_and(|notes| !notes.is_empty()));
    assert_eq!(state(JITTER, "nobody")["accumulators"], json!([]));
    service.get(&format!("/api/v1/metrics/{JOIN}/state")).with(400);
    service.get("/api/v1/metrics/no-such/state?key=a").with(404);
}

/// The letters with this reason.
fn letters(service: &Service, reason: &str) -> Vec<Value> {
    let found = service.get(&format!("/api/v1/dead-letters?reason={reason}")).with(200).json();
    found["letters"].as_array().expect("letters").clone()
}

fn resubmit(service: &Service, ids: &[&str]) -> Value {
    service.post("/api/v1/dead-letters/resubmit", &json!({ "ids": ids })).with(202).json()
}

#[test]
fn what_is_submitted_again_reaches_its_metric_once_whatever_dies() {
    let mut job = Followed::new();
    let service = job.start();
    let end = job.append(&[status(1, 30_000, 10.0), status(2, 130_000, 20.0)]);
    committed(&service, end);
    // Behind the watermark; and one that no metric ever gets.
    let broken = json!({ "id": id(4), "type": "stream_trace", "timestamp": (START + 130_000).to_string(), "data": {} });
    let end = job.append(&[status(3, 31_000, 40.0), broken]);
    let before = committed(&service, end);
    let late = letters(&service, "late");
    assert_eq!((late.len(), &late[0]["metric"], &late[0]["resubmitted"]), (1, &json!(JITTER), &json!(false)));
    let late_id = late[0]["id"].as_str().expect("an id").to_owned();
    let violation = letters(&service, "schema_violation");
    let violation_id = violation[0]["id"].as_str().expect("an id").to_owned();
    service.kill();

    // The metric allows for lateness by now, so that the same record counts.
    job.jitter = "allowed_lateness_ms = 3600000";
    let service = job.start();
    // Not while the metric would not take it.
    service.post(&format!("/api/v1/metrics/{JITTER}/pause"), &Value::Null).with(200);
    let done = resubmit(&service, &[&late_id]);
    assert_eq!((&done["submitted"], &done["records"]), (&json!([]), &json!(0)));
    assert!(done["refused"][0]["detail"].as_str().is_some_and(|detail| detail.contains("is paused: resume it first")));
    service.post(&format!("/api/v1/metrics/{JITTER}/resume"), &Value::Null).with(200);
    let target = format!("/api/v1/metrics/{JITTER}/live");
    let mut live = Events::of(service.send("GET", &target, &[], b""));
    let done = resubmit(&service, &[&late_id, &violation_id, "no-such-letter"]);
    let submitted: Vec<&str> = done["submitted"].as_array().expect("ids").iter().filter_map(Value::as_str).collect();
    assert!(submitted.len() == 2 && submitted.contains(&&*late_id) && submitted.contains(&&*violation_id), "{done}");
    assert_eq!((&done["records"], &done["refused"][0]["id"]), (&json!(2), &json!("no-such-letter")));
    let (_, row) = live.next();
    assert_eq!((&row["window_start"], &row["mean_fps"]), (&json!("2026-01-08T00:00:00.000Z"), &json!(40.0)));
    // The record without a type is as broken as before, and says where it came from now.
    let again = service.until("/api/v1/dead-letters?reason=schema_violation", |page| {
        page["letters"].as_array().is_some_and(|letters| letters.len() == 2)
    });
    assert_eq!(again["letters"][0]["partition"], "again/events.ndjson");
    let pipeline = service.get("/api/v1/pipeline").with(200).json();
    assert_eq!(pipeline["source"]["watermark"], before["source"]["watermark"], "old records do not move time");
    service.kill();

    // Died at once: nothing is lost, nothing comes twice, and the letter cannot be submitted a second time.
    let service = job.start();
    let done = resubmit(&service, &[&late_id]);
    assert_eq!((&done["submitted"], &done["already_submitted"]), (&json!([]), &json!([late_id])));
    assert!(letters(&service, "late")[0]["resubmitted"].as_bool().expect("said"));
    let end = job.append(&[status(5, 200_000, 20.0), status(6, 270_000, 20.0)]);
    committed(&service, end);
    let rows = service.get(&format!("/api/v1/metrics/{JITTER}/rows?order=asc")).with(200).json();
    let windows: Vec<(&Value, &Value)> =
        rows["rows"].as_array().expect("rows").iter().map(|row| (&row["window_start"], &row["mean_fps"])).collect();
    let at = |minute: u32| json!(format!("2026-01-08T00:0{minute}:00.000Z"));
    // The first window had closed with a mean of 10 and was forgotten; the late record alone took its place.
    assert_eq!(windows, [(&at(0), &json!(40.0)), (&at(2), &json!(20.0)), (&at(3), &json!(20.0))]);
    assert_eq!(service.post("/api/v1/dead-letters/resubmit", &json!({})).status, 400);
}

#[test]
fn tokens_open_what_their_scope_allows() {
    let mut job = Followed::new();
    job.http =
        "[[http.tokens]]\nscope = \"read\"\nenv = \"READER\"\n[[http.tokens]]\nscope = \"operate\"\nenv = \"OPERATOR\"";
    let (reader, operator) = ("reader-0123456789", "operator-0123456789");
    let mut service = job.start_with(&[("READER", reader), ("OPERATOR", operator)]);
    let resubmission = json!({ "reason": "late" });
    for target in ["/healthz", "/readyz", "/api/v1/openapi.json", "/api/v1"] {
        service.get(target).with(200);
    }
    for target in ["/metrics", "/api/v1/metrics", "/api/v1/pipeline", "/api/v1/dead-letters"] {
        let problem = service.get(target).with(401);
        assert!(problem.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")));
        assert_eq!(problem.json()["type"], "urn:tidemark:problem:unauthorized");
    }
    service = service.with_token("reader-0123456780");
    service.get("/api/v1/metrics").with(401);
    service = service.with_token(reader);
    service.get("/api/v1/metrics").with(200);
    let problem = service.post("/api/v1/dead-letters/resubmit", &resubmission).with(403);
    assert!(problem.text().contains("operate") && !problem.text().contains(reader));
    service = service.with_token(operator);
    service.get("/api/v1/metrics").with(200);
    service.post("/api/v1/dead-letters/resubmit", &resubmission).with(202);
}

#[test]
fn without_a_token_only_this_machine_is_served() {
    let job = Followed::new();
    let service = job.start();
    let foreign = [("Origin", "https://evil.example")];
    service.ask("GET", "/api/v1/metrics", &foreign, b"").with(403);
    service.get("/api/v1/metrics").with(200);
}

/// An example of every operation: a new one needs one here.
fn examples(service: &Service) -> Vec<(&'static str, &'static str, Answer)> {
    let get = |path: &'static str, target: &str| ("get", path, service.get(target));
    let sql = json!({ "query": "SELECT key, event_time, epoch FROM jitter_coefficient" });
    let wasm = [("Content-Type", "application/wasm")];
    let module = fs::read(metrics_folder().join("jitter-coefficient.wasm")).expect("a module");
    let pushed = service.ask("POST", "/api/v1/modules", &wasm, &disguised(&module, 1)).with(202);
    let digest = pushed.json()["digest"].as_str().expect("a digest").to_owned();
    let at = format!("/api/v1/modules/{digest}");
    service.until(&at, |module| module["status"] == "admitted");
    let settings = json!({ "module": format!("sha256:{digest}") }).to_string();
    let asked = |method: &'static str, path: &'static str, body: &str| {
        let target = path.replace("{metric}", "new").replace("{digest}", &digest);
        let answer =
            service.ask(&method.to_uppercase(), &target, &[("Content-Type", "application/json")], body.as_bytes());
        (method, path, answer)
    };
    let mut examples = vec![
        ("post", "/api/v1/modules", pushed),
        asked("get", "/api/v1/modules", ""),
        asked("get", "/api/v1/modules/{digest}", ""),
        asked("put", "/api/v1/metrics/{metric}", &settings),
        asked("post", "/api/v1/metrics/{metric}/pause", ""),
        asked("post", "/api/v1/metrics/{metric}/resume", ""),
        asked("put", "/api/v1/metrics/{metric}/shadow", &settings),
        asked("get", "/api/v1/metrics/{metric}/shadow/diff", ""),
        asked("delete", "/api/v1/metrics/{metric}/shadow", ""),
    ];
    let other = json!({ "module": format!("sha256:{digest}"), "allowed_lateness_ms": 5 }).to_string();
    asked("put", "/api/v1/metrics/{metric}/shadow", &other).2.with(200);
    examples.extend([
        asked("post", "/api/v1/metrics/{metric}/shadow/promote", ""),
        asked("post", "/api/v1/metrics/{metric}/rollback", ""),
        asked("get", "/api/v1/deployments", ""),
        asked("get", "/api/v1/deployments/{metric}", ""),
        asked("delete", "/api/v1/metrics/{metric}", ""),
        asked("delete", "/api/v1/modules/{digest}", ""),
    ]);
    examples.extend([
        get("/healthz", "/healthz"),
        get("/readyz", "/readyz"),
        get("/metrics", "/metrics"),
        get("/api/v1/metrics", "/api/v1/metrics"),
        get("/api/v1/metrics/{metric}", "/api/v1/metrics/jitter-coefficient"),
        get("/api/v1/metrics/{metric}/rows", "/api/v1/metrics/jitter-coefficient/rows?limit=1"),
        get("/api/v1/metrics/{metric}/latest", "/api/v1/metrics/jitter-coefficient/latest"),
        get("/api/v1/metrics/{metric}/state", "/api/v1/metrics/prompt-to-first-frame/state?key=open"),
        get("/api/v1/pipeline", "/api/v1/pipeline"),
        get("/api/v1/nodes", "/api/v1/nodes"),
        ("post", "/api/v1/savepoints", service.post("/api/v1/savepoints", &json!({ "name": "now" }))),
        get("/api/v1/savepoints", "/api/v1/savepoints"),
        ("delete", "/api/v1/savepoints/{name}", service.ask("DELETE", "/api/v1/savepoints/now", &[], b"")),
        get("/api/v1/dead-letters", "/api/v1/dead-letters"),
        ("post", "/api/v1/sql", service.post("/api/v1/sql", &sql)),
        (
            "post",
            "/api/v1/dead-letters/resubmit",
            service.post("/api/v1/dead-letters/resubmit", &json!({ "reason": "late" })),
        ),
    ]);
    examples
}

/// Answers without end have tests of their own.
const ENDLESS: [&str; 1] = ["/api/v1/metrics/{metric}/live"];

#[test]
fn every_answer_is_as_the_document_says() {
    let job = Followed::new();
    let service = job.start();
    let end =
        job.append(&[status(1, 0, 10.0), status(2, 130_000, 20.0), request(3, 130_000, "open"), status(4, 500, 9.0)]);
    committed(&service, end);
    let document = service.get("/api/v1/openapi.json").with(200).json();
    let examples = examples(&service);
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
            assert!(problem.is_object(), "{method} {path} says what an error is");
            assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{method} {path} is described");
            let is_open = path == "/healthz" || path == "/readyz";
            assert_eq!(
                operation["security"].as_array().is_some_and(Vec::is_empty),
                is_open,
                "{method} {path} names its scope"
            );
            if ENDLESS.contains(&path.as_str()) {
                continue;
            }
            let example = examples.iter().find(|(known, template, _)| known == method && template == path);
            let (.., answer) = example.unwrap_or_else(|| panic!("add an example of {method} {path} to `examples`"));
            let response = &operation["responses"][answer.status.to_string()];
            assert!(response.is_object(), "{method} {path}: {} is described: {}", answer.status, answer.text());
            if answer.status == 204 {
                continue;
            }
            let described = &response["content"];
            let media = answer.header("content-type").expect("a type").split(';').next().expect("a type");
            let schema = &described[media]["schema"];
            assert!(schema.is_object(), "{method} {path}: {} {media} is described: {}", answer.status, answer.text());
            if media == "application/json" {
                let found = violations(&document, schema, &answer.json(), "");
                assert_eq!(found, Vec::<String>::new(), "{method} {path}");
            }
        }
    }
    let problem = service.get("/api/v1/metrics/no-such").with(404).json();
    let schema = &document["components"]["schemas"]["Problem"];
    assert_eq!(violations(&document, schema, &problem, ""), Vec::<String>::new());
}

#[test]
fn the_page_needs_nobody_else() {
    let job = Followed::new();
    let service = job.start();
    let page = service.get("/api/v1").with(200);
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    assert!(!page.text().contains("https://") && !page.text().contains("src="), "nothing is fetched from elsewhere");
}
