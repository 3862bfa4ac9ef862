//! Prometheus: its configuration, the alerts, and every name and expression against a real run.

use crate::files::{dashboards, panels, root, text, yaml};
use crate::stack::{Stack, TOKEN};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
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

/// The expressions of the alerts, and those of the dashboards with their variables as Grafana fills them in.
fn expressions(tools: &Tools) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for group in yaml(tools, "deploy/prometheus/rules/tidemark.yml")[0]["groups"].as_array().expect("groups") {
        for rule in group["rules"].as_array().expect("rules") {
            let name = rule["alert"].as_str().expect("a name").to_owned();
            found.push((name, rule["expr"].as_str().expect("an expression").to_owned()));
        }
    }
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().expect("targets") {
                if let Some(expression) = target["expr"].as_str() {
                    let expression = expression.replace("$instance", ".*").replace("$__rate_interval", "1m");
                    found.push((format!("{file}: {}", panel["title"]), expression));
                }
            }
        }
    }
    assert!(found.len() > 40, "{found:?}");
    found
}

/// The names of our series in an expression.
fn names(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("tidemark_") || word.starts_with("process_")).collect()
}

#[test]
fn every_name_in_an_expression_is_one_that_a_job_tells() {
    let Some(stack) = Stack::shared(TEST) else { return };
    let (status, told) = stack.get("/metrics", Some(TOKEN));
    assert_eq!(status, 200);
    let told: BTreeSet<&str> =
        told.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()).collect();
    for (place, expression) in expressions(&stack.tools) {
        for name in names(&expression) {
            assert!(told.contains(name), "{place}: nobody tells {name}");
        }
    }
}

#[test]
fn every_panel_shows_something() {
    let Some(stack) = Stack::shared(TEST) else { return };
    for (place, expression) in expressions(&stack.tools) {
        let answer = stack.prometheus.query(&expression).expect("it answers");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["status"], "success", "{place}: {expression}: {answer}");
        // An alert that says nothing is fine.
        if place.contains(".json") {
            let result = answer["data"]["result"].as_array().expect("a result");
            assert!(!result.is_empty(), "{place} shows nothing: {expression}");
        }
    }
}

#[test]
fn rules_are_loaded_and_the_job_is_looked_at_with_its_token() {
    let Some(stack) = Stack::shared(TEST) else { return };
    let up: Value = serde_json::from_str(&stack.prometheus.query("up").expect("it answers")).expect("JSON");
    assert_eq!(up["data"]["result"][0]["value"][1], "1", "{up}");
    let rules = stack.prometheus.get("/api/v1/rules").expect("it answers");
    let rules: Value = serde_json::from_str(&rules).expect("JSON");
    assert_eq!(rules["data"]["groups"][0]["rules"].as_array().map(Vec::len), Some(9), "{rules}");
    assert_eq!(stack.get("/metrics", None).0, 401);
}

#[test]
fn the_health_check_of_the_image_knows_whether_the_job_is_well() {
    let Some(stack) = Stack::shared(TEST) else { return };
    let health = |listen: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemark"));
        command.arg("health").args(more).env("TIDEMARK_HTTP_LISTEN", listen);
        command.output().expect("starts").status.code()
    };
    // The variable that tells the job where to listen tells this where to ask.
    let listen = stack.http.to_string();
    assert!(listen.starts_with("0.0.0.0:"), "as in the image");
    assert_eq!(health(&listen, &[]), Some(0));
    assert_eq!(health(&listen, &["--ready"]), Some(0));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    assert_eq!(health(&nobody.expect("a port").to_string(), &[]), Some(1));
}
