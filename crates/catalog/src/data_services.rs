//! What Amazon MQ for RabbitMQ and ElastiCache take: versions, sizes, modes, passwords. The schemas do not say it, and the services
//! refuse it late.

use crate::date::Date;

/// Amazon MQ for RabbitMQ.
///
/// Sources: Amazon MQ developer guide, "Managing Amazon MQ for RabbitMQ engine versions", "sizing guidelines", "Quotas in
/// Amazon MQ" (as of 2026-11); endoflife.date/amazon-mq-rabbitmq; instance types in cfn-lint 1.58
/// (`aws_amazonmq_broker/instancetype_enum.json`).
pub mod rabbitmq {
    use super::Date;

    /// Versions on which a broker can be made, newest first. AWS recommends the first.
    pub const VERSIONS: [&str; 2] = ["4.2", "3.13"];

    /// Versions that Amazon MQ has dropped, with the end of support: brokers that were on them have been upgraded.
    pub const RETIRED: [(&str, Date); 4] = [
        ("3.12", Date::new(2025, 3, 17)),
        ("3.11", Date::new(2025, 2, 17)),
        ("3.10", Date::new(2024, 10, 15)),
        ("3.9", Date::new(2024, 9, 16)),
    ];

    /// How a broker is deployed. `ACTIVE_STANDBY_MULTI_AZ` is for ActiveMQ only (AWS Control Tower, CT.MQ.PR.1 and 2).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub enum DeploymentMode {
        /// One node in one Availability Zone; takes one subnet.
        #[serde(rename = "SINGLE_INSTANCE")]
        SingleInstance,
        /// Three nodes in three Availability Zones.
        #[serde(rename = "CLUSTER_MULTI_AZ")]
        ClusterMultiAz,
    }

    impl DeploymentMode {
        /// `DeploymentMode` of `AWS::AmazonMQ::Broker`.
        #[must_use]
        pub const fn as_str(self) -> &'static str {
            match self {
                Self::SingleInstance => "SINGLE_INSTANCE",
                Self::ClusterMultiAz => "CLUSTER_MULTI_AZ",
            }
        }

        /// Nodes of a broker of the mode.
        #[must_use]
        pub const fn nodes(self) -> u8 {
            match self {
                Self::SingleInstance => 1,
                Self::ClusterMultiAz => 3,
            }
        }
    }

    /// Sizes of the `mq.m7g` types, which every supported version takes.
    const M7G: [&str; 8] = [
        "mq.m7g.medium",
        "mq.m7g.large",
        "mq.m7g.xlarge",
        "mq.m7g.2xlarge",
        "mq.m7g.4xlarge",
        "mq.m7g.8xlarge",
        "mq.m7g.12xlarge",
        "mq.m7g.16xlarge",
    ];
    /// Types that only RabbitMQ 3.13 takes beside `mq.m7g`.
    const M5: [&str; 4] = [
        "mq.m5.large",
        "mq.m5.xlarge",
        "mq.m5.2xlarge",
        "mq.m5.4xlarge",
    ];
    /// The one that only a single instance of RabbitMQ 3.13 takes.
    const T3_MICRO: &str = "mq.t3.micro";

    /// The instance types that a broker of the version and mode takes, smallest first; empty when no broker can be
    /// made with the version.
    ///
    /// `mq.m7g.medium` is for tests, not for production (sizing guidelines).
    #[must_use]
    pub fn instance_types(version: &str, mode: DeploymentMode) -> Vec<&'static str> {
        match (version, mode) {
            ("4.2", _) => M7G.to_vec(),
            ("3.13", DeploymentMode::ClusterMultiAz) => M7G.into_iter().chain(M5).collect(),
            ("3.13", DeploymentMode::SingleInstance) => {
                [T3_MICRO].into_iter().chain(M7G).chain(M5).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Ports on which a broker listens: AMQP over TLS, and the console and management API (443 and 15671 alike).
    pub const PORTS: [u16; 3] = [5671, 443, 15671];

    /// A broker that Amazon MQ would refuse.
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum BrokerError {
        /// The version was dropped.
        #[error("Amazon MQ ended its support of RabbitMQ {version} on {since}; use {}", VERSIONS[0])]
        Retired {
            /// The version.
            version: String,
            /// The end of its support.
            since: Date,
        },
        /// The version was never there, or is newer than the catalog.
        #[error("Amazon MQ has no RabbitMQ {version}; it has {}", VERSIONS.join(" and "))]
        UnknownVersion {
            /// The version.
            version: String,
        },
        /// The version or mode does not take the instance type.
        #[error("RabbitMQ {version} as {} does not take {instance_type}; it takes {allowed}", mode.as_str())]
        InstanceType {
            /// The version.
            version: String,
            /// The mode.
            mode: DeploymentMode,
            /// The type that was asked for.
            instance_type: String,
            /// The types that it takes, for a person.
            allowed: String,
        },
        /// The user's name is none that RabbitMQ takes.
        #[error(
            "`{0}` is no user name for RabbitMQ: 2 to 100 letters, digits and _.~-, and not `guest`, which Amazon MQ deletes"
        )]
        UserName(String),
        /// The password is none that Amazon MQ takes. It is not shown.
        #[error(
            "the password is not allowed: 12 to 250 printable characters, at least 4 different ones, without comma, colon, equal sign and space"
        )]
        Password,
    }

    /// Checks version, mode and instance type together. A patch version (`3.13.7`) is taken as its minor.
    ///
    /// # Errors
    /// When Amazon MQ would refuse the broker.
    pub fn check(
        version: &str,
        mode: DeploymentMode,
        instance_type: &str,
    ) -> Result<(), BrokerError> {
        let minor = minor_of(version);
        if let Some((_, since)) = RETIRED.iter().find(|(retired, _)| *retired == minor) {
            return Err(BrokerError::Retired {
                version: version.to_owned(),
                since: *since,
            });
        }
        let allowed = instance_types(minor, mode);
        if allowed.is_empty() {
            return Err(BrokerError::UnknownVersion {
                version: version.to_owned(),
            });
        }
        if !allowed.contains(&instance_type) {
            return Err(BrokerError::InstanceType {
                version: version.to_owned(),
                mode,
                instance_type: instance_type.to_owned(),
                allowed: allowed.join(", "),
            });
        }
        Ok(())
    }

    /// Checks the broker's first user.
    ///
    /// # Errors
    /// When Amazon MQ would refuse the name or the password. The password is not in the error.
    pub fn check_user(name: &str, password: &str) -> Result<(), BrokerError> {
        let named = (2..=100).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.~-".contains(&byte))
            && name != "guest";
        if !named {
            return Err(BrokerError::UserName(name.to_owned()));
        }
        let different: std::collections::BTreeSet<u8> = password.bytes().collect();
        let strong = (12..=250).contains(&password.len())
            && password
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b",:=".contains(&byte))
            && different.len() >= 4;
        if strong {
            Ok(())
        } else {
            Err(BrokerError::Password)
        }
    }

    fn minor_of(version: &str) -> &str {
        let mut dots = version.match_indices('.');
        dots.nth(1).map_or(version, |(at, _)| &version[..at])
    }
}

/// Amazon ElastiCache, node-based.
///
/// Sources: cfn-lint 1.58 (`aws_elasticache_cachecluster/engine_version.json` and `cachenodetype_enum.json`, both from AWS's API,
/// 2026-10); ElastiCache user guide, "Supported node types", "Authenticating with the AUTH command", "Engine versions and
/// upgrading".
pub mod elasticache {
    /// An engine of a replication group.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Engine {
        /// Redis OSS.
        Redis,
        /// Valkey, which continues Redis OSS 7.2; about a fifth cheaper on nodes.
        Valkey,
    }

    impl Engine {
        /// `Engine` of `AWS::ElastiCache::ReplicationGroup`.
        #[must_use]
        pub const fn as_str(self) -> &'static str {
            match self {
                Self::Redis => "redis",
                Self::Valkey => "valkey",
            }
        }

        /// Versions on which a replication group can be made, newest first.
        #[must_use]
        pub const fn versions(self) -> &'static [&'static str] {
            match self {
                // 4.0.10 and 5.0.6 are in extended support since 2026-02-01, for a surcharge: not offered.
                Self::Redis => &["7.1", "7.0", "6.2", "6.0"],
                Self::Valkey => &["9.1", "9.0", "8.2", "8.1", "8.0", "7.2"],
            }
        }

        /// The default parameter group for the version, without cluster mode.
        #[must_use]
        pub fn default_parameter_group(self, version: &str) -> String {
            let major = version.split('.').next().unwrap_or_default();
            match (self, major) {
                (Self::Redis, "6") => "default.redis6.x".to_owned(),
                (engine, major) => format!("default.{}{major}", engine.as_str()),
            }
        }
    }

    /// Families of node types that can be had, with their sizes: `cache.` + family + `.` + size.
    pub const NODE_FAMILIES: [(&str, &[&str]); 15] = [
        ("t4g", &["micro", "small", "medium"]),
        ("t3", &["micro", "small", "medium"]),
        ("t2", &["micro", "small", "medium"]),
        ("m8g", GRAVITON),
        ("m7g", GRAVITON),
        ("m6g", GRAVITON),
        (
            "m5",
            &[
                "large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge",
            ],
        ),
        ("m4", &["large", "xlarge", "2xlarge", "4xlarge", "10xlarge"]),
        ("r8g", GRAVITON),
        ("r7g", GRAVITON),
        ("r6g", GRAVITON),
        (
            "r6gd",
            &[
                "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge",
            ],
        ),
        (
            "r5",
            &[
                "large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge",
            ],
        ),
        ("c8gn", GRAVITON),
        ("c7gn", GRAVITON),
    ];

    const GRAVITON: &[&str] = &[
        "large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge",
    ];

    /// The port that a replication group listens on unless told otherwise.
    pub const PORT: u16 = 6379;

    /// A replication group that ElastiCache would refuse.
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum CacheError {
        /// The engine has no such version.
        #[error("ElastiCache has no {} {version}; it has {}", engine.as_str(), engine.versions().join(", "))]
        Version {
            /// The engine.
            engine: Engine,
            /// The version that was asked for.
            version: String,
        },
        /// There is no such node type.
        #[error(
            "ElastiCache has no node type `{0}`: expected cache.FAMILY.SIZE, such as cache.t4g.micro or cache.r7g.large"
        )]
        NodeType(String),
        /// The token is none that AUTH takes. It is not shown.
        #[error("the AUTH token is not allowed: 16 to 128 letters, digits and !&#$^<>-")]
        AuthToken,
        /// AUTH without TLS.
        #[error("an AUTH token needs encryption in transit")]
        AuthWithoutTls,
        /// Several Availability Zones without failover, or failover without a replica.
        #[error("{0}")]
        Availability(&'static str),
    }

    /// What of a replication group is checked together.
    #[derive(Debug, Clone, Copy)]
    pub struct Group<'a> {
        /// The engine.
        pub engine: Engine,
        /// Its version; a fuller one (`7.1.0`) is taken as its minor.
        pub version: &'a str,
        /// `cache.t4g.micro`.
        pub node_type: &'a str,
        /// Nodes: the primary and its replicas.
        pub nodes: u8,
        /// `MultiAZEnabled`.
        pub multi_az: bool,
        /// `AutomaticFailoverEnabled`.
        pub automatic_failover: bool,
        /// `TransitEncryptionEnabled`.
        pub transit_encryption: bool,
        /// Whether there is an AUTH token.
        pub auth: bool,
    }

    /// Checks a replication group without cluster mode.
    ///
    /// # Errors
    /// When ElastiCache would refuse it: the first thing that is wrong.
    pub fn check(group: Group<'_>) -> Result<(), CacheError> {
        let known = |version: &&&str| {
            group.version == **version
                || group
                    .version
                    .strip_prefix(**version)
                    .is_some_and(|rest| rest.starts_with('.'))
        };
        if group.engine.versions().iter().find(known).is_none() {
            return Err(CacheError::Version {
                engine: group.engine,
                version: group.version.to_owned(),
            });
        }
        if !is_node_type(group.node_type) {
            return Err(CacheError::NodeType(group.node_type.to_owned()));
        }
        if group.auth && !group.transit_encryption {
            return Err(CacheError::AuthWithoutTls);
        }
        if group.multi_az && !group.automatic_failover {
            return Err(CacheError::Availability(
                "several Availability Zones need automatic failover",
            ));
        }
        if group.automatic_failover && group.nodes < 2 {
            return Err(CacheError::Availability(
                "automatic failover needs a replica: two nodes or more",
            ));
        }
        Ok(())
    }

    /// Whether ElastiCache has the node type (in some region).
    #[must_use]
    pub fn is_node_type(node_type: &str) -> bool {
        let mut parts = node_type.splitn(3, '.');
        let (prefix, family, size) = (parts.next(), parts.next(), parts.next());
        prefix == Some("cache")
            && NODE_FAMILIES.iter().any(|(name, sizes)| {
                family == Some(name) && size.is_some_and(|size| sizes.contains(&size))
            })
    }

    /// Checks an AUTH token.
    ///
    /// # Errors
    /// When ElastiCache would refuse it. The token is not in the error.
    pub fn check_auth_token(token: &str) -> Result<(), CacheError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!&#$^<>-".contains(&byte);
        if (16..=128).contains(&token.len()) && token.bytes().all(allowed) {
            Ok(())
        } else {
            Err(CacheError::AuthToken)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::elasticache::{self, CacheError, Engine, Group};
    use super::rabbitmq::{self, BrokerError, DeploymentMode};

    #[test]
    fn brokers() {
        use DeploymentMode::{ClusterMultiAz, SingleInstance};
        assert_eq!(
            rabbitmq::check("4.2", ClusterMultiAz, "mq.m7g.large"),
            Ok(())
        );
        assert_eq!(
            rabbitmq::check("3.13", SingleInstance, "mq.t3.micro"),
            Ok(())
        );
        assert_eq!(
            rabbitmq::check("3.13.7", ClusterMultiAz, "mq.m5.large"),
            Ok(())
        );
        for (version, mode, instance_type) in [
            ("4.2", SingleInstance, "mq.t3.micro"),
            ("4.2", SingleInstance, "mq.m5.large"),
            ("3.13", ClusterMultiAz, "mq.t3.micro"),
            ("4.2", SingleInstance, "mq.m7g.tiny"),
        ] {
            let error = rabbitmq::check(version, mode, instance_type).unwrap_err();
            assert!(matches!(error, BrokerError::InstanceType { .. }), "{error}");
        }
        assert!(matches!(
            rabbitmq::check("3.12.13", SingleInstance, "mq.m5.large"),
            Err(BrokerError::Retired { .. })
        ));
        assert!(matches!(
            rabbitmq::check("5.0", SingleInstance, "mq.m7g.large"),
            Err(BrokerError::UnknownVersion { .. })
        ));
    }

    #[test]
    fn broker_users() {
        assert_eq!(rabbitmq::check_user("shop", "correct-horse-1"), Ok(()));
        for (name, password) in [
            ("a", "correct-horse-1"),
            ("guest", "correct-horse-1"),
            ("a b", "correct-horse-1"),
            ("shop", "short"),
            ("shop", "with,comma-1234"),
            ("shop", "aaaaaaaaaaaaaaa"),
        ] {
            let error = rabbitmq::check_user(name, password).unwrap_err();
            assert!(!error.to_string().contains(password), "{error}");
        }
    }

    fn group(node_type: &'static str) -> Group<'static> {
        Group {
            engine: Engine::Redis,
            version: "7.1",
            node_type,
            nodes: 2,
            multi_az: true,
            automatic_failover: true,
            transit_encryption: true,
            auth: true,
        }
    }

    #[test]
    fn replication_groups() {
        let good = group("cache.t4g.micro");
        assert_eq!(elasticache::check(good), Ok(()));
        assert_eq!(
            elasticache::check(Group {
                version: "7.1.0",
                ..good
            }),
            Ok(())
        );
        assert_eq!(
            elasticache::check(Group {
                engine: Engine::Valkey,
                version: "8.2",
                ..good
            }),
            Ok(())
        );
        assert!(matches!(
            elasticache::check(Group {
                version: "7.2",
                ..good
            }),
            Err(CacheError::Version { .. })
        ));
        assert!(matches!(
            elasticache::check(Group {
                version: "7.10",
                ..good
            }),
            Err(CacheError::Version { .. })
        ));
        assert!(matches!(
            elasticache::check(group("cache.t3.large")),
            Err(CacheError::NodeType(_))
        ));
        assert!(matches!(
            elasticache::check(group("db.t3.micro")),
            Err(CacheError::NodeType(_))
        ));
        assert!(
            elasticache::check(Group {
                transit_encryption: false,
                ..good
            })
            .is_err()
        );
        assert!(
            elasticache::check(Group {
                automatic_failover: false,
                ..good
            })
            .is_err()
        );
        assert!(elasticache::check(Group { nodes: 1, ..good }).is_err());
        assert_eq!(
            Engine::Redis.default_parameter_group("7.1"),
            "default.redis7"
        );
        assert_eq!(
            Engine::Valkey.default_parameter_group("8.2"),
            "default.valkey8"
        );
    }

    #[test]
    fn auth_tokens() {
        assert_eq!(
            elasticache::check_auth_token("abcDEF0123456789!&#$^<>-"),
            Ok(())
        );
        for bad in [
            "short",
            "with space 0123456789",
            "with/slash0123456789",
            &"a".repeat(129),
        ] {
            assert_eq!(
                elasticache::check_auth_token(bad),
                Err(CacheError::AuthToken)
            );
        }
    }
}
