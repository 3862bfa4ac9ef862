//! One broker: formatted, started, stopped, killed and started again on the same ports and data.

use crate::process::{Process, end_of};
use crate::{Unavailable, jars, probe};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a broker may take to answer, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// Attempts to find ports that are still free when the broker wants them.
const ATTEMPTS: usize = 3;

/// Any id will do: no two brokers of different clusters ever meet.
const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// What a test may want to be different.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Broker properties beyond the usual, or in their place.
    pub properties: Vec<(String, String)>,
    /// Name and password of a user: then there is a second listener, which asks for them by SASL PLAIN.
    pub user: Option<(String, String)>,
    /// Heap in MiB of a broker that is to be fast; 0: one that starts fast and stays small.
    pub heap_mib: usize,
}

impl Settings {
    /// With a broker property.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A broker. Killed when dropped, and when the process ends.
pub struct Broker {
    folder: TempDir,
    jars: PathBuf,
    heap: Vec<String>,
    ports: [u16; 3],
    process: Mutex<Option<Process>>,
}

impl Broker {
    /// Formats a fresh data folder and starts a broker on it. It answers when this returns.
    ///
    /// # Errors
    /// No Java, no jars, or it does not start.
    pub fn start(settings: &Settings) -> Result<Self, Unavailable> {
        let jars = jars::folder()?;
        check_java()?;
        let mut attempt = 1;
        loop {
            let broker = Self::prepare(settings, &jars)?;
            match broker.format().and_then(|()| broker.run()) {
                Ok(()) => return Ok(broker),
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    fn prepare(settings: &Settings, jars: &Path) -> Result<Self, Unavailable> {
        let broken = |error: io::Error| Unavailable::Broken(format!("cannot prepare its folder: {error}"));
        let folder = tempfile::tempdir().map_err(broken)?;
        let ports = free_ports().map_err(broken)?;
        let heap = match settings.heap_mib {
            0 => vec!["-Xmx384m".to_owned(), "-XX:TieredStopAtLevel=1".to_owned()],
            heap_mib => vec![format!("-Xmx{heap_mib}m")],
        };
        let broker = Self { folder, jars: jars.to_owned(), heap, ports, process: Mutex::new(None) };
        fs::write(broker.file("server.properties"), broker.properties(settings)).map_err(broken)?;
        fs::write(broker.file("log4j2.properties"), LOGGING).map_err(broken)?;
        Ok(broker)
    }

    /// What clients take as `bootstrap.servers`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    /// The listener that asks for a password; only where [`Settings::user`] is set.
    #[must_use]
    pub fn sasl_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[2])
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&self) {
        if let Some(process) = self.take() {
            process.kill();
        }
    }

    /// Ends it in order.
    pub fn stop(&self) {
        if let Some(process) = self.take() {
            process.stop(PATIENCE);
        }
    }

    /// Starts it again after [`Broker::kill`] or [`Broker::stop`], with everything that it knew. Answers when this
    /// returns.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&self) -> Result<(), Unavailable> {
        self.kill();
        self.run()
    }

    /// A program of Kafka's, by its class: what the scripts beside the broker start.
    #[must_use]
    pub fn tool(&self, class: &str) -> Command {
        self.java(class)
    }

    fn take(&self) -> Option<Process> {
        self.process.lock().ok()?.take()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn format(&self) -> Result<(), Unavailable> {
        let mut java = self.java("kafka.tools.StorageTool");
        java.args(["format", "--cluster-id", CLUSTER, "--config"]).arg(self.file("server.properties"));
        let output = java.output().map_err(|error| Unavailable::Missing(format!("cannot start Java: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(Unavailable::Broken(format!("its data folder cannot be formatted: {said}")))
    }

    fn run(&self) -> Result<(), Unavailable> {
        let mut java = self.java("kafka.Kafka");
        java.arg(self.file("server.properties"));
        let log = self.file("log");
        let process = Process::start(&java, &log)
            .map_err(|error| Unavailable::Missing(format!("cannot start a shell: {error}")))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[0]));
        let deadline = Instant::now() + PATIENCE;
        while !probe::is_ready(address) {
            if !process.runs() || Instant::now() > deadline {
                return Err(Unavailable::Broken(end_of(&log)));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        if let Ok(mut running) = self.process.lock() {
            *running = Some(process);
        }
        Ok(())
    }

    /// A Java program of the jars.
    fn java(&self, class: &str) -> Command {
        let mut java = Command::new("java");
        java.args(&self.heap).arg("-XX:+UseSerialGC");
        java.arg(format!("-Dlog4j2.configurationFile={}", self.file("log4j2.properties").display()));
        java.arg("-cp").arg(self.jars.join("*")).arg(class);
        java
    }

    fn properties(&self, settings: &Settings) -> String {
        let [plain, controller, sasl] = self.ports;
        let mut listeners = format!("PLAINTEXT://127.0.0.1:{plain}");
        if settings.user.is_some() {
            listeners += &format!(",SASL_PLAINTEXT://127.0.0.1:{sasl}");
        }
        let mut lines = vec![
            "process.roles=broker,controller".to_owned(),
            "node.id=1".to_owned(),
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            format!("listeners={listeners},CONTROLLER://127.0.0.1:{controller}"),
            format!("advertised.listeners={listeners}"),
            "controller.listener.names=CONTROLLER".to_owned(),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT"
                .to_owned(),
            format!("log.dirs={}", self.file("data").display()),
        ];
        lines.extend(USUAL.map(str::to_owned));
        if let Some((name, password)) = &settings.user {
            lines.push("sasl.enabled.mechanisms=PLAIN".to_owned());
            lines.push(format!(
                "listener.name.sasl_plaintext.plain.sasl.jaas.config=\
                 org.apache.kafka.common.security.plain.PlainLoginModule required user_{name}=\"{password}\";"
            ));
        }
        // Of two lines for one property the later one counts.
        lines.extend(settings.properties.iter().map(|(name, value)| format!("{name}={value}")));
        lines.join("\n") + "\n"
    }
}

/// One replica of everything, few partitions of internal topics, no waiting.
const USUAL: [&str; 11] = [
    "offsets.topic.replication.factor=1",
    "offsets.topic.num.partitions=4",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "transaction.state.log.num.partitions=4",
    "share.coordinator.state.topic.replication.factor=1",
    "share.coordinator.state.topic.min.isr=1",
    "group.initial.rebalance.delay.ms=0",
    "controller.quorum.election.timeout.ms=200",
    "log.segment.bytes=67108864",
    "num.recovery.threads.per.data.dir=1",
];

const LOGGING: &str = "\
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c: %m%n
";

fn check_java() -> Result<(), Unavailable> {
    let runs = Command::new("java").arg("-version").output().is_ok_and(|output| output.status.success());
    if runs { Ok(()) } else { Err(Unavailable::Missing("there is no Java".to_owned())) }
}

/// Ports that nobody listens on. All are held until all are found, so that they differ.
fn free_ports() -> io::Result<[u16; 3]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners = [listen()?, listen()?, listen()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
