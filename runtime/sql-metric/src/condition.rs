//! `WHERE`: what of it the engine's filter can say, so that other rows are never handed over, and what is left.

use crate::expression::{Expression, Leaf};
use crate::mistake::Position;
use crate::value::{Comparison, Value};
use sqlparser::ast::{BinaryOperator, Expr};
use std::sync::Arc;
use tidemark_engine::descriptor::{ColumnType, Condition, Filter};

/// The parts of a condition that all must hold.
pub(crate) fn conjuncts(condition: &Expr) -> Vec<&Expr> {
    let (mut found, mut waiting) = (Vec::new(), vec![condition]);
    while let Some(expression) = waiting.pop() {
        match expression {
            Expr::Nested(inner) => waiting.push(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => waiting.extend([&**right, &**left]),
            other => found.push(other),
        }
    }
    found
}

/// A condition, cut in two: the filter, and what rows are asked besides.
#[derive(Default)]
pub(crate) struct Split {
    pub(crate) filter: Filter,
    pub(crate) rest: Vec<(Expression, Option<Position>)>,
}

impl Split {
    /// Adds a part that must hold.
    pub(crate) fn add(&mut self, part: Expression, position: Option<Position>, inputs: &[(Arc<str>, ColumnType)]) {
        let pushed = condition_of(&part, inputs).filter(|(path, condition)| self.push(path, condition));
        if pushed.is_none() {
            self.rest.push((part, position));
        }
    }

    /// Whether the filter took the condition: it has one for each path.
    fn push(&mut self, path: &str, condition: &Condition) -> bool {
        match (self.filter.0.get_mut(path), condition) {
            (None, condition) => {
                self.filter.0.insert(path.to_owned(), condition.clone());
                true
            }
            (Some(Condition::OneOf(texts)), Condition::OneOf(others)) => {
                texts.retain(|text| others.contains(text));
                true
            }
            _ => false,
        }
    }

    /// What rows are asked besides the filter, as one condition.
    pub(crate) fn rest(&self) -> Option<Expression> {
        let parts = self.rest.iter().map(|(part, _)| part.clone());
        parts.reduce(|all, part| Expression::And(Box::new(all), Box::new(part)))
    }
}

/// A condition that the engine's filter means in exactly the same way: a text column against texts.
fn condition_of<'i>(part: &Expression, inputs: &'i [(Arc<str>, ColumnType)]) -> Option<(&'i str, Condition)> {
    let text_path = |leaf: &Expression| match leaf {
        Expression::Leaf(Leaf::Column(index, _)) => {
            let (path, column) = &inputs[*index];
            (*column == ColumnType::Text).then_some(&**path)
        }
        _ => None,
    };
    let text = |value: &Expression| match value {
        Expression::Literal(Value::Text(text)) => Some(text.to_string()),
        _ => None,
    };
    match part {
        Expression::Compare(Comparison::Equal, left, right) => {
            let (path, text) = match (text_path(left), text_path(right)) {
                (Some(path), None) => (path, text(right)?),
                (None, Some(path)) => (path, text(left)?),
                _ => return None,
            };
            Some((path, Condition::OneOf(vec![text])))
        }
        // Not empty, and where it is null unknown: the filter's "present".
        Expression::Compare(Comparison::NotEqual, left, right) => {
            if text(right)?.is_empty() {
                Some((text_path(left)?, Condition::Present(true)))
            } else {
                None
            }
        }
        Expression::In(inner, list) => {
            let mut texts: Vec<String> = list.iter().map(text).collect::<Option<_>>()?;
            texts.sort_unstable();
            texts.dedup();
            Some((text_path(inner)?, Condition::OneOf(texts)))
        }
        Expression::Or(left, right) => match (condition_of(left, inputs)?, condition_of(right, inputs)?) {
            ((path, Condition::OneOf(mut texts)), (other, Condition::OneOf(others))) if path == other => {
                texts.extend(others);
                texts.sort_unstable();
                texts.dedup();
                Some((path, Condition::OneOf(texts)))
            }
            _ => None,
        },
        _ => None,
    }
}
