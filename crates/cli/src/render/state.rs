//! A scope's state: its resources, one of them, and the states that can be returned to.

use std::io::{self, Write};

use catalog::ids::{Address, Serial};
use graph::{Lifecycle, ResourceState, State};
use jiff::Timestamp;
use journal::HistoryEntry;
use serde::Serialize;
use serde_json::Value as Json;

use super::values;
use crate::terminal::{self, Style, Table, Tone, count, one_line};

/// A moment for people, in UTC as all of AWS's are.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Writes the resources of a state for people.
///
/// # Errors
///
/// When it can't be written.
pub fn list(out: &mut dyn Write, state: &State, style: Style) -> io::Result<()> {
    let mut table = Table::new(&["ADDRESS", "TYPE", "ID", ""]);
    for (address, resource) in &state.resources {
        let remark = match &resource.lifecycle {
            _ if resource.tainted => "tainted: it is replaced by the next deploy",
            Lifecycle::Managed => "",
            Lifecycle::Existing(_) => "existing",
            Lifecycle::Retain => "retained",
            Lifecycle::Ensure => "ensured",
        };
        table.row([
            (Tone::Plain, address.to_string()),
            (Tone::Dim, resource.type_name.to_string()),
            (Tone::Plain, resource.identifier.to_string()),
            (Tone::Changed, remark.to_owned()),
        ]);
    }
    if !table.is_empty() {
        table.write(out, style)?;
        writeln!(out)?;
    }
    let resources = count(state.resources.len(), "resource");
    writeln!(out, "{resources}, serial {}", state.serial)
}

#[derive(Serialize)]
struct Listed<'a> {
    serial: Serial,
    resources: Vec<ListedResource<'a>>,
}

#[derive(Serialize)]
struct ListedResource<'a> {
    address: &'a Address,
    #[serde(rename = "type")]
    type_name: &'a str,
    id: &'a str,
    lifecycle: &'a Lifecycle,
    tainted: bool,
}

/// Writes the resources of a state as JSON: `{serial, resources: [{address, type, id, lifecycle, tainted}]}`.
///
/// # Errors
///
/// When it can't be written.
pub fn list_json(out: &mut dyn Write, state: &State) -> io::Result<()> {
    let resources = state.resources.iter();
    let listed = Listed {
        serial: state.serial,
        resources: resources
            .map(|(address, resource)| ListedResource {
                address,
                type_name: resource.type_name.as_str(),
                id: resource.identifier.as_str(),
                lifecycle: &resource.lifecycle,
                tainted: resource.tainted,
            })
            .collect(),
    };
    terminal::write_json(out, &listed)
}

/// Writes one resource of a state for people.
///
/// # Errors
///
/// When it can't be written.
pub fn show(
    out: &mut dyn Write,
    address: &Address,
    resource: &ResourceState,
    style: Style,
) -> io::Result<()> {
    writeln!(out, "{}", style.paint(Tone::Strong, address.as_str()))?;
    let mut table = Table::default().indented(2);
    let mut line = |name: &str, value: String| {
        table.row([(Tone::Dim, name.to_owned()), (Tone::Plain, value)]);
    };
    line("type", resource.type_name.to_string());
    line("id", resource.identifier.to_string());
    let lifecycle = match &resource.lifecycle {
        Lifecycle::Managed => "managed",
        Lifecycle::Existing(_) => "existing: somebody else's, only read",
        Lifecycle::Retain => "retain: it stays in AWS when it is no longer wanted",
        Lifecycle::Ensure => "ensured: others may use it too",
    };
    line("lifecycle", lifecycle.to_owned());
    if resource.tainted {
        let tainted = "a failed create left it behind; the next deploy replaces it";
        line("tainted", tainted.to_owned());
    }
    for deposed in &resource.deposed {
        line("deposed", format!("{deposed}, not deleted yet"));
    }
    let needs: Vec<&str> = resource.needs.iter().map(Address::as_str).collect();
    if !needs.is_empty() {
        line("needs", needs.join(", "));
    }
    table.write(
        out,
        Style {
            width: None,
            ..style
        },
    )?;
    properties(out, "applied properties", &resource.properties, style)?;
    properties(out, "as AWS has it", &resource.attributes, style)
}

fn properties(
    out: &mut dyn Write,
    heading: &str,
    properties: &Json,
    style: Style,
) -> io::Result<()> {
    let Some(properties) = properties.as_object().filter(|object| !object.is_empty()) else {
        return Ok(());
    };
    writeln!(out, "  {}", style.paint(Tone::Dim, heading))?;
    for (name, value) in properties {
        writeln!(out, "    {}: {}", one_line(name), values::compact(value))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Shown<'a> {
    address: &'a Address,
    #[serde(flatten)]
    resource: &'a ResourceState,
}

/// Writes one resource of a state as JSON: `{address, type, identifier, properties, attributes, needs, …}`.
///
/// # Errors
///
/// When it can't be written.
pub fn show_json(
    out: &mut dyn Write,
    address: &Address,
    resource: &ResourceState,
) -> io::Result<()> {
    terminal::write_json(out, &Shown { address, resource })
}

/// Writes the states that can be returned to, newest first, for people.
///
/// # Errors
///
/// When it can't be written.
pub fn history(out: &mut dyn Write, history: &[HistoryEntry], style: Style) -> io::Result<()> {
    if history.is_empty() {
        return writeln!(out, "No state was kept yet: the first deploy keeps one.");
    }
    let mut table = Table::new(&["SERIAL", "KEPT", "AFTER"]);
    for entry in history {
        table.row([
            (Tone::Strong, entry.serial.to_string()),
            (Tone::Dim, moment(entry.at)),
            (Tone::Plain, entry.reason.clone()),
        ]);
    }
    table.write(out, style)
}

#[derive(Serialize)]
struct History<'a> {
    history: &'a [HistoryEntry],
}

/// Writes the states that can be returned to as JSON: `{history: [{serial, at, reason}]}`.
///
/// # Errors
///
/// When it can't be written.
pub fn history_json(out: &mut dyn Write, history: &[HistoryEntry]) -> io::Result<()> {
    terminal::write_json(out, &History { history })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::render::fixtures::{address, text, type_name};
    use serde_json::json;

    fn broker() -> ResourceState {
        ResourceState {
            type_name: type_name("AWS::AmazonMQ::Broker"),
            identifier: "b-1234".parse().unwrap(),
            properties: json!({
                "BrokerName": "shop-prod",
                "Users": [{ "Username": "app", "Password": { "$secret": { "secret": "rabbitmq/secret", "key": "password" } } }],
            }),
            attributes: json!({ "Id": "b-1234" }),
            needs: BTreeSet::from([address("network/vpc"), address("rabbitmq/secret")]),
            lifecycle: Lifecycle::Retain,
            tainted: false,
            deposed: Vec::new(),
        }
    }

    #[test]
    fn one_resource_is_shown_with_its_secrets_as_references() {
        insta::assert_snapshot!(text(|out| show(out, &address("rabbitmq/broker"), &broker(), Style::PLAIN)), @r#"
        rabbitmq/broker
          type       AWS::AmazonMQ::Broker
          id         b-1234
          lifecycle  retain: it stays in AWS when it is no longer wanted
          needs      network/vpc, rabbitmq/secret
          applied properties
            BrokerName: "shop-prod"
            Users: [{ Password: (secret rabbitmq/secret#password), Username: "app" }]
          as AWS has it
            Id: "b-1234"
        "#);
        let shown = text(|out| show_json(out, &address("rabbitmq/broker"), &broker()));
        let document: Json = serde_json::from_str(&shown).unwrap();
        assert_eq!(document["address"], "rabbitmq/broker");
        assert_eq!(document["type"], "AWS::AmazonMQ::Broker");
    }

    #[test]
    fn the_list_says_what_is_not_simply_ours() {
        let tainted = ResourceState {
            tainted: true,
            ..broker()
        };
        let state = State {
            serial: Serial(12),
            resources: BTreeMap::from([
                (address("rabbitmq/broker"), broker()),
                (address("a/b"), tainted),
            ]),
            ..State::default()
        };
        let shown = text(|out| list(out, &state, Style::PLAIN));
        assert!(
            shown.contains("retained") && shown.contains("tainted"),
            "{shown}"
        );
        assert!(shown.ends_with("2 resources, serial 12\n"), "{shown}");
        let shown = text(|out| list_json(out, &state));
        let document: Json = serde_json::from_str(&shown).unwrap();
        assert_eq!(document["resources"][1]["id"], "b-1234");
    }

    #[test]
    fn the_history_is_a_table() {
        let entry = |serial, reason: &str| HistoryEntry {
            serial: Serial(serial),
            at: "2026-11-21T06:11:07Z".parse().unwrap(),
            reason: reason.to_owned(),
        };
        let entries = [entry(412, "deploy"), entry(8, "rollback to 3")];
        insta::assert_snapshot!(text(|out| history(out, &entries, Style::PLAIN)), @r"
        SERIAL  KEPT                     AFTER
        412     2026-11-21 06:11:07 UTC  deploy
        8       2026-11-21 06:11:07 UTC  rollback to 3
        ");
    }
}
