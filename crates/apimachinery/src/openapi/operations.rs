//! Paths with their operations.

use serde_json::{Map, Value as Json, json};

use super::schemas::Schemas;
use crate::resource::{GroupVersionKind, Resource, Subresource, Verb};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const APPLY: &str = "application/apply-patch+yaml";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";

/// Adds all paths of a resource.
pub(super) fn add(
    prefix: &str,
    resource: &Resource,
    paths: &mut Map<String, Json>,
    schemas: &mut Schemas,
) {
    let own = schemas.of_resource(resource);
    let maker = Maker {
        resource,
        schema: own,
        list: schemas.list_of(resource),
    };
    let plural = &resource.plural;
    let collection = if resource.namespaced {
        format!("{prefix}/namespaces/{{namespace}}/{plural}")
    } else {
        format!("{prefix}/{plural}")
    };
    let mut put = |path: String, mut item: Map<String, Json>, named: bool| {
        if !item.is_empty() {
            item.insert("parameters".into(), path_parameters(&path, named));
            paths.insert(path, item.into());
        }
    };
    put(collection.clone(), maker.collection(), false);
    if resource.namespaced && resource.verbs.contains(&Verb::List) {
        let item = Map::from_iter([("get".to_owned(), maker.list(true))]);
        put(format!("{prefix}/{plural}"), item, false);
    }
    put(format!("{collection}/{{name}}"), maker.object(), true);
    for sub in &resource.subresources {
        let body = schemas.of_kind(&sub.kind, resource);
        put(
            format!("{collection}/{{name}}/{}", sub.name),
            maker.subresource(sub, body),
            true,
        );
    }
}

/// Parameters of the whole path.
fn path_parameters(path: &str, named: bool) -> Json {
    let one = |name: &str, description: &str| {
        json!({
            "name": name, "in": "path", "required": true, "description": description,
            "schema": {"type": "string", "uniqueItems": true},
        })
    };
    let mut all = Vec::new();
    if named {
        all.push(one("name", "the object's name"));
    }
    if path.contains("{namespace}") {
        all.push(one("namespace", "the object's namespace"));
    }
    all.push(query("pretty", "string", "true: the answer is indented"));
    all.into()
}

fn query(name: &str, kind: &str, description: &str) -> Json {
    json!({
        "name": name, "in": "query", "description": description, "schema": {"type": kind, "uniqueItems": true},
    })
}

/// What all requests that change something have.
fn change_parameters() -> Vec<Json> {
    vec![
        query("dryRun", "string", "All: everything is done but stored"),
        query(
            "fieldManager",
            "string",
            "who changes the fields; by default the beginning of the user agent",
        ),
        query(
            "fieldValidation",
            "string",
            "what to do about unknown fields and fields that stand twice: Ignore, Warn (the default) or Strict",
        ),
    ]
}

fn delete_parameters() -> Vec<Json> {
    vec![
        query("dryRun", "string", "All: everything is done but stored"),
        query(
            "gracePeriodSeconds",
            "integer",
            "seconds before the object goes; 0: at once",
        ),
        query(
            "propagationPolicy",
            "string",
            "what becomes of its dependents: Orphan, Background or Foreground",
        ),
    ]
}

fn list_parameters() -> Vec<Json> {
    vec![
        query(
            "allowWatchBookmarks",
            "boolean",
            "a watch may send bookmarks",
        ),
        query(
            "continue",
            "string",
            "where the last part of the list ended",
        ),
        query("fieldSelector", "string", "only objects with these fields"),
        query("labelSelector", "string", "only objects with these labels"),
        query("limit", "integer", "at most so many objects"),
        query(
            "resourceVersion",
            "string",
            "what the answer may be as old as",
        ),
        query(
            "resourceVersionMatch",
            "string",
            "how resourceVersion is meant: NotOlderThan or Exact",
        ),
        query(
            "sendInitialEvents",
            "boolean",
            "a watch begins with the objects that there are",
        ),
        query(
            "timeoutSeconds",
            "integer",
            "how long a list or watch may take",
        ),
        query(
            "watch",
            "boolean",
            "changes as they happen instead of a list",
        ),
    ]
}

/// Makes operations of one resource.
struct Maker<'a> {
    resource: &'a Resource,
    /// References to its schema and that of its list.
    schema: Json,
    list: Json,
}

impl Maker<'_> {
    fn collection(&self) -> Map<String, Json> {
        let mut item = Map::new();
        for verb in &self.resource.verbs {
            match verb {
                Verb::List => {
                    item.insert("get".into(), self.list(false));
                }
                Verb::Create => {
                    let mut post =
                        self.operation("create", "post", "", change_parameters(), &self.schema);
                    post["requestBody"] = self.body(&self.schema);
                    item.insert("post".into(), post);
                }
                Verb::DeleteCollection => {
                    let mut parameters = list_parameters();
                    parameters.extend(delete_parameters());
                    let status = Schemas::status();
                    let mut delete = self.operation(
                        "deleteCollection",
                        "deletecollection",
                        "",
                        parameters,
                        &status,
                    );
                    delete["requestBody"] = self.body(&Schemas::delete_options());
                    item.insert("delete".into(), delete);
                }
                _ => {}
            }
        }
        item
    }

    fn list(&self, everywhere: bool) -> Json {
        let id = if everywhere {
            "listForAllNamespaces"
        } else {
            "list"
        };
        self.operation(id, "list", "", list_parameters(), &self.list)
    }

    fn object(&self) -> Map<String, Json> {
        let mut item = Map::new();
        for verb in &self.resource.verbs {
            match verb {
                Verb::Delete => {
                    let status = Schemas::status();
                    let mut delete =
                        self.operation("delete", "delete", "", delete_parameters(), &status);
                    delete["requestBody"] = self.body(&Schemas::delete_options());
                    item.insert("delete".into(), delete);
                }
                verb => self.on_object(*verb, "", &self.resource.kind, &self.schema, &mut item),
            }
        }
        item
    }

    /// Reads, replacements and patches of an object or of a subresource.
    fn on_object(
        &self,
        verb: Verb,
        sub: &str,
        kind: &GroupVersionKind,
        schema: &Json,
        item: &mut Map<String, Json>,
    ) {
        let (method, mut operation) = match verb {
            Verb::Get => ("get", self.operation("read", "get", sub, vec![], schema)),
            Verb::Update => {
                let mut put = self.operation("replace", "put", sub, change_parameters(), schema);
                put["requestBody"] = self.body(schema);
                ("put", put)
            }
            Verb::Patch => {
                let mut parameters = change_parameters();
                parameters.push(query(
                    "force",
                    "boolean",
                    "apply: take over fields that others manage",
                ));
                let mut patch = self.operation("patch", "patch", sub, parameters, schema);
                patch["requestBody"] = self.patch_body();
                ("patch", patch)
            }
            _ => return,
        };
        operation["x-kubernetes-group-version-kind"] = gvk(kind);
        item.insert(method.into(), operation);
    }

    fn subresource(&self, sub: &Subresource, schema: Option<Json>) -> Map<String, Json> {
        let mut item = Map::new();
        let object = schema.is_some();
        let schema = schema.unwrap_or_else(|| json!({"type": "string"}));
        for verb in &sub.verbs {
            match verb {
                Verb::Create if object => {
                    let mut post =
                        self.operation("create", "post", &sub.name, change_parameters(), &schema);
                    post["requestBody"] = self.body(&schema);
                    post["x-kubernetes-group-version-kind"] = gvk(&sub.kind);
                    item.insert("post".into(), post);
                }
                verb if object => self.on_object(*verb, &sub.name, &sub.kind, &schema, &mut item),
                // exec, attach, portforward, proxy: streams.
                Verb::Get | Verb::Create => {
                    let (method, id) = match verb {
                        Verb::Get => ("get", "connectGet"),
                        _ => ("post", "connectPost"),
                    };
                    let mut connect = self.operation(id, "connect", &sub.name, vec![], &schema);
                    connect["x-kubernetes-group-version-kind"] = gvk(&sub.kind);
                    item.insert(method.into(), connect);
                }
                _ => {}
            }
        }
        item
    }

    fn operation(
        &self,
        verb: &str,
        action: &str,
        sub: &str,
        parameters: Vec<Json>,
        answer: &Json,
    ) -> Json {
        let mut operation = json!({
            "operationId": self.id(verb, sub),
            "tags": [tag(&self.resource.kind)],
            "responses": {
                "200": {"description": "OK", "content": {JSON: {"schema": answer}, YAML: {"schema": answer}}},
                "401": {"description": "Unauthorized"},
            },
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk(&self.resource.kind),
        });
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        operation
    }

    /// `patchAppsV1NamespacedDeploymentStatus`
    fn id(&self, verb: &str, sub: &str) -> String {
        let GroupVersionKind {
            group,
            version,
            kind,
        } = &self.resource.kind;
        let group = if group.is_empty() {
            "Core".to_owned()
        } else {
            let own = group.strip_suffix(".k8s.io").unwrap_or(group);
            own.split(['.', '-']).map(capital).collect()
        };
        let scope = if self.resource.namespaced {
            "Namespaced"
        } else {
            ""
        };
        let (version, sub) = (capital(version), capital(sub));
        match verb {
            "listForAllNamespaces" => format!("list{group}{version}{kind}ForAllNamespaces"),
            "deleteCollection" => format!("delete{group}{version}Collection{scope}{kind}"),
            verb => format!("{verb}{group}{version}{scope}{kind}{sub}"),
        }
    }

    /// A whole object in a request.
    fn body(&self, schema: &Json) -> Json {
        let mut content = Map::new();
        content.insert(JSON.into(), json!({"schema": schema}));
        content.insert(YAML.into(), json!({"schema": schema}));
        if !self.resource.custom {
            content.insert(PROTOBUF.into(), json!({"schema": schema}));
        }
        json!({"required": true, "content": content})
    }

    fn patch_body(&self) -> Json {
        let schema = json!({"schema": Schemas::patch()});
        let mut content = Map::new();
        for media_type in [APPLY, JSON_PATCH, MERGE_PATCH] {
            content.insert(media_type.into(), schema.clone());
        }
        if !self.resource.custom {
            content.insert(STRATEGIC_PATCH.into(), schema);
        }
        json!({"required": true, "content": content})
    }
}

fn gvk(kind: &GroupVersionKind) -> Json {
    json!({"group": *kind.group, "version": *kind.version, "kind": *kind.kind})
}

/// `apps_v1`
fn tag(kind: &GroupVersionKind) -> String {
    let group = kind.group.strip_suffix(".k8s.io").unwrap_or(&kind.group);
    let group = if group.is_empty() { "core" } else { group };
    format!("{}_{}", group.replace(['.', '-'], ""), kind.version)
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(letters)
        .collect()
}
