//! Whole-system tests: the real binary, a real nats-server, modules built from source. One file for each
//! topic.

mod answers;
mod bad_input;
mod batch;
mod chaos;
mod check;
mod commands;
mod determinism;
mod footprint;
mod hostile;
mod pipeline;
mod replay;
mod rerun;
mod resilience;
mod security;
mod shadow;
mod shutdown;
mod source;
mod swap;
mod tags;
mod trace;
mod upload;
mod verify;
mod world;
