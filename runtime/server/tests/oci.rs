//! Modules that a job pulls from a registry of containers: a real one, which wants a password.

mod support;

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::path::Path;
use support::job::metrics_folder;
use support::live::{Running, disguised, free_address};
use support::tidemark;
use test_tools::Registry;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const WASM: &str = "application/wasm";

/// A user of the registry, and the line that lets it know them.
const PASSWORD: &str = "open sesame";
const HTPASSWD: &str = "tide:$2b$04$HG/UZ8T/7Cu38BRaKJ.3NOMG8eKjLkkWa7sbFc3FGNeM2C1k9Nlha\n";

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The registry, as whoever publishes a metric uses it.
struct Publisher {
    runtime: tokio::runtime::Runtime,
    client: Client,
    registry: Registry,
}

impl Publisher {
    fn new(registry: Registry) -> Self {
        let client = Client::builder().no_proxy().build().expect("a client");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, client, registry }
    }

    fn send(&self, method: Method, address: &str, media: &str, body: &[u8]) -> Response {
        let request = self.client.request(method, address).basic_auth("tide", Some(PASSWORD));
        let request = request.header("content-type", media).body(body.to_vec());
        let answer = self.runtime.block_on(request.send()).expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
        answer
    }

    /// Uploads a blob, and describes it as a manifest does.
    fn blob(&self, media: &str, content: &[u8]) -> Value {
        let base = format!("http://{}/v2/acme/metrics/blobs/uploads/", self.registry.address());
        let begun = self.send(Method::POST, &base, "", b"");
        let place = begun.headers()["location"].to_str().expect("an address").to_owned();
        let digest = format!("sha256:{}", sha256(content));
        let joint = if place.contains('?') { '&' } else { '?' };
        self.send(Method::PUT, &format!("{place}{joint}digest={digest}"), "application/octet-stream", content);
        json!({ "mediaType": media, "digest": digest, "size": content.len() })
    }

    /// Publishes an artifact with this layer. Returns its name by digest.
    fn publish(&self, tag: &str, media: &str, content: &[u8]) -> String {
        let config = self.blob(CONFIG, b"{}");
        let layer = self.blob(media, content);
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
        let manifest = manifest.to_string();
        let address = format!("http://{}/v2/acme/metrics/manifests/{tag}", self.registry.address());
        self.send(Method::PUT, &address, MANIFEST, manifest.as_bytes());
        format!("{}/acme/metrics@sha256:{}", self.registry.address(), sha256(manifest.as_bytes()))
    }
}

/// A job that may pull from the registry, by its address with the password and by its name without.
fn start(folder: &Path, registry: &Registry) -> Running {
    let (config, address) = (folder.join("job.toml"), free_address());
    let input = folder.join("input");
    std::fs::create_dir(&input).expect("a folder");
    File::create(input.join("events.ndjson")).expect("a file");
    let text = format!(
        "[data]\ndir = \"{}\"\n[source]\nkind = \"file\"\npath = \"{}\"\nfollow = true\n[http]\nlisten = \"{address}\"\n\
         [[modules.registry]]\nhost = \"{}\"\nuser = \"tide\"\npassword_env = \"REGISTRY_PASSWORD\"\n\
         [[modules.registry]]\nhost = \"localhost:{}\"\n[[modules.registry]]\nhost = \"127.0.0.1:1\"\n",
        folder.join("data").display(),
        input.display(),
        registry.address(),
        registry.address().port(),
    );
    std::fs::write(&config, text).expect("written");
    Running::start(&config, address, &[("REGISTRY_PASSWORD", PASSWORD)])
}

#[test]
fn a_component_is_pulled_by_its_digest_and_nothing_else_is() {
    let test = "oci::a_component_is_pulled_by_its_digest_and_nothing_else_is";
    let Some(registry) = Registry::start(test, HTPASSWD) else { return };
    let publisher = Publisher::new(registry);
    let folder = tempfile::tempdir().expect("a folder");
    let job = start(folder.path(), &publisher.registry);
    let url = format!("http://{}", job.address);
    let module = std::fs::read(metrics_folder().join("swap-rate.wasm")).expect("a module");
    let module = disguised(&module, 1);
    let reference = publisher.publish("sound", WASM, &module);

    // By the command, as by the API: admitted like an upload, under the digest of the component.
    let pulled = tidemark(&["module", "pull", &reference, "--url", &url]).fine();
    assert_eq!(pulled.stdout.trim(), format!("sha256:{}", sha256(&module)));
    assert!(pulled.stderr.contains("a fresh instance gives what a used one gives"), "{}", pulled.stderr);
    let metric = json!({ "module": pulled.stdout.trim(), "filter": { "type": ["stream_trace"] } });
    assert_eq!(job.ask("PUT", "/api/v1/metrics/pulled", &metric).expect("an answer").0, 200);

    let ask = |reference: &str| job.ask("POST", "/api/v1/modules", &json!({ "oci": reference })).expect("an answer");
    let host = publisher.registry.address().to_string();
    let name = format!("{host}/acme/metrics");
    let nobody = reference.replace("127.0.0.1", "localhost");
    let unfit = publisher.publish("unfit", "text/plain", b"no component");
    let large = publisher.publish("large", WASM, &vec![0; (64 << 20) + 1]);
    let executable = publisher.publish("executable", WASM, b"\x7fELF and so on");
    for (reference, status, words) in [
        (format!("{name}:sound"), 400, "names the tag \\\"sound\\\""),
        (format!("{name}@sha256:{}", "0".repeat(64)), 404, "is not there"),
        (nobody, 502, "wants to know who asks"),
        (reference.replace(&host, "ghcr.io"), 422, "name it in the job's file"),
        (reference.replace(&host, "127.0.0.1:1"), 502, "127.0.0.1:1"),
        (unfit, 422, "must have one layer of type application/wasm"),
        (large, 413, "too"),
    ] {
        let (found, answer) = ask(&reference);
        assert!(found == status && answer.to_string().contains(words), "{reference}: {found} {answer}");
    }
    // What is pulled is no more trusted than what is uploaded.
    let refused = tidemark(&["module", "pull", &executable, "--url", &url]);
    assert!(refused.code == Some(1) && refused.stderr.contains("compiled native code"), "{refused:?}");
    let (_, list) = job.ask("GET", "/api/v1/modules", &Value::Null).expect("an answer");
    let admitted = list["modules"].as_array().expect("modules").iter().filter(|module| module["status"] == "admitted");
    assert_eq!(admitted.count(), 1, "{list}");
    // The password is nobody's to read.
    let log = std::fs::read_to_string(folder.path().join("job.log")).expect("a log");
    assert!(!log.contains(PASSWORD) && !list.to_string().contains(PASSWORD), "{log}");
}

/// A registry whose disk was changed, or that lies: what came is held against the digest by which it was asked for.
#[test]
fn what_is_not_of_its_digest_is_refused() {
    let test = "oci::what_is_not_of_its_digest_is_refused";
    let Some(registry) = Registry::start(test, HTPASSWD) else { return };
    let publisher = Publisher::new(registry);
    let folder = tempfile::tempdir().expect("a folder");
    let job = start(folder.path(), &publisher.registry);
    let module = std::fs::read(metrics_folder().join("swap-rate.wasm")).expect("a module");
    let ask = |reference: &str| job.ask("POST", "/api/v1/modules", &json!({ "oci": reference })).expect("an answer");

    let reference = publisher.publish("sound", WASM, &module);
    let manifest = reference.rsplit(':').next().expect("a digest");
    publisher.registry.damage(&sha256(&module));
    let (status, answer) = ask(&reference);
    assert!(status == 422 && answer.to_string().contains("its layer is not what the manifest says"), "{answer}");
    publisher.registry.damage(manifest);
    let (status, answer) = ask(&reference);
    assert!(status == 422 && answer.to_string().contains("another digest"), "{status} {answer}");
    let (_, list) = job.ask("GET", "/api/v1/modules", &Value::Null).expect("an answer");
    assert_eq!(list["modules"], json!([]));
}
