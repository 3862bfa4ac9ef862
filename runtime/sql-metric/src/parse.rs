//! From text to syntax: one bounded SELECT of one table, everything else refused with its position. Knows the parser's
//! tree, not what names mean.

use crate::depth;
use crate::mistake::{Mistake, Position};
use sqlparser::ast::{
    Expr, GroupByExpr, Ident, ObjectName, Query, Select, SelectFlavor, SelectItem, SetExpr, Spanned, Statement,
    TableFactor, TableWithJoins,
};
use sqlparser::dialect::Dialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer, Whitespace};

/// Longest statement, in bytes.
const MAX_BYTES: usize = 65_536;

/// Most words and signs of a statement.
const MAX_TOKENS: usize = 2_000;

/// How deep the parser may recurse: [`depth::MAX_NESTED`], and operators of every precedence in the innermost.
const MAX_RECURSION: usize = depth::MAX_NESTED + 12;

/// The parts of a statement that mean something here.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) columns: Vec<(Expr, Option<Ident>)>,
    pub(crate) table: Ident,
    pub(crate) alias: Option<Ident>,
    pub(crate) condition: Option<Expr>,
    pub(crate) group_by: Vec<Expr>,
    pub(crate) having: Option<Expr>,
    /// Where the statement begins.
    pub(crate) start: Option<Position>,
    /// The statement with one space between its words and without comments: what its digest is of.
    pub(crate) canonical: String,
}

/// The words of our SQL: those of the standard and `FILTER`. Identifiers are quoted with `"` or backticks.
#[derive(Debug)]
struct Words;

impl Dialect for Words {
    fn is_identifier_start(&self, letter: char) -> bool {
        letter.is_alphabetic() || letter == '_'
    }

    fn is_identifier_part(&self, letter: char) -> bool {
        letter.is_alphanumeric() || letter == '_'
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }
}

/// Parses `sql`, or says everything that is wrong with its form.
pub(crate) fn parse(sql: &str) -> Result<Parsed, Vec<Mistake>> {
    let one = |position, message: String| vec![Mistake::at(position, message)];
    if sql.len() > MAX_BYTES {
        return Err(one(None, format!("the statement has {} bytes, more than {MAX_BYTES}", sql.len())));
    }
    let tokens = Tokenizer::new(&Words, sql).tokenize_with_location();
    let tokens = tokens.map_err(|error| one(Position::of(error.location), format!("not SQL: {}", error.message)))?;
    let is_word = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_) | Token::EOF);
    let count = tokens.iter().filter(is_word).count();
    if count > MAX_TOKENS {
        let position = tokens.iter().filter(is_word).nth(MAX_TOKENS).and_then(|token| Position::start_of(token.span));
        return Err(one(position, format!("the statement has {count} words and signs, more than {MAX_TOKENS}")));
    }
    depth::check(&tokens).map_err(|mistake| vec![mistake])?;
    let canonical = canonical(&tokens);
    let mut parser = Parser::new(&Words).with_recursion_limit(MAX_RECURSION).with_tokens_with_locations(tokens);
    let statements = parser.parse_statements();
    let mut statements = statements.map_err(|error| vec![syntax(&error, parser.get_current_token().span)])?;
    match (statements.pop(), statements.first()) {
        (Some(Statement::Query(query)), None) => Shape::default().query(*query, canonical),
        (Some(_), None) => Err(one(None, "a metric is one SELECT".to_owned())),
        (_, first) => {
            let position = first.and_then(|statement| Position::start_of(statement.span()));
            Err(one(position, "a metric is one SELECT: write each as a metric of its own".to_owned()))
        }
    }
}

/// The parser's words, without its own name and with the position taken out of them. `here` is where it stopped.
fn syntax(error: &ParserError, here: Span) -> Mistake {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => {
            return Mistake::at(Position::start_of(here), "nested too deeply: write it flatter");
        }
    };
    let split = message.rsplit_once(" at Line: ").and_then(|(words, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((words, Position { line: line.parse().ok()?, column: column.parse().ok()? }))
    });
    let (words, position) = split.map_or((message, None), |(words, position)| (words, Some(position)));
    Mistake::at(position, format!("not SQL: {words}"))
}

fn canonical(tokens: &[TokenWithSpan]) -> String {
    let mut text = String::new();
    let mut apart = false;
    for token in tokens.iter().map(|token| &token.token) {
        match token {
            // Behind the last word they say nothing.
            Token::EOF | Token::SemiColon => {}
            Token::Whitespace(Whitespace::Space | Whitespace::Newline | Whitespace::Tab) => apart = true,
            Token::Whitespace(_) => apart = true,
            word => {
                if apart && !text.is_empty() {
                    text.push(' ');
                }
                apart = false;
                text.push_str(&word.to_string());
            }
        }
    }
    text
}

/// Collects what the statement has that a metric has not.
#[derive(Default)]
struct Shape {
    start: Option<Position>,
    mistakes: Vec<Mistake>,
}

impl Shape {
    fn refuse(&mut self, wrong: bool, span: Span, message: &str) {
        if wrong {
            let position = Position::start_of(span).or(self.start);
            self.mistakes.push(Mistake::at(position, message));
        }
    }

    fn query(mut self, query: Query, canonical: String) -> Result<Parsed, Vec<Mistake>> {
        let nowhere = Span::empty();
        self.start = Position::start_of(query.span());
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        let span_of = |span: Option<Span>| span.unwrap_or(nowhere);
        self.refuse(
            with.is_some(),
            span_of(with.as_ref().map(Spanned::span)),
            "WITH is not supported: write the inner query as a metric of its own and read its rows with FROM",
        );
        self.refuse(
            order_by.is_some(),
            span_of(order_by.as_ref().map(Spanned::span)),
            "ORDER BY is not supported: rows come in the order of event time, key and window",
        );
        self.refuse(
            limit_clause.is_some() || fetch.is_some(),
            span_of(limit_clause.as_ref().map(Spanned::span)),
            "LIMIT is not supported: the input has no end",
        );
        let others = !locks.is_empty()
            || for_clause.is_some()
            || settings.is_some()
            || format_clause.is_some()
            || !pipe_operators.is_empty();
        self.refuse(others, nowhere, "FOR, SETTINGS, FORMAT and |> are not supported: end the statement before them");
        match *body {
            SetExpr::Select(select) => self.select(*select, canonical),
            other => {
                let message = "only one plain SELECT is supported, without UNION, VALUES or parentheses around it";
                self.refuse(true, other.span(), message);
                Err(self.mistakes)
            }
        }
    }

    fn select(mut self, select: Select, canonical: String) -> Result<Parsed, Vec<Mistake>> {
        let Select {
            select_token,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        let begin = select_token.0.span;
        self.start = Position::start_of(begin).or(self.start);
        self.refuse(distinct.is_some(), begin, "SELECT DISTINCT is not supported: group by what is to be distinct");
        let span_of = |expression: &Option<Expr>| expression.as_ref().map_or(Span::empty(), Spanned::span);
        self.refuse(prewhere.is_some(), span_of(&prewhere), "PREWHERE is not supported: write WHERE");
        self.refuse(qualify.is_some(), span_of(&qualify), "QUALIFY is not supported: write HAVING");
        let others = !optimizer_hints.is_empty()
            || select_modifiers.is_some()
            || top.is_some()
            || exclude.is_some()
            || into.is_some()
            || !lateral_views.is_empty()
            || !connect_by.is_empty()
            || !cluster_by.is_empty()
            || !distribute_by.is_empty()
            || !sort_by.is_empty()
            || !named_window.is_empty()
            || value_table_mode.is_some()
            || flavor != SelectFlavor::Standard;
        let supported = "only SELECT … FROM … WHERE … GROUP BY … HAVING … is supported";
        self.refuse(others, begin, supported);
        let columns = projection.into_iter().filter_map(|item| self.column(item)).collect();
        let table = self.table(from);
        let group_by = match group_by {
            GroupByExpr::Expressions(expressions, modifiers) if modifiers.is_empty() => expressions,
            _ => {
                self.refuse(true, begin, "GROUP BY takes a column and a window, without ALL, ROLLUP and the like");
                Vec::new()
            }
        };
        match table {
            Some((table, alias)) if self.mistakes.is_empty() => Ok(Parsed {
                columns,
                table,
                alias,
                condition: selection,
                group_by,
                having,
                start: self.start,
                canonical,
            }),
            _ => Err(self.mistakes),
        }
    }

    fn column(&mut self, item: SelectItem) -> Option<(Expr, Option<Ident>)> {
        match item {
            SelectItem::UnnamedExpr(expression) => Some((expression, None)),
            SelectItem::ExprWithAlias { expr, alias } => Some((expr, Some(alias))),
            other => {
                self.refuse(true, other.span(), "`*` is not supported: list the columns, an event has no fixed ones");
                None
            }
        }
    }

    fn table(&mut self, mut from: Vec<TableWithJoins>) -> Option<(Ident, Option<Ident>)> {
        let relation = from.pop();
        let span = relation.as_ref().map_or(Span::empty(), Spanned::span);
        self.refuse(relation.is_none(), span, "FROM is missing: write FROM events, or the name of a metric");
        let TableWithJoins { relation, joins } = relation?;
        self.refuse(
            !from.is_empty() || !joins.is_empty(),
            joins.first().map_or(span, |join| join.relation.span()),
            "joins are not supported in SQL: a Wasm metric with an interval-join window pairs rows",
        );
        let message = "FROM takes `events` or the name of a metric; windows stand in GROUP BY: TUMBLE(event_time, …)";
        match relation {
            TableFactor::Table {
                name: ObjectName(name),
                alias,
                args: None,
                with_hints,
                version: None,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() && name.len() == 1 => {
                let name = name.first().and_then(|part| part.as_ident()).cloned();
                self.refuse(name.is_none(), span, message);
                Some((name?, alias.map(|alias| alias.name)))
            }
            _ => {
                self.refuse(true, span, message);
                None
            }
        }
    }
}

/// An identifier as names are compared: in lower case unless it is quoted.
pub(crate) fn folded(identifier: &Ident) -> String {
    if identifier.quote_style.is_some() { identifier.value.clone() } else { identifier.value.to_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(sql: &str) -> Vec<String> {
        parse(sql).expect_err("it is refused").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_canonical_text_leaves_out_how_it_is_written() {
        let written = "SELECT  a, -- the first\n\tb /* and\n the second */ FROM events\nWHERE c = 'x  y'  ;\n";
        let parsed = parse(written).expect("it is sound");
        assert_eq!(parsed.canonical, "SELECT a, b FROM events WHERE c = 'x  y'");
        assert_eq!(parse(&parsed.canonical).expect("it is sound").canonical, parsed.canonical);
    }

    #[test]
    fn mistakes_of_syntax_have_their_position() {
        assert!(refused("SELECT a\nFROM events WHERE").iter().all(|line| line.starts_with("not SQL: ")));
        let line = &refused("SELECT a\nFROM events GROUP a")[0];
        assert!(line.starts_with("line 2, column "), "{line}");
        let line = &refused("SELECT 'a")[0];
        assert!(line.starts_with("line 1, column 8: not SQL: "), "{line}");
    }

    #[test]
    fn every_clause_that_means_nothing_here_is_told() {
        let sql = "WITH t AS (SELECT 1) SELECT DISTINCT a, *\nFROM events, other\nORDER BY a LIMIT 1";
        let lines = refused(sql);
        assert_eq!(lines.len(), 6, "{lines:#?}");
        for word in ["WITH", "DISTINCT", "`*`", "joins", "ORDER BY", "LIMIT"] {
            assert!(lines.iter().any(|line| line.contains(word)), "{word}: {lines:#?}");
        }
        for sql in [
            "SELECT a FROM events UNION SELECT a FROM events",
            "DELETE FROM events",
            "SELECT a FROM events; SELECT b FROM events",
            "SELECT a FROM (SELECT a FROM events)",
            "SELECT a FROM events JOIN other ON a = b",
            "SELECT a FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(event_time), INTERVAL '1' MINUTE))",
            "SELECT a FROM events GROUP BY ROLLUP (a)",
            "SELECT a",
            "",
        ] {
            // A rollup is an expression, which the binder refuses.
            assert!(parse(sql).is_err() || sql.contains("ROLLUP"), "{sql}");
        }
    }

    #[test]
    fn statements_are_bounded() {
        assert!(refused(&format!("SELECT {} AS a FROM events", "1+".repeat(40_000)))[0].contains("bytes"));
        assert!(refused(&format!("SELECT {}1 AS a FROM events", "1+".repeat(2_000)))[0].contains("words and signs"));
    }
}
