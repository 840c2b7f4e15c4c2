//! AWS CloudFormation, the registry only: what a resource type is and whether Cloud Control can provision it.

use std::str::FromStr;

use catalog::{Provisioning, TypeName};

use super::super::account::Account;
use super::super::wire::{Reply, Request, ServiceError, Xml};

pub(crate) const NAMESPACE: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
pub(crate) const OPERATIONS: &[&str] = &["DescribeType"];

/// Answers one call.
pub(crate) fn handle(
    account: &Account,
    action: &str,
    request: &Request,
    request_id: &str,
) -> Option<Result<Reply, ServiceError>> {
    (action == "DescribeType").then(|| describe_type(account, request, request_id))
}

fn describe_type(
    account: &Account,
    request: &Request,
    request_id: &str,
) -> Result<Reply, ServiceError> {
    let parameters = request.parameters();
    let kind = parameters.get("Type").map_or("RESOURCE", String::as_str);
    let by_arn = parameters
        .get("Arn")
        .and_then(|arn| arn.rsplit_once("resource/"))
        .map(|(_, name)| name.replace('-', "::"));
    let Some(name) = parameters.get("TypeName").cloned().or(by_arn) else {
        return Err(ServiceError::bad_request(
            "ValidationError",
            "Either Arn or both Type and TypeName must be specified",
        ));
    };
    let schema = TypeName::from_str(&name)
        .ok()
        .filter(|_| kind == "RESOURCE")
        .and_then(|name| catalog::schema(&name));
    let Some(schema) = schema else {
        return Err(ServiceError::new(
            404,
            "TypeNotFoundException",
            format!("The type '{name}' cannot be found."),
        ));
    };
    let (region, _) = account.place();
    let partition = catalog::regions::partition(&region);
    let arn = format!(
        "arn:{partition}:cloudformation:{region}::type/resource/{}",
        name.replace("::", "-")
    );
    let provisioning = match schema.provisioning() {
        Provisioning::FullyMutable => "FULLY_MUTABLE",
        Provisioning::Immutable => "IMMUTABLE",
        Provisioning::NonProvisionable => "NON_PROVISIONABLE",
    };
    Ok(Xml::query(NAMESPACE, "DescribeType", request_id, |xml| {
        xml.text("Arn", &arn)
            .text("Type", "RESOURCE")
            .text("TypeName", &name)
            .text("DefaultVersionId", "00000001")
            .text("IsDefaultVersion", "true")
            .text(
                "Description",
                &format!("Resource Type definition for {name}"),
            )
            .text("Schema", &schema.document().to_string())
            .text("ProvisioningType", provisioning)
            .text("DeprecatedStatus", "LIVE")
            .text("Visibility", "PUBLIC");
    }))
}
