//! Which files come out, what is at their top, and that they are always the same.

use export::{Owner, Scoped, Source};
use graph::GraphBuilder;

use crate::exports::{all, export, outside};
use crate::fixtures;

#[test]
fn each_wanted_environment_has_its_files_and_others_have_none() {
    let dev = fixtures::platform("dev", fixtures::nothing());
    let prod = fixtures::platform("prod", fixtures::everything());
    let shared = blueprint::shared(&prod).unwrap();
    let graphs = [&dev, &prod].map(outside);
    let environments = [
        Scoped {
            platform: &dev,
            graph: &graphs[0],
        },
        Scoped {
            platform: &prod,
            graph: &graphs[1],
        },
    ];
    let shared = Scoped {
        platform: &prod,
        graph: &shared,
    };
    let paths = |wanted: &[&str]| -> Vec<(String, Owner)> {
        let wanted: Vec<_> = wanted.iter().map(|name| name.parse().unwrap()).collect();
        let source = Source {
            environments: &environments,
            shared,
            wanted: &wanted,
        };
        let files = export::eksctl::export(&source).unwrap();
        files
            .iter()
            .map(|(path, file)| (path.to_owned(), file.owner.clone()))
            .collect()
    };
    let file = |path: &str| {
        let (environment, _) = path.split_once('/').unwrap();
        (path.to_owned(), Owner::Scope(environment.parse().unwrap()))
    };
    let of_prod = [file("prod/cluster.yaml"), file("prod/karpenter-nodes.yaml")];
    assert_eq!(paths(&["prod"]), of_prod);
    assert_eq!(
        paths(&["dev"]),
        [file("dev/cluster.yaml")],
        "it has no Karpenter"
    );
    assert_eq!(
        paths(&["prod", "shared"]),
        of_prod,
        "what is shared is skipped"
    );
    assert_eq!(paths(&["dev", "prod"]).len(), 3);
    assert_eq!(paths(&[]), []);
}

#[test]
fn the_same_graph_gives_the_same_files_in_whatever_order_it_was_built() {
    for (name, platform) in fixtures::all() {
        let graph = outside(&platform);
        let mut builder = GraphBuilder::new(graph.scope().clone());
        let mut resources: Vec<_> = graph.resources().cloned().collect();
        resources.reverse();
        for resource in resources {
            builder.add(resource);
        }
        let reversed = builder.build().unwrap();
        assert_eq!(
            export(&platform, &graph),
            export(&platform, &reversed),
            "{name}"
        );
    }
}

#[test]
fn placeholders_are_listed_and_nothing_else_is() {
    let known = ["<ACCOUNT_ID>", "<SECRETS_KEY_ARN>", "<KARPENTER_VERSION>"];
    for exported in all() {
        let nodes = exported.nodes.as_ref().map(|(text, _)| text);
        for text in [&exported.text].into_iter().chain(nodes) {
            let (comment, body) = text.split_once("\n\n").unwrap();
            for placeholder in known {
                assert_eq!(
                    comment.contains(&format!("#   {placeholder}: ")),
                    body.contains(placeholder),
                    "{}: {placeholder}",
                    exported.name
                );
            }
            let rest = known.iter().fold(body.to_owned(), |text, placeholder| {
                text.replace(placeholder, "")
            });
            assert!(
                !rest.contains('<'),
                "{}: another placeholder",
                exported.name
            );
            if exported.platform.spec.aws.account.is_some() {
                assert!(!body.contains("ACCOUNT_ID") && !body.contains("AWS::AccountId"));
                assert!(body.contains("999988887777"), "{}", exported.name);
            }
        }
    }
}

#[test]
fn a_kubernetes_that_no_known_karpenter_runs_on_leaves_the_version_to_the_reader() {
    let platform = fixtures::platform("prod", serde_json::json!({}));
    let graph = crate::exports::changed(&platform, |resource| {
        if resource.properties.contains_key("Version") {
            resource
                .properties
                .insert("Version".to_owned(), "1.99".into());
        }
    });
    let files = export(&platform, &graph).unwrap();
    let text = &files.get("prod/cluster.yaml").unwrap().text;
    assert!(text.contains("\n  version: <KARPENTER_VERSION>\n"));
    assert!(text.contains("#   <KARPENTER_VERSION>: "));
}

/// Small, to be read: a platform with as little as there can be. `exports`, `fields` and `faithful` look at the others.
#[test]
fn golden() {
    let (_, platform) = fixtures::all()
        .into_iter()
        .find(|(name, _)| name == "nothing, irsa")
        .unwrap();
    let graph = outside(&platform);
    let files = export(&platform, &graph).unwrap();
    let text = &files.get("prod/cluster.yaml").unwrap().text;
    let (_, without_version) = text.split_once('\n').unwrap();
    assert_eq!(without_version, include_str!("nothing.yaml"));
}
