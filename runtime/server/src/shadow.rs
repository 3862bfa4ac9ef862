//! The question that compares a shadow with its live metric, in SQL. Their rows have the same ids, since a shadow's are
//! made of the live metric's name.

use tidemark_engine::descriptor::{ColumnType, OutputColumn};

/// Counts of rows that are equal, changed, or in one table only, and for each of `columns` how far it differs. Compared are
/// rows of windows that start from `from_ms` on, and rows without a window from that event time on.
#[must_use]
pub fn query(live: &str, shadow: &str, from_ms: i64, columns: &[OutputColumn]) -> String {
    let table = |metric: &str| {
        let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
        let names = [vec!["row_id".to_owned()], names].concat().join(", ");
        let moment = "CAST(coalesce(window_start, event_time) AS BIGINT)";
        // A window that fired again has several rows with one id: the last one counts.
        format!(
            "(SELECT {names} FROM (SELECT *, row_number() OVER (PARTITION BY row_id ORDER BY epoch DESC) AS place FROM {}) \
             WHERE place = 1 AND {moment} >= {from_ms})",
            quoted(&metric.replace('-', "_"))
        )
    };
    let same = |column: &OutputColumn| {
        let name = quoted(&column.name);
        format!("(l.{name} IS NOT DISTINCT FROM s.{name})")
    };
    let both = "l.row_id IS NOT NULL AND s.row_id IS NOT NULL";
    let all_same: Vec<String> = columns.iter().map(same).collect();
    let all_same = if all_same.is_empty() { "true".to_owned() } else { all_same.join(" AND ") };
    let mut counts = vec![
        "count(l.row_id) AS live_rows".to_owned(),
        "count(s.row_id) AS shadow_rows".to_owned(),
        format!("count(*) FILTER (WHERE {both} AND {all_same}) AS \"equal\""),
        format!("count(*) FILTER (WHERE {both} AND NOT ({all_same})) AS changed"),
        "count(*) FILTER (WHERE s.row_id IS NULL) AS only_live".to_owned(),
        "count(*) FILTER (WHERE l.row_id IS NULL) AS only_shadow".to_owned(),
    ];
    for (place, column) in columns.iter().enumerate() {
        let name = quoted(&column.name);
        counts.push(format!("count(*) FILTER (WHERE {both} AND NOT ({})) AS differs_{place}", same(column)));
        if matches!(column.kind, ColumnType::Integer | ColumnType::Float) {
            counts.push(format!(
                "max(abs(CAST(l.{name} AS DOUBLE) - CAST(s.{name} AS DOUBLE))) FILTER (WHERE {both}) AS largest_{place}"
            ));
        }
    }
    format!(
        "SELECT {} FROM {} l FULL OUTER JOIN {} s ON l.row_id = s.row_id",
        counts.join(", "),
        table(live),
        table(shadow)
    )
}

/// A name as SQL takes it, whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
