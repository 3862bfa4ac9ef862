//! What is not admitted as a module, and what the person who uploaded it is told.

use crate::handmade::{DESCRIPTION, Handmade, REST};
use crate::support::{evil, host};
use tidemark_engine::descriptor::WindowSpec;
use tidemark_wasm_host::{Host, HostSettings, LoadError};

fn refused(bytes: &[u8]) -> LoadError {
    host().load(bytes).err().expect("it must not be admitted")
}

#[test]
fn a_sound_module_is_described() {
    let module = evil();
    assert_eq!(module.descriptor().name, "evil");
    assert_eq!(module.descriptor().window, WindowSpec::Session { gap_ms: 1000 });
    assert_eq!(module.digest(), host().load(module.bytes()).expect("the same again").digest());
    host().load(&Handmade::default().component()).expect("handmade modules are sound unless a test breaks them");
}

#[test]
fn other_kinds_of_files_are_told_apart() {
    assert!(matches!(refused(b"\x7fELF\x02\x01\x01\x00"), LoadError::NativeCode));
    assert!(matches!(refused(&Handmade::default().core()), LoadError::CoreModule));
    assert!(matches!(refused(b""), LoadError::NotAComponent(_)));
    let text = refused(b"(component)").to_string();
    assert_eq!(text, "this is not a WebAssembly component: it begins with (compone");
    assert!(refused(&Handmade::default().core()).to_string().contains("wasm-tools component new"));
}

#[test]
fn native_code_is_refused_even_if_wasmtime_made_it() {
    let engine = wasmtime::Engine::default();
    let code = engine.precompile_component(&Handmade::default().component()).expect("it compiles");
    assert!(matches!(refused(&code), LoadError::NativeCode));
}

#[test]
fn damaged_components_are_refused() {
    let component = Handmade::default().component();
    for length in [8, 9, 100, component.len() / 2, component.len() - 1] {
        assert!(matches!(refused(&component[..length]), LoadError::Invalid(_) | LoadError::WrongWorld(_)), "{length}");
    }
}

#[test]
fn a_module_that_is_too_large_is_refused_before_anything_is_done_with_it() {
    let small = Host::new(HostSettings { module_bytes: 1_000, instances: 1, ..HostSettings::default() });
    let component = Handmade::default().component();
    let error = small.expect("sound").load(&component).err().expect("too large").to_string();
    let length = component.len();
    assert_eq!(
        error,
        format!("the module is too large: module_bytes exceeded: limit 1000, current 0, requested {length}")
    );
}

#[test]
fn every_import_is_named() {
    let wit = include_str!("../../../../wit/metric.wit");
    let world = "world importer { import clock: func() -> u64; import host: interface { now: func() -> u64; }
        export metric; }";
    let handmade = Handmade {
        wit: format!("{wit}\n{world}"),
        world: "importer",
        imports: r#"(import "$root" "clock" (func $clock (result i64))) (import "host" "now" (func $now (result i64)))"#,
        before_describe: "(drop (call $clock)) (drop (call $now))",
        ..Handmade::default()
    };
    let error = refused(&handmade.component()).to_string();
    assert_eq!(error, "a metric imports nothing, but this component imports clock, host#now");
}

/// The contract with another line for `migrate`.
fn contract_with_migrate(line: &str) -> String {
    let wit = Handmade::default().wit;
    let lines = wit.lines().map(|original| if original.trim().starts_with("migrate: func") { line } else { original });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_missing_interface_and_a_missing_function_are_named() {
    let empty = wat::parse_str("(component)").expect("sound");
    let error = refused(&empty).to_string();
    assert_eq!(error, "the component is not a metric: does not export tidemark:metric/metric@1.0.0");

    let (merge, _) = REST.split_once("(func (export \"tidemark:metric/metric@1.0.0#migrate").expect("both are there");
    let handmade = Handmade { wit: contract_with_migrate(""), rest: merge, ..Handmade::default() };
    let error = refused(&handmade.component()).to_string();
    assert_eq!(error, "the component is not a metric: tidemark:metric/metric@1.0.0 does not export `migrate`");
}

#[test]
fn a_function_of_another_type_is_named() {
    let wit = contract_with_migrate("migrate: func(states: byte-strings, %from: u64) -> folded;");
    let rest = r#"
      (func (export "tidemark:metric/metric@1.0.0#merge") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
      (func (export "tidemark:metric/metric@1.0.0#migrate") (param i32 i32 i32 i32 i64) (result i32) unreachable)"#;
    let error = refused(&Handmade { wit, rest, ..Handmade::default() }.component()).to_string();
    assert!(
        error.contains("export `migrate` has another type") && error.contains("expected `u32` found `u64`"),
        "{error}"
    );
}

#[test]
fn a_description_that_changes_is_refused() {
    let before_describe = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (local.set $length (i32.sub (local.get $length) (i32.ge_u (global.get $calls) (i32.const 2))))";
    let description = format!("{DESCRIPTION}  ");
    let error = refused(&Handmade { before_describe, description, ..Handmade::default() }.component());
    assert!(matches!(error, LoadError::FickleDescription));
}

#[test]
fn a_description_that_makes_no_sense_is_refused_with_all_its_mistakes() {
    let description = DESCRIPTION.replace("handmade", "Hand made").replace("0.1.0", "one");
    let error = refused(&Handmade { description, ..Handmade::default() }.component());
    let LoadError::Description(mistakes) = error else { panic!("{error}") };
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    let deep = format!("{{ \"describe\": {} 1 }}", "[".repeat(10_000));
    let error = refused(&Handmade { description: deep, ..Handmade::default() }.component());
    assert!(matches!(error, LoadError::Description(mistakes) if mistakes[0].starts_with("not JSON")));
}

#[test]
fn describe_may_not_run_or_talk_for_ever() {
    let small = HostSettings { describe_bytes: 1_024, instances: 2, ..HostSettings::default() };
    let small = Host::new(small).expect("sound");
    let long = format!("{DESCRIPTION}{}", " ".repeat(2_000));
    let error = small.load(&Handmade { description: long, ..Handmade::default() }.component());
    let error = error.err().expect("too long").to_string();
    assert_eq!(error, "the module cannot be started: describe: output_bytes exceeded: limit 1024");

    let trap = Handmade { before_describe: "unreachable", ..Handmade::default() };
    assert!(refused(&trap.component()).to_string().contains("`unreachable`"));
    let endless = Handmade { before_describe: "(loop $again (br $again))", ..Handmade::default() };
    assert!(refused(&endless.component()).to_string().contains("still running at the end of its time"));
}

#[test]
fn a_module_that_wants_more_memory_than_any_may_have_is_refused() {
    let small = HostSettings { memory_bytes: 1 << 20, instances: 2, ..HostSettings::default() };
    let error = Host::new(small).expect("sound").load(&Handmade::default().component()).err().expect("4 MiB");
    assert!(error.to_string().contains("memory"), "{error}");
}
