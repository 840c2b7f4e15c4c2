//! The resource types that the blueprint uses.

use catalog::TypeName;

macro_rules! types {
    ($($name:ident = $type_name:literal;)*) => {
        $(pub(crate) const $name: TypeName = TypeName::new($type_name);)*
    };
}

types! {
    ACCESS_ENTRY = "AWS::EKS::AccessEntry";
    ADDON = "AWS::EKS::Addon";
    BACKUP_PLAN = "AWS::Backup::BackupPlan";
    BACKUP_SELECTION = "AWS::Backup::BackupSelection";
    BACKUP_VAULT = "AWS::Backup::BackupVault";
    BROKER = "AWS::AmazonMQ::Broker";
    BUCKET = "AWS::S3::Bucket";
    BUCKET_POLICY = "AWS::S3::BucketPolicy";
    BUDGET = "AWS::Budgets::Budget";
    CACHE_SUBNET_GROUP = "AWS::ElastiCache::SubnetGroup";
    CERTIFICATE = "AWS::CertificateManager::Certificate";
    CLUSTER = "AWS::EKS::Cluster";
    EIP = "AWS::EC2::EIP";
    FLOW_LOG = "AWS::EC2::FlowLog";
    HOSTED_ZONE = "AWS::Route53::HostedZone";
    INSTANCE_PROFILE = "AWS::IAM::InstanceProfile";
    INTERNET_GATEWAY = "AWS::EC2::InternetGateway";
    KMS_ALIAS = "AWS::KMS::Alias";
    KMS_KEY = "AWS::KMS::Key";
    LAUNCH_TEMPLATE = "AWS::EC2::LaunchTemplate";
    LOG_GROUP = "AWS::Logs::LogGroup";
    NAT_GATEWAY = "AWS::EC2::NatGateway";
    NODE_GROUP = "AWS::EKS::Nodegroup";
    OIDC_PROVIDER = "AWS::IAM::OIDCProvider";
    POD_IDENTITY_ASSOCIATION = "AWS::EKS::PodIdentityAssociation";
    QUEUE = "AWS::SQS::Queue";
    QUEUE_INLINE_POLICY = "AWS::SQS::QueueInlinePolicy";
    REPLICATION_GROUP = "AWS::ElastiCache::ReplicationGroup";
    REPOSITORY = "AWS::ECR::Repository";
    ROLE = "AWS::IAM::Role";
    ROUTE = "AWS::EC2::Route";
    ROUTE_TABLE = "AWS::EC2::RouteTable";
    ROUTE_TABLE_ASSOCIATION = "AWS::EC2::SubnetRouteTableAssociation";
    RULE = "AWS::Events::Rule";
    SECRET = "AWS::SecretsManager::Secret";
    SECURITY_GROUP = "AWS::EC2::SecurityGroup";
    SERVICE_LINKED_ROLE = "AWS::IAM::ServiceLinkedRole";
    SUBNET = "AWS::EC2::Subnet";
    TABLE = "AWS::DynamoDB::Table";
    TRAIL = "AWS::CloudTrail::Trail";
    VPC = "AWS::EC2::VPC";
    VPC_ENDPOINT = "AWS::EC2::VPCEndpoint";
    VPC_GATEWAY_ATTACHMENT = "AWS::EC2::VPCGatewayAttachment";
    WEB_ACL = "AWS::WAFv2::WebACL";
}
