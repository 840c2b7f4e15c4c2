//! The TLS certificate of the load balancer, validated by DNS: one for the domain and all names under it, or one for each
//! host. Until its records are there ACM waits, and with it whoever needs the certificate; nobody else does.

use graph::{Value, value};
use spec::model::CertificateMode;

use crate::Error;
use crate::draft::{Draft, Drawing};
use crate::naming::slug;
use crate::types;

pub(crate) fn draw(drawing: &mut Drawing<'_>, hosted_zone: Option<&Value>) {
    let spec = drawing.spec();
    if spec.certificate.mode == CertificateMode::None || spec.certificate.arn.is_some() {
        return;
    }
    let Some(domain) = spec.dns.domain.as_deref() else {
        drawing.refuse(Error::NoDomain);
        return;
    };
    match spec.certificate.mode {
        CertificateMode::None => {}
        CertificateMode::Wildcard => {
            let draft = certificate("wildcard", domain, hosted_zone)
                .with("SubjectAlternativeNames", value!([format!("*.{domain}")]));
            drawing.add(draft);
        }
        CertificateMode::PerService => {
            for (service, host) in &spec.dns.hostnames {
                drawing.add(certificate(
                    &slug(service),
                    &format!("{host}.{domain}"),
                    hosted_zone,
                ));
            }
        }
    }
}

/// With a hosted zone, ACM writes the validating record into it by itself. A wildcard is validated by its base's record.
fn certificate(name: &str, domain: &str, hosted_zone: Option<&Value>) -> Draft {
    let options =
        hosted_zone.map(|zone| value!([{ "DomainName": domain, "HostedZoneId": zone.clone() }]));
    Draft::new(
        format!("certificate/{name}"),
        types::CERTIFICATE,
        value!({ "DomainName": domain, "ValidationMethod": "DNS" }),
    )
    .with_some("DomainValidationOptions", options)
}
