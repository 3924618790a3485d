//! The words of Weir, as types: what an event, a message, a record, a plan and a receipt are, and the
//! bytes that stand for each.
//!
//! Everything here is plain data. There is no I/O, no clock and no randomness in this crate, and a value
//! that exists is valid: names, subjects and digests are parsed once, into types of their own.
//!
//! Reading order: [`digest`] and [`name`] (how things are called), [`event`] (what a transform sees and
//! says), [`fault`] and [`limits`] (what goes wrong and what bounds it), [`plan`] (what runs), [`record`],
//! [`receipt`], [`revision`] and [`totals`] (what is written down).

pub mod digest;
pub mod event;
pub mod fault;
pub mod headers;
pub mod limits;
pub mod name;
pub mod number;
pub mod plan;
pub mod plan_diff;
pub mod receipt;
pub mod record;
pub mod revision;
pub mod subject;
pub mod totals;

pub use digest::{Digest, DigestBuilder};
pub use event::{Answer, Event, Message};
pub use fault::{Fault, GuestFault, GuestFaultCode, HostFault};
pub use headers::Headers;
pub use limits::Limits;
pub use name::{PipelineName, StreamName, TagName};
pub use plan::{CommandOutput, OnGuestFault, PackPlan, Packing, Plan, SinkPlan, SourcePlan, StepPlan};
pub use plan_diff::{PlanChange, plan_changes};
pub use receipt::{Receipt, ReceiptLink};
pub use record::{ForeignRecord, Place, Position, Record, RecordId, RecordKind};
pub use revision::Revision;
pub use subject::{Subject, SubjectPattern, SubjectTemplate};
pub use totals::Totals;
