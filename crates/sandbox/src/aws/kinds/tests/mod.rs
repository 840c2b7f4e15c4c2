//! The rules, told along one whole platform: built in order, each step refused when what it needs is not there, nothing
//! deleted that something needs.

mod deleting;
mod ordering;
mod platform;
mod refusing;
mod updating;

use std::collections::BTreeMap;

use catalog::TypeName;
use serde_json::{Value, json};

use super::{Context, Effect, Failure, Outcome, create, delete, update, visible};
use crate::Settings;
use crate::aws::error::HandlerErrorCode;
use crate::aws::ids::Ids;
use crate::aws::world::{Entry, Phase, World};

/// 2026-11-21, in seconds since 1970.
const TODAY: f64 = 1_795_219_200.0;

/// An account in which every operation is done at once.
#[derive(Clone)]
struct Account {
    world: World,
    ids: Ids,
    now: f64,
    settings: Settings,
    made: BTreeMap<&'static str, (TypeName, String)>,
}

impl Account {
    fn new() -> Self {
        Self::in_region("eu-central-1")
    }

    fn in_region(region: &str) -> Self {
        Self {
            world: World::new(World::DEFAULT_ACCOUNT, region, Ids::new(7)),
            ids: Ids::new(7),
            now: 0.0,
            settings: Settings::default().without_delays(),
            made: BTreeMap::new(),
        }
    }

    fn rule<T>(&mut self, rule: impl FnOnce(&Context<'_>, &mut Ids) -> T) -> T {
        let cx = Context {
            world: &self.world,
            now: self.now,
            epoch_seconds: TODAY,
            caller_arn: "arn:aws:iam::123456789012:user/deployer",
            settings: &self.settings,
            endpoints: &crate::kubernetes::endpoints::Unserved,
        };
        rule(&cx, &mut self.ids)
    }

    /// Creates a resource; what is asked for, and what a read returns then, is valid by the type's schema.
    fn create(&mut self, type_name: &str, desired: &Value) -> Result<Value, Failure> {
        let type_name: TypeName = type_name.parse().unwrap();
        let schema = catalog::schema(&type_name).unwrap();
        let violations = schema.validate_desired(desired);
        assert!(violations.is_empty(), "{type_name}: {violations:?}");
        let outcome = self.rule(|cx, ids| create(cx, &type_name, desired, ids))?;
        let outcome_model = outcome.model.clone();
        let model = self.take_in(&type_name, outcome);
        // A read repeats what the request said otherwise (a zone by its name and its id), which a request can't.
        let mut whole = outcome_model.clone();
        whole
            .as_object_mut()
            .unwrap()
            .retain(|key, _| !key.starts_with("__"));
        let mut violations = schema.validate(&whole);
        violations.retain(|violation| !violation.message.contains("cannot be set together"));
        assert!(
            violations.is_empty(),
            "{type_name} reads back wrong: {violations:?}"
        );
        let differences = catalog::compare::differences(schema, desired, &model);
        assert!(
            differences.is_empty(),
            "{type_name} drifts at once: {differences:?}"
        );
        Ok(model)
    }

    fn take_in(&mut self, type_name: &TypeName, outcome: Outcome) -> Value {
        let before = self.world.get(type_name, &outcome.identifier);
        let entry = Entry {
            type_name: type_name.clone(),
            identifier: outcome.identifier,
            model: outcome.model,
            created_at: self.now,
            phase: Phase::Ready,
            ready_at: before.map_or(self.now, |before| before.ready_at),
        };
        let model = visible(&entry);
        self.world.insert(entry);
        self.apply(outcome.effects);
        model
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Put(entry) => {
                    self.world.insert(entry);
                }
                Effect::Remove {
                    type_name,
                    identifier,
                } => {
                    self.world.remove(&type_name, &identifier);
                }
            }
        }
    }

    /// Creates a resource and remembers it under a name.
    fn make(&mut self, name: &'static str, type_name: &str, desired: Value) -> Value {
        let model = self
            .create(type_name, &desired)
            .unwrap_or_else(|failure| panic!("{name}: {:?}: {}", failure.code, failure.message));
        let type_name: TypeName = type_name.parse().unwrap();
        let identifier = catalog::schema(&type_name)
            .unwrap()
            .identifier_of(&model)
            .unwrap();
        self.made.insert(name, (type_name, identifier));
        model
    }

    fn entry(&self, name: &str) -> &Entry {
        let (type_name, identifier) = &self.made[name];
        self.world
            .get(type_name, identifier)
            .unwrap_or_else(|| panic!("{name} is not there"))
    }

    /// A property of a resource that was made under this name.
    fn of(&self, name: &str, property: &str) -> Value {
        self.entry(name).model[property].clone()
    }

    fn delete(&mut self, name: &str) -> Result<(), Failure> {
        let entry = self.entry(name).clone();
        let outcome = self.rule(|cx, _| delete(cx, &entry))?;
        self.world.remove(&entry.type_name, &entry.identifier);
        self.apply(outcome.effects);
        self.made
            .retain(|_, made| *made != (entry.type_name.clone(), entry.identifier.clone()));
        Ok(())
    }

    /// Changes properties; what is never read back is sent again, as a careful client does.
    fn update(&mut self, name: &str, changes: Value) -> Result<Value, Failure> {
        let entry = self.entry(name).clone();
        let mut proposed = visible(&entry);
        let schema = catalog::schema(&entry.type_name).unwrap();
        for path in schema
            .write_only()
            .iter()
            .filter(|path| !schema.is_create_only(path))
        {
            if let Some(value) = path.get(&entry.model) {
                path.insert_into(&mut proposed, value.clone());
            }
        }
        for (property, value) in changes.as_object().unwrap() {
            proposed[property] = value.clone();
        }
        let outcome = self.rule(|cx, ids| update(cx, &entry, &proposed, ids))?;
        Ok(self.take_in(&entry.type_name, outcome))
    }

    /// Takes a resource away without asking anybody.
    fn vanish(&mut self, name: &str) {
        let (type_name, identifier) = self.made[name].clone();
        self.world.remove(&type_name, &identifier);
    }

    /// Puts a resource back into the time in which it was being made.
    fn unfinish(&mut self, name: &str) {
        let entry = Entry {
            phase: Phase::Creating,
            ..self.entry(name).clone()
        };
        self.world.insert(entry);
    }
}

/// That a request is refused with this code and these words.
#[track_caller]
fn assert_refused<T: std::fmt::Debug>(
    what: &str,
    result: Result<T, Failure>,
    code: HandlerErrorCode,
    words: &str,
) {
    match result {
        Ok(made) => panic!("{what}: not refused, but {made:?}"),
        Err(failure) => assert!(
            failure.code == code && failure.message.contains(words),
            "{what}: expected {code}: …{words}…, got {}: {}",
            failure.code,
            failure.message
        ),
    }
}

fn trust(service: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": service}, "Action": ["sts:AssumeRole", "sts:TagSession"]}]})
}

fn allow(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})
}
