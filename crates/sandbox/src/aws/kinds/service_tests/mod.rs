//! Tests of the rules for S3, DynamoDB, ECR, AWS Backup, AWS WAF, ACM and Route 53, each on a small world.

mod data;
mod edge;

use catalog::TypeName;
use serde_json::Value;

use super::super::error::HandlerErrorCode as Code;
use super::super::world::{Entry, Phase, World};
use super::{Context, Effect, Failure, Outcome};
use crate::Settings;
use crate::aws::ids::Ids;

const CALLER: &str = "arn:aws:iam::123456789012:user/deployer";

/// A world that goes on by a hundred seconds with each operation.
struct Place {
    world: World,
    settings: Settings,
    ids: Ids,
    now: f64,
}

impl Place {
    fn new() -> Self {
        let world = World::new(World::DEFAULT_ACCOUNT, "eu-central-1", Ids::new(1));
        Self {
            world,
            settings: Settings::default(),
            ids: Ids::new(2),
            now: 0.0,
        }
    }

    fn put(&mut self, type_name: &'static str, identifier: &str, model: Value) {
        self.world.insert(Entry {
            type_name: TypeName::new(type_name),
            identifier: identifier.to_owned(),
            model,
            created_at: self.now,
            phase: Phase::Ready,
            ready_at: self.now,
        });
    }

    fn with<T>(&mut self, rule: impl FnOnce(&Context<'_>, &mut Ids) -> T) -> T {
        self.now += 100.0;
        let context = Context {
            world: &self.world,
            now: self.now,
            epoch_seconds: 1_795_240_000.0,
            caller_arn: CALLER,
            settings: &self.settings,
            endpoints: &crate::kubernetes::endpoints::Unserved,
        };
        rule(&context, &mut self.ids)
    }

    /// Creates a resource, which is there from then on, and what comes with it.
    fn made(&mut self, type_name: &'static str, desired: Value) -> Outcome {
        let name = TypeName::new(type_name);
        let outcome = self
            .with(|context, ids| super::create(context, &name, &desired, ids))
            .unwrap_or_else(|failure| panic!("{type_name}: {failure:?}"));
        self.put(type_name, &outcome.identifier, outcome.model.clone());
        self.apply(&outcome.effects);
        // What a read returns is what an update's patch is applied to, and the result must be valid again.
        let schema = catalog::schema(&name).expect("the type is in the catalog");
        let read = super::visible(&self.entry(type_name, &outcome.identifier));
        let violations = schema.validate(&read);
        assert!(violations.is_empty(), "{type_name}: {violations:?}");
        // And what was asked for reads back.
        let differences = catalog::compare::differences(schema, &desired, &read);
        assert!(differences.is_empty(), "{type_name}: {differences:?}");
        outcome
    }

    fn entry(&self, type_name: &str, identifier: &str) -> Entry {
        self.world
            .get(type_name, identifier)
            .expect("the resource was created")
            .clone()
    }

    fn update(
        &mut self,
        type_name: &'static str,
        identifier: &str,
        changed: &Value,
    ) -> Result<Outcome, Failure> {
        let entry = self.entry(type_name, identifier);
        let mut proposed = super::visible(&entry);
        for (key, value) in changed.as_object().expect("changes are an object") {
            proposed[key] = value.clone();
        }
        let outcome = self.with(|context, ids| super::update(context, &entry, &proposed, ids))?;
        self.put(type_name, identifier, outcome.model.clone());
        Ok(outcome)
    }

    fn delete(&mut self, type_name: &'static str, identifier: &str) -> Result<Outcome, Failure> {
        let entry = self.entry(type_name, identifier);
        let outcome = self.with(|context, _| super::delete(context, &entry))?;
        self.world.remove(type_name, identifier);
        self.apply(&outcome.effects);
        Ok(outcome)
    }

    fn apply(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Put(entry) => drop(self.world.insert(entry.clone())),
                Effect::Remove {
                    type_name,
                    identifier,
                } => drop(self.world.remove(type_name, identifier)),
            }
        }
    }

    /// Each of these is refused with this code and these words.
    fn refuses(&mut self, type_name: &'static str, cases: &[(Value, Code, &str)]) {
        let name = TypeName::new(type_name);
        for (desired, code, words) in cases {
            let refused = self
                .with(|context, ids| super::create(context, &name, desired, ids))
                .expect_err(words);
            assert_eq!(refused.code, *code, "{refused:?}");
            assert!(
                refused.message.contains(words),
                "{} lacks {words}",
                refused.message
            );
        }
    }
}

/// A refusal has this code and these words.
fn assert_refused(result: Result<Outcome, Failure>, code: Code, words: &str) {
    let refused = result.expect_err(words);
    assert_eq!(refused.code, code, "{refused:?}");
    assert!(
        refused.message.contains(words),
        "{} lacks {words}",
        refused.message
    );
}
