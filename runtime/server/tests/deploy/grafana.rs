//! Grafana: what is provisioned, and every query of every panel against the engine, on rows of a real run.

use crate::files::{compose, dashboards, panels, texts, yaml};
use crate::stack::{DATABASE, Stack};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};
use test_tools::Tools;

const TEST: &str = "deploy::grafana";

/// Seconds between two points of a picture.
const INTERVAL_S: u64 = 60;

#[test]
fn what_dashboards_read_is_provisioned() {
    let Some(tools) = Tools::find(TEST) else { return };
    let sources = yaml(&tools, "deploy/grafana/provisioning/datasources/tidemark.yml").remove(0);
    let sources = sources["datasources"].as_array().expect("data sources");
    let provisioned: BTreeSet<(&str, &str)> = sources
        .iter()
        .map(|source| (source["type"].as_str().expect("a type"), source["uid"].as_str().expect("a uid")))
        .collect();
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        let uid = dashboard["uid"].as_str().expect("a uid").to_owned();
        assert_eq!(file, format!("{uid}.json"));
        assert!(uids.insert(uid), "{file}: a uid twice");
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().expect("targets") {
                let source = &target["datasource"];
                let source = (source["type"].as_str().expect("a type"), source["uid"].as_str().expect("a uid"));
                assert!(provisioned.contains(&source), "{file}: {source:?}");
            }
        }
    }
    let compose = compose(&tools);
    let grafana = &compose["services"]["grafana"];
    let targets: Vec<&str> =
        grafana["volumes"].as_array().expect("volumes").iter().filter_map(|volume| volume["target"].as_str()).collect();
    let provider = yaml(&tools, "deploy/grafana/provisioning/dashboards/tidemark.yml").remove(0);
    let folder = provider["providers"][0]["options"]["path"].as_str().expect("a path");
    assert!(targets.contains(&folder), "{folder} is mounted");
    let home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str().expect("a home");
    assert!(
        home.strip_prefix(folder).is_some_and(|file| uids.contains(file.trim_matches('/').trim_end_matches(".json")))
    );
    // The plugin that is installed is the one whose queries these are.
    let plugin = grafana["environment"]["GF_PLUGINS_PREINSTALL_SYNC"].as_str().expect("a plugin");
    let (plugin, version) = plugin.split_once('@').expect("a version");
    assert!(sources.iter().any(|source| source["type"] == plugin));
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for target in
                panel["targets"].as_array().expect("targets").iter().filter(|target| target["rawSql"].is_string())
            {
                assert_eq!(target["pluginVersion"], version, "{file}");
            }
        }
    }
}

/// A query as the plugin sends it: its macros replaced, and the stream filled in.
fn filled_in(sql: &str, now_s: u64, stream: &str) -> String {
    let (from, to) = (now_s - 3 * 3_600, now_s + 60);
    let mut text = sql.to_owned();
    for (name, fill) in [
        (
            "$__timeFilter(",
            Box::new(move |column: &str| format!("{column} >= toDateTime({from}) AND {column} <= toDateTime({to})"))
                as Box<dyn Fn(&str) -> String>,
        ),
        (
            "$__timeInterval(",
            Box::new(|column: &str| format!("toStartOfInterval(toDateTime({column}), INTERVAL {INTERVAL_S} second)")),
        ),
    ] {
        while let Some(start) = text.find(name) {
            let end = start + text[start..].find(')').expect("a macro ends");
            let replaced = fill(&text[start + name.len()..end]);
            text.replace_range(start..=end, &replaced);
        }
    }
    let text = text.replace("${stream:sqlstring}", &format!("'{}'", stream.replace('\'', "''")));
    assert!(!text.contains('$'), "something was not filled in: {text}");
    text
}

/// Columns with their types, and rows.
fn ask(stack: &Stack, place: &str, sql: &str) -> (Vec<(String, String)>, Vec<Value>) {
    let answer = stack.clickhouse.try_query(DATABASE, &format!("{sql} FORMAT JSON"));
    let answer = answer.unwrap_or_else(|error| panic!("{place}: {error}"));
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{place}: {error}: {answer}"));
    let columns = answer["meta"].as_array().expect("columns").iter().map(|column| {
        (column["name"].as_str().expect("a name").to_owned(), column["type"].as_str().expect("a type").to_owned())
    });
    (columns.collect(), answer["data"].as_array().expect("rows").clone())
}

#[test]
fn every_query_runs_on_the_engine_and_every_panel_shows_something() {
    let Some(stack) = Stack::shared(TEST) else { return };
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let mut asked = 0;
    for (file, dashboard) in dashboards() {
        let stream = some_stream(stack, &dashboard, now_s).unwrap_or_default();
        for panel in panels(&dashboard) {
            let place = format!("{file}: {}", panel["title"]);
            for target in panel["targets"].as_array().expect("targets") {
                let Some(sql) = target["rawSql"].as_str() else { continue };
                let (columns, rows) = ask(stack, &place, &filled_in(sql, now_s, &stream));
                assert!(!rows.is_empty(), "{place} shows nothing: {sql}");
                check_shape(&place, panel, target, &columns);
                asked += 1;
            }
        }
    }
    assert!(asked > 25, "{asked} queries");
}

/// What a panel of its kind needs.
fn check_shape(place: &str, panel: &Value, target: &Value, columns: &[(String, String)]) {
    let types = |matches: fn(&str) -> bool| columns.iter().filter(move |(_, kind)| matches(kind)).count();
    let is_number = |kind: &str| ["Int", "Float", "Decimal"].iter().any(|word| kind.contains(word));
    match panel["type"].as_str().expect("a kind") {
        "timeseries" | "heatmap" => {
            assert!(columns[0].0 == "time" && columns[0].1.starts_with("DateTime"), "{place}: {columns:?}");
            assert!(types(is_number) > 0, "{place}: {columns:?}");
            assert_eq!(target["format"], 0, "{place}");
        }
        "state-timeline" => assert!(columns[0].0 == "time" && columns[1].1 == "String", "{place}: {columns:?}"),
        "stat" => assert_eq!((columns.len(), types(is_number)), (1, 1), "{place}: {columns:?}"),
        "table" => assert_eq!(target["format"], 1, "{place}"),
        other => panic!("{place}: {other}"),
    }
}

/// A stream that the dashboard offers, one of which everything is known.
fn some_stream(stack: &Stack, dashboard: &Value, now_s: u64) -> Option<String> {
    let variable = dashboard["templating"]["list"].as_array()?.iter().find(|variable| variable["name"] == "stream")?;
    let offered = ask(stack, "the streams", &filled_in(variable["query"].as_str()?, now_s, "")).1;
    let whole = "SELECT DISTINCT stream_id AS stream FROM startup_outcome WHERE stream_id IN (SELECT stream_id FROM \
                 prompt_to_first_frame WHERE matched)";
    let whole: BTreeSet<String> = ask(stack, "whole streams", whole)
        .1
        .iter()
        .filter_map(|row| Some(row["stream"].as_str()?.to_owned()))
        .collect();
    let mut offered = offered.iter().filter_map(|row| row["key"].as_str());
    Some(offered.find(|stream| whole.contains(*stream)).expect("a stream with a whole story").to_owned())
}

#[test]
fn the_links_between_dashboards_have_their_tag() {
    for (file, dashboard) in dashboards() {
        assert_eq!(texts(&dashboard["tags"]), ["tidemark"], "{file}");
        assert_eq!(dashboard["links"][0]["tags"][0], "tidemark", "{file}");
    }
}
