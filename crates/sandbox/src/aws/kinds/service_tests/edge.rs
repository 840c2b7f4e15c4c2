//! What stands before a platform: web ACLs, certificates, zones, health checks.

use serde_json::{Value, json};

use super::{Code, Place, assert_refused};
use crate::aws::kinds::Wait;

const WEB_ACL: &str = "AWS::WAFv2::WebACL";
const ASSOCIATION: &str = "AWS::WAFv2::WebACLAssociation";
const LOGGING: &str = "AWS::WAFv2::LoggingConfiguration";

fn group(name: &str, priority: i64) -> Value {
    json!({
        "Name": name, "Priority": priority, "OverrideAction": {"None": {}},
        "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": name}}, "VisibilityConfig": seen(name),
    })
}

fn rate_limit() -> Value {
    json!({
        "Name": "rate", "Priority": 0, "Action": {"Block": {}}, "VisibilityConfig": seen("rate"),
        "Statement": {"RateBasedStatement": {"Limit": 2000, "AggregateKeyType": "IP"}},
    })
}

fn seen(metric: &str) -> Value {
    json!({"CloudWatchMetricsEnabled": true, "SampledRequestsEnabled": true, "MetricName": metric})
}

fn web_acl(name: &str, rules: Value) -> Value {
    json!({"Name": name, "Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "Rules": rules, "VisibilityConfig": seen(name)})
}

#[test]
fn a_web_acl_counts_its_capacity_and_is_held_by_what_it_protects() {
    let mut place = Place::new();
    let rules = json!([
        rate_limit(),
        group("AWSManagedRulesAmazonIpReputationList", 1),
        group("AWSManagedRulesCommonRuleSet", 2),
        group("AWSManagedRulesKnownBadInputsRuleSet", 3),
    ]);
    let made = place.made(WEB_ACL, web_acl("shop", rules));
    assert_eq!(made.model["Capacity"], 927);
    let id = made.model["Id"].as_str().unwrap_or_default();
    assert_eq!(made.identifier, format!("shop|{id}|REGIONAL"));
    let mut no_override = group("AWSManagedRulesCommonRuleSet", 1);
    no_override["Action"] = json!({"Block": {}});
    let many: Vec<Value> = (0..8)
        .map(|priority| {
            let mut rule = group("AWSManagedRulesCommonRuleSet", priority);
            rule["Name"] = json!(format!("again-{priority}"));
            rule
        })
        .collect();
    let mut global = web_acl("edge", json!([]));
    global["Scope"] = json!("CLOUDFRONT");
    place.refuses(
        WEB_ACL,
        &[
            (
                web_acl("shop", json!([])),
                Code::AlreadyExists,
                "duplicate of an existing one",
            ),
            (
                web_acl("other", json!([group("AWSManagedRulesNothing", 1)])),
                Code::NotFound,
                "doesn’t exist",
            ),
            (
                web_acl("other", json!([rate_limit(), rate_limit()])),
                Code::InvalidRequest,
                "the same name",
            ),
            (
                web_acl("other", json!([no_override])),
                Code::InvalidRequest,
                "RULE_ACTION",
            ),
            (
                web_acl("other", json!(many)),
                Code::ServiceLimitExceeded,
                "5600 of 5000",
            ),
            (global, Code::InvalidRequest, "SCOPE_VALUE"),
        ],
    );
    let arn = made.model["Arn"].as_str().unwrap_or_default().to_owned();
    let balancer = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/shop/1";
    let association = json!({"ResourceArn": balancer, "WebACLArn": arn});
    place.refuses(
        ASSOCIATION,
        &[(
            association.clone(),
            Code::InvalidRequest,
            "couldn’t retrieve the resource",
        )],
    );
    place.put(
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        balancer,
        json!({"LoadBalancerArn": balancer}),
    );
    place.made(ASSOCIATION, association.clone());
    place.refuses(
        ASSOCIATION,
        &[(
            association,
            Code::AlreadyExists,
            "associated with a web ACL",
        )],
    );
    assert_refused(
        place.delete(WEB_ACL, &made.identifier),
        Code::InvalidRequest,
        "being used by another resource",
    );
    place
        .world
        .remove(ASSOCIATION, &format!("{balancer}|{arn}"));

    let logging = |group: &str| {
        let group = format!("arn:aws:logs:eu-central-1:123456789012:log-group:{group}");
        json!({"ResourceArn": arn, "LogDestinationConfigs": [group]})
    };
    place.put(
        "AWS::Logs::LogGroup",
        "aws-waf-logs-shop",
        json!({"LogGroupName": "aws-waf-logs-shop"}),
    );
    place.refuses(
        LOGGING,
        &[
            (logging("shop"), Code::InvalidRequest, "LOG_DESTINATION"),
            (
                logging("aws-waf-logs-none"),
                Code::NotFound,
                "doesn’t exist",
            ),
        ],
    );
    place.made(LOGGING, logging("aws-waf-logs-shop"));
    place
        .delete(WEB_ACL, &made.identifier)
        .expect("its logging goes with it");
    assert_eq!(place.world.of_type(LOGGING).count(), 0);
}

const CERTIFICATE: &str = "AWS::CertificateManager::Certificate";
const HOSTED_ZONE: &str = "AWS::Route53::HostedZone";
const HEALTH_CHECK: &str = "AWS::Route53::HealthCheck";

#[test]
fn a_certificate_waits_for_one_record_a_domain_and_the_same_each_time() {
    let mut place = Place::new();
    let desired = json!({"DomainName": "shop.example.com", "SubjectAlternativeNames": ["*.shop.example.com"], "ValidationMethod": "DNS"});
    let first = place.made(CERTIFICATE, desired.clone());
    let Some(Wait::DnsRecords(records)) = &first.waits_for else {
        panic!("nothing to wait for: {first:?}")
    };
    let [(name, value)] = records.as_slice() else {
        panic!("the wildcard has a record of its own: {records:?}")
    };
    assert!(
        name.starts_with('_')
            && name.ends_with(".shop.example.com.")
            && name.len() == 33 + ".shop.example.com.".len(),
        "{name}"
    );
    assert!(value.ends_with(".acm-validations.aws."), "{value}");
    assert_eq!(
        first.model["__ValidationRecords"].as_array().map(Vec::len),
        Some(2)
    );
    let second = place.made(CERTIFICATE, desired);
    assert_eq!(second.waits_for, first.waits_for);
    assert_ne!(second.identifier, first.identifier);
    let by_dns = |name: &str| json!({"DomainName": name, "ValidationMethod": "DNS"});
    let mut many = by_dns("example.com");
    many["SubjectAlternativeNames"] = (0..10)
        .map(|number| json!(format!("{number}.example.com")))
        .collect();
    place.refuses(
        CERTIFICATE,
        &[
            (
                by_dns("localhost"),
                Code::InvalidRequest,
                "'localhost' at 'domainName'",
            ),
            (
                by_dns("a.*.example.com"),
                Code::InvalidRequest,
                "failed to satisfy constraint",
            ),
            (many, Code::ServiceLimitExceeded, "10"),
        ],
    );
    place.put(
        "AWS::ElasticLoadBalancingV2::Listener",
        "listener",
        json!({"Certificates": [{"CertificateArn": first.identifier}]}),
    );
    assert_refused(
        place.delete(CERTIFICATE, &first.identifier),
        Code::ResourceConflict,
        "is in use",
    );
    place
        .delete(CERTIFICATE, &second.identifier)
        .expect("nobody uses it");
    let by_mail = json!({"DomainName": "shop.example.com"});
    assert_eq!(place.made(CERTIFICATE, by_mail.clone()).waits_for, None);
    place.settings.external_dns = false;
    place.refuses(
        CERTIFICATE,
        &[(by_mail, Code::NotStabilized, "Exceeded attempts to wait")],
    );
}

#[test]
fn a_zone_takes_the_validation_record_and_is_held_by_it() {
    let mut place = Place::new();
    let zone = place.made(HOSTED_ZONE, json!({"Name": "Example.com"}));
    assert_eq!(
        (zone.model["Name"].as_str(), zone.identifier.len()),
        (Some("example.com."), 21)
    );
    let servers = zone.model["NameServers"]
        .as_array()
        .expect("a public zone has name servers");
    for (server, domain) in servers.iter().zip(["com", "net", "org", "co.uk"]) {
        let server = server.as_str().unwrap_or_default();
        assert!(
            server.starts_with("ns-") && server.contains(".awsdns-") && server.ends_with(domain),
            "{server}"
        );
    }
    let certificate = |domain: &str, zone: &str| {
        let option = json!({"DomainName": domain, "HostedZoneId": zone});
        json!({"DomainName": domain, "ValidationMethod": "DNS", "DomainValidationOptions": [option]})
    };
    place.refuses(
        CERTIFICATE,
        &[
            (
                certificate("shop.example.com", "ZNONE"),
                Code::NotFound,
                "No hosted zone found with ID: ZNONE",
            ),
            (
                certificate("shop.example.org", &zone.identifier),
                Code::InvalidRequest,
                "is not permitted in zone example.com.",
            ),
        ],
    );
    let made = place.made(
        CERTIFICATE,
        certificate("shop.example.com", &zone.identifier),
    );
    assert_eq!(made.waits_for, None);
    let record = made.model["__ValidationRecords"][0].clone();
    assert!(crate::aws::services::route53::has_record(
        &place.world,
        record["Name"].as_str().unwrap_or_default(),
        "CNAME",
        record["Value"].as_str().unwrap_or_default(),
    ));
    place
        .delete(CERTIFICATE, &made.identifier)
        .expect("nobody uses it");
    assert_refused(
        place.delete(HOSTED_ZONE, &zone.identifier),
        Code::InvalidRequest,
        "contains non-required resource record sets",
    );
    let left = place
        .world
        .of_type("AWS::Route53::RecordSet")
        .next()
        .expect("the record stays")
        .identifier
        .clone();
    place.world.remove("AWS::Route53::RecordSet", &left);
    let own = json!({"HostedZoneId": zone.identifier, "Name": "example.com.", "Type": "NS"});
    place.put("AWS::Route53::RecordSet", "own", own);
    place
        .delete(HOSTED_ZONE, &zone.identifier)
        .expect("its own records do not hold it");
    assert_eq!(place.world.of_type("AWS::Route53::RecordSet").count(), 0);
}

#[test]
fn a_private_zone_belongs_to_networks_that_are_there() {
    let mut place = Place::new();
    let private = |vpc: &str| json!({"Name": "internal.example", "VPCs": [{"VPCId": vpc, "VPCRegion": "eu-central-1"}]});
    place.put("AWS::EC2::VPC", "vpc-1", json!({"VpcId": "vpc-1"}));
    place.refuses(
        HOSTED_ZONE,
        &[(
            private("vpc-2"),
            Code::InvalidRequest,
            "is not authorized to make the association",
        )],
    );
    let zone = place.made(HOSTED_ZONE, private("vpc-1"));
    assert_eq!(zone.model["NameServers"], json!([]));
    place.refuses(
        HOSTED_ZONE,
        &[(
            private("vpc-1"),
            Code::InvalidRequest,
            "has already been associated",
        )],
    );
    let same = json!({"HostedZoneConfig": {"Comment": "ours"}});
    place
        .update(HOSTED_ZONE, &zone.identifier, &same)
        .expect("it does not stand in its own way");
}

#[test]
fn a_health_check_has_what_its_type_needs() {
    let mut place = Place::new();
    let check = |config: Value| json!({"HealthCheckConfig": config});
    place.refuses(
        HEALTH_CHECK,
        &[
            (
                check(json!({"Type": "HTTPS"})),
                Code::InvalidRequest,
                "FullyQualifiedDomainName",
            ),
            (
                check(json!({"Type": "HTTP", "IPAddress": "192.0.2.1", "SearchString": "ok"})),
                Code::InvalidRequest,
                "SearchString",
            ),
            (
                check(json!({"Type": "TCP", "IPAddress": "192.0.2.1"})),
                Code::InvalidRequest,
                "Port",
            ),
            (
                check(json!({"Type": "CALCULATED", "ChildHealthChecks": ["none"]})),
                Code::InvalidRequest,
                "none does not exist",
            ),
        ],
    );
    let made = check(json!({"Type": "HTTPS", "FullyQualifiedDomainName": "shop.example.com"}));
    let made = place.made(HEALTH_CHECK, made);
    assert_eq!(made.model["HealthCheckConfig"]["Port"], 443);
    let parent = check(json!({"Type": "CALCULATED", "ChildHealthChecks": [made.identifier]}));
    place.made(HEALTH_CHECK, parent);
}
