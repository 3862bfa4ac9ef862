//! Where lines come from: files, standard input or the generator, behind one face.

use super::error::SourceError;
use super::generate::Paced;
use super::input::Input;
use super::settings::SourceKind;
use std::collections::BTreeSet;
use std::path::Path;
use tidemark_engine::ports::{PortError, Positions};

/// The partitions of a source, by name.
pub(crate) struct Places {
    kind: SourceKind,
    /// Names given out so far.
    known: BTreeSet<String>,
}

impl Places {
    pub(crate) fn new(kind: SourceKind) -> Self {
        Self { kind, known: BTreeSet::new() }
    }

    /// Whether no partition ever grows and none is added.
    pub(crate) fn bounded(&self) -> bool {
        match &self.kind {
            SourceKind::File(file) => !file.follow,
            SourceKind::Stdin => true,
            SourceKind::Generate(generate) => generate.paced_per_second.is_none(),
        }
    }

    /// Whether a read may block for ever, so that nobody can wait for the reading thread.
    pub(crate) fn may_block(&self) -> bool {
        matches!(self.kind, SourceKind::Stdin)
    }

    /// The partitions as they are now; none where they can't be seen, which [`Places::initial`] will tell.
    pub(crate) fn names(&self) -> Vec<String> {
        self.find().unwrap_or_default().into_iter().collect()
    }

    /// The partitions at the start: those with a position first, for they were there before.
    pub(crate) fn initial(&mut self, positions: &Positions) -> Result<Vec<String>, PortError> {
        let found = self.find()?;
        if self.bounded()
            && let Some(gone) = positions.keys().find(|name| !found.contains(*name))
        {
            return Err(SourceError::Gone.stop(gone));
        }
        if found.is_empty() {
            return Err(SourceError::Empty.stop(&self.place()));
        }
        let (before, new): (Vec<_>, Vec<_>) = found.iter().cloned().partition(|name| positions.contains_key(name));
        self.known = found;
        Ok([before, new].concat())
    }

    /// Partitions that were not there before.
    pub(crate) fn discover(&mut self) -> Result<Vec<String>, PortError> {
        let found = self.find()?;
        let new: Vec<_> = found.difference(&self.known).cloned().collect();
        self.known.extend(new.iter().cloned());
        Ok(new)
    }

    /// The bytes of a partition from a position on.
    pub(crate) fn open(&self, name: &str, position: u64) -> Result<Input, PortError> {
        let opened = match &self.kind {
            SourceKind::File(file) if file.path.is_dir() => {
                Input::open_file(&file.path.join(name), position, file.follow)
            }
            SourceKind::File(file) => Input::open_file(&file.path, position, file.follow),
            SourceKind::Stdin => Input::from_reader(Box::new(std::io::stdin()), position),
            SourceKind::Generate(generate) => match generate.generator().map_err(PortError::Stop)? {
                (generator, None) => Input::from_reader(Box::new(generator.into_reader()), position),
                // Goes to its position by itself: until then nothing is due.
                (generator, Some(rate)) => Input::from_reader(Box::new(Paced::new(generator, rate, position)), 0),
            },
        };
        opened.map_err(|error| error.stop(name))
    }

    fn find(&self) -> Result<BTreeSet<String>, PortError> {
        match &self.kind {
            SourceKind::File(file) => files(&file.path).map_err(|error| error.stop(&self.place())),
            SourceKind::Stdin => Ok(BTreeSet::from(["stdin".to_owned()])),
            SourceKind::Generate(_) => Ok(BTreeSet::from(["generate".to_owned()])),
        }
    }

    fn place(&self) -> String {
        match &self.kind {
            SourceKind::File(file) => file.path.display().to_string(),
            SourceKind::Stdin => "stdin".to_owned(),
            SourceKind::Generate(_) => "generate".to_owned(),
        }
    }
}

/// The files of a folder, without its subfolders and hidden files; or the name of the file itself.
fn files(path: &Path) -> Result<BTreeSet<String>, SourceError> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(BTreeSet::from([name(path)]));
    }
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        let name = name(&path);
        if path.is_file() && !name.starts_with('.') {
            names.insert(name);
        }
    }
    Ok(names)
}
