//! The component contract: the world `weir:transform/transform` in `wit/`. What differs for components of the
//! world `weir:transform/interpreter` is in `interpreter.rs`.

use bytes::Bytes;
use model::{Answer, Event, Limits, headers::Headers};
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentType, Func, InstancePre, Lift, Linker, LinkerInstance, Lower,
    TypedFunc, WasmStr, types,
};
use wasmtime::{Store, StoreContextMut};

use crate::answer::{self, AnswerBuilder};
use crate::log::LogLevel;
use crate::state::{State, charge};
use crate::{interpreter, language, wasi_preview2};

/// A component with its imports resolved.
pub(crate) struct ComponentModule {
    linked: InstancePre<State>,
    process: ComponentExportIndex,
    world: World,
}

/// An instance: what it exports, its type checked.
pub(crate) struct ComponentInstance {
    process: Func,
    world: World,
}

/// Which type `process` has.
#[derive(Clone, Copy)]
enum World {
    Transform,
    Interpreter,
}

/// The world's `event`, borrowed from the model's.
#[derive(ComponentType, Lower)]
#[component(record)]
struct WitEvent<'a> {
    subject: &'a str,
    payload: &'a [u8],
    headers: Vec<(&'a str, &'a str)>,
    sequence: u64,
    #[component(name = "timestamp-ns")]
    timestamp_ns: u64,
}

/// The world's `message`.
#[derive(ComponentType, Lift)]
#[component(record)]
struct WitMessage {
    subject: Option<String>,
    payload: Vec<u8>,
    headers: Vec<(String, String)>,
}

/// The world's log `level`.
#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "the derived code makes the values from their numbers")]
enum WitLevel {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

type Params<'a> = (WitEvent<'a>,);
type Results = (Result<Vec<WitMessage>, String>,);

impl ComponentModule {
    /// Resolves the component's imports.
    pub(crate) fn link(engine: &wasmtime::Engine, component: &Component) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(engine);
        let ty = component.component_type();
        for (name, import) in ty.imports(engine) {
            if name.starts_with("weir:transform/host@") {
                link_host(&mut linker.instance(name)?)?;
            } else if name.starts_with("weir:transform/language@") {
                language::link(&mut linker.instance(name)?)?;
            } else if name.starts_with("wasi:") {
                wasi_preview2::link(engine, &mut linker, name, &import.ty)?;
            }
        }
        let process = component.get_export_index(None, "process");
        let process = process.ok_or_else(|| wasmtime::Error::msg("the export 'process' is gone"))?;
        Ok(Self { linked: linker.instantiate_pre(component)?, process, world: world(engine, &ty) })
    }

    /// Makes an instance in `store`.
    pub(crate) fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<ComponentInstance> {
        let instance = self.linked.instantiate(&mut *store)?;
        let process = match self.world {
            World::Transform => {
                *instance.get_typed_func::<Params<'static>, Results>(&mut *store, &self.process)?.func()
            }
            World::Interpreter => *instance
                .get_typed_func::<interpreter::Params<'static>, interpreter::Results>(
                    &mut *store,
                    &self.process,
                )?
                .func(),
        };
        Ok(ComponentInstance { process, world: self.world })
    }
}

impl ComponentInstance {
    /// Gives the guest one event. `store` is the one that the instance was made in.
    #[allow(unsafe_code)]
    pub(crate) fn process(
        &self,
        store: &mut Store<State>,
        event: &Event,
        limits: &Limits,
    ) -> wasmtime::Result<Answer> {
        if let World::Interpreter = self.world {
            return interpreter::process(self.process, store, event, limits);
        }
        // SAFETY: `instantiate` had this function's type checked against the same types; how long they borrow
        // the event is no part of what is checked.
        let process: TypedFunc<Params<'_>, Results> = unsafe { TypedFunc::new_unchecked(self.process) };
        let (answer,) = process.call(store, (wit_event(event),))?;
        let answer = match answer {
            Ok(messages) => check(messages, limits),
            Err(reason) => answer::reject(limits, reason),
        };
        answer.map_err(wasmtime::Error::new)
    }
}

/// Which world the component was made for, by the arguments of its `process`: one record, or its parts.
fn world(engine: &wasmtime::Engine, ty: &types::Component) -> World {
    match ty.get_export(engine, "process").map(|export| export.ty) {
        Some(types::ComponentItem::ComponentFunc(process)) if process.params().len() > 1 => {
            World::Interpreter
        }
        _ => World::Transform,
    }
}

fn wit_event(event: &Event) -> WitEvent<'_> {
    WitEvent {
        subject: &event.subject,
        payload: &event.payload,
        headers: Headers::iter(&event.headers).collect(),
        sequence: event.sequence,
        timestamp_ns: event.timestamp_ns,
    }
}

fn check(messages: Vec<WitMessage>, limits: &Limits) -> Result<Answer, model::GuestFault> {
    let mut answer = AnswerBuilder::begin(limits, messages.len(), messages.len())?;
    for message in messages {
        let subject = match message.subject {
            Some(subject) => Some(answer.subject(subject)?),
            None => None,
        };
        answer.count_payload(&message.payload)?;
        for (name, value) in &message.headers {
            answer.header(name, value)?;
        }
        answer.message(subject, Bytes::from(message.payload), message.headers);
    }
    Ok(answer.finish())
}

fn link_host(host: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    host.func_wrap("log", |mut store: StoreContextMut<'_, State>, (level, text): (WitLevel, WasmStr)| {
        charge(&mut store, 0)?;
        let level = match level {
            WitLevel::Debug => LogLevel::Debug,
            WitLevel::Info => LogLevel::Info,
            WitLevel::Warn => LogLevel::Warn,
            WitLevel::Error => LogLevel::Error,
        };
        let text = text.to_str(&store)?.into_owned();
        store.data_mut().log.line(level, text.as_bytes());
        Ok(())
    })?;
    host.func_wrap("config", |mut store: StoreContextMut<'_, State>, (): ()| {
        let config = std::sync::Arc::clone(&store.data().config);
        charge(&mut store, config.len() as u64)?;
        Ok((config,))
    })
}
