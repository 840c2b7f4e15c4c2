//! The account and what is the same for everything in it: region, zones, tags, state, budget, backup, lifecycle.

use std::net::Ipv4Addr;

use catalog::ids::{Address, Identifier};
use catalog::names::NameKind;
use catalog::regions;

use super::{Check, nearest};
use crate::model::{LifecycleRule, StateBackendKind};

/// Tags a resource may have (AWS General Reference, "Tag naming limits and requirements"), less those that are the platform's
/// own: three of the owner, the name, the backup's, two of Kubernetes'.
const MOST_TAGS: usize = 50 - 7;
/// Addresses that a budget's notification may have (AWS Budgets, `Notification` with 10 e-mail subscribers).
const MOST_EMAILS: usize = 10;

pub(super) fn check(check: &mut Check<'_>) {
    if check.production && check.spec.protected == Some(false) {
        let message = format!(
            "`{}` can be destroyed without its name being typed",
            check.environment
        );
        check.warn(
            &["protected"],
            "unprotected",
            message,
            "remove it: production is protected by default",
        );
    }
    region_and_zones(check);
    tags(check);
    state(check);
    budget(check);
    backup(check);
    repositories(check);
    lifecycle(check);
}

fn region_and_zones(check: &mut Check<'_>) {
    let aws = &check.spec.aws;
    let region = aws.region.as_str();
    if !check.knows(&["aws", "region"]) {
        return;
    }
    if !regions::is_known(region) {
        let help = match nearest(region, regions::names()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "`aws ec2 describe-regions` lists the regions of your account".to_owned(),
        };
        check.error(
            &["aws", "region"],
            "unknown-region",
            format!("AWS has no region `{region}`"),
            help,
        );
        return;
    }
    let zones = regions::zones(region);
    for (index, zone) in aws.availability_zones.iter().flatten().enumerate() {
        let path = ["aws", "availabilityZones", &index.to_string()];
        if !zones.contains(zone) {
            let message = format!("`{zone}` is no availability zone of {region}");
            check.error(
                &path,
                "unknown-zone",
                message,
                format!("it has {}", zones.join(", ")),
            );
        } else if !regions::default_zones(region, usize::MAX).contains(zone) {
            let ids = regions::eks_unsupported_zone_ids(region).join(", ");
            let message = format!(
                "`{zone}` is in most accounts a zone in which EKS makes no control plane ({ids})"
            );
            check.warn(
                &path,
                "zone-without-eks",
                message,
                "take another zone, or ask EC2 for the id behind the name in your account",
            );
        }
    }
    let count = aws
        .availability_zones
        .as_ref()
        .map_or_else(|| regions::default_zones(region, 3).len(), Vec::len);
    if check.production && count < 3 {
        let message = format!(
            "the platform spans {count} availability zones: the loss of one takes half of it"
        );
        check.warn(
            &["aws", "availabilityZones"],
            "two-zones",
            message,
            "take three, in a region that has them",
        );
    }
}

fn tags(check: &mut Check<'_>) {
    let tags = &check.spec.aws.tags;
    if tags.len() > MOST_TAGS {
        let message = format!(
            "there are {} tags; {MOST_TAGS} are the most beside the platform's own",
            tags.len()
        );
        check.error(
            &["aws", "tags"],
            "too-many-tags",
            message,
            "AWS takes 50 tags for a resource",
        );
    }
    for (key, value) in tags {
        let path = ["aws", "tags", key];
        if let Err(error) = catalog::names::check(NameKind::TagKey, key) {
            check.error(
                &path,
                "tag",
                error.to_string(),
                "AWS refuses it on everything that has tags",
            );
        } else if let Err(error) = catalog::names::check(NameKind::TagValue, value) {
            check.error(
                &path,
                "tag",
                error.to_string(),
                "AWS refuses it on everything that has tags",
            );
        } else if value.is_empty() {
            let message = format!(
                "the tag `{key}` has no value, and EKS add-ons and ECR repositories take none without"
            );
            check.error(&path, "tag", message, "give it a value");
        } else if key == "Name"
            || ["seaworthy:", "kubernetes.io/", "karpenter.sh/", "eks:"]
                .iter()
                .any(|prefix| key.starts_with(prefix))
        {
            let message =
                format!("the tag `{key}` is the platform's own: what belongs to it is found by it");
            check.error(&path, "reserved-tag", message, "use another key");
        }
    }
}

fn state(check: &mut Check<'_>) {
    let state = &check.spec.state;
    if state.backend == StateBackendKind::Folder {
        check.unheeded(
            &[&["state", "bucket"], &["state", "lockTable"]],
            "the state is kept in a folder (`state.backend`)",
        );
    }
    if let Some(bucket) = &state.bucket
        && let Err(error) = catalog::names::check(NameKind::S3Bucket, bucket)
    {
        check.error(
            &["state", "bucket"],
            "name-form",
            error.to_string(),
            "leave it out, and a bucket is made",
        );
    }
    if let Some(table) = &state.lock_table
        && let Err(error) = catalog::names::check(NameKind::DynamoDbTable, table)
    {
        check.error(
            &["state", "lockTable"],
            "name-form",
            error.to_string(),
            "leave it out, and a table is made",
        );
    }
    if check.production && state.backend == StateBackendKind::Folder {
        let message = "the state of a protected environment is kept in a folder on this machine: it is lost with it, and no lock keeps a colleague out";
        // A default is no risk that somebody took: only who wrote it is told.
        if check.is_written(&["state", "backend"]) {
            check.warn(
                &["state", "backend"],
                "state-on-this-machine",
                message,
                "write `backend: s3`",
            );
        }
    }
}

fn budget(check: &mut Check<'_>) {
    let budget = &check.spec.budget;
    if budget.monthly_usd.is_none() {
        check.unheeded(
            &[&["budget", "emails"]],
            "there is no budget without `budget.monthlyUsd`",
        );
    } else if budget.emails.is_empty() {
        check.error(
            &["budget", "monthlyUsd"],
            "budget-tells-nobody",
            "a budget needs somebody to tell: `budget.emails` is empty",
            "add an address",
        );
    }
    if budget.emails.len() > MOST_EMAILS {
        let message = format!(
            "a budget tells {MOST_EMAILS} addresses at most, not {}",
            budget.emails.len()
        );
        check.error(
            &["budget", "emails"],
            "too-many",
            message,
            "use a distribution list",
        );
    }
    for (index, email) in budget.emails.iter().enumerate() {
        let parts = email.split_once('@');
        let plain = |text: &str| {
            !text.is_empty()
                && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@')
        };
        if !parts.is_some_and(|(name, host)| {
            plain(name) && plain(host) && host.trim_matches('.').contains('.')
        }) {
            check.error(
                &["budget", "emails", &index.to_string()],
                "email",
                format!("`{email}` is no e-mail address"),
                "as ops@example.com",
            );
        }
    }
}

/// AWS Backup takes EventBridge's cron expressions: six fields, of which day of month or day of week is `?`
/// (AWS Backup developer guide, "Creating a backup plan").
fn backup(check: &mut Check<'_>) {
    let backup = &check.spec.backup;
    if !backup.enabled {
        return;
    }
    let fields: Vec<&str> = backup
        .schedule
        .strip_prefix("cron(")
        .and_then(|rest| rest.strip_suffix(')'))
        .map(|fields| fields.split(' ').collect())
        .unwrap_or_default();
    let known = |field: &&str| {
        !field.is_empty()
            && field
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"*,-/?#".contains(&byte))
    };
    let sound = match fields.as_slice() {
        [minute, hour, day, month, weekday, year] => {
            fields.iter().all(known)
                && (*day == "?") != (*weekday == "?")
                && [minute, hour, month, year]
                    .iter()
                    .all(|field| !field.contains('?'))
        }
        _ => false,
    };
    if !sound {
        let message = format!("`{}` is no schedule of AWS Backup", backup.schedule);
        check.error(
            &["backup", "schedule"],
            "schedule",
            message,
            "six fields: minute, hour, day, month, day of week, year; one of the days is `?`, as cron(0 3 * * ? *)",
        );
    }
}

fn repositories(check: &mut Check<'_>) {
    let platform = &check.spec.platform;
    for (index, name) in check.spec.shared.repositories.iter().enumerate() {
        if let Err(error) =
            catalog::names::check(NameKind::EcrRepository, &format!("{platform}/{name}"))
        {
            check.error(
                &["shared", "repositories", &index.to_string()],
                "name-form",
                error.to_string(),
                "it is <platform>/<name>",
            );
        }
    }
}

/// The form of addresses and identifiers; whether there is such a resource is known with the graph.
fn lifecycle(check: &mut Check<'_>) {
    for (address, rule) in &check.spec.lifecycle {
        let path = ["lifecycle", address];
        if let Err(error) = Address::new(address) {
            check.error(
                &path,
                "address",
                error.to_string(),
                "`seaworthy plan` lists the addresses",
            );
        }
        if let LifecycleRule::Existing(id) = rule
            && let Err(error) = Identifier::new(id)
        {
            check.error(
                &path,
                "identifier",
                error.to_string(),
                "it is AWS's own id, as vpc-0123456789abcdef0",
            );
        }
    }
}

/// A range's addresses, as numbers that can be compared.
pub(super) fn bounds(net: ipnet::Ipv4Net) -> (Ipv4Addr, Ipv4Addr) {
    (net.network(), net.broadcast())
}
