//! What a new project begins with: the files of `sdk/*/template*`, and a copy of the SDK, since there is no
//! package of it in a registry.
//!
//! The table is explicit, so that a file which is missing is found when the program is built, and one that is
//! forgotten by the test below.

use clap::ValueEnum;

/// The languages that there is a template for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// A component, or a core module, by cargo.
    Rust,
    /// A core module, by Go's own compiler.
    Go,
    /// A component, by componentize-qjs.
    Js,
    /// A component, by the compiler of TypeScript and componentize-qjs.
    Ts,
    /// A component, by componentize-py.
    Python,
    /// A core module, by the C compiler that Zig brings.
    C,
    /// A core module, by zig.
    Zig,
    /// A core module, by asc.
    #[value(name = "assemblyscript")]
    AssemblyScript,
}

/// One file of a new project.
#[derive(Clone, Copy)]
pub(crate) struct TemplateFile {
    /// Where it goes, below the project's folder.
    pub(crate) place: &'static str,
    /// What it holds; in text `{{name}}` and `{{name_}}` stand for the project's name.
    pub(crate) bytes: &'static [u8],
    /// Where it comes from, below the tree's folder.
    #[cfg(test)]
    source: &'static str,
}

macro_rules! files {
    ($($source:literal => $place:literal,)*) => {
        &[$(TemplateFile {
            place: $place,
            bytes: include_bytes!(concat!("../../../../", $source)),
            #[cfg(test)]
            source: $source,
        },)*]
    };
}

impl Language {
    /// The files of a new project in this language.
    pub(crate) fn files(self) -> &'static [TemplateFile] {
        match self {
            Self::Rust => RUST,
            Self::Go => GO,
            Self::Js => JS,
            Self::Ts => TS,
            Self::Python => PYTHON,
            Self::C => C,
            Self::Zig => ZIG,
            Self::AssemblyScript => ASSEMBLYSCRIPT,
        }
    }

    /// The language as it is typed.
    #[cfg(test)]
    pub(crate) fn name(self) -> String {
        self.to_possible_value().expect("no language is hidden").get_name().to_owned()
    }
}

const RUST: &[TemplateFile] = files! {
    "sdk/rust/template/.gitignore" => ".gitignore",
    "sdk/rust/template/Cargo.lock" => "Cargo.lock",
    "sdk/rust/template/Cargo.toml" => "Cargo.toml",
    "sdk/rust/template/README.md" => "README.md",
    "sdk/rust/template/samples/events.ndjson" => "samples/events.ndjson",
    "sdk/rust/template/src/lib.rs" => "src/lib.rs",
    "sdk/rust/template/tests/cases.yaml" => "tests/cases.yaml",
    "sdk/rust/template/weir.toml" => "weir.toml",
    "sdk/rust/Cargo.toml" => "weir-sdk/Cargo.toml",
    "sdk/rust/README.md" => "weir-sdk/README.md",
    "sdk/rust/examples/shout.rs" => "weir-sdk/examples/shout.rs",
    "sdk/rust/src/component.rs" => "weir-sdk/src/component.rs",
    "sdk/rust/src/core_module.rs" => "weir-sdk/src/core_module.rs",
    "sdk/rust/src/host.rs" => "weir-sdk/src/host.rs",
    "sdk/rust/src/lib.rs" => "weir-sdk/src/lib.rs",
    "sdk/rust/src/message.rs" => "weir-sdk/src/message.rs",
    "sdk/rust/src/native.rs" => "weir-sdk/src/native.rs",
    "sdk/rust/src/reject.rs" => "weir-sdk/src/reject.rs",
    "sdk/rust/src/runtime.rs" => "weir-sdk/src/runtime.rs",
    "sdk/rust/src/wire.rs" => "weir-sdk/src/wire.rs",
    "wit/README.md" => "weir-sdk/wit/README.md",
    "wit/transform.wit" => "weir-sdk/wit/transform.wit",
};

const GO: &[TemplateFile] = files! {
    "sdk/go/template/.gitignore" => ".gitignore",
    "sdk/go/template/README.md" => "README.md",
    "sdk/go/template/go.mod" => "go.mod",
    "sdk/go/template/main.go" => "main.go",
    "sdk/go/template/samples/events.ndjson" => "samples/events.ndjson",
    "sdk/go/template/tests/cases.yaml" => "tests/cases.yaml",
    "sdk/go/template/weir.toml" => "weir.toml",
    "sdk/go/weir/guest_other.go" => "weir/guest_other.go",
    "sdk/go/weir/guest_wasip1.go" => "weir/guest_wasip1.go",
    "sdk/go/weir/trap_wasm.s" => "weir/trap_wasm.s",
    "sdk/go/weir/weir.go" => "weir/weir.go",
    "sdk/go/weir/wire.go" => "weir/wire.go",
};

const C: &[TemplateFile] = files! {
    "sdk/c/template/.gitignore" => ".gitignore",
    "sdk/c/template/README.md" => "README.md",
    "sdk/c/template/samples/events.ndjson" => "samples/events.ndjson",
    "sdk/c/template/tests/cases.yaml" => "tests/cases.yaml",
    "sdk/c/template/transform.c" => "transform.c",
    "sdk/c/template/weir.toml" => "weir.toml",
    "sdk/c/weir.h" => "weir.h",
};

const ZIG: &[TemplateFile] = files! {
    "sdk/zig/template/.gitignore" => ".gitignore",
    "sdk/zig/template/README.md" => "README.md",
    "sdk/zig/template/samples/events.ndjson" => "samples/events.ndjson",
    "sdk/zig/template/tests/cases.yaml" => "tests/cases.yaml",
    "sdk/zig/template/transform.zig" => "transform.zig",
    "sdk/zig/template/weir.toml" => "weir.toml",
    "sdk/zig/weir.zig" => "weir.zig",
};

const ASSEMBLYSCRIPT: &[TemplateFile] = files! {
    "sdk/assemblyscript/template/.gitignore" => ".gitignore",
    "sdk/assemblyscript/template/README.md" => "README.md",
    "sdk/assemblyscript/template/asconfig.json" => "asconfig.json",
    "sdk/assemblyscript/template/assembly/index.ts" => "assembly/index.ts",
    "sdk/assemblyscript/template/assembly/tsconfig.json" => "assembly/tsconfig.json",
    "sdk/assemblyscript/template/package.json" => "package.json",
    "sdk/assemblyscript/template/samples/events.ndjson" => "samples/events.ndjson",
    "sdk/assemblyscript/template/tests/cases.yaml" => "tests/cases.yaml",
    "sdk/assemblyscript/template/weir.toml" => "weir.toml",
    "sdk/assemblyscript/weir.ts" => "assembly/weir.ts",
};

const JS: &[TemplateFile] = files! {
    "sdk/js/template/.gitignore" => ".gitignore",
    "sdk/js/template/README.md" => "README.md",
    "sdk/js/template/package.json" => "package.json",
    "sdk/js/template/samples/events.ndjson" => "samples/events.ndjson",
    "sdk/js/template/src/transform.js" => "src/transform.js",
    "sdk/js/template/tests/cases.yaml" => "tests/cases.yaml",
    "sdk/js/template/weir.toml" => "weir.toml",
    "sdk/js/weir-sdk/README.md" => "weir-sdk/README.md",
    "sdk/js/weir-sdk/globals.d.ts" => "weir-sdk/globals.d.ts",
    "sdk/js/weir-sdk/index.d.ts" => "weir-sdk/index.d.ts",
    "sdk/js/weir-sdk/index.js" => "weir-sdk/index.js",
    "sdk/js/weir-sdk/node-host.js" => "weir-sdk/node-host.js",
    "sdk/js/weir-sdk/node.d.ts" => "weir-sdk/node.d.ts",
    "sdk/js/weir-sdk/node.js" => "weir-sdk/node.js",
    "sdk/js/weir-sdk/package.json" => "weir-sdk/package.json",
    "sdk/js/weir-sdk/wit/deps/random/random.wit" => "weir-sdk/wit/deps/random/random.wit",
    "sdk/js/weir-sdk/wit/javascript.wit" => "weir-sdk/wit/javascript.wit",
    "wit/transform.wit" => "weir-sdk/wit/transform.wit",
};

const TS: &[TemplateFile] = files! {
    "sdk/js/template-ts/.gitignore" => ".gitignore",
    "sdk/js/template-ts/README.md" => "README.md",
    "sdk/js/template-ts/package.json" => "package.json",
    "sdk/js/template-ts/samples/events.ndjson" => "samples/events.ndjson",
    "sdk/js/template-ts/src/transform.ts" => "src/transform.ts",
    "sdk/js/template-ts/tests/cases.yaml" => "tests/cases.yaml",
    "sdk/js/template-ts/tsconfig.json" => "tsconfig.json",
    "sdk/js/template-ts/weir.toml" => "weir.toml",
    "sdk/js/weir-sdk/README.md" => "weir-sdk/README.md",
    "sdk/js/weir-sdk/globals.d.ts" => "weir-sdk/globals.d.ts",
    "sdk/js/weir-sdk/index.d.ts" => "weir-sdk/index.d.ts",
    "sdk/js/weir-sdk/index.js" => "weir-sdk/index.js",
    "sdk/js/weir-sdk/node-host.js" => "weir-sdk/node-host.js",
    "sdk/js/weir-sdk/node.d.ts" => "weir-sdk/node.d.ts",
    "sdk/js/weir-sdk/node.js" => "weir-sdk/node.js",
    "sdk/js/weir-sdk/package.json" => "weir-sdk/package.json",
    "sdk/js/weir-sdk/wit/deps/random/random.wit" => "weir-sdk/wit/deps/random/random.wit",
    "sdk/js/weir-sdk/wit/javascript.wit" => "weir-sdk/wit/javascript.wit",
    "wit/transform.wit" => "weir-sdk/wit/transform.wit",
};

const PYTHON: &[TemplateFile] = files! {
    "sdk/python/template/.gitignore" => ".gitignore",
    "sdk/python/template/README.md" => "README.md",
    "sdk/python/template/app.py" => "app.py",
    "sdk/python/template/requirements.txt" => "requirements.txt",
    "sdk/python/template/samples/events.ndjson" => "samples/events.ndjson",
    "sdk/python/template/tests/cases.yaml" => "tests/cases.yaml",
    "sdk/python/template/weir.toml" => "weir.toml",
    "sdk/python/weir.py" => "weir.py",
    "wit/transform.wit" => "wit/transform.wit",
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::project::Project;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// The files of these folders that belong to the tree, by their paths below it.
    fn in_the_tree(folders: &[String]) -> BTreeSet<String> {
        let output = std::process::Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "--"])
            .args(folders)
            .current_dir(root())
            .output()
            .expect("git is needed to know which files belong to the tree");
        String::from_utf8(output.stdout).expect("paths are UTF-8").lines().map(str::to_owned).collect()
    }

    /// All folders `sdk/*/template*`.
    fn template_folders() -> Vec<String> {
        let list =
            |path: PathBuf| std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry"));
        let sdks = list(root().join("sdk")).filter(|entry| entry.path().is_dir());
        let mut folders: Vec<String> = sdks
            .flat_map(|sdk| {
                let sdk_name = sdk.file_name().into_string().expect("a name in UTF-8");
                let names =
                    list(sdk.path()).map(|entry| entry.file_name().into_string().expect("a name in UTF-8"));
                names
                    .filter(|name| name.starts_with("template"))
                    .map(move |name| format!("sdk/{sdk_name}/{name}"))
            })
            .collect();
        folders.sort_unstable();
        folders
    }

    #[test]
    fn every_file_of_a_template_is_in_the_table() {
        let listed: BTreeSet<String> = Language::value_variants()
            .iter()
            .flat_map(|language| language.files())
            .map(|file| file.source.to_owned())
            .collect();
        let folders = template_folders();
        assert!(!folders.is_empty(), "there are templates");
        let there = in_the_tree(&folders);
        let in_templates = listed
            .iter()
            .filter(|source| folders.iter().any(|folder| source.starts_with(&format!("{folder}/"))));
        assert_eq!(in_templates.cloned().collect::<BTreeSet<_>>(), there, "the table, and the tree");
        // What the copy of the SDK is made of is whole.
        let library = in_the_tree(&["sdk/rust/src".into(), "wit".into()]);
        assert!(library.is_subset(&listed), "{:?}", library.difference(&listed));
    }

    #[test]
    fn every_template_is_a_project_with_cases_and_samples() {
        for language in Language::value_variants() {
            let files = language.files();
            let places: BTreeSet<&str> = files.iter().map(|file| file.place).collect();
            assert_eq!(places.len(), files.len(), "{language:?}: each place once");
            for needed in ["weir.toml", "README.md", "samples/events.ndjson"] {
                assert!(places.contains(needed), "{language:?}: {needed}");
            }
            assert!(places.iter().any(|place| place.starts_with("tests/") && place.ends_with(".yaml")));
            let file = files.iter().find(|file| file.place == "weir.toml").expect("it is there");
            let text =
                String::from_utf8_lossy(file.bytes).replace("{{name}}", "a-b").replace("{{name_}}", "a_b");
            let project = Project::parse(&text, Path::new("a-b")).unwrap_or_else(|error| panic!("{error}"));
            assert!(!project.build.is_empty(), "{language:?}: there is something to run");
            assert!(
                project.build.iter().all(|step| step.get.is_some()),
                "{language:?}: it says how to get it"
            );
        }
    }
}
