//! The core-module contract: exports that allocate and process, MessagePack in the guest's memory, three
//! imports. `wit/README.md` describes it.

use model::{Answer, Event, GuestFault, GuestFaultCode, Limits};
use wasmtime::{AsContextMut, Caller, Extern, InstancePre, Linker, Memory, Store, TypedFunc};

use crate::log::LogLevel;
use crate::state::{State, charge};
use crate::wasi_preview1;
use crate::wire::{EventFrame, decode_answer};

/// A core module with its imports resolved.
pub(crate) struct CoreModule {
    linked: InstancePre<State>,
}

/// An instance: what it exports, looked up once, and a buffer for its events.
pub(crate) struct CoreInstance {
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    process: TypedFunc<(u32, u32), u64>,
    free: Option<TypedFunc<(u32, u32), ()>>,
    frame: EventFrame,
}

impl CoreModule {
    /// Resolves the module's imports.
    pub(crate) fn link(engine: &wasmtime::Engine, module: &wasmtime::Module) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(engine);
        linker.func_wrap("weir", "log", log)?;
        linker.func_wrap("weir", "config_len", |caller: Caller<'_, State>| config_length(caller.data()))?;
        linker.func_wrap("weir", "config_read", config_read)?;
        wasi_preview1::link(&mut linker, module)?;
        Ok(Self { linked: linker.instantiate_pre(module)? })
    }

    /// Makes an instance in `store` and lets it initialise itself.
    pub(crate) fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<CoreInstance> {
        let instance = self.linked.instantiate(&mut *store)?;
        let memory = instance.get_memory(&mut *store, "memory");
        let memory = memory.ok_or_else(|| wasmtime::Error::msg("the export 'memory' is gone"))?;
        store.data_mut().memory = Some(memory);
        if instance.get_func(&mut *store, "_initialize").is_some() {
            instance.get_typed_func::<(), ()>(&mut *store, "_initialize")?.call(&mut *store, ())?;
        }
        let free = match instance.get_func(&mut *store, "weir_free") {
            Some(free) => Some(free.typed(&*store)?),
            None => None,
        };
        Ok(CoreInstance {
            memory,
            alloc: instance.get_typed_func(&mut *store, "weir_alloc")?,
            process: instance.get_typed_func(&mut *store, "weir_process")?,
            free,
            frame: EventFrame::default(),
        })
    }
}

impl CoreInstance {
    /// Gives the guest one event. `store` is the one that the instance was made in.
    pub(crate) fn process(
        &mut self,
        store: &mut Store<State>,
        event: &Event,
        limits: &Limits,
    ) -> wasmtime::Result<Answer> {
        let length = self.frame.encode(event);
        let event_length = u32::try_from(length).map_err(|_| event_too_large(length))?;
        let pointer = self.alloc.call(&mut *store, event_length)?;
        let target = slice_mut(self.memory.data_mut(&mut *store), pointer, event_length)
            .filter(|_| pointer != 0)
            .ok_or_else(|| bad_pointer("weir_alloc", pointer, event_length))?;
        self.frame.copy_to(&event.payload, target);
        let packed = self.process.call(&mut *store, (pointer, event_length))?;
        let (pointer, length) = ((packed >> 32) as u32, packed as u32);
        let bytes = slice(self.memory.data(&*store), pointer, length)
            .ok_or_else(|| bad_pointer("weir_process", pointer, length))?;
        let answer = decode_answer(bytes, limits).map_err(wasmtime::Error::new)?;
        if let Some(free) = &self.free {
            free.call(&mut *store, (pointer, length))?;
        }
        Ok(answer)
    }
}

/// The guest's memory, also while its start function runs.
pub(crate) fn memory(caller: &mut Caller<'_, State>) -> wasmtime::Result<Memory> {
    if let Some(memory) = caller.data().memory {
        return Ok(memory);
    }
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => Err(wasmtime::Error::msg("the export 'memory' is gone")),
    }
}

/// The `length` bytes at `pointer`, if memory has them.
pub(crate) fn slice(memory: &[u8], pointer: u32, length: u32) -> Option<&[u8]> {
    let start = pointer as usize;
    memory.get(start..start.checked_add(length as usize)?)
}

/// The same to write to.
pub(crate) fn slice_mut(memory: &mut [u8], pointer: u32, length: u32) -> Option<&mut [u8]> {
    let start = pointer as usize;
    memory.get_mut(start..start.checked_add(length as usize)?)
}

fn log(mut caller: Caller<'_, State>, level: u32, pointer: u32, length: u32) -> wasmtime::Result<()> {
    let level = match level {
        0 => LogLevel::Debug,
        1 => LogLevel::Info,
        2 => LogLevel::Warn,
        _ => LogLevel::Error,
    };
    charge(&mut caller, 0)?;
    let (memory, state) = memory(&mut caller)?.data_and_store_mut(&mut caller);
    let text = slice(memory, pointer, length).ok_or_else(|| bad_pointer("weir.log", pointer, length))?;
    state.log.line(level, text);
    Ok(())
}

/// A longer configuration would fit no guest's memory.
fn config_length(state: &State) -> u32 {
    u32::try_from(state.config.len()).unwrap_or(u32::MAX)
}

fn config_read(mut caller: Caller<'_, State>, pointer: u32) -> wasmtime::Result<()> {
    let length = config_length(caller.data());
    charge(caller.as_context_mut(), length.into())?;
    let (memory, state) = memory(&mut caller)?.data_and_store_mut(&mut caller);
    let target =
        slice_mut(memory, pointer, length).ok_or_else(|| bad_pointer("weir.config_read", pointer, length))?;
    target.copy_from_slice(state.config.as_bytes());
    Ok(())
}

fn bad_pointer(function: &str, pointer: u32, length: u32) -> wasmtime::Error {
    let reason = match pointer {
        0 => format!("{function} gave no room for {length} bytes: pointer 0"),
        _ => format!("{function}: {length} bytes at {pointer} are outside the module's memory"),
    };
    wasmtime::Error::new(GuestFault::new(GuestFaultCode::BadPointer, reason))
}

fn event_too_large(length: usize) -> wasmtime::Error {
    let reason = format!("the event has {length} bytes, more than any module's memory");
    wasmtime::Error::new(GuestFault::new(GuestFaultCode::OutOfMemory, reason))
}
