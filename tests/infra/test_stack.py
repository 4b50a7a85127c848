"""What the template promises, whatever constructs it came from."""

import fnmatch
import json
import tomllib
from typing import Any

import pytest

from callvoip.paths import ROOT
from tests.support.functions import BY_LIST, BY_STATE
from tests.support.infra import Template


@pytest.fixture(scope="session")
def functions(template) -> dict[str, Any]:
    """Our functions by handler, without those that CDK brings along for the deploy."""
    found = template.resources("AWS::Lambda::Function")
    return {function["Handler"]: function for name, function in found.items() if name.startswith("Functions")}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_every_check_of_cdk_nag_ran_and_none_is_left(template):
    report = json.loads((template.directory / "validation-report.json").read_text())
    assert report["pluginReports"], "no plugin has run"
    assert [plugin["conclusion"] for plugin in report["pluginReports"]] == ["success"] * len(report["pluginReports"])


@pytest.mark.promise("cdr-90-dagen")
def test_every_table_can_be_restored_to_any_second_and_survives_the_stack(template):
    tables = template.resources("AWS::DynamoDB::Table")
    assert len(tables) == 5
    for name, table in tables.items():
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}, name
        assert table["DeletionProtectionEnabled"] is True, name
        assert table["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}, name
        assert template.body["Resources"][name]["DeletionPolicy"] == "Retain", name
        assert [key["AttributeName"] for key in table["KeySchema"]] == ["pk", "sk"], name


def test_orders_and_fleet_stream_both_images(template):
    streams = {
        name for name, table in template.resources("AWS::DynamoDB::Table").items() if "StreamSpecification" in table
    }
    assert {name[:12] for name in streams} == {"TablesOrders", "TablesFleet2", "TablesCustom"}
    for name in streams:
        assert template.resources("AWS::DynamoDB::Table")[name]["StreamSpecification"] == {
            "StreamViewType": "NEW_AND_OLD_IMAGES"
        }


@pytest.mark.parametrize(("table", "index"), [("ORDERS_TABLE", BY_STATE), ("CUSTOMERS_TABLE", BY_LIST)])
def test_the_indexes_are_those_that_the_functions_are_tested_with(template, table, index):
    found = next(
        each
        for name, made in template.resources("AWS::DynamoDB::Table").items()
        for each in made.get("GlobalSecondaryIndexes", [])
        if name.startswith(f"Tables{table.partition('_')[0].title()}") and each["IndexName"] == index["IndexName"]
    )
    assert found["KeySchema"] == index["KeySchema"]
    assert sorted(found["Projection"]["NonKeyAttributes"]) == sorted(index["Projection"]["NonKeyAttributes"])


def test_no_policy_allows_every_action(template):
    for name, statement in template.statements():
        for action in as_list(statement["Action"]):
            assert action != "*" and not action.endswith(":*"), f"{name}: {action}"


def test_our_own_policies_name_actions_and_tables_in_full(template):
    ours = [
        (name, statement)
        for name, statement in template.statements()
        if name.startswith(("Functions", "Fleet", "Nodes"))
    ]
    assert ours
    for name, statement in ours:
        for action in as_list(statement["Action"]):
            assert "*" not in action, f"{name}: {action}"
            if action.startswith("dynamodb:") and not action.endswith("Streams"):
                assert "*" not in as_list(statement["Resource"]), f"{name}: {action}"


def test_no_function_may_scan_a_table(template):
    assert not [name for name, statement in template.statements() if "dynamodb:Scan" in as_list(statement["Action"])]


def test_every_function_has_a_role_of_its_own(functions):
    roles = [json.dumps(function["Role"]) for function in functions.values()]
    assert len(set(roles)) == len(roles) == len(functions)


def test_functions_run_on_arm64_with_two_weeks_of_log(template, functions):
    for function in functions.values():
        assert function["Runtime"] == "python3.13"
        log = function["LoggingConfig"]["LogGroup"]["Ref"]
        assert template.resources("AWS::Logs::LogGroup")[log]["RetentionInDays"] == 14


def test_only_functions_that_may_use_a_table_know_its_name(functions):
    known = {
        handler: sorted(name for name in function["Environment"]["Variables"] if name.endswith("_TABLE"))
        for handler, function in functions.items()
    }
    assert known == {
        "ordering.prices_api.handler": ["CATALOGUE_TABLE"],
        "ordering.orders_api.handler": ["CATALOGUE_TABLE", "CUSTOMERS_TABLE", "ORDERS_TABLE"],
        "ordering.sales_api.handler": ["FLEET_TABLE", "ORDERS_TABLE"],
        "ordering.catalogue_loader.handler": ["CATALOGUE_TABLE"],
        "fleet.receipt_keys_api.handler": ["FLEET_TABLE"],
        "fleet.certificate_run.handler": [],
        "fleet.reconciler.handler": ["CDR_TABLE", "CUSTOMERS_TABLE", "FLEET_TABLE", "ORDERS_TABLE"],
        "ordering.mailer.handler": ["ORDERS_TABLE"],
        "customers.fulfilment.handler": ["CUSTOMERS_TABLE", "ORDERS_TABLE"],
        "customers.due.handler": ["CUSTOMERS_TABLE"],
        "customers.billing_run.handler": ["CUSTOMERS_TABLE"],
        "customers.provisioning_api.handler": ["CUSTOMERS_TABLE"],
        "customers.customer_sales_api.handler": ["CUSTOMERS_TABLE", "FLEET_TABLE"],
        "customers.portal_api.handler": ["CDR_TABLE", "CUSTOMERS_TABLE", "FLEET_TABLE", "ORDERS_TABLE"],
        "customers.mailer.handler": ["CUSTOMERS_TABLE"],
    }


def _node_statements(template) -> list[dict[str, Any]]:
    return [statement for name, statement in template.statements() if name.startswith("NodesRole")]


def _on_the_fleet_table(template) -> list[dict[str, Any]]:
    return [statement for statement in _node_statements(template) if "TablesFleet" in json.dumps(statement["Resource"])]


def test_a_node_reaches_only_its_own_partition_of_the_fleet_table(template):
    own = {"dynamodb:LeadingKeys": ["${ec2:SourceInstanceARN}"]}
    fleet = [
        statement
        for statement in _node_statements(template)
        if any(action.startswith("dynamodb:") for action in as_list(statement["Action"]))
        and "TablesFleet" in json.dumps(statement["Resource"])
    ]
    assert sorted(action for statement in fleet for action in as_list(statement["Action"])) == [
        "dynamodb:PutItem",
        "dynamodb:Query",
    ]
    for statement in fleet:
        assert statement["Condition"]["ForAllValues:StringEquals"].items() >= own.items()


def test_a_node_cannot_write_what_an_assignment_is_made_of(template):
    [write] = [
        s
        for s in _node_statements(template)
        if "dynamodb:PutItem" in as_list(s["Action"]) and "TablesFleet" in json.dumps(s["Resource"])
    ]
    assert not {"environmentId", "customerId", "epoch", "encrypted"} & set(
        write["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"]
    )


def test_a_node_cannot_read_parameters_but_its_own_two(template):
    [read] = [
        statement for statement in _node_statements(template) if "ssm:GetParameters" in as_list(statement["Action"])
    ]
    names = [json.dumps(resource).split("parameter")[-1] for resource in read["Resource"]]
    assert [name.strip('"]}') for name in names] == [
        "/callvoip/sip/certificate",
        "/callvoip/sip/trunk",
    ]


def test_who_renews_the_certificate_writes_one_name_in_the_zone_and_two_values(template):
    mine = [one for name, one in template.statements() if name.startswith("FunctionsCertificateRunRole")]
    [change] = [one for one in mine if one["Action"] == "route53:ChangeResourceRecordSets"]
    sip_domain = tomllib.loads((ROOT / "site/data/brand.toml").read_text())["sip_domain"]
    assert change["Condition"]["ForAllValues:StringEquals"] == {
        "route53:ChangeResourceRecordSetsRecordTypes": ["TXT"],
        "route53:ChangeResourceRecordSetsNormalizedRecordNames": [f"_acme-challenge.{sip_domain}"],
    }
    [put] = [one for one in mine if "ssm:PutParameter" in as_list(one["Action"])]
    names = [json.dumps(resource).split("parameter")[-1].strip('"]}') for resource in put["Resource"]]
    assert sorted(names) == ["/callvoip/sip/acme-account", "/callvoip/sip/certificate"]
    others = [name for name, one in template.statements() if "ssm:PutParameter" in as_list(one["Action"])]
    assert len(others) == 1


def test_few_days_of_the_certificate_raise_an_alarm_and_so_does_nobody_measuring_them(template):
    [alarm] = [
        one
        for one in template.resources("AWS::CloudWatch::Alarm").values()
        if one.get("MetricName") == "CertificateDaysLeft"
    ]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (14, "LessThanThreshold")
    assert alarm["TreatMissingData"] == "breaching"


def test_nodes_end_only_by_their_fleets_tag(template):
    [end] = [
        statement for _, statement in template.statements() if "ec2:TerminateInstances" in as_list(statement["Action"])
    ]
    assert end["Condition"] == {"StringEquals": {"aws:ResourceTag/callvoip:fleet": "Callvoip"}}


def test_every_asynchronous_hop_has_a_dead_letter_queue(template, functions):
    queues = set(template.resources("AWS::SQS::Queue"))
    for mapping in template.resources("AWS::Lambda::EventSourceMapping").values():
        assert mapping["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0] in queues
        assert mapping["BisectBatchOnFunctionError"] is True
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["MaximumRetryAttempts"] >= 0, "without an end one bad record blocks its shard for a day"
    targets = [target for rule in template.resources("AWS::Events::Rule").values() for target in rule["Targets"]]
    assert targets
    for target in targets:
        assert target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0] in queues
    # What events start is retried by Lambda itself: its last failure goes to the queue as well.
    asynchronous = {
        json.dumps(entry["FunctionName"]) for entry in template.resources("AWS::Lambda::EventInvokeConfig").values()
    }
    assert len(asynchronous) == len({json.dumps(target["Arn"]) for target in targets})


def test_functions_without_a_queue_are_called_synchronously(template):
    """API Gateway and the deploy wait for the answer; nobody else may call."""
    callers = {entry["Principal"] for entry in template.resources("AWS::Lambda::Permission").values()}
    assert callers == {"apigateway.amazonaws.com", "events.amazonaws.com"}


def test_heartbeats_start_nothing_and_only_what_somebody_should_hear_of_is_mailed(template):
    patterns = [
        json.loads(entry["Pattern"])["dynamodb"]["Keys"]["sk"]["S"]
        for mapping in template.resources("AWS::Lambda::EventSourceMapping").values()
        for entry in mapping.get("FilterCriteria", {}).get("Filters", [])
        if "sk" in json.loads(entry["Pattern"])["dynamodb"]["Keys"]
    ]
    for news in (["ENVIRONMENT"], ["ORDER", "REMINDER"], ["REPORT"], ["ORDER"], ["CUSTOMER"]):
        assert news in patterns
    assert ["SIGN-IN", "PROOF", {"prefix": "EVENT#"}] in patterns


def test_what_needs_a_person_raises_an_alarm(template):
    alarms = template.resources("AWS::CloudWatch::Alarm").values()
    counted = {alarm["MetricName"] for alarm in alarms if alarm["Namespace"] == "callvoip"}
    assert counted >= {"FleetActionFailed", "LaunchRefusedQuota", "MailFailed", "FulfilmentFailed", "DueFailed"}
    assert counted >= {"RollStopped", "ProofFailed", "FleetOddItem"}
    [ceiling] = [alarm for alarm in alarms if alarm["MetricName"] == "NodesOfCeiling"]
    assert ceiling["Threshold"] == 80
    queues = [alarm for alarm in alarms if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"]
    assert len(queues) == len(template.resources("AWS::SQS::Queue"))


def test_only_marks_of_open_orders_are_ever_deleted_from_the_orders_table(template):
    deletes = [
        statement
        for _, statement in template.statements()
        if "dynamodb:DeleteItem" in as_list(statement["Action"]) and "TablesOrders" in json.dumps(statement["Resource"])
    ]
    assert len(deletes) >= 3
    for statement in deletes:
        assert statement["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["OPEN#*"]}}


def test_whoever_changes_orders_may_count_them_and_end_the_mark_of_an_open_one(template):
    """One transaction writes all three: a function that misses one of the rights changes no order."""
    may: dict[str, set[str]] = {}
    for name, statement in template.statements():
        if "TablesOrders" not in json.dumps(statement["Resource"]):
            continue
        keys = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", ["*"])
        may.setdefault(name, set()).update(f"{action} {key}" for action in as_list(statement["Action"]) for key in keys)
    changing = {name for name, rights in may.items() if rights & {"dynamodb:PutItem *", "dynamodb:PutItem ORDER#*"}}
    assert len(changing) >= 5
    for name in changing:
        assert {"dynamodb:UpdateItem COUNTS", "dynamodb:DeleteItem OPEN#*"} <= may[name], name


def test_an_access_token_names_a_colleague_by_address(template):
    """Cognito: with e-mail as alias or user name attribute the user name cannot be the address."""
    [pool] = template.resources("AWS::Cognito::UserPool").values()
    assert "UsernameAttributes" not in pool and "AliasAttributes" not in pool
    assert {"Name": "email", "Required": True, "Mutable": False} in pool["Schema"]


def _declared(template) -> dict[str, list[dict[str, str]]]:
    declared: dict[str, list[dict[str, str]]] = json.loads((template.root / "build/functions/routes.json").read_text())
    return declared


def test_the_api_has_every_declared_route_and_no_other_and_those_of_sales_need_a_token(template):
    routes = {
        route["RouteKey"]: route["AuthorizationType"]
        for route in template.resources("AWS::ApiGatewayV2::Route").values()
    }
    declared = [route for each in _declared(template).values() for route in each]
    assert routes == {
        "$default": "NONE",
        **{
            f"{route['method']} {route['path']}": "JWT" if route["caller"] == "colleague" else "NONE"
            for route in declared
        },
    }
    assert sum("JWT" in kind for kind in routes.values()) >= 14


def test_every_route_goes_to_the_function_that_declares_it(template):
    integrations = {
        name: json.dumps(each["IntegrationUri"])
        for name, each in template.resources("AWS::ApiGatewayV2::Integration").items()
    }
    functions = {name: each["Handler"] for name, each in template.resources("AWS::Lambda::Function").items()}
    goes = {}
    for route in template.resources("AWS::ApiGatewayV2::Route").values():
        target = json.dumps(route["Target"])
        uri = next(uri for name, uri in integrations.items() if name in target)
        goes[route["RouteKey"]] = next(handler for name, handler in functions.items() if name in uri)
    for handler, declared in _declared(template).items():
        for route in declared:
            assert goes[f"{route['method']} {route['path']}"] == handler
    assert goes["$default"] == "ordering.orders_api.handler"


def test_every_route_is_reached_through_the_distribution(template):
    patterns = [each["PathPattern"] for each in _cache_behaviours(template) if "OriginRequestPolicyId" in each]
    for declared in _declared(template).values():
        for route in declared:
            assert any(fnmatch.fnmatch(route["path"], pattern) for pattern in patterns), route
    assert {"/api/?*", "/bestelling/?*", "/mijn/?*"} <= set(patterns)


def test_a_route_that_is_declared_is_in_the_template_without_another_line(synthesise, tmp_path):
    extra = {
        "ordering.prices_api.handler": [{"method": "PUT", "path": "/en/my/phones/{extension}", "caller": "customer"}]
    }
    done = synthesise(tmp_path, routes=extra)
    assert done.returncode == 0, done.stderr
    body = json.loads((tmp_path / "Callvoip.template.json").read_text())
    keys = [
        each["Properties"]["RouteKey"]
        for each in body["Resources"].values()
        if each["Type"] == "AWS::ApiGatewayV2::Route"
    ]
    assert sorted(keys) == ["$default", "PUT /en/my/phones/{extension}"]
    [site] = [
        each["Properties"] for each in body["Resources"].values() if each["Type"] == "AWS::CloudFront::Distribution"
    ]
    assert "/en/my/?*" in [each["PathPattern"] for each in site["DistributionConfig"]["CacheBehaviors"]]


@pytest.mark.parametrize(
    ("handler", "path", "told"),
    [
        ("nobody.some_api.handler", "/api/x", "no function of the stack runs it"),
        ("ordering.prices_api.handler", "/{anything}", "begin its path with a fixed segment"),
        ("ordering.prices_api.handler", "/en/{anything}", "begin its path with a fixed segment"),
    ],
)
def test_a_route_that_cannot_work_ends_the_synthesis(synthesise, tmp_path, handler, path, told):
    done = synthesise(tmp_path, routes={handler: [{"method": "GET", "path": path, "caller": "public"}]})
    assert done.returncode != 0
    assert told in done.stderr


def test_tokens_must_be_the_pools_own_and_for_the_console(template):
    [authorizer] = template.resources("AWS::ApiGatewayV2::Authorizer").values()
    [pool], [client] = template.resources("AWS::Cognito::UserPool"), template.resources("AWS::Cognito::UserPoolClient")
    assert authorizer["JwtConfiguration"] == {
        "Audience": [{"Ref": client}],
        "Issuer": {"Fn::GetAtt": [pool, "ProviderURL"]},
    }


def test_the_console_is_a_public_client_with_the_code_flow_only(template):
    [client] = template.resources("AWS::Cognito::UserPoolClient").values()
    assert client["GenerateSecret"] is False
    assert client["AllowedOAuthFlows"] == ["code"]


def test_staff_are_invited_and_need_a_second_factor(template):
    [pool] = template.resources("AWS::Cognito::UserPool").values()
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    assert pool["MfaConfiguration"] == "ON"


def test_no_bucket_is_public(template):
    for bucket in template.resources("AWS::S3::Bucket").values():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    for policy in template.resources("AWS::S3::BucketPolicy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Allow":
                assert statement["Principal"] != "*" and statement["Principal"] != {"AWS": "*"}


def _cache_behaviours(template) -> list[dict[str, Any]]:
    [distribution] = template.resources("AWS::CloudFront::Distribution").values()
    behaviours: list[dict[str, Any]] = distribution["DistributionConfig"]["CacheBehaviors"]
    return behaviours


def test_what_functions_answer_is_never_cached_and_gets_no_host_of_the_viewer(template):
    dynamic = [behaviour for behaviour in _cache_behaviours(template) if "OriginRequestPolicyId" in behaviour]
    assert dynamic
    for behaviour in dynamic:
        # CachingDisabled and AllViewerExceptHostHeader, by the ids that AWS gave them.
        assert behaviour["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
        assert behaviour["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"


def test_an_error_page_never_takes_the_place_of_the_apis_404(template):
    [distribution] = template.resources("AWS::CloudFront::Distribution").values()
    pages = distribution["DistributionConfig"]["CustomErrorResponses"]
    assert [(entry["ErrorCode"], entry["ResponseCode"]) for entry in pages] == [(403, 404), (502, 502), (504, 504)]
    for entry in pages:  # a page that is in the bucket
        assert entry["ResponsePagePath"] in ("/404.html", "/storing.html")


def _security_headers(template) -> dict[str, dict[str, Any]]:
    """The security headers by the path that gets them."""
    policies = template.resources("AWS::CloudFront::ResponseHeadersPolicy")
    [distribution] = template.resources("AWS::CloudFront::Distribution").values()
    config = distribution["DistributionConfig"]
    behaviours = [*config["CacheBehaviors"], {**config["DefaultCacheBehavior"], "PathPattern": "*"}]
    named = {entry["PathPattern"]: policies[entry["ResponseHeadersPolicyId"]["Ref"]] for entry in behaviours}
    return {path: policy["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"] for path, policy in named.items()}


def test_scripts_and_styles_come_from_the_site_only(template):
    for path, security in _security_headers(template).items():
        content = json.dumps(security["ContentSecurityPolicy"])
        wasm = " 'wasm-unsafe-eval'" if path == "/zoeken/*" else ""
        assert f"default-src 'none'; script-src 'self'{wasm}; style-src 'self'; worker-src 'self'" in content, path
        assert "unsafe" not in content.replace(wasm or " ", " "), path
        assert security["ReferrerPolicy"] == {"Override": True, "ReferrerPolicy": "no-referrer"}
        assert security["StrictTransportSecurity"]["AccessControlMaxAgeSec"] >= 31_536_000


def test_nodes_ask_for_tokens_at_their_metadata_service_and_have_encrypted_disks(template):
    [launch_template] = template.resources("AWS::EC2::LaunchTemplate").values()
    data = launch_template["LaunchTemplateData"]
    assert data["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    for disk in data["BlockDeviceMappings"]:
        assert disk["Ebs"]["Encrypted"] is True


@pytest.mark.promise("tls-standaard")
def test_only_sip_over_tls_and_media_reach_a_node(template):
    [group] = template.resources("AWS::EC2::SecurityGroup").values()
    rules = {(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in group["SecurityGroupIngress"]}
    assert rules == {("tcp", 5061, 5061), ("udp", 20000, 20003)}


OPERATIONS = """
[operations]
alarm_email = "beheer@example.nl"
trunk_networks = ["192.0.2.0/28", "198.51.100.7"]
"""


@pytest.fixture(scope="module")
def operated(synthesise, tmp_path_factory) -> Template:
    """The template of a provider with a certificate of its domain, trunks and somebody who hears alarms."""
    output = tmp_path_factory.mktemp("cdk.out")
    done = synthesise(
        output,
        "--certificate-arn=arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555",
        operations=OPERATIONS,
    )
    assert done.returncode == 0, done.stderr
    return Template(json.loads((output / "Callvoip.template.json").read_text()), output, output)


def test_plain_rtp_comes_from_the_trunks_networks_and_alarms_go_to_the_operator(operated):
    [group] = operated.resources("AWS::EC2::SecurityGroup").values()
    rtp = {
        rule["CidrIp"] for rule in group["SecurityGroupIngress"] if (rule["FromPort"], rule["ToPort"]) == (21000, 22999)
    }
    assert rtp == {"192.0.2.0/28", "198.51.100.7/32"}
    [subscription] = operated.resources("AWS::SNS::Subscription").values()
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "beheer@example.nl")


def test_a_trunk_network_that_is_none_ends_the_synthesis(synthesise, tmp_path):
    done = synthesise(tmp_path, operations='[operations]\ntrunk_networks = ["0.0.0.0/33"]\n')
    assert done.returncode != 0
    assert "0.0.0.0/33" in done.stderr


def test_every_alarm_tells_one_topic_and_a_silent_metric_is_no_alarm_but_of_the_certificate(template, functions):
    [topic] = template.resources("AWS::SNS::Topic")
    alarms = template.resources("AWS::CloudWatch::Alarm").values()
    for alarm in alarms:
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}]
        measured_daily = alarm.get("MetricName") == "CertificateDaysLeft"
        assert alarm["TreatMissingData"] == ("breaching" if measured_daily else "notBreaching")
    metrics = [(alarm["Namespace"], alarm["MetricName"]) for alarm in alarms]
    assert metrics.count(("AWS/Lambda", "Errors")) == len(functions)
    assert metrics.count(("AWS/SQS", "ApproximateNumberOfMessagesVisible")) == len(
        template.resources("AWS::SQS::Queue")
    )
    assert {name for namespace, name in metrics if namespace == "callvoip"} >= {
        "FleetActionFailed",
        "LaunchRefusedQuota",
    }


@pytest.mark.promise("cdr-90-dagen")
def test_call_records_and_logs_live_as_long_as_the_pages_say(template):
    retention = tomllib.loads((ROOT / "site/data/retention.toml").read_text())
    [node] = template.resources("AWS::EC2::LaunchTemplate").values()
    assert f"cdr_days = {retention['calls']['days']}" in json.dumps(node["LaunchTemplateData"]["UserData"])
    for name, group in template.resources("AWS::Logs::LogGroup").items():
        if name.startswith(("Functions", "Api")):
            assert group["RetentionInDays"] == retention["technical"]["days"], name


def test_there_is_no_nat_gateway(template):
    assert not template.resources("AWS::EC2::NatGateway")


def test_user_data_holds_no_secret(template):
    text = json.dumps(template.resources("AWS::EC2::LaunchTemplate"))
    assert "certificate_parameter" in text
    assert "PRIVATE KEY" not in text and "resolve:secretsmanager" not in text


def test_the_sites_own_domain_needs_a_certificate(template, operated):
    [plain] = template.resources("AWS::CloudFront::Distribution").values()
    assert "Aliases" not in plain["DistributionConfig"]
    [named] = operated.resources("AWS::CloudFront::Distribution").values()
    assert len(named["DistributionConfig"]["Aliases"]) == 1
    assert named["DistributionConfig"]["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"


# --- alarms


def test_an_alarm_reaches_a_person(template):
    [topic] = template.resources("AWS::SNS::Topic")
    subscriptions = template.resources("AWS::SNS::Subscription").values()
    assert [(each["Protocol"], each["TopicArn"]) for each in subscriptions] == [("email", {"Ref": topic})]
    [policy] = template.resources("AWS::SNS::TopicPolicy").values()
    allowed = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert [(each["Action"], each["Principal"], each["Resource"]) for each in allowed] == [
        ("sns:Publish", {"Service": "cloudwatch.amazonaws.com"}, {"Ref": topic})
    ]
    assert allowed[0]["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    for name, alarm in template.resources("AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmActions"] == [{"Ref": topic}], name


def test_what_a_function_answers_as_500_and_every_5xx_of_the_api_is_heard_of(template):
    alarms = template.resources("AWS::CloudWatch::Alarm").values()
    heard = {
        (each.get("MetricName"), *(d["Value"] for d in each.get("Dimensions", []) if isinstance(d["Value"], str)))
        for each in alarms
    }
    for handler in _declared(template):
        assert ("Fault", handler.split(".")[1]) in heard
    assert [each for each in alarms if each.get("Namespace") == "AWS/ApiGateway" and each["MetricName"] == "5xx"]


def test_who_waits_for_a_function_waits_for_the_store_less_than_three_seconds(template, functions):
    for handler in _declared(template):
        assert 0 < float(functions[handler]["Environment"]["Variables"]["STORE_TIMEOUT_S"]) < 3, handler


def test_the_key_of_orders_links_stands_in_its_store_only_and_who_needs_it_may_read_it(template, functions):
    [key] = [name for name, secret in template.resources("AWS::SecretsManager::Secret").items() if "OrderKey" in name]
    told = {handler for handler, each in functions.items() if "ORDER_KEY_SECRET" in each["Environment"]["Variables"]}
    assert told >= {"ordering.orders_api.handler", "ordering.mailer.handler"}
    for handler, each in functions.items():
        assert key not in json.dumps(each["Environment"]), handler
    readers = [
        name
        for name, s in template.statements()
        if "secretsmanager:GetSecretValue" in as_list(s["Action"]) and key in json.dumps(s["Resource"])
    ]
    assert len(readers) == len(told)
