//! A core module becomes a component: what `wasm-tools component new` does, and a look at what it imports.

use anyhow::{Context as _, Result, bail};
use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::{TypeDefKind, TypeId, WorldItem};

/// The component that wraps the core module `module`, whose custom section names its world.
pub(crate) fn encode(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(module).context("not a core module made by wit-bindgen")?;
    encoder.encode()
}

/// The names of what `component` imports; the pure grade imports nothing.
///
/// An interface that only has types is not counted: the exported interface uses its types, nothing can be called.
pub(crate) fn imports(component: &[u8]) -> Result<Vec<String>> {
    let (resolve, world) = match wit_component::decode(component)? {
        DecodedWasm::Component(resolve, world) => (resolve, world),
        DecodedWasm::WitPackage(..) => bail!("a WIT package, not a component"),
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
