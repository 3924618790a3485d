//! Write a transform for Weir: a function from one event to any number of messages, or to a reason why the
//! event is refused.
//!
//! [`transform!`] exports a plain function, as a component of the world `weir:transform/transform` or as a
//! core module: the target decides, and the author's code is the same. The rest of this crate makes the
//! function short to write: [`Event`] in, [`Message`] out, [`Reject`] from any error by `?`, a
//! configuration of a type of its own, and lines for the node's log. On the host the same function is an
//! ordinary one, so `cargo test` tests it without WebAssembly. What runs a transform, and what bounds it,
//! is Weir's matter; see `wit/` for the contract.

// The code that is generated for components names this crate as a transform's crate does.
#[cfg(all(target_arch = "wasm32", target_env = "p2"))]
extern crate self as weir_sdk;

// How a transform is called, and what it calls, by the target: each of the three has `log`, `config_text` and
// the macro `__export!`.
#[cfg(all(target_arch = "wasm32", target_env = "p2"))]
#[doc(hidden)]
pub mod component;
#[cfg(all(target_arch = "wasm32", not(target_env = "p2")))]
#[doc(hidden)]
pub mod core_module;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(all(target_arch = "wasm32", target_env = "p2"))]
use component as abi;
#[cfg(all(target_arch = "wasm32", not(target_env = "p2")))]
use core_module as abi;
#[cfg(not(target_arch = "wasm32"))]
use native as abi;

mod host;
mod message;
mod reject;
#[doc(hidden)]
pub mod runtime;
// On the host for its tests.
#[cfg(not(target_env = "p2"))]
#[doc(hidden)]
pub mod wire;

pub use host::{Level, config_text, log};
pub use message::{Event, IntoMessages, Message};
pub use reject::Reject;
#[cfg(all(target_arch = "wasm32", target_env = "p2"))]
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

            impl $crate::runtime::Transform for Transform {
                fn process($event: $crate::Event) -> $crate::runtime::Answer {
                    $answer
                }
            }

            $crate::__export!(Transform);
        };
    };
}
