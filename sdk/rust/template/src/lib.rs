//! Greets whoever an event names.

use serde::{Deserialize, Serialize};
use weir_sdk::{Event, Message, Result, transform};

transform!(greet, Settings);

/// What a pipeline may set, in `[steps.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default = "hello")]
    greeting: String,
}

fn hello() -> String {
    "Hello".into()
}

#[derive(Deserialize)]
struct Visit {
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    text: String,
}

fn greet(event: Event, settings: &Settings) -> Result<Message> {
    // A payload that is not of this shape refuses the event: it becomes a dead letter that says why.
    let visit: Visit = event.json()?;
    if visit.name.is_empty() {
        return Err("there is nobody to greet".into());
    }
    let text = format!("{}, {}!", settings.greeting, visit.name);
    weir_sdk::debug!("greeting {}", visit.name);
    Ok(Message::json(&Greeting { text })?.with_headers(event.headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_greets() {
        let settings = Settings { greeting: "Welcome".into() };
        let message = greet(Event::new("visits", r#"{"name": "Ada"}"#), &settings).expect("a greeting");
        assert_eq!(message.payload, br#"{"text":"Welcome, Ada!"}"#);
    }
}
