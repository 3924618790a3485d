//! The shapes of modules and tags.

use model::{Digest, PipelineName, TagName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A module: a WebAssembly binary, immutable, named by the digest of its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Module {
    /// The SHA-256 of the bytes.
    #[schema(value_type = String, pattern = "^sha256:[a-f0-9]{64}$")]
    pub digest: Digest,
    /// Which contract the module speaks, told by its bytes.
    pub kind: ModuleKind,
    /// How far the node is with it.
    #[serde(default)]
    pub state: ModuleState,
    /// Why it is refused, where it is.
    #[serde(default)]
    pub reason: Option<String>,
    /// The size of the binary, in bytes.
    pub size_bytes: u64,
    /// What the module imports, sorted: `module/name` of a core module, the interface of a component.
    pub imports: Vec<String>,
    /// What the module exports, sorted.
    pub exports: Vec<String>,
    /// The tags that name this module now, sorted.
    #[schema(value_type = Vec<String>)]
    pub tags: Vec<TagName>,
    /// The pipelines that need this module: by a plan, a revision or a tag in their file. Sorted.
    #[schema(value_type = Vec<String>)]
    pub used_by: Vec<PipelineName>,
    /// The tests that the module passed, as whoever uploaded it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<PassedTests>,
}

/// Tests that a module passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PassedTests {
    /// The digest of the cases: their events, configurations, limits and expectations.
    #[schema(value_type = String, pattern = "^sha256:[a-f0-9]{64}$")]
    pub digest: Digest,
    /// How many cases there are.
    pub cases: u64,
}

/// Which contract a module speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModuleKind {
    /// A component of the world `weir:transform/transform`.
    Component,
    /// A core module that exports `memory`, `weir_alloc` and `weir_process`.
    CoreModule,
    /// A program from standard input to standard output: it exports WASI's `_start` or `wasi:cli/run`.
    Command,
}

/// How far a node is with a module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModuleState {
    /// It was received and is being compiled. It can be named as soon as that is done.
    Compiling,
    /// It can run.
    #[default]
    Ready,
    /// It does not run here, and is not kept. Remembered for a while, so that the uploader hears of it.
    Refused,
}

/// All modules that can run, sorted by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModuleList {
    /// The modules.
    pub modules: Vec<Module>,
}

/// A tag: a mutable name for a digest, resolved when a plan is made and never while events run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tag {
    /// The name.
    #[schema(value_type = String, example = "mask-pii:1.2")]
    pub name: TagName,
    /// The module that the tag names now.
    #[schema(value_type = String, pattern = "^sha256:[a-f0-9]{64}$")]
    pub digest: Digest,
    /// Grows with each change of the tag; in quotes it is the tag's `ETag`.
    pub revision: u64,
}

/// All tags, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TagList {
    /// The tags.
    pub tags: Vec<Tag>,
}

/// The body of a request that sets a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutTag {
    /// The module that the tag is to name; it has to be known already.
    #[schema(value_type = String, pattern = "^sha256:[a-f0-9]{64}$")]
    pub digest: Digest,
}
