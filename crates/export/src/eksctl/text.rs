//! Values as eksctl takes them: texts, and policy documents.
//!
//! eksctl has no variables: what depends on the account is a placeholder in angle brackets, until the spec names the
//! account. Policy documents are the exception: eksctl puts them as they are into the CloudFormation templates that it
//! makes (`pkg/cfn/builder/iam.go`, `pkg/cfn/template/iam_helpers.go` of eksctl 0.230.0), so that CloudFormation's own
//! `Fn::Sub` fills them in.

use catalog::ids::Address;
use graph::{Attribute, Lifecycle, Parameter, Reference, Resource, Value};
use serde_json::{Map, Value as Json, json};

use super::Scene;
use super::ledger::literal;

/// Stands for the account's twelve digits.
pub(super) const ACCOUNT_ID: &str = "<ACCOUNT_ID>";

/// The name in `Fn::Sub` of the VPC that eksctl makes.
const VPC: &str = "Vpc";

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// The account's twelve digits.
    Account,
    /// The id of the VPC that eksctl makes.
    Vpc,
}

impl Scene<'_> {
    /// A value as a text of the file, with placeholders.
    ///
    /// # Errors
    ///
    /// Why there is no such text.
    pub(super) fn text(&self, value: &Value) -> Result<String, String> {
        self.pieces(value)?
            .into_iter()
            .map(|piece| match piece {
                Piece::Literal(text) => Ok(text),
                Piece::Account => Ok(self.account().to_owned()),
                Piece::Vpc => {
                    Err("the id of the VPC is known only once eksctl has made it".to_owned())
                }
            })
            .collect()
    }

    /// A policy document.
    ///
    /// # Errors
    ///
    /// Why CloudFormation cannot fill it in.
    pub(super) fn document(&self, value: &Value) -> Result<Json, String> {
        match value {
            Value::Object(properties) => {
                let mut object = Map::new();
                for (key, value) in properties {
                    object.insert(key.clone(), self.document(value)?);
                }
                Ok(Json::Object(object))
            }
            Value::Array(items) => items.iter().map(|item| self.document(item)).collect(),
            Value::Bool(value) => Ok(Json::Bool(*value)),
            Value::Number(number) => Ok(Json::Number(number.clone())),
            Value::String(text) => Ok(Json::String(text.clone())),
            other => Ok(self.substitution(self.pieces(other)?)),
        }
    }

    /// What CloudFormation makes a text of.
    fn substitution(&self, pieces: Vec<Piece>) -> Json {
        if let [Piece::Literal(text)] = pieces.as_slice() {
            return Json::String(text.clone());
        }
        let mut template = String::new();
        let mut variables = Map::new();
        for piece in pieces {
            match piece {
                // `${!` is how `Fn::Sub` writes `${`.
                Piece::Literal(text) => template.push_str(&text.replace("${", "${!")),
                Piece::Account => template.push_str("${AWS::AccountId}"),
                Piece::Vpc => {
                    template.push_str(&format!("${{{VPC}}}"));
                    // What the stack of eksctl's cluster exports (`pkg/cfn/outputs/api.go`).
                    let export = format!("eksctl-{}-cluster::VPC", self.cluster_name());
                    variables.insert(VPC.to_owned(), json!({ "Fn::ImportValue": export }));
                }
            }
        }
        if variables.is_empty() {
            json!({ "Fn::Sub": template })
        } else {
            json!({ "Fn::Sub": [template, variables] })
        }
    }

    /// A text in parts; neighbouring literals are one.
    fn pieces(&self, value: &Value) -> Result<Vec<Piece>, String> {
        let mut pieces: Vec<Piece> = Vec::new();
        self.collect(value, &mut |piece| match (pieces.last_mut(), piece) {
            (Some(Piece::Literal(last)), Piece::Literal(next)) => last.push_str(&next),
            (_, piece) => pieces.push(piece),
        })?;
        Ok(pieces)
    }

    fn collect(&self, value: &Value, add: &mut impl FnMut(Piece)) -> Result<(), String> {
        match value {
            Value::String(text) => add(Piece::Literal(text.clone())),
            Value::Number(number) => add(Piece::Literal(number.to_string())),
            Value::Bool(value) => add(Piece::Literal(value.to_string())),
            Value::Parameter(Parameter::AccountId) => add(match &self.known_account {
                Some(account) => Piece::Literal((*account).to_owned()),
                None => Piece::Account,
            }),
            Value::Join(parts) => {
                for part in parts {
                    self.collect(part, add)?;
                }
            }
            Value::Attribute(reference) => self.attribute(reference, add)?,
            Value::Parameter(Parameter::Deployer) => {
                return Err("who deploys is not known to eksctl's file".to_owned());
            }
            Value::Array(_)
            | Value::Object(_)
            | Value::Split { .. }
            | Value::Json(_)
            | Value::Secret(_) => {
                return Err("it is no text that eksctl's file can hold".to_owned());
            }
        }
        Ok(())
    }

    fn attribute(&self, reference: &Reference, add: &mut impl FnMut(Piece)) -> Result<(), String> {
        let unknown = || format!("{reference} is not known to eksctl's file");
        let resource = self.graph.get(&reference.to).ok_or_else(unknown)?;
        let name = match &reference.attribute {
            Attribute::Property(path) => path.property().unwrap_or_default(),
            Attribute::Identifier => "",
        };
        let type_name = resource.type_name.as_str();
        match (type_name, name, &resource.lifecycle) {
            ("AWS::EC2::VPC", "VpcId", Lifecycle::Existing(id))
            | ("AWS::EC2::Subnet", "SubnetId", Lifecycle::Existing(id)) => {
                add(Piece::Literal(id.to_string()));
            }
            ("AWS::EC2::VPC", "VpcId", _) => add(Piece::Vpc),
            ("AWS::IAM::Role", "Arn", _) => self.role_arn(resource, add).ok_or_else(unknown)?,
            ("AWS::KMS::Key", "Arn", Lifecycle::Existing(id)) => {
                self.arn("kms", self.region(), &format!("key/{id}"), id.as_str(), add);
            }
            _ => match resource.properties.get(name) {
                Some(value) => self.collect(value, add)?,
                None => return Err(unknown()),
            },
        }
        Ok(())
    }

    /// The ARN of a role that has a name.
    fn role_arn(&self, role: &Resource, add: &mut impl FnMut(Piece)) -> Option<()> {
        let name = match &role.lifecycle {
            Lifecycle::Existing(id) => id.as_str(),
            _ => literal(role.properties.get("RoleName")?)?,
        };
        let path = role.properties.get("Path").and_then(literal).unwrap_or("/");
        self.arn("iam", "", &format!("role{path}{name}"), name, add);
        Some(())
    }

    /// An ARN in this account, unless `id` is one already.
    fn arn(
        &self,
        service: &str,
        region: &str,
        resource: &str,
        id: &str,
        add: &mut impl FnMut(Piece),
    ) {
        if id.starts_with("arn:") {
            return add(Piece::Literal(id.to_owned()));
        }
        let partition = catalog::regions::partition(self.region());
        add(Piece::Literal(format!(
            "arn:{partition}:{service}:{region}:"
        )));
        add(match &self.known_account {
            Some(account) => Piece::Literal((*account).to_owned()),
            None => Piece::Account,
        });
        add(Piece::Literal(format!(":{resource}")));
    }

    /// The account's twelve digits, or what stands for them.
    pub(super) fn account(&self) -> &str {
        self.known_account.unwrap_or(ACCOUNT_ID)
    }
}

/// What a value refers to, when it is nothing but a reference.
pub(super) fn referred(value: &Value) -> Option<&Address> {
    match value {
        Value::Attribute(reference) => Some(&reference.to),
        _ => None,
    }
}
