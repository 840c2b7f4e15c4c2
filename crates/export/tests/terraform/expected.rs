//! What a graph's resources are in Terraform, said a second time and otherwise than in the exporter: names by a regular
//! expression, the `aws` provider's resources by hand.

use std::sync::LazyLock;

use catalog::ids::Address;
use graph::{Attribute, Graph, Lifecycle, Lookup, Parameter, Reference, Resource, SecretReference};
use regex::Regex;
use serde_json::{Map, Value as Json, json};

/// The account in all evaluations.
pub(crate) const ACCOUNT: &str = "111122223333";
/// Who deploys in all evaluations.
pub(crate) const DEPLOYER: &str = "arn:aws:iam::111122223333:role/deployer";

/// What stands for an attribute that AWS gives.
pub(crate) fn marker(address: &Address, property: &str) -> String {
    let scheme = if property.ends_with("Url") {
        "https://"
    } else {
        ""
    };
    format!("{scheme}<{address}.{property}>")
}

struct Markers<'g>(&'g Graph);

impl Lookup for Markers<'_> {
    fn attribute(&self, reference: &Reference) -> Option<Json> {
        let target = self.0.get(&reference.to)?;
        let schema = catalog::schema(&target.type_name)?;
        let identifier = match schema.primary_identifier() {
            [only] => only.to_string(),
            _ => "Identifier".to_owned(),
        };
        let property = match &reference.attribute {
            Attribute::Identifier => identifier.clone(),
            Attribute::Property(path) => path.to_string(),
        };
        match &target.lifecycle {
            Lifecycle::Existing(id) if property == identifier => Some(json!(id.to_string())),
            _ => Some(json!(marker(&reference.to, &property))),
        }
    }

    fn parameter(&self, parameter: Parameter) -> Option<String> {
        Some(match parameter {
            Parameter::AccountId => ACCOUNT.to_owned(),
            Parameter::Deployer => DEPLOYER.to_owned(),
        })
    }

    fn is_new_secret(&self, _: &SecretReference) -> bool {
        false
    }
}

/// A resource's properties as CloudFormation has them, with markers for what AWS gives and a dynamic reference for a
/// secret.
pub(crate) fn properties(graph: &Graph, resource: &Resource) -> Json {
    fn secrets(json: &mut Json) {
        if let Some(secret) = graph::as_secret(json) {
            let arn = marker(&secret.secret, "Id");
            *json = json!(format!(
                "{{{{resolve:secretsmanager:{arn}:SecretString:{}}}}}",
                secret.key.unwrap_or_default()
            ));
            return;
        }
        match json {
            Json::Object(object) => object.values_mut().for_each(secrets),
            Json::Array(items) => items.iter_mut().for_each(secrets),
            _ => {}
        }
    }
    let lookup = Markers(graph);
    let mut json: Json = resource
        .properties
        .iter()
        .map(|(name, value)| (name.clone(), graph::resolve(value, &lookup)))
        .collect::<Map<_, _>>()
        .into();
    secrets(&mut json);
    json
}

/// `cluster_security_group_id`, by what stands between words.
pub(crate) fn snake(name: &str) -> String {
    let name = name
        .replace("CloudWatch", "Cloudwatch")
        .replace("CloudFormation", "Cloudformation")
        .replace("CloudFront", "Cloudfront")
        .replace("CNAMEs", "Cnames")
        .replace("FSx", "Fsx")
        .replace("OTel", "Otel");
    static WORDS: LazyLock<Regex> = LazyLock::new(|| Regex::new("([A-Z])([A-Z][a-z])").unwrap());
    static ENDS: LazyLock<Regex> = LazyLock::new(|| Regex::new("([a-z])([A-Z0-9])").unwrap());
    let name = WORDS.replace_all(&name, "${1}_${2}");
    ENDS.replace_all(&name, "${1}_${2}").to_lowercase()
}

/// `awscc_ec2_vpc`.
pub(crate) fn awscc_type(type_name: &str) -> String {
    let parts: Vec<&str> = type_name.split("::").collect();
    format!("awscc_{}_{}", parts[1].to_lowercase(), snake(parts[2]))
}

/// A type's own attribute.
pub(crate) fn root(type_name: &str, property: &str) -> String {
    if property == "Id" {
        return format!("{}_id", snake(type_name.rsplit("::").next().unwrap()));
    }
    snake(property)
}

/// The schema behind a property or an item.
fn resolved<'a>(document: &'a Json, mut node: &'a Json) -> &'a Json {
    while let Some(reference) = node["$ref"].as_str() {
        node = document.pointer(reference.trim_start_matches('#')).unwrap();
    }
    node
}

/// Properties as `awscc` takes them.
pub(crate) fn awscc(type_name: &str, properties: &Json) -> Json {
    let schema = catalog::schema(&type_name.parse().unwrap()).unwrap();
    let document = schema.document();
    let mut out = Map::new();
    for (name, value) in properties.as_object().unwrap() {
        let node = resolved(document, &document["properties"][name]);
        out.insert(root(type_name, name), renamed(document, node, value));
    }
    out.into()
}

fn renamed(document: &Json, node: &Json, value: &Json) -> Json {
    let is = |kind: &str| {
        node["type"] == kind
            || node["type"]
                .as_array()
                .is_some_and(|kinds| kinds.contains(&json!(kind)))
    };
    if (is("object") || node.get("type").is_none())
        && node.get("properties").is_none()
        && node.get("patternProperties").is_none()
    {
        // JSON to the provider.
        return match value {
            Json::String(text) => json!({ "$json": normal(&serde_json::from_str(text).unwrap()) }),
            other => json!({ "$json": normal(other) }),
        };
    }
    match value {
        Json::Object(object) => object
            .iter()
            .map(|(key, value)| match node["properties"].get(key) {
                Some(inner) => (
                    snake(key),
                    renamed(document, resolved(document, inner), value),
                ),
                None => (key.clone(), value.clone()),
            })
            .collect::<Map<_, _>>()
            .into(),
        Json::Array(items) => items
            .iter()
            .map(|item| renamed(document, resolved(document, &node["items"]), item))
            .collect(),
        other => other.clone(),
    }
}

/// A policy with lists of one as that one, as IAM reads them.
pub(crate) fn normal(json: &Json) -> Json {
    match json {
        Json::Array(items) if items.len() == 1 => normal(&items[0]),
        Json::Array(items) => items.iter().map(normal).collect(),
        Json::Object(object) => object
            .iter()
            .map(|(key, value)| (key.clone(), normal(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// Tag lists in one order, for they are sets; absent what is `null`.
pub(crate) fn ordered(json: &Json) -> Json {
    match json {
        Json::Array(items) => {
            let mut items: Vec<Json> = items.iter().map(ordered).collect();
            let key = |item: &Json| {
                item.get("key")
                    .or_else(|| item.get("Key"))
                    .map(ToString::to_string)
            };
            let pairs = items.iter().all(|item| {
                item.as_object().is_some_and(|pair| {
                    pair.len() == 2 && (pair.contains_key("value") || pair.contains_key("Value"))
                }) && key(item).is_some()
            });
            if pairs {
                items.sort_by_key(key);
            }
            items.into()
        }
        Json::Object(object) => object
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), ordered(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// Properties as the `aws` provider takes them, blocks as lists.
pub(crate) fn aws(type_name: &str, given: &Json) -> Option<(&'static str, Json)> {
    let tags = |list: &Json| -> Json {
        list.as_array()
            .unwrap()
            .iter()
            .map(|tag| {
                (
                    tag["Key"].as_str().unwrap().to_owned(),
                    tag["Value"].clone(),
                )
            })
            .collect::<Map<_, _>>()
            .into()
    };
    let empty = |object: &Json| -> Json {
        object
            .as_object()
            .unwrap()
            .keys()
            .map(|key| (key.to_lowercase(), json!([{}])))
            .collect::<Map<_, _>>()
            .into()
    };
    let flat = |object: &Json| -> Json {
        object
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (snake(key), value.clone()))
            .collect::<Map<_, _>>()
            .into()
    };
    Some(match type_name {
        "AWS::EKS::Nodegroup" => {
            let template = &given["LaunchTemplate"];
            (
                "aws_eks_node_group",
                json!({
                    "ami_type": given["AmiType"],
                    "capacity_type": given["CapacityType"],
                    "cluster_name": given["ClusterName"],
                    "instance_types": given["InstanceTypes"],
                    "labels": given["Labels"],
                    "launch_template": [{ "id": template["Id"], "version": template["Version"] }],
                    "node_repair_config": [flat(&given["NodeRepairConfig"])],
                    "node_role_arn": given["NodeRole"],
                    "node_group_name": given["NodegroupName"],
                    "scaling_config": [flat(&given["ScalingConfig"])],
                    "subnet_ids": given["Subnets"],
                    "tags": given["Tags"],
                    "taint": given["Taints"].as_array().unwrap().iter().map(flat).collect::<Json>(),
                    "update_config": [flat(&given["UpdateConfig"])],
                    "version": given["Version"],
                }),
            )
        }
        "AWS::WAFv2::WebACL" => {
            let rule = |rule: &Json| {
                let statement: Map<String, Json> = rule["Statement"]
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(kind, statement)| (snake(kind), json!([flat(statement)])))
                    .collect();
                let mut out = json!({
                    "name": rule["Name"],
                    "priority": rule["Priority"],
                    "statement": [statement],
                    "visibility_config": [flat(&rule["VisibilityConfig"])],
                });
                for (theirs, ours) in [("Action", "action"), ("OverrideAction", "override_action")]
                {
                    if let Some(action) = rule.get(theirs) {
                        out[ours] = json!([empty(action)]);
                    }
                }
                out
            };
            (
                "aws_wafv2_web_acl",
                json!({
                    "default_action": [empty(&given["DefaultAction"])],
                    "name": given["Name"],
                    "rule": given["Rules"].as_array().unwrap().iter().map(rule).collect::<Json>(),
                    "scope": given["Scope"],
                    "tags": tags(&given["Tags"]),
                    "visibility_config": [flat(&given["VisibilityConfig"])],
                }),
            )
        }
        "AWS::Budgets::Budget" => {
            let budget = &given["Budget"];
            let notification = |each: &Json| {
                let mut out = flat(&each["Notification"]);
                out["subscriber_email_addresses"] = each["Subscribers"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|subscriber| {
                        assert_eq!(subscriber["SubscriptionType"], "EMAIL");
                        subscriber["Address"].clone()
                    })
                    .collect();
                out
            };
            (
                "aws_budgets_budget",
                json!({
                    "budget_type": budget["BudgetType"],
                    "limit_amount": budget["BudgetLimit"]["Amount"].to_string(),
                    "limit_unit": budget["BudgetLimit"]["Unit"],
                    "name": budget["BudgetName"],
                    "notification": given["NotificationsWithSubscribers"].as_array().unwrap().iter().map(notification).collect::<Json>(),
                    "tags": tags(&given["ResourceTags"]),
                    "time_unit": budget["TimeUnit"],
                }),
            )
        }
        _ => return None,
    })
}
