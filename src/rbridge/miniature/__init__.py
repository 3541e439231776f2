"""A small world of reasoning text with known answers, in which the whole claim can be run on two cores."""
