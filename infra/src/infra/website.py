"""The site's bucket behind CloudFront, with the API under the same origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as deployment
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.checks import acknowledge
from infra.places import BUILD

# The search page and its index, which WebAssembly reads in the visitor's browser; no other page may compile any.
SEARCH_PATH = "/zoeken/*"
ORIGIN_SECRET_HEADER = "X-Origin-Verify"  # noqa: S105 (the header's name)

INDEX_DOCUMENT = (Path(__file__).parent / "index_document.js").read_text(encoding="utf-8")


class Website(Construct):
    """Private bucket, distribution, and the headers every answer gets.

    `domain` is the site's own name and used only with `certificate_arn`, a certificate in us-east-1; without one the
    distribution has CloudFront's name. `dynamic_paths` are what functions answer; everything else is a file in the bucket.
    `connect` are the origins that scripts may reach besides the site's own.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        domain: str,
        certificate_arn: str | None,
        api_domain: str,
        dynamic_paths: Sequence[str],
        connect: tuple[str, ...],
    ) -> None:
        super().__init__(scope, construct_id)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        acknowledge(
            self.bucket,
            "Only CloudFront reads it and it holds public pages only; a log would hold visitors' addresses.",
            "S1",
        )
        self.origin_secret = secretsmanager.Secret(
            self,
            "OriginSecret",
            description="The API answers only requests that came through CloudFront",
            generate_secret_string=secretsmanager.SecretStringGenerator(exclude_punctuation=True, password_length=40),
        )
        acknowledge(
            self.origin_secret,
            "To rotate it two values must be good for a while; it keeps out scanners, not people.",
            "SMG4",
        )
        headers = self._response_headers("Headers", connect, scripts="'self'")
        search_headers = self._response_headers("SearchHeaders", connect, scripts="'self' 'wasm-unsafe-eval'")
        index_document = cloudfront.Function(
            self,
            "IndexDocument",
            code=cloudfront.FunctionCode.from_inline(INDEX_DOCUMENT),
            runtime=cloudfront.FunctionRuntime.JS_2_0,
        )
        api = origins.HttpOrigin(
            api_domain,
            protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
            origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
            custom_headers={ORIGIN_SECRET_HEADER: self.origin_secret.secret_value.unsafe_unwrap()},
        )
        dynamic = cloudfront.BehaviorOptions(
            origin=api,
            allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
            cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
            origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
            response_headers_policy=headers,
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
        )
        bucket = origins.S3BucketOrigin.with_origin_access_control(self.bucket)

        def files(response_headers: cloudfront.ResponseHeadersPolicy) -> cloudfront.BehaviorOptions:
            return cloudfront.BehaviorOptions(
                origin=bucket,
                cache_policy=cloudfront.CachePolicy.CACHING_OPTIMIZED,
                response_headers_policy=response_headers,
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
                compress=True,
                function_associations=[
                    cloudfront.FunctionAssociation(
                        function=index_document, event_type=cloudfront.FunctionEventType.VIEWER_REQUEST
                    )
                ],
            )

        self.distribution = cloudfront.Distribution(
            self,
            "Distribution",
            default_behavior=files(headers),
            additional_behaviors={**dict.fromkeys(dynamic_paths, dynamic), SEARCH_PATH: files(search_headers)},
            # S3 answers 403 for a file it has not, as CloudFront may not list the bucket. An error response holds for all
            # behaviours, so 404 is left alone: it is the API's own word. Hence the API never says 403.
            error_responses=[
                cloudfront.ErrorResponse(
                    http_status=403, response_http_status=404, response_page_path="/404.html", ttl=Duration.minutes(1)
                ),
                # No answer from behind CloudFront, which knows only English; what the API says itself (500, 503) is left alone.
                *(
                    cloudfront.ErrorResponse(
                        http_status=status,
                        response_http_status=status,
                        response_page_path="/storing.html",
                        ttl=Duration.seconds(0),
                    )
                    for status in (502, 504)
                ),
            ],
            domain_names=[domain] if certificate_arn else None,
            certificate=acm.Certificate.from_certificate_arn(self, "Certificate", certificate_arn)
            if certificate_arn
            else None,
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            price_class=cloudfront.PriceClass.PRICE_CLASS_100,
        )
        acknowledge(self.distribution, "Customers order from wherever they are.", "CFR1")
        acknowledge(
            self.distribution,
            "A web ACL lives in us-east-1, in a stack of its own; until then the stage is throttled.",
            "CFR2",
        )
        acknowledge(
            self.distribution,
            "A log would hold visitors' addresses, and the tokens in the order pages' addresses.",
            "CFR3",
        )
        if not certificate_arn:
            acknowledge(
                self.distribution,
                "CloudFront's own name has CloudFront's TLS settings; --certificate-arn ends that.",
                "CFR4",
            )
        self.url = f"https://{domain if certificate_arn else self.distribution.distribution_domain_name}"

    def _response_headers(
        self, construct_id: str, connect: tuple[str, ...], *, scripts: str
    ) -> cloudfront.ResponseHeadersPolicy:
        policy = {
            "default-src": "'none'",
            "script-src": scripts,
            "style-src": "'self'",
            "worker-src": "'self'",  # the order form's proof of work
            "img-src": "'self' data:",
            "font-src": "'self'",
            "manifest-src": "'self'",
            "connect-src": " ".join(("'self'", *connect)),
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
        return cloudfront.ResponseHeadersPolicy(
            self,
            construct_id,
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                    content_security_policy="; ".join(f"{name} {value}" for name, value in policy.items()),
                    override=True,
                ),
                strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                    access_control_max_age=Duration.days(365), include_subdomains=True, override=True
                ),
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
                frame_options=cloudfront.ResponseHeadersFrameOptions(
                    frame_option=cloudfront.HeadersFrameOption.DENY, override=True
                ),
                # The address of an order's page holds its token.
                referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                    referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=True
                ),
            ),
            custom_headers_behavior=cloudfront.ResponseCustomHeadersBehavior(
                custom_headers=[
                    cloudfront.ResponseCustomHeader(
                        header="permissions-policy",
                        value="camera=(), geolocation=(), microphone=(), payment=(), usb=()",
                        override=True,
                    ),
                    cloudfront.ResponseCustomHeader(
                        header="cross-origin-opener-policy", value="same-origin", override=True
                    ),
                ]
            ),
        )

    def upload(self, configuration: Mapping[str, Mapping[str, Any]]) -> None:
        """Put build/site and the JSON files of `configuration` (path: content) into the bucket."""
        uploaded = deployment.BucketDeployment(
            self,
            "Upload",
            destination_bucket=self.bucket,
            sources=[
                deployment.Source.asset(str(BUILD / "site")),
                *(deployment.Source.json_data(path, content) for path, content in configuration.items()),
            ],
            cache_control=[deployment.CacheControl.from_string("public, max-age=0, must-revalidate")],
            distribution=self.distribution,
            distribution_paths=["/*"],
            memory_limit=512,
        )
        uploader = uploaded.handler_role.node.scope
        assert uploader is not None  # noqa: S101 (a role of CDK's always stands in its function)
        acknowledge(
            uploader,
            "CDK's own uploader, which runs during a deploy only.",
            "L1",
            "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]",
            *(f"IAM5[Action::s3:{action}*]" for action in ("GetBucket", "GetObject", "List", "Abort", "DeleteObject")),
            f"IAM5[Resource::arn:<AWS::Partition>:s3:::cdk-hnb659fds-assets-<AWS::AccountId>-{self.bucket.env.region}/*]",
            f"IAM5[Resource::<{self._logical_id(self.bucket)}.Arn>/*]",
            "IAM5[Resource::*]",
        )

    def _logical_id(self, bucket: s3.Bucket) -> str:
        resource = bucket.node.default_child
        assert isinstance(resource, s3.CfnBucket)  # noqa: S101
        return str(Stack.of(self).resolve(resource.logical_id))
