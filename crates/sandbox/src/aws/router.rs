//! From an HTTP request to the service that it is for: by the signing name in its signature's scope, as there is one port
//! for all services.

use serde_json::Value;

use super::account::Account;
use super::cloudcontrol;
use super::faults::{CallFault, Stop};
use super::services::{
    acm, budgets, cloudformation, ec2, route53, secretsmanager, servicequotas, sqs, sts, tagging,
};
use super::signature::{Authorization, Refusal, Scope};
use super::wire::{Protocol, Reply, Request, ServiceError};

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Routed {
    Reply(Reply),
    /// It is never answered: a fault ended the process, or what stands for it.
    Stopped,
}

type JsonHandler = fn(&Account, &str, &Value) -> Option<Result<Value, ServiceError>>;
type QueryHandler = fn(&Account, &str, &Request, &str) -> Option<Result<Reply, ServiceError>>;

/// How a service's calls are told apart.
enum Calls {
    /// By the part of `X-Amz-Target` after this prefix.
    Target {
        prefix: &'static str,
        handle: JsonHandler,
    },
    /// By the parameter `Action`.
    Action(QueryHandler),
    /// By method and path.
    Rest(QueryHandler),
}

/// A service that the sandbox speaks.
struct Service {
    /// The name in a signature's scope.
    signing_name: &'static str,
    protocol: Protocol,
    calls: Calls,
    /// Whether clients sign for `us-east-1` wherever they are.
    global: bool,
    operations: &'static [&'static str],
}

const SERVICES: [Service; 11] = [
    Service {
        signing_name: "cloudcontrolapi",
        protocol: Protocol::JSON_1_0,
        calls: Calls::Target {
            prefix: "CloudApiService",
            handle: cloudcontrol::handle,
        },
        global: false,
        operations: cloudcontrol::OPERATIONS,
    },
    Service {
        signing_name: "sts",
        protocol: Protocol::Query(sts::NAMESPACE),
        calls: Calls::Action(sts::handle),
        global: true,
        operations: sts::OPERATIONS,
    },
    Service {
        signing_name: "cloudformation",
        protocol: Protocol::Query(cloudformation::NAMESPACE),
        calls: Calls::Action(cloudformation::handle),
        global: false,
        operations: cloudformation::OPERATIONS,
    },
    Service {
        signing_name: "ec2",
        protocol: Protocol::Ec2,
        calls: Calls::Action(ec2::handle),
        global: false,
        operations: ec2::OPERATIONS,
    },
    Service {
        signing_name: "route53",
        protocol: Protocol::RestXml(route53::NAMESPACE),
        calls: Calls::Rest(route53::handle),
        global: true,
        operations: route53::OPERATIONS,
    },
    Service {
        signing_name: "budgets",
        protocol: Protocol::JSON_1_1,
        calls: Calls::Target {
            prefix: "AWSBudgetServiceGateway",
            handle: budgets::handle,
        },
        global: true,
        operations: budgets::OPERATIONS,
    },
    Service {
        signing_name: "secretsmanager",
        protocol: Protocol::JSON_1_1,
        calls: Calls::Target {
            prefix: "secretsmanager",
            handle: secretsmanager::handle,
        },
        global: false,
        operations: secretsmanager::OPERATIONS,
    },
    Service {
        signing_name: "acm",
        protocol: Protocol::JSON_1_1_LOWER,
        calls: Calls::Target {
            prefix: "CertificateManager",
            handle: acm::handle,
        },
        global: false,
        operations: acm::OPERATIONS,
    },
    Service {
        signing_name: "tagging",
        protocol: Protocol::JSON_1_1,
        calls: Calls::Target {
            prefix: "ResourceGroupsTaggingAPI_20170126",
            handle: tagging::handle,
        },
        global: false,
        operations: tagging::OPERATIONS,
    },
    Service {
        signing_name: "sqs",
        protocol: Protocol::JSON_1_0,
        calls: Calls::Target {
            prefix: "AmazonSQS",
            handle: sqs::handle,
        },
        global: false,
        operations: sqs::OPERATIONS,
    },
    Service {
        signing_name: "servicequotas",
        protocol: Protocol::JSON_1_1,
        calls: Calls::Target {
            prefix: "ServiceQuotasV20190624",
            handle: servicequotas::handle,
        },
        global: false,
        operations: servicequotas::OPERATIONS,
    },
];

/// Answers a request.
pub(crate) fn route(account: &Account, request: &Request, request_id: &str) -> Routed {
    let authorization = match Authorization::read(request) {
        Ok(authorization) => authorization,
        Err(refusal) => {
            return Routed::Reply(refused(guessed_protocol(request), &refusal, request_id));
        }
    };
    let scope = &authorization.scope;
    let Some(service) = SERVICES
        .iter()
        .find(|service| service.signing_name == scope.service)
    else {
        let spoken: Vec<_> = SERVICES
            .iter()
            .map(|service| service.signing_name)
            .collect();
        let error = ServiceError::bad_request(
            "UnknownOperationException",
            format!(
                "The sandbox does not speak the service '{}' (asked for {}). It speaks {}.",
                scope.service,
                asked_for(request),
                spoken.join(", ")
            ),
        );
        return Routed::Reply(guessed_protocol(request).error(&error, request_id));
    };
    let verified = authorization.verify(request, account.credentials(), account.epoch_seconds());
    if let Err(refusal) = verified {
        return Routed::Reply(refused(service.protocol, &refusal, request_id));
    }
    let answered = in_region(account, service, scope)
        .and_then(|()| service.answer(account, request, request_id));
    match answered {
        Ok(routed) => routed,
        Err(error) => Routed::Reply(service.protocol.error(&error, request_id)),
    }
}

impl Service {
    fn answer(
        &self,
        account: &Account,
        request: &Request,
        request_id: &str,
    ) -> Result<Routed, ServiceError> {
        let unknown = |operation: &str| {
            ServiceError::bad_request(
                match self.protocol {
                    Protocol::Ec2 => "InvalidAction",
                    _ => "UnknownOperationException",
                },
                format!(
                    "The sandbox has no operation '{operation}' of the service '{}'. It has {}.",
                    self.signing_name,
                    self.operations.join(", ")
                ),
            )
        };
        match &self.calls {
            Calls::Target { prefix, handle } => {
                let target = request.header("x-amz-target");
                let operation = target
                    .split_once('.')
                    .filter(|(before, _)| before == prefix)
                    .map(|(_, after)| after);
                let operation = operation.ok_or_else(|| unknown(target))?;
                let input = request.json()?;
                let type_name = input.get("TypeName").and_then(Value::as_str);
                self.with_faults(account, operation, type_name, || {
                    let answered = handle(account, operation, &input)
                        .unwrap_or_else(|| Err(unknown(operation)))?;
                    Ok(self.protocol.json(&answered))
                })
            }
            Calls::Action(handle) => {
                let parameters = request.parameters();
                let action = parameters.get("Action").map_or("", String::as_str);
                let type_name = parameters.get("TypeName").map(String::as_str);
                self.with_faults(account, action, type_name, || {
                    handle(account, action, request, request_id)
                        .unwrap_or_else(|| Err(unknown(action)))
                })
            }
            Calls::Rest(handle) => {
                let operation = route53::operation(request);
                self.with_faults(account, operation.unwrap_or_default(), None, || {
                    let answered = operation
                        .and_then(|operation| handle(account, operation, request, request_id));
                    answered.unwrap_or_else(|| Err(unknown(&asked_for(request))))
                })
            }
        }
    }

    /// Lets what is ordered happen to a call, before or after it is done.
    fn with_faults(
        &self,
        account: &Account,
        operation: &str,
        type_name: Option<&str>,
        call: impl FnOnce() -> Result<Reply, ServiceError>,
    ) -> Result<Routed, ServiceError> {
        let fault = account.call_fault(operation, type_name);
        match fault {
            Some(CallFault::Error { code, message }) => {
                // The statuses of botocore's models: what is the service's fault is a 5xx.
                let internal = ["Internal", "Failure", "Unavailable"]
                    .iter()
                    .any(|word| code.contains(word));
                return Err(ServiceError::new(
                    if internal { 500 } else { 400 },
                    code,
                    message,
                ));
            }
            Some(CallFault::Stop(when @ Stop::Before)) => {
                account.stop(when);
                return Ok(Routed::Stopped);
            }
            Some(CallFault::Stop(Stop::After)) | None => {}
        }
        if self.signing_name == "cloudcontrolapi" && !account.admit() {
            return Err(ServiceError::bad_request(
                "ThrottlingException",
                "Rate exceeded",
            ));
        }
        let reply = call();
        if let Some(CallFault::Stop(when)) = fault {
            account.stop(when);
            return Ok(Routed::Stopped);
        }
        reply.map(Routed::Reply)
    }
}

/// Refuses a request that was signed for another region than the world's.
fn in_region(account: &Account, service: &Service, scope: &Scope) -> Result<(), ServiceError> {
    let (region, _) = account.place();
    if scope.region == region || (service.global && scope.region == "us-east-1") {
        return Ok(());
    }
    // The words are SigV4's own for a wrong scope; the code is that of the protocol.
    Err(ServiceError::new(
        if matches!(service.protocol, Protocol::Json { .. }) {
            400
        } else {
            403
        },
        if matches!(service.protocol, Protocol::Json { .. }) {
            "InvalidSignatureException"
        } else {
            "SignatureDoesNotMatch"
        },
        format!(
            "Credential should be scoped to a valid region. The sandbox's region is '{region}', the request is for '{}'.",
            scope.region
        ),
    ))
}

/// The error of a request whose signature does not let it in. JSON services use other codes than the XML ones.
fn refused(protocol: Protocol, refusal: &Refusal, request_id: &str) -> Reply {
    let json = matches!(protocol, Protocol::Json { .. });
    let mismatch = if json {
        (400, "InvalidSignatureException")
    } else {
        (403, "SignatureDoesNotMatch")
    };
    let ((status, code), message) = match refusal {
        Refusal::Missing => {
            let code = if json {
                "MissingAuthenticationTokenException"
            } else {
                "MissingAuthenticationToken"
            };
            (
                (403, code),
                "Request is missing Authentication Token".to_owned(),
            )
        }
        Refusal::Incomplete(message) => (
            (
                400,
                if json {
                    "IncompleteSignatureException"
                } else {
                    "IncompleteSignature"
                },
            ),
            message.clone(),
        ),
        Refusal::UnknownKey => {
            let unknown = if json {
                (400, "UnrecognizedClientException")
            } else {
                (403, "InvalidClientTokenId")
            };
            (
                unknown,
                "The security token included in the request is invalid.".to_owned(),
            )
        }
        Refusal::Expired(message) => (mismatch, message.clone()),
        Refusal::Mismatch => {
            let message = "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                 Access Key and signing method. Consult the service documentation for details.";
            (mismatch, message.to_owned())
        }
    };
    protocol.error(&ServiceError::new(status, code, message), request_id)
}

/// The protocol of a request that is for no service of the sandbox.
fn guessed_protocol(request: &Request) -> Protocol {
    if !request.header("x-amz-target").is_empty() {
        return if request.header("content-type").contains("1.0") {
            Protocol::JSON_1_0
        } else {
            Protocol::JSON_1_1
        };
    }
    if request
        .header("content-type")
        .starts_with("application/x-www-form-urlencoded")
    {
        return Protocol::Query("urn:seaworthy:sandbox");
    }
    // Of the REST services, these have XML.
    let xml = Authorization::read(request).is_ok_and(|authorization| {
        ["s3", "route53", "cloudfront"].contains(&&*authorization.scope.service)
    });
    if xml {
        Protocol::RestXml("urn:seaworthy:sandbox")
    } else {
        Protocol::JSON_1_1
    }
}

/// What a request asks for, in the words of its protocol.
fn asked_for(request: &Request) -> String {
    let target = request.header("x-amz-target");
    if !target.is_empty() {
        return target.to_owned();
    }
    if let Some(action) = request.parameters().get("Action") {
        return action.clone();
    }
    format!("{} {}", request.method, request.path)
}
