//! Three-valued logic, table by table.

use super::*;

struct Nothing;

impl Scope for Nothing {
    fn leaf(&self, _: &Leaf) -> Value<'_> {
        Value::Null
    }
}

fn literal(value: Value<'static>) -> Box<Expression> {
    Box::new(Expression::Literal(value))
}

fn truth(value: Option<bool>) -> Box<Expression> {
    literal(Value::of_truth(value))
}

fn evaluate(expression: &Expression) -> Option<bool> {
    expression.evaluate(&Nothing).expect("a value").truth()
}

const TRUTHS: [Option<bool>; 3] = [Some(true), Some(false), None];

#[test]
fn and_or_not_are_those_of_the_standard() {
    // Kleene's tables: AND is the least, OR the greatest of false < unknown < true.
    let rank = |value: Option<bool>| value.map_or(1, |value| if value { 2 } else { 0 });
    for left in TRUTHS {
        for right in TRUTHS {
            let (and, or) = (Expression::And(truth(left), truth(right)), Expression::Or(truth(left), truth(right)));
            assert_eq!(rank(evaluate(&and)), rank(left).min(rank(right)), "{and}");
            assert_eq!(rank(evaluate(&or)), rank(left).max(rank(right)), "{or}");
        }
        assert_eq!(evaluate(&Expression::Not(truth(left))), left.map(|value| !value));
    }
}

#[test]
fn is_true_and_is_null_are_never_unknown() {
    for value in TRUTHS {
        assert_eq!(evaluate(&Expression::IsTruth(false, true, truth(value))), Some(value == Some(true)));
        assert_eq!(evaluate(&Expression::IsTruth(true, true, truth(value))), Some(value != Some(true)));
        assert_eq!(evaluate(&Expression::IsTruth(false, false, truth(value))), Some(value == Some(false)));
        assert_eq!(evaluate(&Expression::IsNull(false, truth(value))), Some(value.is_none()));
        for other in TRUTHS {
            let distinct = Expression::IsDistinct(false, truth(value), truth(other));
            assert_eq!(evaluate(&distinct), Some(value != other), "{distinct}");
        }
    }
}

#[test]
fn comparing_with_null_is_unknown() {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    for comparison in [Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual] {
        let one = literal(Value::Integer(1));
        assert_eq!(evaluate(&Expression::Compare(comparison, one.clone(), literal(Value::Null))), None);
        assert_eq!(evaluate(&Expression::Compare(comparison, literal(Value::Null), one)), None);
    }
}

#[test]
fn in_is_unknown_where_a_null_could_be_the_one() {
    let list = |values: &[Value<'static>]| values.iter().cloned().map(Expression::Literal).collect::<Vec<_>>();
    let is_in = |values: &[Value<'static>]| evaluate(&Expression::In(literal(Value::Integer(1)), list(values)));
    assert_eq!(is_in(&[Value::Null, Value::Integer(1)]), Some(true));
    assert_eq!(is_in(&[Value::Null, Value::Integer(2)]), None);
    assert_eq!(is_in(&[Value::Integer(2)]), Some(false));
    assert_eq!(evaluate(&Expression::In(literal(Value::Null), list(&[Value::Integer(2)]))), None);
}

#[test]
fn what_is_not_needed_is_not_evaluated() {
    let fails = || {
        let zero = literal(Value::Integer(0));
        let division = Expression::Arithmetic(Arithmetic::Divide, literal(Value::Integer(1)), zero.clone());
        Box::new(Expression::Compare(Comparison::Equal, Box::new(division), zero))
    };
    assert!(fails().evaluate(&Nothing).is_err());
    assert_eq!(evaluate(&Expression::And(truth(Some(false)), fails())), Some(false));
    assert_eq!(evaluate(&Expression::Or(truth(Some(true)), fails())), Some(true));
    let case = Expression::Case(vec![(*truth(Some(true)), *truth(None)), (*fails(), *fails())], fails());
    assert_eq!(evaluate(&case), None);
}

#[test]
fn integers_never_wrap() {
    let (least, one) = (literal(Value::Integer(i64::MIN)), literal(Value::Integer(1)));
    for operator in [Arithmetic::Subtract, Arithmetic::Multiply, Arithmetic::Divide] {
        let right = if operator == Arithmetic::Subtract { one.clone() } else { literal(Value::Integer(-1)) };
        assert!(Expression::Arithmetic(operator, least.clone(), right).evaluate(&Nothing).is_err());
    }
    assert!(Expression::Negate(least).evaluate(&Nothing).is_err());
}

#[test]
fn floats_are_ieee_and_a_nan_has_one_form() {
    let divide = |left: f64, right: f64| {
        let (left, right) = (literal(Value::Float(left)), literal(Value::Float(right)));
        match Expression::Arithmetic(Arithmetic::Divide, left, right).evaluate(&Nothing) {
            Ok(Value::Float(result)) => result.to_bits(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(divide(1.0, 0.0), f64::INFINITY.to_bits());
    assert_eq!(divide(0.0, 0.0), f64::NAN.to_bits());
    assert_eq!(divide(-f64::NAN, 1.0), f64::NAN.to_bits());
}

#[test]
fn casts_read_what_they_can_and_fail_otherwise() {
    let read = |value: Value<'static>, kind| cast(value, kind);
    assert_eq!(read(Value::Text(" 12 ".into()), Kind::Integer), Ok(Value::Integer(12)));
    assert_eq!(read(Value::Text("1e3".into()), Kind::Float), Ok(Value::Float(1000.0)));
    assert_eq!(read(Value::Float(-2.9), Kind::Integer), Ok(Value::Integer(-2)));
    assert_eq!(read(Value::Float(0.1), Kind::Text), Ok(Value::Text("0.1".into())));
    assert_eq!(read(Value::Boolean(true), Kind::Integer), Ok(Value::Integer(1)));
    for (value, kind) in [
        (Value::Text("12.5".into()), Kind::Integer),
        (Value::Text("yes".into()), Kind::Boolean),
        (Value::Float(9.3e18), Kind::Integer),
        (Value::Float(f64::NAN), Kind::Integer),
    ] {
        assert!(read(value, kind).is_err());
    }
}
