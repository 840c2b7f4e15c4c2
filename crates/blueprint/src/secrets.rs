//! Secrets whose values Secrets Manager generates. No value is ever seen here: who needs one refers to the secret, and it
//! is read at the call.

use graph::value;

use crate::draft::{Draft, Drawing, Made};
use crate::naming::slug;
use crate::types;

/// How the names of the platform's own secrets of this environment begin.
pub(crate) fn prefix(drawing: &Drawing<'_>) -> String {
    format!("{}/", drawing.scope_name())
}

/// The secrets that the spec asks for.
pub(crate) fn draw(drawing: &mut Drawing<'_>) {
    for secret in &drawing.spec().secrets {
        let place: Vec<String> = secret
            .name
            .split('/')
            .filter(|part| !part.is_empty())
            .map(slug)
            .collect();
        let description =
            Some(secret.description.as_str()).filter(|description| !description.is_empty());
        drawing.add(
            Draft::new(
                format!("secrets/{}", place.join("/")),
                types::SECRET,
                value!({
                    "Name": secret.name.as_str(),
                    "GenerateSecretString": { "PasswordLength": secret.length, "ExcludePunctuation": true },
                }),
            )
            .with_some("Description", description),
        );
    }
}

/// A user's name with a generated password, as `{"username": …, "password": …}`. Letters and digits only: they are
/// allowed as ElastiCache's AUTH token and as RabbitMQ's password, and need no quoting in a URL.
pub(crate) fn credentials(
    drawing: &mut Drawing<'_>,
    component: &str,
    user: &str,
    length: u32,
    purpose: &str,
) -> Made {
    let name = format!("{}{component}", prefix(drawing));
    drawing.add(Draft::new(
        format!("{component}/secret"),
        types::SECRET,
        value!({
            "Name": name,
            "Description": purpose,
            "GenerateSecretString": {
                "SecretStringTemplate": serde_json::json!({ "username": user }).to_string(),
                "GenerateStringKey": "password",
                "PasswordLength": length,
                "ExcludePunctuation": true,
            },
        }),
    ))
}
