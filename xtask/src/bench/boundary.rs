//! What a call into the sandbox costs an event, beside the same work in native code.

use super::figures::verdict;
use super::pinned;
use crate::process::output_of;
use crate::workspace;
use anyhow::{Context as _, Result};

/// Nanoseconds an event at 256 groups of one event each.
const MOST_NANOSECONDS: f64 = 15.0;

/// Times the native code, where groups have at least 16 events.
const MOST_TIMES_NATIVE: f64 = 1.5;

/// What a large call carries. Every call costs more than a microsecond, which shows in smaller ones.
const LARGE_CALL: u32 = 4_096;

/// One line of the example's table.
struct Shape {
    groups: u32,
    rows: u32,
    native: f64,
    sandbox: f64,
}

/// Runs it and returns the section for the results.
pub(super) fn run() -> Result<String> {
    let program = workspace::built("examples/boundary");
    let output = output_of(&mut pinned::command(&program, "0"))?;
    print!("{output}");
    let shapes: Vec<Shape> = output.lines().filter_map(Shape::parse).collect();
    let small = shapes.iter().find(|shape| (shape.groups, shape.rows) == (256, 1));
    let small = small.context("the example printed no line for 256 × 1")?;
    let worst = |least_events: u32| {
        let shapes = shapes.iter().filter(|shape| shape.rows >= 16 && shape.groups * shape.rows >= least_events);
        let worst = shapes.max_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        let worst = worst.context("the example printed no line with 16 rows a group")?;
        anyhow::Ok((format!("{} × {}", worst.groups, worst.rows), worst.ratio()))
    };
    let (any, large) = (worst(0)?, worst(LARGE_CALL)?);
    Ok(format!(
        "A Welford update on one column of floats; nanoseconds an event, medians of alternating rounds, {}. \
         `plain` is the sandbox without canonical NaNs, which every metric has for the sake of exact replay.\n\
         Command: `cargo xtask bench boundary`.\n\n\
         | | target | measured | |\n| --- | --- | --- | --- |\n\
         | 256 groups × 1 event | ≤ {MOST_NANOSECONDS} ns | {:.1} ns | {} |\n\
         | worst ratio to native at ≥ 16 events a group ({}) | ≤ {MOST_TIMES_NATIVE} | {:.2} | {} |\n\
         | the same in calls of ≥ {LARGE_CALL} events ({}) | ≤ {MOST_TIMES_NATIVE} | {:.2} | {} |\n\n\
         ```text\n{}\n```\n",
        pinned::describe("0"),
        small.sandbox,
        verdict(small.sandbox <= MOST_NANOSECONDS),
        any.0,
        any.1,
        verdict(any.1 <= MOST_TIMES_NATIVE),
        large.0,
        large.1,
        verdict(large.1 <= MOST_TIMES_NATIVE),
        output.trim_end(),
    ))
}

impl Shape {
    /// `256 × 1   native   sandbox   …`; `None` for every other line.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [groups, "×", rows, native, sandbox, ..] = words[..] else { return None };
        Some(Self {
            groups: groups.parse().ok()?,
            rows: rows.parse().ok()?,
            native: native.parse().ok()?,
            sandbox: sandbox.parse().ok()?,
        })
    }

    fn ratio(&self) -> f64 {
        self.sandbox / self.native
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_shapes_are_read_and_others_left_out() {
        let shape = Shape::parse("      256 × 16      4.00     6.00   1.50      8.28   1.81").expect("a shape");
        assert_eq!((shape.groups, shape.rows, shape.ratio()), (256, 16, 1.5));
        assert!(Shape::parse(" groups × rows    native   sandbox  ratio").is_none());
        assert!(Shape::parse("      256 × 16                13.40").is_none());
    }
}
