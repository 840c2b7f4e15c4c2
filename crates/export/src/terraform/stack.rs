//! A resource as a CloudFormation stack of its own: for what holds a secret, which must not come into Terraform's state,
//! and for what neither provider can manage.
//!
//! Neither `awscc_elasticache_replication_group` nor `aws_elasticache_replication_group` nor `aws_mq_broker` takes its
//! secret as a write-only argument (`aws` 6.25), so that the secret would be in the plan and in the state. CloudFormation
//! reads it itself, by a dynamic reference
//! (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-secretsmanager.html).

use catalog::TypeName;
use graph::{Attribute, Lifecycle};

use super::hcl::{Body, Expr};
use super::names::property_of;
use super::plan::{Kind, Resource};
use super::render::{Renderer, Words};
use super::schema::Shape;
use super::term::{Tags, Term};
use crate::cloudformation::policies;

/// The one resource's name in the template.
const RESOURCE: &str = "Resource";

/// Why it is one, above the block.
pub(super) fn comment(resource: &Resource) -> Vec<String> {
    if resource.secret {
        vec![
            "A stack, because neither provider keeps the secret out of the state: CloudFormation reads it by itself.".to_owned(),
            "After a new secret, change the resource in CloudFormation: Terraform sees no difference.".to_owned(),
        ]
    } else {
        vec![format!(
            "A stack, because neither provider manages {}.",
            resource.type_name
        )]
    }
}

/// The name of the stack's output that is an attribute: CloudFormation takes letters and digits.
pub(super) fn output(type_name: &TypeName, attribute: &Attribute) -> String {
    property_of(type_name, attribute).map_or_else(
        || "Identifier".to_owned(),
        |path| {
            path.segments()
                .iter()
                .map(|segment| segment.as_ref())
                .collect()
        },
    )
}

/// The stack's arguments.
pub(super) fn body(renderer: &Renderer<'_>, resource: &Resource) -> Body {
    let schema = catalog::schema(&resource.type_name);
    *renderer.words.borrow_mut() = Words::CloudFormation;
    let entries = resource
        .properties
        .iter()
        .map(|(name, item)| (vec![super::term::Part::Literal(name.clone())], item.clone()))
        .collect();
    let properties = match schema {
        Some(schema) => renderer.properties(&entries, schema, &resource.on),
        None => renderer.term(&Term::Object(entries), &Shape::Free, &resource.on),
    };
    *renderer.words.borrow_mut() = Words::Terraform;
    let mut declared = vec![("Type", Expr::text(resource.type_name.as_str()))];
    // As in a stack of the CloudFormation export: a replacement is not seen in Terraform's plan at all.
    let lifecycle = match resource.kind {
        Kind::Retained => Lifecycle::Retain,
        _ => Lifecycle::Managed,
    };
    if let Some(policies) = policies(&resource.type_name, &lifecycle) {
        declared.push(("DeletionPolicy", Expr::text(policies.deletion)));
        declared.push(("UpdateReplacePolicy", Expr::text(policies.replacement)));
    }
    declared.push(("Properties", properties));
    let mut template = vec![
        ("AWSTemplateFormatVersion", Expr::text("2010-09-09")),
        (
            "Resources",
            Expr::object([(RESOURCE, Expr::object(declared))]),
        ),
    ];
    let outputs: Vec<(String, Expr)> = renderer
        .wanted
        .get(&resource.address)
        .into_iter()
        .flatten()
        .map(|attribute| {
            (
                output(&resource.type_name, attribute),
                Expr::object([("Value", value(resource, attribute))]),
            )
        })
        .collect();
    if !outputs.is_empty() {
        template.push(("Outputs", Expr::object(outputs)));
    }
    let mut body = Body::default();
    let dashed = resource.label.replace('_', "-");
    let name = vec![
        super::term::Part::Name,
        super::term::Part::Literal(format!("-{dashed}")),
    ];
    body.argument("name", renderer.text(&name, &resource.on));
    body.argument(
        "template_body",
        Expr::Call("jsonencode", vec![Expr::object(template)]),
    );
    // The stack is the resource's owner: it says so as the resource does.
    let address = Term::Text(super::term::literal(resource.address.as_str()));
    let tags = Tags {
        list: false,
        tags: [(graph::owner_tags::ADDRESS.to_owned(), address.into())].into(),
    };
    body.argument("tags", renderer.tag_map(&tags, &resource.on));
    body
}

/// An attribute in the template: the identifier is what `Ref` gives.
fn value(resource: &Resource, attribute: &Attribute) -> Expr {
    let path = property_of(&resource.type_name, attribute);
    let identifier = property_of(&resource.type_name, &Attribute::Identifier);
    match path {
        Some(path) if identifier.as_ref() != Some(&path) => Expr::object([(
            "Fn::GetAtt",
            Expr::List(vec![Expr::text(RESOURCE), Expr::text(path.to_string())]),
        )]),
        _ => Expr::object([("Ref", Expr::text(RESOURCE))]),
    }
}
