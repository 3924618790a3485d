//! Sends every event on in capitals, with its headers.

use weir_sdk::{Event, Result, transform};

// With a configuration of its own, read from the pipeline's `[steps.config]`: transform!(shout, Settings).
transform!(shout);

fn shout(event: Event) -> Result {
    // An error refuses the event: it becomes a dead letter with the reason.
    let text = event.text()?;
    if text.is_empty() {
        return Err("the payload is empty".into());
    }
    Ok(vec![event.message(text.to_uppercase())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shouts() {
        let messages = shout(Event::new("words", "quiet")).expect("it refuses nothing but silence");
        assert_eq!(messages[0].payload, b"QUIET");
        assert!(shout(Event::new("words", "")).is_err());
    }
}
