//! AWS Secrets Manager: the values of secrets. The secrets themselves are resources of Cloud Control.
//!
//! A secret's value stands in its model under `__SecretString`, where no read of Cloud Control shows it. A secret that is
//! deleted with a recovery window has the end of it (modelled seconds) under `__DeletedAt`.

use catalog::TypeName;
use serde_json::{Value, json};

use super::super::account::{Account, Session};
use super::super::state::Mutation;
use super::super::wire::{Input, ServiceError};
use super::super::world::{Entry, Phase};
use super::required_text;

pub(crate) const OPERATIONS: &[&str] = &[
    "DeleteSecret",
    "DescribeSecret",
    "GetSecretValue",
    "RestoreSecret",
];

const SECRET: TypeName = TypeName::new("AWS::SecretsManager::Secret");
const INVALID: &str = "InvalidParameterException";
const DAY: f64 = 86_400.0;

/// Answers one call.
pub(crate) fn handle(
    account: &Account,
    operation: &str,
    input: &Value,
) -> Option<Result<Value, ServiceError>> {
    let call = match operation {
        "GetSecretValue" => get_value,
        "DescribeSecret" => describe,
        "DeleteSecret" => delete,
        "RestoreSecret" => restore,
        _ => return None,
    };
    Some(account.session(|session| call(session, input)))
}

fn text<'a>(entry: &'a Entry, property: &str) -> &'a str {
    entry.model[property].as_str().unwrap_or_default()
}

/// The secret that a call names: by its ARN, its ARN without the random end, or its name.
fn find<'a>(session: &Session<'a>, input: &Value) -> Result<&'a Entry, ServiceError> {
    let id = required_text(input, "SecretId", INVALID)?;
    let secrets = || {
        session
            .state
            .world
            .of_type(&SECRET)
            .filter(|entry| entry.phase != Phase::Creating)
    };
    let found = secrets().find(|entry| {
        entry.identifier == id
            || text(entry, "Name") == id
            || entry
                .identifier
                .len()
                .checked_sub(7)
                .and_then(|end| entry.identifier.get(..end))
                == Some(id)
    });
    found.ok_or_else(|| {
        ServiceError::bad_request(
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
        )
    })
}

fn deleted_at(entry: &Entry) -> Option<f64> {
    entry.model["__DeletedAt"].as_f64()
}

/// The id of the secret's one version: it changes with the value.
fn version(entry: &Entry) -> String {
    use sha2::{Digest, Sha256};
    let digest = hex::encode(Sha256::digest(format!(
        "{}\n{}",
        entry.identifier,
        text(entry, "__SecretString")
    )));
    format!(
        "{}-{}-{}-{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[12..16],
        &digest[16..20],
        &digest[20..32]
    )
}

fn get_value(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let entry = find(session, input)?;
    if deleted_at(entry).is_some() {
        return Err(ServiceError::bad_request(
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        ));
    }
    let stage = Input(input).text("VersionStage")?.unwrap_or("AWSCURRENT");
    let value = entry.model["__SecretString"]
        .as_str()
        .filter(|_| stage == "AWSCURRENT");
    let wanted = Input(input).text("VersionId")?;
    let value = value
        .filter(|_| wanted.is_none_or(|wanted| wanted == version(entry)))
        .ok_or_else(|| {
            let message = format!(
                "Secrets Manager can't find the specified secret value for staging label: {stage}"
            );
            ServiceError::bad_request("ResourceNotFoundException", message)
        })?;
    Ok(json!({
        "ARN": entry.identifier,
        "Name": text(entry, "Name"),
        "VersionId": version(entry),
        "SecretString": value,
        "VersionStages": ["AWSCURRENT"],
        "CreatedDate": session.clock.epoch_seconds_at(entry.created_at),
    }))
}

fn describe(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let entry = find(session, input)?;
    let mut answer = json!({
        "ARN": entry.identifier,
        "Name": text(entry, "Name"),
        "RotationEnabled": false,
        "CreatedDate": session.clock.epoch_seconds_at(entry.created_at),
        "LastChangedDate": session.clock.epoch_seconds_at(entry.ready_at),
        "VersionIdsToStages": { version(entry): ["AWSCURRENT"] },
    });
    for property in ["Description", "KmsKeyId", "Tags"] {
        if let Some(value) = entry.model.get(property) {
            answer[property] = value.clone();
        }
    }
    if let Some(at) = deleted_at(entry) {
        answer["DeletedDate"] = json!(session.clock.epoch_seconds_at(at));
    }
    Ok(answer)
}

fn delete(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let entry = find(session, input)?;
    let window = Input(input).number("RecoveryWindowInDays", 7..=30)?;
    let force = input.get("ForceDeleteWithoutRecovery") == Some(&json!(true));
    let invalid = |message: &str| {
        Err(ServiceError::bad_request(
            "InvalidParameterException",
            message,
        ))
    };
    if force && window.is_some() {
        return invalid(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        );
    }
    if !matches!(entry.phase, Phase::Ready | Phase::Remnant) {
        return invalid("The secret is being changed.");
    }
    // A number of days up to 30 is exact in a float.
    #[allow(clippy::cast_precision_loss)]
    let at = session.now
        + if force {
            0.0
        } else {
            window.unwrap_or(30) as f64 * DAY
        };
    if force {
        session.change(Mutation::Remove {
            type_name: SECRET,
            identifier: entry.identifier.clone(),
        });
    } else {
        let mut model = entry.model.clone();
        model["__DeletedAt"] = json!(at);
        session.put(SECRET, entry.identifier.clone(), model);
    }
    let date = session.clock.epoch_seconds_at(at);
    Ok(json!({ "ARN": entry.identifier, "Name": text(entry, "Name"), "DeletionDate": date }))
}

fn restore(session: &mut Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let entry = find(session, input)?;
    let mut model = entry.model.clone();
    if let Value::Object(members) = &mut model {
        members.remove("__DeletedAt");
    }
    session.put(SECRET, entry.identifier.clone(), model);
    Ok(json!({ "ARN": entry.identifier, "Name": text(entry, "Name") }))
}
