//! The proof that the modules are right: evaluated with what each environment gives them, they are its graph again.

use std::collections::BTreeSet;

use export::Files;
use graph::{Graph, Lifecycle};
use serde_json::{Value as Json, json};

use crate::evaluate::{self, Evaluated};
use crate::expected::{self, ordered};
use crate::platforms::cases;

#[test]
fn each_environment_is_its_graph_again() {
    let mut compared = 0;
    for case in cases() {
        let files = case.export();
        for graph in &case.graphs {
            compared += compare(&case.name, &files, graph, false);
        }
        compared += compare(&case.name, &files, &case.shared, true);
    }
    // So that nothing is compared by mistake.
    assert!(compared > 2500, "{compared}");
}

/// Compares a scope with its graph; how many resources there were.
pub(crate) fn compare(name: &str, files: &Files, graph: &Graph, shared: bool) -> usize {
    let environment = &graph.scope().environment;
    let mut evaluated = evaluate::scope(files, graph, shared);
    let modules = export::modules(graph);
    let mut compared = 0;
    for resource in graph.resources() {
        if matches!(resource.lifecycle, Lifecycle::Existing(_)) {
            continue;
        }
        let module = modules[&resource.address];
        let kind = evaluate::terraform_type(graph, resource);
        let label = evaluate::label(module, resource);
        let retained = format!("{label}_retained");
        let place = format!("{name}, {environment}: {}", resource.address);
        let at = evaluated
            .iter()
            .position(|each| {
                each.module == module.name()
                    && each.resource == kind
                    && (each.label == label || each.label == retained)
            })
            .unwrap_or_else(|| panic!("{place} is not there"));
        let found = evaluated.remove(at);
        let properties = expected::properties(graph, resource);
        let type_name = resource.type_name.as_str();
        let wanted = match expected::aws(type_name, &properties) {
            Some((_, wanted)) => wanted,
            None if kind == "aws_cloudformation_stack" => {
                json!({ "Type": type_name, "Properties": properties })
            }
            None => expected::awscc(type_name, &properties),
        };
        check_lifecycle(&place, &resource.lifecycle, &found);
        let actual = actual(type_name, &kind, &wanted, &found.body);
        assert_eq!(ordered(&actual), ordered(&wanted), "{place}");
        check_order(&place, graph, resource, &found, &modules);
        compared += 1;
    }
    let left: Vec<String> = evaluated
        .iter()
        .map(|each| format!("{}.{}", each.resource, each.label))
        .collect();
    assert!(left.is_empty(), "{name}, {environment}: too much: {left:?}");
    compared
}

/// The body in the form in which the expected one is: JSON texts read where the schema has objects.
fn actual(type_name: &str, kind: &str, wanted: &Json, body: &Json) -> Json {
    let retained = body["lifecycle"][0]["prevent_destroy"] == true;
    let mut body = body.clone();
    for key in ["$after", "$text", "lifecycle"] {
        body.as_object_mut().unwrap().remove(key);
    }
    if kind == "aws_cloudformation_stack" {
        let template: Json = serde_json::from_str(body["template_body"].as_str().unwrap()).unwrap();
        let mut resource = template["Resources"]["Resource"].clone();
        let declared = resource.as_object_mut().unwrap();
        let mut policy = |key: &str| declared.remove(key).unwrap_or_default();
        let policies = (policy("DeletionPolicy"), policy("UpdateReplacePolicy"));
        let expected = match (type_name, retained) {
            (_, true) => ("RetainExceptOnCreate", "Retain"),
            ("AWS::ElastiCache::ReplicationGroup", _) => ("Snapshot", "Snapshot"),
            _ => ("Delete", "Retain"),
        };
        assert_eq!(
            policies,
            (json!(expected.0), json!(expected.1)),
            "{type_name}: a replacement keeps the data"
        );
        assert_eq!(resource["Type"], type_name);
        return resource;
    }
    read_json(wanted, &mut body);
    body
}

fn read_json(wanted: &Json, actual: &mut Json) {
    match (wanted, &mut *actual) {
        (Json::Object(wanted), Json::String(text)) if wanted.contains_key("$json") => {
            let read: Json = serde_json::from_str(text).unwrap();
            *actual = json!({ "$json": expected::normal(&read) });
        }
        (Json::Object(wanted), Json::Object(actual)) => {
            for (key, wanted) in wanted {
                if let Some(actual) = actual.get_mut(key) {
                    read_json(wanted, actual);
                }
            }
        }
        (Json::Array(wanted), Json::Array(actual)) => {
            wanted
                .iter()
                .zip(actual)
                .for_each(|(wanted, actual)| read_json(wanted, actual));
        }
        _ => {}
    }
}

fn check_lifecycle(place: &str, lifecycle: &Lifecycle, found: &Evaluated) {
    let prevents = found.body["lifecycle"][0]["prevent_destroy"] == true;
    assert_eq!(prevents, *lifecycle == Lifecycle::Retain, "{place}");
}

/// What must be there before it is referred to, or named, or reached by what is.
fn check_order(
    place: &str,
    graph: &Graph,
    resource: &graph::Resource,
    found: &Evaluated,
    modules: &std::collections::BTreeMap<catalog::ids::Address, export::Module>,
) {
    let module = modules[&resource.address];
    let text = found.body["$text"].as_str().unwrap();
    for to in graph.needs(&resource.address) {
        let target = graph.get(to).unwrap();
        if modules[to] != module || matches!(target.lifecycle, Lifecycle::Existing(_)) {
            continue;
        }
        let name = format!(
            "{}.{}",
            evaluate::terraform_type(graph, target),
            evaluate::label(module, target)
        );
        assert!(text.contains(&name), "{place} does not wait for {name}");
    }
}

#[test]
fn the_same_graphs_give_the_same_files_and_only_wanted_folders() {
    for case in cases() {
        let all = case.export();
        assert_eq!(all, case.export(), "{}", case.name);
        let wanted = [case.graphs.last().unwrap().scope().environment.clone()];
        let some = case.export_only(&wanted).unwrap();
        let all: BTreeSet<_> = all
            .iter()
            .filter(|(_, file)| match &file.owner {
                export::Owner::All => true,
                export::Owner::Scope(scope) => wanted.contains(scope),
            })
            .map(|(path, file)| (path, file.text.as_str()))
            .collect();
        let some: BTreeSet<_> = some
            .iter()
            .map(|(path, file)| (path, file.text.as_str()))
            .collect();
        assert_eq!(all, some, "{}", case.name);
    }
}
