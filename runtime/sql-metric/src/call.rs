//! Calls in a statement: scalar functions and what the grammar treats like them, aggregates, bounds of windows.

use crate::aggregate::{self, Aggregate};
use crate::bind::{Alike, Binder, Stand, Typed, widen};
use crate::expression::{Expression, Leaf};
use crate::functions::{Function as Scalar, Signature};
use crate::mistake::Position;
use crate::parse::folded;
use crate::value::{Comparison, Kind, Value};
use crate::window;
use sqlparser::ast::{
    CastKind, CeilFloorKind, DataType, DateTimeField, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Spanned, TrimWhereField,
};

impl Binder<'_> {
    /// Binds what is no operator.
    pub(crate) fn call(&mut self, expression: &Expr, stand: Stand, wanted: Option<Kind>) -> Option<Typed> {
        match expression {
            Expr::Function(function) => self.function(expression, function, stand, wanted),
            Expr::Cast { kind, expr, data_type, array: false, format: None } => {
                self.cast(expression, *kind == CastKind::TryCast, expr, data_type, stand)
            }
            Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.scalar(expression, "CEIL", &[expr], stand)
            }
            Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.scalar(expression, "FLOOR", &[expr], stand)
            }
            Expr::Position { expr, r#in } => self.scalar(expression, "POSITION", &[expr, r#in], stand),
            Expr::Substring { expr, substring_from: Some(from), substring_for, .. } => {
                let mut arguments: Vec<&Expr> = vec![expr, from];
                arguments.extend(substring_for.as_deref());
                self.scalar(expression, "SUBSTRING", &arguments, stand)
            }
            Expr::Trim { expr, trim_where, trim_what: None, trim_characters: None } => {
                let name = match trim_where {
                    None | Some(TrimWhereField::Both) => "TRIM",
                    Some(TrimWhereField::Leading) => "LTRIM",
                    Some(TrimWhereField::Trailing) => "RTRIM",
                };
                self.scalar(expression, name, &[expr], stand)
            }
            Expr::InSubquery { .. } | Expr::Exists { .. } | Expr::Subquery(_) => {
                self.wrong(expression, "queries inside of the query are not supported: write it as a metric of its own")
            }
            Expr::Interval(_) => self.wrong(expression, "an INTERVAL stands in TUMBLE, HOP or SESSION only"),
            Expr::Extract { .. } | Expr::AtTimeZone { .. } | Expr::TypedString(_) => {
                self.wrong(expression, "dates are not supported: event_time is a number of milliseconds since 1970")
            }
            _ => {
                let supported = "arithmetic, comparisons, CASE, CAST, COALESCE, NULLIF, functions and aggregates";
                self.wrong(expression, format!("this is not supported here; supported are {supported}"))
            }
        }
    }

    fn function(&mut self, at: &Expr, function: &Function, stand: Stand, wanted: Option<Kind>) -> Option<Typed> {
        let [name] = function.name.0.as_slice() else {
            return self.wrong(at, "functions have no schema in their name");
        };
        let Some(name) = name.as_ident().map(|name| folded(name).to_uppercase()) else {
            return self.wrong(at, "the name of a function is a word");
        };
        let plain = matches!(function.parameters, FunctionArguments::None)
            && !function.uses_odbc_syntax
            && function.null_treatment.is_none()
            && function.within_group.is_empty();
        if function.over.is_some() || !plain {
            return self.wrong(at, format!("{name} is called with plain arguments, without OVER and the like"));
        }
        if let Some(aggregate) = Aggregate::named(&name) {
            return self.aggregate(at, &name, aggregate, function, stand);
        }
        if let Some((kind, bound)) = window::bound_of(&name) {
            return self.bound(at, &name, kind, bound, function, stand);
        }
        if window::kind_of(&name).is_some() {
            return self.wrong(
                at,
                format!("{name} stands in GROUP BY; in SELECT {name}_START and {name}_END tell its bounds"),
            );
        }
        if function.filter.is_some() {
            return self.wrong(at, format!("FILTER belongs to an aggregate, and {name} is none"));
        }
        let Some(arguments) = plain_arguments(function) else {
            return self.wrong(at, format!("{name} takes plain arguments, without DISTINCT, * and names"));
        };
        match (name.as_str(), arguments.as_slice()) {
            ("COALESCE", [_, ..]) => {
                let Alike { kind, expressions, nullable } = self.all_alike(&arguments, stand, wanted)?;
                let nullable = nullable.iter().all(|nullable| *nullable);
                Some(Typed { expression: Expression::Coalesce(expressions), kind, nullable })
            }
            ("NULLIF", [_, _]) => {
                let Alike { kind, mut expressions, .. } = self.all_alike(&arguments, stand, wanted)?;
                let (right, left) = (expressions.pop()?, expressions.pop()?);
                self.affords(at, &left, 2)?;
                let same = Expression::Compare(Comparison::Equal, Box::new(left.clone()), Box::new(right));
                let case = Expression::Case(vec![(same, Expression::Literal(Value::Null))], Box::new(left));
                Some(Typed { expression: case, kind, nullable: true })
            }
            ("COALESCE" | "NULLIF", _) => self.wrong(at, "COALESCE takes one argument or more, NULLIF two"),
            ("MOD", [left, right]) => {
                let Alike { kind, mut expressions, nullable } =
                    self.all_alike(&[left, right], stand, Some(Kind::Float))?;
                let (right, left) = (Box::new(expressions.pop()?), Box::new(expressions.pop()?));
                if kind.is_some_and(|kind| !kind.is_number()) {
                    return self.wrong(at, "MOD takes two numbers");
                }
                let remainder = Expression::Arithmetic(crate::value::Arithmetic::Remainder, left, right);
                Some(Typed { expression: remainder, kind, nullable: nullable.contains(&true) })
            }
            _ => self.scalar(at, &name, &arguments, stand),
        }
    }

    fn scalar(&mut self, at: &Expr, name: &str, arguments: &[&Expr], stand: Stand) -> Option<Typed> {
        let Some((function, signature)) = Scalar::named(name) else {
            return self.unknown(at, name);
        };
        let call = |expressions, kind, nullable| {
            Some(Typed { expression: Expression::Call(function, expressions), kind, nullable })
        };
        match signature {
            Signature::Number | Signature::Float => {
                let [argument] = arguments else { return self.wrong(at, format!("{name} takes one number")) };
                let bound = self.bind_as(argument, stand, Some(Kind::Float), Kind::is_number, "a number")?;
                let nullable = bound.nullable;
                if signature == Signature::Float {
                    return call(vec![widen(bound)], Some(Kind::Float), nullable);
                }
                call(vec![bound.expression], bound.kind, nullable)
            }
            Signature::Alike => {
                if arguments.is_empty() {
                    return self.wrong(at, format!("{name} takes one argument or more"));
                }
                let Alike { kind, expressions, nullable } = self.all_alike(arguments, stand, None)?;
                call(expressions, kind, nullable.contains(&true))
            }
            Signature::Texts => self.fixed(
                at,
                name,
                function,
                arguments,
                &vec![Kind::Text; arguments.len().max(1)],
                1,
                Kind::Text,
                stand,
            ),
            Signature::Fixed(kinds, least, result) => {
                self.fixed(at, name, function, arguments, kinds, least, result, stand)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a signature, and where it is used")]
    fn fixed(
        &mut self,
        at: &Expr,
        name: &str,
        function: Scalar,
        arguments: &[&Expr],
        kinds: &[Kind],
        least: usize,
        result: Kind,
        stand: Stand,
    ) -> Option<Typed> {
        if !(least..=kinds.len()).contains(&arguments.len()) {
            let kinds: Vec<&str> = kinds.iter().map(|kind| kind.words()).collect();
            return self.wrong(at, format!("{name} takes {}", kinds.join(", ")));
        }
        let bound: Vec<Option<Typed>> = arguments
            .iter()
            .zip(kinds)
            .map(|(argument, kind)| self.bind_as(argument, stand, Some(*kind), |own| own == *kind, kind.words()))
            .collect();
        let bound = bound.into_iter().collect::<Option<Vec<_>>>()?;
        // A part that is not there is null.
        let nullable = function == Scalar::SplitIndex || bound.iter().any(|argument| argument.nullable);
        let expressions = bound.into_iter().map(|argument| argument.expression).collect();
        Some(Typed::new(Expression::Call(function, expressions), result, nullable))
    }

    fn unknown(&mut self, at: &Expr, name: &str) -> Option<Typed> {
        let reason = match name {
            "EXP" | "LN" | "LOG" | "LOG2" | "LOG10" | "POWER" | "POW" | "SIN" | "COS" | "TAN" => {
                "its last digits differ between machines, and rows must not"
            }
            "NOW" | "CURRENT_TIMESTAMP" | "LOCALTIME" | "PROCTIME" | "RAND" | "RANDOM" | "UUID" => {
                "rows must follow from the input alone"
            }
            "STDDEV" => "it means two things: write STDDEV_POP or STDDEV_SAMP",
            _ => "it is not known",
        };
        let scalars: Vec<&str> =
            ["CASE", "CAST", "TRY_CAST", "COALESCE", "NULLIF", "MOD"].into_iter().chain(Scalar::names()).collect();
        let aggregates = Aggregate::names().collect::<Vec<_>>().join(", ");
        let known = format!("the functions are {}; the aggregates {aggregates}", scalars.join(", "));
        self.wrong(at, format!("{name} is not supported: {reason}; {known}"))
    }

    fn cast(&mut self, at: &Expr, lenient: bool, inner: &Expr, to: &DataType, stand: Stand) -> Option<Typed> {
        let kind = match to {
            DataType::Boolean | DataType::Bool => Kind::Boolean,
            DataType::Int(None) | DataType::Integer(None) | DataType::BigInt(None) => Kind::Integer,
            DataType::Double(_) | DataType::DoublePrecision | DataType::Float(_) => Kind::Float,
            DataType::Varchar(None) | DataType::Text | DataType::String(None) => Kind::Text,
            other => {
                return self
                    .wrong(at, format!("{other} is not supported: types are BOOLEAN, BIGINT, DOUBLE and STRING"));
            }
        };
        let bound = self.bind(inner, stand, None)?;
        let nullable = bound.nullable || lenient;
        Some(Typed::new(Expression::Cast(kind, lenient, Box::new(bound.expression)), kind, nullable))
    }

    fn bound(
        &mut self,
        at: &Expr,
        name: &str,
        kind: window::WindowKind,
        bound: Leaf,
        function: &Function,
        stand: Stand,
    ) -> Option<Typed> {
        if stand != Stand::Group {
            return self.wrong(at, format!("{name} stands in SELECT and HAVING, beside GROUP BY with its window"));
        }
        let window = match window::read(kind, function) {
            Err((position, message)) => return self.wrong_at(position, message),
            Ok(window) => window,
        };
        if self.grouping.as_ref().is_none_or(|grouping| grouping.window != window) {
            return self.wrong(at, format!("{name} must name the window of GROUP BY, with the same lengths"));
        }
        self.event_time(function)?;
        Some(Typed::new(Expression::Leaf(bound), Kind::Integer, false))
    }

    /// Checks that a window's function is about the event time.
    pub(crate) fn event_time(&mut self, function: &Function) -> Option<()> {
        let time = window::time_of(function);
        let position = Position::start_of(time.map_or_else(|| function.span(), Spanned::span));
        let meaning = match time {
            Some(Expr::Identifier(name)) => self.names.meaning(std::slice::from_ref(name)),
            Some(Expr::CompoundIdentifier(parts)) => self.names.meaning(parts),
            _ => Err(String::new()),
        };
        if meaning == Ok(crate::names::Meaning::EventTime) {
            return Some(());
        }
        let message = "windows are over event_time; `cleanse.event_time` says where in an event it stands";
        self.wrong_at(position, message)
    }

    fn aggregate(
        &mut self,
        at: &Expr,
        name: &str,
        aggregate: Aggregate,
        function: &Function,
        stand: Stand,
    ) -> Option<Typed> {
        match stand {
            Stand::Group => {}
            Stand::Argument => {
                return self.wrong(at, format!("{name} stands inside of another aggregate: take it out"));
            }
            Stand::Row => {
                let message = "an aggregate needs GROUP BY with a column and a window, and does not stand in WHERE";
                return self.wrong(at, format!("{name}: {message}"));
            }
        }
        let FunctionArguments::List(list) = &function.args else {
            return self.wrong(at, format!("{name} takes one argument"));
        };
        let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        if distinct && aggregate != Aggregate::Count {
            return self.wrong(at, format!("DISTINCT is supported in COUNT only: leave it out of {name}"));
        }
        let filter = match &function.filter {
            None => None,
            Some(filter) => Some(self.condition(filter, Stand::Argument)?.expression),
        };
        let (argument, kind) = match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] if aggregate == Aggregate::Count && !distinct => {
                (None, None)
            }
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] if list.clauses.is_empty() => {
                let bound = if aggregate.takes_numbers() {
                    self.bind_as(argument, Stand::Argument, Some(Kind::Float), Kind::is_number, "a number")?
                } else {
                    self.bind(argument, Stand::Argument, None)?
                };
                (Some(bound.clone()), bound.kind)
            }
            _ => return self.wrong(at, format!("{name} takes one argument; COUNT takes *, too")),
        };
        if argument.is_some() && kind.is_none() {
            // Its type is not known yet, or that has been told.
            return Some(Typed { expression: Expression::Literal(Value::Null), kind: None, nullable: true });
        }
        let plan = aggregate::Plan { aggregate, name, distinct, argument, filter };
        Some(self.aggregates.measure(plan))
    }
}

fn plain_arguments(function: &Function) -> Option<Vec<&Expr>> {
    let list = match &function.args {
        FunctionArguments::List(list) => list,
        FunctionArguments::None => return Some(Vec::new()),
        FunctionArguments::Subquery(_) => return None,
    };
    let plain = list.duplicate_treatment.is_none() && list.clauses.is_empty();
    let arguments = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => Some(argument),
        _ => None,
    });
    arguments.collect::<Option<Vec<_>>>().filter(|_| plain)
}
