//! `GetResource` and `ListResources`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{
    LONGEST_DOCUMENT, document, exception, identifier, invalid_request, not_found, schema_for,
};
use crate::aws::account::{Account, Session};
use crate::aws::kinds;
use crate::aws::wire::{Input, ServiceError};
use crate::aws::world::{Entry, Phase};

/// How many resources `ListResources` returns unless told.
const PAGE: usize = 20;

/// Whether reads find a resource: not while it is being created, and not for a moment after.
fn is_readable(session: &Session<'_>, entry: &Entry) -> bool {
    entry.phase != Phase::Creating
        && session.now >= entry.ready_at + session.settings.read_after_create_seconds
}

/// `GetResource`
pub(super) fn get(account: &Account, input: &Input<'_>) -> Result<Value, ServiceError> {
    let schema = schema_for(input, catalog::Operation::Read)?;
    let identifier = identifier(input, schema)?;
    let properties = account.session(|session| {
        let entry = session
            .world()
            .get(schema.type_name(), &identifier)
            .filter(|entry| is_readable(session, entry) && entry.pending_deletion().is_none());
        entry
            .map(kinds::visible)
            .ok_or_else(|| not_found(schema, &identifier))
    })?;
    Ok(json!({
        "TypeName": schema.type_name(),
        "ResourceDescription": { "Identifier": identifier, "Properties": properties.to_string() },
    }))
}

/// `ListResources`, in the order of the identifiers.
pub(super) fn list(account: &Account, input: &Input<'_>) -> Result<Value, ServiceError> {
    let schema = schema_for(input, catalog::Operation::List)?;
    let page = input.number("MaxResults", 1..=100)?.unwrap_or(PAGE);
    let after = match input.optional("NextToken", 4096)? {
        None => None,
        Some(token) => {
            let decoded = STANDARD
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            Some(decoded.ok_or_else(|| invalid_request("NextToken is not one of this list"))?)
        }
    };
    let model = match input.optional("ResourceModel", LONGEST_DOCUMENT)? {
        None => None,
        Some(text) => Some(document(input, "ResourceModel", text)?),
    };
    let missing: Vec<&String> = schema
        .list_requires()
        .iter()
        .filter(|property| {
            model
                .as_ref()
                .and_then(|model| model.get(property.as_str()))
                .is_none()
        })
        .collect();
    if !missing.is_empty() {
        return Err(invalid_request(format!(
            "Missing or invalid ResourceModel property in {} list handler request input. Required property: {missing:?}",
            schema.type_name()
        )));
    }
    // Only what is on the page is copied: a long list is asked for page by page.
    let (descriptions, next) = account.session(|session| {
        let listed = kinds::list(&session.context(), schema.type_name(), model.as_ref());
        let mut rest = listed
            .map_err(|failure| exception(schema, &failure))?
            .into_iter()
            .filter(|entry| is_readable(session, entry))
            .filter(|entry| after.as_ref().is_none_or(|after| entry.identifier > *after))
            .peekable();
        let on_page: Vec<&Entry> = rest.by_ref().take(page).collect();
        let next = on_page
            .last()
            .filter(|_| rest.peek().is_some())
            .map(|entry| STANDARD.encode(&entry.identifier));
        let descriptions: Vec<Value> = on_page
            .into_iter()
            .map(|entry| json!({ "Identifier": entry.identifier, "Properties": kinds::visible(entry).to_string() }))
            .collect();
        Ok((descriptions, next))
    })?;
    let mut answer =
        json!({ "TypeName": schema.type_name(), "ResourceDescriptions": descriptions });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}
