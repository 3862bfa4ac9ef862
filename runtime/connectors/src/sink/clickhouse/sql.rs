//! Names and texts in statements: quoted, since metrics and columns are named by others.

/// `name` as an identifier.
pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// `text` as a string literal.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Identifiers, with commas between them.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(identifier).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_cannot_be_left() {
        assert_eq!(identifier("a`b\\"), "`a\\`b\\\\`");
        assert_eq!(literal("it's \\"), "'it\\'s \\\\'");
        assert_eq!(list(["a", "b c"]), "`a`, `b c`");
    }
}
