//! `TUMBLE`, `HOP` and `SESSION` of GROUP BY and the functions that tell a window's bounds, with Flink's names and order
//! of arguments.

use crate::expression::Leaf;
use crate::mistake::Position;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Interval, Spanned, UnaryOperator, Value as Literal,
};
use tidemark_engine::descriptor::WindowSpec;

/// The greatest length of a window: ten years.
const MAX_MS: i64 = 3_650 * 24 * 60 * 60_000;

/// Most windows that one row may belong to.
const MAX_WINDOWS_PER_ROW: i64 = 1_000;

/// A kind of window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WindowKind {
    Tumble,
    Hop,
    Session,
}

const KINDS: [(&str, WindowKind); 3] =
    [("TUMBLE", WindowKind::Tumble), ("HOP", WindowKind::Hop), ("SESSION", WindowKind::Session)];

/// A mistake's place and words.
pub(crate) type Wrong = (Option<Position>, String);

/// The window that a function of this name, in capitals, groups by.
pub(crate) fn kind_of(name: &str) -> Option<WindowKind> {
    KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// The bound that a function of this name, in capitals, tells, and of which kind of window.
pub(crate) fn bound_of(name: &str) -> Option<(WindowKind, Leaf)> {
    let (kind, bound) = name.rsplit_once('_')?;
    let leaf = match bound {
        "START" => Leaf::WindowStart,
        "END" => Leaf::WindowEnd,
        "ROWTIME" => Leaf::WindowTime,
        _ => return None,
    };
    kind_of(kind).map(|kind| (kind, leaf))
}

/// Reads the arguments of a window's function, behind the first, which must be the event time.
pub(crate) fn read(kind: WindowKind, function: &Function) -> Result<WindowSpec, Wrong> {
    let usage = match kind {
        WindowKind::Tumble => "TUMBLE(event_time, INTERVAL '1' MINUTE): the window's size",
        WindowKind::Hop => "HOP(event_time, INTERVAL '10' SECOND, INTERVAL '1' MINUTE): the slide, then the size",
        WindowKind::Session => "SESSION(event_time, INTERVAL '2' MINUTE): the silence that ends it",
    };
    let position = Position::start_of(function.span());
    let arguments = arguments(function).ok_or_else(|| (position, format!("write {usage}")))?;
    let lengths = arguments.iter().skip(1).map(|argument| length(argument));
    let lengths = lengths.collect::<Result<Vec<i64>, Wrong>>()?;
    match (kind, lengths.as_slice()) {
        (WindowKind::Tumble, [size_ms]) => Ok(WindowSpec::Tumbling { size_ms: *size_ms, offset_ms: 0 }),
        (WindowKind::Session, [gap_ms]) => Ok(WindowSpec::Session { gap_ms: *gap_ms }),
        (WindowKind::Hop, [slide_ms, size_ms]) if size_ms / slide_ms > MAX_WINDOWS_PER_ROW => {
            let count = size_ms / slide_ms;
            Err((position, format!("each row would belong to {count} windows, more than {MAX_WINDOWS_PER_ROW}")))
        }
        (WindowKind::Hop, [slide_ms, size_ms]) => {
            Ok(WindowSpec::Sliding { size_ms: *size_ms, slide_ms: *slide_ms, offset_ms: 0 })
        }
        _ => Err((position, format!("write {usage}"))),
    }
}

/// The first argument of a window's function.
pub(crate) fn time_of(function: &Function) -> Option<&Expr> {
    arguments(function)?.first().copied()
}

fn arguments(function: &Function) -> Option<Vec<&Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let plain = list.duplicate_treatment.is_none() && list.clauses.is_empty() && function.filter.is_none();
    let arguments = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => Some(argument),
        _ => None,
    });
    arguments.collect::<Option<Vec<_>>>().filter(|_| plain)
}

/// An interval in milliseconds: `INTERVAL '1' MINUTE`, `INTERVAL '1 minute'` or `INTERVAL 1 MINUTE`.
fn length(expression: &Expr) -> Result<i64, Wrong> {
    let position = Position::start_of(expression.span());
    let wrong = |message: String| (position, message);
    let Expr::Interval(interval) = expression else {
        return Err(wrong("a length of time is written as INTERVAL '1' MINUTE".to_owned()));
    };
    let Interval {
        value,
        leading_field,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    } = interval
    else {
        return Err(wrong("write an interval with one unit, as in INTERVAL '90' SECOND".to_owned()));
    };
    let (number, unit) = match (text_of(value), leading_field) {
        (Some(text), Some(unit)) => (text, unit_named(&unit.to_string())),
        (Some(text), None) => match text.trim().split_once(' ') {
            Some((number, unit)) => (number.to_owned(), unit_named(unit.trim())),
            None => (String::new(), None),
        },
        (None, _) => (String::new(), None),
    };
    let Some(unit_ms) = unit else {
        let units = "milliseconds, seconds, minutes, hours, days and weeks";
        return Err(wrong(format!(
            "the unit of an interval is missing or unknown: {units} can be used, as in '1' MINUTE"
        )));
    };
    let ms = milliseconds(number.trim(), unit_ms);
    ms.filter(|ms| (1..=MAX_MS).contains(ms))
        .ok_or_else(|| wrong("must be a whole number of milliseconds, at least 1 and at most ten years".to_owned()))
}

fn text_of(value: &Expr) -> Option<String> {
    match value {
        Expr::Value(value) => match &value.value {
            Literal::SingleQuotedString(text) | Literal::Number(text, _) => Some(text.clone()),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => text_of(expr).map(|text| format!("-{text}")),
        _ => None,
    }
}

fn unit_named(name: &str) -> Option<i64> {
    let name = name.to_uppercase();
    Some(match name.strip_suffix('S').unwrap_or(&name) {
        "MILLISECOND" => 1,
        "SECOND" => 1_000,
        "MINUTE" => 60_000,
        "HOUR" => 3_600_000,
        "DAY" => 86_400_000,
        "WEEK" => 604_800_000,
        _ => return None,
    })
}

/// A decimal number of units, exactly; `None` where that is no whole number of milliseconds.
fn milliseconds(number: &str, unit_ms: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) || whole.starts_with('-') {
        return None;
    }
    let scale = 10_i128.pow(fraction.len() as u32);
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = digits.checked_mul(i128::from(unit_ms))?;
    (scaled % scale == 0).then(|| i64::try_from(scaled / scale).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlparser::ast::DateTimeField;

    #[test]
    fn intervals_are_exact_milliseconds() {
        assert_eq!(milliseconds("1", 60_000), Some(60_000));
        assert_eq!(milliseconds("0.5", 1_000), Some(500));
        assert_eq!(milliseconds("1.5", 60_000), Some(90_000));
        assert_eq!(milliseconds("0.0001", 1_000), None);
        assert_eq!(milliseconds("-1", 1_000), None);
        assert_eq!(milliseconds("1e3", 1_000), None);
        assert_eq!(unit_named(&DateTimeField::Minutes.to_string()), Some(60_000));
        assert_eq!(unit_named(&DateTimeField::Month.to_string()), None);
    }

    #[test]
    fn bounds_are_named_after_their_window() {
        assert_eq!(bound_of("TUMBLE_START"), Some((WindowKind::Tumble, Leaf::WindowStart)));
        assert_eq!(bound_of("SESSION_ROWTIME"), Some((WindowKind::Session, Leaf::WindowTime)));
        assert_eq!(bound_of("HOP_PROCTIME"), None);
    }
}
