//! The promises of the store, each on a directory of its own: whole or nothing, verified on every read,
//! bounded, one process at a time.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use model::Digest;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn open(directory: &TempDir) -> Store {
    Store::open(directory.path(), StoreOptions::default()).expect("the store opens")
}

fn fresh() -> (TempDir, Store) {
    let directory = TempDir::new().expect("a temporary directory");
    let store = open(&directory);
    (directory, store)
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    files::list(directory).expect("the directory can be listed").into_iter().map(|file| file.path).collect()
}

#[test]
fn what_is_put_is_read_listed_and_removed_by_its_digest() {
    let (_directory, store) = fresh();
    let digest = Digest::of(b"module");
    assert_eq!(store.read(digest).expect("reads"), None);
    for existed in [false, true] {
        let stored = store.put(b"module").expect("is written");
        assert_eq!(stored, Stored { digest, size_bytes: 6, existed });
    }
    assert_eq!(store.read(digest).expect("reads").as_deref(), Some(&b"module"[..]));
    assert!(store.contains(digest));
    let listed = store.list().expect("lists");
    assert_eq!(listed, [Stored { digest, size_bytes: 6, existed: true }]);
    assert!(store.remove(digest).expect("is removed"));
    assert!(!store.remove(digest).expect("is gone already"));
    assert!(!store.contains(digest) && store.list().expect("lists").is_empty());
}

#[test]
fn a_wrong_digest_keeps_nothing() {
    let (_directory, store) = fresh();
    let mut upload = store.upload().expect("begins");
    upload.write(b"module").expect("is written");
    let error = upload.finish(Some(Digest::of(b"another"))).expect_err("the digests differ");
    assert!(matches!(error, StoreError::DigestMismatch { found, .. } if found == Digest::of(b"module")));
    assert!(store.list().expect("lists").is_empty());
    assert_eq!(files_in(&store.uploads), Vec::<PathBuf>::new());
}

#[test]
fn a_module_over_the_limit_is_refused_while_it_is_received() {
    let directory = TempDir::new().expect("a temporary directory");
    let options = StoreOptions { module_bytes_max: 10, ..StoreOptions::default() };
    let store = Store::open(directory.path(), options).expect("the store opens");
    assert!(store.put(&[0; 10]).is_ok(), "the limit itself is allowed");

    let mut upload = store.upload().expect("begins");
    upload.write(&[0; 6]).expect("is within the limit");
    let too_large = |result: Result<(), StoreError>| matches!(result, Err(StoreError::TooLarge { .. }));
    assert!(too_large(upload.write(&[0; 6])));
    assert!(too_large(upload.write(&[])), "once refused, always refused");
    assert!(too_large(upload.finish(None).map(drop)));
    assert_eq!(store.list().expect("lists").len(), 1);
    assert_eq!(files_in(&store.uploads), Vec::<PathBuf>::new());
}

#[test]
fn a_damaged_module_can_be_put_again() {
    let (_directory, store) = fresh();
    let digest = store.put(b"module").expect("is written").digest;
    for bytes in [&b"modulf"[..], b"", b"module and more"] {
        fs::write(store.blob(digest), bytes).expect("can be damaged");
        let error = store.read(digest).expect_err("the damage is found");
        let StoreError::Corrupt { digest: named, found, path } = error else { panic!("{error}") };
        assert_eq!((named, found), (digest, Digest::of(bytes)));
        assert_eq!(fs::read(path).expect("it is kept aside"), bytes);
        assert_eq!(store.read(digest).expect("reads"), None);
        store.put(b"module").expect("is written");
        assert!(store.read(digest).expect("reads").is_some());
    }
    fs::write(store.blob(digest), b"modulf").expect("can be damaged");
    assert!(store.put(b"module").expect("is written").existed, "putting mends what nobody has read yet");
    assert!(store.read(digest).expect("reads").is_some());
}

#[test]
fn a_directory_belongs_to_one_store_at_a_time() {
    let (directory, store) = fresh();
    let error = Store::open(directory.path(), StoreOptions::default()).expect_err("it is in use");
    let message = error.to_string();
    assert!(message.contains(&format!("(process {})", std::process::id())), "{message}");
    assert!(message.contains(&directory.path().display().to_string()), "{message}");
    drop(store);
    open(&directory);
}

#[test]
fn compiled_code_is_kept_apart_by_engine_and_module() {
    let (_directory, store) = fresh();
    let (engine, other) = (EngineKey::of("engine 1"), EngineKey::of("engine 2"));
    let (module, another) = (Digest::of(b"module"), Digest::of(b"another"));
    store.put_compiled(engine, module, b"code").expect("is written");
    assert_eq!(store.compiled(engine, module).as_deref(), Some(&b"code"[..]));
    assert_eq!(store.compiled(other, module), None);
    assert_eq!(store.compiled(engine, another), None);

    let misplaced = store.compiled_path(engine, another);
    fs::copy(store.compiled_path(engine, module), &misplaced).expect("can be copied");
    assert_eq!(store.compiled(engine, another), None, "code of another module is not given out");
    assert!(!misplaced.exists(), "and is dropped");

    store.put_compiled(other, module, b"code").expect("is written");
    store.remove(module).expect("is removed");
    assert_eq!((store.compiled(engine, module), store.compiled(other, module)), (None, None));
}

#[test]
fn compiled_code_stays_within_its_bound_and_what_is_used_stays() {
    let directory = TempDir::new().expect("a temporary directory");
    let options = StoreOptions { compiled_bytes_max: 1000, ..StoreOptions::default() };
    let store = Store::open(directory.path(), options).expect("the store opens");
    let engine = EngineKey::of("engine");
    let modules = [Digest::of(b"1"), Digest::of(b"2"), Digest::of(b"3")];
    for (age_s, module) in [(20, modules[0]), (10, modules[1])] {
        store.put_compiled(engine, module, &[0; 400]).expect("is written");
        let file = File::options().append(true).open(store.compiled_path(engine, module)).expect("is there");
        file.set_modified(SystemTime::now() - Duration::from_secs(age_s)).expect("can be made older");
    }
    assert!(store.compiled(engine, modules[0]).is_some(), "the older one is used");
    store.put_compiled(engine, modules[2], &[0; 400]).expect("is written");
    let kept = modules.map(|module| store.compiled(engine, module).is_some());
    assert_eq!(kept, [true, false, true]);
    store.put_compiled(engine, modules[1], &[0; 1000]).expect("is no error");
    assert_eq!(store.compiled(engine, modules[1]), None, "what is larger than the cache is not kept");
    let kept = modules.map(|module| store.compiled(engine, module).is_some());
    assert_eq!(kept, [true, false, true]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_at_any_point_leaves_nothing_or_the_whole(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..6),
        crash_after in 0_usize..8,
    ) {
        let (directory, store) = fresh();
        let whole = chunks.concat();
        let mut upload = store.upload().expect("begins");
        for chunk in chunks.iter().take(crash_after) {
            upload.write(chunk).expect("is written");
        }
        let finished = crash_after > chunks.len();
        if finished {
            upload.finish(Some(Digest::of(&whole))).expect("is whole");
        } else {
            // A process that dies runs no destructors: its file stays.
            upload.file.keep().expect("the file stays");
        }
        drop(store);

        let store = open(&directory);
        let found = store.read(Digest::of(&whole)).expect("reads");
        prop_assert_eq!(found.as_deref(), finished.then_some(&whole[..]));
        prop_assert_eq!(store.list().expect("lists").len(), usize::from(finished));
        prop_assert_eq!(files_in(&store.uploads), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_flipped_bit_is_found(
        bytes in prop::collection::vec(any::<u8>(), 1..300),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let (_directory, store) = fresh();
        let (engine, module) = (EngineKey::of("engine"), store.put(&bytes).expect("is written").digest);
        store.put_compiled(engine, module, &bytes).expect("is written");
        for path in [store.blob(module), store.compiled_path(engine, module)] {
            let mut damaged = fs::read(&path).expect("is there");
            let at = at.index(damaged.len());
            damaged[at] ^= 1 << bit;
            fs::write(&path, damaged).expect("can be damaged");
        }
        let read = store.read(module);
        let is_found = matches!(read, Err(StoreError::Corrupt { digest, .. }) if digest == module);
        prop_assert!(is_found, "{:?}", read);
        prop_assert_eq!(store.compiled(engine, module), None);
    }

    #[test]
    fn a_torn_file_of_compiled_code_is_dropped(
        code in prop::collection::vec(any::<u8>(), 1..300),
        cut: prop::sample::Index,
    ) {
        let (_directory, store) = fresh();
        let (engine, module) = (EngineKey::of("engine"), Digest::of(b"module"));
        store.put_compiled(engine, module, &code).expect("is written");
        let path = store.compiled_path(engine, module);
        let file = fs::read(&path).expect("is there");
        fs::write(&path, &file[..cut.index(file.len())]).expect("can be cut");
        prop_assert_eq!(store.compiled(engine, module), None);
        prop_assert!(!path.exists());
    }
}
