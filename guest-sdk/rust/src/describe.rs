//! The text of `describe`: the format is documented in `wit/describe.md`.

use crate::facts::{Condition, Facts, Filter, JoinTerms, Window};
use crate::input::InputField;
use crate::json::JsonValue;
use crate::metric::{Metric, Side};
use crate::output::{Output, OutputColumn};
use crate::setting::Setting;

/// Version of the format.
const DESCRIBE_VERSION: i64 = 1;

/// [`Metric::describe`].
#[must_use]
pub fn describe<M: Metric + Setting>() -> String {
    let Facts { name, version, doc, key, filter, window, state_version, mergeable } = M::FACTS;
    let description = JsonValue::object([
        ("describe", DESCRIBE_VERSION.into()),
        ("name", name.into()),
        ("version", version.into()),
        ("doc", doc.into()),
        ("inputs", JsonValue::Array(M::inputs().into_iter().map(input_json).collect())),
        ("filter", filter_json(filter)),
        ("key", key.into()),
        ("window", window_json(window)),
        ("output", JsonValue::Array(M::Output::COLUMNS.iter().map(output_json).collect())),
        ("state_version", i64::from(state_version).into()),
        ("config_schema", M::schema()),
        ("mergeable", mergeable.into()),
    ]);
    description.to_string()
}

fn input_json((field, side): (InputField, Option<Side>)) -> JsonValue {
    let side = side.map(|side| ("side", if side == Side::Left { "left" } else { "right" }.into()));
    let column = [("name", field.name.into()), ("path", field.path.into()), ("type", field.kind.name().into())];
    JsonValue::object(column.into_iter().chain(side))
}

fn output_json(column: &OutputColumn) -> JsonValue {
    JsonValue::object([
        ("name", column.name.into()),
        ("type", column.kind.name().into()),
        ("nullable", column.nullable.into()),
    ])
}

fn filter_json(filter: Filter) -> JsonValue {
    JsonValue::object(filter.iter().map(|(path, condition)| {
        let condition = match condition {
            Condition::OneOf(texts) => JsonValue::texts(texts.iter().copied()),
            Condition::Present => true.into(),
            Condition::Absent => false.into(),
        };
        (*path, condition)
    }))
}

fn window_json(window: Window) -> JsonValue {
    match window {
        Window::Tumbling { size_ms, offset_ms } => JsonValue::object([
            ("kind", "tumbling".into()),
            ("size_ms", size_ms.into()),
            ("offset_ms", offset_ms.into()),
        ]),
        Window::Sliding { size_ms, slide_ms, offset_ms } => JsonValue::object([
            ("kind", "sliding".into()),
            ("size_ms", size_ms.into()),
            ("slide_ms", slide_ms.into()),
            ("offset_ms", offset_ms.into()),
        ]),
        Window::Session { gap_ms } => JsonValue::object([("kind", "session".into()), ("gap_ms", gap_ms.into())]),
        Window::Key { ttl_ms } => {
            let ttl = ttl_ms.map(|ttl_ms| ("ttl_ms", ttl_ms.into()));
            JsonValue::object([("kind", "key".into())].into_iter().chain(ttl))
        }
        Window::Join(terms) => join_json(&terms),
    }
}

fn join_json(terms: &JoinTerms) -> JsonValue {
    let bound = |exclusive| if exclusive { "exclusive" } else { "inclusive" };
    let unmatched = match (terms.unmatched_left, terms.unmatched_right) {
        (false, false) => "none",
        (true, false) => "left",
        (false, true) => "right",
        (true, true) => "both",
    };
    JsonValue::object([
        ("kind", "interval-join".into()),
        ("left", filter_json(terms.left)),
        ("right", filter_json(terms.right)),
        ("lower_ms", terms.lower_ms.into()),
        ("upper_ms", terms.upper_ms.into()),
        ("lower", bound(terms.lower_exclusive).into()),
        ("upper", bound(terms.upper_exclusive).into()),
        ("take", if terms.take_first { "first" } else { "all" }.into()),
        ("unmatched", unmatched.into()),
    ])
}
