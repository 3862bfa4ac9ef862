//! The traits of a metric: [`Fold`] or [`Join`] is what its author writes, [`Metric`] what `#[derive(Metric)]` adds.

use crate::context::Context;
use crate::contract::{Batch, ByteStrings, CloseReason, Folded};
use crate::facts::Facts;
use crate::failure::Failure;
use crate::input::{Input, InputField, Rows};
use crate::output::Output;
use crate::state::State;

/// A metric that folds the rows of a group into its state: tumbling, sliding, session and key windows.
///
/// Both functions must depend on their arguments and the settings in `self` alone. An error fails the group and no
/// other: its state stays, its rows become a dead letter with the message.
pub trait Fold: Sized {
    /// What it reads of an event. Where the struct has a lifetime, write `'static`: rows borrow from the batch anyway.
    type Input: Input;
    /// What it remembers of a group.
    type State: State + Default;
    /// What it emits. Where the struct has a lifetime, write `'static`.
    type Output: Output;

    /// Adds rows of one key and window to its state, in event-time order. Called for every batch that has some.
    fn update(
        &self,
        state: &mut Self::State,
        rows: Rows<'_, Self::Input>,
        context: &mut Context<'_, Self::Output>,
    ) -> Result<(), Failure>;

    /// Ends a window, or handles a timer or the expiry of a key. A window may be closed again when a late row within
    /// the allowed lateness changed it, so the state must stay usable.
    fn close(
        &self,
        state: &mut Self::State,
        reason: CloseReason,
        context: &mut Context<'_, Self::Output>,
    ) -> Result<(), Failure>;

    /// Checks settings beyond their types. The error is for the person who wrote the configuration.
    fn validate(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// A metric whose states can be merged: `#[metric(mergeable)]`. Session windows need it.
pub trait Merge: Fold {
    /// Adds `later`, which was folded from rows after those of `state`. Must be associative, and the default state
    /// must change nothing.
    fn merge(&self, state: &mut Self::State, later: Self::State) -> Result<(), Failure>;
}

/// A metric that can read states of its older versions: `#[metric(migrates)]`.
pub trait Migrate: Fold {
    /// The state in `bytes`, which `state_version` `version` wrote.
    fn migrate(&self, bytes: &[u8], version: u32) -> Result<Self::State, Failure>;
}

/// A metric over pairs of rows whose times lie close to each other: interval joins. It has no state.
pub trait Join: Sized {
    /// What it reads of an event on the left. Where the struct has a lifetime, write `'static`.
    type Left: Input;
    /// What it reads of an event on the right.
    type Right: Input;
    /// What it emits.
    type Output: Output;

    /// Handles a pair.
    fn matched(
        &self,
        left: <Self::Left as Input>::Row<'_>,
        right: <Self::Right as Input>::Row<'_>,
        context: &mut Context<'_, Self::Output>,
    ) -> Result<(), Failure>;

    /// Handles a left row without a partner. Called where `unmatched` is `left` or `both`.
    fn unmatched_left(
        &self,
        left: <Self::Left as Input>::Row<'_>,
        context: &mut Context<'_, Self::Output>,
    ) -> Result<(), Failure> {
        let _ = (left, context);
        Ok(())
    }

    /// Handles a right row without a partner. Called where `unmatched` is `right` or `both`.
    fn unmatched_right(
        &self,
        right: <Self::Right as Input>::Row<'_>,
        context: &mut Context<'_, Self::Output>,
    ) -> Result<(), Failure> {
        let _ = (right, context);
        Ok(())
    }

    /// Checks settings beyond their types. The error is for the person who wrote the configuration.
    fn validate(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// A whole module, by `#[derive(Metric)]` on a struct whose fields are the settings. The contract's functions, with the
/// settings in `self`.
///
/// ```text
/// #[derive(Metric)]
/// #[metric(
///     name = "jitter-coefficient",                 // lower-case letters, digits and hyphens
///     key = "data.stream_id",                      // path of the key
///     filter("type" = "ai_stream_status",          // path = text, [texts], present or absent
///            "data.state" = ["ONLINE", "ERROR"],
///            "data.stream_id" = present),
///     window(tumbling = "60s"),                    // ms, s, m, h, d; optional: offset = "5s"
///            // sliding = "5m", every = "1m"
///            // session = "30s"                       needs mergeable
///            // key                                   optional: ttl = "1h"
///            // join, left(…filter…), right(…filter…), lower = "-10s", upper = "60s"
///            //     optional: lower_bound = exclusive, upper_bound = exclusive,
///            //               take = first, unmatched = left | right | both
///     state_version = 1,                           // raise it when the state's fields change
///     mergeable,                                   // implements Merge
///     migrates,                                    // implements Migrate
/// )]
/// ```
///
/// The doc comment of the struct is the metric's description, the package's version the module's version. A field of
/// the struct is a setting: a [`Setting`](crate::Setting), with `#[setting(default = …)]` where it may be absent.
pub trait Metric: Sized + 'static {
    /// What it emits.
    type Output: Output;
    /// What is known of it when it is compiled.
    const FACTS: Facts;

    /// The columns that it reads, with their side of a join.
    fn inputs() -> Vec<(InputField, Option<Side>)>;

    /// What the module is, as JSON.
    fn describe() -> String;

    /// A metric with the settings in `json`.
    fn configure(json: &str) -> Result<Self, Failure>;

    /// Folds rows into the states of their groups.
    fn update_groups(&self, batch: &Batch) -> Folded;

    /// Ends groups.
    fn close_groups(&self, batch: &Batch, reason: CloseReason) -> Folded;

    /// Merges pairs of states.
    fn merge_states(&self, left: &ByteStrings, right: &ByteStrings) -> Folded;

    /// Turns states of version `from` into states of the metric's own.
    fn migrate_states(&self, states: &ByteStrings, from: u32) -> Folded;
}

/// Which side of a join a column belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The side that bounds are measured from.
    Left,
    /// The other one.
    Right,
}
