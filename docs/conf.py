"""How Sphinx makes the site of README and docs/: `make docs`.

The sources are the pages as they are in the repository, and their links are those of the repository: a link to another file leads
to a copy of it. Not here: what is generated within pages (`make reference`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Generia"
html_title = "Generia's world generator"
root_doc = "README"
include_patterns = ["*.md", "docs/**.md"]
extensions = ["myst_parser"]
html_theme = "furo"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_use_index = False
html_show_search_summary = False  # a browser does not let a page of a file read its neighbours
myst_heading_anchors = 4
"""As GitHub makes them, which the links use."""
myst_links_external_new_tab = False
suppress_warnings = ["myst.header"]
highlight_language = "text"
smartquotes = False

NAVIGATION = {
    "Quick start": ["Start <self>", "docs/containers", "docs/troubleshooting"],
    "Operating": ["docs/operating", "docs/runs-and-states", "docs/pages", "docs/tracing", "docs/models", "docs/security"],
    "Scaling": ["docs/scaling", "docs/performance"],
    "Prompts": ["docs/prompts", "docs/a-world"],
    "Events": ["docs/events"],
    "Architecture": ["docs/architecture", "docs/requirements", "docs/cases", "CONTRIBUTING", "CHANGELOG"],
    "Decisions": ["docs/decisions/README"],
    "Reference": ["docs/settings", "docs/commands", "docs/errors", "docs/glossary"],
}
"""The pages by what a reader comes for. A page that is in no list is a warning, and the build fails."""


def _navigation(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the navigation to the first page, and the decisions to theirs."""
    if docname == app.config.root_doc:
        for caption, pages in NAVIGATION.items():
            source[0] += "\n".join(["\n```{toctree}", ":hidden:", f":caption: {caption}", *pages, "```\n"])
    elif docname == "docs/decisions/README":
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n*\n```\n"


def setup(app: Sphinx) -> None:
    """Sphinx's entry point."""
    app.connect("source-read", _navigation)
