//! Panels: a kind of picture, a unit, and the queries behind it.

use super::{CLICKHOUSE, PROMETHEUS, data_source};
use serde_json::{Value, json};

/// How Grafana takes what a query of ClickHouse answers.
const TIME_SERIES: u8 = 0;
const TABLE: u8 = 1;

/// The version of the plugin that these queries were written for.
const CLICKHOUSE_PLUGIN: &str = "4.20.0";

/// One panel.
pub(super) struct Panel {
    kind: &'static str,
    title: &'static str,
    about: &'static str,
    unit: &'static str,
    targets: Vec<Value>,
    /// Of the whole: what is drawn.
    options: Value,
    /// Of each series: how it is drawn.
    custom: Value,
    /// The colour below the first threshold.
    base: &'static str,
    thresholds: Vec<(f64, &'static str)>,
    max: Option<f64>,
    data_source: (&'static str, &'static str),
}

impl Panel {
    fn new(kind: &'static str, title: &'static str, unit: &'static str) -> Self {
        Self {
            kind,
            title,
            about: "",
            unit,
            targets: Vec::new(),
            options: json!({}),
            custom: json!({}),
            base: "green",
            thresholds: Vec::new(),
            max: None,
            data_source: CLICKHOUSE,
        }
    }

    /// Lines over time.
    pub(super) fn lines(title: &'static str, unit: &'static str) -> Self {
        Self {
            options: json!({
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            custom: json!({"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "auto", "spanNulls": true}),
            ..Self::new("timeseries", title, unit)
        }
    }

    /// Bars over time, one on top of the other.
    pub(super) fn bars(title: &'static str, unit: &'static str) -> Self {
        let custom = json!({"drawStyle": "bars", "lineWidth": 0, "fillOpacity": 80, "stacking": {"mode": "normal", "group": "A"}});
        Self { custom, ..Self::lines(title, unit) }
    }

    /// One number.
    pub(super) fn number(title: &'static str, unit: &'static str) -> Self {
        let options = json!({
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
            "textMode": "auto",
        });
        Self { options, ..Self::new("stat", title, unit) }
    }

    /// Rows.
    pub(super) fn table(title: &'static str) -> Self {
        let options = json!({"cellHeight": "sm", "showHeader": true});
        Self { options, ..Self::new("table", title, "none") }
    }

    /// Counts by time and bucket: each column of the answer is a bucket, named by its upper bound.
    pub(super) fn heat_map(title: &'static str) -> Self {
        let options = json!({
            "calculate": false,
            "cellGap": 1,
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange"},
            "legend": {"show": true},
            "rowsFrame": {"layout": "le"},
            "tooltip": {"mode": "single", "yHistogram": false},
            "yAxis": {"axisPlacement": "left", "reverse": false},
        });
        Self { options, ..Self::new("heatmap", title, "none") }
    }

    /// States over time.
    pub(super) fn states(title: &'static str) -> Self {
        let options =
            json!({"mergeValues": true, "showValue": "auto", "rowHeight": 0.8, "legend": {"showLegend": false}});
        Self {
            options,
            custom: json!({"fillOpacity": 70, "lineWidth": 0}),
            ..Self::new("state-timeline", title, "none")
        }
    }

    /// What it shows, for people.
    pub(super) fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    /// The colour below the first threshold, where that is not green.
    pub(super) fn base(mut self, colour: &'static str) -> Self {
        self.base = colour;
        self
    }

    /// Colours from these values on.
    pub(super) fn thresholds(mut self, steps: &[(f64, &'static str)]) -> Self {
        self.thresholds = steps.to_vec();
        if self.kind == "timeseries" {
            self.custom["thresholdsStyle"] = json!({"mode": "dashed"});
        }
        self
    }

    /// The greatest value of the axis.
    pub(super) fn max(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    /// A query of ClickHouse.
    pub(super) fn sql(mut self, sql: &str) -> Self {
        let format = if matches!(self.kind, "timeseries" | "heatmap" | "state-timeline") { TIME_SERIES } else { TABLE };
        let words: Vec<&str> = sql.split_whitespace().collect();
        let target = json!({
            "refId": self.next_reference(),
            "datasource": data_source(CLICKHOUSE),
            "pluginVersion": CLICKHOUSE_PLUGIN,
            "editorType": "sql",
            "queryType": if format == TABLE { "table" } else { "timeseries" },
            "format": format,
            "rawSql": words.join(" "),
        });
        self.targets.push(target);
        self
    }

    /// An expression of Prometheus, and how its series are called.
    pub(super) fn expression(mut self, legend: &str, expression: &str) -> Self {
        self.data_source = PROMETHEUS;
        let target = json!({
            "refId": self.next_reference(),
            "datasource": data_source(PROMETHEUS),
            "expr": expression,
            "legendFormat": legend,
            "range": self.kind != "stat",
            "instant": self.kind == "stat",
        });
        self.targets.push(target);
        self
    }

    fn next_reference(&self) -> String {
        let place = u8::try_from(self.targets.len()).expect("a panel has few queries");
        char::from(b'A' + place).to_string()
    }

    pub(super) fn to_json(&self, id: usize, place: &Value) -> Value {
        let steps = self.thresholds.iter().map(|(from, colour)| json!({"value": from, "color": colour}));
        let steps: Vec<Value> = [json!({"value": null, "color": self.base})].into_iter().chain(steps).collect();
        let mut defaults = json!({
            "unit": self.unit,
            "custom": self.custom,
            "thresholds": {"mode": "absolute", "steps": steps},
        });
        if let Some(max) = self.max {
            defaults["max"] = max.into();
        }
        json!({
            "id": id,
            "type": self.kind,
            "title": self.title,
            "description": self.about,
            "gridPos": place,
            "datasource": data_source(self.data_source),
            "targets": self.targets,
            "options": self.options,
            "fieldConfig": {"defaults": defaults, "overrides": []},
        })
    }
}
