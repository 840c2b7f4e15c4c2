//! The four calls, page by page.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use catalog::ids::Region;
use engine::Pace;
use engine::provider::{ErrorClass, ProviderError};
use roxmltree::{Document, Node};
use serde_json::Value;

use super::FetchError;
use crate::endpoint::Service;
use crate::session::Session;
use crate::signed::{AnyNamespace, CallError};

/// More pages than any answer has: the longest, Spot prices of all types in a region of six zones, has some twenty.
const MOST_PAGES: usize = 200;

/// A call of AWS's that is made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// What the region's types have.
    DescribeInstanceTypes,
    /// The zones that have a type.
    DescribeInstanceTypeOfferings,
    /// Spot prices.
    DescribeSpotPriceHistory,
    /// On-demand prices.
    GetProducts,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::DescribeInstanceTypes,
        Self::DescribeInstanceTypeOfferings,
        Self::DescribeSpotPriceHistory,
        Self::GetProducts,
    ];

    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DescribeInstanceTypes => "DescribeInstanceTypes",
            Self::DescribeInstanceTypeOfferings => "DescribeInstanceTypeOfferings",
            Self::DescribeSpotPriceHistory => "DescribeSpotPriceHistory",
            Self::GetProducts => "GetProducts",
        }
    }

    /// Its name in an IAM policy.
    #[must_use]
    pub const fn permission(self) -> &'static str {
        match self {
            Self::DescribeInstanceTypes => "ec2:DescribeInstanceTypes",
            Self::DescribeInstanceTypeOfferings => "ec2:DescribeInstanceTypeOfferings",
            Self::DescribeSpotPriceHistory => "ec2:DescribeSpotPriceHistory",
            Self::GetProducts => "pricing:GetProducts",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.permission())
    }
}

/// Whoever makes the calls.
pub(super) struct Caller<'a> {
    session: &'a Session,
    pace: Pace,
    calls: AtomicUsize,
}

impl<'a> Caller<'a> {
    pub(super) fn new(session: &'a Session, pace: Pace) -> Self {
        Self {
            session,
            pace,
            calls: AtomicUsize::new(0),
        }
    }

    pub(super) fn region(&self) -> &Region {
        self.session.region()
    }

    /// Calls that were answered.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Reads every item of the set `set` in all pages of an EC2 action.
    pub(super) async fn ec2(
        &self,
        action: Action,
        parameters: &[(&str, &str)],
        set: &'static str,
        mut read: impl FnMut(Node<'_, '_>) -> Result<(), String>,
    ) -> Result<(), FetchError> {
        let mut pages = Pages::new(action);
        loop {
            let mut all = vec![("Action", action.name()), ("Version", "2016-11-15")];
            all.extend_from_slice(parameters);
            if let Some(token) = &pages.token {
                all.push(("NextToken", token));
            }
            let call = async || self.session.query(Service::Ec2, &all).await;
            let answer = self.answer(action, call).await?;
            let malformed = |reason| FetchError::Malformed {
                action,
                page: pages.read + 1,
                reason,
            };
            let document =
                Document::parse(&answer).map_err(|error| malformed(error.to_string()))?;
            let root = document.root_element();
            let items = root
                .children()
                .find(|node| node.has_tag_name_in_any_namespace(set))
                .ok_or_else(|| malformed(format!("it has no {set}")))?;
            for item in items.children().filter(Node::is_element) {
                read(item).map_err(malformed)?;
            }
            let next = root.child_text("nextToken");
            if !pages.turn(next)? {
                return Ok(());
            }
        }
    }

    /// Reads every page of a call in AWS JSON.
    pub(super) async fn json(
        &self,
        service: Service,
        action: Action,
        mut input: Value,
        mut read: impl FnMut(&Value) -> Result<(), String>,
    ) -> Result<(), FetchError> {
        let mut pages = Pages::new(action);
        loop {
            if let Some(token) = &pages.token {
                input["NextToken"] = Value::from(token.as_str());
            }
            let call = async || self.session.json(service, action.name(), &input).await;
            let answer = self.answer(action, call).await?;
            read(&answer).map_err(|reason| FetchError::Malformed {
                action,
                page: pages.read + 1,
                reason,
            })?;
            let next = answer["NextToken"].as_str().map(str::to_owned);
            if !pages.turn(next)? {
                return Ok(());
            }
        }
    }

    async fn answer<T>(
        &self,
        action: Action,
        call: impl AsyncFn() -> Result<T, CallError>,
    ) -> Result<T, FetchError> {
        let attempt = || async { call().await.map_err(ProviderError::from) };
        let answer = engine::patiently(self.pace, attempt).await;
        let answer = answer.map_err(|source| match is_missing_permission(&source) {
            true => FetchError::NotAllowed {
                actions: vec![action],
                source,
            },
            false => FetchError::Call { action, source },
        })?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }
}

/// Whether the caller is known, and not allowed: other codes of the class speak of wrong credentials.
fn is_missing_permission(error: &ProviderError) -> bool {
    let code = error.code.strip_suffix("Exception").unwrap_or(&error.code);
    error.class == ErrorClass::Denied
        && matches!(
            code,
            "UnauthorizedOperation" | "AccessDenied" | "NotAuthorized"
        )
}

/// Where in an answer we are.
struct Pages {
    action: Action,
    /// Pages that were read.
    read: usize,
    /// The next one's token; none before the first.
    token: Option<String>,
}

impl Pages {
    fn new(action: Action) -> Self {
        Self {
            action,
            read: 0,
            token: None,
        }
    }

    /// Turns to the next page, if there is one. A token that comes again would go on for ever.
    fn turn(&mut self, next: Option<String>) -> Result<bool, FetchError> {
        self.read += 1;
        let next = next.filter(|token| !token.is_empty());
        if next.is_some() && (next == self.token || self.read >= MOST_PAGES) {
            return Err(FetchError::Endless {
                action: self.action,
                pages: self.read,
            });
        }
        self.token = next;
        Ok(self.token.is_some())
    }
}
