//! What every macro asks of a struct: its named fields, its one lifetime, its doc comment.

use proc_macro2::Span;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, ExprLit, Field, Fields, GenericParam, Lifetime, Lit, Meta, Token,
};

/// The named fields of a struct; none for a unit struct.
pub(crate) fn named(item: &DeriveInput) -> syn::Result<Punctuated<Field, Token![,]>> {
    let Data::Struct(data) = &item.data else {
        return Err(Error::new_spanned(&item.ident, "only a struct can be derived"));
    };
    match &data.fields {
        Fields::Named(fields) => Ok(fields.named.clone()),
        Fields::Unit => Ok(Punctuated::new()),
        Fields::Unnamed(_) => Err(Error::new_spanned(&item.ident, "the fields need names")),
    }
}

/// Refuses every generic parameter.
pub(crate) fn no_generics(item: &DeriveInput) -> syn::Result<()> {
    if item.generics.params.is_empty() {
        return Ok(());
    }
    Err(Error::new_spanned(&item.generics, "generic parameters are not supported here"))
}

/// The lifetimes of a row struct, which has one or none.
pub(crate) struct RowLifetime {
    /// The name that its fields use, or any other.
    pub(crate) name: Lifetime,
    /// Whether the struct is declared with it.
    pub(crate) declared: bool,
}

impl RowLifetime {
    pub(crate) fn of(item: &DeriveInput) -> syn::Result<Self> {
        let mut params = item.generics.params.iter();
        match (params.next(), params.next()) {
            (None, _) => Ok(Self { name: Lifetime::new("'row", Span::call_site()), declared: false }),
            (Some(GenericParam::Lifetime(param)), None) if item.generics.where_clause.is_none() => {
                Ok(Self { name: param.lifetime.clone(), declared: true })
            }
            _ => Err(Error::new_spanned(&item.generics, "a row has at most one lifetime and no other parameter")),
        }
    }
}

/// The first paragraph of a doc comment, on one line.
pub(crate) fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether `text` begins with a lower-case letter and goes on with letters, digits and `separator`.
pub(crate) fn is_name(text: &str, separator: char) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|other| other.is_ascii_lowercase() || other.is_ascii_digit() || other == separator)
}

/// Why `text` is not a path into an event, if it is not.
pub(crate) fn path_fault(text: &str) -> Option<&'static str> {
    let first = text.split('.').next().unwrap_or_default();
    if text.split('.').any(str::is_empty) {
        return Some("a path is made of names with a dot between them, such as `data.stream_id`");
    }
    let known = ["id", "type", "timestamp", "gateway", "data", "enrich"].contains(&first);
    (!known).then_some("a path begins with `id`, `type`, `timestamp`, `gateway`, `data` or `enrich`")
}
