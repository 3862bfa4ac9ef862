//! Walks over the tokens of one JSON text: values are skipped, or handed out, and everything is checked on the way.
//!
//! It never recurses: nesting is counted in the bits of one integer, so that no record can exhaust the stack.

use super::number;
use super::structure::Structure;

/// Deepest nesting that a record may have below the place where skipping starts.
pub(crate) const MAX_DEPTH: u32 = 128;

/// Why a text is not JSON, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Broken {
    /// The byte.
    pub(crate) at: usize,
    /// What is wrong there.
    pub(crate) what: &'static str,
}

/// A value that was passed, as it is written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number's text.
    Number(&'a [u8]),
    /// What stands between the quotes, escapes as they are.
    Text(&'a [u8]),
    /// An object or array, from bracket to bracket.
    Container(&'a [u8]),
}

/// A place between two tokens of a text.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    positions: &'a [u32],
    next: usize,
    escapes: bool,
}

impl<'a> Cursor<'a> {
    /// The place before the first token of `text`, whose tokens `structure` has just read.
    pub(crate) fn new(text: &'a [u8], structure: &'a Structure) -> Result<Self, Broken> {
        match structure.fault {
            Some(what) => Err(Broken { at: text.len(), what }),
            None => Ok(Self { text, positions: structure.positions(), next: 0, escapes: structure.escapes }),
        }
    }

    /// Whether strings may hold escapes.
    pub(crate) fn escapes(&self) -> bool {
        self.escapes
    }

    /// First byte of the next token; 0, which starts no token, at the end.
    #[inline(always)]
    pub(crate) fn peek(&self) -> u8 {
        self.text.get(self.position()).copied().unwrap_or(0)
    }

    /// Passes a token and returns its first byte.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> u8 {
        let byte = self.peek();
        // Held at the last sentinel, so that the position after any token can be asked for.
        self.next = (self.next + 1).min(self.positions.len() - 1);
        byte
    }

    /// The error at the next token.
    #[cold]
    pub(crate) fn broken(&self, what: &'static str) -> Broken {
        Broken { at: self.position(), what }
    }

    /// Checks that nothing follows.
    pub(crate) fn end(&self) -> Result<(), Broken> {
        if self.position() == self.text.len() { Ok(()) } else { Err(self.broken("more than one value")) }
    }

    /// Passes a key and its colon and returns what stands between the quotes.
    #[inline(always)]
    pub(crate) fn key(&mut self) -> Result<&'a [u8], Broken> {
        if self.peek() != b'"' {
            return Err(self.broken("a key was expected"));
        }
        let key = self.string()?;
        if self.take() != b':' {
            return Err(self.broken("a colon was expected"));
        }
        Ok(key)
    }

    /// Passes a value.
    #[inline(always)]
    pub(crate) fn skip(&mut self) -> Result<(), Broken> {
        match self.peek() {
            b'"' => self.skip_string(),
            b'{' | b'[' => self.skip_container(),
            _ => self.scalar().map(drop),
        }
    }

    /// Passes a value and returns it.
    #[inline(always)]
    pub(crate) fn value(&mut self) -> Result<Value<'a>, Broken> {
        match self.peek() {
            b'"' => Ok(Value::Text(self.string()?)),
            b'{' | b'[' => {
                let start = self.position();
                self.skip_container()?;
                let end = self.positions[self.next - 1] as usize + 1;
                Ok(Value::Container(&self.text[start..end]))
            }
            _ => self.scalar(),
        }
    }

    #[inline(always)]
    fn position(&self) -> usize {
        self.positions[self.next] as usize
    }

    /// Passes a string. Without escapes there is nothing to check: the structure pass has found its end.
    #[inline(always)]
    fn skip_string(&mut self) -> Result<(), Broken> {
        if self.escapes {
            self.string()?;
        } else {
            self.take();
        }
        Ok(())
    }

    /// Passes a string and returns what stands between its quotes.
    #[inline(always)]
    fn string(&mut self) -> Result<&'a [u8], Broken> {
        let start = self.position() + 1;
        self.take();
        let behind = &self.text[start..self.position()];
        // Only white space stands between the closing quote and the next token.
        let length = match behind {
            [.., b'"'] => behind.len() - 1,
            _ => behind.iter().rposition(|&byte| byte == b'"').unwrap_or(0),
        };
        let content = &behind[..length];
        if self.escapes {
            super::escape::check(content).map_err(|at| Broken { at: start + at, what: "unknown escape" })?;
        }
        Ok(content)
    }

    /// Passes a number or a literal.
    #[inline]
    fn scalar(&mut self) -> Result<Value<'a>, Broken> {
        let start = self.position();
        let first = self.take();
        let text = self.text[start..self.position()].trim_ascii_end();
        let value = match first {
            b'-' | b'0'..=b'9' => number::form(text).map(|_| Value::Number(text)),
            b't' => (text == b"true").then_some(Value::Boolean(true)),
            b'f' => (text == b"false").then_some(Value::Boolean(false)),
            b'n' => (text == b"null").then_some(Value::Null),
            _ => None,
        };
        value.ok_or(Broken { at: start, what: "a value was expected" })
    }

    /// Passes an object or array with all that is in it.
    fn skip_container(&mut self) -> Result<(), Broken> {
        let mut nesting = Nesting::default();
        loop {
            let ended = self.begin_value(&mut nesting)?;
            if ended && self.end_values(&mut nesting)? {
                return Ok(());
            }
        }
    }

    /// Passes a value, or the opening bracket of one and, in an object, the first key. True if the value has ended.
    #[inline(always)]
    fn begin_value(&mut self, nesting: &mut Nesting) -> Result<bool, Broken> {
        match self.peek() {
            bracket @ (b'{' | b'[') => {
                if !nesting.enter(bracket == b'{') {
                    return Err(self.broken("nested too deeply"));
                }
                self.take();
                // `{` and `[` are two below their closing brackets.
                let empty = self.peek() == bracket + 2;
                if !empty && bracket == b'{' {
                    self.skip_key()?;
                }
                Ok(empty)
            }
            b'"' => self.skip_string().map(|()| true),
            _ => self.scalar().map(|_| true),
        }
    }

    /// Passes what stands behind a value: a comma and, in an object, the next key, or closing brackets. True if the
    /// outermost was among them.
    #[inline(always)]
    fn end_values(&mut self, nesting: &mut Nesting) -> Result<bool, Broken> {
        loop {
            match (self.peek(), nesting.in_object()) {
                (b',', object) => {
                    self.take();
                    if object {
                        self.skip_key()?;
                    }
                    return Ok(false);
                }
                (b'}', true) | (b']', false) => {
                    self.take();
                    if nesting.leave() {
                        return Ok(true);
                    }
                }
                _ => return Err(self.broken("a comma or a closing bracket was expected")),
            }
        }
    }

    #[inline(always)]
    fn skip_key(&mut self) -> Result<(), Broken> {
        if self.peek() != b'"' {
            return Err(self.broken("a key was expected"));
        }
        self.skip_string()?;
        if self.take() != b':' {
            return Err(self.broken("a colon was expected"));
        }
        Ok(())
    }
}

/// The containers that are open: one bit each, the innermost last, set for an object.
#[derive(Default)]
struct Nesting {
    objects: u128,
    depth: u32,
}

impl Nesting {
    #[inline]
    fn enter(&mut self, object: bool) -> bool {
        self.objects = self.objects << 1 | u128::from(object);
        self.depth += 1;
        self.depth <= MAX_DEPTH
    }

    /// Whether the outermost has been left.
    #[inline]
    fn leave(&mut self) -> bool {
        self.objects >>= 1;
        self.depth -= 1;
        self.depth == 0
    }

    #[inline]
    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn skip(text: &[u8]) -> Result<(), Broken> {
        let mut structure = Structure::default();
        structure.read(text);
        let mut cursor = Cursor::new(text, &structure)?;
        cursor.skip()?;
        cursor.end()
    }

    #[test]
    fn deep_nesting_is_refused_and_never_recurses() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert_eq!(skip(&nested(MAX_DEPTH as usize)), Ok(()));
        for depth in [MAX_DEPTH as usize + 1, 1_000, 500_000] {
            assert_eq!(skip(&nested(depth)).expect_err("too deep").what, "nested too deeply");
        }
        assert_eq!(skip("{\"a\":".repeat(1_000).as_bytes()).expect_err("too deep").what, "nested too deeply");
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1 \"b\":2}",
            "[1 2]",
            "[,]",
            "[1]]",
            "[1}",
            "tru",
            "tru\"e\"",
            "truefalse",
            "nul",
            "\"a\"b",
            "\"a\"\"b\"",
            "01",
            "1.",
            "-",
            "+1",
            "1e",
            "\"\\q\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "\"a",
            "[\"a]",
            "\u{0c}1",
            "\u{1a}",
            "1\u{1a}2",
            "{\"a\"\u{1a}1}",
            "NaN",
            "'a'",
            "//",
            "\\\"",
            "{1:2}",
            "{\"a\":1}{",
            "[[]",
            "{\"a\":[}",
            "\u{a0}1",
            "[1\u{c}2]",
        ] {
            assert!(skip(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn values_are_handed_out_as_written() {
        let text = br#" { "a" : [1, {"b":"c\"d"}] , "e": -1.5e3 , "f" : "g" , "h":null } "#;
        let mut structure = Structure::default();
        structure.read(text);
        let mut cursor = Cursor::new(text, &structure).expect("no fault");
        assert_eq!(cursor.take(), b'{');
        for (key, value) in [
            ("a", Value::Container(br#"[1, {"b":"c\"d"}]"#)),
            ("e", Value::Number(b"-1.5e3")),
            ("f", Value::Text(b"g")),
            ("h", Value::Null),
        ] {
            assert_eq!(cursor.key(), Ok(key.as_bytes()));
            assert_eq!(cursor.value(), Ok(value));
            cursor.take();
        }
        assert_eq!(cursor.end(), Ok(()));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value as Json;
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            "[a-z\\\\\"/\n\u{e9}{}\\[\\]:, ]{0,12}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
                proptest::collection::btree_map("[a-z\"\\\\]{0,6}", inner, 0..5)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_accepted(value in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            prop_assert_eq!(skip(text.expect("serializable").as_bytes()), Ok(()));
        }

        #[test]
        fn damaged_json_is_judged_as_serde_json_judges(
            value in json(), at in any::<prop::sample::Index>(), byte in prop::sample::select(br#"{}[]:,"\ 10-.etx"#.to_vec()),
            how in 0..3,
        ) {
            let mut text = serde_json::to_vec(&value).expect("serializable");
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ => { text.remove(at); }
            }
            // Damage to UTF-8 is found by another check.
            prop_assume!(std::str::from_utf8(&text).is_ok());
            let known = serde_json::from_slice::<serde::de::IgnoredAny>(&text);
            prop_assert_eq!(skip(&text).is_ok(), known.is_ok(), "{:?} {:?}", String::from_utf8_lossy(&text), known);
        }
    }
}
