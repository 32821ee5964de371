"""How Sphinx builds these pages: ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for generate/, which makes pages

from generate import gallery

project = "optimkit"
author = "the optimkit developers"
project_copyright = "the optimkit developers"
version = release = version_of("optimkit")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "generate.claims",
    "generate.commands",
    "generate.executed",
    "generate.limits",
    "generate.links",
    "sphinx_gallery.gen_gallery",
    "generate.gallery",
    "generate.mathematics",
    "generate.optimizer_pages",
    "generate.pages",
    "generate.root_files",
    "generate.searched",
    "generate.sections",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "generate", "kept", "scripts"]
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence", "attrs_inline"]
myst_heading_anchors = 3

autosummary_generate = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_selector = (
    ":not(.output) > div.notranslate > div.highlight pre"  # not of what was printed
)

sphinx_gallery_conf = gallery.configuration()

html_math_renderer = "katex"
html_theme = "pydata_sphinx_theme"
html_title = "optimkit"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_search_summary = False  # it is fetched, which browsers refuse to pages on a disk
html_copy_source = False
html_show_sourcelink = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": f"optimkit {version}"},
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
