//! Components of several memories: what counts together, and what their parts may pass to each other.

use crate::handmade::{Handmade, REST};
use crate::support::{batch, failed, host, tight};
use tidemark_engine::guest::GuestFactory;
use tidemark_wasm_host::{Limits, LoadError, Module};

/// A module with 4 MiB in the memory that it lends to the host and 4 MiB, at most 5, in another one.
fn two_memories(update: &'static str) -> Module {
    let rest = format!("{REST} (memory $second 64 81)");
    let component = Handmade { update, rest: &rest, ..Handmade::default() }.component();
    host().load(&component).expect("several memories are fine")
}

fn within(memory_bytes: usize) -> Limits {
    Limits { memory_bytes, ..tight() }
}

#[test]
fn all_memories_count_together() {
    let module = two_memories("(i32.const 64)");
    let error = module.factory("null", within((8 << 20) - 1)).err().expect("each alone would fit").to_string();
    assert!(error.contains("memory_bytes exceeded: limit 8388607, current 4194304, requested 8388608"), "{error}");
    module.factory("null", within(8 << 20)).expect("just enough");
}

#[test]
fn growth_that_is_refused_costs_nothing() {
    // One MiB more in the second memory; another, which is beyond its own maximum; one in the first; and a page too many.
    let module = two_memories(
        "(drop (memory.grow $second (i32.const 16))) (drop (memory.grow $second (i32.const 16)))
         (drop (memory.grow 0 (i32.const 16))) (drop (memory.grow 0 (i32.const 1))) (i32.const 64)",
    );
    let mut guest = module.factory("null", within(10 << 20)).expect("enough to start").instantiate().expect("again");
    let folded = guest.update(&batch(&["a"])).expect("isolated");
    assert_eq!(failed(&folded), [0]);
    let detail = &folded.failures[0].detail;
    assert_eq!(detail, "memory_bytes exceeded: limit 10485760, current 10485760, requested 10551296");
}

/// The metric as one part of a component, calling `helper`, the other part.
fn composed(helper: &str, wit: &str, import: &'static str, call: &'static str) -> Vec<u8> {
    let contract = Handmade::default().wit;
    let world = format!("world composed {{ import types; import helper: {wit}; export metric; }}");
    let wit = format!("{contract}\n{world}");
    let metric = Handmade { wit, world: "composed", imports: import, before_describe: call, ..Handmade::default() };
    let metric = metric.component();
    let helper = wat::parse_str(helper).expect("the text is sound");
    let whole = r#"(component
        (import "tidemark:metric/types@1.0.0" (instance $types))
        (component $helper) (component $metric)
        (instance $h (instantiate $helper))
        (instance $m (instantiate $metric
            (with "tidemark:metric/types@1.0.0" (instance $types)) (with "helper" (func $h "helper"))))
        (export "tidemark:metric/metric@1.0.0" (instance $m "tidemark:metric/metric@1.0.0")))"#;
    // The text cannot hold components in binary form, nor does it say what the types are: they are put into its places.
    let first = |kind: u8| sections(&metric).into_iter().find(|section| section.0 == kind).expect("it has one").1;
    let mut components = [helper, metric.clone()].into_iter();
    let mut out = wat::parse_str(whole).expect("the text is sound");
    let found: Vec<(u8, Vec<u8>)> = sections(&out);
    out.truncate(8);
    for (kind, content) in found {
        let content = match kind {
            COMPONENT => components.next().expect("two"),
            TYPE | IMPORT => first(kind),
            _ => content,
        };
        out.push(kind);
        let mut size = content.len();
        while size >= 0x80 {
            out.push(size as u8 | 0x80);
            size >>= 7;
        }
        out.push(size as u8);
        out.extend(content);
    }
    out
}

const COMPONENT: u8 = 4;
const TYPE: u8 = 7;
const IMPORT: u8 = 10;

/// The sections of a component: kind and content.
fn sections(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut at, mut found) = (8, Vec::new());
    while at < bytes.len() {
        let kind = bytes[at];
        let (mut size, mut shift) = (0, 0);
        loop {
            at += 1;
            size |= usize::from(bytes[at] & 0x7f) << shift;
            shift += 7;
            if bytes[at] < 0x80 {
                break;
            }
        }
        found.push((kind, bytes[at + 1..at + 1 + size].to_vec()));
        at += 1 + size;
    }
    found
}

#[test]
fn parts_with_memories_of_their_own_pass_bytes_to_each_other() {
    let sum = r#"(component
        (core module $m (memory (export "memory") 1)
          (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
          (func (export "sum") (param $at i32) (param $length i32) (result i32) (local $sum i32)
            (loop $next (if (local.get $length) (then
              (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $at))))
              (local.set $at (i32.add (local.get $at) (i32.const 1)))
              (local.set $length (i32.sub (local.get $length) (i32.const 1)))
              (br $next))))
            (local.get $sum)))
        (core instance $i (instantiate $m))
        (func (export "helper") (param "bytes" (list u8)) (result u32)
          (canon lift (core func $i "sum") (memory (core memory $i "memory"))
            (realloc (core func $i "realloc")))))"#;
    // The description begins with `{ "`: 123, 32, 34.
    let component = composed(
        sum,
        "func(bytes: list<u8>) -> u32",
        r#"(import "$root" "helper" (func $helper (param i32 i32) (result i32)))"#,
        "(if (i32.ne (call $helper (i32.const 1024) (i32.const 3)) (i32.const 189)) (then unreachable))",
    );
    let module = host().load(&component).expect("composed components are fine");
    assert_eq!(module.descriptor().name, "handmade");
    module.factory("null", tight()).expect("it starts");
}

#[test]
fn parts_that_pass_floats_to_each_other_are_refused() {
    let bits = r#"(component
        (core module $m (func (export "bits") (param f64) (result i64) (i64.reinterpret_f64 (local.get 0))))
        (core instance $i (instantiate $m))
        (func (export "helper") (param "value" f64) (result u64) (canon lift (core func $i "bits"))))"#;
    let component = composed(
        bits,
        "func(value: f64) -> u64",
        r#"(import "$root" "helper" (func $helper (param f64) (result i64)))"#,
        "(drop (call $helper (f64.const 0)))",
    );
    let error = host().load(&component).err().expect("NaNs would not be canonical");
    assert!(matches!(error, LoadError::FloatsBetweenParts), "{error}");
}
