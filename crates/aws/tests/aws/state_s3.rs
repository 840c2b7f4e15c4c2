//! The S3 store against a real S3 and DynamoDB of moto's making.
//!
//! `make` installs the server as `target/venv/bin/moto_server`; `SEAWORTHY_MOTO_SERVER` names another one. Without it the
//! tests fail under `CI=true`, and say that they did not run otherwise. Who of many gets a lease at the same instant is not tried:
//! moto, unlike DynamoDB, does not order two conditional updates of one item.

use std::time::Duration;

use catalog::ids::{Fence, LeaseOwner, Serial};
use jiff::Timestamp;
use journal::{Lease, Record, Snapshot, Store, StoreError};
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3600);

fn owner(name: &str) -> LeaseOwner {
    LeaseOwner::new(name).unwrap()
}

fn records(lease: &Lease, serials: std::ops::RangeInclusive<u64>) -> Vec<Record> {
    let record = |serial| Record {
        serial: Serial(serial),
        fence: lease.fence,
        at: Timestamp::UNIX_EPOCH,
        body: json!({"event": serial, "by": lease.owner}),
    };
    serials.map(record).collect()
}

fn snapshot(serial: u64, reason: &str) -> Snapshot {
    Snapshot {
        serial: Serial(serial),
        at: Timestamp::UNIX_EPOCH,
        reason: reason.to_owned(),
        body: json!({"upTo": serial}),
    }
}

fn serials(store: &journal::Contents) -> Vec<u64> {
    store.records.iter().map(|record| record.serial.0).collect()
}

#[tokio::test]
async fn what_was_appended_is_read_in_order_after_the_newest_snapshot() {
    let Some(server) = crate::moto::server() else {
        return;
    };
    let store = server.store("order").await;
    assert_eq!(store.read().await.unwrap(), journal::Contents::default());

    let lease = store.acquire(&owner("me"), HOUR).await.unwrap();
    store.append(&lease, &records(&lease, 1..=1)).await.unwrap();
    store.append(&lease, &records(&lease, 2..=4)).await.unwrap();
    assert_eq!(serials(&store.read().await.unwrap()), [1, 2, 3, 4]);
    // The same batch again, as after a lost answer, changes nothing.
    store.append(&lease, &records(&lease, 2..=4)).await.unwrap();

    store
        .keep_snapshot(&lease, &snapshot(3, "inside a batch"))
        .await
        .unwrap();
    let contents = store.read().await.unwrap();
    assert_eq!(
        (
            contents.snapshot.as_ref().map(|snapshot| snapshot.serial),
            serials(&contents)
        ),
        (Some(Serial(3)), vec![4])
    );
    store
        .keep_snapshot(&lease, &snapshot(4, "deploy"))
        .await
        .unwrap();
    store.append(&lease, &records(&lease, 5..=6)).await.unwrap();
    let contents = store.read().await.unwrap();
    assert_eq!(
        (contents.head(), serials(&contents)),
        (Serial(6), vec![5, 6])
    );

    let reasons: Vec<String> = store
        .history()
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.reason)
        .collect();
    assert_eq!(reasons, ["deploy", "inside a batch"]);
    assert_eq!(
        store.snapshot(Serial(3)).await.unwrap().body,
        json!({"upTo": 3})
    );
    assert!(matches!(
        store.snapshot(Serial(9)).await,
        Err(StoreError::NoSnapshot { .. })
    ));
    store.release(&lease).await.unwrap();
    assert_eq!(store.holder().await.unwrap(), None);
    assert!(
        store.append(&lease, &records(&lease, 7..=7)).await.is_err(),
        "a lease that was given back is none"
    );
}

#[tokio::test]
async fn a_second_deploy_is_told_who_holds_the_lease_and_a_late_write_is_refused() {
    let Some(server) = crate::moto::server() else {
        return;
    };
    let store = server.store("fencing").await;
    let first = store.acquire(&owner("first"), HOUR).await.unwrap();
    store.append(&first, &records(&first, 1..=1)).await.unwrap();
    let Err(StoreError::Held { owner: holder, .. }) = store.acquire(&owner("second"), HOUR).await
    else {
        panic!("the lease is held")
    };
    assert_eq!(holder, owner("first"));

    // It expires, and somebody else takes it over.
    let first = store.renew(&first, Duration::from_millis(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let second = store.acquire(&owner("second"), HOUR).await.unwrap();
    assert!(second.fence > first.fence);

    // The first holder wakes up: nothing that it does counts.
    for late in [
        store.append(&first, &records(&first, 2..=2)).await,
        store.keep_snapshot(&first, &snapshot(1, "late")).await,
        store.restart_from(&first, &snapshot(9, "late")).await,
        store.renew(&first, HOUR).await.map(drop),
        store.release(&first).await,
    ] {
        let Err(StoreError::Fenced { reason }) = late else {
            panic!("{late:?}")
        };
        assert!(reason.contains("second took it over"), "{reason}");
    }
    let contents = store.read().await.unwrap();
    assert_eq!(
        (contents.snapshot.is_none(), serials(&contents)),
        (true, vec![1])
    );

    // The object that the late write left lies where the second holder's next record goes.
    store
        .append(&second, &records(&second, 2..=3))
        .await
        .unwrap();
    let contents = store.read().await.unwrap();
    assert_eq!(serials(&contents), [1, 2, 3]);
    assert!(
        contents.records[1..]
            .iter()
            .all(|record| record.fence == second.fence)
    );
    // And the first one comes once more, with the very record that is there now.
    assert!(store.append(&first, &records(&first, 4..=4)).await.is_err());
    assert!(store.append(&first, &records(&first, 2..=2)).await.is_err());
    assert_eq!(serials(&store.read().await.unwrap()), [1, 2, 3]);
}

#[tokio::test]
async fn unlock_takes_the_lease_from_its_holder() {
    let Some(server) = crate::moto::server() else {
        return;
    };
    let store = server.store("unlock").await;
    assert_eq!(store.unlock().await.unwrap(), None);
    let lease = store.acquire(&owner("stuck"), HOUR).await.unwrap();
    assert_eq!(store.unlock().await.unwrap(), Some(lease.clone()));
    assert!(matches!(
        store.append(&lease, &records(&lease, 1..=1)).await,
        Err(StoreError::Fenced { .. })
    ));
    let next = store.acquire(&owner("next"), HOUR).await.unwrap();
    assert_eq!(next.fence, Fence(lease.fence.0 + 2));
}

#[tokio::test]
async fn what_was_lost_or_changed_is_said_and_a_snapshot_leads_back() {
    let Some(server) = crate::moto::server() else {
        return;
    };
    let store = server.store("damage").await;
    let lease = store.acquire(&owner("me"), HOUR).await.unwrap();
    for serial in 1..=3 {
        store
            .append(&lease, &records(&lease, serial..=serial))
            .await
            .unwrap();
        if serial == 1 {
            store
                .keep_snapshot(&lease, &snapshot(1, "deploy"))
                .await
                .unwrap();
        }
    }
    let key = "damage/records/00000000000000000002.json";
    let original = server.get(key).await;
    assert!(original.contains("\"event\":2"), "{original}");

    server
        .put(key, original.replace("\"event\":2", "\"event\":7"))
        .await;
    let Err(StoreError::Damaged { place, reason }) = store.read().await else {
        panic!("it was changed")
    };
    assert!(
        place.ends_with(key) && reason.contains("checksum"),
        "{place}: {reason}"
    );

    server.delete(key).await;
    let Err(StoreError::Damaged { reason, .. }) = store.read().await else {
        panic!("it is gone")
    };
    assert!(reason.contains("record 3 follows record 1"), "{reason}");

    assert_eq!(store.last_serial().await.unwrap(), Serial(3));
    assert!(
        store
            .restart_from(&lease, &snapshot(3, "rollback to 1"))
            .await
            .is_err(),
        "3 was written"
    );
    store
        .restart_from(&lease, &snapshot(4, "rollback to 1"))
        .await
        .unwrap();
    store.append(&lease, &records(&lease, 5..=5)).await.unwrap();
    let contents = store.read().await.unwrap();
    assert_eq!(
        (contents.snapshot.unwrap().serial, contents.records.len()),
        (Serial(4), 1)
    );
}

#[tokio::test]
async fn a_table_that_was_replaced_does_not_make_the_journal_empty() {
    let Some(server) = crate::moto::server() else {
        return;
    };
    let store = server.store("replaced").await;
    let lease = store.acquire(&owner("me"), HOUR).await.unwrap();
    store.append(&lease, &records(&lease, 1..=1)).await.unwrap();
    store.append(&lease, &records(&lease, 2..=2)).await.unwrap();
    server.forget_lock("replaced").await;
    // Neither while nobody holds the lease nor once somebody does.
    let damaged = |result: Result<journal::Contents, StoreError>| matches!(result, Err(StoreError::Damaged { reason, .. }) if reason.contains("the table was replaced"));
    assert!(damaged(store.read().await));
    let again = store.acquire(&owner("again"), HOUR).await.unwrap();
    assert!(damaged(store.read().await));
    let last = store.last_serial().await.unwrap();
    assert_eq!(last, Serial(2));
    store
        .restart_from(&again, &snapshot(3, "rollback"))
        .await
        .unwrap();
    assert_eq!(store.read().await.unwrap().head(), Serial(3));
}
