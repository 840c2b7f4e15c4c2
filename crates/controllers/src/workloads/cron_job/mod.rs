//! The CronJob controller (`pkg/controller/cronjob/cronjob_controllerv2.go`): Jobs at their times.

mod schedule;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::document::{controller_named, controller_of};
use crate::workloads::claims::controller_reference;
use crate::workloads::job;
use crate::workloads::retries::{Retry, check_at};
use crate::workloads::writes::{create_and_tell, delete, event, name_of, uid_of, update_status};
use crate::{Action, Change, Context, Controller, EventKind, Key, Object, Outcome, View};

use schedule::Schedule;

/// The annotation of a Job with the time that it is for (`CronJobScheduledTimestampAnnotation`, batch/v1/types.go).
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// More missed times than these are told of (`nextScheduleTime`, cronjob/utils.go).
const MANY_MISSED: usize = 100;

/// The controller.
#[derive(Debug, Default)]
pub struct CronJobs;

impl Controller for CronJobs {
    fn name(&self) -> &'static str {
        "cronjob-controller"
    }

    fn concerns(&self, change: &Change, _view: &View) -> Vec<Key> {
        let mut keys = Vec::new();
        for object in [&change.before, &change.after].into_iter().flatten() {
            match object {
                Object::CronJob(_) => keys.push(change.key.clone()),
                Object::Job(job) => keys.extend(controller_named(
                    &job.metadata,
                    &change.key.namespace,
                    "CronJob",
                )),
                _ => {}
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let Some(cron) = context.view.cron_jobs.get(key) else {
            return Outcome::settled();
        };
        let Some(spec) = &cron.spec else {
            return Outcome::settled();
        };
        Sync::of(cron, spec, context).run()
    }
}

struct Sync<'a> {
    cron: &'a CronJob,
    spec: &'a CronJobSpec,
    context: Context<'a>,
    jobs: Vec<&'a Arc<Job>>,
    status: CronJobStatus,
    outcome: Outcome,
    /// The Jobs that are deleted now.
    gone: BTreeSet<String>,
}

fn is_complete(job: &Job) -> bool {
    job::finished(job).is_some_and(|condition| condition.type_ == "Complete")
}

impl<'a> Sync<'a> {
    fn of(cron: &'a CronJob, spec: &'a CronJobSpec, context: Context<'a>) -> Self {
        let jobs = context.view.jobs.owned_by(uid_of(&cron.metadata));
        Self {
            cron,
            spec,
            context,
            jobs: jobs.map(|(_, job)| job).collect(),
            status: cron.status.clone().unwrap_or_default(),
            outcome: Outcome::settled(),
            gone: BTreeSet::new(),
        }
    }

    fn run(mut self) -> Outcome {
        self.take_stock();
        if self.cron.metadata.deletion_timestamp.is_none() {
            self.start();
        }
        self.clean_up();
        let gone = &self.gone;
        if let Some(active) = &mut self.status.active {
            active.retain(|job| job.uid.as_ref().is_none_or(|uid| !gone.contains(uid)));
        }
        self.status.active = self.status.active.filter(|active| !active.is_empty());
        if self.status != self.cron.status.clone().unwrap_or_default() {
            let mut changed = self.cron.clone();
            changed.status = Some(self.status);
            self.outcome.actions.push(update_status(&changed));
        }
        self.outcome
    }

    /// The status after what became of the Jobs.
    fn take_stock(&mut self) {
        let before = self.status.active.take().unwrap_or_default();
        let was_active = |uid: &str| before.iter().any(|job| job.uid.as_deref() == Some(uid));
        let mut active = Vec::new();
        for job in self.jobs.clone() {
            let uid = uid_of(&job.metadata);
            let Some(condition) = job::finished(job) else {
                active.push(ObjectReference {
                    api_version: Some("batch/v1".to_owned()),
                    kind: Some("Job".to_owned()),
                    name: job.metadata.name.clone(),
                    namespace: job.metadata.namespace.clone(),
                    // As it was when it was first seen: else each change of the Job were one of the list.
                    resource_version: before
                        .iter()
                        .find(|known| known.uid.as_deref() == Some(uid))
                        .map_or_else(
                            || job.metadata.resource_version.clone(),
                            |known| known.resource_version.clone(),
                        ),
                    uid: Some(uid.to_owned()),
                    ..ObjectReference::default()
                });
                continue;
            };
            if was_active(uid) {
                let message = format!(
                    "Saw completed job: {}, condition: {}",
                    name_of(&job.metadata),
                    condition.type_
                );
                self.tell(EventKind::Normal, "SawCompletedJob", message);
            }
            let completed = job
                .status
                .as_ref()
                .and_then(|status| status.completion_time.clone());
            if is_complete(job) && completed > self.status.last_successful_time {
                self.status.last_successful_time = completed;
            }
        }
        for job in &before {
            let known = self.jobs.iter().any(|known| known.metadata.uid == job.uid);
            if !known {
                let name = job.name.as_deref().unwrap_or_default();
                let message = format!("Active job went missing: {name}");
                self.tell(EventKind::Normal, "MissingJob", message);
            }
        }
        self.status.active = Some(active);
    }

    fn zone(&self) -> Result<TimeZone, (&str, jiff::Error)> {
        match self.spec.time_zone.as_deref() {
            None => Ok(TimeZone::UTC),
            Some(name) => TimeZone::get(name).map_err(|error| (name, error)),
        }
    }

    /// Starts the Job that is due, if one is.
    fn start(&mut self) {
        let now = self.context.now;
        let zone = match self.zone() {
            Ok(zone) => zone,
            Err((name, error)) => {
                let message = format!("invalid timeZone: \"{name}\": {error}");
                return self.tell(EventKind::Warning, "UnknownTimeZone", message);
            }
        };
        if self.spec.suspend == Some(true) {
            return;
        }
        let schedule: Schedule = match self.spec.schedule.parse() {
            Ok(schedule) => schedule,
            Err(error) => {
                let message = format!("unparseable schedule: \"{}\" : {error}", self.spec.schedule);
                return self.tell(EventKind::Warning, "UnparseableSchedule", message);
            }
        };
        let (from, due) = self.due(&schedule, &zone);
        // `@every` counts from its last time, whenever it is looked at (`nextScheduleTimeDuration`, cronjob/utils.go). After many
        // missed times `from` may have been too far back to find one.
        let next = schedule.next(from, &zone).filter(|next| *next > now);
        if let Some(next) = next.or_else(|| schedule.next(now, &zone)) {
            self.outcome = std::mem::take(&mut self.outcome).again_at(next);
        }
        let Some(due) = due else {
            return;
        };
        let deadline = self.spec.starting_deadline_seconds;
        let late = deadline.is_some_and(|seconds| {
            let end = due.saturating_add(SignedDuration::from_secs(seconds));
            end.is_ok_and(|end| end < now)
        });
        if late {
            let time = due.strftime("%a, %d %b %Y %H:%M:%S +0000");
            let message = format!("Missed scheduled time to start a job: {time}");
            return self.tell(EventKind::Warning, "MissSchedule", message);
        }
        let name = format!("{}-{}", name_of(&self.cron.metadata), due.as_second() / 60);
        if self.status.last_schedule_time == Some(Time(due)) {
            return;
        }
        let namespace = self.cron.metadata.namespace.clone().unwrap_or_default();
        if let Some(known) = self.context.view.jobs.get(&Key::new(&namespace, &name)) {
            // It was made, and the status that says so was lost; or it is another's.
            let ours = controller_of(&known.metadata)
                .is_some_and(|owner| owner.uid == uid_of(&self.cron.metadata));
            if ours {
                self.status.last_schedule_time = Some(Time(due));
            }
            return;
        }
        let active = self.status.active.clone().unwrap_or_default();
        match self.spec.concurrency_policy.as_deref() {
            Some("Forbid") if !active.is_empty() => {
                let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
                return self.tell(EventKind::Normal, "JobAlreadyActive", message.to_owned());
            }
            Some("Replace") => {
                let running = self.jobs.clone().into_iter();
                for job in running.filter(|job| job::finished(job).is_none()) {
                    self.delete(job);
                }
            }
            _ => {}
        }
        self.create(name, due, &zone);
    }

    /// The last time that is due and not done yet (`mostRecentScheduleTime`, cronjob/utils.go), and the time that the next one
    /// counts from.
    fn due(&mut self, schedule: &Schedule, zone: &TimeZone) -> (Timestamp, Option<Timestamp>) {
        let now = self.context.now;
        let created = self.cron.metadata.creation_timestamp.as_ref();
        let last = self.status.last_schedule_time.as_ref().or(created);
        let mut earliest = last.map_or(now, |time| time.0);
        if let Some(seconds) = self.spec.starting_deadline_seconds {
            let bound = now.checked_sub(SignedDuration::from_secs(seconds));
            earliest = bound.map_or(earliest, |bound| bound.max(earliest));
        }
        let mut due = None;
        let mut missed = 0;
        let mut time = earliest;
        while let Some(next) = schedule.next(time, zone)
            && next <= now
        {
            due = Some(next);
            missed += 1;
            time = next;
            if missed > MANY_MISSED {
                // Not one by one through what was missed: the last of it is near now.
                let gap = now.duration_since(next);
                let half = SignedDuration::from_secs(gap.as_secs() / 2);
                time = next.saturating_add(half).unwrap_or(next);
            }
        }
        if missed > MANY_MISSED {
            let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            self.tell(EventKind::Warning, "TooManyMissedTimes", message.to_owned());
        }
        (due.unwrap_or(earliest), due)
    }

    fn create(&mut self, name: String, due: Timestamp, zone: &TimeZone) {
        let Context { view, now, .. } = self.context;
        match Retry::of(view, uid_of(&self.cron.metadata), now) {
            Retry::Clear => {}
            Retry::Wait(_, at) => {
                self.outcome = std::mem::take(&mut self.outcome).again_at(at);
                return;
            }
            Retry::Again(refusal) => {
                let message = format!("Error creating job: {}", refusal.message);
                self.tell(EventKind::Warning, "FailedCreate", message);
            }
        }
        let template = self.spec.job_template.metadata.clone().unwrap_or_default();
        let mut annotations = template.annotations.unwrap_or_default();
        let time = due.to_zoned(zone.clone());
        let time = if time.offset().is_zero() {
            time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        } else {
            time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
        };
        annotations.insert(SCHEDULED.to_owned(), time);
        let job = Job {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: self.cron.metadata.namespace.clone(),
                labels: template.labels,
                annotations: Some(annotations),
                owner_references: Some(vec![controller_reference(self.cron)]),
                ..ObjectMeta::default()
            },
            spec: self.spec.job_template.spec.clone(),
            status: None,
        };
        let told = event(
            self.cron,
            EventKind::Normal,
            "SuccessfulCreate",
            format!("Created job {name}"),
        );
        // Once the Job is seen, the status says that its time is done.
        self.outcome.actions.push(create_and_tell(&job, told));
        self.outcome = std::mem::take(&mut self.outcome).again_at(check_at(now));
    }

    fn delete(&mut self, job: &Job) {
        let message = format!("Deleted job {}", name_of(&job.metadata));
        let told = event(self.cron, EventKind::Normal, "SuccessfulDelete", message);
        let gone = delete(job, Some("Background"));
        self.outcome.actions.push(Action::InTurn(vec![gone, told]));
        self.gone.insert(uid_of(&job.metadata).to_owned());
    }

    /// Deletes the oldest of the Jobs that are over (`cleanupFinishedJobs`).
    fn clean_up(&mut self) {
        let over = |complete: bool, jobs: &[&'a Arc<Job>]| -> Vec<&'a Arc<Job>> {
            let of_kind =
                |job: &&Arc<Job>| job::finished(job).is_some() && is_complete(job) == complete;
            jobs.iter()
                .copied()
                .filter(of_kind)
                .filter(|job| job.metadata.deletion_timestamp.is_none())
                .collect()
        };
        // apis/batch/v1/defaults.go.
        for (complete, limit) in [
            (true, self.spec.successful_jobs_history_limit.unwrap_or(3)),
            (false, self.spec.failed_jobs_history_limit.unwrap_or(1)),
        ] {
            let mut jobs = over(complete, &self.jobs);
            jobs.sort_by_key(|job| {
                let started = job
                    .status
                    .as_ref()
                    .and_then(|status| status.start_time.clone());
                (started.is_none(), started, job.metadata.name.clone())
            });
            let surplus = jobs
                .len()
                .saturating_sub(usize::try_from(limit).unwrap_or(0));
            for job in jobs.into_iter().take(surplus) {
                self.delete(job);
            }
        }
    }

    fn tell(&mut self, kind: EventKind, reason: &str, message: String) {
        let told = event(self.cron, kind, reason, message);
        self.outcome.actions.push(told);
    }
}
