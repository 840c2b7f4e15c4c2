//! Requests that change something.

use std::sync::Arc;

use apimachinery::Status;
use apimachinery::selector::{FieldSelector, LabelSelector};
use apimachinery::status::{Cause, Reason};
use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value as Json, json};

use super::Asked;
use super::body::{self, Read};
use super::media::BodyType;
use super::path::Does;
use super::reply;
use super::select::Selection;
use super::show::View;
use crate::registry::{Call, DeleteOptions, Deleted, FieldValidation, Patch, Written};
use crate::server::Inner;

/// The longest name of a field manager.
const LONGEST_MANAGER: usize = 128;
const RBAC: &str = "rbac.authorization.k8s.io";

/// Answers a request that writes.
///
/// # Errors
/// As the registry has them, and 400, 413, 415 and 422 for what cannot be understood.
pub(crate) async fn answer(
    server: &Arc<Inner>,
    asked: &Asked,
    sent: Body,
) -> Result<Response<Body>, Status> {
    let view = View::of(&asked.headers, &asked.query)?;
    let bytes = body::collect(sent).await?;
    match asked.does {
        Does::Create | Does::Update => store(server, asked, view, &bytes).await,
        Does::Patch => patch(server, asked, view, &bytes).await,
        Does::Delete => delete(server, asked, view, &bytes).await,
        Does::DeleteCollection => delete_collection(server, asked, view, &bytes).await,
        Does::Get | Does::List | Does::Watch => Err(super::no_such_method()),
    }
}

async fn store(
    server: &Arc<Inner>,
    asked: &Asked,
    view: View,
    bytes: &Bytes,
) -> Result<Response<Body>, Status> {
    let Read { json, notes } = object(asked, bytes)?;
    let resource = &asked.resource;
    if asked.does == Does::Create
        && matches!(
            &*resource.kind.group,
            "authentication.k8s.io" | "authorization.k8s.io"
        )
    {
        let namespace = &asked.path.namespace;
        let review = server
            .gate
            .review(&asked.user, &resource.plural, namespace, json)?;
        return Ok(reply::document(
            StatusCode::CREATED,
            view.syntax,
            review.to_string().into(),
        ));
    }
    let call = Call {
        decoding: &notes,
        ..call(asked)?
    };
    if is_token_request(asked) {
        let (namespace, name) = (&asked.path.namespace, &asked.path.name);
        let issued = server.gate.issue(namespace, name, json)?;
        return Ok(reply::document(
            StatusCode::CREATED,
            view.syntax,
            issued.to_string().into(),
        ));
    }
    let written = if asked.does == Does::Create {
        may_grant(server, asked, &json, None)?;
        server.registry.create(&call, json).await?
    } else {
        let before = before(server, &call);
        may_grant(server, asked, &json, before.as_ref())?;
        server.registry.update(&call, json).await?
    };
    Ok(show(server, asked, view, &written))
}

fn is_token_request(asked: &Asked) -> bool {
    asked.does == Does::Create
        && asked.resource.kind.group.is_empty()
        && &*asked.resource.plural == "serviceaccounts"
        && asked.path.subresource == "token"
}

/// The object that a request's body is.
fn object(asked: &Asked, bytes: &Bytes) -> Result<Read, Status> {
    let media = BodyType::of(&asked.headers)?;
    let custom = asked.resource.custom;
    if media.is_patch() || (custom && media == BodyType::Protobuf) {
        let taken = if custom {
            &BodyType::OBJECTS[..2]
        } else {
            BodyType::OBJECTS
        };
        return Err(BodyType::unsupported(media.name(), taken));
    }
    let read = body::read(bytes, media)?;
    if !read.json.is_object() {
        return Err(Status::bad_request(
            "the body of the request is not an object",
        ));
    }
    Ok(read)
}

async fn patch(
    server: &Arc<Inner>,
    asked: &Asked,
    view: View,
    bytes: &Bytes,
) -> Result<Response<Body>, Status> {
    let media = BodyType::of(&asked.headers)?;
    if !media.is_patch() || (asked.resource.custom && media == BodyType::StrategicMergePatch) {
        let mut taken = vec![
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/apply-patch+yaml",
        ];
        if !asked.resource.custom {
            taken.insert(2, "application/strategic-merge-patch+json");
        }
        return Err(BodyType::unsupported(media.name(), &taken));
    }
    let Read { json, notes } = body::read(bytes, media)?;
    let call = Call {
        decoding: &notes,
        ..call(asked)?
    };
    let force = asked.query.choice("force");
    if media == BodyType::ApplyPatch {
        if asked.query.get("fieldManager").is_none() {
            let why = "Required value: is required for apply patch";
            return Err(invalid_option("fieldManager", "FieldValueRequired", why));
        }
        says_what_it_is(&json)?;
    } else if force.is_some() {
        let why = "Forbidden: may not be specified for non-apply patch";
        return Err(invalid_option("force", "FieldValueForbidden", why));
    }
    let patch = match media {
        BodyType::JsonPatch => Patch::Json(json),
        BodyType::MergePatch => Patch::Merge(json),
        BodyType::StrategicMergePatch => Patch::Strategic(json),
        _ => Patch::Apply {
            object: json,
            force: force.unwrap_or(false),
        },
    };
    if &*asked.resource.kind.group == RBAC {
        // What the patch makes of the object is known only when it is applied.
        let tried = Call {
            dry_run: true,
            ..call
        };
        let tried = server.registry.patch(&tried, &patch).await?;
        may_grant(server, asked, &tried.json(), before(server, &call).as_ref())?;
    }
    let written = server.registry.patch(&call, &patch).await?;
    Ok(show(server, asked, view, &written))
}

/// What is applied names its version and kind: nothing else tells what its fields mean.
fn says_what_it_is(applied: &Json) -> Result<(), Status> {
    for field in ["apiVersion", "kind"] {
        if applied[field].as_str().is_none_or(str::is_empty) {
            return Err(Status::bad_request(format!(
                "an apply patch must be a whole object: {field} is missing"
            )));
        }
    }
    Ok(())
}

/// The stored object that a write replaces, where somebody has to know it beforehand.
fn before(server: &Inner, call: &Call<'_>) -> Option<Json> {
    if &*call.resource.kind.group != RBAC {
        return None;
    }
    let stored = server.registry.get(call).ok()?;
    serde_json::from_slice(&stored).ok()
}

/// Refuses to give away more than the giver has.
fn may_grant(
    server: &Inner,
    asked: &Asked,
    object: &Json,
    before: Option<&Json>,
) -> Result<(), Status> {
    if &*asked.resource.kind.group != RBAC {
        return Ok(());
    }
    let mut object = object.clone();
    // The path says where it is, whatever the body says or leaves out.
    if asked.resource.namespaced {
        object["metadata"]["namespace"] = json!(asked.path.namespace);
    }
    object["kind"] = json!(asked.resource.kind.kind);
    server.gate.may_grant(&asked.user, &object, before)
}

/// The options of a deletion may ask for a dry run in its body, too.
fn call_to_delete<'a>(asked: &'a Asked, options: &DeleteOptions) -> Result<Call<'a>, Status> {
    let call = call(asked)?;
    Ok(Call {
        dry_run: call.dry_run || options.dry_run,
        ..call
    })
}

async fn delete(
    server: &Arc<Inner>,
    asked: &Asked,
    view: View,
    bytes: &Bytes,
) -> Result<Response<Body>, Status> {
    let options = delete_options(asked, bytes)?;
    let call = call_to_delete(asked, &options)?;
    let deleted = server.registry.delete(&call, &options).await?;
    let answer = deleted.answer(&server.registry, &call);
    let answer = view.object(&asked.resource, &answer, server.clock.now());
    let mut response = reply::document(StatusCode::OK, view.syntax, answer);
    reply::warn(&mut response, &deleted.warnings);
    Ok(response)
}

async fn delete_collection(
    server: &Arc<Inner>,
    asked: &Asked,
    view: View,
    bytes: &Bytes,
) -> Result<Response<Body>, Status> {
    let options = delete_options(asked, bytes)?;
    let selector = |name| asked.query.get(name).unwrap_or_default();
    let labels = LabelSelector::parse(selector("labelSelector"))?;
    let fields = FieldSelector::parse(selector("fieldSelector"))?;
    let selection = Selection::of(&labels, &fields, &asked.resource)?;
    let call = call_to_delete(asked, &options)?;
    let wanted = |stored: &crate::store::Stored| selection.means(stored);
    let deleted = server
        .registry
        .delete_collection(&call, &options, &wanted)
        .await?;
    let present = |one: &Deleted| server.registry.present(&asked.resource, &one.object);
    let items: Vec<Bytes> = deleted.iter().map(present).collect();
    let revision = server.registry.store().revision();
    let meta = json!({"resourceVersion": revision.to_string()});
    let list = view.list(&asked.resource, &items, &meta, server.clock.now());
    Ok(reply::document(StatusCode::OK, view.syntax, list))
}

/// From the body, or else from the query.
fn delete_options(asked: &Asked, bytes: &Bytes) -> Result<DeleteOptions, Status> {
    let query = &asked.query;
    if !bytes.trim_ascii().is_empty() {
        let media = BodyType::of(&asked.headers)?;
        if media.is_patch() {
            return Err(BodyType::unsupported(media.name(), BodyType::OBJECTS));
        }
        let options = body::read(bytes, media)?.json;
        return DeleteOptions::parse(&options);
    }
    let mut options = json!({});
    if let Some(seconds) = query.number("gracePeriodSeconds")? {
        options["gracePeriodSeconds"] = json!(seconds);
    }
    if let Some(policy) = query.get("propagationPolicy") {
        options["propagationPolicy"] = json!(policy);
    }
    if let Some(orphan) = query.choice("orphanDependents") {
        options["orphanDependents"] = json!(orphan);
    }
    DeleteOptions::parse(&options)
}

fn call(asked: &Asked) -> Result<Call<'_>, Status> {
    let manager = asked.query.get("fieldManager");
    if let Some(manager) = manager {
        if manager.len() > LONGEST_MANAGER {
            let why = format!("Too long: may not be more than {LONGEST_MANAGER} bytes");
            return Err(invalid_option("fieldManager", "FieldValueTooLong", &why));
        }
        if manager.chars().any(char::is_control) {
            let why =
                format!("Invalid value: {manager:?}: should only contain printable characters");
            return Err(invalid_option("fieldManager", "FieldValueInvalid", &why));
        }
    }
    let validation = asked.query.get("fieldValidation").unwrap_or_default();
    Ok(Call {
        dry_run: asked.query.dry_run()?,
        field_manager: manager,
        field_validation: FieldValidation::parse(validation)?,
        ..asked.call()
    })
}

fn invalid_option(field: &str, reason: &str, message: &str) -> Status {
    let cause = Cause {
        reason: reason.to_owned(),
        message: message.to_owned(),
        field: field.to_owned(),
    };
    Status::invalid("meta.k8s.io", "PatchOptions", "", vec![cause])
}

fn show(server: &Inner, asked: &Asked, view: View, written: &Written) -> Response<Body> {
    let code = if written.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let shown = view.object(&asked.resource, &written.object, server.clock.now());
    let mut response = reply::document(code, view.syntax, shown);
    reply::warn(&mut response, &written.warnings);
    response
}

/// Why nothing can be run in, attached to or forwarded from a pod.
pub(crate) fn simulated(what: &str) -> Status {
    let why = match what {
        "exec" => "there is no process to run a command beside",
        "attach" => "there is no process to attach to",
        "debug" => "no container can be put beside theirs",
        "portforward" => "nothing listens on their ports",
        _ => "there is nothing behind them that could answer",
    };
    Status::new(
        Reason::BadRequest,
        format!("{what} is not possible: the pods and nodes of this cluster are simulated, {why}"),
    )
}
