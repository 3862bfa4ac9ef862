//! `cargo xtask dashboards`: writes `deploy/grafana/dashboards/*.json`, what Grafana reads, from what people read: the
//! files beside this one. A test holds that what is committed is what these make.

mod network;
mod panel;
mod pipeline;
mod stream;

use crate::workspace;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// The data source of rows, by the uid under which it is provisioned.
const CLICKHOUSE: (&str, &str) = ("grafana-clickhouse-datasource", "tidemark-clickhouse");

/// The data source of telemetry.
const PROMETHEUS: (&str, &str) = ("prometheus", "tidemark-prometheus");

/// A dashboard to be.
struct Dashboard {
    uid: &'static str,
    title: &'static str,
    about: &'static str,
    /// The time range that is shown first.
    from: &'static str,
    refresh: &'static str,
    variables: Vec<Value>,
    rows: Vec<Row>,
}

/// A row of panels under a title.
struct Row {
    title: &'static str,
    height: u32,
    panels: Vec<panel::Panel>,
}

/// Writes them all.
pub(crate) fn run() -> Result<()> {
    for (file, content) in files() {
        fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
        println!("written  {}", file.display());
    }
    Ok(())
}

/// Each file and what it holds.
fn files() -> Vec<(PathBuf, String)> {
    let folder = workspace::root().join("deploy/grafana/dashboards");
    let dashboards = [network::dashboard(), stream::dashboard(), pipeline::dashboard()];
    let texts = dashboards.into_iter().map(|dashboard| {
        let file = folder.join(format!("{}.json", dashboard.uid));
        (file, format!("{:#}\n", dashboard.to_json()))
    });
    texts.collect()
}

impl Dashboard {
    fn to_json(&self) -> Value {
        let mut panels = Vec::new();
        let mut top = 0;
        for row in &self.rows {
            let place = json!({"x": 0, "y": top, "w": 24, "h": 1});
            let id = panels.len() + 1;
            panels.push(json!({"id": id, "type": "row", "title": row.title, "collapsed": false, "gridPos": place, "panels": []}));
            top += 1;
            // A line of the grid has 24 columns.
            let width = 24 / u32::try_from(row.panels.len()).expect("a row has few panels");
            for (index, panel) in (0..).zip(&row.panels) {
                let place = json!({"x": index * width, "y": top, "w": width, "h": row.height});
                panels.push(panel.to_json(panels.len() + 1, &place));
            }
            top += row.height;
        }
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.about,
            "tags": ["tidemark"],
            "editable": true,
            "graphTooltip": 1,
            "schemaVersion": 41,
            "version": 1,
            "timezone": "browser",
            "refresh": self.refresh,
            "time": {"from": self.from, "to": "now"},
            "templating": {"list": self.variables},
            "annotations": {"list": []},
            "links": [{
                "type": "dashboards",
                "title": "Tidemark",
                "tags": ["tidemark"],
                "asDropdown": true,
                "includeVars": false,
                "keepTime": true,
            }],
            "panels": panels,
        })
    }
}

fn data_source((kind, uid): (&str, &str)) -> Value {
    json!({"type": kind, "uid": uid})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_is_what_these_files_make() {
        for (file, content) in files() {
            let committed = fs::read_to_string(&file).unwrap_or_default();
            assert!(committed == content, "{} is out of date: run `cargo xtask dashboards`", file.display());
        }
    }
}
