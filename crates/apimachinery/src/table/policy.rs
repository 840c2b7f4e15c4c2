//! Who may do what, what is admitted, and what comes first.

use serde_json::Value as Json;

use super::fields::Fields;
use super::{AGE, Column, NAME, Printer};

pub(super) fn printer(group: &str, kind: &str) -> Option<&'static Printer> {
    Some(match (group, kind) {
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => &BINDINGS,
        (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        ) => &WEBHOOKS,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => &ADMISSION_POLICIES,
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding",
        ) => &ADMISSION_BINDINGS,
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => &FLOW_SCHEMAS,
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => &PRIORITY_LEVELS,
        _ => return None,
    })
}

static BINDINGS: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Role", "string", "roleRef"),
        AGE,
        Column::told("Users", "string", "The users that it names.").wide(),
        Column::told("Groups", "string", "The groups that it names.").wide(),
        Column::told(
            "ServiceAccounts",
            "string",
            "The service accounts that it names.",
        )
        .wide(),
    ],
    cells: |object, now| {
        let subjects = |kind: &str| -> Json {
            let told: Vec<String> = object
                .items("subjects")
                .filter(|subject| subject.text("kind") == kind)
                .map(|subject| match kind {
                    "ServiceAccount" => {
                        format!("{}/{}", subject.text("namespace"), subject.text("name"))
                    }
                    _ => subject.text("name").to_owned(),
                })
                .collect();
            told.join(", ").into()
        };
        let role = object.at("roleRef");
        vec![
            object.name(),
            format!("{}/{}", role.text("kind"), role.text("name")).into(),
            object.age(now),
            subjects("User"),
            subjects("Group"),
            subjects("ServiceAccount"),
        ]
    },
};

static WEBHOOKS: Printer = Printer {
    columns: &[
        NAME,
        Column::told("Webhooks", "integer", "How many webhooks it registers."),
        AGE,
    ],
    cells: |object, now| {
        vec![
            object.name(),
            object.count("webhooks").into(),
            object.age(now),
        ]
    },
};

static ADMISSION_POLICIES: Printer = Printer {
    columns: &[
        NAME,
        Column::told("Validations", "integer", "How many rules it has."),
        Column::told("ParamKind", "string", "The kind of its parameters."),
        AGE,
    ],
    cells: |object, now| {
        let kind = object.at("spec.paramKind");
        let told = if object.present("spec.paramKind") {
            format!("{}/{}", kind.text("apiVersion"), kind.text("kind"))
        } else {
            "<unset>".to_owned()
        };
        vec![
            object.name(),
            object.count("spec.validations").into(),
            told.into(),
            object.age(now),
        ]
    },
};

static ADMISSION_BINDINGS: Printer = Printer {
    columns: &[
        NAME,
        Column::told("PolicyName", "string", "The policy that it puts to use."),
        Column::told("ParamRef", "string", "The object that sets the parameters."),
        AGE,
    ],
    cells: |object, now| {
        let parameters = object.at("spec.paramRef");
        let told = match (parameters.text("name"), parameters.text("namespace")) {
            ("", _) if parameters.present("selector") => parameters.selector("selector"),
            ("", _) => "<unset>".to_owned(),
            (name, "") => format!("*/{name}"),
            (name, namespace) => format!("{namespace}/{name}"),
        };
        vec![
            object.name(),
            object.text("spec.policyName").into(),
            told.into(),
            object.age(now),
        ]
    },
};

static FLOW_SCHEMAS: Printer = Printer {
    columns: &[
        NAME,
        Column::of(
            "PriorityLevel",
            "string",
            "spec.priorityLevelConfiguration.name",
        ),
        Column::of("MatchingPrecedence", "string", "spec.matchingPrecedence"),
        Column::of("DistinguisherMethod", "string", "spec.distinguisherMethod"),
        AGE,
        Column::told(
            "MissingPL",
            "string",
            "Whether the priority level that it names is missing.",
        ),
    ],
    cells: |object, now| {
        let dangling = object
            .condition("Dangling")
            .map_or("?", |condition| condition.text("status"));
        vec![
            object.name(),
            object.text("spec.priorityLevelConfiguration.name").into(),
            object.number("spec.matchingPrecedence").into(),
            object
                .text_or("spec.distinguisherMethod.type", "<none>")
                .into(),
            object.age(now),
            dangling.into(),
        ]
    },
};

static PRIORITY_LEVELS: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Type", "string", "spec.type"),
        Column::of(
            "NominalConcurrencyShares",
            "string",
            "spec.limited.nominalConcurrencyShares",
        ),
        Column::of(
            "Queues",
            "string",
            "spec.limited.limitResponse.queuing.queues",
        ),
        Column::of(
            "HandSize",
            "string",
            "spec.limited.limitResponse.queuing.handSize",
        ),
        Column::of(
            "QueueLengthLimit",
            "string",
            "spec.limited.limitResponse.queuing.queueLengthLimit",
        ),
        AGE,
    ],
    cells: |object, now| {
        let number = |object: Fields<'_>, path: &str| {
            if object.present(path) {
                Json::from(object.number(path))
            } else {
                "<none>".into()
            }
        };
        let queuing = object.at("spec.limited.limitResponse.queuing");
        vec![
            object.name(),
            object.text("spec.type").into(),
            number(object, "spec.limited.nominalConcurrencyShares"),
            number(queuing, "queues"),
            number(queuing, "handSize"),
            number(queuing, "queueLengthLimit"),
            object.age(now),
        ]
    },
};
