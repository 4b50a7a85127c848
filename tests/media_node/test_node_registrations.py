"""Which phones are registered, as the node tells it by environment."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.media_node.test_node import CUSTOMER, talking
from tests.support.node import NodeFactory, accounts, wait_until


async def test_the_registered_phones_are_told_by_environment(new_node: NodeFactory) -> None:
    node = await asyncio.to_thread(new_node)
    phones = accounts(CUSTOMER)
    await asyncio.to_thread(node.assign, CUSTOMER, phones)
    ours, theirs = await talking(node, phones)

    def told() -> dict[str, Any]:
        return dict(node.item(f"REGISTRATIONS#{CUSTOMER}").get("phones", {}))

    await asyncio.to_thread(wait_until, lambda: told().keys() == {phone.username for phone in phones})
    (one, *_) = told().values()
    assert one["userAgent"] == "media-node-probe" and one["encrypted"] is True
    assert one["network"].endswith(".0/24") and one["since"] <= one["lastSeenAt"]
    for conversation in (ours, theirs):
        await conversation.phone.close()
    await asyncio.to_thread(wait_until, lambda: told() == {})
