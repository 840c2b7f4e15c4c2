//! Objects in the form that a client wants: whole, as rows of a table, or their metadata alone.

use apimachinery::table::{self, Include};
use apimachinery::{Resource, Status};
use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::media::{self, Form, MetaVersion, Syntax};
use super::query::Query;

/// What a client wants to see of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    pub form: Form,
    /// Of tables: what rows hold beside their cells.
    pub include: Include,
    pub syntax: Syntax,
}

impl View {
    /// # Errors
    /// 406 when nothing is accepted that there is, 422 with an unknown `includeObject`.
    pub(crate) fn of(headers: &HeaderMap, query: &Query) -> Result<Self, Status> {
        let (form, syntax) = media::of_objects(headers)?;
        let include = match query.get("includeObject") {
            None | Some("Metadata") => Include::Metadata,
            Some("Object") => Include::Object,
            Some("None") => Include::None,
            Some(other) => {
                return Err(Status::bad_request(format!(
                    "unrecognized includeObject value: {other:?}"
                )));
            }
        };
        Ok(Self {
            form,
            include,
            syntax,
        })
    }

    /// One object, which is written already.
    pub(crate) fn object(&self, resource: &Resource, whole: &Bytes, now: Timestamp) -> Bytes {
        match self.form {
            Form::Whole => whole.clone(),
            Form::Metadata(version) => metadata(whole, version),
            Form::Table(version) => {
                let object: Json = serde_json::from_slice(whole).unwrap_or_default();
                if object["kind"].as_str() != Some(&resource.kind.kind) {
                    // A subresource of another kind has no table.
                    return whole.clone();
                }
                let mut table = table::render(resource, &[], now, self.include);
                table["metadata"] = json!({"resourceVersion": revision(whole)});
                let row = self.table_row(resource, whole, now, version);
                with_rows(table, version, [row])
            }
        }
    }

    /// A list of objects, which are written already; `meta` is the list's `metadata`.
    pub(crate) fn list(
        &self,
        resource: &Resource,
        items: &[Bytes],
        meta: &Json,
        now: Timestamp,
    ) -> Bytes {
        match self.form {
            Form::Whole => {
                let kind = format!("{}List", resource.kind.kind);
                joined(&kind, &resource.kind.api_version(), meta, items)
            }
            Form::Metadata(version) => {
                let items: Vec<Bytes> = items.iter().map(|one| metadata(one, version)).collect();
                joined(
                    "PartialObjectMetadataList",
                    version.api_version(),
                    meta,
                    &items,
                )
            }
            Form::Table(version) => {
                let mut table = table::render(resource, &[], now, self.include);
                table["metadata"] = meta.clone();
                // One after the other: as documents, thousands of objects need ten times what they need as text.
                let rows = items
                    .iter()
                    .map(|item| self.table_row(resource, item, now, version));
                with_rows(table, version, rows)
            }
        }
    }

    /// What an event of a watch is about. Only the first table of a watch has the columns (`heads`).
    pub(crate) fn row(&self, resource: &Resource, whole: &Bytes, now: Timestamp) -> Bytes {
        match self.form {
            Form::Whole => whole.clone(),
            Form::Metadata(version) => metadata(whole, version),
            Form::Table(version) => {
                let table = json!({
                    "kind": "Table", "metadata": {"resourceVersion": revision(whole)},
                    "columnDefinitions": null,
                });
                let row = self.table_row(resource, whole, now, version);
                with_rows(table, version, [row])
            }
        }
    }

    /// The same, with the columns.
    pub(crate) fn first_row(&self, resource: &Resource, whole: &Bytes, now: Timestamp) -> Bytes {
        match self.form {
            Form::Table(_) => self.object(resource, whole, now),
            _ => self.row(resource, whole, now),
        }
    }

    /// A row, written. The object in it is the text that there is already.
    fn table_row(
        &self,
        resource: &Resource,
        whole: &Bytes,
        now: Timestamp,
        version: MetaVersion,
    ) -> String {
        let object: Json = serde_json::from_slice(whole).unwrap_or_default();
        let mut row = table::row(resource, &object, now, Include::None).to_string();
        let object = match self.include {
            Include::None => return row,
            Include::Metadata => metadata(whole, version),
            Include::Object => whole.clone(),
        };
        // Before the brace that closes the row.
        row.pop();
        row.push_str(",\"object\":");
        row.push_str(&String::from_utf8_lossy(object.trim_ascii_end()));
        row.push('}');
        row
    }
}

/// A table with its rows, written.
fn with_rows(
    mut table: Json,
    version: MetaVersion,
    rows: impl IntoIterator<Item = String>,
) -> Bytes {
    table["apiVersion"] = json!(version.api_version());
    if let Some(fields) = table.as_object_mut() {
        fields.remove("rows");
    }
    let mut text = table.to_string();
    text.pop();
    text.push_str(",\"rows\":[");
    for (index, row) in rows.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&row);
    }
    text.push_str("]}");
    text.into()
}

/// An object's `resourceVersion`.
fn revision(whole: &Bytes) -> Json {
    #[derive(Deserialize)]
    struct Versioned {
        metadata: Version,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        #[serde(default)]
        resource_version: Json,
    }
    serde_json::from_slice::<Versioned>(whole)
        .map_or(Json::Null, |object| object.metadata.resource_version)
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
}

fn metadata(whole: &Bytes, version: MetaVersion) -> Bytes {
    let head: Option<Head<'_>> = serde_json::from_slice(whole).ok();
    let metadata = head.and_then(|head| head.metadata);
    let metadata = metadata.map_or("{}", RawValue::get);
    let api_version = version.api_version();
    format!(
        r#"{{"kind":"PartialObjectMetadata","apiVersion":"{api_version}","metadata":{metadata}}}"#
    )
    .into()
}

fn joined(kind: &str, api_version: &str, meta: &Json, items: &[Bytes]) -> Bytes {
    let head = format!(
        r#"{{"kind":{},"apiVersion":{},"metadata":{meta},"items":["#,
        json!(kind),
        json!(api_version)
    );
    let length: usize = items.iter().map(|item| item.len() + 1).sum();
    let mut all = Vec::with_capacity(head.len() + length + 3);
    all.extend_from_slice(head.as_bytes());
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            all.push(b',');
        }
        all.extend_from_slice(item);
    }
    all.extend_from_slice(b"]}\n");
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_joined_from_what_is_written() {
        let items: Vec<Bytes> = vec![r#"{"metadata":{"name":"a"},"spec":{}}"#.into(), "{}".into()];
        let list = joined("PodList", "v1", &json!({"resourceVersion": "7"}), &items);
        let list: Json = serde_json::from_slice(&list).unwrap();
        assert_eq!(list["items"][0]["metadata"]["name"], "a");
        assert_eq!(list["metadata"]["resourceVersion"], "7");
        let short: Json = serde_json::from_slice(&metadata(&items[0], MetaVersion::V1)).unwrap();
        assert_eq!(
            short,
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}})
        );
    }
}
