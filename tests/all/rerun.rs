//! A dead letter's event, run again at home: fetched from the node, by the plan that was in force, in the
//! command line's own sandbox.

use weir_tests::node::command;
use weir_tests::{Pipeline, stream};

use crate::world::World;

/// What `weir try` says of a dead letter, and how it ends.
fn run_again(world: &World, letter: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut command = command();
    command.env("HOME", folder.path()).args(["try", "--from-dead-letter", letter]);
    let output = command.args(["--node", &format!("http://127.0.0.1:{}", world.node.port())]).output();
    let output = output.expect("weir can be started");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), said.concat())
}

#[test]
fn the_event_of_a_dead_letter_is_run_again_at_home() {
    let mut world = World::new();
    let module = world.push("hostile");
    let upper = world.push("upper");
    world.apply(&Pipeline::new("p").step(upper).step_with(module, "name = \"hostile\""));
    let last = world.put(&["harmless"]);
    world.settle("p", last);
    // Capitals are harmless; the module's own words are not.
    let only = Pipeline::new("q").step_with(module, "name = \"hostile\"").sink("Q", "q.{subject}");
    world.apply(&only);
    let last = world.put(&["panic", "reject"]);
    world.settle("q", last);
    let dead = world.status("q")["last_dead_letter"].clone();
    assert_eq!((&dead["position"], &dead["step"]), (&last.into(), &"hostile".into()), "{dead}");
    assert_eq!((&dead["module"], &dead["code"]), (&module.to_string().into(), &"rejected".into()), "{dead}");
    let record = dead["record"].as_u64().expect("a sequence");

    let (code, said) = run_again(&world, "q");
    assert_eq!(code, Some(1), "{said}");
    for part in ["event 3 of IN", "the same as in the stream", "step hostile: rejected: asked to refuse"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // A panic shows its message, its file and its line, here and in the stream.
    let (code, said) = run_again(&world, &format!("q@{}", record - 1));
    assert_eq!(code, Some(1), "{said}");
    for part in ["event 2 of IN", "the same as in the stream", "asked to panic", "examples/hostile.rs:13:"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = run_again(&world, "p");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("pipeline p has no dead letters in OUT"), "{said}");
    let (code, said) = run_again(&world, "q@1");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("record 1 of Q is no dead letter but a revision"), "{said}");

    // Another plan is in force by now, and the old one is run; the source lost the event, and the letter's
    // copy is.
    world.put_in_force(&Pipeline::new("q").step(upper).sink("Q", "q.{subject}"), "q");
    stream::purge(&mut world.client, "IN");
    let (code, said) = run_again(&world, &format!("q@{record}"));
    assert_eq!(code, Some(1), "{said}");
    for part in ["the dead letter's copy, at time 0", "step hostile: rejected: asked to refuse"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
