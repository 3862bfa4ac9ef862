//! What is wrong with a statement or its columns, each with its place.

use sqlparser::tokenizer::{Location, Span};
use std::fmt;

/// A place in the text of a statement; both numbers from 1, columns in characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

impl Position {
    /// `None` for a place that the parser does not know.
    pub(crate) fn of(location: Location) -> Option<Self> {
        (location.line > 0).then_some(Self { line: location.line, column: location.column })
    }

    pub(crate) fn start_of(span: Span) -> Option<Self> {
        Self::of(span.start)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What a mistake is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// The statement, here.
    Statement(Option<Position>),
    /// The declared column of this name.
    Column(String),
}

/// One mistake.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mistake {
    /// What it is about.
    pub subject: Subject,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Mistake {
    pub(crate) fn at(position: Option<Position>, message: impl Into<String>) -> Self {
        Self { subject: Subject::Statement(position), message: message.into() }
    }

    pub(crate) fn about(column: &str, message: impl Into<String>) -> Self {
        Self { subject: Subject::Column(column.to_owned()), message: message.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Statement(Some(position)) => write!(f, "{position}: {}", self.message),
            Subject::Statement(None) => f.write_str(&self.message),
            Subject::Column(name) => write!(f, "column {name}: {}", self.message),
        }
    }
}
