//! What came of the contract tests, for the module's author.

use serde::{Deserialize, Serialize};
use std::fmt;
use tidemark_engine::ids::Digest;

/// Something that every module promises.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Rows of any values are taken, or refused in the module's own words.
    Calls,
    /// A fresh instance gives what a used one gives.
    FreshInstance,
    /// A group's results do not depend on which other groups are in the call.
    GroupSplit,
    /// Nor on their order.
    GroupOrder,
    /// Rows give the same, whether they come in one call or in several.
    RowSplit,
    /// Another instance goes on from a state as the one that wrote it does.
    State,
    /// A window can change after it was closed: late rows give what they would have given in time.
    LateRows,
    /// Merging is associative, and merging what was folded apart is folding it together.
    Merge,
}

impl Check {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 8] = [
        Self::Calls,
        Self::FreshInstance,
        Self::GroupSplit,
        Self::GroupOrder,
        Self::RowSplit,
        Self::State,
        Self::LateRows,
        Self::Merge,
    ];

    /// What is promised, as a sentence.
    #[must_use]
    pub const fn promise(self) -> &'static str {
        match self {
            Self::Calls => "rows of any values are taken, or refused in the metric's own words",
            Self::FreshInstance => "a fresh instance gives what a used one gives",
            Self::GroupSplit => "a group's results do not depend on the other groups of the call",
            Self::GroupOrder => "nor on the order of the groups",
            Self::RowSplit => "rows give the same in one call and in several",
            Self::State => "another instance goes on from a state",
            Self::LateRows => "late rows give what they would have given in time",
            Self::Merge => "merging is associative and equals folding",
        }
    }

    /// How a module that breaks the promise is mended.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::Calls => {
                "a field may be null, zero, negative, huge or empty: handle it, or fail the group with a message"
            }
            Self::FreshInstance => {
                "keep nothing between calls: no global or static variables, caches or counters, and no order that is \
                 random or depends on what was called before, such as that of a hash map; what must be kept belongs into \
                 the state"
            }
            Self::GroupSplit | Self::GroupOrder => {
                "work on one group at a time, with nothing but its own rows and state: reset what is used for every group"
            }
            Self::RowSplit => {
                "fold row by row into the state: nothing may be decided or emitted by where a call begins or ends, since \
                 the rows of a window come in any number of calls"
            }
            Self::State => {
                "everything that the next call needs must be in the state, and reading a state must give back what was \
                 written"
            }
            Self::LateRows => {
                "`close` must leave the state as it found it: after late rows it is called again and has to count all rows"
            }
            Self::Merge => {
                "`merge` gets two states of consecutive rows and must return the state of all these rows: add counts, keep \
                 the earlier first and the later last value, combine means by their counts"
            }
        }
    }
}

/// What came of one check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The promise was kept, by this many groups.
    Passed {
        /// Groups that were compared.
        groups: usize,
    },
    /// It was kept as far as the engine relies on it, but the author will want to know.
    Warned {
        /// What was seen.
        detail: String,
        /// How to mend it.
        remedy: String,
    },
    /// It was broken.
    Failed {
        /// The first difference that was seen.
        detail: String,
        /// How to mend it.
        remedy: String,
    },
    /// It could not be tried, or does not concern the module.
    NotTried {
        /// Why.
        reason: String,
    },
}

/// One check and what came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// Which.
    pub check: Check,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of all of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The module's name.
    pub module: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its bytes.
    #[serde(serialize_with = "as_text")]
    pub digest: Digest,
    /// One for every [`Check`], in their order.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether no promise was broken.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.findings.iter().any(|finding| matches!(finding.outcome, Outcome::Failed { .. }))
    }

    /// The promises that were broken, a sentence or two each.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let broken = self.findings.iter().filter_map(|finding| match &finding.outcome {
            Outcome::Failed { detail, remedy } => Some(format!("{}: {detail}; {remedy}", finding.check.promise())),
            _ => None,
        });
        broken.collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Findings(&self.findings).fmt(f)
    }
}

/// Findings for people, a line each.
pub struct Findings<'a>(pub &'a [Finding]);

impl fmt::Display for Findings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(findings) = self;
        if let Some(Finding { outcome: Outcome::NotTried { reason }, .. }) = findings.first()
            && findings.iter().all(|finding| matches!(finding.outcome, Outcome::NotTried { .. }))
        {
            return writeln!(f, "  -        nothing could be tried: {reason}");
        }
        for Finding { check, outcome } in *findings {
            let promise = check.promise();
            match outcome {
                Outcome::Passed { .. } => writeln!(f, "  ok       {promise}")?,
                Outcome::NotTried { reason } => writeln!(f, "  -        {promise}: not tried, {reason}")?,
                Outcome::Warned { detail, remedy } => {
                    writeln!(f, "  warning  {promise}\n             seen: {detail}\n             mend: {remedy}")?;
                }
                Outcome::Failed { detail, remedy } => {
                    writeln!(f, "  BROKEN   {promise}\n             seen: {detail}\n             mend: {remedy}")?;
                }
            }
        }
        Ok(())
    }
}

fn as_text<S: serde::Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

/// The findings where no instance could be had: a module may need a configuration that nobody gave.
pub(crate) fn not_started(error: &str) -> Vec<Finding> {
    let reason = format!("the module {error}");
    Check::ALL.map(|check| Finding { check, outcome: Outcome::NotTried { reason: reason.clone() } }).into()
}
