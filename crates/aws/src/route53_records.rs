//! `AWS::Route53::RecordSet` by Route 53's own API, since Cloud Control does not take it.
//!
//! The identifier is the schema's, `name|zone|type`, with `|set identifier` where there is one; the name in lower case
//! without its last dot. A create is a `CREATE`, which refuses a record that is there, not an `UPSERT`, which would take
//! over somebody else's; an update is an `UPSERT`. A deletion must repeat the live record exactly, so the live XML itself
//! is sent. The operation's token is the change's id, and it is done when the change is `INSYNC`.

use std::fmt::Write as _;

use catalog::ids::{Identifier, RequestToken};
use engine::provider::{ErrorClass, Progress, ProviderError, Status};
use roxmltree::{Document, Node};
use serde_json::{Map, Value, json};

use crate::cloud_control::done;
use crate::endpoint::Service;
use crate::session::Session;
use crate::signed::{AnyNamespace, CallError, encode, xml_escape};

const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";
/// Path of the API's version.
const VERSION: &str = "/2013-04-01";

/// Which record: what the identifier is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    name: String,
    zone: String,
    kind: String,
    set: Option<String>,
}

/// A record as it is: our model of it, and the XML of its element.
struct Live {
    model: Value,
    xml: String,
}

pub(crate) async fn create(session: &Session, desired: &Value) -> Result<Progress, ProviderError> {
    let key = key_of(session, desired).await?;
    change(session, &key, "CREATE", &record_xml(&key, desired)).await
}

pub(crate) async fn update(
    session: &Session,
    identifier: &Identifier,
    desired: &Value,
) -> Result<Progress, ProviderError> {
    let key = parse(identifier)?;
    change(session, &key, "UPSERT", &record_xml(&key, desired)).await
}

pub(crate) async fn delete(
    session: &Session,
    identifier: &Identifier,
) -> Result<Progress, ProviderError> {
    let key = parse(identifier)?;
    let Some(live) = live(session, &key).await? else {
        return Ok(done(Some(identifier.clone())));
    };
    change(session, &key, "DELETE", &live.xml).await
}

pub(crate) async fn read(
    session: &Session,
    identifier: &Identifier,
) -> Result<Option<Value>, ProviderError> {
    let key = parse(identifier)?;
    Ok(live(session, &key).await?.map(|live| live.model))
}

pub(crate) async fn poll(
    session: &Session,
    operation: &RequestToken,
) -> Result<Progress, ProviderError> {
    let path = format!("{VERSION}/change/{}", encode(operation.as_str()));
    let answer = session
        .rest_xml(Service::Route53, "GET", path, &[], None)
        .await?;
    Ok(progress(&answer, None)?)
}

/// The identifier of the record that `desired` describes.
pub(crate) async fn identifier(
    session: &Session,
    desired: &Value,
) -> Result<Identifier, ProviderError> {
    identifier_of(&key_of(session, desired).await?)
}

async fn change(
    session: &Session,
    key: &Key,
    action: &str,
    record: &str,
) -> Result<Progress, ProviderError> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ChangeResourceRecordSetsRequest xmlns=\"{NAMESPACE}\"><ChangeBatch>\
         <Changes><Change><Action>{action}</Action>{record}</Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    );
    let path = format!("{VERSION}/hostedzone/{}/rrset/", encode(&key.zone));
    let answer = session
        .rest_xml(Service::Route53, "POST", path, &[], Some(body))
        .await;
    match answer {
        Ok(answer) => Ok(progress(&answer, Some(identifier_of(key)?))?),
        Err(error) => match (action, refusal(&error)) {
            ("DELETE", Some(Refusal::Absent)) => Ok(done(Some(identifier_of(key)?))),
            ("CREATE", Some(Refusal::Present)) => Err(ProviderError {
                class: ErrorClass::AlreadyExists,
                ..error.into()
            }),
            _ => Err(error.into()),
        },
    }
}

enum Refusal {
    Present,
    Absent,
}

/// Route 53 has one code for every wrong change; its words tell them apart: "Tried to create resource record set [name='…',
/// type='A'] but it already exists", "Tried to delete resource record set … but it was not found".
fn refusal(error: &CallError) -> Option<Refusal> {
    let CallError::Refused { code, message, .. } = error else {
        return None;
    };
    if code != "InvalidChangeBatch" {
        return None;
    }
    if message.contains("but it already exists") {
        Some(Refusal::Present)
    } else if message.contains("but it was not found") {
        Some(Refusal::Absent)
    } else {
        None
    }
}

fn malformed() -> CallError {
    CallError::Malformed {
        service: "route53",
        expected: "what its API reference says",
    }
}

fn progress(answer: &str, identifier: Option<Identifier>) -> Result<Progress, CallError> {
    let document = Document::parse(answer).map_err(|_| malformed())?;
    let info = document
        .descendants()
        .find(|node| node.has_tag_name_in_any_namespace("ChangeInfo"))
        .ok_or_else(malformed)?;
    let id = info.child_text("Id").ok_or_else(malformed)?;
    let id = id.trim_start_matches("/change/");
    let status = match info.child_text("Status").as_deref() {
        Some("INSYNC") => Status::Success,
        _ => Status::InProgress,
    };
    Ok(Progress {
        operation: RequestToken::new(id).ok(),
        identifier,
        status,
        retry_after: None,
        note: None,
    })
}

async fn live(session: &Session, key: &Key) -> Result<Option<Live>, ProviderError> {
    let path = format!("{VERSION}/hostedzone/{}/rrset", encode(&key.zone));
    let mut query = vec![
        ("name", key.name.as_str()),
        ("type", key.kind.as_str()),
        ("maxitems", "1"),
    ];
    if let Some(set) = &key.set {
        query.push(("identifier", set));
    }
    let answer = match session
        .rest_xml(Service::Route53, "GET", path, &query, None)
        .await
    {
        Ok(answer) => answer,
        Err(error) if error.code() == Some("NoSuchHostedZone") => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(record_in(&answer, key)?)
}

/// The record in an answer; the list begins where the record would stand, so another one may be there.
fn record_in(answer: &str, key: &Key) -> Result<Option<Live>, CallError> {
    let document = Document::parse(answer).map_err(|_| malformed())?;
    let Some(record) = document
        .descendants()
        .find(|node| node.has_tag_name_in_any_namespace("ResourceRecordSet"))
    else {
        return Ok(None);
    };
    let model = model(record, &key.zone);
    let same = model["Name"] == key.name.as_str()
        && model["Type"] == key.kind.as_str()
        && model.get("SetIdentifier").and_then(Value::as_str) == key.set.as_deref();
    Ok(same.then(|| Live {
        model,
        xml: answer[record.range()].to_owned(),
    }))
}

fn model(record: Node<'_, '_>, zone: &str) -> Value {
    let mut model = Map::new();
    model.insert("HostedZoneId".to_owned(), zone.into());
    for child in record.children().filter(Node::is_element) {
        let name = child.tag_name().name();
        let text = child.text().unwrap_or_default();
        let value = match name {
            "Name" => canonical(text).into(),
            "Weight" => text.parse::<i64>().map_or(Value::Null, Value::from),
            "MultiValueAnswer" => (text == "true").into(),
            "ResourceRecords" => child
                .children()
                .filter_map(|record| record.child_text("Value"))
                .map(Value::from)
                .collect(),
            "AliasTarget" => json!({
                "HostedZoneId": child.child_text("HostedZoneId"),
                "DNSName": child.child_text("DNSName"),
                "EvaluateTargetHealth": child.child_text("EvaluateTargetHealth").as_deref() == Some("true"),
            }),
            "GeoLocation" => child
                .children()
                .filter(Node::is_element)
                .map(|part| {
                    (
                        part.tag_name().name().to_owned(),
                        Value::from(part.text().unwrap_or_default()),
                    )
                })
                .collect::<Map<_, _>>()
                .into(),
            // TTL is a string in the schema.
            "TTL" | "Type" | "SetIdentifier" | "Region" | "Failover" | "HealthCheckId" => {
                text.into()
            }
            // Neither the product makes these nor is drift of them looked for.
            _ => continue,
        };
        model.insert(name.to_owned(), value);
    }
    Value::Object(model)
}

/// A name in lower case, without the last dot and without Route 53's escapes (`\052` is `*`).
fn canonical(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut rest = name.trim_end_matches('.');
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                plain.push(char::from(code));
                rest = &after[3..];
            }
            None => {
                plain.push('\\');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain.to_ascii_lowercase()
}

/// The element of a record, its parts in the order of the API's schema.
fn record_xml(key: &Key, desired: &Value) -> String {
    let mut xml = String::from("<ResourceRecordSet>");
    let mut element = |name: &str, text: &str| {
        let _ = write!(xml, "<{name}>{}</{name}>", xml_escape(text));
    };
    element("Name", &format!("{}.", key.name));
    element("Type", &key.kind);
    for name in ["SetIdentifier", "Weight", "Region"] {
        if let Some(text) = scalar(&desired[name]) {
            element(name, &text);
        }
    }
    if let Some(parts) = desired["GeoLocation"].as_object() {
        let mut inner = String::new();
        for name in ["ContinentCode", "CountryCode", "SubdivisionCode"] {
            if let Some(text) = parts.get(name).and_then(scalar) {
                let _ = write!(inner, "<{name}>{}</{name}>", xml_escape(&text));
            }
        }
        let _ = write!(xml, "<GeoLocation>{inner}</GeoLocation>");
    }
    let mut element = |name: &str, text: &str| {
        let _ = write!(xml, "<{name}>{}</{name}>", xml_escape(text));
    };
    for name in ["Failover", "MultiValueAnswer", "TTL"] {
        if let Some(text) = scalar(&desired[name]) {
            element(name, &text);
        }
    }
    if let Some(records) = desired["ResourceRecords"].as_array() {
        let values: String = records
            .iter()
            .filter_map(Value::as_str)
            .map(|value| {
                format!(
                    "<ResourceRecord><Value>{}</Value></ResourceRecord>",
                    xml_escape(value)
                )
            })
            .collect();
        let _ = write!(xml, "<ResourceRecords>{values}</ResourceRecords>");
    }
    if let Some(alias) = desired["AliasTarget"].as_object() {
        let text =
            |name: &str| xml_escape(alias.get(name).and_then(Value::as_str).unwrap_or_default());
        let health = alias.get("EvaluateTargetHealth") == Some(&Value::Bool(true));
        let _ = write!(
            xml,
            "<AliasTarget><HostedZoneId>{}</HostedZoneId><DNSName>{}</DNSName><EvaluateTargetHealth>{health}\
             </EvaluateTargetHealth></AliasTarget>",
            text("HostedZoneId"),
            text("DNSName"),
        );
    }
    if let Some(check) = scalar(&desired["HealthCheckId"]) {
        let _ = write!(xml, "<HealthCheckId>{}</HealthCheckId>", xml_escape(&check));
    }
    xml.push_str("</ResourceRecordSet>");
    xml
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn invalid(message: String) -> ProviderError {
    ProviderError {
        class: ErrorClass::Terminal,
        code: "InvalidRequest".to_owned(),
        message,
    }
}

async fn key_of(session: &Session, desired: &Value) -> Result<Key, ProviderError> {
    let text = |name: &str| desired[name].as_str().map(str::to_owned);
    let missing = |name: &str| invalid(format!("a record set has no {name}"));
    let zone = match (text("HostedZoneId"), text("HostedZoneName")) {
        (Some(id), _) => id.trim_start_matches("/hostedzone/").to_owned(),
        (None, Some(name)) => zone_by_name(session, &name).await?,
        (None, None) => return Err(missing("HostedZoneId")),
    };
    Ok(Key {
        name: canonical(&text("Name").ok_or_else(|| missing("Name"))?),
        zone,
        kind: text("Type").ok_or_else(|| missing("Type"))?,
        set: text("SetIdentifier"),
    })
}

async fn zone_by_name(session: &Session, name: &str) -> Result<String, ProviderError> {
    let path = format!("{VERSION}/hostedzonesbyname");
    let answer = session
        .rest_xml(
            Service::Route53,
            "GET",
            path,
            &[("dnsname", name), ("maxitems", "2")],
            None,
        )
        .await?;
    let document = Document::parse(&answer).map_err(|_| malformed())?;
    let zones: Vec<String> = document
        .descendants()
        .filter(|node| node.has_tag_name_in_any_namespace("HostedZone"))
        .filter(|zone| {
            zone.child_text("Name")
                .is_some_and(|found| canonical(&found) == canonical(name))
        })
        .filter_map(|zone| zone.child_text("Id"))
        .collect();
    match zones.as_slice() {
        [only] => Ok(only.trim_start_matches("/hostedzone/").to_owned()),
        [] => Err(invalid(format!("there is no hosted zone named {name}"))),
        _ => Err(invalid(format!(
            "there are several hosted zones named {name}: name one by its id"
        ))),
    }
}

fn identifier_of(key: &Key) -> Result<Identifier, ProviderError> {
    let mut text = format!("{}|{}|{}", key.name, key.zone, key.kind);
    if let Some(set) = &key.set {
        let _ = write!(text, "|{set}");
    }
    Identifier::new(text).map_err(|error| invalid(error.to_string()))
}

fn parse(identifier: &Identifier) -> Result<Key, ProviderError> {
    let mut parts = identifier.as_str().splitn(4, '|').map(str::to_owned);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(zone), Some(kind), set) => Ok(Key {
            name,
            zone,
            kind,
            set: set.filter(|set| !set.is_empty()),
        }),
        _ => Err(invalid(format!(
            "`{identifier}` is not name|zone|type of a record set"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "<?xml version=\"1.0\"?><ListResourceRecordSetsResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ResourceRecordSets><ResourceRecordSet><Name>\\052.example.com.</Name><Type>A</Type><TTL>300</TTL><ResourceRecords><ResourceRecord><Value>10.0.0.1</Value></ResourceRecord><ResourceRecord><Value>10.0.0.2</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></ResourceRecordSets></ListResourceRecordSetsResponse>";

    fn key(identifier: &str) -> Key {
        parse(&Identifier::new(identifier).unwrap()).unwrap()
    }

    #[test]
    fn a_live_record_is_read_and_sent_back_word_for_word() {
        let live = record_in(ANSWER, &key("*.example.com|Z1|A"))
            .unwrap()
            .unwrap();
        assert_eq!(
            live.model,
            json!({
                "HostedZoneId": "Z1", "Name": "*.example.com", "Type": "A", "TTL": "300",
                "ResourceRecords": ["10.0.0.1", "10.0.0.2"],
            })
        );
        assert!(
            live.xml
                .starts_with("<ResourceRecordSet><Name>\\052.example.com.</Name>")
        );
        assert!(live.xml.ends_with("</ResourceRecordSet>"));
        // The list starts at the next record when there is none of this name.
        for other in [
            "a.example.com|Z1|A",
            "*.example.com|Z1|AAAA",
            "*.example.com|Z1|A|blue",
        ] {
            assert!(record_in(ANSWER, &key(other)).unwrap().is_none(), "{other}");
        }
    }

    #[test]
    fn a_record_is_written_in_the_order_of_the_schema() {
        let desired = json!({
            "Name": "API.example.com.", "Type": "A", "SetIdentifier": "a&b", "Weight": 10,
            "AliasTarget": {"HostedZoneId": "Z2", "DNSName": "lb.example.com", "EvaluateTargetHealth": true},
        });
        assert_eq!(
            record_xml(&key("api.example.com|Z1|A|a&b"), &desired),
            "<ResourceRecordSet><Name>api.example.com.</Name><Type>A</Type><SetIdentifier>a&amp;b</SetIdentifier><Weight>10</Weight>\
             <AliasTarget><HostedZoneId>Z2</HostedZoneId><DNSName>lb.example.com</DNSName><EvaluateTargetHealth>true</EvaluateTargetHealth></AliasTarget></ResourceRecordSet>"
        );
    }

    #[test]
    fn a_change_is_done_when_it_is_everywhere() {
        let answer = |status: &str| {
            format!(
                "<GetChangeResponse xmlns=\"{NAMESPACE}\"><ChangeInfo><Id>/change/C123</Id><Status>{status}</Status></ChangeInfo></GetChangeResponse>"
            )
        };
        let pending = progress(&answer("PENDING"), None).unwrap();
        assert_eq!(
            (
                pending.operation.as_ref().map(RequestToken::as_str),
                pending.status
            ),
            (Some("C123"), Status::InProgress)
        );
        assert_eq!(
            progress(&answer("INSYNC"), None).unwrap().status,
            Status::Success
        );
    }
}
