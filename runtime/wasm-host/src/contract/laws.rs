//! The promises, one function each, tried on one sample of generated rows.

use super::report::{Check, Finding, Outcome};
use super::results::{Agreement, Results};
use super::sample::{Part, Random, Sample, Values};
use tidemark_engine::dead_letter::Reason;
use tidemark_engine::descriptor::{Descriptor, Side, Unmatched, WindowSpec};
use tidemark_engine::guest::{CloseReason, Guest, GuestError, GuestFactory, VarBytes};

/// A module on trial.
pub(super) struct Trial<'a> {
    factory: &'a dyn GuestFactory,
    descriptor: &'a Descriptor,
    sample: Sample,
}

/// Why a check came to no outcome of its own: the module can't be called any more.
type Checked = Result<Outcome, GuestError>;

impl<'a> Trial<'a> {
    pub(super) fn new(factory: &'a dyn GuestFactory, descriptor: &'a Descriptor) -> Self {
        Self { factory, descriptor, sample: Sample::new(descriptor, Values::Plain) }
    }

    /// Tries everything, in order. Once the module can't be called at all, the rest is not tried.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut given_up: Option<String> = None;
        for check in Check::ALL {
            let outcome = match &given_up {
                Some(reason) => Outcome::NotTried { reason: reason.clone() },
                None => self.check(check).unwrap_or_else(|error| failed(Check::Calls, error.to_string())),
            };
            match &outcome {
                Outcome::Failed { .. } if check == Check::Calls => {
                    given_up = Some("since the module fails on generated rows".into());
                }
                // A refusal of everything is the module's right, but then there is nothing to compare.
                Outcome::NotTried { reason } if check == Check::Calls => given_up = Some(reason.clone()),
                _ => {}
            }
            findings.push(Finding { check, outcome });
        }
        findings
    }

    fn check(&self, check: Check) -> Checked {
        match check {
            Check::Calls => self.calls(),
            Check::FreshInstance => self.fresh_instance(),
            Check::GroupSplit => self.group_split(),
            Check::GroupOrder => self.group_order(),
            Check::RowSplit => self.row_split(),
            Check::State => self.state(),
            Check::LateRows => self.late_rows(),
            Check::Merge => self.merge(),
        }
    }

    fn calls(&self) -> Checked {
        let mut guest = self.factory.instantiate()?;
        let whole = self.sample.whole();
        let plain = self.update(&mut *guest, &self.sample, &whole, None)?;
        let closed = self.close(&mut *guest, &self.sample, &plain)?;
        let edges = Sample::new(self.descriptor, Values::Edges);
        let edged = self.update(&mut *guest, &edges, &edges.whole(), None)?;
        let edged_closed = self.close(&mut *guest, &edges, &edged)?;

        let all = || plain.iter().chain(&closed).chain(&edged).chain(&edged_closed);
        let of = |reasons: &[Reason]| {
            all().filter_map(|results| results.failure.clone()).find(|(reason, _)| reasons.contains(reason))
        };
        let broken = [Reason::GuestTimeout, Reason::GuestMemory, Reason::GuestOutput];
        if let Some((reason, detail)) = of(&broken) {
            return Ok(failed(Check::Calls, format!("{}: {detail}", reason.name())));
        }
        let refused = plain.iter().filter(|results| results.failure.is_some()).count();
        if refused == plain.len() {
            let said =
                plain.iter().find_map(|results| results.failure.clone()).map_or(String::new(), |(_, detail)| detail);
            let reason =
                format!("since the module refuses all generated rows (\"{said}\"); try it with events of yours");
            return Ok(Outcome::NotTried { reason });
        }
        if let Some((reason, detail)) = of(&[Reason::GuestTrap]) {
            let detail = format!("{}: {detail}; such groups become dead letters", reason.name());
            return Ok(Outcome::Warned { detail, remedy: Check::Calls.remedy().to_owned() });
        }
        Ok(Outcome::Passed { groups: all().count() })
    }

    /// Against an instance that has seen all the rows before, in another order.
    fn fresh_instance(&self) -> Checked {
        let whole = self.sample.whole();
        let mut used = self.factory.instantiate()?;
        let backwards: Vec<Part> = whole.iter().rev().cloned().collect();
        let mut warmed = self.update(&mut *used, &self.sample, &backwards, None)?;
        warmed.reverse();
        self.close(&mut *used, &self.sample, &warmed)?;
        let names = ["in a used instance", "in a fresh one"];
        let again = self.update(&mut *used, &self.sample, &whole, None)?;
        let fresh = self.update(&mut *self.factory.instantiate()?, &self.sample, &whole, None)?;
        if let Some(outcome) = self.differs(Check::FreshInstance, Agreement::Bytes, &again, &fresh, names) {
            return Ok(outcome);
        }
        let closed = self.close(&mut *used, &self.sample, &fresh)?;
        let freshly = self.close(&mut *self.factory.instantiate()?, &self.sample, &fresh)?;
        Ok(self.compared(Check::FreshInstance, Agreement::Bytes, &closed, &freshly, names))
    }

    fn group_split(&self) -> Checked {
        let whole = self.sample.whole();
        let together = self.update(&mut *self.factory.instantiate()?, &self.sample, &whole, None)?;
        let mut guest = self.factory.instantiate()?;
        let mut alone = Vec::new();
        for part in &whole {
            alone.extend(self.update(&mut *guest, &self.sample, std::slice::from_ref(part), None)?);
        }
        let names = ["in a call with other groups", "alone"];
        Ok(self.compared(Check::GroupSplit, Agreement::Bytes, &together, &alone, names))
    }

    fn group_order(&self) -> Checked {
        let whole = self.sample.whole();
        let mut guest = self.factory.instantiate()?;
        let in_order = self.update(&mut *guest, &self.sample, &whole, None)?;
        let mut order: Vec<usize> = (0..whole.len()).collect();
        let mut random = Random(7);
        (1..order.len()).rev().for_each(|place| order.swap(place, random.below(place as u64 + 1) as usize));
        let shuffled: Vec<Part> = order.iter().map(|&group| whole[group].clone()).collect();
        let mixed = self.update(&mut *guest, &self.sample, &shuffled, None)?;
        let mut sorted = in_order.clone();
        order.iter().zip(mixed).for_each(|(&group, results)| sorted[group] = results);
        let names = ["in one order of the groups", "in another"];
        Ok(self.compared(Check::GroupOrder, Agreement::Bytes, &in_order, &sorted, names))
    }

    fn row_split(&self) -> Checked {
        if let Some(outcome) = self.needs_rows() {
            return Ok(outcome);
        }
        let mut guest = self.factory.instantiate()?;
        let one_call = self.all_of(&mut *guest, &[self.sample.whole()], &[])?;
        let thirds: Vec<_> = (0..3).map(|third| self.sample.third(third)).collect();
        let three_calls = self.all_of(&mut *guest, &thirds, &[])?;
        let names = ["with all rows in one call", "with the same rows in three calls"];
        Ok(self.compared_successes(Check::RowSplit, Agreement::Rows, &one_call, &three_calls, names))
    }

    /// The instance that wrote a state goes on from it, and a fresh one does.
    fn state(&self) -> Checked {
        if let Some(outcome) = self.needs_rows() {
            return Ok(outcome);
        }
        let mut writer = self.factory.instantiate()?;
        let first = self.update(&mut *writer, &self.sample, &self.sample.third(0), None)?;
        let states: Vec<_> = first.into_iter().map(|results| results.state).collect();
        let rest = self.sample.third(1);
        let writer = self.update(&mut *writer, &self.sample, &rest, Some(&states))?;
        let reader = self.update(&mut *self.factory.instantiate()?, &self.sample, &rest, Some(&states))?;
        let names = ["in the instance that wrote the state", "in a fresh one"];
        Ok(self.compared(Check::State, Agreement::Bytes, &writer, &reader, names))
    }

    fn late_rows(&self) -> Checked {
        if matches!(self.descriptor.window, WindowSpec::Key { .. } | WindowSpec::IntervalJoin { .. }) {
            return Ok(not_tried("nothing is late for key windows and joins"));
        }
        let mut guest = self.factory.instantiate()?;
        let thirds: Vec<_> = (0..3).map(|third| self.sample.third(third)).collect();
        let in_time = self.all_of(&mut *guest, &thirds, &[])?;
        let late = self.all_of(&mut *guest, &thirds, &[1])?;
        let names = ["when all rows are in time", "when the last ones come after a first `close`"];
        Ok(self.compared_successes(Check::LateRows, Agreement::Rows, &in_time, &late, names))
    }

    fn merge(&self) -> Checked {
        if !self.descriptor.mergeable {
            return Ok(not_tried("the module does not merge"));
        }
        let mut guest = self.factory.instantiate()?;
        let mut thirds = Vec::new();
        for third in 0..3 {
            thirds.push(self.update(&mut *guest, &self.sample, &self.sample.third(third), None)?);
        }
        let first_two = merged(&mut *guest, &thirds[0], &thirds[1])?;
        let left = merged(&mut *guest, &first_two, &thirds[2])?;
        let last_two = merged(&mut *guest, &thirds[1], &thirds[2])?;
        let right = merged(&mut *guest, &thirds[0], &last_two)?;
        if let Some((reason, detail)) = broken_by_merge(&thirds, [&left, &right]) {
            return Ok(failed(Check::Merge, format!("{}: {detail}", reason.name())));
        }
        let left = self.ended(&mut *guest, &left)?;
        let right = self.ended(&mut *guest, &right)?;
        let names = ["with the first two of three states merged first", "with the last two merged first"];
        let outcome = self.compared_successes(Check::Merge, Agreement::Nearly, &left, &right, names);
        if matches!(outcome, Outcome::Failed { .. }) {
            return Ok(outcome);
        }
        let together = self.update(&mut *guest, &self.sample, &self.sample.whole(), None)?;
        let together = self.ended(&mut *guest, &together)?;
        let names = ["when folded together", "when folded apart and merged"];
        Ok(self.compared_successes(Check::Merge, Agreement::Nearly, &together, &left, names))
    }

    /// What `close` makes of states; groups that failed before have failed.
    fn ended(&self, guest: &mut dyn Guest, before: &[Results]) -> Result<Vec<Results>, GuestError> {
        let mut closed = self.close(guest, &self.sample, before)?;
        for (closed, before) in closed.iter_mut().zip(before) {
            closed.failure = before.failure.clone().or(closed.failure.take());
        }
        Ok(closed)
    }

    /// Updates with each of `calls` in turn, a close behind those in `close_after`, and a last close: what the last close
    /// emits, behind what the updates emit.
    fn all_of(
        &self,
        guest: &mut dyn Guest,
        calls: &[Vec<Part>],
        close_after: &[usize],
    ) -> Result<Vec<Results>, GuestError> {
        let mut all = vec![Results::default(); self.sample.groups.len()];
        for (number, parts) in calls.iter().enumerate() {
            let states: Vec<_> = all.iter().map(|results| results.state.clone()).collect();
            add(&mut all, self.update(guest, &self.sample, parts, Some(&states))?);
            if close_after.contains(&number) {
                let closed = self.close(guest, &self.sample, &all)?;
                for (all, closed) in all.iter_mut().zip(closed) {
                    all.failure = all.failure.take().or(closed.failure);
                    all.state = closed.state;
                }
            }
        }
        let closed = self.close(guest, &self.sample, &all)?;
        add(&mut all, closed);
        Ok(all)
    }

    fn update(
        &self,
        guest: &mut dyn Guest,
        sample: &Sample,
        parts: &[Part],
        states: Option<&[Vec<u8>]>,
    ) -> Result<Vec<Results>, GuestError> {
        let none = vec![Vec::new(); parts.len()];
        let batch = sample.batch(parts, states.unwrap_or(&none));
        Ok(Results::of(guest.update(&batch)?, parts.len()))
    }

    /// Ends all groups in the way of the module's window, from what updates gave `before`. Rows are those of the end.
    fn close(&self, guest: &mut dyn Guest, sample: &Sample, before: &[Results]) -> Result<Vec<Results>, GuestError> {
        let mut all: Vec<Results> =
            before.iter().map(|results| Results { state: results.state.clone(), ..Results::default() }).collect();
        match &self.descriptor.window {
            WindowSpec::IntervalJoin { unmatched, .. } => {
                let sides = [
                    (Side::Left, CloseReason::UnmatchedLeft, Unmatched::Left),
                    (Side::Right, CloseReason::UnmatchedRight, Unmatched::Right),
                ];
                for (side, reason, _) in sides.iter().filter(|(_, _, own)| [own, &Unmatched::Both].contains(&unmatched))
                {
                    let lonely = sample.unmatched(self.descriptor, *side);
                    let batch = lonely.batch(&lonely.whole(), &vec![Vec::new(); all.len()]);
                    add(&mut all, Results::of(guest.close(&batch, *reason)?, before.len()));
                }
            }
            WindowSpec::Key { .. } => {
                // The last one that a group has set: how often it set one may depend on how its rows were cut.
                let last = |(number, results): (usize, &Results)| Some((number, *results.timers.iter().max()?));
                let due: Vec<(usize, i64)> = before.iter().enumerate().filter_map(last).collect();
                let states: Vec<_> = due.iter().map(|(number, _)| all[*number].state.clone()).collect();
                let rung = guest.close(&sample.closing(&due, &states), CloseReason::Timer)?;
                for ((number, _), rung) in due.iter().zip(Results::of(rung, due.len())) {
                    add(std::slice::from_mut(&mut all[*number]), vec![rung]);
                }
                self.end(guest, sample, &mut all, CloseReason::Expired)?;
            }
            _ => self.end(guest, sample, &mut all, CloseReason::WindowEnd)?,
        }
        Ok(all)
    }

    fn end(
        &self,
        guest: &mut dyn Guest,
        sample: &Sample,
        all: &mut [Results],
        reason: CloseReason,
    ) -> Result<(), GuestError> {
        let states: Vec<_> = all.iter().map(|results| results.state.clone()).collect();
        let every: Vec<(usize, i64)> = (0..all.len()).map(|number| (number, sample.end_of(number))).collect();
        add(all, Results::of(guest.close(&sample.closing(&every, &states), reason)?, all.len()));
        Ok(())
    }

    /// Why a metric without a state of rows is left out, if it is one.
    fn needs_rows(&self) -> Option<Outcome> {
        let is_join = matches!(self.descriptor.window, WindowSpec::IntervalJoin { .. });
        is_join.then(|| not_tried("a join's groups have one row and no state"))
    }

    /// Failed with the first difference, if there is one.
    fn differs(
        &self,
        check: Check,
        agreement: Agreement,
        one: &[Results],
        two: &[Results],
        names: [&str; 2],
    ) -> Option<Outcome> {
        let groups = self.sample.groups.iter().zip(one.iter().zip(two));
        let mut differences = groups.filter_map(|(group, (one, two))| {
            let difference = one.difference(two, agreement, &self.descriptor.output, names)?;
            Some(format!("group `{}` ({} rows): {difference}", group.key, group.rows.len()))
        });
        differences.next().map(|detail| failed(check, detail))
    }

    fn compared(
        &self,
        check: Check,
        agreement: Agreement,
        one: &[Results],
        two: &[Results],
        names: [&str; 2],
    ) -> Outcome {
        self.differs(check, agreement, one, two, names).unwrap_or(Outcome::Passed { groups: one.len() })
    }

    /// The same without groups that failed in either: a failure takes the rows of its call, and calls differ.
    fn compared_successes(
        &self,
        check: Check,
        agreement: Agreement,
        one: &[Results],
        two: &[Results],
        names: [&str; 2],
    ) -> Outcome {
        let is_whole = |results: &Results| results.failure.is_none();
        let mut compared = 0;
        let (mut kept_one, mut kept_two) = (one.to_vec(), two.to_vec());
        for (one, two) in kept_one.iter_mut().zip(&mut kept_two) {
            if is_whole(one) && is_whole(two) {
                compared += 1;
            } else {
                (*one, *two) = (Results::default(), Results::default());
            }
        }
        if compared == 0 {
            return not_tried("every group failed");
        }
        self.differs(check, agreement, &kept_one, &kept_two, names).unwrap_or(Outcome::Passed { groups: compared })
    }
}

/// Adds what a further call gave to what the calls before it gave.
fn add(all: &mut [Results], more: Vec<Results>) {
    for (all, more) in all.iter_mut().zip(more) {
        all.failure = all.failure.take().or(more.failure);
        all.state = more.state;
        all.rows.extend(more.rows);
        all.timers.extend(more.timers);
    }
}

/// The states of `left` and `right` merged; what failed on either side has failed.
fn merged(guest: &mut dyn Guest, left: &[Results], right: &[Results]) -> Result<Vec<Results>, GuestError> {
    let strings = |results: &[Results]| {
        let mut strings = VarBytes::default();
        results.iter().for_each(|results| strings.push(&results.state));
        strings
    };
    let mut merged = Results::of(guest.merge(&strings(left), &strings(right))?, left.len());
    for ((merged, left), right) in merged.iter_mut().zip(left).zip(right) {
        merged.failure = left.failure.clone().or(right.failure.clone()).or(merged.failure.take());
    }
    Ok(merged)
}

/// How a merge failed, otherwise than in the module's own words, of states that were made without failure.
fn broken_by_merge(thirds: &[Vec<Results>], merged: [&[Results]; 2]) -> Option<(Reason, String)> {
    let was_whole = |group: usize| thirds.iter().all(|third| third[group].failure.is_none());
    let failures = merged.into_iter().flat_map(|results| results.iter().enumerate());
    let mut failures = failures.filter_map(|(group, results)| Some((group, results.failure.clone()?)));
    let broken = failures.find(|(group, (reason, _))| *reason != Reason::GuestFailure && was_whole(*group));
    broken.map(|(_, failure)| failure)
}

fn failed(check: Check, detail: String) -> Outcome {
    Outcome::Failed { detail, remedy: check.remedy().to_owned() }
}

fn not_tried(reason: &str) -> Outcome {
    Outcome::NotTried { reason: reason.to_owned() }
}
