//! Whether a property document is what its type takes.
//!
//! The official schemas are JSON Schema with some keywords more ([`crate::keywords`]). They are compiled a type at a
//! time, at the first use. Values are checked strictly: `"60"` is no integer, because Cloud Control checks the same way
//! (CloudFormation's own coercion of strings is not to be relied on). Messages never show a value that may be a
//! secret.

use std::fmt;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::{Map, Value};

use crate::keywords::{self, LAZY_PATTERN, alternatives};
use crate::property_path::PropertyPath;
use crate::schema::ResourceSchema;

/// How the message of a value begins that has several allowed forms.
const NO_FORM: &str = "fits none of the allowed forms";

/// One thing that is wrong with a property document.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// Where: the property, or the object that lacks one; the root is the whole document.
    pub path: PropertyPath,
    /// What was expected, for a person.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_root() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

impl ResourceSchema {
    /// What is wrong with `properties` by the type's schema; empty when nothing is.
    ///
    /// Read-only properties may be set: this is right for what AWS returns. For what is sent to it use
    /// [`validate_desired`](Self::validate_desired).
    #[must_use]
    pub fn validate(&self, properties: &Value) -> Vec<Violation> {
        let validator = match self.checker() {
            Checker::Compiled(validator) => validator,
            Checker::Unusable(reason) => {
                let message = format!(
                    "the schema of {} cannot be checked: {reason}",
                    self.type_name()
                );
                return vec![Violation {
                    path: PropertyPath::root(),
                    message,
                }];
            }
        };
        let mut violations = Vec::new();
        for error in validator.iter_errors(properties) {
            self.explain(&error, &mut violations);
        }
        // Beside a fault that says what was expected, that no form fits adds nothing.
        let explained: Vec<PropertyPath> = violations
            .iter()
            .filter(|violation| !violation.message.starts_with(NO_FORM))
            .map(|violation| violation.path.clone())
            .collect();
        violations.retain(|violation| {
            !violation.message.starts_with(NO_FORM) || !explained.contains(&violation.path)
        });
        violations.sort_by(|a, b| (&a.path, &a.message).cmp(&(&b.path, &b.message)));
        violations.dedup();
        violations
    }

    /// What is wrong with `properties` as a desired state: [`validate`](Self::validate), and no property is set that only
    /// AWS sets.
    #[must_use]
    pub fn validate_desired(&self, properties: &Value) -> Vec<Violation> {
        let mut violations = self.validate(properties);
        for property in self.read_only() {
            for (path, _) in property.select(properties) {
                let message = "is set by AWS and cannot be given".to_owned();
                violations.push(Violation { path, message });
            }
        }
        violations.sort_by(|a, b| (&a.path, &a.message).cmp(&(&b.path, &b.message)));
        violations
    }

    /// Whether the value at `path` is a secret by its name: it must be shown nowhere, neither in a message nor in a plan.
    ///
    /// That a property cannot be read back does not make it one (an engine version is no secret).
    #[must_use]
    pub fn is_secret(&self, path: &PropertyPath) -> bool {
        const ENDINGS: [&str; 8] = [
            "password",
            "secretstring",
            "authtoken",
            "clientsecret",
            "secretkey",
            "privatekey",
            "apikeyvalue",
            "userdata",
        ];
        path.segments().iter().any(|segment| {
            let segment = segment.to_ascii_lowercase();
            // How a secret is to be generated is no secret.
            segment != "generatesecretstring"
                && ENDINGS.iter().any(|ending| segment.ends_with(ending))
        })
    }

    fn explain(&self, error: &ValidationError<'_>, violations: &mut Vec<Violation>) {
        let path = PropertyPath::from_json_pointer(error.instance_path().as_str());
        let shown = Shown {
            value: error.instance(),
            secret: self.is_secret(&path),
        };
        let message = match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                for name in unexpected {
                    let message = self.unknown_property(&path, name, error.instance());
                    violations.push(Violation {
                        path: path.join(name),
                        message,
                    });
                }
                return;
            }
            ValidationErrorKind::Required { property } => {
                format!(
                    "`{}` is required and is missing",
                    property.as_str().unwrap_or_default()
                )
            }
            ValidationErrorKind::Type { kind } => {
                format!("expected {}, got {}", type_words(kind), shown.with_type())
            }
            ValidationErrorKind::Enum { options } => {
                let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
                self.expected_one_of(options, &shown)
            }
            ValidationErrorKind::Constant { expected_value } => {
                format!("expected {expected_value}, got {shown}")
            }
            ValidationErrorKind::MinLength { limit } => {
                format!(
                    "expected at least {limit} characters, got {}",
                    shown.length()
                )
            }
            ValidationErrorKind::MaxLength { limit } => {
                format!(
                    "expected at most {limit} characters, got {}",
                    shown.length()
                )
            }
            ValidationErrorKind::MinItems { limit } => {
                format!("expected at least {limit} elements, got {}", shown.length())
            }
            ValidationErrorKind::MaxItems { limit } => {
                format!("expected at most {limit} elements, got {}", shown.length())
            }
            ValidationErrorKind::Minimum { limit } => {
                format!("expected {limit} or more, got {shown}")
            }
            ValidationErrorKind::Maximum { limit } => {
                format!("expected {limit} or less, got {shown}")
            }
            ValidationErrorKind::UniqueItems => {
                "the elements have to differ from each other".to_owned()
            }
            ValidationErrorKind::Custom { message, .. } => match error.instance() {
                value if value.is_string() || value.is_number() => {
                    format!("{message}, got {shown}")
                }
                _ => message.clone(),
            },
            ValidationErrorKind::AnyOf { context }
            | ValidationErrorKind::OneOfNotValid { context } => self.no_form_fits(context),
            ValidationErrorKind::OneOfMultipleValid { .. } => {
                "fits more than one of the allowed forms, and has to fit exactly one".to_owned()
            }
            ValidationErrorKind::Not { .. } => format!("{shown} is not allowed here"),
            ValidationErrorKind::FalseSchema => "is not allowed here".to_owned(),
            // The rest does not occur in the schemas of today; the library's own words repeat the value.
            _ if shown.secret => "does not have the form that the schema asks for".to_owned(),
            _ => error.to_string(),
        };
        violations.push(Violation { path, message });
    }

    fn unknown_property(&self, parent: &PropertyPath, name: &str, instance: &Value) -> String {
        let known: Vec<&str> = self
            .property(parent)
            .and_then(|schema| schema["properties"].as_object())
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let set = |candidate: &str| instance.get(candidate).is_some();
        match nearest(name, known.into_iter().filter(|candidate| !set(candidate))) {
            Some(candidate) => format!("unknown property, did you mean `{candidate}`?"),
            None => "unknown property".to_owned(),
        }
    }

    fn expected_one_of(&self, options: &[Value], shown: &Shown<'_>) -> String {
        /// More than this is not read by anybody.
        const LISTED: usize = 12;
        let texts: Vec<String> = options
            .iter()
            .map(|option| {
                option
                    .as_str()
                    .map_or_else(|| option.to_string(), str::to_owned)
            })
            .collect();
        if texts.len() <= LISTED {
            return format!("expected {}, got {shown}", alternatives(&texts));
        }
        let hint = shown
            .value
            .as_str()
            .and_then(|text| nearest(text, texts.iter().map(String::as_str)))
            .map(|candidate| format!(", did you mean `{candidate}`?"))
            .unwrap_or_default();
        format!(
            "{shown} is none of the {} allowed values{hint}",
            texts.len()
        )
    }

    /// Says what is wrong with the form that comes nearest: the one with the fewest faults.
    fn no_form_fits(&self, forms: &[Vec<ValidationError<'static>>]) -> String {
        let Some(nearest) = forms
            .iter()
            .filter(|errors| !errors.is_empty())
            .min_by_key(|errors| errors.len())
        else {
            return NO_FORM.to_owned();
        };
        let mut inner = Vec::new();
        for error in nearest {
            self.explain(error, &mut inner);
        }
        let reasons: Vec<String> = inner.iter().map(ToString::to_string).collect();
        format!("{NO_FORM}; the nearest fails with: {}", reasons.join("; "))
    }
}

/// The compiled schema of a type.
pub(crate) enum Checker {
    Compiled(Box<Validator>),
    /// The schema (a live one: those of the bundle all compile) is beyond the library. Says why.
    Unusable(String),
}

impl Checker {
    pub(crate) fn compile(document: &Value) -> Self {
        keywords::register(jsonschema::options())
            .with_draft(Draft::Draft202012)
            .should_validate_formats(false)
            .build(&checkable(document))
            .map_or_else(
                |error| Self::Unusable(error.to_string()),
                |validator| Self::Compiled(Box::new(validator)),
            )
    }
}

/// The part of a resource schema that is JSON Schema, with its patterns in ECMA's words.
fn checkable(document: &Value) -> Value {
    /// What is said of the type beside the form of its properties.
    const NOT_FORM: [&str; 8] = [
        "handlers",
        "tagging",
        "propertyTransform",
        "$schema",
        "$id",
        "resourceLink",
        "typeConfiguration",
        "replacementStrategy",
    ];
    let mut schema: Map<String, Value> = document.as_object().cloned().unwrap_or_default();
    schema.retain(|key, _| !NOT_FORM.contains(&key.as_str()));
    let mut schema = Value::Object(schema);
    make_patterns_lazy(&mut schema, false);
    schema
}

/// Renames every `pattern` keyword to the one that compiles late.
///
/// `named`: the value maps names to schemas, so that a `pattern` in it is a property's name.
fn make_patterns_lazy(schema: &mut Value, named: bool) {
    match schema {
        Value::Object(map) => {
            if !named && let Some(Value::String(pattern)) = map.get("pattern") {
                let pattern = ecma(pattern);
                map.remove("pattern");
                map.insert(LAZY_PATTERN.to_owned(), Value::String(pattern));
            }
            for (key, inner) in map.iter_mut() {
                let names = !named
                    && matches!(
                        key.as_str(),
                        "properties" | "patternProperties" | "definitions"
                    );
                make_patterns_lazy(inner, names);
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|inner| make_patterns_lazy(inner, false)),
        _ => {}
    }
}

/// A pattern in ECMA's words: Python and Java write the ends of the text as `\A`, `\Z` and `\z`, ECMA, without the
/// multiline flag, as `^` and `$`.
fn ecma(pattern: &str) -> String {
    pattern
        .replace("\\Z", "$")
        .replace("\\z", "$")
        .replace("\\A", "^")
}

/// A value as a message shows it.
struct Shown<'a> {
    value: &'a Value,
    secret: bool,
}

impl Shown<'_> {
    fn with_type(&self) -> String {
        let kind = match self.value {
            Value::Null => return "null".to_owned(),
            Value::Bool(_) => "the boolean",
            Value::Number(_) => "the number",
            Value::String(_) => "the string",
            Value::Array(_) => return "an array".to_owned(),
            Value::Object(_) => return "an object".to_owned(),
        };
        if self.secret {
            kind.replace("the", "a")
        } else {
            format!("{kind} {self}")
        }
    }

    fn length(&self) -> usize {
        match self.value {
            Value::String(text) => text.chars().count(),
            Value::Array(items) => items.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Longer values are cut: the path says where the rest is.
        const LIMIT: usize = 80;
        if self.secret {
            return f.write_str("the value (not shown)");
        }
        let text = self.value.to_string();
        match text.char_indices().nth(LIMIT) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(&text),
        }
    }
}

fn type_words(kind: &TypeKind) -> String {
    let word = |name: &str| match name {
        "array" => "an array".to_owned(),
        "object" => "an object".to_owned(),
        "integer" => "an integer".to_owned(),
        other => format!("a {other}"),
    };
    match kind {
        TypeKind::Single(one) => word(&one.to_string()),
        TypeKind::Multiple(several) => several
            .iter()
            .map(|one| word(&one.to_string()))
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

/// The candidate that is most like `text`, if one is.
fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this similarity (Jaro-Winkler, 0 to 1) a suggestion confuses more than it helps.
    const ALIKE: f64 = 0.8;
    let lower = text.to_ascii_lowercase();
    candidates
        .map(|candidate| {
            (
                strsim::jaro_winkler(&lower, &candidate.to_ascii_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TypeName;
    use serde_json::json;

    fn of(name: &'static str) -> &'static ResourceSchema {
        crate::schema(&TypeName::new(name)).unwrap()
    }

    fn told(violations: &[Violation]) -> Vec<String> {
        violations.iter().map(ToString::to_string).collect()
    }

    fn collect_patterns(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(map) => {
                found.extend(
                    map.get(LAZY_PATTERN)
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                map.values()
                    .for_each(|inner| collect_patterns(inner, found));
            }
            Value::Array(items) => items
                .iter()
                .for_each(|inner| collect_patterns(inner, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_compiles_with_all_its_patterns_and_refuses_what_it_does_not_know() {
        for schema in crate::schemas() {
            assert!(
                matches!(schema.checker(), Checker::Compiled(_)),
                "{schema:?}"
            );
            let mut patterns = Vec::new();
            collect_patterns(&checkable(schema.document()), &mut patterns);
            for pattern in patterns {
                let alone = json!({ "pattern": pattern });
                assert!(
                    jsonschema::options().build(&alone).is_ok(),
                    "{schema:?}: {pattern}"
                );
            }
            let found = schema.validate(&json!({"NoSuchProperty": 1}));
            let unknown = found
                .iter()
                .any(|violation| violation.message.starts_with("unknown property"));
            assert!(unknown, "{schema:?} takes any property");
        }
    }

    #[test]
    fn a_good_document_has_no_violation() {
        let vpc = json!({"CidrBlock": "10.0.0.0/16", "EnableDnsHostnames": true, "Tags": [{"Key": "Name", "Value": "x"}]});
        assert_eq!(of("AWS::EC2::VPC").validate_desired(&vpc), []);
    }

    #[test]
    fn messages_name_the_place_and_what_was_expected() {
        for (name, properties, expected) in [
            (
                "AWS::EC2::VPC",
                json!({"CidrBlock": "10.0.0.0/16", "EnableDnsHostname": true}),
                "EnableDnsHostname: unknown property, did you mean `EnableDnsHostnames`?",
            ),
            (
                "AWS::EC2::VPC",
                json!({"CidrBlock": "10.0.0.0/16", "EnableDnsHostnames": "true"}),
                "EnableDnsHostnames: expected a boolean, got the string \"true\"",
            ),
            (
                "AWS::EC2::VPC",
                json!({}),
                "exactly one of `CidrBlock` or `Ipv4IpamPoolId` has to be set, and none is",
            ),
            (
                "AWS::EC2::VPC",
                json!({"CidrBlock": "10.0.0.0/16", "Tags": [{"Key": "Name"}]}),
                "Tags.0: `Value` is required and is missing",
            ),
            (
                "AWS::EC2::VPC",
                json!({"CidrBlock": "10.0.0.0/16", "VpcId": "vpc-1"}),
                "VpcId: is set by AWS and cannot be given",
            ),
            (
                "AWS::SQS::Queue",
                json!({"MessageRetentionPeriod": "60"}),
                "MessageRetentionPeriod: expected an integer, got the string \"60\"",
            ),
            (
                "AWS::ECR::Repository",
                json!({"ImageTagMutability": "NEVER"}),
                "ImageTagMutability: expected `MUTABLE`, `IMMUTABLE`, `MUTABLE_WITH_EXCLUSION` or `IMMUTABLE_WITH_EXCLUSION`, got \"NEVER\"",
            ),
        ] {
            let violations = told(&of(name).validate_desired(&properties));
            assert!(
                violations.iter().any(|told| told == expected),
                "{violations:?} lacks {expected:?}"
            );
        }
    }

    #[test]
    fn keywords_beyond_json_schema_take_part() {
        let subnet = json!({"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24", "AvailabilityZone": "a", "AvailabilityZoneId": "b"});
        assert_eq!(
            told(&of("AWS::EC2::Subnet").validate(&subnet)).len(),
            1,
            "{:?}",
            of("AWS::EC2::Subnet").validate(&subnet)
        );
        let broker = |mode: &str| {
            json!({"BrokerName": "b", "EngineType": "RabbitMQ", "DeploymentMode": mode, "HostInstanceType": "mq.m7g.medium",
                   "PubliclyAccessible": false, "Users": [{"Username": "user", "Password": "long-enough-1"}]})
        };
        assert_eq!(
            of("AWS::AmazonMQ::Broker").validate(&broker("CLUSTER_MULTI_AZ")),
            []
        );
        assert_eq!(
            of("AWS::AmazonMQ::Broker").validate(&broker("NONE")).len(),
            1
        );
    }

    #[test]
    fn patterns_are_checked_though_late() {
        let key = |window: &str| json!({"AliasName": window, "TargetKeyId": "k"});
        let alias = of("AWS::KMS::Alias");
        assert_eq!(alias.validate(&key("alias/shop")), []);
        let wrong = told(&alias.validate(&key("shop")));
        assert!(
            wrong.len() == 1 && wrong[0].contains("pattern") && wrong[0].ends_with("got \"shop\""),
            "{wrong:?}"
        );
    }

    #[test]
    fn no_message_shows_what_may_be_a_secret() {
        let secret = "hunter2-hunter2";
        for (name, properties) in [
            (
                "AWS::SecretsManager::Secret",
                json!({"Name": "s", "SecretString": [secret]}),
            ),
            (
                "AWS::SecretsManager::Secret",
                json!({"Name": "s", "SecretString": {"a": secret}}),
            ),
            (
                "AWS::AmazonMQ::Broker",
                json!({"BrokerName": "b", "Users": [{"Username": "u", "Password": [secret]}], "EngineType": "RABBITMQ"}),
            ),
            (
                "AWS::ElastiCache::ReplicationGroup",
                json!({"ReplicationGroupDescription": "d", "AuthToken": {"x": secret}}),
            ),
        ] {
            let violations = of(name).validate(&properties);
            assert!(!violations.is_empty(), "{name}");
            assert!(
                !format!("{violations:?}").contains(secret),
                "{violations:?}"
            );
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_compiled_costs_only_itself() {
        let live = json!({
            "typeName": "AWS::Test::Thing", "primaryIdentifier": ["/properties/Id"], "additionalProperties": false,
            "properties": {"Id": {"type": "string", "pattern": "(?<=["}, "Size": {"type": "integer"}},
        });
        let schema = ResourceSchema::from_document(live).unwrap();
        assert_eq!(
            told(&schema.validate(&json!({"Id": "x", "Size": "1"}))).len(),
            1
        );
    }
}
