//! A source with the partitions of records that were submitted again beside its own.

use super::{PREFIX, metric_of};
use crate::cleanse::CleanseSettings;
use crate::source::{FileSettings, ReadSettings, RecordSource, SourceKind, SourceSettings};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidemark_engine::ids::{Offset, Partition};
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{Again, Next, PortError, Positions, Source, SourceStart};

/// Two sources as one: partitions of the second have names of their own.
pub struct AgainSource {
    main: Box<dyn Source>,
    again: RecordSource,
    names: Vec<String>,
    /// Where each partition is: of the main source or not, and its place there.
    places: Vec<(bool, Partition)>,
}

impl AgainSource {
    /// `main`, and what was submitted again in `folder`. While the main source is live, the folder is followed.
    #[must_use]
    pub fn new(main: Box<dyn Source>, folder: &Path, read: &ReadSettings, cleanse: CleanseSettings) -> Self {
        let files = FileSettings { path: folder.to_owned(), follow: !main.bounded() };
        // Few records, now and then.
        let read = ReadSettings { decoders: 1, prefetch: 1, ..read.clone() };
        let settings = SourceSettings { from: SourceKind::File(files), read };
        let mut source =
            Self { main, again: RecordSource::new(settings, cleanse), names: Vec::new(), places: Vec::new() };
        source.meet();
        source
    }

    /// Gives partitions that turned up in either source the next places.
    fn meet(&mut self) {
        for is_main in [true, false] {
            let source: &dyn Source = if is_main { &*self.main } else { &self.again };
            let known = self.places.iter().filter(|(of_main, _)| *of_main == is_main).count();
            for (place, name) in source.partitions().iter().enumerate().skip(known) {
                self.places.push((is_main, Partition(place as u32)));
                self.names.push(if is_main { name.clone() } else { format!("{PREFIX}{name}") });
            }
        }
    }
}

impl Source for AgainSource {
    fn start(&mut self, start: SourceStart) -> Result<(), PortError> {
        let (mut own, mut others) = (start.clone(), start);
        others.positions.retain(|name, _| !name.starts_with(PREFIX));
        others.cuts.retain(|name, _| !name.starts_with(PREFIX));
        own.positions = stripped(own.positions);
        own.cuts = stripped(own.cuts);
        self.main.start(others)?;
        self.again.start(own)?;
        // Starting may order partitions anew: those with a position come first.
        self.names.clear();
        self.places.clear();
        self.meet();
        Ok(())
    }

    fn partitions(&self) -> &[String] {
        &self.names
    }

    fn first_offset(&self, partition: Partition) -> Offset {
        match self.places[partition.0 as usize] {
            (true, place) => self.main.first_offset(place),
            (false, place) => self.again.first_offset(place),
        }
    }

    fn next(&mut self, partition: Partition, wait: Duration) -> Result<Next, PortError> {
        let next = match self.places[partition.0 as usize] {
            (true, place) => self.main.next(place, wait),
            // Hardly ever is there anything: the tick is not kept waiting for it.
            (false, place) => self.again.next(place, Duration::ZERO),
        };
        self.meet();
        next
    }

    fn reachable(&self) -> bool {
        self.main.reachable()
    }

    /// The main source first: the other one takes whatever plan that takes.
    fn change_plan(&mut self, plan: Arc<ExtractionPlan>) -> Result<(), PortError> {
        self.main.change_plan(Arc::clone(&plan))?;
        self.again.change_plan(plan)
    }

    fn bounded(&self) -> bool {
        self.main.bounded()
    }

    fn committed(&mut self, positions: &Positions) {
        let own = positions.iter().filter(|(name, _)| !name.starts_with(PREFIX));
        self.main.committed(&own.map(|(name, position)| (name.clone(), *position)).collect());
    }

    fn written_by(&self, partition: Partition) -> &[String] {
        match self.places[partition.0 as usize] {
            (true, place) => self.main.written_by(place),
            (false, _) => &[],
        }
    }

    fn again(&self, partition: Partition) -> Option<Again> {
        let name = self.names[partition.0 as usize].strip_prefix(PREFIX)?;
        Some(Again { metric: metric_of(name).map(str::to_owned) })
    }
}

/// What is about these partitions, by the names that they have in their folder.
fn stripped<T>(of_all: std::collections::BTreeMap<String, T>) -> std::collections::BTreeMap<String, T> {
    of_all.into_iter().filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value))).collect()
}
