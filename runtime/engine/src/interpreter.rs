//! The component contract in flat values: the world `weir:transform/interpreter` in `wit/`.
//!
//! An interpreter takes a record apart field by field and by name, which costs it more than all that a short
//! transform does. So here an event is arguments, what few transforms look at is one text, and the frequent
//! answer is bytes alone. Whatever else there is to say comes by calls of `weir:transform/language`, and is
//! gathered here.

use bytes::Bytes;
use model::{Answer, Event, GuestFault, Limits};
use wasmtime::component::{Func, LinkerInstance, TypedFunc, WasmList, WasmStr};
use wasmtime::{Store, StoreContextMut};

use crate::answer::{self, AnswerBuilder};
use crate::state::{State, charge, denied};

/// Subject, payload, and the rest of the event.
pub(crate) type Params<'a> = (&'a str, &'a [u8], &'a str);
/// The payload of a message with the event's headers, if there is one.
pub(crate) type Results = (Option<Vec<u8>>,);

/// What a guest sent during an event by calls.
pub(crate) struct Sent {
    answer: AnswerBuilder,
    /// The messages that get the event's headers, by their place in the answer.
    keep_headers: Vec<usize>,
    refusal: Option<String>,
}

impl Sent {
    const fn nothing(limits: &Limits) -> Self {
        Self { answer: AnswerBuilder::begin_empty(limits), keep_headers: Vec::new(), refusal: None }
    }

    fn into_answer(
        mut self,
        last: Option<Vec<u8>>,
        event: &Event,
        limits: &Limits,
    ) -> Result<Answer, GuestFault> {
        if let Some(reason) = self.refusal {
            return answer::reject(limits, reason);
        }
        if let Some(payload) = last {
            self.keep_headers.push(self.answer.next_message()?);
            self.answer.count_payload(&payload)?;
            self.answer.message::<&str>(None, Bytes::from(payload), Vec::new());
        }
        for index in self.keep_headers {
            self.answer.keep_headers(index, &event.headers)?;
        }
        Ok(self.answer.finish())
    }
}

/// Gives the guest one event by its `process`, which [`Params`] and [`Results`] are the types of.
#[allow(unsafe_code)]
pub(crate) fn process(
    process: Func,
    store: &mut Store<State>,
    event: &Event,
    limits: &Limits,
) -> wasmtime::Result<Answer> {
    store.data_mut().sent = Some(Sent::nothing(limits));
    let rest = rest(event);
    // SAFETY: `ComponentModule::instantiate` had this function's type checked against the same types; how
    // long they borrow the event is no part of what is checked.
    let process: TypedFunc<Params<'_>, Results> = unsafe { TypedFunc::new_unchecked(process) };
    let (last,) = process.call(&mut *store, (&event.subject, &event.payload, &rest))?;
    let sent = store.data_mut().sent.take();
    let sent = sent.expect("it was put there above, and a call that took it and went on has put it back");
    sent.into_answer(last, event, limits).map_err(wasmtime::Error::new)
}

/// What of the event is no argument by itself, as the world has it.
fn rest(event: &Event) -> String {
    let Event { headers, sequence, timestamp_ns, .. } = event;
    let headers = headers.to_json();
    format!(r#"{{"headers":{headers},"sequence":"{sequence}","timestamp_ns":"{timestamp_ns}"}}"#)
}

/// Serves what of the interface `language` makes an answer.
pub(crate) fn link(language: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    language.func_wrap("send", send)?;
    language.func_wrap("refuse", refuse)
}

type SentHeaders = Option<Vec<(String, String)>>;

fn send(
    mut store: StoreContextMut<'_, State>,
    (subject, payload, headers): (Option<String>, WasmList<u8>, SentHeaders),
) -> wasmtime::Result<()> {
    let texts = headers.iter().flatten().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    charge(&mut store, (payload.len() + subject.as_ref().map_or(0, String::len) + texts) as u64)?;
    let mut sent = take(&mut store, "send")?;
    let index = sent.answer.next_message()?;
    let subject = subject.map(|subject| sent.answer.subject(subject)).transpose()?;
    let payload = payload.as_le_slice(&store);
    sent.answer.count_payload(payload)?;
    for (name, value) in headers.iter().flatten() {
        sent.answer.header(name, value)?;
    }
    if headers.is_none() {
        sent.keep_headers.push(index);
    }
    sent.answer.message(subject, Bytes::copy_from_slice(payload), headers.unwrap_or_default());
    store.data_mut().sent = Some(sent);
    Ok(())
}

fn refuse(mut store: StoreContextMut<'_, State>, (reason,): (WasmStr,)) -> wasmtime::Result<()> {
    let reason = reason.to_str(&store)?.into_owned();
    charge(&mut store, reason.len() as u64)?;
    let mut sent = take(&mut store, "refuse")?;
    sent.refusal = Some(reason);
    store.data_mut().sent = Some(sent);
    Ok(())
}

/// What was sent so far, which the caller puts back.
fn take(store: &mut StoreContextMut<'_, State>, function: &str) -> wasmtime::Result<Sent> {
    store.data_mut().sent.take().ok_or_else(|| {
        denied(format!(
            "'weir:transform/language#{function}' is for an event's answer, and for modules of the world \
            'weir:transform/interpreter'"
        ))
    })
}
