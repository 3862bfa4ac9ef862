//! Expressions, bound to the columns they read and checked for types: what they evaluate to, null by null.

use crate::functions::{Function, Pattern};
use crate::value::{Arithmetic, Comparison, Failure, Kind, Value, cast};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// What an expression reads that is not in itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Leaf {
    /// An input column, by its place, and its path in the event and its type.
    Column(usize, Arc<str>),
    /// The row's event time in milliseconds.
    EventTime,
    /// The group's key.
    Key,
    /// The window's start in milliseconds.
    WindowStart,
    /// The window's end, exclusive.
    WindowEnd,
    /// The last millisecond of the window.
    WindowTime,
    /// A measure of the group, by its place.
    Measure(usize, Arc<str>),
}

/// Where leaves have their values: a row, or a group that ends.
pub(crate) trait Scope {
    fn leaf(&self, leaf: &Leaf) -> Value<'_>;
}

/// An expression. Kinds of operands agree: the binder has inserted the casts.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Expression {
    Literal(Value<'static>),
    Leaf(Leaf),
    Negate(Box<Expression>),
    Arithmetic(Arithmetic, Box<Expression>, Box<Expression>),
    Compare(Comparison, Box<Expression>, Box<Expression>),
    /// `IS [NOT] DISTINCT FROM`: two nulls are the same.
    IsDistinct(bool, Box<Expression>, Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    /// `IS NULL`, negated if true.
    IsNull(bool, Box<Expression>),
    /// `IS [NOT] TRUE | FALSE`: never null.
    IsTruth(bool, bool, Box<Expression>),
    In(Box<Expression>, Vec<Expression>),
    Like(Box<Expression>, Pattern),
    /// Conditions with results, and what holds otherwise.
    Case(Vec<(Expression, Expression)>, Box<Expression>),
    Coalesce(Vec<Expression>),
    /// To a type; null where that is impossible if true.
    Cast(Kind, bool, Box<Expression>),
    Call(Function, Vec<Expression>),
}

impl Expression {
    pub(crate) fn evaluate<'a, S: Scope>(&'a self, scope: &'a S) -> Result<Value<'a>, Failure> {
        Ok(match self {
            Self::Literal(value) => borrowed(value),
            Self::Leaf(leaf) => scope.leaf(leaf),
            Self::Negate(inner) => match inner.evaluate(scope)? {
                Value::Integer(integer) => {
                    let negated = integer.checked_neg();
                    Value::Integer(negated.ok_or_else(|| Failure(format!("-({integer}) is beyond 64 bits")))?)
                }
                Value::Float(float) => Value::float(-float),
                _ => Value::Null,
            },
            Self::Arithmetic(operator, left, right) => {
                operator.apply(&left.evaluate(scope)?, &right.evaluate(scope)?)?
            }
            Self::Compare(comparison, left, right) => {
                Value::of_truth(comparison.apply(&left.evaluate(scope)?, &right.evaluate(scope)?))
            }
            Self::IsDistinct(negated, left, right) => {
                let (left, right) = (left.evaluate(scope)?, right.evaluate(scope)?);
                let same = match (left.is_null(), right.is_null()) {
                    (false, false) => left.compare(&right) == Some(Ordering::Equal),
                    (left, right) => left && right,
                };
                Value::Boolean(same == *negated)
            }
            Self::And(left, right) => match left.evaluate(scope)?.truth() {
                Some(false) => Value::Boolean(false),
                left => Value::of_truth(match (left, right.evaluate(scope)?.truth()) {
                    (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                }),
            },
            Self::Or(left, right) => match left.evaluate(scope)?.truth() {
                Some(true) => Value::Boolean(true),
                left => Value::of_truth(match (left, right.evaluate(scope)?.truth()) {
                    (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                }),
            },
            Self::Not(inner) => Value::of_truth(inner.evaluate(scope)?.truth().map(|truth| !truth)),
            Self::IsNull(negated, inner) => Value::Boolean(inner.evaluate(scope)?.is_null() != *negated),
            Self::IsTruth(negated, truth, inner) => {
                Value::Boolean((inner.evaluate(scope)?.truth() == Some(*truth)) != *negated)
            }
            Self::In(inner, list) => is_in(&inner.evaluate(scope)?, list, scope)?,
            Self::Like(inner, pattern) => match inner.evaluate(scope)? {
                Value::Text(text) => Value::Boolean(pattern.matches(&text)),
                _ => Value::Null,
            },
            Self::Case(cases, otherwise) => {
                for (condition, result) in cases {
                    if condition.evaluate(scope)?.truth() == Some(true) {
                        return result.evaluate(scope);
                    }
                }
                otherwise.evaluate(scope)?
            }
            Self::Coalesce(candidates) => {
                for candidate in candidates {
                    let value = candidate.evaluate(scope)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Value::Null
            }
            Self::Cast(kind, lenient, inner) => match cast(inner.evaluate(scope)?, *kind) {
                Err(_) if *lenient => Value::Null,
                value => value?,
            },
            Self::Call(function, arguments) => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    let value = argument.evaluate(scope)?;
                    if value.is_null() {
                        return Ok(Value::Null);
                    }
                    values.push(value);
                }
                function.call(values)?
            }
        })
    }

    /// Calls `visit` for every leaf.
    pub(crate) fn leaves(&mut self, visit: &mut dyn FnMut(&mut Leaf)) {
        match self {
            Self::Literal(_) => {}
            Self::Leaf(leaf) => visit(leaf),
            Self::Negate(inner)
            | Self::Not(inner)
            | Self::IsNull(_, inner)
            | Self::IsTruth(_, _, inner)
            | Self::Like(inner, _)
            | Self::Cast(_, _, inner) => inner.leaves(visit),
            Self::Arithmetic(_, left, right)
            | Self::Compare(_, left, right)
            | Self::IsDistinct(_, left, right)
            | Self::And(left, right)
            | Self::Or(left, right) => {
                left.leaves(visit);
                right.leaves(visit);
            }
            Self::In(inner, list) => {
                inner.leaves(visit);
                list.iter_mut().for_each(|item| item.leaves(visit));
            }
            Self::Case(cases, otherwise) => {
                for (condition, result) in cases {
                    condition.leaves(visit);
                    result.leaves(visit);
                }
                otherwise.leaves(visit);
            }
            Self::Coalesce(items) | Self::Call(_, items) => items.iter_mut().for_each(|item| item.leaves(visit)),
        }
    }
}

pub(crate) fn borrowed<'a>(value: &'a Value<'static>) -> Value<'a> {
    match value {
        Value::Text(text) => Value::Text(text.as_ref().into()),
        Value::Null => Value::Null,
        Value::Boolean(boolean) => Value::Boolean(*boolean),
        Value::Integer(integer) => Value::Integer(*integer),
        Value::Float(float) => Value::Float(*float),
    }
}

/// True if one is equal, else unknown if one may be, else false.
fn is_in<'a, S: Scope>(value: &Value<'_>, list: &'a [Expression], scope: &'a S) -> Result<Value<'a>, Failure> {
    let mut unknown = false;
    for item in list {
        match Comparison::Equal.apply(value, &item.evaluate(scope)?) {
            Some(true) => return Ok(Value::Boolean(true)),
            Some(false) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { Value::Null } else { Value::Boolean(false) })
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Column(_, path) => path,
            Self::EventTime => "event_time",
            Self::Key => "key",
            Self::WindowStart => "window_start",
            Self::WindowEnd => "window_end",
            Self::WindowTime => "window_time",
            Self::Measure(_, text) => text,
        })
    }
}

/// As SQL, with every parenthesis: the same text for the same expression.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        match self {
            Self::Literal(value) => write!(f, "{value}"),
            Self::Leaf(leaf) => write!(f, "{leaf}"),
            Self::Negate(inner) => write!(f, "-({inner})"),
            Self::Arithmetic(operator, left, right) => write!(f, "({left} {operator} {right})"),
            Self::Compare(comparison, left, right) => write!(f, "({left} {comparison} {right})"),
            Self::IsDistinct(negated, left, right) => write!(f, "({left} IS {}DISTINCT FROM {right})", not(negated)),
            Self::And(left, right) => write!(f, "({left} AND {right})"),
            Self::Or(left, right) => write!(f, "({left} OR {right})"),
            Self::Not(inner) => write!(f, "(NOT {inner})"),
            Self::IsNull(negated, inner) => write!(f, "({inner} IS {}NULL)", not(negated)),
            Self::IsTruth(negated, truth, inner) => {
                write!(f, "({inner} IS {}{})", not(negated), Value::Boolean(*truth))
            }
            Self::In(inner, list) => {
                write!(f, "({inner} IN (")?;
                write_list(f, list)?;
                f.write_str("))")
            }
            Self::Like(inner, pattern) => write!(f, "({inner} LIKE {pattern})"),
            Self::Case(cases, otherwise) => {
                f.write_str("CASE")?;
                for (condition, result) in cases {
                    write!(f, " WHEN {condition} THEN {result}")?;
                }
                write!(f, " ELSE {otherwise} END")
            }
            Self::Coalesce(items) => {
                f.write_str("COALESCE(")?;
                write_list(f, items)?;
                f.write_str(")")
            }
            Self::Cast(kind, lenient, inner) => {
                write!(f, "{}CAST({inner} AS {kind})", if *lenient { "TRY_" } else { "" })
            }
            Self::Call(function, arguments) => {
                write!(f, "{}(", function.name())?;
                write_list(f, arguments)?;
                f.write_str(")")
            }
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, items: &[Expression]) -> fmt::Result {
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
