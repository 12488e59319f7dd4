"""How Sphinx builds the documentation: `make docs`."""

from importlib.metadata import version as installed_version

from pygments.lexers.special import TextLexer
from sphinx.highlighting import lexers

project = "Evidence Courier"
copyright = "The Evidence Courier contributors"
release = version = installed_version("evidence-courier")

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

# A diagram's source is shown as text: a repository's host draws it, a page built here has the
# picture beside it.
lexers["mermaid"] = TextLexer()

html_theme = "furo"
html_title = f"{project} {release}"
