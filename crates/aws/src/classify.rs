//! What AWS's error codes and words mean for whoever made the call.
//!
//! Three tables: the handler codes of a failed operation (`ProgressEvent.ErrorCode`), the exceptions that a call itself
//! throws, and the messages by which services say that a new IAM role is not known to them yet. AWS's contract for
//! handlers ("Handler error codes", CloudFormation CLI user guide) says which of the first are retriable; the second are
//! those of Cloud Control's API model (botocore, cloudcontrol/2021-09-30) and of the few services called directly.

use aws_sdk_cloudcontrol::types::Operation;
use catalog::ids::RequestToken;
use engine::provider::{ErrorClass, ProviderError};

use crate::session::SessionError;
use crate::signed::CallError;

/// Messages, in lower case, by which a service says that something of IAM that was made a moment ago is not known to it
/// yet. Cloud Control reports them as terminal; CloudFormation hides them by its own slowness.
///
/// Sources: [K] go-to-k/cdkd `src/deployment/retryable-errors.ts` (each seen in its integration tests); [T] what
/// hashicorp/terraform-provider-aws retries on (`tfresource.RetryWhen*` in `internal/service/{eks,ec2,backup,kms,iam,
/// cloudtrail,secretsmanager}`); [S] the services' own API references.
const PROPAGATION: [&str; 24] = [
    // Backup, Lambda, ECS, Scheduler [K, T]
    "cannot be assumed",
    // EKS: "Role with arn: … could not be assumed because it does not exist or the trust relationship is not set up" [T]
    "could not be assumed",
    // Firehose, Glue, MQ [K]
    "is unable to assume",
    // EC2 flow logs [T]
    "unable to assume given iam role",
    // EKS [T]
    "the trusted entity is not correct",
    "doesn't have the amazon eks managed policies",
    // EKS pod identity associations [S]
    "role provided in the request does not exist",
    // EKS access entries [S]
    "principalarn is invalid",
    // Lambda [K]
    "role defined for the function",
    "role validation failed",
    // S3, SQS, KMS policies that name a new principal [K, T]
    "invalid principal in policy",
    "invalid value for the parameter policy",
    "one or more invalid principals",
    "unsupported principal",
    // SNS [K]
    "policy error: principalnotfound",
    // CloudTrail [K, T]
    "has adequate trust relationships",
    "check the trust relationships for your role",
    "check the permissions for your role",
    // Backup selections [T]
    "is not authorized to call tag:getresources",
    // A service that tries the role itself; the caller's own missing permission names another action [K]
    "not authorized to perform: sts:assumerole",
    "caught serviceaccessdeniedexception",
    // EC2 launch templates and Auto Scaling groups: an instance profile a moment old [T]
    "invalid iam instance profile",
    // IAM about IAM: a role's inline policy or instance profile straight after the role [K, T]
    "the role with name",
    "does not exist or is not attachable",
];

fn says_propagation(message: &str) -> bool {
    let message = message.to_lowercase();
    PROPAGATION.iter().any(|pattern| message.contains(pattern))
}

/// The class of a failed operation, from its handler code.
pub fn handler_error(operation: Option<&Operation>, code: &str, message: &str) -> ErrorClass {
    let class = match code {
        "Throttling" => ErrorClass::Throttled,
        "ResourceConflict" | "ServiceInternalError" | "NetworkFailure" => ErrorClass::Retryable,
        // Not in the contract's list of retriable codes: what the operation has made is removed before it is tried again,
        // and tries are few. (NotStabilized: the guide of the older plugins calls it retriable.)
        "NotStabilized" | "ServiceTimeout" => ErrorClass::Retryable,
        "AlreadyExists" => ErrorClass::AlreadyExists,
        // What is being created can't be what is missing: it is something that it refers to, a moment old (EC2 API
        // reference, "Eventual consistency").
        "NotFound" if operation == Some(&Operation::Create) => ErrorClass::Propagation,
        "NotFound" => ErrorClass::NotFound,
        "AccessDenied" | "InvalidCredentials" | "UnauthorizedTaggingOperation" => {
            ErrorClass::Denied
        }
        // NotUpdatable, InvalidRequest, ServiceLimitExceeded, GeneralServiceException, InternalFailure, and what AWS may add.
        _ => ErrorClass::Terminal,
    };
    match class {
        // Service-linked roles: "Service role name … has been taken in this account, please try a different suffix."
        ErrorClass::Terminal if message.contains("has been taken in this account") => {
            ErrorClass::AlreadyExists
        }
        ErrorClass::Terminal | ErrorClass::Denied if says_propagation(message) => {
            ErrorClass::Propagation
        }
        class => class,
    }
}

/// The class of an error that a call itself ended with.
pub fn exception(status: u16, code: &str, message: &str) -> ErrorClass {
    let plain = code.strip_suffix("Exception").unwrap_or(code);
    match plain {
        "Throttling" | "Throttled" | "RequestLimitExceeded" | "TooManyRequests" | "SlowDown"
        | "RequestThrottled" | "ProvisionedThroughputExceeded" | "BandwidthLimitExceeded" => {
            ErrorClass::Throttled
        }
        // Cloud Control: another operation on the same resource, or the other side's trouble.
        "ConcurrentOperation"
        | "ConcurrentModification"
        | "ResourceConflict"
        | "ServiceInternalError"
        | "NetworkFailure"
        | "HandlerFailure"
        | "HandlerInternalFailure"
        // Route 53: "the request was rejected because Route 53 was still processing a prior request".
        | "PriorRequestNotComplete"
        // DynamoDB, S3.
        | "TransactionConflict"
        | "OperationAborted"
        | "RequestTimeout" => ErrorClass::Retryable,
        "ClientTokenConflict" => ErrorClass::TokenConflict(existing_operation(message)),
        "RequestTokenNotFound" | "NoSuchChange" => ErrorClass::OperationUnknown,
        "ResourceNotFound" | "NotFound" | "NoSuchHostedZone" | "NoSuchEntity" | "NoSuchKey" => {
            ErrorClass::NotFound
        }
        "AlreadyExists" | "DuplicateRecord" | "EntityAlreadyExists" => ErrorClass::AlreadyExists,
        "AccessDenied"
        | "InvalidCredentials"
        | "UnauthorizedTaggingOperation"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "AuthFailure"
        | "UnrecognizedClient"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "InvalidSignature"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "ExpiredToken"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "OptInRequired" => ErrorClass::Denied,
        // Cloud Control sometimes throws GeneralServiceException with the service's 404 inside (terraform-provider-awscc).
        "GeneralService" if message.contains("api error ResourceNotFound") => ErrorClass::NotFound,
        _ if status == 429 => ErrorClass::Throttled,
        // In the model of terminal ones, whatever their status.
        "TypeNotFound" | "UnsupportedAction" | "InvalidRequest" | "NotUpdatable"
        | "ServiceLimitExceeded" | "NotStabilized" | "PrivateType" | "GeneralService"
        | "Validation" => {
            if message.contains("has been taken in this account") {
                ErrorClass::AlreadyExists
            } else if says_propagation(message) {
                ErrorClass::Propagation
            } else {
                ErrorClass::Terminal
            }
        }
        _ if status >= 500 => ErrorClass::Retryable,
        _ => ErrorClass::Terminal,
    }
}

/// The operation that a client token belongs to, as the message of the conflict names it: "… is already associated with an
/// existing operation with RequestToken 1a2b-…".
fn existing_operation(message: &str) -> Option<RequestToken> {
    let (_, after) = message.split_once("with RequestToken")?;
    let token: String = after
        .trim_start_matches([' ', ':', '[', '"', '\''])
        .chars()
        .take_while(|character| character.is_ascii_alphanumeric() || *character == '-')
        .collect();
    RequestToken::new(token).ok()
}

/// What a person can do about wrong or missing credentials; none for other codes.
pub fn credentials_hint(code: &str) -> Option<&'static str> {
    let plain = code.strip_suffix("Exception").unwrap_or(code);
    Some(match plain {
        "ExpiredToken" | "RequestExpired" => {
            "the credentials have expired: sign in again (`aws sso login`)"
        }
        "UnrecognizedClient" | "InvalidClientTokenId" | "InvalidAccessKeyId" => {
            "AWS does not know this access key: check the profile, or that the credentials are meant for this endpoint"
        }
        "SignatureDoesNotMatch" | "InvalidSignature" | "IncompleteSignature" => {
            "the secret access key is wrong, or this machine's clock is"
        }
        "RequestTimeTooSkewed" => "this machine's clock is wrong",
        "OptInRequired" => "the account has not enabled this region or service",
        _ => return None,
    })
}

impl From<CallError> for ProviderError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Session(error) => error.into(),
            CallError::Unreachable { .. } => Self {
                class: ErrorClass::Unreachable,
                code: "Unreachable".to_owned(),
                message: error.to_string(),
            },
            CallError::Refused {
                status,
                code,
                message,
            } => Self {
                class: exception(status, &code, &message),
                code,
                message,
            },
            CallError::Malformed { .. } => Self {
                class: ErrorClass::Retryable,
                code: "MalformedResponse".to_owned(),
                message: error.to_string(),
            },
        }
    }
}

impl From<SessionError> for ProviderError {
    fn from(error: SessionError) -> Self {
        Self {
            class: ErrorClass::Denied,
            code: "Credentials".to_owned(),
            message: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handler_codes_are_classed_as_the_contract_says() {
        use ErrorClass::*;
        let table = [
            ("Throttling", Throttled),
            ("ResourceConflict", Retryable),
            ("ServiceInternalError", Retryable),
            ("NetworkFailure", Retryable),
            ("NotStabilized", Retryable),
            ("ServiceTimeout", Retryable),
            ("NotUpdatable", Terminal),
            ("InvalidRequest", Terminal),
            ("AccessDenied", Denied),
            ("InvalidCredentials", Denied),
            ("UnauthorizedTaggingOperation", Denied),
            ("AlreadyExists", AlreadyExists),
            ("NotFound", NotFound),
            ("ServiceLimitExceeded", Terminal),
            ("GeneralServiceException", Terminal),
            ("InternalFailure", Terminal),
            ("SomethingNew", Terminal),
        ];
        for (code, class) in table {
            assert_eq!(
                handler_error(Some(&Operation::Update), code, "words"),
                class,
                "{code}"
            );
        }
        assert_eq!(
            handler_error(
                Some(&Operation::Create),
                "NotFound",
                "The vpc ID 'vpc-1' does not exist"
            ),
            Propagation
        );
    }

    #[test]
    fn exceptions_are_classed_as_the_api_model_says() {
        use ErrorClass::*;
        let table = [
            (400, "ThrottlingException", Throttled),
            (400, "ConcurrentOperationException", Retryable),
            (400, "ResourceConflictException", Retryable),
            (500, "ServiceInternalErrorException", Retryable),
            (502, "NetworkFailureException", Retryable),
            (502, "HandlerFailureException", Retryable),
            (502, "HandlerInternalFailureException", Retryable),
            (404, "TypeNotFoundException", Terminal),
            (405, "UnsupportedActionException", Terminal),
            (400, "InvalidRequestException", Terminal),
            (400, "NotUpdatableException", Terminal),
            (400, "AlreadyExistsException", AlreadyExists),
            (400, "ServiceLimitExceededException", Terminal),
            (401, "InvalidCredentialsException", Denied),
            (400, "NotStabilizedException", Terminal),
            (400, "PrivateTypeException", Terminal),
            (400, "GeneralServiceException", Terminal),
            (400, "ValidationException", Terminal),
            (404, "ResourceNotFoundException", NotFound),
            (404, "RequestTokenNotFoundException", OperationUnknown),
            (400, "ExpiredTokenException", Denied),
            (403, "SignatureDoesNotMatch", Denied),
            (503, "SlowDown", Throttled),
            (400, "PriorRequestNotComplete", Retryable),
            (503, "HttpStatus503", Retryable),
            (429, "HttpStatus429", Throttled),
        ];
        for (status, code, class) in table {
            assert_eq!(exception(status, code, "words"), class, "{code}");
        }
    }

    #[test]
    fn a_role_that_is_not_known_everywhere_yet_is_no_terminal_error() {
        for message in [
            "Role with arn: arn:aws:iam::1:role/x, could not be assumed because it does not exist",
            "IAM Role arn:aws:iam::1:role/x cannot be assumed by AWS Backup",
            "Invalid principal in policy: \"AWS\":\"arn:aws:iam::1:role/x\"",
            "The role with name x cannot be found.",
        ] {
            for code in ["InvalidRequest", "GeneralServiceException"] {
                assert_eq!(
                    handler_error(Some(&Operation::Create), code, message),
                    ErrorClass::Propagation
                );
            }
        }
        // The caller's own missing permission is not a matter of waiting.
        let denied = "User: arn:aws:iam::1:user/u is not authorized to perform: ec2:CreateVpc";
        assert_eq!(
            handler_error(Some(&Operation::Create), "AccessDenied", denied),
            ErrorClass::Denied
        );
    }

    #[test]
    fn a_service_linked_role_that_is_there_is_no_failure() {
        let message = "Service role name AWSServiceRoleForEC2Spot has been taken in this account, please try a different suffix.";
        assert_eq!(
            handler_error(Some(&Operation::Create), "InvalidRequest", message),
            ErrorClass::AlreadyExists
        );
    }

    #[test]
    fn a_token_conflict_names_the_operation() {
        let message = "Client token abc is already associated with an existing operation with RequestToken 0f1e2d3c-1111-2222-3333-444455556666.";
        assert_eq!(
            exception(400, "ClientTokenConflictException", message),
            ErrorClass::TokenConflict(
                RequestToken::new("0f1e2d3c-1111-2222-3333-444455556666").ok()
            )
        );
        assert_eq!(
            exception(400, "ClientTokenConflictException", "conflict"),
            ErrorClass::TokenConflict(None)
        );
    }
}
