//! A transform as a core module: the functions of `wit/README.md`, over MessagePack in the module's memory,
//! which `wire.rs` reads and writes.
//!
//! The one file of this crate with unsafe code: exports, imports, and memory that the host has written are
//! beyond what the compiler can check.

use std::cell::RefCell;

use crate::{Level, runtime::Transform, wire};

#[link(wasm_import_module = "weir")]
// SAFETY: these are the contract's imports, with its types.
unsafe extern "C" {
    #[link_name = "log"]
    fn host_log(level: u32, text: *const u8, length: usize);
    #[link_name = "config_len"]
    safe fn host_config_length() -> usize;
    #[link_name = "config_read"]
    fn host_config_read(to: *mut u8);
}

pub(crate) fn log(level: Level, text: &str) {
    // SAFETY: the host reads these bytes of the text, and nothing after the call.
    unsafe { host_log(level as u32, text.as_ptr(), text.len()) }
}

pub(crate) fn config_text() -> String {
    let mut text = vec![0; host_config_length()];
    // SAFETY: the host writes as many bytes as it has just said, and the text has room for them.
    unsafe { host_config_read(text.as_mut_ptr()) }
    String::from_utf8(text).expect("by the contract a configuration is JSON")
}

/// Room for an event, which is a box of so many bytes that nobody has yet.
pub fn alloc(length: usize) -> *mut u8 {
    // What goes wrong from here on is reported; nothing has been called before.
    #[cfg(target_os = "unknown")]
    panics::log_them();
    Box::into_raw(Box::<[u8]>::new_uninit_slice(length)).cast()
}

/// The answer to an event, as `pointer << 32 | length`. Its memory is used again for the next.
pub fn process<T: Transform>(event: Box<[u8]>) -> u64 {
    thread_local! {
        static ANSWER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let event = wire::read_event(event.into_vec()).expect("the event has to be of the contract's shape");
    let answer = T::process(event);
    ANSWER.with_borrow_mut(|bytes| {
        wire::write_answer(&answer, bytes);
        (bytes.as_ptr() as u64) << 32 | bytes.len() as u64
    })
}

/// What std tells of a panic goes to standard error, which there is only with WASI.
#[cfg(target_os = "unknown")]
mod panics {
    use std::cell::Cell;

    /// Sees to it that a panic's place and message are logged, and so stand in the reason of the trap.
    pub(super) fn log_them() {
        thread_local! {
            static LOGGED: Cell<bool> = const { Cell::new(false) };
        }
        if !LOGGED.replace(true) {
            std::panic::set_hook(Box::new(|panic| super::log(crate::Level::Error, &panic.to_string())));
        }
    }
}

/// Exports a transform. Only for `transform!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($transform:ident) => {
        // SAFETY: no other function has this name; two transforms in one module do not link.
        #[unsafe(export_name = "weir_alloc")]
        extern "C" fn alloc(length: usize) -> *mut u8 {
            $crate::core_module::alloc(length)
        }

        // SAFETY: as above.
        #[unsafe(export_name = "weir_process")]
        extern "C" fn process(event: *mut u8, length: usize) -> u64 {
            let event = ::std::ptr::slice_from_raw_parts_mut(event, length);
            // SAFETY: by the contract this is what `weir_alloc` gave for this length, all of it written by
            // the host, which calls once for each and leaves it to the module.
            let event = unsafe { ::std::boxed::Box::from_raw(event) };
            $crate::core_module::process::<$transform>(event)
        }
    };
}
