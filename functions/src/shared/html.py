"""Pages that a function fills in: the templates that Hugo made, with our filters. Jinja2 is imported only when a page is asked for."""

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from shared import clock, settings

if TYPE_CHECKING:
    from jinja2 import Environment

_MONTHS = ("januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober", "november", "december")


def render(view: str, **context: Any) -> str:
    """The page `view`.j2 filled with `context`; raises jinja2.TemplateNotFound when the build did not make the view."""
    return _environment().get_template(f"{view}.j2").render(**context)


def euro(cents: int) -> str:
    """Cents as a Dutch reader writes euros, with a no-break space: 100000 -> € 1.000,00."""
    sign = "-" if cents < 0 else ""
    whole, rest = divmod(abs(cents), 100)
    return f"€\u00a0{sign}{whole:,}".replace(",", ".") + f",{rest:02d}"


def when(moment: datetime | str) -> str:
    """A moment, or its ISO 8601 text, on a Dutch clock: 21 november 2026 om 18.05 uur."""
    local = clock.local_time(clock.from_iso(moment) if isinstance(moment, str) else moment)
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year} om {local:%H.%M} uur"


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader

    # Optional members of an order are tested with `if`, so what is undefined may be asked for but not looked into.
    environment = Environment(loader=FileSystemLoader(settings.views_directory()), autoescape=True, auto_reload=False)
    environment.filters |= {"euro": euro, "when": when}
    return environment
