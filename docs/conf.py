"""How Sphinx builds the documentation: `sphinx-build -W docs docs/_build`."""

from benchmark import __version__

project = "cell-segmentation-benchmark"
author = "the authors of cell-segmentation-benchmark"
copyright = "MIT licence"
release = __version__

extensions = [
    "myst_parser",  # pages in Markdown, as GitHub shows them
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # docstrings in Google style
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# The API pages show what a docstring says; hints of types are in the signatures.
napoleon_use_ivar = True  # attributes of a class in its own entry
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "fully-qualified"
autodoc_default_options = {"members": True}
autodoc_type_aliases = {  # as the signatures are written
    name: name
    for name in ("Bools", "Floats", "Ids", "Image", "Ints", "Labels", "Row", "Styles", "Unsigned")
}
python_use_unqualified_type_names = True
default_role = "code"  # `name` in a docstring is code, as in the pages
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "Cell segmentation benchmark"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
copybutton_exclude = ".linenos, .gp, .go"
