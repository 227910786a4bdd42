"""The paper's tables and figures that vary one thing, each a module: what varies, what is measured.

``scale`` says how much smaller than the paper's a study is, ``study`` what one has to work with,
``bundles`` and ``judging`` make what is compared and compare it.
"""
