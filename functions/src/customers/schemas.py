"""What the OpenAPI document says of what sales sees of customers."""

from customers.account import EventKind
from customers.environment import Destination
from customers.sales_changes import ACTIONS, GIVE_NUMBER
from shared.openapi import Schema, a_list, an_object, more, optional


def parameters() -> Schema:
    """The parameters of this context's routes, by name."""
    customer_id = {"type": "string", "pattern": "^[a-z0-9]{6}$"}
    return {"customer_id": {"name": "customer_id", "in": "path", "required": True, "schema": customer_id}}


def schemas() -> Schema:
    """The schemas of this context's requests and answers, by name."""
    text, whole, flag = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
    anything = {"type": "object", "additionalProperties": True}
    entry = an_object(id=text, company=text, createdAt=text, phones=whole, monthlyCents=whole)
    event = an_object(
        at=text,
        kind={"enum": [each.value for each in EventKind]},
        who=an_object(role=text, name=text),
        why=text,
        facts=anything,
    )
    company = an_object(company=text, enterpriseNumber=text, vatId=text, id=text, country=text, kind=text)
    contact = an_object(id=text, name=text, email=text, telephone=text, roles=a_list(text))
    change = an_object(
        action={"enum": sorted({*ACTIONS, GIVE_NUMBER})}, reason={"type": "string", "minLength": 1, "maxLength": 1000}
    )
    return {
        "CustomerPage": an_object(
            items=a_list(entry), found=whole, complete=flag, customers=whole, phones=whole, monthlyCents=whole
        ),
        "SalesCustomer": more(
            company,
            version=whole,
            contacts=a_list(contact),
            lookAlikes=a_list(text),
            environment=anything,
            products=a_list(anything),
            phones=a_list(anything),
            numbers=a_list(anything),
            sites=a_list(anything),
            limits=anything,
            callHistoryDays=whole,
            joinedInto=text,
            cost=anything,
            actions=a_list(text),
            events=a_list(event),
        ),
        "CustomerJoin": an_object(other=text, same=flag, reason={"type": "string", "minLength": 1, "maxLength": 1000}),
        "CustomerChange": optional(
            change,
            username=text,
            labels=a_list(text),
            monthlyTotalCents=whole,
            products=a_list(text),
            product=text,
            number=text,
            rings=a_list(text),
            order={"enum": ["together", "inOrder"]},
            ringSeconds=whole,
            noAnswerSeconds=whole,
            always=text,
            busy=text,
            noAnswer=text,
            site=text,
            street=text,
            houseNumber=text,
            postcode=text,
            city=text,
            concurrentCalls=whole,
            forwardedCalls=whole,
            callsPerMinute=whole,
            minutesPerDay=whole,
            destinations=a_list({"enum": [each.value for each in Destination]}),
            days=whole,
            contact=text,
            name=text,
            email=text,
            roles=a_list({"enum": ["owner", "technical", "billing"]}),
        ),
    }
