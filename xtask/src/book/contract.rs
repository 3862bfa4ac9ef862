//! The reference of the contract: every interface, type and function of `wit/`, with its documentation.

use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::path::Path;
use wit_parser::{Docs, Function, Handle, Interface, Resolve, Type, TypeDef, TypeDefKind, WorldItem};

const INTRODUCTION: &str = "\
# The contract

What a metric and the runtime say to each other, as WIT (`wit/metric.wit`). Authors rarely see it: the SDK of their language
does. It is for those who write an SDK, or a module without one. [What a module says of itself](describe.md) and [the encoding
of states](state.md) are the rest of it.
";

/// The page.
pub(super) fn page(root: &Path) -> Result<String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(root.join("wit")).context("the contract cannot be read")?;
    let package = &resolve.packages[package];
    let mut page = INTRODUCTION.to_owned();
    write!(page, "\nPackage `{}`.\n", package.name)?;
    for (name, id) in &package.interfaces {
        interface(&mut page, &resolve, name, &resolve.interfaces[*id])?;
    }
    for (name, id) in &package.worlds {
        let world = &resolve.worlds[*id];
        write!(page, "\n## World `{name}`\n\n{}", paragraphs(&world.docs))?;
        for (word, items) in [("import", &world.imports), ("export", &world.exports)] {
            for (key, item) in items {
                // What an exported interface uses is imported in name only.
                let has_functions = match item {
                    WorldItem::Interface { id, .. } => !resolve.interfaces[*id].functions.is_empty(),
                    _ => true,
                };
                if has_functions {
                    writeln!(page, "\n- {word} `{}`", resolve.name_world_key(key))?;
                }
            }
        }
    }
    Ok(page)
}

fn interface(page: &mut String, resolve: &Resolve, name: &str, interface: &Interface) -> Result<()> {
    write!(page, "\n## Interface `{name}`\n\n{}", paragraphs(&interface.docs))?;
    for (name, id) in &interface.types {
        let definition = &resolve.types[*id];
        // What is only used is documented where it is defined.
        if !matches!(definition.kind, TypeDefKind::Type(_)) {
            type_definition(page, resolve, name, definition)?;
        }
    }
    for (name, function) in &interface.functions {
        let Function { params, result, docs, .. } = function;
        let params: Vec<String> =
            params.iter().map(|param| format!("{}: {}", param.name, spell(resolve, &param.ty))).collect();
        let result = result.as_ref().map_or_else(String::new, |result| format!(" -> {}", spell(resolve, result)));
        write!(page, "\n### `{name}: func({}){result}`\n\n{}", params.join(", "), paragraphs(docs))?;
    }
    Ok(())
}

fn type_definition(page: &mut String, resolve: &Resolve, name: &str, definition: &TypeDef) -> Result<()> {
    write!(page, "\n### {} `{name}`\n\n{}", definition.kind.as_str(), paragraphs(&definition.docs))?;
    let rows: Vec<(String, String, &Docs)> = match &definition.kind {
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter();
            fields.map(|field| (field.name.clone(), spell(resolve, &field.ty), &field.docs)).collect()
        }
        TypeDefKind::Variant(variant) => {
            let spelt = |ty: &Option<Type>| ty.as_ref().map_or_else(String::new, |ty| spell(resolve, ty));
            variant.cases.iter().map(|case| (case.name.clone(), spelt(&case.ty), &case.docs)).collect()
        }
        TypeDefKind::Enum(cases) => {
            cases.cases.iter().map(|case| (case.name.clone(), String::new(), &case.docs)).collect()
        }
        _ => Vec::new(),
    };
    if rows.is_empty() {
        return Ok(());
    }
    let is_typed = rows.iter().any(|(_, ty, _)| !ty.is_empty());
    let name_of = match definition.kind {
        TypeDefKind::Record(_) => "field",
        _ => "case",
    };
    page.push_str(&if is_typed {
        format!("\n| {name_of} | type | |\n| --- | --- | --- |\n")
    } else {
        format!("\n| {name_of} | |\n| --- | --- |\n")
    });
    for (name, ty, docs) in rows {
        let docs = docs.contents.as_deref().unwrap_or_default().trim().replace('\n', " ").replace('|', "\\|");
        if is_typed {
            writeln!(page, "| `{name}` | `{ty}` | {docs} |")?;
        } else {
            writeln!(page, "| `{name}` | {docs} |")?;
        }
    }
    Ok(())
}

fn paragraphs(docs: &Docs) -> String {
    docs.contents.as_deref().map_or_else(String::new, |text| format!("{}\n", text.trim()))
}

fn spell(resolve: &Resolve, ty: &Type) -> String {
    let id = match ty {
        Type::Bool => return "bool".to_owned(),
        Type::U8 => return "u8".to_owned(),
        Type::U16 => return "u16".to_owned(),
        Type::U32 => return "u32".to_owned(),
        Type::U64 => return "u64".to_owned(),
        Type::S8 => return "s8".to_owned(),
        Type::S16 => return "s16".to_owned(),
        Type::S32 => return "s32".to_owned(),
        Type::S64 => return "s64".to_owned(),
        Type::F32 => return "f32".to_owned(),
        Type::F64 => return "f64".to_owned(),
        Type::Char => return "char".to_owned(),
        Type::String => return "string".to_owned(),
        Type::ErrorContext => return "error-context".to_owned(),
        Type::Id(id) => *id,
    };
    let definition = &resolve.types[id];
    if let Some(name) = &definition.name {
        return name.clone();
    }
    let or_nothing = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), |ty| spell(resolve, ty));
    match &definition.kind {
        TypeDefKind::List(item) => format!("list<{}>", spell(resolve, item)),
        TypeDefKind::Option(item) => format!("option<{}>", spell(resolve, item)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", or_nothing(&result.ok), or_nothing(&result.err)),
        TypeDefKind::Tuple(tuple) => {
            let types: Vec<String> = tuple.types.iter().map(|ty| spell(resolve, ty)).collect();
            format!("tuple<{}>", types.join(", "))
        }
        TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => spell(resolve, &Type::Id(*id)),
        other => other.as_str().to_owned(),
    }
}
