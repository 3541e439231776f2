"""A declared study, run stage by stage: from recipes to a page."""
