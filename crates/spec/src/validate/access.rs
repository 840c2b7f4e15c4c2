//! Who reaches what: the Kubernetes API, its administrators, secrets.

use std::collections::BTreeMap;

use catalog::names::NameKind;
use catalog::regions;

use super::Check;

/// Ranges that the public endpoint does not take: nobody comes from there over the Internet (EKS user guide, "Cluster API
/// server endpoint": the ranges "can't include reserved addresses").
const RESERVED: [&str; 6] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
];

pub(super) fn check(check: &mut Check<'_>) {
    endpoint(check);
    admins(check);
    prefixes(check);
    secrets(check);
}

fn endpoint(check: &mut Check<'_>) {
    let endpoint = &check.spec.cluster.endpoint;
    let at = |key| ["cluster", "endpoint", key];
    if !endpoint.public && !endpoint.private {
        check.error(
            &at("public"),
            "no-endpoint",
            "the Kubernetes API has neither a public nor a private endpoint: nobody would reach it, nodes included",
            "write `private: true`",
        );
        return;
    }
    if !endpoint.public {
        check.unheeded(&[&at("publicCidrs")], "there is no public endpoint");
        return;
    }
    if !endpoint.private {
        check.warn(
            &at("private"),
            "public-endpoint-only",
            "without a private endpoint nodes reach the Kubernetes API over the Internet, through the NAT gateways, whose addresses `publicCidrs` has to let in",
            "write `private: true`",
        );
    }
    if endpoint.public_cidrs.is_empty() {
        check.error(
            &at("publicCidrs"),
            "endpoint-open",
            "an empty `publicCidrs` is the whole Internet to EKS",
            "name the ranges that may reach the endpoint, or write `public: false`",
        );
    }
    for (index, cidr) in endpoint.public_cidrs.iter().enumerate() {
        let index = index.to_string();
        let path = ["cluster", "endpoint", "publicCidrs", &index];
        if cidr.trunc() != *cidr {
            let message = format!("{cidr} is an address in a range, not a range");
            check.error(
                &path,
                "cidr-host-bits",
                message,
                format!("did you mean {}, or {}/32?", cidr.trunc(), cidr.addr()),
            );
        } else if cidr.prefix_len() == 0 {
            check.warn(
                &path,
                "endpoint-open",
                "the Kubernetes API can be reached from the whole Internet (0.0.0.0/0): IAM alone keeps strangers out",
                "name the ranges of your office, VPN and CI in `cluster.endpoint.publicCidrs`, or write `public: false`",
            );
        } else if RESERVED.iter().any(|range| {
            range
                .parse::<ipnet::Ipv4Net>()
                .is_ok_and(|range| range.contains(cidr))
        }) {
            check.error(
                &path,
                "endpoint-private-range",
                format!("{cidr} are private addresses: EKS refuses them for the public endpoint, since nobody comes from there over the Internet"),
                "what is inside the VPC uses the private endpoint and needs no entry",
            );
        }
    }
}

fn admins(check: &mut Check<'_>) {
    let partition = regions::partition(&check.spec.aws.region);
    for (index, arn) in check.spec.cluster.admins.iter().enumerate() {
        let path = ["cluster", "admins", &index.to_string()];
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let [first, theirs, service, region, account, principal] = parts.as_slice() else {
            check.error(
                &path,
                "admin-arn",
                format!("`{arn}` is no ARN"),
                "as arn:aws:iam::111122223333:role/platform-admins",
            );
            continue;
        };
        if *service == "sts" && principal.starts_with("assumed-role/") {
            let role = principal.split('/').nth(1).unwrap_or_default();
            let message = format!("`{arn}` is a session of a role; access entries take the role");
            check.error(&path, "admin-arn", message, format!("write arn:{theirs}:iam::{account}:role/{role}, with the role's path if it has one"));
            continue;
        }
        let principal_is_sound = ["role/", "user/"].iter().any(|kind| {
            principal.strip_prefix(kind).is_some_and(|name| {
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte))
            })
        });
        let account_is_sound =
            account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        if *first != "arn"
            || *service != "iam"
            || !region.is_empty()
            || !account_is_sound
            || !principal_is_sound
        {
            let message = format!("`{arn}` is no ARN of an IAM role or user");
            check.error(
                &path,
                "admin-arn",
                message,
                "as arn:aws:iam::111122223333:role/platform-admins",
            );
        } else if check.knows(&["aws", "region"]) && *theirs != partition {
            let message = format!(
                "`{arn}` is of the partition `{theirs}`, and {} of `{partition}`",
                check.spec.aws.region
            );
            check.error(
                &path,
                "admin-arn",
                message,
                format!("write arn:{partition}:…"),
            );
        }
    }
}

/// External Secrets may read what begins with its prefixes.
fn prefixes(check: &mut Check<'_>) {
    let external_secrets = &check.spec.external_secrets;
    if !external_secrets.enabled {
        check.unheeded(
            &[&["externalSecrets", "prefixes"]],
            "External Secrets is not there (`externalSecrets.enabled`)",
        );
        return;
    }
    for (index, prefix) in external_secrets.prefixes.iter().enumerate() {
        let path = ["externalSecrets", "prefixes", &index.to_string()];
        if prefix.trim_matches('/').is_empty() {
            check.error(
                &path,
                "prefix",
                "an empty prefix lets External Secrets read every secret in the account",
                "as `dev/`",
            );
        } else if prefix.contains(['*', '?']) {
            let message = format!("`{prefix}` has a wildcard; a prefix has one at its end already");
            check.error(&path, "prefix", message, "leave it out, as `dev/`");
        } else if catalog::names::check(NameKind::Secret, &format!("{prefix}x")).is_err() {
            check.error(
                &path,
                "prefix",
                format!("no secret's name begins with `{prefix}`"),
                "letters, digits and /_+=.@-",
            );
        } else if !prefix.ends_with('/') {
            let message =
                format!("`{prefix}` also matches names that merely begin alike, as `{prefix}2/…`");
            check.warn(&path, "prefix-open", message, format!("write `{prefix}/`"));
        }
    }
}

fn secrets(check: &mut Check<'_>) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let prefixes = &check.spec.external_secrets.prefixes;
    for (index, secret) in check.spec.secrets.iter().enumerate() {
        let at = index.to_string();
        let path = ["secrets", &at, "name"];
        let name = secret.name.as_str();
        if let Err(error) = catalog::names::check(NameKind::Secret, name) {
            check.error(
                &path,
                "name-form",
                error.to_string(),
                "as dev/myapp/database",
            );
        }
        if let Some(first) = seen.insert(name, index) {
            let message = format!("the secret `{name}` is there twice, first as secrets[{first}]");
            check.error(
                &path,
                "secret-twice",
                message,
                "names are unique in an account and region",
            );
        }
        let enabled = check.spec.external_secrets.enabled;
        if enabled
            && !prefixes.is_empty()
            && !prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix.as_str()))
        {
            let message = format!(
                "External Secrets may not read `{name}`: it begins with none of `externalSecrets.prefixes`"
            );
            check.warn(
                &path,
                "secret-unread",
                message,
                format!("begin it with {}", prefixes.join(" or ")),
            );
        }
    }
}
