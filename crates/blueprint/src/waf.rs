//! AWS WAF: AWS's managed rules and a rate limit, for the load balancers that name its ARN.

use graph::{Value, value};

use crate::draft::{Draft, Drawing};
use crate::types;

/// AWS's rule groups, in the order in which they are asked; together 925 of the 1,500 capacity units that cost nothing
/// extra (https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-list.html).
const RULE_GROUPS: [&str; 3] = [
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesCommonRuleSet",
    "AWSManagedRulesKnownBadInputsRuleSet",
];

/// The rate limit comes first: it is the cheapest answer to a flood.
const RATE_LIMIT_PRIORITY: u32 = 0;

pub(crate) fn draw(drawing: &mut Drawing<'_>) {
    let waf = &drawing.spec().waf;
    if !waf.enabled {
        return;
    }
    let name = drawing.name("waf");
    let mut rules = vec![value!({
        "Name": "rate-limit",
        "Priority": RATE_LIMIT_PRIORITY,
        "Action": { "Block": {} },
        "Statement": {
            "RateBasedStatement": {
                "Limit": waf.rate_limit,
                "EvaluationWindowSec": 300,
                "AggregateKeyType": "IP",
            },
        },
        "VisibilityConfig": visible(&format!("{name}-rate-limit")),
    })];
    rules.extend((RATE_LIMIT_PRIORITY + 1..).zip(RULE_GROUPS).map(|(priority, group)| {
        value!({
            "Name": group,
            "Priority": priority,
            "OverrideAction": { "None": {} },
            "Statement": { "ManagedRuleGroupStatement": { "VendorName": "AWS", "Name": group } },
            "VisibilityConfig": visible(&format!("{name}-{group}")),
        })
    }));
    drawing.add(Draft::new(
        "waf/web-acl",
        types::WEB_ACL,
        value!({
            "Name": name.as_str(),
            "Scope": "REGIONAL",
            "DefaultAction": { "Allow": {} },
            "Rules": rules,
            "VisibilityConfig": visible(&name),
        }),
    ));
}

fn visible(metric: &str) -> Value {
    value!({ "CloudWatchMetricsEnabled": true, "SampledRequestsEnabled": true, "MetricName": metric })
}
