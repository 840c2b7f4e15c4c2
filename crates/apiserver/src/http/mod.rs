//! The API over HTTP: what a path and a method mean, who may ask it, and how the answer looks.

mod body;
mod discovery;
mod list;
mod logs;
mod media;
mod openapi;
mod path;
mod query;
mod reply;
mod select;
mod show;
mod usage;
mod watch;
mod write;

use std::sync::Arc;

use apimachinery::rbac::{Attributes, Target};
use apimachinery::resource::Verb;
use apimachinery::status::Reason;
use apimachinery::{Resource, Status};
use axum::body::Body;
use bytes::Bytes;
use http::header::{AUTHORIZATION, ETAG, HOST, IF_NONE_MATCH, USER_AGENT, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value as Json, json};

use crate::auth::Impersonation;
use crate::ports::UserInfo;
use crate::registry::Call;
use crate::server::Inner;
use crate::store::Key;
use path::{Does, ResourcePath, Route};
use query::{ListOptions, Query};
use select::Selection;
use show::View;

pub(crate) use discovery::Discovery;
pub(crate) use openapi::OpenApi;
pub(crate) use watch::Frames;

/// A request about a resource, as far as it is understood, by somebody who may make it.
struct Asked {
    path: ResourcePath,
    does: Does,
    query: Query,
    headers: HeaderMap,
    user: UserInfo,
    resource: Arc<Resource>,
}

impl Asked {
    fn call(&self) -> Call<'_> {
        let agent = self.headers.get(USER_AGENT);
        let subresource = self.path.subresource.as_str();
        let namespace = if self.resource.namespaced {
            self.path.namespace.as_str()
        } else {
            // The namespace of a Namespace is itself, but for authorization alone.
            ""
        };
        Call {
            subresource: (!subresource.is_empty()).then_some(subresource),
            user_agent: agent.and_then(|it| it.to_str().ok()).unwrap_or_default(),
            ..Call::of(&self.resource, &self.user).named(namespace, &self.path.name)
        }
    }
}

/// Answers a request.
pub(crate) async fn answer(server: Arc<Inner>, request: Request<Body>) -> Response<Body> {
    let answered = route(&server, request).await;
    answered.unwrap_or_else(|status| reply::failure(&status))
}

/// The answer to a request whose answering broke off.
pub(crate) fn broken() -> Response<Body> {
    reply::failure(&internal())
}

async fn route(server: &Arc<Inner>, request: Request<Body>) -> Result<Response<Body>, Status> {
    let (head, body) = request.into_parts();
    let user = user(server, &head.headers)?;
    let query = Query::of(head.uri.query());
    match Route::of(head.uri.path()) {
        Route::Resource(path) => about_resource(server, head, path, query, user, body).await,
        other => about_server(server, &head, &other, &query, &user),
    }
}

fn user(server: &Inner, headers: &HeaderMap) -> Result<UserInfo, Status> {
    let authorization = headers.get(AUTHORIZATION);
    let authorization = authorization.map(|value| value.to_str().unwrap_or_default());
    let user = server.gate.authenticate(authorization)?;
    match impersonation(headers) {
        Some(wanted) => server.gate.impersonate(&user, wanted),
        None => Ok(user),
    }
}

/// Whom the request asks to be taken for.
fn impersonation(headers: &HeaderMap) -> Option<Impersonation> {
    let mut wanted = Impersonation::default();
    let mut any = false;
    for (name, value) in headers {
        let Some(what) = name.as_str().strip_prefix("impersonate-") else {
            continue;
        };
        let value = value.to_str().unwrap_or_default().to_owned();
        any = true;
        match what {
            "user" => wanted.user = value,
            "uid" => wanted.uid = value,
            "group" => wanted.groups.push(value),
            other => {
                if let Some(key) = other.strip_prefix("extra-") {
                    let key = percent_encoding::percent_decode_str(key);
                    let key = key.decode_utf8_lossy().into_owned();
                    wanted.extra.entry(key).or_default().push(value);
                }
            }
        }
    }
    any.then_some(wanted)
}

/// What is asked of the server itself: versions, health, discovery, OpenAPI.
fn about_server(
    server: &Inner,
    head: &Parts,
    route: &Route,
    query: &Query,
    user: &UserInfo,
) -> Result<Response<Body>, Status> {
    let path = head.uri.path();
    let verb = head.method.as_str().to_ascii_lowercase();
    let attributes = Attributes {
        verb: &verb,
        target: Target::Path(path),
    };
    server.gate.authorize(user, &attributes)?;
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Err(no_such_method());
    }
    let headers = &head.headers;
    let plain = |json: &Json| -> Result<Response<Body>, Status> {
        let syntax = media::plain(headers)?;
        Ok(reply::document(
            StatusCode::OK,
            syntax,
            json.to_string().into(),
        ))
    };
    let catalogue = server.registry.resources();
    match route {
        Route::Root => {
            let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
            for (group, versions) in catalogue.groups().iter().filter(|(it, _)| !it.is_empty()) {
                paths.push(format!("/apis/{group}"));
                paths.extend(versions.iter().map(|it| format!("/apis/{group}/{it}")));
            }
            let others = [
                "/healthz",
                "/livez",
                "/readyz",
                "/openapi/v2",
                "/openapi/v3",
            ];
            paths.extend(others.map(str::to_owned));
            paths.push("/version".to_owned());
            plain(&json!({"paths": paths}))
        }
        Route::Version => plain(&server.version_document()),
        Route::Health => Ok(reply::of(StatusCode::OK, reply::TEXT, "ok")),
        Route::CoreVersions | Route::Groups => {
            let core = *route == Route::CoreVersions;
            match media::of_discovery(headers)? {
                Some(version) => {
                    let all = server.discovery.aggregated(&catalogue, core, version);
                    let unchanged = headers.get(IF_NONE_MATCH) == Some(&all.etag);
                    let (code, body) = if unchanged {
                        (StatusCode::NOT_MODIFIED, Bytes::new())
                    } else {
                        (StatusCode::OK, all.bytes)
                    };
                    let mut response = reply::of(code, discovery::aggregated_type(version), body);
                    response.headers_mut().insert(ETAG, all.etag);
                    let vary = HeaderValue::from_static("Accept");
                    response.headers_mut().insert(VARY, vary);
                    Ok(response)
                }
                None if core => {
                    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
                    let host = host.unwrap_or_default();
                    plain(&discovery::core_versions(&catalogue, host))
                }
                None => plain(&discovery::groups(&catalogue)),
            }
        }
        Route::Group(group) => {
            plain(&discovery::group(&catalogue, group).ok_or_else(no_such_path)?)
        }
        Route::GroupVersion { group, version } => {
            plain(&discovery::resources(&catalogue, group, version).ok_or_else(no_such_path)?)
        }
        Route::OpenApi2 => {
            // Clients take an empty document for a server that has no types to tell of, and go on without.
            // They ask with an `@` in the name, and cannot read it in an answer.
            let media = HeaderValue::from_static(
                "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
            );
            Ok(reply::of(StatusCode::OK, media, Body::empty()))
        }
        Route::OpenApi3 => {
            let index = server.openapi.index(&catalogue);
            Ok(reply::of(StatusCode::OK, reply::JSON, index))
        }
        Route::OpenApi3Of { group, version } => {
            let hashed = query.get("hash").is_some();
            let found = server
                .openapi
                .answer(&catalogue, group, version, headers, hashed);
            found.ok_or_else(no_such_path)
        }
        Route::IssuerConfiguration => plain(&server.gate.openid_configuration()),
        Route::IssuerKeys => {
            let keys = server.gate.json_web_keys().to_string();
            let media = HeaderValue::from_static("application/jwk-set+json");
            Ok(reply::of(StatusCode::OK, media, keys))
        }
        Route::Resource(_) | Route::Unknown => Err(no_such_path()),
    }
}

async fn about_resource(
    server: &Arc<Inner>,
    head: Parts,
    path: ResourcePath,
    query: Query,
    user: UserInfo,
    body: Body,
) -> Result<Response<Body>, Status> {
    let does = Does::of(&head.method, &path, query.flag("watch")).ok_or_else(no_such_method)?;
    let attributes = Attributes {
        verb: does.verb(),
        target: Target::Resource {
            group: &path.group,
            resource: &path.resource,
            subresource: &path.subresource,
            name: &path.name,
            namespace: &path.namespace,
        },
    };
    server.gate.authorize(&user, &attributes)?;
    let catalogue = server.registry.resources();
    let found = catalogue.find(&path.group, &path.version, &path.resource);
    let resource = found.cloned().ok_or_else(no_such_path)?;
    let in_namespace = !path.namespace.is_empty();
    // Lists and watches of all namespaces are the only requests about namespaced objects without a namespace.
    let everywhere = path.name.is_empty() && matches!(does, Does::List | Does::Watch);
    let is_namespace = &*resource.plural == "namespaces" && resource.kind.group.is_empty();
    if resource.namespaced && !in_namespace && !everywhere
        || !resource.namespaced && in_namespace && !is_namespace
    {
        return Err(no_such_path());
    }
    let asked = Asked {
        path,
        does,
        query,
        headers: head.headers,
        user,
        resource,
    };
    if !asked.path.subresource.is_empty() {
        return about_subresource(server, &asked, body).await;
    }
    if !asked.resource.verbs.contains(&verb(does)) {
        return Err(no_such_method());
    }
    match does {
        Does::Get => get(server, &asked),
        Does::List => list(server, asked).await,
        Does::Watch => watch(server, &asked),
        _ => write::answer(server, &asked, body).await,
    }
}

fn verb(does: Does) -> Verb {
    match does {
        Does::Get => Verb::Get,
        Does::List => Verb::List,
        Does::Watch => Verb::Watch,
        Does::Create => Verb::Create,
        Does::Update => Verb::Update,
        Does::Patch => Verb::Patch,
        Does::Delete => Verb::Delete,
        Does::DeleteCollection => Verb::DeleteCollection,
    }
}

async fn about_subresource(
    server: &Arc<Inner>,
    asked: &Asked,
    body: Body,
) -> Result<Response<Body>, Status> {
    let path = &asked.path;
    let subresource = asked.resource.subresource(&path.subresource);
    let core = asked.resource.kind.group.is_empty();
    if core && &*path.subresource == "ephemeralcontainers" {
        return Err(write::simulated("debug"));
    }
    let subresource = subresource.ok_or_else(no_such_path)?;
    match &*path.subresource {
        "log" if core && asked.does == Does::Get => {
            let key = Key::new(
                &asked.resource.group_resource(),
                &path.namespace,
                &path.name,
            );
            return logs::answer(server, key, &asked.query);
        }
        what @ ("exec" | "attach" | "portforward" | "proxy") if core => {
            // Whoever names what is not there should learn that first.
            let call = Call {
                subresource: None,
                ..asked.call()
            };
            server.registry.get(&call)?;
            return Err(write::simulated(what));
        }
        _ => {}
    }
    if !subresource.verbs.contains(&verb(asked.does)) {
        return Err(no_such_method());
    }
    match asked.does {
        Does::Get => get(server, asked),
        Does::List | Does::Watch => Err(no_such_method()),
        _ => write::answer(server, asked, body).await,
    }
}

fn get(server: &Inner, asked: &Asked) -> Result<Response<Body>, Status> {
    let view = View::of(&asked.headers, &asked.query)?;
    let call = asked.call();
    let shown = if &*asked.resource.kind.group == usage::GROUP {
        usage::get(server, &asked.resource, call.namespace, call.name, view)?
    } else {
        let whole = server.registry.get(&call)?;
        view.object(&asked.resource, &whole, server.clock.now())
    };
    Ok(reply::document(StatusCode::OK, view.syntax, shown))
}

async fn list(server: &Arc<Inner>, asked: Asked) -> Result<Response<Body>, Status> {
    let view = View::of(&asked.headers, &asked.query)?;
    let options = ListOptions::read(&asked.query, false)?;
    let server = server.clone();
    // A large list, and a table even of a small one, takes its time: others should not wait for it.
    let listed = tokio::task::spawn_blocking(move || {
        let call = asked.call();
        let resource = &asked.resource;
        if &*resource.kind.group == usage::GROUP {
            let namespace = (!call.namespace.is_empty()).then_some(call.namespace);
            return usage::list(&server, resource, namespace, &options, view);
        }
        let selection = Selection::of(&options.labels, &options.fields, resource)?;
        let page = list::Page::read(&server.registry, &call, &options, &selection)?;
        let present = |stored| server.registry.present(resource, stored);
        let items: Vec<Bytes> = page.items.iter().map(|one| present(one)).collect();
        Ok(view.list(resource, &items, &page.meta(), server.clock.now()))
    });
    let listed = listed.await.unwrap_or_else(|_| Err(internal()))?;
    Ok(reply::document(StatusCode::OK, view.syntax, listed))
}

fn watch(server: &Arc<Inner>, asked: &Asked) -> Result<Response<Body>, Status> {
    let view = View::of(&asked.headers, &asked.query)?;
    if view.syntax != media::Syntax::Json {
        return Err(Status::new(
            Reason::NotAcceptable,
            "only the following media types are accepted: application/json;stream=watch",
        ));
    }
    let options = ListOptions::read(&asked.query, true)?;
    let mut selection = Selection::of(&options.labels, &options.fields, &asked.resource)?;
    if !asked.path.name.is_empty() {
        selection.and_name(&asked.path.name);
    }
    let namespace = asked.call().namespace;
    let watch = watch::Watch {
        server: server.clone(),
        resource: asked.resource.clone(),
        namespace: (!namespace.is_empty()).then(|| namespace.into()),
        selection,
        view,
    };
    Ok(watch.begin(&options))
}

/// That nothing is served at a path.
fn no_such_path() -> Status {
    let mut status = Status::new(
        Reason::NotFound,
        "the server could not find the requested resource",
    );
    status.details = Some(Box::default());
    status
}

fn no_such_method() -> Status {
    let mut status = Status::new(
        Reason::MethodNotAllowed,
        "the server does not allow this method on the requested resource",
    );
    status.details = Some(Box::default());
    status
}

fn internal() -> Status {
    Status::new(
        Reason::InternalError,
        "Internal error occurred: the request could not be answered, see the server's log",
    )
}
