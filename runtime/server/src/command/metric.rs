//! `tidemark metric`: the metrics of a running job.

use super::push::push;
use crate::cli::{DeployArguments, MetricArguments, MetricCommand};
use crate::client::{Client, JSON};
use crate::exit::Failure;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Carries out one of the commands.
pub fn execute(arguments: &MetricArguments) -> Result<(), Failure> {
    let client = Client::new(&arguments.server)?;
    let order = |method: Method, path: String| {
        client.done(method, &path, Bytes::new(), JSON).map(|changed| print_change(&changed))
    };
    let post = |name: &str, what: &str| order(Method::POST, format!("/api/v1/metrics/{name}/{what}"));
    match &arguments.command {
        MetricCommand::Deploy(deploy) => put(&client, deploy, ""),
        MetricCommand::Shadow(deploy) => put(&client, deploy, "/shadow"),
        MetricCommand::List => {
            print_list(&client.get("/api/v1/deployments")?);
            Ok(())
        }
        MetricCommand::Show { name } => {
            println!("{:#}", client.get(&format!("/api/v1/deployments/{name}"))?);
            Ok(())
        }
        MetricCommand::Diff { name } => {
            println!("{:#}", client.get(&format!("/api/v1/metrics/{name}/shadow/diff"))?);
            Ok(())
        }
        MetricCommand::Pause { name } => post(name, "pause"),
        MetricCommand::Resume { name } => post(name, "resume"),
        MetricCommand::Undeploy { name } => order(Method::DELETE, format!("/api/v1/metrics/{name}")),
        MetricCommand::Discard { name } => order(Method::DELETE, format!("/api/v1/metrics/{name}/shadow")),
        MetricCommand::Rollback { name, replay, reset_state } => {
            post(name, &format!("rollback?replay={replay}&reset_state={reset_state}"))
        }
        MetricCommand::Promote { name, reset_state } => {
            post(name, &format!("shadow/promote?reset_state={reset_state}"))
        }
    }
}

fn put(client: &Client, deploy: &DeployArguments, what: &str) -> Result<(), Failure> {
    let mut fields = match &deploy.settings {
        None => Map::new(),
        Some(file) => read_settings(file)?,
    };
    match deploy.module.as_deref() {
        Some(module) if module.ends_with(".wasm") || Path::new(module).is_dir() => {
            let digest = push(client, Path::new(module), None)?;
            fields.insert("module".to_owned(), json!(format!("sha256:{digest}")));
        }
        Some(module) => {
            fields.insert("module".to_owned(), json!(module));
        }
        None => {}
    }
    if deploy.reset_state {
        fields.insert("reset_state".to_owned(), json!(true));
    }
    if let Some(from) = &deploy.backfill_from {
        let from = from.parse::<i64>().map_or_else(|_| json!(from), |ms| json!(ms));
        fields.insert("backfill_from".to_owned(), from);
    }
    let path = format!("/api/v1/metrics/{}{what}", deploy.name);
    let body = Value::Object(fields).to_string();
    print_change(&client.done(Method::PUT, &path, body.into(), JSON)?);
    Ok(())
}

fn read_settings(file: &Path) -> Result<Map<String, Value>, Failure> {
    let told = |error: &dyn std::fmt::Display| Failure::Usage(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| told(&error))?;
    let settings: Value = toml::from_str(&text).map_err(|error| told(&error))?;
    match settings {
        Value::Object(fields) => Ok(fields),
        _ => Err(told(&"is not a table")),
    }
}

fn print_change(changed: &Value) {
    let held_up_ms = changed["held_up_us"].as_f64().unwrap_or(0.0) / 1_000.0;
    println!("committed with epoch {}; processing was held up for {held_up_ms:.1} ms", changed["epoch"]);
}

fn print_list(list: &Value) {
    for metric in list["deployments"].as_array().into_iter().flatten() {
        let text = |field: &str| metric[field].as_str().unwrap_or_default().to_owned();
        let ending = metric["stages"]
            .as_array()
            .map_or(0, |stages| stages.iter().filter(|stage| !stage["until_ms"].is_null()).count());
        let mut notes = Vec::new();
        if metric["paused"] == json!(true) {
            notes.push("paused".to_owned());
        }
        for stage in metric["stages"].as_array().into_iter().flatten().filter(|stage| !stage["past_until"].is_null()) {
            notes.push(format!("has read epoch {} of {} of the past", stage["past_epoch"], stage["past_until"]));
        }
        if ending > 0 {
            notes.push(format!("{ending} earlier versions with open windows"));
        }
        let (name, version, origin, module) = (text("name"), text("version"), text("origin"), text("module"));
        println!("{name:32} {version:10} {origin:5} {} {}", module.get(..16).unwrap_or(&module), notes.join(", "));
    }
}
