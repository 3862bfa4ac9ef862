//! Settings: the configuration of a metric, read from JSON, with its JSON schema.

use crate::failure::Failure;
use crate::json::JsonValue;

/// A type of setting. `#[derive(Setting)]` makes one of a struct whose fields are settings; fields that are `Option`s or
/// have a `#[setting(default = …)]` may be absent. Unknown names are refused, so that a misspelt one is noticed.
///
/// ```
/// use tidemark_metric::Setting;
/// use tidemark_metric::json::JsonValue;
///
/// #[derive(Setting, PartialEq, Debug)]
/// struct Benchmark {
///     /// Half of all values are better.
///     p50: f64,
///     #[setting(default = 1)]
///     weight: i64,
/// }
/// let read = |json: &str| Benchmark::read(&JsonValue::parse(json).unwrap());
/// assert_eq!(read(r#"{"p50": 2}"#), Ok(Benchmark { p50: 2.0, weight: 1 }));
/// assert_eq!(read("{}"), Err("p50 is missing".to_owned()));
/// assert_eq!(read(r#"{"p50": 2, "p90": 9}"#), Err("there is no setting p90; there are p50, weight".to_owned()));
/// ```
pub trait Setting: Sized {
    /// Its JSON schema.
    fn schema() -> JsonValue;

    /// Reads it. The error says what is wrong, for the person who wrote the configuration.
    fn read(json: &JsonValue) -> Result<Self, String>;

    /// Writes it, for the `default` of a schema.
    fn write(&self) -> JsonValue;

    /// What it is where it is absent; `None` where it has to be there.
    #[must_use]
    fn absent() -> Option<Self> {
        None
    }
}

/// The settings in a document. Nothing, `null` and `{}` are the same.
pub(crate) fn from_json<T: Setting>(json: &str) -> Result<T, Failure> {
    let json = if json.trim().is_empty() { "null" } else { json };
    let document = match JsonValue::parse(json)? {
        JsonValue::Null => JsonValue::Object(Vec::new()),
        document => document,
    };
    Ok(T::read(&document)?)
}

/// One field of a struct of settings, as the derive macro writes it down.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// Its doc comment.
    pub doc: &'static str,
    /// Its schema.
    pub schema: JsonValue,
    /// What it is where it is absent.
    pub default: Option<JsonValue>,
    /// Whether it has to be there.
    pub required: bool,
}

/// The schema of a struct; `null` for one without fields.
#[must_use]
pub fn object_schema(members: Vec<Member>) -> JsonValue {
    if members.is_empty() {
        return JsonValue::Null;
    }
    let required = JsonValue::texts(members.iter().filter(|member| member.required).map(|member| member.name));
    let properties = members.into_iter().map(|member| {
        let JsonValue::Object(mut schema) = member.schema else { return (member.name, member.schema) };
        if !member.doc.is_empty() {
            schema.push(("description".to_owned(), member.doc.into()));
        }
        schema.extend(member.default.map(|default| ("default".to_owned(), default)));
        (member.name, JsonValue::Object(schema))
    });
    JsonValue::object([
        ("type", "object".into()),
        ("properties", JsonValue::object(properties)),
        ("required", required),
        ("additionalProperties", false.into()),
    ])
}

/// Refuses members of `json` that are not among `names`.
pub fn check_names(json: &JsonValue, names: &[&str]) -> Result<(), String> {
    let JsonValue::Object(members) = json else { return Err(format!("{json} is not an object")) };
    match members.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) if names.is_empty() => Err(format!("there is no setting {name}; there are none")),
        Some((name, _)) => Err(format!("there is no setting {name}; there are {}", names.join(", "))),
    }
}

/// The member `name` of `json`; where it is absent `default`, else what the type has for that case.
pub fn member<T: Setting>(json: &JsonValue, name: &str, default: Option<T>) -> Result<T, String> {
    match json.get(name) {
        Some(value) => T::read(value).map_err(|error| format!("{name}: {error}")),
        None => default.or_else(T::absent).ok_or_else(|| format!("{name} is missing")),
    }
}

fn typed(name: &str) -> JsonValue {
    JsonValue::object([("type", name.into())])
}

impl Setting for bool {
    fn schema() -> JsonValue {
        typed("boolean")
    }

    fn read(json: &JsonValue) -> Result<Self, String> {
        if let JsonValue::Boolean(value) = json { Ok(*value) } else { Err(format!("{json} is not true or false")) }
    }

    fn write(&self) -> JsonValue {
        (*self).into()
    }
}

impl Setting for i64 {
    fn schema() -> JsonValue {
        typed("integer")
    }

    fn read(json: &JsonValue) -> Result<Self, String> {
        let number = if let JsonValue::Number(text) = json { text.parse().ok() } else { None };
        number.ok_or_else(|| format!("{json} is not a whole number"))
    }

    fn write(&self) -> JsonValue {
        (*self).into()
    }
}

impl Setting for f64 {
    fn schema() -> JsonValue {
        typed("number")
    }

    fn read(json: &JsonValue) -> Result<Self, String> {
        let number = if let JsonValue::Number(text) = json { text.parse().ok() } else { None };
        number.filter(|number: &Self| number.is_finite()).ok_or_else(|| format!("{json} is not a number"))
    }

    fn write(&self) -> JsonValue {
        JsonValue::Number(self.to_string())
    }
}

impl Setting for String {
    fn schema() -> JsonValue {
        typed("string")
    }

    fn read(json: &JsonValue) -> Result<Self, String> {
        if let JsonValue::Text(text) = json { Ok(text.clone()) } else { Err(format!("{json} is not a text")) }
    }

    fn write(&self) -> JsonValue {
        self.as_str().into()
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn schema() -> JsonValue {
        JsonValue::object([("type", "array".into()), ("items", T::schema())])
    }

    fn read(json: &JsonValue) -> Result<Self, String> {
        let JsonValue::Array(items) = json else { return Err(format!("{json} is not an array")) };
        let read = |(index, item)| T::read(item).map_err(|error| format!("item {index}: {error}"));
        items.iter().enumerate().map(read).collect()
    }

    fn write(&self) -> JsonValue {
        JsonValue::Array(self.iter().map(T::write).collect())
    }
}

/// Absent and `null` are `None`.
impl<T: Setting> Setting for Option<T> {
    fn schema() -> JsonValue {
        JsonValue::object([("anyOf", JsonValue::Array(vec![T::schema(), typed("null")]))])
    }

    fn read(json: &JsonValue) -> Result<Self, String> {
        if *json == JsonValue::Null { Ok(None) } else { T::read(json).map(Some) }
    }

    fn write(&self) -> JsonValue {
        self.as_ref().map_or(JsonValue::Null, T::write)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}
