//! Scalar functions: their names, what they take, and what they do. A null argument makes the result null, without a
//! call.
//!
//! Left out on purpose: whatever reads a clock or a random number, and `EXP`, `LN`, `POWER` and the like, whose last bit
//! depends on the machine's mathematical library.

use crate::value::{Failure, Kind, MAX_TEXT, Value};
use std::cmp::Ordering;
use std::fmt;

/// A scalar function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Function {
    Abs,
    Ceil,
    Floor,
    Round,
    Sign,
    Sqrt,
    Greatest,
    Least,
    Upper,
    Lower,
    Trim,
    TrimLeading,
    TrimTrailing,
    CharLength,
    Substring,
    Position,
    Replace,
    Concat,
    Left,
    Right,
    SplitIndex,
}

/// What a function takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signature {
    /// One number; the result is of its kind.
    Number,
    /// One float; the result is one.
    Float,
    /// One or more of one kind, which is the result's.
    Alike,
    /// These, in order; the last may be repeated as often as the number says or be left out down to the first.
    Fixed(&'static [Kind], usize, Kind),
    /// One or more texts.
    Texts,
}

const FUNCTIONS: [(&str, Function, Signature); 23] = {
    use Function as F;
    use Kind::{Integer, Text};
    use Signature as S;
    [
        ("ABS", F::Abs, S::Number),
        ("CEIL", F::Ceil, S::Number),
        ("CEILING", F::Ceil, S::Number),
        ("FLOOR", F::Floor, S::Number),
        ("ROUND", F::Round, S::Number),
        ("SIGN", F::Sign, S::Number),
        ("SQRT", F::Sqrt, S::Float),
        ("GREATEST", F::Greatest, S::Alike),
        ("LEAST", F::Least, S::Alike),
        ("UPPER", F::Upper, S::Fixed(&[Text], 1, Text)),
        ("LOWER", F::Lower, S::Fixed(&[Text], 1, Text)),
        ("TRIM", F::Trim, S::Fixed(&[Text], 1, Text)),
        ("LTRIM", F::TrimLeading, S::Fixed(&[Text], 1, Text)),
        ("RTRIM", F::TrimTrailing, S::Fixed(&[Text], 1, Text)),
        ("CHAR_LENGTH", F::CharLength, S::Fixed(&[Text], 1, Integer)),
        ("CHARACTER_LENGTH", F::CharLength, S::Fixed(&[Text], 1, Integer)),
        ("SUBSTRING", F::Substring, S::Fixed(&[Text, Integer, Integer], 2, Text)),
        ("POSITION", F::Position, S::Fixed(&[Text, Text], 2, Integer)),
        ("REPLACE", F::Replace, S::Fixed(&[Text, Text, Text], 3, Text)),
        ("CONCAT", F::Concat, S::Texts),
        ("LEFT", F::Left, S::Fixed(&[Text, Integer], 2, Text)),
        ("RIGHT", F::Right, S::Fixed(&[Text, Integer], 2, Text)),
        ("SPLIT_INDEX", F::SplitIndex, S::Fixed(&[Text, Text, Integer], 3, Text)),
    ]
};

impl Function {
    /// The function of this name, in capitals.
    pub(crate) fn named(name: &str) -> Option<(Self, Signature)> {
        FUNCTIONS.iter().find(|(known, ..)| *known == name).map(|(_, function, signature)| (*function, *signature))
    }

    /// Every name.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        FUNCTIONS.iter().map(|(name, ..)| *name)
    }

    pub(crate) fn name(self) -> &'static str {
        FUNCTIONS.iter().find(|(_, function, _)| *function == self).map_or("", |(name, ..)| name)
    }

    /// The result for arguments that are not null and of the kinds of the signature.
    pub(crate) fn call<'a>(self, mut arguments: Vec<Value<'a>>) -> Result<Value<'a>, Failure> {
        use Value::{Float, Integer, Text};
        if matches!(self, Self::Greatest | Self::Least) {
            let wanted = if self == Self::Greatest { Ordering::Greater } else { Ordering::Less };
            let better = |best: Value<'a>, next: Value<'a>| if next.total_order(&best) == wanted { next } else { best };
            return Ok(arguments.into_iter().reduce(better).unwrap_or(Value::Null));
        }
        if self == Self::Concat {
            let mut whole = String::new();
            for argument in &arguments {
                let Text(text) = argument else { continue };
                if whole.len() + text.len() > MAX_TEXT {
                    return Err(Failure(format!("CONCAT: a text of more than {MAX_TEXT} bytes")));
                }
                whole.push_str(text);
            }
            return Ok(Text(whole.into()));
        }
        let third = if arguments.len() > 2 { arguments.pop() } else { None };
        let second = if arguments.len() > 1 { arguments.pop() } else { None };
        let first = arguments.pop();
        Ok(match (self, first, second, third) {
            (Self::Abs, Some(Integer(number)), ..) => {
                Integer(number.checked_abs().ok_or_else(|| Failure(format!("ABS({number}) is beyond 64 bits")))?)
            }
            (Self::Abs, Some(Float(number)), ..) => Value::float(number.abs()),
            (Self::Ceil | Self::Floor | Self::Round, Some(whole @ Integer(_)), ..) => whole,
            (Self::Ceil, Some(Float(number)), ..) => Value::float(number.ceil()),
            (Self::Floor, Some(Float(number)), ..) => Value::float(number.floor()),
            // Half away from zero.
            (Self::Round, Some(Float(number)), ..) => Value::float(number.round()),
            (Self::Sign, Some(Integer(number)), ..) => Integer(number.signum()),
            (Self::Sign, Some(Float(number)), ..) => {
                Value::float(if number == 0.0 || number.is_nan() { number } else { number.signum() })
            }
            (Self::Sqrt, Some(Float(number)), ..) => Value::float(number.sqrt()),
            (Self::Upper, Some(Text(text)), ..) => Value::text(text.to_uppercase())?,
            (Self::Lower, Some(Text(text)), ..) => Value::text(text.to_lowercase())?,
            (Self::Trim, Some(Text(text)), ..) => Text(text.trim_matches(' ').to_owned().into()),
            (Self::TrimLeading, Some(Text(text)), ..) => Text(text.trim_start_matches(' ').to_owned().into()),
            (Self::TrimTrailing, Some(Text(text)), ..) => Text(text.trim_end_matches(' ').to_owned().into()),
            (Self::CharLength, Some(Text(text)), ..) => Integer(text.chars().count() as i64),
            (Self::Substring, Some(Text(text)), Some(Integer(from)), length) => {
                let length = match length {
                    Some(Integer(length)) if length < 0 => {
                        return Err(Failure(format!("SUBSTRING: a length of {length}")));
                    }
                    Some(Integer(length)) => length,
                    _ => i64::MAX,
                };
                // As the standard has it: characters before the first count towards the length.
                let (from, end) = (from, from.saturating_add(length));
                let skipped = usize::try_from(from.saturating_sub(1)).unwrap_or(0);
                let taken = usize::try_from(end.saturating_sub(from.max(1))).unwrap_or(0);
                Text(text.chars().skip(skipped).take(taken).collect::<String>().into())
            }
            (Self::Position, Some(Text(part)), Some(Text(text)), _) => {
                Integer(text.find(&*part).map_or(0, |at| text[..at].chars().count() as i64 + 1))
            }
            (Self::Replace, Some(Text(text)), Some(Text(from)), Some(Text(to))) => {
                let count = if from.is_empty() { 0 } else { text.matches(&*from).count() };
                let length = (text.len() - count * from.len()).saturating_add(count.saturating_mul(to.len()));
                if length > MAX_TEXT {
                    return Err(Failure(format!("REPLACE: a text of {length} bytes, more than {MAX_TEXT}")));
                }
                if count == 0 { Text(text) } else { Text(text.replace(&*from, &to).into()) }
            }
            (Self::Left, Some(Text(text)), Some(Integer(count)), _) => {
                Text(text.chars().take(usize::try_from(count).unwrap_or(0)).collect::<String>().into())
            }
            (Self::Right, Some(Text(text)), Some(Integer(count)), _) => {
                let skipped = text.chars().count().saturating_sub(usize::try_from(count).unwrap_or(0));
                Text(text.chars().skip(skipped).collect::<String>().into())
            }
            (Self::SplitIndex, Some(Text(text)), Some(Text(by)), Some(Integer(index))) => {
                let part =
                    usize::try_from(index).ok().filter(|_| !by.is_empty()).and_then(|at| text.split(&*by).nth(at));
                part.map_or(Value::Null, |part| Text(part.to_owned().into()))
            }
            _ => Value::Null,
        })
    }
}

/// A pattern of `LIKE`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pattern {
    text: String,
    escape: Option<char>,
    parts: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    This(char),
    /// `_`
    One,
    /// `%`
    Any,
}

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub(crate) fn new(text: &str, escape: Option<char>) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            parts.push(match letter {
                letter if Some(letter) == escape => match letters.next() {
                    Some(next) if next == '%' || next == '_' || Some(next) == escape => Part::This(next),
                    _ => return Err(format!("in the pattern '{text}' only %, _ and the escape itself can be escaped")),
                },
                '_' => Part::One,
                // Two in a row say the same as one.
                '%' if parts.last() == Some(&Part::Any) => continue,
                '%' => Part::Any,
                letter => Part::This(letter),
            });
        }
        Ok(Self { text: text.to_owned(), escape, parts })
    }

    /// Whether the whole text fits. In time of at most its length times that of the pattern: on a mismatch only the
    /// last `%` takes one more.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let (mut part, mut rest) = (0, text.chars());
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            if self.parts.get(part) == Some(&Part::Any) {
                part += 1;
                retry = Some((part, rest.clone()));
                continue;
            }
            let mut ahead = rest.clone();
            match (self.parts.get(part), ahead.next()) {
                (None, None) => return true,
                (Some(Part::One), Some(_)) => (part, rest) = (part + 1, ahead),
                (Some(Part::This(wanted)), Some(letter)) if *wanted == letter => (part, rest) = (part + 1, ahead),
                _ => match &mut retry {
                    Some((from, start)) => {
                        if start.next().is_none() {
                            return false;
                        }
                        (part, rest) = (*from, start.clone());
                    }
                    None => return false,
                },
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.text.replace('\'', "''"))?;
        self.escape.map_or(Ok(()), |escape| write!(f, " ESCAPE '{escape}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern, Some('!')).expect("a pattern").matches(text)
    }

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("", "a", false),
            ("%", "", true),
            ("a%", "abc", true),
            ("%c", "abc", true),
            ("%b%", "abc", true),
            ("a_c", "aöc", true),
            ("a_c", "ac", false),
            ("%a%b%c%", "xxaxxbxxcxx", true),
            ("%ab", "aab", true),
            ("%ab", "aabb", false),
            ("100!%", "100%", true),
            ("100!%", "1000", false),
        ] {
            assert_eq!(like(pattern, text), fits, "{text} LIKE {pattern}");
        }
        assert!(Pattern::new("a!b", Some('!')).is_err());
    }

    #[test]
    fn a_pattern_of_many_wildcards_takes_no_more_than_the_product_of_lengths() {
        assert!(!like(&"%a".repeat(500), &"a".repeat(400)));
        assert!(!like(&format!("{}b", "%a".repeat(200)), &"a".repeat(20_000)));
    }

    #[test]
    fn functions_have_one_name_each_in_displays() {
        for name in Function::names() {
            let (function, signature) = Function::named(name).expect("it is there");
            assert_eq!(Function::named(function.name()), Some((function, signature)));
        }
    }

    #[test]
    fn texts_are_counted_in_characters() {
        let text = |text: &'static str| Value::Text(text.into());
        let call = |function: Function, arguments: Vec<Value<'static>>| function.call(arguments).expect("a value");
        let substring = |from, length| call(Function::Substring, vec![text("äbcd"), from, length]);
        assert_eq!(substring(Value::Integer(2), Value::Integer(2)), text("bc"));
        assert_eq!(substring(Value::Integer(-1), Value::Integer(3)), text("ä"));
        assert_eq!(substring(Value::Integer(4), Value::Integer(9)), text("d"));
        assert_eq!(substring(Value::Integer(9), Value::Integer(9)), text(""));
        assert_eq!(call(Function::Position, vec![text("c"), text("äbcd")]), Value::Integer(3));
        assert_eq!(call(Function::CharLength, vec![text("äb")]), Value::Integer(2));
        assert_eq!(call(Function::Right, vec![text("äb"), Value::Integer(1)]), text("b"));
        assert_eq!(call(Function::SplitIndex, vec![text("a,b"), text(","), Value::Integer(1)]), text("b"));
        assert_eq!(call(Function::SplitIndex, vec![text("a,b"), text(","), Value::Integer(2)]), Value::Null);
        assert!(Function::Abs.call(vec![Value::Integer(i64::MIN)]).is_err());
    }
}
