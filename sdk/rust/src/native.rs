//! A transform on the host, where no Weir is around it: a function to test. Lines go to standard error, and
//! there is no configuration.

use crate::Level;

pub(crate) fn log(level: Level, text: &str) {
    eprintln!("{level:?} {text}");
}

pub(crate) fn config_text() -> String {
    String::new()
}

/// Exports nothing, since two transforms in one program must not clash. Only for `transform!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($transform:ident) => {
        const _: fn($crate::Event) -> $crate::runtime::Answer =
            <$transform as $crate::runtime::Transform>::process;
    };
}
