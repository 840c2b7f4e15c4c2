//! A property's value as Terraform will have it, before it is known what differs between environments: texts in pieces,
//! with what the scope gives (its name, its region, its VPC's range) cut out of them.

use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::Address;
use graph::{Attribute, Graph, Parameter, Reference, Value, owner_tags};
use ipnet::Ipv4Net;
use serde_json::{Map, Value as Json};

use super::schema::Shape;
use crate::Scoped;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// A text.
    Text(Text),
    /// A list.
    List(Vec<Item>),
    /// An object or a map.
    Object(BTreeMap<Text, Item>),
    /// The JSON text of a value.
    Json(Box<Term>),
    /// Tags, without those that all resources of the scope have.
    Tags(Tags),
    /// A variable.
    Variable(usize),
    /// The text for each item of a variable's list.
    Each(usize, Text),
    /// One of two, by a flag.
    If(Test, Box<Term>, Box<Term>),
}

/// A text in pieces; no two literals beside each other, none empty.
pub(super) type Text = Vec<Part>;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// As it is.
    Literal(String),
    /// `<platform>-<environment>`.
    Name,
    /// The environment's name.
    Environment,
    /// The platform's name.
    Platform,
    /// The region.
    Region,
    /// The region's partition.
    Partition,
    /// The account's digits.
    Account,
    /// Who deploys.
    Deployer,
    /// The VPC's range.
    VpcCidr,
    /// The `number`th range of the VPC's that is `bits` longer.
    Subnet {
        /// How much longer.
        bits: u8,
        /// Which.
        number: u64,
    },
    /// An attribute of another resource.
    Attribute(Reference),
    /// A piece of a text.
    Split {
        /// The text.
        of: Text,
        /// What splits it.
        separator: String,
        /// Which piece, from 0.
        index: usize,
    },
    /// A variable.
    Variable(usize),
    /// The item of [`Term::Each`].
    Item,
}

/// A value in a list or an object, and when it is there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    /// Only then; always without.
    pub(super) test: Option<Test>,
    /// The value.
    pub(super) term: Term,
}

impl From<Term> for Item {
    fn from(term: Term) -> Self {
        Self { test: None, term }
    }
}

/// A flag, or its contrary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Test {
    /// Which.
    pub(super) flag: usize,
    /// Whether it must be false.
    pub(super) not: bool,
}

/// The tags of a resource beside those of its scope.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tags {
    /// Whether they are a list of keys and values, not a map.
    pub(super) list: bool,
    /// Keys and values.
    pub(super) tags: BTreeMap<String, Item>,
}

/// What a scope gives to the texts in it.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) platform: String,
    pub(super) environment: String,
    pub(super) region: String,
    pub(super) vpc: Option<Ipv4Net>,
    pub(super) tags: BTreeMap<String, String>,
    name: String,
    is_shared: bool,
}

impl Facts {
    /// Those of a scope.
    pub(super) fn of(scope: &Scoped<'_>) -> Self {
        let of = scope.graph.scope();
        Self {
            platform: of.platform.to_string(),
            environment: of.environment.to_string(),
            region: of.region.to_string(),
            vpc: vpc_range(scope.graph),
            tags: scope.platform.spec.aws.tags.clone(),
            name: of.name(),
            is_shared: crate::modules(scope.graph)
                .values()
                .any(|module| *module == crate::Module::Shared),
        }
    }

    /// The partition that the region is in.
    pub(super) fn partition(&self) -> &'static str {
        catalog::regions::partition(&self.region)
    }

    /// A text of this scope, with what the scope gives to it cut out.
    fn cut(&self, text: &str) -> Text {
        if let (Some(vpc), Ok(range)) = (self.vpc, text.parse::<Ipv4Net>()) {
            if range == vpc {
                return vec![Part::VpcCidr];
            }
            if vpc.contains(&range) && range.trunc() == range {
                let bits = range.prefix_len() - vpc.prefix_len();
                let offset = u32::from(range.network()) - u32::from(vpc.network());
                let number = u64::from(offset) >> (32 - range.prefix_len());
                return vec![Part::Subnet { bits, number }];
            }
        }
        let text = vec![Part::Literal(text.to_owned())];
        let mut text = replace(text, &self.name, &Part::Name, is_apart);
        if self.is_shared {
            // What environments share is called after the platform alone.
            text = replace(text, &self.platform, &Part::Platform, |before, after| {
                before.is_none() && after.is_some_and(|next| matches!(next, '-' | '/'))
            });
        }
        replace(text, &self.region, &Part::Region, |before, after| {
            is_apart(before, None) && !after.is_some_and(|next| next.is_ascii_digit())
        })
    }

    /// As [`cut`](Self::cut), but also what may only by chance be the scope's: for texts that would differ otherwise.
    pub(super) fn cut_more(&self, text: &Text, environment: bool, partition: bool) -> Text {
        let mut text = text.clone();
        if environment {
            text = replace(text, &self.environment, &Part::Environment, is_apart);
        }
        if partition {
            text = replace(text, self.partition(), &Part::Partition, |before, after| {
                before == Some(':') && after == Some(':')
            });
        }
        text
    }

    /// What a piece is in this scope, if the scope alone says it.
    fn plain(&self, part: &Part) -> Option<String> {
        Some(match part {
            Part::Literal(text) => text.clone(),
            Part::Name => self.name.clone(),
            Part::Environment => self.environment.clone(),
            Part::Platform => self.platform.clone(),
            Part::Region => self.region.clone(),
            Part::Partition => self.partition().to_owned(),
            Part::VpcCidr => self.vpc?.to_string(),
            Part::Subnet { bits, number } => {
                let vpc = self.vpc?;
                let length = vpc.prefix_len() + bits;
                let offset = u32::try_from(number << (32 - length)).ok()?;
                let first = u32::from(vpc.network()).checked_add(offset)?;
                Ipv4Net::new(first.into(), length).ok()?.to_string()
            }
            Part::Account
            | Part::Deployer
            | Part::Attribute(_)
            | Part::Split { .. }
            | Part::Variable(_)
            | Part::Item => {
                return None;
            }
        })
    }

    /// The text with everything that the scope gives put back.
    pub(super) fn fill(&self, text: &Text) -> Text {
        join(text.iter().map(|part| match self.plain(part) {
            Some(text) => Part::Literal(text),
            None => part.clone(),
        }))
    }
}

/// The range of the scope's VPC, made or found.
fn vpc_range(graph: &Graph) -> Option<Ipv4Net> {
    let address = Address::new("network/vpc").ok()?;
    match graph.get(&address)?.properties.get("CidrBlock")? {
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Neither letters nor digits beside it, and no `-` before it.
fn is_apart(before: Option<char>, after: Option<char>) -> bool {
    !before.is_some_and(|last| last.is_ascii_alphanumeric() || last == '-')
        && !after.is_some_and(|next| next.is_ascii_alphanumeric())
}

/// Puts `part` where `word` stands in the literals, if what stands before and after allows it.
fn replace(
    text: Text,
    word: &str,
    part: &Part,
    apart: impl Fn(Option<char>, Option<char>) -> bool,
) -> Text {
    let mut out = Vec::new();
    for piece in text {
        let Part::Literal(literal) = piece else {
            out.push(piece);
            continue;
        };
        let mut done = 0;
        for (at, _) in literal.match_indices(word) {
            let after = literal[at + word.len()..].chars().next();
            if at >= done && apart(literal[..at].chars().next_back(), after) {
                out.push(Part::Literal(literal[done..at].to_owned()));
                out.push(part.clone());
                done = at + word.len();
            }
        }
        out.push(Part::Literal(literal[done..].to_owned()));
    }
    join(out)
}

/// Pieces as a text: neighbouring literals are one, empty ones are none.
pub(super) fn join(parts: impl IntoIterator<Item = Part>) -> Text {
    let mut out: Text = Vec::new();
    for part in parts {
        match (out.last_mut(), part) {
            (_, Part::Literal(text)) if text.is_empty() => {}
            (Some(Part::Literal(last)), Part::Literal(next)) => last.push_str(&next),
            (_, part) => out.push(part),
        }
    }
    out
}

/// A plain text.
pub(super) fn literal(text: impl Into<String>) -> Text {
    join([Part::Literal(text.into())])
}

/// Reads a property's value of one scope.
pub(super) fn read(value: &Value, shape: &Shape<'_>, facts: &Facts) -> Term {
    if shape.is_json() {
        // The provider takes a JSON text where CloudFormation takes any object.
        return match value {
            Value::Object(_) | Value::Array(_) => {
                Term::Json(Box::new(read(value, &Shape::Free, facts)))
            }
            _ => {
                let text = text(value, facts);
                json(&text, facts).map_or(Term::Text(text), |inner| Term::Json(Box::new(inner)))
            }
        };
    }
    match value {
        Value::Bool(value) => Term::Bool(*value),
        Value::Number(number) => Term::Number(number.clone()),
        Value::String(string) => match serde_json::from_str::<Json>(string) {
            // JSON that Terraform would write to the same letters is easier to read as what it stands for.
            Ok(inner)
                if inner.is_object() && written_by_terraform(&inner).as_deref() == Some(string) =>
            {
                Term::Json(Box::new(plain(&inner, facts)))
            }
            _ => Term::Text(facts.cut(string)),
        },
        Value::Array(items) => tag_list(items, facts).unwrap_or_else(|| {
            Term::List(
                items
                    .iter()
                    .map(|item| read(item, &shape.item(), facts).into())
                    .collect(),
            )
        }),
        Value::Object(entries) => {
            let texts: Option<BTreeMap<String, Text>> = entries
                .iter()
                .map(|(key, value)| Some((key.clone(), text_only(value, facts)?)))
                .collect();
            if let Some(tags) = texts.and_then(|texts| tags(texts, false, facts)) {
                return tags;
            }
            Term::Object(
                entries
                    .iter()
                    .map(|(key, value)| {
                        let inner = shape.property(key);
                        // Only a map's keys can be names.
                        let key = if shape.is_map() {
                            facts.cut(key)
                        } else {
                            literal(key)
                        };
                        (key, read(value, &inner, facts).into())
                    })
                    .collect(),
            )
        }
        Value::Json(inner) => Term::Json(Box::new(read(inner, &Shape::Free, facts))),
        Value::Attribute(_)
        | Value::Join(_)
        | Value::Split { .. }
        | Value::Parameter(_)
        | Value::Secret(_) => Term::Text(text(value, facts)),
    }
}

/// A value as a text.
fn text(value: &Value, facts: &Facts) -> Text {
    match value {
        Value::String(text) => facts.cut(text),
        Value::Bool(value) => literal(value.to_string()),
        Value::Number(number) => literal(number.to_string()),
        Value::Join(parts) => join(parts.iter().flat_map(|part| text(part, facts))),
        Value::Split {
            of,
            separator,
            index,
        } => vec![Part::Split {
            of: text(of, facts),
            separator: separator.clone(),
            index: *index,
        }],
        Value::Attribute(reference) => vec![Part::Attribute(reference.clone())],
        Value::Parameter(Parameter::AccountId) => vec![Part::Account],
        Value::Parameter(Parameter::Deployer) => vec![Part::Deployer],
        // CloudFormation reads the secret itself; the ARN of a secret is its identifier.
        Value::Secret(secret) => {
            let key = secret.key.as_deref().unwrap_or_default();
            join([
                Part::Literal("{{resolve:secretsmanager:".to_owned()),
                Part::Attribute(Reference {
                    to: secret.secret.clone(),
                    attribute: Attribute::Identifier,
                }),
                Part::Literal(format!(":SecretString:{key}}}}}")),
            ])
        }
        Value::Array(_) | Value::Object(_) | Value::Json(_) => Vec::new(),
    }
}

fn text_only(value: &Value, facts: &Facts) -> Option<Text> {
    matches!(
        value,
        Value::String(_) | Value::Join(_) | Value::Attribute(_) | Value::Parameter(_)
    )
    .then(|| text(value, facts))
}

/// `[{"Key": …, "Value": …}]` with the owner's tags in it.
fn tag_list(items: &[Value], facts: &Facts) -> Option<Term> {
    let mut texts = BTreeMap::new();
    for item in items {
        let Value::Object(pair) = item else {
            return None;
        };
        match (pair.get("Key"), pair.get("Value"), pair.len()) {
            (Some(Value::String(key)), Some(value), 2) => {
                texts.insert(key.clone(), text_only(value, facts)?);
            }
            _ => return None,
        }
    }
    tags(texts, true, facts)
}

/// Tags without those that all resources of the scope have; none if they do not have them all.
fn tags(mut texts: BTreeMap<String, Text>, list: bool, facts: &Facts) -> Option<Term> {
    let own = [
        (owner_tags::PLATFORM, &facts.platform),
        (owner_tags::ENVIRONMENT, &facts.environment),
    ];
    let spec = facts.tags.iter().map(|(key, value)| (key.as_str(), value));
    for (key, value) in spec.chain(own) {
        let text = texts.remove(key)?;
        if facts.fill(&text) != literal(value) {
            // Its own value stands before the scope's.
            texts.insert(key.to_owned(), text);
        }
    }
    let tags = texts
        .into_iter()
        .map(|(key, text)| (key, Term::Text(text).into()))
        .collect();
    Some(Term::Tags(Tags { list, tags }))
}

/// JSON's letters as Terraform's `jsonencode` writes them, which differ from ours only in three that it escapes.
fn written_by_terraform(json: &Json) -> Option<String> {
    let text = json.to_string();
    (!text.contains(['<', '>', '&'])).then_some(text)
}

/// Plain JSON, with what the scope gives cut out of its texts.
fn plain(json: &Json, facts: &Facts) -> Term {
    match json {
        Json::Null => Term::Object(BTreeMap::new()),
        Json::Bool(value) => Term::Bool(*value),
        Json::Number(number) => Term::Number(number.clone()),
        Json::String(text) => Term::Text(facts.cut(text)),
        Json::Array(items) => {
            Term::List(items.iter().map(|item| plain(item, facts).into()).collect())
        }
        Json::Object(entries) => {
            let texts: Option<BTreeMap<String, Text>> = entries
                .iter()
                .map(|(key, value)| Some((key.clone(), facts.cut(value.as_str()?))))
                .collect();
            if let Some(tags) = texts.and_then(|texts| tags(texts, false, facts)) {
                return tags;
            }
            let entry =
                |(key, value): (&String, &Json)| (facts.cut(key), plain(value, facts).into());
            Term::Object(entries.iter().map(entry).collect())
        }
    }
}

/// The value that a JSON text with holes stands for, if it is one: each hole must lie in a string.
fn json(text: &Text, facts: &Facts) -> Option<Term> {
    // Private-use characters stand for the holes while the JSON is read.
    const FIRST: u32 = 0xE000;
    let mut holes = Vec::new();
    let mut source = String::new();
    for part in text {
        match part {
            Part::Literal(literal) => source.push_str(literal),
            hole => {
                source.push(char::from_u32(FIRST + u32::try_from(holes.len()).ok()?)?);
                holes.push(hole.clone());
            }
        }
    }
    let json: Map<String, Json> = serde_json::from_str(&source).ok()?;
    let fill = |text: &str| {
        join(text.chars().map(|character| {
            u32::from(character)
                .checked_sub(FIRST)
                .and_then(|index| holes.get(usize::try_from(index).ok()?))
                .cloned()
                .unwrap_or_else(|| Part::Literal(character.to_string()))
        }))
    };
    Some(refill(&plain(&Json::Object(json), facts), &fill))
}

fn refill(term: &Term, fill: &impl Fn(&str) -> Text) -> Term {
    let text = |text: &Text| {
        join(text.iter().flat_map(|part| match part {
            Part::Literal(literal) => fill(literal),
            other => vec![other.clone()],
        }))
    };
    match term {
        Term::Text(inner) => Term::Text(text(inner)),
        Term::List(items) => Term::List(
            items
                .iter()
                .map(|item| refill(&item.term, fill).into())
                .collect(),
        ),
        Term::Object(entries) => Term::Object(
            entries
                .iter()
                .map(|(key, item)| (text(key), refill(&item.term, fill).into()))
                .collect(),
        ),
        Term::Tags(tags) => Term::Tags(Tags {
            list: tags.list,
            tags: tags
                .tags
                .iter()
                .map(|(key, item)| (key.clone(), refill(&item.term, fill).into()))
                .collect(),
        }),
        other => other.clone(),
    }
}

impl Term {
    /// Calls `visit` on every piece of every text in it.
    pub(super) fn parts<'a>(&'a self, visit: &mut impl FnMut(&'a Part)) {
        fn pieces<'a>(text: &'a Text, visit: &mut impl FnMut(&'a Part)) {
            for part in text {
                visit(part);
                if let Part::Split { of, .. } = part {
                    pieces(of, visit);
                }
            }
        }
        match self {
            Self::Text(text) | Self::Each(_, text) => pieces(text, visit),
            Self::List(items) => items.iter().for_each(|item| item.term.parts(visit)),
            Self::Object(entries) => {
                for (key, item) in entries {
                    pieces(key, visit);
                    item.term.parts(visit);
                }
            }
            Self::Json(inner) => inner.parts(visit),
            Self::Tags(tags) => tags.tags.values().for_each(|item| item.term.parts(visit)),
            Self::If(_, then, otherwise) => {
                then.parts(visit);
                otherwise.parts(visit);
            }
            Self::Bool(_) | Self::Number(_) | Self::Variable(_) => {}
        }
    }

    /// The resources that it refers to.
    pub(super) fn references(&self) -> BTreeSet<&Reference> {
        let mut found = BTreeSet::new();
        self.parts(&mut |part| {
            if let Part::Attribute(reference) = part {
                found.insert(reference);
            }
        });
        found
    }
}
