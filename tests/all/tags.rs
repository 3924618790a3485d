//! Tags: mutable names that are resolved when a plan is made, and changed only by who knows what they are.

use serde_json::json;
use weir_tests::Pipeline;

use crate::world::{World, messages};

#[test]
fn a_tag_is_set_moved_and_deleted() {
    let world = World::new();
    let (api, upper, identity) = (world.api(), world.push("upper"), world.push("identity"));
    let first = api.put_json("/v1/tags/shout:1.0", &json!({"digest": upper})).expect(201);
    assert_eq!(first.json()["digest"], upper.to_string());
    let moved = api.put_json("/v1/tags/shout:1.0", &json!({"digest": identity})).expect(200);
    assert_ne!(moved.header("etag"), first.header("etag"));
    assert_eq!(api.get("/v1/tags/shout:1.0").expect(200).json()["digest"], identity.to_string());
    let module = api.get(&format!("/v1/modules/{identity}")).expect(200).json();
    assert_eq!(module["tags"], json!(["shout:1.0"]));
    api.delete("/v1/tags/shout:1.0").expect(204);
    assert_eq!(api.get("/v1/tags/shout:1.0").expect(404).code(), "tag-not-found");
}

#[test]
fn a_tag_is_changed_only_by_who_knows_what_it_is() {
    let world = World::new();
    let (api, upper, identity) = (world.api(), world.push("upper"), world.push("identity"));
    let etag = api.put_json("/v1/tags/t", &json!({"digest": upper})).expect(201);
    let etag = etag.header("etag").expect("a tag has an ETag").to_owned();
    let put = |name: &str, value: &str| {
        let request = api.request("PUT", "/v1/tags/t").header("content-type", "application/json");
        request.header(name, value).send(json!({"digest": identity}).to_string().as_bytes())
    };
    assert_eq!(put("if-none-match", "*").expect(412).code(), "precondition-failed");
    put("if-match", &etag).expect(200);
    assert_eq!(put("if-match", &etag).expect(412).code(), "precondition-failed");
}

#[test]
fn a_tag_names_only_modules_that_are_there() {
    let world = World::new();
    let nowhere = model::Digest::of(b"nowhere");
    let reply = world.api().put_json("/v1/tags/t", &json!({"digest": nowhere})).expect(422);
    assert_eq!(reply.code(), "unknown-module");
    world.api().get("/v1/tags/t").expect(404);
}

#[test]
fn a_running_pipeline_does_not_follow_a_tag_that_moves() {
    let mut world = World::new();
    let (upper, identity) = (world.push("upper"), world.push("identity"));
    world.api().put_json("/v1/tags/t", &json!({"digest": upper})).expect(201);
    let pipeline = Pipeline::new("p").step("t");
    world.apply(&pipeline).expect(201);
    let last = world.put(&["a"]);
    world.settle("p", last);
    world.api().put_json("/v1/tags/t", &json!({"digest": identity})).expect(200);
    let last = world.put(&["b"]);
    world.settle("p", last);
    let records = world.records("p", "OUT");
    assert_eq!(messages(&records), ["A", "B"]);
    // Applied again, the same file means another plan.
    let applied = world.apply(&pipeline).json();
    assert_eq!(applied["outcome"], "changed");
    weir_tests::eventually("the new plan is in force", || {
        let plan = world.status("p")["plan"].clone();
        if plan == applied["plan"] { Ok(()) } else { Err(plan) }
    });
    let last = world.put(&["c"]);
    world.settle("p", last);
    let records = world.records("p", "OUT");
    assert_eq!(messages(&records), ["A", "B", "c"]);
}
