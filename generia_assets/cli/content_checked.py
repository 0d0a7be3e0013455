"""What `generia doctor` says of what is in the checkout: the templates and data files, and what stands in for the outside."""

from __future__ import annotations

from collections.abc import Iterator

from generia_assets.cli.addresses import Addresses
from generia_assets.cli.findings import HealthFinding, ok, wrong
from generia_assets.content.check import files, mistakes
from generia_assets.settings import Settings


def templates_found(settings: Settings, where: Addresses) -> Iterator[HealthFinding]:
    """Every mistake in the templates and data files; no world begins while there is one."""
    del settings, where
    found = mistakes()
    for one in found:
        yield wrong("templates", str(one), "mend it: until then no world begins")
    if not found:
        yield ok("templates", f"{len(files())} templates and data files have no mistake")


def fakes_in_use(settings: Settings, where: Addresses) -> Iterator[HealthFinding]:
    """Which image API and which platform a world is made with."""
    del where
    yield ok("image API", settings.image_provider or "the stub that draws; IMAGE_PROVIDER names a real provider")
    yield ok("platform", f"the local fake: records in database {settings.platform_database}; nothing is published elsewhere")
