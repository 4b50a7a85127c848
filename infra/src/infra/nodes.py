"""What a media node is on EC2: network, launch template, and what its role may do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent, indent

from aws_cdk import Aws, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk.aws_dynamodb import ITable
from constructs import Construct

from infra.checks import acknowledge
from infra.functions import allow
from infra.logs import log_group
from infra.places import Brand, read_retention
from infra.stage import read_stage

# Debian publishes the newest image of a release under this name.
NEWEST_DEBIAN = "/aws/service/debian/release/13/latest/arm64"
# The values are the operator's (docs/runbook.md); the template and the user data hold the names only.
CERTIFICATE_PARAMETER = "/callvoip/sip/certificate"
TRUNK_PARAMETER = "/callvoip/sip/trunk"

SIP_PORT = 5061
MEDIA_WORKERS = 1
METRICS_PORT = 9464
"""For Prometheus, on loopback."""

# Amazon puts the agent into a public bucket in every region.
AGENT = f"s3://amazon-ssm-{Aws.REGION}/latest/debian_arm64/amazon-ssm-agent.deb"
INSTANCE_TYPES = ("c7g.medium", "c8g.medium", "c6g.medium")
"""In order of preference; the second is asked for when a zone has no more of the first. None is of the throttled T
family.
"""
CALLS_PER_WORKER = 250
"""Half of what one worker was measured to carry without loss (docs/benchmarks.md): the rest of its core is for
signalling and spikes.
"""
CAPACITY_CALLS = MEDIA_WORKERS * CALLS_PER_WORKER
"""Concurrent protected calls a node is sold for."""
SRTP_PORTS = (20000, 20000 + 4 * MEDIA_WORKERS - 1)
"""Of each worker RTP and RTCP of calls' first streams, and of further ones (text)."""
RTP_PORTS = (21000, 21000 + 8 * CAPACITY_CALLS - 1)
"""Of plain legs: a pair for both legs and both streams of every call, though hardly any has two plain legs or text."""


class Nodes(Construct):
    """Public subnets without NAT, the nodes' security group, and the launch template the reconciler starts them
    from.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, bundle: Path, brand: Brand, fleet: ITable, cdr: ITable
    ) -> None:
        super().__init__(scope, construct_id)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr("10.20.0.0/16"),
            max_azs=2,
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="Public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=20)
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )
        acknowledge(
            self.vpc, "Flow logs would tell who speaks with whom: traffic data that we have no ground to keep.", "VPC7"
        )
        self.region = Stack.of(self).region
        self.security_group = self._security_group(brand.trunk_networks)
        asset = s3_assets.Asset(self, "Bundle", path=str(bundle))
        baked = str(read_stage("image", ami=str)["ami"])
        software = [baked] if baked else [NEWEST_DEBIAN, asset.asset_hash]
        self.release = _release(*software, brand.sip_domain)
        """What a node runs: another one replaces every node, one zone at a time."""
        self.metrics = log_group(self, "Metrics")
        """Takes the nodes' numbers to CloudWatch (docs/metrics.md)."""
        self.role = self._role(fleet, cdr, None if baked else asset)
        self.role.add_to_policy(allow(["logs:CreateLogStream", "logs:PutLogEvents"], self.metrics.log_group_arn))
        acknowledge(self.role, "A node makes a stream of its own in the one log group.", "IAM5")
        self.launch_template = ec2.LaunchTemplate(
            self,
            "LaunchTemplate",
            instance_type=ec2.InstanceType(INSTANCE_TYPES[0]),
            machine_image=ec2.MachineImage.generic_linux({self.region: baked})
            if baked
            else ec2.MachineImage.from_ssm_parameter(NEWEST_DEBIAN),
            user_data=ec2.UserData.custom(
                cloud_config(brand.sip_domain, fleet, cdr, self.metrics, None if baked else asset)
            ),
            role=self.role,
            security_group=self.security_group,
            require_imdsv2=True,
            http_put_response_hop_limit=1,
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    volume=ec2.BlockDeviceVolume.ebs(
                        8, volume_type=ec2.EbsDeviceVolumeType.GP3, encrypted=True, delete_on_termination=True
                    ),
                )
            ],
        )

    @property
    def subnet_ids(self) -> list[str]:
        """One public subnet a zone."""
        return [subnet.subnet_id for subnet in self.vpc.public_subnets]

    def _security_group(self, trunk_networks: Sequence[str]) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self, "SecurityGroup", vpc=self.vpc, description="Media nodes: SIP over TLS and media"
        )
        anyone = ec2.Peer.any_ipv4()
        group.add_ingress_rule(anyone, ec2.Port.tcp(SIP_PORT), "SIP over TLS")
        group.add_ingress_rule(anyone, ec2.Port.udp_range(*SRTP_PORTS), "SRTP and SRTCP")
        # Plain RTP has no key to tell a stranger by, so only the trunk's own networks reach it. Without any nobody
        # does: calls between phones never need these ports, and a node without a trunk leaves them unused.
        for network in trunk_networks:
            group.add_ingress_rule(ec2.Peer.ipv4(network), ec2.Port.udp_range(*RTP_PORTS), "RTP from the trunk")
        acknowledge(group, "Phones call from any network; there is no port 22 (Session Manager).", "EC23")
        return group

    def _role(self, fleet: ITable, cdr: ITable, bundle: s3_assets.Asset | None) -> iam.Role:
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        # IAM itself fills in who asks: a node reaches the items under its own ARN and no others.
        own_partition = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["${ec2:SourceInstanceARN}"]}}
        role.add_to_policy(allow(["dynamodb:Query"], fleet.table_arn, conditions=own_partition))
        role.add_to_policy(
            allow(
                ["dynamodb:PutItem"],
                fleet.table_arn,
                conditions={
                    "ForAllValues:StringEquals": {
                        **own_partition["ForAllValues:StringEquals"],
                        # What HEARTBEAT, REPORT, REGISTRATIONS and METRICS are made of; an ASSIGNMENT is made of more.
                        "dynamodb:Attributes": [
                            "pk",
                            "sk",
                            "at",
                            "state",
                            "address",
                            "sipPort",
                            "calls",
                            "registrations",
                            "assignments",
                            "phones",
                            "receiptKey",
                            "values",
                            "expiresAt",
                        ],
                    },
                    # What stood there before is not for reading.
                    "StringEqualsIfExists": {"dynamodb:ReturnValues": ["NONE"]},
                },
            )
        )
        role.add_to_policy(
            allow(
                ["dynamodb:PutItem", "dynamodb:BatchWriteItem"],
                cdr.table_arn,
                # Under its own ARN it tells of calls that run.
                conditions={
                    "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["CUSTOMER#*", "${ec2:SourceInstanceARN}"]}
                },
            )
        )
        parameters = f"arn:{Aws.PARTITION}:ssm:{Aws.REGION}:{Aws.ACCOUNT_ID}:parameter"
        role.add_to_policy(
            allow(
                ["ssm:GetParameters"],
                *(f"{parameters}{name}" for name in (CERTIFICATE_PARAMETER, TRUNK_PARAMETER)),
            )
        )
        if bundle:
            where = f"arn:{Aws.PARTITION}:s3:::{bundle.s3_bucket_name}/{bundle.s3_object_key}"
            role.add_to_policy(allow(["s3:GetObject"], where))
        role.add_to_policy(
            allow(
                [
                    "ssm:UpdateInstanceInformation",
                    "ssmmessages:CreateControlChannel",
                    "ssmmessages:CreateDataChannel",
                    "ssmmessages:OpenControlChannel",
                    "ssmmessages:OpenDataChannel",
                ],
                "*",
            )
        )
        acknowledge(role, "Session Manager's channels have no resource to name.", "IAM5[Resource::*]")
        return role


def _release(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:12]


def cloud_config(
    sip_domain: str, fleet: ITable, cdr: ITable, metrics: logs.ILogGroup, bundle: s3_assets.Asset | None
) -> str:
    """The nodes' user data: names only, never a secret. Without an image it also installs the node from the bundle."""
    configuration = dedent(f"""\
        [fleet]
        table = "{fleet.table_name}"
        cdr_table = "{cdr.table_name}"
        cdr_days = {read_retention().call_record_days}
        region = "{Aws.REGION}"

        [sip]
        domain = "{sip_domain}"
        port = {SIP_PORT}
        certificate_parameter = "{CERTIFICATE_PARAMETER}"

        [media]
        workers = {MEDIA_WORKERS}
        srtp_port = {SRTP_PORTS[0]}
        rtp_ports = [{RTP_PORTS[0]}, {RTP_PORTS[1]}]
        timeout_s = 60

        [trunk]
        parameter = "{TRUNK_PARAMETER}"

        [metrics]
        log_group = "{metrics.log_group_name}"
        port = {METRICS_PORT}

        [state]
        directory = "/var/lib/media-node"
        """)
    names = dedent("""\
        #cloud-config
        write_files:
          - path: /etc/media-node/node.toml
            permissions: "0644"
            content: |
        """) + indent(configuration, " " * 6)
    return names + _installation(bundle) if bundle else names


def _installation(bundle: s3_assets.Asset) -> str:
    """What an instance has to do that boots from Debian's own image."""
    return dedent(f"""\
        package_update: true
        packages: [awscli, python3-venv]
        runcmd:
          - aws s3 cp --only-show-errors {bundle.s3_object_url} /run/media-node.zip
          - python3 -m zipfile -e /run/media-node.zip /opt/media-node/bundle
          - sh /opt/media-node/bundle/boot/install.sh
          # Debian's image lacks the agent of Session Manager. A node serves without it, so it comes last and may fail.
          - aws s3 cp --only-show-errors --no-sign-request {AGENT} /run/ssm-agent.deb && dpkg -i /run/ssm-agent.deb
        """)
