//! What a path leads to.

use http::Method;
use percent_encoding::percent_decode_str;

/// What a request's path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/`: the list of paths.
    Root,
    Version,
    /// `/healthz`, `/livez`, `/readyz`, and their single checks.
    Health,
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/<group>`
    Group(String),
    /// `/api/v1`, `/apis/<group>/<version>`
    GroupVersion {
        group: String,
        version: String,
    },
    OpenApi2,
    OpenApi3,
    /// `/openapi/v3/api/v1`, `/openapi/v3/apis/<group>/<version>`
    OpenApi3Of {
        group: String,
        version: String,
    },
    /// `/.well-known/openid-configuration`
    IssuerConfiguration,
    /// `/openid/v1/jwks`
    IssuerKeys,
    Resource(ResourcePath),
    Unknown,
}

/// The path of a collection, an object or a subresource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ResourcePath {
    /// Empty for the core.
    pub group: String,
    pub version: String,
    /// Empty for objects of the whole cluster, and for a collection over all namespaces.
    pub namespace: String,
    /// The plural name.
    pub resource: String,
    /// Empty for a collection.
    pub name: String,
    /// Empty if none.
    pub subresource: String,
    /// What follows the subresource (`proxy/…`).
    pub rest: String,
    /// Whether it is one of the old watch paths (`/api/v1/watch/pods`).
    pub watch: bool,
}

impl Route {
    /// Reads a path (without its query). A trailing slash makes no difference, except that `//` names nothing.
    pub(crate) fn of(path: &str) -> Self {
        let Some(parts) = parts(path) else {
            return Self::Unknown;
        };
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [] => Self::Root,
            ["version"] => Self::Version,
            ["healthz" | "livez" | "readyz", ..] => Self::Health,
            ["openapi", "v2"] => Self::OpenApi2,
            ["openapi", "v3"] => Self::OpenApi3,
            ["openapi", "v3", "api", version] => Self::OpenApi3Of {
                group: String::new(),
                version: (*version).to_owned(),
            },
            ["openapi", "v3", "apis", group, version] => Self::OpenApi3Of {
                group: (*group).to_owned(),
                version: (*version).to_owned(),
            },
            [".well-known", "openid-configuration"] => Self::IssuerConfiguration,
            ["openid", "v1", "jwks"] => Self::IssuerKeys,
            ["api"] => Self::CoreVersions,
            ["api", version] => Self::GroupVersion {
                group: String::new(),
                version: (*version).to_owned(),
            },
            ["api", version, rest @ ..] => resource("", version, rest),
            ["apis"] => Self::Groups,
            ["apis", group] => Self::Group((*group).to_owned()),
            ["apis", group, version] => Self::GroupVersion {
                group: (*group).to_owned(),
                version: (*version).to_owned(),
            },
            ["apis", group, version, rest @ ..] => resource(group, version, rest),
            _ => Self::Unknown,
        }
    }
}

fn parts(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Some(Vec::new());
    }
    path.split('/')
        .map(|part| {
            let part = percent_decode_str(part).decode_utf8().ok()?;
            (!part.is_empty()).then(|| part.into_owned())
        })
        .collect()
}

fn resource(group: &str, version: &str, parts: &[&str]) -> Route {
    let (watch, parts) = match parts {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        parts => (false, parts),
    };
    let (namespace, parts) = match parts {
        // Namespaces are objects too, and have subresources of their own.
        ["namespaces", name, "status" | "finalize"] if group.is_empty() => {
            let path = ResourcePath {
                namespace: (*name).to_owned(),
                ..object(group, version, parts)
            };
            return Route::Resource(ResourcePath { watch, ..path });
        }
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        ["namespaces", name] if group.is_empty() => (*name, parts),
        parts => ("", parts),
    };
    if parts.is_empty() {
        return Route::Unknown;
    }
    Route::Resource(ResourcePath {
        namespace: namespace.to_owned(),
        watch,
        ..object(group, version, parts)
    })
}

fn object(group: &str, version: &str, parts: &[&str]) -> ResourcePath {
    let part = |index: usize| parts.get(index).copied().unwrap_or_default().to_owned();
    ResourcePath {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: part(0),
        name: part(1),
        subresource: part(2),
        rest: parts.get(3..).unwrap_or_default().join("/"),
        ..ResourcePath::default()
    }
}

/// What a request does to a resource, in the words of authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Does {
    /// `None` for methods that the API has no use for: collections are not replaced, and an object is made in its collection.
    pub(crate) fn of(method: &Method, path: &ResourcePath, watch: bool) -> Option<Self> {
        let whole = path.name.is_empty();
        let named = !whole && path.subresource.is_empty();
        Some(match *method {
            Method::GET | Method::HEAD if path.watch || watch && path.subresource.is_empty() => {
                Self::Watch
            }
            Method::GET | Method::HEAD if whole => Self::List,
            Method::GET | Method::HEAD => Self::Get,
            Method::POST if !named => Self::Create,
            Method::PUT if !whole => Self::Update,
            Method::PATCH if !whole => Self::Patch,
            Method::DELETE if whole => Self::DeleteCollection,
            Method::DELETE => Self::Delete,
            _ => return None,
        })
    }

    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ResourcePath {
        match Route::of(text) {
            Route::Resource(path) => path,
            other => panic!("{text} is {other:?}"),
        }
    }

    fn told(text: &str) -> String {
        let it = path(text);
        format!(
            "{} {} [{}] {} {} {} {}",
            it.group, it.version, it.namespace, it.resource, it.name, it.subresource, it.rest
        )
        .trim()
        .to_owned()
    }

    #[test]
    fn resources() {
        for (text, is) in [
            ("/api/v1/pods", "v1 [] pods"),
            ("/api/v1/namespaces", "v1 [] namespaces"),
            ("/api/v1/namespaces/a", "v1 [a] namespaces a"),
            ("/api/v1/namespaces/a/", "v1 [a] namespaces a"),
            (
                "/api/v1/namespaces/a/finalize",
                "v1 [a] namespaces a finalize",
            ),
            ("/api/v1/namespaces/a/status", "v1 [a] namespaces a status"),
            ("/api/v1/namespaces/a/pods", "v1 [a] pods"),
            ("/api/v1/namespaces/a/pods/p/log", "v1 [a] pods p log"),
            ("/api/v1/nodes/n/proxy/a/b", "v1 [] nodes n proxy a/b"),
            (
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                "apps v1 [a] deployments d scale",
            ),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "rbac.authorization.k8s.io v1 [] clusterroles system:node",
            ),
            ("/api/v1/watch/namespaces/a/pods", "v1 [a] pods"),
        ] {
            assert_eq!(told(text), is, "{text}");
        }
        assert!(path("/api/v1/watch/pods").watch);
    }

    #[test]
    fn other_paths() {
        for (text, is) in [
            ("/", Route::Root),
            ("/api", Route::CoreVersions),
            ("/apis/", Route::Groups),
            ("/livez/ping", Route::Health),
            ("/api//pods", Route::Unknown),
            ("/x", Route::Unknown),
            ("/apis/apps", Route::Group("apps".into())),
        ] {
            assert_eq!(Route::of(text), is, "{text}");
        }
    }
}
