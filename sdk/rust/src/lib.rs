//! Write a transform for Weir: a function from one event to any number of messages, or to a reason why the
//! event is refused.
//!
//! [`transform!`] exports a plain function as a component of the world `weir:transform/transform`; the rest
//! of this crate makes the function short to write: [`Event`] in, [`Message`] out, [`Reject`] from any error
//! by `?`, a configuration of a type of its own, and lines for the node's log. On the host the same function
//! is an ordinary one, so `cargo test` tests it without WebAssembly. What runs a transform, and what bounds
//! it, is Weir's matter; see `wit/transform.wit` for the contract.

// The generated code names this crate as a transform's crate does.
extern crate self as weir_sdk;

#[allow(missing_docs, clippy::all, reason = "generated; the contract's own file documents it")]
pub mod bindings;
mod host;
mod message;
mod reject;
#[doc(hidden)]
pub mod runtime;

#[doc(inline)]
pub use bindings::weir::transform::host::Level;
#[doc(inline)]
pub use bindings::weir::transform::types::{Event, Message};
pub use host::{config_text, log};
pub use message::IntoMessages;
pub use reject::Reject;
#[doc(hidden)]
pub use wit_bindgen;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// What a transform answers: messages, or the reason why the event is refused.
pub type Result<T = Vec<Message>, E = Reject> = core::result::Result<T, E>;

/// Makes a function the transform of this crate, which is built as a `cdylib`.
///
/// `transform!(process)` takes a function `fn(Event) -> Result<M, E>`; `transform!(process, Settings)` one of
/// `fn(Event, &Settings) -> Result<M, E>`, where `Settings: serde::Deserialize` is read from the step's
/// configuration once for each instance (no configuration reads as `{}`), and every event is refused with the
/// reason when it does not fit. `M` is whatever can be messages ([`IntoMessages`]), `E` whatever can be a
/// [`Reject`], which is all that can be displayed.
#[macro_export]
macro_rules! transform {
    ($process:path) => {
        $crate::transform!(@export |event| $crate::runtime::answer($process(event)));
    };
    ($process:path, $settings:ty) => {
        $crate::transform!(@export |event| {
            ::std::thread_local! {
                static SETTINGS: $crate::runtime::Settings<$settings> =
                    const { $crate::runtime::Settings::new() };
            }
            SETTINGS.with(|settings| $crate::runtime::answer($process(event, settings.get()?)))
        });
    };
    (@export |$event:ident| $answer:expr) => {
        const _: () = {
            struct Transform;

            impl $crate::bindings::Guest for Transform {
                fn process(
                    $event: $crate::Event,
                ) -> $crate::runtime::Answer {
                    $answer
                }
            }

            #[cfg(target_arch = "wasm32")]
            $crate::bindings::export!(Transform with_types_in $crate::bindings);

            // On the host nobody calls it, and two transforms in one program must not clash.
            #[cfg(not(target_arch = "wasm32"))]
            const _: fn($crate::Event) -> $crate::runtime::Answer =
                <Transform as $crate::bindings::Guest>::process;
        };
    };
}
