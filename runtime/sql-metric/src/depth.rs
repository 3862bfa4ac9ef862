//! How deep a statement nests, read off its words before there is a tree: whatever walks the tree recurses, and must not
//! run out of stack. Counts what could make a level, so that a tree is never deeper than said here.

use crate::mistake::{Mistake, Position};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// Most parentheses, brackets and CASEs in each other.
pub(crate) const MAX_NESTED: usize = 20;

/// Most operators over and in each other, a chain of additions included: it nests to the left.
pub(crate) const MAX_DEPTH: usize = 200;

/// Words that take what stands on their left or right.
const OPERATORS: [Keyword; 21] = [
    Keyword::AND,
    Keyword::AT,
    Keyword::BETWEEN,
    Keyword::COLLATE,
    Keyword::DIV,
    Keyword::EXCEPT,
    Keyword::ILIKE,
    Keyword::IN,
    Keyword::INTERSECT,
    Keyword::IS,
    Keyword::LIKE,
    Keyword::MEMBER,
    Keyword::MINUS,
    Keyword::NOT,
    Keyword::NOTNULL,
    Keyword::OR,
    Keyword::OVERLAPS,
    Keyword::REGEXP,
    Keyword::RLIKE,
    Keyword::SIMILAR,
    Keyword::UNION,
];

/// What a word does to the depth.
enum Step {
    /// What follows is inside of it.
    Open,
    /// The newest that is open ends.
    Close,
    /// What follows stands beside what came before.
    Next,
    /// It nests what stands beside it.
    Operator,
    /// A name or a value.
    Leaf,
}

/// Refuses a statement that nests too deeply, where it does.
pub(crate) fn check(tokens: &[TokenWithSpan]) -> Result<(), Mistake> {
    // Operators so far in each that is open; the first is the statement itself.
    let mut open = vec![0_usize];
    let mut depth = 0;
    for token in tokens {
        let innermost = open.len() - 1;
        match step(&token.token) {
            Step::Open => {
                open.push(0);
                depth += 1;
            }
            Step::Close if innermost > 0 => {
                depth -= open[innermost] + 1;
                open.pop();
            }
            Step::Next => {
                depth -= open[innermost];
                open[innermost] = 0;
            }
            Step::Operator => {
                open[innermost] += 1;
                depth += 1;
            }
            // What closes nothing is the parser's to tell.
            Step::Close | Step::Leaf => {}
        }
        let message = if open.len() > MAX_NESTED + 1 {
            format!("nested deeper than {MAX_NESTED}: write it flatter")
        } else if depth > MAX_DEPTH {
            format!("more than {MAX_DEPTH} operators on each other: write a list with IN, or several columns")
        } else {
            continue;
        };
        return Err(Mistake::at(Position::start_of(token.span), message));
    }
    Ok(())
}

fn step(token: &Token) -> Step {
    match token {
        Token::LParen | Token::LBracket | Token::LBrace => Step::Open,
        Token::RParen | Token::RBracket | Token::RBrace => Step::Close,
        Token::Comma | Token::SemiColon => Step::Next,
        Token::Word(word) => match word.keyword {
            Keyword::CASE => Step::Open,
            Keyword::END => Step::Close,
            Keyword::SELECT
            | Keyword::FROM
            | Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::WHEN
            | Keyword::THEN
            | Keyword::ELSE => Step::Next,
            keyword if OPERATORS.contains(&keyword) => Step::Operator,
            _ => Step::Leaf,
        },
        Token::Number(..) | Token::SingleQuotedString(_) | Token::Whitespace(_) | Token::Period | Token::EOF => {
            Step::Leaf
        }
        _ => Step::Operator,
    }
}

#[cfg(test)]
mod tests {
    use crate::parse::parse;

    fn refused(sql: &str) -> String {
        parse(sql).expect_err("it is refused")[0].to_string()
    }

    /// Everything that nests, told where it becomes too much, whatever the parser makes of it.
    #[test]
    fn nesting_is_refused_where_it_becomes_too_much() {
        for (open, close) in [("(", ")"), ("ABS(", ")"), ("CASE WHEN a THEN ", " END"), ("[", "]"), ("{", "}")] {
            let sql =
                |levels: usize| format!("SELECT\n{}1{} AS a FROM events", open.repeat(levels), close.repeat(levels));
            let column = 21 * open.len() - (open.len() - open.find(['(', 'C', '[', '{']).unwrap_or(0)) + 1;
            let message = refused(&sql(300));
            let start = format!("line 2, column {column}: nested deeper than 20");
            assert!(message.starts_with(&start), "{open}: {message} is not {start}");
        }
        for open in ["(", "ABS(", "CASE WHEN a THEN "] {
            let close = if open.ends_with('(') { ")" } else { " END" };
            let sql = format!("SELECT {}1{} AS a FROM events", open.repeat(20), close.repeat(20));
            assert!(parse(&sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn chains_are_refused_where_they_become_too_long() {
        assert!(parse(&format!("SELECT {}1 AS a FROM events", "1+".repeat(200))).is_ok());
        let message = refused(&format!("SELECT {}1 AS a FROM events", "1+".repeat(201)));
        assert!(message.starts_with("line 1, column 409: more than 200 operators"), "{message}");
        for part in [
            "a OR ",
            "NOT ",
            "- ",
            "a || ",
            "a IS NULL AND ",
            "a IN (1) = ",
            "a::b::",
            "SELECT 1 UNION ",
            "a AT TIME ZONE ",
        ] {
            let message = refused(&format!("SELECT {}1 AS a FROM events", part.repeat(400)));
            assert!(message.starts_with("line 1, column "), "{part}: {message}");
        }
        let types = format!("SELECT CAST(a AS {}INT{}) AS a FROM events", "ARRAY<".repeat(400), ">".repeat(400));
        assert!(refused(&types).contains("more than 200 operators"), "{}", refused(&types));
    }

    #[test]
    fn what_stands_side_by_side_is_not_deep() {
        let columns: Vec<String> = (0..90).map(|number| format!("a + b * (c - {number}) AS c{number}")).collect();
        assert!(parse(&format!("SELECT {} FROM events", columns.join(", "))).is_ok());
        let cases: Vec<String> = (0..150).map(|number| format!("WHEN a > {number} THEN {number} + 1")).collect();
        assert!(parse(&format!("SELECT CASE {} ELSE 0 END AS a FROM events", cases.join(" "))).is_ok());
    }
}
