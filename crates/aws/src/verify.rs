//! `verify-aws`: does the account in front of us behave as everything here expects?
//!
//! Makes, changes, drifts, lists and deletes a small throwaway set (a VPC, a subnet, a role, a queue with its policy, a
//! secret) under names of its own and with owner tags of its own, and reports every difference from what the sandbox and the
//! provider's code take for granted. It costs nothing to speak of (a secret for minutes) and touches nothing else.
//!
//! Whatever happens (an error, a panic of AWS's, Ctrl-C) what was made is deleted at the end; what could not be is named.
//! And it ends: each wait has its [`Limits`], and so has the whole.

mod limits;
mod run;
mod throwaway;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use catalog::TypeName;
use catalog::compare::differences;
use catalog::ids::{Address, EnvironmentName, Identifier, PlatformName, Region};
use engine::Pace;
use engine::provider::{ErrorClass, Payload, Provider, ProviderError};
use graph::Scope;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::identity::CallerIdentity;
use crate::provider::AwsProvider;
pub use limits::Limits;
use run::{FIRST_WAIT, Run, Stop, token};
use throwaway::Throwaway;

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyStep {
    /// What was tried.
    pub name: String,
    /// How long it took, in seconds on the wall.
    pub seconds: f64,
    /// What was seen, for the record; of what was left out, why.
    pub observed: String,
}

/// Something that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unexpected {
    /// What was tried.
    pub step: String,
    /// What the sandbox and the provider take for granted.
    pub expected: String,
    /// What was found.
    pub found: String,
}

/// What the verification has found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// What was tried, in order.
    pub steps: Vec<VerifyStep>,
    /// Every difference.
    pub differences: Vec<Unexpected>,
    /// What could not be deleted: type and identifier.
    pub left_behind: Vec<String>,
    /// Whether it was interrupted before its end.
    pub interrupted: bool,
}

impl VerifyReport {
    /// Whether everything was tried and was as expected, and nothing was left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.left_behind.is_empty() && !self.interrupted
    }
}

/// Verifies the account that the provider calls. `cancel` interrupts it: what was made is then deleted all the same.
/// `observe` is told of each step as it begins.
pub async fn verify(
    provider: &AwsProvider,
    pace: Pace,
    cancel: impl Future<Output = ()>,
    observe: impl Fn(&str) + Send + Sync,
) -> VerifyReport {
    verify_within(provider, pace, Limits::at(pace), cancel, observe).await
}

/// As [`verify`], with other limits than those that fit the pace.
pub async fn verify_within(
    provider: &AwsProvider,
    pace: Pace,
    limits: Limits,
    cancel: impl Future<Output = ()>,
    observe: impl Fn(&str) + Send + Sync,
) -> VerifyReport {
    let run = Run {
        provider,
        pace,
        limits,
        scope: throwaway_scope(provider.session().region()),
        observe: &observe,
        current: Mutex::default(),
        report: Mutex::default(),
        made: Mutex::default(),
    };
    let interrupted = tokio::select! {
        in_time = tokio::time::timeout(limits.everything, run.everything()) => {
            if in_time.is_err() {
                run.cut_off();
                observe("it takes too long: deleting what was made");
            }
            false
        }
        () = cancel => {
            observe("interrupted: deleting what was made");
            true
        }
    };
    if tokio::time::timeout(limits.clean_up, run.clean_up())
        .await
        .is_err()
    {
        run.not_cleaned_up();
    }
    let mut report = run
        .report
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    report.interrupted = interrupted;
    report
}

/// A platform and an environment that nobody else has.
fn throwaway_scope(region: &Region) -> Scope {
    let unique = Uuid::new_v4().simple().to_string();
    // Both are lower-case letters and digits after a letter.
    let name = |prefix: &str, length: usize| format!("{prefix}{}", &unique[..length]);
    Scope {
        platform: PlatformName::new("seaworthy-verify").unwrap_or_else(|_| unreachable!("a name")),
        environment: EnvironmentName::new(name("v", 8)).unwrap_or_else(|_| unreachable!("a name")),
        region: region.clone(),
    }
}

impl Run<'_> {
    async fn everything(&self) {
        let Ok(account) = self.who().await else {
            return;
        };
        let throwaway = Throwaway::new(&self.scope, &account);
        // Each part stands for itself; what one of them needs of another is made first.
        match self.network(&throwaway).await {
            Ok(vpc) => {
                let subnet = self.subnet(&throwaway, &vpc).await;
                self.skipped_after("the rest on the subnet", &subnet);
                let made = match subnet {
                    Ok(()) => &["vpc", "subnet"][..],
                    Err(Stop) => &["vpc"],
                };
                let result = self.drift_and_tags(&throwaway, &vpc, made).await;
                self.skipped_after("the rest on changes, drift and tags", &result);
            }
            failed => self.skipped_after("a subnet, changes, drift and tags", &failed),
        }
        let result = self.names(&throwaway).await;
        self.skipped_after("the rest on names", &result);
        let result = self.queue(&throwaway).await;
        self.skipped_after("the rest on the queue and its policy", &result);
        let result = self.secret(&throwaway).await;
        self.skipped_after("the rest on the secret", &result);
        self.destroy().await;
    }

    async fn who(&self) -> Result<String, Stop> {
        self.step("identity", async {
            let identity = CallerIdentity::fetch(self.provider.session()).await;
            match self.must("identity", "STS says who the caller is", identity) {
                Ok(identity) => (Ok(identity.account.to_string()), identity.arn),
                Err(stop) => (Err(stop), String::new()),
            }
        })
        .await
    }

    /// A VPC: tokens, progress, and what a read gives back.
    async fn network(&self, throwaway: &Throwaway<'_>) -> Result<Identifier, Stop> {
        let step = "create";
        let (type_name, desired) = throwaway.vpc(true);
        let vpc = self
            .step(step, async {
                let result = self.create_and_replay(step, &type_name, &desired).await;
                let observed = result
                    .as_ref()
                    .map_or_else(|_| String::new(), ToString::to_string);
                (result, observed)
            })
            .await?;
        self.read_back("read after create", &type_name, &vpc, &desired)
            .await?;
        Ok(vpc)
    }

    /// A subnet: what is made in a parent.
    async fn subnet(&self, throwaway: &Throwaway<'_>, vpc: &Identifier) -> Result<(), Stop> {
        let (subnet_type, desired) = throwaway.subnet(vpc);
        let subnet = self
            .create("create in a parent", &subnet_type, &desired)
            .await?;
        self.read_back(
            "read after create in a parent",
            &subnet_type,
            &subnet,
            &desired,
        )
        .await
        .map(drop)
    }

    async fn create_and_replay(
        &self,
        step: &str,
        type_name: &TypeName,
        desired: &Value,
    ) -> Result<Identifier, Stop> {
        let (token, payload) = self.remember(type_name, desired);
        let first = self
            .provider
            .begin_create(type_name, &payload, &token)
            .await;
        let first = self.must(step, "a create is accepted", first)?;
        self.expect(
            step,
            first.operation.is_some(),
            "an operation token at once",
            "none",
        );
        let again = self
            .provider
            .begin_create(type_name, &payload, &token)
            .await;
        match again {
            Ok(again) => self.expect(
                step,
                again.operation == first.operation,
                "the same client token and payload return the same operation",
                &format!("{:?} and {:?}", first.operation, again.operation),
            ),
            Err(error) => self.differs(
                step,
                "the same client token and payload return the same operation",
                &error.to_string(),
            ),
        }
        let mut other = desired.clone();
        other["CidrBlock"] = json!(throwaway::OTHER_CIDR);
        let other = Payload::new(other);
        match self.provider.begin_create(type_name, &other, &token).await {
            Err(ProviderError {
                class: ErrorClass::TokenConflict(named),
                message,
                ..
            }) => self.expect(
                step,
                named == first.operation,
                "a client token with another payload is a conflict that names the operation",
                &message,
            ),
            Err(error) => self.differs(
                step,
                "a client token with another payload is a conflict",
                &error.to_string(),
            ),
            Ok(second) => {
                self.differs(
                    step,
                    "a client token with another payload is a conflict",
                    &format!("it was accepted: {:?}", second.operation),
                );
                // It may have made a second one, which then has to go too.
                if second.operation != first.operation
                    && let Ok((Some(identifier), _)) = self.wait(type_name, second).await
                {
                    let (token, _) = self.remember(type_name, desired);
                    self.made_as(&token, &identifier);
                }
            }
        }
        let early = first.identifier.is_some();
        let (identifier, known_early) = self.settle(step, type_name, first).await?;
        self.expect(
            step,
            early || known_early != Some(false),
            "the identifier is known before the end",
            "it came with the end",
        );
        self.made_as(&token, &identifier);
        Ok(identifier)
    }

    /// Changes by us, behind our back, and back again; then finding by tags and in lists.
    async fn drift_and_tags(
        &self,
        throwaway: &Throwaway<'_>,
        vpc: &Identifier,
        made: &[&str],
    ) -> Result<(), Stop> {
        let (type_name, before) = throwaway.vpc(true);
        let (_, after) = throwaway.vpc(false);
        self.update("update", &type_name, vpc, &after, &before)
            .await?;
        self.read_back("read after update", &type_name, vpc, &after)
            .await?;
        let progress = self
            .provider
            .begin_update(
                &type_name,
                vpc,
                &Payload::new(after.clone()),
                &after,
                &token(),
            )
            .await;
        let progress = self.must(
            "update again",
            "an update that is done is accepted",
            progress,
        )?;
        self.expect(
            "update again",
            progress.operation.is_none(),
            "what reads back as it was set needs no second update",
            "an operation was begun",
        );
        // Somebody else's change, through the same API but without our code's knowledge of what is wanted.
        self.update(
            "change behind our back",
            &type_name,
            vpc,
            &before,
            &json!({}),
        )
        .await?;
        let live = self.read("drift", &type_name, vpc).await?;
        let drifted = catalog::schema(&type_name)
            .map_or(0, |schema| differences(schema, &after, &live).len());
        self.expect(
            "drift",
            drifted == 1,
            "one property has drifted",
            &format!("{drifted} have"),
        );
        self.update("repair", &type_name, vpc, &after, &after)
            .await?;
        self.read_back("read after repair", &type_name, vpc, &after)
            .await?;
        self.found(&type_name, vpc, &after, made).await
    }

    async fn found(
        &self,
        type_name: &TypeName,
        vpc: &Identifier,
        desired: &Value,
        made: &[&str],
    ) -> Result<(), Stop> {
        let step = "find";
        let address = throwaway::address("vpc");
        let found = self
            .provider
            .find(&self.scope, &address, type_name, desired)
            .await;
        let found = self.must(
            step,
            "a resource is found by its tags or in the list",
            found,
        )?;
        self.expect(
            step,
            found.as_ref() == Some(vpc),
            &format!("{vpc} is found"),
            &format!("{found:?}"),
        );
        let step = "owner tags";
        let started = Instant::now();
        self.begin(step);
        loop {
            let owned = self.provider.owned(&self.scope).await;
            let owned = self.must(step, "everything with our tags is listed", owned)?;
            let addresses: Vec<Option<&Address>> =
                owned.iter().map(|owned| owned.address.as_ref()).collect();
            if made
                .iter()
                .all(|name| addresses.contains(&Some(&throwaway::address(name))))
            {
                self.done(step, started, format!("{} resources", owned.len()));
                return Ok(());
            }
            if started.elapsed() > self.limits.index {
                self.differs(
                    step,
                    "what was made is listed by its tags within two minutes",
                    &format!("{owned:?}"),
                );
                return Ok(());
            }
            tokio::time::sleep(self.pace.wall(FIRST_WAIT)).await;
        }
    }

    /// A role: names are unique, and a second one of the name is not ours to take.
    async fn names(&self, throwaway: &Throwaway<'_>) -> Result<(), Stop> {
        let (type_name, desired) = throwaway.role();
        let role = self.create("create by name", &type_name, &desired).await?;
        self.read_back("read by name", &type_name, &role, &desired)
            .await?;
        let step = "create a name twice";
        let result = self
            .provider
            .begin_create(&type_name, &Payload::new(desired.clone()), &token())
            .await;
        let result = match result {
            Ok(progress) => self.wait(&type_name, progress).await.map(drop),
            Err(error) => Err(error),
        };
        match result {
            Err(error) if error.class == ErrorClass::AlreadyExists => {}
            Err(error) => self.differs(step, "AlreadyExists", &error.to_string()),
            Ok(()) => self.differs(step, "AlreadyExists", "it was created"),
        }
        Ok(())
    }

    async fn queue(&self, throwaway: &Throwaway<'_>) -> Result<(), Stop> {
        let (type_name, desired) = throwaway.queue();
        let queue = self.create("create a queue", &type_name, &desired).await?;
        let live = self
            .read_back("read the queue", &type_name, &queue, &desired)
            .await?;
        let arn = live["Arn"].as_str().unwrap_or_default();
        let (policy_type, policy) = throwaway.queue_policy(&queue, arn);
        let policy_id = self
            .create("create the queue's policy", &policy_type, &policy)
            .await?;
        self.read_back("read the queue's policy", &policy_type, &policy_id, &policy)
            .await
            .map(drop)
    }

    /// A secret: what is write-only does not read back, and an update leaves the generated value alone.
    async fn secret(&self, throwaway: &Throwaway<'_>) -> Result<(), Stop> {
        let (type_name, desired) = throwaway.secret("a secret of a minute");
        let secret = self.create("create a secret", &type_name, &desired).await?;
        let live = self
            .read_back("read the secret's model", &type_name, &secret, &desired)
            .await?;
        let visible =
            live.get("SecretString").is_some() || live.get("GenerateSecretString").is_some();
        self.expect(
            "read the secret's model",
            !visible,
            "no write-only property in it",
            "there is one",
        );
        let step = "update a secret";
        let before = self.provider.secret(&secret, None).await;
        let before = self.must(step, "the generated value can be read", before)?;
        let (_, changed) = throwaway.secret("still a secret");
        self.update(step, &type_name, &secret, &changed, &desired)
            .await?;
        let after = self.provider.secret(&secret, None).await;
        let after = self.must(step, "the generated value can be read", after)?;
        self.expect(
            step,
            before == after,
            "a change of the description leaves the generated value alone",
            "the value has changed",
        );
        Ok(())
    }
}
