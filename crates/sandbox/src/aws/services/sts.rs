//! AWS STS: who the caller is.

use super::super::account::Account;
use super::super::wire::{Reply, Request, ServiceError, Xml};

pub(crate) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
pub(crate) const OPERATIONS: &[&str] = &["GetCallerIdentity"];

/// Answers one call.
pub(crate) fn handle(
    account: &Account,
    action: &str,
    _: &Request,
    request_id: &str,
) -> Option<Result<Reply, ServiceError>> {
    (action == "GetCallerIdentity").then(|| {
        let (_, number) = account.place();
        Ok(Xml::query(NAMESPACE, action, request_id, |xml| {
            xml.text("Arn", account.caller_arn())
                .text("UserId", &account.credentials().user_id)
                .text("Account", &number);
        }))
    })
}
