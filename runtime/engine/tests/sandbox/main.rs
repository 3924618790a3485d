//! The sandbox from outside: what a module can do, and what becomes of one that does what it must not.
//! Modules are written in the text format, so that each shows exactly what it does.

mod command;
mod component;
mod contract;
mod determinism;
mod guests;
mod hostile;
mod inspect;
mod interpreter;
mod lifecycle;
mod reasons;
mod wasi;
