//! From syntax to [`Expression`]: names get their meaning, operands their types, and everything unknown is refused with
//! its position.
//!
//! A column whose type is not declared has the type that its use asks for. To find it, a statement is bound more than
//! once: first only to collect what uses ask, until that changes no more, then for good.

use crate::aggregate::{Aggregates, Grouping};
use crate::expression::{Expression, Leaf};
use crate::mistake::{Mistake, Position};
use crate::names::{Meaning, Names};
use crate::value::{Arithmetic, Comparison, Kind, Value};
use sqlparser::ast::{BinaryOperator, CaseWhen, Expr, Ident, Spanned, UnaryOperator, Value as Literal};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidemark_engine::descriptor::ColumnType;

/// Longest text of an expression that stands for several copies of a part, in bytes.
const MAX_LENGTH: usize = 65_536;

/// Where an expression stands, and so what it may read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stand {
    /// It is evaluated for each row.
    Row,
    /// It is evaluated for each row, inside of an aggregate.
    Argument,
    /// It is evaluated when a window ends.
    Group,
}

/// An expression and what is known of its values. No kind: it is always null, or its type is not known yet.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) expression: Expression,
    pub(crate) kind: Option<Kind>,
    pub(crate) nullable: bool,
}

impl Typed {
    pub(crate) fn new(expression: Expression, kind: Kind, nullable: bool) -> Self {
        Self { expression, kind: Some(kind), nullable }
    }
}

/// Types that uses ask of columns without a declared one, by path.
pub(crate) type Uses = BTreeMap<String, BTreeSet<Kind>>;

/// Binds the expressions of one statement.
pub(crate) struct Binder<'a> {
    pub(crate) names: &'a Names<'a>,
    /// What the last round found.
    pub(crate) known: &'a Uses,
    /// What this one finds.
    pub(crate) uses: Uses,
    /// Whether mistakes count, and columns of unknown type are one.
    pub(crate) is_final: bool,
    pub(crate) mistakes: Vec<Mistake>,
    /// Columns that rows are read by.
    pub(crate) inputs: Vec<(Arc<str>, ColumnType)>,
    pub(crate) aggregates: Aggregates,
    /// Key and window, where there is a GROUP BY.
    pub(crate) grouping: Option<Grouping>,
    /// For what has no position of its own.
    pub(crate) start: Option<Position>,
}

impl Binder<'_> {
    /// Notes a mistake at `expression`. `None` for the caller to hand on.
    pub(crate) fn wrong<T>(&mut self, expression: &Expr, message: impl Into<String>) -> Option<T> {
        self.wrong_at(Position::start_of(expression.span()), message)
    }

    pub(crate) fn wrong_at<T>(&mut self, position: Option<Position>, message: impl Into<String>) -> Option<T> {
        self.mistakes.push(Mistake::at(position.or(self.start), message));
        None
    }

    /// Binds `expression`, whose value is used as `wanted`.
    pub(crate) fn bind(&mut self, expression: &Expr, stand: Stand, wanted: Option<Kind>) -> Option<Typed> {
        match expression {
            Expr::Nested(inner) => self.bind(inner, stand, wanted),
            Expr::Identifier(name) => self.name(expression, std::slice::from_ref(name), stand, wanted),
            Expr::CompoundIdentifier(parts) => self.name(expression, parts, stand, wanted),
            Expr::Value(value) => self.literal(expression, &value.value, false),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => self.negate(expr, stand),
            Expr::UnaryOp { op: UnaryOperator::Plus, expr } => {
                self.bind_as(expr, stand, Some(Kind::Float), Kind::is_number, "a number")
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                let inner = self.condition(expr, stand)?;
                Some(Typed::new(Expression::Not(Box::new(inner.expression)), Kind::Boolean, inner.nullable))
            }
            Expr::BinaryOp { left, op, right } => self.binary(expression, left, op, right, stand),
            Expr::IsNull(inner) | Expr::IsUnknown(inner) => self.is_null(false, inner, stand),
            Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => self.is_null(true, inner, stand),
            Expr::IsTrue(inner) => self.is_truth(false, true, inner, stand),
            Expr::IsNotTrue(inner) => self.is_truth(true, true, inner, stand),
            Expr::IsFalse(inner) => self.is_truth(false, false, inner, stand),
            Expr::IsNotFalse(inner) => self.is_truth(true, false, inner, stand),
            Expr::IsDistinctFrom(left, right) => self.is_distinct(false, left, right, stand),
            Expr::IsNotDistinctFrom(left, right) => self.is_distinct(true, left, right, stand),
            Expr::Between { expr, negated, low, high } => self.between(expr, *negated, low, high, stand),
            Expr::InList { expr, list, negated } => self.is_in(expr, list, *negated, stand),
            Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(*negated, expr, pattern, escape_char.as_ref().map(|escape| &escape.value), stand)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), stand, wanted)
            }
            other => self.call(other, stand, wanted),
        }
    }

    /// Binds a condition: what WHERE, HAVING, FILTER and WHEN take.
    pub(crate) fn condition(&mut self, expression: &Expr, stand: Stand) -> Option<Typed> {
        self.bind_as(expression, stand, Some(Kind::Boolean), |kind| kind == Kind::Boolean, "a condition, true or false")
    }

    /// Binds an expression that must be of a kind that `fits`.
    pub(crate) fn bind_as(
        &mut self,
        expression: &Expr,
        stand: Stand,
        wanted: Option<Kind>,
        fits: impl Fn(Kind) -> bool,
        words: &str,
    ) -> Option<Typed> {
        let bound = self.bind(expression, stand, wanted)?;
        match bound.kind {
            Some(kind) if !fits(kind) => self.wrong(expression, format!("must be {words}, not {}", kind.words())),
            _ => Some(bound),
        }
    }

    fn name(&mut self, at: &Expr, parts: &[Ident], stand: Stand, wanted: Option<Kind>) -> Option<Typed> {
        let (path, column) = match self.names.meaning(parts) {
            Err(message) => return self.wrong(at, message),
            Ok(Meaning::EventTime) if stand == Stand::Group => {
                let message = "each row has its own event time: use MIN(event_time), or a bound like TUMBLE_START";
                return self.wrong(at, message);
            }
            Ok(Meaning::EventTime) => return Some(Typed::new(Expression::Leaf(Leaf::EventTime), Kind::Integer, false)),
            Ok(Meaning::Path(path, column)) => (path, column),
        };
        if stand == Stand::Group {
            match &self.grouping {
                Some(grouping) if grouping.key != path => {}
                Some(_) => return Some(Typed::new(Expression::Leaf(Leaf::Key), Kind::Text, false)),
                // What is wrong with GROUP BY has been told, and this may be right.
                None => return None,
            }
            let name = parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".");
            return self
                .wrong(at, format!("{name} is neither grouped by nor aggregated: use MAX({name}), for example"));
        }
        let column = match column {
            Some(column) => column,
            None => match self.inferred(at, &path, wanted) {
                Some(kind) => kind.column_type(),
                None => {
                    return Some(Typed { expression: Expression::Literal(Value::Null), kind: None, nullable: true });
                }
            },
        };
        let kind = Kind::of(column);
        Some(Typed::new(Expression::Leaf(self.column(&path, column)), kind, true))
    }

    /// The kind of a path without a declared type.
    fn inferred(&mut self, at: &Expr, path: &str, wanted: Option<Kind>) -> Option<Kind> {
        if let Some(wanted) = wanted {
            self.uses.entry(path.to_owned()).or_default().insert(wanted);
        }
        let kinds: Vec<Kind> = self.known.get(path).into_iter().flatten().copied().collect();
        let declare = "declare it: columns.NAME = { path = \"…\", type = \"…\" }";
        match kinds.as_slice() {
            [kind] => Some(*kind),
            [] if self.is_final => {
                let types = "boolean, integer, float or text";
                self.wrong(at, format!("the type of {path} does not follow from its use; {declare}, {types}"))
            }
            [] => None,
            several => {
                let words: Vec<&str> = several.iter().map(|kind| kind.words()).collect();
                self.wrong(at, format!("{path} is used as {}; {declare}", words.join(" and as ")))
            }
        }
    }

    /// The input column for a path.
    pub(crate) fn column(&mut self, path: &str, column: ColumnType) -> Leaf {
        let found = self.inputs.iter().position(|(known, kind)| **known == *path && *kind == column);
        let index = found.unwrap_or_else(|| {
            self.inputs.push((path.into(), column));
            self.inputs.len() - 1
        });
        let label = match column {
            ColumnType::Text => self.inputs[index].0.clone(),
            _ => format!("{path}:{}", Kind::of(column)).into(),
        };
        Leaf::Column(index, label)
    }

    fn literal(&mut self, at: &Expr, literal: &Literal, negative: bool) -> Option<Typed> {
        let typed = |value, kind| Some(Typed::new(Expression::Literal(value), kind, false));
        match literal {
            Literal::Null => Some(Typed { expression: Expression::Literal(Value::Null), kind: None, nullable: true }),
            Literal::Boolean(boolean) => typed(Value::Boolean(*boolean), Kind::Boolean),
            Literal::SingleQuotedString(text) => typed(Value::Text(text.clone().into()), Kind::Text),
            Literal::Number(digits, false) => {
                let digits = if negative { format!("-{digits}") } else { digits.clone() };
                match (digits.parse(), digits.parse::<f64>()) {
                    (Ok(integer), _) => typed(Value::Integer(integer), Kind::Integer),
                    (_, Ok(float)) if digits.contains(['.', 'e', 'E']) && float.is_finite() => {
                        typed(Value::Float(float), Kind::Float)
                    }
                    _ => self.wrong(at, format!("{digits} is beyond 64 bits: write it with a decimal point")),
                }
            }
            _ => self.wrong(at, "write numbers as 1 or 1.5, texts as 'text', or TRUE, FALSE or NULL"),
        }
    }

    fn negate(&mut self, inner: &Expr, stand: Stand) -> Option<Typed> {
        if let Expr::Value(value) = inner
            && matches!(value.value, Literal::Number(..))
        {
            return self.literal(inner, &value.value, true);
        }
        let bound = self.bind_as(inner, stand, Some(Kind::Float), Kind::is_number, "a number")?;
        Some(Typed { expression: Expression::Negate(Box::new(bound.expression)), ..bound })
    }

    fn binary(
        &mut self,
        at: &Expr,
        left: &Expr,
        operator: &BinaryOperator,
        right: &Expr,
        stand: Stand,
    ) -> Option<Typed> {
        let arithmetic = match operator {
            BinaryOperator::Plus => Some(Arithmetic::Add),
            BinaryOperator::Minus => Some(Arithmetic::Subtract),
            BinaryOperator::Multiply => Some(Arithmetic::Multiply),
            BinaryOperator::Divide => Some(Arithmetic::Divide),
            BinaryOperator::Modulo => Some(Arithmetic::Remainder),
            _ => None,
        };
        if let Some(operator) = arithmetic {
            return self.arithmetic(operator, left, right, stand);
        }
        let comparison = match operator {
            BinaryOperator::Eq => Some(Comparison::Equal),
            BinaryOperator::NotEq => Some(Comparison::NotEqual),
            BinaryOperator::Lt => Some(Comparison::Less),
            BinaryOperator::LtEq => Some(Comparison::LessOrEqual),
            BinaryOperator::Gt => Some(Comparison::Greater),
            BinaryOperator::GtEq => Some(Comparison::GreaterOrEqual),
            _ => None,
        };
        if let Some(comparison) = comparison {
            let (left, right, nullable) = self.alike(left, right, stand)?;
            let compare = Expression::Compare(comparison, Box::new(left), Box::new(right));
            return Some(Typed::new(compare, Kind::Boolean, nullable));
        }
        match operator {
            BinaryOperator::And | BinaryOperator::Or => {
                let (left, right) = (self.condition(left, stand), self.condition(right, stand));
                let (left, right) = (left?, right?);
                let nullable = left.nullable || right.nullable;
                let (left, right) = (Box::new(left.expression), Box::new(right.expression));
                let is_and = *operator == BinaryOperator::And;
                let both = if is_and { Expression::And(left, right) } else { Expression::Or(left, right) };
                Some(Typed::new(both, Kind::Boolean, nullable))
            }
            BinaryOperator::StringConcat => {
                let mut text = |side| self.bind_as(side, stand, Some(Kind::Text), |kind| kind == Kind::Text, "a text");
                let (left, right) = (text(left), text(right));
                let (left, right) = (left?, right?);
                let nullable = left.nullable || right.nullable;
                let parts = vec![left.expression, right.expression];
                Some(Typed::new(Expression::Call(crate::functions::Function::Concat, parts), Kind::Text, nullable))
            }
            other => self.wrong(at, format!("the operator {other} is not supported")),
        }
    }

    fn arithmetic(&mut self, operator: Arithmetic, left: &Expr, right: &Expr, stand: Stand) -> Option<Typed> {
        let mut number = |side| self.bind_as(side, stand, Some(Kind::Float), Kind::is_number, "a number");
        let (left, right) = (number(left), number(right));
        let (left, right) = (left?, right?);
        let nullable = left.nullable || right.nullable;
        let kind = left.kind.max(right.kind);
        let widened = |side: Typed| if kind == Some(Kind::Float) { widen(side) } else { side.expression };
        let (left, right) = (Box::new(widened(left)), Box::new(widened(right)));
        Some(Typed { expression: Expression::Arithmetic(operator, left, right), kind, nullable })
    }

    /// Two expressions of one kind, integers widened where the other is a float, and whether one may be null.
    fn alike(&mut self, left: &Expr, right: &Expr, stand: Stand) -> Option<(Expression, Expression, bool)> {
        let mut both = self.all_alike(&[left, right], stand, None)?;
        let (right, left) = (both.expressions.pop()?, both.expressions.pop()?);
        Some((left, right, both.nullable.contains(&true)))
    }

    /// The same of any number.
    pub(crate) fn all_alike(&mut self, expressions: &[&Expr], stand: Stand, wanted: Option<Kind>) -> Option<Alike> {
        let bound: Vec<Option<Typed>> =
            expressions.iter().map(|expression| self.bind(expression, stand, wanted)).collect();
        let kinds: Vec<Kind> = bound.iter().flatten().filter_map(|typed| typed.kind).collect();
        let kind = kinds.iter().copied().max().or(wanted);
        // An undeclared column beside something of a kind is of that kind; a number, unless declared, is a float.
        let used_as = kind.map(|kind| if kind == Kind::Integer { Kind::Float } else { kind });
        for (expression, typed) in expressions.iter().zip(&bound) {
            if typed.as_ref().is_some_and(|typed| typed.kind.is_none()) && used_as.is_some() {
                self.hint(expression, stand, used_as);
            }
        }
        let mut alike = Alike { kind, expressions: Vec::new(), nullable: Vec::new() };
        for (expression, typed) in expressions.iter().zip(bound) {
            let typed = typed?;
            let fits = match (typed.kind, kind) {
                (Some(own), Some(kind)) => own == kind || (own.is_number() && kind.is_number()),
                _ => true,
            };
            if let (Some(own), Some(kind), false) = (typed.kind, kind, fits) {
                let message = format!("{} cannot stand beside {}: CAST one of them", own.words(), kind.words());
                return self.wrong(expression, message);
            }
            alike.nullable.push(typed.nullable);
            alike.expressions.push(if kind == Some(Kind::Float) { widen(typed) } else { typed.expression });
        }
        Some(alike)
    }

    /// Lets a use reach an undeclared column that stands there by itself. What it is otherwise has been told already.
    fn hint(&mut self, expression: &Expr, stand: Stand, wanted: Option<Kind>) {
        match expression {
            Expr::Nested(inner) => self.hint(inner, stand, wanted),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                let mistakes = self.mistakes.len();
                self.bind(expression, stand, wanted);
                self.mistakes.truncate(mistakes);
            }
            _ => {}
        }
    }

    /// Whether an expression may be written out `copies` times. Each level of nesting could multiply it otherwise.
    pub(crate) fn affords(&mut self, at: &Expr, expression: &Expression, copies: usize) -> Option<()> {
        if expression.to_string().len().saturating_mul(copies) > MAX_LENGTH {
            return self.wrong(at, "this is evaluated several times and too long for that: nest it less");
        }
        Some(())
    }

    fn is_null(&mut self, negated: bool, inner: &Expr, stand: Stand) -> Option<Typed> {
        let inner = self.bind(inner, stand, None)?;
        Some(Typed::new(Expression::IsNull(negated, Box::new(inner.expression)), Kind::Boolean, false))
    }

    fn is_truth(&mut self, negated: bool, truth: bool, inner: &Expr, stand: Stand) -> Option<Typed> {
        let inner = self.condition(inner, stand)?;
        Some(Typed::new(Expression::IsTruth(negated, truth, Box::new(inner.expression)), Kind::Boolean, false))
    }

    fn is_distinct(&mut self, negated: bool, left: &Expr, right: &Expr, stand: Stand) -> Option<Typed> {
        let (left, right, _) = self.alike(left, right, stand)?;
        Some(Typed::new(Expression::IsDistinct(negated, Box::new(left), Box::new(right)), Kind::Boolean, false))
    }

    fn between(&mut self, inner: &Expr, negated: bool, low: &Expr, high: &Expr, stand: Stand) -> Option<Typed> {
        let Alike { mut expressions, nullable, .. } = self.all_alike(&[inner, low, high], stand, None)?;
        let (high, low, bound) = (expressions.pop()?, expressions.pop()?, expressions.pop()?);
        self.affords(inner, &bound, 2)?;
        let inner = bound;
        let compare =
            |comparison, bound| Box::new(Expression::Compare(comparison, Box::new(inner.clone()), Box::new(bound)));
        let within = Expression::And(compare(Comparison::GreaterOrEqual, low), compare(Comparison::LessOrEqual, high));
        Some(Typed::new(negated_if(negated, within), Kind::Boolean, nullable.contains(&true)))
    }

    fn is_in(&mut self, inner: &Expr, list: &[Expr], negated: bool, stand: Stand) -> Option<Typed> {
        let all: Vec<&Expr> = std::iter::once(inner).chain(list).collect();
        let Alike { expressions, nullable, .. } = self.all_alike(&all, stand, None)?;
        let mut expressions = expressions.into_iter();
        let is_in = Expression::In(Box::new(expressions.next()?), expressions.collect());
        Some(Typed::new(negated_if(negated, is_in), Kind::Boolean, nullable.contains(&true)))
    }

    fn like(
        &mut self,
        negated: bool,
        inner: &Expr,
        pattern: &Expr,
        escape: Option<&Literal>,
        stand: Stand,
    ) -> Option<Typed> {
        let text = self.bind_as(inner, stand, Some(Kind::Text), |kind| kind == Kind::Text, "a text")?;
        let escape = match escape {
            None => None,
            Some(Literal::SingleQuotedString(escape)) if escape.chars().count() == 1 => escape.chars().next(),
            Some(_) => return self.wrong(pattern, "ESCAPE takes one character, as in ESCAPE '!'"),
        };
        let Expr::Value(literal) = pattern else { return self.wrong(pattern, "LIKE takes a text in quotes") };
        let Literal::SingleQuotedString(written) = &literal.value else {
            return self.wrong(pattern, "LIKE takes a text in quotes");
        };
        match crate::functions::Pattern::new(written, escape) {
            Err(message) => self.wrong(pattern, message),
            Ok(pattern) => {
                let like = Expression::Like(Box::new(text.expression), pattern);
                Some(Typed::new(negated_if(negated, like), Kind::Boolean, text.nullable))
            }
        }
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        cases: &[CaseWhen],
        otherwise: Option<&Expr>,
        stand: Stand,
        wanted: Option<Kind>,
    ) -> Option<Typed> {
        let conditions: Option<Vec<Expression>> = match operand {
            None => {
                let bound: Vec<_> = cases.iter().map(|case| self.condition(&case.condition, stand)).collect();
                bound.into_iter().map(|condition| Some(condition?.expression)).collect()
            }
            Some(operand) => self.equal_to(operand, cases, stand),
        };
        let results: Vec<&Expr> = cases.iter().map(|case| &case.result).chain(otherwise).collect();
        let results = self.all_alike(&results, stand, wanted);
        let (conditions, Alike { kind, mut expressions, nullable }) = (conditions?, results?);
        let otherwise_value = match otherwise {
            Some(_) => expressions.pop()?,
            None => Expression::Literal(Value::Null),
        };
        let nullable = otherwise.is_none() || nullable.contains(&true);
        let cases = conditions.into_iter().zip(expressions).collect();
        Some(Typed { expression: Expression::Case(cases, Box::new(otherwise_value)), kind, nullable })
    }

    /// The conditions of `CASE operand WHEN …`.
    fn equal_to(&mut self, operand: &Expr, cases: &[CaseWhen], stand: Stand) -> Option<Vec<Expression>> {
        let all: Vec<&Expr> = std::iter::once(operand).chain(cases.iter().map(|case| &case.condition)).collect();
        let mut expressions = self.all_alike(&all, stand, None)?.expressions.into_iter();
        let left = expressions.next()?;
        self.affords(operand, &left, cases.len())?;
        let equal = |right| Expression::Compare(Comparison::Equal, Box::new(left.clone()), Box::new(right));
        Some(expressions.map(equal).collect())
    }
}

/// Expressions of one kind.
pub(crate) struct Alike {
    pub(crate) kind: Option<Kind>,
    pub(crate) expressions: Vec<Expression>,
    pub(crate) nullable: Vec<bool>,
}

/// As a float, where it is an integer.
pub(crate) fn widen(typed: Typed) -> Expression {
    match (typed.kind, typed.expression) {
        (Some(Kind::Integer), Expression::Literal(Value::Integer(integer))) => {
            Expression::Literal(Value::Float(integer as f64))
        }
        (Some(Kind::Integer), expression) => Expression::Cast(Kind::Float, false, Box::new(expression)),
        (_, expression) => expression,
    }
}

fn negated_if(negated: bool, expression: Expression) -> Expression {
    if negated { Expression::Not(Box::new(expression)) } else { expression }
}
