//! A typed selection of flights: those that left more than a quarter of an hour late, reshaped. It is
//! compiled into a module and into the native program with which that module is compared.

use serde::{Deserialize, Serialize};

/// A flight, as far as it is looked at.
#[derive(Deserialize)]
struct Flight<'a> {
    carrier: &'a str,
    flight: u32,
    origin: &'a str,
    dest: &'a str,
    dep_delay: Option<i32>,
}

/// What is kept of it.
#[derive(Serialize)]
struct Late<'a> {
    carrier: &'a str,
    flight: u32,
    route: Route<'a>,
    delay: i32,
}

/// From where to where, written as one text.
struct Route<'a>(&'a str, &'a str);

impl Serialize for Route<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}-{}", self.0, self.1))
    }
}

/// The late flight in JSON; none if it was in time or never left.
///
/// # Errors
/// When it is no flight.
pub fn select(json: &[u8]) -> Result<Option<Vec<u8>>, serde_json::Error> {
    let Flight { carrier, flight, origin, dest, dep_delay } = serde_json::from_slice(json)?;
    let Some(delay) = dep_delay.filter(|delay| *delay > 15) else { return Ok(None) };
    serde_json::to_vec(&Late { carrier, flight, route: Route(origin, dest), delay }).map(Some)
}
