//! Why a module is not taken. A refusal is the uploader's to mend; it has a stable code for programs and a
//! message for people.

/// Why bytes are not a module that can run here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The module is larger than this engine takes.
    #[error(
        "the module has {size_bytes} bytes and at most {max_bytes} are taken: build it without debug \
             information, or raise the limit"
    )]
    TooLarge {
        /// The size of the module.
        size_bytes: usize,
        /// The largest size taken.
        max_bytes: usize,
    },
    /// The bytes do not begin as WebAssembly does.
    #[error(
        "not WebAssembly: expected the bytes '\\0asm' at the start (text format has to be assembled first)"
    )]
    NotWasm,
    /// The bytes begin as WebAssembly but are cut off or not valid.
    #[error("not valid WebAssembly: at byte {offset}: {reason}")]
    Invalid {
        /// Where the error was found, counted from the start.
        offset: usize,
        /// What the validator says.
        reason: String,
    },
    /// Valid WebAssembly that uses a feature which is off here.
    #[error("uses a WebAssembly feature that is off here: at byte {offset}: {reason}")]
    UnsupportedFeature {
        /// Where the feature was found, counted from the start.
        offset: usize,
        /// What the validator says.
        reason: String,
    },
    /// An export that the contract asks for is not there.
    #[error("the export '{name}' is missing: expected {expected}; the module exports {found}")]
    MissingExport {
        /// The export's name.
        name: &'static str,
        /// Its type in the contract.
        expected: &'static str,
        /// What is exported instead.
        found: String,
    },
    /// An export that the contract asks for has another type.
    #[error("the export '{name}' has the wrong type: expected {expected}; found {found}")]
    WrongExport {
        /// The export's name.
        name: &'static str,
        /// Its type in the contract.
        expected: &'static str,
        /// Its type in the module.
        found: String,
    },
    /// An import that is neither of Weir's contract nor of WASI.
    #[error("unknown import '{name}': only {served} can be imported")]
    UnknownImport {
        /// The import's full name.
        name: String,
        /// What can be imported.
        served: &'static str,
    },
    /// The imports are known but do not fit, or the module needs more than any instance gets.
    #[error("the module cannot be linked: {reason}")]
    Unlinkable {
        /// What does not fit.
        reason: String,
    },
}

impl Refusal {
    /// The code for programs; part of the public contract.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "module-too-large",
            Self::NotWasm => "not-wasm",
            Self::Invalid { .. } => "invalid-wasm",
            Self::UnsupportedFeature { .. } => "unsupported-feature",
            Self::MissingExport { .. } => "missing-export",
            Self::WrongExport { .. } => "wrong-export-type",
            Self::UnknownImport { .. } => "unknown-import",
            Self::Unlinkable { .. } => "unlinkable",
        }
    }
}
