//! The store: what it promises, also after a crash at any byte of its log.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use apimachinery::{GroupResource, Status};
use proptest::prelude::*;
use seaworthy_apiserver::store::{ChangeKind, Key, Limits, Revision, Store, StoreError};
use serde_json::{Value as Json, json};

fn pods() -> GroupResource {
    GroupResource::new("", "pods")
}

fn key(namespace: &str, name: &str) -> Key {
    Key::new(&pods(), namespace, name)
}

fn object(namespace: &str, name: &str, value: &str) -> Json {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace, "uid": format!("uid-of-{name}"), "labels": { "value": value } },
        "spec": { "nodeName": value },
    })
}

fn put(store: &Store, name: &str, value: &str) -> Revision {
    let key = key("default", name);
    store
        .transact(|tx| tx.put(&key, object("default", name, value)).map(|_| ()))
        .unwrap()
        .1
}

/// What is stored, as text: keys, revisions and bytes.
type Contents = BTreeMap<String, (u64, String)>;

fn contents(store: &Store) -> Contents {
    store
        .everything()
        .items
        .iter()
        .map(|stored| {
            (
                stored.key.to_string(),
                (
                    stored.revision.0,
                    String::from_utf8(stored.bytes.to_vec()).unwrap(),
                ),
            )
        })
        .collect()
}

fn files(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(kind)
        })
        .collect();
    files.sort();
    files
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn what_is_written_is_read_with_its_revision_inside() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(put(&store, "a", "1"), Revision(1));
    assert_eq!(put(&store, "b", "1"), Revision(2));
    assert_eq!(put(&store, "a", "2"), Revision(3));
    let a = store.get(&key("default", "a")).unwrap();
    assert_eq!(a.revision, Revision(3));
    assert_eq!(a.json()["metadata"]["resourceVersion"], "3");
    assert_eq!(a.label("value"), Some("2"));
    assert_eq!(a.field("spec.nodeName"), "2");
    assert_eq!(a.field("metadata.name"), "a");
    assert_eq!(&*a.uid, "uid-of-a");
    let listing = store.list(&pods(), Some("default"));
    assert_eq!(listing.revision, Revision(3));
    let names: Vec<&str> = listing.items.iter().map(|one| &*one.key.name).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(store.list(&pods(), Some("defaul")).items.is_empty());
}

#[test]
fn who_waits_for_the_disk_finds_it_all_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let revisions: Vec<Revision> = (0..200)
        .map(|number| put(&store, &format!("pod-{number}"), "1"))
        .collect();
    store.wait_until_synced(revisions[199]).unwrap();
    // As a kill of the process would leave it.
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let copy = Store::open(copy.path()).unwrap();
    assert_eq!(contents(&copy), contents(&store));
}

#[test]
fn a_transaction_happens_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    put(&store, "a", "1");
    let failed = store.transact(|tx| -> Result<(), Status> {
        tx.put(&key("default", "b"), object("default", "b", "1"))?;
        tx.remove(&key("default", "a"), None)?;
        assert!(tx.get(&key("default", "a")).is_none());
        assert_eq!(tx.list(&pods(), None).len(), 1);
        Err(Status::bad_request("no"))
    });
    assert_eq!(failed.unwrap_err().message, "no");
    assert_eq!(store.revision(), Revision(1));
    assert_eq!(store.list(&pods(), None).items.len(), 1);

    let ((), revision) = store
        .transact(|tx| {
            tx.put(&key("default", "b"), object("default", "b", "1"))?;
            tx.discard();
            Ok(())
        })
        .unwrap();
    assert_eq!(revision, Revision(1));
    assert!(store.get(&key("default", "b")).is_none());
}

#[test]
fn changes_tell_what_was_before_and_expire() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        changes: 3,
        ..Limits::default()
    };
    let store = Store::with_limits(folder.path(), limits).unwrap();
    let mut seen = store.subscribe();
    put(&store, "a", "1");
    assert!(seen.has_changed().unwrap());
    assert_eq!(*seen.borrow_and_update(), Revision(1));
    put(&store, "a", "2");
    store
        .transact(|tx| tx.remove(&key("default", "a"), None))
        .unwrap();
    let changes = store.changes(Revision(0), |_| true).unwrap();
    assert_eq!(changes.revision, Revision(3));
    let kinds: Vec<_> = changes.items.iter().map(|change| change.kind).collect();
    assert_eq!(
        kinds,
        [ChangeKind::Added, ChangeKind::Modified, ChangeKind::Deleted]
    );
    let deleted = &changes.items[2];
    assert_eq!(deleted.object.json()["metadata"]["resourceVersion"], "3");
    assert_eq!(
        deleted.before.as_ref().unwrap().json()["metadata"]["resourceVersion"],
        "2"
    );
    // What nobody wants still moves the reader on.
    let none = store.changes(Revision(1), |_| false).unwrap();
    assert!(none.items.is_empty());
    assert_eq!(none.revision, Revision(3));
    put(&store, "b", "1");
    let expired = store.changes(Revision(0), |_| true).unwrap_err();
    assert_eq!(expired.oldest, Revision(1));
    assert!(store.changes(Revision(1), |_| true).is_ok());
    assert!(store.changes(Revision(99), |_| true).is_err());
}

#[test]
fn a_restart_keeps_everything_and_revisions_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let before = {
        let store = Store::open(folder.path()).unwrap();
        for number in 0..20 {
            put(&store, &format!("p{number}"), "1");
        }
        store
            .transact(|tx| tx.remove(&key("default", "p3"), None))
            .unwrap();
        wait(store.synced(store.revision())).unwrap();
        contents(&store)
    };
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(contents(&store), before);
    assert!(store.revision() > Revision(21));
    // Nothing of before can be asked for: the reader lists again.
    assert!(store.changes(Revision(21), |_| true).is_err());
    let now = store.revision();
    assert!(put(&store, "new", "1") > now);
}

#[test]
fn only_one_at_a_time_has_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert!(matches!(
        Store::open(folder.path()),
        Err(StoreError::InUse { .. })
    ));
    drop(store);
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_snapshot_takes_the_place_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for number in 0..50 {
        put(&store, "same", &number.to_string());
        put(&store, &format!("p{number}"), "1");
    }
    let log = files(folder.path(), "log")[0].clone();
    wait(store.synced(store.revision())).unwrap();
    store.compact().unwrap();
    put(&store, "after", "1");
    assert!(!log.exists());
    assert_eq!(files(folder.path(), "snapshot").len(), 1);
    let before = contents(&store);
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(contents(&store), before);
    // And again, over the snapshot.
    store.compact().unwrap();
    drop(store);
    assert_eq!(files(folder.path(), "snapshot").len(), 1);
    assert_eq!(contents(&Store::open(folder.path()).unwrap()), before);
}

#[test]
fn long_logs_are_compacted_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        log_bytes: 20_000,
        ..Limits::default()
    };
    let store = Store::with_limits(folder.path(), limits).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..200 {
                    let revision = put(store, &format!("t{thread}-{}", number % 7), "x");
                    if number % 20 == 0 {
                        wait(store.synced(revision)).unwrap();
                    }
                }
            });
        }
    });
    let before = contents(&store);
    assert_eq!(before.len(), 28);
    drop(store);
    assert!(!files(folder.path(), "snapshot").is_empty());
    assert_eq!(contents(&Store::open(folder.path()).unwrap()), before);
}

/// A store's folder with one log of frames with a transaction each, and what the store held after each frame, by the
/// length of the log.
fn history(folder: &Path) -> Vec<(u64, Contents)> {
    let store = Store::open(folder).unwrap();
    let log = files(folder, "log")[0].clone();
    let mut states = vec![(fs::metadata(&log).unwrap().len(), contents(&store))];
    for number in 0..6 {
        let (_, revision) = store
            .transact(|tx| {
                let name = format!("p{}", number % 4);
                tx.put(
                    &key("default", &name),
                    object("default", &name, &number.to_string()),
                )?;
                tx.put(&key("other", "second"), object("other", "second", &name))?;
                if number == 4 {
                    tx.remove(&key("default", "p1"), None)?;
                }
                Ok(())
            })
            .unwrap();
        wait(store.synced(revision)).unwrap();
        states.push((fs::metadata(&log).unwrap().len(), contents(&store)));
    }
    states
}

/// A folder that holds the log cut off or changed.
fn crashed(log: &Path, bytes: &[u8]) -> tempfile::TempDir {
    // Thousands of them: in memory where there is such a file system, since the bytes are what matters.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.unwrap();
    fs::write(folder.path().join(log.file_name().unwrap()), bytes).unwrap();
    folder
}

#[test]
fn a_crash_at_any_byte_leaves_a_whole_number_of_transactions() {
    let folder = tempfile::tempdir().unwrap();
    let states = history(folder.path());
    let log = files(folder.path(), "log")[0].clone();
    let whole = fs::read(&log).unwrap();
    assert_eq!(whole.len() as u64, states.last().unwrap().0);
    for length in 0..=whole.len() {
        let crashed = crashed(&log, &whole[..length]);
        let store = Store::open(crashed.path()).unwrap();
        let expected = states
            .iter()
            .rev()
            .find(|(at, _)| *at <= length as u64)
            .map(|(_, state)| state.clone())
            .unwrap_or_default();
        assert_eq!(contents(&store), expected, "cut at {length}");
        // It goes on from there, also over another restart.
        if length % 97 == 0 {
            put(&store, "later", "1");
            drop(store);
            let store = Store::open(crashed.path()).unwrap();
            assert_eq!(contents(&store).len(), expected.len() + 1);
        }
    }
}

#[test]
fn a_last_frame_that_was_half_written_in_place_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let states = history(folder.path());
    let log = files(folder.path(), "log")[0].clone();
    let mut whole = fs::read(&log).unwrap();
    let start = usize::try_from(states[states.len() - 2].0).unwrap();
    // Blocks that never reached the disk read as zeros.
    for byte in &mut whole[start + 40..] {
        *byte = 0;
    }
    let crashed = crashed(&log, &whole);
    let store = Store::open(crashed.path()).unwrap();
    assert_eq!(contents(&store), states[states.len() - 2].1);
}

#[test]
fn damage_in_the_middle_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let states = history(folder.path());
    let log = files(folder.path(), "log")[0].clone();
    let whole = fs::read(&log).unwrap();
    let starts: Vec<u64> = std::iter::once(0)
        .chain(states.iter().map(|(at, _)| *at))
        .collect();
    let last = starts[starts.len() - 2];
    for at in (0..usize::try_from(last).unwrap()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        let crashed = crashed(&log, &bytes);
        match Store::open(crashed.path()) {
            Err(StoreError::Damaged { file, offset, .. }) => {
                assert_eq!(file.file_name(), log.file_name());
                let start = starts.iter().rev().find(|start| **start <= at as u64);
                assert_eq!(Some(&offset), start, "changed at {at}");
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("a changed byte at {at} went unnoticed"),
        }
    }
}

#[test]
fn a_damaged_or_missing_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    put(&store, "a", "1");
    store.compact().unwrap();
    put(&store, "b", "1");
    drop(store);
    let snapshot = files(folder.path(), "snapshot")[0].clone();
    let good = fs::read(&snapshot).unwrap();
    fs::write(&snapshot, &good[..good.len() - 1]).unwrap();
    let error = Store::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("damaged at byte"), "{error}");
    fs::write(&snapshot, &good).unwrap();
    let log = files(folder.path(), "log")[0].clone();
    let kept = fs::read(&log).unwrap();
    fs::remove_file(&log).unwrap();
    let error = Store::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("missing"), "{error}");
    fs::write(&log, kept).unwrap();
    assert_eq!(contents(&Store::open(folder.path()).unwrap()).len(), 2);
}

#[test]
fn a_crash_while_a_snapshot_is_made_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for number in 0..10 {
        put(&store, &format!("p{number}"), "1");
    }
    wait(store.synced(store.revision())).unwrap();
    let old: Vec<(PathBuf, Vec<u8>)> = files(folder.path(), "log")
        .into_iter()
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    store.compact().unwrap();
    put(&store, "after", "1");
    wait(store.synced(store.revision())).unwrap();
    let expected = contents(&store);
    drop(store);
    // As if the snapshot had not been finished: the old log is there, and the new one.
    for (path, bytes) in old {
        fs::write(path, bytes).unwrap();
    }
    let snapshot = files(folder.path(), "snapshot")[0].clone();
    let half = fs::read(&snapshot).unwrap();
    fs::write(snapshot.with_extension("tmp"), &half[..half.len() / 2]).unwrap();
    fs::remove_file(&snapshot).unwrap();
    assert_eq!(contents(&Store::open(folder.path()).unwrap()), expected);
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Remove(u8),
    Fail(u8),
    Compact,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..8_u8, any::<u8>()).prop_map(|(name, value)| Step::Put(name, value)),
        3 => (0..8_u8).prop_map(Step::Remove),
        1 => (0..8_u8).prop_map(Step::Fail),
        1 => Just(Step::Compact),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against a map: the same contents after any steps, revisions that only grow, and changes that rebuild the contents.
    #[test]
    fn it_behaves_as_a_map_does(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let mut model: BTreeMap<String, String> = BTreeMap::new();
        let mut follower: BTreeMap<String, String> = BTreeMap::new();
        let mut followed = Revision(0);
        let mut last = Revision(0);
        for step in steps {
            match step {
                Step::Put(name, value) => {
                    let (name, value) = (format!("p{name}"), value.to_string());
                    let revision = put(&store, &name, &value);
                    prop_assert!(revision > last);
                    model.insert(name, value);
                }
                Step::Remove(name) => {
                    let name = format!("p{name}");
                    let removed = store.transact(|tx| tx.remove(&key("default", &name), None));
                    prop_assert_eq!(removed.is_ok(), model.remove(&name).is_some());
                }
                Step::Fail(name) => {
                    let name = format!("p{name}");
                    let failed = store.transact(|tx| -> Result<(), Status> {
                        tx.put(&key("default", &name), object("default", &name, "never"))?;
                        Err(Status::bad_request("no"))
                    });
                    prop_assert!(failed.is_err());
                }
                Step::Compact => store.compact().unwrap(),
                Step::Restart => {
                    drop(store);
                    store = Store::open(folder.path()).unwrap();
                }
            }
            last = store.revision();
            match store.changes(followed, |_| true) {
                Ok(changes) => {
                    for change in changes.items {
                        let name = change.object.key.name.to_string();
                        if change.kind == ChangeKind::Deleted {
                            prop_assert!(follower.remove(&name).is_some());
                        } else {
                            let value = change.object.label("value").unwrap().to_owned();
                            let before = follower.insert(name, value);
                            prop_assert_eq!(before.is_none(), change.kind == ChangeKind::Added);
                        }
                    }
                    followed = changes.revision;
                }
                Err(_) => {
                    follower = store
                        .everything()
                        .items
                        .iter()
                        .map(|one| (one.key.name.to_string(), one.label("value").unwrap().to_owned()))
                        .collect();
                    followed = store.revision();
                }
            }
            prop_assert_eq!(&follower, &model);
        }
    }
}

/// Two thousand acknowledged writes a second from many clients, and ten thousand pods listed in a moment: with room to
/// spare, since this is a debug build on whatever machine.
#[test]
fn many_clients_share_a_sync() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path()).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let padding = "x".repeat(3000);
    let start = Instant::now();
    runtime.block_on(async {
        let clients: Vec<_> = (0..100)
            .map(|client| {
                let (store, padding) = (store.clone(), padding.clone());
                tokio::spawn(async move {
                    for number in 0..100 {
                        let name = format!("c{client}-{number}");
                        let mut object = object("default", &name, "1");
                        object["spec"]["padding"] = padding.clone().into();
                        let (_, revision) = store
                            .transact(|tx| tx.put(&key("default", &name), object))
                            .unwrap();
                        store.synced(revision).await.unwrap();
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    });
    let took = start.elapsed();
    let listing_took = (0..5)
        .map(|_| {
            let begin = Instant::now();
            assert_eq!(store.list(&pods(), None).items.len(), 10_000);
            begin.elapsed()
        })
        .min()
        .unwrap();
    println!("10,000 acknowledged writes: {took:?}; listing them: {listing_took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(
        listing_took < Duration::from_millis(150),
        "{listing_took:?}"
    );
}

const CHILD: &str = "SEAWORTHY_TEST_STORE";

/// Not a test by itself: the process that [`what_was_acknowledged_survives_a_kill`] kills. Without a folder it has nothing to do.
#[test]
#[ignore = "it is run by another test"]
fn writes_until_it_is_killed() {
    let Ok(folder) = std::env::var(CHILD) else {
        return;
    };
    let limits = Limits {
        log_bytes: 50_000,
        ..Limits::default()
    };
    let store = Arc::new(Store::with_limits(Path::new(&folder), limits).unwrap());
    std::thread::scope(|scope| {
        for client in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                for number in 0_u64.. {
                    let name = format!("c{client}-{}", number % 50);
                    let revision = put(&store, &name, &number.to_string());
                    wait(store.synced(revision)).unwrap();
                    println!("acknowledged {name} {number} {revision}");
                }
            });
        }
    });
}

/// A server that is killed at any moment, again and again: what a client was told is there.
#[test]
fn what_was_acknowledged_survives_a_kill() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().unwrap();
    let mut highest = 0;
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "writes_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut told: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let take = |line: String, told: &mut BTreeMap<String, (u64, u64)>| {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["acknowledged", name, number, revision] = words.as_slice() {
                let (number, revision) = (number.parse().unwrap(), revision.parse().unwrap());
                told.insert((*name).to_owned(), (number, revision));
                return true;
            }
            false
        };
        let mut count = 0;
        while count < 150 + round * 37 {
            let line = lines.next().unwrap().unwrap();
            count += usize::from(take(line, &mut told));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for (name, (number, revision)) in &told {
            let stored = store.get(&key("default", name)).unwrap();
            let value: u64 = stored.label("value").unwrap().parse().unwrap();
            assert!(value >= *number, "{name}: {value} instead of {number}");
            assert!(stored.revision.0 >= *revision);
            assert!(*revision > highest, "a revision was given out twice");
        }
        highest = store.revision().0;
    }
}
