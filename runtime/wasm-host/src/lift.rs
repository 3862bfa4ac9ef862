//! The one place where everything that a module returns is bounded and checked, and becomes Arrow.
//!
//! Nothing here trusts a length, an index or an encoding. Limits are those of one group, so that the verdict on a group
//! does not depend on its neighbours in the call. A single mistake condemns the whole answer: [`crate::isolate`] finds
//! the groups that cause it.

use crate::abi;
use crate::limits::{LimitExceeded, Limits};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_select::filter::filter;
use serde::de::IgnoredAny;
use std::fmt::Display;
use std::sync::Arc;
use tidemark_engine::dead_letter::Reason;
use tidemark_engine::descriptor::{ColumnType, OutputColumn};
use tidemark_engine::guest::{Emitted, Folded, GroupFailure, VarBytes};

/// What an answer must look like.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// Groups of the call: one state each.
    pub(crate) groups: usize,
    /// Columns of emitted rows; `None` where the call may emit nothing and set no timers.
    pub(crate) output: Option<&'a [OutputColumn]>,
    /// Bounds.
    pub(crate) limits: &'a Limits,
}

/// Checks `raw` and turns it into the engine's form, or says what is wrong with it.
pub(crate) fn lift(raw: abi::Folded, expected: Expected<'_>) -> Result<Folded, String> {
    let failures = failures(raw.failures, expected)?;
    let states = states(raw.states, &failures, expected)?;
    let (emitted, timers) = match expected.output {
        Some(output) => (emitted(raw.emitted, output, &failures, expected)?, timers(raw.timers, &failures, expected)?),
        None if raw.emitted.groups.is_empty() && raw.timers.is_empty() => Default::default(),
        None => return Err("merge and migrate must not emit rows or set timers".into()),
    };
    Ok(Folded { states, emitted, timers, failures })
}

fn failures(raw: Vec<abi::Failure>, expected: Expected<'_>) -> Result<Vec<GroupFailure>, String> {
    let mut failures = Vec::with_capacity(raw.len());
    let mut next = 0;
    for abi::Failure { group, mut message } in raw {
        if group as usize >= expected.groups || group < next {
            return Err(format!("failures: group {group} out of range or order, of {} groups", expected.groups));
        }
        next = group + 1;
        message.truncate(message.floor_char_boundary(expected.limits.message_bytes));
        failures.push(GroupFailure { group, reason: Reason::GuestFailure, detail: message });
    }
    Ok(failures)
}

/// Whether `group` is in `failures`, which ascend.
fn failed(failures: &[GroupFailure], group: usize) -> bool {
    !failures.is_empty() && failures.binary_search_by_key(&group, |failure| failure.group as usize).is_ok()
}

/// States as returned, but none for failed groups.
fn states(raw: abi::OwnedByteStrings, failures: &[GroupFailure], expected: Expected<'_>) -> Result<VarBytes, String> {
    let states = strings(raw, expected.groups).map_err(|detail| format!("states: {detail}"))?;
    let limit = expected.limits.state_bytes;
    let mut start = 0;
    for (group, &end) in states.ends.iter().enumerate() {
        let length = (end - start) as usize;
        start = end;
        if length > limit && !failed(failures, group) {
            return Err(LimitExceeded::at_once("state_bytes", limit, length).to_string());
        }
    }
    if failures.is_empty() {
        return Ok(states);
    }
    let mut kept = VarBytes::default();
    for group in 0..states.len() {
        kept.push(if failed(failures, group) { &[] } else { states.get(group) });
    }
    Ok(kept)
}

/// Checks that there are `count` strings and that their ends are true.
fn strings(raw: abi::OwnedByteStrings, count: usize) -> Result<VarBytes, String> {
    let abi::OwnedByteStrings { ends, bytes } = raw;
    if ends.len() != count {
        return Err(format!("{} strings instead of {count}", ends.len()));
    }
    if !ends.is_sorted() {
        return Err("ends decrease".into());
    }
    let last = ends.last().copied().unwrap_or(0);
    if last as usize != bytes.len() {
        return Err(format!("the last string ends at {last} of {} bytes", bytes.len()));
    }
    Ok(VarBytes { ends, bytes })
}

fn timers(raw: Vec<abi::Timer>, failures: &[GroupFailure], expected: Expected<'_>) -> Result<Vec<(u32, i64)>, String> {
    let groups = raw.iter().map(|timer| timer.group);
    bound_per_group("timers", groups, expected.limits.timers, expected.groups)?;
    Ok(raw
        .into_iter()
        .filter(|timer| !failed(failures, timer.group as usize))
        .map(|timer| (timer.group, timer.time))
        .collect())
}

/// Checks that every group is in range and occurs at most `limit` times.
fn bound_per_group(
    name: &'static str,
    mut entries: impl ExactSizeIterator<Item = u32>,
    limit: u32,
    groups: usize,
) -> Result<(), String> {
    if entries.len() <= limit as usize {
        return match entries.find(|&group| group as usize >= groups) {
            Some(group) => Err(format!("{name}: group {group} of {groups}")),
            None => Ok(()),
        };
    }
    let mut counts = vec![0_u32; groups];
    for group in entries {
        let count = counts.get_mut(group as usize).ok_or_else(|| format!("{name}: group {group} of {groups}"))?;
        *count += 1;
        if *count > limit {
            let (limit, current, requested) = (limit.into(), limit.into(), u64::from(*count));
            return Err(LimitExceeded { name, limit, current, requested }.to_string());
        }
    }
    Ok(())
}

fn emitted(
    raw: abi::Emitted,
    output: &[OutputColumn],
    failures: &[GroupFailure],
    expected: Expected<'_>,
) -> Result<Emitted, String> {
    let rows = raw.groups.len();
    if rows == 0 {
        return Ok(Emitted::default());
    }
    if !raw.groups.is_sorted() {
        return Err("emitted rows: groups decrease".into());
    }
    bound_per_group("output_rows", raw.groups.iter().copied(), expected.limits.output_rows, expected.groups)?;
    if raw.columns.len() != output.len() {
        return Err(format!("emitted rows: {} columns instead of {}", raw.columns.len(), output.len()));
    }
    let mut columns = Vec::with_capacity(output.len());
    for (column, declared) in raw.columns.into_iter().zip(output) {
        let lifted = lift_column(column, declared, rows);
        columns.push(lifted.map_err(|detail| format!("emitted column `{}`: {detail}", declared.name))?);
    }
    Ok(without_failed(Emitted { groups: raw.groups, columns }, failures))
}

fn without_failed(emitted: Emitted, failures: &[GroupFailure]) -> Emitted {
    if failures.is_empty() {
        return emitted;
    }
    let keep: BooleanArray = emitted.groups.iter().map(|&group| Some(!failed(failures, group as usize))).collect();
    if keep.true_count() == 0 {
        return Emitted::default();
    }
    let columns = emitted.columns.iter();
    let columns = columns.map(|column| filter(column, &keep).expect("the mask is as long as the column")).collect();
    Emitted { groups: emitted.groups.into_iter().filter(|&group| !failed(failures, group as usize)).collect(), columns }
}

fn lift_column(raw: abi::OwnedColumn, declared: &OutputColumn, rows: usize) -> Result<ArrayRef, String> {
    let nulls = lift_validity(raw.validity, rows)?;
    if !declared.nullable && nulls.is_some() {
        return Err("null, but it is declared as never null".into());
    }
    match (raw.values, declared.kind) {
        (abi::OwnedValues::Booleans(values), ColumnType::Boolean) => {
            counted(values.len(), rows)?;
            lift_booleans(&values, nulls)
        }
        (abi::OwnedValues::Integers(values), ColumnType::Integer) => {
            counted(values.len(), rows)?;
            Ok(Arc::new(Int64Array::new(values.into(), nulls)))
        }
        (abi::OwnedValues::Floats(mut values), ColumnType::Float) => {
            counted(values.len(), rows)?;
            canonicalise(&mut values);
            Ok(Arc::new(Float64Array::new(values.into(), nulls)))
        }
        (abi::OwnedValues::Texts(texts), ColumnType::Text) => Ok(Arc::new(lift_texts(texts, rows, nulls)?)),
        (abi::OwnedValues::Texts(texts), ColumnType::Json) => {
            let texts = lift_texts(texts, rows, nulls)?;
            match texts.iter().flatten().find_map(|text| serde_json::from_str::<IgnoredAny>(text).err()) {
                Some(error) => Err(format!("not JSON: {error}")),
                None => Ok(Arc::new(texts)),
            }
        }
        (other, kind) => Err(format!("{} where {kind:?} is declared", name_of(&other))),
    }
}

const fn name_of(values: &abi::OwnedValues) -> &'static str {
    match values {
        abi::OwnedValues::Booleans(_) => "booleans",
        abi::OwnedValues::Integers(_) => "integers",
        abi::OwnedValues::Floats(_) => "floats",
        abi::OwnedValues::Texts(_) => "texts",
    }
}

fn counted(found: usize, rows: usize) -> Result<(), String> {
    if found == rows { Ok(()) } else { Err(format!("{found} values instead of {rows}")) }
}

/// `None` where no row is null.
fn lift_validity(bitmap: Vec<u8>, rows: usize) -> Result<Option<NullBuffer>, String> {
    if bitmap.is_empty() {
        return Ok(None);
    }
    if bitmap.len() != rows.div_ceil(8) {
        return Err(format!("validity of {} bytes for {rows} rows", bitmap.len()));
    }
    let nulls = NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bitmap), 0, rows));
    Ok(Some(nulls).filter(|nulls| nulls.null_count() > 0))
}

fn lift_booleans(values: &[u8], nulls: Option<NullBuffer>) -> Result<ArrayRef, String> {
    let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    if let Some(row) = (0..values.len()).find(|&row| values[row] > 1 && !is_null(row)) {
        return Err(format!("{} is neither 0 nor 1", values[row]));
    }
    let bits = BooleanBuffer::collect_bool(values.len(), |row| values[row] == 1);
    Ok(Arc::new(BooleanArray::new(bits, nulls)))
}

/// One bit pattern for "not a number": payloads would make equal results differ.
fn canonicalise(values: &mut [f64]) {
    for value in values {
        if value.is_nan() {
            *value = f64::NAN;
        }
    }
}

fn lift_texts(raw: abi::OwnedByteStrings, rows: usize, nulls: Option<NullBuffer>) -> Result<StringArray, String> {
    let strings = strings(raw, rows)?;
    i32::try_from(strings.bytes.len()).map_err(|_| "more than 2 GiB of text".to_owned())?;
    let offsets: Vec<i32> = std::iter::once(0).chain(strings.ends.iter().map(|&end| end as i32)).collect();
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    StringArray::try_new(offsets, Buffer::from_vec(strings.bytes), nulls).map_err(|error| not_utf8(&error))
}

fn not_utf8(error: &dyn Display) -> String {
    format!("not UTF-8: {error}")
}

#[cfg(test)]
mod tests;
