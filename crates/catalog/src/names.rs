//! How long names may be, and of which characters: the limits of the services, checked before anything runs.
//!
//! Sources: the API reference or user guide of each service, as of 2026-11; the constant beside each kind says its rule.

/// What is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameKind {
    /// `RoleName` of `iam:CreateRole`.
    IamRole,
    /// `PolicyName` of `iam:CreatePolicy` and `iam:PutRolePolicy`.
    IamPolicy,
    /// `InstanceProfileName` of `iam:CreateInstanceProfile`.
    IamInstanceProfile,
    /// `name` of `eks:CreateCluster`.
    EksCluster,
    /// `nodegroupName` of `eks:CreateNodegroup`.
    EksNodegroup,
    /// `ReplicationGroupId` of `elasticache:CreateReplicationGroup`.
    ElastiCacheReplicationGroup,
    /// `CacheSubnetGroupName` of `elasticache:CreateCacheSubnetGroup`.
    ElastiCacheSubnetGroup,
    /// `BrokerName` of `mq:CreateBroker`, RabbitMQ.
    MqBroker,
    /// A general purpose bucket of S3.
    S3Bucket,
    /// A standard queue of SQS.
    SqsQueue,
    /// A table of DynamoDB.
    DynamoDbTable,
    /// A secret of Secrets Manager.
    Secret,
    /// A log group of CloudWatch Logs.
    LogGroup,
    /// `LaunchTemplateName` of `ec2:CreateLaunchTemplate`.
    LaunchTemplate,
    /// `GroupName` of `ec2:CreateSecurityGroup`.
    SecurityGroup,
    /// An alias of KMS, `alias/` included.
    KmsAlias,
    /// A rule of EventBridge.
    EventsRule,
    /// A repository of ECR.
    EcrRepository,
    /// A load balancer or target group of Elastic Load Balancing.
    LoadBalancer,
    /// A web ACL of WAF.
    WebAcl,
    /// A trail of CloudTrail.
    Trail,
    /// A vault of AWS Backup.
    BackupVault,
    /// A budget.
    Budget,
    /// A topic of SNS.
    SnsTopic,
    /// A namespace or another DNS label of Kubernetes (RFC 1123).
    KubernetesLabel,
    /// A tag's key.
    TagKey,
    /// A tag's value.
    TagValue,
}

/// A name breaks its kind's rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Too few characters.
    #[error("{what} `{name}` is too short: {length} characters, at least {least} are needed")]
    TooShort {
        /// What is named.
        what: &'static str,
        /// The name.
        name: String,
        /// Its characters.
        length: usize,
        /// The fewest allowed.
        least: usize,
    },
    /// Too many characters.
    #[error("{what} `{name}` is too long: {length} characters, at most {most} are allowed")]
    TooLong {
        /// What is named.
        what: &'static str,
        /// The name.
        name: String,
        /// Its characters.
        length: usize,
        /// The most allowed.
        most: usize,
    },
    /// A character that is not allowed, or not there.
    #[error("{what} `{name}` is not allowed: {rule}")]
    Form {
        /// What is named.
        what: &'static str,
        /// The name.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

/// A kind's rule.
struct Rule {
    what: &'static str,
    least: usize,
    most: usize,
    /// The rule in words.
    words: &'static str,
    /// Whether the whole name keeps it; the length is checked apart.
    keeps: fn(&str) -> bool,
}

impl NameKind {
    /// All kinds.
    pub const ALL: [Self; 27] = [
        Self::IamRole,
        Self::IamPolicy,
        Self::IamInstanceProfile,
        Self::EksCluster,
        Self::EksNodegroup,
        Self::ElastiCacheReplicationGroup,
        Self::ElastiCacheSubnetGroup,
        Self::MqBroker,
        Self::S3Bucket,
        Self::SqsQueue,
        Self::DynamoDbTable,
        Self::Secret,
        Self::LogGroup,
        Self::LaunchTemplate,
        Self::SecurityGroup,
        Self::KmsAlias,
        Self::EventsRule,
        Self::EcrRepository,
        Self::LoadBalancer,
        Self::WebAcl,
        Self::Trail,
        Self::BackupVault,
        Self::Budget,
        Self::SnsTopic,
        Self::KubernetesLabel,
        Self::TagKey,
        Self::TagValue,
    ];

    /// The most characters that a name of the kind may have.
    #[must_use]
    pub fn max_length(self) -> usize {
        self.rule().most
    }

    fn rule(self) -> Rule {
        let rule = |what, least, most, words, keeps| Rule {
            what,
            least,
            most,
            words,
            keeps,
        };
        match self {
            Self::IamRole => rule("IAM role name", 1, 64, IAM_WORDS, is_iam),
            Self::IamPolicy => rule("IAM policy name", 1, 128, IAM_WORDS, is_iam),
            Self::IamInstanceProfile => rule("instance profile name", 1, 128, IAM_WORDS, is_iam),
            Self::EksCluster => rule(
                "EKS cluster name",
                1,
                100,
                "it takes letters, digits, - and _, and starts with a letter or digit",
                |name| starts(name, |c| c.is_ascii_alphanumeric()) && all(name, "-_"),
            ),
            Self::EksNodegroup => rule(
                "node group name",
                1,
                63,
                "it takes letters, digits, - and _, and starts with a letter or digit",
                |name| starts(name, |c| c.is_ascii_alphanumeric()) && all(name, "-_"),
            ),
            Self::ElastiCacheReplicationGroup => rule(
                "ElastiCache replication group name",
                1,
                40,
                "it takes letters, digits and single -, starts with a letter and does not end with -",
                |name| {
                    starts(name, |c| c.is_ascii_alphabetic())
                        && all(name, "-")
                        && is_hyphenated(name)
                },
            ),
            Self::ElastiCacheSubnetGroup => rule(
                "cache subnet group name",
                1,
                255,
                "it takes letters, digits and -, and starts with a letter or digit",
                |name| starts(name, |c| c.is_ascii_alphanumeric()) && all(name, "-"),
            ),
            Self::MqBroker => rule(
                "broker name",
                1,
                50,
                "it takes letters, digits, - and _",
                |name| all(name, "-_"),
            ),
            Self::S3Bucket => rule(
                "bucket name",
                3,
                63,
                "it takes small letters, digits, - and single dots, starts and ends with a letter or digit, is no IP address \
                 and starts and ends with nothing that S3 reserves (xn--, sthree-, amzn-s3-demo-; -s3alias, --ol-s3, .mrap, --x-s3)",
                is_bucket,
            ),
            Self::SqsQueue => rule(
                "queue name",
                1,
                80,
                "it takes letters, digits, - and _",
                |name| all(name, "-_"),
            ),
            Self::DynamoDbTable => rule(
                "table name",
                3,
                255,
                "it takes letters, digits, -, _ and .",
                |name| all(name, "-_."),
            ),
            Self::Secret => rule(
                "secret name",
                1,
                512,
                "it takes letters, digits and /_+=.@-, and does not end with - and six characters, which Secrets Manager adds itself",
                |name| all(name, "/_+=.@-") && !ends_like_a_secret_arn(name),
            ),
            Self::LogGroup => rule(
                "log group name",
                1,
                512,
                "it takes letters, digits and _-/.#, and does not start with aws/",
                |name| all(name, "_-/.#") && !name.starts_with("aws/"),
            ),
            Self::LaunchTemplate => rule(
                "launch template name",
                3,
                128,
                "it takes letters, digits and ().-/_",
                |name| all(name, "().-/_"),
            ),
            Self::SecurityGroup => rule(
                "security group name",
                1,
                255,
                "it takes letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*, and does not start with sg-",
                |name| all(name, " ._-:/()#,@[]+=&;{}!$*") && !name.starts_with("sg-"),
            ),
            Self::KmsAlias => rule(
                "KMS alias",
                7,
                256,
                "it is alias/ and letters, digits, /, _ and -, and not alias/aws/, which is AWS's own",
                |name| {
                    let rest = name.strip_prefix("alias/");
                    rest.is_some_and(|rest| {
                        !rest.is_empty() && all(rest, "/_-") && !rest.starts_with("aws/")
                    })
                },
            ),
            Self::EventsRule => rule(
                "event rule name",
                1,
                64,
                "it takes letters, digits, ., - and _",
                |name| all(name, ".-_"),
            ),
            Self::EcrRepository => rule(
                "repository name",
                2,
                256,
                "it takes small letters and digits, with single ., _, - or / (or __) between them",
                is_repository,
            ),
            Self::LoadBalancer => rule(
                "load balancer or target group name",
                1,
                32,
                "it takes letters, digits and -, does not start or end with -, and does not start with internal-",
                |name| {
                    all(name, "-")
                        && !name.starts_with('-')
                        && !name.ends_with('-')
                        && !name.starts_with("internal-")
                },
            ),
            Self::WebAcl => rule(
                "web ACL name",
                1,
                128,
                "it takes letters, digits, - and _",
                |name| all(name, "-_"),
            ),
            Self::Trail => rule(
                "trail name",
                3,
                128,
                "it takes letters, digits and single ., - and _, starts with a letter or digit and ends with one",
                |name| {
                    starts(name, |c| c.is_ascii_alphanumeric())
                        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
                        && all(name, ".-_")
                        && !name
                            .as_bytes()
                            .windows(2)
                            .any(|pair| pair.iter().all(|byte| b".-_".contains(byte)))
                },
            ),
            Self::BackupVault => rule(
                "backup vault name",
                2,
                50,
                "it takes letters, digits, - and _",
                |name| all(name, "-_"),
            ),
            Self::Budget => rule("budget name", 1, 100, "it takes no : and no \\", |name| {
                !name.contains([':', '\\'])
            }),
            Self::SnsTopic => rule(
                "topic name",
                1,
                256,
                "it takes letters, digits, - and _",
                |name| all(name, "-_"),
            ),
            Self::KubernetesLabel => rule(
                "Kubernetes name",
                1,
                63,
                "it takes small letters, digits and -, and starts and ends with a letter or digit",
                |name| {
                    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
                    name.chars().all(|c| edge(c) || c == '-')
                        && name.starts_with(edge)
                        && name.ends_with(edge)
                },
            ),
            Self::TagKey => rule(
                "tag key",
                1,
                128,
                "it takes letters, digits, spaces and _.:/=+-@, and does not start with aws:",
                |name| {
                    is_tag(name)
                        && !name
                            .get(..4)
                            .is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
                },
            ),
            Self::TagValue => rule(
                "tag value",
                0,
                256,
                "it takes letters, digits, spaces and _.:/=+-@",
                is_tag,
            ),
        }
    }
}

/// Checks a name against the rule of what it names.
///
/// # Errors
/// When it is too short, too long, or of the wrong form; the message says the rule.
pub fn check(kind: NameKind, name: &str) -> Result<(), NameError> {
    let Rule {
        what,
        least,
        most,
        words,
        keeps,
    } = kind.rule();
    let length = name.chars().count();
    if length < least {
        return Err(NameError::TooShort {
            what,
            name: name.to_owned(),
            length,
            least,
        });
    }
    if length > most {
        return Err(NameError::TooLong {
            what,
            name: name.to_owned(),
            length,
            most,
        });
    }
    if !keeps(name) {
        return Err(NameError::Form {
            what,
            name: name.to_owned(),
            rule: words,
        });
    }
    Ok(())
}

const IAM_WORDS: &str = "it takes letters, digits and _+=,.@-";

fn is_iam(name: &str) -> bool {
    all(name, "_+=,.@-")
}

/// Whether the name has only ASCII letters, digits, and characters of `others`.
fn all(name: &str, others: &str) -> bool {
    name.chars()
        .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

fn starts(name: &str, with: fn(char) -> bool) -> bool {
    name.starts_with(with)
}

/// Hyphens stand alone and not at the end.
fn is_hyphenated(name: &str) -> bool {
    !name.contains("--") && !name.ends_with('-')
}

/// S3 user guide, "General purpose bucket naming rules".
fn is_bucket(name: &str) -> bool {
    const PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
    const SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.chars().all(|c| edge(c) || ".-".contains(c))
        && name.starts_with(edge)
        && name.ends_with(edge)
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && !SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// `repositoryName` of ECR: `(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*`, and `__` is one separator.
fn is_repository(name: &str) -> bool {
    name.split('/').all(|part| {
        part.replace("__", "_").split(['.', '_', '-']).all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
    })
}

/// A secret's ARN ends with a hyphen and six characters of its own; a name that does is taken for a partial ARN
/// (`secretsmanager:CreateSecret`).
fn ends_like_a_secret_arn(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(_, end)| {
        end.len() == 6 && end.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Tagging best practices, "Tag naming limits and requirements".
fn is_tag(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_and_bad_names_of_each_kind() {
        use NameKind as K;
        let cases: [(NameKind, &[&str], &[&str]); 20] = [
            (
                K::IamRole,
                &["shop-prod-karpenter"],
                &["shop prod", "rôle", ""],
            ),
            (
                K::EksCluster,
                &["shop-prod", "1_a"],
                &["-shop", "_x", "shop.prod"],
            ),
            (
                K::ElastiCacheReplicationGroup,
                &["shop-prod-redis", "Shop"],
                &["1shop", "shop--prod", "shop-", "shop_x"],
            ),
            (K::MqBroker, &["shop_prod-mq"], &["shop.prod"]),
            (
                K::S3Bucket,
                &["shop-prod-state", "a.b.c"],
                &[
                    "Shop",
                    "ab",
                    "a..b",
                    "192.168.5.4",
                    "-ab",
                    "xn--ab",
                    "a-s3alias",
                    "a_b",
                ],
            ),
            (K::SqsQueue, &["Shop_prod-1"], &["shop.fifo"]),
            (K::DynamoDbTable, &["shop.locks"], &["ab", "a/b"]),
            (
                K::Secret,
                &["prod/shop/database", "shop-db"],
                &["shop-abcdef", "a b"],
            ),
            (
                K::LogGroup,
                &["/aws/eks/shop/cluster"],
                &["aws/mine", "a b"],
            ),
            (K::LaunchTemplate, &["shop/(x)"], &["ab", "a b c"]),
            (K::SecurityGroup, &["shop prod: redis"], &["sg-shop", "a|b"]),
            (
                K::KmsAlias,
                &["alias/shop"],
                &["shop-key", "alias/aws/eks", "alias/a.b"],
            ),
            (K::EventsRule, &["Karpenter.spot_1"], &["a b"]),
            (
                K::EcrRepository,
                &["shop/web-frontend", "a__b"],
                &["Shop", "a//b", "/ab", "a--b", "ab-"],
            ),
            (
                K::LoadBalancer,
                &["shop-prod"],
                &["internal-shop", "-a", "a-", "a_b"],
            ),
            (K::Trail, &["shop.prod-1"], &["shop..x", "-ab", "ab_"]),
            (K::BackupVault, &["shop_prod"], &["a", "a b"]),
            (
                K::KubernetesLabel,
                &["kube-system"],
                &["Kube", "a.b", "-a", "a-"],
            ),
            (
                K::TagKey,
                &["karpenter.sh/discovery", "Größe"],
                &["aws:x", "AWS:x", "a*b"],
            ),
            (K::TagValue, &["", "a b"], &["a;b"]),
        ];
        for (kind, good, bad) in cases {
            for name in good {
                assert_eq!(check(kind, name), Ok(()), "{kind:?} {name}");
            }
            for name in bad {
                assert!(check(kind, name).is_err(), "{kind:?} {name}");
            }
        }
    }

    #[test]
    fn the_limits_are_where_the_services_have_them() {
        for (kind, most) in [
            (NameKind::IamRole, 64),
            (NameKind::EksCluster, 100),
            (NameKind::ElastiCacheReplicationGroup, 40),
            (NameKind::S3Bucket, 63),
            (NameKind::LoadBalancer, 32),
        ] {
            assert_eq!(kind.max_length(), most);
            assert_eq!(check(kind, &"a".repeat(most)), Ok(()), "{kind:?}");
            let error = check(kind, &"a".repeat(most + 1)).unwrap_err();
            assert!(
                matches!(error, NameError::TooLong { .. })
                    && error.to_string().contains(&most.to_string())
            );
        }
        for kind in NameKind::ALL {
            assert!(kind.max_length() >= 32, "{kind:?}");
        }
    }
}
