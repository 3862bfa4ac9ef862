//! Savepoints of a job that several nodes run, taken and come back to while none does.
//!
//! ```text
//! savepoints/NAME.json     of each piece the epoch, and what it has published; of the exchange, where it ended
//! undone.json              what was undone by coming back to one: see [`super::undone`]
//! ```
//!
//! A savepoint is a name on a checkpoint of each piece, which stay for that, and a file that says which belong together.
//! Every node that ends keeps a checkpoint of each piece's last epoch, and between two epochs nothing is on its way but what
//! is in the exchange: so what all pieces have kept when no node runs is one moment of the job.
//!
//! Coming back takes each piece back, and leaves out for ever what the time that is undone wrote into the exchange. Each
//! step may be the last before a crash: until all are done no node runs the job, and the same command goes on.

use super::piece::{self, PieceId};
use super::undone::{Undone, job_files};
use crate::config::paths::check_name;
use crate::config::source::SourceKind;
use crate::config::{Config, Piece};
use crate::kill::FailPoint;
use crate::wiring;
use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tidemark_connectors::checkpoint::{Checkpoints, JobFiles, NotKept};
use tidemark_connectors::kafka::Group;
use tidemark_connectors::sink::kafka::{KafkaTopics, PublishedEpoch, PublishedEpochs};
use tidemark_connectors::source::kafka::KafkaSourceSettings;
use tidemark_engine::ids::Epoch;

/// The folder of savepoints, among the files of the job.
const FOLDER: &str = "savepoints";

/// The format that this version reads and writes.
const FORMAT: u32 = 1;

/// Names of the fail points.
mod step {
    pub(super) const BEGUN: &str = "savepoint.nodes.begun";
    pub(super) const PIECE: &str = "savepoint.nodes.piece";
    pub(super) const MARKERS: &str = "savepoint.nodes.markers";
    pub(super) const PIECES: &str = "savepoint.nodes.pieces";
    pub(super) const DONE: &str = "savepoint.nodes.done";
}

/// The steps at which a test may end the process while it makes a savepoint the state of the job. `piece` and `markers` are
/// reached with each piece.
pub(crate) const FAIL_POINTS: [&str; 5] = [step::BEGUN, step::PIECE, step::MARKERS, step::PIECES, step::DONE];

/// A savepoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Savepoint {
    format: u32,
    /// The pieces by name.
    pieces: BTreeMap<String, PieceMoment>,
    /// Where each partition of the exchange ended, by `topic/partition`.
    ends: BTreeMap<String, u64>,
}

/// A piece at the moment of a savepoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PieceMoment {
    epoch: Epoch,
    published: Vec<PublishedEpoch>,
}

/// Keeps the state of the job under `name`. Returns how many pieces it has.
pub(crate) fn create(config: &Config, name: &str) -> anyhow::Result<usize> {
    if let Err(message) = check_name(name) {
        bail!("{message}");
    }
    let job = StoppedJob::open(config)?;
    job.refuse_nodes()?;
    if let Some(other) = Undone::read(&job.files)?.restoring {
        bail!("the job is being taken back to savepoint {other}: end that first, with the same command");
    }
    let known = job.savepoints()?;
    if known.contains_key(name) {
        bail!("there is a savepoint {name} already: remove it, or choose another name");
    }
    let pieces = job.pieces()?;
    let (mut moments, mut behind) = (BTreeMap::new(), Vec::new());
    for piece in &pieces {
        match piece.last_epochs()? {
            // It never ran.
            (None, None) => {}
            (Some(kept), decided) if decided <= Some(kept) => drop(moments.insert(piece.name.clone(), kept)),
            _ => behind.push(piece.name.as_str()),
        }
    }
    if !behind.is_empty() {
        bail!(
            "a node has died, and what it ran has no checkpoint of its last epoch: {}; start a node and stop it (SIGTERM), \
             then take the savepoint",
            behind.join(", ")
        );
    }
    if moments.is_empty() {
        bail!("the job has committed nothing yet: there is nothing to keep");
    }
    let topics = exchange_topics(config, &pieces);
    let ends = job.ends(&topics)?;
    let mut savepoint = Savepoint { format: FORMAT, pieces: BTreeMap::new(), ends };
    for piece in pieces.iter().filter(|piece| moments.contains_key(&piece.name)) {
        let published = job.published.read(&piece.config.job.name, wiring::EXCHANGE, &topics)?;
        savepoint.pieces.insert(piece.name.clone(), PieceMoment { epoch: moments[&piece.name], published });
        piece.keep(moments[&piece.name], name, &known)?;
    }
    // A node that ran meanwhile has gone on.
    job.refuse_nodes()?;
    for piece in &pieces {
        let decided = piece.last_epochs()?.1;
        if decided > moments.get(&piece.name).copied() {
            bail!("a node has run the job meanwhile: stop it, and take the savepoint then");
        }
    }
    job.files.write(&file_of(name), &serde_json::to_vec_pretty(&savepoint)?)?;
    Ok(savepoint.pieces.len())
}

/// Every savepoint by name, with the number of its pieces.
pub(crate) fn list(config: &Config) -> anyhow::Result<Vec<(String, usize)>> {
    let savepoints = StoppedJob::open(config)?.savepoints()?.into_iter();
    Ok(savepoints.map(|(name, savepoint)| (name, savepoint.pieces.len())).collect())
}

/// Makes a savepoint checkpoints like any others, which go when they are outdated.
pub(crate) fn remove(config: &Config, name: &str) -> anyhow::Result<()> {
    let job = StoppedJob::open(config)?;
    // Nodes keep checkpoints, and clean up behind them.
    job.refuse_nodes()?;
    let savepoint = named(name, &job.savepoints()?)?;
    for piece in job.pieces()?.iter().filter(|piece| savepoint.pieces.contains_key(&piece.name)) {
        piece.forget(name)?;
    }
    Ok(job.files.remove(&file_of(name))?)
}

/// Makes a savepoint the state of the job. Returns how many pieces it has.
pub(crate) fn restore(config: &Config, name: &str, fail_point: &FailPoint) -> anyhow::Result<usize> {
    if config.sinks.kafka.is_some() {
        bail!("rows that were published to Kafka stay: a job with [sink.kafka] cannot go back; give it another name");
    }
    let job = StoppedJob::open(config)?;
    job.refuse_nodes()?;
    let all = job.savepoints()?;
    let savepoint = named(name, &all)?;
    let later: Vec<&str> =
        all.iter().filter(|(_, other)| savepoint.is_before(other)).map(|(name, _)| &**name).collect();
    if !later.is_empty() {
        bail!("{} came later, and what is later is forgotten: remove them first, if that is meant", later.join(", "));
    }
    let pieces = job.pieces()?;
    savepoint.check(name, &pieces)?;
    let mut undone = Undone::read(&job.files)?;
    match &undone.restoring {
        Some(other) if other != name => {
            bail!("the job is being taken back to savepoint {other}: end that first, with the same command")
        }
        _ => {}
    }
    let before = undone.clone();
    undone.restoring = Some(name.to_owned());
    undone.write(&job.files)?;
    fail_point(step::BEGUN);
    // A node that comes from now on waits; one that came before has to go.
    if let Err(error) = job.refuse_nodes() {
        before.write(&job.files)?;
        return Err(error);
    }
    // A node that only sleeps wakes up to find that it may not publish any more.
    job.published.fence(pieces.iter().map(|piece| piece.config.job.name.clone()).collect(), wiring::EXCHANGE)?;
    for piece in &pieces {
        let Some(moment) = savepoint.pieces.get(&piece.name) else { continue };
        piece.go_back(moment.epoch)?;
        fail_point(step::PIECE);
        job.published.put_back(&piece.config.job.name, wiring::EXCHANGE, &moment.published)?;
        fail_point(step::MARKERS);
    }
    fail_point(step::PIECES);
    for (partition, now) in job.ends(&exchange_topics(config, &pieces))? {
        let then = savepoint.ends.get(&partition).copied().unwrap_or(0);
        undone.add(&partition, then..now);
    }
    undone.times += 1;
    undone.restoring = None;
    undone.write(&job.files)?;
    fail_point(step::DONE);
    Ok(savepoint.pieces.len())
}

impl Savepoint {
    /// Whether `other` has something that this one has not yet.
    fn is_before(&self, other: &Self) -> bool {
        let newer =
            |(name, moment): (&String, &PieceMoment)| self.pieces.get(name).is_none_or(|own| own.epoch < moment.epoch);
        other.pieces.iter().any(newer)
    }

    /// Whether everything that it needs is there, and nothing that it could not undo.
    fn check(&self, name: &str, pieces: &[StoppedPiece]) -> anyhow::Result<()> {
        for (piece, moment) in &self.pieces {
            let found = pieces.iter().find(|found| found.name == *piece);
            let found =
                found.with_context(|| format!("nothing is left of {piece}: put its checkpoints back from a copy"))?;
            let kept = found.checkpoints.savepoints()?;
            if !kept.iter().any(|kept| kept.epoch == moment.epoch && kept.name.as_deref() == Some(name)) {
                bail!(
                    "savepoint {name} is not whole: {piece} has no checkpoint of epoch {} under that name",
                    moment.epoch
                );
            }
            found.checkpoints.verify(moment.epoch)?;
        }
        for piece in pieces.iter().filter(|piece| !self.pieces.contains_key(&piece.name)) {
            if piece.last_epochs()? != (None, None) {
                bail!(
                    "{} has begun since savepoint {name}, by a change of the configuration, and its rows cannot be taken \
                     back: give the job another name",
                    piece.name
                );
            }
        }
        Ok(())
    }
}

/// A job that no node runs.
struct StoppedJob<'a> {
    config: &'a Config,
    files: JobFiles,
    group: Group,
    topics: KafkaTopics,
    published: PublishedEpochs,
}

impl<'a> StoppedJob<'a> {
    fn open(config: &'a Config) -> anyhow::Result<Self> {
        let SourceKind::Kafka(source) = &config.source.kind else {
            bail!("the nodes of a cluster share out topics of Kafka");
        };
        let KafkaSourceSettings { brokers, properties, .. } = &**source;
        Ok(Self {
            config,
            files: job_files(config)?,
            group: Group::new(brokers, properties, &super::group_of(config))?,
            topics: KafkaTopics::new(brokers, properties)?,
            published: PublishedEpochs::new(brokers, properties)?,
        })
    }

    fn refuse_nodes(&self) -> anyhow::Result<()> {
        let members = self.group.members()?;
        if members.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        bail!(
            "nodes run the job: {}; stop them first (SIGTERM). One that has died counts for `cluster.session_ms` more",
            names.join(", ")
        );
    }

    fn savepoints(&self) -> anyhow::Result<BTreeMap<String, Savepoint>> {
        let mut all = BTreeMap::new();
        for file in self.files.names(FOLDER)? {
            let Some(name) = file.strip_suffix(".json") else { continue };
            let Some(content) = self.files.read(&file_of(name))? else { continue };
            let read: Savepoint = serde_json::from_slice(&content)
                .with_context(|| format!("{FOLDER}/{file} cannot be read: put it back from a copy"))?;
            if read.format != FORMAT {
                bail!("{FOLDER}/{file} has format {}: use the version that wrote it", read.format);
            }
            all.insert(name.to_owned(), read);
        }
        Ok(all)
    }

    /// Every piece that ever ran, as far as the place of checkpoints knows.
    fn pieces(&self) -> anyhow::Result<Vec<StoppedPiece>> {
        let mut names = self.files.names("pieces")?;
        names.sort_unstable();
        let ids = names.iter().filter_map(|name| PieceId::parse(name));
        ids.map(|id| StoppedPiece::open(self.config, id)).collect()
    }

    /// Where each partition of these topics ends.
    fn ends(&self, topics: &[String]) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut ends = BTreeMap::new();
        for topic in topics {
            let found = self.topics.ends(topic)?;
            ends.extend((0..).zip(found).map(|(number, end): (u32, u64)| (format!("{topic}/{number}"), end)));
        }
        Ok(ends)
    }
}

/// A piece that nobody runs.
struct StoppedPiece {
    id: PieceId,
    name: String,
    config: Config,
    checkpoints: Checkpoints,
}

impl StoppedPiece {
    fn open(config: &Config, id: PieceId) -> anyhow::Result<Self> {
        let config = piece::place(config, &id, 1);
        // No node is there that could believe to own it.
        let checkpoints = wiring::open_checkpoints(&config)?;
        let config = Config { piece: Some(Piece::default()), ..config };
        Ok(Self { name: id.name(), id, config, checkpoints })
    }

    /// The epochs of the newest checkpoint, and of the last record of the tick log.
    fn last_epochs(&self) -> anyhow::Result<(Option<Epoch>, Option<Epoch>)> {
        let checkpoints = self.checkpoints.list()?;
        let sound = checkpoints.iter().filter(|checkpoint| checkpoint.damage.is_none());
        Ok((sound.map(|checkpoint| checkpoint.epoch).max(), wiring::last_tick(&self.config)?))
    }

    /// Gives the checkpoint of `epoch` the name; whatever other names are not in `known` are of commands that died.
    fn keep(&self, epoch: Epoch, name: &str, known: &BTreeMap<String, Savepoint>) -> anyhow::Result<()> {
        for kept in self.checkpoints.savepoints()? {
            if kept.name.as_ref().is_some_and(|other| !known.contains_key(other)) && kept.epoch != epoch {
                self.checkpoints.rename(kept.epoch, None)?;
            }
        }
        let stale = self.checkpoints.savepoints()?.into_iter().find(|kept| kept.epoch == epoch);
        let is_stale = stale.is_some_and(|kept| kept.name.is_some_and(|other| !known.contains_key(&other)));
        if is_stale {
            self.checkpoints.rename(epoch, Some(name))?;
            return Ok(());
        }
        match self.checkpoints.name(epoch, name) {
            Ok(true) => Ok(()),
            Ok(false) => bail!("{} has no sound checkpoint of epoch {epoch}", self.id),
            Err(NotKept::EpochTaken { name: other, .. }) => {
                bail!("the job has not run since savepoint {other}: that is this moment already")
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the name away.
    fn forget(&self, name: &str) -> anyhow::Result<()> {
        for kept in self.checkpoints.savepoints()? {
            if kept.name.as_deref() == Some(name) {
                self.checkpoints.rename(kept.epoch, None)?;
            }
        }
        Ok(())
    }

    /// Forgets whatever came behind `epoch`.
    fn go_back(&self, epoch: Epoch) -> anyhow::Result<()> {
        self.checkpoints.forget_after(epoch)?;
        wiring::forget_ticks_after(&self.config, epoch)
    }
}

/// The topics of the exchange that pieces read.
fn exchange_topics(config: &Config, pieces: &[StoppedPiece]) -> Vec<String> {
    let prefix = format!("{}.exchange.", config.job.name);
    let topics: BTreeSet<&String> = pieces.iter().map(|piece| &piece.id.topic).collect();
    topics.into_iter().filter(|topic| topic.starts_with(&prefix)).cloned().collect()
}

fn named(name: &str, all: &BTreeMap<String, Savepoint>) -> anyhow::Result<Savepoint> {
    let found = all.get(name).cloned();
    found.with_context(|| {
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        crate::savepoint::no_savepoint(name, &names)
    })
}

fn file_of(name: &str) -> String {
    format!("{FOLDER}/{name}.json")
}
