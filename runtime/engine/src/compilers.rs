//! Threads of low priority, on which large modules are compiled: ten seconds of all cores for a Python module
//! would else be taken from the workers. Small modules take milliseconds, and are compiled where they are
//! asked for.

use std::sync::OnceLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// From this size on a module is compiled in the background, in bytes.
pub const LARGE_MODULE_BYTES: usize = 256 << 10;

/// How much more willingly than the rest of the process these threads let others go first. At 5 a thread gets
/// a third of what a busy worker gets, so that a busy node is not kept from compiling.
const NICENESS: i32 = 5;

/// Stack of a thread, in bytes: the compiler recurses over what is nested.
const STACK_BYTES: usize = 8 << 20;

/// The threads, started when they are first needed.
#[derive(Default)]
pub(crate) struct Compilers(OnceLock<Option<ThreadPool>>);

impl Compilers {
    /// Does the work for a module of this size where it belongs, and waits for it.
    pub(crate) fn run<T: Send>(&self, module_bytes: usize, work: impl FnOnce() -> T + Send) -> T {
        match (module_bytes >= LARGE_MODULE_BYTES).then(|| self.0.get_or_init(start)) {
            Some(Some(pool)) => pool.install(work),
            // Where threads are not to be had it is only less considerate.
            Some(None) | None => work(),
        }
    }
}

fn start() -> Option<ThreadPool> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let builder = ThreadPoolBuilder::new()
        .num_threads(threads)
        .stack_size(STACK_BYTES)
        .thread_name(|number| format!("compiler-{number}"))
        .start_handler(|_| let_others_go_first());
    builder.build().ok()
}

/// Lowers the priority of the calling thread, which is what Linux does it for. Where it is refused, the
/// thread is as any other.
#[allow(unsafe_code)]
fn let_others_go_first() {
    // SAFETY: `nice` takes and gives numbers, and touches no memory.
    let _ = unsafe { libc::nice(NICENESS) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_modules_are_compiled_in_the_background() {
        let compilers = Compilers::default();
        let thread = || std::thread::current().name().unwrap_or_default().to_owned();
        assert!(!compilers.run(LARGE_MODULE_BYTES - 1, thread).starts_with("compiler-"));
        assert!(compilers.run(LARGE_MODULE_BYTES, thread).starts_with("compiler-"));
    }
}
