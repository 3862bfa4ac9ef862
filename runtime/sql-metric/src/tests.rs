//! What statements become, and every way in which they are refused.

use super::*;
use crate::expression::Scope;
use serde_json::json;
use tidemark_engine::descriptor::{Condition, Filter, Side, WindowSpec};

const JITTER: &str = "SELECT stream_id, STDDEV_POP(fps) / AVG(fps) AS jitter FROM events \
                      WHERE type = 'ai_stream_status' \
                      GROUP BY stream_id, TUMBLE(event_time, INTERVAL '1 minute')";

fn column(name: &str, path: &str, kind: Option<ColumnType>) -> ColumnDefinition {
    ColumnDefinition { name: name.to_owned(), path: path.to_owned(), kind }
}

fn definition(sql: &str, columns: Vec<ColumnDefinition>) -> Definition {
    Definition { name: "m".to_owned(), version: "1.0.0".to_owned(), doc: String::new(), sql: sql.to_owned(), columns }
}

fn jitter_columns() -> Vec<ColumnDefinition> {
    vec![column("stream_id", "data.stream_id", None), column("fps", "data.inference_status.fps", None)]
}

/// Another metric, `jitter-coefficient`, whose rows can be read.
fn surroundings() -> Surroundings {
    let output = |name: &str, kind| OutputColumn { name: name.to_owned(), kind, nullable: true };
    let columns = vec![output("jitter", ColumnType::Float), output("samples", ColumnType::Integer)];
    Surroundings { metrics: BTreeMap::from([("jitter-coefficient".to_owned(), columns)]), types: BTreeMap::new() }
}

#[track_caller]
fn planned(sql: &str, columns: Vec<ColumnDefinition>) -> SqlMetric {
    SqlMetric::plan(&definition(sql, columns), &surroundings()).unwrap_or_else(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        panic!("{sql}\nis refused:\n{}", lines.join("\n"))
    })
}

#[track_caller]
fn refused(sql: &str, columns: Vec<ColumnDefinition>) -> Vec<String> {
    match SqlMetric::plan(&definition(sql, columns), &surroundings()) {
        Ok(_) => panic!("{sql}\nis accepted"),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

fn grouped(select: &str) -> String {
    format!("SELECT {select} FROM events GROUP BY data.k, TUMBLE(event_time, INTERVAL '1' MINUTE)")
}

#[test]
fn a_statement_becomes_a_descriptor() {
    let metric = planned(JITTER, jitter_columns());
    let descriptor = metric.descriptor();
    assert_eq!(descriptor.key, "data.stream_id");
    assert_eq!(descriptor.window, WindowSpec::Tumbling { size_ms: 60_000, offset_ms: 0 });
    let types = Condition::OneOf(vec!["ai_stream_status".to_owned()]);
    assert_eq!(descriptor.filter, Filter(BTreeMap::from([("type".to_owned(), types)])));
    let inputs: Vec<_> = descriptor.inputs.iter().map(|input| (input.path.as_str(), input.kind, input.side)).collect();
    assert_eq!(inputs, [("data.inference_status.fps", ColumnType::Float, None)], "what the filter reads is no input");
    let output: Vec<_> = descriptor.output.iter().map(|out| (out.name.as_str(), out.kind, out.nullable)).collect();
    assert_eq!(output, [("stream_id", ColumnType::Text, false), ("jitter", ColumnType::Float, true)]);
    assert!(descriptor.mergeable && descriptor.state_version > 0);
    assert_eq!(metric.explain().keeps, ["count, mean and squares of data.inference_status.fps:DOUBLE"], "kept once");
}

#[test]
fn a_digest_is_of_what_a_statement_means() {
    let metric = planned(JITTER, jitter_columns());
    let spread = JITTER.replace(' ', "\n  ") + " -- as text";
    assert_eq!(planned(&spread.replace("'1\n  minute'", "'1 minute'"), jitter_columns()).digest(), metric.digest());
    let mut other = jitter_columns();
    other[1].path = "data.input_status.fps".to_owned();
    assert_ne!(planned(JITTER, other).digest(), metric.digest());
    let mut other = jitter_columns();
    other[1].kind = Some(ColumnType::Integer);
    assert_ne!(planned(JITTER, other).digest(), metric.digest());
    assert_ne!(planned(&JITTER.replace("POP", "SAMP"), jitter_columns()).digest(), metric.digest());
}

#[test]
fn states_of_another_meaning_have_another_version() {
    let version = |select: &str| planned(&grouped(select), Vec::new()).descriptor().state_version;
    let average = version("AVG(data.x) AS a");
    assert_eq!(version("STDDEV_POP(data.x) AS b, AVG(data.x) AS a"), average, "the same is kept");
    for other in
        ["AVG(data.y) AS a", "AVG(data.x + 1) AS a", "SUM(data.x) AS a", "AVG(data.x) FILTER (WHERE data.x > 0) AS a"]
    {
        assert_ne!(version(other), average, "{other}");
    }
}

#[test]
fn windows_have_flinks_names_and_order_of_arguments() {
    let window = |window: &str| {
        let sql = format!("SELECT COUNT(*) AS n FROM events WHERE type = 'a' GROUP BY {window}, data.k");
        planned(&sql, Vec::new()).descriptor().window.clone()
    };
    let tumbling = |size_ms| WindowSpec::Tumbling { size_ms, offset_ms: 0 };
    assert_eq!(window("TUMBLE(event_time, INTERVAL '1' MINUTE)"), tumbling(60_000));
    assert_eq!(window("tumble(event_time, INTERVAL '90 seconds')"), tumbling(90_000));
    assert_eq!(window("TUMBLE(event_time, INTERVAL 1 HOUR)"), tumbling(3_600_000));
    assert_eq!(window("TUMBLE(event_time, INTERVAL '0.5' SECOND)"), tumbling(500));
    assert_eq!(window("TUMBLE(event_time, INTERVAL '250 milliseconds')"), tumbling(250));
    let hop = WindowSpec::Sliding { size_ms: 60_000, slide_ms: 10_000, offset_ms: 0 };
    assert_eq!(window("HOP(event_time, INTERVAL '10' SECOND, INTERVAL '1' MINUTE)"), hop);
    assert_eq!(window("SESSION(event_time, INTERVAL '2' MINUTES)"), WindowSpec::Session { gap_ms: 120_000 });
}

#[test]
fn what_the_filter_can_say_is_left_to_it() {
    let sql = "SELECT COUNT(*) AS n FROM events WHERE (type = 'a' OR type IN ('b', 'a')) AND 'x' = data.s AND data.t <> '' \
               AND data.n > 1 AND data.u IS NOT NULL GROUP BY data.k, TUMBLE(event_time, INTERVAL '1' MINUTE)";
    let columns = vec![column("u", "data.u", Some(ColumnType::Text))];
    let metric = planned(&sql.replace("data.u", "u"), columns);
    let one_of = |texts: &[&str]| Condition::OneOf(texts.iter().map(|text| (*text).to_owned()).collect());
    let expected = BTreeMap::from([
        ("type".to_owned(), one_of(&["a", "b"])),
        ("data.s".to_owned(), one_of(&["x"])),
        ("data.t".to_owned(), Condition::Present(true)),
    ]);
    assert_eq!(metric.descriptor().filter, Filter(expected));
    let rest = "((data.n:DOUBLE > 1.0) AND (data.u IS NOT NULL))";
    assert_eq!(metric.explain().condition.as_deref(), Some(rest), "an empty text is not null");
}

#[test]
fn a_number_as_a_text_is_not_left_to_the_filter() {
    let sql = "SELECT COUNT(*) AS n FROM events WHERE n = 5 GROUP BY data.k, TUMBLE(event_time, INTERVAL '1' MINUTE)";
    let metric = planned(sql, vec![column("n", "data.n", Some(ColumnType::Integer))]);
    assert!(metric.descriptor().filter.0.is_empty(), "5.0 is 5 for a number and not for a text");
}

#[test]
fn without_group_by_each_event_is_a_row() {
    let metric = planned("SELECT data.fps * 2 AS double, id FROM events WHERE type = 'a'", Vec::new());
    let descriptor = metric.descriptor();
    assert!(matches!(descriptor.window, WindowSpec::IntervalJoin { .. }));
    assert!(descriptor.inputs.iter().all(|input| input.side == Some(Side::Left)));
    assert_eq!((descriptor.key.as_str(), descriptor.state_version), ("id", 0));
}

#[test]
fn rows_of_another_metric_are_read_by_its_name() {
    let sql = "SELECT MAX(jitter) AS worst, SUM(samples) AS samples FROM jitter_coefficient \
               GROUP BY key, TUMBLE(event_time, INTERVAL '1' HOUR)";
    let metric = planned(sql, Vec::new());
    let descriptor = metric.descriptor();
    assert_eq!(descriptor.key, "data.key");
    assert_eq!(descriptor.filter.types(), Some(&["metric.jitter-coefficient".to_owned()][..]));
    let kinds: Vec<_> = descriptor.inputs.iter().map(|input| (input.path.as_str(), input.kind)).collect();
    assert_eq!(kinds, [("data.jitter", ColumnType::Float), ("data.samples", ColumnType::Integer)]);
    assert_eq!(reads(sql, ["other", "jitter-coefficient"]), Some("jitter-coefficient"));
    assert_eq!(reads(JITTER, ["jitter-coefficient"]), None);
}

#[test]
fn types_follow_from_uses_where_they_can() {
    let kinds = |select: &str| -> Vec<(String, ColumnType)> {
        let metric = planned(&grouped(select), Vec::new());
        metric.descriptor().inputs.iter().map(|input| (input.path.clone(), input.kind)).collect()
    };
    let float = |path: &str| (path.to_owned(), ColumnType::Float);
    let text = |path: &str| (path.to_owned(), ColumnType::Text);
    assert_eq!(kinds("SUM(data.a) AS a"), [float("data.a")]);
    assert_eq!(kinds("COUNT(*) FILTER (WHERE data.a = 'x') AS a"), [text("data.a")]);
    assert_eq!(kinds("COUNT(*) FILTER (WHERE data.a) AS a")[0].1, ColumnType::Boolean);
    assert_eq!(kinds("COUNT(*) FILTER (WHERE data.a LIKE 'x%') AS a"), [text("data.a")]);
    assert_eq!(kinds("SUM(COALESCE(data.a, 0)) AS a, COUNT(data.a) AS n"), [float("data.a")]);
    // Through another column, in the second round.
    assert_eq!(
        kinds("COUNT(*) FILTER (WHERE data.a = data.b) AS a, SUM(data.b) AS b"),
        [float("data.a"), float("data.b")]
    );
    let sql = grouped("MAX(x) AS x");
    assert!(refused(&sql, vec![column("x", "data.x", None)])[0].contains("the type of data.x does not follow"));
    let both = grouped("SUM(data.x) AS a, COUNT(*) FILTER (WHERE data.x = 'a') AS b");
    assert!(
        refused(&both, Vec::new())[0].contains("used as a float and as a text"),
        "{:?}",
        refused(&both, Vec::new())
    );
    let known = Surroundings { types: BTreeMap::from([("data.x".to_owned(), ColumnType::Integer)]), ..surroundings() };
    let metric =
        SqlMetric::plan(&definition(&grouped("MAX(data.x) AS x"), Vec::new()), &known).expect("known by schema");
    assert_eq!(metric.descriptor().output[0].kind, ColumnType::Integer);
}

/// Statements, each with the beginning of its only mistake.
#[test]
fn what_is_not_supported_is_refused_where_it_stands() {
    for (sql, mistake) in [
        (
            "SELECT data.a AS a FROM event",
            "line 1, column 25: there is no table event: FROM takes events, or a metric: jitter_coefficient",
        ),
        ("SELECT SUM(data.a) AS a FROM events", "line 1, column 8: SUM: an aggregate needs GROUP BY"),
        ("SELECT COUNT(*) AS n FROM events GROUP BY data.k", "line 1, column 43: GROUP BY needs a window"),
        (
            "SELECT COUNT(*) AS n FROM events GROUP BY TUMBLE(event_time, INTERVAL '1' MINUTE)",
            "line 1, column 43: GROUP BY needs a column",
        ),
        (
            "SELECT COUNT(*) AS n\nFROM events GROUP BY data.k, data.l, TUMBLE(event_time, INTERVAL '1' MINUTE)",
            "line 2, column 30: a metric has one key",
        ),
        (
            "SELECT COUNT(*) AS n FROM events GROUP BY UPPER(data.k), TUMBLE(event_time, INTERVAL '1' MINUTE)",
            "line 1, column 43: GROUP BY takes a column",
        ),
        (
            "SELECT COUNT(*) AS n FROM events GROUP BY data.k, TUMBLE(data.time, INTERVAL '1' MINUTE)",
            "line 1, column 58: windows are over event_time",
        ),
        (
            "SELECT COUNT(*) AS n FROM events GROUP BY data.k, TUMBLE(event_time, INTERVAL '1' MONTH)",
            "line 1, column 79: the unit of an interval",
        ),
        (
            "SELECT COUNT(*) AS n FROM events GROUP BY data.k, TUMBLE(event_time, 60)",
            "line 1, column 70: a length of time is written as",
        ),
        (
            "SELECT COUNT(*) AS n FROM events GROUP BY data.k, HOP(event_time, INTERVAL '1' MINUTE)",
            "line 1, column 51: write HOP(event_time",
        ),
        (
            "SELECT COUNT(*) AS n FROM events GROUP BY data.k, HOP(event_time, INTERVAL '1' SECOND, INTERVAL '1' HOUR)",
            "line 1, column 51: each row would belong to 3600 windows",
        ),
        (
            "SELECT data.x AS x FROM events WHERE data.x = 1 HAVING data.x > 1",
            "line 1, column 56: HAVING needs GROUP BY",
        ),
        ("SELECT nothing AS x FROM events", "line 1, column 8: there is no column nothing: declare it"),
        ("SELECT stats.x AS x FROM events", "line 1, column 8: stats.x is no path of an event"),
        ("SELECT data.x + 1 FROM events", "line 1, column 8: name the column"),
        ("SELECT data.x + 1 AS window_start FROM events", "line 1, column 22: every row has a column window_start"),
        ("SELECT data.x + 1 AS a, data.y + 1 AS a FROM events", "line 1, column 39: there are two columns a"),
        ("SELECT data.x + 1 AS \"Größe\" FROM events", "line 1, column 22: Größe is not a name of a column"),
        ("SELECT NULL AS x FROM events", "line 1, column 8: is always null"),
        ("SELECT data.x || 1 AS x FROM events", "line 1, column 18: must be a text, not an integer"),
        ("SELECT type + 1 AS x FROM events", "line 1, column 8: must be a number, not a text"),
        ("SELECT type = 1 AS x FROM events", "line 1, column 15: an integer cannot stand beside a text"),
        ("SELECT LN(data.x) AS x FROM events", "line 1, column 8: LN is not supported: its last digits differ"),
        ("SELECT NOW() AS x FROM events", "line 1, column 8: NOW is not supported: rows must follow"),
        ("SELECT ABS(1, 2) AS x FROM events", "line 1, column 8: ABS takes one number"),
        ("SELECT 1 > (SELECT 1) AS x FROM events", "line 1, column 13: queries inside"),
        ("SELECT 99999999999999999999 AS x FROM events", "line 1, column 8: 99999999999999999999 is beyond 64 bits"),
        ("SELECT CAST(data.x + 1 AS DATE) AS x FROM events", "line 1, column 13: DATE is not supported"),
        ("SELECT SUM(data.x) OVER () AS x FROM events", "line 1, column 8: SUM is called with plain arguments"),
        ("SELECT UPPER(DISTINCT type) AS x FROM events", "line 1, column 8: UPPER takes plain arguments"),
        ("SELECT UPPER(type) FILTER (WHERE TRUE) AS x FROM events", "line 1, column 8: FILTER belongs to an aggregate"),
        (
            "SELECT TUMBLE_START(event_time, INTERVAL '1' MINUTE) AS x FROM events",
            "line 1, column 8: TUMBLE_START stands in SELECT and HAVING, beside GROUP BY",
        ),
        ("SELECT data.x & 1 AS x FROM events", "line 1, column 8: the operator & is not supported"),
        ("SELECT event_time AS x FROM events AS data", "line 1, column 39: data means something already"),
    ] {
        let mistakes = refused(sql, Vec::new());
        assert!(mistakes.len() == 1 && mistakes[0].starts_with(mistake), "{sql}\n  {mistakes:#?}");
    }
    for (select, mistake) in [
        ("data.x AS x", "line 1, column 8: data.x is neither grouped by nor aggregated"),
        ("MAX(SUM(data.x)) AS x", "line 1, column 12: SUM stands inside of another aggregate"),
        ("SUM(DISTINCT data.x) AS x", "line 1, column 8: DISTINCT is supported in COUNT only"),
        ("STDDEV(data.x) AS x", "line 1, column 8: STDDEV is not supported: it means two things"),
        ("event_time AS x", "line 1, column 8: each row has its own event time"),
        (
            "HOP_START(event_time, INTERVAL '1' SECOND, INTERVAL '1' MINUTE) AS x",
            "line 1, column 8: HOP_START must name the window",
        ),
        ("TUMBLE_END(event_time, INTERVAL '2' MINUTE) AS x", "line 1, column 8: TUMBLE_END must name the window"),
        ("TUMBLE(event_time, INTERVAL '1' MINUTE) AS x", "line 1, column 8: TUMBLE stands in GROUP BY"),
        ("SUM(data.k) AS x", "line 1, column 12: data.k is used as a float and as a text"),
    ] {
        let mistakes = refused(&grouped(select), Vec::new());
        assert!(mistakes.len() == 1 && mistakes[0].starts_with(mistake), "{select}\n  {mistakes:#?}");
    }
}

#[test]
fn every_mistake_is_in_one_report() {
    let sql = "SELECT LN(fps) AS a,\n nothing AS key,\n SUM(type) AS c\nFROM events WHERE fps = 'x'\nGROUP BY stream_id, TUMBLE(event_time, INTERVAL '1' YEAR)";
    let columns = vec![
        column("fps", "data.fps", Some(ColumnType::Float)),
        column("stream_id", "data.stream_id", Some(ColumnType::Integer)),
        column("Bad", "data.bad", None),
        column("type", "data.type", None),
    ];
    let mistakes = refused(sql, columns);
    let starts = [
        "line 1, column 8: LN is not supported",
        "line 2, column 2: there is no column nothing",
        "line 2, column 13: every row has a column key already",
        "line 3, column 6: must be a number, not a text",
        "line 4, column 19: a float cannot stand beside a text",
        "line 5, column 10: a key is read as a text",
        "line 5, column 49: the unit of an interval",
        "column Bad: \"Bad\" is not a name",
        "column type: type means something already",
    ];
    for start in starts {
        assert!(mistakes.iter().any(|mistake| mistake.starts_with(start)), "{start}: {mistakes:#?}");
    }
    assert_eq!(mistakes.len(), starts.len(), "{mistakes:#?}");
}

#[test]
fn a_column_that_nothing_reads_is_a_mistake() {
    let columns = vec![column("fps", "data.fps", None), column("fpz", "data.fpz", None)];
    let mistakes = refused(&grouped("SUM(fps) AS a"), columns);
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].starts_with("column fpz: the statement does not read it"), "{mistakes:?}");
}

#[test]
fn sessions_take_conditions_that_the_filter_can_say() {
    let sql = |condition: &str| {
        format!(
            "SELECT COUNT(*) AS n FROM events WHERE {condition} GROUP BY data.k, SESSION(event_time, INTERVAL '1' MINUTE)"
        )
    };
    planned(&sql("type IN ('a', 'b') AND data.k <> ''"), Vec::new());
    let mistakes = refused(&sql("type = 'a' AND data.n > 1"), Vec::new());
    assert!(mistakes.len() == 1 && mistakes[0].starts_with("line 1, column 55: with SESSION, WHERE"), "{mistakes:?}");
}

#[test]
fn nesting_does_not_multiply() {
    for nest in ["NULLIF(", "COALESCE(NULL, "] {
        let end = if nest == "NULLIF(" { ", 1)" } else { ")" };
        let sql = format!("SELECT {}data.x + 0{} AS x FROM events", nest.repeat(20), end.repeat(20));
        // In time, whether it is accepted or not.
        let _ = SqlMetric::plan(&definition(&sql, Vec::new()), &surroundings());
    }
    let case = (0..20)
        .fold("data.x + 0".to_owned(), |inner, _| format!("CASE {inner} WHEN 1 THEN 2 WHEN 2 THEN 3 ELSE 4 END"));
    let _ = SqlMetric::plan(&definition(&format!("SELECT {case} AS x FROM events"), Vec::new()), &surroundings());
}

#[test]
fn the_deepest_statements_have_the_stack_that_they_take() {
    // A worker has 2 MiB. Without optimisation the parser alone takes 80 KB for a level.
    let stack = if cfg!(debug_assertions) { 16 << 20 } else { 1 << 20 };
    let thread = std::thread::Builder::new().stack_size(stack).spawn(run_the_deepest_statements);
    thread.expect("starts").join().expect("all of them run");
}

fn run_the_deepest_statements() {
    struct Nulls;
    impl Scope for Nulls {
        fn leaf(&self, _: &expression::Leaf) -> value::Value<'_> {
            value::Value::Null
        }
    }
    let nested = |open: &str, close: &str, chain: &str, times: usize| {
        format!("{}{}data.x{}", open.repeat(20), chain.repeat(times), close.repeat(20))
    };
    let deepest = [
        nested("(", ")", "data.x + ", 180),
        nested("ABS(", ")", "data.x * ", 180),
        nested("COALESCE(NULL, ", ")", "data.x - ", 180),
        nested("CASE WHEN FALSE THEN 1 ELSE ", " END", "data.x + ", 180),
        nested("CAST(", " AS DOUBLE)", "data.x + ", 180),
        format!("{}data.x", "data.x OR ".repeat(200)),
        format!("data.x{}", " IS TRUE".repeat(200)),
        format!("{}data.x", "NOT ".repeat(25)),
        nested("(", ")", "data.x OR data.x AND NOT data.x IS TRUE = data.x + data.x * - ", 12),
    ];
    for expression in deepest {
        let sql = format!("SELECT {expression} AS x FROM events WHERE ({expression}) IS NULL");
        let sql = if sql.contains("IS TRUE") { sql.replace(") IS NULL", ")") } else { sql };
        let grouped = grouped(&format!("COUNT({expression}) AS x"));
        for sql in [sql, grouped] {
            match SqlMetric::plan(&definition(&sql, Vec::new()), &surroundings()) {
                Ok(metric) => {
                    assert!(!metric.explain().columns.is_empty());
                    for expression in metric.program.columns.iter().chain(&metric.program.condition) {
                        assert!(expression.evaluate(&Nulls).is_ok(), "{sql}");
                    }
                }
                // One level more than what is allowed, by what stands around it.
                Err(mistakes) => assert!(mistakes[0].to_string().starts_with("line 1, column "), "{sql}\n{mistakes:?}"),
            }
        }
    }
}

#[test]
fn a_canonical_text_is_json_that_names_its_version() {
    let metric = planned(JITTER, jitter_columns());
    let canonical: serde_json::Value = serde_json::from_str(metric.canonical()).expect("it is JSON");
    assert_eq!(canonical["sql-metric"], 1);
    assert_eq!(canonical["columns"], json!([{ "path": "data.inference_status.fps", "type": "float" }]));
}

proptest::proptest! {
    /// No text makes planning panic, and what is accepted can be described.
    #[test]
    fn any_text_is_planned_or_refused(words in proptest::collection::vec(0_usize..WORDS.len(), 0..24)) {
        let sql: Vec<&str> = words.into_iter().map(|word| WORDS[word]).collect();
        for sql in [sql.join(" "), format!("SELECT {} FROM events", sql.join(" ")), grouped(&sql.join(" "))] {
            if let Ok(metric) = SqlMetric::plan(&definition(&sql, Vec::new()), &surroundings()) {
                proptest::prop_assert!(!metric.explain().columns.is_empty());
            }
        }
    }
}

const WORDS: [&str; 48] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "HAVING",
    "events",
    "jitter_coefficient",
    "data.x",
    "data.k",
    "type",
    "event_time",
    "1",
    "2.5",
    "'a'",
    "''",
    "NULL",
    "TRUE",
    "+",
    "-",
    "*",
    "/",
    "||",
    "=",
    "<>",
    "<",
    "AND",
    "OR",
    "NOT",
    "(",
    ")",
    ",",
    "AS a",
    "AS b",
    "COUNT(*)",
    "SUM(",
    "AVG(",
    "CASE WHEN",
    "THEN",
    "ELSE",
    "END",
    "COALESCE(",
    "NULLIF(",
    "IS NULL",
    "IN (",
    "BETWEEN",
    "LIKE",
    "TUMBLE(event_time, INTERVAL '1' MINUTE)",
    "FILTER (WHERE",
];
