//! `docker-compose.yml`: what Docker Compose itself does not check.

use crate::files::{compose, root, text, texts};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use test_tools::Tools;

const TEST: &str = "deploy::compose";

fn services(compose: &Value) -> &Map<String, Value> {
    compose["services"].as_object().expect("services")
}

#[test]
fn every_image_is_of_one_version() {
    let Some(tools) = Tools::find(TEST) else { return };
    let compose = compose(&tools);
    for (name, service) in services(&compose) {
        let image = service["image"].as_str().expect("an image");
        let tag = image.rsplit_once(':').map(|(_, tag)| tag).unwrap_or_default();
        assert!(tag.contains(|c: char| c.is_ascii_digit()) && tag != "latest", "{name}: {image} is not pinned");
    }
    // The versions that everything else is tested with.
    assert_eq!(services(&compose)["kafka"]["image"], format!("apache/kafka:{}", test_kafka::VERSION));
    let ours = format!("tidemark:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(services(&compose)["tidemark"]["image"], ours);
    assert_eq!(services(&compose)["generate"]["image"], ours);
}

#[test]
fn services_start_in_the_order_of_their_health() {
    let Some(tools) = Tools::find(TEST) else { return };
    let compose = compose(&tools);
    let services = services(&compose);
    let is_one_shot = |name: &str| services[name]["restart"] == "on-failure";
    for (name, service) in services {
        // Ours has its health check in the image; the generator listens nowhere.
        let checks_itself =
            service["healthcheck"]["test"].is_array() || ["tidemark", "generate"].contains(&name.as_str());
        assert!(checks_itself || is_one_shot(name), "{name} has no health check");
        assert!(["unless-stopped", "on-failure"].contains(&service["restart"].as_str().unwrap_or_default()), "{name}");
        for (other, terms) in service["depends_on"].as_object().into_iter().flatten() {
            let condition = terms["condition"].as_str().expect("a condition");
            let expected = if is_one_shot(other) { "service_completed_successfully" } else { "service_healthy" };
            assert_eq!(condition, expected, "{name} waits for {other}");
        }
    }
    let waits_for = |name: &str| -> BTreeSet<&str> {
        services[name]["depends_on"].as_object().into_iter().flatten().map(|(other, _)| other.as_str()).collect()
    };
    assert_eq!(waits_for("tidemark"), BTreeSet::from(["clickhouse", "kafka-topics", "minio-bucket"]));
    assert_eq!(waits_for("grafana"), BTreeSet::from(["clickhouse", "prometheus"]));
}

#[test]
fn nothing_is_reached_from_outside_this_machine() {
    let Some(tools) = Tools::find(TEST) else { return };
    let compose = compose(&tools);
    let mut published = Vec::new();
    for (name, service) in services(&compose) {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name}: {port}");
            published.push((name.as_str(), port["target"].as_u64().expect("a port")));
        }
        let networks: Vec<&String> = service["networks"].as_object().expect("networks").keys().collect();
        assert_eq!(networks, ["tidemark"], "{name}");
        assert!(service["privileged"].is_null() && service["network_mode"].is_null(), "{name}");
    }
    assert_eq!(published, [("grafana", 3000), ("kafka", 29092), ("tidemark", 9464)], "only the needed ports");
    for name in ["tidemark", "generate"] {
        let service = &services(&compose)[name];
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(service["read_only"], true, "{name}");
    }
}

#[test]
fn everything_mounted_is_there_and_every_volume_has_a_name() {
    let Some(tools) = Tools::find(TEST) else { return };
    let compose = compose(&tools);
    let declared: BTreeSet<&String> = compose["volumes"].as_object().expect("volumes").keys().collect();
    let mut used = BTreeSet::new();
    for (name, service) in services(&compose) {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume["source"].as_str().unwrap_or_else(|| panic!("{name}: a volume without a name"));
            match volume["type"].as_str() {
                Some("bind") => {
                    assert!(std::path::Path::new(source).exists(), "{name} mounts {source}, which is not there");
                    assert_eq!(volume["read_only"], true, "{name} could write {source}");
                }
                Some("volume") => drop(used.insert(source)),
                other => panic!("{name}: {other:?}"),
            }
        }
        if let Some(file) = service["build"]["dockerfile"].as_str() {
            assert!(root().join(file).is_file(), "{file}");
        }
    }
    assert_eq!(used, declared.iter().map(|name| name.as_str()).collect());
}

#[test]
fn passwords_agree_and_can_be_set() {
    let Some(tools) = Tools::find(TEST) else { return };
    let mut compose = tools.docker_compose();
    compose.current_dir(root()).args(["--profile", "*", "config", "--format", "json"]);
    let secrets = [
        ("CLICKHOUSE_PASSWORD", "one"),
        ("GRAFANA_CLICKHOUSE_PASSWORD", "two"),
        ("MINIO_ROOT_PASSWORD", "three"),
        ("TIDEMARK_TOKEN", "four"),
        ("GRAFANA_ADMIN_PASSWORD", "five"),
    ];
    compose.envs(secrets);
    let whole = test_tools::succeed(&mut compose);
    assert!(!whole.contains("only-for"), "a password that cannot be set");
    let compose: Value = serde_json::from_str(&whole).expect("JSON");
    let variable = |service: &str, name: &str| services(&compose)[service]["environment"][name].clone();
    assert_eq!(variable("tidemark", "TIDEMARK_CLICKHOUSE_PASSWORD"), variable("clickhouse", "CLICKHOUSE_PASSWORD"));
    assert_eq!(variable("tidemark", "AWS_SECRET_ACCESS_KEY"), variable("minio", "MINIO_ROOT_PASSWORD"));
    assert_eq!(variable("tidemark", "AWS_ACCESS_KEY_ID"), variable("minio", "MINIO_ROOT_USER"));
    assert_eq!(variable("clickhouse", "MINIO_ROOT_PASSWORD"), variable("minio", "MINIO_ROOT_PASSWORD"));
    let (grafana, clickhouse) =
        (variable("grafana", "GRAFANA_CLICKHOUSE_PASSWORD"), variable("clickhouse", "GRAFANA_CLICKHOUSE_PASSWORD"));
    assert_eq!(grafana, clickhouse);
    assert_eq!(compose["configs"]["tidemark-token"]["content"], "four");
    let bucket = variable("minio-bucket", "MC_HOST_minio");
    assert_eq!(bucket, "http://tidemark:three@minio:9000");
    // What the job reads is what its environment has.
    let config = text("deploy/tidemark.toml");
    assert!(config.contains("token_env = \"TIDEMARK_TOKEN\""));
}

#[test]
fn addresses_in_the_job_are_those_of_services() {
    let Some(tools) = Tools::find(TEST) else { return };
    let compose = compose(&tools);
    let config = text("deploy/tidemark.toml");
    for (address, service) in
        [("kafka:9092", "kafka"), ("http://clickhouse:8123", "clickhouse"), ("http://minio:9000", "minio")]
    {
        assert!(config.contains(address), "{address}");
        assert!(services(&compose).contains_key(service));
    }
    let advertised = services(&compose)["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].as_str();
    assert!(advertised.expect("listeners").contains("INTERNAL://kafka:9092"));
    let topic = texts(&services(&compose)["kafka-topics"]["command"]);
    assert!(topic.contains(&"--topic=network_events".to_owned()) && config.contains("\"network_events\""));
    assert!(text("deploy/clickhouse/config.d/cold.xml").contains("http://minio:9000/tidemark/livepeer/"));
    assert!(config.contains("s3://tidemark/livepeer"));
}
