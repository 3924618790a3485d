//! The thread that advances wasmtime's epoch, so that a call can be ended by the wall clock.
//!
//! It ticks only while an instance lives and sleeps otherwise; it is joined when the engine goes.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use model::HostFault;

/// How long one epoch lasts, in milliseconds.
const TICK_MS: u32 = 10;

/// Epochs that `deadline_ms` takes: never less time than asked for.
pub(crate) fn epochs(deadline_ms: u32) -> u64 {
    u64::from(deadline_ms.div_ceil(TICK_MS)) + 1
}

pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Keeps the ticker awake while it lives.
pub(crate) struct AwakeGuard {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    guards: usize,
    stopping: bool,
}

impl Ticker {
    pub(crate) fn start(engine: wasmtime::Engine) -> Result<Self, HostFault> {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new()
            .name("engine-ticker".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.run(&engine)
            })
            .map_err(|error| HostFault::new(format!("cannot start the sandbox's ticker thread: {error}")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(crate) fn keep_awake(&self) -> AwakeGuard {
        let mut state = self.shared.lock();
        state.guards += 1;
        if state.guards == 1 {
            self.shared.changed.notify_one();
        }
        AwakeGuard { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread cannot panic, and there is nobody to tell if it did.
            let _ = thread.join();
        }
    }
}

impl Drop for AwakeGuard {
    fn drop(&mut self) {
        self.shared.lock().guards -= 1;
    }
}

impl Shared {
    fn run(&self, engine: &wasmtime::Engine) {
        let tick = Duration::from_millis(TICK_MS.into());
        let mut state = self.lock();
        while !state.stopping {
            if state.guards == 0 {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                let waited = self.changed.wait_timeout_while(state, tick, |state| !state.stopping);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                engine.increment_epoch();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_shorter_than_asked() {
        assert_eq!([0, 1, 10, 11].map(epochs), [1, 2, 2, 3]);
    }
}
