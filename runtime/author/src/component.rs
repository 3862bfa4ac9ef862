//! A core module becomes a component: what `wasm-tools component new` does, and a look at what it imports.

use crate::BuildError;
use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::{TypeDefKind, TypeId, WorldItem};

/// The component that wraps the core module `module`, whose custom section names its world.
pub fn encode(module: &[u8]) -> Result<Vec<u8>, BuildError> {
    let encoded = ComponentEncoder::default().validate(true).module(module).and_then(ComponentEncoder::encode);
    encoded.map_err(|error| {
        let error = format!("{error:#}");
        BuildError::Component(match unresolved(&error) {
            Some(import) => format!("the metric imports {import}: {PURE}"),
            None => format!("not a core module of a metric: {error}"),
        })
    })
}

/// Why a metric imports nothing, and what that means for its author.
const PURE: &str = "a metric may import nothing, so it can have no clock, files, network or random numbers";

/// The import of which an error of the encoder says that there is nothing to resolve it with: it tells that in a phrase of
/// its own, and as no kind of error.
fn unresolved(error: &str) -> Option<&str> {
    error.split_once("failed to resolve import `")?.1.split('`').next()
}

/// The same, for a metric: the pure grade imports nothing.
pub fn encode_pure(module: &[u8]) -> Result<Vec<u8>, BuildError> {
    let component = encode(module)?;
    let imports = imports(&component)?;
    if imports.is_empty() {
        return Ok(component);
    }
    Err(BuildError::Component(format!("the metric imports {}: {PURE}", imports.join(", "))))
}

/// The names of what `component` imports.
///
/// An interface that only has types is not counted: the exported interface uses its types, nothing can be called.
pub fn imports(component: &[u8]) -> Result<Vec<String>, BuildError> {
    let decoded = wit_component::decode(component);
    let (resolve, world) = match decoded.map_err(|error| BuildError::Component(format!("{error:#}")))? {
        DecodedWasm::Component(resolve, world) => (resolve, world),
        DecodedWasm::WitPackage(..) => return Err(BuildError::Component("a WIT package, not a component".into())),
    };
    let is_types_only = |item: &WorldItem| match item {
        WorldItem::Interface { id, .. } => {
            let interface = &resolve.interfaces[*id];
            let resource = |id: &TypeId| matches!(resolve.types[*id].kind, TypeDefKind::Resource);
            interface.functions.is_empty() && !interface.types.values().any(resource)
        }
        WorldItem::Type { .. } => true,
        WorldItem::Function(_) => false,
    };
    let imports = resolve.worlds[world].imports.iter().filter(|(_, item)| !is_types_only(item));
    Ok(imports.map(|(key, _)| resolve.name_world_key(key)).collect())
}
