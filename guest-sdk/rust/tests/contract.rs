//! What the host sees of a metric: the contract's functions, called as the exports call them.

use tidemark_metric::contract::{Batch, ByteStrings, CloseReason, Column, Groups, Values};
use tidemark_metric::{Context, Failure, Fold, Input, Join, Json, Merge, Metric, Migrate, Output, Reader, Rows, State};

/// Sums of a thing. The rest of the comment
/// goes on here.
///
/// A second paragraph is not part of the description.
#[derive(Metric)]
#[metric(
    name = "sums",
    key = "data.thing",
    filter("type" = ["a", "b"], "data.on" = present, "data.off" = absent),
    window(sliding = "5m", every = "1m", offset = "10s"),
    state_version = 3,
    mergeable,
    migrates
)]
struct Sums {
    /// Added to each value.
    #[setting(default = 0.5)]
    plus: f64,
    names: Option<Vec<String>>,
}

#[derive(Input)]
struct Thing<'a> {
    #[at = "data.value"]
    value: Option<f64>,
    #[at = "data.tags"]
    tags: Option<Json<'a>>,
}

#[derive(State, Default)]
struct Sum {
    sum: f64,
    tags: String,
}

#[derive(Output)]
struct Total<'a> {
    sum: f64,
    tags: Option<Json<'a>>,
}

impl Fold for Sums {
    type Input = Thing<'static>;
    type State = Sum;
    type Output = Total<'static>;

    fn update(&self, sum: &mut Sum, rows: Rows<Thing>, context: &mut Context<Total>) -> Result<(), Failure> {
        for row in rows {
            let Some(value) = row.value else {
                context.emit(Total { sum: -1.0, tags: None });
                return Err(format!("{} has no value at {}", context.key(), row.event_time_ms).into());
            };
            sum.sum += value + self.plus;
            if let Some(Json(tags)) = row.tags {
                tags.clone_into(&mut sum.tags);
            }
        }
        Ok(())
    }

    fn close(&self, sum: &mut Sum, _: CloseReason, context: &mut Context<Total>) -> Result<(), Failure> {
        context.emit(Total { sum: sum.sum, tags: Some(Json(&sum.tags)).filter(|tags| !tags.0.is_empty()) });
        Ok(())
    }
}

impl Merge for Sums {
    fn merge(&self, sum: &mut Sum, later: Sum) -> Result<(), Failure> {
        sum.sum += later.sum;
        sum.tags = later.tags;
        Ok(())
    }
}

impl Migrate for Sums {
    fn migrate(&self, bytes: &[u8], version: u32) -> Result<Sum, Failure> {
        if version != 2 {
            return Err("only version 2 is known".into());
        }
        let sum = i64::decode(&mut Reader::new(bytes)).map_err(|_| "no state of version 2")?;
        Ok(Sum { sum: sum as f64, tags: String::new() })
    }
}

fn strings(values: &[&[u8]]) -> ByteStrings {
    let mut strings = ByteStrings::new();
    values.iter().for_each(|value| strings.push(value));
    strings
}

/// One row per group; a value of `None` is null.
fn batch(groups: &[(&str, Option<f64>, &[u8])]) -> Batch {
    let count = groups.len();
    let mut validity = vec![0_u8; count.div_ceil(8)];
    for (row, _) in groups.iter().enumerate().filter(|(_, (_, value, _))| value.is_some()) {
        validity[row / 8] |= 1 << (row % 8);
    }
    let tags: Vec<&[u8]> = vec![b"[1]"; count];
    Batch {
        columns: vec![
            Column {
                validity,
                values: Values::Floats(groups.iter().map(|group| group.1.unwrap_or(f64::NAN)).collect()),
            },
            Column { validity: Vec::new(), values: Values::Texts(strings(&tags)) },
        ],
        event_times: (0..count as i64).collect(),
        groups: Groups {
            keys: strings(&groups.iter().map(|group| group.0.as_bytes()).collect::<Vec<_>>()),
            window_starts: vec![0; count],
            window_ends: vec![60; count],
            times: vec![59; count],
            row_ends: (1..=count as u32).collect(),
            states: strings(&groups.iter().map(|group| group.2).collect::<Vec<_>>()),
        },
    }
}

fn sums() -> Sums {
    Sums { plus: 1.0, names: None }
}

fn state_of(sum: f64, tags: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    Sum { sum, tags: tags.to_owned() }.encode(&mut bytes);
    bytes
}

#[test]
fn a_group_fails_alone() {
    let before = state_of(10.0, "");
    let folded =
        sums().update_groups(&batch(&[("a", Some(1.0), &[]), ("b", None, &before), ("c", Some(2.0), &before)]));
    assert_eq!(folded.states.get(0), state_of(2.0, "[1]"));
    assert_eq!(folded.states.get(1), b"");
    assert_eq!(folded.states.get(2), state_of(13.0, "[1]"));
    let failures: Vec<_> = folded.failures.iter().map(|failure| (failure.group, failure.message.as_str())).collect();
    assert_eq!(failures, [(1, "b has no value at 1")]);
}

#[test]
fn damaged_state_and_wrong_columns_are_failures_and_no_panics() {
    let folded = sums().update_groups(&batch(&[("a", Some(1.0), b"xyz"), ("b", Some(1.0), b"")]));
    assert_eq!(folded.failures.iter().map(|failure| failure.group).collect::<Vec<_>>(), [0]);
    assert_eq!(folded.states.len(), 2);
    for broken in [0, 1] {
        let mut batch = batch(&[("a", Some(1.0), b""), ("b", Some(1.0), b"")]);
        batch.columns[broken].values = Values::Integers(vec![1, 2]);
        let folded = sums().update_groups(&batch);
        assert_eq!((folded.failures.len(), folded.states.len()), (2, 2), "every group fails");
    }
}

#[test]
fn emitted_columns_are_there_only_with_rows() {
    let folded = sums().update_groups(&batch(&[("a", Some(1.0), b"")]));
    assert!(folded.emitted.columns.is_empty() && folded.emitted.groups.is_empty());
    let (with, without) = (state_of(1.0, "[2]"), state_of(2.0, ""));
    let groups = batch(&[("a", None, &without), ("b", None, &with)]);
    let folded = sums().close_groups(&groups, CloseReason::WindowEnd);
    assert_eq!(folded.emitted.groups, [0, 1]);
    let rows = [0, 1].map(|row| Total::read(&folded.emitted.columns, row).expect("the same columns"));
    assert_eq!(rows.map(|row| (row.sum, row.tags)), [(2.0, None), (1.0, Some(Json("[2]")))]);
}

#[test]
fn states_merge_and_migrate_one_by_one() {
    let (one, two) = (state_of(1.0, "x"), state_of(2.0, "y"));
    let merged = sums().merge_states(&strings(&[&one, b"", b"!"]), &strings(&[&two, &two, &two]));
    assert_eq!(merged.states.get(0), state_of(3.0, "y"));
    assert_eq!(merged.states.get(1), two);
    assert_eq!(merged.failures.iter().map(|failure| failure.group).collect::<Vec<_>>(), [2]);

    let old = 7_i64.to_le_bytes();
    let migrated = sums().migrate_states(&strings(&[&old, b"?"]), 2);
    assert_eq!(migrated.states.get(0), state_of(7.0, ""));
    assert_eq!(migrated.failures[0].group, 1);
    assert_eq!(sums().migrate_states(&strings(&[&old]), 1).failures[0].message, "only version 2 is known");
}

#[test]
fn the_description_is_the_documented_one() {
    let expected = concat!(
        r#"{"describe":1,"name":"sums","version":"0.1.0","doc":"Sums of a thing. The rest of the comment goes on here.","#,
        r#""inputs":[{"name":"value","path":"data.value","type":"float"},{"name":"tags","path":"data.tags","type":"json"}],"#,
        r#""filter":{"type":["a","b"],"data.on":true,"data.off":false},"key":"data.thing","#,
        r#""window":{"kind":"sliding","size_ms":300000,"slide_ms":60000,"offset_ms":10000},"#,
        r#""output":[{"name":"sum","type":"float","nullable":false},{"name":"tags","type":"json","nullable":true}],"#,
        r#""state_version":3,"config_schema":{"type":"object","properties":{"#,
        r#""plus":{"type":"number","description":"Added to each value.","default":0.5},"#,
        r#""names":{"anyOf":[{"type":"array","items":{"type":"string"}},{"type":"null"}]}},"#,
        r#""required":[],"additionalProperties":false},"mergeable":true}"#,
    );
    assert_eq!(Sums::describe(), expected);
}

#[test]
fn settings_are_read_with_their_defaults() {
    let read = |json: &str| Sums::configure(json).map(|sums| (sums.plus, sums.names));
    assert_eq!(read(""), Ok((0.5, None)));
    assert_eq!(read(r#"{"plus": 2, "names": ["a"]}"#), Ok((2.0, Some(vec!["a".to_owned()]))));
    assert_eq!(read(r#"{"names": ["a", 1]}"#), Err("names: item 1: 1 is not a text".into()));
    assert_eq!(read("[]"), Err("[] is not an object".into()));
    assert_eq!(read("{"), Err("expected `\"` at byte 1".into()));
}

/// Pairs.
#[derive(Metric)]
#[metric(
    name = "pairs",
    key = "data.k",
    window(join, left("type" = "l"), right("type" = "r"), lower = "0s", upper = "1s", upper_bound = exclusive)
)]
struct Pairs;

#[derive(Input)]
struct Number {
    #[at = "data.n"]
    n: Option<i64>,
}

#[derive(Output)]
struct Difference {
    n: Option<i64>,
}

impl Join for Pairs {
    type Left = Number;
    type Right = Number;
    type Output = Difference;

    fn matched(&self, left: Number, right: Number, context: &mut Context<Difference>) -> Result<(), Failure> {
        let difference = right.n.zip(left.n).map(|(right, left)| right - left);
        context.emit(Difference { n: difference });
        Ok(())
    }
}

#[test]
fn a_join_has_sides_and_no_state() {
    let description = Pairs::describe();
    for part in [
        r#""inputs":[{"name":"n","path":"data.n","type":"integer","side":"left"},{"name":"n","path":"data.n","type":"integer","side":"right"}]"#,
        r#""window":{"kind":"interval-join","left":{"type":["l"]},"right":{"type":["r"]},"lower_ms":0,"upper_ms":1000,"lower":"inclusive","upper":"exclusive","take":"all","unmatched":"none"}"#,
        r#""state_version":0,"config_schema":null,"mergeable":false"#,
    ] {
        assert!(description.contains(part), "{part} in {description}");
    }
    assert_eq!(Pairs.merge_states(&strings(&[b""]), &strings(&[b""])).failures.len(), 1);
    assert_eq!(Pairs.migrate_states(&strings(&[b""]), 1).failures.len(), 1);
}
