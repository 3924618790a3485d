//! Everything that a module's bytes tell of it, for its author: contract and problems, where it comes from,
//! its memory, what is embedded, and the WIT of a component. Nothing is compiled and nothing runs.

use std::collections::BTreeSet;

use wasmparser::{CustomSectionReader, KnownCustom, MemoryType, Parser, Payload, ProducersSectionReader};

use crate::inspect::{self, Inspection, ModuleKind};
use crate::refusal::Refusal;
use crate::wit::{self, Wit};

/// What is known of a module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Which contract it speaks; none where it comes near none.
    pub kind: Option<ModuleKind>,
    /// Its size in bytes.
    pub size_bytes: usize,
    /// What it imports, by full name, in the order of the module.
    pub imports: Vec<String>,
    /// What it exports, by name, in the order of the module.
    pub exports: Vec<String>,
    /// The memories that it has, of a component those of all its parts.
    pub memories: Vec<MemoryPages>,
    /// The languages that it was written in, as far as they can be told.
    pub languages: Vec<String>,
    /// The tools that made it, with their versions, as far as they say so.
    pub tools: Vec<String>,
    /// What its author embedded: `version`, `authors`, `source`, …, and its own name as `name`.
    pub metadata: Vec<(String, String)>,
    /// The custom sections, of a component those of all its parts, each with its size in bytes.
    pub custom_sections: Vec<(String, usize)>,
    /// What a component says of its interfaces; none of a core module, and of what is larger than is taken.
    pub wit: Option<Wit>,
    /// Why it is refused, all that is known without linking; nothing where it is taken.
    pub problems: Vec<Refusal>,
}

/// How large a memory is, in pages of 64 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPages {
    /// When an instance begins.
    pub minimum: u64,
    /// What it may grow to; none if the module sets no bound.
    pub maximum: Option<u64>,
}

/// The custom sections that hold a text about the module, as the tools' conventions have them.
const TEXT_SECTIONS: [&str; 7] =
    ["authors", "description", "homepage", "licenses", "revision", "source", "version"];
/// The most of such a text that is shown, in bytes.
const TEXT_BYTES_MAX: usize = 1_000;
/// The most custom sections that are named.
const SECTIONS_MAX: usize = 200;

/// Languages by what their programs hold, for those whose tools do not say it.
const TRACES: [(&[u8], &str); 5] = [
    (b"/rustc/", "Rust"),
    (b"Go build ID:", "Go"),
    (b"quickjs", "JavaScript"),
    (b"componentize_py", "Python"),
    (b"~\0l\0i\0b\0/\0r\0t\0/\0", "AssemblyScript"),
];

/// See [`crate::Engine::describe`].
pub(crate) fn describe(bytes: &[u8], bytes_max: usize) -> Description {
    let Inspection { kind, imports, exports, problems } = inspect::examine(bytes, bytes_max);
    let mut description =
        Description { kind, size_bytes: bytes.len(), imports, exports, problems, ..Default::default() };
    // What cannot be read is a problem by itself already, and what was read until there is shown.
    let _ = read_sections(bytes, &mut description);
    if description.languages.is_empty() {
        let holds = |trace: &[u8]| memchr::memmem::find(bytes, trace).is_some();
        let found = TRACES.iter().find(|(trace, _)| holds(trace));
        description.languages.extend(found.map(|(_, language)| (*language).to_owned()));
    }
    if Parser::is_component(bytes) && bytes.len() <= bytes_max {
        description.wit = Some(wit::wit(bytes));
    }
    description
}

fn read_sections(bytes: &[u8], description: &mut Description) -> wasmparser::Result<()> {
    let (mut languages, mut tools) = (BTreeSet::new(), BTreeSet::new());
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::MemorySection(section) => {
                for memory in section {
                    let MemoryType { initial, maximum, .. } = memory?;
                    description.memories.push(MemoryPages { minimum: initial, maximum });
                }
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Producers(producers) = section.as_known() {
                    read_producers(producers, &mut languages, &mut tools)?;
                }
                if description.custom_sections.len() < SECTIONS_MAX {
                    description.custom_sections.push((section.name().to_owned(), section.data().len()));
                }
                if depth == 0 {
                    description.metadata.extend(metadata(&section));
                }
            }
            _ => {}
        }
    }
    description.languages = languages.into_iter().collect();
    description.tools = tools.into_iter().collect();
    Ok(())
}

fn read_producers(
    producers: ProducersSectionReader<'_>,
    languages: &mut BTreeSet<String>,
    tools: &mut BTreeSet<String>,
) -> wasmparser::Result<()> {
    for field in producers {
        let field = field?;
        for value in field.values {
            let value = value?;
            match field.name {
                "language" => languages.insert(value.name.to_owned()),
                _ => tools.insert(format!("{} {}", value.name, value.version).trim_end().to_owned()),
            };
        }
    }
    Ok(())
}

/// What a section tells of the whole module.
fn metadata(section: &CustomSectionReader<'_>) -> Option<(String, String)> {
    let name = match section.as_known() {
        KnownCustom::Name(names) => names.into_iter().flatten().find_map(|name| match name {
            wasmparser::Name::Module { name, .. } => Some(name),
            _ => None,
        }),
        KnownCustom::ComponentName(names) => names.into_iter().flatten().find_map(|name| match name {
            wasmparser::ComponentName::Component { name, .. } => Some(name),
            _ => None,
        }),
        _ => None,
    };
    if let Some(name) = name {
        return Some(("name".to_owned(), cut(name)));
    }
    let is_text = TEXT_SECTIONS.contains(&section.name());
    let text = is_text.then(|| std::str::from_utf8(section.data()).ok()).flatten()?;
    Some((section.name().to_owned(), cut(text)))
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(text.len().min(TEXT_BYTES_MAX))].to_owned()
}
