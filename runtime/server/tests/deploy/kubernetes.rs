//! The manifests of `deploy/k8s`: held against Kubernetes's own schemas, and against what they speak of.

use crate::dockerfile::{instruction, words};
use crate::files::{root, text, texts, yaml};
use serde_json::Value;
use std::collections::BTreeMap;
use test_tools::{Tools, succeed};

const TEST: &str = "deploy::kubernetes";

/// The manifests by kind.
fn manifests(tools: &Tools) -> BTreeMap<String, Value> {
    let kustomization = yaml(tools, "deploy/k8s/kustomization.yaml").remove(0);
    let mut files = texts(&kustomization["resources"]);
    let folder = std::fs::read_dir(root().join("deploy/k8s")).expect("it exists");
    let mut present: Vec<String> =
        folder.map(|entry| entry.expect("reads").file_name().to_string_lossy().into_owned()).collect();
    present.retain(|name| name != "kustomization.yaml");
    files.sort();
    present.sort();
    assert_eq!(files, present, "kustomization.yaml names every file");
    let documents = files.iter().flat_map(|file| yaml(tools, &format!("deploy/k8s/{file}")));
    documents.map(|document| (document["kind"].as_str().expect("a kind").to_owned(), document)).collect()
}

fn pod(manifests: &BTreeMap<String, Value>) -> &Value {
    &manifests["StatefulSet"]["spec"]["template"]["spec"]
}

#[test]
fn they_follow_the_schemas_strictly() {
    let Some(tools) = Tools::find(TEST) else { return };
    for entry in std::fs::read_dir(root().join("deploy/k8s")).expect("it exists") {
        let path = entry.expect("reads").path();
        if path.file_name().is_some_and(|name| name != "kustomization.yaml") {
            succeed(tools.kubernetes_validate().arg("--strict").arg(path));
        }
    }
}

#[test]
fn the_configuration_is_the_one_of_docker_compose() {
    let Some(tools) = Tools::find(TEST) else { return };
    let manifests = manifests(&tools);
    assert_eq!(manifests["ConfigMap"]["data"]["tidemark.toml"], text("deploy/tidemark.toml"));
    let volume = &pod(&manifests)["volumes"][0];
    assert_eq!(volume["configMap"]["name"], manifests["ConfigMap"]["metadata"]["name"]);
    // Where the image looks for it.
    let container = &pod(&manifests)["containers"][0];
    let run = words(&instruction("CMD"));
    assert_eq!(texts(&container["args"]), run);
    let mounts: Vec<&str> = container["volumeMounts"]
        .as_array()
        .expect("mounts")
        .iter()
        .map(|mount| mount["mountPath"].as_str().expect("a path"))
        .collect();
    assert_eq!(mounts, [instruction("VOLUME").as_str(), "/etc/tidemark", "/tmp"]);
    assert!(run[1].starts_with("/etc/tidemark/"));
}

#[test]
fn selectors_names_and_ports_meet() {
    let Some(tools) = Tools::find(TEST) else { return };
    let manifests = manifests(&tools);
    let set = &manifests["StatefulSet"]["spec"];
    let labels = &set["template"]["metadata"]["labels"];
    assert_eq!(&set["selector"]["matchLabels"], labels);
    assert_eq!(&manifests["Service"]["spec"]["selector"], labels);
    assert_eq!(&manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(set["serviceName"], manifests["Service"]["metadata"]["name"]);
    assert_eq!(pod(&manifests)["serviceAccountName"], manifests["ServiceAccount"]["metadata"]["name"]);
    let container = &pod(&manifests)["containers"][0];
    let port = &container["ports"][0];
    assert_eq!(manifests["Service"]["spec"]["ports"][0]["targetPort"], port["name"]);
    assert_eq!(port["containerPort"].to_string(), instruction("EXPOSE"));
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let get = &container[probe]["httpGet"];
        assert_eq!(get["port"], port["name"], "{probe}");
        assert!(["/healthz", "/readyz"].contains(&get["path"].as_str().unwrap_or_default()), "{probe}");
    }
    assert_eq!(container["image"], format!("tidemark:{}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_pod_has_no_rights_and_no_secrets_of_its_own() {
    let Some(tools) = Tools::find(TEST) else { return };
    let manifests = manifests(&tools);
    let pod = pod(&manifests);
    let user = instruction("USER");
    let user = user.split(':').next().expect("a number");
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["runAsUser"].to_string(), user);
    assert_eq!(pod["securityContext"]["fsGroup"].to_string(), user);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(texts(&container["securityContext"]["capabilities"]["drop"]), ["ALL"]);
    for variable in container["env"].as_array().expect("variables") {
        let name = variable["name"].as_str().expect("a name");
        let is_secret = ["TOKEN", "PASSWORD", "KEY"].iter().any(|word| name.contains(word));
        assert_eq!(is_secret, variable["valueFrom"]["secretKeyRef"]["name"] == "tidemark", "{name}");
    }
}
