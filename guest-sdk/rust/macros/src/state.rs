//! `#[derive(State)]`.

use crate::fields::{named, no_generics};
use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

pub(crate) fn expand(item: &DeriveInput) -> syn::Result<TokenStream> {
    no_generics(item)?;
    let fields = named(item)?;
    let ident = &item.ident;
    let names: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    Ok(quote! {
        impl ::tidemark_metric::State for #ident {
            fn encode(&self, bytes: &mut ::std::vec::Vec<u8>) {
                #(::tidemark_metric::State::encode(&self.#names, bytes);)*
            }

            fn decode(
                reader: &mut ::tidemark_metric::Reader<'_>,
            ) -> ::std::result::Result<Self, ::tidemark_metric::Malformed> {
                ::std::result::Result::Ok(Self { #(#names: ::tidemark_metric::State::decode(reader)?,)* })
            }
        }
    })
}
