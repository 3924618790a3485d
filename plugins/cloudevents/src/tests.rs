//! Whole events through the module, with the examples of the specification.

use weir_sdk::{Event, Message};

use super::{Settings, process, settings};

type Outcome = std::result::Result<Message, String>;

const STRUCTURED: &str = r#"{"action":"convert","mode":"structured"}"#;
const BINARY: &str = r#"{"action":"convert","mode":"binary"}"#;
const UNWRAP: &str = r#"{"action":"unwrap"}"#;

fn processed(config: &str, event: Event) -> Outcome {
    let settings: Settings = serde_json::from_str(config).expect("the configuration is valid");
    process(event, &settings).map_err(String::from)
}

fn event(headers: &[(&str, &str)], payload: impl Into<Vec<u8>>) -> Event {
    let mut event = Event::new("orders.new", payload);
    (event.sequence, event.timestamp_ns) = (7, 1_767_225_600_500_000_000);
    event.headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    event
}

fn headers(message: &Message) -> Vec<(&str, &str)> {
    message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn text(message: &Message) -> &str {
    str::from_utf8(&message.payload).expect("it is UTF-8")
}

/// What the specification's example of an event with an integer for an extension looks like.
fn example(rest: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","type":"com.example.someevent","source":"/mycontext","id":"C234","comexampleothervalue":5{rest}}}"#
    )
}

#[test]
fn an_event_is_wrapped_with_what_it_says() {
    let config = r#"{"action":"wrap","mode":"MODE","source":"/shop/{1}","type":"shop.{$.kind}","id":"{$.id}-{sequence}",
        "subject":"{header:Key}","dataschema":"urn:x","extensions":{"tenant":"{header:Tenant}","none":"{$.none}"}}"#;
    let order = event(&[("Key", "a b"), ("Tenant", "é")], r#"{"id":"o1","kind":"order", "n":1.50}"#);
    let message = processed(&config.replace("MODE", "structured"), order.clone()).expect("it can be wrapped");
    let expected = concat!(
        r#"{"specversion":"1.0","id":"o1-7","source":"/shop/orders","type":"shop.order","#,
        r#""time":"2026-01-01T00:00:00.500000000Z","datacontenttype":"application/json","dataschema":"urn:x","#,
        r#""subject":"a b","tenant":"é","data":{"id":"o1","kind":"order", "n":1.50}}"#
    );
    assert_eq!(text(&message), expected);
    let content_type = ("Content-Type", "application/cloudevents+json");
    assert_eq!(headers(&message), [("Key", "a b"), ("Tenant", "é"), content_type]);

    let message = processed(&config.replace("MODE", "binary"), order.clone()).expect("it can be wrapped");
    assert_eq!(message.payload, order.payload);
    let ce = [
        ("ce-specversion", "1.0"),
        ("ce-id", "o1-7"),
        ("ce-source", "/shop/orders"),
        ("ce-type", "shop.order"),
    ];
    assert_eq!(&headers(&message)[2..6], ce);
    assert!(
        headers(&message).contains(&("ce-tenant", "%C3%A9"))
            && headers(&message).contains(&("ce-subject", "a%20b"))
    );
}

#[test]
fn one_mode_becomes_the_other_and_back() {
    for (object, payload) in [
        (example(r#","datacontenttype":"application/json","data":{"a": 1.50}"#), r#"{"a": 1.50}"#),
        (
            example(r#","datacontenttype":"application/xml","data":"<much wow=\"xml\"/>""#),
            "<much wow=\"xml\"/>",
        ),
        (
            example(r#","datacontenttype":"application/json","data":"I'm just a string""#),
            "\"I'm just a string\"",
        ),
        (example(r#","datacontenttype":"application/json","data":null"#), "null"),
        (example(r#","datacontenttype":"application/x","data_base64":"AAEC""#), "\u{0}\u{1}\u{2}"),
        (example(""), ""),
    ] {
        let structured = event(&[("Trace", "t")], object.clone());
        let message = processed(BINARY, structured).expect("it is a CloudEvent");
        assert_eq!(text(&message), payload);
        let has = |name, value| headers(&message).contains(&(name, value));
        assert!(
            has("ce-id", "C234") && has("ce-comexampleothervalue", "5") && has("Trace", "t"),
            "{message:?}"
        );
        let back = processed(STRUCTURED, event(&headers(&message), message.payload.clone()));
        // Over headers an integer is a text.
        assert_eq!(text(&back.expect("it is a CloudEvent")), object.replace(":5", ":\"5\""));
    }
    let nulls = example(r#","subject":null,"data":"x""#);
    let message = processed(STRUCTURED, event(&[], nulls)).expect("it is a CloudEvent");
    assert_eq!(text(&message), example(r#","datacontenttype":"application/json","data":"x""#));
}

#[test]
fn data_are_taken_out_with_their_type() {
    let ce = [("CE-SpecVersion", "1.0"), ("ce-id", "1"), ("ce-source", "/a"), ("ce-type", "\"t\"")];
    let typed = [&ce[..], &[("ce-datacontenttype", "text/plain"), ("Trace", "t")]].concat();
    let message = processed(UNWRAP, event(&typed, "hello")).expect("it is a CloudEvent");
    assert_eq!(
        (text(&message), headers(&message)),
        ("hello", vec![("Trace", "t"), ("Content-Type", "text/plain")])
    );
    let http = [&ce[..], &[("content-type", "text/plain")]].concat();
    let message = processed(STRUCTURED, event(&http, "hello")).expect("it is a CloudEvent");
    assert!(
        text(&message).ends_with(r#""datacontenttype":"text/plain","data":"hello"}"#),
        "{}",
        text(&message)
    );
}

#[test]
fn what_is_no_cloud_event_is_refused_and_what_is_one_is_not_wrapped_again() {
    let structured = [("Content-Type", "application/cloudevents+json; charset=utf-8")];
    let binary = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/a")];
    let wrap = r#"{"action":"wrap","mode":"binary","source":"/a","type":"{$.type}"}"#;
    let with = |more: (&'static str, &'static str)| [&binary[..], &[("ce-type", "t"), more]].concat();
    for (config, headers, payload, reason) in [
        (UNWRAP, vec![], r#"{"id":1}"#, "the event is no CloudEvent"),
        (UNWRAP, vec![], r#"["specversion"]"#, "the event is no CloudEvent"),
        (UNWRAP, structured.to_vec(), "{}", "the specversion is '', not '1.0'"),
        (UNWRAP, structured.to_vec(), "[]", "the payload is no JSON object"),
        (UNWRAP, structured.to_vec(), "{", "the payload is not JSON: EOF"),
        (UNWRAP, structured.to_vec(), r#"{"specversion":"0.3"}"#, "the specversion is '0.3', not '1.0'"),
        (UNWRAP, structured.to_vec(), r#"{"specversion":"1.0","id":{}}"#, "the attribute 'id': an object"),
        (UNWRAP, structured.to_vec(), r#"{"specversion":"1.0","A":1}"#, "'A' is no name of an attribute"),
        (
            UNWRAP,
            structured.to_vec(),
            r#"{"specversion":"1.0","id":"","source":"/","type":"t"}"#,
            "the attribute 'id' is missing",
        ),
        (UNWRAP, structured.to_vec(), &example(r#","id":"2""#), "the attribute 'id' is there twice"),
        (UNWRAP, structured.to_vec(), &example(r#","a":"\n""#), "the attribute 'a' has a control character"),
        (
            UNWRAP,
            structured.to_vec(),
            &example(r#","data":1,"data_base64":"AA==""#),
            "the data cannot be read: there are both",
        ),
        (
            UNWRAP,
            structured.to_vec(),
            &example(r#","data_base64":"A""#),
            "the data cannot be read: 'data_base64': ",
        ),
        (
            UNWRAP,
            structured.to_vec(),
            &example(r#","datacontenttype":"text/plain","data":1"#),
            "the data cannot be read: 'data' is no text",
        ),
        (
            UNWRAP,
            vec![("Content-Type", "application/cloudevents-batch+json")],
            "[]",
            "the event has the Content-Type application/cloudevents-batch+json",
        ),
        (UNWRAP, binary.to_vec(), "", "the attribute 'type' is missing"),
        (UNWRAP, with(("ce-x", "%C0%A0")), "", "the header 'ce-x' is not UTF-8 when it is decoded"),
        (STRUCTURED, with(("ce-datacontenttype", "application/json")), "{", "the data are not JSON: EOF"),
        (wrap, binary.to_vec(), "{}", "the event is a CloudEvent already"),
        (wrap, vec![], &example(""), "the event is a CloudEvent already"),
        (wrap, vec![], "{}", "the attribute 'type': $.type is missing"),
        (wrap, vec![], r#"{"type":""}"#, "the attribute 'type' is missing"),
        (wrap, vec![], "{", "the payload is not JSON: EOF"),
    ] {
        let error = processed(config, event(&headers, payload)).expect_err(payload);
        assert!(error.starts_with(reason), "{payload}: {error}");
    }
}

#[test]
fn the_readme_and_the_schema_tell_the_truth() {
    checks::readme(env!("CARGO_MANIFEST_DIR"));
    checks::schema::<settings::File>(env!("CARGO_MANIFEST_DIR"), std::env::var_os("UPDATE_GOLDEN"));
}
