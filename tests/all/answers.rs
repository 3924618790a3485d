//! What the tests' own guests answer, as plain functions: the half of the oracle that knows modules.

use model::{Event, GuestFaultCode, Headers, Message, Plan};
use weir_tests::oracle::Outcome;

/// A state for guests that keep none.
#[derive(Default)]
pub(crate) struct Stateless;

/// `multi`, in whatever language.
pub(crate) fn multi(_: &Plan, event: &Event, _: &mut Stateless) -> Outcome {
    if event.payload.starts_with(b"no") {
        return Outcome::Dead(GuestFaultCode::Rejected, 0);
    }
    let part = |part: u64| {
        let own = [("Part".to_owned(), part.to_string())];
        let kept = event.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers = Headers::canonical(kept.chain(own));
        let payload = [&event.payload, format!("#{part}").as_bytes()].concat().into();
        Message { subject: None, payload, headers }
    };
    Outcome::Messages((0..[0, 1, 3][(event.sequence % 3) as usize]).map(part).collect())
}

/// `multi` alone or followed by `upper`: as many steps as the plan has.
pub(crate) fn multi_then_upper(plan: &Plan, event: &Event, state: &mut Stateless) -> Outcome {
    match multi(plan, event, state) {
        Outcome::Messages(mut messages) if plan.steps.len() == 2 => {
            messages
                .iter_mut()
                .for_each(|message| message.payload = message.payload.to_ascii_uppercase().into());
            Outcome::Messages(messages)
        }
        outcome => outcome,
    }
}

/// `leaky`: counts the events of the unit since its instance was fresh, or since it last cost itself its
/// memory.
pub(crate) fn leaky(_: &Plan, event: &Event, seen: &mut u64) -> Outcome {
    *seen += 1;
    if *event.payload == *b"trap" {
        *seen = 0;
        return Outcome::Dead(GuestFaultCode::Trap, 0);
    }
    Outcome::payload([format!("{seen} ").as_bytes(), &event.payload].concat())
}
