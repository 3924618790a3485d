//! Says what uploaded bytes are, from the bytes alone: nothing is compiled and nothing runs. Whoever passes
//! here keeps the contract's shape; what is left to linking is whether the imports' types fit.

use wasmparser::types::{EntityType, Types, TypesRef};
use wasmparser::{BinaryReaderError, ComponentTypeRef, Parser, Payload, TypeBounds, Validator, WasmFeatures};

use crate::refusal::Refusal;
use crate::{config, signature, wasi_preview1};

/// What a module is, told apart by its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// A component of the world `weir:transform/transform`.
    Component,
    /// A core module with the exports `memory`, `weir_alloc` and `weir_process`.
    CoreModule,
}

impl ModuleKind {
    /// The kind as it stands in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::CoreModule => "core-module",
        }
    }
}

/// What an inspected module is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Component or core module.
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

/// The exports of a core module: name, type, and whether there is no doing without it.
const CORE_EXPORTS: [(&str, &str, Need); 5] = [
    ("memory", "memory", Need::Required),
    ("weir_alloc", "func(i32) -> (i32)", Need::Required),
    ("weir_process", "func(i32, i32) -> (i64)", Need::Required),
    ("weir_free", "func(i32, i32) -> ()", Need::Optional),
    ("_initialize", "func() -> ()", Need::Optional),
];

const CORE_IMPORTS: [&str; 3] = ["log", "config_len", "config_read"];
const CORE_SERVED: &str =
    "'weir' (log, config_len, config_read) and WASI preview 1 ('wasi_snapshot_preview1')";
const COMPONENT_SERVED: &str =
    "'weir:transform' (host, language, types; version 1) and WASI 0.2 ('wasi:…@0.2')";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    Optional,
}

/// See [`crate::Engine::inspect`].
pub(crate) fn inspect(bytes: &[u8], bytes_max: usize) -> Result<ModuleInfo, Refusal> {
    if !bytes.starts_with(b"\0asm") {
        return Err(Refusal::NotWasm);
    }
    if bytes.len() > bytes_max {
        return Err(Refusal::TooLarge { size_bytes: bytes.len(), max_bytes: bytes_max });
    }
    let types = validate(bytes)?;
    let names = names(bytes).map_err(|error| invalid(&error))?;
    if Parser::is_component(bytes) {
        component(names, types.as_ref(), bytes.len())
    } else {
        core_module(names, types.as_ref(), bytes.len())
    }
}

fn validate(bytes: &[u8]) -> Result<Types, Refusal> {
    Validator::new_with_features(config::features()).validate_all(bytes).map_err(|error| {
        match Validator::new_with_features(WasmFeatures::all()).validate_all(bytes) {
            Ok(_) => {
                Refusal::UnsupportedFeature { offset: error.offset(), reason: error.message().to_owned() }
            }
            Err(_) => invalid(&error),
        }
    })
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

fn component(names: Names, types: TypesRef<'_>, size_bytes: usize) -> Result<ModuleInfo, Refusal> {
    match types.component_item_for_export("process") {
        Some(item) => {
            let found = signature::of_component_item(&item.ty, types);
            if found != PROCESS {
                return Err(Refusal::WrongExport { name: "process", expected: PROCESS, found });
            }
        }
        None => {
            if let Some(run) = names.exports.iter().find(|name| name.starts_with("wasi:cli/run@")) {
                return Err(Refusal::Command { export: run.clone() });
            }
            let found = names.exports_in_words();
            return Err(Refusal::MissingExport { name: "process", expected: PROCESS, found });
        }
    }
    let imports: Vec<_> = names.imports.into_iter().map(|(_, name)| name).collect();
    if let Some(unknown) = imports.iter().find(|name| !is_served_interface(name)) {
        return Err(Refusal::UnknownImport { name: unknown.clone(), served: COMPONENT_SERVED });
    }
    Ok(ModuleInfo { kind: ModuleKind::Component, imports, exports: names.exports, size_bytes })
}

fn is_served_interface(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else { return false };
    match interface {
        "weir:transform/host" | "weir:transform/language" | "weir:transform/types" => {
            version.starts_with("1.")
        }
        _ => interface.starts_with("wasi:") && version.starts_with("0.2."),
    }
}

fn core_module(names: Names, types: TypesRef<'_>, size_bytes: usize) -> Result<ModuleInfo, Refusal> {
    let exports = types.core_exports().into_iter().flatten();
    let exports: std::collections::HashMap<&str, EntityType> = exports.collect();
    if exports.contains_key("_start") && !exports.contains_key("weir_process") {
        return Err(Refusal::Command { export: "_start".to_owned() });
    }
    for (name, expected, need) in CORE_EXPORTS {
        let Some(ty) = exports.get(name) else {
            if need == Need::Optional {
                continue;
            }
            return Err(Refusal::MissingExport { name, expected, found: names.exports_in_words() });
        };
        let found = signature::of_core_item(ty, types);
        if found != expected {
            return Err(Refusal::WrongExport { name, expected, found });
        }
    }
    let unknown = names.imports.iter().find(|(module, name)| match &**module {
        "weir" => !CORE_IMPORTS.contains(&&**name),
        wasi_preview1::MODULE => !wasi_preview1::NAMES.contains(&&**name),
        _ => true,
    });
    if let Some((module, name)) = unknown {
        return Err(Refusal::UnknownImport { name: format!("{module}.{name}"), served: CORE_SERVED });
    }
    let imports = names.imports.into_iter().map(|(module, name)| format!("{module}.{name}")).collect();
    Ok(ModuleInfo { kind: ModuleKind::CoreModule, imports, exports: names.exports, size_bytes })
}
