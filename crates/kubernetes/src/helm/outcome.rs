//! What Helm's words mean: it has exit code 1 for everything.
//!
//! Sources: the messages of Helm 3.17 and 4.1 (`pkg/action`, `pkg/kube`, `pkg/cmd`), and of client-go below it.

use engine::provider::{ErrorClass, ProviderError};

use crate::classify::{error, webhook_is_not_ready};

/// Longer texts are cut: Helm repeats whole manifests at times.
const LONGEST: usize = 2_000;

/// What a failed command of Helm's means. `about` is what was to be done (`install karpenter in kube-system`).
pub(crate) fn classified(about: &str, stderr: &str) -> ProviderError {
    let words = last_words(stderr);
    let said = |text: &str| words.contains(text);
    let network = [
        "no such host",
        "connection refused",
        "i/o timeout",
        "TLS handshake timeout",
        "connection reset by peer",
        "EOF",
    ];
    let chart = said("failed to download")
        || said("failed to perform")
        || said("looks like") && said("is not a valid chart repository")
        || said("failed to fetch")
        || said("could not find");
    let (class, code, advice) = if said(
        "another operation (install/upgrade/rollback) is in progress",
    ) {
        (ErrorClass::NotReady, "OperationInProgress", "")
    } else if said("Kubernetes cluster unreachable") && !said("Unauthorized") {
        (ErrorClass::NotReady, "ClusterUnreachable", "")
    } else if webhook_is_not_ready(&words) {
        (ErrorClass::NotReady, "WebhookNotReady", "")
    } else if said("ensure CRDs are installed first") || said("no matches for kind") {
        (ErrorClass::NotReady, "NoMatch", "")
    } else if said("because it is being terminated") {
        (ErrorClass::NotReady, "NamespaceTerminating", "")
    } else if said("Unauthorized") || said("asked for the client to provide credentials") {
        (
            ErrorClass::Denied,
            "Unauthorized",
            "the deployer needs an access entry of the cluster",
        )
    } else if said("is forbidden") {
        (
            ErrorClass::Denied,
            "Forbidden",
            "the access entry of the deployer has no policy that allows it",
        )
    } else if said("invalid ownership metadata")
        || said("cannot be imported into the current release")
    {
        (
            ErrorClass::Terminal,
            "NotOurs",
            "an object of the chart's is there already, of another release or of nobody's: delete it, or label and annotate it \
             as Helm says",
        )
    } else if said("conflict with \"") || said("conflict occurred while applying") {
        (
            ErrorClass::Terminal,
            "FieldManagerConflict",
            "others have set fields that the chart sets: deploy with --force-conflicts to set them again",
        )
    } else if said("timed out waiting")
        || said("context deadline exceeded")
        || said("resources not ready")
        || said("not ready")
    {
        (ErrorClass::Terminal, "NotReadyInTime", "")
    } else if chart && network.iter().any(|reason| said(reason)) {
        (ErrorClass::Retryable, "ChartUnreachable", "")
    } else if chart || said("chart not found") || said("not found in") && said("repository") {
        (
            ErrorClass::Terminal,
            "ChartNotFound",
            "is this machine online, and the chart's version right? A folder of charts can stand in for the network: \
             SEAWORTHY_CHARTS",
        )
    } else if said("values don't meet the specifications of the schema") {
        (ErrorClass::Terminal, "InvalidValues", "")
    } else if network.iter().any(|reason| said(reason)) {
        (ErrorClass::NotReady, "ClusterUnreachable", "")
    } else {
        (ErrorClass::Terminal, "HelmFailed", "")
    };
    let advice = match advice {
        "" => String::new(),
        advice => format!(" ({advice})"),
    };
    error(
        class,
        code,
        format!("Helm could not {about}: {words}{advice}"),
    )
}

/// What Helm said last, without warnings and log lines before it.
fn last_words(stderr: &str) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .filter(|line| !line.starts_with("WARNING") && !line.starts_with("level="))
        .collect();
    let from = lines
        .iter()
        .rposition(|line| line.starts_with("Error:"))
        .unwrap_or(0);
    let mut words = lines[from..].join("; ");
    if let Some(rest) = words.strip_prefix("Error: ") {
        words = rest.to_owned();
    }
    if words.is_empty() {
        words = "it gave no reason".to_owned();
    }
    if words.len() > LONGEST {
        let end = (0..=LONGEST)
            .rev()
            .find(|at| words.is_char_boundary(*at))
            .unwrap_or(0);
        words.truncate(end);
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_class() {
        let cases = [
            (
                "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress",
                ErrorClass::NotReady,
                "OperationInProgress",
            ),
            (
                "Error: Kubernetes cluster unreachable: Get \"https://x/version\": dial tcp: lookup x: no such host",
                ErrorClass::NotReady,
                "ClusterUnreachable",
            ),
            (
                "Error: Kubernetes cluster unreachable: the server has asked for the client to provide credentials (Unauthorized)",
                ErrorClass::Denied,
                "Unauthorized",
            ),
            (
                "Error: INSTALLATION FAILED: 1 error occurred: failed calling webhook \"v\": no endpoints available for service \"s\"",
                ErrorClass::NotReady,
                "WebhookNotReady",
            ),
            (
                "Error: unable to build kubernetes objects: resource mapping not found: no matches for kind \"NodePool\"\nensure CRDs are installed first",
                ErrorClass::NotReady,
                "NoMatch",
            ),
            (
                "Error: INSTALLATION FAILED: context deadline exceeded",
                ErrorClass::Terminal,
                "NotReadyInTime",
            ),
            (
                "Error: failed to download \"https://x/web-1.tgz\": no such host",
                ErrorClass::Retryable,
                "ChartUnreachable",
            ),
            (
                "Error: INSTALLATION FAILED: failed to perform \"FetchReference\" on source: x: not found",
                ErrorClass::Terminal,
                "ChartNotFound",
            ),
            (
                "Error: INSTALLATION FAILED: Unable to continue with install: ConfigMap \"x\" exists and cannot be imported into the current release: invalid ownership metadata",
                ErrorClass::Terminal,
                "NotOurs",
            ),
            (
                "Error: UPGRADE FAILED: conflict occurred while applying object: Apply failed with 1 conflict: conflict with \"kubectl\"",
                ErrorClass::Terminal,
                "FieldManagerConflict",
            ),
            (
                "Error: values don't meet the specifications of the schema(s)",
                ErrorClass::Terminal,
                "InvalidValues",
            ),
            (
                "Error: roles.rbac is forbidden: User \"x\" cannot create",
                ErrorClass::Denied,
                "Forbidden",
            ),
            (
                "Error: template: web/templates/x.yaml:1: bad",
                ErrorClass::Terminal,
                "HelmFailed",
            ),
        ];
        for (stderr, class, code) in cases {
            let found = classified("install web", stderr);
            assert_eq!(
                (found.class, found.code.as_str()),
                (class, code),
                "{stderr}"
            );
        }
    }

    #[test]
    fn warnings_are_no_reason_and_long_words_are_cut() {
        let found = classified("install web", "WARNING: old\nlevel=WARN msg=x\nError: no\n");
        assert_eq!(found.message, "Helm could not install web: no");
        assert!(classified("x", "").message.contains("no reason"));
        let long = classified("x", &"ü".repeat(5_000));
        assert!(long.message.len() < 2_100);
    }
}
