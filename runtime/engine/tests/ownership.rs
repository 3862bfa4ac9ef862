//! A job that several processes may believe to run: only what one has decided itself it may keep.

mod support;

use std::sync::Arc;
use support::faults::{Images, MemoryCheckpoints};
use support::*;
use tidemark_engine::fail_point::no_hook;
use tidemark_engine::memory::MemoryEvent;
use tidemark_engine::metric::MetricSpec;
use tidemark_engine::{Engine, Step};

fn input() -> Vec<Vec<MemoryEvent>> {
    let event = |number: i64| event("status", &format!("key-{}", number % 5), number * 10, number);
    vec![(0..200).map(event).collect()]
}

fn metrics() -> Vec<MetricSpec> {
    let window = serde_json::json!({ "kind": "tumbling", "size_ms": 100 });
    vec![metric("tumbling", Arc::new(Collect), &["status"], window)]
}

/// Opens the world's job with a checkpoint behind each epoch.
fn open(world: &World, images: &Images) -> Engine {
    let mut parts = world.parts(metrics(), no_hook(), &Arc::default());
    (parts.settings.checkpoint_every, parts.settings.shared) = (1, true);
    let (state, images) = (world.state.clone(), images.clone());
    parts.checkpoints = Some(Box::new(MemoryCheckpoints { state, images }));
    Engine::open(parts).expect("opens")
}

fn kept(images: &Images) -> Vec<u64> {
    images.0.lock().expect("no panic under this lock").iter().map(|(epoch, _)| epoch.0).collect()
}

#[test]
fn a_checkpoint_is_of_an_epoch_that_was_decided_here() {
    let expected = without_epochs(World::new(input()).run(metrics()).metric("tumbling"));
    let (world, images) = (World::new(input()), Images::default());
    let mut engine = open(&world, &images);
    while engine.progress().epoch.0 < 5 {
        engine.step().expect("steps");
    }
    drop(engine);
    assert_eq!(kept(&images), [3, 4, 5]);
    // Somebody else goes on from the oldest of them, and keeps nothing of what it only runs again.
    let oldest = images.0.lock().expect("no panic under this lock")[0].1.clone();
    let other = World { state: oldest, restored: true, ..world };
    let of_other = Images::default();
    let mut engine = open(&other, &of_other);
    while engine.is_rerunning() {
        engine.step().expect("steps");
    }
    assert_eq!((engine.progress().epoch.0, kept(&of_other)), (5, vec![]));
    // Giving it up, it leaves a checkpoint, of an epoch that is its own.
    assert_eq!(engine.hand_over().expect("hands over").epoch.0, 6);
    assert_eq!(kept(&of_other), [6]);
    let image = of_other.0.lock().expect("no panic under this lock").pop().expect("an image").1;
    let next = World { state: image, ..other };
    let mut engine = open(&next, &of_other);
    assert!(!engine.is_rerunning());
    while engine.step().expect("steps") != Step::Finished {}
    assert!(without_epochs(next.sink.metric("tumbling")) == expected);
}
