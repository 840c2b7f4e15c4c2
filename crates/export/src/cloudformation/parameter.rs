//! What a stack is given: by another stack, or by whoever deploys.

use catalog::PropertyPath;
use graph::Resource;

use super::names;
use super::plan::{self, Attribute};
use super::yaml::Node;
use crate::Module;

/// The deployer's parameter.
const DEPLOYER: &str = "DeployerArn";

/// A parameter, and where the root template takes its value from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    pub(super) name: String,
    kind: &'static str,
    description: String,
    /// The values or the form that it may have.
    constraints: Vec<(&'static str, Node)>,
    pub(super) from: From,
    /// Of which resource it tells what; nothing when it is of none.
    pub(super) attribute: Option<Attribute>,
}

/// Where a parameter's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum From {
    /// An output of another stack.
    Stack(Module),
    /// Whoever deploys: a parameter of the root template, with this default.
    Root(Option<String>),
}

impl Given {
    /// An attribute of another stack's resource.
    pub(super) fn output(resource: &Resource, attribute: Attribute, from: Module) -> Self {
        Self {
            from: From::Stack(from),
            ..Self::of(resource, attribute)
        }
    }

    /// An attribute of somebody else's resource.
    pub(super) fn existing(
        resource: &Resource,
        attribute: Attribute,
        default: Option<String>,
    ) -> Self {
        let given = Self::of(resource, attribute);
        Self {
            description: format!("{} (somebody else's: only referred to)", given.description),
            from: From::Root(default),
            ..given
        }
    }

    fn of(resource: &Resource, attribute: Attribute) -> Self {
        Self {
            name: attribute.name(),
            kind: plan::parameter_type(resource, &attribute.path),
            description: attribute.description(),
            constraints: Vec::new(),
            from: From::Root(None),
            attribute: Some(attribute),
        }
    }

    /// Who deploys.
    pub(super) fn deployer() -> Self {
        let pattern = "^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/.+$";
        Self {
            name: DEPLOYER.to_owned(),
            kind: "String",
            description: "ARN of the IAM role or user that administers the cluster; of a role, not of a session of it"
                .to_owned(),
            constraints: vec![
                ("AllowedPattern", pattern.into()),
                (
                    "ConstraintDescription",
                    "must be the ARN of an IAM role or user".into(),
                ),
            ],
            from: From::Root(None),
            attribute: None,
        }
    }

    /// Whether to make what may be there already.
    pub(super) fn switch(resource: &Resource) -> Self {
        Self {
            name: switch_name(resource),
            kind: "String",
            description: format!(
                "Whether to make {}: false if the account has it already",
                resource.address
            ),
            constraints: vec![("AllowedValues", vec!["true".into(), "false".into()].into())],
            from: From::Root(Some("true".to_owned())),
            attribute: None,
        }
    }

    /// The parameter in a nested template.
    pub(super) fn node(&self) -> Node {
        self.declared(None)
    }

    /// The parameter in the root template, with its default.
    pub(super) fn root_node(&self) -> Node {
        match &self.from {
            From::Root(default) => self.declared(default.as_deref()),
            From::Stack(_) => self.declared(None),
        }
    }

    fn declared(&self, default: Option<&str>) -> Node {
        let mut entries = vec![
            ("Type", Node::from(self.kind)),
            ("Description", self.description.as_str().into()),
        ];
        entries.extend(default.map(|default| ("Default", default.into())));
        entries.extend(self.constraints.iter().cloned());
        Node::map(entries)
    }
}

/// The name of the parameter that says whether to make a resource.
pub(super) fn switch_name(resource: &Resource) -> String {
    format!("Create{}", names::logical_id(&resource.address))
}

/// The part of an identifier that is the property at `path`; none when the property does not identify.
pub(super) fn identifier_part(
    resource: &Resource,
    identifier: &str,
    path: &PropertyPath,
) -> Option<String> {
    let schema = catalog::schema(&resource.type_name)?;
    schema.primary_identifier().iter().find(|it| *it == path)?;
    let model = schema.identifier_model(identifier);
    Some(path.get(&model)?.as_str()?.to_owned())
}
