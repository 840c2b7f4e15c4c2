//! Amazon EC2, as far as a preflight asks it: the Availability Zones and the subnets. What else there is of EC2 goes by
//! Cloud Control.

use std::collections::BTreeMap;

use catalog::TypeName;
use catalog::regions;
use serde_json::Value;

use super::super::account::{Account, Session};
use super::super::kinds;
use super::super::wire::{Reply, Request, ServiceError, Xml};
use super::super::world::{Entry, Phase};
use super::ec2_instances;

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
pub(crate) const OPERATIONS: &[&str] = &[
    "DescribeAvailabilityZones",
    "DescribeInstances",
    "DescribeSubnets",
    "DescribeVolumes",
    "TerminateInstances",
];

/// The version of the API in every request.
const VERSION: &str = "2016-11-15";
const SUBNET: TypeName = TypeName::new("AWS::EC2::Subnet");

/// Answers one call.
pub(crate) fn handle(
    account: &Account,
    action: &str,
    request: &Request,
    request_id: &str,
) -> Option<Result<Reply, ServiceError>> {
    if ec2_instances::OPERATIONS.contains(&action) {
        return ec2_instances::handle(account, action, request, request_id);
    }
    let describe: fn(&Session<'_>, &BTreeMap<String, String>) -> Result<Described, ServiceError> =
        match action {
            "DescribeAvailabilityZones" => zones,
            "DescribeSubnets" => subnets,
            _ => return None,
        };
    let parameters = request.parameters();
    Some(account.session(|session| {
        version(&parameters)?;
        let Described { set, items } = describe(session, &parameters)?;
        let response = format!("{action}Response");
        let mut xml = Xml::document(&response, NAMESPACE);
        xml.text("requestId", request_id).open(set);
        for item in items {
            xml.open("item");
            for (element, text) in item.fields {
                xml.text(element, &text);
            }
            if !item.tags.is_empty() {
                xml.open("tagSet");
                for (key, value) in item.tags {
                    xml.open("item")
                        .text("key", &key)
                        .text("value", &value)
                        .close("item");
                }
                xml.close("tagSet");
            }
            xml.close("item");
        }
        xml.close(set).close(&response);
        Ok(xml.into_reply())
    }))
}

fn version(parameters: &BTreeMap<String, String>) -> Result<(), ServiceError> {
    match parameters.get("Version") {
        Some(version) if version == VERSION => Ok(()),
        Some(version) => Err(ServiceError::bad_request(
            "NoSuchVersion",
            format!("The requested version ({version}) of service AmazonEC2 does not exist"),
        )),
        None => Err(ServiceError::bad_request(
            "MissingParameter",
            "The request must contain the parameter Version",
        )),
    }
}

/// What a call has found.
struct Described {
    /// The element around the items.
    set: &'static str,
    items: Vec<Item>,
}

struct Item {
    fields: Vec<(&'static str, String)>,
    tags: BTreeMap<String, String>,
}

impl Item {
    fn field(&self, element: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(name, _)| *name == element);
        field.map(|(_, text)| text.as_str())
    }
}

/// What a call asks for: numbered lists and filters. Everything else in a request is refused: an answer that passes over it
/// would be a wrong one.
struct Asked<'a> {
    lists: BTreeMap<&'a str, Vec<&'a str>>,
    /// Name and values by the filter's number.
    filters: BTreeMap<&'a str, (&'a str, Vec<&'a str>)>,
}

impl<'a> Asked<'a> {
    fn read(
        parameters: &'a BTreeMap<String, String>,
        lists: &[&'a str],
    ) -> Result<Self, ServiceError> {
        let mut asked = Self {
            lists: BTreeMap::new(),
            filters: BTreeMap::new(),
        };
        for (name, value) in parameters {
            let parts: Vec<&str> = name.split('.').collect();
            match parts[..] {
                ["Action" | "Version"] => {}
                [list, _] if lists.contains(&list) => {
                    asked.lists.entry(list).or_default().push(value);
                }
                ["Filter", number, "Name"] => asked.filters.entry(number).or_default().0 = value,
                ["Filter", number, "Value", _] => {
                    asked.filters.entry(number).or_default().1.push(value);
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

    fn list(&self, name: &str) -> &[&'a str] {
        self.lists.get(name).map_or(&[], Vec::as_slice)
    }

    /// The items that every filter lets through; `elements` says which element a filter looks at.
    fn filtered(
        &self,
        items: Vec<Item>,
        elements: &[(&str, &str)],
    ) -> Result<Vec<Item>, ServiceError> {
        let invalid = |name: &str| {
            ServiceError::bad_request(
                "InvalidParameterValue",
                format!("The filter '{name}' is invalid"),
            )
        };
        let mut items = items;
        for (name, values) in self.filters.values() {
            let tag = name.strip_prefix("tag:");
            let element = elements.iter().find(|(known, _)| known == name);
            if tag.is_none() && element.is_none() {
                return Err(invalid(name));
            }
            items.retain(|item| {
                let own = match tag {
                    Some(key) => item.tags.get(key).map(String::as_str),
                    None => element.and_then(|(_, element)| item.field(element)),
                };
                own.is_some_and(|own| values.contains(&own))
            });
        }
        Ok(items)
    }
}

/// `DescribeAvailabilityZones`
fn zones(
    session: &Session<'_>,
    parameters: &BTreeMap<String, String>,
) -> Result<Described, ServiceError> {
    let asked = Asked::read(parameters, &["ZoneName", "ZoneId"])?;
    let region = session.world().region();
    let mut items: Vec<Item> = regions::zones(region)
        .into_iter()
        .map(|zone| Item {
            fields: vec![
                ("optInStatus", "opt-in-not-required".to_owned()),
                ("zoneId", kinds::zone_id(region, &zone).unwrap_or_default()),
                ("zoneName", zone),
                ("zoneState", "available".to_owned()),
                ("zoneType", "availability-zone".to_owned()),
                ("regionName", region.to_owned()),
                ("groupName", format!("{region}-zg-1")),
                ("networkBorderGroup", region.to_owned()),
            ],
            tags: BTreeMap::new(),
        })
        .collect();
    for (list, element) in [("ZoneName", "zoneName"), ("ZoneId", "zoneId")] {
        let wanted = asked.list(list);
        let has = |name: &str| items.iter().any(|item| item.field(element) == Some(name));
        if let Some(unknown) = wanted.iter().find(|name| !has(name)) {
            return Err(ServiceError::bad_request(
                "InvalidParameterValue",
                format!("Invalid availability zone: [{unknown}]"),
            ));
        }
        items.retain(|item| {
            wanted.is_empty() || item.field(element).is_some_and(|own| wanted.contains(&own))
        });
    }
    let elements = [
        ("group-name", "groupName"),
        ("opt-in-status", "optInStatus"),
        ("region-name", "regionName"),
        ("state", "zoneState"),
        ("zone-id", "zoneId"),
        ("zone-name", "zoneName"),
        ("zone-type", "zoneType"),
    ];
    Ok(Described {
        set: "availabilityZoneInfo",
        items: asked.filtered(items, &elements)?,
    })
}

/// `DescribeSubnets`
fn subnets(
    session: &Session<'_>,
    parameters: &BTreeMap<String, String>,
) -> Result<Described, ServiceError> {
    let asked = Asked::read(parameters, &["SubnetId"])?;
    let world = session.world();
    let wanted = asked.list("SubnetId");
    if let Some(unknown) = wanted.iter().find(|id| world.get(&SUBNET, id).is_none()) {
        return Err(ServiceError::bad_request(
            "InvalidSubnetID.NotFound",
            format!("The subnet ID '{unknown}' does not exist"),
        ));
    }
    let items = world
        .of_type(&SUBNET)
        .filter(|entry| wanted.is_empty() || wanted.contains(&entry.identifier.as_str()))
        .map(|entry| subnet(session, entry))
        .collect();
    let elements = [
        ("availability-zone", "availabilityZone"),
        ("availability-zone-id", "availabilityZoneId"),
        ("cidr-block", "cidrBlock"),
        ("state", "state"),
        ("subnet-id", "subnetId"),
        ("vpc-id", "vpcId"),
    ];
    Ok(Described {
        set: "subnetSet",
        items: asked.filtered(items, &elements)?,
    })
}

fn subnet(session: &Session<'_>, entry: &Entry) -> Item {
    let world = session.world();
    let own = |property: &str| {
        let text = entry.model.get(property).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let state = match entry.phase {
        Phase::Creating => "pending",
        _ => "available",
    };
    let free = kinds::free_addresses(&session.context(), entry).max(0);
    Item {
        fields: vec![
            ("subnetId", entry.identifier.clone()),
            (
                "subnetArn",
                format!(
                    "arn:{}:ec2:{}:{}:subnet/{}",
                    world.partition(),
                    world.region(),
                    world.account(),
                    entry.identifier
                ),
            ),
            ("state", state.to_owned()),
            ("ownerId", world.account().to_owned()),
            ("vpcId", own("VpcId")),
            ("cidrBlock", own("CidrBlock")),
            ("availableIpAddressCount", free.to_string()),
            ("availabilityZone", own("AvailabilityZone")),
            ("availabilityZoneId", own("AvailabilityZoneId")),
            ("defaultForAz", "false".to_owned()),
        ],
        tags: catalog::schema(&SUBNET)
            .map(|schema| schema.tagging().read(&entry.model))
            .unwrap_or_default(),
    }
}
