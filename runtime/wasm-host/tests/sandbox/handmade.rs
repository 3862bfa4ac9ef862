//! Modules written by hand in the text format, for what no compiler would make; and answers that only they can give.

use crate::support::{batch, failed, host, tight};
use tidemark_engine::dead_letter::Reason;
use tidemark_engine::guest::{Guest, GuestFactory};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A description that fits any handmade module.
pub const DESCRIPTION: &str = r#"{ "describe": 1, "name": "handmade", "version": "0.1.0", "key": "data.key",
    "inputs": [{ "name": "value", "path": "data.value", "type": "float" }],
    "window": { "kind": "key" }, "output": [{ "name": "count", "type": "integer" }] }"#;

/// Parts of a handmade module that a test may replace.
pub struct Handmade<'a> {
    /// The contract, in WIT.
    pub wit: String,
    /// The world in it.
    pub world: &'static str,
    /// Imports of the core module.
    pub imports: &'static str,
    /// Address from which the module lends memory to the host.
    pub free: u32,
    /// What `describe` returns.
    pub description: String,
    /// What comes before `describe` returns; may change the local `$length`.
    pub before_describe: &'static str,
    /// Body of `update`, which returns the address of a `folded`.
    pub update: &'static str,
    /// The other functions, from `merge` on.
    pub rest: &'a str,
}

/// `merge` and `migrate` as the contract has them.
pub const REST: &str = r#"
  (func (export "tidemark:metric/metric@1.0.0#merge") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
  (func (export "tidemark:metric/metric@1.0.0#migrate") (param i32 i32 i32 i32 i32) (result i32) unreachable)"#;

impl Default for Handmade<'_> {
    fn default() -> Self {
        Self {
            wit: include_str!("../../../../wit/metric.wit").into(),
            world: "metric-module",
            imports: "",
            free: 2 << 20,
            description: DESCRIPTION.into(),
            before_describe: "",
            update: "unreachable",
            rest: REST,
        }
    }
}

impl Handmade<'_> {
    /// The core module. Memory below 1 KiB is its scratch: the `folded` that `update` returns is at 64, all zero.
    pub fn core(&self) -> Vec<u8> {
        let Self { imports, free, description, before_describe, update, rest, .. } = self;
        let (length, data) =
            (description.len(), description.replace('\\', "\\5c").replace('"', "\\22").replace('\n', " "));
        let text = format!(
            r#"(module {imports}
  (memory (export "memory") 64)
  (global $free (mut i32) (i32.const {free}))
  (global $calls (mut i32) (i32.const 0))
  (data (i32.const 1024) "{data}")
  (func (export "cabi_realloc") (param i32 i32 i32) (param $bytes i32) (result i32)
    (global.get $free)
    (global.set $free (i32.and (i32.add (i32.add (global.get $free) (local.get $bytes)) (i32.const 15)) (i32.const -16))))
  (func (export "tidemark:metric/metric@1.0.0#describe") (result i32) (local $length i32)
    (local.set $length (i32.const {length}))
    {before_describe}
    (i32.store (i32.const 16) (i32.const 1024))
    (i32.store (i32.const 20) (local.get $length))
    (i32.const 16))
  (func (export "tidemark:metric/metric@1.0.0#configure") (param i32 i32) (result i32) (i32.const 32))
  (func (export "tidemark:metric/metric@1.0.0#update") (param i32) (result i32) {update})
  (func (export "tidemark:metric/metric@1.0.0#close") (param i32) (result i32) unreachable)
  {rest})"#
        );
        wat::parse_str(text).expect("the text is sound")
    }

    /// The component.
    pub fn component(&self) -> Vec<u8> {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("metric.wit", &self.wit).expect("the contract is sound");
        let world = resolve.select_world(&[package], Some(self.world)).expect("the world is there");
        let mut module = self.core();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("it fits the world");
        let mut encoder = ComponentEncoder::default();
        encoder.validate(true).module(&module).expect("it fits the world");
        encoder.encode().expect("it makes a component")
    }
}

/// What becomes of a group on which `update` does this.
fn verdict(update: &'static str) -> (Reason, String) {
    let module = host().load(&Handmade { update, ..Handmade::default() }.component()).expect("nothing is wrong yet");
    let mut guest: Box<dyn Guest> = module.factory("null", tight()).expect("it starts").instantiate().expect("again");
    let mut folded = guest.update(&batch(&["a", "b"])).expect("isolated");
    assert_eq!(failed(&folded), [0, 1], "{update}");
    let failure = folded.failures.pop().expect("two");
    (failure.reason, failure.detail)
}

#[test]
fn an_answer_outside_of_memory_is_refused() {
    let (reason, detail) = verdict("(i32.const 0x7fff0000)");
    assert_eq!((reason, detail.as_str()), (Reason::GuestOutput, "pointer out of bounds of memory"));
    let (reason, detail) = verdict("(i32.const 65)");
    assert_eq!((reason, detail.as_str()), (Reason::GuestOutput, "return pointer not aligned"));
}

#[test]
fn a_list_outside_of_memory_is_refused() {
    let (reason, detail) = verdict(
        "(i32.store (i32.const 64) (i32.const 1024)) (i32.store (i32.const 68) (i32.const 0x3fffffff)) (i32.const 64)",
    );
    assert_eq!((reason, detail.as_str()), (Reason::GuestOutput, "list pointer/length out of bounds of memory"));
}

#[test]
fn columns_of_an_unknown_kind_are_refused() {
    // One emitted column, at 1000, whose variant has the discriminant 9.
    let (reason, detail) = verdict(
        "(i32.store (i32.const 88) (i32.const 1000)) (i32.store (i32.const 92) (i32.const 1))
         (i32.store (i32.const 1008) (i32.const 9)) (i32.const 64)",
    );
    assert_eq!(reason, Reason::GuestOutput);
    assert!(detail.contains("discriminant"), "{detail}");
}

#[test]
fn a_message_that_is_not_utf8_is_refused() {
    // One failure, at 1000: group 0, and a message of two bytes 0xff.
    let (reason, detail) = verdict(
        "(i32.store (i32.const 104) (i32.const 1000)) (i32.store (i32.const 108) (i32.const 1))
         (i32.store (i32.const 1004) (i32.const 900)) (i32.store (i32.const 1008) (i32.const 2))
         (i32.store16 (i32.const 900) (i32.const 0xffff)) (i32.const 64)",
    );
    assert_eq!(reason, Reason::GuestOutput);
    assert!(detail.contains("utf-8"), "{detail}");
}

#[test]
fn the_same_list_many_times_over_is_bounded_by_what_is_copied() {
    // A hundred thousand failures that share one message of half a megabyte: 52 GB if each were copied.
    let (reason, detail) = verdict(
        "(local $at i32) (i32.store (i32.const 104) (i32.const 524288)) (i32.store (i32.const 108) (i32.const 100000))
         (local.set $at (i32.const 524288))
         (loop $next
           (i32.store offset=4 (local.get $at) (i32.const 4096)) (i32.store offset=8 (local.get $at) (i32.const 520192))
           (local.set $at (i32.add (local.get $at) (i32.const 12)))
           (br_if $next (i32.lt_u (local.get $at) (i32.const 1724288))))
         (i32.const 64)",
    );
    assert_eq!(reason, Reason::GuestOutput);
    assert_eq!(detail, "output_bytes exceeded: limit 67108864");
}

#[test]
fn memory_that_the_module_lends_must_be_its_own() {
    let handmade = Handmade { free: 0x7fff_fff0, ..Handmade::default() };
    let module = host().load(&handmade.component()).expect("nothing is wrong yet");
    let error = module.factory("null", tight()).err().expect("there is nowhere to write the configuration to");
    assert!(error.to_string().contains("beyond end of memory"), "{error}");
}
