//! The domain, its host names, and the certificate for them.

use std::collections::BTreeMap;

use super::Check;
use crate::model::{CertificateMode, DnsProvider};

/// One label of a domain name (RFC 1123).
pub(super) fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What is wrong with a domain, with what was meant.
fn domain_fault(domain: &str) -> Option<(String, String)> {
    let bare = domain.to_lowercase();
    let bare = bare
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .trim_start_matches("*.");
    let bare = bare
        .split(['/', ':'])
        .next()
        .unwrap_or_default()
        .trim_matches('.')
        .to_owned();
    let sound =
        |text: &str| text.len() <= 253 && text.contains('.') && text.split('.').all(is_label);
    if sound(domain) {
        return None;
    }
    let help = if sound(&bare) {
        format!("did you mean `{bare}`?")
    } else {
        "as example.com".to_owned()
    };
    Some((format!("`{domain}` is no domain name"), help))
}

pub(super) fn check(check: &mut Check<'_>) {
    let dns = &check.spec.dns;
    if let Some(domain) = &dns.domain {
        if let Some((message, help)) = domain_fault(domain) {
            check.error(&["dns", "domain"], "domain", message, help);
        }
    } else if check.knows(&["dns", "domain"]) {
        if dns.provider == DnsProvider::Route53 {
            check.error(
                &["dns", "provider"],
                "domain-missing",
                "Route 53 has nothing to answer for: `dns.domain` is missing",
                "add the domain",
            );
        } else if check.spec.certificate.mode != CertificateMode::None
            && check.spec.certificate.arn.is_none()
        {
            check.error(
                &["certificate", "mode"],
                "domain-missing",
                "a certificate is for a domain, and `dns.domain` is missing",
                "add the domain, give the ARN of a certificate (`certificate.arn`), or write `mode: none`",
            );
        } else if !dns.hostnames.is_empty() {
            check.error(
                &["dns", "hostnames"],
                "domain-missing",
                "host names lie under a domain, and `dns.domain` is missing",
                "add the domain",
            );
        }
    }
    if dns.provider == DnsProvider::External {
        check.unheeded(
            &[&["dns", "hostedZoneId"]],
            "`dns.provider` is not `route53`",
        );
    }
    hostnames(check);
    certificate(check);
}

fn hostnames(check: &mut Check<'_>) {
    let dns = &check.spec.dns;
    let domain = dns.domain.as_deref().unwrap_or_default();
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (service, host) in &dns.hostnames {
        let path = ["dns", "hostnames", service];
        if !is_label(service) {
            let message = format!("`{service}` is no name of a service");
            check.error(
                &path,
                "service-name",
                message,
                "lower-case letters, digits and hyphens",
            );
        }
        let under = host
            .strip_suffix(domain)
            .and_then(|host| host.strip_suffix('.'))
            .filter(|host| !host.is_empty());
        if let Some(host) = under.filter(|_| !domain.is_empty()) {
            let message =
                format!("`{host}.{domain}` would be {host}.{domain}.{domain}: the domain is added");
            check.error(&path, "hostname", message, format!("write `{host}`"));
        } else if host.len() + 1 + domain.len() > 253 || !host.split('.').all(is_label) {
            let message = format!("`{host}` is no host name");
            check.error(
                &path,
                "hostname",
                message,
                "lower-case letters, digits and hyphens, as `app` for app.<domain>",
            );
        } else if let Some(first) = seen.insert(host, service) {
            let message =
                format!("`{first}` and `{service}` have the same host name, {host}.{domain}");
            check.error(
                &path,
                "hostname-twice",
                message,
                "give each a name of its own",
            );
        } else if host.contains('.') && check.spec.certificate.mode == CertificateMode::Wildcard {
            let message = format!(
                "the wildcard certificate *.{domain} does not cover {host}.{domain}: a wildcard is one level"
            );
            check.error(
                &path,
                "hostname-uncovered",
                message,
                "take a name without a dot, or `certificate.mode: per-service`",
            );
        }
    }
}

fn certificate(check: &mut Check<'_>) {
    let certificate = &check.spec.certificate;
    let region = check.spec.aws.region.as_str();
    if let Some(arn) = &certificate.arn {
        let path = ["certificate", "arn"];
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", _, "acm", theirs, account, resource]
                if account.len() == 12
                    && account.bytes().all(|byte| byte.is_ascii_digit())
                    && resource
                        .strip_prefix("certificate/")
                        .is_some_and(|id| !id.is_empty()) =>
            {
                if check.knows(&["aws", "region"]) && *theirs != region {
                    let message = format!(
                        "the certificate is in {theirs}, and a load balancer in {region} takes none from elsewhere"
                    );
                    check.error(
                        &path,
                        "certificate-region",
                        message,
                        format!("take a certificate in {region}"),
                    );
                }
            }
            _ => {
                let message = format!("`{arn}` is no ARN of a certificate");
                check.error(
                    &path,
                    "certificate-arn",
                    message,
                    "as arn:aws:acm:us-east-1:111122223333:certificate/0a1b…",
                );
            }
        }
    } else if certificate.mode == CertificateMode::PerService
        && check.spec.dns.hostnames.is_empty()
        && check.knows(&["dns", "hostnames"])
    {
        check.error(
            &["certificate", "mode"],
            "hostnames-missing",
            "`per-service` makes a certificate for each host name, and `dns.hostnames` is empty",
            "add host names, or write `mode: wildcard`",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains() {
        for good in ["example.com", "a-b.c1.example.co.uk"] {
            assert_eq!(domain_fault(good), None);
        }
        for (wrong, meant) in [
            ("https://Example.com/", "example.com"),
            ("*.example.com", "example.com"),
            ("example.com.", "example.com"),
            ("Shop.example", "shop.example"),
        ] {
            assert_eq!(
                domain_fault(wrong).unwrap().1,
                format!("did you mean `{meant}`?")
            );
        }
        for wrong in ["localhost", "-a.com", "a..com", "exa mple.com", ""] {
            assert_eq!(domain_fault(wrong).unwrap().1, "as example.com", "{wrong}");
        }
    }
}
