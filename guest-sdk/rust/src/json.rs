//! A small JSON reader and writer: settings come as JSON and `describe` is JSON, neither is on the way of rows.

use std::fmt;

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 64;

/// A JSON value. Numbers keep their text, so that none loses precision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JsonValue {
    /// `null`
    Null,
    /// `true` and `false`
    Boolean(bool),
    /// A number, as it is written.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    Array(Vec<JsonValue>),
    /// An object, in the order of the document.
    Object(Vec<(String, JsonValue)>),
}

impl JsonValue {
    /// Reads a whole document. The error says what is wrong and at which byte.
    pub fn parse(document: &str) -> Result<Self, String> {
        let mut parser = Parser { document, at: 0 };
        let value = parser.value(MAX_DEPTH)?;
        parser.skip_space();
        if parser.at == document.len() { Ok(value) } else { Err(parser.error("expected the end")) }
    }

    /// The member `name` of an object; of several the last.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().rev().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    /// An array of texts.
    pub(crate) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Array(texts.into_iter().map(Self::from).collect())
    }

    /// An object with these members.
    pub(crate) fn object<'a>(members: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

impl From<&str> for JsonValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for JsonValue {
    fn from(number: i64) -> Self {
        Self::Number(number.to_string())
    }
}

impl From<bool> for JsonValue {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl fmt::Display for JsonValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Boolean(value) => write!(formatter, "{value}"),
            Self::Number(number) => formatter.write_str(number),
            Self::Text(text) => write_text(text, formatter),
            Self::Array(items) => {
                formatter.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(formatter, "{}{item}", if index == 0 { "" } else { "," })?;
                }
                formatter.write_str("]")
            }
            Self::Object(members) => {
                formatter.write_str("{")?;
                for (index, (name, value)) in members.iter().enumerate() {
                    formatter.write_str(if index == 0 { "" } else { "," })?;
                    write_text(name, formatter)?;
                    write!(formatter, ":{value}")?;
                }
                formatter.write_str("}")
            }
        }
    }
}

fn write_text(text: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    formatter.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' => formatter.write_str("\\\"")?,
            '\\' => formatter.write_str("\\\\")?,
            '\n' => formatter.write_str("\\n")?,
            control if control < ' ' => write!(formatter, "\\u{:04x}", u32::from(control))?,
            other => write!(formatter, "{other}")?,
        }
    }
    formatter.write_str("\"")
}

struct Parser<'a> {
    document: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<JsonValue, String> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.text().map(JsonValue::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let words = [
                    ("null", JsonValue::Null),
                    ("true", JsonValue::Boolean(true)),
                    ("false", JsonValue::Boolean(false)),
                ];
                let found = words.into_iter().find(|(word, _)| self.document[self.at..].starts_with(word));
                let (word, value) = found.ok_or_else(|| self.error("expected a value"))?;
                self.at += word.len();
                Ok(value)
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<JsonValue, String> {
        let mut members = Vec::new();
        self.items(depth, b'}', |parser, depth| {
            parser.skip_space();
            let name = parser.text()?;
            parser.skip_space();
            parser.expect(b':')?;
            members.push((name, parser.value(depth)?));
            Ok(())
        })?;
        Ok(JsonValue::Object(members))
    }

    fn array(&mut self, depth: usize) -> Result<JsonValue, String> {
        let mut items = Vec::new();
        self.items(depth, b']', |parser, depth| {
            items.push(parser.value(depth)?);
            Ok(())
        })?;
        Ok(JsonValue::Array(items))
    }

    /// What stands between an opening bracket and `close`, separated by commas.
    fn items(
        &mut self,
        depth: usize,
        close: u8,
        mut item: impl FnMut(&mut Self, usize) -> Result<(), String>,
    ) -> Result<(), String> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.error("nested too deeply"))?;
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self, depth)?;
            self.skip_space();
            if self.peek() == Some(close) {
                self.at += 1;
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn number(&mut self) -> Result<JsonValue, String> {
        let start = self.at;
        self.skip(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'));
        let text = &self.document[start..self.at];
        // Rust reads a few more forms than JSON has; those that begin like a number are excluded by hand.
        let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
        let leading_zero = digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit();
        let dot = text.find('.');
        let bare_dot = dot.is_some_and(|dot| {
            let is_digit = |index: usize| text.as_bytes().get(index).is_some_and(u8::is_ascii_digit);
            dot == 0 || !is_digit(dot - 1) || !is_digit(dot + 1)
        });
        if leading_zero || bare_dot || text.parse::<f64>().is_err() {
            self.at = start;
            return Err(self.error("expected a number"));
        }
        Ok(JsonValue::Number(text.to_owned()))
    }

    fn text(&mut self) -> Result<String, String> {
        self.expect(b'"')?;
        let mut text = String::new();
        loop {
            let start = self.at;
            self.skip(|byte| byte != b'"' && byte != b'\\' && byte >= b' ');
            text.push_str(&self.document[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                _ => return Err(self.error("expected the end of a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let letter = self.peek().ok_or_else(|| self.error("expected an escape"))?;
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut units = vec![self.unit()?];
                if (0xd800..0xdc00).contains(&units[0]) && self.document[self.at..].starts_with("\\u") {
                    self.at += 2;
                    units.push(self.unit()?);
                }
                let decoded = String::from_utf16(&units).ok().and_then(|text| text.chars().next());
                decoded.ok_or_else(|| self.error("half of a surrogate pair"))?
            }
            _ => return Err(self.error("no such escape")),
        })
    }

    fn unit(&mut self) -> Result<u16, String> {
        let digits = self.document.get(self.at..self.at + 4).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        self.at += 4;
        unit.ok_or_else(|| self.error("expected four hexadecimal digits"))
    }

    fn peek(&self) -> Option<u8> {
        self.document.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.peek() != Some(byte) {
            return Err(self.error(&format!("expected `{}`", char::from(byte))));
        }
        self.at += 1;
        Ok(())
    }

    fn skip(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
    }

    fn skip_space(&mut self) {
        self.skip(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
    }

    fn error(&self, message: &str) -> String {
        format!("{message} at byte {}", self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_survive_reading_and_writing() {
        for document in
            ["null", r#"{"a":[1,-2.5e3,"x\n\"\\",true,false,null,{}],"b":{"c":[]}}"#, r#"["ä😀"]"#, "9007199254740993"]
        {
            assert_eq!(JsonValue::parse(document).expect("valid").to_string(), document);
        }
        assert_eq!(JsonValue::parse(r#" "\ud83d\ude00\u00e4" "#), Ok(JsonValue::Text("😀ä".to_owned())));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for document in [
            "",
            "nul",
            "01",
            "-",
            "1.",
            ".5",
            "+1",
            "1e",
            "[1,]",
            "[1",
            "{\"a\"}",
            "{a:1}",
            "\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\u12\"",
            "\"\n\"",
            "1 2",
            "'a'",
            "\"\\uäöü\"",
            "Infinity",
            "--1",
        ] {
            assert!(JsonValue::parse(document).is_err(), "{document}");
        }
        assert!(JsonValue::parse(&"[".repeat(10_000)).is_err(), "bounded recursion");
    }
}
