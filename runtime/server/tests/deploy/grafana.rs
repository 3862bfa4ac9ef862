//! Grafana: what is provisioned, and what dashboards need of it.

use crate::files::{compose, dashboards, panels, texts, yaml};
use std::collections::BTreeSet;
use test_tools::Tools;

const TEST: &str = "deploy::grafana";

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

#[test]
fn the_links_between_dashboards_have_their_tag() {
    for (file, dashboard) in dashboards() {
        assert_eq!(texts(&dashboard["tags"]), ["tidemark"], "{file}");
        assert_eq!(dashboard["links"][0]["tags"][0], "tidemark", "{file}");
    }
}
