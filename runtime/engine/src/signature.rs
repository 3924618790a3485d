//! Types in words, as WIT and the WebAssembly text format have them: to compare an export with the contract,
//! and to say what was found instead. Records are written out, since their names are not part of their
//! identity.

use wasmparser::component_types::{
    ComponentDefinedType, ComponentEntityType, ComponentFuncType, ComponentValType,
};
use wasmparser::types::{EntityType, TypesRef};

/// Nesting is cut here: no contract goes deeper, and hostile types may.
const DEPTH_MAX: usize = 12;
/// So is the length of what goes into a message, in bytes.
const TEXT_BYTES_MAX: usize = 1_000;

/// What a component exports or imports, in words.
pub(crate) fn of_component_item(ty: &ComponentEntityType, types: TypesRef<'_>) -> String {
    match ty {
        ComponentEntityType::Func(id) => of_component_function(&types[*id], types),
        ComponentEntityType::Module(_) => "a core module".to_owned(),
        ComponentEntityType::Value(_) => "a value".to_owned(),
        ComponentEntityType::Type { .. } => "a type".to_owned(),
        ComponentEntityType::Instance(_) => "an instance".to_owned(),
        ComponentEntityType::Component(_) => "a component".to_owned(),
    }
}

/// What a core module exports or imports, in words.
pub(crate) fn of_core_item(ty: &EntityType, types: TypesRef<'_>) -> String {
    match ty {
        EntityType::Func(id) | EntityType::FuncExact(id) => match &types[*id].composite_type.inner {
            wasmparser::CompositeInnerType::Func(func) => {
                let list = |types: &[wasmparser::ValType]| {
                    types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                };
                cut(format!("func({}) -> ({})", list(func.params()), list(func.results())))
            }
            _ => "a function of another kind".to_owned(),
        },
        EntityType::Memory(memory) if memory.memory64 => "a 64-bit memory".to_owned(),
        EntityType::Memory(memory) if memory.shared => "a shared memory".to_owned(),
        EntityType::Memory(_) => "memory".to_owned(),
        EntityType::Table(_) => "a table".to_owned(),
        EntityType::Global(_) => "a global".to_owned(),
        EntityType::Tag(_) => "a tag".to_owned(),
    }
}

fn of_component_function(func: &ComponentFuncType, types: TypesRef<'_>) -> String {
    let params = func.params.iter().map(|(name, ty)| format!("{name}: {}", value(ty, types, 0)));
    let params: Vec<_> = params.collect();
    let prefix = if func.async_ { "async func" } else { "func" };
    let result = func.result.as_ref().map_or(String::new(), |ty| format!(" -> {}", value(ty, types, 0)));
    cut(format!("{prefix}({}){result}", params.join(", ")))
}

fn value(ty: &ComponentValType, types: TypesRef<'_>, depth: usize) -> String {
    let id = match ty {
        ComponentValType::Primitive(primitive) => return primitive.to_string(),
        ComponentValType::Type(id) => *id,
    };
    if depth == DEPTH_MAX {
        return "…".to_owned();
    }
    let inner = |ty: &ComponentValType| value(ty, types, depth + 1);
    let or_none = |ty: &Option<ComponentValType>| ty.as_ref().map_or_else(|| "_".to_owned(), inner);
    match &types[id] {
        ComponentDefinedType::Primitive(primitive) => primitive.to_string(),
        ComponentDefinedType::Record(record) => {
            let fields = record.fields.iter().map(|(name, ty)| format!("{name}: {}", inner(ty)));
            format!("record{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        ComponentDefinedType::List { element, .. } => format!("list<{}>", inner(element)),
        ComponentDefinedType::Tuple(tuple) => {
            format!("tuple<{}>", tuple.types.iter().map(inner).collect::<Vec<_>>().join(", "))
        }
        ComponentDefinedType::Option { ty, .. } => format!("option<{}>", inner(ty)),
        ComponentDefinedType::Result { ok, err, .. } => format!("result<{}, {}>", or_none(ok), or_none(err)),
        ComponentDefinedType::Variant(_) => "variant".to_owned(),
        ComponentDefinedType::Flags(_) => "flags".to_owned(),
        ComponentDefinedType::Enum(_) => "enum".to_owned(),
        _ => "another type".to_owned(),
    }
}

fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push('…');
    }
    text
}
