//! What `docker compose --profile generate up` starts, without containers: the same configuration, commands and
//! variables, with addresses of real servers on this machine. Started once for all tests.

use crate::dockerfile::words;
use crate::files::{compose, root, text, texts, yaml};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use test_clickhouse::{Engine, Server, scratch};
use test_kafka::{Broker, Settings};
use test_s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use test_tools::{Background, Prometheus, Tools, succeed};

/// How long anything may take until it has happened, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the HTTP interface wants.
pub const TOKEN: &str = "a-token-of-some-length";

/// The running stack.
pub struct Stack {
    pub tools: Tools,
    /// The database, and how to ask it.
    pub clickhouse: Server,
    /// Where the job listens.
    pub http: SocketAddr,
    pub prometheus: Prometheus,
    pub job: Background,
    pub generator: Background,
    _engine: Engine,
    _broker: Broker,
    _objects: S3Server,
    _folder: PathBuf,
}

/// The database of the job.
pub const DATABASE: &str = "tidemark";

impl Stack {
    /// The stack that the tests share, full of rows. `None` where a part of it cannot be had.
    pub fn shared(test: &str) -> Option<&'static Self> {
        static STACK: OnceLock<Option<Stack>> = OnceLock::new();
        STACK.get_or_init(|| Self::start(test)).as_ref()
    }

    fn start(test: &str) -> Option<Self> {
        let tools = Tools::find(test)?;
        let compose = compose(&tools);
        let services = &compose["services"];
        let broker = broker(test, &services["kafka"])?;
        create_topic(&broker, &services["kafka-topics"]);
        let folder = scratch("deploy");
        let data = folder.join("clickhouse");
        fs::create_dir_all(&data).expect("a folder");
        let engine = Engine::start(&data, 0);
        let clickhouse = engine.server();
        let objects = S3Server::start(tempfile::tempdir_in(&folder).expect("a folder"), "tidemark");
        let collection = format!(
            "CREATE NAMED COLLECTION IF NOT EXISTS tidemark_cold AS url = '{}/tidemark/livepeer/', \
             access_key_id = '{ACCESS_KEY}', secret_access_key = '{SECRET_KEY}'",
            objects.endpoint()
        );
        clickhouse.query("default", &collection);

        let http = free_address();
        let mut run = tidemark(&services["tidemark"], &folder);
        run.env("TIDEMARK__SOURCE__BROKERS", format!("[\"{}\"]", broker.address()))
            .env("TIDEMARK__SINK__CLICKHOUSE__URL", &clickhouse.url)
            .env("TIDEMARK__SINK__CLICKHOUSE__USER", &clickhouse.user)
            .env("TIDEMARK__SINK__PARQUET__OPTIONS__ENDPOINT", objects.endpoint())
            .env("TIDEMARK_HTTP_LISTEN", http.to_string())
            .env("TIDEMARK_TOKEN", TOKEN)
            .env("TIDEMARK_CLICKHOUSE_PASSWORD", &clickhouse.password)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        let job = Background::start(&run, &folder.join("job.log"));
        let generator = Background::start(&generator(&services["generate"], &broker), &folder.join("generator.log"));
        let prometheus = prometheus(&tools, http, &folder);
        let stack = Self {
            tools,
            clickhouse,
            http,
            prometheus,
            job,
            generator,
            _engine: engine,
            _broker: broker,
            _objects: objects,
            _folder: folder,
        };
        stack.wait_until_full();
        Some(stack)
    }

    /// The metrics that close last have rows, and Prometheus has seen the job more than once.
    fn wait_until_full(&self) {
        let tables = ["sla_score", "swap_rate", "failure_rate", "payments", "startup_outcome"];
        for table in tables {
            let count = format!("SELECT count() FROM {table}");
            self.wait_for(&format!("rows of {table}"), || {
                self.clickhouse.try_query(DATABASE, &count).is_ok_and(|answer| answer.trim() != "0")
            });
        }
        self.wait_for("telemetry", || {
            let rates = self.prometheus.query("rate(tidemark_source_records_total[1m]) > 0").unwrap_or_default();
            let answer: Value = serde_json::from_str(&rates).unwrap_or_default();
            answer["data"]["result"].as_array().is_some_and(|result| !result.is_empty())
        });
    }

    /// Looks again and again whether something has happened.
    pub fn wait_for(&self, what: &str, has_happened: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !has_happened() {
            assert!(self.job.runs(), "the job ended before there were {what}:\n{}", self.job.log());
            assert!(self.generator.runs(), "the generator ended:\n{}", self.generator.log());
            let late = || format!("no {what} in time:\n{}\n{}", self.job.log(), self.generator.log());
            assert!(Instant::now() < deadline, "{}", late());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Status and body of a GET to the job.
    pub fn get(&self, path: &str, token: Option<&str>) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http).expect("it listens");
        let authorization = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{authorization}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer in UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body.to_owned())
    }
}

/// The broker, with the properties that the compose file sets, but for those of addresses and places.
fn broker(test: &str, service: &Value) -> Option<Broker> {
    let elsewhere = ["node.id", "process.roles", "log.dirs", "heap.opts"];
    let mut settings = Settings::default();
    for (name, value) in service["environment"].as_object().expect("variables") {
        let Some(name) = name.strip_prefix("KAFKA_") else { continue };
        let name = name.to_lowercase().replace('_', ".");
        if elsewhere.contains(&name.as_str()) || name.contains("listener") || name.contains("quorum") {
            continue;
        }
        settings = settings.with(&name, value.as_str().expect("a text"));
    }
    test_kafka::own(test, &settings)
}

/// Runs the command of the compose file that creates the topic.
fn create_topic(broker: &Broker, service: &Value) {
    let command = texts(&service["command"]);
    assert_eq!(command[0], "/opt/kafka/bin/kafka-topics.sh");
    let arguments = command[1..].iter().map(|argument| argument.replace("kafka:9092", &broker.address()));
    // What the script starts.
    let mut tool = broker.tool("org.apache.kafka.tools.TopicCommand");
    succeed(tool.args(arguments));
}

/// The job of the image, with the configuration that is mounted; its modules are those that were built here.
fn tidemark(service: &Value, folder: &Path) -> Command {
    let mounted = service["volumes"].as_array().expect("volumes").iter().find(|volume| volume["type"] == "bind");
    let mounted = mounted.expect("a configuration");
    let run = words(&crate::dockerfile::instruction("CMD"));
    assert_eq!(mounted["target"], run[1].as_str());
    let source = Path::new(mounted["source"].as_str().expect("a path"));
    let modules = root().join("target/metrics");
    let config = fs::read_to_string(source).expect("it is there");
    let config = config.replace("/usr/share/tidemark/metrics", modules.to_str().expect("test paths are UTF-8"));
    let file = folder.join("tidemark.toml");
    fs::write(&file, config).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemark"));
    command.arg(&run[0]).arg(file);
    for assignment in crate::dockerfile::instruction("ENV").split(' ') {
        let (name, value) = assignment.split_once('=').expect("an assignment");
        command.env(name, value);
    }
    command.env("TIDEMARK_DATA_DIR", folder.join("data")).env_remove("TIDEMARK_KILL_AT");
    command
}

fn generator(service: &Value, broker: &Broker) -> Command {
    let arguments = texts(&service["command"]);
    let arguments = arguments.into_iter().map(|argument| argument.replace("kafka:9092", &broker.address()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemark"));
    command.args(arguments);
    command
}

/// Prometheus with the configuration of `deploy/prometheus`, looking at the job more often than there.
fn prometheus(tools: &Tools, job: SocketAddr, folder: &Path) -> Prometheus {
    let configuration = folder.join("prometheus");
    fs::create_dir_all(configuration.join("rules")).expect("a folder");
    let copied = text("deploy/prometheus/prometheus.yml");
    assert!(copied.contains("tidemark:9464") && copied.contains("scrape_interval: 5s"));
    let copied = copied
        .replace("tidemark:9464", &job.to_string().replace("0.0.0.0", "127.0.0.1"))
        .replace("scrape_interval: 5s", "scrape_interval: 500ms");
    fs::write(configuration.join("prometheus.yml"), copied).expect("written");
    fs::write(configuration.join("rules/tidemark.yml"), text("deploy/prometheus/rules/tidemark.yml")).expect("written");
    fs::write(configuration.join("tidemark-token"), TOKEN).expect("written");
    succeed(tools.promtool().args(["check", "config"]).arg(configuration.join("prometheus.yml")));
    assert_eq!(yaml(tools, "deploy/prometheus/prometheus.yml")[0]["scrape_configs"][0]["job_name"], "tidemark");
    Prometheus::start(tools, &configuration.join("prometheus.yml"), &folder.join("prometheus-data"))
}

/// An address of every interface, as the image has it, that nobody listens on.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
    listener.local_addr().expect("a listener has an address")
}
