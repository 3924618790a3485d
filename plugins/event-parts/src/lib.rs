//! Parts of an event, as a module's configuration names them, so that all modules name them in one way.
//!
//! A [`Part`] is one text of an event: its subject, a token of it, its sequence, a header, the payload or a
//! field of the JSON in it. A [`Template`] is a text with such parts in braces. A [`Field`] is the way to one
//! value in a JSON document, found without reading the rest into memory. All three are read from text when
//! the configuration is, and what cannot be meant is refused there. The table of names is in
//! `plugins/README.md`. [`Members`] are those of a JSON object, for modules that copy what they leave alone.

mod field;
mod members;
mod part;
mod template;

pub use field::{Field, content};
pub use members::{Members, name};
pub use part::Part;
pub use template::{Filled, Template};
