//! `tidemark push`: from an author's project to a module that a running job has admitted.

use super::build;
use super::module::path_of;
use crate::cli::PushArguments;
use crate::client::{Client, JSON};
use crate::exit::Failure;
use serde::Deserialize as _;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};
use tidemark_wasm_host::contract::{Finding, Findings, Outcome};

/// Where modules come in.
const MODULES: &str = "/api/v1/modules";

/// How long a module may be compiled and checked.
const LONGEST_ADMISSION: Duration = Duration::from_secs(600);

/// Pushes, and prints the digest.
pub fn execute(arguments: &PushArguments) -> Result<(), Failure> {
    let client = Client::new(&arguments.server)?;
    let digest = push(&client, &arguments.module, arguments.signature.as_deref())?;
    println!("sha256:{digest}");
    Ok(())
}

/// Uploads a component, or that of a project, and waits until it is admitted. Returns its digest.
pub(super) fn push(client: &Client, path: &Path, signature: Option<&str>) -> Result<String, Failure> {
    let is_component = path.extension().is_some_and(|extension| extension == "wasm");
    let file = if is_component { path.to_owned() } else { build::build(&build::host()?, path, None)?.0 };
    let bytes =
        std::fs::read(&file).map_err(|error| Failure::Usage(format!("cannot read {}: {error}", file.display())))?;
    let module = client.push(MODULES, "application/wasm", bytes, signature)?;
    wait_for(client, module, &file.display().to_string())
}

/// Has the job pull a component, waits until it is admitted, and prints its digest.
pub(super) fn pull(client: &Client, reference: &str, signature: Option<&str>) -> Result<(), Failure> {
    let asked = serde_json::json!({ "oci": reference }).to_string();
    let module = client.push(MODULES, JSON, asked.into_bytes(), signature)?;
    println!("sha256:{}", wait_for(client, module, reference)?);
    Ok(())
}

/// Waits until `module` is admitted. Returns its digest. `file` is what a person calls it.
fn wait_for(client: &Client, mut module: Value, file: &str) -> Result<String, Failure> {
    let size = module["bytes"].as_u64().unwrap_or(0);
    let digest = module["digest"].as_str().unwrap_or_default().to_owned();
    let started = Instant::now();
    let mut told = Instant::now();
    while module["status"] == "checking" {
        if started.elapsed() > LONGEST_ADMISSION {
            return Err(Failure::failed("the module is still being checked; look again later"));
        }
        if told.elapsed() > Duration::from_secs(2) {
            told = Instant::now();
            eprintln!("compiling {size} bytes: {} s", started.elapsed().as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
        module = client.get(&path_of(&digest))?;
    }
    let findings = Vec::<Finding>::deserialize(&module["contract"]).unwrap_or_default();
    let broken = findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Failed { .. })).count();
    if !findings.is_empty() {
        eprint!("contract\n{}", Findings(&findings));
    }
    if module["status"] == "admitted" {
        return Ok(digest);
    }
    if broken > 0 {
        return Err(Failure::failed(format!(
            "{file} is refused: {broken} of the promises that every module makes are broken"
        )));
    }
    let reasons = module["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let reasons: Vec<String> = reasons.map(|reason| format!("\n  {reason}")).collect();
    Err(Failure::failed(format!("{file} is refused:{}", reasons.concat())))
}
