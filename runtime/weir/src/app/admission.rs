//! Modules on their way from the disk into the shared bucket: compiled, which can take ten seconds, in tasks
//! of their own, so that nobody's request has to wait for it.
//!
//! It promises that a module is being admitted once at a time, that no more than some are, that one which is
//! refused is remembered for a while, and that nothing of it is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use api::{Code, NodeError};
use engine::ModuleInfo;
use model::Digest;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::library::{Library, LoadError};

/// So many modules may wait for the compiler at the same time.
const COMPILING_MAX: usize = 16;
/// So many refusals are remembered.
const REFUSED_MAX: usize = 64;

/// Whether the bucket had the module, or why it is not taken; none while that is not known.
type Outcome = Option<Result<bool, LoadError>>;

/// The modules that are being admitted.
pub(crate) struct Admissions {
    library: Arc<Library>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    compiling: BTreeMap<Digest, Compiling>,
    /// With the order in which they were refused.
    refused: BTreeMap<Digest, (u64, ModuleInfo, String)>,
    refusals: u64,
    tasks: JoinSet<()>,
}

/// A module at the compiler.
#[derive(Clone)]
struct Compiling {
    outcome: watch::Receiver<Outcome>,
    /// What it is, from when it was looked at: it may be forgotten before the refusal is told.
    info: Arc<OnceLock<ModuleInfo>>,
}

/// What is known of a module that is not in the bucket.
pub(crate) enum Standing {
    /// It is being compiled.
    Compiling(ModuleInfo),
    /// It was refused, and why.
    Refused(ModuleInfo, String),
}

/// A module that is being admitted.
pub(crate) struct Admission(watch::Receiver<Outcome>);

impl Admissions {
    /// Over the node's library.
    pub(crate) fn new(library: Arc<Library>) -> Self {
        Self { library, shared: Arc::default() }
    }

    /// The modules that are admitted.
    pub(crate) fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// Begins to admit a module that lies in the store, or joins who does. Where it is refused, the store
    /// forgets it, unless it `was_stored` before.
    ///
    /// # Errors
    /// When too many are being compiled; the store has then forgotten it too.
    pub(crate) async fn begin(&self, digest: Digest, was_stored: WasStored) -> Result<Admission, NodeError> {
        if let Some(running) = self.join_or_spawn(digest, was_stored) {
            return Ok(Admission(running));
        }
        if was_stored == WasStored::No {
            let forgotten = self.library.forget(digest).await;
            forgotten.map_err(|error| super::errors::load_error(&error))?;
        }
        let detail = format!("{COMPILING_MAX} modules are being compiled already: try again");
        Err(NodeError::new(Code::Overloaded, detail))
    }

    /// What is known of a module that is not in the bucket; none if it never came, or is forgotten.
    pub(crate) async fn standing(&self, digest: Digest) -> Option<Standing> {
        if let Some(standing) = self.told(digest)? {
            return Some(standing);
        }
        match self.library.info(digest).await {
            Ok(info) => Some(Standing::Compiling(info)),
            // It was looked at, refused and forgotten meanwhile.
            Err(_) => self.told(digest).flatten(),
        }
    }

    /// What was found out of a module; none inside if it is still to be looked at, none at all if it is
    /// unknown.
    fn told(&self, digest: Digest) -> Option<Option<Standing>> {
        let shared = lock(&self.shared);
        if let Some((_, info, reason)) = shared.refused.get(&digest) {
            return Some(Some(Standing::Refused(info.clone(), reason.clone())));
        }
        let info = shared.compiling.get(&digest)?.info.get();
        Some(info.cloned().map(Standing::Compiling))
    }

    fn join_or_spawn(&self, digest: Digest, was_stored: WasStored) -> Option<watch::Receiver<Outcome>> {
        let mut shared = lock(&self.shared);
        while shared.tasks.try_join_next().is_some() {}
        if let Some(running) = shared.compiling.get(&digest) {
            return Some(running.outcome.clone());
        }
        if shared.compiling.len() >= COMPILING_MAX {
            return None;
        }
        shared.refused.remove(&digest);
        let (sender, receiver) = watch::channel(None);
        let info = Arc::new(OnceLock::new());
        let compiling = Compiling { outcome: receiver.clone(), info: info.clone() };
        shared.compiling.insert(digest, compiling);
        let (library, own) = (self.library.clone(), Arc::downgrade(&self.shared));
        shared.tasks.spawn(async move {
            let outcome = admit(&library, digest, was_stored, &info).await;
            if let Some(shared) = own.upgrade() {
                lock(&shared).end(digest, &outcome);
            }
            let _ = sender.send(Some(outcome.map_err(|(error, _)| error)));
        });
        Some(receiver)
    }
}

/// Whether the store had a module before it was uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WasStored {
    /// It had.
    Yes,
    /// The upload brought it.
    No,
}

/// Why a module is not taken, and what it is, where that is known.
type Refused = (LoadError, Option<ModuleInfo>);

async fn admit(
    library: &Library,
    digest: Digest,
    was_stored: WasStored,
    looked_at: &OnceLock<ModuleInfo>,
) -> Result<bool, Refused> {
    // What is refused by its bytes is refused before it waits for the compiler.
    let info = library.info(digest).await.map_err(|error| (error, None));
    let admitted = match &info {
        Ok(info) => {
            looked_at.get_or_init(|| info.clone());
            library.admit(digest).await.map_err(|error| (error, Some(info.clone())))
        }
        Err(error) => Err(error.clone()),
    };
    if admitted.is_err() && was_stored == WasStored::No {
        library.forget(digest).await.map_err(|error| (error, None))?;
    }
    admitted
}

impl Shared {
    fn end(&mut self, digest: Digest, outcome: &Result<bool, Refused>) {
        self.compiling.remove(&digest);
        let Err((error, Some(info))) = outcome else { return };
        self.refusals += 1;
        self.refused.insert(digest, (self.refusals, info.clone(), error.to_string()));
        while self.refused.len() > REFUSED_MAX {
            let oldest = self.refused.iter().min_by_key(|(_, (at, ..))| *at).map(|(digest, _)| *digest);
            oldest.and_then(|digest| self.refused.remove(&digest));
        }
    }
}

impl Admission {
    /// Waits for the end, but no longer than this; none where it is still to come.
    ///
    /// # Errors
    /// Why the module is not taken.
    pub(crate) async fn wait(mut self, wait: Duration) -> Result<Option<bool>, LoadError> {
        let ended = tokio::time::timeout(wait, self.0.wait_for(Option::is_some)).await;
        match ended {
            Err(_) => Ok(None),
            Ok(Ok(outcome)) => outcome.clone().transpose(),
            Ok(Err(_)) => Err(LoadError::Unavailable("the node stopped compiling".to_owned())),
        }
    }
}

fn lock(mutex: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    mutex.lock().expect("no code panics while it holds this lock")
}
