//! Settings and plan, checked and turned into what decoding looks things up in.

use super::event_time::{EventTimeRule, MAX_TIMES};
use super::schema::Schemas;
use super::settings::{CleanseSettings, SettingsErrors, UnknownTypes};
use super::table::TableSettings;
use super::trie::{Target, Trie};
use std::sync::Arc;
use tidemark_engine::plan::{ExtractionPlan, Slot};

/// Shared by the decoders of a source.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) trie: Trie,
    pub(crate) event_time: EventTimeRule,
    pub(crate) schemas: Schemas,
    pub(crate) unknown_types: UnknownTypes,
    pub(crate) tables: Vec<TableSettings>,
    /// Whether rows of metrics are events here.
    pub(crate) rows: bool,
    /// Where the payload is, as the source writes events.
    pub(crate) data_path: String,
    plan: Arc<ExtractionPlan>,
}

impl Compiled {
    pub(crate) fn new(settings: &CleanseSettings, plan: Arc<ExtractionPlan>) -> Result<Self, SettingsErrors> {
        let mut mistakes = Vec::new();
        let envelope = &settings.envelope;
        for (name, path) in [
            ("id", &envelope.id),
            ("type", &envelope.kind),
            ("timestamp", &envelope.timestamp),
            ("gateway", &envelope.gateway),
            ("data", &envelope.data),
        ] {
            if path.split('.').any(str::is_empty) {
                mistakes.push(format!("cleanse.envelope.{name}: path `{path}` has an empty segment"));
            }
        }
        let mut trie = Trie::new(envelope);
        let mut add = |place: &str, path: &str, target: Target| {
            if let Err(mistake) = trie.add(envelope, path, target) {
                mistakes.push(format!("{place}: {mistake}"));
            }
        };
        add("cleanse.envelope.id", "id", Target::Id);
        add("cleanse.envelope.type", "type", Target::Type);
        let mut others = Vec::new();
        let (event_time, times) = EventTimeRule::new(settings, &mut others);
        for (rank, path) in times.iter().enumerate().take(MAX_TIMES) {
            add("cleanse.event_time", path, Target::Time(rank));
        }
        let schemas = Schemas::new(settings, &mut others);
        for (index, path) in schemas.paths().iter().enumerate() {
            add("cleanse.schema", path, Target::Rule(index));
        }
        for (index, slot) in plan.slots().iter().enumerate() {
            // Filled by enrichment, null until then.
            if slot.path.split('.').next() != Some("enrich") {
                add("a metric's input", &slot.path, Target::Slot(index, slot.kind));
            }
        }
        settings.table.iter().for_each(|table| table.check(&mut others));
        for (index, table) in settings.table.iter().enumerate() {
            if settings.table[..index].iter().any(|earlier| earlier.name == table.name) {
                others.push(format!("cleanse.table `{}`: the name is used more than once", table.name));
            }
        }
        mistakes.append(&mut others);
        if !mistakes.is_empty() {
            return Err(SettingsErrors(mistakes));
        }
        Ok(Self {
            trie,
            event_time,
            schemas,
            unknown_types: settings.unknown_types,
            tables: settings.table.clone(),
            rows: settings.rows,
            data_path: envelope.data.clone(),
            plan,
        })
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        self.plan.slots()
    }

    pub(crate) fn interest(&self, kind: &str) -> u64 {
        self.plan.interest(kind)
    }

    /// Tables that events of this type carry.
    pub(crate) fn tables_of(&self, kind: &str) -> Vec<usize> {
        let fed = |table: &TableSettings| table.event.as_deref() == Some(kind);
        self.tables.iter().enumerate().filter(|(_, table)| fed(table)).map(|(index, _)| index).collect()
    }
}
