//! NaNs that are the same on every machine: rewrites a component so that a NaN is canonical wherever its bits can be
//! seen.
//!
//! Which bits a NaN has after arithmetic is left open by WebAssembly and differs between processors. As long as the NaN
//! is a float, nothing can tell: arithmetic and comparisons treat all NaNs alike. Its bits come to light only when it is
//! stored, reinterpreted as an integer, put into a vector, or asked for its sign by `copysign`. So that is where it is
//! made canonical, a few times per group, instead of after every operation, as Cranelift would do it, in the middle of the
//! longest chain of a loop: that cost a Welford update 3 to 5 ns an event. Vector arithmetic is made canonical at once, since
//! the lanes of a vector can be looked at in any way.
//!
//! What a module loads and stores again as a float keeps its value, but not the payload of a NaN: a NaN is one value here.
//!
//! Everything but the bodies of functions is copied as it is. Bytes that cannot be read are an error, never passed on.

use std::borrow::Cow;
use wasm_encoder::{Encode, Ieee32, Ieee64, Instruction};
use wasmparser::{
    BinaryReader, BinaryReaderError, FunctionBody, FunctionSectionReader, ImportSectionReader, Operator,
    OperatorsReader, TypeRef, TypeSectionReader, ValType,
};

/// Part of the name of compiled code: raised when the rewriting changes.
pub(crate) const VERSION: u32 = 1;

const HEADER_BYTES: usize = 8;

/// Sections of a component that hold more than definitions.
const COMPONENT_CORE_MODULE: u8 = 1;
const COMPONENT_COMPONENT: u8 = 4;

/// Sections of a core module that matter here.
const MODULE_TYPE: u8 = 1;
const MODULE_IMPORT: u8 = 2;
const MODULE_FUNCTION: u8 = 3;
const MODULE_CODE: u8 = 10;

/// Why a component cannot be rewritten.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Its bytes are not WebAssembly.
    #[error(transparent)]
    Bytes(#[from] BinaryReaderError),
    /// A function is declared in a way that no valid module has.
    #[error("{0}")]
    Function(&'static str),
}

type Result<T> = std::result::Result<T, Unreadable>;

/// The component `bytes` with canonical NaNs.
pub(crate) fn rewrite(bytes: &[u8]) -> Result<Vec<u8>> {
    rewrite_sections(bytes, |id, content| match id {
        COMPONENT_CORE_MODULE => rewrite_module(content).map(Cow::Owned),
        COMPONENT_COMPONENT => rewrite(content).map(Cow::Owned),
        _ => Ok(Cow::Borrowed(content)),
    })
}

fn rewrite_module(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut signatures = Signatures::default();
    rewrite_sections(bytes, |id, content| {
        let reader = BinaryReader::new(content, 0);
        match id {
            MODULE_TYPE => signatures.read_types(TypeSectionReader::new(reader)?)?,
            MODULE_IMPORT => signatures.read_imports(ImportSectionReader::new(reader)?)?,
            MODULE_FUNCTION => signatures.read_functions(FunctionSectionReader::new(reader)?)?,
            MODULE_CODE => return rewrite_code(reader, &signatures).map(Cow::Owned),
            _ => {}
        }
        Ok(Cow::Borrowed(content))
    })
}

/// Copies a binary section by section, each through `rewrite`.
fn rewrite_sections<'a>(
    bytes: &'a [u8],
    mut rewrite: impl FnMut(u8, &'a [u8]) -> Result<Cow<'a, [u8]>>,
) -> Result<Vec<u8>> {
    let mut reader = BinaryReader::new(bytes, 0);
    let mut out = reader.read_bytes(HEADER_BYTES)?.to_vec();
    while !reader.eof() {
        let id = reader.read_u8()?;
        let size = reader.read_var_u32()? as usize;
        let content = rewrite(id, reader.read_bytes(size)?)?;
        out.push(id);
        content.encode(&mut out);
    }
    Ok(out)
}

/// How many parameters each function of the code section takes: its locals are counted from there.
#[derive(Default)]
struct Signatures {
    /// Of each type; `None` for one that is not a function's.
    types: Vec<Option<u32>>,
    imported: usize,
    functions: Vec<u32>,
}

impl Signatures {
    fn read_types(&mut self, types: TypeSectionReader<'_>) -> Result<()> {
        for group in types {
            for sub in group?.into_types() {
                let parameters = match &sub.composite_type.inner {
                    wasmparser::CompositeInnerType::Func(function) => Some(function.params().len() as u32),
                    _ => None,
                };
                self.types.push(parameters);
            }
        }
        Ok(())
    }

    fn read_imports(&mut self, imports: ImportSectionReader<'_>) -> Result<()> {
        for import in imports.into_imports() {
            self.imported += usize::from(matches!(import?.ty, TypeRef::Func(_)));
        }
        Ok(())
    }

    fn read_functions(&mut self, functions: FunctionSectionReader<'_>) -> Result<()> {
        for function in functions {
            self.functions.push(function?);
        }
        Ok(())
    }

    /// Parameters of the function with the body at `place`.
    fn parameters(&self, place: usize) -> Option<u32> {
        *self.types.get(*self.functions.get(place)? as usize)?
    }
}

fn rewrite_code(mut reader: BinaryReader<'_>, signatures: &Signatures) -> Result<Vec<u8>> {
    let count = reader.read_var_u32()?;
    let mut out = Vec::with_capacity(reader.bytes_remaining() + reader.bytes_remaining() / 16);
    count.encode(&mut out);
    for place in 0..count as usize {
        let size = reader.read_var_u32()? as usize;
        let body = FunctionBody::new(BinaryReader::new(reader.read_bytes(size)?, 0));
        let parameters = signatures.parameters(place);
        let parameters = parameters.ok_or(Unreadable::Function("a function without a type"))?;
        rewrite_body(&body, parameters)?.as_slice().encode(&mut out);
    }
    Ok(out)
}

fn rewrite_body(body: &FunctionBody<'_>, parameters: u32) -> Result<Vec<u8>> {
    let bytes = body.as_bytes();
    let mut locals = body.get_binary_reader();
    let declarations = locals.read_var_u32()?;
    let declared_from = locals.current_position();
    let mut first_free = parameters;
    for _ in 0..declarations {
        let count = locals.read_var_u32()?;
        locals.read::<ValType>()?;
        first_free = first_free.checked_add(count).ok_or(Unreadable::Function("more than 2^32 locals"))?;
    }
    let code_from = locals.current_position();

    let mut code = Vec::with_capacity(bytes.len() - code_from + 64);
    let mut scratch = Scratch { first: first_free, types: Vec::new() };
    let mut operators = OperatorsReader::new(locals);
    while !operators.eof() {
        let start = operators.original_position();
        let operator = operators.read()?;
        let original = &bytes[start..operators.original_position()];
        let (before, after) = seen_by(&operator);
        if let Some(kind) = before {
            scratch.canonicalise(kind, &mut code);
        }
        code.extend_from_slice(original);
        if let Some(kind) = after {
            scratch.canonicalise(kind, &mut code);
        }
    }

    let mut out = Vec::with_capacity(code.len() + code_from + 16);
    (declarations + scratch.types.len() as u32).encode(&mut out);
    out.extend_from_slice(&bytes[declared_from..code_from]);
    for kind in &scratch.types {
        1_u32.encode(&mut out);
        kind.local().encode(&mut out);
    }
    out.extend_from_slice(&code);
    Ok(out)
}

/// What may be a NaN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    F32,
    F64,
    F32x4,
    F64x2,
}

impl Kind {
    fn local(self) -> wasm_encoder::ValType {
        match self {
            Self::F32 => wasm_encoder::ValType::F32,
            Self::F64 => wasm_encoder::ValType::F64,
            Self::F32x4 | Self::F64x2 => wasm_encoder::ValType::V128,
        }
    }
}

/// The operand on top that must be canonical before the operator sees its bits, and the result that must be made so.
fn seen_by(operator: &Operator<'_>) -> (Option<Kind>, Option<Kind>) {
    use Operator as O;
    match operator {
        O::F32Store { .. } | O::I32ReinterpretF32 | O::F32Copysign | O::F32x4Splat | O::F32x4ReplaceLane { .. } => {
            (Some(Kind::F32), None)
        }
        O::F64Store { .. } | O::I64ReinterpretF64 | O::F64Copysign | O::F64x2Splat | O::F64x2ReplaceLane { .. } => {
            (Some(Kind::F64), None)
        }
        O::F32x4Ceil
        | O::F32x4Floor
        | O::F32x4Trunc
        | O::F32x4Nearest
        | O::F32x4Sqrt
        | O::F32x4Add
        | O::F32x4Sub
        | O::F32x4Mul
        | O::F32x4Div
        | O::F32x4Min
        | O::F32x4Max
        | O::F32x4DemoteF64x2Zero => (None, Some(Kind::F32x4)),
        O::F64x2Ceil
        | O::F64x2Floor
        | O::F64x2Trunc
        | O::F64x2Nearest
        | O::F64x2Sqrt
        | O::F64x2Add
        | O::F64x2Sub
        | O::F64x2Mul
        | O::F64x2Div
        | O::F64x2Min
        | O::F64x2Max
        | O::F64x2PromoteLowF32x4 => (None, Some(Kind::F64x2)),
        _ => (None, None),
    }
}

/// Locals of a function's own, to hold a value while it is compared with itself.
struct Scratch {
    first: u32,
    types: Vec<Kind>,
}

impl Scratch {
    fn local(&mut self, kind: Kind) -> u32 {
        let found = self.types.iter().position(|have| have.local() == kind.local());
        let place = found.unwrap_or_else(|| {
            self.types.push(kind);
            self.types.len() - 1
        });
        self.first + place as u32
    }

    /// Appends code that replaces the value on top by the canonical NaN if it is any: only a NaN differs from itself.
    fn canonicalise(&mut self, kind: Kind, code: &mut Vec<u8>) {
        let local = self.local(kind);
        let (nan, equal, choose) = match kind {
            Kind::F32 => (Instruction::F32Const(Ieee32::new(CANONICAL_F32)), Instruction::F32Eq, Instruction::Select),
            Kind::F64 => (Instruction::F64Const(Ieee64::new(CANONICAL_F64)), Instruction::F64Eq, Instruction::Select),
            Kind::F32x4 => {
                let lanes = u128::from(CANONICAL_F32) * 0x0000_0001_0000_0001_0000_0001_0000_0001;
                (Instruction::V128Const(lanes as i128), Instruction::F32x4Eq, Instruction::V128Bitselect)
            }
            Kind::F64x2 => {
                let lanes = u128::from(CANONICAL_F64) << 64 | u128::from(CANONICAL_F64);
                (Instruction::V128Const(lanes as i128), Instruction::F64x2Eq, Instruction::V128Bitselect)
            }
        };
        Instruction::LocalTee(local).encode(code);
        nan.encode(code);
        Instruction::LocalGet(local).encode(code);
        Instruction::LocalGet(local).encode(code);
        equal.encode(code);
        choose.encode(code);
    }
}

const CANONICAL_F32: u32 = 0x7fc0_0000;
const CANONICAL_F64: u64 = 0x7ff8_0000_0000_0000;

#[cfg(test)]
mod tests;
