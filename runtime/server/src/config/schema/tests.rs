//! What schemas accept, and the words for what they don't.

use super::*;
use serde_json::json;

fn messages(schema: Value, config: Value) -> Vec<String> {
    let violations = check(&schema, &config).expect("the schema is understood");
    violations.into_iter().map(|violation| format!("{}: {}", violation.path, violation.message)).collect()
}

#[test]
fn finds_every_violation() {
    let schema = json!({
        "type": "object", "required": ["target"], "additionalProperties": false,
        "properties": {
            "target": { "type": "number", "exclusiveMinimum": 0, "maximum": 1 },
            "samples": { "type": "integer", "minimum": 2 },
            "mode": { "enum": ["population", "sample"] },
            "names": { "type": "array", "minItems": 1, "items": { "type": "string", "maxLength": 3 } }
        }
    });
    let config = json!({ "targte": 1, "samples": 1.5, "mode": "other", "names": ["ab", "abcd", 1] });
    assert_eq!(
        messages(schema, config),
        [
            ": `target` is missing: write it",
            "targte: unknown field; did you mean `target`?",
            "samples: must be a whole number, not 1.5",
            "mode: must be one of \"population\", \"sample\", not \"other\"",
            "names[1]: must have at most 3 characters, not 4",
            "names[2]: must be a text, not 1",
        ]
    );
}

#[test]
fn accepts_what_is_valid() {
    let schema = json!({ "type": ["object", "null"], "properties": { "a": { "type": "integer" } } });
    assert!(messages(schema.clone(), json!({ "a": 2.0, "b": "free" })).is_empty());
    assert!(messages(schema, Value::Null).is_empty());
}

#[test]
fn one_fitting_alternative_is_enough() {
    let object = json!({ "type": "object", "required": ["p50"], "properties": { "p50": { "type": "number" } } });
    let schema = json!({ "anyOf": [object, { "type": "null" }] });
    assert!(messages(schema.clone(), json!({ "p50": 1 })).is_empty());
    assert!(messages(schema.clone(), Value::Null).is_empty());
    assert_eq!(messages(schema.clone(), json!({ "p50": "1" })), ["p50: must be a number, not \"1\""]);
    assert_eq!(messages(schema, json!(3)), [": must be a table, not 3"]);
}

#[test]
fn bounds_include_and_exclude_as_they_say() {
    let number = |schema: Value, value: Value| messages(schema, value).len();
    assert_eq!(number(json!({ "minimum": 1 }), json!(1)), 0);
    assert_eq!(number(json!({ "exclusiveMinimum": 1 }), json!(1)), 1);
    assert_eq!(number(json!({ "maximum": 1 }), json!(1.5)), 1);
    assert_eq!(number(json!({ "exclusiveMaximum": 2 }), json!(1.5)), 0);
}

#[test]
fn refuses_schemas_that_it_does_not_understand() {
    for schema in [
        json!({ "anyOf": [] }),
        json!({ "oneOf": [{}] }),
        json!({ "type": "float" }),
        json!({ "properties": { "a": { "pattern": "x" } } }),
        json!({ "minimum": "1" }),
        json!({ "items": [] }),
        json!(3),
    ] {
        assert!(check(&schema, &json!({})).is_err(), "{schema}");
    }
    let deep = (0..40).fold(json!({}), |inner, _| json!({ "items": inner }));
    assert!(check(&deep, &json!([])).is_err());
}
