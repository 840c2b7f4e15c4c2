//! A module's resources as blocks.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::Address;
use graph::{Attribute, Reference};

use super::hcl::{Block, Body, Expr, Piece};
use super::names::{Names, attribute_path, property_of};
use super::plan::{By, Kind, Plan, Resource, inexpressible};
use super::schema::Shape;
use super::term::{Item, Part, Tags, Term, Test, Text};
use super::unify::{Decides, Environments};
use super::{naming, native, stack};
use crate::Error;

/// Whose words a value is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// The provider's.
    Terraform,
    /// CloudFormation's, in a template.
    CloudFormation,
}

/// What of the things that every module can have a module has used.
#[derive(Debug, Clone, Default)]
pub(super) struct Used {
    /// `local.name`.
    pub(super) name: bool,
    /// `local.tags`.
    pub(super) tags: bool,
    /// `var.region`.
    pub(super) region: bool,
    /// `var.vpc_cidr_block`.
    pub(super) vpc: bool,
    /// `data.aws_caller_identity.current`.
    pub(super) account: bool,
    /// `data.aws_partition.current`.
    pub(super) partition: bool,
    /// `var.deployer_arn`.
    pub(super) deployer: bool,
    /// The identifiers that variables give.
    pub(super) existing: BTreeSet<Address>,
    /// Those that are read, for more than the identifier.
    pub(super) read: BTreeSet<Address>,
}

/// Writes a module's values.
pub(super) struct Renderer<'p> {
    pub(super) plan: &'p Plan,
    pub(super) names: &'p Names,
    /// The attributes of each resource that are referred to, from anywhere.
    pub(super) wanted: &'p BTreeMap<Address, BTreeSet<Attribute>>,
    /// The environments' names.
    pub(super) environments: Vec<String>,
    pub(super) used: RefCell<Used>,
    pub(super) words: RefCell<Words>,
}

/// How an attribute of a resource that may not be there is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Where it is there.
    There,
    /// `null` where it is not.
    OrNull,
}

impl<'p> Renderer<'p> {
    /// A renderer of a plan.
    pub(super) fn new(
        plan: &'p Plan,
        names: &'p Names,
        wanted: &'p BTreeMap<Address, BTreeSet<Attribute>>,
        environments: Vec<String>,
    ) -> Self {
        Self {
            plan,
            names,
            wanted,
            environments,
            used: RefCell::default(),
            words: RefCell::new(Words::Terraform),
        }
    }

    /// The resource blocks.
    ///
    /// # Errors
    ///
    /// Properties that a table has no place for.
    pub(super) fn resources(&self) -> Result<Vec<Block>, Vec<Error>> {
        let mut blocks = Vec::new();
        let mut errors = Vec::new();
        for resource in &self.plan.resources {
            if resource.kind == Kind::Existing {
                continue;
            }
            match self.resource(resource) {
                Ok(block) => blocks.push(block),
                Err(why) => errors.push(inexpressible(&resource.address, why)),
            }
        }
        if errors.is_empty() {
            Ok(blocks)
        } else {
            Err(errors)
        }
    }

    fn resource(&self, resource: &Resource) -> Result<Block, String> {
        let mut block = Block::new("resource", &[&self.type_of(resource), &resource.label]);
        if let Some(flag) = resource.flag {
            let exists = Expr::code(format!("var.{} ? 1 : 0", self.names.flags[flag]));
            block.body.argument("count", exists);
            block.body.0.push(super::hcl::Line::Gap);
        }
        let body = match resource.by {
            By::Awscc => self.awscc(resource),
            By::Native => native::body(
                self,
                &resource.type_name,
                &resource.properties,
                &resource.on,
            )?,
            By::Stack => {
                block.comment = stack::comment(resource);
                stack::body(self, resource)
            }
        };
        block.body.0.extend(body.0);
        let implied: BTreeSet<&Address> = resource
            .properties
            .values()
            .flat_map(|item| item.term.references())
            .map(|reference| &reference.to)
            .collect();
        let after: Vec<Expr> = resource
            .depends_on
            .iter()
            .filter(|address| !implied.contains(address))
            .flat_map(|address| self.plan.at(address))
            .filter(|other| other.kind != Kind::Existing)
            .map(|other| Expr::code(format!("{}.{}", self.type_of(other), other.label)))
            .collect();
        if !after.is_empty() {
            block.body.0.push(super::hcl::Line::Gap);
            block.body.argument("depends_on", Expr::List(after));
        }
        if resource.kind == Kind::Retained {
            block
                .body
                .block(Block::new("lifecycle", &[]).with("prevent_destroy", Expr::Bool(true)));
        }
        Ok(block)
    }

    /// The blocks that read what exists.
    pub(super) fn data(&self) -> Vec<Block> {
        let used = self.used.borrow();
        self.plan
            .resources
            .iter()
            .filter(|resource| {
                resource.kind == Kind::Existing && used.read.contains(&resource.address)
            })
            .map(|resource| {
                let variable = &self.names.existing[&resource.address];
                let mut block = Block::new(
                    "data",
                    &[&naming::awscc_type(&resource.type_name), &resource.label],
                );
                if resource.on != self.plan.on {
                    let exists = Expr::code(format!("var.{variable} == null ? 0 : 1"));
                    block.body.argument("count", exists);
                }
                block.with("id", Expr::code(format!("var.{variable}")))
            })
            .collect()
    }

    /// A resource's properties in a template.
    pub(super) fn properties(
        &self,
        entries: &BTreeMap<Text, Item>,
        schema: &catalog::ResourceSchema,
        within: &Environments,
    ) -> Expr {
        let value = |key: &Text, item: &Item| {
            let shape = match key.as_slice() {
                [Part::Literal(key)] => Shape::of(schema, key),
                _ => Shape::Free,
            };
            self.term(&item.term, &shape, within)
        };
        let always = entries
            .iter()
            .filter(|(_, item)| item.test.is_none())
            .map(|(key, item)| (self.pieces(key, within), value(key, item)))
            .collect();
        self.merged(
            Expr::Object(always),
            entries.iter().filter_map(|(key, item)| {
                Some((
                    item.test.as_ref()?,
                    self.pieces(key, within),
                    value(key, item),
                ))
            }),
        )
    }

    fn awscc(&self, resource: &Resource) -> Body {
        let mut body = Body::default();
        for (property, item) in &resource.properties {
            let shape = catalog::schema(&resource.type_name)
                .map_or(Shape::Free, |schema| Shape::of(schema, property));
            let name = naming::root_attribute(&resource.type_name, property);
            body.argument(name, self.optional(item, &shape, &resource.on));
        }
        body
    }

    /// The resource type in Terraform.
    pub(super) fn type_of(&self, resource: &Resource) -> String {
        match resource.by {
            By::Awscc => naming::awscc_type(&resource.type_name),
            By::Native => native::resource(&resource.type_name).to_owned(),
            By::Stack => "aws_cloudformation_stack".to_owned(),
        }
    }

    /// A flag as an expression.
    pub(super) fn test(&self, test: &Test) -> Expr {
        let not = if test.not { "!" } else { "" };
        Expr::code(format!("{not}var.{}", self.names.flags[test.flag]))
    }

    /// A value that is `null` where it is not there.
    pub(super) fn optional(&self, item: &Item, shape: &Shape<'_>, within: &Environments) -> Expr {
        let value = self.term(&item.term, shape, within);
        match &item.test {
            Some(test) => Expr::If(
                Box::new(self.test(test)),
                Box::new(value),
                Box::new(Expr::Null),
            ),
            None => value,
        }
    }

    /// A value.
    pub(super) fn term(&self, term: &Term, shape: &Shape<'_>, within: &Environments) -> Expr {
        match term {
            Term::Bool(value) => Expr::Bool(*value),
            Term::Number(number) => Expr::Number(number.clone()),
            Term::Text(text) => self.text(text, within),
            Term::Variable(index) => Expr::code(format!("var.{}", self.names.uses[*index])),
            Term::Each(index, text) => Expr::Each(
                Box::new(Expr::code(format!("var.{}", self.names.uses[*index]))),
                Box::new(self.text(text, within)),
            ),
            Term::If(test, then, otherwise) => Expr::If(
                Box::new(self.test(test)),
                Box::new(self.term(then, shape, within)),
                Box::new(self.term(otherwise, shape, within)),
            ),
            Term::Json(inner) => {
                let inner = self.term(inner, &Shape::Free, within);
                // A template takes the object itself.
                if *self.words.borrow() == Words::CloudFormation && shape.is_json() {
                    inner
                } else {
                    Expr::Call("jsonencode", vec![inner])
                }
            }
            Term::List(items) => self.list(items, shape, within),
            Term::Object(entries) => self.object(entries, shape, within),
            Term::Tags(tags) => {
                let map = self.tag_map(tags, within);
                let provider =
                    *self.words.borrow() == Words::Terraform && !matches!(shape, Shape::Free);
                match (tags.list, provider) {
                    (false, _) => map,
                    (true, true) => Expr::TagList(Box::new(map), "key", "value"),
                    (true, false) => Expr::TagList(Box::new(map), "Key", "Value"),
                }
            }
        }
    }

    fn list(&self, items: &[Item], shape: &Shape<'_>, within: &Environments) -> Expr {
        let item = shape.item();
        if items.iter().all(|each| each.test.is_none()) {
            return Expr::List(
                items
                    .iter()
                    .map(|each| self.term(&each.term, &item, within))
                    .collect(),
            );
        }
        let mut parts: Vec<Expr> = Vec::new();
        for each in items {
            let value = self.term(&each.term, &item, within);
            match (&each.test, parts.last_mut()) {
                (None, Some(Expr::List(last))) => last.push(value),
                (None, _) => parts.push(Expr::List(vec![value])),
                (Some(test), _) => parts.push(Expr::If(
                    Box::new(self.test(test)),
                    Box::new(Expr::List(vec![value])),
                    Box::new(Expr::List(Vec::new())),
                )),
            }
        }
        Expr::Call("concat", parts)
    }

    fn object(
        &self,
        entries: &BTreeMap<Text, Item>,
        shape: &Shape<'_>,
        within: &Environments,
    ) -> Expr {
        let renamed = *self.words.borrow() == Words::Terraform && !shape.is_map();
        let below = |key: &Text| match key.as_slice() {
            [Part::Literal(key)] => shape.property(key),
            _ => shape.item(),
        };
        if renamed {
            return Expr::Object(
                entries
                    .iter()
                    .map(|(key, item)| {
                        let name = match key.as_slice() {
                            [Part::Literal(key)] => vec![Piece::Literal(naming::attribute(key))],
                            _ => self.pieces(key, within),
                        };
                        (name, self.optional(item, &below(key), within))
                    })
                    .collect(),
            );
        }
        let always = entries
            .iter()
            .filter(|(_, item)| item.test.is_none())
            .map(|(key, item)| {
                (
                    self.pieces(key, within),
                    self.term(&item.term, &below(key), within),
                )
            })
            .collect();
        self.merged(
            Expr::Object(always),
            entries.iter().filter_map(|(key, item)| {
                let value = self.term(&item.term, &below(key), within);
                Some((item.test.as_ref()?, self.pieces(key, within), value))
            }),
        )
    }

    /// An object, and entries that are in it only by flags.
    fn merged<'t>(
        &self,
        always: Expr,
        more: impl Iterator<Item = (&'t Test, Vec<Piece>, Expr)>,
    ) -> Expr {
        let mut parts = vec![always];
        for (test, key, value) in more {
            parts.push(Expr::If(
                Box::new(self.test(test)),
                Box::new(Expr::Object(vec![(key, value)])),
                Box::new(Expr::Object(Vec::new())),
            ));
        }
        match <[Expr; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => Expr::Call("merge", parts),
        }
    }

    /// A resource's tags with those of the scope, as a map.
    pub(super) fn tag_map(&self, tags: &Tags, within: &Environments) -> Expr {
        self.used.borrow_mut().tags = true;
        let key = |key: &String| vec![Piece::Literal(key.clone())];
        let value = |item: &Item| self.term(&item.term, &Shape::Free, within);
        let always: Vec<(Vec<Piece>, Expr)> = tags
            .tags
            .iter()
            .filter(|(_, item)| item.test.is_none())
            .map(|(name, item)| (key(name), value(item)))
            .collect();
        let conditional = tags
            .tags
            .iter()
            .filter_map(|(name, item)| Some((item.test.as_ref()?, key(name), value(item))));
        let own = self.merged(Expr::Object(always), conditional);
        let mut parts = vec![Expr::code("local.tags")];
        match own {
            Expr::Object(entries) if entries.is_empty() => return Expr::code("local.tags"),
            Expr::Call("merge", more) => parts.extend(more),
            one => parts.push(one),
        }
        Expr::Call("merge", parts)
    }

    /// A text.
    pub(super) fn text(&self, text: &Text, within: &Environments) -> Expr {
        Expr::Text(self.pieces(text, within))
    }

    fn pieces(&self, text: &Text, within: &Environments) -> Vec<Piece> {
        if text.is_empty() {
            return vec![Piece::Literal(String::new())];
        }
        text.iter()
            .map(|part| match part {
                Part::Literal(text) => Piece::Literal(text.clone()),
                other => Piece::Code(self.part(other, within)),
            })
            .collect()
    }

    fn part(&self, part: &Part, within: &Environments) -> Expr {
        let mut used = self.used.borrow_mut();
        let code = match part {
            Part::Literal(text) => return Expr::text(text),
            Part::Name => {
                used.name = true;
                "local.name".to_owned()
            }
            Part::Environment => "var.environment".to_owned(),
            Part::Platform => "var.platform".to_owned(),
            Part::Region => {
                used.region = true;
                "var.region".to_owned()
            }
            Part::Partition => {
                used.partition = true;
                "data.aws_partition.current.partition".to_owned()
            }
            Part::Account => {
                used.account = true;
                "data.aws_caller_identity.current.account_id".to_owned()
            }
            Part::Deployer => {
                used.account = true;
                used.deployer = true;
                return Expr::Call(
                    "coalesce",
                    vec![
                        Expr::code("var.deployer_arn"),
                        Expr::code("data.aws_iam_session_context.current.issuer_arn"),
                    ],
                );
            }
            Part::VpcCidr => {
                used.vpc = true;
                "var.vpc_cidr_block".to_owned()
            }
            Part::Subnet { bits, number } => {
                used.vpc = true;
                format!("cidrsubnet(var.vpc_cidr_block, {bits}, {number})")
            }
            Part::Attribute(reference) => {
                drop(used);
                return self.reference(reference, within);
            }
            Part::Split {
                of,
                separator,
                index,
            } => {
                drop(used);
                let split = Expr::Call("split", vec![Expr::text(separator), self.text(of, within)]);
                return Expr::Index(Box::new(split), *index);
            }
            Part::Item => "item".to_owned(),
            Part::Variable(index) => format!("var.{}", self.names.uses[*index]),
        };
        Expr::Code(code)
    }

    /// An attribute of another resource, as environments within `within` need it.
    pub(super) fn reference(&self, reference: &Reference, within: &Environments) -> Expr {
        let mut targets: Vec<&Resource> = self
            .plan
            .at(&reference.to)
            .filter(|target| !target.on.is_disjoint(within))
            .collect();
        // What has a flag comes first, what is left last.
        targets.sort_by_key(|target| target.kind == Kind::Existing);
        let Some(last) = targets.pop() else {
            let name = self.names.imports.get(reference).map_or("", String::as_str);
            return Expr::code(format!("var.{name}"));
        };
        targets.into_iter().rev().fold(
            self.attribute(last, &reference.attribute, Access::There),
            |otherwise, target| match target.flag {
                Some(flag) => Expr::If(
                    Box::new(self.test(&Test { flag, not: false })),
                    Box::new(self.attribute(target, &reference.attribute, Access::There)),
                    Box::new(otherwise),
                ),
                None => self.attribute(target, &reference.attribute, Access::There),
            },
        )
    }

    /// An attribute of a resource of the module.
    pub(super) fn attribute(
        &self,
        target: &Resource,
        attribute: &Attribute,
        access: Access,
    ) -> Expr {
        if target.kind == Kind::Existing {
            let variable = &self.names.existing[&target.address];
            let identifier = match (
                property_of(&target.type_name, &Attribute::Identifier),
                attribute,
            ) {
                (_, Attribute::Identifier) => true,
                (Some(identifier), Attribute::Property(path)) => identifier == *path,
                (None, _) => false,
            };
            let mut used = self.used.borrow_mut();
            used.existing.insert(target.address.clone());
            if identifier {
                return Expr::code(format!("var.{variable}"));
            }
            used.read.insert(target.address.clone());
        }
        let path = match target.by {
            By::Awscc => attribute_path(&target.type_name, attribute).join("."),
            By::Native => native::attribute(&target.type_name, attribute)
                .unwrap_or("id")
                .to_owned(),
            By::Stack => format!(
                "outputs[\"{}\"]",
                stack::output(&target.type_name, attribute)
            ),
        };
        let data = if target.kind == Kind::Existing {
            "data."
        } else {
            ""
        };
        let name = format!("{data}{}.{}", self.type_of(target), target.label);
        let counted =
            target.flag.is_some() || target.kind == Kind::Existing && target.on != self.plan.on;
        match (counted, access) {
            (false, _) => Expr::code(format!("{name}.{path}")),
            (true, Access::There) => Expr::code(format!("{name}[0].{path}")),
            (true, Access::OrNull) => {
                Expr::Call("one", vec![Expr::code(format!("{name}[*].{path}"))])
            }
        }
    }

    /// An attribute as the module puts it out: `null` where there is none.
    pub(super) fn output(&self, reference: &Reference) -> Expr {
        let mut targets: Vec<&Resource> = self.plan.at(&reference.to).collect();
        targets.sort_by_key(|target| target.kind == Kind::Existing);
        let Some(last) = targets.pop() else {
            return Expr::Null;
        };
        targets.into_iter().rev().fold(
            self.attribute(last, &reference.attribute, Access::OrNull),
            |otherwise, target| match target.flag {
                Some(flag) => Expr::If(
                    Box::new(self.test(&Test { flag, not: false })),
                    Box::new(self.attribute(target, &reference.attribute, Access::There)),
                    Box::new(otherwise),
                ),
                None => otherwise,
            },
        )
    }

    /// Whether a flag's resource is made only where it is not there already.
    pub(super) fn is_ensured(&self, flag: usize) -> bool {
        let Decides::Existence { of, .. } = &self.plan.flags[flag].decides else {
            return false;
        };
        self.plan
            .resources
            .iter()
            .any(|resource| resource.kind == Kind::Ensured && of.contains(&resource.address))
    }
}
