//! What `awscc` cannot manage, as resources of the `aws` provider: a table for each type, from CloudFormation's
//! properties to arguments and blocks. A property that a table does not know is an error, never left out.

use catalog::TypeName;
use graph::Attribute;

use super::hcl::{Block, Body, Expr, Line};
use super::names::property_of;
use super::render::Renderer;
use super::schema::Shape;
use super::term::{Item, Part, Term};
use super::unify::Environments;

/// What becomes of a property.
enum To {
    /// An argument.
    Argument(&'static str),
    /// An argument that is a text here and a number in CloudFormation.
    Text(&'static str),
    /// Tags, a map here.
    Tags,
    /// A block for the object.
    Block(&'static str, &'static [(&'static str, To)]),
    /// A block for each item of the list.
    Blocks(&'static str, &'static [(&'static str, To)]),
    /// The object's properties are the parent's here.
    Lifted(&'static [(&'static str, To)]),
    /// A budget's subscribers: lists of addresses by their kind.
    Subscribers,
}

/// A type's table.
struct Table {
    cloudformation: &'static str,
    resource: &'static str,
    properties: &'static [(&'static str, To)],
    /// Properties that others refer to, and the attributes that they are here.
    attributes: &'static [(&'static str, &'static str)],
}

const VISIBILITY: &[(&str, To)] = &[
    (
        "CloudWatchMetricsEnabled",
        To::Argument("cloudwatch_metrics_enabled"),
    ),
    ("MetricName", To::Argument("metric_name")),
    (
        "SampledRequestsEnabled",
        To::Argument("sampled_requests_enabled"),
    ),
];

const RULE_ACTION: &[(&str, To)] = &[
    ("Allow", To::Block("allow", &[])),
    ("Block", To::Block("block", &[])),
    ("Captcha", To::Block("captcha", &[])),
    ("Challenge", To::Block("challenge", &[])),
    ("Count", To::Block("count", &[])),
];

/// Names from the documentation of the `aws` provider 6.25: eks_node_group, wafv2_web_acl, budgets_budget,
/// route53_record.
static TABLES: [Table; 4] = [
    Table {
        cloudformation: "AWS::EKS::Nodegroup",
        resource: "aws_eks_node_group",
        properties: &[
            ("AmiType", To::Argument("ami_type")),
            ("CapacityType", To::Argument("capacity_type")),
            ("ClusterName", To::Argument("cluster_name")),
            ("DiskSize", To::Argument("disk_size")),
            ("InstanceTypes", To::Argument("instance_types")),
            ("Labels", To::Argument("labels")),
            (
                "LaunchTemplate",
                To::Block(
                    "launch_template",
                    &[
                        ("Id", To::Argument("id")),
                        ("Name", To::Argument("name")),
                        ("Version", To::Argument("version")),
                    ],
                ),
            ),
            (
                "NodeRepairConfig",
                To::Block(
                    "node_repair_config",
                    &[("Enabled", To::Argument("enabled"))],
                ),
            ),
            ("NodeRole", To::Argument("node_role_arn")),
            ("NodegroupName", To::Argument("node_group_name")),
            ("ReleaseVersion", To::Argument("release_version")),
            (
                "ScalingConfig",
                To::Block(
                    "scaling_config",
                    &[
                        ("DesiredSize", To::Argument("desired_size")),
                        ("MaxSize", To::Argument("max_size")),
                        ("MinSize", To::Argument("min_size")),
                    ],
                ),
            ),
            ("Subnets", To::Argument("subnet_ids")),
            ("Tags", To::Tags),
            (
                "Taints",
                To::Blocks(
                    "taint",
                    &[
                        ("Effect", To::Argument("effect")),
                        ("Key", To::Argument("key")),
                        ("Value", To::Argument("value")),
                    ],
                ),
            ),
            (
                "UpdateConfig",
                To::Block(
                    "update_config",
                    &[
                        ("MaxUnavailable", To::Argument("max_unavailable")),
                        (
                            "MaxUnavailablePercentage",
                            To::Argument("max_unavailable_percentage"),
                        ),
                    ],
                ),
            ),
            ("Version", To::Argument("version")),
        ],
        attributes: &[
            ("Arn", "arn"),
            ("Id", "id"),
            ("NodegroupName", "node_group_name"),
        ],
    },
    Table {
        cloudformation: "AWS::WAFv2::WebACL",
        resource: "aws_wafv2_web_acl",
        properties: &[
            (
                "DefaultAction",
                To::Block(
                    "default_action",
                    &[
                        ("Allow", To::Block("allow", &[])),
                        ("Block", To::Block("block", &[])),
                    ],
                ),
            ),
            ("Description", To::Argument("description")),
            ("Name", To::Argument("name")),
            (
                "Rules",
                To::Blocks(
                    "rule",
                    &[
                        ("Action", To::Block("action", RULE_ACTION)),
                        ("Name", To::Argument("name")),
                        (
                            "OverrideAction",
                            To::Block(
                                "override_action",
                                &[
                                    ("Count", To::Block("count", &[])),
                                    ("None", To::Block("none", &[])),
                                ],
                            ),
                        ),
                        ("Priority", To::Argument("priority")),
                        (
                            "Statement",
                            To::Block(
                                "statement",
                                &[
                                    (
                                        "ManagedRuleGroupStatement",
                                        To::Block(
                                            "managed_rule_group_statement",
                                            &[
                                                ("Name", To::Argument("name")),
                                                ("VendorName", To::Argument("vendor_name")),
                                                ("Version", To::Argument("version")),
                                            ],
                                        ),
                                    ),
                                    (
                                        "RateBasedStatement",
                                        To::Block(
                                            "rate_based_statement",
                                            &[
                                                (
                                                    "AggregateKeyType",
                                                    To::Argument("aggregate_key_type"),
                                                ),
                                                (
                                                    "EvaluationWindowSec",
                                                    To::Argument("evaluation_window_sec"),
                                                ),
                                                ("Limit", To::Argument("limit")),
                                            ],
                                        ),
                                    ),
                                ],
                            ),
                        ),
                        (
                            "VisibilityConfig",
                            To::Block("visibility_config", VISIBILITY),
                        ),
                    ],
                ),
            ),
            ("Scope", To::Argument("scope")),
            ("Tags", To::Tags),
            (
                "VisibilityConfig",
                To::Block("visibility_config", VISIBILITY),
            ),
        ],
        attributes: &[
            ("Arn", "arn"),
            ("Id", "id"),
            ("Name", "name"),
            ("Capacity", "capacity"),
        ],
    },
    Table {
        cloudformation: "AWS::Budgets::Budget",
        resource: "aws_budgets_budget",
        properties: &[
            (
                "Budget",
                To::Lifted(&[
                    (
                        "BudgetLimit",
                        To::Lifted(&[
                            ("Amount", To::Text("limit_amount")),
                            ("Unit", To::Argument("limit_unit")),
                        ]),
                    ),
                    ("BudgetName", To::Argument("name")),
                    ("BudgetType", To::Argument("budget_type")),
                    ("TimeUnit", To::Argument("time_unit")),
                ]),
            ),
            (
                "NotificationsWithSubscribers",
                To::Blocks(
                    "notification",
                    &[
                        (
                            "Notification",
                            To::Lifted(&[
                                ("ComparisonOperator", To::Argument("comparison_operator")),
                                ("NotificationType", To::Argument("notification_type")),
                                ("Threshold", To::Argument("threshold")),
                                ("ThresholdType", To::Argument("threshold_type")),
                            ]),
                        ),
                        ("Subscribers", To::Subscribers),
                    ],
                ),
            ),
            ("ResourceTags", To::Tags),
        ],
        attributes: &[],
    },
    Table {
        cloudformation: "AWS::Route53::RecordSet",
        resource: "aws_route53_record",
        properties: &[
            ("HostedZoneId", To::Argument("zone_id")),
            ("Name", To::Argument("name")),
            ("Type", To::Argument("type")),
            ("TTL", To::Argument("ttl")),
            ("ResourceRecords", To::Argument("records")),
        ],
        attributes: &[("Name", "name")],
    },
];

fn table(type_name: &TypeName) -> Option<&'static Table> {
    TABLES
        .iter()
        .find(|table| *type_name == table.cloudformation)
}

/// Whether there is a table for a type.
pub(super) fn is_known(type_name: &TypeName) -> bool {
    table(type_name).is_some()
}

/// The resource type.
pub(super) fn resource(type_name: &TypeName) -> &'static str {
    table(type_name).map_or("", |table| table.resource)
}

/// The attribute that is one of CloudFormation's, if there is one.
pub(super) fn attribute(type_name: &TypeName, attribute: &Attribute) -> Option<&'static str> {
    let path = property_of(type_name, attribute)?;
    let property = path.property().filter(|_| path.segments().len() == 1)?;
    table(type_name)?
        .attributes
        .iter()
        .find(|(theirs, _)| *theirs == property)
        .map(|(_, ours)| *ours)
}

/// A resource's arguments and blocks.
///
/// # Errors
///
/// The path of a property that the table has no place for, or of a value that has no form there.
pub(super) fn body(
    renderer: &Renderer<'_>,
    type_name: &TypeName,
    properties: &std::collections::BTreeMap<String, Item>,
    within: &Environments,
) -> Result<Body, String> {
    let table = table(type_name).ok_or_else(|| format!("there is no table for {type_name}"))?;
    let mut out = Body::default();
    for (name, item) in properties {
        let shape =
            catalog::schema(type_name).map_or(Shape::Free, |schema| Shape::of(schema, name));
        property(
            renderer,
            table.properties,
            name,
            name,
            item,
            &shape,
            within,
            &mut out,
        )?;
    }
    Ok(arguments_first(out))
}

/// Arguments before blocks, an empty line before each block.
fn arguments_first(body: Body) -> Body {
    let (blocks, arguments): (Vec<Line>, Vec<Line>) = body
        .0
        .into_iter()
        .filter(|line| *line != Line::Gap)
        .partition(|line| matches!(line, Line::Block(_)));
    let mut out = Body(arguments);
    for line in blocks {
        if let Line::Block(block) = line {
            out.block(block);
        }
    }
    out
}

#[expect(
    clippy::too_many_arguments,
    reason = "a place in a tree, and where it goes"
)]
fn property(
    renderer: &Renderer<'_>,
    table: &'static [(&'static str, To)],
    name: &str,
    path: &str,
    item: &Item,
    shape: &Shape<'_>,
    within: &Environments,
    out: &mut Body,
) -> Result<(), String> {
    let Some((_, to)) = table.iter().find(|(theirs, _)| *theirs == name) else {
        return Err(format!(
            "the `aws` provider's resource has no place for `{path}`"
        ));
    };
    match to {
        To::Argument(name) => out.argument(*name, renderer.optional(item, shape, within)),
        To::Text(name) => {
            let expr = match (&item.test, &item.term) {
                (None, Term::Number(number)) => Expr::text(number.to_string()),
                _ => Expr::Call("tostring", vec![renderer.optional(item, shape, within)]),
            };
            out.argument(*name, expr);
        }
        To::Tags => {
            let Term::Tags(tags) = &item.term else {
                return Err(format!("`{path}` are not this scope's tags"));
            };
            out.argument("tags", renderer.tag_map(tags, within));
        }
        To::Block(name, inner) => {
            let body = object(renderer, inner, path, &item.term, shape, within)?;
            block(renderer, name, item, body, out);
        }
        To::Blocks(name, inner) => {
            let Term::List(items) = &item.term else {
                return Err(format!("`{path}` is no list"));
            };
            for each in items {
                let body = object(renderer, inner, path, &each.term, &shape.item(), within)?;
                let each = Item {
                    test: each.test.or(item.test),
                    term: each.term.clone(),
                };
                block(renderer, name, &each, body, out);
            }
        }
        To::Lifted(inner) => {
            if item.test.is_some() {
                return Err(format!("`{path}` is not there in every environment"));
            }
            let body = object(renderer, inner, path, &item.term, shape, within)?;
            out.0.extend(body.0);
        }
        To::Subscribers => subscribers(renderer, path, &item.term, within, out)?,
    }
    Ok(())
}

/// The inside of an object.
fn object(
    renderer: &Renderer<'_>,
    table: &'static [(&'static str, To)],
    path: &str,
    term: &Term,
    shape: &Shape<'_>,
    within: &Environments,
) -> Result<Body, String> {
    // An object without a schema is read as JSON, which only `awscc` takes.
    let entries = match term {
        Term::Object(entries) => entries,
        Term::Json(inner) if matches!(inner.as_ref(), Term::Object(_)) => {
            return object(renderer, table, path, inner, shape, within);
        }
        _ => return Err(format!("`{path}` is no object")),
    };
    let mut out = Body::default();
    for (key, item) in entries {
        let [Part::Literal(key)] = key.as_slice() else {
            return Err(format!("`{path}` has a name that is not fixed"));
        };
        property(
            renderer,
            table,
            key,
            &format!("{path}.{key}"),
            item,
            &shape.property(key),
            within,
            &mut out,
        )?;
    }
    Ok(arguments_first(out))
}

/// A block, or one that is there only by a flag.
fn block(renderer: &Renderer<'_>, name: &str, item: &Item, body: Body, out: &mut Body) {
    match &item.test {
        None => {
            let mut block = Block::new(name, &[]);
            block.body = body;
            out.block(block);
        }
        Some(test) => {
            let mut content = Block::new("content", &[]);
            content.body = body;
            let once = Expr::If(
                Box::new(renderer.test(test)),
                Box::new(Expr::List(vec![Expr::Bool(true)])),
                Box::new(Expr::List(Vec::new())),
            );
            out.block(
                Block::new("dynamic", &[name])
                    .with("for_each", once)
                    .block(content),
            );
        }
    }
}

/// A budget's subscribers by their kind.
fn subscribers(
    renderer: &Renderer<'_>,
    path: &str,
    term: &Term,
    within: &Environments,
    out: &mut Body,
) -> Result<(), String> {
    let Term::List(items) = term else {
        return Err(format!("`{path}` is no list"));
    };
    let (mut emails, mut topics) = (Vec::new(), Vec::new());
    for item in items {
        let Term::Object(entries) = &item.term else {
            return Err(format!("`{path}` is no list of objects"));
        };
        let field = |name: &str| entries.get(&vec![Part::Literal(name.to_owned())]);
        let (Some(address), Some(kind), 2) =
            (field("Address"), field("SubscriptionType"), entries.len())
        else {
            return Err(format!(
                "`{path}` has something else than addresses and their kinds"
            ));
        };
        let address = Item {
            test: item.test,
            term: address.term.clone(),
        };
        match &kind.term {
            Term::Text(text) if *text == [Part::Literal("EMAIL".to_owned())] => {
                emails.push(address)
            }
            Term::Text(text) if *text == [Part::Literal("SNS".to_owned())] => topics.push(address),
            _ => return Err(format!("`{path}` has a kind that is neither EMAIL nor SNS")),
        }
    }
    for (name, items) in [
        ("subscriber_email_addresses", emails),
        ("subscriber_sns_topic_arns", topics),
    ] {
        if !items.is_empty() {
            out.argument(
                name,
                renderer.term(&Term::List(items), &Shape::Free, within),
            );
        }
    }
    Ok(())
}
