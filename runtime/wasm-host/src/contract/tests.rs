//! Modules that break one promise each, and one that keeps them all, as native functions: the checks must tell them apart.

use super::laws::Trial;
use super::report::{Check, Finding, Outcome};
use serde_json::{Value, json};
use std::sync::Arc;
use tidemark_engine::dead_letter::Reason;
use tidemark_engine::descriptor::{ColumnType, Descriptor, InputColumn, OutputColumn, WindowSpec};
use tidemark_engine::guest::{
    CloseReason, Folded, GroupFailure, Guest, GuestBatch, GuestError, GuestFactory, VarBytes,
};
use tidemark_engine::memory::{GroupView, NativeFactory, NativeMetric, Reply, input, output};

/// How a module breaks a promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    /// Each instance counts its calls.
    Remember,
    /// States hold how many groups were in the call.
    Neighbours,
    /// Emits a row for each call.
    PerCall,
    /// Closes once.
    Forget,
    /// Keeps the later of two states.
    MergeLast,
    /// Traps where there is no value.
    Trap,
    /// Takes nothing.
    Refuse,
    /// Never ends.
    Endless,
}

/// Counts rows and adds their values.
struct Sum(Fault);

impl NativeMetric for Sum {
    fn inputs(&self) -> Vec<InputColumn> {
        vec![input("value", "data.value", ColumnType::Float)]
    }

    fn output(&self) -> Vec<OutputColumn> {
        vec![output("rows", ColumnType::Integer), output("sum", ColumnType::Float)]
    }

    fn update(&self, state: &mut Value, group: &GroupView) -> Result<Reply, String> {
        if self.0 == Fault::Refuse {
            return Err("no such customer".to_owned());
        }
        let mut sum = state["sum"].as_f64().unwrap_or(0.0);
        for (_, row) in &group.rows {
            sum += row[0].as_f64().unwrap_or(0.0);
        }
        *state = json!({ "rows": state["rows"].as_u64().unwrap_or(0) + group.rows.len() as u64, "sum": sum });
        let rows = if self.0 == Fault::PerCall { vec![vec![json!(group.rows.len()), Value::Null]] } else { vec![] };
        Ok(Reply { rows, timers: vec![] })
    }

    fn close(&self, state: &mut Value, _: &GroupView, _: CloseReason) -> Result<Reply, String> {
        let rows = vec![vec![state["rows"].clone(), state["sum"].clone()]];
        if self.0 == Fault::Forget {
            *state = Value::Null;
        }
        Ok(Reply { rows, timers: vec![] })
    }

    fn merge(&self, left: Value, right: Value) -> Value {
        if self.0 == Fault::MergeLast {
            return right;
        }
        let add = |name: &str| left[name].as_f64().unwrap_or(0.0) + right[name].as_f64().unwrap_or(0.0);
        json!({ "rows": add("rows") as u64, "sum": add("sum") })
    }
}

/// Faults that no metric of one group can have: of the instance or the call.
struct Faulty(Arc<NativeFactory>, Fault);

struct FaultyGuest {
    inner: Box<dyn Guest>,
    fault: Fault,
    calls: u8,
}

impl GuestFactory for Faulty {
    fn instantiate(&self) -> Result<Box<dyn Guest>, GuestError> {
        Ok(Box::new(FaultyGuest { inner: self.0.instantiate()?, fault: self.1, calls: 0 }))
    }
}

impl FaultyGuest {
    fn with_byte(folded: &mut Folded, byte: u8) {
        let mut states = VarBytes::default();
        (0..folded.states.len())
            .for_each(|group| states.push(&[folded.states.get(group), &[b' '; 1], &[byte]].concat()));
        folded.states = states;
    }
}

impl Guest for FaultyGuest {
    fn update(&mut self, batch: &GuestBatch) -> Result<Folded, GuestError> {
        let mut folded = self.inner.update(batch)?;
        self.calls = self.calls.saturating_add(1);
        match self.fault {
            // White space, so that the state is still JSON.
            Fault::Remember if self.calls.is_multiple_of(2) => Self::with_byte(&mut folded, b'\n'),
            Fault::Neighbours if batch.groups.len() > 1 => Self::with_byte(&mut folded, b'\n'),
            Fault::Trap | Fault::Endless => {
                let reason = if self.fault == Fault::Trap { Reason::GuestTrap } else { Reason::GuestTimeout };
                let groups =
                    (0..batch.groups.len()).filter(|&group| batch.groups.keys.get(group).starts_with(b"key-0"));
                let failure = |group| GroupFailure { group: group as u32, reason, detail: "at null".to_owned() };
                folded.failures.extend(groups.map(failure));
            }
            _ => {}
        }
        Ok(folded)
    }

    fn close(&mut self, batch: &GuestBatch, reason: CloseReason) -> Result<Folded, GuestError> {
        self.inner.close(batch, reason)
    }

    fn merge(&mut self, left: &VarBytes, right: &VarBytes) -> Result<Folded, GuestError> {
        self.inner.merge(left, right)
    }

    fn migrate(&mut self, states: &VarBytes, from: u32) -> Result<Folded, GuestError> {
        self.inner.migrate(states, from)
    }
}

fn findings(fault: Fault) -> Vec<Finding> {
    let metric = Sum(fault);
    let descriptor = Descriptor {
        describe: 1,
        name: "sum".to_owned(),
        version: "1.0.0".to_owned(),
        doc: String::new(),
        inputs: metric.inputs(),
        filter: tidemark_engine::descriptor::Filter::default(),
        key: "data.key".to_owned(),
        window: WindowSpec::Tumbling { size_ms: 60_000, offset_ms: 0 },
        output: metric.output(),
        state_version: 1,
        config_schema: Value::Null,
        mergeable: true,
    };
    Trial::new(&Faulty(NativeFactory::new(Arc::new(metric)), fault), &descriptor).findings()
}

fn broken(fault: Fault) -> Vec<Check> {
    let is_broken = |finding: &Finding| matches!(finding.outcome, Outcome::Failed { .. });
    findings(fault).into_iter().filter(is_broken).map(|finding| finding.check).collect()
}

fn outcome(fault: Fault, check: Check) -> Outcome {
    findings(fault).into_iter().find(|finding| finding.check == check).expect("every check has a finding").outcome
}

#[test]
fn an_honest_module_keeps_every_promise() {
    for Finding { check, outcome } in findings(Fault::None) {
        assert!(matches!(outcome, Outcome::Passed { .. }), "{check:?}: {outcome:?}");
    }
}

#[test]
fn every_broken_promise_is_found_and_no_other() {
    assert_eq!(broken(Fault::PerCall), [Check::RowSplit]);
    assert_eq!(broken(Fault::Forget), [Check::LateRows]);
    assert_eq!(broken(Fault::MergeLast), [Check::Merge]);
    assert!(broken(Fault::Neighbours).contains(&Check::GroupSplit));
    assert!(broken(Fault::Remember).contains(&Check::FreshInstance));
    assert_eq!(broken(Fault::Endless), [Check::Calls]);
}

#[test]
fn a_report_names_group_column_and_remedy() {
    let Outcome::Failed { detail, remedy } = outcome(Fault::Forget, Check::LateRows) else { panic!("not found") };
    assert!(detail.starts_with("group `key-0ä`"), "{detail}");
    assert!(detail.contains("`rows`"), "{detail}");
    assert!(remedy.contains("must leave the state as it found it"), "{remedy}");
}

#[test]
fn a_module_that_refuses_all_rows_is_not_called_sound_or_broken() {
    assert_eq!(broken(Fault::Refuse), []);
    let Outcome::NotTried { reason } = outcome(Fault::Refuse, Check::RowSplit) else { panic!("it was tried") };
    assert!(reason.contains("no such customer"), "{reason}");
}

#[test]
fn a_trap_is_a_warning() {
    assert!(matches!(outcome(Fault::Trap, Check::Calls), Outcome::Warned { .. }));
    assert_eq!(broken(Fault::Trap), []);
}
