//! Runs one of the native sides, or the load.

use std::path::PathBuf;

use clap::Parser;

/// What one would write by hand instead of Weir.
#[derive(Parser)]
enum Side {
    /// One of the relays, until it is killed.
    Relay(native::relay::Options),
    /// Publishes events at a rate, and tells how long each took to its end.
    Load(native::load::Options),
    /// Selects late flights from a file.
    LateFlights {
        /// Flights, a JSON object a line.
        input: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Side::parse() {
        Side::Relay(options) => native::relay::run(&options),
        Side::Load(options) => native::load::run(&options),
        Side::LateFlights { input } => native::flights::select(&input),
    }
}
