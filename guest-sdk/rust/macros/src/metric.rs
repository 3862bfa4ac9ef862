//! `#[derive(Metric)]`: the facts, the settings, and the contract's functions, which lead to `Fold` or to `Join`.

use crate::facts::{MetricAttribute, Window};
use crate::fields::{doc, no_generics};
use crate::setting;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error};

pub(crate) fn expand(item: &DeriveInput) -> syn::Result<TokenStream> {
    no_generics(item)?;
    let attribute = item.attrs.iter().find(|attribute| attribute.path().is_ident("metric"));
    let attribute = attribute.ok_or_else(|| Error::new_spanned(&item.ident, "#[metric(…)] is missing"))?;
    let attribute: MetricAttribute = attribute.parse_args()?;
    let settings = setting::expand(item)?;
    let facts = facts(item, &attribute);
    let functions = functions(&attribute);
    let ident = &item.ident;
    let output = if attribute.is_join() { quote!(Join) } else { quote!(Fold) };
    Ok(quote! {
        #settings

        impl ::tidemark_metric::Metric for #ident {
            type Output = <Self as ::tidemark_metric::#output>::Output;
            const FACTS: ::tidemark_metric::facts::Facts = #facts;

            fn describe() -> ::std::string::String {
                ::tidemark_metric::macro_support::describe::describe::<Self>()
            }

            #functions
        }
    })
}

impl MetricAttribute {
    fn is_join(&self) -> bool {
        matches!(self.window, Window::Join(_))
    }
}

fn facts(item: &DeriveInput, attribute: &MetricAttribute) -> TokenStream {
    let MetricAttribute { name, key, state_version, mergeable, .. } = attribute;
    let (doc, filter, window) = (doc(&item.attrs), attribute.filter.tokens(), attribute.window.tokens());
    let state_version = if attribute.is_join() {
        quote!(0)
    } else {
        quote! {
            if ::std::mem::size_of::<<Self as ::tidemark_metric::Fold>::State>() == 0 { 0 } else { #state_version }
        }
    };
    quote! {
        ::tidemark_metric::facts::Facts {
            name: #name,
            version: env!("CARGO_PKG_VERSION"),
            doc: #doc,
            key: #key,
            filter: #filter,
            window: #window,
            state_version: #state_version,
            mergeable: #mergeable,
        }
    }
}

fn functions(attribute: &MetricAttribute) -> TokenStream {
    let support = quote!(::tidemark_metric::macro_support);
    let module = if attribute.is_join() { quote!(#support::join) } else { quote!(#support::fold) };
    let merge = match attribute.mergeable {
        true => quote!(#support::fold::merge(self, left, right)),
        false => quote!(#support::fold::no_merge(left)),
    };
    let migrate = match attribute.migrates {
        true => quote!(#support::fold::migrate(self, states, from)),
        false => quote!(#support::fold::no_migrate(states, from)),
    };
    let right = if attribute.mergeable { quote!(right) } else { quote!(_) };
    let contract = quote!(::tidemark_metric::contract);
    quote! {
        fn inputs() -> ::std::vec::Vec<(
            ::tidemark_metric::InputField,
            ::std::option::Option<::tidemark_metric::Side>,
        )> {
            #module::inputs::<Self>()
        }

        fn configure(json: &str) -> ::std::result::Result<Self, ::tidemark_metric::Failure> {
            #module::configure(json)
        }

        fn update_groups(&self, batch: &#contract::Batch) -> #contract::Folded {
            #module::update(self, batch)
        }

        fn close_groups(&self, batch: &#contract::Batch, reason: ::tidemark_metric::CloseReason) -> #contract::Folded {
            #module::close(self, batch, reason)
        }

        fn merge_states(&self, left: &#contract::ByteStrings, #right: &#contract::ByteStrings) -> #contract::Folded {
            #merge
        }

        fn migrate_states(&self, states: &#contract::ByteStrings, from: u32) -> #contract::Folded {
            #migrate
        }
    }
}
