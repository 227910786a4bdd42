"""Ablation studies: each module reproduces a table or figure of the paper that varies one factor.

``scale`` defines how much smaller than the paper's a study is, and ``study`` its inputs.
``bundles`` condenses and prunes the bundles under comparison; ``judging`` evaluates them.
"""
