//! The page of the catalogue says of every shipped metric what the metric says of itself.

use crate::workspace;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// The cells of the table below the heading `heading`, without the line of its names.
fn table<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, section) = page.split_once(heading).expect("the heading is there");
    let lines = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    lines.skip(2).map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// What stands in backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The columns of each metric, by the page.
fn documented(page: &str) -> BTreeMap<String, Vec<String>> {
    let mut documented: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut metric = String::new();
    for row in table(page, "## Columns") {
        metric = names(row[0]).pop().unwrap_or(metric);
        documented.entry(metric.clone()).or_default().extend(names(row[1]));
    }
    documented
}

/// The same by the descriptions that conformance holds the modules to.
fn described() -> BTreeMap<String, Vec<String>> {
    let mut described = BTreeMap::new();
    for folder in fs::read_dir(workspace::root().join("guest-sdk/conformance")).expect("the suite").flatten() {
        let Ok(text) = fs::read_to_string(folder.path().join("describe.json")) else { continue };
        let description: Value = serde_json::from_str(&text).expect("it is JSON");
        let output = description["output"].as_array().into_iter().flatten();
        let columns = output.map(|column| column["name"].as_str().expect("a name").to_owned()).collect();
        described.insert(description["name"].as_str().expect("a name").to_owned(), columns);
    }
    described
}

#[test]
fn the_catalogue_names_every_metric_and_every_column() {
    let page = fs::read_to_string(workspace::root().join("docs/metrics.md")).expect("the page");
    let (documented, mut described) = (documented(&page), described());
    assert!(described.len() > 10, "{described:?}");
    let listed = table(&page, "# The metric catalogue");
    let listed: Vec<String> = listed.iter().filter_map(|row| names(row[0]).pop()).collect();
    let mut metrics: Vec<String> = described.keys().cloned().collect();
    metrics.sort_by_key(|metric| listed.iter().position(|listed| listed == metric));
    assert_eq!(listed, metrics);
    for (metric, columns) in &documented {
        let mut columns = columns.clone();
        let known = described.get_mut(metric).unwrap_or_else(|| panic!("there is no metric {metric}"));
        columns.sort();
        known.sort();
        assert_eq!(columns, *known, "{metric}");
    }
    assert!(documented.keys().eq(described.keys()), "{documented:?}");
}
