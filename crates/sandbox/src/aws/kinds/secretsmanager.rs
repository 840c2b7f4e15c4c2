//! `AWS::SecretsManager::Secret`.
//!
//! The value is kept in the private property `__SecretString`: it is in no read of Cloud Control, as on AWS.

use catalog::TypeName;
use catalog::names::NameKind;
use serde_json::{Value, json};

use super::document::{at, carry, flag, has, number, put, put_default, take, text, text_or};
use super::iam_role::check_name;
use super::kms::check_key;
use super::reference::{created, deleted, updated};
use super::{Context, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const SECRET: TypeName = TypeName::new("AWS::SecretsManager::Secret");

/// Characters of passwords (Secrets Manager API reference, `GetRandomPassword`).
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

pub(super) fn create(cx: &Context<'_>, desired: &Value, ids: &mut Ids) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    put_default(
        &mut model,
        "Name",
        format!("Secret-{}", ids.mixed_alnum(12)),
    );
    let name = text_or(&model, "Name", "").to_owned();
    check_name("SecretsManager", NameKind::Secret, &name)?;
    if let Some(other) = cx.any_with(SECRET.as_str(), "Name", &name).next() {
        // Deleted by its own API with a recovery window: the name is kept until that is over.
        return Err(if has(&other.model, "__DeletedAt") {
            failure::invalid(
                "SecretsManager",
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            )
        } else {
            failure::exists(
                "SecretsManager",
                format!("The operation failed because the secret {name} already exists."),
            )
        });
    }
    if let Some(key) = text(&model, "KmsKeyId") {
        check_key(cx, "SecretsManager", key)?;
    }
    keep_value(&mut model, ids)?;
    put(
        &mut model,
        "Id",
        cx.arn(
            "secretsmanager",
            &format!("secret:{name}-{}", ids.mixed_alnum(6)),
        ),
    );
    put_default(&mut model, "Tags", json!([]));
    created(cx, &SECRET, model)
}

/// Moves what the request says of the value to where only Secrets Manager reads it.
fn keep_value(model: &mut Value, ids: &mut Ids) -> Result<(), Failure> {
    let given = take(model, "SecretString");
    let recipe = take(model, "GenerateSecretString");
    let value = match (given, recipe) {
        (Some(_), Some(_)) => {
            return Err(failure::invalid(
                "SecretsManager",
                "You can't specify both SecretString and GenerateSecretString",
            ));
        }
        (Some(Value::String(given)), None) => Some(given),
        (_, Some(recipe)) => {
            let value = generate(&recipe, ids)?;
            put(model, "__Recipe", recipe);
            Some(value)
        }
        (_, None) => None,
    };
    if let Some(value) = value {
        if value.len() > 65_536 {
            return Err(failure::invalid(
                "SecretsManager",
                "Secret value has more than 65536 bytes",
            ));
        }
        put(model, "__SecretString", value);
    }
    Ok(())
}

/// A password by `GenerateSecretString`'s recipe, in its JSON template where it has one.
fn generate(recipe: &Value, ids: &mut Ids) -> Result<String, Failure> {
    let excluded = text_or(recipe, "ExcludeCharacters", "");
    let mut classes: Vec<String> = Vec::new();
    let mut class = |name: &str, characters: &str| {
        if !flag(recipe, name) {
            classes.push(
                characters
                    .chars()
                    .filter(|c| !excluded.contains(*c))
                    .collect(),
            );
        }
    };
    class("ExcludeLowercase", "abcdefghijklmnopqrstuvwxyz");
    class("ExcludeUppercase", "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    class("ExcludeNumbers", "0123456789");
    class("ExcludePunctuation", PUNCTUATION);
    classes.retain(|class| !class.is_empty());
    if flag(recipe, "IncludeSpace") && !excluded.contains(' ') {
        classes.push(" ".to_owned());
    }
    let length = number(recipe, "PasswordLength").unwrap_or(32);
    let each = at(recipe, "RequireEachIncludedType") != Some(&Value::Bool(false));
    let shortest = if each { classes.len().max(1) } else { 1 };
    let length = usize::try_from(length).unwrap_or(0);
    if classes.is_empty() || length < shortest || length > 4096 {
        return Err(failure::invalid(
            "SecretsManager",
            "The password length or the excluded characters leave no password possible",
        ));
    }
    let all: String = classes.concat();
    let mut password: Vec<char> = ids.text(all.as_bytes(), length).chars().collect();
    if each {
        // One of each class at a place of its own, so that none overwrites another.
        let start = usize::try_from(ids.below(length as u64)).unwrap_or(0);
        for (index, class) in classes.iter().enumerate() {
            let step = length / classes.len();
            let place = (start + index * step.max(1)) % length;
            password[place] = ids.text(class.as_bytes(), 1).chars().next().unwrap_or('x');
        }
    }
    let password: String = password.into_iter().collect();
    match (
        text(recipe, "SecretStringTemplate"),
        text(recipe, "GenerateStringKey"),
    ) {
        (None, None) => Ok(password),
        (Some(template), Some(key)) => {
            let mut object = serde_json::from_str::<Value>(template)
                .ok()
                .filter(Value::is_object)
                .ok_or_else(|| {
                    failure::invalid(
                        "SecretsManager",
                        "Could not parse SecretStringTemplate JSON object",
                    )
                })?;
            object[key] = Value::from(password);
            Ok(object.to_string())
        }
        _ => Err(failure::invalid(
            "SecretsManager",
            "You must specify both SecretStringTemplate and GenerateStringKey",
        )),
    }
}

pub(super) fn update(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    if has(&entry.model, "__DeletedAt") {
        return Err(failure::invalid(
            "SecretsManager",
            "You can't perform this operation on the secret because it was marked for deletion.",
        ));
    }
    let mut model = proposed.clone();
    if let Some(key) = text(&model, "KmsKeyId") {
        check_key(cx, "SecretsManager", key)?;
    }
    // The recipe that made the value makes no other; a changed one does, as CloudFormation says of it.
    let recipe = at(&model, "GenerateSecretString").cloned();
    let unchanged = recipe.is_some() && at(&entry.model, "__Recipe") == recipe.as_ref();
    if unchanged {
        take(&mut model, "GenerateSecretString");
    }
    keep_value(&mut model, ids)?;
    carry(&entry.model, &mut model, &["__SecretString"]);
    Ok(updated(cx, entry, model))
}

/// The handler deletes with `ForceDeleteWithoutRecovery`: the secret is gone and its name free at once.
pub(super) fn delete(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    Ok(deleted(cx, entry))
}
