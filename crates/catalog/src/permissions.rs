//! What a caller must be allowed to do, from the handlers of the schemas.
//!
//! Cloud Control acts with the caller's own permissions: who creates a type needs every action that its create handler
//! names. The schemas over-ask a little (a handler names what it may call in any case) and never under-ask knowingly.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::Operation;
use crate::type_name::TypeName;

/// The actions on Cloud Control itself (its API operations; the IAM service prefix is CloudFormation's), and the one that
/// asks whether a type is supported.
pub const CLOUD_CONTROL: [&str; 9] = [
    "cloudformation:CancelResourceRequest",
    "cloudformation:CreateResource",
    "cloudformation:DeleteResource",
    "cloudformation:DescribeType",
    "cloudformation:GetResource",
    "cloudformation:GetResourceRequestStatus",
    "cloudformation:ListResourceRequests",
    "cloudformation:ListResources",
    "cloudformation:UpdateResource",
];

/// The actions that all operations of each type need, tagging included. A type that the catalog does not know is
/// not in the result.
#[must_use]
pub fn for_types<'a>(
    types: impl IntoIterator<Item = &'a TypeName>,
) -> BTreeMap<TypeName, BTreeSet<String>> {
    for_operations(types, &Operation::ALL)
}

/// The actions that the given operations of each type need. Tagging is included with any operation that changes something.
#[must_use]
pub fn for_operations<'a>(
    types: impl IntoIterator<Item = &'a TypeName>,
    operations: &[Operation],
) -> BTreeMap<TypeName, BTreeSet<String>> {
    let changes = operations
        .iter()
        .any(|operation| !matches!(operation, Operation::Read | Operation::List));
    types
        .into_iter()
        .filter_map(|type_name| Some((type_name, crate::schema(type_name)?)))
        .map(|(type_name, schema)| {
            let handlers = operations
                .iter()
                .filter_map(|operation| schema.operation(*operation));
            let mut actions: BTreeSet<String> = handlers
                .flat_map(|handler| handler.permissions.iter().cloned())
                .collect();
            if changes {
                actions.extend(schema.tagging().permissions.iter().cloned());
            }
            (type_name.clone(), actions)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_types_actions_are_those_of_its_handlers_and_tags() {
        let vpc = TypeName::new("AWS::EC2::VPC");
        let all = for_types([&vpc, &TypeName::new("AWS::EC2::Unheard")]);
        assert_eq!(all.len(), 1);
        for action in [
            "ec2:CreateVpc",
            "ec2:DeleteVpc",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ] {
            assert!(all[&vpc].contains(action), "{action}");
        }
        let read = for_operations([&vpc], &[Operation::Read]);
        assert!(
            read[&vpc]
                .iter()
                .all(|action| action.starts_with("ec2:Describe")),
            "{read:?}"
        );
    }

    #[test]
    fn every_action_is_one() {
        let names: Vec<TypeName> = crate::type_names().collect();
        for (type_name, actions) in for_types(&names) {
            assert!(!actions.is_empty(), "{type_name}");
            for action in actions {
                let (service, name) = action.split_once(':').unwrap();
                assert!(
                    service.bytes().all(|byte| byte.is_ascii_lowercase()
                        || byte.is_ascii_digit()
                        || byte == b'-'),
                    "{type_name}: {action}"
                );
                assert!(!name.is_empty(), "{type_name}: {action}");
            }
        }
    }
}
