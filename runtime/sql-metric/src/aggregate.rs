//! The aggregates of a statement: which accumulators they need, each only once, and what is asked of them at the end.

use crate::accumulator::{Finish, Method};
use crate::bind::{Typed, widen};
use crate::expression::{Expression, Leaf};
use crate::value::Kind;
use std::fmt;
use tidemark_engine::descriptor::WindowSpec;

/// What a statement groups by.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Grouping {
    /// Path of the key.
    pub(crate) key: String,
    pub(crate) window: WindowSpec,
}

/// An aggregate function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Aggregate {
    Count,
    Sum,
    Min,
    Max,
    /// Of [`Method::Moments`].
    Moment(Finish),
}

const AGGREGATES: [(&str, Aggregate); 10] = [
    ("COUNT", Aggregate::Count),
    ("SUM", Aggregate::Sum),
    ("MIN", Aggregate::Min),
    ("MAX", Aggregate::Max),
    ("AVG", Aggregate::Moment(Finish::Mean)),
    ("STDDEV_POP", Aggregate::Moment(Finish::PopulationDeviation)),
    ("STDDEV_SAMP", Aggregate::Moment(Finish::SampleDeviation)),
    ("VAR_POP", Aggregate::Moment(Finish::PopulationVariance)),
    ("VAR_SAMP", Aggregate::Moment(Finish::SampleVariance)),
    // Flink's other name for it.
    ("VARIANCE", Aggregate::Moment(Finish::SampleVariance)),
];

impl Aggregate {
    /// The aggregate of this name, in capitals.
    pub(crate) fn named(name: &str) -> Option<Self> {
        AGGREGATES.iter().find(|(known, _)| *known == name).map(|(_, aggregate)| *aggregate)
    }

    /// Every name.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        AGGREGATES.iter().map(|(name, _)| *name)
    }

    pub(crate) const fn takes_numbers(self) -> bool {
        matches!(self, Self::Sum | Self::Moment(_))
    }
}

/// An aggregate as a statement calls it.
pub(crate) struct Plan<'a> {
    pub(crate) aggregate: Aggregate,
    pub(crate) name: &'a str,
    pub(crate) distinct: bool,
    /// `None`: `*`.
    pub(crate) argument: Option<Typed>,
    pub(crate) filter: Option<Expression>,
}

/// What is kept of a group for some of its aggregates.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Kept {
    pub(crate) method: Method,
    pub(crate) argument: Option<Expression>,
    pub(crate) filter: Option<Expression>,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.method)?;
        if let Some(argument) = &self.argument {
            write!(f, " of {argument}")?;
        }
        self.filter.as_ref().map_or(Ok(()), |filter| write!(f, " where {filter}"))
    }
}

/// What a statement reads of what is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Measure {
    pub(crate) kept: usize,
    pub(crate) finish: Finish,
}

/// The aggregates of a statement.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Aggregates {
    pub(crate) kept: Vec<Kept>,
    pub(crate) measures: Vec<Measure>,
}

impl Aggregates {
    /// Adds an aggregate and gives the expression that reads it.
    pub(crate) fn measure(&mut self, plan: Plan<'_>) -> Typed {
        let Plan { aggregate, name, distinct, argument, filter } = plan;
        let kind = argument.as_ref().and_then(|argument| argument.kind).unwrap_or(Kind::Integer);
        let starred = argument.is_none();
        let (method, finish, result) = match aggregate {
            Aggregate::Count if starred => (Method::Rows, Finish::Value, Kind::Integer),
            Aggregate::Count if distinct => (Method::Distinct, Finish::Value, Kind::Integer),
            Aggregate::Count => (Method::Count, Finish::Value, Kind::Integer),
            Aggregate::Sum if kind == Kind::Integer => (Method::IntegerSum, Finish::Value, Kind::Integer),
            Aggregate::Sum => (Method::FloatSum, Finish::Value, Kind::Float),
            Aggregate::Min => (Method::Least(kind), Finish::Value, kind),
            Aggregate::Max => (Method::Greatest(kind), Finish::Value, kind),
            Aggregate::Moment(finish) => (Method::Moments, finish, Kind::Float),
        };
        let argument = argument.map(|argument| match method {
            Method::Moments => widen(argument),
            _ => argument.expression,
        });
        let distinct = if distinct { "DISTINCT " } else { "" };
        let shown = argument.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string);
        let only = filter.as_ref().map_or_else(String::new, |filter| format!(" FILTER (WHERE {filter})"));
        let text = format!("{name}({distinct}{shown}){only}");
        let kept = Kept { method, argument, filter };
        let kept = position_or_push(&mut self.kept, kept);
        let measure = position_or_push(&mut self.measures, Measure { kept, finish });
        let nullable = result != Kind::Integer || aggregate != Aggregate::Count;
        Typed::new(Expression::Leaf(Leaf::Measure(measure, text.into())), result, nullable)
    }
}

fn position_or_push<T: PartialEq>(items: &mut Vec<T>, item: T) -> usize {
    items.iter().position(|known| *known == item).unwrap_or_else(|| {
        items.push(item);
        items.len() - 1
    })
}
