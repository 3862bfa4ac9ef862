//! Whether a module's description makes sense: syntax, sizes and what must fit together. All mistakes in one report.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use tidemark_engine::descriptor::{
    Bound, Condition, DESCRIBE_VERSION, Descriptor, Filter, InputColumn, OutputColumn, WindowSpec,
};
use tidemark_engine::output::common_fields;

const NAME_BYTES: usize = 64;
const VERSION_BYTES: usize = 64;
const PATH_BYTES: usize = 256;
const DOC_BYTES: usize = 4_096;
const INPUT_COLUMNS: usize = 64;
const OUTPUT_COLUMNS: usize = 256;
const CONDITIONS: usize = 64;
const CONDITION_TEXTS: usize = 1_024;
/// Windows that one row may be in.
const OVERLAPPING_WINDOWS: i64 = 10_000;
/// First segments of a path.
const ROOTS: [&str; 6] = ["id", "type", "timestamp", "gateway", "data", "enrich"];

/// Reads and checks what `describe` returned.
pub(crate) fn parse_descriptor(json: &str) -> Result<Descriptor, Vec<String>> {
    let value: Value = serde_json::from_str(json).map_err(|error| vec![format!("not JSON: {error}")])?;
    match value.get("describe").and_then(Value::as_u64) {
        Some(version) if version == u64::from(DESCRIBE_VERSION) => {}
        Some(version) => {
            return Err(vec![format!("describe = {version}, this runtime reads format {DESCRIBE_VERSION}")]);
        }
        None => return Err(vec![format!("`describe`, the format's version ({DESCRIBE_VERSION}), is missing")]),
    }
    let descriptor = Descriptor::deserialize(value).map_err(|error| vec![error.to_string()])?;
    let mut report = Report::default();
    report.descriptor(&descriptor);
    if report.mistakes.is_empty() { Ok(descriptor) } else { Err(report.mistakes) }
}

#[derive(Default)]
struct Report {
    mistakes: Vec<String>,
}

impl Report {
    fn expect(&mut self, holds: bool, mistake: impl FnOnce() -> String) {
        if !holds {
            self.mistakes.push(mistake());
        }
    }

    fn descriptor(&mut self, descriptor: &Descriptor) {
        let Descriptor { name, version, doc, inputs, output, .. } = descriptor;
        self.expect(is_metric_name(name), || {
            format!(
                "name {name:?} must be lower-case letters, digits and hyphens, a letter first, at most {NAME_BYTES}"
            )
        });
        self.expect(is_semantic_version(version), || format!("version {version:?} must be like 1.2.3 or 1.2.3-beta.1"));
        self.expect(doc.len() <= DOC_BYTES, || format!("doc has {} bytes of at most {DOC_BYTES}", doc.len()));
        self.expect(inputs.len() <= INPUT_COLUMNS, || format!("{} inputs, at most {INPUT_COLUMNS}", inputs.len()));
        self.expect((1..=OUTPUT_COLUMNS).contains(&output.len()), || {
            format!("{} output columns, must be 1 to {OUTPUT_COLUMNS}", output.len())
        });
        self.path("key", &descriptor.key);
        self.filter("filter", &descriptor.filter);
        self.inputs(inputs, matches!(descriptor.window, WindowSpec::IntervalJoin { .. }));
        self.output(output);
        self.window(&descriptor.window);
        let session = matches!(descriptor.window, WindowSpec::Session { .. });
        self.expect(descriptor.mergeable || !session, || "session windows need `mergeable`".into());
        self.expect(descriptor.state_version > 0 || !descriptor.mergeable, || {
            "mergeable, but state_version 0 says that there is no state".into()
        });
        let schema = &descriptor.config_schema;
        self.expect(schema.is_null() || schema.is_object(), || "config_schema must be null or an object".into());
    }

    fn inputs(&mut self, inputs: &[InputColumn], join: bool) {
        let mut seen = BTreeSet::new();
        for InputColumn { name, path, side, .. } in inputs {
            let is_name = is_column_name(name);
            self.expect(is_name, || format!("input {name:?} must be {COLUMN_SYNTAX}"));
            self.expect(seen.insert(name), || format!("input {name:?} occurs twice"));
            self.path(&format!("input {name:?}: path"), path);
            self.expect(side.is_some() || !join, || format!("input {name:?} of an interval join has no side"));
            self.expect(side.is_none() || join, || format!("input {name:?} has a side, but there is no join"));
        }
    }

    fn output(&mut self, output: &[OutputColumn]) {
        let common = common_fields();
        let mut seen = BTreeSet::new();
        for OutputColumn { name, .. } in output {
            let is_name = is_column_name(name) && !name.contains(|letter: char| letter.is_ascii_uppercase());
            self.expect(is_name, || format!("output {name:?} must be {COLUMN_SYNTAX}, lower-case"));
            self.expect(seen.insert(name), || format!("output {name:?} occurs twice"));
            let taken = common.iter().any(|field| field.name() == name);
            self.expect(!taken, || format!("output {name:?} is a column that every metric has"));
        }
    }

    fn path(&mut self, what: &str, path: &str) {
        let mut segments = path.split('.');
        let root = segments.next().is_some_and(|root| ROOTS.contains(&root));
        let whole = path.len() <= PATH_BYTES && segments.all(|segment| !segment.is_empty());
        self.expect(root && whole, || {
            let roots = ROOTS.join(", ");
            format!(
                "{what} {path:?} must be segments joined by dots, the first one of {roots}, at most {PATH_BYTES} bytes"
            )
        });
    }

    fn filter(&mut self, what: &str, filter: &Filter) {
        let conditions = filter.0.len();
        self.expect(conditions <= CONDITIONS, || format!("{what}: {conditions} conditions, at most {CONDITIONS}"));
        for (path, condition) in &filter.0 {
            self.path(&format!("{what}:"), path);
            let Condition::OneOf(texts) = condition else { continue };
            self.expect((1..=CONDITION_TEXTS).contains(&texts.len()), || {
                format!("{what}: {path:?} accepts {} texts, must be 1 to {CONDITION_TEXTS}", texts.len())
            });
        }
    }

    fn positive(&mut self, name: &str, ms: i64) {
        self.expect(ms > 0, || format!("{name} = {ms}, must be positive"));
    }

    fn window(&mut self, window: &WindowSpec) {
        match *window {
            WindowSpec::Tumbling { size_ms, offset_ms } => {
                self.positive("size_ms", size_ms);
                self.offset(offset_ms, size_ms);
            }
            WindowSpec::Sliding { size_ms, slide_ms, offset_ms } => {
                self.positive("size_ms", size_ms);
                self.positive("slide_ms", slide_ms);
                self.offset(offset_ms, slide_ms);
                self.expect(slide_ms < 1 || size_ms / slide_ms <= OVERLAPPING_WINDOWS, || {
                    format!("a row would be in {} windows, at most {OVERLAPPING_WINDOWS}", size_ms / slide_ms)
                });
            }
            WindowSpec::Session { gap_ms } => self.positive("gap_ms", gap_ms),
            WindowSpec::Key { ttl_ms } => ttl_ms.into_iter().for_each(|ttl_ms| self.positive("ttl_ms", ttl_ms)),
            WindowSpec::IntervalJoin { ref left, ref right, lower_ms, upper_ms, lower, upper, .. } => {
                self.filter("left", left);
                self.filter("right", right);
                let both = lower == Bound::Inclusive && upper == Bound::Inclusive;
                self.expect(lower_ms < upper_ms || (lower_ms == upper_ms && both), || {
                    format!(
                        "no pair lies between lower_ms = {lower_ms} ({lower:?}) and upper_ms = {upper_ms} ({upper:?})"
                    )
                });
            }
        }
    }

    fn offset(&mut self, offset_ms: i64, period_ms: i64) {
        self.expect(offset_ms.unsigned_abs() < period_ms.unsigned_abs().max(1), || {
            format!("offset_ms = {offset_ms} must be smaller than the distance of windows, {period_ms}")
        });
    }
}

fn is_metric_name(name: &str) -> bool {
    let letters = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    let first = name.bytes().next().is_some_and(|letter| letter.is_ascii_lowercase());
    first && name.len() <= NAME_BYTES && name.bytes().all(letters) && !name.ends_with('-')
}

const COLUMN_SYNTAX: &str = "letters, digits and underscores, no digit first, at most 64";

fn is_column_name(name: &str) -> bool {
    let letters = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'_';
    let first = name.bytes().next().is_some_and(|letter| !letter.is_ascii_digit());
    first && name.len() <= NAME_BYTES && name.bytes().all(letters)
}

/// `1.2.3`, with `-pre.release` and `+build` as semver.org has them.
fn is_semantic_version(version: &str) -> bool {
    let (version_core, build) = version.split_once('+').map_or((version, None), |(core, build)| (core, Some(build)));
    let (numbers, release) = match version_core.split_once('-') {
        Some((numbers, release)) => (numbers, Some(release)),
        None => (version_core, None),
    };
    let is_number = |text: &str| {
        text.bytes().all(|digit| digit.is_ascii_digit())
            && (text.len() == 1 || !text.is_empty() && !text.starts_with('0'))
    };
    let identifier =
        |text: &str| !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'-');
    version.len() <= VERSION_BYTES
        && numbers.split('.').count() == 3
        && numbers.split('.').all(is_number)
        && release.is_none_or(|release| release.split('.').all(identifier))
        && build.is_none_or(|build| build.split('.').all(identifier))
}

#[cfg(test)]
mod tests;
