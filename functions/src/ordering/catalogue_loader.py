"""Run at each deploy: the catalogue in the bundle becomes the catalogue in DynamoDB. Running it again changes
nothing.
"""

import tomllib
from typing import TYPE_CHECKING, Any

from ordering import catalogue
from ordering.catalogue_store import CatalogueStore
from shared import settings
from shared.telemetry import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, int]:
    """Load the catalogue; raises, and so fails the deploy, when it is wrong or changes a version that was sold
    before.
    """
    document = tomllib.loads((settings.data_directory() / "catalogue.toml").read_text())
    loaded = catalogue.parse(document)
    CatalogueStore(settings.catalogue_table()).load(loaded)
    result = {"offerings": len(loaded.offerings), "promotions": len(loaded.promotions), "vat": len(loaded.vat)}
    logger.info("catalogue loaded", extra=result)
    return result
