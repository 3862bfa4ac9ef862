//! Known answers from a real session, sums beyond what floats and 64 bits hold, and what is not readable.

use super::*;
use tidemark_metric::testing::{MetricTestDriver, real_capture};

fn payment(time_ms: i64, face_value: &str, tickets: &str) -> String {
    format!(
        r#"{{"type": "create_new_payment", "timestamp": "{time_ms}", "data": {{"faceValue": {face_value},
            "numTickets": {tickets}, "orchestrator": "https://a:1", "recipient": "0xA", "requestID": ""}}}}"#
    )
}

/// Payments, tickets, both sums and unreadable ones, of the only row of payments of one ticket each.
fn sums_of(face_values: &[&str]) -> (i64, i64, String, String, i64) {
    let payments: Vec<_> = face_values.iter().map(|value| payment(1, &format!("\"{value}\""), "\"1\"")).collect();
    row_of(&payments)
}

fn row_of(payments: &[String]) -> (i64, i64, String, String, i64) {
    let mut driver = MetricTestDriver::new(Payments);
    payments.iter().for_each(|payment| driver.event(payment));
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one hour, one row") };
    assert!(driver.failures().is_empty());
    (row.payments, row.tickets, row.face_value_wei.clone(), row.tickets_value_wei.clone(), row.unreadable)
}

#[test]
fn a_real_session_has_its_known_sums() {
    let Some(capture) = real_capture("session_db936fab.jsonl") else { return };
    let mut driver = MetricTestDriver::new(Payments);
    driver.events(capture.lines());
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one orchestrator and hour, one row") };
    assert_eq!((row.key, row.window_start_ms), ("0xd00354656922168815Fcd1e51CBddB9e359e3C7F", 1_767_906_000_000));
    assert_eq!((row.payments, row.tickets, row.unreadable), (6, 7, 0));
    // 2 · 2,402,400,000,000,000 + 4 · 2,400,000,000,000,000, and one more of the first for its second ticket.
    assert_eq!(
        (row.face_value_wei.as_str(), row.tickets_value_wei.as_str()),
        ("14404800000000000", "16807200000000000")
    );
    assert_eq!(row.orchestrator_url, Some("https://rtav-orch2.xodeapp.xyz:28935"));
}

#[test]
fn sums_are_exact_beyond_53_and_63_bits() {
    // 2⁵³ + 1, which no float is, and 2⁶⁴.
    let sum = |values: &[&str]| sums_of(values).2;
    assert_eq!(sum(&["9007199254740992 WEI", "1 WEI"]), "9007199254740993");
    assert_eq!(sum(&["9.223372036854775807 ETH", "9.223372036854775807 ETH", "2 WEI"]), "18446744073709551616");
    assert_eq!(sum(&["120000000 ETH", "0.000000000000000001 ETH"]), "120000000000000000000000001");
}

#[test]
fn both_spellings_of_an_amount_are_the_same() {
    assert_eq!(sums_of(&["2402400000000000 WEI"]), sums_of(&["0.0024024 ETH"]));
}

#[test]
fn a_face_value_is_that_of_one_ticket() {
    let sums = row_of(&[payment(1, "\"5 WEI\"", "\"3\""), payment(2, "\"7 WEI\"", "2"), payment(3, "\"9 WEI\"", "0")]);
    assert_eq!(sums, (3, 5, "21".to_owned(), "29".to_owned(), 0));
}

#[test]
fn what_cannot_be_read_is_counted_and_spoils_nothing() {
    let rubbish = [
        payment(1, "null", "1"),
        payment(2, "12", "1"),
        payment(3, "\"12\"", "1"),
        payment(4, "\"-1 WEI\"", "1"),
        payment(5, "\"12 LPT\"", "1"),
        payment(6, "{}", "1"),
        payment(7, "\"12 WEI\"", "null"),
        payment(8, "\"12 WEI\"", "\"-1\""),
        payment(9, "\"12 WEI\"", "\"1.5\""),
        payment(10, "\"340282366920938463463374607431768211455 WEI\"", "2"),
    ];
    let mixed = [&[payment(0, "\"5 WEI\"", "1")], &rubbish[..], &[payment(11, "\"6 WEI\"", "1")]].concat();
    assert_eq!(row_of(&mixed), (2, 2, "11".to_owned(), "11".to_owned(), 10));
}

#[test]
fn a_sum_that_does_not_fit_takes_no_part_of_a_payment() {
    let greatest = "340282366920938463463374607431768211455";
    let sums = sums_of(&[&format!("{greatest} WEI"), "1 WEI", "0 WEI"]);
    assert_eq!(sums, (2, 2, greatest.to_owned(), greatest.to_owned(), 1));
    let tickets = row_of(&[payment(1, "\"0 WEI\"", "9223372036854775807"), payment(2, "\"3 WEI\"", "1")]);
    assert_eq!(tickets, (1, i64::MAX, "0".to_owned(), "0".to_owned(), 1));
}

#[test]
fn each_recipient_and_hour_has_its_own_and_late_ones_are_left_out() {
    let mut driver = MetricTestDriver::new(Payments);
    driver.event(&payment(3_599_999, "\"1 WEI\"", "1"));
    driver.event(&payment(3_600_000, "\"2 WEI\"", "1"));
    driver.event(&payment(0, "\"4 WEI\"", "1").replace("0xA", "0xB"));
    driver.advance_watermark(3_599_999);
    driver.event(&payment(1, "\"8 WEI\"", "1"));
    driver.finish();
    let rows: Vec<_> = driver.rows().iter().map(|row| format!("{} {}", row.key, row.face_value_wei)).collect();
    assert_eq!(rows, ["0xA 1", "0xB 4", "0xA 2"]);
    assert_eq!(driver.late(), 1);
}

#[test]
fn hours_merge_exactly() {
    let hour = |wei: &str| {
        let face_value = Wei::parse(wei).expect("readable");
        let sums = Sums { payments: 1, tickets: 2, face_value, tickets_value: face_value.times(2).expect("it fits") };
        Hour { sums, unreadable: 1, orchestrator_url: LatestText::default() }
    };
    let mut merged = hour("9007199254740993 WEI");
    Payments.merge(&mut merged, hour("18.446744073709551616 ETH")).expect("it fits");
    let Sums { payments, tickets, face_value, tickets_value } = merged.sums;
    assert_eq!((payments, tickets, merged.unreadable), (2, 4, 2));
    assert_eq!(face_value.to_string(), "18455751272964292609");
    assert_eq!(tickets_value.to_string(), "36911502545928585218");
    let mut greatest = hour("170141183460469231731687303715884105727 WEI");
    let failure = Payments.merge(&mut greatest, hour("1 WEI")).expect_err("it does not fit");
    assert_eq!(failure.to_string(), "the sums of two windows are more than 128 bits hold");
}
