//! Roll-ups of a metric: aggregate states by key, in steps of five minutes and, from those, of one hour.
//!
//! For a metric `m` there are, for each step `5m` and `1h`:
//!
//! | name | what |
//! | --- | --- |
//! | `m__5m_states` | the states, to be merged over any keys and times with `-Merge` functions |
//! | `m__5m_feed` | the materialised view that fills them; a block that is inserted again adds nothing |
//! | `m__5m` | a view of plain numbers, one row for each key and step |
//!
//! While rows of a metric may be replaced, `…_states` is a view over the rows instead, with the same columns, since a stored
//! state cannot take back a row that was replaced. What was stored until then stays in `m__5m_kept`, for the days whose rows have
//! gone by their age.
//!
//! Values that are not finite are left out: one of them would blank out a whole step.

use super::layout::Layout;
use super::settings::RollUpSettings;
use super::sql::{identifier, list, literal};

/// Relative error of the quantiles. Their sketches merge in any order to the same result.
const QUANTILE_ERROR: &str = "0.01";

/// The length of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    FiveMinutes,
    OneHour,
}

impl Step {
    /// Both, the one that feeds the other first.
    pub(super) const ALL: [Self; 2] = [Self::FiveMinutes, Self::OneHour];

    const fn suffix(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::OneHour => "1h",
        }
    }

    const fn interval(self) -> &'static str {
        match self {
            Self::FiveMinutes => "INTERVAL 5 MINUTE",
            Self::OneHour => "INTERVAL 1 HOUR",
        }
    }

    const fn ttl_days(self, settings: &RollUpSettings) -> u32 {
        match self {
            Self::FiveMinutes => settings.five_minutes_ttl_days,
            Self::OneHour => settings.one_hour_ttl_days,
        }
    }
}

/// What a roll-up is called on the server.
pub(super) struct StoredRollUp {
    /// The table of states, or the view that computes them.
    pub(super) states: String,
    /// The states that were stored before they were computed.
    pub(super) kept: String,
    /// The materialised view that fills the table.
    pub(super) feed: String,
}

impl StoredRollUp {
    pub(super) fn of(table: &str, step: Step) -> Self {
        let suffix = step.suffix();
        let name = |what: &str| format!("{table}__{suffix}_{what}");
        Self { states: name("states"), kept: name("kept"), feed: name("feed") }
    }
}

/// One aggregate of one column.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Aggregate {
    /// Of the roll-up's column.
    name: String,
    /// With its parameters.
    function: String,
    /// `None` counts rows.
    of: Option<Input>,
}

/// What an aggregate reads.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Input {
    expression: String,
    type_text: String,
}

impl Aggregate {
    fn type_text(&self) -> String {
        match &self.of {
            None => format!("AggregateFunction({})", self.function),
            Some(input) => format!("AggregateFunction({}, {})", self.function, input.type_text),
        }
    }

    /// The function with `combinator` behind its name and before its parameters.
    fn call(&self, combinator: &str, argument: &str) -> String {
        match self.function.split_once('(') {
            None => format!("{}{combinator}({argument})", self.function),
            Some((name, parameters)) => format!("{name}{combinator}({parameters}({argument})"),
        }
    }

    fn state(&self) -> String {
        self.call("State", self.of.as_ref().map_or("", |input| &input.expression))
    }
}

/// The roll-up of one table in one step.
pub(super) struct RollUp<'a> {
    layout: &'a Layout,
    step: Step,
    settings: &'a RollUpSettings,
    aggregates: Vec<Aggregate>,
}

impl<'a> RollUp<'a> {
    pub(super) fn new(layout: &'a Layout, step: Step, settings: &'a RollUpSettings) -> Self {
        let levels: Vec<String> = settings.quantiles.iter().map(f64::to_string).collect();
        let quantiles = format!("quantilesDD({QUANTILE_ERROR}, {})", levels.join(", "));
        let mut aggregates = vec![Aggregate { name: "rows".to_owned(), function: "count".to_owned(), of: None }];
        for column in layout.own_columns.iter().filter(|column| column.is_number()) {
            let name = identifier(&column.name);
            let finite = format!("CAST(if(isFinite({name}), {name}, NULL) AS Nullable(Float64))");
            let number = match column.base {
                "Int64" => (format!("CAST({name} AS Nullable(Int64))"), "Nullable(Int64)"),
                _ => (finite.clone(), "Nullable(Float64)"),
            };
            let mut add = |suffix: &str, function: &str, (expression, type_text): (String, &str)| {
                aggregates.push(Aggregate {
                    name: format!("{}__{suffix}", column.name),
                    function: function.to_owned(),
                    of: Some(Input { expression, type_text: type_text.to_owned() }),
                });
            };
            add("count", "count", number.clone());
            // Sums of integers may leave their range; as floats they lose digits instead.
            add("sum", "sum", (finite.clone(), "Nullable(Float64)"));
            add("min", "min", number.clone());
            add("max", "max", number);
            add("quantiles", &quantiles, (finite, "Nullable(Float64)"));
        }
        Self { layout, step, settings, aggregates }
    }

    /// The table or view with states.
    pub(super) fn states_name(&self) -> String {
        StoredRollUp::of(&self.layout.name, self.step).states
    }

    /// The table of states of before they were computed.
    pub(super) fn kept_name(&self) -> String {
        StoredRollUp::of(&self.layout.name, self.step).kept
    }

    /// The materialised view.
    pub(super) fn feed_name(&self) -> String {
        StoredRollUp::of(&self.layout.name, self.step).feed
    }

    /// The view of numbers.
    fn numbers_name(&self) -> String {
        format!("{}__{}", self.layout.name, self.step.suffix())
    }

    /// Names and types of the state columns.
    pub(super) fn state_columns(&self) -> impl Iterator<Item = (&str, String)> {
        self.aggregates.iter().map(|aggregate| (aggregate.name.as_str(), aggregate.type_text()))
    }

    /// Creates the table of states under `name`.
    pub(super) fn create_states(&self, name: &str) -> String {
        let columns = self.state_columns().map(|(name, type_text)| format!(", {} {type_text}", identifier(name)));
        let ttl = self.ttl().map(|ttl| format!("TTL {ttl} ")).unwrap_or_default();
        format!(
            "CREATE TABLE IF NOT EXISTS {} (`key` String CODEC(ZSTD(1)), `bucket` DateTime('UTC') CODEC(Delta, ZSTD(1)){}) \
             ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(`bucket`) ORDER BY (`key`, `bucket`) {ttl}\
             SETTINGS non_replicated_deduplication_window = 10000",
            identifier(name),
            columns.collect::<String>(),
        )
    }

    /// When steps go; `None`: never.
    pub(super) fn ttl(&self) -> Option<String> {
        let days = self.step.ttl_days(self.settings);
        (days > 0).then(|| format!("toDate(bucket) + toIntervalDay({days})"))
    }

    /// Creates the materialised view that fills them.
    pub(super) fn create_feed(&self) -> String {
        let (feed, states) = (identifier(&self.feed_name()), identifier(&self.states_name()));
        let (query, shape) = (self.feed_query(), literal(&self.feed_shape()));
        format!("CREATE MATERIALIZED VIEW IF NOT EXISTS {feed} TO {states} AS {query} COMMENT {shape}")
    }

    /// The comment of the materialised view: tells whether it is of this shape, however the server spells its query.
    pub(super) fn feed_shape(&self) -> String {
        format!("{:016x}", xxhash_rust::xxh3::xxh3_64(self.feed_query().as_bytes()))
    }

    fn feed_query(&self) -> String {
        match self.step {
            Step::FiveMinutes => self.query_of_rows(""),
            Step::OneHour => self.query_of_steps(),
        }
    }

    /// Creates the view of states, for a metric whose rows may be replaced. `has_kept`: there are stored ones for the time
    /// before `complete`, an expression.
    pub(super) fn create_computed_states(&self, has_kept: Option<&str>) -> String {
        let query = match has_kept {
            None => self.query_of_rows(" FINAL"),
            Some(complete) => format!(
                "{} UNION ALL {}",
                self.query_of_kept(complete),
                self.query_of_rows(&format!(" FINAL WHERE `event_time` >= {complete}"))
            ),
        };
        format!("CREATE OR REPLACE VIEW {} AS {query}", identifier(&self.states_name()))
    }

    /// The statements that fill the table `name`: from the rows, and for the time before `complete` with what was kept.
    pub(super) fn fill(&self, name: &str, has_kept: Option<&str>) -> Vec<String> {
        let columns: Vec<&str> = self.aggregates.iter().map(|each| each.name.as_str()).collect();
        let insert = format!("INSERT INTO {} (`key`, `bucket`, {})", identifier(name), list(columns.into_iter()));
        match has_kept {
            None => vec![format!("{insert} {}", self.query_of_rows(" FINAL"))],
            Some(complete) => vec![
                format!("{insert} {}", self.query_of_kept(complete)),
                format!("{insert} {}", self.query_of_rows(&format!(" FINAL WHERE `event_time` >= {complete}"))),
            ],
        }
    }

    /// The states of before they were computed.
    fn query_of_kept(&self, before: &str) -> String {
        let states = self.aggregates.iter().map(|each| format!(", {}", identifier(&each.name)));
        let (columns, kept) = (states.collect::<String>(), identifier(&self.kept_name()));
        format!("SELECT `key`, `bucket`{columns} FROM {kept} WHERE `bucket` < {before}")
    }

    /// States from rows.
    fn query_of_rows(&self, modifier: &str) -> String {
        let bucket = format!("toStartOfInterval(toDateTime(`event_time`, 'UTC'), {})", self.step.interval());
        let states = self.aggregates.iter().map(|each| format!(", {} AS {}", each.state(), identifier(&each.name)));
        format!(
            "SELECT `key`, {bucket} AS `bucket`{} FROM {}{modifier} GROUP BY `key`, `bucket`",
            states.collect::<String>(),
            identifier(&self.layout.name),
        )
    }

    /// States of hours from states of five minutes.
    fn query_of_steps(&self) -> String {
        let states = self.aggregates.iter().map(|each| {
            let name = identifier(&each.name);
            format!(", {} AS {name}", each.call("MergeState", &format!("steps.{name}")))
        });
        let from = RollUp::new(self.layout, Step::FiveMinutes, self.settings).states_name();
        format!(
            "SELECT steps.`key` AS `key`, toStartOfHour(steps.`bucket`) AS `bucket`{} FROM {} AS steps \
             GROUP BY `key`, `bucket`",
            states.collect::<String>(),
            identifier(&from),
        )
    }

    /// Creates the view of numbers.
    pub(super) fn create_numbers(&self) -> String {
        let numbers = self.aggregates.iter().map(|each| {
            let name = identifier(&each.name);
            format!(", {} AS {name}", each.call("Merge", &format!("states.{name}")))
        });
        format!(
            "CREATE OR REPLACE VIEW {} AS SELECT states.`key` AS `key`, states.`bucket` AS `bucket`{} FROM {} AS states \
             GROUP BY `key`, `bucket`",
            identifier(&self.numbers_name()),
            numbers.collect::<String>(),
            identifier(&self.states_name()),
        )
    }
}
