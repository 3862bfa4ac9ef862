//! The main job against a plain program: two metrics over a million generated events, on one pinned core; and on two.

use super::figures::{Figures, verdict};
use super::timed::{self, Timed};
use super::{pinned, rows};
use crate::process::{output_of, run as run_command};
use crate::workspace;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(super) const EVENTS: u32 = 1_000_000;
const STREAMS: u32 = 1_000;
const SEED: u32 = 1;

/// Nothing late and nothing malformed: the baseline has no watermark and no rules for what is bad. Events are out of
/// order, repeated and lost, streams are swapped.
const CLEAN: [&str; 4] = ["--late-share", "0", "--malformed-share", "0"];

/// How often each program runs, beside once to warm up.
const ROUNDS: usize = 7;

/// The file of settings, seen from the root of the workspace.
const CONFIG: &str = "bench/livepeer-job.toml";

/// Events a second of one worker on one core.
const LEAST_RATE: f64 = 570_000.0;
/// Of the baseline's rate.
const LEAST_RATIO: f64 = 0.6;
/// Two workers on two cores, in rates of one.
const LEAST_SPEED_UP: f64 = 1.7;

/// Every run of each program, round by round.
#[derive(Default)]
struct Rounds {
    one_worker: Vec<Timed>,
    baseline: Vec<Timed>,
    /// Empty on a machine with one core.
    two_workers: Vec<Timed>,
    /// Events a second of two jobs of one worker, each on a core of its own, at the same time: what two cores can do.
    two_jobs: Vec<f64>,
}

/// Runs it and returns the section for the results.
pub(super) fn run() -> Result<String> {
    let job = Job::prepare()?;
    let rounds = job.measure()?;
    let equal = job.verify(!rounds.two_workers.is_empty())?;
    let text = report(&job, &rounds, &equal)?;
    println!("\n{text}");
    Ok(text)
}

/// The input, made once.
fn generate(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(format!("events-{EVENTS}-{STREAMS}-{SEED}.ndjson"));
    if path.is_file() {
        return Ok(path);
    }
    println!("generating {EVENTS} events");
    // Under its name only when it is whole.
    let unfinished = path.with_extension("unfinished");
    let numbers = [("--events", EVENTS), ("--streams", STREAMS), ("--seed", SEED)];
    let mut command = Command::new(workspace::built("tidemark"));
    command.arg("generate").args(numbers.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]));
    run_command(command.args(CLEAN).arg("--out").arg(&unfinished))?;
    fs::rename(&unfinished, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Where its files are.
pub(super) struct Job {
    folder: PathBuf,
    input: PathBuf,
}

impl Job {
    /// Makes the input, if it is not there.
    pub(super) fn prepare() -> Result<Self> {
        let folder = workspace::root().join("target/bench");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { input: generate(&folder)?, folder })
    }

    /// Where benchmarks keep their files.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The events.
    pub(super) fn input(&self) -> &Path {
        &self.input
    }

    fn measure(&self) -> Result<Rounds> {
        let has_two_cores = std::thread::available_parallelism().is_ok_and(|cores| cores.get() >= 2);
        let mut rounds = Rounds::default();
        for round in 0..=ROUNDS {
            let one = timed::run(&mut self.tidemark(1)?)?;
            let plain = timed::run(&mut self.baseline())?;
            let two = if has_two_cores { Some(timed::run(&mut self.tidemark(2)?)?) } else { None };
            let jobs = if has_two_cores { Some(self.two_jobs()?) } else { None };
            // The first round fills the page cache and the cache of compiled modules.
            if round == 0 {
                continue;
            }
            println!(
                "round {round}: one worker {:.0}/s, baseline {:.0}/s{}{}",
                rate(one),
                rate(plain),
                two.map_or_else(String::new, |two| format!(", two workers {:.0}/s", rate(two))),
                jobs.map_or_else(String::new, |jobs| format!(", two jobs {jobs:.0}/s")),
            );
            rounds.one_worker.push(one);
            rounds.baseline.push(plain);
            rounds.two_workers.extend(two);
            rounds.two_jobs.extend(jobs);
        }
        Ok(rounds)
    }

    fn data(&self, workers: usize) -> PathBuf {
        self.folder.join(format!("data-{workers}"))
    }

    /// Tidemark with `workers`, each with a core.
    pub(super) fn tidemark(&self, workers: usize) -> Result<Command> {
        self.tidemark_on(cores(workers), workers, &self.data(workers))
    }

    /// Events a second of two jobs at once.
    fn two_jobs(&self) -> Result<f64> {
        let job = |core: &str| self.tidemark_on(core, 1, &self.folder.join(format!("data-of-core-{core}")));
        let seconds = timed::run_together(&mut [job("0")?, job("1")?])?;
        Ok(2.0 * f64::from(EVENTS) / seconds)
    }

    /// Tidemark bound to `cores`. The folder is as new, but for compiled modules.
    fn tidemark_on(&self, cores: &str, workers: usize, data: &Path) -> Result<Command> {
        empty(data)?;
        let mut command = pinned::command(&workspace::built("tidemark"), cores);
        command.arg("run").arg(workspace::root().join(CONFIG)).arg("--input").arg(&self.input);
        command.arg("--data").arg(data).args(["--workers", &workers.to_string()]);
        Ok(command)
    }

    fn baseline(&self) -> Command {
        let mut command = pinned::command(&workspace::built("baseline"), "0");
        command.arg(&self.input);
        command
    }

    /// Compares the rows of the last runs with the baseline's; says how many there are.
    fn verify(&self, has_two_workers: bool) -> Result<String> {
        let folder = self.folder.join("rows");
        run_command(self.baseline().arg("--rows").arg(&folder).stdout(Stdio::null()))?;
        let read = |name: &str| fs::read_to_string(folder.join(name)).with_context(|| format!("cannot read {name}"));
        let (jitter, first_frame) = (read("jitter.csv")?, read("first_frame.csv")?);
        let mut equal = (0, 0);
        for workers in if has_two_workers { &[1, 2][..] } else { &[1] } {
            equal = (
                rows::compare("jitter-coefficient", &self.sql(*workers, JITTER)?, &jitter)?,
                rows::compare("prompt-to-first-frame", &self.sql(*workers, FIRST_FRAME)?, &first_frame)?,
            );
        }
        Ok(format!("{} rows of jitter-coefficient and {} of prompt-to-first-frame", equal.0, equal.1))
    }

    fn sql(&self, workers: usize, query: &str) -> Result<String> {
        let mut command = Command::new(workspace::built("tidemark"));
        output_of(command.args(["sql", "--format", "csv", "--data"]).arg(self.data(workers)).arg(query))
    }
}

/// Makes a data folder as new, but for compiled modules.
pub(super) fn empty(data: &Path) -> Result<()> {
    for entry in data.read_dir().into_iter().flatten() {
        let path = entry?.path();
        if path.file_name() != Some("modules".as_ref()) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// The rows as the baseline writes them.
const JITTER: &str = "SELECT key, CAST(window_start AS BIGINT) AS window_start, samples, mean_fps, jitter \
                      FROM jitter_coefficient ORDER BY key, window_start";
const FIRST_FRAME: &str = "SELECT key, latency_ms, matched FROM prompt_to_first_frame ORDER BY key, event_time";

const fn cores(workers: usize) -> &'static str {
    if workers == 1 { "0" } else { "0,1" }
}

fn rate(run: Timed) -> f64 {
    f64::from(EVENTS) / run.seconds
}

fn figures(runs: &[Timed], figure: impl Fn(Timed) -> f64) -> Figures {
    Figures::new(runs.iter().copied().map(figure).collect())
}

fn report(job: &Job, rounds: &Rounds, equal: &str) -> Result<String> {
    let bytes = fs::metadata(&job.input)?.len();
    let one_worker = figures(&rounds.one_worker, rate);
    let baseline = figures(&rounds.baseline, rate);
    let ratio = one_worker.over(&baseline);
    let mut lines = vec![
        line("one worker on one core, events/s", LEAST_RATE, &one_worker, 0),
        line("ratio to the baseline on the same core", LEAST_RATIO, &ratio, 2),
    ];
    let mut others = vec![format!("baseline {}", range(&baseline, 0))];
    if !rounds.two_workers.is_empty() {
        let two_workers = figures(&rounds.two_workers, rate);
        let two_jobs = Figures::new(rounds.two_jobs.clone());
        lines.push(line("two workers on two cores, times one", LEAST_SPEED_UP, &two_workers.over(&one_worker), 2));
        lines.push(line(
            "the same, of what two jobs at once get out of the two cores",
            LEAST_SPEED_UP / 2.0,
            &two_workers.over(&two_jobs),
            2,
        ));
        others.push(format!("two workers {}", range(&two_workers, 0)));
        let limit = range(&two_jobs.over(&one_worker), 2);
        others
            .push(format!("two jobs at once, each on a core of its own, {} ({limit} times one)", range(&two_jobs, 0)));
    }
    let cpu = |run: Timed| run.cpu_seconds;
    let (own_cpu, other_cpu) = (figures(&rounds.one_worker, cpu), figures(&rounds.baseline, cpu));
    let busy = |run: Timed| run.cpu_seconds / run.seconds / 2.0;
    let on_two_cores = if rounds.two_workers.is_empty() {
        String::new()
    } else {
        let two_cpu = figures(&rounds.two_workers, cpu);
        format!(
            " Two workers {} s, {} times one; they keep {} of the two cores busy.",
            range(&two_cpu, 2),
            range(&two_cpu.over(&own_cpu), 2),
            range(&figures(&rounds.two_workers, busy), 2)
        )
    };
    let pairs: Vec<String> = ratio.values().iter().map(|ratio| format!("{ratio:.2}")).collect();
    Ok(format!(
        "jitter-coefficient and prompt-to-first-frame over {EVENTS} generated events ({STREAMS} streams, seed {SEED}, \
         {} bytes each on average), from NDJSON to Parquet, RocksDB state, archive off. The time is that of the whole \
         process, from its start to its end; {ROUNDS} rounds after one to warm up, one worker, baseline, two \
         workers and two jobs at once in turn, {} and {}.\n\
         Command: `cargo xtask bench job`; settings: `{CONFIG}`.\n\n\
         | | target | measured | |\n| --- | --- | --- | --- |\n{}\n\n\
         In events/s: {}. Ratios to the baseline pair by pair: {}.\n\n\
         Processor time, all threads: one worker {} s, baseline {} s, ratio {}.{on_two_cores}\n\n\
         Both programs gave the same {equal} (floats within 1e-12).\n",
        bytes / u64::from(EVENTS),
        pinned::describe(cores(1)),
        pinned::describe(cores(2)),
        lines.join("\n"),
        others.join(", "),
        pairs.join(", "),
        range(&own_cpu, 2),
        range(&other_cpu, 2),
        range(&other_cpu.over(&own_cpu), 2),
    ))
}

fn line(what: &str, target: f64, figures: &Figures, digits: usize) -> String {
    let verdict = verdict(figures.median() >= target);
    format!("| {what} | ≥ {target:.digits$} | {} | {verdict} |", range(figures, digits))
}

/// `median (least–greatest)`.
fn range(figures: &Figures, digits: usize) -> String {
    let (median, least, greatest) = (figures.median(), figures.least(), figures.greatest());
    format!("{median:.digits$} ({least:.digits$}–{greatest:.digits$})")
}
