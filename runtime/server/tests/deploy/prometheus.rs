//! Prometheus: its configuration and the alerts.

use crate::files::{root, text};
use test_tools::{Tools, succeed};

const TEST: &str = "deploy::prometheus";

#[test]
fn the_alerts_say_what_their_tests_say() {
    let Some(tools) = Tools::find(TEST) else { return };
    let folder = root().join("deploy/prometheus");
    succeed(tools.promtool().current_dir(&folder).args(["check", "rules", "rules/tidemark.yml"]));
    succeed(tools.promtool().current_dir(&folder).args(["test", "rules", "tests.yml"]));
}

#[test]
fn the_configuration_is_one_that_prometheus_takes() {
    let Some(tools) = Tools::find(TEST) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    std::fs::create_dir(folder.path().join("rules")).expect("a folder");
    write("prometheus.yml", &text("deploy/prometheus/prometheus.yml"));
    write("rules/tidemark.yml", &text("deploy/prometheus/rules/tidemark.yml"));
    // Docker Compose mounts it there.
    write("tidemark-token", "a-token-of-some-length");
    succeed(tools.promtool().args(["check", "config"]).arg(folder.path().join("prometheus.yml")));
}
