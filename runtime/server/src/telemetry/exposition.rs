//! The Prometheus text format, version 0.0.4.

use tidemark_engine::telemetry::Histogram;

/// The type of a family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Only grows.
    Counter,
    /// A value as of now.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
}

/// A text being written, family by family.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
    family: String,
}

impl Exposition {
    /// Starts a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.add(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        name.clone_into(&mut self.family);
    }

    /// Adds a sample to the family.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.part("", labels, value);
    }

    /// Adds a sample of a part of the family, `_sum` for example.
    fn part(&mut self, part: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let line = format!("{}{part}{labels} {value}\n", self.family);
        self.add(&line);
    }

    /// A family of one sample without labels.
    pub(super) fn single(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// A family of durations.
    pub(super) fn durations(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, Kind::Histogram, help);
        let counts = histogram.cumulative();
        for (bound, count) in Histogram::BOUNDS_MS.iter().zip(counts) {
            self.part("_bucket", &[("le", &(*bound as f64 * 1e-3).to_string())], count as f64);
        }
        let all = counts.last().copied().unwrap_or_default() as f64;
        self.part("_bucket", &[("le", "+Inf")], all);
        self.part("_sum", &[], histogram.total().as_secs_f64());
        self.part("_count", &[], all);
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn add(&mut self, text: &str) {
        self.text.push_str(text);
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_text_format() {
        let mut text = Exposition::default();
        text.family("a_total", Kind::Counter, "Some.");
        text.sample(&[("name", "x\"y\\z\n"), ("other", "1")], 3.0);
        text.single("b", Kind::Gauge, "One.", 0.5);
        assert_eq!(
            text.finish(),
            "# HELP a_total Some.\n# TYPE a_total counter\na_total{name=\"x\\\"y\\\\z\\n\",other=\"1\"} 3\n\
             # HELP b One.\n# TYPE b gauge\nb 0.5\n"
        );
    }

    #[test]
    fn writes_durations() {
        let histogram = Histogram::default();
        histogram.observe(std::time::Duration::from_millis(7));
        let mut text = Exposition::default();
        text.durations("a_seconds", "Some.", &histogram);
        let text = text.finish();
        for line in [
            "# TYPE a_seconds histogram",
            "a_seconds_bucket{le=\"0.005\"} 0",
            "a_seconds_bucket{le=\"0.01\"} 1",
            "a_seconds_bucket{le=\"60\"} 1",
            "a_seconds_bucket{le=\"+Inf\"} 1",
            "a_seconds_sum 0.007",
            "a_seconds_count 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
