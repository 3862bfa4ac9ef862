//! Every way in which a module can look at the bits of a NaN, and what stays as it was.

use super::{CANONICAL_F32, CANONICAL_F64, rewrite, rewrite_module};
use wasmtime::{Engine, Instance, Module, Store};

/// Runs `probe` of a module, rewritten, on `argument`.
fn probe(body: &str, argument: u64) -> u64 {
    let text = format!(
        r#"(module (memory 1) (memory $second 1) (global $g (mut f64) (f64.const 0))
             (func $same (param f64) (result f64) (local.get 0))
             (func (export "probe") (param i64) (result i64) (local f64 i32 v128) {body}))"#
    );
    let bytes = wat::parse_str(text).expect("a module");
    let engine = Engine::default();
    let module = Module::new(&engine, rewrite_module(&bytes).expect("can be read")).expect("is still valid");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("starts");
    let probe = instance.get_typed_func::<u64, u64>(&mut store, "probe").expect("is exported");
    probe.call(&mut store, argument).expect("does not trap")
}

const AS_FLOAT: &str = "(f64.reinterpret_i64 (local.get 0))";

/// NaNs of both signs, quiet and signalling, with payloads.
const NANS: [u64; 5] =
    [CANONICAL_F64, 0xfff8_0000_0000_0000, 0x7ff0_0000_0000_0001, 0xffff_ffff_ffff_ffff, 0x7ff8_dead_beef_0001];

#[test]
fn the_bits_of_a_nan_are_canonical_wherever_they_can_be_seen() {
    let ways = [
        "(i64.reinterpret_f64 {x})",
        "(i64.reinterpret_f64 (f64.add {x} (f64.const 1)))",
        "(i64.reinterpret_f64 (f64.neg {x}))",
        "(i64.reinterpret_f64 (call $same (f64.div {x} (f64.const 3))))",
        "(f64.store (i32.const 8) {x}) (i64.load (i32.const 8))",
        "(f64.store (i32.const 8) (f64.sub {x} {x})) (i64.load (i32.const 8))",
        "(f64.store $second (i32.const 8) {x}) (i64.load $second (i32.const 8))",
        "(f64.store (i32.const 8) {x}) (memory.copy $second 0 (i32.const 0) (i32.const 8) (i32.const 8))
         (i64.load $second (i32.const 0))",
        "(global.set $g {x}) (i64.reinterpret_f64 (global.get $g))",
        "(local.set 1 {x}) (i64.reinterpret_f64 (local.get 1))",
        "(i64x2.extract_lane 0 (f64x2.splat {x}))",
        "(i64x2.extract_lane 1 (f64x2.replace_lane 1 (v128.const i64x2 0 0) {x}))",
        "(i64x2.extract_lane 0 (f64x2.add (i64x2.splat (local.get 0)) (f64x2.splat (f64.const 1))))",
        "(i64.reinterpret_f64 (if (result f64) (i32.const 1) (then {x}) (else (f64.const 0))))",
    ];
    for way in ways {
        for nan in NANS {
            let bits = probe(&way.replace("{x}", AS_FLOAT), nan);
            assert_eq!(bits, CANONICAL_F64, "{way} of {nan:x}");
        }
    }
    // An invalid operation makes a negative NaN on x86-64 and a positive one on ARM.
    let made = "(i64.reinterpret_f64 (f64.div (f64.const 0) (f64.const 0)))";
    assert_eq!(probe(made, 0), CANONICAL_F64);
    let made = "(i64.extend_i32_u (i32.reinterpret_f32 (f32.demote_f64 {x})))".replace("{x}", AS_FLOAT);
    assert_eq!(probe(&made, NANS[3]), u64::from(CANONICAL_F32));
    let lanes = "(i64.extend_i32_u (i32x4.extract_lane 2 (f32x4.sqrt (f32x4.splat (f32.const -1)))))";
    assert_eq!(probe(lanes, 0), u64::from(CANONICAL_F32));
}

#[test]
fn the_sign_of_a_nan_tells_nothing() {
    let sign = "(i64.reinterpret_f64 (f64.copysign (f64.const 1) {x}))".replace("{x}", AS_FLOAT);
    for nan in NANS {
        assert_eq!(probe(&sign, nan), 1_f64.to_bits());
    }
}

#[test]
fn every_other_value_stays_as_it_is() {
    let ways = [
        "(i64.reinterpret_f64 {x})",
        "(f64.store (i32.const 8) {x}) (i64.load (i32.const 8))",
        "(i64x2.extract_lane 1 (f64x2.splat {x}))",
    ];
    for way in ways {
        for value in [0.0, -0.0, 1.5, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE / 4.0, f64::MAX] {
            assert_eq!(probe(&way.replace("{x}", AS_FLOAT), value.to_bits()), value.to_bits(), "{way} of {value}");
        }
    }
    // Integers that look like a NaN are not touched.
    for nan in NANS {
        assert_eq!(probe("(i64.store (i32.const 8) (local.get 0)) (i64.load (i32.const 8))", nan), nan);
        assert_eq!(probe("(i64x2.extract_lane 0 (i64x2.splat (local.get 0)))", nan), nan);
    }
}

#[test]
fn modules_inside_of_components_are_reached() {
    let component = r#"(component (component (core module
        (func (export "f") (result i64) (i64.reinterpret_f64 (f64.const nan:0x8000000000001))))))"#;
    let bytes = wat::parse_str(component).expect("a component");
    let rewritten = rewrite(&bytes).expect("can be read");
    assert!(rewritten.len() > bytes.len(), "code was added");
}

#[test]
fn damaged_bytes_are_an_error() {
    let bytes =
        wat::parse_str(r#"(component (core module (func (f64.store (i32.const 0) (f64.const 0))) (memory 1)))"#);
    let bytes = bytes.expect("a component");
    // Cut between two sections it would be a shorter component; these cuts are within one.
    for length in [4, 9, 12, bytes.len() - 1] {
        assert!(rewrite(&bytes[..length]).is_err(), "cut to {length}");
    }
    assert!(rewrite(b"").is_err());
}
