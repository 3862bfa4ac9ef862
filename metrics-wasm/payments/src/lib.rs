//! Payments: what gateways pay an orchestrator in tickets, in wei, exact.
//!
//! - `face_value_wei` = Σ `faceValue`
//! - `tickets` = Σ `numTickets`
//! - `tickets_value_wei` = Σ `faceValue` · `numTickets`, since `faceValue` is that of *one* ticket of a payment
//!   (go-livepeer, `genPayment`)
//!
//! A ticket is a lottery ticket: it is worth its face value only if it wins, here one time in a thousand. These are the
//! amounts at stake, not those paid out.
//!
//! **Exact.** A float has 53 bits: it loses wei from 0.009 ETH on; a 64-bit integer ends at 18 ETH. Sums are kept in 128
//! bits and emitted as texts in decimal. In SQL: `CAST(face_value_wei AS DECIMAL(38, 0))`.
//!
//! **Whose.** The key is `recipient`, the address on the chain that tickets are paid to. It is not the `orchestrator` of
//! other metrics, which is the local address that traces carry; `enrich.orchestrators.address` leads from there to here.
//! The event's own `orchestrator` is a URL. There is no sum by request: of a running stream's payments only the first
//! has a `requestID`.
//!
//! **Unreadable** payments, by the rules of [`wei`], are counted and in no sum: a payment counts whole or not at all.

pub mod wei;

use tidemark_metric::{CloseReason, Context, Failure, Fold, Input, LatestText, Merge, Metric, Output, Rows, State};
use wei::Wei;

/// What gateways pay an orchestrator in tickets, exact to the wei, each hour.
#[derive(Metric)]
#[metric(
    name = "payments",
    key = "data.recipient",
    filter("type" = "create_new_payment"),
    window(tumbling = "1h"),
    mergeable
)]
pub struct Payments;

/// A payment: tickets of one face value.
#[derive(Input)]
pub struct Payment<'a> {
    #[at = "data.faceValue"]
    face_value: Option<&'a str>,
    #[at = "data.numTickets"]
    tickets: Option<i64>,
    #[at = "data.orchestrator"]
    orchestrator_url: Option<&'a str>,
}

/// The hour of an orchestrator so far.
#[derive(State, Default)]
pub struct Hour {
    sums: Sums,
    unreadable: i64,
    orchestrator_url: LatestText,
}

/// Sums over payments.
#[derive(State, Default, Clone, Copy)]
struct Sums {
    payments: i64,
    tickets: i64,
    face_value: Wei,
    tickets_value: Wei,
}

/// The payments of an hour.
#[derive(Output)]
pub struct Paid<'a> {
    /// Payments that could be read.
    pub payments: i64,
    /// Their tickets.
    pub tickets: i64,
    /// Sum of their face values, each that of one ticket; a decimal number.
    pub face_value_wei: String,
    /// Sum of the face values of all their tickets; a decimal number.
    pub tickets_value_wei: String,
    /// Payments that could not be read.
    pub unreadable: i64,
    /// The last one of the hour.
    pub orchestrator_url: Option<&'a str>,
}

impl Fold for Payments {
    type Input = Payment<'static>;
    type State = Hour;
    type Output = Paid<'static>;

    fn update(&self, hour: &mut Hour, payments: Rows<Payment>, _: &mut Context<Paid>) -> Result<(), Failure> {
        for payment in payments {
            hour.orchestrator_url.offer(payment.event_time_ms, payment.orchestrator_url);
            match payment.read().and_then(|read| hour.sums.plus(&read)) {
                Some(sums) => hour.sums = sums,
                None => hour.unreadable += 1,
            }
        }
        Ok(())
    }

    fn close(&self, hour: &mut Hour, _: CloseReason, context: &mut Context<Paid>) -> Result<(), Failure> {
        context.emit(Paid {
            payments: hour.sums.payments,
            tickets: hour.sums.tickets,
            face_value_wei: hour.sums.face_value.to_string(),
            tickets_value_wei: hour.sums.tickets_value.to_string(),
            unreadable: hour.unreadable,
            orchestrator_url: hour.orchestrator_url.get(),
        });
        Ok(())
    }
}

impl Merge for Payments {
    fn merge(&self, hour: &mut Hour, later: Hour) -> Result<(), Failure> {
        hour.sums = hour.sums.plus(&later.sums).ok_or("the sums of two windows are more than 128 bits hold")?;
        hour.unreadable += later.unreadable;
        hour.orchestrator_url.merge(later.orchestrator_url);
        Ok(())
    }
}

impl Payment<'_> {
    /// The sums over this payment alone; `None` if something of it is absent or no amount.
    fn read(&self) -> Option<Sums> {
        let tickets = self.tickets.filter(|tickets| *tickets >= 0)?;
        let face_value = Wei::parse(self.face_value?)?;
        Some(Sums { payments: 1, tickets, face_value, tickets_value: face_value.times(tickets as u64)? })
    }
}

impl Sums {
    /// `None` where a sum would not fit: no such amount exists, so a payment of it is not a readable one.
    fn plus(&self, other: &Self) -> Option<Self> {
        Some(Self {
            payments: self.payments + other.payments,
            tickets: self.tickets.checked_add(other.tickets)?,
            face_value: self.face_value.plus(other.face_value)?,
            tickets_value: self.tickets_value.plus(other.tickets_value)?,
        })
    }
}

tidemark_metric::export!(Payments);

#[cfg(test)]
mod tests;
