//! WASI 0.2 for components, made from the event alone: clocks show its timestamp, randomness is seeded from
//! it, standard output and error go to the log, and there are no files, arguments, variables or sockets.
//! Commands have standard input and variables as well, and what they print is their answer.
//!
//! Each interface is served under the very version that the component imports; all of 0.2 are alike in what
//! is served here. A call that is not served ends the event as a guest fault that names it. Written by hand
//! rather than taken from `wasmtime-wasi`, which brings a file system, sockets and an asynchronous runtime to
//! then deny them.

use wasmtime::StoreContextMut;
use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType};

use crate::command::{Exit, Process};
use crate::log::LogSource;
use crate::state::{State, charge, denied, denied_import};

/// The most random bytes in one call.
const RANDOM_BYTES_MAX: u64 = 1 << 20;
/// What a stream takes in one write, in bytes.
const WRITE_BYTES_MAX: u64 = 64 << 10;
/// What a stream gives in one read, in bytes.
const READ_BYTES_MAX: usize = 64 << 10;

/// Standard input: a command's event, and in other modules nothing.
struct InputStream;
/// Standard output or error, told apart by its number.
struct OutputStream;
/// An instant of the guest's clock to wait for, in nanoseconds.
struct Pollable(u64);
/// The rest have no values: there are no errors with a story, no directories, no terminals.
struct StreamFailure;
struct Descriptor;
struct TerminalInput;
struct TerminalOutput;
/// A resource of an interface that is not served.
struct Unserved;

const STDOUT: u32 = 1;
const STDERR: u32 = 2;

#[derive(ComponentType, Lower, Lift)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<StreamFailure>),
    #[component(name = "closed")]
    Closed,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

type Context<'a> = StoreContextMut<'a, State>;
type Interface<'a> = LinkerInstance<'a, State>;
type Streamed<T> = (Result<T, StreamError>,);

/// Serves the interface `name`, which a component imports as `import`.
pub(crate) fn link(
    engine: &wasmtime::Engine,
    linker: &mut Linker<State>,
    name: &str,
    import: &ComponentItem,
) -> wasmtime::Result<()> {
    let ComponentItem::ComponentInstance(items) = import else { return Ok(()) };
    let interface = name.split_once('@').map_or(name, |(interface, _)| interface);
    let mut instance = linker.instance(name)?;
    link_items(engine, &mut instance, name, interface, items)
}

fn link_items(
    engine: &wasmtime::Engine,
    instance: &mut Interface<'_>,
    name: &str,
    interface: &str,
    items: &ComponentInstance,
) -> wasmtime::Result<()> {
    for (item, export) in items.exports(engine) {
        match export.ty {
            ComponentItem::Resource(_) => link_resource(instance, item)?,
            ComponentItem::ComponentFunc(_) if !serve(instance, interface, item)? => {
                let full_name = format!("{name}#{item}");
                instance.func_new(item, move |_, _, _, _| Err(denied_import(&full_name)))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn link_resource(instance: &mut Interface<'_>, item: &str) -> wasmtime::Result<()> {
    let ty = match item {
        "pollable" => {
            let ty = ResourceType::host::<Pollable>();
            return instance.resource(item, ty, |mut store, handle| {
                store.data_mut().handles.delete(Resource::<Pollable>::new_own(handle))?;
                Ok(())
            });
        }
        "input-stream" => ResourceType::host::<InputStream>(),
        "output-stream" => ResourceType::host::<OutputStream>(),
        "error" => ResourceType::host::<StreamFailure>(),
        "descriptor" => ResourceType::host::<Descriptor>(),
        "terminal-input" => ResourceType::host::<TerminalInput>(),
        "terminal-output" => ResourceType::host::<TerminalOutput>(),
        _ => ResourceType::host::<Unserved>(),
    };
    instance.resource(item, ty, |_, _| Ok(()))
}

/// Defines the function if it is one of those that are served.
fn serve(instance: &mut Interface<'_>, interface: &str, item: &str) -> wasmtime::Result<bool> {
    match interface {
        "wasi:cli/environment" => environment(instance, item),
        "wasi:cli/exit" => exit(instance, item),
        "wasi:cli/stdin" | "wasi:cli/stdout" | "wasi:cli/stderr" => standard_stream(instance, item),
        "wasi:cli/terminal-stdin" | "wasi:cli/terminal-stdout" | "wasi:cli/terminal-stderr" => {
            terminal(instance, item)
        }
        "wasi:clocks/monotonic-clock" => monotonic_clock(instance, item),
        "wasi:clocks/wall-clock" => wall_clock(instance, item),
        "wasi:filesystem/preopens" if item == "get-directories" => {
            instance.func_wrap(item, |_, (): ()| Ok((Vec::<(Resource<Descriptor>, String)>::new(),)))?;
            Ok(true)
        }
        "wasi:io/poll" => poll(instance, item),
        "wasi:io/streams" => Ok(input_stream(instance, item)? || output_stream(instance, item)?),
        "wasi:random/random" | "wasi:random/insecure" | "wasi:random/insecure-seed" => random(instance, item),
        _ => Ok(false),
    }
}

fn environment(instance: &mut Interface<'_>, item: &str) -> wasmtime::Result<bool> {
    match item {
        "get-environment" => instance.func_wrap(item, |mut store: Context<'_>, (): ()| {
            let environment = store.data().process.as_ref().map(Process::environment).unwrap_or_default();
            let bytes = environment.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum();
            charge_process(&mut store, bytes)?;
            Ok((environment,))
        })?,
        "get-arguments" => instance.func_wrap(item, |store: Context<'_>, (): ()| {
            Ok((store.data().process.as_ref().map(Process::arguments).unwrap_or_default(),))
        })?,
        "initial-cwd" => instance.func_wrap(item, |_, (): ()| Ok((None::<String>,)))?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn exit(instance: &mut Interface<'_>, item: &str) -> wasmtime::Result<bool> {
    match item {
        "exit" => instance.func_wrap(
            item,
            |store: Context<'_>, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
                let (code, status) = if status.is_ok() { (0, "ok") } else { (1, "error") };
                Err(ended(store.data(), code, status))
            },
        )?,
        "exit-with-code" => {
            instance.func_wrap(item, |store: Context<'_>, (code,): (u8,)| -> wasmtime::Result<()> {
                Err(ended(store.data(), code.into(), &code.to_string()))
            })?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Commands end themselves; other modules have no end of their own.
fn ended(state: &State, code: u32, status: &str) -> wasmtime::Error {
    match state.process {
        Some(_) => wasmtime::Error::new(Exit(code)),
        None => denied(format!("the module ended itself with exit({status})")),
    }
}

/// Takes fuel for what is served to commands alone.
fn charge_process(store: &mut Context<'_>, bytes: u64) -> wasmtime::Result<()> {
    if store.data().process.is_some() { charge(store, bytes) } else { Ok(()) }
}

fn standard_stream(instance: &mut Interface<'_>, item: &str) -> wasmtime::Result<bool> {
    let output = |number| move |_: Context<'_>, (): ()| Ok((Resource::<OutputStream>::new_own(number),));
    match item {
        "get-stdin" => instance.func_wrap(item, |_, (): ()| Ok((Resource::<InputStream>::new_own(0),)))?,
        "get-stdout" => instance.func_wrap(item, output(STDOUT))?,
        "get-stderr" => instance.func_wrap(item, output(STDERR))?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn terminal(instance: &mut Interface<'_>, item: &str) -> wasmtime::Result<bool> {
    match item {
        "get-terminal-stdin" => {
            instance.func_wrap(item, |_, (): ()| Ok((None::<Resource<TerminalInput>>,)))?;
        }
        "get-terminal-stdout" | "get-terminal-stderr" => {
            instance.func_wrap(item, |_, (): ()| Ok((None::<Resource<TerminalOutput>>,)))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn monotonic_clock(instance: &mut Interface<'_>, item: &str) -> wasmtime::Result<bool> {
    match item {
        "now" => instance.func_wrap(item, |store: Context<'_>, (): ()| Ok((store.data().monotonic_ns(),)))?,
        "resolution" => instance.func_wrap(item, |_, (): ()| Ok((1_u64,)))?,
        "subscribe-instant" => {
            instance.func_wrap(item, |store, (instant,): (u64,)| subscribe(store, instant))?;
        }
        "subscribe-duration" => instance.func_wrap(item, |store: Context<'_>, (duration,): (u64,)| {
            let instant = store.data().clock_ns.saturating_add(duration);
            subscribe(store, instant)
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn wall_clock(instance: &mut Interface<'_>, item: &str) -> wasmtime::Result<bool> {
    let datetime =
        |ns: u64| Datetime { seconds: ns / 1_000_000_000, nanoseconds: (ns % 1_000_000_000) as u32 };
    match item {
        "now" => {
            instance
                .func_wrap(item, move |store: Context<'_>, (): ()| Ok((datetime(store.data().clock_ns),)))?;
        }
        "resolution" => instance.func_wrap(item, move |_, (): ()| Ok((datetime(1),)))?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn subscribe(mut store: Context<'_>, instant_ns: u64) -> wasmtime::Result<(Resource<Pollable>,)> {
    charge(&mut store, 0)?;
    let handle = store.data_mut().handles.push(Pollable(instant_ns));
    Ok((handle.map_err(|_| denied("the module holds too many pollables".to_owned()))?,))
}

fn poll(instance: &mut Interface<'_>, item: &str) -> wasmtime::Result<bool> {
    match item {
        "[method]pollable.ready" => {
            instance.func_wrap(item, |store: Context<'_>, (pollable,): (Resource<Pollable>,)| {
                let state = store.data();
                Ok((state.handles.get(&pollable)?.0 <= state.clock_ns,))
            })?;
        }
        "[method]pollable.block" => {
            instance.func_wrap(item, |mut store: Context<'_>, (pollable,): (Resource<Pollable>,)| {
                let state = store.data_mut();
                let instant = state.handles.get(&pollable)?.0;
                state.sleep_until(instant);
                Ok(())
            })?;
        }
        "poll" => instance.func_wrap(item, wait_for_any)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Moves the clock to the earliest of the instants and says which are due.
fn wait_for_any(
    mut store: Context<'_>,
    (list,): (Vec<Resource<Pollable>>,),
) -> wasmtime::Result<(Vec<u32>,)> {
    charge(&mut store, list.len() as u64)?;
    let state = store.data_mut();
    let mut instants = Vec::with_capacity(list.len());
    for pollable in &list {
        instants.push(state.handles.get(pollable)?.0);
    }
    let Some(earliest) = instants.iter().min() else {
        return Err(denied("the module waits for nothing: an empty list of pollables".to_owned()));
    };
    state.sleep_until(*earliest);
    let due = instants.iter().enumerate().filter(|(_, instant)| **instant <= state.clock_ns);
    Ok((due.map(|(index, _)| index as u32).collect(),))
}

fn input_stream(instance: &mut Interface<'_>, item: &str) -> wasmtime::Result<bool> {
    match item {
        "[method]input-stream.read" | "[method]input-stream.blocking-read" => {
            instance.func_wrap(item, read)?;
        }
        "[method]input-stream.skip" | "[method]input-stream.blocking-skip" => {
            instance.func_wrap(item, |store: Context<'_>, asked: (Resource<InputStream>, u64)| {
                let (read,) = read(store, asked)?;
                Ok((read.map(|bytes| bytes.len() as u64),))
            })?;
        }
        "[method]input-stream.subscribe" => {
            instance.func_wrap(item, |store, (_,): (Resource<InputStream>,)| subscribe(store, 0))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// The next bytes of standard input, which only commands have.
fn read(
    mut store: Context<'_>,
    (_, bytes_max): (Resource<InputStream>, u64),
) -> wasmtime::Result<Streamed<Vec<u8>>> {
    let Some(process) = &mut store.data_mut().process else { return Ok((Err(StreamError::Closed),)) };
    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX).min(READ_BYTES_MAX);
    let (bytes, is_at_end) = (process.read(bytes_max), process.unread_bytes() == 0);
    charge(&mut store, bytes.len() as u64)?;
    match bytes.is_empty() && is_at_end {
        true => Ok((Err(StreamError::Closed),)),
        false => Ok((Ok(bytes.to_vec()),)),
    }
}

fn output_stream(instance: &mut Interface<'_>, item: &str) -> wasmtime::Result<bool> {
    match item {
        "[method]output-stream.check-write" => {
            instance.func_wrap(
                item,
                |_, (_,): (Resource<OutputStream>,)| -> wasmtime::Result<Streamed<u64>> {
                    Ok((Ok(WRITE_BYTES_MAX),))
                },
            )?;
        }
        "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush" => {
            instance.func_wrap(item, write)?;
        }
        "[method]output-stream.flush" | "[method]output-stream.blocking-flush" => {
            instance
                .func_wrap(item, |_, (_,): (Resource<OutputStream>,)| -> wasmtime::Result<Streamed<()>> {
                    Ok((Ok(()),))
                })?;
        }
        "[method]output-stream.subscribe" => {
            instance.func_wrap(item, |store, (_,): (Resource<OutputStream>,)| subscribe(store, 0))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn write(
    mut store: Context<'_>,
    (stream, bytes): (Resource<OutputStream>, wasmtime::component::WasmList<u8>),
) -> wasmtime::Result<Streamed<()>> {
    charge(&mut store, 0)?;
    let source = if stream.rep() == STDERR { LogSource::Stderr } else { LogSource::Stdout };
    let bytes = bytes.as_le_slice(&store).to_vec();
    charge_process(&mut store, bytes.len() as u64)?;
    let State { process, log, .. } = store.data_mut();
    match (process, source) {
        (Some(process), LogSource::Stdout) => process.print(&bytes)?,
        _ => log.stream(source, &bytes),
    }
    Ok((Ok(()),))
}

fn random(instance: &mut Interface<'_>, item: &str) -> wasmtime::Result<bool> {
    match item {
        "get-random-bytes" | "get-insecure-random-bytes" => {
            instance.func_wrap(item, |mut store: Context<'_>, (length,): (u64,)| {
                if length > RANDOM_BYTES_MAX {
                    return Err(denied(format!("the module asked for {length} random bytes at once")));
                }
                charge(&mut store, length)?;
                let mut bytes = vec![0; length as usize];
                store.data_mut().random.fill(&mut bytes);
                Ok((bytes,))
            })?;
        }
        "get-random-u64" | "get-insecure-random-u64" => {
            instance
                .func_wrap(item, |mut store: Context<'_>, (): ()| Ok((store.data_mut().random.number(),)))?;
        }
        "insecure-seed" => instance.func_wrap(item, |mut store: Context<'_>, (): ()| {
            let random = &mut store.data_mut().random;
            Ok(((random.number(), random.number()),))
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}
