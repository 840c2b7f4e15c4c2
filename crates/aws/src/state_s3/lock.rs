//! The lock item: who may write, and what has been written.

use catalog::ids::{Fence, LeaseOwner, Serial};
use jiff::Timestamp;
use journal::{Lease, StoreError};
use serde_json::{Map, Value, json};

use super::{S3Location, patiently};
use crate::endpoint::Service;
use crate::session::Session;
use crate::signed::CallError;

/// The table's partition key.
const KEY: &str = "LockID";

/// The item as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Item {
    /// Who holds the lease, expired or not.
    pub(super) lease: Option<Lease>,
    /// That of the last lease, held or not.
    pub(super) fence: Fence,
    /// The last record that was committed; none before the first.
    pub(super) head: Option<Serial>,
    /// The newest snapshot.
    pub(super) snapshot: Option<Serial>,
}

#[derive(Debug, Clone)]
pub(super) struct Lock {
    session: Session,
    table: String,
    id: String,
}

impl Lock {
    pub(super) fn new(session: &Session, location: &S3Location) -> Self {
        Self {
            session: session.clone(),
            table: location.table.clone(),
            id: format!("{}/{}", location.bucket, location.prefix),
        }
    }

    pub(super) fn place(&self) -> String {
        format!("the item {} of the DynamoDB table {}", self.id, self.table)
    }

    fn failed(&self, operation: &'static str, error: CallError) -> StoreError {
        StoreError::Io {
            operation,
            place: self.place(),
            source: error.into(),
        }
    }

    fn fenced(&self, lease: &Lease, item: &Item) -> StoreError {
        let reason = match &item.lease {
            Some(holder) if holder.fence != lease.fence => format!(
                "{} took it over (number {} after {})",
                holder.owner, holder.fence, lease.fence
            ),
            _ => format!(
                "it was given back or taken away (number {} after {})",
                item.fence, lease.fence
            ),
        };
        StoreError::Fenced { reason }
    }

    /// The item, as the last write has left it.
    pub(super) async fn item(&self) -> Result<Option<Item>, StoreError> {
        let input =
            json!({"TableName": self.table, "Key": {KEY: {"S": self.id}}, "ConsistentRead": true});
        let answer = patiently(|| self.session.json(Service::DynamoDb, "GetItem", &input))
            .await
            .map_err(|error| self.failed("could not read", error))?;
        match answer.get("Item").and_then(Value::as_object) {
            Some(attributes) => self.parse(attributes).map(Some),
            None => Ok(None),
        }
    }

    fn parse(&self, attributes: &Map<String, Value>) -> Result<Item, StoreError> {
        let number = |name: &str| -> Result<Option<i64>, StoreError> {
            let Some(value) = attributes.get(name) else {
                return Ok(None);
            };
            let parsed = value["N"].as_str().and_then(|text| text.parse().ok());
            parsed.map(Some).ok_or_else(|| StoreError::Damaged {
                place: self.place(),
                reason: format!("its {name} is no number"),
            })
        };
        let serial = |value: Option<i64>| {
            value
                .and_then(|value| u64::try_from(value).ok())
                .map(Serial)
        };
        let fence = number("Fence")?
            .and_then(|fence| u64::try_from(fence).ok())
            .map_or(Fence(0), Fence);
        let owner = attributes
            .get("Owner")
            .and_then(|owner| LeaseOwner::new(owner["S"].as_str()?).ok());
        let expires = number("Expires")?.and_then(|at| Timestamp::from_millisecond(at).ok());
        let lease = owner.zip(expires).map(|(owner, expires)| Lease {
            owner,
            fence,
            expires,
        });
        Ok(Item {
            lease,
            fence,
            head: serial(number("Head")?),
            snapshot: serial(number("Snapshot")?),
        })
    }

    /// The item, if the lease is still the one that counts.
    pub(super) async fn check(&self, lease: &Lease) -> Result<Item, StoreError> {
        let item = self.item().await?.unwrap_or_default();
        match &item.lease {
            Some(held) if held.fence == lease.fence => Ok(item),
            _ => Err(self.fenced(lease, &item)),
        }
    }

    /// Changes the item if `condition` holds; none when it does not. Answers with what the item then is.
    async fn update(
        &self,
        change: &str,
        condition: &str,
        values: Value,
    ) -> Result<Option<Item>, StoreError> {
        let names: Map<String, Value> = ["Owner", "Expires", "Fence", "Head", "Snapshot"]
            .iter()
            .filter(|name| {
                let placeholder = format!("#{name}");
                change.contains(&placeholder) || condition.contains(&placeholder)
            })
            .map(|name| (format!("#{name}"), Value::from(*name)))
            .collect();
        let mut input = json!({
            "TableName": self.table,
            "Key": {KEY: {"S": self.id}},
            "UpdateExpression": change,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ReturnValues": "ALL_NEW",
        });
        if values.as_object().is_some_and(|values| !values.is_empty()) {
            input["ExpressionAttributeValues"] = values;
        }
        match patiently(|| self.session.json(Service::DynamoDb, "UpdateItem", &input)).await {
            Ok(answer) => {
                let empty = Map::new();
                let attributes = answer["Attributes"].as_object().unwrap_or(&empty);
                self.parse(attributes).map(Some)
            }
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(None),
            Err(error) => Err(self.failed("could not write", error)),
        }
    }

    /// The commit of a batch: moves the head over it.
    pub(super) async fn move_head(
        &self,
        lease: &Lease,
        from: Serial,
        to: Serial,
    ) -> Result<(), StoreError> {
        let unset = if from == Serial(0) {
            "attribute_not_exists(#Head) OR "
        } else {
            ""
        };
        let moved = self
            .update(
                "SET #Head = :to",
                &format!("#Fence = :fence AND attribute_exists(#Owner) AND ({unset}#Head = :from)"),
                json!({":fence": n(lease.fence.0), ":from": n(from.0), ":to": n(to.0)}),
            )
            .await?;
        if moved.is_some() {
            return Ok(());
        }
        let item = self.check(lease).await?;
        match item.head {
            // Our own update, whose answer was lost.
            Some(head) if head == to => Ok(()),
            head => Err(StoreError::Fenced {
                reason: format!(
                    "record {} was to be written, but the last one is {}",
                    from.next(),
                    head.unwrap_or_default()
                ),
            }),
        }
    }

    /// Makes a snapshot the newest one; with `restart` the head goes there too.
    pub(super) async fn point_to(
        &self,
        lease: &Lease,
        serial: Serial,
        restart: bool,
    ) -> Result<(), StoreError> {
        let change = if restart {
            "SET #Snapshot = :serial, #Head = :serial"
        } else {
            "SET #Snapshot = :serial, #Head = if_not_exists(#Head, :serial)"
        };
        let done = self
            .update(
                change,
                "#Fence = :fence AND attribute_exists(#Owner)",
                json!({":fence": n(lease.fence.0), ":serial": n(serial.0)}),
            )
            .await?;
        match done {
            Some(_) => Ok(()),
            None => Err(self.fenced(lease, &self.item().await?.unwrap_or_default())),
        }
    }

    pub(super) async fn acquire(
        &self,
        owner: &LeaseOwner,
        expires: Timestamp,
    ) -> Result<Lease, StoreError> {
        let taken = self
            .update(
                "SET #Owner = :owner, #Expires = :expires, #Fence = if_not_exists(#Fence, :zero) + :one",
                "attribute_not_exists(#Owner) OR #Expires <= :now",
                json!({
                    ":owner": {"S": owner}, ":expires": millis(expires), ":now": millis(Timestamp::now()),
                    ":zero": n(0), ":one": n(1),
                }),
            )
            .await?;
        if let Some(Item {
            lease: Some(lease), ..
        }) = taken
        {
            return Ok(lease);
        }
        match self.item().await?.and_then(|item| item.lease) {
            // Our own update, whose answer was lost: nobody else has this owner and this very expiry.
            Some(held)
                if held.owner == *owner
                    && held.expires.as_millisecond() == expires.as_millisecond() =>
            {
                Ok(held)
            }
            Some(held) => Err(StoreError::Held {
                owner: held.owner,
                expires: held.expires,
            }),
            None => Err(StoreError::Fenced {
                reason: "it was free, then taken, then free again within a moment; try again"
                    .to_owned(),
            }),
        }
    }

    pub(super) async fn renew(
        &self,
        lease: &Lease,
        expires: Timestamp,
    ) -> Result<Lease, StoreError> {
        let renewed = self
            .update(
                "SET #Expires = :expires",
                "#Fence = :fence AND attribute_exists(#Owner)",
                json!({":fence": n(lease.fence.0), ":expires": millis(expires)}),
            )
            .await?;
        match renewed.and_then(|item| item.lease) {
            Some(lease) => Ok(lease),
            None => Err(self.fenced(lease, &self.item().await?.unwrap_or_default())),
        }
    }

    /// Gives the lease back. The fence stays, so that the next one is larger.
    pub(super) async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let released = self
            .update(
                "REMOVE #Owner, #Expires",
                "#Fence = :fence",
                json!({":fence": n(lease.fence.0)}),
            )
            .await?;
        match released {
            Some(_) => Ok(()),
            None => Err(self.fenced(lease, &self.item().await?.unwrap_or_default())),
        }
    }

    /// Takes the lease away, with a larger fence than the holder's.
    pub(super) async fn unlock(&self) -> Result<Option<Lease>, StoreError> {
        loop {
            let Some(held) = self.item().await?.and_then(|item| item.lease) else {
                return Ok(None);
            };
            let taken = self
                .update(
                    "SET #Fence = :next REMOVE #Owner, #Expires",
                    "#Fence = :fence AND attribute_exists(#Owner)",
                    json!({":fence": n(held.fence.0), ":next": n(held.fence.next().0)}),
                )
                .await?;
            if taken.is_some() {
                return Ok(Some(held));
            }
            // It was given back or taken over in between: look again.
        }
    }
}

fn n(number: u64) -> Value {
    json!({"N": number.to_string()})
}

fn millis(at: Timestamp) -> Value {
    json!({"N": at.as_millisecond().to_string()})
}
