//! `#[derive(Setting)]`, which is also a part of `#[derive(Metric)]`.

use crate::fields::{doc, named, no_generics};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Expr, Field};

pub(crate) fn expand(item: &DeriveInput) -> syn::Result<TokenStream> {
    no_generics(item)?;
    let fields = named(item)?;
    let ident = &item.ident;
    let names: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    let docs = fields.iter().map(|field| doc(&field.attrs));
    let defaults = fields.iter().map(default).collect::<syn::Result<Vec<_>>>()?;
    let setting = quote!(::tidemark_metric::Setting);

    Ok(quote! {
        impl #setting for #ident {
            fn schema() -> ::tidemark_metric::json::JsonValue {
                ::tidemark_metric::macro_support::object_schema(::std::vec![#({
                    let default: ::std::option::Option<#types> = #defaults;
                    ::tidemark_metric::macro_support::Member {
                        name: stringify!(#names),
                        doc: #docs,
                        schema: <#types as #setting>::schema(),
                        default: default.as_ref().map(#setting::write),
                        required: default.is_none() && <#types as #setting>::absent().is_none(),
                    }
                }),*])
            }

            fn read(
                json: &::tidemark_metric::json::JsonValue,
            ) -> ::std::result::Result<Self, ::std::string::String> {
                ::tidemark_metric::macro_support::check_names(json, &[#(stringify!(#names)),*])?;
                ::std::result::Result::Ok(Self {
                    #(#names: ::tidemark_metric::macro_support::member(json, stringify!(#names), #defaults)?,)*
                })
            }

            fn write(&self) -> ::tidemark_metric::json::JsonValue {
                ::tidemark_metric::json::JsonValue::Object(::std::vec![#(
                    (stringify!(#names).to_owned(), #setting::write(&self.#names))
                ),*])
            }
        }
    })
}

/// The field's `#[setting(default = …)]` as an `Option`.
fn default(field: &Field) -> syn::Result<TokenStream> {
    let mut default = None;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("setting")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("default") {
                return Err(meta.error("only `default = …` is known"));
            }
            default = Some(meta.value()?.parse::<Expr>()?);
            Ok(())
        })?;
    }
    Ok(match default {
        Some(default) => quote!(::std::option::Option::Some(::std::convert::Into::into(#default))),
        None => quote!(::std::option::Option::None),
    })
}
