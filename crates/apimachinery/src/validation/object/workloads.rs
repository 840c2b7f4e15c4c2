//! What runs pods.

use serde_json::{Value as Json, json};

use super::found::{Found, list, replace, same, text};
use super::{pods, selector};

/// A text of percents.
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";

fn counts(spec: &Json, fields: &[&str], found: &mut Found) {
    for field in fields {
        found.not_negative(format!("spec.{field}"), &spec[field]);
    }
}

pub(super) fn replication_controller(new: &Json, found: &mut Found) {
    let spec = &new["spec"];
    counts(spec, &["replicas", "minReadySeconds"], found);
    if spec["template"].is_object() {
        pods::template("spec.template", &spec["template"], true, found);
    } else {
        found.required("spec.template", "");
    }
}

pub(super) fn deployment(new: &Json, old: Option<&Json>, found: &mut Found) {
    let spec = &new["spec"];
    counts(
        spec,
        &[
            "replicas",
            "minReadySeconds",
            "revisionHistoryLimit",
            "progressDeadlineSeconds",
        ],
        found,
    );
    selector::of_workload("deployment", new, old, found);
    pods::template("spec.template", &spec["template"], true, found);

    let strategy = &spec["strategy"];
    found.one_of(
        "spec.strategy.type",
        &strategy["type"],
        &["Recreate", "RollingUpdate"],
    );
    if strategy["type"] == "Recreate" && !strategy["rollingUpdate"].is_null() {
        let why = "may not be specified when strategy `type` is 'Recreate'";
        found.forbidden("spec.strategy.rollingUpdate", why);
    }
    if strategy["type"] == "RollingUpdate" {
        rolling(
            "spec.strategy.rollingUpdate",
            &strategy["rollingUpdate"],
            true,
            found,
        );
    }
    let deadline = spec["progressDeadlineSeconds"].as_i64();
    let ready = spec["minReadySeconds"].as_i64().unwrap_or(0);
    if deadline.is_some_and(|deadline| deadline <= ready) {
        let why = "must be greater than minReadySeconds";
        found.invalid(
            "spec.progressDeadlineSeconds",
            &spec["progressDeadlineSeconds"],
            why,
        );
    }
}

/// `maxUnavailable` and `maxSurge`.
fn rolling(path: &str, rolling: &Json, may_both_be_set: bool, found: &mut Found) {
    let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
    int_or_percent(&format!("{path}.maxUnavailable"), unavailable, true, found);
    int_or_percent(&format!("{path}.maxSurge"), surge, !may_both_be_set, found);
    let zero = |value: &Json| value.is_null() || *value == 0 || *value == "0%";
    if zero(unavailable) && zero(surge) && rolling.is_object() {
        let why = "may not be 0 when `maxSurge` is 0";
        found.invalid(format!("{path}.maxUnavailable"), unavailable, why);
    } else if !may_both_be_set && !zero(unavailable) && !zero(surge) {
        let why = "may not be set when `maxUnavailable` is non-zero";
        found.invalid(format!("{path}.maxSurge"), surge, why);
    }
}

fn int_or_percent(path: &str, value: &Json, at_most_all: bool, found: &mut Found) {
    match value {
        Json::String(percent) => {
            let digits = percent.strip_suffix('%').unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
                found.invalid(path, value, PERCENT);
            } else if at_most_all && digits.parse::<u32>().is_ok_and(|it| it > 100) {
                found.invalid(path, value, "must not be greater than 100%");
            }
        }
        value => found.not_negative(path, value),
    }
}

pub(super) fn replica_set(new: &Json, old: Option<&Json>, found: &mut Found) {
    let spec = &new["spec"];
    counts(spec, &["replicas", "minReadySeconds"], found);
    selector::of_workload("replica set", new, old, found);
    pods::template("spec.template", &spec["template"], true, found);
}

pub(super) fn daemon_set(new: &Json, old: Option<&Json>, found: &mut Found) {
    let spec = &new["spec"];
    counts(spec, &["minReadySeconds", "revisionHistoryLimit"], found);
    selector::of_workload("daemonset", new, old, found);
    pods::template("spec.template", &spec["template"], true, found);
    let strategy = &spec["updateStrategy"];
    found.one_of(
        "spec.updateStrategy.type",
        &strategy["type"],
        &["OnDelete", "RollingUpdate"],
    );
    if strategy["type"] == "RollingUpdate" {
        let path = "spec.updateStrategy.rollingUpdate";
        rolling(path, &strategy["rollingUpdate"], false, found);
    }
}

pub(super) fn stateful_set(new: &Json, old: Option<&Json>, found: &mut Found) {
    let spec = &new["spec"];
    counts(
        spec,
        &["replicas", "minReadySeconds", "revisionHistoryLimit"],
        found,
    );
    selector::of_workload("statefulset", new, None, found);
    pods::template_with_claims(new, found);
    found.one_of(
        "spec.podManagementPolicy",
        &spec["podManagementPolicy"],
        &["OrderedReady", "Parallel"],
    );
    found.one_of(
        "spec.updateStrategy.type",
        &spec["updateStrategy"]["type"],
        &["OnDelete", "RollingUpdate"],
    );
    found.not_negative(
        "spec.updateStrategy.rollingUpdate.partition",
        &spec["updateStrategy"]["rollingUpdate"]["partition"],
    );
    if let Some(old) = old {
        let mut fixed = spec.clone();
        for field in [
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
        ] {
            replace(&mut fixed, &[field], &old["spec"][field]);
        }
        if !same(&fixed, &old["spec"]) {
            found.forbidden(
                "spec",
                "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
            );
        }
    }
}

pub(super) fn job(new: &Json, old: Option<&Json>, found: &mut Found) {
    job_spec("spec", &new["spec"], found);
    let Some(old) = old else { return };
    let (spec, before) = (&new["spec"], &old["spec"]);
    let elastic = spec["completionMode"] == "Indexed" && spec["completions"] == spec["parallelism"];
    if !elastic {
        found.fixed(
            "spec.completions",
            &spec["completions"],
            &before["completions"],
        );
    }
    for field in [
        "selector",
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
    ] {
        found.fixed(&format!("spec.{field}"), &spec[field], &before[field]);
    }
    let mut template = spec["template"].clone();
    if before["suspend"] == true && old["status"]["startTime"].is_null() {
        // A job that has not started may still be told where to run.
        let was = &before["template"];
        for field in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] {
            replace(&mut template, &["spec", field], &was["spec"][field]);
        }
        for field in ["labels", "annotations"] {
            replace(&mut template, &["metadata", field], &was["metadata"][field]);
        }
    }
    found.fixed("spec.template", &template, &before["template"]);
}

fn job_spec(path: &str, spec: &Json, found: &mut Found) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        found.not_negative(format!("{path}.{field}"), &spec[field]);
    }
    if spec["completionMode"] == "Indexed" && spec["completions"].is_null() {
        let why = "when completion mode is Indexed";
        found.required(format!("{path}.completions"), why);
    }
    found.one_of(
        format!("{path}.completionMode"),
        &spec["completionMode"],
        &["Indexed", "NonIndexed"],
    );
    pods::template(&format!("{path}.template"), &spec["template"], false, found);
    let policy = &spec["template"]["spec"]["restartPolicy"];
    if !matches!(text(policy), "OnFailure" | "Never") {
        let why = "valid values: \"OnFailure\", \"Never\"";
        found.required(format!("{path}.template.spec.restartPolicy"), why);
    }
    if spec["selector"].is_object() {
        let labels = &spec["template"]["metadata"]["labels"];
        if !selector::matches(&spec["selector"], labels) {
            let why = "`selector` does not match template `labels`";
            let path = format!("{path}.template.metadata.labels");
            found.invalid_as(&path, &super::found::go_labels(labels), why);
        }
    }
}

pub(super) fn cron_job(new: &Json, found: &mut Found) {
    let spec = &new["spec"];
    if found.has_text("spec.schedule", &spec["schedule"])
        && let Some(why) = schedule(text(&spec["schedule"]))
    {
        found.invalid("spec.schedule", &spec["schedule"], why);
    }
    counts(
        spec,
        &[
            "startingDeadlineSeconds",
            "successfulJobsHistoryLimit",
            "failedJobsHistoryLimit",
        ],
        found,
    );
    found.one_of(
        "spec.concurrencyPolicy",
        &spec["concurrencyPolicy"],
        &["Allow", "Forbid", "Replace"],
    );
    let job = &spec["jobTemplate"]["spec"];
    if job["manualSelector"] == true {
        let supported = ["nil", "false"];
        found.unsupported(
            "spec.jobTemplate.spec.manualSelector",
            &true.into(),
            &supported,
        );
    }
    job_spec("spec.jobTemplate.spec", job, found);
}

/// What is wrong with a schedule, in the words of the parser that Kubernetes uses (robfig/cron).
fn schedule(text: &str) -> Option<String> {
    if text.contains("TZ") {
        return Some("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".to_owned());
    }
    if let Some(word) = text.strip_prefix('@') {
        let known = matches!(
            word,
            "yearly" | "annually" | "monthly" | "weekly" | "daily" | "midnight" | "hourly"
        ) || word.starts_with("every ");
        return (!known).then(|| format!("unrecognized descriptor: {text}"));
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != 5 {
        return Some(format!(
            "expected exactly 5 fields, found {}: [{}]",
            fields.len(),
            fields.join(" ")
        ));
    }
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let bounds: [(u32, u32, &[&str]); 5] = [
        (0, 59, &[]),
        (0, 23, &[]),
        (1, 31, &[]),
        (1, 12, &MONTHS),
        (0, 6, &DAYS),
    ];
    fields
        .iter()
        .zip(bounds)
        .flat_map(|(field, bounds)| field.split(',').map(move |part| (part, bounds)))
        .find_map(|(part, (least, most, names))| schedule_part(part, least, most, names))
}

/// One of `*`, `5`, `1-5`, `*/10`, `mon-fri`.
fn schedule_part(part: &str, least: u32, most: u32, names: &[&str]) -> Option<String> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (part, None),
    };
    if step.is_some_and(|step| step.parse::<u32>().is_ok_and(|step| step == 0)) {
        return Some(format!("step of range should be a positive number: {part}"));
    }
    let number = |text: &str| -> Result<u32, String> {
        let lower = text.to_lowercase();
        match names.iter().position(|name| *name == lower) {
            Some(at) => Ok(at as u32 + least),
            None => text
                .parse()
                .map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")),
        }
    };
    if let Some(Err(why)) = step.map(number) {
        return Some(why);
    }
    if matches!(range, "*" | "?") {
        return None;
    }
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    match (number(from), number(to)) {
        (Err(why), _) | (_, Err(why)) => Some(why),
        (Ok(from), _) if from < least => Some(format!(
            "beginning of range ({from}) below minimum ({least}): {part}"
        )),
        (_, Ok(to)) if to > most => Some(format!(
            "end of range ({to}) above maximum ({most}): {part}"
        )),
        (Ok(from), Ok(to)) if from > to => Some(format!(
            "beginning of range ({from}) beyond end of range ({to}): {part}"
        )),
        _ => None,
    }
}

pub(super) fn autoscaler(new: &Json, found: &mut Found) {
    let spec = &new["spec"];
    let target = &spec["scaleTargetRef"];
    found.has_text("spec.scaleTargetRef.kind", &target["kind"]);
    found.has_text("spec.scaleTargetRef.name", &target["name"]);
    found.at_least("spec.minReplicas", &spec["minReplicas"], 1);
    let most = spec["maxReplicas"].as_i64().unwrap_or(0);
    if most < 1 {
        found.invalid("spec.maxReplicas", &most.into(), "must be greater than 0");
    }
    if spec["minReplicas"]
        .as_i64()
        .is_some_and(|least| most < least)
    {
        let why = "must be greater than or equal to `minReplicas`";
        found.invalid("spec.maxReplicas", &most.into(), why);
    }
    const TYPES: [&str; 5] = [
        "ContainerResource",
        "External",
        "Object",
        "Pods",
        "Resource",
    ];
    for (index, metric) in list(&spec["metrics"]).iter().enumerate() {
        let path = format!("spec.metrics[{index}]");
        if !found.has_text(format!("{path}.type"), &metric["type"]) {
            continue;
        }
        found.one_of(format!("{path}.type"), &metric["type"], &TYPES);
        let kind = text(&metric["type"]);
        let field = match kind.split_at_checked(1) {
            Some((first, rest)) => first.to_lowercase() + rest,
            None => continue,
        };
        if TYPES.contains(&kind) && !metric[&field].is_object() {
            let path = format!("{path}.{field}");
            found.required(
                path,
                "must populate information for the given metric source",
            );
        }
    }
}

pub(super) fn disruption_budget(new: &Json, found: &mut Found) {
    let spec = &new["spec"];
    let (least, most) = (&spec["minAvailable"], &spec["maxUnavailable"]);
    if !least.is_null() && !most.is_null() {
        let shown = json!({"minAvailable": least, "maxUnavailable": most});
        let why = "minAvailable and maxUnavailable cannot be both set";
        found.invalid("spec", &shown, why);
    }
    int_or_percent("spec.minAvailable", least, true, found);
    int_or_percent("spec.maxUnavailable", most, true, found);
    selector::check("spec.selector", &spec["selector"], found);
    found.one_of(
        "spec.unhealthyPodEvictionPolicy",
        &spec["unhealthyPodEvictionPolicy"],
        &["AlwaysAllow", "IfHealthyBudget"],
    );
}
