//! `#[derive(Output)]`.

use crate::fields::{RowLifetime, is_name, named};
use crate::input::with_static_lifetime;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, Field};

/// Columns that the runtime adds to every row.
const COMMON_COLUMNS: [&str; 10] = [
    "key",
    "window_start",
    "window_end",
    "event_time",
    "module",
    "version",
    "digest",
    "config_digest",
    "epoch",
    "row_id",
];

pub(crate) fn expand(item: &DeriveInput) -> syn::Result<TokenStream> {
    let fields = named(item)?;
    fields.iter().try_for_each(check_name)?;
    let RowLifetime { name: lifetime, declared } = RowLifetime::of(item)?;
    let ident = &item.ident;
    let (any, row) = if declared { (quote!(<'_>), quote!(<#lifetime>)) } else { (quote!(), quote!()) };

    let names: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    let statics: Vec<_> = fields.iter().map(|field| with_static_lifetime(field, &lifetime)).collect();
    let places: Vec<_> = (0..fields.len()).collect();
    let value = quote!(::tidemark_metric::Value<#lifetime>);

    Ok(quote! {
        impl ::tidemark_metric::Output for #ident #any {
            const COLUMNS: &'static [::tidemark_metric::OutputColumn] = &[#(
                ::tidemark_metric::OutputColumn {
                    name: stringify!(#names),
                    kind: <#statics as ::tidemark_metric::Value<'static>>::TYPE,
                    nullable: <#statics as ::tidemark_metric::Value<'static>>::NULLABLE,
                }
            ),*];
            type Row<#lifetime> = #ident #row;

            fn push(row: Self::Row<'_>, columns: &mut [::tidemark_metric::macro_support::ColumnBuilder]) {
                #(::tidemark_metric::Value::push(row.#names, &mut columns[#places]);)*
            }

            fn read<#lifetime>(
                columns: &#lifetime [::tidemark_metric::contract::Column],
                row: usize,
            ) -> ::std::option::Option<Self::Row<#lifetime>> {
                ::std::option::Option::Some(#ident {
                    #(#names: <#types as #value>::get(<#types as #value>::column(columns.get(#places)?)?, row),)*
                })
            }
        }
    })
}

fn check_name(field: &Field) -> syn::Result<()> {
    let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    if COMMON_COLUMNS.contains(&name.as_str()) {
        return Err(Error::new_spanned(&field.ident, format!("every row has the column `{name}` already")));
    }
    if !is_name(&name, '_') {
        return Err(Error::new_spanned(&field.ident, "a column's name has lower-case letters, digits and underscores"));
    }
    Ok(())
}
