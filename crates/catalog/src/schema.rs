//! What CloudFormation says of a resource type.
//!
//! A [`ResourceSchema`] is the official schema read once into the answers that the rest of the program asks for: which
//! properties identify a resource, which only AWS sets, which cannot be changed or read back, how it is tagged, what a
//! caller must be allowed to do.

use std::sync::OnceLock;

use serde_json::Value;

use crate::corrections;
use crate::property_path::PropertyPath;
use crate::tagging::{TagShape, Tagging};
use crate::type_name::{InvalidTypeName, TypeName};
use crate::validate::Checker;

/// What the Cloud Control API can do to a resource.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Makes a resource.
    Create,
    /// Reads one resource by its identifier.
    Read,
    /// Changes a resource in place.
    Update,
    /// Removes a resource.
    Delete,
    /// Lists the identifiers of all resources of the type.
    List,
}

impl Operation {
    /// All of them, in the order of a resource's life.
    pub const ALL: [Self; 5] = [
        Self::Create,
        Self::Read,
        Self::Update,
        Self::Delete,
        Self::List,
    ];

    /// The name as the schemas spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How AWS carries out one operation of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// What the caller must be allowed to do, as IAM actions (`ec2:CreateVpc`), sorted.
    pub permissions: Vec<String>,
    /// After how many minutes AWS gives the operation up.
    pub timeout_minutes: u32,
}

/// What AWS uses when a schema names no timeout (CloudFormation resource type schema, `timeoutInMinutes`).
const DEFAULT_TIMEOUT_MINUTES: u32 = 120;

/// Whether Cloud Control can manage a type (`ProvisioningType` of `cloudformation:DescribeType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provisioning {
    /// Create, read, update, delete.
    FullyMutable,
    /// Create, read, delete: each change is a replacement.
    Immutable,
    /// Not through Cloud Control.
    NonProvisionable,
}

/// In which order a resource is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplacementOrder {
    /// The new one first: nothing is missing meanwhile. The default of CloudFormation.
    CreateThenDelete,
    /// The old one first, because both cannot exist at once.
    DeleteThenCreate,
}

/// A document is no resource schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The text is not JSON.
    #[error("the schema is not JSON")]
    Json(#[from] serde_json::Error),
    /// A key that every resource schema has is absent or of the wrong type.
    #[error("the schema has no `{key}`")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// `typeName` names no type.
    #[error("the schema's `typeName` is wrong")]
    TypeName(#[from] InvalidTypeName),
}

/// A resource type's schema.
pub struct ResourceSchema {
    type_name: TypeName,
    document: Value,
    primary_identifier: Vec<PropertyPath>,
    additional_identifiers: Vec<Vec<PropertyPath>>,
    read_only: Vec<PropertyPath>,
    create_only: Vec<PropertyPath>,
    conditional_create_only: Vec<PropertyPath>,
    write_only: Vec<PropertyPath>,
    tagging: Tagging,
    handlers: [Option<Handler>; 5],
    list_requires: Vec<String>,
    replacement_order: ReplacementOrder,
    provisioning: Provisioning,
    name_property: Option<PropertyPath>,
    checker: OnceLock<Checker>,
}

impl ResourceSchema {
    /// Reads a schema: one of the bundle, or the live one that `cloudformation:DescribeType` returns.
    ///
    /// # Errors
    /// When the document lacks what every resource schema has.
    pub fn from_document(document: Value) -> Result<Self, SchemaError> {
        let type_name: TypeName = document["typeName"]
            .as_str()
            .ok_or(SchemaError::Missing { key: "typeName" })?
            .parse()?;
        if !document["properties"].is_object() {
            return Err(SchemaError::Missing { key: "properties" });
        }
        let primary_identifier = paths(&document["primaryIdentifier"]);
        if primary_identifier.is_empty() {
            return Err(SchemaError::Missing {
                key: "primaryIdentifier",
            });
        }
        let handlers =
            Operation::ALL.map(|operation| handler(&document["handlers"][operation.as_str()]));
        let provisioning = if corrections::NON_PROVISIONABLE.contains(&type_name.as_str())
            || handlers[0].is_none()
            || handlers[1].is_none()
            || handlers[3].is_none()
        {
            Provisioning::NonProvisionable
        } else if handlers[2].is_none() {
            Provisioning::Immutable
        } else {
            Provisioning::FullyMutable
        };
        Ok(Self {
            additional_identifiers: entries(&document["additionalIdentifiers"])
                .map(paths)
                .collect(),
            read_only: paths(&document["readOnlyProperties"]),
            create_only: paths(&document["createOnlyProperties"]),
            conditional_create_only: paths(&document["conditionalCreateOnlyProperties"]),
            write_only: paths(&document["writeOnlyProperties"]),
            tagging: tagging(&type_name, &document),
            list_requires: list_requires(&document["handlers"]["list"]["handlerSchema"]),
            replacement_order: match document["replacementStrategy"].as_str() {
                Some("delete_then_create") => ReplacementOrder::DeleteThenCreate,
                _ => ReplacementOrder::CreateThenDelete,
            },
            name_property: corrections::name_of(&type_name).and_then(|path| path.parse().ok()),
            primary_identifier,
            handlers,
            provisioning,
            type_name,
            document,
            checker: OnceLock::new(),
        })
    }

    /// The type.
    #[must_use]
    pub fn type_name(&self) -> &TypeName {
        &self.type_name
    }

    /// The schema itself, without its prose.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// The properties that identify a resource, in the order in which a compound identifier joins them by `|`.
    #[must_use]
    pub fn primary_identifier(&self) -> &[PropertyPath] {
        &self.primary_identifier
    }

    /// Other sets of properties that identify a resource.
    #[must_use]
    pub fn additional_identifiers(&self) -> &[Vec<PropertyPath>] {
        &self.additional_identifiers
    }

    /// Properties that only AWS sets. To set one is an error.
    #[must_use]
    pub fn read_only(&self) -> &[PropertyPath] {
        &self.read_only
    }

    /// Properties that cannot be changed: another value is another resource.
    #[must_use]
    pub fn create_only(&self) -> &[PropertyPath] {
        &self.create_only
    }

    /// Properties that can be changed in place in some cases and need another resource in the others.
    #[must_use]
    pub fn conditional_create_only(&self) -> &[PropertyPath] {
        &self.conditional_create_only
    }

    /// Properties that AWS takes and never gives back (secrets, mostly): their drift is invisible, and an update must
    /// send them again.
    #[must_use]
    pub fn write_only(&self) -> &[PropertyPath] {
        &self.write_only
    }

    /// Whether a change at `path` needs another resource. Conditional cases are not in it.
    #[must_use]
    pub fn is_create_only(&self, path: &PropertyPath) -> bool {
        self.create_only
            .iter()
            .any(|property| property.overlaps(path))
    }

    /// Whether `path` is, or lies in, a property that only AWS sets.
    #[must_use]
    pub fn is_read_only(&self, path: &PropertyPath) -> bool {
        self.read_only
            .iter()
            .any(|property| property.matches_prefix_of(path))
    }

    /// Whether `path` is, or lies in, a property that cannot be read back.
    #[must_use]
    pub fn is_write_only(&self, path: &PropertyPath) -> bool {
        self.write_only
            .iter()
            .any(|property| property.matches_prefix_of(path))
    }

    /// The identifier of a resource with these properties, compound ones joined by `|`. `None` when a part is not there.
    #[must_use]
    pub fn identifier_of(&self, properties: &Value) -> Option<String> {
        let parts: Option<Vec<String>> = self
            .primary_identifier
            .iter()
            .map(|path| scalar_text(path.get(properties)?))
            .collect();
        parts.map(|parts| parts.join("|"))
    }

    /// The identifying properties, from an identifier. The inverse of [`identifier_of`](Self::identifier_of).
    ///
    /// An identifier with fewer parts than the type has gives only those that it has.
    #[must_use]
    pub fn identifier_model(&self, identifier: &str) -> Value {
        let mut model = Value::Object(serde_json::Map::new());
        // A single identifier is taken whole, whatever is in it.
        for (path, part) in self
            .primary_identifier
            .iter()
            .zip(identifier.splitn(self.primary_identifier.len(), '|'))
        {
            path.insert_into(&mut model, Value::from(part));
        }
        model
    }

    /// How the type takes tags.
    #[must_use]
    pub fn tagging(&self) -> &Tagging {
        &self.tagging
    }

    /// How AWS carries an operation out; `None` when the type does not have it.
    #[must_use]
    pub fn operation(&self, operation: Operation) -> Option<&Handler> {
        self.handlers[operation as usize].as_ref()
    }

    /// Properties that a list request must carry in its `ResourceModel`, such as `ClusterName`. Where a type takes one of
    /// several (`LoadBalancerArn` or `ListenerArns`), the first.
    #[must_use]
    pub fn list_requires(&self) -> &[String] {
        &self.list_requires
    }

    /// In which order AWS replaces a resource of the type.
    #[must_use]
    pub fn replacement_order(&self) -> ReplacementOrder {
        self.replacement_order
    }

    /// The property by which the user names a resource and that is unique (in the account and region, or in the parent).
    #[must_use]
    pub fn name_property(&self) -> Option<&PropertyPath> {
        self.name_property.as_ref()
    }

    /// Whether a user-chosen name keeps two resources of the type from existing under it at once.
    /// [`collides`](Self::collides) tells it for two given resources.
    #[must_use]
    pub fn has_fixed_name(&self) -> bool {
        self.name_property.is_some()
    }

    /// Whether a replacement with the properties `after` cannot exist beside the resource with the properties `before`,
    /// because both set the same name or because the user sets the whole identifier and it stays the same: the old
    /// one has to be deleted first. A name that neither sets is made up by AWS and does not collide.
    #[must_use]
    pub fn collides(&self, before: &Value, after: &Value) -> bool {
        let same_name = self
            .name_property
            .as_ref()
            .is_some_and(|path| same_scalar(path, before, after));
        let same_identifier = self
            .primary_identifier
            .iter()
            .all(|path| !self.is_read_only(path) && same_scalar(path, before, after));
        // A name that is unique only in its parent does not collide under another parent.
        let other_parent = PARENTS
            .iter()
            .filter_map(|name| Some((before.get(name)?, after.get(name)?)))
            .any(|(before, after)| before != after);
        same_identifier || same_name && !other_parent
    }

    /// Read-only properties that every update gives a new value: whoever refers to one has to follow.
    #[must_use]
    pub fn renewed_by_update(&self) -> &'static [&'static str] {
        // Source: the types' CloudFormation return values ("the latest version of the launch template", "VersionId").
        match self.type_name.as_str() {
            "AWS::EC2::LaunchTemplate" => &["LatestVersionNumber"],
            "AWS::Backup::BackupPlan" => &["VersionId"],
            _ => &[],
        }
    }

    /// Whether Cloud Control can manage the type, as far as is known without asking it.
    #[must_use]
    pub fn provisioning(&self) -> Provisioning {
        self.provisioning
    }

    /// The schema of the property at `path` with its reference resolved; `None` when the type has no such property.
    /// Where a property is of one of several forms, the first that has the path.
    #[must_use]
    pub fn property(&self, path: &PropertyPath) -> Option<&Value> {
        path.segments()
            .iter()
            .try_fold(&self.document, |schema, segment| {
                self.child(schema, segment)
            })
    }

    /// The schema of what lies one segment below a schema.
    pub(crate) fn child<'a>(&'a self, schema: &'a Value, segment: &str) -> Option<&'a Value> {
        let schema = self.resolved(schema);
        if let Some(inner) = schema
            .get("properties")
            .and_then(|properties| properties.get(segment))
        {
            return Some(self.resolved(inner));
        }
        if let Some(items) = schema.get("items").filter(|items| items.is_object())
            && (segment == "*" || segment.parse::<usize>().is_ok())
        {
            return Some(self.resolved(items));
        }
        if let Some(patterns) = schema.get("patternProperties").and_then(Value::as_object)
            && let Some(inner) = patterns.values().next()
        {
            return Some(self.resolved(inner));
        }
        if let Some(inner) = schema
            .get("additionalProperties")
            .filter(|inner| inner.is_object())
        {
            return Some(self.resolved(inner));
        }
        ["oneOf", "anyOf", "allOf"]
            .iter()
            .flat_map(|keyword| entries(&schema[*keyword]))
            .find_map(|form| self.child(form, segment))
    }

    /// The schema behind a `$ref`; the schema itself when it has none.
    pub(crate) fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        // A chain longer than this is a circle.
        for _ in 0..8 {
            match schema
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| reference.strip_prefix('#'))
            {
                Some(pointer) => match self.document.pointer(pointer) {
                    Some(target) => schema = target,
                    None => return schema,
                },
                None => return schema,
            }
        }
        schema
    }

    /// The compiled checks of this type; compiled at the first use.
    pub(crate) fn checker(&self) -> &Checker {
        self.checker
            .get_or_init(|| Checker::compile(&self.document))
    }
}

impl std::fmt::Debug for ResourceSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ResourceSchema({})", self.type_name)
    }
}

/// Properties that name the parent in which a name is unique.
const PARENTS: [&str; 10] = [
    "BackupPlanId",
    "ClusterName",
    "VpcId",
    "RoleName",
    "Namespace",
    "EventBusName",
    "HostedZoneId",
    "DestinationCidrBlock",
    "DestinationIpv6CidrBlock",
    "Scope",
];

fn same_scalar(path: &PropertyPath, before: &Value, after: &Value) -> bool {
    match (path.get(before), path.get(after)) {
        (Some(before), Some(after)) => before == after,
        _ => false,
    }
}

/// An identifier's part as text.
fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn entries(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
}

fn paths(list: &Value) -> Vec<PropertyPath> {
    entries(list)
        .filter_map(Value::as_str)
        .map(PropertyPath::from_schema_pointer)
        .collect()
}

fn handler(description: &Value) -> Option<Handler> {
    if !description.is_object() {
        return None;
    }
    Some(Handler {
        permissions: actions(&description["permissions"]),
        timeout_minutes: description["timeoutInMinutes"]
            .as_u64()
            .and_then(|minutes| u32::try_from(minutes).ok())
            .unwrap_or(DEFAULT_TIMEOUT_MINUTES),
    })
}

/// IAM actions, sorted; the service prefix in lower case, as IAM writes it (some schemas say `CloudTrail:AddTags`).
fn actions(list: &Value) -> Vec<String> {
    let mut actions: Vec<String> = entries(list)
        .filter_map(Value::as_str)
        .filter_map(|action| action.trim().split_once(':'))
        .map(|(service, action)| format!("{}:{action}", service.to_ascii_lowercase()))
        .collect();
    actions.sort_unstable();
    actions.dedup();
    actions
}

fn list_requires(handler_schema: &Value) -> Vec<String> {
    let required = match entries(&handler_schema["oneOf"]).next() {
        Some(first) => &first["required"],
        None => &handler_schema["required"],
    };
    entries(required)
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn tagging(type_name: &TypeName, document: &Value) -> Tagging {
    // The schema says that it is not taggable, which is true of a `Tags` property only: `TagSpecifications` tags the
    // template itself when it is created (CloudFormation template reference, AWS::EC2::LaunchTemplate).
    if *type_name == "AWS::EC2::LaunchTemplate" {
        return Tagging {
            taggable: true,
            tag_on_create: true,
            tag_updatable: false,
            property: Some(PropertyPath::from_segments(["TagSpecifications"])),
            shape: TagShape::Specifications("launch-template"),
            permissions: vec!["ec2:CreateTags".to_owned()],
        };
    }
    let declared = &document["tagging"];
    // Schemas older than the `tagging` object have a flat `taggable`; without either a type is taggable by `Tags`.
    let taggable = declared["taggable"]
        .as_bool()
        .or_else(|| document["taggable"].as_bool())
        .unwrap_or(true);
    let pointer = declared["tagProperty"]
        .as_str()
        .unwrap_or("/properties/Tags");
    let path = PropertyPath::from_schema_pointer(pointer);
    let property = path
        .property()
        .and_then(|name| document["properties"].get(name));
    let Some(mut property) = property.filter(|_| taggable) else {
        return Tagging::none();
    };
    if let Some(target) = property["$ref"]
        .as_str()
        .and_then(|reference| document.pointer(reference.strip_prefix('#')?))
    {
        property = target;
    }
    let shape = if property["type"] == "object" {
        TagShape::Map
    } else {
        TagShape::List
    };
    Tagging {
        taggable,
        tag_on_create: declared["tagOnCreate"].as_bool().unwrap_or(true),
        tag_updatable: declared["tagUpdatable"].as_bool().unwrap_or(true),
        property: Some(path),
        shape,
        permissions: actions(&declared["permissions"]),
    }
}

#[cfg(test)]
mod tests;
