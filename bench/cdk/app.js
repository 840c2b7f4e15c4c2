// A platform like the ekb preset's production environment, as plain JavaScript: no ts-node, no assets, no lookups, so
// that what is measured is the synthesis alone. EKS, Redis and RabbitMQ are L1 constructs, which are cheaper to
// synthesize than L2 ones with their custom resources and Lambda layers.
'use strict';

const { App, Stack } = require('aws-cdk-lib/core');
const ec2 = require('aws-cdk-lib/aws-ec2');
const eks = require('aws-cdk-lib/aws-eks');
const elasticache = require('aws-cdk-lib/aws-elasticache');
const events = require('aws-cdk-lib/aws-events');
const targets = require('aws-cdk-lib/aws-events-targets');
const iam = require('aws-cdk-lib/aws-iam');
const logs = require('aws-cdk-lib/aws-logs');
const mq = require('aws-cdk-lib/aws-amazonmq');
const secretsmanager = require('aws-cdk-lib/aws-secretsmanager');
const sqs = require('aws-cdk-lib/aws-sqs');

const REGION = 'us-east-1';

class Platform extends Stack {
  constructor(scope, id) {
    super(scope, id, { env: { account: '111122223333', region: REGION } });

    const vpc = new ec2.Vpc(this, 'Network', {
      ipAddresses: ec2.IpAddresses.cidr('10.20.0.0/16'),
      maxAzs: 3,
      natGateways: 3,
      restrictDefaultSecurityGroup: false, // else a Lambda function: an asset
      subnetConfiguration: [
        { name: 'public', subnetType: ec2.SubnetType.PUBLIC, cidrMask: 24 },
        { name: 'private', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 19 },
      ],
      gatewayEndpoints: { s3: { service: ec2.GatewayVpcEndpointAwsService.S3 } },
    });
    const privateSubnets = vpc.privateSubnets.map((subnet) => subnet.subnetId);

    const clusterRole = new iam.Role(this, 'ClusterRole', {
      assumedBy: new iam.ServicePrincipal('eks.amazonaws.com'),
      managedPolicies: [iam.ManagedPolicy.fromAwsManagedPolicyName('AmazonEKSClusterPolicy')],
    });
    const nodeRole = new iam.Role(this, 'NodeRole', {
      assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
      managedPolicies: [
        'AmazonEKSWorkerNodePolicy',
        'AmazonEC2ContainerRegistryPullOnly',
        'AmazonSSMManagedInstanceCore',
      ].map((name) => iam.ManagedPolicy.fromAwsManagedPolicyName(name)),
    });
    new logs.LogGroup(this, 'ClusterLogs', {
      logGroupName: '/aws/eks/shop-prod/cluster',
      retention: logs.RetentionDays.THREE_MONTHS,
    });
    const cluster = new eks.CfnCluster(this, 'Cluster', {
      name: 'shop-prod',
      version: '1.36',
      roleArn: clusterRole.roleArn,
      accessConfig: { authenticationMode: 'API' },
      resourcesVpcConfig: {
        subnetIds: privateSubnets,
        endpointPrivateAccess: true,
        endpointPublicAccess: false,
      },
      logging: {
        clusterLogging: { enabledTypes: [{ type: 'api' }, { type: 'audit' }, { type: 'authenticator' }] },
      },
    });
    const nodes = new eks.CfnNodegroup(this, 'SystemNodes', {
      clusterName: cluster.ref,
      nodeRole: nodeRole.roleArn,
      subnets: privateSubnets,
      instanceTypes: ['m7i.large'],
      scalingConfig: { minSize: 3, desiredSize: 3, maxSize: 6 },
      taints: [{ key: 'CriticalAddonsOnly', value: 'true', effect: 'NO_SCHEDULE' }],
    });
    for (const addonName of ['vpc-cni', 'kube-proxy', 'coredns', 'aws-ebs-csi-driver', 'metrics-server']) {
      const addon = new eks.CfnAddon(this, `Addon-${addonName}`, { clusterName: cluster.ref, addonName });
      if (!['vpc-cni', 'kube-proxy'].includes(addonName)) addon.addResourceDependency(nodes);
    }

    const interruptions = new sqs.Queue(this, 'Interruptions', { queueName: 'shop-prod-karpenter' });
    new events.Rule(this, 'SpotInterruption', {
      eventPattern: { source: ['aws.ec2'], detailType: ['EC2 Spot Instance Interruption Warning'] },
      targets: [new targets.SqsQueue(interruptions)],
    });

    const redisSecurityGroup = new ec2.SecurityGroup(this, 'RedisSecurityGroup', { vpc, allowAllOutbound: false });
    redisSecurityGroup.addIngressRule(ec2.Peer.ipv4(vpc.vpcCidrBlock), ec2.Port.tcp(6379));
    const redisToken = new secretsmanager.Secret(this, 'RedisToken', {
      generateSecretString: { excludePunctuation: true, passwordLength: 32 },
    });
    const redisSubnets = new elasticache.CfnSubnetGroup(this, 'RedisSubnets', {
      description: 'Private subnets',
      subnetIds: privateSubnets,
    });
    new elasticache.CfnReplicationGroup(this, 'Redis', {
      replicationGroupDescription: 'Cache, sessions and results',
      engine: 'redis',
      engineVersion: '7.1',
      cacheNodeType: 'cache.m7g.large',
      numCacheClusters: 3,
      automaticFailoverEnabled: true,
      multiAzEnabled: true,
      atRestEncryptionEnabled: true,
      transitEncryptionEnabled: true,
      authToken: redisToken.secretValue.unsafeUnwrap(),
      cacheSubnetGroupName: redisSubnets.ref,
      securityGroupIds: [redisSecurityGroup.securityGroupId],
    });

    const mqSecurityGroup = new ec2.SecurityGroup(this, 'RabbitMqSecurityGroup', { vpc, allowAllOutbound: false });
    for (const port of [5671, 443, 15671]) {
      mqSecurityGroup.addIngressRule(ec2.Peer.ipv4(vpc.vpcCidrBlock), ec2.Port.tcp(port));
    }
    const mqPassword = new secretsmanager.Secret(this, 'RabbitMqPassword', {
      generateSecretString: { excludePunctuation: true, passwordLength: 32 },
    });
    new mq.CfnBroker(this, 'RabbitMq', {
      brokerName: 'shop-prod',
      engineType: 'RABBITMQ',
      engineVersion: '4.2',
      deploymentMode: 'CLUSTER_MULTI_AZ',
      hostInstanceType: 'mq.m7g.large',
      autoMinorVersionUpgrade: true,
      publiclyAccessible: false,
      subnetIds: privateSubnets,
      securityGroups: [mqSecurityGroup.securityGroupId],
      users: [{ username: 'shop', password: mqPassword.secretValue.unsafeUnwrap() }],
    });
  }

  // Given, not looked up: a synthesis asks nobody anything.
  get availabilityZones() {
    return ['a', 'b', 'c'].map((zone) => `${REGION}${zone}`);
  }
}

new Platform(new App(), 'shop-prod');
