//! Who the credentials are: account, partition, principal.

use aws_sdk_sts::Client;
use catalog::ids::AccountId;
use engine::provider::{ErrorClass, ProviderError};

use crate::cloud_control::sdk_error;
use crate::session::Session;

/// The caller, as STS knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The account.
    pub account: AccountId,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// The ARN of the caller: of a user, or of a role's session.
    pub arn: String,
}

impl CallerIdentity {
    /// Asks STS. Needs no permission; wrong credentials are an error of the class `Denied`.
    ///
    /// # Errors
    ///
    /// When there are no credentials, STS refuses them, or it can't be reached.
    pub async fn fetch(session: &Session) -> Result<Self, ProviderError> {
        session.credentials().await?;
        let output = Client::new(session.config())
            .get_caller_identity()
            .send()
            .await
            .map_err(sdk_error)?;
        let unusable = || ProviderError {
            class: ErrorClass::Terminal,
            code: "MalformedResponse".to_owned(),
            message: "STS did not say who the caller is".to_owned(),
        };
        let arn = output.arn.ok_or_else(unusable)?;
        let account = output
            .account
            .and_then(|account| AccountId::new(account).ok())
            .ok_or_else(unusable)?;
        let partition = arn.split(':').nth(1).unwrap_or("aws").to_owned();
        Ok(Self {
            account,
            partition,
            arn,
        })
    }

    /// The IAM principal behind the caller: the role of an assumed-role session, otherwise the caller itself. This is what
    /// `Parameter::Deployer` stands for.
    ///
    /// A session's ARN has its role's name but not the role's path (`aws-reserved/sso.amazonaws.com/…` of IAM Identity
    /// Center's roles), so a path is missing here; [`AwsProvider::deployer`](crate::AwsProvider::deployer) reads the role to
    /// find it.
    pub fn principal(&self) -> String {
        let session = self
            .arn
            .split_once(":assumed-role/")
            .filter(|(start, _)| start.contains(":sts:"));
        match session {
            Some((_, rest)) => {
                let role = rest.split('/').next().unwrap_or(rest);
                format!("arn:{}:iam::{}:role/{role}", self.partition, self.account)
            }
            None => self.arn.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(arn: &str) -> CallerIdentity {
        CallerIdentity {
            account: AccountId::new("123456789012").unwrap(),
            partition: arn.split(':').nth(1).unwrap().to_owned(),
            arn: arn.to_owned(),
        }
    }

    #[test]
    fn a_sessions_principal_is_its_role() {
        let cases = [
            (
                "arn:aws:sts::123456789012:assumed-role/deployer/ci-17",
                "arn:aws:iam::123456789012:role/deployer",
            ),
            (
                "arn:aws-cn:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0a1b/me@example.com",
                "arn:aws-cn:iam::123456789012:role/AWSReservedSSO_Admin_0a1b",
            ),
            (
                "arn:aws:iam::123456789012:user/team/me",
                "arn:aws:iam::123456789012:user/team/me",
            ),
            (
                "arn:aws:iam::123456789012:root",
                "arn:aws:iam::123456789012:root",
            ),
        ];
        for (arn, principal) in cases {
            assert_eq!(identity(arn).principal(), principal);
        }
    }
}
