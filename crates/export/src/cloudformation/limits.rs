//! How large a template may be.

use crate::{Error, Format};

/// The sizes of a template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) resources: usize,
    pub(super) parameters: usize,
    pub(super) outputs: usize,
    pub(super) bytes: usize,
}

/// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html (November 2026). The page
/// says 1 MB of a template in S3, and does not say which megabyte: the smaller one.
const LIMITS: Sizes = Sizes {
    resources: 500,
    parameters: 200,
    outputs: 200,
    bytes: 1_000_000,
};

/// What is too large about a template.
pub(super) fn check(file: &str, sizes: &Sizes) -> Vec<Error> {
    [
        ("resources", sizes.resources, LIMITS.resources),
        ("parameters", sizes.parameters, LIMITS.parameters),
        ("outputs", sizes.outputs, LIMITS.outputs),
        ("bytes", sizes.bytes, LIMITS.bytes),
    ]
    .into_iter()
    .filter(|(_, count, limit)| count > limit)
    .map(|(what, count, limit)| Error::Limit {
        file: file.to_owned(),
        format: Format::CloudFormation,
        what,
        count,
        limit,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_at_the_limits_is_none_too_large() {
        assert_eq!(check("prod/eks.yaml", &LIMITS), []);
        let sizes = Sizes {
            resources: 501,
            outputs: 201,
            ..LIMITS
        };
        let whats: Vec<_> = check("prod/eks.yaml", &sizes)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            whats,
            [
                "`prod/eks.yaml` would have 501 resources, and cloudformation takes 500 at most",
                "`prod/eks.yaml` would have 201 outputs, and cloudformation takes 200 at most",
            ]
        );
    }
}
