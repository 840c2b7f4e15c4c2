//! Amazon EC2's calls for instances and volumes: those that a cluster's nodes and claims have made. They can be looked at, and
//! instances terminated, as anybody could.

use std::collections::{BTreeMap, BTreeSet};

use catalog::TypeName;
use serde_json::Value;

use super::super::account::{Account, Session};
use super::super::kinds::ec2_instances::{INSTANCE, shuts_down_at, terminated};
use super::super::state::Mutation;
use super::super::wire::{Reply, Request, ServiceError, Xml};
use super::super::world::Entry;
use super::events::{self, InstanceEvent};

pub(crate) const OPERATIONS: [&str; 3] =
    ["DescribeInstances", "DescribeVolumes", "TerminateInstances"];

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
const VOLUME: TypeName = TypeName::new("AWS::EC2::Volume");

/// Answers one call.
pub(crate) fn handle(
    account: &Account,
    action: &str,
    request: &Request,
    request_id: &str,
) -> Option<Result<Reply, ServiceError>> {
    let write: fn(&mut Session<'_>, &Asked, &mut Xml) -> Result<(), ServiceError> = match action {
        "DescribeInstances" => describe_instances,
        "DescribeVolumes" => describe_volumes,
        "TerminateInstances" => terminate_instances,
        _ => return None,
    };
    let parameters = request.parameters();
    Some(account.session(|session| {
        let asked = Asked::read(&parameters)?;
        let response = format!("{action}Response");
        let mut xml = Xml::document(&response, NAMESPACE);
        xml.text("requestId", request_id);
        write(session, &asked, &mut xml)?;
        xml.close(&response);
        Ok(xml.into_reply())
    }))
}

/// The ids and filters of a call.
struct Asked {
    ids: BTreeSet<String>,
    filters: BTreeMap<String, (String, Vec<String>)>,
}

impl Asked {
    fn read(parameters: &BTreeMap<String, String>) -> Result<Self, ServiceError> {
        let mut asked = Self {
            ids: BTreeSet::new(),
            filters: BTreeMap::new(),
        };
        for (name, value) in parameters {
            let parts: Vec<&str> = name.split('.').collect();
            match parts[..] {
                ["Action" | "Version" | "MaxResults"] => {}
                ["InstanceId" | "VolumeId", _] => {
                    asked.ids.insert(value.clone());
                }
                ["Filter", number, "Name"] => {
                    asked.filters.entry(number.to_owned()).or_default().0 = value.clone();
                }
                ["Filter", number, "Value", _] => {
                    let filter = asked.filters.entry(number.to_owned()).or_default();
                    filter.1.push(value.clone());
                }
                _ => {
                    return Err(ServiceError::bad_request(
                        "UnknownParameter",
                        format!("The parameter {name} is not recognized"),
                    ));
                }
            }
        }
        Ok(asked)
    }

    /// The resources of a type that are asked for. `field` is what a filter's name stands for.
    fn found(
        &self,
        session: &Session<'_>,
        type_name: &TypeName,
        missing: &str,
        field: impl Fn(&Entry, &str) -> Option<String>,
    ) -> Result<Vec<Entry>, ServiceError> {
        let world = session.world();
        if let Some(id) = self
            .ids
            .iter()
            .find(|id| world.get(type_name, id).is_none())
        {
            return Err(ServiceError::bad_request(
                format!("{missing}.NotFound"),
                format!("The ID '{id}' does not exist"),
            ));
        }
        let fits = |entry: &Entry| {
            self.filters.values().all(|(name, values)| {
                let own = match name.strip_prefix("tag:") {
                    Some(key) => tags(entry).remove(key),
                    None => field(entry, name),
                };
                own.is_some_and(|own| values.iter().any(|value| like(value, &own)))
            })
        };
        Ok(world
            .of_type(type_name)
            .filter(|entry| self.ids.is_empty() || self.ids.contains(&entry.identifier))
            .filter(|entry| fits(entry))
            .cloned()
            .collect())
    }
}

/// A filter's value may have stars.
fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| like(after, &rest[at..]))
        }),
    }
}

fn own<'a>(entry: &'a Entry, name: &str) -> &'a str {
    entry
        .model
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The tags of what has no schema in the catalog.
pub(super) fn tags(entry: &Entry) -> BTreeMap<String, String> {
    let list = entry.model.get("Tags").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|tag| {
            Some((
                tag.get("Key")?.as_str()?.to_owned(),
                tag.get("Value")?.as_str()?.to_owned(),
            ))
        })
        .collect()
}

/// EC2's code and name of an instance's state.
fn state(session: &Session<'_>, entry: &Entry) -> (&'static str, &'static str) {
    let running_at = entry.model["__RunningAt"].as_f64().unwrap_or(0.0);
    if shuts_down_at(entry).is_some_and(|at| at <= session.now) {
        ("32", "shutting-down")
    } else if running_at > session.now {
        ("0", "pending")
    } else {
        ("16", "running")
    }
}

fn write_tags(xml: &mut Xml, entry: &Entry) {
    xml.open("tagSet");
    for (key, value) in tags(entry) {
        xml.open("item")
            .text("key", &key)
            .text("value", &value)
            .close("item");
    }
    xml.close("tagSet");
}

fn describe_instances(
    session: &mut Session<'_>,
    asked: &Asked,
    xml: &mut Xml,
) -> Result<(), ServiceError> {
    let field = |entry: &Entry, name: &str| {
        Some(match name {
            "instance-state-name" => state(session, entry).1.to_owned(),
            "instance-type" => own(entry, "InstanceType").to_owned(),
            "subnet-id" => own(entry, "SubnetId").to_owned(),
            "vpc-id" => own(entry, "VpcId").to_owned(),
            "availability-zone" => own(entry, "AvailabilityZone").to_owned(),
            "private-dns-name" => own(entry, "PrivateDnsName").to_owned(),
            _ => return None,
        })
    };
    let found = asked.found(session, &INSTANCE, "InvalidInstanceID", field)?;
    let account = session.world().account().to_owned();
    xml.open("reservationSet");
    for entry in found {
        let (code, name) = state(session, &entry);
        xml.open("item")
            .text("reservationId", &entry.identifier.replacen("i-", "r-", 1))
            .text("ownerId", &account)
            .open("instancesSet")
            .open("item")
            .text("instanceId", &entry.identifier)
            .text("imageId", own(&entry, "ImageId"))
            .open("instanceState")
            .text("code", code)
            .text("name", name)
            .close("instanceState")
            .text("privateDnsName", own(&entry, "PrivateDnsName"))
            .text("privateIpAddress", own(&entry, "PrivateIp"))
            .text("instanceType", own(&entry, "InstanceType"))
            .open("placement")
            .text("availabilityZone", own(&entry, "AvailabilityZone"))
            .text("tenancy", "default")
            .close("placement")
            .text("subnetId", own(&entry, "SubnetId"))
            .text("vpcId", own(&entry, "VpcId"));
        if entry.model["__Spot"] == true {
            xml.text("instanceLifecycle", "spot");
        }
        xml.open("groupSet");
        let groups = entry.model["SecurityGroupIds"].as_array();
        for group in groups.into_iter().flatten().filter_map(Value::as_str) {
            xml.open("item").text("groupId", group).close("item");
        }
        xml.close("groupSet");
        write_tags(xml, &entry);
        xml.close("item").close("instancesSet").close("item");
    }
    xml.close("reservationSet");
    Ok(())
}

fn describe_volumes(
    session: &mut Session<'_>,
    asked: &Asked,
    xml: &mut Xml,
) -> Result<(), ServiceError> {
    let attached = |entry: &Entry| {
        let instance = entry.model.get("__AttachedTo").and_then(Value::as_str);
        instance.map(str::to_owned)
    };
    let field = |entry: &Entry, name: &str| {
        Some(match name {
            "status" if attached(entry).is_some() => "in-use".to_owned(),
            "status" => "available".to_owned(),
            "availability-zone" => own(entry, "AvailabilityZone").to_owned(),
            "volume-type" => own(entry, "VolumeType").to_owned(),
            "encrypted" => (entry.model["Encrypted"] == true).to_string(),
            "attachment.instance-id" => attached(entry)?,
            _ => return None,
        })
    };
    let found = asked.found(session, &VOLUME, "InvalidVolume", field)?;
    xml.open("volumeSet");
    for entry in found {
        let instance = attached(&entry);
        xml.open("item")
            .text("volumeId", &entry.identifier)
            .text("size", &entry.model["Size"].to_string())
            .text("availabilityZone", own(&entry, "AvailabilityZone"))
            .text("volumeType", own(&entry, "VolumeType"))
            .text("encrypted", &(entry.model["Encrypted"] == true).to_string())
            .text(
                "status",
                if instance.is_some() {
                    "in-use"
                } else {
                    "available"
                },
            )
            .open("attachmentSet");
        if let Some(instance) = instance {
            xml.open("item")
                .text("volumeId", &entry.identifier)
                .text("instanceId", &instance)
                .text("status", "attached")
                .close("item");
        }
        xml.close("attachmentSet");
        write_tags(xml, &entry);
        xml.close("item");
    }
    xml.close("volumeSet");
    Ok(())
}

fn terminate_instances(
    session: &mut Session<'_>,
    asked: &Asked,
    xml: &mut Xml,
) -> Result<(), ServiceError> {
    if asked.ids.is_empty() {
        return Err(ServiceError::bad_request(
            "MissingParameter",
            "The request must contain the parameter InstanceId",
        ));
    }
    let found = asked.found(session, &INSTANCE, "InvalidInstanceID", |_, _| None)?;
    xml.open("instancesSet");
    for entry in found {
        let (code, name) = state(session, &entry);
        let ended = terminated(&session.context(), &entry);
        if entry.pending_deletion().is_none() {
            events::replace(session, &ended);
        }
        session.change(Mutation::Put(ended));
        events::tell(session, InstanceEvent::Terminated, &entry.identifier);
        xml.open("item")
            .text("instanceId", &entry.identifier)
            .open("currentState")
            .text("code", "32")
            .text("name", "shutting-down")
            .close("currentState")
            .open("previousState")
            .text("code", code)
            .text("name", name)
            .close("previousState")
            .close("item");
    }
    xml.close("instancesSet");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, fits) in [
            ("m5.large", "m5.large", true),
            ("m5.*", "m5.large", true),
            ("*.large", "m5.large", true),
            ("m*e", "m5.large", true),
            ("m5.*x", "m5.large", false),
            ("m5", "m5.large", false),
            ("*", "", true),
        ] {
            assert_eq!(like(pattern, text), fits, "{pattern} {text}");
        }
    }
}
