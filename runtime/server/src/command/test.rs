//! `tidemark test` and `tidemark module test`: a module's contract tests, and its rows on events, without a server.

use super::build;
use crate::cli::TestArguments;
use crate::exit::Failure;
use crate::trial::{self, Difference, EventFile, TrialOutcome, TrialSettings};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tidemark_wasm_host::{Host, Limits, Module, contract};

mod watch;

/// Where a project keeps its cases: here, or in folders below.
const CASES: &str = "golden";
const EVENTS: &str = "events.ndjson";
const ROWS: &str = "rows.ndjson";
const CONFIG: &str = "config.json";
/// Records of a tick when the module's speed is measured: what a run has by default.
const MEASURED_TICK: usize = 16_384;

/// Tests once, or again and again.
pub fn execute(arguments: &TestArguments) -> Result<(), Failure> {
    let host = build::host()?;
    if arguments.watch {
        return watch::forever(&watched(&arguments.module), &mut || match test(&host, arguments) {
            Ok(()) => eprintln!("passed"),
            Err(Failure::Usage(message)) => eprintln!("error: {message}"),
            Err(Failure::Failed(error)) => eprintln!("error: {error:#}"),
        });
    }
    test(&host, arguments)
}

/// The folder whose changes make a test run again.
fn watched(path: &Path) -> PathBuf {
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn test(host: &Host, arguments: &TestArguments) -> Result<(), Failure> {
    let path = &arguments.module;
    let is_component = path.extension().is_some_and(|extension| extension == "wasm");
    let (file, module) = if is_component { (path.clone(), load(host, path)?) } else { build::build(host, path, None)? };
    let descriptor = module.descriptor();
    eprintln!("{}: {} {}, admitted", file.display(), descriptor.name, descriptor.version);
    let mut broken = check_contract(&module, arguments)?;
    for case in cases(arguments, &file)? {
        broken += usize::from(!case.run(&module, arguments)?);
    }
    if broken > 0 { Err(Failure::failed(format!("{broken} of the tests failed"))) } else { Ok(()) }
}

fn load(host: &Host, file: &Path) -> Result<Module, Failure> {
    let bytes = fs::read(file).map_err(|error| Failure::Usage(format!("cannot read {}: {error}", file.display())))?;
    host.load(&bytes).map_err(|error| Failure::failed(format!("{} is refused: {error}", file.display())))
}

/// Tells what the contract tests say. Returns 1 if a promise is broken.
fn check_contract(module: &Module, arguments: &TestArguments) -> Result<usize, Failure> {
    let config = match &arguments.config {
        Some(config) => read_config(config)?,
        None => "{}".to_owned(),
    };
    let report = contract::check(module, &config, Limits::default());
    eprintln!("contract");
    eprint!("{report}");
    Ok(usize::from(!report.is_sound()))
}

/// The configuration: JSON itself, or a file of it.
fn read_config(given: &str) -> Result<String, Failure> {
    let text = if given.trim_start().starts_with('{') {
        given.to_owned()
    } else {
        fs::read_to_string(given)
            .map_err(|error| Failure::Usage(format!("cannot read the configuration {given}: {error}")))?
    };
    let parsed = serde_json::from_str::<serde_json::Value>(&text);
    parsed.map_err(|error| Failure::Usage(format!("the configuration is not JSON: {error}")))?;
    Ok(text)
}

/// Events, and the rows that they should give.
struct Case {
    events: PathBuf,
    /// Where the rows are, or will be.
    rows: Option<PathBuf>,
    config: Option<PathBuf>,
}

/// The case of the command line, else those of the project.
fn cases(arguments: &TestArguments, component: &Path) -> Result<Vec<Case>, Failure> {
    if let Some(events) = &arguments.input {
        return Ok(vec![Case { events: events.clone(), rows: arguments.expect.clone(), config: None }]);
    }
    if arguments.expect.is_some() {
        return Err(Failure::Usage("--expect needs --input, the events that give these rows".to_owned()));
    }
    let folder = component.parent().unwrap_or(Path::new("")).join(CASES);
    let below = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = below.filter(|path| path.is_dir()).chain([folder.clone()]).collect();
    folders.sort();
    let cases = folders.into_iter().filter(|folder| folder.join(EVENTS).is_file()).map(|folder| Case {
        events: folder.join(EVENTS),
        rows: Some(folder.join(ROWS)),
        config: Some(folder.join(CONFIG)).filter(|config| config.is_file()),
    });
    let cases: Vec<Case> = cases.collect();
    if cases.is_empty() {
        eprintln!("no {}/{EVENTS} and no --input: no rows were tested", folder.display());
    }
    Ok(cases)
}

impl Case {
    /// Runs it and tells what came of it. Whether the rows are those that were expected.
    fn run(&self, module: &Module, arguments: &TestArguments) -> Result<bool, Failure> {
        let config = match (&arguments.config, &self.config) {
            (Some(given), _) => read_config(given)?,
            (None, Some(file)) => read_config(&file.to_string_lossy())?,
            (None, None) => "{}".to_owned(),
        };
        let settings = TrialSettings {
            config,
            bound_ms: arguments.bound_ms,
            allowed_lateness_ms: arguments.lateness_ms,
            ..TrialSettings::default()
        };
        let events = EventFile::read(&self.events).map_err(|error| Failure::Usage(error.to_string()))?;
        let outcome = trial::run(module, &events, &settings)?;
        eprintln!("{}", self.events.display());
        eprintln!("  {}, {} of them for the metric", counted(events.events(), "event"), outcome.accepted);
        outcome.hints.iter().for_each(|hint| eprintln!("  note: {hint}"));
        if arguments.measure {
            measure(module, &events, &settings)?;
        }
        self.judge(module, arguments, &events, &outcome)
    }

    fn judge(
        &self,
        module: &Module,
        arguments: &TestArguments,
        events: &EventFile,
        outcome: &TrialOutcome,
    ) -> Result<bool, Failure> {
        let text: String = outcome.rows.iter().map(|row| format!("{row}\n")).collect();
        let count = counted(outcome.rows.len(), "row");
        let Some(file) = &self.rows else {
            print!("{text}");
            return Ok(true);
        };
        if arguments.update {
            let before = fs::read_to_string(file).ok();
            fs::write(file, &text)
                .map_err(|error| Failure::failed(format!("cannot write {}: {error}", file.display())))?;
            let news = if before.as_deref() == Some(&text) { "as it was" } else { "written" };
            eprintln!("  {count}: {} {news}", file.display());
            return Ok(true);
        }
        let expected = match fs::read_to_string(file) {
            Ok(expected) => expected,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                print!("{text}");
                eprintln!("  {count}, and no {} to compare with: --update keeps them there", file.display());
                return Ok(false);
            }
            Err(error) => return Err(Failure::Usage(format!("cannot read {}: {error}", file.display()))),
        };
        let difference = Difference::find(&expected, &outcome.rows, events, module.descriptor());
        let difference = difference.map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
        let Some(difference) = difference else {
            eprintln!("  {count}, as in {}", file.display());
            return Ok(true);
        };
        eprintln!("  {count}, not those of {}:", file.display());
        for sentence in difference.sentences {
            eprintln!("  {sentence}");
        }
        eprintln!("  if they are as they should be: tidemark test --update");
        Ok(false)
    }
}

/// `1 row`, `2 rows`.
fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Runs once more, in the ticks of a run, and tells what it cost.
fn measure(module: &Module, events: &EventFile, settings: &TrialSettings) -> Result<(), Failure> {
    let settings = TrialSettings { tick_records: MEASURED_TICK, ..settings.clone() };
    let started = Instant::now();
    let calls = trial::run(module, events, &settings)?.calls;
    let per_row = calls.busy.as_nanos() / u128::from(calls.rows.max(1));
    eprintln!(
        "  {} calls for {} groups and {} rows: {:.3} ms in the module, {per_row} ns a row; {:.3} ms in all",
        calls.calls,
        calls.groups,
        calls.rows,
        calls.busy.as_secs_f64() * 1e3,
        started.elapsed().as_secs_f64() * 1e3,
    );
    let fuel = trial::fuel(module, events, &settings)?;
    eprintln!("  {fuel} fuel, {} a row: about one unit is one instruction", fuel / calls.rows.max(1));
    Ok(())
}
