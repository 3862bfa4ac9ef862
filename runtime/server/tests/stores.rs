//! Hot and cold stores at once: the real binary writes to ClickHouse's engine and to an S3 server, is killed in the
//! middle of what it does there, and in the end both have the rows of a run that nobody disturbed, each once.

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};
use support::job::{TIDEMARK, fail_points, metrics_folder, tree_of};
use support::live::{free_address, request};
use test_clickhouse::{Server, scratch};
use test_s3::{ACCESS_KEY, S3Server, SECRET_KEY};

const BUCKET: &str = "cold";
const METRICS: [&str; 3] = ["prompt-to-first-frame", "startup-outcome", "jitter-coefficient"];
const TABLES: [&str; 5] = ["events", "dead_letters", "prompt_to_first_frame", "startup_outcome", "jitter_coefficient"];

/// Both stores, and an input.
struct Stores {
    hot: Server,
    cold: S3Server,
    folder: tempfile::TempDir,
}

impl Stores {
    fn start(hot: Server) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let objects = tempfile::tempdir().expect("a folder");
        let stores = Self { hot, cold: S3Server::start(objects, BUCKET), folder };
        fs::create_dir(stores.path("input")).expect("a folder");
        for seed in ["1", "2"] {
            let output = Command::new(TIDEMARK)
                .args(["generate", "--events", "6000", "--streams", "20", "--seed", seed, "--out"])
                .arg(stores.path(&format!("input/{seed}.ndjson")))
                .output()
                .expect("starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        fs::write(stores.path("password"), &stores.hot.password).expect("written");
        let keys = format!("access_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n");
        fs::write(stores.path("keys"), keys).expect("written");
        stores
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A job with a database, a prefix and a data folder of its own.
    fn job(&self, name: &str) -> Job<'_> {
        let database = self.hot.new_database();
        let rows = format!("{name}/rows");
        self.hot.query(
            "default",
            &format!(
                "CREATE NAMED COLLECTION {database}_cold AS url = '{}/{BUCKET}/{rows}/', access_key_id = '{ACCESS_KEY}', \
                 secret_access_key = '{SECRET_KEY}'",
                self.cold.endpoint()
            ),
        );
        let metrics = metrics_folder();
        let metric =
            |name: &str| format!("[[metric]]\nname = \"{name}\"\nmodule = \"{}/{name}.wasm\"\n", metrics.display());
        let options = format!(
            "options = {{ endpoint = \"{}\", allow_http = true }}\ncredentials_file = \"keys\"",
            self.cold.endpoint()
        );
        let (url, user) = (&self.hot.url, &self.hot.user);
        let config = format!(
            "[job]\nname = \"stores\"\n[source]\nkind = \"file\"\npath = \"{input}\"\n[watermark]\nbound_ms = 40000\n\
             [tick]\nrecords = 500\n[epoch]\nrecords = 3000\n\
             [checkpoint]\nevery = 2\nurl = \"s3://{BUCKET}/{name}/state\"\n{options}\n\
             [sink.parquet]\nurl = \"s3://{BUCKET}/{rows}\"\n{options}\nkeep_replaced_s = 0\nbuffer_bytes = 65536\n\
             compaction = {{ files = 2, target_bytes = 10_000_000 }}\n\
             [sink.clickhouse]\nurl = \"{url}\"\ndatabase = \"{database}\"\nuser = \"{user}\"\npassword_file = \"password\"\n\
             ttl_days = 0\nblock_rows = 1000\n[sink.clickhouse.cold]\nnamed_collection = \"{database}_cold\"\n{metrics}",
            input = self.path("input").display(),
            metrics = METRICS.map(metric).concat(),
        );
        let file = self.path(&format!("{name}.toml"));
        fs::write(&file, config).expect("written");
        let data = self.path(name);
        Job { stores: self, database, config: file, data, rows: self.cold.bucket().join(rows) }
    }
}

struct Job<'a> {
    stores: &'a Stores,
    database: String,
    config: PathBuf,
    data: PathBuf,
    /// Where the S3 server keeps the rows.
    rows: PathBuf,
}

/// What the stores show of a job.
#[derive(PartialEq)]
struct Shown {
    /// Rows of each table of the hot store, and of each roll-up.
    hot: BTreeMap<String, String>,
    /// The files of the cold store.
    cold: BTreeMap<PathBuf, Vec<u8>>,
}

impl Job<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(TIDEMARK);
        command.arg("run").arg(&self.config).arg("--data").arg(&self.data).args(["--log-format", "json"]);
        command.env_remove("TIDEMARK_KILL_AT");
        command
    }

    /// Runs to the end, or to the step that ends the process.
    fn run(&self, kill_at: Option<&str>) -> Output {
        let mut command = self.command();
        kill_at.map(|point| command.env("TIDEMARK_KILL_AT", point));
        command.output().expect("starts")
    }

    #[track_caller]
    fn finish(&self, what: &str) {
        let run = self.run(None);
        assert!(run.status.success(), "{what}: {}", String::from_utf8_lossy(&run.stderr));
    }

    /// Runs until the step is reached; whether it was.
    #[track_caller]
    fn crash(&self, at: &str) -> bool {
        let run = self.run(Some(at));
        let (killed, text) = (run.status.signal() == Some(9), String::from_utf8_lossy(&run.stderr));
        assert!(killed || run.status.success(), "{at}: {text}");
        killed
    }

    fn query(&self, query: &str) -> String {
        self.stores.hot.query(&self.database, query)
    }

    fn shown(&self) -> Shown {
        let mut hot = BTreeMap::new();
        for table in TABLES {
            let columns = if table == "dead_letters" { "* EXCEPT inserted_at" } else { "*" };
            let rows = self.query(&format!("SELECT {columns} FROM {table} ORDER BY ALL FORMAT JSONEachRow"));
            hot.insert(table.to_owned(), rows);
        }
        for roll_up in ["jitter_coefficient__5m", "jitter_coefficient__1h"] {
            // Only the last digits of sums depend on the order of adding.
            let columns = "key, bucket, rows, samples__sum, round(jitter__sum, 9), jitter__min, jitter__max";
            let rows = self.query(&format!("SELECT {columns} FROM {roll_up} ORDER BY ALL FORMAT CSV"));
            hot.insert(roll_up.to_owned(), rows);
        }
        Shown { hot, cold: tree_of(&self.rows) }
    }

    /// Compares the stores with each other, and with those of a run that nobody disturbed.
    #[track_caller]
    fn assert_shows(&self, expected: &Shown, what: &str) {
        self.assert_hot_equals_cold(what);
        let shown = self.shown();
        for (table, rows) in &expected.hot {
            let (count, found) = (rows.lines().count(), shown.hot[table].lines().count());
            assert_eq!(found, count, "rows of {table} after {what}");
            assert!(shown.hot[table] == *rows, "rows of {table} after {what} are others");
        }
        assert_eq!(
            shown.cold.keys().collect::<Vec<_>>(),
            expected.cold.keys().collect::<Vec<_>>(),
            "files after {what}"
        );
        let differing: Vec<_> = shown.cold.iter().filter(|(name, bytes)| expected.cold[*name] != **bytes).collect();
        assert!(differing.is_empty(), "{what}: {:?}", differing.iter().map(|(name, _)| name).collect::<Vec<_>>());
        assert_eq!(self.stores.cold.parts(), Vec::<String>::new(), "parts of uploads left after {what}");
    }

    /// Row by row, by the engine itself, over the S3 protocol; and none twice, by its own count.
    #[track_caller]
    fn assert_hot_equals_cold(&self, what: &str) {
        for table in TABLES {
            let columns = if table == "dead_letters" { "* EXCEPT inserted_at" } else { "*" };
            let (hot, cold) = (format!("SELECT {columns} FROM {table}"), format!("SELECT * FROM {table}__cold"));
            for (one, other) in [(&hot, &cold), (&cold, &hot)] {
                let missing = self.query(&format!("SELECT * FROM ({one} EXCEPT ALL {other}) LIMIT 3"));
                assert_eq!(missing, "", "{what}: rows of {one} that {other} lacks");
            }
            let id = match table {
                "events" | "dead_letters" => continue,
                _ => "row_id",
            };
            let doubled = self.query(&format!("SELECT count() - uniqExact({id}) FROM {table}"));
            assert_eq!(doubled, "0", "{what}: rows of {table} that are there twice");
        }
        let doubled = self.query("SELECT count() - uniqExact(partition, offset) FROM events");
        assert_eq!(doubled, "0", "{what}: events that are there twice");
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        let _ =
            self.stores.hot.try_query("default", &format!("DROP NAMED COLLECTION IF EXISTS {}_cold", self.database));
        let _ = self.stores.hot.try_query("default", &format!("DROP DATABASE IF EXISTS {}", self.database));
    }
}

/// A run that nobody disturbs.
fn undisturbed(stores: &Stores) -> Shown {
    let job = stores.job("undisturbed");
    job.finish("no kill");
    job.assert_hot_equals_cold("no kill");
    let shown = job.shown();
    for table in TABLES {
        assert!(shown.hot[table].lines().count() > 3, "{table} has {}", shown.hot[table]);
    }
    assert!(shown.cold.keys().any(|file| file.to_string_lossy().contains(".t1.parquet")), "small files are merged");
    shown
}

#[test]
fn killed_in_the_middle_of_sink_work_both_stores_have_every_row_once() {
    let test = "stores::killed_in_the_middle_of_sink_work_both_stores_have_every_row_once";
    let Some(hot) = test_clickhouse::shared(test) else { return };
    let stores = Stores::start(hot);
    let expected = undisturbed(&stores);
    // Short names: the S3 server makes names of files of whole paths.
    for (number, point) in [
        // Before an insert, and after one of which the answer never came: in the first epoch, and in the middle of one.
        "clickhouse.insert.before:1",
        "clickhouse.insert.before:9",
        "clickhouse.insert.unacknowledged:1",
        "clickhouse.insert.unacknowledged:9",
        // During multipart uploads: begun, and with a part sent.
        "sink.upload.begun:2",
        "sink.upload.part:2",
        // Behind the commit point: before anything is finalised, and with one store and half the other done.
        "engine.epoch.committed:2",
        "sink.finalise.partial:3",
        "clickhouse.finalise.before:3",
        "clickhouse.finalise.marked:3",
    ]
    .into_iter()
    .enumerate()
    {
        let job = stores.job(&format!("killed-{number}"));
        assert!(job.crash(point), "{point} is never reached");
        job.finish(point);
        job.assert_shows(&expected, point);
    }
}

#[test]
fn killed_at_every_step_in_turn_both_stores_have_every_row_once() {
    let test = "stores::killed_at_every_step_in_turn_both_stores_have_every_row_once";
    let Some(hot) = test_clickhouse::shared(test) else { return };
    let stores = Stores::start(hot);
    let expected = undisturbed(&stores);
    // What is around the sinks has tests of its own.
    let starts = ["clickhouse.", "sink.", "engine.epoch.committed"];
    let is_sinks = |point: &String| starts.iter().any(|start| point.starts_with(start));
    let mut missed: Vec<String> = fail_points().into_iter().filter(is_sinks).collect();
    // A run has few epochs, and each life commits one: several runs, each beginning where the one before ended.
    for round in 0..6 {
        let job = stores.job(&format!("turn-{round}"));
        let mut finished = false;
        let points = missed.clone();
        missed.clear();
        for point in points {
            if finished {
                missed.push(point);
            } else if !job.crash(&point) {
                // It ran to its end without coming there.
                finished = true;
                missed.push(point);
            }
        }
        job.finish("kills at every step");
        job.assert_shows(&expected, &format!("kills in round {round}"));
        if missed.is_empty() {
            return;
        }
    }
    panic!("never reached: {missed:?}");
}

#[test]
fn a_machine_that_is_lost_takes_no_row_along() {
    let test = "stores::a_machine_that_is_lost_takes_no_row_along";
    let Some(hot) = test_clickhouse::shared(test) else { return };
    let stores = Stores::start(hot);
    let expected = undisturbed(&stores);
    let points = ["engine.epoch.logged:3", "engine.epoch.committed:3", "clickhouse.insert.unacknowledged:8"];
    for (number, point) in points.into_iter().enumerate() {
        let job = stores.job(&format!("lost-{number}"));
        assert!(job.crash(point), "{point} is never reached");
        // State, outbox and files in the making are gone; checkpoints, tick log and uploads are in the store.
        fs::remove_dir_all(&job.data).expect("it was there");
        job.finish(point);
        job.assert_shows(&expected, &format!("a machine lost at {point}"));
    }
}

#[test]
fn a_server_that_comes_late_is_waited_for() {
    let test = "stores::a_server_that_comes_late_is_waited_for";
    let data = scratch("clickhouse-late");
    let Some(engine) = test_clickhouse::own(test, &data, 0) else { return };
    let (port, stores) = (engine.port(), Stores::start(engine.server()));
    let job = stores.job("late");
    engine.kill();
    let mut running = job.command().stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("starts");
    let mut log = BufReader::new(running.stderr.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains("is the server running? trying again") {
        line.clear();
        assert!(log.read_line(&mut line).expect("readable") > 0, "the log ended before the server was missed");
    }
    let engine = test_clickhouse::own(test, &data, port).expect("it was there before");
    io::copy(&mut log, &mut io::sink()).expect("readable");
    assert!(running.wait().expect("it ends").success());
    job.assert_hot_equals_cold("the server came late");
    let counts = job.query("SELECT count() > 3000 FROM events");
    assert_eq!(counts, "1");
    drop(job);
    drop(engine);
    fs::remove_dir_all(&data).expect("removed");
}

#[test]
fn the_shipped_configuration_is_valid() {
    metrics_folder();
    let run = support::tidemark(&[
        "validate",
        support::text(&support::workspace().join("examples/livepeer/with-stores.toml")),
    ]);
    let run = run.fine();
    for line in
        ["sink     parquet in s3://tidemark/rows", "sink     clickhouse at http://localhost:8123, database tidemark"]
    {
        assert!(run.stdout.contains(line), "{run:#?}");
    }
}

#[test]
fn sql_reads_the_cold_store_by_configuration() {
    let test = "stores::sql_reads_the_cold_store_by_configuration";
    let Some(hot) = test_clickhouse::shared(test) else { return };
    let stores = Stores::start(hot);
    let job = stores.job("undisturbed");
    job.finish("a run to be queried");
    for table in TABLES {
        let query = format!("SELECT count(*) AS n FROM {table}");
        let run = Command::new(TIDEMARK)
            .args(["sql", "--format", "csv", "--config"])
            .arg(&job.config)
            .arg(&query)
            .env("TIDEMARK_DATA_DIR", &job.data)
            .output()
            .expect("starts");
        let (found, log) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert_eq!(found.lines().nth(1), Some(job.query(&query.replace('*', "")).as_str()), "{table}: {found}{log}");
    }
    // By URL, credentials from the environment.
    let run = Command::new(TIDEMARK)
        .args(["sql", "--format", "csv", "--data", &format!("s3://{BUCKET}/undisturbed/rows")])
        .arg("SELECT count(*) AS n, min(epoch) AS first FROM metrics")
        .envs([("AWS_ENDPOINT", stores.cold.endpoint()), ("AWS_ALLOW_HTTP", "true".to_owned())])
        .envs([("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)])
        .output()
        .expect("starts");
    let sum = METRICS.map(|metric| {
        let count = job.query(&format!("SELECT count() FROM {}", metric.replace('-', "_")));
        count.parse::<u64>().expect("a number")
    });
    let found = String::from_utf8_lossy(&run.stdout).into_owned();
    let expected = format!("{},", sum.iter().sum::<u64>());
    assert!(found.lines().nth(1).is_some_and(|line| line.starts_with(&expected)), "{found}: {run:?}");
}

/// A service that answers for a job that does not run.
struct Serving(std::process::Child, SocketAddr);

impl Serving {
    fn start(config: &Path, data: &Path) -> Self {
        let address = free_address();
        let mut command = Command::new(TIDEMARK);
        command.arg("serve").arg(config).arg("--data").arg(data).env("TIDEMARK_HTTP_LISTEN", address.to_string());
        let serving = Self(command.stderr(Stdio::null()).spawn().expect("starts"), address);
        let deadline = Instant::now() + Duration::from_secs(60);
        while request(address, "GET", "/readyz", "", b"").is_none_or(|(status, _)| status != 200) {
            assert!(Instant::now() < deadline, "it does not answer");
        }
        serving
    }

    fn get(&self, path: &str) -> Value {
        let (status, answer) = request(self.1, "GET", path, "", b"").expect("an answer");
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_api_answers_the_same_from_either_store() {
    let test = "stores::the_api_answers_the_same_from_either_store";
    let Some(hot) = test_clickhouse::shared(test) else { return };
    let stores = Stores::start(hot);
    let job = stores.job("undisturbed");
    job.finish("a run to be asked about");
    // The same job without the hot store is answered for from the cold one.
    let text = fs::read_to_string(&job.config).expect("readable");
    let (before, rest) = text.split_once("[sink.clickhouse]").expect("it has one");
    let (_, metrics) = rest.split_once("[[metric]]").expect("it has metrics");
    let cold_only = job.config.with_extension("cold.toml");
    fs::write(&cold_only, format!("{before}[[metric]]{metrics}")).expect("written");
    let (hot, cold) = (Serving::start(&job.config, &job.data), Serving::start(&cold_only, &job.data));
    for metric in METRICS {
        for question in ["rows?limit=500&order=asc", "rows?limit=7&order=desc", "latest?limit=20"] {
            let path = format!("/api/v1/metrics/{metric}/{question}");
            let answer = hot.get(&path);
            assert!(answer.to_string().contains("row_id"), "{path}: {answer}");
            assert_eq!(answer, cold.get(&path), "{path}");
        }
    }
    let count = job.query("SELECT count() FROM dead_letters");
    assert_ne!(count, "0");
    assert_eq!(hot.get("/api/v1/dead-letters?limit=50"), cold.get("/api/v1/dead-letters?limit=50"));
}
