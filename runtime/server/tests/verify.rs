//! Rows that were written, derived again from the archive: bit for bit the same, late rows, joins, keys, kills and another
//! number of workers included.

mod support;

use support::job::Job;
use support::tidemark;

fn count(report: &str, what: &str) -> u64 {
    let line =
        report.lines().find_map(|line| line.trim().strip_prefix(what)).unwrap_or_else(|| panic!("{what} in {report}"));
    line.split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{what} in {report}"))
}

#[test]
fn every_row_that_can_be_derived_is_as_it_was() {
    let job = Job::new();
    let data = job.fresh_data("verified");
    for kill_at in ["engine.epoch.logged:3", "sink.finalise.partial:2"] {
        job.run(&data, Some(kill_at));
    }
    let run = job.run(&data, None);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let (config, data) = (job.config(), data.to_str().expect("UTF-8").to_owned());
    let config = config.to_str().expect("UTF-8");
    let mut equal = 0;
    for metric in ["startup-latency", "startup-outcome", "jitter-coefficient", "sla-score"] {
        let verified = tidemark(&["verify", config, "--data", &data, "--metric", metric]).fine().stdout;
        for none in ["different", "missing", "not derived"] {
            assert_eq!(count(&verified, none), 0, "{verified}");
        }
        equal += count(&verified, "equal");
    }
    assert!(equal > 100, "{equal} rows can be derived");
}
