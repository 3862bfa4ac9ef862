//! Brings tables, roll-ups and views on the server to what rows need, one table at a time, each once in a process.
//!
//! Every step can be the last before a crash: it is found unfinished and repeated. Nobody else inserts, so nothing is
//! missed while a roll-up is between two shapes.

use super::client::Client;
use super::cold::{ColdViews, NEWEST_BY_ID};
use super::layout::Layout;
use super::ledger;
use super::migration::{self, Present};
use super::roll_up::{RollUp, Step};
use super::settings::ClickHouseSettings;
use super::sql::{identifier, literal};
use serde::Deserialize;
use std::collections::BTreeMap;
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

/// Tables that were looked after.
#[derive(Default)]
pub(super) struct Schema {
    ready: BTreeMap<TableKind, Layout>,
}

/// What the server says of a table.
#[derive(Deserialize)]
struct Relation {
    engine: String,
    sorting_key: String,
    create_table_query: String,
    comment: String,
}

impl Schema {
    /// Whether rows of `layout` can be inserted as things are.
    pub(super) fn is_ready(&self, layout: &Layout) -> bool {
        self.ready.get(&layout.kind).is_some_and(|ready| ready.serves(layout))
    }

    /// Looks at everything again when it is needed next.
    pub(super) fn forget(&mut self) {
        self.ready.clear();
    }

    /// Makes rows of `layout` insertable, the first ones being of `epoch`.
    pub(super) fn prepare(&mut self, place: &Place<'_>, layout: &Layout, epoch: Epoch) -> Result<(), PortError> {
        if self.is_ready(layout) {
            return Ok(());
        }
        let is_new = place.prepare_table(layout)?;
        let Some(replaces) = layout.replaces else { return Ok(()) };
        if matches!(layout.kind, TableKind::Metric(_)) && place.settings.roll_ups.enabled {
            for step in Step::ALL {
                place.prepare_roll_up(layout, step, replaces)?;
            }
        }
        let first = ledger::first_epoch(place.client, &layout.name, is_new, place.job, epoch);
        let first = first.map_err(|error| place.client.port_error("keep the ledger", &error))?;
        if let Some(cold) = &place.settings.cold {
            let replaced = place.had_replaced(layout, replaces)?;
            for statement in ColdViews::new(layout, cold, place.settings, first, replaced).create() {
                place.execute(&format!("create the cold views of {}", layout.name), &statement)?;
            }
        }
        self.ready.insert(layout.kind.clone(), layout.clone());
        Ok(())
    }
}

/// Where tables are made, and for whom.
pub(super) struct Place<'a> {
    pub(super) client: &'a Client,
    pub(super) settings: &'a ClickHouseSettings,
    pub(super) job: &'a str,
}

impl Place<'_> {
    fn execute(&self, action: &str, statement: &str) -> Result<(), PortError> {
        self.client.execute(statement).map_err(|error| self.client.port_error(action, &error))
    }

    fn relation(&self, name: &str) -> Result<Option<Relation>, PortError> {
        let query = format!(
            "SELECT engine, sorting_key, create_table_query, comment FROM system.tables \
             WHERE database = currentDatabase() AND name = {}",
            literal(name)
        );
        let found = self.client.rows(&query).map_err(|error| self.client.port_error("list its tables", &error))?;
        Ok(found.into_iter().next())
    }

    /// Whether files may have several rows of one id: where that was so once, it stays so.
    fn had_replaced(&self, layout: &Layout, replaces: bool) -> Result<bool, PortError> {
        let view = self.relation(&format!("{}__cold", layout.name))?;
        Ok(replaces || view.is_some_and(|view| view.create_table_query.contains(NEWEST_BY_ID)))
    }

    fn columns(&self, name: &str) -> Result<Vec<Present>, PortError> {
        let query = format!(
            "SELECT name, type, default_kind FROM system.columns \
             WHERE database = currentDatabase() AND table = {} ORDER BY position",
            literal(name)
        );
        self.client.rows(&query).map_err(|error| self.client.port_error("list its columns", &error))
    }

    /// Creates the table or changes it. Says whether it is new.
    fn prepare_table(&self, layout: &Layout) -> Result<bool, PortError> {
        let name = &layout.name;
        let Some(found) = self.relation(name)? else {
            self.execute(&format!("create the table {name}"), &layout.create(self.settings))?;
            return Ok(true);
        };
        // Replicated and shared engines have longer names with the same end.
        let engine = layout.engine().split('(').next().unwrap_or_default();
        let sorting_key = layout.sorting_key().join(", ");
        if !found.engine.ends_with(engine) || found.sorting_key.replace('`', "") != sorting_key {
            return Err(PortError::Stop(format!(
                "{name} in ClickHouse is a {} ordered by ({}), not a {engine} ordered by ({sorting_key}): somebody else \
                 made it; rename it, or give this job another database",
                found.engine, found.sorting_key,
            )));
        }
        let statements = migration::plan(layout, &self.columns(name)?).map_err(PortError::Stop)?;
        for statement in statements {
            tracing::info!(statement, "changing a table in ClickHouse");
            self.execute(&format!("change the table {name}"), &statement)?;
        }
        self.prepare_ttl(name, layout.ttl(self.settings), &found)?;
        Ok(false)
    }

    /// Retention as the settings have it now. What is older goes when parts are merged.
    fn prepare_ttl(&self, name: &str, ttl: Option<String>, found: &Relation) -> Result<(), PortError> {
        let table = identifier(name);
        let statement = match ttl {
            Some(ttl) if !found.create_table_query.contains(&format!("TTL {ttl}")) => {
                format!("ALTER TABLE {table} MODIFY TTL {ttl} SETTINGS materialize_ttl_after_modify = 0")
            }
            None if found.create_table_query.contains(" TTL ") => format!("ALTER TABLE {table} REMOVE TTL"),
            _ => return Ok(()),
        };
        self.execute(&format!("change the retention of {name}"), &statement)
    }

    fn prepare_roll_up(&self, layout: &Layout, step: Step, replaces: bool) -> Result<(), PortError> {
        let roll_up = RollUp::new(layout, step, &self.settings.roll_ups);
        let action = format!("create the roll-up {}", roll_up.states_name());
        let found = self.relation(&roll_up.states_name())?;
        let is_view = found.as_ref().is_some_and(|found| found.engine == "View");
        if replaces {
            if found.is_some() && !is_view {
                self.put_states_by(&roll_up, layout, step)?;
            }
            let has_kept = self.has_kept(&roll_up)?;
            let complete = self.settings.complete_since();
            self.execute(&action, &roll_up.create_computed_states(has_kept.then_some(&complete)))?;
        } else {
            match found.filter(|_| !is_view) {
                Some(found) => self.change_states(&roll_up, layout, step, &found)?,
                None => self.store_states(&roll_up, layout, step, is_view)?,
            }
            self.drop_kept(&roll_up)?;
            self.execute(&action, &roll_up.create_feed())?;
        }
        self.execute(&action, &roll_up.create_numbers())
    }

    /// Puts stored states by: from here on they are computed, as far back as there are rows.
    fn put_states_by(&self, roll_up: &RollUp<'_>, layout: &Layout, step: Step) -> Result<(), PortError> {
        self.drop_feeding_from(layout, step)?;
        // From an earlier time: the stored ones have what is in there.
        self.drop_kept(roll_up)?;
        let (states, kept) = (identifier(&roll_up.states_name()), identifier(&roll_up.kept_name()));
        let statement = match self.settings.ttl_days {
            0 => format!("DROP TABLE {states} SYNC"),
            _ => format!("RENAME TABLE {states} TO {kept}"),
        };
        self.execute(&format!("change the roll-up {}", roll_up.states_name()), &statement)
    }

    fn drop_kept(&self, roll_up: &RollUp<'_>) -> Result<(), PortError> {
        let dropped = format!("DROP TABLE IF EXISTS {} SYNC", identifier(&roll_up.kept_name()));
        self.execute(&format!("change the roll-up {}", roll_up.states_name()), &dropped)
    }

    /// Whether there are states of before they were computed, which then have every column.
    fn has_kept(&self, roll_up: &RollUp<'_>) -> Result<bool, PortError> {
        let kept = roll_up.kept_name();
        let has_kept = self.relation(&kept)?.is_some();
        if has_kept {
            self.add_states(&kept, &self.missing_states(roll_up, &kept)?)?;
        }
        Ok(has_kept)
    }

    /// Whether roll-ups are computed from rows that may be replaced, as they are now; `None`: there are none.
    pub(super) fn computes_states(&self, layout: &Layout) -> Result<Option<bool>, PortError> {
        let roll_up = RollUp::new(layout, Step::FiveMinutes, &self.settings.roll_ups);
        Ok(self.relation(&roll_up.states_name())?.map(|found| found.engine == "View"))
    }

    /// Makes the table of states from the rows that are there, in the place of the view if there is one.
    fn store_states(&self, roll_up: &RollUp<'_>, layout: &Layout, step: Step, is_view: bool) -> Result<(), PortError> {
        let states = roll_up.states_name();
        let action = format!("create the roll-up {states}");
        self.drop_feeding_from(layout, step)?;
        // Filled under another name: a roll-up that is there is complete.
        let unfinished = format!("{states}_unfinished");
        self.execute(&action, &format!("DROP TABLE IF EXISTS {} SYNC", identifier(&unfinished)))?;
        self.execute(&action, &roll_up.create_states(&unfinished))?;
        let has_kept = self.has_kept(roll_up)?;
        let complete = if has_kept { Some(self.moment(&self.settings.complete_since())?) } else { None };
        for statement in roll_up.fill(&unfinished, complete.as_deref()) {
            self.execute(&action, &statement)?;
        }
        if is_view {
            self.execute(&action, &format!("DROP VIEW {} SYNC", identifier(&states)))?;
        }
        self.execute(&action, &format!("RENAME TABLE {} TO {}", identifier(&unfinished), identifier(&states)))
    }

    /// Brings the table of states to what rows and settings are now.
    fn change_states(
        &self,
        roll_up: &RollUp<'_>,
        layout: &Layout,
        step: Step,
        found: &Relation,
    ) -> Result<(), PortError> {
        let states = roll_up.states_name();
        let additions = self.missing_states(roll_up, &states)?;
        let feed = self.relation(&roll_up.feed_name())?;
        if feed.is_some_and(|feed| feed.comment != roll_up.feed_shape()) {
            self.drop_feeding_from(layout, step)?;
        }
        self.add_states(&states, &additions)?;
        self.prepare_ttl(&states, roll_up.ttl(), found)
    }

    /// What a table of states lacks.
    fn missing_states(&self, roll_up: &RollUp<'_>, name: &str) -> Result<Vec<String>, PortError> {
        let present = self.columns(name)?;
        let mut additions = Vec::new();
        for (column, type_text) in roll_up.state_columns() {
            match present.iter().find(|present| present.name == column) {
                None => additions.push(format!("ADD COLUMN IF NOT EXISTS {} {type_text}", identifier(column))),
                Some(present) if present.type_text != type_text => {
                    return Err(PortError::Stop(format!(
                        "{column} of the roll-up {name} is {}, and the settings make it {type_text}: put the settings back, \
                         or drop {name} to have it made again from the rows that are there",
                        present.type_text
                    )));
                }
                Some(_) => {}
            }
        }
        Ok(additions)
    }

    fn add_states(&self, name: &str, additions: &[String]) -> Result<(), PortError> {
        if additions.is_empty() {
            return Ok(());
        }
        let addition = format!("ALTER TABLE {} {}", identifier(name), additions.join(", "));
        self.execute(&format!("create the roll-up {name}"), &addition)
    }

    /// The moment that an expression is now, for several statements.
    fn moment(&self, expression: &str) -> Result<String, PortError> {
        #[derive(Deserialize)]
        struct Moment {
            moment: String,
        }
        let found = self.client.rows::<Moment>(&format!("SELECT toString({expression}) AS moment"));
        let found = found.map_err(|error| self.client.port_error("ask for the time", &error))?;
        let moment = found.into_iter().next().map(|found| found.moment).unwrap_or_default();
        Ok(format!("toDateTime64({}, 3, 'UTC')", literal(&moment)))
    }

    /// Drops the view that feeds `step`, and the one that `step` feeds: they name its columns.
    fn drop_feeding_from(&self, layout: &Layout, step: Step) -> Result<(), PortError> {
        for later in Step::ALL.into_iter().skip_while(|other| *other != step) {
            let feed = RollUp::new(layout, later, &self.settings.roll_ups).feed_name();
            let dropped = format!("DROP VIEW IF EXISTS {} SYNC", identifier(&feed));
            self.execute(&format!("change the roll-up of {}", layout.name), &dropped)?;
        }
        Ok(())
    }
}
