//! Noticing that a project's sources have changed.
//!
//! What counts is what its files hold, so that a build which writes a file again as it was is no change. What
//! `.gitignore` leaves out is left out here, and so is the module: a build must not set off the next one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use model::{Digest, DigestBuilder};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::Project;

/// Files up to this size count by what they hold, larger ones by their size and time.
const HASHED_BYTES_MAX: u64 = 4 << 20;
/// So many files of a project are looked at.
const FILES_MAX: usize = 20_000;

/// A watch over the sources of a project.
pub(crate) struct Watch {
    module: PathBuf,
    root: PathBuf,
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    events: mpsc::Receiver<()>,
}

/// The sources as they were at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sources(Digest);

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(crate) fn begin(project: &Project) -> Result<Self, notify::Error> {
        // One is enough: it says that something happened, and what, the files say.
        let (happened, events) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // To look at the files is an event too, and must not make us look again.
            if !matches!(&event, Ok(event) if event.kind.is_access()) {
                let _ = happened.try_send(());
            }
        })?;
        let root =
            if project.root.as_os_str().is_empty() { PathBuf::from(".") } else { project.root.clone() };
        let module = root.join(&project.module);
        let mut watch = Self { module, root, watcher, watched: BTreeSet::new(), events };
        watch.sources()?;
        Ok(watch)
    }

    /// Waits until something happened in the project's folders.
    pub(crate) async fn happened(&mut self) {
        // The sender lives as long as the watcher, which is ours.
        let _ = self.events.recv().await;
    }

    /// The sources as they are now. Folders that are new are watched from here on.
    ///
    /// # Errors
    /// When a folder cannot be watched.
    pub(crate) fn sources(&mut self) -> Result<Sources, notify::Error> {
        let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
        let walk = WalkBuilder::new(&self.root).hidden(false).require_git(false).parents(false).build();
        // What vanishes while it is looked at is a change that the next look sees.
        for entry in walk.flatten().take(FILES_MAX) {
            let path = entry.path();
            if path.components().any(|part| part.as_os_str() == ".git") {
                continue;
            }
            match entry.file_type() {
                Some(kind) if kind.is_dir() => folders.insert(path.to_owned()),
                Some(_) if path != self.module => files.insert(path.to_owned()),
                _ => false,
            };
        }
        self.follow(folders)?;
        let mut digest = DigestBuilder::new();
        for path in files {
            digest.field(path.as_os_str().as_encoded_bytes());
            state_of(&path, &mut digest);
        }
        Ok(Sources(digest.finish()))
    }

    fn follow(&mut self, folders: BTreeSet<PathBuf>) -> Result<(), notify::Error> {
        for gone in self.watched.difference(&folders) {
            // A folder that is no more is not watched any more either.
            let _ = self.watcher.unwatch(gone);
        }
        for new in folders.difference(&self.watched) {
            match self.watcher.watch(new, RecursiveMode::NonRecursive) {
                Err(error) if new.exists() => return Err(error),
                _ => {}
            }
        }
        self.watched = folders;
        Ok(())
    }
}

fn state_of(path: &Path, digest: &mut DigestBuilder) {
    let Ok(metadata) = path.metadata() else { return digest.number(0) };
    digest.number(metadata.len());
    let content = if metadata.len() <= HASHED_BYTES_MAX { std::fs::read(path).ok() } else { None };
    match (content, metadata.modified()) {
        (Some(content), _) => digest.field(&content),
        (None, Ok(time)) => digest.field(format!("{time:?}").as_bytes()),
        (None, Err(_)) => digest.number(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_person_writes_is_a_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write(".gitignore", "target/\n*.tmp\n");
        write("src/a.c", "int a;");
        let text = "name = \"p\"\nmodule = \"p.wasm\"\n";
        let project = Project::parse(text, folder.path()).expect("it makes sense");
        let mut watch = Watch::begin(&project).expect("it can be watched");
        let mut now = || watch.sources().expect("it can be looked at");
        let before = now();
        for (name, text) in [("target/x.o", "x"), ("p.wasm", "x"), ("src/b.tmp", "x"), ("src/a.c", "int a;")]
        {
            write(name, text);
            assert_eq!(now(), before, "{name} is no source, or what it was");
        }
        write("src/deep/b.c", "int b;");
        let with_b = now();
        assert_ne!(with_b, before);
        write("src/a.c", "int A;");
        assert_ne!(now(), with_b, "the same length, another content");
        std::fs::remove_dir_all(folder.path().join("src/deep")).expect("removed");
        write("src/a.c", "int a;");
        assert_eq!(now(), before);
    }
}
