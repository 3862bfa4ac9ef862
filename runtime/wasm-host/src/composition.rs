//! What the parts of a composed component may pass to each other: anything but floats.
//!
//! A component may consist of several, each with a memory of its own: JavaScript's do, since whatever its runtime asks of
//! an operating system is answered by parts beside it. Wasmtime makes the code that copies arguments from one memory to
//! the other. That code is not ours to rewrite ([`crate::canonical_nan`]): a NaN that one part has just computed would
//! be seen by the other with the bits that the processor gave it. No metric needs to pass a float there.

use std::collections::HashSet;
use wasmparser::component_types::{ComponentDefinedType, ComponentDefinedTypeId, ComponentValType};
use wasmparser::types::TypesRef;
use wasmparser::{BinaryReaderError, CanonicalFunction, Parser, Payload, PrimitiveValType, Validator, WasmFeatures};

/// Whether a part of the component `bytes`, which wasmtime has compiled, calls a function of another one that takes or
/// returns floats.
pub(crate) fn passes_floats(bytes: &[u8]) -> Result<bool, BinaryReaderError> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        // Bodies of functions are not looked at: wasmtime has, and they say nothing of what components call.
        validator.payload(&payload)?;
        let Payload::ComponentCanonicalSection(section) = payload else { continue };
        let Some(types) = validator.types(0) else { continue };
        for function in section {
            if let CanonicalFunction::Lower { func_index, .. } = function?
                && Floats::new(types).are_passed_by(func_index)
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A search for floats in types.
struct Floats<'a> {
    types: TypesRef<'a>,
    /// Types may refer to the same ones over and over.
    seen: HashSet<ComponentDefinedTypeId>,
}

impl<'a> Floats<'a> {
    fn new(types: TypesRef<'a>) -> Self {
        Self { types, seen: HashSet::new() }
    }

    fn are_passed_by(&mut self, function: u32) -> bool {
        let types = self.types;
        let function = &types[types.component_function_at(function)];
        let mut passed = function.params.iter().map(|(_, parameter)| parameter).chain(&function.result);
        passed.any(|passed| self.are_in(*passed))
    }

    fn are_in(&mut self, value: ComponentValType) -> bool {
        match value {
            ComponentValType::Primitive(primitive) => is_float(primitive),
            ComponentValType::Type(id) => self.seen.insert(id) && self.are_in_type(id),
        }
    }

    fn are_in_type(&mut self, id: ComponentDefinedTypeId) -> bool {
        use ComponentDefinedType as Type;
        let types = self.types;
        match &types[id] {
            Type::Primitive(primitive) => is_float(*primitive),
            Type::Record(record) => record.fields.values().any(|field| self.are_in(*field)),
            Type::Variant(variant) => variant.cases.values().filter_map(|case| case.ty).any(|case| self.are_in(case)),
            Type::List { element, .. } | Type::FixedLengthList { element, .. } => self.are_in(*element),
            Type::Map { key, value, .. } => self.are_in(*key) || self.are_in(*value),
            Type::Tuple(tuple) => tuple.types.iter().any(|item| self.are_in(*item)),
            Type::Option { ty, .. } => self.are_in(*ty),
            Type::Result { ok, err, .. } => ok.iter().chain(err).any(|case| self.are_in(*case)),
            Type::Future { ty, .. } | Type::Stream { ty, .. } => ty.is_some_and(|ty| self.are_in(ty)),
            Type::Flags(_) | Type::Enum(_) | Type::Own(_) | Type::Borrow(_) => false,
        }
    }
}

const fn is_float(primitive: PrimitiveValType) -> bool {
    matches!(primitive, PrimitiveValType::F32 | PrimitiveValType::F64)
}
