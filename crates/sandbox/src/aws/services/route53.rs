//! Amazon Route 53, the record sets only (REST-XML): hosted zones are resources of Cloud Control, their records are not.
//!
//! A record set is an entry of the world of type `AWS::Route53::RecordSet`, identified by `zone|name|type` and, where it has
//! one, `|set identifier`.

use std::collections::BTreeMap;

use catalog::TypeName;
use http::Method;
use roxmltree::{Document, Node};
use serde_json::{Map, Value, json};

use super::super::account::{Account, Session};
use super::super::state::Mutation;
use super::super::wire::{Reply, Request, ServiceError, Xml, percent_decode};
use super::super::world::{Entry, Phase, World};

pub(crate) const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";
pub(crate) const OPERATIONS: &[&str] = &[
    "ChangeResourceRecordSets",
    "GetChange",
    "ListResourceRecordSets",
];

const RECORD_SET: TypeName = TypeName::new("AWS::Route53::RecordSet");
const HOSTED_ZONE: TypeName = TypeName::new("AWS::Route53::HostedZone");
/// After how many modelled seconds all name servers have a change; Route 53 says "generally within 60 seconds"
/// (API reference, ChangeResourceRecordSets).
const IN_SYNC_SECONDS: f64 = 30.0;
/// Record sets of a page, unless fewer are asked for (API reference, ListResourceRecordSets, `maxitems`).
const PAGE: usize = 300;
/// The members of a record set that this sandbox keeps, in the order of the API's schema, but for records and alias.
const PLAIN_MEMBERS: [&str; 7] = [
    "SetIdentifier",
    "Weight",
    "Region",
    "Failover",
    "MultiValueAnswer",
    "TTL",
    "HealthCheckId",
];
const TYPES: [&str; 13] = [
    "A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SRV", "SVCB", "TXT",
];

/// The operation that method and path stand for.
pub(crate) fn operation(request: &Request) -> Option<&'static str> {
    match (&request.method, segments(request).as_slice()) {
        (&Method::POST, ["2013-04-01", "hostedzone", _, "rrset"]) => {
            Some("ChangeResourceRecordSets")
        }
        (&Method::GET, ["2013-04-01", "hostedzone", _, "rrset"]) => Some("ListResourceRecordSets"),
        (&Method::GET, ["2013-04-01", "change", _]) => Some("GetChange"),
        _ => None,
    }
}

fn segments(request: &Request) -> Vec<&str> {
    request
        .path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect()
}

/// Answers one call.
pub(crate) fn handle(
    account: &Account,
    operation: &str,
    request: &Request,
    _: &str,
) -> Option<Result<Reply, ServiceError>> {
    let id = segments(request)
        .get(2)
        .map(|id| percent_decode(id))
        .unwrap_or_default();
    Some(match operation {
        "ChangeResourceRecordSets" => change(account, &id, request),
        "ListResourceRecordSets" => list(account, &id, request),
        "GetChange" => get_change(account, &id),
        _ => return None,
    })
}

/// Whether a record of this name, type and value is in a hosted zone of the world.
pub(crate) fn has_record(world: &World, name: &str, kind: &str, value: &str) -> bool {
    let (name, value) = (absolute(name), absolute(value));
    world.of_type(&RECORD_SET).any(|entry| {
        let has_value = |record: &Value| {
            record
                .as_str()
                .is_some_and(|record| absolute(record) == value)
        };
        entry.model["Name"] == name.as_str()
            && entry.model["Type"] == kind
            && entry.model["ResourceRecords"]
                .as_array()
                .is_some_and(|records| records.iter().any(has_value))
    })
}

/// A DNS name in lower case with its final dot.
fn absolute(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace("\\052", "*");
    if name.ends_with('.') {
        name
    } else {
        name + "."
    }
}

/// The zone's id and its entry.
fn zone<'a>(session: &Session<'a>, id: &str) -> Result<&'a Entry, ServiceError> {
    let found = session
        .state
        .world
        .get(&HOSTED_ZONE, id)
        .filter(|zone| zone.phase != Phase::Creating);
    found.ok_or_else(|| {
        ServiceError::new(
            404,
            "NoSuchHostedZone",
            format!("No hosted zone found with ID: {id}"),
        )
    })
}

fn zone_name(zone: &Entry) -> String {
    absolute(zone.model["Name"].as_str().unwrap_or_default())
}

fn records_of<'a>(session: &Session<'a>, zone_id: &str) -> impl Iterator<Item = &'a Entry> {
    session
        .state
        .world
        .of_type(&RECORD_SET)
        .filter(move |entry| entry.model["HostedZoneId"] == zone_id)
}

struct Change {
    action: String,
    record: Value,
}

impl Change {
    fn named(&self) -> String {
        let record = &self.record;
        format!(
            "[name='{}', type='{}']",
            record["Name"].as_str().unwrap_or_default(),
            record["Type"].as_str().unwrap_or_default()
        )
    }
}

fn identifier(record: &Value) -> String {
    let parts = ["HostedZoneId", "Name", "Type", "SetIdentifier"];
    parts
        .iter()
        .filter_map(|part| record[*part].as_str())
        .collect::<Vec<_>>()
        .join("|")
}

fn change(account: &Account, zone_id: &str, request: &Request) -> Result<Reply, ServiceError> {
    let text = String::from_utf8_lossy(&request.body);
    let changes = read_changes(&text, zone_id)?;
    account.session(|session| {
        let zone = zone(session, zone_id)?;
        let apex = zone_name(zone);
        let mut records: BTreeMap<String, Value> = records_of(session, zone_id)
            .map(|entry| (entry.identifier.clone(), entry.model.clone()))
            .collect();
        let mut wrong = Vec::new();
        let mut done = Vec::new();
        for change in &changes {
            match apply(&mut records, change, &apex) {
                Ok(()) => done.push(change),
                Err(reason) => wrong.push(reason),
            }
        }
        if !wrong.is_empty() {
            // All of a batch or nothing.
            return Err(ServiceError::bad_request(
                "InvalidChangeBatch",
                format!("[{}]", wrong.join(", ")),
            ));
        }
        for change in done {
            let identifier = identifier(&change.record);
            if records.contains_key(&identifier) {
                session.put(RECORD_SET, identifier, change.record.clone());
            } else {
                session.change(Mutation::Remove {
                    type_name: RECORD_SET,
                    identifier,
                });
            }
        }
        let id = format!("C{}", session.ids().upper_alnum(20));
        let at = session.now;
        session.change(Mutation::DnsChange { id: id.clone(), at });
        let mut xml = Xml::document("ChangeResourceRecordSetsResponse", NAMESPACE);
        change_info(&mut xml, session, &id, at);
        xml.close("ChangeResourceRecordSetsResponse");
        Ok(xml.into_reply())
    })
}

/// Applies a change to the records of its zone, or says in Route 53's words why it cannot.
fn apply(records: &mut BTreeMap<String, Value>, change: &Change, apex: &str) -> Result<(), String> {
    let record = &change.record;
    let identifier = identifier(record);
    let (name, kind) = (
        record["Name"].as_str().unwrap_or_default(),
        record["Type"].as_str().unwrap_or_default(),
    );
    if name != apex && !name.ends_with(&format!(".{apex}")) {
        return Err(format!(
            "RRSet with DNS name {name} is not permitted in zone {apex}"
        ));
    }
    match change.action.as_str() {
        "DELETE" => {
            let Some(present) = records.get(&identifier) else {
                return Err(format!(
                    "Tried to delete resource record set {} but it was not found",
                    change.named()
                ));
            };
            if !is_same(present, record) {
                return Err(format!(
                    "Tried to delete resource record set {} but the values provided do not match the current values",
                    change.named()
                ));
            }
            records.remove(&identifier);
        }
        action => {
            if action == "CREATE" && records.contains_key(&identifier) {
                return Err(format!(
                    "Tried to create resource record set {} but it already exists",
                    change.named()
                ));
            }
            if kind == "CNAME" && name == apex {
                return Err(format!(
                    "RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {apex}"
                ));
            }
            let conflicts = records.values().any(|other| {
                other["Name"] == name
                    && other["Type"] != kind
                    && (kind == "CNAME" || other["Type"] == "CNAME")
            });
            if conflicts {
                return Err(format!(
                    "RRSet of type {kind} with DNS name {name} is not permitted as it conflicts with other records with the same DNS \
                     name in zone {apex}"
                ));
            }
            records.insert(identifier, record.clone());
        }
    }
    Ok(())
}

/// Whether two record sets are the same but for what the rules keep in one for themselves.
fn is_same(one: &Value, other: &Value) -> bool {
    let public = |record: &Value| -> Vec<(String, Value)> {
        let members = record.as_object().into_iter().flatten();
        let public = members.filter(|(name, _)| !name.starts_with("__"));
        let mut public: Vec<_> = public
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        public.sort_by(|(one, _), (other, _)| one.cmp(other));
        public
    };
    public(one) == public(other)
}

fn read_changes(text: &str, zone_id: &str) -> Result<Vec<Change>, ServiceError> {
    let malformed = |reason: String| ServiceError::bad_request("MalformedInput", reason);
    let document = Document::parse(text)
        .map_err(|error| malformed(format!("The request is not XML: {error}")))?;
    let changes: Vec<Node<'_, '_>> = document
        .descendants()
        .filter(|node| node.tag_name().name() == "Change")
        .collect();
    if changes.is_empty() {
        return Err(ServiceError::bad_request(
            "InvalidInput",
            "Invalid XML; the change batch has no change",
        ));
    }
    changes
        .into_iter()
        .map(|node| read_change(node, zone_id))
        .collect()
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children()
        .find(|child| child.tag_name().name() == name)
}

fn child_text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name).map(|child| child.text().unwrap_or_default())
}

fn read_change(node: Node<'_, '_>, zone_id: &str) -> Result<Change, ServiceError> {
    let invalid = |reason: String| ServiceError::bad_request("InvalidInput", reason);
    let action = child_text(node, "Action").unwrap_or_default();
    if !["CREATE", "UPSERT", "DELETE"].contains(&action) {
        return Err(invalid(format!(
            "Invalid XML; action '{action}' is none of CREATE, UPSERT, DELETE"
        )));
    }
    let set = child(node, "ResourceRecordSet")
        .ok_or_else(|| invalid("Invalid XML; a change has no ResourceRecordSet".to_owned()))?;
    let name = child_text(set, "Name").unwrap_or_default();
    let kind = child_text(set, "Type").unwrap_or_default();
    if name.is_empty() || !TYPES.contains(&kind) {
        return Err(invalid(format!(
            "Invalid request: Expected a name and a type of {TYPES:?} in Change with [Action={action}, Name={name}, Type={kind}]"
        )));
    }
    let mut record = Map::new();
    record.insert("HostedZoneId".to_owned(), json!(zone_id));
    record.insert("Name".to_owned(), json!(absolute(name)));
    record.insert("Type".to_owned(), json!(kind));
    for member in set.children().filter(Node::is_element) {
        match member.tag_name().name() {
            "Name" | "Type" => {}
            "ResourceRecords" => {
                let values: Vec<_> = member
                    .children()
                    .filter_map(|record| child_text(record, "Value"))
                    .map(|value| json!(value))
                    .collect();
                record.insert("ResourceRecords".to_owned(), json!(values));
            }
            "AliasTarget" => {
                let text = |name: &str| child_text(member, name).unwrap_or_default();
                let alias = json!({
                    "HostedZoneId": text("HostedZoneId"),
                    "DNSName": absolute(text("DNSName")),
                    "EvaluateTargetHealth": text("EvaluateTargetHealth") == "true",
                });
                record.insert("AliasTarget".to_owned(), alias);
            }
            plain if PLAIN_MEMBERS.contains(&plain) => {
                record.insert(plain.to_owned(), json!(member.text().unwrap_or_default()));
            }
            other => {
                return Err(invalid(format!(
                    "The sandbox does not know record sets with {other}."
                )));
            }
        }
    }
    let is_plain = record.contains_key("TTL")
        && record
            .get("ResourceRecords")
            .is_some_and(|records| records != &json!([]));
    if is_plain == record.contains_key("AliasTarget") {
        let found = if is_plain { "more than one" } else { "none" };
        return Err(invalid(format!(
            "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or TrafficPolicyInstanceId], \
             but found {found} in Change with [Action={action}, Name={name}, Type={kind}, SetIdentifier={}]",
            child_text(set, "SetIdentifier").unwrap_or("null")
        )));
    }
    Ok(Change {
        action: action.to_owned(),
        record: Value::Object(record),
    })
}

fn change_info(xml: &mut Xml, session: &Session<'_>, id: &str, at: f64) {
    let in_sync = session.now >= at + session.clock.scale().duration(IN_SYNC_SECONDS);
    xml.open("ChangeInfo")
        .text("Id", &format!("/change/{id}"))
        .text("Status", if in_sync { "INSYNC" } else { "PENDING" })
        .text(
            "SubmittedAt",
            &super::timestamp(session.clock.epoch_seconds_at(at)),
        )
        .close("ChangeInfo");
}

fn get_change(account: &Account, id: &str) -> Result<Reply, ServiceError> {
    account.session(|session| {
        let at = session.state.dns_change(id);
        let at = at.ok_or_else(|| {
            ServiceError::new(
                404,
                "NoSuchChange",
                format!("A change with ID {id} does not exist."),
            )
        })?;
        let mut xml = Xml::document("GetChangeResponse", NAMESPACE);
        change_info(&mut xml, session, id, at);
        xml.close("GetChangeResponse");
        Ok(xml.into_reply())
    })
}

/// Route 53's order: by name with its labels reversed, then by type and set identifier.
fn order(record: &Value) -> (Vec<String>, String, String) {
    let text = |member: &str| record[member].as_str().unwrap_or_default().to_owned();
    (
        text("Name")
            .trim_end_matches('.')
            .rsplit('.')
            .map(str::to_owned)
            .collect(),
        text("Type"),
        text("SetIdentifier"),
    )
}

/// The records that every zone has from its beginning.
fn own_records(zone: &Entry) -> Vec<Value> {
    let name = zone_name(zone);
    let servers: Vec<String> = zone.model["NameServers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(absolute)
        .collect();
    let Some(first) = servers.first() else {
        return Vec::new();
    };
    let authority = format!("{first} awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400");
    vec![
        json!({ "Name": name, "Type": "NS", "TTL": "172800", "ResourceRecords": servers }),
        json!({ "Name": name, "Type": "SOA", "TTL": "900", "ResourceRecords": [authority] }),
    ]
}

fn list(account: &Account, zone_id: &str, request: &Request) -> Result<Reply, ServiceError> {
    let parameters = request.query_parameters();
    let page = match parameters.get("maxitems") {
        None => PAGE,
        Some(text) => text
            .parse::<usize>()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| {
                ServiceError::bad_request(
                    "InvalidInput",
                    format!("maxitems '{text}' is not a positive number"),
                )
            })?
            .min(PAGE),
    };
    let start = parameters.get("name").map(|name| {
        let empty = String::new();
        let kind = parameters.get("type").unwrap_or(&empty);
        order(&json!({ "Name": absolute(name), "Type": kind, "SetIdentifier": parameters.get("identifier").unwrap_or(&empty) }))
    });
    account.session(|session| {
        let zone = zone(session, zone_id)?;
        let mut records: Vec<Value> = records_of(session, zone_id)
            .map(|entry| entry.model.clone())
            .collect();
        records.extend(own_records(zone).into_iter().filter(|own| {
            !records_of(session, zone_id).any(|entry| {
                entry.model["Name"] == own["Name"] && entry.model["Type"] == own["Type"]
            })
        }));
        records.sort_by_cached_key(order);
        records.retain(|record| start.as_ref().is_none_or(|start| order(record) >= *start));
        let next = records.get(page).cloned();
        records.truncate(page);
        let mut xml = Xml::document("ListResourceRecordSetsResponse", NAMESPACE);
        xml.open("ResourceRecordSets");
        records.iter().for_each(|record| write(&mut xml, record));
        xml.close("ResourceRecordSets")
            .text("IsTruncated", if next.is_some() { "true" } else { "false" });
        if let Some(next) = next {
            xml.text("NextRecordName", &shown_name(&next))
                .text("NextRecordType", next["Type"].as_str().unwrap_or_default());
            if let Some(identifier) = next["SetIdentifier"].as_str() {
                xml.text("NextRecordIdentifier", identifier);
            }
        }
        xml.text("MaxItems", &page.to_string())
            .close("ListResourceRecordSetsResponse");
        Ok(xml.into_reply())
    })
}

/// The name with an asterisk written as Route 53 returns it.
fn shown_name(record: &Value) -> String {
    record["Name"]
        .as_str()
        .unwrap_or_default()
        .replace('*', "\\052")
}

fn write(xml: &mut Xml, record: &Value) {
    xml.open("ResourceRecordSet")
        .text("Name", &shown_name(record))
        .text("Type", record["Type"].as_str().unwrap_or_default());
    for member in PLAIN_MEMBERS
        .iter()
        .filter(|member| **member != "HealthCheckId")
    {
        if let Some(text) = record[*member].as_str() {
            xml.text(member, text);
        }
    }
    if let Some(values) = record["ResourceRecords"].as_array() {
        xml.open("ResourceRecords");
        for value in values.iter().filter_map(Value::as_str) {
            xml.open("ResourceRecord")
                .text("Value", value)
                .close("ResourceRecord");
        }
        xml.close("ResourceRecords");
    }
    if let Some(alias) = record["AliasTarget"].as_object() {
        let text = |member: &str| {
            alias
                .get(member)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let evaluate = alias.get("EvaluateTargetHealth") == Some(&json!(true));
        xml.open("AliasTarget")
            .text("HostedZoneId", text("HostedZoneId"))
            .text("DNSName", text("DNSName"))
            .text(
                "EvaluateTargetHealth",
                if evaluate { "true" } else { "false" },
            )
            .close("AliasTarget");
    }
    if let Some(check) = record["HealthCheckId"].as_str() {
        xml.text("HealthCheckId", check);
    }
    xml.close("ResourceRecordSet");
}
