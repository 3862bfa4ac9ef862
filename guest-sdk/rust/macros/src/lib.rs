//! The derive macros of `tidemark-metric`; its documentation describes them at the traits of the same names.
//!
//! One file per macro. A macro only writes down what its struct says: what can be wrong with it is reported at the place
//! in the source, while it is compiled.

mod duration;
mod facts;
mod fields;
mod input;
mod metric;
mod output;
mod setting;
mod state;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Reads a struct's fields from paths of an event: see `tidemark_metric::Input`.
#[proc_macro_derive(Input, attributes(at))]
pub fn derive_input(item: TokenStream) -> TokenStream {
    expand(input::expand, parse_macro_input!(item as DeriveInput))
}

/// Encodes a struct as state: see `tidemark_metric::State`.
#[proc_macro_derive(State)]
pub fn derive_state(item: TokenStream) -> TokenStream {
    expand(state::expand, parse_macro_input!(item as DeriveInput))
}

/// Makes a struct's fields output columns: see `tidemark_metric::Output`.
#[proc_macro_derive(Output)]
pub fn derive_output(item: TokenStream) -> TokenStream {
    expand(output::expand, parse_macro_input!(item as DeriveInput))
}

/// Reads a struct from the JSON of a configuration: see `tidemark_metric::Setting`.
#[proc_macro_derive(Setting, attributes(setting))]
pub fn derive_setting(item: TokenStream) -> TokenStream {
    expand(setting::expand, parse_macro_input!(item as DeriveInput))
}

/// Makes a struct a metric: see `tidemark_metric::Metric`.
#[proc_macro_derive(Metric, attributes(metric, setting))]
pub fn derive_metric(item: TokenStream) -> TokenStream {
    expand(metric::expand, parse_macro_input!(item as DeriveInput))
}

type Expansion = fn(&DeriveInput) -> syn::Result<proc_macro2::TokenStream>;

fn expand(expansion: Expansion, item: DeriveInput) -> TokenStream {
    expansion(&item).unwrap_or_else(|error| error.to_compile_error()).into()
}
