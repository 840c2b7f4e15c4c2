//! The domain's hosted zone, when Route 53 answers for it. The records in it are the cluster's to make.

use graph::{Value, value};
use spec::model::DnsProvider;

use crate::draft::{Draft, Drawing};
use crate::types;

/// The id of the domain's hosted zone; `None` when somebody else answers for the domain, or there is none.
pub(crate) fn draw(drawing: &mut Drawing<'_>) -> Option<Value> {
    let dns = &drawing.spec().dns;
    if dns.provider != DnsProvider::Route53 {
        return None;
    }
    if let Some(id) = &dns.hosted_zone_id {
        return Some(id.as_str().into());
    }
    let domain = dns.domain.as_deref()?;
    // Retained: the registrar delegates to its name servers, another zone has others, and Route 53 deletes no zone with
    // records in it, such as those that validate certificates.
    let zone = drawing.add(
        Draft::new(
            "dns/hosted-zone",
            types::HOSTED_ZONE,
            value!({
                "Name": domain,
                "HostedZoneConfig": { "Comment": format!("{}, by Seaworthy", drawing.scope_name()) },
            }),
        )
        .retain(),
    );
    Some(zone.get("Id"))
}
