//! What may come in: a component of bounded size that imports nothing. Everything else is refused with a sentence that
//! says what it is and what to do.

use crate::composition::passes_floats;
use crate::limits::{HostSettings, LimitExceeded};
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

/// Why a file is not admitted as a module.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Too large.
    #[error("the module is too large: {0}")]
    TooLarge(LimitExceeded),
    /// Native code: a `.cwasm` file or an executable.
    #[error("this is compiled native code, which is never accepted: upload the .wasm component it was made from")]
    NativeCode,
    /// A core module.
    #[error(
        "this is a core WebAssembly module, not a component: make one with `cargo xtask metrics` or \
         `wasm-tools component new`"
    )]
    CoreModule,
    /// Something else.
    #[error("this is not a WebAssembly component: it begins with {0}")]
    NotAComponent(String),
    /// It does not compile.
    #[error("the component does not compile: {0}")]
    Invalid(String),
    /// It wants something of the host.
    #[error("a metric imports nothing, but this component imports {}", .0.join(", "))]
    Imports(Vec<String>),
    /// It is composed of parts that pass floats to each other.
    #[error(
        "the component is composed of several, one of which calls another with floats: their NaNs would differ from \
         machine to machine; pass the bits as integers, or make one component of them"
    )]
    FloatsBetweenParts,
    /// It is not a metric.
    #[error("the component is not a metric: {}", .0.join("; "))]
    WrongWorld(Vec<String>),
    /// It can't be started, or `describe` fails.
    #[error("the module cannot be started: {0}")]
    Start(String),
    /// `describe` does not always return the same.
    #[error("the module describes itself in one way and then in another; describe must always return the same text")]
    FickleDescription,
    /// What `describe` returns is wrong.
    #[error("the module's description is wrong: {}", .0.join("; "))]
    Description(Vec<String>),
}

/// Checks size and kind, by the first bytes.
pub(crate) fn check_bytes(bytes: &[u8], settings: &HostSettings) -> Result<(), LoadError> {
    if bytes.len() > settings.module_bytes {
        return Err(LoadError::TooLarge(LimitExceeded::at_once("module_bytes", settings.module_bytes, bytes.len())));
    }
    // `\0asm`, then a version and a layer of two bytes each: layer 0 is a core module, layer 1 a component.
    match bytes {
        [0x7f, b'E', b'L', b'F', ..] => Err(LoadError::NativeCode),
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => Err(LoadError::CoreModule),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [] => Err(LoadError::NotAComponent("nothing: it is empty".into())),
        _ => Err(LoadError::NotAComponent(bytes[..bytes.len().min(8)].escape_ascii().to_string())),
    }
}

/// Refuses compositions of which a NaN's bits could be seen before they are canonical. The component has compiled.
pub(crate) fn check_parts(bytes: &[u8]) -> Result<(), LoadError> {
    match passes_floats(bytes) {
        Ok(false) => Ok(()),
        Ok(true) => Err(LoadError::FloatsBetweenParts),
        Err(error) => Err(LoadError::Invalid(error.to_string())),
    }
}

/// Refuses imports. Types are none: an exported interface that uses types of another one is written that way.
pub(crate) fn check_imports(component: &Component) -> Result<(), LoadError> {
    let engine = component.engine();
    let mut imports = Vec::new();
    for (name, import) in component.component_type().imports(engine) {
        match import.ty {
            ComponentItem::Type(_) => {}
            ComponentItem::ComponentInstance(instance) => {
                let items = instance.exports(engine).filter(|(_, item)| !matches!(item.ty, ComponentItem::Type(_)));
                imports.extend(items.map(|(item, _)| format!("{name}#{item}")));
            }
            _ => imports.push(name.to_owned()),
        }
    }
    imports.sort();
    if imports.is_empty() { Ok(()) } else { Err(LoadError::Imports(imports)) }
}
