//! The sandbox: runs a module on one event and answers with messages, a refusal or a fault. The only crate
//! that knows wasmtime.
//!
//! It promises that an answer is a function of the module's bytes, the step's configuration and limits, and
//! the events that the instance was given, in their order. A guest sees no clock, no network, no file and no
//! chance: what WASI offers of these is made from the event. Whatever a guest does ends as a
//! [`model::GuestFault`] with a stable code and a reason that is the same on every machine; what the machine
//! does ends as a [`model::HostFault`].
//!
//! It leaves to others: keeping modules and compiled code (it hands out bytes, and takes them back), deciding
//! when an instance starts and ends, and what becomes of answers and faults.
//!
//! The way through: [`Engine::inspect`] says what an upload is, or refuses it; [`Engine::compile`] makes code
//! to keep; [`Engine::load`] makes a [`Module`] of it; [`Module::instantiate`] gives an [`Instance`];
//! [`Instance::process`] runs an event. A thread that does the last two needs 1 MiB of stack.

mod answer;
mod command;
mod compile;
mod compilers;
mod component;
mod config;
mod core_module;
mod describe;
mod engine;
mod fault;
mod inspect;
mod instance;
mod interpreter;
mod language;
mod limits;
mod log;
mod random;
mod refusal;
mod signature;
mod state;
mod ticker;
mod wasi_preview1;
mod wasi_preview2;
mod wire;
mod wit;

pub use compile::{CompileError, Module, NotACommand};
pub use compilers::LARGE_MODULE_BYTES;
pub use config::EngineOptions;
pub use describe::{Description, MemoryPages};
pub use engine::Engine;
pub use inspect::{ModuleInfo, ModuleKind};
pub use instance::{CallStats, Instance};
pub use log::{LogLevel, LogLine, LogSource};
pub use refusal::Refusal;
pub use wit::Wit;
