//! What stands in `#[metric(…)]`, parsed and checked, and the constants that it becomes.

use crate::duration::{milliseconds, positive};
use crate::fields::{is_name, path_fault};
use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitInt, LitStr, Token, bracketed, parenthesized};

/// The content of the attribute.
pub(crate) struct MetricAttribute {
    pub(crate) name: LitStr,
    pub(crate) key: LitStr,
    pub(crate) filter: Filter,
    pub(crate) window: Window,
    pub(crate) state_version: u32,
    pub(crate) mergeable: bool,
    pub(crate) migrates: bool,
}

/// Conditions by path.
#[derive(Default)]
pub(crate) struct Filter(Vec<(LitStr, TokenStream)>);

pub(crate) enum Window {
    Tumbling { size_ms: i64, offset_ms: i64 },
    Sliding { size_ms: i64, slide_ms: i64, offset_ms: i64 },
    Session { gap_ms: i64 },
    Key { ttl_ms: Option<i64> },
    Join(Box<Join>),
}

pub(crate) struct Join {
    left: Filter,
    right: Filter,
    lower_ms: i64,
    upper_ms: i64,
    exclusive: [bool; 2],
    take_first: bool,
    unmatched: [bool; 2],
}

impl Parse for MetricAttribute {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let start = input.span();
        let (mut name, mut key, mut window) = (None, None, None);
        let mut filter = Filter::default();
        let (mut state_version, mut mergeable, mut migrates) = (1, false, false);
        while !input.is_empty() {
            let word: Ident = input.parse()?;
            match word.to_string().as_str() {
                "name" => name = Some(text(input)?),
                "key" => key = Some(text(input)?),
                "filter" => filter = parenthesised_filter(input)?,
                "window" => window = Some(parenthesised_window(input)?),
                "state_version" => {
                    input.parse::<Token![=]>()?;
                    state_version = input.parse::<LitInt>()?.base10_parse()?;
                }
                "mergeable" => mergeable = true,
                "migrates" => migrates = true,
                _ => {
                    return Err(Error::new(
                        word.span(),
                        "known are name, key, filter, window, state_version, mergeable and migrates",
                    ));
                }
            }
            comma(input)?;
        }
        let missing = |what| Error::new(start, format!("`{what}` is missing"));
        let name: LitStr = name.ok_or_else(|| missing("name = \"…\""))?;
        let key: LitStr = key.ok_or_else(|| missing("key = \"data.…\""))?;
        let window = window.ok_or_else(|| missing("window(…)"))?;
        if !is_name(&name.value(), '-') {
            return Err(Error::new(name.span(), "a name has lower-case letters, digits and hyphens"));
        }
        if let Some(fault) = path_fault(&key.value()) {
            return Err(Error::new(key.span(), fault));
        }
        if matches!(window, Window::Session { .. }) && !mergeable {
            return Err(Error::new(start, "sessions grow together: say `mergeable` and implement Merge"));
        }
        Ok(Self { name, key, filter, window, state_version, mergeable, migrates })
    }
}

fn parenthesised_filter(input: ParseStream<'_>) -> syn::Result<Filter> {
    let content;
    parenthesized!(content in input);
    let mut filter = Filter::default();
    while !content.is_empty() {
        let path: LitStr = content.parse()?;
        if let Some(fault) = path_fault(&path.value()) {
            return Err(Error::new(path.span(), fault));
        }
        if filter.0.iter().any(|(other, _)| other.value() == path.value()) {
            return Err(Error::new(path.span(), "a path has one condition"));
        }
        content.parse::<Token![=]>()?;
        filter.0.push((path, condition(&content)?));
        comma(&content)?;
    }
    Ok(filter)
}

fn condition(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    let condition = quote!(::tidemark_metric::facts::Condition);
    if input.peek(LitStr) {
        let text: LitStr = input.parse()?;
        return Ok(quote!(#condition::OneOf(&[#text])));
    }
    if input.peek(syn::token::Bracket) {
        let content;
        bracketed!(content in input);
        let texts = Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?;
        return Ok(quote!(#condition::OneOf(&[#texts])));
    }
    let word: Ident = input.parse()?;
    match word.to_string().as_str() {
        "present" => Ok(quote!(#condition::Present)),
        "absent" => Ok(quote!(#condition::Absent)),
        _ => Err(Error::new(word.span(), "a condition is a text, [texts], present or absent")),
    }
}

/// What stands in `window(…)`, word by word.
#[derive(Default)]
struct WindowWords {
    durations: Vec<(Ident, LitStr)>,
    words: Vec<(Ident, Ident)>,
    filters: Vec<(Ident, Filter)>,
    flags: Vec<Ident>,
}

fn parenthesised_window(input: ParseStream<'_>) -> syn::Result<Window> {
    let content;
    parenthesized!(content in input);
    let span = content.span();
    let mut given = WindowWords::default();
    while !content.is_empty() {
        let word: Ident = content.parse()?;
        if content.peek(syn::token::Paren) {
            given.filters.push((word, parenthesised_filter(&content)?));
        } else if content.peek(Token![=]) && content.peek2(LitStr) {
            given.durations.push((word, text(&content)?));
        } else if content.peek(Token![=]) {
            content.parse::<Token![=]>()?;
            given.words.push((word, content.parse()?));
        } else {
            given.flags.push(word);
        }
        comma(&content)?;
    }
    let window = given.window()?;
    match (window, given.unused()) {
        (Some(_), Some(unused)) => Err(Error::new(unused.span(), "this window has no such term")),
        (Some(window), None) => Ok(window),
        (None, _) => Err(Error::new(span, "a window is tumbling = …, sliding = …, session = …, key or join")),
    }
}

impl WindowWords {
    /// The window that the words describe; takes those that belong to it.
    fn window(&mut self) -> syn::Result<Option<Window>> {
        if let Some(size) = self.duration("tumbling") {
            let (size_ms, offset_ms) = (positive(&size)?, self.offset()?);
            if offset_ms.abs() >= size_ms {
                return Err(Error::new(size.span(), "the offset must be shorter than the window"));
            }
            return Ok(Some(Window::Tumbling { size_ms, offset_ms }));
        }
        if let Some(size) = self.duration("sliding") {
            let every = self.duration("every").ok_or_else(|| Error::new(size.span(), "`every = \"…\"` is missing"))?;
            let (size_ms, slide_ms, offset_ms) = (positive(&size)?, positive(&every)?, self.offset()?);
            if offset_ms.abs() >= slide_ms {
                return Err(Error::new(every.span(), "the offset must be shorter than the slide"));
            }
            return Ok(Some(Window::Sliding { size_ms, slide_ms, offset_ms }));
        }
        if let Some(gap) = self.duration("session") {
            return Ok(Some(Window::Session { gap_ms: positive(&gap)? }));
        }
        if self.flag("key") {
            let ttl_ms = self.duration("ttl").map(|ttl| positive(&ttl)).transpose()?;
            return Ok(Some(Window::Key { ttl_ms }));
        }
        let join = self.flags.iter().find(|flag| *flag == "join").cloned();
        match join {
            Some(join) => self.join(&join).map(|join| Some(Window::Join(Box::new(join)))),
            None => Ok(None),
        }
    }

    fn join(&mut self, join: &Ident) -> syn::Result<Join> {
        self.flag("join");
        let missing = |what| Error::new(join.span(), format!("a join needs `{what}`"));
        let left = self.filter("left").ok_or_else(|| missing("left(…)"))?;
        let right = self.filter("right").ok_or_else(|| missing("right(…)"))?;
        let lower = self.duration("lower").ok_or_else(|| missing("lower = \"…\""))?;
        let upper = self.duration("upper").ok_or_else(|| missing("upper = \"…\""))?;
        let (lower_ms, upper_ms) = (milliseconds(&lower)?, milliseconds(&upper)?);
        let bounds = [("inclusive", false), ("exclusive", true)];
        let exclusive = [self.word("lower_bound", &bounds)?, self.word("upper_bound", &bounds)?];
        if lower_ms.saturating_add(exclusive[0].into()) > upper_ms.saturating_sub(exclusive[1].into()) {
            return Err(Error::new(upper.span(), "no time lies between these bounds"));
        }
        let take_first = self.word("take", &[("all", false), ("first", true)])?;
        let sides = [("none", [false; 2]), ("left", [true, false]), ("right", [false, true]), ("both", [true; 2])];
        let unmatched = self.word("unmatched", &sides)?;
        Ok(Join { left, right, lower_ms, upper_ms, exclusive, take_first, unmatched })
    }

    fn offset(&mut self) -> syn::Result<i64> {
        self.duration("offset").map_or(Ok(0), |offset| milliseconds(&offset))
    }

    fn duration(&mut self, name: &str) -> Option<LitStr> {
        take(&mut self.durations, name)
    }

    fn filter(&mut self, name: &str) -> Option<Filter> {
        take(&mut self.filters, name)
    }

    fn flag(&mut self, name: &str) -> bool {
        let place = self.flags.iter().position(|flag| flag == name);
        place.map(|place| self.flags.remove(place)).is_some()
    }

    /// The choice that `name = word` makes; the first one where it is absent.
    fn word<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> syn::Result<T> {
        let Some(word) = take(&mut self.words, name) else { return Ok(choices[0].1) };
        let chosen = choices.iter().find(|(choice, _)| word == choice).map(|(_, value)| *value);
        let known: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
        chosen.ok_or_else(|| Error::new(word.span(), format!("known are {}", known.join(", "))))
    }

    fn unused(&self) -> Option<&Ident> {
        let durations = self.durations.iter().map(|(word, _)| word);
        let others = self.words.iter().map(|(word, _)| word).chain(self.filters.iter().map(|(word, _)| word));
        durations.chain(others).chain(&self.flags).next()
    }
}

fn take<T>(items: &mut Vec<(Ident, T)>, name: &str) -> Option<T> {
    let place = items.iter().position(|(word, _)| word == name)?;
    Some(items.remove(place).1)
}

/// `= "text"`.
fn text(input: ParseStream<'_>) -> syn::Result<LitStr> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// The comma between two items.
fn comma(input: ParseStream<'_>) -> syn::Result<()> {
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}

impl Filter {
    pub(crate) fn tokens(&self) -> TokenStream {
        let conditions = self.0.iter().map(|(path, condition)| quote!((#path, #condition)));
        quote!(&[#(#conditions),*])
    }
}

impl Window {
    pub(crate) fn tokens(&self) -> TokenStream {
        let window = quote!(::tidemark_metric::facts::Window);
        match self {
            Self::Tumbling { size_ms, offset_ms } => {
                quote!(#window::Tumbling { size_ms: #size_ms, offset_ms: #offset_ms })
            }
            Self::Sliding { size_ms, slide_ms, offset_ms } => {
                quote!(#window::Sliding { size_ms: #size_ms, slide_ms: #slide_ms, offset_ms: #offset_ms })
            }
            Self::Session { gap_ms } => quote!(#window::Session { gap_ms: #gap_ms }),
            Self::Key { ttl_ms: Some(ttl_ms) } => {
                quote!(#window::Key { ttl_ms: ::std::option::Option::Some(#ttl_ms) })
            }
            Self::Key { ttl_ms: None } => quote!(#window::Key { ttl_ms: ::std::option::Option::None }),
            Self::Join(join) => {
                let terms = join.tokens();
                quote!(#window::Join(#terms))
            }
        }
    }
}

impl Join {
    fn tokens(&self) -> TokenStream {
        let Self { lower_ms, upper_ms, take_first, .. } = self;
        let (left, right) = (self.left.tokens(), self.right.tokens());
        let [lower_exclusive, upper_exclusive] = self.exclusive;
        let [unmatched_left, unmatched_right] = self.unmatched;
        quote! {
            ::tidemark_metric::facts::JoinTerms {
                left: #left,
                right: #right,
                lower_ms: #lower_ms,
                upper_ms: #upper_ms,
                lower_exclusive: #lower_exclusive,
                upper_exclusive: #upper_exclusive,
                take_first: #take_first,
                unmatched_left: #unmatched_left,
                unmatched_right: #unmatched_right,
            }
        }
    }
}
