//! The way of a plugin author: each template, made in an empty folder, builds, passes its cases and is pushed
//! by exactly the commands that its README prints; and `weir dev` swaps in what is saved.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use weir_tests::process::{Process, root};
use weir_tests::{Message, eventually};

use crate::world::World;

/// The commands that a README prints: the lines of its first block of shell.
fn commands(readme: &str) -> Vec<String> {
    block(readme, 0)
}

/// The lines of a block of shell, counted from 0.
fn block(readme: &str, number: usize) -> Vec<String> {
    let text = readme.split("```sh\n").nth(number + 1).and_then(|rest| rest.split("```").next());
    let lines = text.unwrap_or_else(|| panic!("there is no block {number} of shell")).lines();
    lines.filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

/// Where programs are looked for: `weir` as it was built here, then what `make tools` fetched, then as usual.
fn path() -> std::ffi::OsString {
    let built = weir_tests::process::built("weir");
    let tools = root().join(".tools");
    let mut folders = vec![built.parent().expect("it lies in a folder").to_owned(), tools.join("bin")];
    folders.push(tools.join("npm/node_modules/.bin"));
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    std::env::join_paths(folders).expect("no folder has a colon in its name")
}

/// A place to write a project in: a node to talk to, and a cache for compiled code.
struct Author {
    world: World,
    folder: tempfile::TempDir,
}

impl Author {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("weir-author-").tempdir().expect("a folder can be made");
        Self { world: World::new(), folder }
    }

    /// A command line in the shell, in this folder, as the author would type it.
    fn shell(&self, folder: &Path, line: &str) -> Command {
        let mut command = weir_tests::node::command_of(Path::new("sh"));
        command.args(["-c", line]).current_dir(folder).env("PATH", path());
        command.env("WEIR_NODE", format!("http://127.0.0.1:{}", self.world.node.port()));
        command.env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        // What packages bring is fetched once, for all that tests install.
        command.env("PIP_CACHE_DIR", root().join("target/guests/pip"));
        command
    }

    fn type_in(&self, folder: &Path, line: &str) -> Output {
        let output = self.shell(folder, line).output().expect("there is a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{line}: {}\n{printed}\n{said}", output.status);
        output
    }

    /// A new project.
    fn begin(&self, language: &str) -> PathBuf {
        let name = format!("my-{language}");
        self.type_in(self.folder.path(), &format!("weir new {name} --lang {language}"));
        self.folder.path().join(name)
    }
}

/// Makes a project, and does what its README says.
fn follow_the_readme(language: &str) {
    let author = Author::new();
    let project = author.begin(language);
    let readme = std::fs::read_to_string(project.join("README.md")).expect("a project has a README");
    assert!(readme.lines().count() <= 50, "{language}: one screen");
    let commands = commands(&readme);
    for verb in ["weir build", "weir test", "weir push", "weir try"] {
        assert!(commands.iter().any(|line| line.starts_with(verb)), "{language}: the README says {verb}");
    }
    // As the README of the one in Python says, its packages go into an environment of their own.
    let prefix = if language == "python" {
        author.type_in(author.folder.path(), "python3 -m venv environment");
        "PATH=../environment/bin:$PATH; "
    } else {
        ""
    };
    let mut last = String::new();
    for line in &commands {
        last = String::from_utf8(author.type_in(&project, &format!("{prefix}{line}")).stdout).expect("UTF-8");
    }
    assert!(last.contains("QUIET"), "{language}: what weir try prints: {last}");
    let modules = author.world.api().get("/v1/modules").expect(200).json();
    let module = &modules["modules"][0];
    assert_eq!(module["tags"], serde_json::json!([format!("my-{language}")]), "{language}");
    assert!(module["tests"]["cases"].as_u64() >= Some(3), "{language}: its tests are kept with it: {module}");
}

macro_rules! languages {
    ($($language:ident,)*) => {
        $(
            #[test]
            fn $language() {
                follow_the_readme(stringify!($language));
            }
        )*

        #[test]
        fn every_language_is_tried() {
            let help = Command::new(weir_tests::process::built("weir")).args(["new", "--help"]).output();
            let help = String::from_utf8(help.expect("it runs").stdout).expect("UTF-8");
            let tried = [$(stringify!($language)),*];
            let offered = help.lines().filter_map(|line| line.trim().strip_prefix("- "));
            let offered: Vec<&str> = offered.filter_map(|line| line.split(':').next()).collect();
            assert_eq!(offered, tried, "{help}");
        }
    };
}

languages! {
    rust,
    go,
    js,
    ts,
    python,
    c,
    zig,
    assemblyscript,
}

/// By the line that its README has for that.
#[test]
fn a_project_in_rust_becomes_a_core_module() {
    let author = Author::new();
    let project = author.begin("rust");
    let readme = std::fs::read_to_string(project.join("README.md")).expect("a project has a README");
    for line in block(&readme, 1).iter().chain(&commands(&readme)) {
        author.type_in(&project, line);
    }
    let text = |output: Output| String::from_utf8(output.stdout).expect("UTF-8");
    let module = text(author.type_in(&project, "weir inspect my-rust -o json"));
    assert!(module.contains("\"kind\":\"core-module\""), "{module}");
    assert!(text(author.type_in(&project, "weir try my-rust --payload quiet")).contains("QUIET"));
}

/// In a copy of all that it stands on, since it leaves its files beside its sources.
#[test]
fn the_example_in_four_languages_does_what_its_readme_says() {
    let author = Author::new();
    let tree = author.folder.path().join("tree");
    std::fs::create_dir_all(tree.join("examples")).expect("made");
    let from = |folder: &str| root().join(folder).display().to_string();
    let copy = [from("plugins"), from("sdk"), from("wit")].join(" ");
    author.type_in(&tree, &format!("cp -r {copy} . && cp -r {} examples", from("examples/languages")));
    let example = tree.join("examples/languages");
    let readme = std::fs::read_to_string(example.join("README.md")).expect("the example has a README");
    let said = author.type_in(&example, &block(&readme, 0).join("\n"));
    let said = [said.stdout, said.stderr].map(|text| String::from_utf8(text).expect("UTF-8")).concat();
    for line in ["216 events, 214 messages, 2 dead letters, 1 receipts", "as expected"] {
        assert!(readme.contains(line) && said.contains(line), "{line}: {said}");
    }
}

/// A project that needs no compiler: its build copies a module that is there.
fn copying_project(author: &Author, module: &str) -> PathBuf {
    let project = author.folder.path().join("copied");
    std::fs::create_dir_all(project.join("tests")).expect("made");
    let guest = weir_tests::guests::guest_path(module);
    std::fs::copy(guest, project.join("source.bin")).expect("copied");
    let file = "name = \"copied\"\nmodule = \"out/copied.wasm\"\n\
                [[build]]\nrun = [\"mkdir\", \"-p\", \"out\"]\n\
                [[build]]\nrun = [\"cp\", \"source.bin\", \"out/copied.wasm\"]\n";
    std::fs::write(project.join("weir.toml"), file).expect("written");
    std::fs::write(project.join(".gitignore"), "out/\n").expect("written");
    let cases = "cases:\n- name: shouts\n  event: {payload: a}\n  expect: [{payload: A}]\n";
    std::fs::write(project.join("tests/cases.yaml"), cases).expect("written");
    project
}

#[test]
fn a_push_is_refused_while_a_case_differs() {
    let author = Author::new();
    let project = copying_project(&author, "upper-c");
    let cases = project.join("tests/cases.yaml");
    let good = std::fs::read_to_string(&cases).expect("it is there");
    std::fs::write(&cases, good.replace("payload: A", "payload: B")).expect("written");
    let count =
        || author.world.api().get("/v1/modules").expect(200).json()["modules"].as_array().map(Vec::len);
    let output = author.shell(&project, "weir push").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("- B") && said.contains("+ A") && said.contains("nothing was uploaded"), "{said}");
    assert_eq!(count(), Some(0));

    author.type_in(&project, "weir test --update && weir push");
    assert_eq!(count(), Some(1));
    let digest = |output: Output| String::from_utf8(output.stdout).expect("UTF-8");
    let with = digest(author.type_in(&project, "weir inspect -o json $(weir push 2>/dev/null)"));
    assert!(with.contains("\"cases\":1"), "{with}");
    author.type_in(&project, "weir push --no-test --no-build");
}

#[test]
fn a_build_says_what_is_missing_and_how_to_get_it() {
    let author = Author::new();
    let project = copying_project(&author, "upper-c");
    let file = project.join("weir.toml");
    let text = std::fs::read_to_string(&file).expect("it is there");
    let text =
        text.replacen("[\"mkdir\", \"-p\", \"out\"]", "[\"no-such-compiler\"]\nget = \"Ask for it\"", 1);
    std::fs::write(&file, text).expect("written");
    let output = author.shell(&project, "weir build").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("needs 'no-such-compiler', which is not on PATH\n  Ask for it"), "{said}");
}

#[test]
fn what_is_saved_is_swapped_into_a_running_pipeline() {
    let author = Author::new();
    let project = copying_project(&author, "upper-c");
    std::fs::create_dir(project.join("samples")).expect("made");
    std::fs::write(project.join("samples/events.ndjson"), "sample\n").expect("written");
    let log = author.folder.path().join("dev.log");
    let mut dev = Process::start("weir dev", author.shell(&project, "exec weir dev"), &log);
    let says = |what: &str| {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if text.contains(what) { Ok(()) } else { Err(text) }
    };
    eventually("the pipeline runs", || says("pipeline dev-copied runs it (generation 1)"));
    says("  -> SAMPLE").expect("the sample is shown");
    let mut client = author.world.nats.client();
    eventually("an event comes out in capitals", || {
        client.publish(&Message::new("dev.copied.in.x", "live")).expect("it is sent");
        says("dev.copied.out LIVE")
    });

    let other = weir_tests::guest("identity");
    std::fs::write(project.join("source.bin"), other).expect("saved");
    eventually("a case differs, so nothing is swapped in", || says("- A"));
    let cases = "cases:\n- name: passes on\n  event: {payload: a}\n  expect: [{payload: a}]\n";
    std::fs::write(project.join("tests/cases.yaml"), cases).expect("saved");
    eventually("the new build is swapped in", || says("has swapped it in (generation 2)"));
    eventually("an event comes out as it is", || {
        client.publish(&Message::new("dev.copied.in.x", "again")).expect("it is sent");
        says("dev.copied.out again")
    });
    dev.signal("INT");
    assert_eq!(dev.wait().code(), Some(0), "it ends cleanly");
}
