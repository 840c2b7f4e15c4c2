//! The defaults: a sound production platform, without the data services that cost money unasked.

use super::*;

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            version: "1.36".to_owned(),
            support: SupportType::Standard,
        }
    }
}

impl Default for FlowLogs {
    fn default() -> Self {
        Self {
            enabled: true,
            retention_days: 30,
        }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::default(),
            logs: ControlPlaneLogs::default(),
            secrets_encryption: true,
            admins: Vec::new(),
            workload_identity: WorkloadIdentity::PodIdentity,
            deletion_protection: false,
        }
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            public: true,
            private: true,
            public_cidrs: vec![Ipv4Net::default()],
        }
    }
}

impl Default for ControlPlaneLogs {
    fn default() -> Self {
        Self {
            types: vec![
                ControlPlaneLog::Api,
                ControlPlaneLog::Audit,
                ControlPlaneLog::Authenticator,
            ],
            retention_days: 90,
        }
    }
}

impl Default for SystemNodes {
    fn default() -> Self {
        Self {
            instance_types: vec!["t3.medium".to_owned()],
            min: 2,
            desired: 2,
            max: 3,
            disk_gib: 50,
        }
    }
}

impl Default for Karpenter {
    fn default() -> Self {
        Self {
            enabled: true,
            interruption_queue: true,
        }
    }
}

impl Default for Toggle {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for ExternalSecrets {
    fn default() -> Self {
        Self {
            enabled: true,
            prefixes: Vec::new(),
        }
    }
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            enabled: false,
            engine: RedisEngine::Redis,
            engine_version: None,
            node_type: "cache.t4g.small".to_owned(),
            replicas: 1,
            snapshot_retention_days: 7,
        }
    }
}

impl Default for RabbitMq {
    fn default() -> Self {
        Self {
            enabled: false,
            deployment_mode: RabbitMqDeploymentMode::SingleInstance,
            instance_type: "mq.m7g.medium".to_owned(),
            engine_version: None,
        }
    }
}

impl Default for Waf {
    fn default() -> Self {
        Self {
            enabled: false,
            rate_limit: 2000,
        }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            cloud_trail: false,
            retention_days: 365,
        }
    }
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            enabled: false,
            schedule: "cron(0 3 * * ? *)".to_owned(),
            retention_days: 35,
        }
    }
}
