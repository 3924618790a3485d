//! Says what uploaded bytes are, from the bytes alone: nothing is compiled and nothing runs. Whoever passes
//! here keeps the contract's shape; what is left to linking is whether the imports' types fit.

use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::{EntityType, Types, TypesRef};
use wasmparser::{BinaryReaderError, ComponentTypeRef, Parser, Payload, TypeBounds, Validator, WasmFeatures};

use crate::refusal::Refusal;
use crate::{command, config, signature, wasi_preview1};

/// What a module is, told apart by its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// A component of the world `weir:transform/transform`, or of `weir:transform/interpreter`.
    Component,
    /// A core module with the exports `memory`, `weir_alloc` and `weir_process`.
    CoreModule,
    /// A program from standard input to standard output: a core module that exports WASI's `_start`, or a
    /// component that exports `wasi:cli/run`.
    Command,
}

impl ModuleKind {
    /// The kind as it stands in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::CoreModule => "core-module",
            Self::Command => "command",
        }
    }
}

/// What an inspected module is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Which contract it speaks.
    pub kind: ModuleKind,
    /// What it imports, by full name, in the order of the module.
    pub imports: Vec<String>,
    /// What it exports, by name, in the order of the module.
    pub exports: Vec<String>,
    /// Its size in bytes.
    pub size_bytes: usize,
}

/// The type of a component's `process`, with the records written out.
const PROCESS: &str = "func(event: record{subject: string, payload: list<u8>, \
    headers: list<tuple<string, string>>, sequence: u64, timestamp-ns: u64}) \
    -> result<list<record{subject: option<string>, payload: list<u8>, \
    headers: list<tuple<string, string>>}>, string>";

/// The type of `process` in the world `weir:transform/interpreter`.
const FLAT_PROCESS: &str = "func(subject: string, payload: list<u8>, rest: string) -> option<list<u8>>";

/// The export that makes a component a transform.
pub(crate) const COMPONENT_EXPORT: &str = "process";
/// The export that makes a core module a transform.
pub(crate) const CORE_EXPORT: &str = "weir_process";
/// The export that makes a core module a command, where it is no transform.
const COMMAND_EXPORT: &str = "_start";

/// The type of `run` in a command component.
const RUN: &str = "func() -> result<_, _>";

/// The exports of a core module: name, type, and whether there is no doing without it.
const CORE_EXPORTS: [CoreExport; 5] = [
    ("memory", "memory", Need::Required),
    ("weir_alloc", "func(i32) -> (i32)", Need::Required),
    (CORE_EXPORT, "func(i32, i32) -> (i64)", Need::Required),
    ("weir_free", "func(i32, i32) -> ()", Need::Optional),
    ("_initialize", "func() -> ()", Need::Optional),
];

/// Those of a core module that is a command.
const COMMAND_EXPORTS: [CoreExport; 2] =
    [("memory", "memory", Need::Required), (COMMAND_EXPORT, "func() -> ()", Need::Required)];

const CORE_IMPORTS: [&str; 3] = ["log", "config_len", "config_read"];
const CORE_SERVED: &str =
    "'weir' (log, config_len, config_read) and WASI preview 1 ('wasi_snapshot_preview1')";
const COMPONENT_SERVED: &str =
    "'weir:transform' (host, language, types; version 1) and WASI 0.2 ('wasi:…@0.2')";

const COMMAND_SERVED: &str = "WASI preview 1 ('wasi_snapshot_preview1')";
const COMMAND_COMPONENT_SERVED: &str = "WASI 0.2 ('wasi:…@0.2')";

type CoreExport = (&'static str, &'static str, Need);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    Optional,
}

/// All that inspection finds.
pub(crate) struct Inspection {
    /// Which contract the module speaks, if it comes near one.
    pub(crate) kind: Option<ModuleKind>,
    /// As in [`ModuleInfo`].
    pub(crate) imports: Vec<String>,
    /// As in [`ModuleInfo`].
    pub(crate) exports: Vec<String>,
    /// Why it is refused, the first reason first; nothing where it is taken.
    pub(crate) problems: Vec<Refusal>,
}

/// See [`crate::Engine::inspect`].
pub(crate) fn inspect(bytes: &[u8], bytes_max: usize) -> Result<ModuleInfo, Refusal> {
    let Inspection { kind, imports, exports, problems } = examine(bytes, bytes_max);
    match (kind, problems.into_iter().next()) {
        (_, Some(refusal)) => Err(refusal),
        (Some(kind), None) => Ok(ModuleInfo { kind, imports, exports, size_bytes: bytes.len() }),
        (None, None) => Err(Refusal::NotWasm),
    }
}

/// Looks for all that stands against a module. What is not WebAssembly at all is not looked at further.
pub(crate) fn examine(bytes: &[u8], bytes_max: usize) -> Inspection {
    let mut found = Inspection { kind: None, imports: vec![], exports: vec![], problems: vec![] };
    if !bytes.starts_with(b"\0asm") {
        found.problems.push(Refusal::NotWasm);
        return found;
    }
    if bytes.len() > bytes_max {
        found.problems.push(Refusal::TooLarge { size_bytes: bytes.len(), max_bytes: bytes_max });
        return found;
    }
    match validate(bytes) {
        Ok((types, refused)) => {
            found.problems.extend(refused);
            match names(bytes) {
                Ok(names) if Parser::is_component(bytes) => component(names, types.as_ref(), &mut found),
                Ok(names) => core_module(names, types.as_ref(), &mut found),
                Err(error) => found.problems.push(invalid(&error)),
            }
        }
        Err(refusal) => found.problems.push(refusal),
    }
    found
}

/// The types; also of a module that uses features which are off, with the first of them.
fn validate(bytes: &[u8]) -> Result<(Types, Option<Refusal>), Refusal> {
    let error = match Validator::new_with_features(config::features()).validate_all(bytes) {
        Ok(types) => return Ok((types, None)),
        Err(error) => error,
    };
    match Validator::new_with_features(WasmFeatures::all()).validate_all(bytes) {
        Ok(types) => {
            let (offset, reason) = (error.offset(), error.message().to_owned());
            Ok((types, Some(Refusal::UnsupportedFeature { offset, reason })))
        }
        Err(_) => Err(invalid(&error)),
    }
}

fn invalid(error: &BinaryReaderError) -> Refusal {
    Refusal::Invalid { offset: error.offset(), reason: error.message().to_owned() }
}

/// The names of what the outermost component or module imports and exports; of core imports, module and name.
#[derive(Default)]
struct Names {
    imports: Vec<(String, String)>,
    exports: Vec<String>,
}

impl Names {
    fn exports_in_words(&self) -> String {
        match self.exports.len() {
            0 => "nothing".to_owned(),
            count => {
                let some: Vec<_> = self.exports.iter().take(8).map(|name| format!("'{name}'")).collect();
                let more = if count > 8 { format!(" and {} more", count - 8) } else { String::new() };
                some.join(", ") + &more
            }
        }
    }
}

fn names(bytes: &[u8]) -> Result<Names, BinaryReaderError> {
    let mut names = Names::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    names.imports.push((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    names.exports.push(export?.name.to_owned());
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import?;
                    // A name for a type is nothing that has to be given.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        names.imports.push((String::new(), import.name.name.to_owned()));
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    names.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

fn component(names: Names, types: TypesRef<'_>, found: &mut Inspection) {
    let run = names.exports.iter().find(|name| name.starts_with(command::RUN));
    let (kind, refusal) = match (types.component_item_for_export(COMPONENT_EXPORT), run) {
        (Some(item), _) => {
            let ty = signature::of_component_item(&item.ty, types);
            let expected = if ty.starts_with("func(subject: ") { FLAT_PROCESS } else { PROCESS };
            (Some(ModuleKind::Component), wrong_type(COMPONENT_EXPORT, expected, ty))
        }
        (None, Some(run)) => {
            let ty = types.component_item_for_export(run).map(|item| run_type(&item.ty, types));
            let ty = ty.unwrap_or_else(|| "nothing".to_owned());
            (Some(ModuleKind::Command), wrong_type("wasi:cli/run#run", RUN, ty))
        }
        (None, None) => {
            let (name, expected) = (COMPONENT_EXPORT, PROCESS);
            (None, Some(Refusal::MissingExport { name, expected, found: names.exports_in_words() }))
        }
    };
    found.kind = kind;
    found.problems.extend(refusal);
    found.imports = names.imports.into_iter().map(|(_, name)| name).collect();
    found.exports = names.exports;
    let (is_served, served): (fn(&str) -> bool, _) = match kind {
        Some(ModuleKind::Command) => (is_wasi_interface, COMMAND_COMPONENT_SERVED),
        _ => (is_served_interface, COMPONENT_SERVED),
    };
    let unknown = found.imports.iter().filter(|name| !is_served(name));
    found.problems.extend(unknown.map(|name| Refusal::UnknownImport { name: name.clone(), served }));
}

fn wrong_type(name: &'static str, expected: &'static str, found: String) -> Option<Refusal> {
    (found != expected).then_some(Refusal::WrongExport { name, expected, found })
}

/// The type of `run` in an exported interface.
fn run_type(interface: &ComponentEntityType, types: TypesRef<'_>) -> String {
    let run = match interface {
        ComponentEntityType::Instance(id) => types[*id].exports.get("run"),
        _ => None,
    };
    run.map_or_else(|| "nothing".to_owned(), |run| signature::of_component_item(&run.ty, types))
}

fn is_served_interface(name: &str) -> bool {
    let weir = |interface| {
        matches!(interface, "weir:transform/host" | "weir:transform/language" | "weir:transform/types")
    };
    is_wasi_interface(name)
        || name.split_once('@').is_some_and(|(name, version)| weir(name) && version.starts_with("1."))
}

fn is_wasi_interface(name: &str) -> bool {
    name.split_once('@')
        .is_some_and(|(name, version)| name.starts_with("wasi:") && version.starts_with("0.2."))
}

fn core_module(names: Names, types: TypesRef<'_>, found: &mut Inspection) {
    let exports = types.core_exports().into_iter().flatten();
    let exports: std::collections::HashMap<&str, EntityType> = exports.collect();
    found.kind = match (exports.contains_key(CORE_EXPORT), exports.contains_key(COMMAND_EXPORT)) {
        (true, _) => Some(ModuleKind::CoreModule),
        (false, true) => Some(ModuleKind::Command),
        (false, false) => None,
    };
    let (contract, served): (&[CoreExport], _) = match found.kind {
        Some(ModuleKind::Command) => (&COMMAND_EXPORTS, COMMAND_SERVED),
        _ => (&CORE_EXPORTS, CORE_SERVED),
    };
    for (name, expected, need) in contract.iter().copied() {
        let refusal = match (exports.get(name), need) {
            (Some(ty), _) => wrong_type(name, expected, signature::of_core_item(ty, types)),
            (None, Need::Optional) => None,
            (None, Need::Required) => {
                Some(Refusal::MissingExport { name, expected, found: names.exports_in_words() })
            }
        };
        found.problems.extend(refusal);
    }
    let is_known = |module: &str, name: &str| match module {
        "weir" => found.kind != Some(ModuleKind::Command) && CORE_IMPORTS.contains(&name),
        wasi_preview1::MODULE => wasi_preview1::NAMES.contains(&name),
        _ => false,
    };
    let unknown = names.imports.iter().filter(|(module, name)| !is_known(module, name));
    let unknown =
        unknown.map(|(module, name)| Refusal::UnknownImport { name: format!("{module}.{name}"), served });
    found.problems.extend(unknown.collect::<Vec<_>>());
    found.imports = names.imports.into_iter().map(|(module, name)| format!("{module}.{name}")).collect();
    found.exports = names.exports;
}
