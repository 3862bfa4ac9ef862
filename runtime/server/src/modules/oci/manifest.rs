//! The manifest of an artifact: which of its layers is the component.

use serde::Deserialize;
use tidemark_engine::ids::Digest;

/// What is asked for.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The media type of a component, in the layout of the CNCF's WebAssembly group.
const WASM: &str = "application/wasm";

/// Most bytes of a manifest.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// The layer that is the component.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Layer {
    pub(super) digest: Digest,
    pub(super) bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

/// The component's layer. The error says why there is none.
pub(super) fn component(manifest: &[u8]) -> Result<Layer, String> {
    let Manifest { media_type, layers, manifests } =
        serde_json::from_slice(manifest).map_err(|error| format!("its manifest cannot be read: {error}"))?;
    if manifests.is_some() {
        return Err(
            "it is an index of several artifacts: name the digest of the one that holds the component".to_owned()
        );
    }
    if let Some(other) = media_type.filter(|media_type| media_type != MANIFEST) {
        return Err(format!("its manifest is of type {other}, not {MANIFEST}: push it as an OCI artifact"));
    }
    let layers = layers.unwrap_or_default();
    let found: Vec<&str> = layers.iter().map(|layer| layer.media_type.as_str()).collect();
    let [layer] = &layers.iter().filter(|layer| layer.media_type == WASM).collect::<Vec<_>>()[..] else {
        return Err(format!("it must have one layer of type {WASM}, and has [{}]", found.join(", ")));
    };
    let digest = layer.digest.strip_prefix("sha256:").and_then(|digest| digest.parse().ok());
    let digest = digest.ok_or_else(|| format!("its layer has the digest {}, which is no SHA-256", layer.digest))?;
    Ok(Layer { digest, bytes: layer.size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_artifact_has_one_component() {
        let layer = |media_type: &str| json!({ "mediaType": media_type, "digest": format!("sha256:{}", "ab".repeat(32)), "size": 7 });
        let told = |manifest: &serde_json::Value| component(manifest.to_string().as_bytes());
        let sound = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": layer("x"),
            "layers": [layer("text/plain"), layer(WASM)] });
        assert_eq!(told(&sound), Ok(Layer { digest: "ab".repeat(32).parse().expect("a digest"), bytes: 7 }));
        for (manifest, words) in [
            (json!({ "layers": [layer(WASM), layer(WASM)] }), "must have one layer"),
            (json!({ "layers": [layer("application/vnd.oci.image.layer.v1.tar+gzip")] }), "tar+gzip"),
            (json!({ "manifests": [] }), "index"),
            (
                json!({ "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": [layer(WASM)] }),
                "docker",
            ),
            (json!({ "layers": [{ "mediaType": WASM, "digest": "sha512:00", "size": 1 }] }), "no SHA-256"),
            (json!("a text"), "cannot be read"),
        ] {
            let error = told(&manifest).expect_err("no component");
            assert!(error.contains(words), "{error}");
        }
    }
}
