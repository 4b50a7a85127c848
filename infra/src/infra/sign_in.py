"""Who may enter the sales console: a Cognito user pool with its hosted sign-in page."""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from infra.checks import acknowledge

SALES_GROUP = "sales"
SCOPES = ("openid", "email")


class SignIn(Construct):
    """The user pool, the group of sales staff and the domain of the hosted page. Staff are invited; nobody signs up."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.pool = cognito.UserPool(
            self,
            "Pool",
            self_sign_up_enabled=False,
            # An access token tells the user name and no e-mail address. With e-mail as alias or as user name attribute
            # Cognito refuses an address as user name or makes up a UUID; a pool of plain names takes the address that
            # we choose when we invite.
            sign_in_aliases=cognito.SignInAliases(username=True),
            sign_in_case_sensitive=False,
            standard_attributes=cognito.StandardAttributes(
                email=cognito.StandardAttribute(required=True, mutable=False)
            ),
            auto_verify=cognito.AutoVerifiedAttrs(email=True),
            mfa=cognito.Mfa.REQUIRED,
            mfa_second_factor=cognito.MfaSecondFactor(otp=True, sms=False),
            password_policy=cognito.PasswordPolicy(
                min_length=14, require_digits=True, require_lowercase=True, require_uppercase=True, require_symbols=True
            ),
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            deletion_protection=True,
            removal_policy=RemovalPolicy.RETAIN,
        )
        acknowledge(
            self.pool,
            "Threat protection is sold with the Plus plan only; a handful of invited staff have an obligatory second factor instead.",
            "COG3",
            "COG8",
        )
        self.group = cognito.CfnUserPoolGroup(
            self,
            "SalesGroup",
            user_pool_id=self.pool.user_pool_id,
            group_name=SALES_GROUP,
            description="May read and decide on orders",
        )
        # A prefix must be unique in the region over all AWS accounts.
        self.domain = self.pool.add_domain(
            "Domain", cognito_domain=cognito.CognitoDomainOptions(domain_prefix=f"callvoip-{Aws.ACCOUNT_ID}")
        )

    def add_console(self, url: str) -> cognito.UserPoolClient:
        """The console at `url` as OAuth client: public, hence the authorization code flow with PKCE (RFC 7636)."""
        return self.pool.add_client(
            "Console",
            generate_secret=False,
            auth_flows=cognito.AuthFlow(user_srp=True),
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(authorization_code_grant=True),
                scopes=[cognito.OAuthScope.OPENID, cognito.OAuthScope.EMAIL],
                callback_urls=[url],
                logout_urls=[url],
            ),
            supported_identity_providers=[cognito.UserPoolClientIdentityProvider.COGNITO],
            prevent_user_existence_errors=True,
            access_token_validity=Duration.hours(1),
            id_token_validity=Duration.hours(1),
            refresh_token_validity=Duration.hours(10),
        )

    def console_config(self, client: cognito.UserPoolClient) -> dict[str, str]:
        """What the console's script must know, as /console/config.json."""
        base = self.domain.base_url()
        return {
            "authority": self.pool.user_pool_provider_url,
            "authorize": f"{base}/oauth2/authorize",
            "token": f"{base}/oauth2/token",
            "logout": f"{base}/logout",
            "clientId": client.user_pool_client_id,
            "scope": " ".join(SCOPES),
        }
