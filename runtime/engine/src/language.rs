//! The interface `weir:transform/language`: what an interpreter inside a component may ask for beside `host`.

use model::{GuestFault, GuestFaultCode};
use wasmtime::StoreContextMut;
use wasmtime::component::{LinkerInstance, WasmList, WasmStr};

use crate::interpreter;
use crate::state::{State, charge};

/// Serves the interface, all of it functions of the event and of their arguments.
pub(crate) fn link(language: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    interpreter::link(language)?;
    language.func_wrap("fail", fail)?;
    language.func_wrap("decode", |mut store: StoreContextMut<'_, State>, (bytes,): (WasmList<u8>,)| {
        charge(&mut store, bytes.len() as u64)?;
        Ok((std::str::from_utf8(bytes.as_le_slice(&store)).ok().map(str::to_owned),))
    })?;
    language.func_wrap("encode", |mut store: StoreContextMut<'_, State>, (text,): (WasmStr,)| {
        let bytes = text.to_str(&store)?.into_owned().into_bytes();
        charge(&mut store, bytes.len() as u64)?;
        Ok((bytes,))
    })
}

fn fail(mut store: StoreContextMut<'_, State>, (reason,): (WasmStr,)) -> wasmtime::Result<()> {
    charge(&mut store, 0)?;
    // An interpreter that was refused memory raises an error of its language, which then ends here.
    let code = match store.data().limiter.refused() {
        true => GuestFaultCode::OutOfMemory,
        false => GuestFaultCode::Trap,
    };
    let reason = reason.to_str(&store)?;
    let lines: Vec<_> = reason.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(wasmtime::Error::new(GuestFault::new(code, lines.join(" | "))))
}
