//! Metric configurations against the JSON schema that a module declares.
//!
//! The subset of JSON Schema (2020-12) that configurations need: `type`, `properties`, `required`,
//! `additionalProperties`, `items`, `enum`, `const`, `anyOf`, and the bounds of numbers, texts and lists. A schema with
//! any other keyword is refused rather than half understood: a check that is skipped in silence is worse than none.

use super::document::join;
use super::section::describe;
use super::suggest::nearest;
use serde_json::{Map, Value};

/// Keywords that say nothing about validity.
const ANNOTATIONS: [&str; 10] =
    ["$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly", "format"];

const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];

/// Deepest nesting of a schema.
const MAX_DEPTH: usize = 32;

/// Something that does not hold, with the path of the value it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Path from the root of the configuration, empty for the root itself.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// Checks `config` against `schema`. An error means that the schema itself is not understood.
pub fn check(schema: &Value, config: &Value) -> Result<Vec<Violation>, String> {
    understand(schema, "", 0)?;
    let mut violations = Vec::new();
    compare(schema, config, "", &mut violations);
    Ok(violations)
}

/// Whether every keyword of `schema` is one that [`compare`] honours, in the form that it expects.
fn understand(schema: &Value, path: &str, depth: usize) -> Result<(), String> {
    let at = if path.is_empty() { "the schema".to_owned() } else { format!("the schema of {path}") };
    if depth > MAX_DEPTH {
        return Err(format!("{at} is nested deeper than {MAX_DEPTH}"));
    }
    let fields = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(fields) => fields,
        other => return Err(format!("{at} must be an object, not {}", describe(other))),
    };
    for (keyword, value) in fields {
        let sound = match keyword.as_str() {
            name if ANNOTATIONS.contains(&name) => true,
            "type" => types_of(value).is_some(),
            "const" => true,
            "enum" => value.is_array(),
            "required" => value.as_array().is_some_and(|names| names.iter().all(Value::is_string)),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => value.is_number(),
            "minLength" | "maxLength" | "minItems" | "maxItems" => value.is_u64(),
            "items" | "additionalProperties" => {
                understand(value, &join(path, keyword), depth + 1)?;
                true
            }
            "anyOf" => match value {
                Value::Array(schemas) if !schemas.is_empty() => {
                    schemas.iter().try_for_each(|schema| understand(schema, path, depth + 1))?;
                    true
                }
                _ => false,
            },
            "properties" => match value {
                Value::Object(properties) => {
                    properties
                        .iter()
                        .try_for_each(|(name, schema)| understand(schema, &join(path, name), depth + 1))?;
                    true
                }
                _ => false,
            },
            other => return Err(format!("{at} uses `{other}`, which this version does not know")),
        };
        if !sound {
            return Err(format!("`{keyword}` in {at} has the wrong form"));
        }
    }
    Ok(())
}

fn types_of(value: &Value) -> Option<Vec<&str>> {
    let names = match value {
        Value::String(name) => vec![name.as_str()],
        Value::Array(names) => names.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    names.iter().all(|name| TYPES.contains(name)).then_some(names)
}

/// Compares a value with a schema that [`understand`] has accepted.
fn compare(schema: &Value, value: &Value, path: &str, violations: &mut Vec<Violation>) {
    let fields = match schema {
        Value::Object(fields) => fields,
        Value::Bool(false) => return violations.push(violation(path, "nothing is allowed here: leave it out")),
        _ => return,
    };
    if let Some(types) = fields.get("type").and_then(types_of)
        && !types.iter().any(|name| is_a(name, value))
    {
        return violations.push(violation(path, format!("must be {}, not {}", spell(&types), describe(value))));
    }
    if let Some(Value::Array(allowed)) = fields.get("enum")
        && !allowed.iter().any(|allowed| same(allowed, value))
    {
        let words: Vec<String> = allowed.iter().map(Value::to_string).collect();
        violations.push(violation(path, format!("must be one of {}, not {}", words.join(", "), describe(value))));
    }
    if let Some(Value::Array(schemas)) = fields.get("anyOf") {
        compare_any(schemas, value, path, violations);
    }
    if let Some(only) = fields.get("const").filter(|only| !same(only, value)) {
        violations.push(violation(path, format!("must be {only}, not {}", describe(value))));
    }
    match value {
        Value::Number(_) => compare_number(fields, value, path, violations),
        Value::String(text) => {
            compare_size(fields, ("minLength", "maxLength"), (text.chars().count(), "characters"), path, violations);
        }
        Value::Array(items) => {
            compare_size(fields, ("minItems", "maxItems"), (items.len(), "items"), path, violations);
            if let Some(schema) = fields.get("items") {
                let items = items.iter().enumerate();
                items.for_each(|(index, item)| compare(schema, item, &format!("{path}[{index}]"), violations));
            }
        }
        Value::Object(object) => compare_object(fields, object, path, violations),
        Value::Null | Value::Bool(_) => {}
    }
}

/// Notes what is wrong by the schema that comes nearest: the first one whose type fits, or else the first.
fn compare_any(schemas: &[Value], value: &Value, path: &str, violations: &mut Vec<Violation>) {
    let fits = |schema: &Value| match schema.get("type").and_then(types_of) {
        Some(types) => types.iter().any(|name| is_a(name, value)),
        None => true,
    };
    let mut attempts = Vec::with_capacity(schemas.len());
    for schema in schemas {
        let mut found = Vec::new();
        compare(schema, value, path, &mut found);
        if found.is_empty() {
            return;
        }
        attempts.push((fits(schema), found));
    }
    let nearest = attempts.iter().position(|(fits, _)| *fits).unwrap_or(0);
    violations.extend(attempts.swap_remove(nearest).1);
}

fn compare_number(fields: &Map<String, Value>, value: &Value, path: &str, violations: &mut Vec<Violation>) {
    type Holds = fn(f64, f64) -> bool;
    let bounds: [(&str, &str, Holds); 4] = [
        ("minimum", "at least", |value, bound| value >= bound),
        ("maximum", "at most", |value, bound| value <= bound),
        ("exclusiveMinimum", "greater than", |value, bound| value > bound),
        ("exclusiveMaximum", "less than", |value, bound| value < bound),
    ];
    for (keyword, words, holds) in bounds {
        let Some(bound) = fields.get(keyword) else { continue };
        if let (Some(number), Some(limit)) = (value.as_f64(), bound.as_f64())
            && !holds(number, limit)
        {
            violations.push(violation(path, format!("must be {words} {bound}, not {value}")));
        }
    }
}

fn compare_size(
    fields: &Map<String, Value>,
    (least, most): (&str, &str),
    (size, unit): (usize, &str),
    path: &str,
    violations: &mut Vec<Violation>,
) {
    let limit = |keyword| fields.get(keyword).and_then(Value::as_u64);
    if let Some(limit) = limit(least).filter(|limit| (size as u64) < *limit) {
        violations.push(violation(path, format!("must have at least {limit} {unit}, not {size}")));
    }
    if let Some(limit) = limit(most).filter(|limit| (size as u64) > *limit) {
        violations.push(violation(path, format!("must have at most {limit} {unit}, not {size}")));
    }
}

fn compare_object(
    fields: &Map<String, Value>,
    object: &Map<String, Value>,
    path: &str,
    violations: &mut Vec<Violation>,
) {
    let none = Map::new();
    let properties = fields.get("properties").and_then(Value::as_object).unwrap_or(&none);
    for name in fields.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(name) {
            violations.push(violation(path, format!("`{name}` is missing: write it")));
        }
    }
    for (name, value) in object {
        let path = join(path, name);
        match (properties.get(name), fields.get("additionalProperties")) {
            (Some(schema), _) => compare(schema, value, &path, violations),
            (None, Some(Value::Bool(false))) => {
                let known = properties.keys().map(String::as_str);
                let hint = match nearest(name, known.clone()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("known here: {}", known.collect::<Vec<_>>().join(", ")),
                };
                violations.push(violation(&path, format!("unknown field; {hint}")));
            }
            (None, Some(schema)) => compare(schema, value, &path, violations),
            (None, None) => {}
        }
    }
}

fn violation(path: &str, message: impl Into<String>) -> Violation {
    Violation { path: path.to_owned(), message: message.into() }
}

/// Whether the value is of the type; a float without a fraction is an integer, as JSON Schema has it.
fn is_a(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => value.is_object(),
    }
}

/// Equality in which 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    a == b || (a.is_number() && b.is_number() && a.as_f64() == b.as_f64())
}

fn spell(types: &[&str]) -> String {
    let words = types.iter().map(|name| match *name {
        "null" => "nothing",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "array" => "a list",
        _ => "a table",
    });
    words.collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests;
