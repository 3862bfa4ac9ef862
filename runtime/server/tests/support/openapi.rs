//! Answers against the OpenAPI document: the part of JSON Schema that the document uses.

use serde_json::Value;

/// What is wrong with `value` as an instance of `schema`, whose references lead into `document`.
pub fn violations(document: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    check(document, schema, value, path, &mut found);
    found
}

fn check(document: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').expect("references stay in the document");
        let target = document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"));
        return check(document, target, value, path, found);
    }
    for all in schema["allOf"].as_array().into_iter().flatten() {
        check(document, all, value, path, found);
    }
    for several in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[several].as_array() {
            let fits = |choice: &&Value| violations(document, choice, value, path).is_empty();
            if !choices.iter().any(|choice| fits(&choice)) {
                found.push(format!("{path}: {value} is none of {several}"));
            }
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|name| is(value, name)) {
        found.push(format!("{path}: {value} is not {types:?}"));
        return;
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        found.push(format!("{path}: {value} is none of {words:?}"));
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
        && number < least
    {
        found.push(format!("{path}: {number} is below {least}"));
    }
    if let Some(items) = value.as_array() {
        for (index, item) in items.iter().enumerate().take(20) {
            check(document, &schema["items"], item, &format!("{path}[{index}]"), found);
        }
    }
    if let Some(fields) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                found.push(format!("{path}: {name} is missing"));
            }
        }
        let known = schema["properties"].as_object();
        for (name, field) in fields {
            match known.and_then(|known| known.get(name)) {
                Some(schema) => check(document, schema, field, &format!("{path}.{name}"), found),
                // An object that names its fields has no others; one that names none has any.
                None if known.is_some() && !schema["additionalProperties"].is_object() => {
                    found.push(format!("{path}: {name} is not described"));
                }
                None => {}
            }
        }
    }
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the document has a type {other}"),
    }
}
