//! A transform as a component of the world `weir:transform/transform`. What speaks to Weir is generated from
//! `wit/transform.wit` with this crate's own types in it, so that what differs from the contract does not
//! compile.

use crate::Level;

#[doc(hidden)]
#[allow(missing_docs, clippy::all, reason = "generated; the contract's own file documents it")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "weir:transform/transform",
        with: {
            "weir:transform/types@1.0.0/event": crate::Event,
            "weir:transform/types@1.0.0/message": crate::Message,
            "weir:transform/host@1.0.0/level": crate::Level,
        },
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "weir_sdk::component::bindings",
        runtime_path: "weir_sdk::wit_bindgen::rt",
    });
}

pub(crate) fn log(level: Level, text: &str) {
    bindings::weir::transform::host::log(level, text);
}

pub(crate) fn config_text() -> String {
    bindings::weir::transform::host::config()
}

/// Exports a transform. Only for `transform!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($transform:ident) => {
        impl $crate::component::bindings::Guest for $transform {
            fn process(event: $crate::Event) -> $crate::runtime::Answer {
                <$transform as $crate::runtime::Transform>::process(event)
            }
        }

        $crate::component::bindings::export!($transform with_types_in $crate::component::bindings);
    };
}
