//! `#[derive(Input)]`.

use crate::fields::{RowLifetime, named, path_fault};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{DeriveInput, Error, Field, LitStr, Meta};

pub(crate) fn expand(item: &DeriveInput) -> syn::Result<TokenStream> {
    let fields = named(item)?;
    let RowLifetime { name: lifetime, declared } = RowLifetime::of(item)?;
    let (ident, visibility) = (&item.ident, &item.vis);
    let columns_ident = format_ident!("{ident}Columns");
    let (any, row) = if declared { (quote!(<'_>), quote!(<#lifetime>)) } else { (quote!(), quote!()) };

    let names: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    let paths = fields.iter().map(path).collect::<syn::Result<Vec<_>>>()?;
    let places = 0..fields.len();
    let value = quote!(::tidemark_metric::Value<#lifetime>);
    let statics: Vec<_> = fields.iter().map(|field| with_static_lifetime(field, &lifetime)).collect();

    Ok(quote! {
        #[doc(hidden)]
        #[derive(Clone, Copy)]
        #visibility struct #columns_ident<#lifetime> {
            #(#names: <#types as #value>::Column,)*
            borrowed: ::std::marker::PhantomData<&#lifetime ()>,
        }

        impl ::tidemark_metric::Input for #ident #any {
            const FIELDS: &'static [::tidemark_metric::InputField] = &[#({
                assert!(
                    <#statics as ::tidemark_metric::Value<'static>>::NULLABLE,
                    "a field of an input is an Option: any event may lack it"
                );
                ::tidemark_metric::InputField {
                    name: stringify!(#names),
                    path: #paths,
                    kind: <#statics as ::tidemark_metric::Value<'static>>::TYPE,
                }
            }),*];
            type Columns<#lifetime> = #columns_ident<#lifetime>;
            type Row<#lifetime> = #ident #row;

            fn columns<#lifetime>(
                columns: &#lifetime [::tidemark_metric::contract::Column],
            ) -> ::std::result::Result<Self::Columns<#lifetime>, ::tidemark_metric::WrongColumn> {
                ::std::result::Result::Ok(#columns_ident {
                    #(#names: columns
                        .get(#places)
                        .and_then(<#types as #value>::column)
                        .ok_or(::tidemark_metric::WrongColumn(#paths))?,)*
                    borrowed: ::std::marker::PhantomData,
                })
            }

            #[inline]
            fn row<#lifetime>(columns: &Self::Columns<#lifetime>, row: usize) -> Self::Row<#lifetime> {
                #ident { #(#names: <#types as #value>::get(columns.#names, row),)* }
            }
        }
    })
}

/// The field's `#[at = "…"]`.
fn path(field: &Field) -> syn::Result<LitStr> {
    let found = field.attrs.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("at") => Some(&meta.value),
        _ => None,
    });
    let value = found.ok_or_else(|| Error::new_spanned(field, "say where its value stands: #[at = \"data.…\"]"))?;
    let text: LitStr = syn::parse2(quote!(#value))?;
    match path_fault(&text.value()) {
        Some(fault) => Err(Error::new(text.span(), fault)),
        None => Ok(text),
    }
}

/// The field's type with `'static` in the place of `lifetime`: the type of a column does not depend on it.
pub(crate) fn with_static_lifetime(field: &Field, lifetime: &syn::Lifetime) -> TokenStream {
    let field_type = &field.ty;
    replace(quote!(#field_type), &lifetime.ident.to_string())
}

fn replace(tokens: TokenStream, lifetime: &str) -> TokenStream {
    use proc_macro2::{Group, Ident, TokenTree};
    let mut after_quote = false;
    let replaced = tokens.into_iter().map(|token| {
        let is_quote = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '\'');
        let was_after_quote = std::mem::replace(&mut after_quote, is_quote);
        match token {
            TokenTree::Ident(ident) if was_after_quote && ident == lifetime => {
                Ident::new("static", ident.span()).into()
            }
            TokenTree::Group(group) => Group::new(group.delimiter(), replace(group.stream(), lifetime)).into(),
            other => other,
        }
    });
    replaced.collect()
}
