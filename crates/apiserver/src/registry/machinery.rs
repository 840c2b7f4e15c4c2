//! Bodies of requests become objects: of the right type, without what nobody knows, with their defaults.

use apimachinery::schema::{Shape, Type};
use apimachinery::{Resource, Status, crd, defaults, validation};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::call::{Call, FieldValidation};
use super::document::{expect_object, map, part, text};

/// Makes an object in the call's version of a body, with defaults.
///
/// # Errors
/// `BadRequest` when it is of another kind, or of another shape than its type, or has fields that nobody knows and the call
/// wants to hear of it.
pub(super) fn receive(
    call: &Call<'_>,
    mut body: Json,
    warnings: &mut Vec<String>,
) -> Result<Json, Status> {
    let resource = call.resource;
    identify(resource, &mut body)?;
    validation::types(&resource.schema, &body)
        .map_err(|why| validation::undecodable(&resource.kind, &why))?;
    if call.field_validation != FieldValidation::Ignore {
        let mut unknown = call.decoding.to_vec();
        unknown.extend(validation::strict(&resource.schema, &body));
        if !unknown.is_empty() {
            if call.field_validation == FieldValidation::Strict {
                return Err(validation::strict_failure(&resource.kind, &unknown));
            }
            warnings.extend(unknown);
        }
    }
    settle(resource, &mut body);
    if &*resource.kind.kind == "CustomResourceDefinition" {
        warnings.extend(crd::unevaluated(&body).into_iter().map(|(version, rule)| {
            format!("version {version}: this server cannot evaluate the rule {rule:?}, and takes it as kept")
        }));
    }
    Ok(body)
}

/// Takes out what the type hasn't got, and puts in the defaults.
pub(super) fn settle(resource: &Resource, object: &mut Json) {
    crd::prune(&resource.schema, object);
    drop_nulls(&resource.schema, object);
    if resource.kind.group.is_empty() && &*resource.kind.kind == "Secret" {
        encode(object);
    }
    defaults::apply(resource, object);
}

/// A Secret's `stringData` is only for writing: it becomes `data`.
fn encode(secret: &mut Json) {
    let Some(Json::Object(texts)) = map(secret).remove("stringData") else {
        return;
    };
    let data = part(secret, "data");
    for (name, text) in texts {
        let text = text.as_str().unwrap_or_default();
        data.insert(name, STANDARD.encode(text).into());
    }
}

/// The object says what it is, or is told.
pub(super) fn identify(resource: &Resource, body: &mut Json) -> Result<(), Status> {
    expect_object(body)?;
    let kind = &resource.kind;
    let expected = kind.api_version();
    let says = text(body, "/apiVersion");
    if !says.is_empty() && says != expected {
        return Err(Status::bad_request(format!(
            "the API version in the data ({says}) does not match the expected API version ({expected})"
        )));
    }
    let says = text(body, "/kind");
    if !says.is_empty() && says != &*kind.kind {
        return Err(Status::bad_request(format!(
            "{says} in version {:?} cannot be handled as a {}: the kinds differ",
            kind.version, kind.kind
        )));
    }
    let body = map(body);
    body.insert("apiVersion".to_owned(), expected.into());
    body.insert("kind".to_owned(), (&*kind.kind).into());
    Ok(())
}

/// `null` is the absence of a value, unless the type says otherwise.
fn drop_nulls(schema: &Type, value: &mut Json) {
    let node = schema.node();
    match (&node.shape, value) {
        (Shape::Struct { fields, .. }, Json::Object(values)) => {
            values.retain(|name, value| {
                let field = fields.get(name.as_str());
                if let Some(field) = field
                    && !value.is_null()
                {
                    drop_nulls(&field.value, value);
                }
                !value.is_null() || field.is_some_and(|field| field.value.node().nullable)
            });
        }
        (Shape::Map { values: kind, .. }, Json::Object(values)) => {
            let node = kind.node();
            for value in values.values_mut() {
                if value.is_null() && matches!(node.shape, Shape::String) && !node.nullable {
                    // A map of Go's texts has the empty one.
                    *value = "".into();
                } else {
                    drop_nulls(kind, value);
                }
            }
        }
        (Shape::List { items, .. }, Json::Array(values)) => {
            for value in values {
                drop_nulls(items, value);
            }
        }
        _ => {}
    }
}

/// The API server's rules for an object.
///
/// # Errors
/// `Invalid`, with what is wrong.
pub(super) fn check(resource: &Resource, object: &Json, old: Option<&Json>) -> Result<(), Status> {
    let mut causes = validation::object(resource, object, old);
    if &*resource.plural == "customresourcedefinitions"
        && &*resource.kind.group == "apiextensions.k8s.io"
    {
        causes.extend(crd::validate(object, old));
    }
    if resource.custom {
        let more = crd::check(&resource.schema, object, old);
        causes.extend(more);
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(
        &resource.kind.group,
        &resource.kind.kind,
        super::document::object_name(object),
        causes,
    ))
}
